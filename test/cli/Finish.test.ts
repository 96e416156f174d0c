/**
 * Runs that are brought to their end through the synchronous API, as processes against the emulator; they run live, as
 * Processes.ts says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { ChildProcess } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import { lines, llmBatch, questions, start } from "./Processes.js"

const quick = ["--poll-interval", "50ms"]

const providers = [
  { model: "gpt-5-mini", name: "openai", route: "POST /v1/responses" },
  { model: "claude-haiku-4-5", name: "anthropic", route: "POST /v1/messages" }
]

const flagsFor = (model: string) => ["-m", model, "--max-tokens", "500", "--run-dir", "here", ...quick]

/** The answers of a run to `questions`. */
const answersIn = (directory: string) =>
  lines(readFileSync(join(directory, "here/results.jsonl"), "utf8")).map(({ custom_id, error, response }) => [
    custom_id,
    error?.outcome ?? response.body.choices[0].message.content
  ])

const rightAnswers = (count: number) => Array.from({ length: count }, (_, at) => [`q${at + 1}`, String(at + 2)])

/** Something that happens once standard error says something, each in its turn. */
const onceSaid = (...steps: ReadonlyArray<readonly [says: RegExp, then: Effect.Effect<void>]>) =>
  Effect.gen(function*() {
    const signs = yield* Effect.forEach(steps, ([says, then]) =>
      Effect.gen(function*() {
        const said = yield* Deferred.make<void>()
        yield* Effect.forkScoped(Effect.zipRight(Deferred.await(said), then))
        return { said, says }
      }))
    return (text: string) => {
      for (const { said, says } of signs) if (says.test(text)) Deferred.unsafeDone(said, Effect.void)
    }
  })

describe("run --finish sync", () => {
  for (const { model, name } of providers) {
    it.scopedLive(
      `with a deadline cancels the batches at ${name}, keeps what they answered, and asks the rest`,
      () =>
        Effect.gen(function*() {
          const { directory, emulator, run, write } = yield* start({ timeScale: 0 })
          write("in.jsonl", questions(20))
          const flags = [...flagsFor(model), "--shard-rows", "11", "--no-wait"]
          const left = yield* run(["run", "in.jsonl", ...flags])
          assert.strictEqual(left.code, 4, left.stderr)
          yield* emulator.advance("55 seconds")
          // Counted from the beginning of the run: it is over soon after the batches are waited for, or was before.
          const finish = ["--finish", "sync", "--deadline", "1s"]
          const onStderr = yield* onceSaid([/ cancelling\n[^]* cancelling\n/, emulator.advance("1 minute")])
          const { code, stderr } = yield* run(["resume", "here", ...finish, ...quick], { onStderr })
          assert.strictEqual(code, 0, stderr)
          assert.match(
            stderr,
            /Z batch \w+ \(shard 0001\) has not ended in time and is cancelled: what it has answered /
          )
          assert.match(stderr, /Z asking one by one for \d+ rows \(attempt 2\)\n/)
          assert.deepStrictEqual(answersIn(directory), rightAnswers(20))
          const { batches, totals } = yield* emulator.books
          assert.lengthOf(batches, 2)
          // Some rows were answered by the batches, others one by one, and none by both.
          assert.isAbove(totals.billed, 0)
          assert.isAbove(totals.directCalls, 0)
          assert.strictEqual(totals.billed + totals.directCalls, 20)
        }),
      60_000
    )

    it.scopedLive(`asks for the rows that expired at ${name}`, () =>
      Effect.gen(function*() {
        const { directory, emulator, run, write } = yield* start({ faults: new FaultPlan({ expireRows: 0.3 }) })
        write("in.jsonl", questions(40))
        const { code, stderr, stdout } = yield* run(
          ["run", "in.jsonl", ...flagsFor(model), "--finish", "sync", "--json"]
        )
        assert.strictEqual(code, 0, stderr)
        assert.deepInclude(JSON.parse(stdout).tally, { rows: 40, succeeded: 40, expired: 0, retryable: 0 })
        assert.deepStrictEqual(answersIn(directory), rightAnswers(40))
        const { totals } = yield* emulator.books
        assert.isAbove(totals.directCalls, 0)
        assert.deepInclude(totals, { batches: 1, billed: 40 - totals.directCalls })
        const status = yield* run(["status", "here"])
        assert.match(status.stdout, /\n {2}0001 {2}attempt 1 {2}\w+ +done \(expired\)/)
        assert.match(status.stdout, /\n {2}0002 {2}attempt 2 {2}- +done +(\d+) of \1 rows answered/)
      }))

    it.scopedLive(`is killed while ${name} is asked for the rest, and resumed`, () =>
      Effect.gen(function*() {
        let child: ChildProcess | undefined
        let asked = 0
        const { directory, emulator, run, write } = yield* start({
          faults: new FaultPlan({
            expireRows: 1,
            calls: providers.map(({ route }) => new CallFault({ route, kind: "hang", afterSuccess: true, skip: 4 }))
          }),
          answer: () => {
            // Rows that expire are not answered. Two are under way: the answers of four are on disk.
            if (++asked === 6) child?.kill("SIGKILL")
            return undefined
          }
        })
        write("in.jsonl", questions(9))
        const flags = [...flagsFor(model), "--finish", "sync", "--max-concurrent-requests", "2"]
        const killed = yield* run(["run", "in.jsonl", ...flags], {
          onStderr: (_, running) => {
            child = running
          }
        })
        assert.strictEqual(killed.signal, "SIGKILL", killed.stderr)
        assert.strictEqual((yield* emulator.books).totals.directCalls, 6)
        yield* emulator.setFaults(new FaultPlan())
        const resumed = yield* run(["resume", "here"])
        assert.strictEqual(resumed.code, 0, resumed.stderr)
        assert.deepStrictEqual(answersIn(directory), rightAnswers(9))
        // Those two are asked twice.
        assert.deepInclude((yield* emulator.books).totals, { batches: 1, billed: 0, directCalls: 11 })
      }))
  }

  it.scopedLive("is killed while its batches are being cancelled, and resumed", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start({ timeScale: 0 })
      write("in.jsonl", questions(10))
      yield* run(["run", "in.jsonl", ...flagsFor("gpt-5-mini"), "--no-wait"])
      yield* emulator.advance("55 seconds")
      const finish = ["--finish", "sync", "--deadline", "1s", ...quick]
      const killed = yield* run(["resume", "here", ...finish], {
        onStderr: (text, child) => {
          if (/ cancelling\n/.test(text)) child.kill("SIGKILL")
        }
      })
      assert.strictEqual(killed.signal, "SIGKILL", killed.stderr)
      yield* emulator.advance("1 minute")
      const { code, stderr } = yield* run(["resume", "here", ...finish])
      assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(answersIn(directory), rightAnswers(10))
      const { totals } = yield* emulator.books
      assert.isAbove(totals.billed, 0)
      assert.deepInclude(totals, { batches: 1, directCalls: 10 - totals.billed })
    }))

  it.scopedLive("is not begun by a cancellation", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start({ timeScale: 0 })
      write("in.jsonl", questions(6))
      yield* run(["run", "in.jsonl", ...flagsFor("gpt-5-mini"), "--finish", "sync", "--no-wait"])
      const made = yield* Deferred.make<void>()
      const waiting = yield* Effect.fork(run(["resume", "here", ...quick], {
        onStderr: (text) => {
          if (text.includes("validating") || text.includes("in progress")) Deferred.unsafeDone(made, Effect.void)
        }
      }))
      yield* emulator.advance("55 seconds")
      yield* Deferred.await(made)
      assert.strictEqual((yield* run(["cancel", "here"])).code, 0)
      yield* emulator.advance("1 minute")
      const ended = yield* Fiber.join(waiting)
      assert.strictEqual(ended.code, 3, ended.stderr)
      const again = yield* run(["resume", "here", "--finish", "sync", "--deadline", "0s"])
      assert.strictEqual(again.code, 3, again.stderr)
      const { totals } = yield* emulator.books
      assert.deepInclude(totals, { batches: 1, directCalls: 0 })
      assert.isTrue(answersIn(directory).some(([, answer]) => answer === "cancelled"))
    }))
})

