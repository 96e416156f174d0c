/**
 * One shard's way through the stages, with every fact in the ledger as soon as it is known.
 */
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { AnswerCheck } from "../AnswerCheck.js"
import { Batch, type EndedBatch, expectedRows, isWithdrawn, withdraw } from "../Batch.js"
import * as CancelMark from "../internal/CancelMark.js"
import * as Disk from "../internal/Disk.js"
import * as ShardCut from "../internal/ShardCut.js"
import * as Ledger from "../Ledger.js"
import { Provider } from "../Provider.js"
import { ProviderError, retryTransient } from "../ProviderError.js"
import { RawResults } from "../RawResults.js"
import * as RunDirectory from "../RunDirectory.js"
import { Progress } from "../RunEvent.js"
import type { ShardState } from "../RunState.js"
import { countByIds, type Shard } from "../Shard.js"
import { Ask } from "../stage/Ask.js"
import { Fetch } from "../stage/Fetch.js"
import { Normalize } from "../stage/Normalize.js"
import { Poll } from "../stage/Poll.js"
import { Submit } from "../stage/Submit.js"
import * as Step from "../Step.js"
import type { Admission } from "./Admission.js"
import { declineOf } from "./Decline.js"
import * as KeepAnswers from "./KeepAnswers.js"

/** Downloads at a time: more would only share the same line. */
const transfers = 4

/** How many times a call is made again whose failure may pass. */
const retries = 8

/** Shards whose rows are asked one by one at a time: the second begins while the last rows of the first are waited for. */
const conversations = 2

/** How long before a batch expires that is told. */
const expiryWarning = Duration.hours(1)

/** How long a create waits that was told of too many requests; doubled each time, up to the longest. */
const firstPatience = Duration.minutes(1)
const longestPatience = Duration.minutes(10)

/** Whether to wait helps: what is owed has to be paid by somebody. */
const isBusy = (error: { readonly _tag: string }): error is ProviderError =>
  error instanceof ProviderError && error.reason === "rate-limited" && !/quota|billing|credit/iu.test(error.detail)

/** What became of a shard, as far as it was taken. */
type Way = Data.TaggedEnum<{
  /** It is for a later step, or a later process. */
  Later: {}
  Batch: { readonly batch: Batch }
  Ended: { readonly batch: EndedBatch }
  Raw: { readonly raw: RawResults }
  /** It was cut into these. */
  Cut: { readonly shards: ReadonlyArray<ShardState> }
}>

const Way = Data.taggedEnum<Way>()

/** How far a shard is taken, and how. */
export interface Options {
  /** A step that it is not ready for is left for later. */
  readonly steps: Step.Steps
  /** When batches are waited for no longer: those that have not ended are cancelled, and no further one is made. */
  readonly deadline: DateTime.Utc | null
  readonly check: AnswerCheck | undefined
  readonly admission: Admission
  /** The results of shards whose rows are not sent, where they are there. */
  readonly reused: ReadonlyMap<string, RawResults>
  /** The directory in which answers are kept for later runs. */
  readonly cacheDirectory: string | undefined
}

