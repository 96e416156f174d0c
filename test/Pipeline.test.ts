import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import { Pipeline, type RunOptions } from "llm-batch/Pipeline"
import * as PipelineModule from "llm-batch/Pipeline"
import * as Provider from "llm-batch/Provider"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as Poll from "llm-batch/stage/Poll"
import type { Step } from "llm-batch/Step"
import * as TestProvider from "llm-batch/TestProvider"
import * as World from "./World.js"

const { Failing, LostAnswer, Refused, Unanswered } = TestProvider.Fault

const defaults = new RequestDefaults({ model: "m" })

const run = (source: Source.Source, options: RunOptions = {}) =>
  Effect.flatMap(Pipeline, (pipeline) => pipeline.run(source, { defaults, directory: World.directory, ...options }))

const resume = (steps?: { readonly from: Step; readonly to: Step }) =>
  Effect.flatMap(Pipeline, (pipeline) => pipeline.resume(World.directory, { steps }))

const to = (step: Step) => ({ from: "build", to: step } as const)
const only = (step: Step) => ({ from: step, to: step } as const)

const rows = (count: number) =>
  Source.fromRows(Array.from({ length: count }, (_, index) => ({ id: `id ${index + 1}`, prompt: `row ${index + 1}` })))

const messageOf = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.either(effect), (either) => Either.isLeft(either) ? either.left.message : "it went well")

const operations = (world: World.World) =>
  Effect.map(world.test.calls, (calls) => calls.map(({ operation }) => operation))

const batchesOf = (world: World.World) => Effect.map(world.test.batches, (batches) => batches.map(({ shard }) => shard))

/** What a line of results or failures says. */
const parse = (text: string): ReadonlyArray<Record<string, unknown>> =>
  text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))

/** A script in which something becomes of each row that is not just an answer. */
const mixed: TestProvider.Script = {
  outcome: ({ row }) => row === 2 ? "errored" : row === 5 ? "duplicate" : "succeeded",
  answeredAfter: ({ row }) => row === 3 ? "3 days" : "2 hours",
  answer: ({ prompt }) => prompt.toUpperCase()
}

