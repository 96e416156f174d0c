/**
 * Shards of which nobody knows whether a batch was made, as processes against the emulator; they run live, as
 * Processes.ts says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import { questions, start } from "./Processes.js"

const quick = ["--poll-interval", "50ms"]

/** Creates without an answer, after which nobody can look what became of them. */
const uncertain = (afterSuccess: boolean) =>
  new FaultPlan({
    calls: [
      new CallFault({ route: "POST /v1/batches", kind: "status", status: 500, afterSuccess }),
      new CallFault({ route: "GET /v1/batches", kind: "status", status: 401 })
    ]
  })

const begun = (afterSuccess: boolean, ...flags: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const started = yield* start({ faults: uncertain(afterSuccess) })
    started.write("in.jsonl", questions(4))
    const ended = yield* started.run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", ...flags, ...quick])
    assert.strictEqual(ended.code, 1, ended.stderr)
    yield* started.emulator.setFaults(new FaultPlan())
    return { ...started, ended }
  })

describe("reconcile", () => {
  it.scopedLive("takes up the batch that it is told", () =>
    Effect.gen(function*() {
      const { emulator, run } = yield* begun(true)
      const status = yield* run(["status", "here"])
      assert.include(status.stdout, "not known whether it was submitted")
      assert.include(status.stdout, "Or decide: llm-batch reconcile here\n")
      const [{ id } = { id: "" }] = (yield* emulator.books).batches
      const { code, stderr, stdout } = yield* run(["reconcile", "here", "--adopt", id])
      assert.deepStrictEqual({ code, stderr, stdout }, {
        code: 0,
        stderr: `Batch ${id} is taken up.\nGo on: llm-batch resume here\n`,
        stdout: ""
      })
      const resumed = yield* run(["resume", "here", ...quick])
      assert.strictEqual(resumed.code, 0, resumed.stderr)
      const { totals } = yield* emulator.books
      assert.deepStrictEqual([totals.batches, totals.billed], [1, 4])
    }))

  it.scopedLive("lets a shard be sent again that was not sent", () =>
    Effect.gen(function*() {
      const { emulator, run } = yield* begun(false)
      const { code, stderr } = yield* run(["reconcile", "here", "--resend", "--settle-time", "1s"])
      assert.strictEqual(code, 0, stderr)
      assert.match(stderr, /shard 0001: waiting \S+: a batch that is only now being made would be seen by then\n/)
      assert.include(stderr, "The shard counts as not sent.\nGo on: llm-batch resume here\n")
      assert.strictEqual((yield* emulator.books).totals.batches, 0)
      const resumed = yield* run(["resume", "here", ...quick])
      assert.strictEqual(resumed.code, 0, resumed.stderr)
      assert.strictEqual((yield* emulator.books).totals.batches, 1)
    }))

  it.scopedLive("wants to know which shard is meant, and takes no batch of something else", () =>
    Effect.gen(function*() {
      const { emulator, ended, run } = yield* begun(true, "--shard-rows", "3")
      assert.include(ended.stderr, "\nerror: 2 of 2 shards stopped, as told above.")
      assert.lengthOf(ended.stderr.match(/HTTP 401/g) ?? [], 2)
      const { batches } = yield* emulator.books
      const idOf = (rows: number) => batches.find((batch) => batch.rows === rows)?.id ?? ""
      const which = yield* run(["reconcile", "here", "--adopt", idOf(1)])
      assert.strictEqual(which.code, 2)
      assert.include(which.stderr, "error: here: of several shards it is unknown whether they were sent: 0001, 0002.")
      const wrong = yield* run(["reconcile", "here", "--shard", "0001", "--adopt", idOf(1)])
      assert.strictEqual(wrong.code, 2)
      assert.include(wrong.stderr, `batch ${idOf(1)} counts 1 rows, and shard 0001 counts 3.`)
      const one = yield* run(["reconcile", "here", "--shard", "0001", "--adopt", idOf(3)])
      assert.include(one.stderr, "Of 1 shard it is not known yet whether a batch was made")
      const json = yield* run(["reconcile", "here", "--adopt", idOf(1), "--json"])
      assert.deepInclude(JSON.parse(json.stdout), { status: "running", rows: 4 })
      const resumed = yield* run(["resume", "here", ...quick])
      assert.strictEqual(resumed.code, 0, resumed.stderr)
      assert.strictEqual((yield* emulator.books).totals.batches, 2)
    }))
})

describe("a shard with several candidates", () => {
  it.scopedLive("is told by status, and settled by the results of its candidates", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start({ timeScale: 0 })
      write("in.jsonl", questions(3))
      const begin = (
        directory: string,
        ...flags: ReadonlyArray<string>
      ) => ["run", "in.jsonl", "-m", "claude-haiku-4-5", "--run-dir", directory, ...flags]
      yield* run(begin("other", "--no-wait"))
      yield* emulator.setFaults(new FaultPlan({ loseCreates: 1 }))
      const waiting = yield* run(begin("here", "--settle-time", "100ms"), {
        onStderr: (text, child) => {
          if (/: may be msgbatch_/.test(text) && !child.killed) child.kill("SIGINT")
        }
      })
      assert.strictEqual(waiting.code, 130, waiting.stderr)
      assert.include(waiting.stderr, "Of 1 shard it is not known yet whether a batch was made")
      const status = yield* run(["status", "here"])
      assert.match(status.stdout, /\n {2}0001 {2}- {2}may be msgbatch_\w+ or msgbatch_\w+: their results will tell/)
      yield* emulator.advance("1 hour")
      const { code, stderr } = yield* run(["resume", "here", "--settle-time", "100ms", ...quick])
      assert.strictEqual(code, 0, stderr)
      assert.match(stderr, /shard 0001: its batch msgbatch_\w+ was made before, and is taken up\n/)
      assert.strictEqual((yield* emulator.books).totals.batches, 2)
    }))
})
