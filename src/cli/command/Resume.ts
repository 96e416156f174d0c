/**
 * `llm-batch resume RUN_DIR`: goes on with a run from wherever it stands.
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Answers from "../../Answers.js"
import { advance, type Options } from "../Advance.js"
import * as Jobs from "../Jobs.js"
import * as CliOptions from "../Options.js"
import * as Pipelines from "../Pipelines.js"
import * as Providers from "../Providers.js"
import * as Runs from "../Runs.js"
import * as Settings from "../Settings.js"

/** Goes on with the run in a directory, under the provider that it was begun with. */
export const goOn = Effect.fn("cli.goOn")(
  function*(directory: string, options: Options) {
    const { settings } = options
    const { input, job: description, provider: id } = yield* Runs.describe(directory)
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
)
