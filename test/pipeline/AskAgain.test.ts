/**
 * Rows that are asked again by a run itself: which of them, what they are asked, and which of several answers counts.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { AnswerCheck } from "llm-batch/AnswerCheck"
import { type AdvanceOptions, Pipeline, type RunOptions } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as TestProvider from "llm-batch/TestProvider"
import * as World from "../World.js"

const defaults = new RequestDefaults({ model: "m" })

/** An answer fits when it says "good". */
const check: AnswerCheck = (answer) =>
  answer.startsWith("good") ? undefined : { code: "invalid_answer", path: "$", problem: `${answer} is not good` }

const rows = (count: number) =>
  Source.fromRows(Array.from({ length: count }, (_, at) => ({ id: `q${at + 1}`, prompt: `row ${at + 1}` })))

const run = (source: Source.Source, options: RunOptions = {}) =>
  Effect.flatMap(
    Pipeline,
    (pipeline) => pipeline.run(source, { defaults, directory: World.directory, check, ...options })
  )

const resume = (options: AdvanceOptions = {}) =>
  Effect.flatMap(Pipeline, (pipeline) => pipeline.resume(World.directory, { check, ...options }))

const retry = (options: AdvanceOptions = {}) =>
  Effect.flatMap(Pipeline, (pipeline) => pipeline.retry(World.directory, { check, ...options }))

const parse = (text: string): ReadonlyArray<Record<string, unknown>> =>
  text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))

/** What became of each row, and the text of its answer. */
const endings = (world: World.World) =>
  Effect.map(
    world.simulate(TestProvider.readResults({ results: `${World.directory}/results.jsonl` })),
    (results) => results.map(({ customId, outcome, text }) => [customId, outcome, text])
  )

/** The entries by which rows were asked again. */
const rounds = (world: World.World) =>
  world.journal().filter(({ _tag }) => _tag === "RetryBuilt").map(({ attempt, reasons, shards }) => ({
    attempt,
    reasons,
    shards: Array.isArray(shards) ? shards.map(({ id, mode, rows }) => [id, mode, rows]) : []
  }))

/** The messages of a row as they were sent in a shard. */
const sent = (world: World.World, shard: string, provider = "test") =>
  parse(world.read(`batch_inputs/${provider}/${shard}.jsonl`)).map(({ body }) => Reflect.get(Object(body), "messages"))

/** Does for a row what the list says, the first time that it comes to it, the second time, and so on. */
const inTurn = <A>(lists: Readonly<Record<number, ReadonlyArray<A>>>, otherwise: A) => {
  const times = new Map<number, number>()
  return ({ row }: TestProvider.TestRow): A => {
    const time = times.get(row) ?? 0
    times.set(row, time + 1)
    return lists[row]?.[time] ?? otherwise
  }
}

