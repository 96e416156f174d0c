/**
 * `llm-batch clean RUN_DIR`: deletes what the provider still keeps of a run.
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { Pipeline } from "../../Pipeline.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Pipelines from "../Pipelines.js"
import * as Report from "../Report.js"
import * as Runs from "../Runs.js"

/** `llm-batch clean RUN_DIR` */
export const clean = Command.make(
  "clean",
  { directory: Options.runDirectory, flags: Options.settings(["json"]) },
  ({ directory, flags }) =>
    Effect.gen(function*() {
      const output = yield* Output
      const provider = yield* Runs.providerOf(directory)
      const deleted = yield* Effect.flatMap(Pipeline, (pipeline) => pipeline.clean(directory)).pipe(
        Effect.provide(Pipelines.layer(provider, {}))
      )
      if (flags.json === true) return yield* output.json({ deleted })
      yield* output.say(
        deleted.length === 0
          ? `Nothing is left to delete at ${provider.name}. Only what was fetched is ever deleted.`
          : `Deleted at ${provider.name}: ${Report.count(deleted.length, "thing")}`
      )
      if (deleted.length > 0) yield* output.data(deleted.join("\n"))
    })
)
