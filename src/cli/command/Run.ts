/**
 * `llm-batch run INPUT`: rows in, answers out. With a run directory that has rows already, it goes on from there.
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Disk from "../../internal/Disk.js"
import { Pipeline } from "../../Pipeline.js"
import { Provider } from "../../Provider.js"
import type { RunConfig } from "../../RunConfig.js"
import * as RunDirectory from "../../RunDirectory.js"
import { Submit } from "../../stage/Submit.js"
import * as Step from "../../Step.js"
import { advance, displayed } from "../Advance.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Pipelines from "../Pipelines.js"
import * as Providers from "../Providers.js"
import * as Report from "../Report.js"
import * as Settings from "../Settings.js"
import { UsageError } from "../UsageError.js"
import { goOn, providerOf } from "./Resume.js"

/** What is where a run is to be. A directory with other things in it is not ours to fill, or to clear. */
const look = Effect.fn(function*(directory: string) {
  const disk = yield* Disk.Disk
  const found = yield* Disk.attempt("look at", directory, () => {
    const stat = disk.stat(directory)
    if (stat === undefined) return "nothing"
    if (stat.kind !== "directory") return "file"
    if (disk.stat(RunDirectory.journal(directory)) !== undefined) return "run"
    return disk.list(directory).length === 0 ? "nothing" : "other"
  })
  if (found === "run" || found === "nothing") return found
  return yield* new UsageError({
    message: `--run-dir: ${directory} is ${
      found === "file" ? "a file" : "not empty, and holds no run"
    }. Name a new directory, or an empty one.`
  })
})

/** Builds a new run, then sends it. */
const begin = Effect.fn(function*(settings: RunConfig, steps: Step.Steps) {
  if (steps.from !== "build") {
    return yield* new UsageError({
      message: `Nothing is built yet that the step ${steps.from} could go on with. `
        + `Name a run directory: llm-batch resume RUN_DIR --from-step ${steps.from}`
    })
  }
  const { say } = yield* Output
  const source = yield* Settings.source(settings)
  const { entry, inferred } = yield* Settings.provider(settings)
  const options = yield* Settings.runOptions(settings)
  const json = settings.json === true
  if (inferred) yield* say(`The model ${settings.model ?? ""} is ${entry.name}'s: --provider ${entry.id}`)
  const program = Effect.gen(function*() {
    const pipeline = yield* Pipeline
    const provider = yield* Provider
    if (options.endpoint !== undefined && !provider.endpoints.includes(options.endpoint)) {
      return yield* new UsageError({
        message: `--endpoint: ${entry.name} makes no batches for ${options.endpoint}. `
          + `Its endpoints are ${provider.endpoints.join(", ")}.`
      })
    }
    // A missing key is found before any work is done; a dry run needs none.
    if (Step.includes(steps, "submit")) yield* (yield* Submit).check("")
    const { state } = yield* displayed(
      pipeline.run(source, { ...options, steps: { from: "build", to: "build" } }),
      json
    ).pipe(
      Effect.onInterrupt(() => say("\nInterrupted. Nothing was sent, and nothing was left behind."))
    )
    if (!json) yield* say(`Run directory: ${Report.path(state.directory)}`)
    return yield* advance(state.directory, { settings, steps })
  })
  return yield* Effect.provide(program, Pipelines.layer(entry, settings))
})

/** Goes on with the run that is in the directory already: its rows and shards are what counts. */
const take = Effect.fn(function*(directory: string, settings: RunConfig, steps: Step.Steps) {
  const { id } = yield* providerOf(directory)
  if (settings.provider !== undefined && (yield* Providers.byId(settings.provider)).id !== id) {
    return yield* new UsageError({
      message: `--provider: the run in ${directory} is one of ${id}, and goes on with ${id} only. `
        + "Leave the flag out, or begin another run."
    })
  }
  const { say } = yield* Output
  yield* say(`Using the rows and shards in ${directory}; the input and the flags about rows are not looked at.`)
  return yield* goOn(directory, settings, steps)
})

/** What `run` and `build` do with their flags. */
export const start = Effect.fn("cli.run")(
  function*(flags: RunConfig, input: Option.Option<string>, config: Option.Option<string>) {
    const settings = yield* Settings.merge(flags, input, config)
    const steps = yield* Settings.steps(settings)
    yield* Settings.checkOutput(settings.output)
    const { run_dir, skip_build, skip_prepare } = settings
    const found = run_dir === undefined ? "nothing" : yield* look(run_dir)
    const goesOn = skip_build === true || skip_prepare === true || steps.from !== "build"
    return run_dir !== undefined && found === "run" && goesOn
      ? yield* take(run_dir, settings, steps)
      : yield* begin(settings, steps)
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
      "dry_run",
      "output",
      "yes",
      "json",
      "no_wait",
      ...Options.waiting,
      "only_step",
      "from_step",
      "to_step",
      "skip_prepare",
      "skip_build",
      "replay_dir"
    ])
  },
  ({ config, flags, input }) => start(flags, input, config)
).pipe(Command.withDescription("Sends the rows of an input as batches, waits, and brings every answer back"))
