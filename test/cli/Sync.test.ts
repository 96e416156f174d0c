/**
 * Rows that are asked one by one, as processes against the emulator; they run live, as Processes.ts says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { ChildProcess } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { AnswerRequest } from "../../src/emulator/Answer.js"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import { lines, llmBatch, questions, start } from "./Processes.js"

const quick = ["--poll-interval", "50ms"]

const providers = [
  { model: "gpt-5-mini", name: "openai", route: "POST /v1/responses" },
  { model: "claude-haiku-4-5", name: "anthropic", route: "POST /v1/messages" }
]

/** What somebody wants of results: whose they are, what the answer is, and whether there is one. */
const answersOf = (text: string) =>
  lines(text).map(({ custom_id, error, response }) => [custom_id, response.body.choices[0].message.content, error])

/** An emulator that notes what the model is asked for, and at each question may do something to whoever asks. */
const watched = (
  onQuestion: (asked: ReadonlyArray<string>, child: ChildProcess | undefined) => void = () => undefined
) =>
  Effect.gen(function*() {
    const asked: Array<string> = []
    let child: ChildProcess | undefined
    const started = yield* start({
      timeScale: 20_000,
      answer: ({ prompt }: AnswerRequest) => {
        asked.push(prompt)
        onQuestion(asked, child)
        return undefined
      }
    })
    const watching = (_: string, running: ChildProcess) => {
      child = running
    }
    return { ...started, asked, watching }
  })

/** The questions that were asked more than once. */
const twice = (asked: ReadonlyArray<string>) => asked.filter((one, at) => asked.indexOf(one) !== at)

/** What became of each row of a run. */
const outcomesIn = (directory: string) =>
  lines(readFileSync(join(directory, "results.jsonl"), "utf8")).map(({ error }) => error?.outcome ?? "succeeded")

const threeOfSix = ["succeeded", "succeeded", "succeeded", "cancelled", "cancelled", "cancelled"]

/** After so many answers, a question is answered and paid for, and its answer never arrives. */
const silentAfter = (route: string, answers: number) =>
  new FaultPlan({ calls: [new CallFault({ route, kind: "hang", afterSuccess: true, skip: answers })] })