describe("a run", () => {
  it.effect("gives every answer back, and says of every other row what became of it", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: mixed })
      const report = yield* world.inProcess(run(rows(5), { runId: "first" }))
      assert.deepStrictEqual([report.results, report.failures, report.directory], [
        "/runs/one/results.jsonl",
        "/runs/one/failures.jsonl",
        "/runs/one"
      ])
      const tally = report.tally ?? assert.fail("it is not finished")
      assert.deepStrictEqual({ ...tally, tokens: { ...tally.tokens } }, {
        rows: 5,
        succeeded: 3,
        errored: 1,
        expired: 1,
        cancelled: 0,
        invalid: 0,
        missing: 0,
        refused: 0,
        truncated: 0,
        retryable: 2,
        repairable: 0,
        late: 1,
        duplicateLines: 1,
        conflictingLines: 0,
        unexpectedLines: 0,
        malformedLines: 0,
        tokens: { prompt: 6, completion: 6, cached: 0, reasoning: 0 }
      })
      const [first, second] = world.read("results.jsonl").split("\n")
      assert.strictEqual(
        first,
        "{\"id\":null,\"custom_id\":\"id 1\",\"response\":{\"status_code\":200,\"request_id\":null,\"body\":{\"id\":\"answer-1\","
          + "\"object\":\"chat.completion\",\"created\":0,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
          + "\"assistant\",\"content\":\"ROW 1\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":"
          + "{\"prompt_tokens\":2,\"completion_tokens\":2,\"total_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":0},"
          + "\"completion_tokens_details\":{\"reasoning_tokens\":0}}}},\"error\":null}"
      )
      assert.strictEqual(
        second,
        "{\"id\":null,\"custom_id\":\"id 2\",\"response\":null,\"error\":{\"code\":\"server_error\",\"message\":"
          + "\"The script lets this row fail.\",\"outcome\":\"errored\",\"retryable\":true}}"
      )
      assert.deepStrictEqual(parse(world.read("results.jsonl")).map((line) => line["custom_id"]), [
        "id 1",
        "id 2",
        "id 3",
        "id 4",
        "id 5"
      ])
      assert.strictEqual(
        world.read("failures.jsonl"),
        "{\"custom_id\":\"id 2\",\"row\":2,\"line\":2,\"outcome\":\"errored\",\"code\":\"server_error\",\"message\":"
          + "\"The script lets this row fail.\",\"retryable\":true,\"shard\":\"0001\",\"attempt\":1,\"batch_id\":\"batch-1\"}\n"
          + "{\"custom_id\":\"id 3\",\"row\":3,\"line\":3,\"outcome\":\"expired\",\"code\":\"batch_expired\",\"message\":"
          + "\"The batch expired before this row was answered.\",\"retryable\":true,\"shard\":\"0001\",\"attempt\":1,"
          + "\"batch_id\":\"batch-1\"}\n"
      )
      assert.strictEqual(yield* world.test.rowsBilled, 3)
      assert.deepStrictEqual(world.files().filter((path) => !path.includes("anomalies")), [
        "batch_inputs/test/0001.jsonl",
        "config.yaml",
        "failures.jsonl",
        "journal.jsonl",
        "manifest.json",
        "parts/0001.jsonl",
        "raw/test/0001.errors.jsonl",
        "raw/test/0001.jsonl",
        "results.jsonl",
        "rows/0001.jsonl"
      ])
    }))

  it.effect("records every step in its journal, and survives the power afterwards", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      yield* world.inProcess(run(rows(2)))
      const results = world.read("results.jsonl")
      world.memory.crash()
      assert.deepStrictEqual(world.journal().map(({ _tag }) => _tag), [
        "RunStarted",
        "ShardBuilt",
        "BuildFinished",
        "SubmitIntended",
        "InputUploaded",
        "BatchCreated",
        "BatchEnded",
        "ResultsFetched",
        "ShardNormalized",
        "RunFinished"
      ])
      assert.strictEqual(world.read("results.jsonl"), results)
      assert.strictEqual(JSON.parse(world.read("manifest.json")).status, "finished")
    }))

  it.effect("tells what happens while it happens", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      yield* world.inProcess(run(rows(2)))
      assert.deepStrictEqual(world.events.map(({ _tag }) => _tag), [
        "ShardBuilt",
        "RowsBuilt",
        "BytesSent",
        "BatchCreated",
        "BatchObserved",
        "BatchEnded",
        "ShardNormalized",
        "RunFinished"
      ])
    }))

  it.effect("of no rows is a success with none", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      const report = yield* world.inProcess(run(Source.fromText("empty.jsonl", "")), 0)
      assert.deepStrictEqual([report.tally?.rows, report.tally?.complete], [0, true])
      assert.deepStrictEqual([world.read("results.jsonl"), world.read("failures.jsonl")], ["", ""])
      assert.deepStrictEqual(yield* operations(world), [])
    }))

  it.effect("puts rows of interleaved models back into input order", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: { limits: { oneModelPerBatch: true, rows: 2 } } })
      const models = ["a", "b", "a", "c", "b", "a", "a", "c"]
      const report = yield* world.inProcess(
        run(Source.fromRows(models.map((model, index) => ({ id: `${index}`, model, prompt: `${model}${index}` }))))
      )
      const results = yield* world.inProcess(TestProvider.readResults(report), 0)
      assert.deepStrictEqual(results.map(({ text }) => text), ["a0", "b1", "a2", "c3", "b4", "a5", "a6", "c7"])
      assert.strictEqual((yield* batchesOf(world)).length, 4)
    }))

  it.effect("takes a hundred shards through, four uploads at a time", () =>
    Effect.gen(function*() {
      let uploads = 0
      let most = 0
      const world = yield* World.make({
        wrap: (provider) => ({
          ...provider,
          upload: (...args) =>
            Effect.acquireUseRelease(
              Effect.sync(() => most = Math.max(most, ++uploads)),
              () => Effect.zipRight(Effect.sleep("1 second"), provider.upload(...args)),
              () => Effect.sync(() => uploads--)
            )
        })
      })
      const report = yield* world.inProcess(run(rows(100), { shardRows: 1 }), "3 hours")
      assert.strictEqual(report.tally?.succeeded, 100)
      assert.strictEqual(most, 4)
      const lines = parse(world.read("results.jsonl"))
      assert.deepStrictEqual(lines.map((line) => line["custom_id"]), lines.map((_, index) => `id ${index + 1}`))
    }))

  it.effect("has no more batches with the provider at a time than it may", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      const fiber = yield* Effect.fork(Effect.provide(
        Effect.scoped(run(rows(5), { shardRows: 1, maxConcurrentJobs: 2 })),
        world.layer
      ))
      let most = 0
      for (let hour = 0; hour < 12; hour++) {
        yield* TestClock.adjust("30 minutes")
        const live = (yield* world.test.batches).filter(({ snapshot }) => snapshot.ending === null).length
        most = Math.max(most, live, hour === 0 ? (yield* world.test.batches).length : 0)
      }
      const report = yield* Fiber.join(fiber)
      assert.strictEqual(report.tally?.succeeded, 5)
      assert.strictEqual(most, 2)
    }))

  it.effect("finishes the other shards when one cannot be brought to its end, and says which", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: { faults: { create: [Refused({ status: 400 })] } } })
      const message = yield* messageOf(world.inProcess(run(rows(3), { shardRows: 1, maxConcurrentJobs: 1 })))
      assert.include(message, "test refused shard 0001 with HTTP 400")
      assert.deepStrictEqual(world.files().filter((path) => path.startsWith("parts/")), [
        "parts/0002.jsonl",
        "parts/0003.jsonl"
      ])
      assert.deepStrictEqual(
        world.events.flatMap((event) => event._tag === "ShardFailed" ? [event.shard.id] : []),
        ["0001"]
      )
      const report = yield* world.inProcess(resume())
      assert.strictEqual(report.tally?.succeeded, 3)
      assert.deepStrictEqual(yield* batchesOf(world), ["0002", "0003", "0001"])
    }))

  it.effect("is named by when it began and its tag, in experiments", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      const report = yield* world.inProcess(
        Effect.flatMap(Pipeline, (pipeline) => pipeline.run(rows(1), { defaults, steps: to("build") })),
        0
      )
      assert.match(report.directory, /\/experiments\/run_19700101T000000-[a-z0-9]{4}$/u)
    }))
})

