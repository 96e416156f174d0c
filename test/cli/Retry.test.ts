/**
 * Rows that are asked again, as processes against the emulator; they run live, as Processes.ts says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import { lines, questions, start } from "./Processes.js"

const quick = ["--poll-interval", "50ms"]

const ids = (count: number) => Array.from({ length: count }, (_, at) => `q${at + 1}`)

/** Rows that fail once, and are answered when they are asked again. */
const failingOnce = new FaultPlan({ errorRows: 0.2, expireRows: 0.2, rowFaultAttempts: 1 })

describe("retry", () => {
  it.scopedLive("asks again for the rows that it can help, and merges what comes in input order", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start({ faults: failingOnce })
      write("in.jsonl", questions(40))
      const first = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", ...quick])
      assert.strictEqual(first.code, 3, first.stderr)
      const failed = lines(readFileSync(join(directory, "here/failures.jsonl"), "utf8")).length
      assert.isAbove(failed, 0)
      assert.include(first.stderr, `\nAsk again for ${failed} rows: llm-batch retry here\n`)

      const { code, stderr, stdout } = yield* run(["retry", "here", ...quick])
      assert.strictEqual(code, 0, stderr)
      assert.include(stderr, `Z asking again for ${failed} rows (attempt 2)\n`)
      assert.match(stderr, new RegExp(`\\n {2}attempts +2 {2}${failed} requests repeated\\n`))
      assert.match(stderr, /\n {2}answered +40 {2}100\.0 %\n/)
      assert.strictEqual(stdout, `${join(directory, "here/results.jsonl")}\n`)
      const results = lines(readFileSync(stdout.trim(), "utf8"))
      assert.deepStrictEqual(results.map((line) => line.custom_id), ids(40))
      assert.isTrue(results.every((line) => line.error === null))
      assert.strictEqual((yield* emulator.books).totals.billed, 40)

      const status = yield* run(["status", "here"])
      assert.match(status.stdout, /\n {2}0001 {2}attempt 1 {2}batch_\w+ {2}done/)
      assert.match(status.stdout, /\n {2}0002 {2}attempt 2 {2}batch_\w+ {2}done/)
      const again = yield* run(["retry", "here"])
      assert.strictEqual(again.code, 0)
      assert.include(again.stderr, "Every row is answered: there is nothing to ask again.\n")
      assert.strictEqual((yield* emulator.books).totals.batches, 2)
    }))

  it.scopedLive("says of missing rows that they may be charged twice, and where odd lines are", () =>
    Effect.gen(function*() {
      const { directory, run, write } = yield* start({
        faults: new FaultPlan({ dropRows: 0.1, duplicateRows: 0.2, rowFaultAttempts: 1 })
      })
      write("in.jsonl", questions(40))
      const first = yield* run(["run", "in.jsonl", "-m", "claude-haiku-4-5", "--run-dir", "here", ...quick])
      assert.strictEqual(first.code, 3, first.stderr)
      const missing = lines(readFileSync(join(directory, "here/failures.jsonl"), "utf8")).length
      assert.isAbove(missing, 1)
      assert.include(
        first.stderr,
        `\nAsk again for ${missing} rows: llm-batch retry here\n`
          + `${missing} of them were missing from the results, and may be charged twice.\n`
      )
      assert.include(first.stderr, "\n  anomalies  here/anomalies.jsonl\n")
      assert.isTrue(existsSync(join(directory, "here/anomalies.jsonl")))
      const { code, stderr } = yield* run(["retry", "here", ...quick])
      assert.strictEqual(code, 0, stderr)
      assert.include(
        stderr,
        `asking again for ${missing} rows (attempt 2); ${missing} of them were missing and may be charged twice\n`
      )
    }))

  it.scopedLive("is left and taken up as any run is", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start({ faults: failingOnce })
      write("in.jsonl", questions(40))
      yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", ...quick])
      const left = yield* run(["retry", "here", "--no-wait"])
      assert.strictEqual(left.code, 4, left.stderr)
      const early = yield* run(["retry", "here"])
      assert.strictEqual(early.code, 2)
      assert.strictEqual(
        early.stderr,
        "error: here: this run is not finished. Finish it first, by: llm-batch resume here.\n"
      )
      const resumed = yield* run(["resume", "here", ...quick])
      assert.strictEqual(resumed.code, 0, resumed.stderr)
      const results = lines(readFileSync(join(directory, "here/results.jsonl"), "utf8"))
      assert.deepStrictEqual(results.map((line) => line.custom_id), ids(40))
      assert.strictEqual((yield* emulator.books).totals.batches, 2)
    }))

  it.scopedLive("does not ask again what was invalid", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start({
        faults: new FaultPlan({ errorRows: 1, errorKind: "invalid_request" })
      })
      write("in.jsonl", questions(3))
      yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", "--retries", "2", ...quick])
      const { code, stderr } = yield* run(["retry", "here"])
      assert.strictEqual(code, 3)
      assert.include(stderr, "Asking again helps none of the rows without an answer: here/failures.jsonl\n")
      assert.strictEqual((yield* emulator.books).totals.batches, 1)
    }))
})

