/**
 * The second stage: a shard becomes a batch at the provider, exactly once.
 *
 * The intent is on disk before the first call, the batch's id before anything else happens. A create that ended without
 * a clear answer is never simply repeated: the provider's batches are looked through first, under the same account and
 * after a settle time, and what is found is adopted.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { Batch, type BatchSnapshot, type InputReference } from "../Batch.js"
import * as BuiltRows from "../internal/BuiltRows.js"
import * as CancelMark from "../internal/CancelMark.js"
import * as Disk from "../internal/Disk.js"
import * as LostBatch from "../internal/LostBatch.js"
import { Ledger } from "../Ledger.js"
import { type Account, Provider, type ShardBytes } from "../Provider.js"
import { ProviderError, retryTransient } from "../ProviderError.js"
import * as RunDirectory from "../RunDirectory.js"
import type { DiskError, LedgerCorrupt, RunLocked, RunRejected } from "../RunError.js"
import { ShardChanged } from "../RunError.js"
import { Progress } from "../RunEvent.js"
import { type Shard, submitTag } from "../Shard.js"
import {
  BatchUnrecorded,
  type NotSent,
  Refused,
  SubmitCancelled,
  SubmitRefused,
  SubmitUnknown,
  Unknown
} from "../SubmitError.js"

/**
 * What can go wrong when a shard is submitted.
 *
 * @since 0.1.0
 * @category errors
 */
export type SubmitError =
  | SubmitRefused
  | SubmitUnknown
  | SubmitCancelled
  | BatchUnrecorded
  | ProviderError
  | ShardChanged
  | RunRejected
  | RunLocked
  | LedgerCorrupt
  | DiskError

/**
 * The interface of the stage.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Fails when no shard of the run could be submitted: there is no key, or none that can be used. Makes no call. */
  readonly check: (runTag: string) => Effect.Effect<void, ProviderError | RunRejected>

  /**
   * Makes the batch of a shard, or gives the one that was made before: it is safe to call again after any failure or
   * crash. The run must be held by the ledger.
   */
  readonly submit: (shard: Shard) => Effect.Effect<Batch, SubmitError>

  /** How long after a create without a clear answer the provider's list is believed when it shows no batch. */
  readonly settleTime: Duration.Duration
}

/**
 * The stage that makes batches of shards.
 *
 * @since 0.1.0
 * @category tags
 */
export class Submit extends Context.Tag("llm-batch/stage/Submit")<Submit, Service>() {}

/**
 * How patient a submit is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * How long after a create without a clear answer the provider's list is believed when it does not show the batch;
   * 60 seconds by default.
   */
  readonly settleTime?: Duration.DurationInput | undefined
  /** How many times in all a call is made that certainly had no effect, or whose batch turned out not to exist; 6. */
  readonly tries?: number | undefined
}

/** Uploads at a time: more would only share the same line. */
const uploadsAtATime = 4

/** Between two looks at candidates lies the settle time; but no more looks than this, and no fewer. */
const deferrals = { minimum: Duration.millis(100), maximum: Duration.minutes(1) }

/** How long that can take: the providers' window, and a grace. */
const longestDeferral = Duration.hours(25)

/** For how long the newest batch of the provider's list tells its time: an old one makes a look go back further. */
const newestLasts = Duration.minutes(10)

/** Milliseconds on a clock that nobody can set: from one time to another it tells what really passed. */
const elapsing = Effect.clockWith((clock) =>
  // Not `currentTimeNanos`: of a test clock that stands between two milliseconds, it throws.
  Effect.sync(() => Number(clock.unsafeCurrentTimeNanos() / 1_000_000n))
)