describe("an ended batch", () => {
  for (const ending of ["expired", "cancelled", "failed"] as const) {
    it.effect(`that is ${ending} does not end the run, and keeps what was answered`, () =>
      Effect.gen(function*() {
        const world = yield* World.make({
          script: {
            answeredAfter: ({ row }) => row === 1 ? "1 hour" : "5 hours",
            timeline: [{ after: "2 hours", status: "ended", ending }]
          }
        })
        const report = yield* world.inProcess(run(rows(2)))
        const results = yield* world.inProcess(TestProvider.readResults(report), 0)
        assert.deepStrictEqual(
          results.map(({ outcome }) => outcome),
          ending === "failed" ? ["errored", "errored"] : ["succeeded", ending]
        )
      }))
  }

  it.effect("whose results are gone leaves its rows missing, and the rest of the run", () =>
    Effect.gen(function*() {
      const gone = Array.from({ length: 6 }, () => Failing({ reason: "gone" }))
      const world = yield* World.make({ script: { faults: { download: gone } } })
      const report = yield* world.inProcess(run(rows(2), { shardRows: 1, maxConcurrentJobs: 1 }))
      const results = yield* world.inProcess(TestProvider.readResults(report), 0)
      assert.deepStrictEqual(results.map(({ outcome }) => outcome), ["missing", "succeeded"])
      assert.include(String(JSON.parse(world.read("manifest.json")).batches[0].shortfall), "its results are gone")
    }))

  it.effect("whose results stay short has missing rows, and the manifest says why", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: { outcome: ({ row }) => row === 2 ? "missing" : "succeeded" } })
      const report = yield* world.inProcess(run(rows(3)))
      assert.deepStrictEqual([report.tally?.succeeded, report.tally?.missing], [2, 1])
      assert.include(
        String(JSON.parse(world.read("manifest.json")).batches[0].shortfall),
        "1 fewer than the provider counts"
      )
    }))
})

