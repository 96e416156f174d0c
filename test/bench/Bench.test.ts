/**
 * The benchmark, small: that it works, that its yardsticks write what the program writes, and that a yardstick that
 * writes anything else is found out. Nothing is said of times. The processes and sockets are real.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assertEqualFiles } from "../../bench/harness/equality.mjs"
import { answers } from "../../bench/server/answers.mjs"

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "llm-batch-bench-test-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Runs the benchmark, with its data in this folder. */
const bench = (path: string, args: ReadonlyArray<string>) =>
  Effect.async<{ readonly code: number; readonly stdout: string; readonly stderr: string }>((resume) => {
    const file = fileURLToPath(new URL("../../bench/bench.mjs", import.meta.url))
    const child = execFile(process.execPath, [file, "--folder", path, ...args], (error, stdout, stderr) => {
      resume(Effect.succeed({ code: error === null ? 0 : Number(error.code), stdout, stderr }))
    })
    return Effect.sync(() => child.kill())
  })

/** One row of each kind; the others measure other things in the same way. */
const quickest = ["normalise", "build", "run", "upload", "help", "interrupt"]

/** The first cell of each line of the table, without its head. */
const works = (stdout: string) =>
  stdout.split("\n").filter((line) => line.startsWith("| ")).slice(1).map((line) => line.split("|")[1]?.trim())

it.scopedLive(
  "measures each work against a yardstick that writes the same bytes, and leaves nothing behind",
  () =>
    Effect.gen(function*() {
      const path = yield* folder
      const { code, stderr, stdout } = yield* bench(path, ["--small", ...quickest.flatMap((name) => ["--only", name])])
      assert.strictEqual(code, 0, stderr)
      const expected = [
        /^normalise 2,000 rows, 2 MB of Responses bodies, to input order, one thread$/,
        /^normalise 2,000 rows, 2 MB of Responses bodies, to input order, \d+ threads$/,
        /^build 2,000 rows/,
        /^run 2,000 rows against a replay server$/,
        /^create at Anthropic, 4 MB and 16 MB$/,
        /^upload to OpenAI, 4 MB and 16 MB$/,
        /^--help$/,
        /^SIGINT at \d instants of a run of 2,000 rows$/
      ]
      const found = works(stdout)
      assert.lengthOf(found, expected.length)
      for (const [at, pattern] of expected.entries()) assert.match(found[at] ?? "", pattern)
      assert.deepStrictEqual(readdirSync(path), [])
    }),
  300_000
)

it.scopedLive("takes one row, and names the rows there are when it knows none of that name", () =>
  Effect.gen(function*() {
    const path = yield* folder
    const one = yield* bench(path, ["--small", "--only", "help"])
    assert.deepStrictEqual(works(one.stdout), ["--help"])
    const none = yield* bench(path, ["--small", "--only", "helf"])
    assert.notStrictEqual(none.code, 0)
    assert.include(
      none.stderr,
      "normalise, normalise-chat, build, run, memory, upload, help, looks, journal, interrupt"
    )
  }))

it.scoped("finds the first block in which two files differ", () =>
  Effect.gen(function*() {
    const path = yield* folder
    const [one, other] = [join(path, "one"), join(path, "other")]
    const bytes = Buffer.alloc(2_500_000, "a")
    writeFileSync(one, bytes)
    writeFileSync(other, bytes)
    assertEqualFiles(one, other)
    bytes[1_500_000] = 0x62
    writeFileSync(other, bytes)
    assert.throws(() => assertEqualFiles(one, other), "differ, in the block at byte 1048576")
    writeFileSync(other, bytes.subarray(0, 1_000))
    assert.throws(() => assertEqualFiles(one, other), "differ, in the block at byte 0")
  }))

it("the replayed answers name each row once, out of order, the same each time", () => {
  const rows = Uint32Array.from({ length: 1_000 }, (_, at) => at + 501)
  const text = () => Array.from(answers("responses", "tag", rows), String).join("")
  const ids = text().trimEnd().split("\n").map((line): string => JSON.parse(line).custom_id)
  assert.deepStrictEqual(ids.toSorted(), Array.from(rows, (row) => `tag-${row}`).toSorted())
  assert.notDeepEqual(ids, Array.from(rows, (row) => `tag-${row}`))
  assert.strictEqual(text(), text())
})
