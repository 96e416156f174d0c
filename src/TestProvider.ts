/**
 * A provider made of a script, for tests: it answers rows, lets them fail, lets whole batches expire, loses the answers
 * of calls, and keeps books of all that was asked of it. It is pure and in memory, and its time is `Clock`: under
 * `TestClock` a batch of 24 hours is a test of milliseconds.
 *
 * - `layerPipeline`: a whole pipeline over a script, with a disk in memory. What most tests want.
 * - `layer`: the provider alone, `layerDisk`: the disk alone, for pipelines that a test composes itself.
 * - `make`: the provider as a value, for tests in which it outlives a pipeline.
 * - `readResults`: the results of a run, read back.
 *
 * @example
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import * as Effect from "effect/Effect"
 * import * as Fiber from "effect/Fiber"
 * import * as TestClock from "effect/TestClock"
 * import { Pipeline } from "llm-batch/Pipeline"
 * import { RequestDefaults } from "llm-batch/Request"
 * import * as Source from "llm-batch/Source"
 * import * as TestProvider from "llm-batch/TestProvider"
 *
 * it.effect("keeps what was answered before the batch expired", () =>
 *   Effect.gen(function*() {
 *     const pipeline = yield* Pipeline
 *     const questions = Source.fromRows([{ id: "quick", prompt: "2 + 2" }, { id: "slow", prompt: "P = NP?" }])
 *     const defaults = new RequestDefaults({ model: "any" })
 *     const running = yield* Effect.fork(pipeline.run(questions, { defaults }))
 *     yield* TestClock.adjust("25 hours")
 *     const report = yield* Fiber.join(running)
 *     const results = yield* TestProvider.readResults(report)
 *     assert.deepStrictEqual(results.map(({ customId, outcome }) => [customId, outcome]), [
 *       ["quick", "succeeded"],
 *       ["slow", "expired"]
 *     ])
 *   }).pipe(Effect.provide(TestProvider.layerPipeline({
 *     answeredAfter: ({ prompt }) => prompt === "2 + 2" ? "1 hour" : "3 days"
 *   }))))
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type { BatchProblem, BatchSnapshot, BatchStatus, Ending } from "./Batch.js"
import * as Cost from "./Cost.js"
import * as Disk from "./internal/Disk.js"
import * as MemoryDisk from "./internal/MemoryDisk.js"
import { RunLock } from "./internal/RunLock.js"
import * as TestService from "./internal/TestService.js"
import * as TestWire from "./internal/TestWire.js"
import * as Model from "./Model.js"
import type { OutcomeName } from "./Outcome.js"
import * as Pipeline from "./Pipeline.js"
import * as Provider from "./Provider.js"
import type { ProviderErrorReason } from "./ProviderError.js"
import type { JsonObject } from "./Request.js"
import { type DiskError, RunLocked } from "./RunError.js"
import * as Poll from "./stage/Poll.js"

/**
 * A row as the script sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface TestRow {
  /** The row's position in the input, from 1. */
  readonly row: number
  /** The text of the last message. */
  readonly prompt: string
  /** The body of the request as it was sent. */
  readonly body: JsonObject
}

/**
 * What becomes of a row that its turn came for:
 * - `succeeded`, or `refused` and `truncated`, which are answers too;
 * - `errored`, `expired`, `cancelled`: a line that says so;
 * - `missing`: counted as answered, and no line speaks of it;
 * - `malformed`: a line that cannot be read;
 * - `duplicate`: the same line twice; `conflicting`: two lines with different answers.
 *
 * @since 0.1.0
 * @category models
 */
export type RowOutcome =
  | "succeeded"
  | "refused"
  | "truncated"
  | "errored"
  | "expired"
  | "cancelled"
  | "missing"
  | "malformed"
  | "duplicate"
  | "conflicting"

/**
 * What a batch says of itself from some time after it was made.
 *
 * @since 0.1.0
 * @category models
 */
export interface Moment {
  readonly after: Duration.DurationInput
  /** `ended` ends the batch, whichever rows were answered by then; any other status may come in any order. */
  readonly status: BatchStatus
  /** How it ends, where the status is `ended`: `completed` by default, which answers every row. */
  readonly ending?: Ending | undefined
  /** What the provider finds wrong with the batch as a whole, where the ending is `failed`. */
  readonly problems?: ReadonlyArray<BatchProblem> | undefined
}

