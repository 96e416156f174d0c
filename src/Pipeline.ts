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
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Struct from "effect/Struct"
import * as NodePath from "node:path"
import { Batch, type BatchSnapshot, type EndedBatch, expectedRows } from "./Batch.js"
import { BuildOptions } from "./BuildOptions.js"
import type { InputError } from "./InputError.js"
import { blockLoop } from "./internal/BlockLoop.js"
import { BlockWriter } from "./internal/BlockWriter.js"
import * as Disk from "./internal/Disk.js"
import { addPartTallies, type PartFile, PartMerge } from "./internal/PartMerge.js"
import * as Ledger from "./Ledger.js"
import { Provider } from "./Provider.js"
import { type ProviderError, retryTransient } from "./ProviderError.js"
import { RawResults } from "./RawResults.js"
import * as RunConfig from "./RunConfig.js"
import * as RunDirectory from "./RunDirectory.js"
import { type DiskError, type LedgerCorrupt, type RunLocked, RunRejected, ShardChanged } from "./RunError.js"
import { Progress } from "./RunEvent.js"
import { InputDescription, RunDescription, type RunState, type ShardState } from "./RunState.js"
import type { Source } from "./Source.js"
import * as Build from "./stage/Build.js"
import * as Fetch from "./stage/Fetch.js"
import * as Normalize from "./stage/Normalize.js"
import * as Poll from "./stage/Poll.js"
import * as Submit from "./stage/Submit.js"
import * as Step from "./Step.js"
import * as Tally from "./Tally.js"
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
  | ProviderError
  | Submit.SubmitError
  | Exclude<Poll.PollError, { readonly batch: EndedBatch }>
  | Exclude<Fetch.FetchError, { readonly raw: RawResults }>
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
  /** How many batches may be with the provider at a time; no limit by default. */
  readonly maxConcurrentJobs?: number | undefined
}

/**
 * What to run, and where.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunOptions extends AdvanceOptions, Partial<BuildOptions> {
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
  /** Begins a run. When nothing could be built, no run directory is left behind. */
  readonly run: (source: Source, options?: RunOptions) => Effect.Effect<RunReport, PipelineError>
  /** Goes on with a run from wherever it stands. A finished run is given back as it is. */
  readonly resume: (directory: string, options?: AdvanceOptions) => Effect.Effect<RunReport, PipelineError>
  /** Asks the provider to stop every batch of a run that has not ended. Works beside a process that runs it. */
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

/** Uploads at a time, and downloads at a time: more would only share the same line. */
const transfers = 4

/** How many times a call is made again whose failure may pass. */
const retries = 8

/** A run needs its rows, its wire rows, its raw results, its parts and its results: about so many times its input. */
const spaceFactor = 6

const report = (state: RunState): RunReport => ({
  state,
  directory: state.directory,
  tally: state.tally,
  results: RunDirectory.results(state.directory),
  failures: RunDirectory.failures(state.directory)
})

const isLive = (shard: ShardState): boolean => shard.snapshot !== null && shard.ended === null

