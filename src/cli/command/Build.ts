/**
 * `llm-batch build INPUT`: the first step alone. Nothing is sent, and no key is needed.
 */
import * as Command from "@effect/cli/Command"
import * as Options from "../Options.js"
import { start } from "./Run.js"

/** `llm-batch build INPUT` */
export const build = Command.make(
  "build",
  {
    input: Options.input,
    config: Options.config,
    flags: Options.settings([...Options.building, "json"])
  },
  ({ config, flags, input }) => start({ ...flags, dry_run: true }, input, config)
)
