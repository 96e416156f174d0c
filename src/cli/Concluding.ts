/**
 * How a ready-made job ends on the command line: its outputs are written, and it is told what came of it.
 */
import * as Effect from "effect/Effect"
import * as NodePath from "node:path"
import * as Answers from "../Answers.js"
import type { JobOfRun } from "../job/Job.js"
import * as Ledger from "../Ledger.js"
import type { RunConfig } from "../RunConfig.js"
import type { RunState } from "../RunState.js"
import { Ending } from "./Ending.js"
import { exitCode } from "./ExitCode.js"
import { NotConcluded } from "./NotConcluded.js"
import { Output } from "./Output.js"
import * as Report from "./Report.js"
import * as Summary from "./Summary.js"

const ofFinished = (job: JobOfRun, state: RunState) =>
  Effect.catchTag(job.conclude({ state }), "InputError", ({ message }) =>
    new NotConcluded({
      message: `${message} The run is finished, and has its answers. When that is put right, conclude it: ${
        Report.command("resume", state.directory)
      }`
    }))

/** Writes the outputs of a job whose run is finished, or that had nothing to ask, and tells of them. */
export const conclude = Effect.fn("cli.conclude")(
  function*(job: JobOfRun, state: RunState | null, { json, output }: RunConfig) {
    const terminal = yield* Output
    const conclusion = yield* state === null ? job.conclude(null) : ofFinished(job, state)
    const copied = state !== null && output !== undefined
    if (copied) {
      const format = yield* Answers.formatOf(output)
      yield* Effect.provide(Answers.write(state.directory, format, NodePath.resolve(output)), Ledger.layer)
    }
    if (json === true) {
      yield* terminal.json({
        ...(state === null ? {} : Report.json(state)),
        job: { name: job.name, files: conclusion.files, ...conclusion.report }
      })
    } else {
      if (state !== null) yield* terminal.say(`${Summary.summary(Report.reportOf(state))}\n`)
      for (const line of conclusion.lines) yield* terminal.say(Report.local(line))
      if (copied) yield* terminal.say(`Answers: ${output}`)
      const [file] = conclusion.files
      if (file !== undefined) yield* terminal.data(file)
    }
    if (!conclusion.complete) return yield* new Ending({ code: exitCode.rowsUnanswered })
  }
)
