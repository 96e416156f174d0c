/**
 * `llm-batch cancel RUN_DIR`: asks the provider to stop, then brings what was answered by then.
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as NodePath from "node:path"
import * as Ledger from "../../Ledger.js"
import { Pipeline } from "../../Pipeline.js"
import type { RunConfig } from "../../RunConfig.js"
import type { RunState } from "../../RunState.js"
import { advance } from "../Advance.js"
import { Ending } from "../Ending.js"
import { exitCode } from "../ExitCode.js"
import * as Jobs from "../Jobs.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Pipelines from "../Pipelines.js"
import * as Report from "../Report.js"
import * as Runs from "../Runs.js"

/** What is about to be stopped. */
const question = (state: RunState): string => {
  const live = Report.live(state)
  if (live.length === 0) return "Send nothing more of this run?"
  const rows = live.reduce((sum, { shard }) => sum + shard.rows, 0)
  const batches = `${Report.count(live.length, "batch", "batches")} with ${Report.count(rows, "row")}`
  const more = Report.untouched(state).length === 0 ? "" : ", and send no more"
  return `Cancel ${batches} at ${state.run.provider}${more}? What was answered is kept.`
}

const cancelRun = Effect.fn(function*(directory: string, settings: RunConfig) {
  const { confirm, interactive, json, say } = yield* Output
  const ledger = yield* Ledger.Ledger
  const pipeline = yield* Pipeline
  const state = yield* ledger.state(directory)
  const live = Report.live(state).length
  const uncertain = Report.uncertain(state).length
  const unended = live + uncertain + Report.asking(state).length + Report.untouched(state).length
  const isIdle = state.tally !== null || unended === 0
  if (isIdle) {
    yield* say(`No batch of this run is running at ${state.run.provider}: there is nothing to cancel.`)
    if (settings.json === true) yield* json(Report.json(state))
    return
  }
  if (interactive && settings.yes !== true && settings.json !== true && !(yield* confirm(question(state)))) {
    return yield* new Ending({ code: exitCode.failed })
  }
  for (const { id, providerStatus } of yield* pipeline.cancel(directory)) yield* say(`${id}: ${providerStatus}`)
  if (uncertain > 0) {
    yield* say(`${Report.doubt(uncertain)} What it finds is cancelled then: ${Report.command("resume", directory)}`)
  }
  if (settings.no_wait === true && live > 0) {
    yield* say(`Fetch what was answered: ${Report.command("resume", directory)}`)
    if (settings.json === true) yield* json(Report.json(yield* ledger.state(directory)))
    return yield* new Ending({ code: exitCode.stillRunning })
  }
  const { job } = yield* Jobs.ofRun(state.run.job, settings)
  // What is uncertain is not looked for: to cancel it would be to make a batch of it where there is none.
  yield* advance(directory, { settings, steps: { from: "poll", to: "normalize" }, job }).pipe(
    Effect.catchTag("RunLocked", () =>
      Effect.gen(function*() {
        yield* say("Another process holds this run: it sends nothing more, and fetches what was answered.")
        if (settings.json === true) yield* json(Report.json(yield* ledger.state(directory)))
      }))
  )
  if (uncertain > 0) return yield* new Ending({ code: exitCode.failed })
})

/** `llm-batch cancel RUN_DIR` */
export const cancel = Command.make(
  "cancel",
  {
    directory: Options.runDirectory,
    flags: Options.settings(["yes", "json", "no_wait", "poll_interval", "max_wait", "accept_new_key"])
  },
  ({ directory, flags }) =>
    Effect.flatMap(
      Runs.providerOf(directory),
      (provider) => Effect.provide(cancelRun(NodePath.resolve(directory), flags), Pipelines.layer(provider, flags))
    )
)
