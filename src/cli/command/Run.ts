/**
 * `llm-batch run INPUT`: rows in, answers out. With a run directory that has rows already, it goes on from there.
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Answers from "../../Answers.js"
import * as Disk from "../../internal/Disk.js"
import * as Job from "../../job/Job.js"
import { Pipeline, type RunOptions } from "../../Pipeline.js"
import { Provider } from "../../Provider.js"
import type { RunConfig } from "../../RunConfig.js"
import * as RunDirectory from "../../RunDirectory.js"
import { Submit } from "../../stage/Submit.js"
import * as Step from "../../Step.js"
import { advance, displayed } from "../Advance.js"
import * as Concluding from "../Concluding.js"
import * as Estimating from "../Estimating.js"
import * as Jobs from "../Jobs.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Pipelines from "../Pipelines.js"
import * as Providers from "../Providers.js"
import * as Report from "../Report.js"
import * as Runs from "../Runs.js"
import * as Settings from "../Settings.js"
import { UsageError } from "../UsageError.js"
import { goOn } from "./Resume.js"

/** The directory of the run that is there already, where one is named. */
const findRun = Effect.fn(function*({ run_dir, run_id }: RunConfig) {
  const named = run_dir ?? (run_id === undefined ? undefined : `${RunDirectory.defaultParent}/run_${run_id}`)
  if (named === undefined) return undefined
  const disk = yield* Disk.Disk
  const isThere = yield* Disk.attempt(
    "look at",
    named,
    () => disk.stat(named)?.kind === "directory" && disk.stat(RunDirectory.journal(named)) !== undefined
  )
  return isThere ? named : undefined
})

/** What is asked of whom, by the settings of a run that is to begin. */
export const prepare = Effect.fn("cli.prepare")(function*(settings: RunConfig) {
  const { say } = yield* Output
  const made = yield* Jobs.fromSettings(settings)
  const job = made?.job
  const source = job?.source ?? (yield* Settings.source(settings))
  const { entry, inferred } = yield* Settings.provider(settings)
  const rest = made?.others ?? settings
  const plain = yield* Settings.runOptions(rest)
  if (inferred) yield* say(`The model ${Settings.modelOf(settings) ?? ""} is ${entry.name}'s: --provider ${entry.id}`)
  for (const notice of job?.rows === 0 ? [] : job?.notices ?? []) yield* say(`note: ${notice}`)
  return { job, source, entry, rest, options: job === undefined ? plain : Job.runOptions(job, plain) }
})

/** Fails where the provider makes no batches for the endpoint that is asked for. */
export const checkEndpoint = Effect.fn(function*({ name }: Providers.Entry, { endpoint }: RunOptions) {
  const { endpoints } = yield* Provider
  if (endpoint === undefined || endpoints.includes(endpoint)) return
  return yield* new UsageError({
    message: `--endpoint: ${name} makes no batches for ${endpoint}. Its endpoints are ${endpoints.join(", ")}.`
  })
})

/** Builds a new run, or takes up the one that is there when it is the same, then goes on with it. */
const begin = Effect.fn(function*(settings: RunConfig, steps: Step.Steps, existing: string | undefined) {
  if (steps.from !== "build") {
    return yield* new UsageError({
      message: `Nothing is built yet that the step ${steps.from} could go on with. `
        + `Name a run directory: llm-batch resume RUN_DIR --from-step ${steps.from}`
    })
  }
  const { say } = yield* Output
  const { entry, job, options, rest, source } = yield* prepare(settings)
  const json = settings.json === true
  if (job?.rows === 0) return yield* Concluding.conclude(job, null, rest)
  const program = Effect.gen(function*() {
    const pipeline = yield* Pipeline
    yield* checkEndpoint(entry, options)
    // A missing key is found before any work is done. A dry run needs none, nor may a run with a cache.
    if (Step.includes(steps, "submit") && options.cacheDirectory === undefined) yield* (yield* Submit).check("")
    const { state } = yield* displayed(
      pipeline.run(source, { ...options, steps: { from: "build", to: "build" } }),
      json
    ).pipe(
      Effect.onInterrupt(() =>
        say(
          existing === undefined
            ? "\nInterrupted. Nothing was sent, and nothing was left behind."
            : "\nInterrupted. Nothing was sent."
        )
      )
    )
    if (existing !== undefined) {
      yield* say(`There is a run of this input in ${Report.path(state.directory)} already: going on with it.`)
    } else if (!json) yield* say(`Run directory: ${Report.path(state.directory)}`)
    return yield* advance(state.directory, { settings: rest, steps, job })
  })
  return yield* Effect.provide(program, Pipelines.layer(entry, settings))
})

/** Goes on with the run that is in the directory already: its rows and shards are what counts. */
const take = Effect.fn(function*(directory: string, settings: RunConfig, steps: Step.Steps) {
  const { id } = yield* Runs.providerOf(directory)
  if (settings.provider !== undefined && (yield* Providers.byId(settings.provider)).id !== id) {
    return yield* new UsageError({
      message: `--provider: the run in ${directory} is one of ${id}, and goes on with ${id} only. `
        + "Leave the flag out, or begin another run."
    })
  }
  const { say } = yield* Output
  yield* say(`Using the rows and shards in ${directory}; the input and the flags about rows are not looked at.`)
  return yield* goOn(directory, { settings, steps })
})

/** What `run` and `build` do with their flags. */
export const start = Effect.fn("cli.run")(
  function*(flags: RunConfig, input: Option.Option<string>, config: Option.Option<string>) {
    const settings = yield* Settings.merge(flags, input, config)
    const steps = yield* Settings.steps(settings)
    const { models_file, output, skip_build, skip_prepare } = settings
    // What is wrong with it is told before any work is done.
    if (models_file !== undefined) yield* Estimating.catalogue(settings)
    const existing = yield* findRun(settings)
    const goesOn = skip_build === true || skip_prepare === true || steps.from !== "build"
    if (existing !== undefined && goesOn) return yield* take(existing, settings, steps)
    if (output !== undefined) {
      if (!Jobs.writesOutput(settings)) yield* Answers.formatOf(output)
      yield* Settings.checkOutput(output, { input: settings.input, directory: existing ?? settings.run_dir })
    }
    return yield* begin(settings, steps, existing)
  }
)

/** `llm-batch run INPUT` */
export const run = Command.make(
  "run",
  {
    input: Options.input,
    config: Options.config,
    flags: Options.settings([
      ...Options.building,
      ...Options.jobs,
      "dry_run",
      "output",
      "yes",
      "json",
      "no_wait",
      ...Options.waiting,
      "retries",
      "accept_new_key",
      "only_step",
      "from_step",
      "to_step",
      "skip_prepare",
      "skip_build",
      "replay_dir",
      "models_file"
    ])
  },
  ({ config, flags, input }) => start(flags, input, config)
)
