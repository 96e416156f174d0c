/**
 * The five stages composed: rows in, every answer back in one file, whatever happens in between.
 *
 * `run` begins a run, `resume` goes on with one from whatever its ledger knows; both can stop after any step. Batches
 * that expired or were cancelled are salvaged: what was answered is fetched and kept.
 *
 * @example
 * ```ts
 * import { NodeRuntime } from "@effect/platform-node"
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { Pipeline, layer } from "llm-batch/Pipeline"
 * import * as OpenAi from "llm-batch/provider/OpenAi"
 * import { RequestDefaults } from "llm-batch/Request"
 * import * as Source from "llm-batch/Source"
 *
 * const program = Effect.gen(function*() {
 *   const pipeline = yield* Pipeline
 *   const report = yield* pipeline.run(Source.file("prompts.jsonl"), {
 *     defaults: new RequestDefaults({ model: "gpt-5-mini" })
 *   })
 *   yield* Console.log(report.results, report.tally)
 * })
 *
 * program.pipe(Effect.provide(Layer.provide(layer, OpenAi.layerConfig())), NodeRuntime.runMain)
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Struct from "effect/Struct"
import * as NodePath from "node:path"
import * as AnswerCheck from "./AnswerCheck.js"
import * as AnswerSchema from "./AnswerSchema.js"
import { type BatchSnapshot, type EndedBatch, isAtProvider } from "./Batch.js"
import type { ResultsIncomplete } from "./BatchError.js"
import { BuildOptions } from "./BuildOptions.js"
import * as Cost from "./Cost.js"
import type { InputError } from "./InputError.js"
import * as CancelMark from "./internal/CancelMark.js"
import * as Disk from "./internal/Disk.js"
import type { RowSet } from "./internal/RowSet.js"
import * as Ledger from "./Ledger.js"
import * as Mode from "./Mode.js"
import * as Admission from "./pipeline/Admission.js"
import * as AskAgain from "./pipeline/AskAgain.js"
import * as Merge from "./pipeline/Merge.js"
import * as Reconcile from "./pipeline/Reconcile.js"
import * as Reuse from "./pipeline/Reuse.js"
import * as Rounds from "./pipeline/Rounds.js"
import * as RunAccount from "./pipeline/RunAccount.js"
import * as RunStart from "./pipeline/RunStart.js"
import * as ShardJourney from "./pipeline/ShardJourney.js"
import { Provider } from "./Provider.js"
import { type ProviderError, retryTransient } from "./ProviderError.js"
import type { RawResults } from "./RawResults.js"
import * as RunConfig from "./RunConfig.js"
import * as RunDirectory from "./RunDirectory.js"
import {
  BudgetReached,
  type DiskError,
  type LedgerCorrupt,
  type RunLocked,
  RunRejected,
  type ShardChanged
} from "./RunError.js"
import { Progress } from "./RunEvent.js"
import {
  AskAgainReason,
  type Finish,
  InputDescription,
  type JobDescription,
  missingOfSent,
  RunDescription,
  type RunState,
  type ShardState
} from "./RunState.js"
import { reusedRows, Shard } from "./Shard.js"
import type { Source } from "./Source.js"
import * as Ask from "./stage/Ask.js"
import * as Build from "./stage/Build.js"
import * as Fetch from "./stage/Fetch.js"
import * as Normalize from "./stage/Normalize.js"
import * as Poll from "./stage/Poll.js"
import * as Submit from "./stage/Submit.js"
import * as Step from "./Step.js"
import type * as Tally from "./Tally.js"
import * as WireId from "./WireId.js"

/**
 * What can end a run before its end. Batches that ended badly are not among it: what they answered is salvaged, and
 * their other rows are in `failures.jsonl`.
 *
 * @since 0.1.0
 * @category errors
 */
export type PipelineError =
  | InputError
  | RunRejected
  | RunLocked
  | LedgerCorrupt
  | DiskError
  | BudgetReached
  | ProviderError
  | Submit.SubmitError
  | Ask.AskError
  | Exclude<Poll.PollError, { readonly batch: EndedBatch }>
  | Exclude<Fetch.FetchError, ResultsIncomplete>
  | Normalize.NormalizeError

/**
 * How far to go, and with how many batches at a time.
 *
 * @since 0.1.0
 * @category models
 */
