/**
 * How long the command line takes to start.
 */
import { times } from "../harness/figures.mjs"
import { run } from "../harness/programs.mjs"
import { compare, measure } from "../harness/rounds.mjs"
import { llmBatch } from "../harness/stage.mjs"

/** @type {import("../harness/stage.mjs").Row} */
export const help = {
  name: "help",
  measure: async (stage) => {
    // They are short, so that more of them cost little.
    const figures = await measure(stage.small ? 1 : 5 * stage.rounds, {
      ours: { work: async () => [await llmBatch(stage, ["--help"], { bare: true })] },
      bare: { work: async () => [await run(["-e", "0"], { cwd: stage.folder, bare: true })] }
    })
    const { inDetail, ratio } = compare(figures.ours, figures.bare)
    return [{
      work: "--help",
      yardstick: "node -e 0",
      goal: "<= 2.50 x",
      measured: times(ratio),
      met: ratio <= 2.5,
      peak: "",
      detail: inDetail
    }]
  }
}
