/**
 * `llm-batch retry RUN_DIR`: asks again for the rows of a finished run that asking again can help.
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Options from "../Options.js"
import * as Settings from "../Settings.js"
import { goOn } from "./Resume.js"

/** `llm-batch retry RUN_DIR` */
export const retry = Command.make(
  "retry",
  { directory: Options.runDirectory, flags: Options.settings(Options.goingOn) },
  ({ directory, flags }) =>
    Effect.flatMap(Settings.steps(flags), (steps) => goOn(directory, { settings: flags, steps, again: true }))
)