export interface AdvanceOptions {
  /** The steps to take; all of them by default. */
  readonly steps?: Step.Steps | undefined
  /** How many batches may be with the provider at a time; no limit by default. What is over it waits. */
  readonly maxConcurrentJobs?: number | undefined
  /**
   * How many prompt tokens of a model may be in batches that have not ended, as OpenAI limits it by account; no limit by
   * default, until the provider declines a batch and tells its own. Shards are cut to fill it.
   */
  readonly maxEnqueuedTokens?: number | undefined
  /** How many rows may be in batches that have not ended, as Anthropic limits it by account; no limit by default. */
  readonly maxQueuedRequests?: number | undefined
  /** How many batches may be made within an hour; the provider's own limit by default. */
  readonly maxBatchesPerHour?: number | undefined
  /**
   * US dollars that the run may cost; as the run says, by default. What is expected to pass it is not sent: the run stops
   * with `BudgetReached`, and goes on with a larger budget. What is not known beforehand, the length of answers without
   * `maxTokens`, can still pass it.
   */
  readonly maxCost?: number | undefined
  /** How many times rows that failed are asked again, where that can help; as the run says, by default. */
  readonly retries?: number | undefined
  /** How many times an answer that does not fit is sent back to be put right; as the run says, by default. */
  readonly repair?: number | undefined
  /** Rows that no batch answers in time are asked through the synchronous API; as the run says, by default. */
  readonly finish?: Finish | undefined
  /**
   * What answers have to satisfy, besides the schema of the run. It is not kept with the run: give it again to resume.
   * Answers that were checked before are not checked anew, unless by the step `normalize`.
   */
  readonly check?: AnswerCheck.AnswerCheck | undefined
  /** Stops when the rows that are tried first have their answers. */
  readonly onlyTry?: boolean | undefined
  /** The API key is another one than the run began with, and of the same account. */
  readonly acceptNewKey?: boolean | undefined
}

export {
  /**
   * What somebody decides of a shard of which it cannot be told whether a batch was made of it: the type, and its
   * constructors and matchers.
   *
   * @since 0.1.0
   * @category models
   */
  Decision
} from "./pipeline/Reconcile.js"

/**
 * What to run, and where.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunOptions extends AdvanceOptions, Partial<BuildOptions> {
  /** Through which API the rows are asked; the batch API by default. */
  readonly mode?: Mode.Mode | undefined
  /** Above how many rows `auto` takes the batch API; 100 by default. */
  readonly batchThreshold?: number | undefined
  /** The ready-made job that the run is. */
  readonly job?: JobDescription | undefined
  /** The run directory; `experiments/run_<id>` below the working directory by default. */
  readonly directory?: string | undefined
  /** Names the run; the time it began and its tag by default. */
  readonly runId?: string | undefined
}

/**
 * Where a run stands when the pipeline gives it back.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunReport {
  readonly state: RunState
  readonly directory: string
  /** How all rows ended; `null` while the run is not finished. */
  readonly tally: Tally.Tally | null
  /** The path of `results.jsonl`, which is there when the run is finished. */
  readonly results: string
  /** The path of `failures.jsonl`, which is there when the run is finished. */
  readonly failures: string
}

/**
 * The interface of the pipeline.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Begins a run. When nothing could be built, no run directory is left behind. In a directory that holds a run of the
   * same input and options, goes on with that one.
   */
  readonly run: (source: Source, options?: RunOptions) => Effect.Effect<RunReport, PipelineError>
  /** Goes on with a run from wherever it stands. A finished run is given back as it is. */
  readonly resume: (directory: string, options?: AdvanceOptions) => Effect.Effect<RunReport, PipelineError>
  /** Asks again for the rows of a finished run that a retry can help, as new shards, and merges what comes. */
  readonly retry: (directory: string, options?: AdvanceOptions) => Effect.Effect<RunReport, PipelineError>
  /**
   * Settles what `SubmitUnknown` could not. Nothing is sent by it: `resume` goes on then. A decision against what the
   * provider's own batches and results prove is refused; before one to send again is believed, the settle time of
   * `Submit` passes.
   */
  readonly reconcile: (
    directory: string,
    decision: Reconcile.Decision
  ) => Effect.Effect<RunState, RunRejected | RunLocked | LedgerCorrupt | ShardChanged | DiskError | ProviderError>
  /**
   * Asks the provider to stop every batch of a run that has not ended, and sees to it that no further one is made. Works
   * beside a process that runs it. `resume` then brings what was answered.
   */
  readonly cancel: (
    directory: string
  ) => Effect.Effect<ReadonlyArray<BatchSnapshot>, RunRejected | LedgerCorrupt | DiskError | ProviderError>
  /** Deletes what the provider still keeps of a run's ended batches, and says what that was. */
  readonly clean: (
    directory: string
  ) => Effect.Effect<ReadonlyArray<string>, RunRejected | RunLocked | LedgerCorrupt | DiskError | ProviderError>
}