describe("steps", () => {
  it.effect("to build need no key and make no call", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: { account: null } })
      const report = yield* world.inProcess(run(rows(2), { steps: to("build") }), 0)
      assert.isNull(report.tally)
      assert.strictEqual(report.state.rows, 2)
      assert.deepStrictEqual(world.files(), [
        "batch_inputs/test/0001.jsonl",
        "config.yaml",
        "journal.jsonl",
        "manifest.json",
        "rows/0001.jsonl"
      ])
      assert.strictEqual(JSON.parse(world.read("manifest.json")).status, "built")
      assert.deepStrictEqual(yield* operations(world), [])
    }))

  it.effect("to submit do not wait, and a resume later brings the results", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      const report = yield* world.inProcess(run(rows(2), { steps: to("submit") }), 0)
      assert.isNull(report.tally)
      assert.strictEqual(report.state.shards.get("0001")?.status, "submitted")
      yield* TestClock.adjust("3 days")
      const finished = yield* world.inProcess(resume(), "1 minute")
      assert.strictEqual(finished.tally?.succeeded, 2)
    }))

  it.effect("that are not asked for are left for later", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      yield* world.inProcess(run(rows(2), { steps: to("build") }), 0)
      const left = yield* world.inProcess(resume({ from: "poll", to: "normalize" }))
      assert.strictEqual(left.state.shards.get("0001")?.status, "built")
      for (
        const [step, status] of [["submit", "submitted"], ["poll", "ended"], ["fetch", "fetched"], [
          "normalize",
          "normalized"
        ]] as const
      ) {
        const report = yield* world.inProcess(resume(only(step)))
        assert.strictEqual(report.state.shards.get("0001")?.status, status)
      }
      assert.strictEqual((yield* world.inProcess(resume(), 0)).tally?.succeeded, 2)
    }))

  it.effect("by themselves are taken again", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      yield* world.inProcess(run(rows(2)))
      const results = world.read("results.jsonl")
      world.memory.disk.remove("/runs/one/parts")
      world.memory.disk.remove("/runs/one/results.jsonl")
      yield* world.inProcess(resume(only("normalize")), "1 minute")
      assert.strictEqual(world.read("results.jsonl"), results)
      const before = (yield* operations(world)).length
      yield* world.inProcess(resume(only("fetch")), "1 minute")
      assert.deepStrictEqual((yield* operations(world)).slice(before), ["download"])
    }))

  it.effect("to fetch again keep what was fetched before, when it is gone at the provider", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      yield* world.inProcess(run(rows(2)))
      const results = world.read("results.jsonl")
      for (const { snapshot } of yield* world.test.batches) yield* Effect.orDie(world.test.provider.delete(snapshot))
      assert.include(yield* messageOf(world.inProcess(resume(only("fetch")))), "its results are gone")
      yield* world.inProcess(resume(only("normalize")))
      assert.strictEqual(world.read("results.jsonl"), results)
    }))
})

