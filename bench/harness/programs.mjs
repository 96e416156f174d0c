/**
 * Programs in processes of their own: those that are measured, and servers beside them.
 */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

/**
 * What a program did.
 *
 * @typedef {object} Ended
 * @property {number} millis from its start to its end
 * @property {number} peak bytes
 * @property {number} cpuMillis of all its threads
 * @property {string} stdout
 */

/**
 * @typedef {object} Starting
 * @property {string} cwd
 * @property {Readonly<Record<string, string>>} [env]
 * @property {ReadonlyArray<string>} [preloads] names of modules beside this one
 * @property {boolean} [bare] measures the time alone, without any preload
 */

/** @param {string} path from this folder */
const file = (path) => fileURLToPath(new URL(path, import.meta.url))

/** The built command line. */
export const executable = file("../../dist/bin.js")

/** A program of the benchmark, by its path in `bench/`. @param {string} name */
export const program = (name) => file(`../${name}`)

/** @type {Set<import("node:child_process").ChildProcess>} */
const alive = new Set()

process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL")
})

/** Nothing that is measured ever reaches a provider: nobody listens there. */
const nowhere = { OPENAI_BASE_URL: "http://127.0.0.1:9/v1", ANTHROPIC_BASE_URL: "http://127.0.0.1:9" }

let reports = 0

/**
 * Runs a program to its end; anything but success is an error with what it said.
 *
 * @param {ReadonlyArray<string>} args a file and its arguments
 * @param {Starting} starting
 * @returns {Promise<Ended>}
 */
export const run = (args, { bare = false, cwd, env, preloads = [] }) =>
  new Promise((resolve, reject) => {
    const report = join(cwd, `report-${++reports}.json`)
    const imports = bare ? [] : ["preload.mjs", ...preloads].flatMap((name) => ["--import", file(name)])
    const began = performance.now()
    const child = spawn(process.execPath, [...imports, ...args], {
      cwd,
      env: { PATH: process.env.PATH ?? "", ...nowhere, LLM_BATCH_BENCH_REPORT: report, ...env },
      stdio: ["ignore", "pipe", "pipe"]
    })
    alive.add(child)
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr = (stderr + text).slice(-4_000)
    })
    let millis = 0
    child.on("exit", () => {
      millis = performance.now() - began
      alive.delete(child)
    })
    child.on("error", reject)
    child.on("close", (code, signal) => {
      if (code !== 0) return reject(new Error(`${args.join(" ")}: ended with ${code ?? signal}\n${stdout}${stderr}`))
      const measured = bare ? { peak: 0, cpuMillis: 0 } : JSON.parse(readFileSync(report, "utf8"))
      resolve({ millis, stdout, ...measured })
    })
  })

/**
 * Starts a program, and interrupts it after a while, as Ctrl-C does.
 *
 * @param {ReadonlyArray<string>} args a file and its arguments
 * @param {Pick<Starting, "cwd" | "env">} starting
 * @param {number} after milliseconds
 * @param {string} notice what it answers
 * @returns {Promise<{ answered: number, ended: number } | undefined>} milliseconds from the signal; `undefined` when it
 *   was over before
 */
export const interrupt = (args, { cwd, env }, after, notice) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd,
      env: { PATH: process.env.PATH ?? "", ...nowhere, ...env },
      stdio: ["ignore", "ignore", "pipe"]
    })
    alive.add(child)
    let sent = Number.NaN
    let answered = Number.NaN
    const timer = setTimeout(() => {
      sent = performance.now()
      child.kill("SIGINT")
    }, after)
    let stderr = ""
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text
      if (Number.isNaN(answered) && stderr.includes(notice)) answered = performance.now() - sent
    })
    child.on("error", reject)
    child.on("close", () => {
      clearTimeout(timer)
      alive.delete(child)
      const ended = performance.now() - sent
      // A process that has not begun to listen is ended by the signal itself.
      resolve(Number.isNaN(sent) ? undefined : { answered: Number.isNaN(answered) ? ended : answered, ended })
    })
  })

/**
 * A server in a process of its own.
 *
 * @typedef {object} Server
 * @property {string} printed what it printed when it was ready
 * @property {(message: string) => Promise<string>} ask sends a message, and waits for the answer
 * @property {() => Promise<void>} stop
 */

/**
 * Starts a server, and waits until what it has printed ends in `ready`.
 *
 * @param {ReadonlyArray<string>} args
 * @param {string} ready
 * @returns {Promise<Server>}
 */
export const serve = (args, ready) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit", "ipc"] })
    alive.add(child)
    const ended = new Promise((end) => {
      child.on("exit", (code) => {
        alive.delete(child)
        reject(new Error(`${args.join(" ")}: ended with ${code} before it served`))
        end(undefined)
      })
    })
    let printed = ""
    child.stdout?.setEncoding("utf8").on("data", (text) => {
      printed += text
      if (!printed.endsWith(ready)) return
      resolve({
        printed,
        ask: (message) =>
          new Promise((answered) => {
            child.once("message", (answer) => answered(JSON.stringify(answer)))
            child.send(message)
          }),
        stop: async () => {
          child.kill()
          await ended
        }
      })
    })
  })
