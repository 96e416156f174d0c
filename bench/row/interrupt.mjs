/**
 * How long SIGINT waits for its answer, at instants spread over a whole run: while rows are read, built, counted, sent,
 * looked at, fetched, normalised and merged.
 */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { writePrompts } from "../data/prompts.mjs"
import { median, rows as written, seconds } from "../harness/figures.mjs"
import { executable, interrupt } from "../harness/programs.mjs"
import { freshRun, llmBatch, model, replay } from "../harness/stage.mjs"

/** @typedef {{ readonly at: number, readonly answered: number, readonly ended: number }} Answer */

/** @param {ReadonlyArray<number>} numbers */
const longest = (numbers) => numbers.reduce((most, one) => Math.max(most, one), 0)

/** @type {import("../harness/stage.mjs").Row} */
export const interrupts = {
  name: "interrupt",
  measure: async (stage) => {
    const [count, instants] = stage.small ? [2_000, 3] : [60_000, 20]
    const input = join(stage.folder, "interrupt.jsonl")
    writePrompts(input, count)
    const server = await replay("responses")
    const args = () => {
      const flags = ["--model", model, "--run-dir", freshRun(stage, "interrupt"), "--poll-interval", "100ms", "--yes"]
      return ["run", input, ...flags]
    }
    try {
      const whole = await llmBatch(stage, args(), { env: server.env, bare: true })
      /** @type {Array<Answer>} */
      const answers = []
      for (let instant = 0; instant < instants; instant++) {
        const at = (instant + 0.5) / instants
        const starting = { cwd: stage.folder, env: server.env }
        const answer = await interrupt([executable, ...args()], starting, at * whole.millis, "Stopping")
        if (answer !== undefined) answers.push({ at, ...answer })
      }
      const waits = answers.map(({ answered }) => answered)
      const slowest = longest(waits)
      const end = longest(answers.map(({ ended }) => ended))
      const late = answers.filter(({ answered }) => answered > 100).map(({ answered, at }) =>
        `${seconds(answered)} at ${(at * 100).toFixed(0)} %`
      )
      return [{
        work: `SIGINT at ${answers.length} instants of a run of ${written(count)} rows`,
        yardstick: "until it is answered, and until it has ended",
        goal: "<= 100 ms, and <= 1 s",
        measured: `${seconds(slowest)}, ${seconds(end)}`,
        met: slowest <= 100 && end <= 1_000,
        peak: "",
        detail: [`median ${seconds(median(waits))}`, ...(late.length === 0 ? [] : [`late: ${late.join(", ")}`])].join(
          "; "
        )
      }]
    } finally {
      await server.stop()
      rmSync(input)
      freshRun(stage, "interrupt")
    }
  }
}
