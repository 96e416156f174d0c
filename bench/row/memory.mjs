/**
 * Whether the memory of a whole run grows with its input.
 */
import { rmSync, statfsSync } from "node:fs"
import { join } from "node:path"
import { writePrompts } from "../data/prompts.mjs"
import { megabytes, rows as written, seconds, times } from "../harness/figures.mjs"
import { freshRun, llmBatch, model, replay } from "../harness/stage.mjs"

/** What a run of short rows takes on the disk at its end, for each row. */
const bytesOfRow = 2_500

/** @typedef {import("../harness/stage.mjs").Stage} Stage */

/** @param {Stage} stage @param {number} rows */
const runOf = async (stage, rows) => {
  const { bavail, bsize } = statfsSync(stage.folder)
  if (bavail * bsize < rows * bytesOfRow) {
    throw new Error(`${stage.folder}: ${written(rows)} rows need ${megabytes(rows * bytesOfRow)} of disk`)
  }
  const input = join(stage.folder, "memory.jsonl")
  const directory = freshRun(stage, "memory")
  writePrompts(input, rows)
  const server = await replay("short")
  try {
    const flags = ["--model", model, "--run-dir", directory, "--poll-interval", "100ms", "--yes"]
    return await llmBatch(stage, ["run", input, ...flags], { env: server.env })
  } finally {
    await server.stop()
    rmSync(input)
    rmSync(directory, { recursive: true, force: true })
  }
}

/** @type {import("../harness/stage.mjs").Row} */
export const memory = {
  name: "memory",
  measure: async (stage) => {
    const [less, more] = stage.small
      ? [200, 2_000]
      : stage.huge
      ? [1_000_000, 10_000_000]
      : [100_000, 1_000_000]
    const first = await runOf(stage, less)
    const second = await runOf(stage, more)
    const ratio = second.peak / first.peak
    const highest = Math.max(first.peak, second.peak)
    return [{
      work: `peak memory of a run of ${written(more)} rows`,
      yardstick: `a run of ${written(less)}`,
      goal: "<= 1.15 x, and both <= 200 MB",
      measured: `${times(ratio)}, ${megabytes(highest)}`,
      met: ratio <= 1.15 && highest <= 200_000_000,
      peak: `${megabytes(second.peak)} to ${megabytes(first.peak)}`,
      detail: `${seconds(second.millis)} to ${seconds(first.millis)}; once each`
        + (stage.huge ? "" : "; 10,000,000 rows with --huge")
    }]
  }
}
