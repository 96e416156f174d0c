/**
 * Raw results to `results.jsonl` in input order: the stage `Normalize` and the merge, as `llm-batch normalize` runs them.
 */
import { rmSync, statSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { writePrompts } from "../data/prompts.mjs"
import { assertEqualFiles } from "../harness/equality.mjs"
import { megabytes, rows as written, times } from "../harness/figures.mjs"
import { compare, measure } from "../harness/rounds.mjs"
import { freshRun, llmBatch, model, replay, shardFiles, yardstick } from "../harness/stage.mjs"

/** @typedef {import("../harness/stage.mjs").Stage} Stage */
/** @typedef {import("../server/answers.mjs").Form} Form */
/** @typedef {import("../harness/rounds.mjs").Figures} Figures */

/**
 * A run whose results were fetched, and not yet normalised.
 *
 * @param {Stage} stage
 * @param {Form} form
 * @param {string} name
 * @param {number} rows
 */
const fetchedRun = async (stage, form, name, rows) => {
  const directory = freshRun(stage, name)
  const input = `${directory}.input.jsonl`
  writePrompts(input, rows)
  const server = await replay(form)
  try {
    const flags = ["--model", model, "--run-dir", directory, "--to-step", "fetch", "--poll-interval", "100ms", "--yes"]
    await llmBatch(stage, ["run", input, ...flags], { env: server.env })
  } finally {
    await server.stop()
    rmSync(input)
  }
  return directory
}

/** @param {string} directory */
const rawFiles = (directory) => shardFiles(directory).map((name) => join(directory, "raw/openai", name))

/** How the command line is told how many threads to take beside its own. */
const workersFlag = "--workers"

/** @param {Stage} stage @param {Form} form @param {string} title */
const measureForm = async (stage, form, title) => {
  const count = stage.small ? 2_000 : 200_000
  const whole = await fetchedRun(stage, form, `normalise-${form}`, count)
  const one = await fetchedRun(stage, form, `normalise-${form}-one`, 1)
  const threads = Math.max(2, availableParallelism())
  const expected = join(stage.folder, "expected.jsonl")

  /** @param {ReadonlyArray<string>} flags */
  const ours = (flags) => ({
    work: async () => [await llmBatch(stage, ["normalize", whole, ...flags])],
    idle: async () => [await llmBatch(stage, ["normalize", one, ...flags])]
  })
  const checked = {
    work: async () => {
      const ended = await yardstick(stage, "normalise", [whole, expected])
      assertEqualFiles(join(whole, "results.jsonl"), expected)
      return [ended]
    },
    idle: async () => [await yardstick(stage, "normalise", [one, expected])]
  }
  const parse = {
    work: async () => [await yardstick(stage, "parse", rawFiles(whole))],
    idle: async () => [await yardstick(stage, "parse", rawFiles(one))]
  }
  const figures = await measure(stage.rounds, {
    ours: ours([workersFlag, "0"]),
    loop: checked,
    threads: ours([workersFlag, String(threads - 1)]),
    again: checked,
    parse
  })
  const bytes = rawFiles(whole).reduce((sum, path) => sum + statSync(path).size, 0)
  for (const directory of [whole, one]) rmSync(directory, { recursive: true })
  rmSync(expected)

  const work = `normalise ${written(count)} rows, ${megabytes(bytes)} of ${title}, to input order`
  const honest = `the loop is ${times(figures.loop.millis / figures.parse.millis)} parsing alone`
  /** @param {Figures} measured @param {string} how @param {number} goal */
  const figure = (measured, how, goal) => {
    const compared = compare(measured, figures.loop)
    return {
      work: `${work}, ${how}`,
      yardstick: "a loop written by hand: two passes, parse, normalise, stringify, write",
      goal: `<= ${times(goal)}`,
      measured: times(compared.ratio),
      met: compared.ratio <= goal,
      peak: `${megabytes(measured.peak)}, the loop ${megabytes(figures.loop.peak)}`,
      detail: `${compared.inDetail}; ${honest}`
    }
  }
  return [
    figure(figures.ours, "one thread", 1.2),
    figure(figures.threads, `${threads} threads`, 0.7)
  ]
}

/** @type {import("../harness/stage.mjs").Row} */
export const normaliseResponses = {
  name: "normalise",
  measure: (stage) => measureForm(stage, "responses", "Responses bodies")
}

/** @type {import("../harness/stage.mjs").Row} */
export const normaliseChat = {
  name: "normalise-chat",
  measure: (stage) => measureForm(stage, "chat", "Chat Completions bodies")
}
