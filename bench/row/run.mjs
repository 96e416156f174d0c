/**
 * A whole run, from the input to `results.jsonl`, against a server that replays answers in a process of its own.
 */
import { rmSync } from "node:fs"
import { join } from "node:path"
import { writePrompts } from "../data/prompts.mjs"
import { assertEqualFiles } from "../harness/equality.mjs"
import { megabytes, rows as written, seconds, times } from "../harness/figures.mjs"
import { compare, measure } from "../harness/rounds.mjs"
import { emptyFolder, freshRun, llmBatch, model, replay, yardstick } from "../harness/stage.mjs"
import { shardRows } from "./build.mjs"

/** @type {import("../harness/stage.mjs").Row} */
export const wholeRun = {
  name: "run",
  measure: async (stage) => {
    const count = stage.small ? 2_000 : 500_000
    const input = join(stage.folder, "run.jsonl")
    const single = join(stage.folder, "run-one.jsonl")
    writePrompts(input, count)
    writePrompts(single, 1)
    const server = await replay("responses")
    /** Milliseconds of each loop, round by round. @type {Array<string>} */
    const parts = []

    /** @param {string} file @param {string} name */
    const ours = async (file, name) => {
      const flags = ["--model", model, "--run-dir", freshRun(stage, name), "--poll-interval", "100ms", "--yes"]
      return [await llmBatch(stage, ["run", file, ...flags], { env: server.env })]
    }
    /** @param {string} file @param {string} name */
    const loops = async (file, name) => {
      const directory = emptyFolder(stage, `${name}-loop`)
      return [
        await yardstick(stage, "build", [file, directory, "tag0000000", String(shardRows)]),
        await yardstick(stage, "transfer", [server.url, directory]),
        await yardstick(stage, "normalise", [directory, join(directory, "results.jsonl")])
      ]
    }
    try {
      const figures = await measure(stage.rounds, {
        ours: { work: () => ours(input, "run"), idle: () => ours(single, "run-one") },
        loops: {
          work: async () => {
            const ended = await loops(input, "run")
            assertEqualFiles(join(stage.folder, "run/results.jsonl"), join(stage.folder, "run-loop/results.jsonl"))
            parts.push(ended.map(({ millis }) => seconds(millis)).join(" + "))
            return ended
          },
          idle: () => loops(single, "run-one")
        }
      })
      const { inDetail, ratio } = compare(figures.ours, figures.loops)
      return [{
        work: `run ${written(count)} rows against a replay server`,
        yardstick: "the loops that build and normalise, and a bare transfer",
        goal: "<= 1.50 x",
        measured: times(ratio),
        met: ratio <= 1.5,
        peak: `${megabytes(figures.ours.peak)}, the loops ${megabytes(figures.loops.peak)}`,
        detail: `${inDetail}; build + transfer + normalise: ${parts.at(-1)}`
      }]
    } finally {
      await server.stop()
      for (const name of ["run", "run-one", "run-loop", "run-one-loop"]) {
        rmSync(join(stage.folder, name), { recursive: true, force: true })
      }
      for (const path of [input, single]) rmSync(path)
    }
  }
}
