/** The README's programs do what it says, as programs: built, and run against the emulator over real sockets. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { build } from "esbuild"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Emulator, layer } from "../src/emulator/Emulator.js"
import { FaultPlan } from "../src/emulator/FaultPlan.js"

const root = Path.resolve(import.meta.dirname, "..")

/** A working directory with the input that the examples read. */
const workingDirectory = Effect.acquireRelease(
  Effect.sync(() => {
    const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "llm-batch-example-"))
    const rows = ["What is 1 + 1?", "What is 2 + 2?", "What is 3 + 3?"].map((prompt) => JSON.stringify({ prompt }))
    Fs.writeFileSync(Path.join(directory, "prompts.jsonl"), `${rows.join("\n")}\n`)
    return directory
  }),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true }))
)

/** Builds an example beside the project's packages, with `llm-batch` as users get it, and runs it. */
const run = (name: string, cwd: string, baseUrl: string | undefined) =>
  Effect.promise(async () => {
    const outfile = Path.join(root, "node_modules", ".cache", "llm-batch-programs", `${name}.mjs`)
    await build({
      entryPoints: [Path.join(root, "examples", `${name}.ts`)],
      outfile,
      bundle: true,
      format: "esm",
      platform: "node",
      packages: "external",
      alias: {
        "llm-batch/PlainPromise": Path.join(root, "dist", "PlainPromise.js"),
        "llm-batch": Path.join(root, "dist", "index.js")
      },
      logLevel: "silent"
    })
    return await new Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((resolve) => {
      execFile(
        process.execPath,
        [outfile],
        {
          cwd,
          env: {
            PATH: process.env["PATH"],
            ...(baseUrl === undefined ? {} : { OPENAI_API_KEY: "key", OPENAI_BASE_URL: baseUrl })
          }
        },
        (error, stdout, stderr) => resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr })
      )
    })
  })

describe("the README's programs", () => {
  it.scopedLive("run the whole pipeline in ten lines", () =>
    Effect.gen(function*() {
      const { openAiBaseUrl } = yield* Emulator
      const directory = yield* workingDirectory
      const { code, stderr, stdout } = yield* run("pipeline", directory, openAiBaseUrl)
      assert.strictEqual(code, 0, stderr)
      assert.match(stdout, /^3 of 3 rows answered: .*results\.jsonl\n$/)
    }).pipe(Effect.provide(layer({ timeScale: 3600 }))))

  it.scopedLive("wrap one stage, and hear of a batch that expires", () =>
    Effect.gen(function*() {
      const { openAiBaseUrl } = yield* Emulator
      const directory = yield* workingDirectory
      const { code, stderr, stdout } = yield* run("wrapped-stage", directory, openAiBaseUrl)
      assert.strictEqual(code, 0, stderr)
      assert.match(stdout, /^batch_\w+ expired: 0 rows answered\n0 of 3 rows answered: .*results\.jsonl\n$/)
    }).pipe(
      Effect.provide(
        layer({ timeScale: 3600, faults: new FaultPlan({ expireBatches: 1, expireBatchesAnswered: 0 }) })
      )
    ))

  it.scopedLive("give typed answers in one call", () =>
    Effect.gen(function*() {
      const { openAiBaseUrl } = yield* Emulator
      const directory = yield* workingDirectory
      const { code, stderr, stdout } = yield* run("batch", directory, openAiBaseUrl)
      assert.strictEqual(code, 0, stderr)
      assert.match(stdout, /^(?:spam|ham)\n(?:spam|ham)\n$/)
    }).pipe(Effect.provide(layer({ timeScale: 3600 }))))

  it.scopedLive("give them as a promise, with the key from .env", () =>
    Effect.gen(function*() {
      const { openAiBaseUrl } = yield* Emulator
      const directory = yield* workingDirectory
      Fs.writeFileSync(Path.join(directory, ".env"), `OPENAI_API_KEY=key\nOPENAI_BASE_URL=${openAiBaseUrl}\n`)
      const { code, stderr, stdout } = yield* run("promise", directory, undefined)
      assert.strictEqual(code, 0, stderr)
      assert.match(stdout, /^(?:spam|ham)\n(?:spam|ham)\n$/)
    }).pipe(Effect.provide(layer({ timeScale: 3600 }))))

  it.scopedLive("feed one step on another's answers, and go on when they are started again", () =>
    Effect.gen(function*() {
      const { books, openAiBaseUrl } = yield* Emulator
      const directory = yield* workingDirectory
      const first = yield* run("steps", directory, openAiBaseUrl)
      assert.strictEqual(first.code, 0, first.stderr)
      assert.strictEqual(first.stdout, "3 judged, 2 written anew\n")
      const batches = (yield* books).batches.length
      assert.strictEqual(batches, 3)
      const second = yield* run("steps", directory, openAiBaseUrl)
      assert.deepStrictEqual([second.code, second.stdout], [0, first.stdout])
      assert.strictEqual((yield* books).batches.length, batches)
    }).pipe(Effect.provide(layer({
      timeScale: 3600,
      answer: ({ prompt }) =>
        prompt.startsWith("Is this a good answer?")
          ? JSON.stringify({ verdict: prompt.includes("two") ? "good" : "bad", reason: "so it seems" })
          : prompt === "What is 1 + 1?"
          ? "two"
          : "a number"
    }))))
})
