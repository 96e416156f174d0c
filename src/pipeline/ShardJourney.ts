/**
 * One shard's way through the stages, with every fact in the ledger as soon as it is known.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Batch, type EndedBatch, expectedRows, withdraw } from "../Batch.js"
import * as CancelMark from "../internal/CancelMark.js"
import * as Ledger from "../Ledger.js"
import { Provider } from "../Provider.js"
import { retryTransient } from "../ProviderError.js"
import { RawResults } from "../RawResults.js"
import { Progress } from "../RunEvent.js"
import type { ShardState } from "../RunState.js"
import type { Shard } from "../Shard.js"
import { Fetch } from "../stage/Fetch.js"
import { Normalize } from "../stage/Normalize.js"
import { Poll } from "../stage/Poll.js"
import { Submit } from "../stage/Submit.js"
import * as Step from "../Step.js"

/** Downloads at a time: more would only share the same line. */
const transfers = 4

/** How many times a call is made again whose failure may pass. */
const retries = 8

/** Makes the way through the stages that are provided. */
export const make = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const provider = yield* Provider
  const { submit } = yield* Submit
  const { poll, updates } = yield* Poll
  const { fetch } = yield* Fetch
  const { normalize } = yield* Normalize
  const downloading = yield* Effect.makeSemaphore(transfers)
  // It keeps one core busy, and needs its buffers: two at a time would only take turns.
  const normalizing = yield* Effect.makeSemaphore(1)

  /** A shard that will not be sent any more ends as a batch that was cancelled before its first row. */
  const neverSent = Effect.fn(function*(shard: Shard) {
    const { tell } = yield* Progress
    const batch = withdraw(shard, yield* DateTime.now)
    yield* ledger.append(shard.directory, { _tag: "BatchEnded", batch })
    tell({ _tag: "BatchEnded", batch })
    return batch
  })

  /** Keeps what changes while a batch is waited for; the end itself is kept by whoever waits. */
  const observe = Effect.fn(function*(batch: Batch) {
    const { tell } = yield* Progress
    let status = batch.snapshot.status
    yield* Stream.runForEach(updates(batch), (seen) =>
      Effect.gen(function*() {
        tell({ _tag: "BatchObserved", batch: seen })
        if (seen.snapshot.ending !== null || seen.snapshot.status === status) return
        status = seen.snapshot.status
        yield* ledger.append(batch.shard.directory, {
          _tag: "BatchObserved",
          shard: batch.shard.id,
          snapshot: seen.snapshot
        })
      }))
  })

  const awaitEnd = Effect.fn(function*(batch: Batch) {
    const { tell } = yield* Progress
    const salvage = ({ batch: ended }: { readonly batch: EndedBatch }) => Effect.succeed(ended)
    const ended = yield* Effect.scoped(
      Effect.zipRight(
        // What only watches must not end the wait: `poll` says what is wrong.
        Effect.forkScoped(Effect.ignore(observe(batch))),
        poll(batch).pipe(Effect.catchTags({ BatchExpired: salvage, BatchErrored: salvage, BatchCancelled: salvage }))
      )
    )
    yield* ledger.append(batch.shard.directory, { _tag: "BatchEnded", batch: ended })
    tell({ _tag: "BatchEnded", batch: ended })
    return ended
  })

  /** Results that are gone are no results, unless some came before: those are kept. */
  const bring = Effect.fn(function*(batch: EndedBatch, before: RawResults | null) {
    const { raw, shortfall } = yield* fetch(batch, before ?? undefined).pipe(
      Effect.map((raw) => ({ raw, shortfall: null })),
      Effect.catchTags({
        ResultsIncomplete: (error) => Effect.succeed({ raw: error.raw, shortfall: error.message }),
        ResultsGone: (error) =>
          before !== null ? Effect.fail(error) : Effect.succeed({
            raw: new RawResults({ batch, files: [], rows: 0, shortBy: Math.max(1, expectedRows(batch)) }),
            shortfall: error.message
          })
      })
    )
    yield* ledger.append(batch.shard.directory, {
      _tag: "ResultsFetched",
      shard: batch.shard.id,
      files: raw.files,
      rows: raw.rows,
      shortBy: raw.shortBy,
      shortfall
    })
    return raw
  })

  const write = Effect.fn(function*(raw: RawResults) {
    const { tell } = yield* Progress
    const { shard, tally } = yield* normalize(raw)
    yield* ledger.append(shard.directory, { _tag: "ShardNormalized", shard: shard.id, tally })
    tell({ _tag: "ShardNormalized", shard, tally })
  })

  /** The batch of a shard, made if need be; an ended one when it is not to be sent any more; nothing while that is for later. */
  const batchOf = Effect.fn(function*({ shard, snapshot, status }: ShardState, steps: Step.Steps) {
    if (snapshot !== null) return new Batch({ shard, snapshot })
    if (status === "built" && (yield* CancelMark.isSet(shard.directory))) return yield* neverSent(shard)
    if (!Step.includes(steps, "submit")) return undefined
    return yield* Effect.catchTag(submit(shard), "SubmitCancelled", () => neverSent(shard))
  })

  /** Takes one shard through the steps that it still needs. A step that it is not ready for is left for later. */
  return Effect.fn("Pipeline.advanceShard")(function*(state: ShardState, steps: Step.Steps) {
    const { shard } = state
    let ended = state.ended
    if (ended === null) {
      const batch = yield* batchOf(state, steps)
      if (batch === undefined) return
      if (batch instanceof Batch) {
        // Asked for while the batch was made, when nobody could know its id; or by somebody who did not come to it.
        if (yield* CancelMark.isSet(shard.directory)) yield* retryTransient(retries)(provider.cancel(batch.id))
        if (!Step.includes(steps, "poll")) return
        ended = yield* awaitEnd(batch)
      } else {
        ended = batch
      }
    }
    let raw = state.raw
    if (raw === null || Step.isOnly(steps, "fetch")) {
      if (!Step.includes(steps, "fetch")) return
      raw = yield* downloading.withPermits(1)(bring(ended, raw))
    }
    if (state.tally === null || Step.isOnly(steps, "normalize")) {
      if (!Step.includes(steps, "normalize")) return
      yield* normalizing.withPermits(1)(write(raw))
    }
  })
})