describe("a resume", () => {
  const begin = (steps?: RunOptions["steps"]) => run(rows(3), { shardRows: 2, steps })

  /** The same input and script, taken through without a stop. */
  const uninterrupted = Effect.gen(function*() {
    const world = yield* World.make({ script: mixed })
    yield* world.simulate(begin())
    return { results: world.read("results.jsonl"), failures: world.read("failures.jsonl") }
  })

  it.effect("in a new process after each step ends in the same bytes", () =>
    Effect.gen(function*() {
      const expected = yield* uninterrupted
      const world = yield* World.make({ script: mixed })
      yield* world.simulate(begin(to("build")))
      for (const step of ["submit", "poll", "fetch", "normalize"] as const) {
        world.memory.crash()
        yield* world.simulate(resume(to(step)))
      }
      assert.strictEqual(world.read("results.jsonl"), expected.results)
      assert.strictEqual(world.read("failures.jsonl"), expected.failures)
      assert.deepStrictEqual((yield* batchesOf(world)).toSorted(), ["0001", "0002"])
    }))

  it.effect("of a finished run gives it back as it is, without a call", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      const first = yield* world.inProcess(run(rows(2)))
      const before = yield* operations(world)
      const journal = world.journal()
      const again = yield* world.inProcess(resume(), 0)
      assert.deepStrictEqual(again.tally, first.tally)
      assert.deepStrictEqual(yield* operations(world), before)
      assert.deepStrictEqual(world.journal(), journal)
    }))

  it.effect("of an interrupted run goes on where that was", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      const fiber = yield* Effect.fork(Effect.provide(Effect.scoped(run(rows(3), { shardRows: 1 })), world.layer))
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.interrupt(fiber)
      const report = yield* world.inProcess(resume())
      assert.strictEqual(report.tally?.succeeded, 3)
      assert.strictEqual((yield* batchesOf(world)).length, 3)
    }))

  it.effect("after a wait that was too long waits on", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: { answeredAfter: () => "20 hours" },
        poll: { schedule: Schedule.spaced("1 hour"), maxWait: "15 hours" }
      })
      assert.include(yield* messageOf(world.inProcess(run(rows(1)))), "Wait on with: llm-batch resume /runs/one")
      const report = yield* world.inProcess(resume())
      assert.strictEqual(report.tally?.succeeded, 1)
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
    }))

  it.effect("of lost answers pays once", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: {
          faults: { create: [LostAnswer({ status: 502 }), Unanswered({ status: 500 }), LostAnswer({ status: null })] }
        }
      })
      const report = yield* world.inProcess(run(rows(3), { shardRows: 1 }))
      assert.strictEqual(report.tally?.succeeded, 3)
      assert.deepStrictEqual((yield* batchesOf(world)).toSorted(), ["0001", "0002", "0003"])
      assert.strictEqual(yield* world.test.rowsBilled, 3)
    }))
})