/**
 * The five stages composed.
 *
 * @since 0.1.0
 * @category tags
 */
export class Pipeline extends Context.Tag("llm-batch/Pipeline")<Pipeline, Service>() {}

/** Calls at a time that concern whole batches. */
const callsAtATime = 4

/** How many times a call is made again whose failure may pass. */
const retries = 8

const report = (state: RunState): RunReport => ({
  state,
  directory: state.directory,
  tally: state.tally,
  results: RunDirectory.results(state.directory),
  failures: RunDirectory.failures(state.directory)
})

/** Whether the rows of a shard are sent to the provider. */
const isSent = ({ shard }: ShardState): boolean => shard.mode !== "reused"

/** How often the rows of a run were asked, at most. */
const attempts = (state: RunState): number =>
  Math.max(1, ...[...state.shards.values()].map(({ shard }) => shard.attempt))

/** Ways to stop by which nothing has failed, from the most telling: the budget is used up; the wait is over, while the batch runs on. */
const stops = ["BudgetReached", "PollTimeout"]

const isStop = ({ _tag }: { readonly _tag: string }): boolean => stops.includes(_tag)

/** Whether another process has the run now: then what is in its directory is that one's. */
const isTakenOver = (cause: Cause.Cause<PipelineError>): boolean =>
  Option.exists(Cause.failureOption(cause), (error) => error._tag === "RunLocked")

