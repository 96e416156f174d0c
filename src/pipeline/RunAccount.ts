/**
 * Under which account a run goes on: the one that it began with, since another one cannot see its batches.
 */
import * as Effect from "effect/Effect"
import * as Ledger from "../Ledger.js"
import { Provider } from "../Provider.js"
import { RunRejected } from "../RunError.js"
import type { RunState } from "../RunState.js"

/**
 * Makes the check of a run's account against the one that is provided. A new key of the same account is taken when
 * somebody says that it is one.
 */
export const make = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const provider = yield* Provider

  return Effect.fn("Pipeline.checkAccount")(function*(state: RunState, acceptNewKey: boolean) {
    // A shard that certainly has no batch can be sent under any account: a wrong key or address is put right by another.
    const intents = [...state.shards.values()].flatMap(({ intent, raw, status }) =>
      intent === null || status === "built" || raw !== null ? [] : [intent.account]
    )
    const [before] = intents
    if (before === undefined) return
    const account = yield* provider.account(state.run.runTag)
    const sameButKey = intents.every(({ baseUrl, scope }) => baseUrl === account.baseUrl && scope === account.scope)
    if (sameButKey && intents.every(({ keyFingerprint }) => keyFingerprint === account.keyFingerprint)) return
    if (sameButKey && acceptNewKey) {
      yield* ledger.append(state.directory, { _tag: "AccountConfirmed", account })
      return
    }
    return yield* new RunRejected({
      directory: state.directory,
      problem: sameButKey
        ? "its batches were made with another API key, and another account could not see them"
        : `its batches were made at ${before.baseUrl}${before.scope === null ? "" : ` for ${before.scope}`}, and the `
          + `settings now name ${account.baseUrl}${account.scope === null ? "" : ` for ${account.scope}`}`,
      remedy: sameButKey
        ? "Set the key that it began with, or confirm with --accept-new-key that this one is of the same account."
        : "Set the base URL, the organisation and the project that it began with."
    })
  })
})
