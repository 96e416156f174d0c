/**
 * One shard's way through the stages, with every fact in the ledger as soon as it is known.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AnswerCheck } from "../AnswerCheck.js"
import { Batch, type EndedBatch, expectedRows, isWithdrawn, withdraw } from "../Batch.js"
import * as CancelMark from "../internal/CancelMark.js"
import * as Ledger from "../Ledger.js"
import { Provider } from "../Provider.js"
import { retryTransient } from "../ProviderError.js"
import { RawResults } from "../RawResults.js"
import { Progress } from "../RunEvent.js"
import type { ShardState } from "../RunState.js"
import type { Shard } from "../Shard.js"
import { Ask } from "../stage/Ask.js"
import { Fetch } from "../stage/Fetch.js"
import { Normalize } from "../stage/Normalize.js"
import { Poll } from "../stage/Poll.js"
import { Submit } from "../stage/Submit.js"
import * as Step from "../Step.js"

/** Downloads at a time: more would only share the same line. */
const transfers = 4

/** How many times a call is made again whose failure may pass. */
const retries = 8

/** Shards whose rows are asked one by one at a time: the second begins while the last rows of the first are waited for. */
const conversations = 2

/** How long before a batch expires that is told. */
const expiryWarning = Duration.hours(1)

/** How far a shard is taken, and how. */
export interface Options {
  /** A step that it is not ready for is left for later. */
  readonly steps: Step.Steps
  /** When batches are waited for no longer: those that have not ended are cancelled, and no further one is made. */
  readonly deadline: DateTime.Utc | null
  readonly check: AnswerCheck | undefined
}