const make = Effect.gen(function*() {
  const disk = yield* Disk.Disk
  const ledger = yield* Ledger.Ledger
  const provider = yield* Provider
  const { build, rebuild } = yield* Build.Build
  const { check } = yield* Submit.Submit
  const advanceShard = yield* ShardJourney.make
  const reuse = yield* Reuse.make
  const checkAccount = yield* RunAccount.make
  const decide = yield* Reconcile.make

  /** Lays rows of a finished run into new shards. Gives the state as it was when there is nothing to ask after all. */
  const again = Effect.fn("Pipeline.again")(function*(
    state: RunState,
    { mode, reasons, rows, tally }: {
      readonly rows: number
      readonly tally: Tally.Tally
      readonly reasons: ReadonlyArray<AskAgainReason>
      readonly mode: Mode.SentMode
    }
  ) {
    const { tell } = yield* Progress
    const { directory, run } = state
    const selection = yield* AskAgain.select(directory, rows, tally, reasons)
    const attempt = attempts(state) + 1
    const before = [...state.shards.values()].map(({ shard }) => shard)
    const lay = (selected: RowSet, mode: Mode.SentMode, shards: ReadonlyArray<Shard>) =>
      selected.size === 0 ? Effect.succeed([]) : Effect.scoped(
        Effect.flatMap(AskAgain.reviser(directory, selection), (revise) =>
          rebuild(
            { shards, rows, selects: (row) => selected.has(row), revise, attempt, mode },
            new Build.RunLocation({ directory, runTag: run.runTag }),
            run.options
          ))
      )
    const again = yield* lay(selection.again, mode, before)
    const finished = yield* lay(selection.finished, "sync", [...before, ...again])
    const shards = [...again, ...finished]
    // Whoever cancelled in the meantime does not want the rows asked again.
    if (shards.length === 0 || (yield* CancelMark.isSet(directory))) return state
    yield* ledger.append(directory, { _tag: "RetryBuilt", attempt, reasons, shards })
    tell({
      _tag: "RetryBuilt",
      attempt,
      reasons,
      rows: shards.reduce((sum, shard) => sum + shard.rows, 0),
      mayBeBilledTwice: reasons.includes("retry") ? missingOfSent(state) : 0
    })
    return yield* ledger.state(directory)
  })

  /** What answers have to satisfy: the schema of the run, and what the caller says. */
  const checkOf = ({ run }: RunState, { check }: AdvanceOptions): AnswerCheck.AnswerCheck | undefined => {
    const { answerName, answerSchema } = run.options
    if (answerSchema === undefined) return check
    const schema = AnswerSchema.checkJson(answerSchema, answerName)
    return check === undefined ? schema : AnswerCheck.all([schema, check])
  }

  /** Takes shards as far as asked for. One that fails does not hold up the others. */
  const advanceAll = Effect.fn("Pipeline.advanceAll")(function*(
    shards: ReadonlyArray<ShardState>,
    options: ShardJourney.Options
  ) {
    const { tell } = yield* Progress
    const failures: Array<Exit.Failure<unknown, Effect.Effect.Error<ReturnType<typeof advanceShard>>>> = []
    const advanceOne = (state: ShardState): Effect.Effect<void> =>
      advanceShard(state, options).pipe(
        Effect.tapError((error) =>
          isStop(error)
            ? Effect.void
            : Effect.sync(() => tell({ _tag: "ShardFailed", shard: state.shard, detail: error.message }))
        ),
        Effect.exit,
        Effect.flatMap((exit) => {
          if (Exit.isSuccess(exit))
            return Effect.forEach(exit.value, advanceOne, { concurrency: "unbounded", discard: true })
          failures.push(exit)
          return Effect.void
        })
      )
    options.admission.expect(shards)
    yield* Effect.forEach(shards, advanceOne, { concurrency: "unbounded", discard: true })
    const severity = ({ cause }: (typeof failures)[number]) =>
      Option.match(Cause.failureOption(cause), { onNone: () => 0, onSome: (error) => stops.indexOf(error._tag) + 1 })
    const [worst] = failures.toSorted((one, other) => severity(one) - severity(other))
    if (worst !== undefined) return yield* Effect.failCause(worst.cause)
  })

  /** What the run may cost, in picodollars; `null` for no limit. */
  const budgetOf = ({ run }: RunState, { maxCost }: AdvanceOptions): bigint | null =>
    maxCost === undefined ? run.maxCost : Cost.fromDollars(maxCost)

  /** Brings all shards as far as asked for, then their parts together. */
  const settle = Effect.fn("Pipeline.settle")(function*(state: RunState, rows: number, options: AdvanceOptions) {
    const { tell } = yield* Progress
    const { directory } = state
    const steps = options.steps ?? Step.all
    const shards = [...state.shards.values()]
    const admission = yield* Effect.provideService(
      Admission.make(state, { ...options, maxCost: budgetOf(state, options) }),
      Provider,
      provider
    )
    if (Step.includes(steps, "submit")) {
      yield* admission.checkBudget(shards.filter((state) => isSent(state) && state.status === "built"))
    }
    const journey = {
      steps,
      deadline: Rounds.deadlineOf(state, options),
      check: checkOf(state, options),
      admission,
      reused: new Map<string, RawResults>(),
      cacheDirectory: state.run.options.cacheDirectory
    }
    const advanceInOrder = Effect.fnUntraced(function*(shards: ReadonlyArray<ShardState>) {
      yield* advanceAll(shards.filter(isSent), journey)
      // Rows that are not sent may get what those that are have got by now.
      const others = shards.filter((state) => !isSent(state))
      if (others.length === 0 || !Step.includes(steps, "fetch")) return yield* advanceAll(others, journey)
      const missing = others.filter(({ raw }) => raw === null || Step.isOnly(steps, "fetch"))
      const reused = yield* reuse(yield* ledger.state(directory), missing.map(({ shard }) => shard))
      yield* advanceAll(others, { ...journey, reused })
    })
    const tried = shards.filter(({ shard }) => Rounds.isTried(state, shard))
    yield* advanceInOrder(tried)
    if (options.onlyTry === true && tried.length > 0) return yield* ledger.state(directory)
    yield* advanceInOrder(shards.filter((shard) => !tried.includes(shard)))
    const after = yield* ledger.state(directory)
    const complete = [...after.shards.values()].every((shard) => shard.status === "normalized")
    if (!complete || !Step.includes(steps, "normalize")) return after
    const tally = yield* Merge.merge(after, rows)
    yield* ledger.append(directory, { _tag: "RunFinished", tally })
    tell({ _tag: "RunFinished", tally })
    return yield* ledger.state(directory)
  })

  /** Through which API rows are asked again: when batches are not waited for any more, none is made. */
  const modeNow = (state: RunState, options: AdvanceOptions) =>
    Effect.map(DateTime.now, (now): Mode.SentMode => {
      const deadline = Rounds.deadlineOf(state, options)
      return deadline !== null && DateTime.lessThanOrEqualTo(deadline, now) ? "sync" : Rounds.modeOf(state)
    })

  /** Why the budget does not allow to ask rows again for these reasons; `undefined` when it does, or has to be tried. */
  const tooDear = (
    state: RunState,
    tally: Tally.Tally,
    reasons: ReadonlyArray<AskAgainReason>,
    options: AdvanceOptions
  ): BudgetReached | undefined => {
    const budget = budgetOf(state, options)
    const cost = Rounds.costOf(state, tally, reasons)
    if (budget === null || cost === null || cost.spent + cost.needed <= budget) return undefined
    return new BudgetReached({ directory: state.directory, budget, committed: cost.spent, needed: cost.needed })
  }

  /** Goes on with a run that the ledger holds. */
  const advance = Effect.fn("Pipeline.advance")(function*(begun: RunState, options: AdvanceOptions) {
    const { directory, rows, run } = begun
    const steps = options.steps ?? Step.all
    if (run.provider !== provider.name) {
      return yield* new RunRejected({
        directory,
        problem: `this is a run of ${run.provider}, and the provider given is ${provider.name}`,
        remedy: `Provide ${run.provider}.`
      })
    }
    if (rows === null) {
      return yield* new RunRejected({
        directory,
        problem: "this run was never built to its end; nothing was sent",
        remedy: `Give the command that began it again: llm-batch run with the same input, and --run-dir ${directory}.`
      })
    }
    if (steps.to === "build") return report(begun)
    const isToBeSent = (state: ShardState) => isSent(state) && state.status === "built"
    if (Step.includes(steps, "submit") && [...begun.shards.values()].some(isToBeSent)) {
      yield* check(run.runTag)
    }
    yield* checkAccount(begun, options.acceptNewKey ?? false)
    const redone = Step.isOnly(steps, "fetch") || Step.isOnly(steps, "normalize")
    let state = begun.tally !== null && !redone ? begun : yield* settle(begun, rows, options)
    while (Step.includes(steps, "submit") && state.tally !== null) {
      const reasons = Rounds.reasons(state, state.tally, options)
      // Whoever cancelled does not want the rows asked again.
      if (reasons.length === 0 || (yield* CancelMark.isSet(directory))) break
      const dear = tooDear(state, state.tally, reasons, options)
      if (dear !== undefined) {
        // All that was asked is answered, or not: the run is finished as it is.
        ;(yield* Progress).tell({ _tag: "Notice", text: `rows are not asked again: ${dear.message}` })
        break
      }
      const mode = yield* modeNow(state, options)
      const asked = yield* again(state, { rows, tally: state.tally, reasons, mode })
      if (asked === state) break
      state = yield* settle(asked, rows, options)
    }
    // Whoever gets this relies on it.
    yield* ledger.sync(directory)
    return report(state)
  })

  const checkEndpoint = (endpoint: string | undefined, directory: string) =>
    endpoint === undefined || provider.endpoints.includes(endpoint) ? Effect.void : new RunRejected({
      directory,
      problem: `${provider.name} makes no batches for ${endpoint}`,
      remedy: `Its endpoints are ${provider.endpoints.join(", ")}.`
    })

  const buildOptions = (options: RunOptions, directory: string) =>
    Effect.try({
      try: () =>
        new BuildOptions({
          ...Struct.pick(options, ...Struct.keys(BuildOptions.fields)),
          // A run that is gone on with from elsewhere uses the same one.
          ...(options.cacheDirectory === undefined ? {} : { cacheDirectory: NodePath.resolve(options.cacheDirectory) })
        }),
      catch: (error) =>
        new RunRejected({
          directory,
          problem: `the options are not right: ${error instanceof Error ? error.message : String(error)}`,
          remedy: "Correct what is named."
        })
    })

  const begin = Effect.fn("Pipeline.begin")(function*(
    source: Source,
    directory: string,
    description: RunDescription,
    place: RunStart.Place
  ) {
    const { options, runTag } = description
    yield* ledger.create(directory, description)
    return yield* Effect.gen(function*() {
      yield* Disk.attempt("make", directory, () => disk.makeDirectory(directory))
      yield* Disk.replaceFile(RunDirectory.config(directory), RunConfig.format(description))
      const built = yield* build(source, new Build.RunLocation({ directory, runTag }), options)
      const { cache, input } = reusedRows(built.shards)
      const mode = Mode.forRows(description.mode, description.batchThreshold, built.rows - cache - input)
      for (const shard of built.shards) {
        yield* ledger.append(directory, {
          _tag: "ShardBuilt",
          shard: shard.mode === "batch" && mode === "sync" ? new Shard({ ...shard, mode }) : shard
        })
      }
      yield* ledger.append(directory, {
        _tag: "BuildFinished",
        rows: built.rows,
        notices: built.notices,
        input: built.input
      })
      return yield* ledger.state(directory)
    }).pipe(
      Effect.onError((cause) => isTakenOver(cause) ? Effect.void : Effect.ignore(RunStart.giveUp(directory, place)))
    )
  })

  /** The run that is in a directory already, when it is this one; one that was never built is built anew. */
  const takeUp = Effect.fn("Pipeline.takeUp")(function*(
    source: Source,
    directory: string,
    description: RunDescription
  ) {
    const before = yield* Effect.catchTag(ledger.state(directory), "RunRejected", () => Effect.succeed(null))
    // A run that was killed before its first entry was whole has not begun.
    if (before === null) return yield* begin(source, directory, description, "empty")
    if (before.rows === null) {
      // Nothing is sent before all is built. Holding it makes sure that nobody is building it, or has built it by now.
      yield* Effect.scoped(
        Effect.flatMap(
          ledger.open(directory),
          (now) => now.rows === null ? RunStart.giveUp(directory, "empty") : Effect.void
        )
      )
      const place = yield* RunStart.look(directory)
      if (place !== "run") return yield* begin(source, directory, description, place)
    }
    const state = yield* ledger.open(directory)
    yield* RunStart.checkSame(state, source, description)
    return state
  })

  const run = Effect.fn("Pipeline.run")(function*(source: Source, options: RunOptions = {}) {
    const runTag = yield* WireId.makeRunTag
    const { directory, runId } = yield* RunStart.locate(options, runTag)
    yield* checkEndpoint(options.endpoint, directory)
    // A key that is missing is found before any work is done. A dry run needs none, nor may a run with a cache: whether
    // any of its rows are sent is known when they are built.
    if (Step.includes(options.steps ?? Step.all, "submit") && options.cacheDirectory === undefined) yield* check(runTag)
    const { columns, format, name, path } = source
    const bytes = path === null ? null : (yield* Disk.attempt("look at", path, () => disk.stat(path)))?.size ?? null
    const description = new RunDescription({
      runId,
      runTag,
      provider: provider.name,
      input: new InputDescription({ name, path, format, columns, bytes }),
      options: yield* buildOptions(options, directory),
      mode: options.mode ?? "batch",
      batchThreshold: options.batchThreshold ?? Mode.defaultThreshold,
      retries: options.retries ?? 0,
      repair: options.repair ?? 0,
      maxCost: options.maxCost === undefined ? null : Cost.fromDollars(options.maxCost),
      finish: options.finish ?? null,
      job: options.job ?? null
    })
    const place = yield* RunStart.look(directory)
    if (place === "run") return yield* advance(yield* takeUp(source, directory, description), options)
    yield* RunStart.checkSpace(directory, bytes ?? 0)
    return yield* advance(yield* begin(source, directory, description, place), options)
  }, Effect.scoped)

  const resume = Effect.fn("Pipeline.resume")(function*(directory: string, options: AdvanceOptions = {}) {
    return yield* advance(yield* ledger.open(NodePath.resolve(directory)), options)
  }, Effect.scoped)

  const retry = Effect.fn("Pipeline.retry")(function*(directory: string, options: AdvanceOptions = {}) {
    const state = yield* ledger.open(NodePath.resolve(directory))
    const { rows, tally } = state
    if (rows === null || tally === null) {
      return yield* new RunRejected({
        directory,
        problem: "this run is not finished",
        remedy: `Finish it first, by: llm-batch resume ${directory}.`
      })
    }
    if (tally.retryable === 0) return report(state)
    const dear = tooDear(state, tally, ["retry"], options)
    if (dear !== undefined) return yield* dear
    yield* check(state.run.runTag)
    yield* CancelMark.remove(state.directory)
    const asked = yield* again(state, { rows, tally, reasons: ["retry"], mode: yield* modeNow(state, options) })
    return yield* advance(asked, options)
  }, Effect.scoped)

  const reconcile = Effect.fn("Pipeline.reconcile")(function*(directory: string, decision: Reconcile.Decision) {
    return yield* decide(yield* ledger.open(NodePath.resolve(directory)), decision)
  }, Effect.scoped)

  const isHeld = (directory: string) =>
    Effect.scoped(ledger.open(directory)).pipe(
      Effect.as(false),
      Effect.catchTag("RunLocked", () => Effect.succeed(true))
    )

  const cancel = Effect.fn("Pipeline.cancel")(function*(directory: string) {
    const state = yield* ledger.state(NodePath.resolve(directory))
    // A finished run may be about to ask again for rows that failed, while somebody holds it.
    if (state.tally !== null && !(yield* isHeld(state.directory))) return []
    // First the mark, so that whoever runs this sends nothing more.
    yield* CancelMark.set(state.directory)
    const { shards } = yield* ledger.state(state.directory)
    return yield* Effect.forEach(
      [...shards.values()].flatMap(({ ended, snapshot }) => snapshot === null || ended !== null ? [] : [snapshot.id]),
      (id) => retryTransient(retries)(provider.cancel(id)),
      { concurrency: callsAtATime }
    )
  })

  const clean = Effect.fn("Pipeline.clean")(function*(directory: string) {
    const state = yield* ledger.open(NodePath.resolve(directory))
    const deleted = yield* Effect.forEach(
      [...state.shards.values()].filter(({ cleaned, intent, raw }) =>
        intent !== null && raw !== null && cleaned.length === 0
      ),
      ({ ended, shard }) =>
        ended === null || !isAtProvider(ended.snapshot) ? Effect.succeed([]) : Effect.tap(
          retryTransient(retries)(provider.delete(ended.snapshot)),
          (deleted) => ledger.append(state.directory, { _tag: "ProviderCleaned", shard: shard.id, deleted })
        ),
      { concurrency: callsAtATime }
    )
    return deleted.flat()
  }, Effect.scoped)

  const onDisk = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, Disk.Disk, disk)

  return Pipeline.of({
    run: (source, options) => onDisk(run(source, options)),
    resume: (directory, options) => onDisk(resume(directory, options)),
    retry: (directory, options) => onDisk(retry(directory, options)),
    reconcile: (directory, decision) => onDisk(reconcile(directory, decision)),
    cancel: (directory) => onDisk(cancel(directory)),
    clean
  })
})

