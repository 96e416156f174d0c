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
    flags: Options.settings([
      "yes",
      "json",
      "settle_time",
      "max_concurrent_jobs",
      "max_enqueued_tokens",
      "max_queued_requests",
      "max_batches_per_hour",
      "max_cost",
      "accept_new_key",
      "models_file"
    ])
  },
  only("submit")
)

/** `llm-batch poll RUN_DIR` */
export const poll = Command.make(
  "poll",
  { directory: Options.runDirectory, flags: Options.settings(["json", "poll_interval", "max_wait", "accept_new_key"]) },
  only("poll")
)

/** `llm-batch fetch RUN_DIR` */
export const fetch = Command.make(
  "fetch",
  { directory: Options.runDirectory, flags: Options.settings(["json", "accept_new_key"]) },
  only("fetch")
)

/** `llm-batch normalize RUN_DIR` */
export const normalize = Command.make(
  "normalize",
  { directory: Options.runDirectory, flags: Options.settings(["json", "output", "workers", "models_file"]) },
  only("normalize")
)