describe("what cannot be", () => {
  it.effect("is said before anything is sent, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      const broken = Source.fromText("in.jsonl", "{\"model\":\"m\",\"prompt\":\"1\"}\nno row\n")
      assert.include(yield* messageOf(world.inProcess(run(broken), 0)), "in.jsonl:2:1: ")
      assert.isUndefined(world.memory.disk.stat(World.directory))
      assert.deepStrictEqual(yield* operations(world), [])
      const report = yield* world.inProcess(run(rows(1)))
      assert.strictEqual(report.tally?.succeeded, 1)
    }))

  it.effect("is a run without a key", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: { account: null } })
      assert.include(yield* messageOf(world.inProcess(run(rows(1)), 0)), "Check the API key")
      assert.isUndefined(world.memory.disk.stat(World.directory))
    }))

  it.effect("is a directory with other things in it, which are left alone", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      world.memory.disk.makeDirectory(`${World.directory}/thesis`)
      for (const source of [rows(1), Source.fromText("bad", "bad")]) {
        assert.strictEqual(
          yield* messageOf(world.inProcess(run(source), 0)),
          "/runs/one: the directory is not empty, and holds no run. Name a new or empty directory with --run-dir."
        )
      }
      assert.isDefined(world.memory.disk.stat(`${World.directory}/thesis`))
    }))

  it.effect("is another run in a directory that has one", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      yield* world.inProcess(run(rows(1)))
      const journal = world.journal()
      for (const source of [Source.fromRows([{ prompt: "another" }]), Source.fromText("bad", "bad")]) {
        assert.include(yield* messageOf(world.inProcess(run(source), 0)), "/runs/one: there is a run here already")
      }
      const otherwise = messageOf(world.inProcess(run(rows(1), { shardRows: 7 }), 0))
      assert.include(yield* otherwise, "/runs/one: there is a run here already")
      assert.deepStrictEqual(world.journal(), journal)
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
    }))

  it.effect("is a run of more rows in the directory of one of the first of them", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      yield* world.inProcess(run(rows(1)))
      assert.include(yield* messageOf(world.inProcess(run(rows(2)), 0)), "/runs/one: there is a run here already")
    }))

  it.effect("is to resume what is no run, or was never built to its end", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      assert.include(yield* messageOf(world.inProcess(resume(), 0)), "/runs/one: there is no run here")
      yield* world.inProcess(run(rows(1), { steps: to("build") }), 0)
      const handle = world.memory.disk.open("/runs/one/journal.jsonl", "append")
      handle.truncate(world.read("journal.jsonl").indexOf("\n") + 1)
      handle.close()
      assert.strictEqual(
        yield* messageOf(world.inProcess(resume(), 0)),
        "/runs/one: this run was never built to its end; nothing was sent. "
          + "Give the command that began it again: llm-batch run with the same input, and --run-dir /runs/one."
      )
    }))

  it.effect("is to go on with a run with another provider", () =>
    Effect.gen(function*() {
      let name = "test"
      const world = yield* World.make({
        wrap: (provider) =>
          new Proxy(provider, { get: (target, key) => key === "name" ? name : Reflect.get(target, key) })
      })
      yield* world.inProcess(run(rows(1), { steps: to("build") }), 0)
      name = "other"
      assert.strictEqual(
        yield* messageOf(world.inProcess(resume(), 0)),
        "/runs/one: this is a run of test, and the provider given is other. Provide test."
      )
    }))

  it.effect("is an endpoint that the provider does not have", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      assert.strictEqual(
        yield* messageOf(world.inProcess(run(rows(1), { endpoint: "/v1/videos" }), 0)),
        "/runs/one: test makes no batches for /v1/videos. Its endpoints are /v1/chat/completions."
      )
    }))

  it.effect("is a run for which the disk has no room", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ disk: { capacity: 20_000_000 } })
      const handle = world.memory.disk.open("/in.jsonl", "write")
      handle.write(Buffer.alloc(10_000_000, 32), 0, 10_000_000)
      handle.close()
      assert.strictEqual(
        yield* messageOf(world.inProcess(run(Source.file("/in.jsonl")), 0)),
        "/runs/one: cannot hold the run: a run of this input needs about 60 MB, and 10 MB are free; --run-dir can name a "
          + "directory on another disk (ENOSPC). Free some space, then go on with the same command."
      )
    }))

  it.effect("is a second process on one run", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      const first = yield* Effect.fork(Effect.provide(Effect.scoped(run(rows(1))), world.layer))
      yield* TestClock.adjust("1 minute")
      assert.include(
        yield* messageOf(world.inProcess(resume(), 0)),
        "/runs/one is in use by another llm-batch process."
      )
      yield* TestClock.adjust("2 hours")
      assert.strictEqual((yield* Fiber.join(first)).tally?.succeeded, 1)
    }))
})