describe("run --retries", () => {
  it.scopedLive("asks again by itself, as often as was said", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start({ faults: failingOnce })
      write("in.jsonl", questions(40))
      const flags = ["-m", "gpt-5-mini", "--run-dir", "here", "--retries", "1"]
      const { code, stderr } = yield* run(["run", "in.jsonl", ...flags, ...quick])
      assert.strictEqual(code, 0, stderr)
      assert.match(stderr, /asking again for \d+ rows \(attempt 2\)\n/)
      assert.include(readFileSync(join(directory, "here/config.yaml"), "utf8"), "\nretries: 1\n")
      assert.strictEqual((yield* emulator.books).totals.batches, 2)
      assert.strictEqual((yield* emulator.books).totals.billed, 40)
    }))

  it.scopedLive("ends with 3 when rows fail each time, and resume may ask once more", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start({ faults: new FaultPlan({ errorRows: 1 }) })
      write("in.jsonl", questions(2))
      const flags = ["-m", "gpt-5-mini", "--run-dir", "here", "--retries", "2"]
      const { code, stderr } = yield* run(["run", "in.jsonl", ...flags, ...quick])
      assert.strictEqual(code, 3, stderr)
      assert.strictEqual((yield* emulator.books).totals.batches, 3)
      assert.strictEqual((yield* run(["resume", "here", ...quick])).code, 3)
      assert.strictEqual((yield* emulator.books).totals.batches, 3)
      assert.strictEqual((yield* run(["resume", "here", "--retries", "3", ...quick])).code, 3)
      assert.strictEqual((yield* emulator.books).totals.batches, 4)
    }))
})

describe("--settle-time", () => {
  /** Creates that fail without a batch: what became of them is only known after the settle time. */
  const unanswered = new FaultPlan({ calls: [new CallFault({ route: "POST /v1/batches", kind: "reset", first: 1 })] })

  it.scopedLive("is how long run, submit and retry wait before they send again", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start()
      write("in.jsonl", questions(2))
      const settle = ["--settle-time", "100ms"]
      const sends = (...args: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          yield* emulator.setFaults(unanswered)
          const { stderr } = yield* run([...args, ...settle])
          assert.match(stderr, /shard \d+: trying again: openai: create /, args[0])
          // What the default waits.
          assert.notMatch(stderr, /: waiting (1m|\d\d)/, args[0])
          yield* emulator.setFaults(new FaultPlan())
        })
      yield* sends("run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "one", ...quick)
      yield* run(["build", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "two"])
      yield* sends("submit", "two")
      yield* emulator.setFaults(new FaultPlan({ errorRows: 1 }))
      yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "three", ...quick])
      yield* sends("retry", "three", ...quick)
      const { duplicates, totals } = yield* emulator.books
      assert.strictEqual(totals.batches, 4)
      assert.deepStrictEqual(duplicates, [])
    }))
})
