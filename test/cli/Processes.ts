/**
 * The command line as a process, for tests: the built executable, in a directory of its own, with an environment of its
 * own, against an emulator in this process.
 *
 * These tests run live: processes and sockets have no test clock. They wait for what a process prints and for its end,
 * never for a time; the emulator's time runs fast enough that a batch ends at the first or second look.
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Emulator from "../../src/emulator/Emulator.js"

const executable = fileURLToPath(new URL("../../dist/bin.js", import.meta.url))

/** What a process left behind. */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

/** How a process is started. */
export interface Starting {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  /** Called with all of standard error each time that there is more. */
  readonly onStderr?: (text: string, child: ChildProcess) => void
  /** Nobody reads standard output. */
  readonly unread?: boolean
}

/** Runs `llm-batch` to its end. Of the environment it sees `PATH` and what it is given. */
export const llmBatch = (
  args: ReadonlyArray<string>,
  { cwd, env, onStderr, stdin, unread }: Starting
): Effect.Effect<Ended> =>
  Effect.async((resume) => {
    const child = spawn(process.execPath, [executable, ...args], {
      cwd,
      env: { PATH: process.env.PATH ?? "", ...env },
      stdio: ["pipe", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text
    })
    if (unread === true) child.stdout.destroy()
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text
      onStderr?.(stderr, child)
    })
    child.stdin.on("error", () => undefined)
    child.stdin.end(stdin ?? "")
    child.on("close", (code, signal) => resume(Effect.succeed({ code, signal, stdout, stderr })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** An empty directory for the length of the scope. */
export const workspace = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "llm-batch-cli-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** An empty directory, and an emulator that a process in it reaches by its environment. */
export const start = (settings: Emulator.Settings = {}) =>
  Effect.gen(function*() {
    const directory = yield* workspace
    const emulator = yield* Emulator.make({ timeScale: 2_000, ...settings })
    const env = {
      OPENAI_API_KEY: "sk-canary-openai",
      OPENAI_BASE_URL: emulator.openAiBaseUrl,
      ANTHROPIC_API_KEY: "sk-canary-anthropic",
      ANTHROPIC_BASE_URL: emulator.anthropicBaseUrl
    }
    return {
      emulator,
      directory,
      env,
      write: (name: string, text: string) => writeFileSync(join(directory, name), text),
      read: (name: string) => readFileSync(join(directory, name), "utf8"),
      run: (args: ReadonlyArray<string>, starting: Partial<Starting> = {}) =>
        llmBatch(args, { cwd: directory, env, ...starting })
    }
  })

/** Questions as JSON Lines, `q1` and so on. */
export const questions = (count: number): string =>
  Array.from({ length: count }, (_, at) => `{"id":"q${at + 1}","prompt":"What is ${at + 1} + 1?"}\n`).join("")

/** The objects of a file of JSON Lines. */
export const lines = (text: string) =>
  text.trimEnd().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))

/** The run directory of the results whose path a process printed. */
export const runOf = ({ stdout }: Ended): string => dirname(stdout.trim())