describe("a round", () => {
  it.effect("asks in one further attempt for rows that failed, that do not fit, and that nobody came to", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: {
          outcome: inTurn<TestProvider.RowOutcome>({ 2: ["errored"] }, "succeeded"),
          answeredAfter: ({ row }) => row === 4 ? "3 days" : "1 hour",
          answer: inTurn({ 3: ["bad"] }, "good")
        }
      })
      const report = yield* world.simulate(run(rows(5), { retries: 1, repair: 1, finish: { deadlineMillis: null } }))
      assert.deepStrictEqual(yield* endings(world), [
        ["q1", "succeeded", "good"],
        ["q2", "succeeded", "good"],
        ["q3", "succeeded", "good"],
        ["q4", "succeeded", "good"],
        ["q5", "succeeded", "good"]
      ])
      assert.deepStrictEqual(rounds(world), [
        { attempt: 2, reasons: ["retry", "repair", "finish"], shards: [["0002", "batch", 2], ["0003", "sync", 1]] }
      ])
      assert.deepStrictEqual(report.state.rounds, { retry: 1, repair: 1, finish: 1 })
      assert.deepStrictEqual(sent(world, "0002").map((messages) => messages.length), [1, 3])
      assert.deepStrictEqual(sent(world, "0003").map((messages) => messages.length), [1])
      assert.deepStrictEqual((yield* world.test.batches).map(({ shard }) => shard), ["0001", "0002"])
      // Rows 1, 3 and 5 in the batch, two in another, and one by itself.
      assert.strictEqual(yield* world.simulate(world.test.rowsBilled), 6)
    }))

  it.effect("goes through the batch API where the run does, with the parents of its rows", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: { answer: inTurn({ 1: ["bad"], 4: ["bad"] }, "good") } })
      yield* world.simulate(run(rows(4), { repair: 2, shardRows: 2 }))
      assert.deepStrictEqual(rounds(world), [
        { attempt: 2, reasons: ["repair"], shards: [["0003", "batch", 2]] }
      ])
      const [built] = world.journal().filter(({ _tag }) => _tag === "RetryBuilt")
      assert.deepStrictEqual(Array.isArray(built?.["shards"]) ? built["shards"][0].parents : null, ["0001", "0002"])
      assert.strictEqual((yield* world.test.batches).length, 3)
    }))

  it.effect("that ends no better is the last one allowed, until somebody allows more", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: { outcome: ({ row }) => row === 1 ? "errored" : "succeeded", answer: () => "bad" }
      })
      const report = yield* world.simulate(run(rows(2), { retries: 1, repair: 2 }))
      assert.deepStrictEqual(rounds(world).map(({ attempt, reasons }) => [attempt, reasons]), [
        [2, ["retry", "repair"]],
        [3, ["repair"]]
      ])
      assert.deepInclude(report.tally, { errored: 1, invalid: 1, retryable: 1, repairable: 1 })

      yield* world.simulate(resume())
      assert.lengthOf(rounds(world), 2)
      const retried = yield* world.simulate(retry())
      assert.deepStrictEqual(rounds(world).at(-1), { attempt: 4, reasons: ["retry"], shards: [["0004", "batch", 1]] })
      assert.deepStrictEqual(retried.state.rounds, { retry: 2, repair: 2, finish: 0 })
      yield* world.simulate(resume())
      assert.lengthOf(rounds(world), 3)
      yield* world.simulate(resume({ repair: 3, retries: 3 }))
      assert.deepStrictEqual(rounds(world).map(({ reasons }) => reasons), [
        ["retry", "repair"],
        ["repair"],
        ["retry"],
        ["retry", "repair"]
      ])
    }))

  it.effect("is not begun for a row whose answer was refused or cut", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: { outcome: ({ row }) => row === 1 ? "refused" : "truncated", answer: () => "bad" }
      })
      const report = yield* world.simulate(run(rows(2), { retries: 2, repair: 2 }))
      assert.deepInclude(report.tally, { invalid: 2, repairable: 0, retryable: 0 })
      assert.deepStrictEqual(rounds(world), [])
    }))
})

describe("what a row is asked", () => {
  it.effect("to put an answer right is what it was asked, its answer, and what is wrong with that", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: { answer: inTurn({ 1: ["bad one", "bad two"] }, "good") }
      })
      const source = Source.fromRows([{ id: "q1", system: "Be good.", prompt: "row 1" }])
      const report = yield* world.simulate(run(source, { repair: 3 }))
      assert.strictEqual(report.tally?.succeeded, 1)
      const asked = [{ role: "system", content: "Be good." }, { role: "user", content: "row 1" }]
      const corrected = (answer: string) => [
        ...asked,
        { role: "assistant", content: answer },
        {
          role: "user",
          content: `Your answer cannot be used. $: ${answer} is not good\n`
            + "Answer again, in full: put that right, and keep to everything asked for before."
        }
      ]
      // The second answer takes the place of the first: a conversation does not grow with its rounds.
      assert.deepStrictEqual(["0001", "0002", "0003"].flatMap((shard) => sent(world, shard)), [
        asked,
        corrected("bad one"),
        corrected("bad two")
      ])
      // What is kept of the row is what it was asked in that attempt.
      const [record] = parse(world.read("rows/0003.jsonl"))
      assert.include(JSON.stringify(record), "bad two is not good")
    }))

  it.effect("stays as it is where it only failed, and rows of their own form are not put right", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: {
          name: "openai",
          outcome: inTurn<TestProvider.RowOutcome>({ 1: ["errored"] }, "succeeded"),
          answer: () => "bad"
        }
      })
      const native = (id: string) =>
        JSON.stringify({
          custom_id: id,
          method: "POST",
          url: "/v1/chat/completions",
          body: {
            model: "m",
            messages: [{ role: "user", content: "x" }]
          }
        })
      const source = Source.fromText("in.jsonl", `${native("a")}\n${native("b")}\n`)
      const report = yield* world.simulate(run(source, { retries: 2, repair: 2 }))
      assert.deepInclude(report.tally, { invalid: 2, errored: 0 })
      assert.deepStrictEqual(rounds(world).map(({ reasons, shards }) => [reasons, shards]), [
        [["retry", "repair"], [["0002", "batch", 1]]]
      ])
      assert.deepStrictEqual(sent(world, "0002", "openai"), [[{ role: "user", content: "x" }]])
    }))
})

