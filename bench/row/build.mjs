/**
 * Rows to shards, as `llm-batch build` makes them.
 */
import { rmSync, statSync } from "node:fs"
import { join } from "node:path"
import { writePrompts } from "../data/prompts.mjs"
import { assertEqualFolders } from "../harness/equality.mjs"
import { megabytes, rows as written, times } from "../harness/figures.mjs"
import { compare, measure } from "../harness/rounds.mjs"
import { freshRun, llmBatch, model, shardFiles, tagOf, yardstick } from "../harness/stage.mjs"

/** The rows of a shard of the yardstick: as many as OpenAI takes. */
export const shardRows = 50_000

/** @type {import("../harness/stage.mjs").Row} */
export const build = {
  name: "build",
  measure: async (stage) => {
    const count = stage.small ? 2_000 : 1_000_000
    const input = join(stage.folder, "build.jsonl")
    const single = join(stage.folder, "build-one.jsonl")
    writePrompts(input, count)
    writePrompts(single, 1)

    /** @param {string} file @param {string} name */
    const ours = async (file, name) => {
      const directory = freshRun(stage, name)
      return [await llmBatch(stage, ["build", file, "--model", model, "--run-dir", directory])]
    }
    /** @param {string} file @param {string} name */
    const loop = async (file, name) => {
      const theirs = freshRun(stage, `${name}-loop`)
      const tag = tagOf(join(stage.folder, name))
      return [await yardstick(stage, "build", [file, theirs, tag, String(shardRows)])]
    }
    const figures = await measure(stage.rounds, {
      ours: { work: () => ours(input, "build"), idle: () => ours(single, "build-one") },
      loop: {
        work: async () => {
          const ended = await loop(input, "build")
          const [one, other] = [join(stage.folder, "build"), join(stage.folder, "build-loop")]
          const names = shardFiles(one).flatMap((name) => [`batch_inputs/openai/${name}`, `rows/${name}`])
          assertEqualFolders(one, other, names)
          return ended
        },
        idle: () => loop(single, "build-one")
      },
      parse: {
        work: async () => [await yardstick(stage, "parse", [input])],
        idle: async () => [await yardstick(stage, "parse", [single])]
      }
    })
    const bytes = statSync(input).size
    for (const name of ["build", "build-one", "build-loop", "build-one-loop"]) {
      rmSync(join(stage.folder, name), { recursive: true })
    }
    for (const path of [input, single]) rmSync(path)
    const { inDetail, ratio } = compare(figures.ours, figures.loop)
    return [{
      work: `build ${written(count)} rows, ${megabytes(bytes)}, into shards`,
      yardstick: "a loop written by hand: parse, check ids, encode, write, sha256",
      goal: "<= 1.20 x",
      measured: times(ratio),
      met: ratio <= 1.2,
      peak: `${megabytes(figures.ours.peak)}, the loop ${megabytes(figures.loop.peak)}`,
      detail: `${inDetail}; the loop is ${times(figures.loop.millis / figures.parse.millis)} parsing alone`
    }]
  }
}
