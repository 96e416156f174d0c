/**
 * What the executable loads before it does what it is asked: V8 tells it in the coverage that a process leaves behind.
 * The parts of the bundle name the modules that they are made of.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { lines, llmBatch, workspace } from "./Processes.js"

/** What V8 leaves behind. */
interface Coverage {
  readonly result: ReadonlyArray<{ readonly url: string }>
}

/** The packages whose code the executable loads for these arguments, and the size of all that it loads. */
const loading = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const cwd = yield* workspace
    const coverage = join(cwd, "coverage")
    yield* llmBatch(args, { cwd, env: { NODE_V8_COVERAGE: coverage } })
    const urls = readdirSync(coverage).flatMap((name) => {
      const [report]: ReadonlyArray<Coverage> = lines(readFileSync(join(coverage, name), "utf8"))
      return report?.result.map(({ url }) => url) ?? []
    })
    const texts = urls.filter((url) => url.startsWith("file:")).map((url) => readFileSync(fileURLToPath(url), "utf8"))
    assert.isAbove(texts.length, 0)
    const packages = texts.flatMap((text) =>
      [...text.matchAll(/^ *\/\/ node_modules\/((?:@[^/\n]+\/)?[^/\n]+)/gm)].map(([, name]) => name)
    )
    return { packages: new Set(packages), bytes: texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0) }
  })

describe("the start", () => {
  it.scopedLive("loads next to nothing for the help of all and for the version", () =>
    Effect.gen(function*() {
      for (const args of [["--help"], [], ["--version"]]) {
        const { bytes, packages } = yield* loading(...args)
        assert.deepStrictEqual([...packages], [])
        assert.isBelow(bytes, 50_000)
      }
    }))

  it.scopedLive("loads what a command needs, and not what others do", () =>
    Effect.gen(function*() {
      const status = yield* loading("status", "nowhere")
      assert.includeMembers([...status.packages], ["effect", "@effect/cli"])
      for (const name of ["openai", "@anthropic-ai/sdk", "gpt-tokenizer", "ajv", "papaparse", "yauzl"]) {
        assert.isFalse(status.packages.has(name), name)
      }
      const run = yield* loading("run", "--help")
      assert.includeMembers([...run.packages], ["effect", "papaparse"])
      for (const name of ["openai", "@anthropic-ai/sdk", "gpt-tokenizer"]) {
        assert.isFalse(run.packages.has(name), name)
      }
    }))
})