describe("records of rows that were edited since", () => {
  it.effect("are refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: { outcome: ({ row }) => row === 2 ? "errored" : "succeeded" } })
      yield* world.simulate(run(rows(3)))
      const edited = Buffer.from(world.read("rows/0001.jsonl").replace("row 2", "row 9"))
      const handle = world.memory.disk.open(`${World.directory}/rows/0001.jsonl`, "write")
      for (let at = 0; at < edited.length;) at += handle.write(edited, at, edited.length - at)
      handle.close()
      const error = yield* Effect.flip(world.simulate(retry()))
      assert.strictEqual(error._tag, "ShardChanged")
      assert.include(error.message, "rows/0001.jsonl: shard 0001")
      assert.deepStrictEqual(rounds(world), [])
      assert.lengthOf(yield* world.test.batches, 1)
    }))
})

describe("of several answers to a row", () => {
  it.effect("one that fits counts before one that does not, that before none, and of equals the latest", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: {
          outcome: inTurn<TestProvider.RowOutcome>({
            1: ["errored", "succeeded", "errored"],
            2: ["succeeded", "errored", "succeeded"],
            3: ["errored", "errored", "errored"]
          }, "succeeded"),
          answer: inTurn({
            1: ["", "bad at last", "", ""],
            2: ["bad at first", "", "bad again"],
            4: ["bad", "worse", "worst"],
            5: ["bad", "good"]
          }, "good")
        }
      })
      const report = yield* world.simulate(run(rows(6), { retries: 2, repair: 2 }))
      assert.deepStrictEqual(yield* endings(world), [
        ["q1", "invalid", "bad at last"],
        ["q2", "invalid", "bad again"],
        ["q3", "errored", null],
        ["q4", "invalid", "worst"],
        ["q5", "succeeded", "good"],
        ["q6", "succeeded", "good"]
      ])
      assert.deepInclude(report.tally, { succeeded: 2, invalid: 3, errored: 1, repairable: 3, retryable: 2 })
      assert.deepStrictEqual(
        parse(world.read("failures.jsonl")).map(({ attempt, custom_id, shard }) => [custom_id, attempt, shard]),
        [["q1", 2, "0002"], ["q2", 3, "0003"], ["q3", 3, "0003"], ["q4", 3, "0003"]]
      )
    }))
})

describe("a process that dies", () => {
  const script = (): TestProvider.Script => ({ answer: inTurn({ 2: ["bad"], 3: ["bad"] }, "good") })

  /** A world in which the nth call of a kind never returns, until the process that made it has died. */
  const dying = (operation: "upload" | "complete", nth: number, script: TestProvider.Script) =>
    Effect.gen(function*() {
      const reached = yield* Deferred.make<void>()
      let calls = 0
      const hangs = (name: "upload" | "complete") => name === operation && ++calls === nth
      const never = Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)
      const world = yield* World.make({
        script,
        wrap: (provider) => ({
          ...provider,
          upload: (shard, bytes) => hangs("upload") ? never : provider.upload(shard, bytes),
          // The answer is paid for, and is lost with the process.
          complete: (row) => hangs("complete") ? Effect.zipRight(provider.complete(row), never) : provider.complete(row)
        })
      })
      const dies = (options: RunOptions) =>
        Effect.map(
          Effect.raceFirst(world.simulate(run(rows(3), options)), Deferred.await(reached)),
          () => world.memory.crash()
        )
      return { dies, world }
    })

  it.effect("after a round was built goes on with it, and builds no other", () =>
    Effect.gen(function*() {
      const { dies, world } = yield* dying("upload", 2, script())
      yield* dies({ repair: 1 })
      assert.deepStrictEqual(rounds(world).map(({ attempt }) => attempt), [2])
      const report = yield* world.simulate(resume())
      assert.strictEqual(report.tally?.succeeded, 3)
      assert.lengthOf(rounds(world), 1)
      assert.strictEqual(yield* world.simulate(world.test.rowsBilled), 5)
    }))

  it.effect("in the middle of a round that is asked row by row asks no row again that has its answer", () =>
    Effect.gen(function*() {
      const { dies, world } = yield* dying("complete", 5, {
        ...script(),
        completedAfter: ({ row }) => row === 3 ? "3 seconds" : "1 second"
      })
      yield* dies({ mode: "sync", repair: 1 })
      assert.deepStrictEqual(rounds(world).map(({ attempt }) => attempt), [2])
      const report = yield* world.simulate(resume())
      assert.strictEqual(report.tally?.succeeded, 3)
      assert.lengthOf(rounds(world), 1)
      const asked = (yield* world.test.calls).filter(({ operation }) => operation === "complete")
      assert.deepStrictEqual(asked.map(({ target }) => target), ["1", "2", "3", "2", "3", "3"])
    }))
})