describe("cancel", () => {
  it.effect("stops what runs, beside the process that waits for it, and keeps what was answered", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: { answeredAfter: ({ row }) => row === 1 ? "1 hour" : "9 hours" },
        poll: { schedule: Schedule.spaced("10 minutes") }
      })
      const first = yield* Effect.fork(Effect.provide(Effect.scoped(run(rows(2))), world.layer))
      yield* TestClock.adjust("2 hours")
      const cancelled = yield* world.inProcess(
        Effect.flatMap(Pipeline, ({ cancel }) => cancel(World.directory)),
        "1 minute"
      )
      assert.deepStrictEqual(cancelled.map(({ id, status }) => [id, status]), [["batch-1", "cancelling"]])
      yield* TestClock.adjust("1 hour")
      const report = yield* Fiber.join(first)
      assert.deepStrictEqual([report.tally?.succeeded, report.tally?.cancelled], [1, 1])
      assert.deepStrictEqual(
        yield* world.inProcess(Effect.flatMap(Pipeline, ({ cancel }) => cancel(World.directory)), 0),
        []
      )
    }))

  it.effect("is tried again while its failure may pass", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: { faults: { cancel: [Failing({ reason: "unreachable" }), Failing({ reason: "rate-limited" })] } }
      })
      yield* world.inProcess(run(rows(1), { steps: to("submit") }), 0)
      const cancelled = yield* world.inProcess(
        Effect.flatMap(Pipeline, ({ cancel }) => cancel(World.directory)),
        "1 hour"
      )
      assert.strictEqual(cancelled.length, 1)
    }))
})

describe("clean", () => {
  const clean = Effect.flatMap(Pipeline, (pipeline) => pipeline.clean(World.directory))

  it.effect("deletes what the provider keeps of fetched batches, once", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      yield* world.inProcess(run(rows(2), { shardRows: 1 }))
      assert.deepStrictEqual(
        (yield* world.inProcess(clean, 0)).toSorted(),
        ["batch-1/output", "batch-2/output", "file-1", "file-2"]
      )
      assert.deepStrictEqual(yield* world.inProcess(clean, 0), [])
      assert.deepStrictEqual(JSON.parse(world.read("manifest.json")).batches[0].deleted_at_provider, [
        "file-1",
        "batch-1/output"
      ])
    }))

  it.effect("leaves what was not fetched yet", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      yield* world.inProcess(run(rows(1), { steps: to("poll") }))
      assert.deepStrictEqual(yield* world.inProcess(clean, 0), [])
      assert.notInclude(yield* operations(world), "delete")
    }))
})

describe("a stage", () => {
  it.effect("is replaced by one layer, which may wrap the usual one", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const wrapped = Layer.effect(
        Poll.Poll,
        Effect.map(Poll.Poll, (inner) =>
          Poll.Poll.of({
            ...inner,
            poll: (batch) =>
              inner.poll(batch).pipe(
                Effect.catchTag("BatchExpired", (expired) =>
                  Effect.sync(() => {
                    seen.push(`${expired.batch.id}: ${expired.batch.snapshot.counts.succeeded}`)
                    return expired.batch
                  }))
              )
          }))
      ).pipe(Layer.provide(Poll.layerWith({ schedule: Schedule.spaced("1 hour") })))
      const pipeline = PipelineModule.layerComposed.pipe(
        Layer.provide(wrapped),
        Layer.provide(PipelineModule.layerStages),
        Layer.provideMerge(TestProvider.layer({ answeredAfter: ({ row }) => row === 1 ? "1 hour" : "2 days" })),
        Layer.provideMerge(TestProvider.layerDisk)
      )
      const fiber = yield* Effect.fork(Effect.provide(run(rows(2)), pipeline))
      yield* TestClock.adjust("25 hours")
      const report = yield* Fiber.join(fiber)
      assert.deepStrictEqual([report.tally?.succeeded, report.tally?.expired], [1, 1])
      assert.deepStrictEqual(seen, ["batch-1: 1"])
    }))

  it.effect("has an account of its own to pay with", () =>
    Effect.gen(function*() {
      const salts: Array<string> = []
      const world = yield* World.make({
        wrap: (provider) => ({
          ...provider,
          account: (salt) => {
            salts.push(salt)
            return Effect.map(provider.account(salt), (own) => new Provider.Account({ ...own, scope: "project" }))
          }
        })
      })
      const report = yield* world.inProcess(run(rows(1), { steps: to("submit") }), 0)
      assert.deepStrictEqual([...new Set(salts)], [report.state.run.runTag])
      assert.include(world.read("journal.jsonl"), "\"scope\":\"project\"")
    }))
})
