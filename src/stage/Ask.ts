/**
 * The stage that takes the place of submit, poll and fetch where the rows of a shard are asked one by one, through the
 * provider's synchronous API.
 *
 * Each answer is on disk, in the form in which a batch would have brought it, before its row counts as answered; a run that
 * was killed does not ask again for what it has. How fast rows are asked is decided for all shards together: by the limits
 * that are set, by those that the provider's answers tell of, and by what it asks to wait.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { answered, ResultFile } from "../Batch.js"
import * as AnswerLog from "../internal/AnswerLog.js"
import * as BuiltRows from "../internal/BuiltRows.js"
import * as CancelMark from "../internal/CancelMark.js"
import * as Disk from "../internal/Disk.js"
import { LineReader } from "../internal/LineReader.js"
import * as OutputLimit from "../internal/OutputLimit.js"
import * as Pace from "../internal/Pace.js"
import { RowSet } from "../internal/RowSet.js"
import { type Completion, Provider, type SyncRow } from "../Provider.js"
import type { ProviderError } from "../ProviderError.js"
import { RawFile, RawResults } from "../RawResults.js"
import * as RunDirectory from "../RunDirectory.js"
import type { DiskError, ShardChanged } from "../RunError.js"
import { Progress } from "../RunEvent.js"
import type { Shard } from "../Shard.js"
import * as WireId from "../WireId.js"

/**
 * What can go wrong when rows are asked one by one. Whatever it is, the answers that came are on disk, and asking again
 * goes on from there.
 *
 * @since 0.1.0
 * @category errors
 */
export type AskError = ProviderError | ShardChanged | DiskError

/**
 * The interface of the stage.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Asks for every row of the shard that has no answer yet, and gives the answers of all. Safe to call again after any
   * failure or crash. Nothing more is asked once the run is marked as cancelled. A row whose answers keep being lost,
   * although there are answers to others, is given up for good: it may have been charged, and the results are short by it.
   */
  readonly ask: (shard: Shard) => Effect.Effect<RawResults, AskError>
}

/**
 * The stage that asks for rows one by one.
 *
 * @since 0.1.0
 * @category tags
 */
export class Ask extends Context.Tag("llm-batch/stage/Ask")<Ask, Service>() {}

/**
 * How fast, and how patiently, rows are asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Requests under way at a time, over all shards; 16 by default. */
  readonly concurrency?: number | undefined
  /** The most requests of any minute; by default as many as the provider allows. */
  readonly requestsPerMinute?: number | undefined
  /**
   * The most tokens of any minute, both ways; by default as many as the provider allows. It is kept where rows limit their
   * answers; rows that do not are reckoned with the mean of the answers so far.
   */
  readonly tokensPerMinute?: number | undefined
  /**
   * How many times in all a row is asked that does not reach the provider, or that the provider is too busy for; then the
   * provider's error is its outcome. 8 by default, which is a wait of about two minutes.
   */
  readonly tries?: number | undefined
  /**
   * How many times in all a row is asked whose answer is lost on the way, each of which may be charged; 5 by default. Then
   * it is given up, by later processes too, and only another attempt asks for it again; where no row has had an answer yet,
   * the run fails instead, and the row has as many tries once more.
   */
  readonly lostTries?: number | undefined
}

/** The pause after the first failure; each further one is twice as long. */
const firstPause = Duration.seconds(1)

/** The longest of these pauses, unless the provider asks for more. */
const longestPause = Duration.minutes(1)

/** How often is looked, while rows are waited for, whether the run was cancelled. */
const cancelLooks = Duration.seconds(2)

/** Events of rows are told at most this often. */
const tellEvery = Duration.toMillis("1 second")

/** A line longer than this fits into no provider's batch. */
const longestRow = 256_000_000

/**
 * Notes on the rows of a shard whose answers were lost, beside its answers, and hidden, since they are no results: `lost`,
 * which are given up; `doubted`, for which the run failed once because nobody had an answer.
 */
const noteFile = (shard: Shard, note: Note): string => `.${shard.id}.${note}`

type Note = "lost" | "doubted"

/** A row that is asked, and what came of it so far. */
interface Asked {
  readonly row: number
  readonly sync: SyncRow
  readonly size: Pace.Size
  /** Answers that said to ask again. */
  busy: number
  /** Answers that were lost, each of which may be charged. */
  lost: number
  /** Times in succession that it did not reach the provider. */
  unsent: number
  /** The answers to any row when it last did not. */
  answersBefore: number
}

/** How long a row rests before it is asked again, and why. */
interface Rest {
  readonly millis: number
  readonly why: string
}

/** Why no further row is asked: the run was cancelled, or something failed for all of them. */
type Stop = Option.Option<ProviderError>

