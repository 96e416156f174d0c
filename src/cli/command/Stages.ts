/**
 * `llm-batch submit | poll | fetch | normalize RUN_DIR`: one step of a run alone.
 */
import * as Command from "@effect/cli/Command"
import type { RunConfig } from "../../RunConfig.js"
import type { Step } from "../../Step.js"
import * as Options from "../Options.js"
import { goOn } from "./Resume.js"

const only = (step: Step) => ({ directory, flags }: { readonly directory: string; readonly flags: RunConfig }) =>
  goOn(directory, { settings: flags, steps: { from: step, to: step }, stage: true })

/** `llm-batch submit RUN_DIR` */
export const submit = Command.make(
  "submit",
  {
    directory: Options.runDirectory,
    flags: Options.settings(["yes", "json", "settle_time", "max_concurrent_jobs", "accept_new_key", "models_file"])
  },
  only("submit")
).pipe(Command.withDescription("Makes the batches of a run that is built"))

/** `llm-batch poll RUN_DIR` */
export const poll = Command.make(
  "poll",
  { directory: Options.runDirectory, flags: Options.settings(["json", "poll_interval", "max_wait", "accept_new_key"]) },
  only("poll")
).pipe(Command.withDescription("Waits until the batches of a run have ended"))

/** `llm-batch fetch RUN_DIR` */
export const fetch = Command.make(
  "fetch",
  { directory: Options.runDirectory, flags: Options.settings(["json", "accept_new_key"]) },
  only("fetch")
).pipe(
  Command.withDescription("Downloads the results of the batches that have ended, again where they are there already")
)

/** `llm-batch normalize RUN_DIR` */
export const normalize = Command.make(
  "normalize",
  { directory: Options.runDirectory, flags: Options.settings(["json", "output"]) },
  only("normalize")
).pipe(
  Command.withDescription(
    "Makes results.jsonl out of the results that were downloaded, again where it is there already"
  )
)