describe("run --mode sync", () => {
  for (const { model, name, route } of providers) {
    it.scopedLive(
      `gives by ${name} what a batch gives, in the same form and order, without a batch`,
      () =>
        Effect.gen(function*() {
          const { directory, emulator, run, write } = yield* start()
          write("in.jsonl", questions(12))
          const flags = ["in.jsonl", "-m", model, "--max-tokens", "500", ...quick]
          const batch = yield* run(["run", ...flags, "--run-dir", "batch"])
          assert.strictEqual(batch.code, 0, batch.stderr)
          const before = (yield* emulator.books).totals
          const sync = yield* run(["run", ...flags, "--run-dir", "sync", "--mode", "sync"])
          assert.strictEqual(sync.code, 0, sync.stderr)
          assert.strictEqual(sync.stdout, `${join(directory, "sync/results.jsonl")}\n`)
          assert.match(sync.stderr, new RegExp(`\\n${name}, ${model}: finished, 12 single requests in \\d+s\\n`))

          const { calls, totals } = yield* emulator.books
          assert.strictEqual(totals.batches, before.batches)
          assert.strictEqual(totals.directCalls, 12)
          assert.deepStrictEqual(calls[route], { "200": 12 })
          const read = (path: string) => readFileSync(join(directory, path), "utf8")
          const answers = answersOf(read("sync/results.jsonl"))
          assert.deepStrictEqual(answers[0], ["q1", "2", null])
          assert.deepStrictEqual(answers, answersOf(read("batch/results.jsonl")))
          assert.strictEqual(
            read(`sync/batch_inputs/${name}/0001.jsonl`).length,
            read(`batch/batch_inputs/${name}/0001.jsonl`).length
          )
          assert.strictEqual(read("sync/failures.jsonl"), "")
          assert.include(read("sync/config.yaml"), "\nmode: sync\n")

          const status = yield* run(["status", "sync", "--json"])
          const { batches: [shard], tally } = JSON.parse(status.stdout)
          assert.deepInclude(shard, { mode: "sync", batch_id: null, status: "asked row by row", ending: "completed" })
          assert.deepStrictEqual(tally, JSON.parse((yield* run(["status", "batch", "--json"])).stdout).tally)
          const told = yield* run(["status", "sync"])
          assert.match(told.stdout, /\n {2}0001 {2}- {2}done {2}12 of 12 rows answered/)
          assert.strictEqual((yield* run(["clean", "sync"])).stdout, "")
        }),
      60_000
    )

    it.scopedLive(
      `is killed while ${name} is asked, and resumed without asking again for what it has`,
      () =>
        Effect.gen(function*() {
          const { asked, directory, emulator, run, watching, write } = yield* watched((asked, child) => {
            // Four are under way: the answers of eight are on disk.
            if (asked.length === 12) child?.kill("SIGKILL")
          })
          write("in.jsonl", questions(20))
          yield* emulator.setFaults(silentAfter(route, 8))
          const flags = ["--mode", "sync", "--max-concurrent-requests", "4", "--max-tokens", "500"]
          const killed = yield* run(["run", "in.jsonl", "-m", model, "--run-dir", "here", ...flags], {
            onStderr: watching
          })
          assert.strictEqual(killed.signal, "SIGKILL", killed.stderr)
          const status = yield* run(["status", "here"])
          assert.match(status.stdout, /\n {2}0001 {2}- {2}being asked, row by row {2}20 rows\n/)
          assert.include(status.stdout, "\nGo on with it: llm-batch resume here\n")

          yield* emulator.setFaults(new FaultPlan())
          const resumed = yield* run(["resume", "here"])
          assert.strictEqual(resumed.code, 0, resumed.stderr)
          assert.strictEqual(asked.length, 24)
          assert.lengthOf(twice(asked), 4)
          const results = lines(readFileSync(join(directory, "here/results.jsonl"), "utf8"))
          assert.deepStrictEqual(
            results.map((line) => [line.custom_id, line.response.body.choices[0].message.content]),
            Array.from({ length: 20 }, (_, at) => [`q${at + 1}`, String(at + 2)])
          )
          const again = yield* run(["resume", "here"])
          assert.deepStrictEqual([again.code, asked.length], [0, 24])
        }),
      60_000
    )
  }

  it.scopedLive("is interrupted, says how to go on, and goes on", () =>
    Effect.gen(function*() {
      const { asked, emulator, run, watching, write } = yield* watched((asked, child) => {
        if (asked.length === 5) child?.kill("SIGINT")
      })
      write("in.jsonl", questions(10))
      yield* emulator.setFaults(silentAfter("POST /v1/responses", 4))
      const flags = ["--mode", "sync", "--max-concurrent-requests", "1"]
      const left = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", ...flags], {
        onStderr: watching
      })
      assert.strictEqual(left.code, 130, left.stderr)
      assert.strictEqual(left.stdout, "")
      assert.include(left.stderr, "\nInterrupted. No batch is known to be running at openai.\n")
      assert.include(left.stderr, "\nGo on:   llm-batch resume here\n")
      yield* emulator.setFaults(new FaultPlan())
      const resumed = yield* run(["resume", "here", "--json"])
      assert.strictEqual(resumed.code, 0, resumed.stderr)
      const report = JSON.parse(resumed.stdout)
      assert.deepInclude(report, { status: "finished", rows: 10 })
      assert.strictEqual(report.tally.succeeded, 10)
      assert.deepStrictEqual([asked.length, twice(asked).length], [11, 1])
    }))

  it.scopedLive("keeps to the requests of a minute that it is allowed", () =>
    Effect.gen(function*() {
      const { asked, run, write } = yield* watched()
      write("in.jsonl", questions(4))
      const flags = ["--mode", "sync", "--max-concurrent-requests", "1", "--requests-per-minute", "3"]
      const left = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", ...flags], {
        onStderr: (text, child) => {
          if (text.includes("waiting ") && !child.killed) child.kill("SIGINT")
        }
      })
      assert.strictEqual(left.code, 130, left.stderr)
      assert.match(left.stderr, /Z waiting (?:1m 00s|5\ds): as many requests or tokens as are allowed were used /)
      assert.lengthOf(asked, 3)
      const resumed = yield* run(["resume", "here", "--requests-per-minute", "3"])
      assert.strictEqual(resumed.code, 0, resumed.stderr)
      assert.deepStrictEqual([asked.length, twice(asked).length], [4, 0])
    }))

  it.scopedLive(
    "is cancelled beside the process that asks, and what was answered by then is kept",
    () =>
      Effect.gen(function*() {
        const { asked, directory, run, write } = yield* watched()
        write("in.jsonl", questions(6))
        const waits = yield* Deferred.make<void>()
        const flags = ["--mode", "sync", "--max-concurrent-requests", "1", "--requests-per-minute", "3"]
        const running = yield* Effect.fork(run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", ...flags], {
          onStderr: (text) => {
            if (text.includes("Z waiting ")) Deferred.unsafeDone(waits, Effect.void)
          }
        }))
        yield* Deferred.await(waits)
        const cancelled = yield* run(["cancel", "here"])
        assert.strictEqual(cancelled.code, 0, cancelled.stderr)
        assert.include(cancelled.stderr, "Another process holds this run: it sends nothing more, ")
        const ended = yield* Fiber.join(running)
        assert.strictEqual(ended.code, 3, ended.stderr)
        assert.deepStrictEqual(outcomesIn(join(directory, "here")), threeOfSix)
        assert.lengthOf(asked, 3)
      }),
    60_000
  )

  it.scopedLive(
    "is cancelled when nobody runs it any more, without a key, and asked again by retry alone",
    () =>
      Effect.gen(function*() {
        const { asked, directory, run, write } = yield* watched()
        write("in.jsonl", questions(6))
        const flags = ["--mode", "sync", "--max-concurrent-requests", "1", "--requests-per-minute", "3"]
        const left = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", ...flags], {
          onStderr: (text, child) => {
            if (text.includes("Z waiting ")) child.kill("SIGKILL")
          }
        })
        assert.strictEqual(left.signal, "SIGKILL", left.stderr)
        const cancelled = yield* llmBatch(["cancel", "here"], { cwd: directory })
        assert.strictEqual(cancelled.code, 3, cancelled.stderr)
        assert.deepStrictEqual(outcomesIn(join(directory, "here")), threeOfSix)
        assert.strictEqual((yield* run(["resume", "here"])).code, 3)
        assert.lengthOf(asked, 3)
        const retried = yield* run(["retry", "here"])
        assert.strictEqual(retried.code, 0, retried.stderr)
        assert.deepStrictEqual([asked.length, twice(asked).length], [6, 0])
      }),
    60_000
  )

  it.scopedLive("is cancelled before anything was asked", () =>
    Effect.gen(function*() {
      const { directory, run, write } = yield* start()
      write("in.jsonl", questions(2))
      yield* run(["build", "in.jsonl", "-m", "gpt-5-mini", "--mode", "sync", "--run-dir", "here"])
      const { code, stderr } = yield* llmBatch(["cancel", "here"], { cwd: directory })
      assert.strictEqual(code, 3, stderr)
      assert.match(stderr, /\n {2}cancelled +2\n/)
    }))
})

