/**
 * Rows that are tried before the rest is sent: as processes against the emulator, which run live as Processes.ts says, and
 * in this process where somebody has to answer a question.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Pipeline } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { advance } from "../../src/cli/Advance.js"
import { Output } from "../../src/cli/Output.js"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import * as World from "../World.js"
import { lines, questions, start } from "./Processes.js"

const quick = ["--poll-interval", "50ms"]

const ids = (text: string) => lines(text).map(({ custom_id, error }) => [custom_id, error])

describe("run --try", () => {
  for (const [model, name] of [["gpt-5-mini", "openai"], ["claude-haiku-4-5", "anthropic"]] as const) {
    it.scopedLive(
      `asks the first rows at once by ${name}, shows their answers, and sends the rest as a batch`,
      () =>
        Effect.gen(function*() {
          const { directory, emulator, run, write } = yield* start()
          write("in.jsonl", questions(8))
          const flags = ["-m", model, "--max-tokens", "500", "--run-dir", "here", "--try", "3"]
          const { code, stderr, stdout } = yield* run(["run", "in.jsonl", ...flags, ...quick])
          assert.strictEqual(code, 0, stderr)
          assert.strictEqual(stdout, `${join(directory, "here/results.jsonl")}\n`)
          const shown = stderr.indexOf("\n3 rows were tried:\n\n# q1\n2\n\n# q2\n3\n\n# q3\n4\n")
          assert.isAbove(shown, 0, stderr)
          assert.isAbove(stderr.search(/batch \w+ made, 5 rows\n/), shown)
          assert.include(stderr, "finished, 3 single requests and 1 batch in ")
          assert.deepInclude((yield* emulator.books).totals, { batches: 1, rows: 5, directCalls: 3 })
          assert.deepStrictEqual(
            ids(readFileSync(stdout.trim(), "utf8")),
            ["q1", "q2", "q3", "q4", "q5", "q6", "q7", "q8"].map((id) => [id, null])
          )
          assert.include(readFileSync(join(directory, "here/config.yaml"), "utf8"), "\ntry: 3\n")
          const again = yield* run(["resume", "here"])
          assert.deepStrictEqual([again.code, again.stderr.includes("tried")], [0, false])
          assert.deepInclude((yield* emulator.books).totals, { batches: 1, rows: 5, directCalls: 3 })
        }),
      60_000
    )
  }

  it.scopedLive("says what was wrong with a row, and goes on where nobody can be asked", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start({
        faults: new FaultPlan({
          calls: [new CallFault({ route: "POST /v1/responses", kind: "status", status: 400, first: 1 })]
        })
      })
      write("in.jsonl", questions(3))
      const flags = ["-m", "gpt-5-mini", "--try", "2", "--max-concurrent-requests", "1", "--json"]
      const { code, stderr, stdout } = yield* run(["run", "in.jsonl", ...flags, ...quick])
      assert.strictEqual(code, 3, stderr)
      assert.include(
        stderr,
        "2 rows were tried:\n\n# q1\n(invalid_request_error: The request was refused.)\n\n# q2\n3\n"
      )
      const { tally } = JSON.parse(stdout)
      assert.deepInclude(tally, { rows: 3, succeeded: 2, errored: 1, retryable: 0 })
      assert.strictEqual((yield* emulator.books).totals.batches, 1)
    }))

  it.scopedLive("asks all rows at once where there are no more than are tried", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start()
      write("in.jsonl", questions(2))
      const { code, stderr } = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--try", "5"])
      assert.strictEqual(code, 0, stderr)
      assert.notInclude(stderr, "tried")
      assert.deepInclude((yield* emulator.books).totals, { batches: 0, directCalls: 2 })
    }))

  it.scopedLive(
    "is killed between the rows that were tried and the rest, and asks no row twice",
    () =>
      Effect.gen(function*() {
        const { directory, emulator, run, write } = yield* start()
        write("in.jsonl", questions(6))
        // The rows that are tried are answered; the batch of the others is never made.
        yield* emulator.setFaults(new FaultPlan({ calls: [new CallFault({ route: "POST /v1/files", kind: "hang" })] }))
        const killed = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--try", "2", "--run-dir", "here"], {
          onStderr: (text, child) => {
            if (text.includes("# q2")) child.kill("SIGKILL")
          }
        })
        assert.strictEqual(killed.signal, "SIGKILL", killed.stderr)
        assert.deepInclude((yield* emulator.books).totals, { batches: 0, directCalls: 2 })
        yield* emulator.setFaults(new FaultPlan())
        const resumed = yield* run(["resume", "here", ...quick])
        assert.strictEqual(resumed.code, 0, resumed.stderr)
        assert.notInclude(resumed.stderr, "tried")
        assert.deepInclude((yield* emulator.books).totals, { batches: 1, rows: 4, directCalls: 2 })
        assert.lengthOf(lines(readFileSync(join(directory, "here/results.jsonl"), "utf8")), 6)
      }),
    60_000
  )
})

describe("somebody who is asked", () => {
  /** A run of five rows of which two are tried, with somebody who answers questions so. */
  const tried = (...answers: ReadonlyArray<boolean>) =>
    Effect.gen(function*() {
      const world = yield* World.make()
      const rows = Source.fromRows(
        Array.from({ length: 5 }, (_, at) => ({ id: `q${at + 1}`, prompt: `row ${at + 1}` }))
      )
      const said: Array<string> = []
      const questions: Array<string> = []
      const left = [...answers]
      const output = Output.of({
        data: (text) => Effect.sync(() => void said.push(text)),
        json: () => Effect.void,
        say: (text) => Effect.sync(() => void said.push(text)),
        confirm: (question) =>
          Effect.sync(() => {
            questions.push(question)
            return left.shift() ?? false
          }),
        interactive: true,
        live: false,
        color: false,
        dataColor: false
      })
      const going = Effect.gen(function*() {
        const pipeline = yield* Pipeline
        const steps = { from: "build", to: "build" } as const
        const options = { defaults: new RequestDefaults({ model: "m" }), directory: World.directory, tryRows: 2, steps }
        yield* pipeline.run(rows, options)
        return yield* Effect.exit(advance(World.directory, { settings: {}, steps: { from: "build", to: "normalize" } }))
      })
      const exit = yield* world.simulate(Effect.provideService(going, Output, output))
      const batches = yield* world.simulate(world.test.batches)
      const billed = yield* world.simulate(world.test.rowsBilled)
      return { exit, questions, said, batches: batches.length, billed }
    })

  it.effect("sees the answers, and has the rest sent", () =>
    Effect.gen(function*() {
      const { batches, billed, exit, questions, said } = yield* tried(true, true)
      assert.strictEqual(exit._tag, "Success")
      assert.deepStrictEqual(questions, ["Send 2 single requests first to test?", "Send the other 3 rows?"])
      assert.include(said, "2 rows were tried:\n\n# q1\nrow 1\n\n# q2\nrow 2\n")
      assert.deepStrictEqual([batches, billed], [1, 5])
    }))

  it.effect("sees the answers, and has nothing more sent", () =>
    Effect.gen(function*() {
      const { batches, billed, exit, said } = yield* tried(true, false)
      assert.include(String(exit), "Ending")
      assert.strictEqual(said.at(-1), "Nothing more was sent. Go on later: llm-batch resume /runs/one")
      assert.deepStrictEqual([batches, billed], [0, 2])
    }))

  it.effect("has nothing sent at all", () =>
    Effect.gen(function*() {
      const { batches, billed, questions } = yield* tried(false)
      assert.lengthOf(questions, 1)
      assert.deepStrictEqual([batches, billed], [0, 0])
    }))
})