/** Makes the way through the stages that are provided. */
export const make = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const provider = yield* Provider
  const { submit } = yield* Submit
  const { ask } = yield* Ask
  const { poll, updates } = yield* Poll
  const { fetch } = yield* Fetch
  const { normalize } = yield* Normalize
  const downloading = yield* Effect.makeSemaphore(transfers)
  // It keeps one core busy, and needs its buffers: two at a time would only take turns.
  const normalizing = yield* Effect.makeSemaphore(1)

  const asking = yield* Effect.makeSemaphore(conversations)

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

  const sleepUntil = (time: DateTime.Utc) =>
    Effect.flatMap(DateTime.now, (now) => Effect.sleep(Duration.millis(Math.max(0, DateTime.distance(now, time)))))

  /** Tells of a batch that is about to expire with rows that nobody has answered. */
  const warnOfExpiry = Effect.fn(function*(batch: Batch) {
    const { tell } = yield* Progress
    const { expiresAt } = batch.snapshot
    if (expiresAt === null) return
    yield* sleepUntil(DateTime.subtractDuration(expiresAt, expiryWarning))
    tell({ _tag: "BatchExpiring", batch, expiresAt })
  })

  /** Cancels a batch when the time for it is over; it ends some time later, with what was answered by then. */
  const cancelAt = Effect.fn(function*(batch: Batch, deadline: DateTime.Utc) {
    const { tell } = yield* Progress
    yield* sleepUntil(deadline)
    tell({ _tag: "DeadlineReached", batch })
    yield* retryTransient(retries)(provider.cancel(batch.id)).pipe(
      Effect.catchAll((error) =>
        Effect.sync(() =>
          tell({
            _tag: "PollTrouble",
            detail: `the deadline is over, and batch ${batch.id} could not be cancelled: ${error.message}`
          })
        )
      )
    )
  })

  const awaitEnd = Effect.fn(function*(batch: Batch, deadline: DateTime.Utc | null) {
    const { tell } = yield* Progress
    const salvage = ({ batch: ended }: { readonly batch: EndedBatch }) => Effect.succeed(ended)
    const ended = yield* Effect.scoped(
      Effect.zipRight(
        // What only watches must not end the wait: `poll` says what is wrong.
        Effect.zipRight(
          Effect.all([Effect.forkScoped(Effect.ignore(observe(batch))), Effect.forkScoped(warnOfExpiry(batch))]),
          deadline === null ? Effect.void : Effect.forkScoped(cancelAt(batch, deadline))
        ),
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

  /** Asks for the rows of a shard one by one; those that have an answer from before are not asked again. */
  const askRows = Effect.fn(function*({ shard, status }: ShardState) {
    if (status === "built") yield* ledger.append(shard.directory, { _tag: "AskStarted", shard: shard.id })
    const raw = yield* asking.withPermits(1)(ask(shard))
    const { batch, files, rows, shortBy } = raw
    yield* ledger.append(shard.directory, { _tag: "BatchEnded", batch })
    yield* ledger.append(shard.directory, {
      _tag: "ResultsFetched",
      shard: shard.id,
      files,
      rows,
      shortBy,
      shortfall: null
    })
    return raw
  })

  const write = Effect.fn(function*(raw: RawResults, check: AnswerCheck | undefined) {
    const { tell } = yield* Progress
    const { shard, tally } = yield* normalize(raw, check)
    yield* ledger.append(shard.directory, { _tag: "ShardNormalized", shard: shard.id, tally })
    tell({ _tag: "ShardNormalized", shard, tally })
  })

  /** Whether a batch is not to be made of a shard any more. */
  const isTooLate = Effect.fn(function*({ directory }: Shard, deadline: DateTime.Utc | null) {
    if (yield* CancelMark.isSet(directory)) return true
    return deadline !== null && DateTime.lessThanOrEqualTo(deadline, yield* DateTime.now)
  })

  /** The batch of a shard, made if need be; an ended one when it is not to be sent any more; nothing while that is for later. */
  const batchOf = Effect.fn(function*({ shard, snapshot, status }: ShardState, { deadline, steps }: Options) {
    if (snapshot !== null) return new Batch({ shard, snapshot })
    if (status === "built" && (yield* isTooLate(shard, deadline))) return yield* neverSent(shard)
    if (!Step.includes(steps, "submit")) return undefined
    return yield* Effect.catchTag(submit(shard), "SubmitCancelled", () => neverSent(shard))
  })

  /** The raw results of a shard that is sent as a batch; nothing while they are for later. */
  const throughBatch = Effect.fn(function*(state: ShardState, options: Options) {
    const { steps } = options
    let ended = state.ended
    if (ended === null) {
      const batch = yield* batchOf(state, options)
      if (batch === undefined) return undefined
      if (batch instanceof Batch) {
        // Asked for while the batch was made, when nobody could know its id; or by somebody who did not come to it.
        if (yield* CancelMark.isSet(state.shard.directory)) yield* retryTransient(retries)(provider.cancel(batch.id))
        if (!Step.includes(steps, "poll")) return undefined
        ended = yield* awaitEnd(batch, options.deadline)
      } else {
        ended = batch
      }
    }
    if (state.raw !== null && !Step.isOnly(steps, "fetch")) return state.raw
    return Step.includes(steps, "fetch") ? yield* downloading.withPermits(1)(bring(ended, state.raw)) : undefined
  })

  /** The raw results of a shard whose rows are asked one by one; nothing while they are for later. */
  const throughAsking = Effect.fn(function*(state: ShardState, { steps }: Options) {
    const { ended, raw, shard, status } = state
    if (raw !== null) return raw
    // Who will not wait for batches will not wait for answers.
    if (!Step.includes(steps, "fetch")) return undefined
    if (ended !== null && isWithdrawn(ended.snapshot)) return yield* bring(ended, null)
    if (yield* CancelMark.isSet(shard.directory)) {
      // Nothing is asked any more: what was answered is brought by whoever cancelled, too.
      return status === "built" ? yield* bring(yield* neverSent(shard), null) : yield* askRows(state)
    }
    return Step.includes(steps, "submit") ? yield* askRows(state) : undefined
  })

  /** Takes one shard through the steps that it still needs. */
  return Effect.fn("Pipeline.advanceShard")(function*(state: ShardState, options: Options) {
    const { steps } = options
    const raw = yield* (state.shard.mode === "sync" ? throughAsking : throughBatch)(state, options)
    if (raw === undefined || !Step.includes(steps, "normalize")) return
    if (state.tally !== null && raw === state.raw && !Step.isOnly(steps, "normalize")) return
    yield* normalizing.withPermits(1)(write(raw, options.check))
  })
})