describe("the mode", () => {
  it.scopedLive(
    "auto takes the batch API above the threshold, and the synchronous one up to it",
    () =>
      Effect.gen(function*() {
        const { emulator, run, write } = yield* start()
        write("three.jsonl", questions(3))
        write("four.jsonl", questions(4))
        const flags = ["-m", "gpt-5-mini", "--mode", "auto", "--batch-threshold", "3", ...quick]
        const few = yield* run(["run", "three.jsonl", ...flags])
        assert.strictEqual(few.code, 0, few.stderr)
        assert.include(few.stderr, "finished, 3 single requests in ")
        assert.deepInclude((yield* emulator.books).totals, { batches: 0, directCalls: 3 })
        const many = yield* run(["run", "four.jsonl", ...flags])
        assert.strictEqual(many.code, 0, many.stderr)
        assert.include(many.stderr, "finished, 1 batch in ")
        assert.deepInclude((yield* emulator.books).totals, { batches: 1, directCalls: 3 })
        const forced = yield* run(["run", "three.jsonl", ...flags, "--use-batch-api"])
        assert.strictEqual(forced.code, 0, forced.stderr)
        assert.deepInclude((yield* emulator.books).totals, { batches: 2, directCalls: 3 })
      }),
    60_000
  )

  it.scopedLive("of a configuration file gives way to a flag", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start()
      write("in.jsonl", questions(2))
      write("sync.yaml", "input: in.jsonl\nmodel: gpt-5-mini\nmode: sync\n")
      write("batch.yaml", "input: in.jsonl\nmodel: gpt-5-mini\nuse_batch_api: true\n")
      assert.strictEqual((yield* run(["run", "--config", "sync.yaml", "--use-batch-api", ...quick])).code, 0)
      assert.deepInclude((yield* emulator.books).totals, { batches: 1, directCalls: 0 })
      assert.strictEqual((yield* run(["run", "--config", "batch.yaml", "--mode", "sync"])).code, 0)
      assert.deepInclude((yield* emulator.books).totals, { batches: 1, directCalls: 2 })
      const refused = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--mode", "sync", "--use-batch-api"])
      assert.strictEqual(refused.code, 2)
      assert.include(refused.stderr, "error: --use-batch-api and --mode sync contradict each other. Keep one.\n")
    }))

  it.scopedLive("sync is built by a dry run, and asked by resume", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start()
      write("in.jsonl", questions(3))
      const dry = yield* llmBatch(
        ["run", "in.jsonl", "-m", "gpt-5-mini", "--mode", "sync", "--dry-run", "--run-dir", "here"],
        { cwd: directory }
      )
      assert.strictEqual(dry.code, 0, dry.stderr)
      assert.include(dry.stderr, "3 rows built as 3 single requests, and nothing was sent\n")
      assert.include(dry.stderr, "\nSend them: llm-batch resume here\n")
      const resumed = yield* run(["resume", "here"])
      assert.strictEqual(resumed.code, 0, resumed.stderr)
      assert.deepInclude((yield* emulator.books).totals, { batches: 0, directCalls: 3 })
    }))

  it.scopedLive("sync waits for its answers: what says otherwise is refused", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start()
      write("in.jsonl", questions(3))
      const flags = ["in.jsonl", "-m", "gpt-5-mini", "--no-wait"]
      for (const contradiction of [["--mode", "sync"], ["--try", "1"]]) {
        const { code, stderr } = yield* run(["run", ...flags, ...contradiction])
        assert.strictEqual(code, 2, stderr)
        assert.match(stderr, /^error: --no-wait /)
      }
      // Where the number of rows decides, it is said that nothing was sent.
      const few = yield* run(["run", ...flags, "--mode", "auto", "--run-dir", "here"])
      assert.strictEqual(few.code, 0, few.stderr)
      assert.include(few.stderr, "3 rows built as 3 single requests, and nothing was sent\n")
      assert.deepInclude((yield* emulator.books).totals, { batches: 0, directCalls: 0 })
      assert.strictEqual((yield* run(["resume", "here"])).code, 0)
      assert.deepInclude((yield* emulator.books).totals, { batches: 0, directCalls: 3 })
    }))
})