/**
 * What goes wrong with one call.
 *
 * - `None`: nothing; it lets a call pass, so that a later one can fail.
 * - `NotSent`: an upload or a create whose connection is refused.
 * - `Refused`: an upload or a create that is refused with this HTTP status.
 * - `LostAnswer`: an upload or a create that happens, and whose answer is lost.
 * - `Unanswered`: an upload or a create that does not happen, and gets no clear answer either.
 * - `Hanging`: an upload or a create that happens, and never returns: interrupt it, and a process was killed there.
 * - `Failing`: any other call that fails with this reason.
 *
 * - `Cut`: a download that ends after so many bytes as if that were all.
 *
 * For a `complete`, an answer is lost on the way with `LostAnswer`, and with `Unanswered` where that has no status; with a
 * status, the provider answers with an error that may pass.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault = Data.TaggedEnum<{
  None: {}
  NotSent: {}
  Refused: { readonly status: number }
  LostAnswer: { readonly status: number | null }
  Unanswered: { readonly status: number | null; readonly retryAfter?: Duration.DurationInput | undefined }
  Hanging: {}
  Failing: { readonly reason: ProviderErrorReason; readonly retryAfter?: Duration.DurationInput | undefined }
  Cut: { readonly bytes: number }
}>

/**
 * Constructors and matchers of `Fault`.
 *
 * @example
 * ```ts
 * import { Fault, type Script } from "llm-batch/TestProvider"
 *
 * const script: Script = {
 *   faults: {
 *     create: [Fault.LostAnswer({ status: null })],
 *     retrieve: [Fault.None(), Fault.Failing({ reason: "rate-limited", retryAfter: "30 seconds" })],
 *     download: [Fault.Cut({ bytes: 20 })]
 *   }
 * }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const Fault = Data.taggedEnum<Fault>()

type FaultOf<Tag extends Fault["_tag"]> = Data.TaggedEnum.Value<Fault, Tag>

/**
 * What goes wrong with an upload or a create.
 *
 * @since 0.1.0
 * @category models
 */
export type SubmitFault = FaultOf<"None" | "NotSent" | "Refused" | "LostAnswer" | "Unanswered" | "Hanging">

/**
 * What goes wrong with a call that only reads, cancels or deletes.
 *
 * @since 0.1.0
 * @category models
 */
export type CallFault = FaultOf<"None" | "Failing">

/**
 * What goes wrong with asking for one row.
 *
 * @since 0.1.0
 * @category models
 */
export type CompleteFault = FaultOf<"None" | "NotSent" | "LostAnswer" | "Unanswered" | "Hanging" | "Failing">

/**
 * What goes wrong with calls: the first fault of a list strikes the first such call, the second one the second. Calls
 * beyond the list go well.
 *
 * @since 0.1.0
 * @category models
 */
export interface Faults {
  readonly upload?: ReadonlyArray<SubmitFault> | undefined
  readonly create?: ReadonlyArray<SubmitFault> | undefined
  readonly find?: ReadonlyArray<CallFault> | undefined
  readonly retrieve?: ReadonlyArray<CallFault> | undefined
  readonly list?: ReadonlyArray<CallFault> | undefined
  readonly cancel?: ReadonlyArray<CallFault> | undefined
  readonly delete?: ReadonlyArray<CallFault> | undefined
  readonly download?: ReadonlyArray<CallFault | FaultOf<"Cut">> | undefined
  readonly complete?: ReadonlyArray<CompleteFault> | undefined
}

/**
 * How the provider behaves. Everything has a default; an empty script answers every row after ten minutes.
 *
 * A batch ends when its last row is answered, unless its time is over before: then the rows that were not answered by
 * then are `expired`, or `cancelled` where somebody asked for that.
 *
 * @since 0.1.0
 * @category models
 */
export interface Script {
  /** The text of a row's answer; by default it repeats the prompt. */
  readonly answer?: ((row: TestRow) => string) | undefined
  /**
   * What becomes of a row that its turn came for; `succeeded` by default. Asked for by itself, a row succeeds where its
   * outcome is one that only a batch can have: it expires, is cancelled, or its line is missing or doubled.
   */
  readonly outcome?: ((row: TestRow) => RowOutcome) | undefined
  /** How long after its batch was made a row is answered; ten minutes by default. */
  readonly answeredAfter?: ((row: TestRow) => Duration.DurationInput) | undefined
  /** How long a row takes that is asked for by itself; a second by default. */
  readonly completedAfter?: ((row: TestRow) => Duration.DurationInput) | undefined
  /**
   * What a batch says of itself, and when. By default it is `validating`, `in_progress` after a minute, and ends with
   * its last row.
   */
  readonly timeline?: ReadonlyArray<Moment> | undefined
  /** How long after it was made a batch expires; 24 hours by default. */
  readonly expiresAfter?: Duration.DurationInput | undefined
  /** How long it takes to cancel a batch; a minute by default. */
  readonly cancelTakes?: Duration.DurationInput | undefined
  /** How long after it was made a batch shows up when batches are listed or looked for; at once by default. */
  readonly listedAfter?: Duration.DurationInput | undefined
  /**
   * How many tokens of a model may be enqueued, in batches that have not ended; no limit by default. A batch without room
   * ends a minute after it was made as `failed`, with the problem `token_limit_exceeded`.
   */
  readonly enqueuedTokens?: number | undefined
  /** How many tokens a row is in that queue; by default the words of its prompt. */
  readonly tokensOf?: ((row: TestRow) => number) | undefined
  /** How many batches may be made within an hour; no limit by default. A create too many gets HTTP 429, and makes none. */
  readonly createsPerHour?: number | undefined
  readonly faults?: Faults | undefined
  /** 50,000 rows, 200 MB, several models a batch and pages of 100 by default. */
  readonly limits?: Partial<Provider.Limits> | undefined
  /** `test` by default. */
  readonly name?: string | undefined
  /** Who pays. `null` is nobody: there is no key, and calls fail with reason `auth`. */
  readonly account?: string | null | undefined
}

