/**
 * `llm-batch cancel RUN_DIR`: asks the provider to stop, then brings what was answered by then.
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as NodePath from "node:path"
import * as Ledger from "../../Ledger.js"
import { Pipeline } from "../../Pipeline.js"
import type { RunConfig } from "../../RunConfig.js"
import { advance, confirm } from "../Advance.js"
import { Ending, exitCode } from "../Ending.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Pipelines from "../Pipelines.js"
import * as Report from "../Report.js"
import { providerOf } from "./Resume.js"

const cancelRun = Effect.fn(function*(directory: string, settings: RunConfig) {
  const { interactive, json, say } = yield* Output
  const ledger = yield* Ledger.Ledger
  const pipeline = yield* Pipeline
  const state = yield* ledger.state(directory)
  const live = Report.live(state)
  const uncertain = Report.uncertain(state).length
  if (uncertain > 0) {
    const look = `${Report.command("resume", directory)} --to-step submit`
    yield* say(`${Report.doubt(uncertain)} What it finds or makes can be cancelled then: ${look}`)
  }
  if (live.length === 0) {
    if (uncertain === 0) {
      yield* say(`No batch of this run is running at ${state.run.provider}: there is nothing to cancel.`)
    }
    if (settings.json === true) yield* json(Report.json(state))
    return uncertain === 0 ? undefined : yield* new Ending({ code: exitCode.failed })
  }
  const batches = Report.count(live.length, "batch", "batches")
  if (interactive && settings.yes !== true && settings.json !== true) {
    const rows = live.reduce((sum, { shard }) => sum + shard.rows, 0)
    const question = `Cancel ${batches} with ${Report.count(rows, "row")} at ${state.run.provider}?`
    if (!(yield* confirm(`${question} What was answered is kept.`))) {
      return yield* new Ending({ code: exitCode.failed })
    }
  }
  for (const { id, providerStatus } of yield* pipeline.cancel(directory)) yield* say(`${id}: ${providerStatus}`)
  if (settings.no_wait === true) {
    yield* say(`Fetch what was answered: ${Report.command("resume", directory)}`)
    if (settings.json === true) yield* json(Report.json(yield* ledger.state(directory)))
    return yield* new Ending({ code: exitCode.stillRunning })
  }
  return yield* advance(directory, { settings, steps: { from: "poll", to: "normalize" } }).pipe(
    Effect.catchTag("RunLocked", () =>
      Effect.gen(function*() {
        yield* say("Another process holds this run: it fetches what was answered.")
        if (settings.json === true) yield* json(Report.json(yield* ledger.state(directory)))
      }))
  )
})

/** `llm-batch cancel RUN_DIR` */
export const cancel = Command.make(
  "cancel",
  {
    directory: Options.runDirectory,
    flags: Options.settings(["yes", "json", "no_wait", "poll_interval", "max_wait"])
  },
  ({ directory, flags }) =>
    Effect.flatMap(
      providerOf(directory),
      (provider) => Effect.provide(cancelRun(NodePath.resolve(directory), flags), Pipelines.layer(provider, flags))
    )
).pipe(Command.withDescription("Asks the provider to stop the batches of a run, and brings what was answered by then"))
