/**
 * How many requests it takes to look at many batches in flight: a run of as many rows, each a batch of its own, at a
 * server that holds them, in whose list the batches of others are older.
 */
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { writePrompts } from "../data/prompts.mjs"
import { rows as written, seconds } from "../harness/figures.mjs"
import { freshRun, llmBatch, model, replay } from "../harness/stage.mjs"

const goal = 12
const fullRounds = 3

/** @param {string} directory */
const submitted = (directory) => {
  try {
    return readFileSync(join(directory, "journal.jsonl"), "utf8").split("\"BatchCreated\"").length - 1
  } catch {
    // The run has not begun yet.
    return 0
  }
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 50))

/** @type {import("../harness/stage.mjs").Row} */
export const looks = {
  name: "looks",
  measure: async (stage) => {
    const batches = stage.small ? 10 : 1_000
    const input = join(stage.folder, "looks.jsonl")
    const directory = freshRun(stage, "looks")
    writePrompts(input, batches)
    const server = await replay("short")
    /** @returns {Promise<ReadonlyArray<number>>} */
    const roundsSoFar = async () => JSON.parse(await server.ask("rounds"))
    try {
      await server.ask("hold")
      const flags = ["--model", model, "--run-dir", directory, "--shard-rows", "1", "--poll-interval", "500ms", "--yes"]
      let over = false
      const running = llmBatch(stage, ["run", input, ...flags], { env: server.env }).finally(() => {
        over = true
      })
      while (!over && submitted(directory) < batches) await pause()
      const first = (await roundsSoFar()).length
      while (!over && (await roundsSoFar()).length < first + fullRounds + 1) await pause()
      // The round in which the last batch came, and the one that is under way, are not whole.
      const rounds = (await roundsSoFar()).slice(first, -1)
      await server.ask("release")
      const { millis, peak } = await running
      const most = Math.max(...rounds)
      return [{
        work: `look at ${written(batches)} batches in flight, ours the newest`,
        yardstick: "requests a round",
        goal: `<= ${goal}`,
        measured: String(most),
        met: most <= goal,
        peak: `${(peak / 1_000_000).toFixed(0)} MB`,
        detail: `rounds of ${rounds.join(", ")}; ${seconds(millis)} in all`
      }]
    } finally {
      await server.stop()
      rmSync(input)
      rmSync(directory, { recursive: true, force: true })
    }
  }
}