const make = Effect.gen(function*() {
  const disk = yield* Disk.Disk
  const ledger = yield* Ledger.Ledger
  const provider = yield* Provider
  const { build } = yield* Build.Build
  const { check, submit } = yield* Submit.Submit
  const { poll, updates } = yield* Poll.Poll
  const { fetch } = yield* Fetch.Fetch
  const { normalize } = yield* Normalize.Normalize
  const uploading = yield* Effect.makeSemaphore(transfers)
  const downloading = yield* Effect.makeSemaphore(transfers)

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
    const { raw, shortfall } = yield* fetch(batch).pipe(
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

  /** Takes one shard through the steps that it still needs. A step that it is not ready for is left for later. */
  const advanceShard = Effect.fn("Pipeline.advanceShard")(function*(state: ShardState, steps: Step.Steps) {
    let batch = state.snapshot === null ? null : new Batch({ shard: state.shard, snapshot: state.snapshot })
    if (batch === null) {
      if (!Step.includes(steps, "submit")) return
      batch = yield* uploading.withPermits(1)(submit(state.shard))
    }
    let ended = state.ended
    if (ended === null) {
      if (!Step.includes(steps, "poll")) return
      ended = yield* awaitEnd(batch)
    }
    let raw = state.raw
    if (raw === null || Step.isOnly(steps, "fetch")) {
      if (!Step.includes(steps, "fetch")) return
      raw = yield* downloading.withPermits(1)(bring(ended, raw))
    }
    if (state.tally === null || Step.isOnly(steps, "normalize")) {
      if (!Step.includes(steps, "normalize")) return
      yield* downloading.withPermits(1)(write(raw))
    }
  })

  /** All parts into results in input order; both files are complete before either has its name. */
  const merge = Effect.fn("Pipeline.merge")(function*(state: RunState, rows: number) {
    const { directory } = state
    const shards = [...state.shards.values()]
    const parts = shards.map(({ shard, snapshot }): PartFile => ({
      path: RunDirectory.part(shard),
      shard,
      batchId: snapshot?.id ?? null
    }))
    const results = RunDirectory.results(directory)
    const failures = RunDirectory.failures(directory)
    const tally = yield* Effect.scoped(Effect.gen(function*() {
      const resultsHandle = yield* Disk.openScoped(`${results}.tmp`, "write")
      const failuresHandle = yield* Disk.openScoped(`${failures}.tmp`, "write")
      const resultsWriter = new BlockWriter(resultsHandle, 1 << 20)
      const failuresWriter = new BlockWriter(failuresHandle, 1 << 16)
      const merging = yield* Effect.acquireRelease(
        Effect.sync(() => new PartMerge(disk, directory, parts, rows, resultsWriter, failuresWriter)),
        (merging) => Effect.sync(() => merging.close())
      )
      yield* blockLoop(
        () => merging.step(),
        (error) => error instanceof ShardChanged ? error : Disk.toDiskError("merge results", results, error)
      )
      yield* Disk.attempt("make durable", results, () => {
        for (const [writer, handle] of [[resultsWriter, resultsHandle], [failuresWriter, failuresHandle]] as const) {
          writer.flush()
          handle.sync()
        }
      })
      addPartTallies(merging.tally, shards.flatMap((shard) => shard.tally === null ? [] : [shard.tally]))
      return Tally.fromMutable(merging.tally)
    }))
    yield* Disk.attempt("keep", results, () => {
      disk.rename(`${failures}.tmp`, failures)
      disk.rename(`${results}.tmp`, results)
      disk.syncDirectory(directory)
    })
    return tally
  })

  /** Goes on with a run that the ledger holds. */
  const advance = Effect.fn("Pipeline.advance")(function*(state: RunState, options: AdvanceOptions) {
    const { tell } = yield* Progress
    const { directory } = state
    const steps = options.steps ?? Step.all
    if (state.run.provider !== provider.name) {
      return yield* new RunRejected({
        directory,
        problem: `this is a run of ${state.run.provider}, and the provider given is ${provider.name}`,
        remedy: `Provide ${state.run.provider}.`
      })
    }
    if (state.rows === null) {
      return yield* new RunRejected({
        directory,
        problem: "this run was never built to its end; nothing was sent",
        remedy: "Remove the directory and run again from the input."
      })
    }
    if (
      steps.to === "build" || (state.tally !== null && !Step.isOnly(steps, "fetch") && !Step.isOnly(steps, "normalize"))
    ) {
      return report(state)
    }
    const shards = [...state.shards.values()]
    if (Step.includes(steps, "submit") && shards.some((shard) => shard.snapshot === null)) {
      yield* check(state.run.runTag)
    }
    const exits = yield* Effect.forEach(
      shards,
      (shard) =>
        advanceShard(shard, steps).pipe(
          Effect.tapError((error) =>
            Effect.sync(() => tell({ _tag: "ShardFailed", shard: shard.shard, detail: error.message }))
          ),
          Effect.exit
        ),
      { concurrency: options.maxConcurrentJobs ?? "unbounded" }
    )
    yield* Option.getOrElse(Option.fromNullable(exits.find(Exit.isFailure)), () => Exit.void)
    const after = yield* ledger.state(directory)
    const complete = [...after.shards.values()].every((shard) => shard.status === "normalized")
    if (!complete || !Step.includes(steps, "normalize")) return report(after)
    const tally = yield* merge(after, state.rows)
    yield* ledger.append(directory, { _tag: "RunFinished", tally })
    tell({ _tag: "RunFinished", tally })
    return report(yield* ledger.state(directory))
  })

  const locate = Effect.fn(function*(options: RunOptions, runTag: string) {
    const began = DateTime.formatIso(yield* DateTime.now).replaceAll(/[-:]/gu, "").replace(/\..*$/u, "")
    const runId = options.runId ?? `${began}-${runTag.slice(0, 4)}`
    return { runId, directory: NodePath.resolve(options.directory ?? `${RunDirectory.defaultParent}/run_${runId}`) }
  })

  const checkEndpoint = (endpoint: string | undefined, directory: string) =>
    endpoint === undefined || provider.endpoints.includes(endpoint) ? Effect.void : new RunRejected({
      directory,
      problem: `${provider.name} makes no batches for ${endpoint}`,
      remedy: `Its endpoints are ${provider.endpoints.join(", ")}.`
    })

  const checkSpace = Effect.fn(function*(directory: string, inputBytes: number) {
    const needed = inputBytes * spaceFactor
    const free = yield* Disk.attempt("look for space at", directory, () => disk.freeBytes(directory))
    if (free >= needed) return
    const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6).toLocaleString("en")} MB`
    return yield* new RunRejected({
      directory,
      problem: `a run of this input needs about ${megabytes(needed)} of disk, and ${megabytes(free)} are free`,
      remedy: "Free some space, or name a directory on another disk with --run-dir."
    })
  })

  /** A run needs a directory of its own: what a failed build leaves in it is removed. */
  const claim = Effect.fn(function*(directory: string) {
    const existed = yield* Disk.attempt("look at", directory, () => {
      if (disk.stat(directory) === undefined) return false
      return disk.list(directory).length === 0 || disk.stat(RunDirectory.journal(directory)) !== undefined ? true : null
    })
    if (existed === null) {
      return yield* new RunRejected({
        directory,
        problem: "the directory is not empty, and holds no run",
        remedy: "Name a new or empty directory with --run-dir."
      })
    }
    return { existed }
  })

  const giveUp = (directory: string, { existed }: { readonly existed: boolean }) =>
    Effect.ignore(Disk.attempt("empty", directory, () => {
      for (const name of disk.list(directory)) disk.remove(NodePath.join(directory, name))
      if (!existed) disk.remove(directory)
    }))

  const run = Effect.fn("Pipeline.run")(function*(source: Source, options: RunOptions = {}) {
    const { maxConcurrentJobs, steps } = options
    const runTag = yield* WireId.makeRunTag
    const { directory, runId } = yield* locate(options, runTag)
    yield* checkEndpoint(options.endpoint, directory)
    // A key that is missing is found before any work is done; a dry run needs none.
    if (Step.includes(steps ?? Step.all, "submit")) yield* check(runTag)
    const { path } = source
    const bytes = path === null ? null : (yield* Disk.attempt("look at", path, () => disk.stat(path)))?.size ?? null
    yield* checkSpace(directory, bytes ?? 0)
    const { columns, format, name } = source
    const description = new RunDescription({
      runId,
      runTag,
      provider: provider.name,
      input: new InputDescription({ name, path, format, columns, bytes }),
      options: new BuildOptions(Struct.omit(options, "directory", "runId", "steps", "maxConcurrentJobs"))
    })

    const begun = Effect.gen(function*() {
      yield* Disk.attempt("make", directory, () => disk.makeDirectory(directory))
      yield* Disk.replaceFile(RunDirectory.config(directory), RunConfig.format(description))
      const built = yield* build(source, new Build.RunLocation({ directory, runTag }), description.options)
      for (const shard of built.shards) yield* ledger.append(directory, { _tag: "ShardBuilt", shard })
      yield* ledger.append(directory, {
        _tag: "BuildFinished",
        rows: built.rows,
        notices: built.notices,
        input: built.input
      })
      return yield* ledger.state(directory)
    })

    const claimed = yield* claim(directory)
    yield* ledger.create(directory, description)
    const state = yield* begun.pipe(Effect.onError(() => giveUp(directory, claimed)))
    return yield* advance(state, { steps, maxConcurrentJobs })
  }, Effect.scoped)

  const resume = Effect.fn("Pipeline.resume")(function*(directory: string, options: AdvanceOptions = {}) {
    return yield* advance(yield* ledger.open(NodePath.resolve(directory)), options)
  }, Effect.scoped)

  const cancel = Effect.fn("Pipeline.cancel")(function*(directory: string) {
    const state = yield* ledger.state(NodePath.resolve(directory))
    return yield* Effect.forEach(
      [...state.shards.values()].filter(isLive).flatMap((shard) => shard.snapshot === null ? [] : [shard.snapshot.id]),
      (id) => retryTransient(retries)(provider.cancel(id)),
      { concurrency: transfers }
    )
  })

  const clean = Effect.fn("Pipeline.clean")(function*(directory: string) {
    const state = yield* ledger.open(NodePath.resolve(directory))
    const deleted = yield* Effect.forEach(
      [...state.shards.values()].filter((shard) => shard.raw !== null && shard.cleaned.length === 0),
      ({ ended, shard }) =>
        ended === null ? Effect.succeed([]) : Effect.tap(
          retryTransient(retries)(provider.delete(ended.snapshot)),
          (deleted) => ledger.append(state.directory, { _tag: "ProviderCleaned", shard: shard.id, deleted })
        ),
      { concurrency: transfers }
    )
    return deleted.flat()
  }, Effect.scoped)

  const onDisk = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, Disk.Disk, disk)

  return Pipeline.of({
    run: (source, options) => onDisk(run(source, options)),
    resume: (directory, options) => onDisk(resume(directory, options)),
    cancel,
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
  Provider | Ledger.Ledger | Build.Build | Submit.Submit | Poll.Poll | Fetch.Fetch | Normalize.Normalize
> = Layer.effect(Pipeline, make)

/**
 * The five stages and the ledger in the run directory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerStages: Layer.Layer<
  Ledger.Ledger | Build.Build | Submit.Submit | Poll.Poll | Fetch.Fetch | Normalize.Normalize,
  never,
  Provider
> = Layer.mergeAll(Build.layer, Submit.layer, Poll.layer, Fetch.layer, Normalize.layer).pipe(
  Layer.provideMerge(Ledger.layer)
)

/**
 * The pipeline with the usual stages, for the provider that is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Pipeline, never, Provider> = Layer.provide(layerComposed, layerStages)
