/**
 * What every row of the table works with.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { executable, program, run, serve } from "./programs.mjs"

/**
 * @typedef {object} Stage
 * @property {string} folder a folder for data, which is removed at the end
 * @property {number} rounds
 * @property {boolean} small whether to show only that it works
 * @property {boolean} huge whether to take what needs half an hour and 20 GB
 */

/** @typedef {import("./table.mjs").Figure} Figure */

/**
 * One row of the table, or several that share their data.
 *
 * @typedef {object} Row
 * @property {string} name for `--only`
 * @property {(stage: Stage) => Promise<ReadonlyArray<Figure>>} measure
 */

/** An empty folder of a stage. @param {Stage} stage @param {string} name */
export const emptyFolder = ({ folder }, name) => {
  const path = join(folder, name)
  rmSync(path, { recursive: true, force: true })
  mkdirSync(path, { recursive: true })
  return path
}

/** A run directory's name in a folder that is emptied. @param {Stage} stage @param {string} name */
export const freshRun = ({ folder }, name) => {
  const path = join(folder, name)
  rmSync(path, { recursive: true, force: true })
  return path
}

export const model = "gpt-5-mini"

/** The files of a run's shards. @param {string} directory */
export const shardFiles = (directory) => readdirSync(join(directory, "rows")).toSorted()

/** The tag in a run's wire ids. @param {string} directory */
export const tagOf = (directory) => {
  const { run_tag: tag } = JSON.parse(readFileSync(join(directory, "manifest.json"), "utf8"))
  if (typeof tag === "string") return tag
  throw new Error(`${directory}: its manifest names no tag`)
}

/**
 * Runs the command line.
 *
 * @param {Stage} stage
 * @param {ReadonlyArray<string>} args
 * @param {Partial<import("./programs.mjs").Starting>} [starting]
 */
export const llmBatch = ({ folder }, args, starting) => run([executable, ...args], { cwd: folder, ...starting })

/**
 * Runs a yardstick.
 *
 * @param {Stage} stage
 * @param {string} name
 * @param {ReadonlyArray<string>} args
 */
export const yardstick = ({ folder }, name, args) => run([program(`yardstick/${name}.mjs`), ...args], { cwd: folder })

/**
 * Starts the server that replays answers.
 *
 * @param {import("../server/answers.mjs").Form} form
 * @param {ReadonlyArray<string>} [flags]
 */
export const replay = async (form, flags = []) => {
  const server = await serve([program("server/replay.mjs"), form, ...flags], "\n")
  const url = server.printed.trim()
  return { ...server, url, env: { OPENAI_API_KEY: "sk-bench", OPENAI_BASE_URL: `${url}/v1` } }
}