const make = (options: Options) =>
  Effect.gen(function*() {
    const disk = yield* Disk.Disk
    const provider = yield* Provider
    const concurrency = Math.max(1, options.concurrency ?? 16)
    const tries = Math.max(1, options.tries ?? 8)
    const lostTries = Math.max(1, options.lostTries ?? 5)
    const permits = yield* Effect.makeSemaphore(concurrency)
    const pace = yield* Pace.make({
      requestsPerMinute: options.requestsPerMinute ?? null,
      tokensPerMinute: options.tokensPerMinute ?? null
    })
    /** Answers of any kind, over all shards. */
    let answers = 0
    /** Rows given up since the last of them. */
    let givenUpSince = 0
    /** So many in succession say that it is not the rows: nothing comes any more. */
    const givenUpAtMost = Math.max(8, 2 * concurrency)
    const noting = yield* Effect.makeSemaphore(1)

    /** Notes something of a row, durably. Rare enough to open the file each time. */
    const takeNote = (shard: Shard, note: Note, { row, sync }: Asked) =>
      AnswerLog.open(shard, noteFile(shard, note)).pipe(
        Effect.flatMap(({ append }) => append(row, `{"custom_id":${JSON.stringify(sync.wireId)}}`)),
        Effect.scoped,
        noting.withPermits(1)
      )

    /** The rows that were noted before this process. */
    const noted = Effect.fnUntraced(function*(shard: Shard, note: Note) {
      const path = RunDirectory.raw(shard, noteFile(shard, note))
      const isThere = yield* Disk.attempt("look for", path, () => disk.stat(path) !== undefined)
      if (!isThere) return new RowSet(shard.firstRow, shard.lastRow)
      return (yield* Effect.scoped(AnswerLog.open(shard, noteFile(shard, note)))).rows
    })

    /** A failure's pause: longer each time, never the same for all, and no shorter than the provider asks for. */
    const pauseOf = (failures: number, askedMillis: number) =>
      Effect.map(Random.nextRange(0.8, 1.2), (jitter) => {
        const pause = Duration.min(Duration.times(firstPause, 2 ** (failures - 1)), longestPause)
        return Math.max(Duration.toMillis(pause) * jitter, Math.min(askedMillis, Pace.longestWait))
      })

    const restOf = (failures: number, error: ProviderError): Effect.Effect<Rest> =>
      Effect.map(pauseOf(failures, error.retryAfterMillis ?? 0), (millis) => {
        const what = error.mayBeCharged === true ? "an answer was lost" : "the provider cannot be reached"
        return { millis, why: `${what} (${error.detail}); trying again` }
      })

    /** The rows of a shard without an answer, one at a time. */
    const rowsToAsk = Effect.fnUntraced(function*(shard: Shard, log: AnswerLog.AnswerLog) {
      const lost = yield* noted(shard, "lost")
      const path = RunDirectory.batchInput(shard)
      const lines = yield* Effect.acquireRelease(
        Disk.attempt("read", path, () => new LineReader(disk, path, longestRow, () => undefined)),
        (reader) => Effect.sync(() => reader.close())
      )
      const next = Disk.attempt("read", path, (): Asked | undefined => {
        for (let line = lines.read(); line !== undefined; line = lines.read()) {
          const row = WireId.rowInLine(shard.runTag, line)
          if (row === undefined || log.rows.has(row) || lost.has(row)) continue
          const { betas, endpoint, runTag } = shard
          const sync = { wireId: WireId.make(runTag, row), text: line.toString("utf8"), endpoint, betas }
          const size = { characters: sync.text.length, mostAnswered: OutputLimit.ofRow(sync) }
          return { row, sync, size, busy: 0, lost: 0, unsent: 0, answersBefore: answers }
        }
        return undefined
      })
      return { next }
    })

    const ask = Effect.fn("Ask.ask")(
      function*(shard: Shard) {
        const { tell } = yield* Progress
        yield* BuiltRows.check(shard)
        const name = `${shard.id}.jsonl`
        const log = yield* AnswerLog.open(shard, name)
        const { next } = yield* rowsToAsk(shard, log)
        const doubted = yield* noted(shard, "doubted")
        const stop = yield* Deferred.make<Stop>()
        let mayBeBilledTwice = 0
        let toldAt = -Infinity

        const isCancelled = CancelMark.isSet(shard.directory)
        const cancel = Deferred.succeed(stop, Option.none())
        const isStopped = Deferred.isDone(stop)
        const fail = (error: ProviderError) => Deferred.succeed(stop, Option.some(error))
        yield* Effect.forkScoped(
          Effect.ignore(Effect.repeat(Effect.flatMap(isCancelled, (set) => set ? cancel : Effect.void), {
            schedule: Schedule.spaced(cancelLooks)
          }))
        )
        /** Goes on with an effect that takes its time, unless no further row is asked meanwhile. */
        const unlessStopped = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<Option.Option<A>, E> =>
          Effect.raceFirst(Effect.asSome(effect), Effect.as(Deferred.await(stop), Option.none()))

        const tellNow = Effect.sync(() =>
          tell({ _tag: "RowsAnswered", shard, answered: log.rows.size, rows: shard.rows, mayBeBilledTwice })
        )
        const tellRows = Effect.flatMap(Clock.currentTimeMillis, (now) => {
          if (now < toldAt + tellEvery && log.rows.size < shard.rows) return Effect.void
          toldAt = now
          return tellNow
        })

        const keep = (row: number, { line }: Completion) => Effect.zipRight(log.append(row, line), tellRows)

        /**
         * Its answer was lost, and may be charged: it is not asked for ever. Where there are other answers, it is the row;
         * where there are none, that fails the run once.
         */
        const afterLoss = Effect.fnUntraced(function*(asked: Asked, error: ProviderError) {
          if (++asked.lost < lostTries) {
            mayBeBilledTwice++
            return yield* restOf(asked.lost, error)
          }
          const isAlone = answers === 0 && log.rows.size === 0 && !doubted.has(asked.row)
          yield* takeNote(shard, isAlone ? "doubted" : "lost", asked)
          if (isAlone || ++givenUpSince >= givenUpAtMost) yield* fail(error)
          return undefined
        })

        /** It did not reach the provider. Where nobody else did since the time before, there is no use in going on. */
        const afterNothing = Effect.fnUntraced(function*(asked: Asked, error: ProviderError) {
          const isAlone = answers === asked.answersBefore
          asked.answersBefore = answers
          if (++asked.unsent < tries) return yield* restOf(asked.unsent, error)
          if (isAlone) yield* fail(error)
          return undefined
        })

        /** Asks for a row once. Gives how long it rests before the next time, unless it has its outcome or none will come. */
        const askOnce = Effect.fnUntraced(function*(asked: Asked) {
          const turn = yield* unlessStopped(pace.turn(asked.size))
          if (Option.isNone(turn)) return undefined
          if (yield* isCancelled) return yield* Effect.as(cancel, undefined)
          if (yield* isStopped) return undefined
          // Once there is an answer, nothing comes between it and the disk.
          const result = yield* Effect.uninterruptibleMask((restore) =>
            Effect.gen(function*() {
              const result = yield* Effect.either(restore(provider.complete(asked.sync)))
              if (result._tag === "Left") {
                yield* pace.learn(turn.value, undefined)
                return result
              }
              answers++
              givenUpSince = 0
              yield* pace.learn(turn.value, result.right)
              if (result.right.again === null || asked.busy + 1 >= tries) yield* keep(asked.row, result.right)
              return result
            })
          )
          if (result._tag === "Right") {
            const { again } = result.right
            if (again === null || ++asked.busy >= tries) return undefined
            asked.unsent = 0
            const millis = yield* pauseOf(asked.busy, again.afterMillis ?? 0)
            const why = again.afterMillis === null ? "the provider is busy or has trouble" : Pace.askedToWait
            return { millis, why }
          }
          const error = result.left
          if (error.reason !== "unreachable" && error.reason !== "rate-limited") {
            return yield* Effect.as(fail(error), undefined)
          }
          return yield* error.mayBeCharged === true ? afterLoss(asked, error) : afterNothing(asked, error)
        })

        /** Takes row after row. Nobody holds one without a place among those under way, unless it rests. */
        const work: Effect.Effect<void, AskError> = Effect.gen(function*() {
          for (;;) {
            const first = yield* permits.withPermits(1)(Effect.gen(function*() {
              if (yield* isStopped) return undefined
              const asked = yield* next
              return asked === undefined ? undefined : { asked, rest: yield* askOnce(asked) }
            }))
            if (first === undefined) return
            let { rest } = first
            while (rest !== undefined) {
              yield* unlessStopped(pace.rest(rest.millis, rest.why))
              rest = yield* permits.withPermits(1)(askOnce(first.asked))
            }
          }
        })

        if (log.rows.size > 0) yield* tellRows
        if (log.rows.size < shard.rows) {
          yield* Effect.forEach(Array.from({ length: Math.min(concurrency, shard.rows) }), () => work, {
            concurrency: "unbounded",
            discard: true
          })
        }
        const stopped = yield* Deferred.poll(stop)
        const reason = Option.isNone(stopped) ? Option.none<ProviderError>() : yield* stopped.value
        if (Option.isSome(reason)) return yield* reason.value
        const unanswered = shard.rows - log.rows.size
        if (unanswered > 0) yield* tellNow
        const cancelled = Option.isSome(stopped) ? unanswered : 0
        const batch = answered(shard, yield* DateTime.now, cancelled)
        const file = new RawFile({
          file: new ResultFile({ kind: "output", reference: `the answers to shard ${shard.id}` }),
          name,
          packing: "plain",
          ...(yield* log.describe)
        })
        return new RawResults({ batch, files: [file], rows: log.rows.size, shortBy: unanswered - cancelled })
      },
      Effect.scoped,
      Effect.provideService(Disk.Disk, disk)
    )

    return Ask.of({ ask })
  })

/**
 * The stage for the provider that is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<Ask, never, Provider> => Layer.effect(Ask, make(options))

/**
 * The stage with the haste that suits most.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Ask, never, Provider> = layerWith({})
