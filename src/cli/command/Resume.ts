/**
 * `llm-batch resume RUN_DIR`: goes on with a run from wherever it stands.
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as NodePath from "node:path"
import * as Answers from "../../Answers.js"
import * as Disk from "../../internal/Disk.js"
import * as Ledger from "../../Ledger.js"
import { advance, type Options } from "../Advance.js"
import * as Jobs from "../Jobs.js"
import * as CliOptions from "../Options.js"
import * as Pipelines from "../Pipelines.js"
import * as Providers from "../Providers.js"
import * as Settings from "../Settings.js"
import { UsageError } from "../UsageError.js"

/** The absolute path of the run directory that was named. */
export const locate = Effect.fn(function*(directory: string) {
  const disk = yield* Disk.Disk
  const stat = yield* Disk.attempt("look at", directory, () => disk.stat(directory))
  if (stat?.kind === "directory") return NodePath.resolve(directory)
  return yield* new UsageError({
    message: stat === undefined
      ? `There is no directory ${directory}. Name a run directory: llm-batch list shows them.`
      : `${directory} is a file. Name the run directory: llm-batch list shows them.`
  })
})

/** What a run is, as its journal has it. */
export const describe = Effect.fn(function*(directory: string) {
  const located = yield* locate(directory)
  const { run } = yield* Effect.provide(
    Effect.flatMap(Ledger.Ledger, (ledger) => ledger.state(located)),
    Ledger.layer
  )
  return run
})

/** The provider of a run. */
export const providerOf = (directory: string) =>
  Effect.flatMap(describe(directory), ({ provider }) => Providers.byId(provider))

/** Goes on with the run in a directory, under the provider that it was begun with. */
export const goOn = Effect.fn("cli.goOn")(
  function*(directory: string, options: Options) {
    const { settings } = options
    const { input, job: description, provider: id } = yield* describe(directory)
    const { job, others } = yield* Jobs.ofRun(description, settings)
    if (settings.output !== undefined) {
      if (others.output !== undefined) yield* Answers.formatOf(others.output)
      yield* Settings.checkOutput(settings.output, { input: Jobs.inputOf(description) ?? input.path, directory })
    }
    const provider = yield* Providers.byId(id)
    return yield* Effect.provide(
      advance(directory, { ...options, settings: others, job }),
      Pipelines.layer(provider, settings)
    )
  }
)

/** `llm-batch resume RUN_DIR` */
export const resume = Command.make(
  "resume",
  {
    directory: CliOptions.runDirectory,
    flags: CliOptions.settings([
      ...CliOptions.goingOn,
      "retries",
      "only_step",
      "from_step",
      "to_step",
      "replay_dir",
      "models_file"
    ])
  },
  ({ directory, flags }) =>
    Effect.flatMap(Settings.steps(flags), (steps) => goOn(directory, { settings: flags, steps }))
).pipe(Command.withDescription("Goes on with a run from wherever it stands: sends what was not sent, waits, fetches"))