/** Makes the way through the stages that are provided. */
export const make = Effect.gen(function*() {
  const ledger = yield* Ledger.Ledger
  const provider = yield* Provider
  const { submit } = yield* Submit
  const { ask } = yield* Ask
  const { poll, updates } = yield* Poll
  const { fetch } = yield* Fetch
  const { atATime, normalize } = yield* Normalize
  const keepAnswers = yield* KeepAnswers.make
  const downloading = yield* Effect.makeSemaphore(transfers)
  const normalizing = yield* Effect.makeSemaphore(atATime ?? 1)
  // In this thread, one at a time.
  const keeping = yield* Effect.makeSemaphore(1)
  const asking = yield* Effect.makeSemaphore(conversations)
  // The ids of the new shards follow from those that are there.
  const cutting = yield* Effect.makeSemaphore(1)

  /** Where a shard stands now; `undefined` when it was cut into others. */
  const stateOf = ({ directory, id }: Shard) => Effect.map(ledger.state(directory), ({ shards }) => shards.get(id))

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
        // That is no end of the shard.
        if (declineOf(seen.snapshot) !== undefined) return
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

  /** The end of a batch; nothing when the provider's queue had no room for it now, and its shard is to be sent again. */
  const awaitEnd = Effect.fn(function*(batch: Batch, { admission, deadline }: Options) {
    const { tell } = yield* Progress
    const { shard } = batch
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
    const decline = declineOf(ended.snapshot)
    const comesAgain = decline !== undefined
      && (decline.tokenLimit === null || !(yield* admission.neverFits(shard, decline.tokenLimit)))
    if (comesAgain) {
      const { detail, tokenLimit } = decline
      yield* ledger.append(shard.directory, {
        _tag: "BatchDeclined",
        shard: shard.id,
        batch: ended.id,
        tokenLimit,
        detail
      })
      tell({ _tag: "BatchDeclined", batch: ended, detail })
      yield* admission.declined(shard, tokenLimit)
      return undefined
    }
    yield* ledger.append(shard.directory, { _tag: "BatchEnded", batch: ended })
    tell({ _tag: "BatchEnded", batch: ended })
    yield* admission.ended(shard)
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
    const raw = yield* ask(shard)
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

  const write = Effect.fn(function*(raw: RawResults, { cacheDirectory, check }: Options) {
    const { tell } = yield* Progress
    const { bill, shard, tally } = yield* normalize(raw, check)
    yield* keeping.withPermits(1)(keepAnswers(raw, cacheDirectory))
    yield* ledger.append(shard.directory, { _tag: "ShardNormalized", shard: shard.id, tally, bill })
    tell({ _tag: "ShardNormalized", shard, tally })
  })

  /** Whether a batch is not to be made of a shard any more. */
  const isTooLate = Effect.fn(function*({ directory }: Shard, deadline: DateTime.Utc | null) {
    if (yield* CancelMark.isSet(directory)) return true
    return deadline !== null && DateTime.lessThanOrEqualTo(deadline, yield* DateTime.now)
  })

  /** Makes the batch of a shard. To be told that there are too many requests now is to wait. */
  const submitPatiently = Effect.fn(function*(shard: Shard, { deadline, steps }: Options) {
    const { tell } = yield* Progress
    let patience = firstPatience
    for (;;) {
      const made = yield* submit(shard).pipe(
        Effect.map((batch) => ({ batch })),
        Effect.catchIf(
          (error): error is ProviderError => Step.includes(steps, "poll") && isBusy(error),
          (error) => Effect.succeed({ batch: undefined, error })
        ),
        Effect.catchTag("SubmitCancelled", () => Effect.map(neverSent(shard), (batch) => ({ batch })))
      )
      if (made.batch !== undefined) return made.batch
      const wait = Duration.max(patience, Duration.millis(made.error.retryAfterMillis ?? 0))
      tell({ _tag: "SubmitWaiting", shard, waitMillis: Duration.toMillis(wait), detail: made.error.message })
      yield* Effect.sleep(wait)
      if (yield* isTooLate(shard, deadline)) {
        const { shards } = yield* ledger.state(shard.directory)
        // What may have been made in the meantime is looked for first.
        if (shards.get(shard.id)?.status === "built") return yield* neverSent(shard)
      }
      patience = Duration.min(Duration.times(patience, 2), longestPatience)
    }
  })

  /** Cuts a shard that is not sent yet, and gives the smaller ones. */
  const cut = Effect.fn(function*(shard: Shard, pieces: number) {
    const { tell } = yield* Progress
    const disk = yield* Disk.Disk
    const { directory, id } = shard
    const before = yield* ledger.state(directory)
    const shards = yield* ShardCut.cut(
      shard,
      pieces,
      countByIds([...before.shards.values()].map(({ shard }) => shard))
    )
    yield* ledger.append(directory, { _tag: "ShardSplit", shard: id, shards })
    tell({ _tag: "ShardSplit", shard, shards })
    // They are in the smaller ones; what cannot be removed does no harm.
    yield* Effect.ignore(Disk.attempt("remove", directory, () => {
      disk.remove(RunDirectory.batchInput(shard))
      disk.remove(RunDirectory.rows(shard))
    }))
    const after = yield* ledger.state(directory)
    return shards.flatMap(({ id }) => after.shards.get(id) ?? [])
  })

  /** The batch of a shard, made if need be; an ended one when it is not to be sent any more. */
  const batchOf = Effect.fn(function*(state: ShardState, options: Options) {
    const { shard, snapshot, status } = state
    const { admission, deadline, steps } = options
    if (snapshot !== null) return Way.Batch({ batch: new Batch({ shard, snapshot }) })
    if (status === "built" && (yield* isTooLate(shard, deadline))) return Way.Ended({ batch: yield* neverSent(shard) })
    if (!Step.includes(steps, "submit")) return Way.Later()
    const permission = yield* admission.admit(state, {
      waits: Step.includes(steps, "poll"),
      isTooLate: isTooLate(shard, deadline)
    })
    switch (permission._tag) {
      case "Later":
        return Way.Later()
      case "TooLate":
        return Way.Ended({ batch: yield* neverSent(shard) })
      case "Cut":
        return Way.Cut({ shards: yield* cutting.withPermits(1)(cut(shard, permission.pieces)) })
      case "Send": {
        const batch = yield* submitPatiently(shard, options)
        return batch instanceof Batch ? Way.Batch({ batch }) : Way.Ended({ batch })
      }
    }
  })

  /** The raw results of a shard that is sent as a batch; or the shards that are sent in its place. */
  const throughBatch = Effect.fn(function*(begun: ShardState, options: Options) {
    const { steps } = options
    let state = begun
    let ended = begun.ended
    while (ended === null) {
      const way = yield* batchOf(state, options)
      if (way._tag === "Later") return Way.Later()
      if (way._tag === "Cut") return way
      if (way._tag === "Ended") {
        ended = way.batch
        break
      }
      const { batch } = way
      // Asked for while the batch was made, when nobody could know its id; or by somebody who did not come to it.
      if (yield* CancelMark.isSet(state.shard.directory)) yield* retryTransient(retries)(provider.cancel(batch.id))
      if (!Step.includes(steps, "poll")) return Way.Later()
      ended = (yield* awaitEnd(batch, options)) ?? null
      if (ended === null) state = (yield* stateOf(state.shard)) ?? state
    }
    if (state.raw !== null && !Step.isOnly(steps, "fetch")) return Way.Raw({ raw: state.raw })
    return Step.includes(steps, "fetch")
      ? Way.Raw({ raw: yield* downloading.withPermits(1)(bring(ended, state.raw)) })
      : Way.Later()
  })

  /** The raw results of a shard whose rows are asked one by one. */
  const throughAsking = Effect.fn(function*(state: ShardState, { admission, steps }: Options) {
    const { ended, raw, shard, status } = state
    if (raw !== null) return Way.Raw({ raw })
    // Who will not wait for batches will not wait for answers.
    if (!Step.includes(steps, "fetch")) return Way.Later()
    if (ended !== null && isWithdrawn(ended.snapshot)) return Way.Raw({ raw: yield* bring(ended, null) })
    if (yield* CancelMark.isSet(shard.directory)) {
      // Nothing is asked any more: what was answered is brought by whoever cancelled, too.
      return Way.Raw({ raw: status === "built" ? yield* bring(yield* neverSent(shard), null) : yield* askRows(state) })
    }
    if (!Step.includes(steps, "submit")) return Way.Later()
    return yield* asking.withPermits(1)(Effect.gen(function*() {
      if (status === "built") {
        const isTooLate = CancelMark.isSet(shard.directory)
        // Not before it is its turn: by then it is known what those before it have cost.
        const permission = yield* admission.admit(state, { waits: true, isTooLate })
        if (permission._tag === "TooLate") return Way.Raw({ raw: yield* bring(yield* neverSent(shard), null) })
        if (permission._tag !== "Send") return Way.Later()
      }
      return Way.Raw({ raw: yield* askRows(state) })
    }))
  })

  /** The raw results of a shard whose rows are not sent. */
  const throughReuse = Effect.fn(function*({ ended, raw, shard }: ShardState, { reused, steps }: Options) {
    if (raw !== null && !Step.isOnly(steps, "fetch")) return Way.Raw({ raw })
    const found = reused.get(shard.id)
    if (found === undefined || !Step.includes(steps, "fetch")) return Way.Later()
    const { batch, files, rows, shortBy } = found
    if (ended === null) yield* ledger.append(shard.directory, { _tag: "BatchEnded", batch })
    yield* ledger.append(shard.directory, {
      _tag: "ResultsFetched",
      shard: shard.id,
      files,
      rows,
      shortBy,
      shortfall: null
    })
    return Way.Raw({ raw: found })
  })

  /** Takes one shard through the steps that it still needs; gives the shards that it was cut into, if it was. */
  return Effect.fn("Pipeline.advanceShard")(function*(state: ShardState, options: Options) {
    const { admission, steps } = options
    return yield* Effect.gen(function*() {
      const through = { batch: throughBatch, sync: throughAsking, reused: throughReuse }[state.shard.mode]
      const way = yield* through(state, options)
      if (way._tag === "Cut") return way.shards
      if (way._tag !== "Raw" || !Step.includes(steps, "normalize")) return []
      const { raw } = way
      if (state.tally === null || raw !== state.raw || Step.isOnly(steps, "normalize")) {
        yield* normalizing.withPermits(1)(write(raw, options))
      }
      return []
    }).pipe(
      Effect.ensuring(
        Effect.flatMap(
          Effect.orElseSucceed(stateOf(state.shard), () => state),
          (now) => admission.over(state.shard, now)
        )
      )
    )
  })
})
