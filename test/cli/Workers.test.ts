/**
 * Large results that are normalised in several threads, as processes; they run live, as Processes.ts says.
 *
 * What a thread does is seen by what is loaded before its program: it writes on standard error, or ends the thread.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { appendFileSync, cpSync, existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { lines, questions, start } from "./Processes.js"

const rowsOfShard = 40

/** So long that the results of a shard are worth a thread. */
const longAnswer = "Numbers have no end. ".repeat(23_000)

/** What no provider should send, for a shard: each line is its own row's trouble, or nobody's. */
const oddLines = (own: ReadonlyArray<string>): string => {
  const [first = "", second = ""] = own
  return [
    first,
    second.replaceAll("Numbers have", "Counting has"),
    first.replace(/"custom_id":"[^"]+"/, "\"custom_id\":\"somebody-1\""),
    "{\"custom_id\":",
    `{"deep":${"[".repeat(9_000)}${"]".repeat(9_000)}}`,
    "\u0000",
    ""
  ].join("\n")
}

/** A run whose results were fetched, and are odd; copies of it are normalised. */
const fetched = Effect.fn(function*(shards: number) {
  const started = yield* start({ answer: (): string => longAnswer })
  const { directory, run, write } = started
  write("in.jsonl", questions(shards * rowsOfShard))
  const flags = ["--run-dir", "whole", "--shard-rows", String(rowsOfShard), "--poll-interval", "50ms"]
  const { code, stderr } = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--to-step", "fetch", ...flags])
  assert.strictEqual(code, 0, stderr)
  for (const name of readdirSync(join(directory, "whole/raw/openai"))) {
    const path = join(directory, "whole/raw/openai", name)
    const own = readFileSync(path, "utf8").trimEnd().split("\n")
    appendFileSync(path, oddLines(own))
  }
  const inThread = (script: string) => {
    write("preload.mjs", `import { isMainThread } from "node:worker_threads"\nif (!isMainThread) {${script}}\n`)
    return { env: { ...started.env, NODE_OPTIONS: `--import=${join(directory, "preload.mjs")}` } }
  }
  const copy = (name: string) => cpSync(join(directory, "whole"), join(directory, name), { recursive: true })
  return { ...started, inThread, copy }
})

const saysSo = "(await import(\"node:fs\")).writeSync(2, \"a thread begins\\n\")"

const threadsIn = (stderr: string) => stderr.split("a thread begins").length - 1

describe("large results", () => {
  it.scopedLive("give the same bytes and the same bill in one thread and in several", () =>
    Effect.gen(function*() {
      const { copy, directory, inThread, read, run } = yield* fetched(3)
      const normalized = (name: string, workers: string) =>
        Effect.gen(function*() {
          copy(name)
          const { code, stderr } = yield* run(
            ["normalize", name, "--workers", workers],
            inThread(saysSo)
          )
          assert.strictEqual(code, 0, stderr)
          assert.isFalse(existsSync(join(directory, name, "parts/0001.jsonl.tmp")))
          const files = ["results.jsonl", "failures.jsonl", "anomalies.jsonl"].map((file) => read(`${name}/${file}`))
          const normalized = lines(read(`${name}/journal.jsonl`)).filter(({ _tag }) => _tag === "ShardNormalized")
          const told = normalized.map(({ bill, shard, tally }) => ({ bill, shard, tally }))
          return { threads: threadsIn(stderr), files, told: told.toSorted((a, b) => a.shard < b.shard ? -1 : 1) }
        })
      const { threads: alone, ...inOne } = yield* normalized("one", "0")
      const { threads, ...inSeveral } = yield* normalized("several", "1")
      assert.strictEqual(alone, 0)
      assert.strictEqual(threads, 1)
      assert.isTrue(JSON.stringify(inSeveral) === JSON.stringify(inOne), "they differ")
      assert.lengthOf(inOne.told, 3)
      assert.lengthOf(lines(inOne.files[0] ?? ""), 3 * rowsOfShard)
    }))

  it.scopedLive("are normalised again after a thread has died, has failed or was interrupted", () =>
    Effect.gen(function*() {
      const { copy, directory, inThread, read, run, write } = yield* fetched(2)
      copy("expected")
      assert.strictEqual((yield* run(["normalize", "expected", "--workers", "0"])).code, 0)

      copy("here")
      const died = yield* run(["normalize", "here", "--workers", "1"], inThread("process.exit(7)"))
      assert.strictEqual(died.code, 1, died.stderr)
      assert.include(died.stderr, "A thread that normalised results ended before its time, with code 7")

      const rows = read("here/rows/0002.jsonl")
      write("here/rows/0002.jsonl", rows.slice(0, rows.indexOf("\n") + 1))
      const changed = yield* run(["normalize", "here", "--workers", "1"], inThread(saysSo))
      assert.strictEqual(changed.code, 1, changed.stderr)
      assert.include(changed.stderr, "shard 0002 is not as it was built: it has 1 rows instead of 40")
      write("here/rows/0002.jsonl", rows)

      let interrupts = 0
      const interrupted = yield* run(["normalize", "here", "--workers", "1"], {
        ...inThread(saysSo),
        onStderr: (text, child) => {
          if (threadsIn(text) > 0 && interrupts++ === 0) child.kill("SIGINT")
        }
      })
      assert.strictEqual(interrupted.code, 130, interrupted.stderr)
      assert.isFalse(existsSync(join(directory, "here/results.jsonl")))

      const { code, stderr } = yield* run(["normalize", "here", "--workers", "1"])
      assert.strictEqual(code, 0, stderr)
      assert.isTrue(read("here/results.jsonl") === read("expected/results.jsonl"), "they differ")
      assert.deepStrictEqual(readdirSync(join(directory, "here/parts")), readdirSync(join(directory, "expected/parts")))
    }))
})