describe("resume --finish sync", () => {
  it.scopedLive("--deadline 0s brings a run to its end now that was begun without", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start({ timeScale: 0 })
      write("in.jsonl", questions(10))
      const left = yield* run(["run", "in.jsonl", ...flagsFor("claude-haiku-4-5"), "--no-wait"])
      assert.strictEqual(left.code, 4, left.stderr)
      yield* emulator.advance("45 seconds")
      const onStderr = yield* onceSaid([/ cancelling\n/, emulator.advance("1 minute")])
      const { code, stderr } = yield* run(["resume", "here", "--finish", "sync", "--deadline", "0s", ...quick], {
        onStderr
      })
      assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(answersIn(directory), rightAnswers(10))
      const { totals } = yield* emulator.books
      assert.isAbove(totals.billed, 0)
      assert.deepInclude(totals, { batches: 1, directCalls: 10 - totals.billed })
    }))

  it.scopedLive("asks for what expired in a run that is finished", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start({ faults: new FaultPlan({ expireRows: 0.3 }) })
      write("in.jsonl", questions(20))
      assert.strictEqual((yield* run(["run", "in.jsonl", ...flagsFor("gpt-5-mini")])).code, 3)
      const { code, stderr } = yield* run(["resume", "here", "--finish", "sync"])
      assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(answersIn(directory), rightAnswers(20))
      assert.strictEqual((yield* emulator.books).totals.batches, 1)
    }))
})

describe("--deadline", () => {
  it.scopedLive(
    "that is over before a batch is made has every row asked at once, and is kept with the run",
    () =>
      Effect.gen(function*() {
        const { directory, emulator, run, write } = yield* start()
        write("in.jsonl", questions(3))
        const flags = [...flagsFor("gpt-5-mini"), "--finish", "sync", "--deadline", "0s"]
        const { code, stderr } = yield* run(["run", "in.jsonl", ...flags])
        assert.strictEqual(code, 0, stderr)
        assert.match(stderr, /Z shard 0001: never sent\n/)
        assert.include(stderr, "finished, 3 single requests and 1 never sent, in ")
        assert.deepInclude((yield* emulator.books).totals, { batches: 0, directCalls: 3 })
        assert.include(readFileSync(join(directory, "here/config.yaml"), "utf8"), "\nfinish: sync\ndeadline: 0ms\n")
      }),
    60_000
  )

  it.scopedLive("and --finish are refused where they make no sense", () =>
    Effect.gen(function*() {
      const { directory, write } = yield* start()
      write("in.jsonl", questions(1))
      for (
        const [flags, message] of [
          [["--deadline", "6h"], "error: --deadline says when the rows are finished: give --finish sync with it.\n"],
          [["--finish", "sync", "--deadline", "soon"], "--deadline: found the string \"soon\". It must be a time with"],
          [["--finish", "batch"], "--finish: found the string \"batch\". It must be sync."]
        ] as const
      ) {
        const { code, stderr } = yield* llmBatch(["run", "in.jsonl", "-m", "gpt-5-mini", ...flags], { cwd: directory })
        assert.strictEqual(code, 2, stderr)
        assert.include(stderr, message)
      }
    }))
})