const make = (options: Options) =>
  Effect.gen(function*() {
    const disk = yield* Disk.Disk
    const ledger = yield* Ledger
    const provider = yield* Provider
    const settleTime = Duration.decode(options.settleTime ?? "60 seconds")
    /** How often candidates are looked at that may be a shard's batch, until they end and their results tell. */
    const deferral = Duration.clamp(settleTime, deferrals)
    const tries = options.tries ?? 6
    const uploading = yield* Effect.makeSemaphore(uploadsAtATime)

    const [newestListed, forgetNewest] = yield* Effect.cachedInvalidateWithTTL(
      Effect.map(retryTransient(2)(provider.list(null)), ({ batches }) => {
        const [first, ...others] = batches.map(({ createdAt }) => createdAt)
        return first === undefined ? undefined : others.reduce<DateTime.Utc>(DateTime.max, first)
      }),
      newestLasts
    )

    /**
     * A time that the provider's own clock has shown: no batch that is made from now on is older, whatever our clock says.
     * Where rows are uploaded, the answer to that tells it. Without it, a look goes through all batches.
     */
    const newestTime: Effect.Effect<DateTime.Utc | undefined> = provider.capabilities.upload
      ? Effect.succeed(undefined)
      : newestListed.pipe(Effect.tapError(() => forgetNewest), Effect.orElseSucceed(() => undefined))

    const backoff = Schedule.exponential("1 second", 2).pipe(
      Schedule.modifyDelay((_, delay) => Duration.min(delay, Duration.minutes(1))),
      Schedule.jittered,
      Schedule.intersect(Schedule.recurs(tries - 1))
    )

    const stateOf = Effect.fn(function*(shard: Shard) {
      const { shards } = yield* ledger.state(shard.directory)
      const state = shards.get(shard.id)
      if (state !== undefined) return { state, shards }
      return yield* new ShardChanged({
        path: RunDirectory.journal(shard.directory),
        shard: shard.id,
        problem: "the journal does not know it"
      })
    })

    /** Somebody may ask at any time that nothing more is sent. */
    const checkNotCancelled = Effect.fn(function*({ directory, id }: Shard) {
      if (yield* CancelMark.isSet(directory)) return yield* new SubmitCancelled({ directory, shard: id })
    })

    const bytesOf = Effect.fn(function*(shard: Shard) {
      const { tell } = yield* Progress
      const bytes: ShardBytes = Stream.suspend(() => {
        let sent = 0
        return Disk.lendBlocks(RunDirectory.batchInput(shard)).pipe(
          Stream.provideService(Disk.Disk, disk),
          Stream.tap((block) =>
            Effect.sync(() => {
              sent += block.length
              tell({ _tag: "BytesSent", shard, bytes: sent })
            })
          )
        )
      })
      return bytes
    })

    const refused = (shard: Shard, error: Refused) =>
      new SubmitRefused({
        directory: shard.directory,
        shard: shard.id,
        provider: provider.name,
        status: error.status,
        detail: error.detail
      })

    const unreachable = (error: NotSent | Unknown) =>
      new ProviderError({
        provider: provider.name,
        operation: error.operation,
        reason: error._tag === "Unknown" && error.status === 429 ? "rate-limited" : "unreachable",
        status: error._tag === "Unknown" ? error.status : null,
        retryAfterMillis: error._tag === "Unknown" ? error.retryAfterMillis : null,
        detail: error.detail
      })

    /** Tells of a try that failed and will be made again. */
    const tellRetry = (shard: Shard) => (error: { readonly _tag: string; readonly message: string }) =>
      error._tag === "NotSent" || error._tag === "Unknown"
        ? Effect.map(
          Progress,
          ({ tell }) => tell({ _tag: "SubmitWaiting", shard, waitMillis: 0, detail: error.message })
        )
        : Effect.void

    /** An upload costs nothing, so it may be repeated whatever became of it. */
    const upload = Effect.fn(function*(shard: Shard, bytes: ShardBytes) {
      const input = yield* provider.upload(shard, bytes).pipe(
        Effect.tapError(tellRetry(shard)),
        Effect.retry({ while: (error) => error._tag === "NotSent" || error._tag === "Unknown", schedule: backoff }),
        Effect.catchTags({
          NotSent: (error) => Effect.fail(unreachable(error)),
          Unknown: (error) => Effect.fail(unreachable(error)),
          Refused: (error) => Effect.fail(refused(shard, error))
        })
      )
      return input
    })

    const known = (shard: Shard, snapshot: BatchSnapshot, adopted: boolean) =>
      Effect.gen(function*() {
        // Between the provider's answer and the journal nothing may come: this is the id of something paid for.
        yield* ledger.append(shard.directory, { _tag: "BatchCreated", shard: shard.id, snapshot, adopted }).pipe(
          Effect.mapError((error) =>
            new BatchUnrecorded({
              directory: shard.directory,
              shard: shard.id,
              provider: provider.name,
              batchId: snapshot.id,
              detail: error.message
            })
          )
        )
        const batch = new Batch({ shard, snapshot })
        const { tell } = yield* Progress
        tell({ _tag: "BatchCreated", batch, adopted })
        return batch
      })

    /** Waits, saying so. */
    const wait = Effect.fn(function*(shard: Shard, duration: Duration.Duration, detail: string) {
      if (Duration.lessThanOrEqualTo(duration, Duration.zero)) return
      const { tell } = yield* Progress
      tell({ _tag: "SubmitWaiting", shard, waitMillis: Duration.toMillis(duration), detail })
      yield* Effect.sleep(duration)
    })

    /** The batches that are known to be those of other shards, as of now. */
    const othersThan = (shard: Shard) =>
      Effect.map(stateOf(shard), ({ shards }) => LostBatch.knownOthers(shards, shard))

    /**
     * Looks for the batch of a create without a clear answer. `None` only when there certainly is none: the list was
     * read under the same account, when the settle time had passed since the call ended. A call of an earlier process
     * counts as ended just now: the times in the journal are those of a clock that may have been set since.
     */
    const reconcile = Effect.fn("Submit.reconcile")(function*(
      shard: Shard,
      account: Account,
      detail: string,
      endedAt: number
    ) {
      const { state } = yield* stateOf(shard)
      if (state.intent === null) return Option.none<BatchSnapshot>()
      const unknown = (candidates: ReadonlyArray<string>, why: string) =>
        new SubmitUnknown({
          directory: shard.directory,
          shard: shard.id,
          provider: provider.name,
          candidates,
          detail: why
        })
      if (!Equal.equals(state.intent.account, account)) {
        return yield* unknown([], "it was submitted under another account, whose batches this one cannot see")
      }
      const rows = yield* LostBatch.rowsOf(shard)
      const look = Effect.flatMap(
        othersThan(shard),
        (others) => provider.find(submitTag(shard), LostBatch.notBefore(state), others, (row) => rows.has(row))
      ).pipe(
        retryTransient(tries),
        // Without a list nobody can tell; only a key that is not taken may be put right.
        Effect.mapError((error) =>
          error._tag === "ProviderError"
            && (error.reason === "gone" || error.reason === "refused" || error.reason === "unexpected")
            ? unknown([], `${detail}, and the provider's batches cannot be looked through: ${error.detail}`)
            : error
        )
      )

      const settled = Effect.gen(function*() {
        const passed = Duration.millis(Math.max(0, (yield* elapsing) - endedAt))
        yield* wait(shard, Duration.subtract(settleTime, passed), detail)
        return yield* look
      })

      const deadline = (yield* elapsing) + Duration.toMillis(longestDeferral)
      let known = ""
      for (;;) {
        const first = yield* look
        const finding = first._tag === "Absent" ? yield* settled : first
        // Another shard that was in doubt too may have taken it while the list was read.
        if (finding._tag === "Found" && !(yield* othersThan(shard)).has(finding.snapshot.id)) {
          return Option.some(finding.snapshot)
        }
        if (finding._tag === "Found") continue
        if (finding._tag === "Absent") return Option.none<BatchSnapshot>()
        const candidates = finding.candidates.map((candidate) => candidate.id)
        if (candidates.join() !== known) {
          known = candidates.join()
          yield* ledger.append(shard.directory, { _tag: "SubmitDeferred", shard: shard.id, candidates })
        }
        // Their results tell whose they are, when they have ended. The rest of the run goes on meanwhile.
        const isOver = finding.candidates.every((candidate) => candidate.ending !== null)
        if (isOver || (yield* elapsing) >= deadline) return yield* unknown(candidates, detail)
        const pause = Duration.min(deferral, Duration.max(settleTime, Duration.seconds(1)))
        yield* wait(shard, pause, `may be ${candidates.join(" or ")}: ${detail}`)
      }
    })

    /** Exactly one create call, and what is to be recorded of it. Nothing can come between the two. */
    const create = (shard: Shard, input: InputReference, bytes: ShardBytes) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          const call = Effect.zipRight(checkNotCancelled(shard), provider.create(shard, input, bytes))
          const answer = yield* Effect.either(restore(call))
          if (answer._tag === "Right") return yield* known(shard, answer.right, false)
          const error = answer.left
          if (error._tag === "DiskError") return yield* error
          yield* ledger.append(
            shard.directory,
            error._tag === "Unknown"
              ? { _tag: "CreateUnanswered", shard: shard.id, detail: error.message }
              : { _tag: "CreateFailed", shard: shard.id, refused: error._tag === "Refused", detail: error.message }
          )
          return yield* error
        })
      )

    const submit = Effect.fn("Submit.submit")(function*(shard: Shard) {
      const { state } = yield* stateOf(shard)
      if (state.snapshot !== null) return new Batch({ shard, snapshot: state.snapshot })
      yield* uploading.withPermits(1)(BuiltRows.check(shard))
      const account = yield* provider.account(shard.runTag)
      const bytes = yield* bytesOf(shard)

      if (state.status === "uploaded" || state.status === "unanswered") {
        const detail = "an earlier create call has no recorded answer"
        const found = yield* reconcile(shard, account, detail, yield* elapsing)
        if (Option.isSome(found)) return yield* known(shard, found.value, true)
      }
      const newest = yield* newestTime
      yield* ledger.append(shard.directory, {
        _tag: "SubmitIntended",
        shard: shard.id,
        account,
        ...(newest === undefined ? {} : { notBefore: newest })
      })
      const sameAccount = state.intent !== null && Equal.equals(state.intent.account, account)
      const uploaded = sameAccount ? state.input : null
      const fresh = uploading.withPermits(1)(Effect.zipRight(checkNotCancelled(shard), upload(shard, bytes)))
      const attempt = Effect.fn(
        function*(input: InputReference) {
          yield* ledger.append(shard.directory, { _tag: "InputUploaded", shard: shard.id, input })
          return yield* create(shard, input, bytes)
        },
        // The turn is waited for before that is written: from then on, whoever takes the run over believes in a create.
        uploading.withPermits(1),
        Effect.catchTag("Unknown", (error) =>
          Effect.gen(function*() {
            const found = yield* reconcile(shard, account, error.detail, yield* elapsing)
            if (Option.isSome(found)) return yield* known(shard, found.value, true)
            const { retryAfterMillis } = error
            if (retryAfterMillis !== null) {
              yield* wait(shard, Duration.min(Duration.millis(retryAfterMillis), Duration.minutes(10)), error.detail)
            }
            return yield* error
          }))
      )
      const send = (input: InputReference) =>
        attempt(input).pipe(
          Effect.tapError(tellRetry(shard)),
          Effect.retry({ while: (error) => error._tag === "NotSent" || error._tag === "Unknown", schedule: backoff })
        )
      const first = uploaded === null
        ? Effect.flatMap(fresh, send)
        // A file from an earlier try may be gone by now: what is refused with it is tried with a new one.
        : Effect.catchTag(send(uploaded), "Refused", () => Effect.flatMap(fresh, send))
      return yield* first.pipe(
        Effect.catchTags({
          NotSent: (error) => Effect.fail(unreachable(error)),
          Unknown: (error) => Effect.fail(unreachable(error)),
          Refused: (error) => Effect.fail(refused(shard, error))
        })
      )
    }, Effect.provideService(Disk.Disk, disk))

    return Submit.of({ check: (runTag) => Effect.asVoid(provider.account(runTag)), submit, settleTime })
  })

/**
 * The stage for the provider that is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<Submit, never, Provider | Ledger> =>
  Layer.effect(Submit, make(options))

/**
 * The stage with the patience that suits most.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Submit, never, Provider | Ledger> = layerWith({})