/**
 * The pipeline over whatever stages and ledger are provided: to replace one, provide it before `layerStages`.
 *
 * @example
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as Pipeline from "llm-batch/Pipeline"
 * import * as Poll from "llm-batch/stage/Poll"
 *
 * const hurried = Pipeline.layerComposed.pipe(
 *   Layer.provide(Poll.layerWith({ schedule: Poll.every("10 seconds") })),
 *   Layer.provide(Pipeline.layerStages)
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerComposed: Layer.Layer<
  Pipeline,
  never,
  | Provider
  | Ledger.Ledger
  | Ask.Ask
  | Build.Build
  | Submit.Submit
  | Poll.Poll
  | Fetch.Fetch
  | Normalize.Normalize
> = Layer.effect(Pipeline, make)

/**
 * The five stages and the ledger in the run directory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStages: Layer.Layer<
  Ledger.Ledger | Ask.Ask | Build.Build | Submit.Submit | Poll.Poll | Fetch.Fetch | Normalize.Normalize,
  never,
  Provider
> = Layer.mergeAll(Ask.layer, Build.layer, Submit.layer, Poll.layer, Fetch.layer, Normalize.layer).pipe(
  Layer.provideMerge(Ledger.layer)
)

/**
 * The pipeline with the usual stages, for the provider that is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Pipeline, never, Provider> = Layer.provide(layerComposed, layerStages)
