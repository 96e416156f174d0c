/**
 * What can be proved of a shard in doubt. Whoever decides of it may be mistaken, and would pay twice, or lose what was
 * paid for: what the provider itself tells is not decided against.
 */
import * as Effect from "effect/Effect"
import type { BatchSnapshot } from "../Batch.js"
import { firstWireId } from "../internal/FirstWireId.js"
import * as LostBatch from "../internal/LostBatch.js"
import { Provider, type Service } from "../Provider.js"
import { type ProviderError, retryTransient } from "../ProviderError.js"
import { RunRejected } from "../RunError.js"
import type { RunState, ShardState } from "../RunState.js"
import { submitTag } from "../Shard.js"
import * as WireId from "../WireId.js"

/** How many times a call is made again whose failure may pass. */
const retries = 8

/** There is nothing to be had, or nobody to tell: then only a decision is left. */
const tellsNothing = (error: { readonly _tag: string } | ProviderError): boolean =>
  error._tag === "ProviderError" && "reason" in error
  && (error.reason === "gone" || error.reason === "refused" || error.reason === "unexpected")

/** The first wire id in the results of a batch, where it has any that can be read. */
const wireIdOf = (provider: Service, { files }: BatchSnapshot) =>
  Effect.reduce(
    files,
    undefined,
    (found: WireId.WireId | undefined, file) =>
      found !== undefined ? Effect.succeed(found) : firstWireId(provider.download(file), provider.decode).pipe(
        retryTransient(retries),
        Effect.catchIf(tellsNothing, () => Effect.succeed(undefined))
      )
  )

/**
 * Fails when a decision about a shard goes against what can be proved: `adopted` is the batch that is to be the shard's,
 * or `null` when there is to be none.
 */
export const check = Effect.fn("Pipeline.evidence")(function*(
  run: RunState,
  state: ShardState,
  adopted: BatchSnapshot | null
) {
  const provider = yield* Provider
  const { directory } = run
  const { shard } = state
  const rows = yield* LostBatch.rowsOf(shard)
  const holds = (row: number) => rows.has(row)
  if (adopted !== null) {
    const wireId = yield* wireIdOf(provider, adopted)
    const row = wireId === undefined ? undefined : WireId.rowOf(shard.runTag, wireId)
    if (row !== undefined && holds(row)) return
    if (wireId !== undefined) {
      return yield* new RunRejected({
        directory,
        problem: `the results of batch ${adopted.id} are of other rows than those of shard ${shard.id}`,
        remedy: "It is the batch of something else: name another one."
      })
    }
  }
  const others = LostBatch.knownOthers(run.shards, shard)
  const finding = yield* provider.find(submitTag(shard), LostBatch.notBefore(state), others, holds).pipe(
    retryTransient(retries),
    Effect.catchIf(tellsNothing, () => Effect.succeed(null))
  )
  if (finding?._tag !== "Found" || finding.snapshot.id === adopted?.id) return
  return yield* new RunRejected({
    directory,
    problem: `batch ${finding.snapshot.id} was made of shard ${shard.id}, and is paid for`,
    remedy: `Take that one up: llm-batch reconcile ${directory} --shard ${shard.id} --adopt ${finding.snapshot.id}`
  })
})