/**
 * One call that was made.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly operation: keyof Faults
  /** What it was about: the id of a shard, a batch or a file, a cursor, or the number of a row. */
  readonly target: string
  /** When, in milliseconds since the epoch. */
  readonly at: number
}

/**
 * One batch that was made.
 *
 * @since 0.1.0
 * @category models
 */
export interface MadeBatch {
  /** The id of the shard that it was made of. */
  readonly shard: string
  readonly rows: ReadonlyArray<TestRow>
  /** Where it stands now. */
  readonly snapshot: BatchSnapshot
  /** Rows answered up to now: what is paid for. */
  readonly rowsBilled: number
  /** The tokens by which it filled the queue of each model until it ended; none where it was declined. */
  readonly tokens: ReadonlyMap<string, number>
}

/**
 * The provider and its books.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly provider: Provider.Service
  /** Every batch that was made, in order. */
  readonly batches: Effect.Effect<ReadonlyArray<MadeBatch>>
  /** Every call that was made, in order. */
  readonly calls: Effect.Effect<ReadonlyArray<Call>>
  /** Rows answered up to now, in batches and by themselves: what is paid for. */
  readonly rowsBilled: Effect.Effect<number>
  /** The most tokens of each model that were enqueued at a time. */
  readonly peakTokens: Effect.Effect<ReadonlyMap<string, number>>
}

/**
 * The scripted provider with its books.
 *
 * @since 0.1.0
 * @category tags
 */
export class TestProvider extends Context.Tag("llm-batch/TestProvider")<TestProvider, Service>() {}

/**
 * Makes a provider of a script. Its batches live as long as the value.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (script?: Script) => Effect.Effect<Service> = TestService.make

/**
 * The provider of a script, and its books. Its answers are of unknown price: no list of prices is loaded, which would
 * take real time, unless the `Cost.PriceSource` of a test is provided before it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (script: Script = {}): Layer.Layer<Provider.Provider | TestProvider> =>
  Layer.effectContext(
    Effect.map(make(script), (made) =>
      Context.make(TestProvider, TestProvider.of(made)).pipe(
        Context.add(Provider.Provider, made.provider),
        Context.add(Cost.PriceSource, { load: Effect.succeed(Model.builtIn) })
      ))
  )

/** Locks among those who share a disk in memory. */
const layerLock = Layer.sync(RunLock, () => {
  const held = new Set<number>()
  return {
    acquire: (directory, { inode }) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.suspend(() => {
          if (held.has(inode)) return Effect.fail(new RunLocked({ directory }))
          held.add(inode)
          return Effect.void
        }),
        () => Effect.sync(() => held.delete(inode))
      ))
  }
})

/**
 * A disk in memory for whatever is built over this layer: run directories are no files, and are gone with the test.
 * Without it a run lives on the machine's own disk.
 *
 * @example
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as Pipeline from "llm-batch/Pipeline"
 * import * as Poll from "llm-batch/stage/Poll"
 * import * as TestProvider from "llm-batch/TestProvider"
 *
 * const impatient = Pipeline.layerComposed.pipe(
 *   Layer.provide(Poll.layerWith({ maxWait: "1 hour" })),
 *   Layer.provide(Pipeline.layerStages),
 *   Layer.provideMerge(TestProvider.layer({ answeredAfter: () => "2 hours" })),
 *   Layer.provideMerge(TestProvider.layerDisk)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDisk: Layer.Layer<never> = Layer.merge(MemoryDisk.layer, layerLock)

/**
 * A pipeline with the usual stages over a script, with a disk in memory. It looks at its batches once an hour, so that
 * a `TestClock` has few steps to a day; where the pauses matter, compose it of `layer` and `layerDisk`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPipeline = (script: Script = {}): Layer.Layer<Pipeline.Pipeline | Provider.Provider | TestProvider> =>
  Pipeline.layerComposed.pipe(
    Layer.provide(Poll.layerWith({ schedule: Schedule.spaced("1 hour") })),
    Layer.provide(Pipeline.layerStages),
    Layer.provideMerge(layer(script)),
    Layer.provideMerge(layerDisk)
  )

/**
 * One line of `results.jsonl`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Result {
  readonly customId: string
  readonly outcome: OutcomeName
  /** The text of the answer; `null` where there is none. */
  readonly text: string | null
  /** The whole line. */
  readonly line: JsonObject
}

/**
 * The results of a finished run, in input order.
 *
 * @since 0.1.0
 * @category destructors
 */
export const readResults = (
  report: Pick<Pipeline.RunReport, "results">
): Effect.Effect<ReadonlyArray<Result>, DiskError> => Effect.map(Disk.readText(report.results), TestWire.readResults)
