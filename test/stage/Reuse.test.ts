/** Rows that are not sent: those that ask the same as others of their input, and those whose answers a cache has. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { Pipeline, type RunOptions, type RunReport } from "llm-batch/Pipeline"
import type * as Provider from "llm-batch/Provider"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as TestProvider from "llm-batch/TestProvider"
import { Disk } from "../../src/internal/Disk.js"
import * as World from "../World.js"

const { Cut, Failing, LostAnswer, None } = TestProvider.Fault

const defaults = new RequestDefaults({ model: "m" })

/** Each row has an id of its own, whatever it asks. */
const rows = (questions: ReadonlyArray<string>) =>
  Source.fromRows(questions.map((prompt, index) => ({ id: `id ${index + 1}`, prompt })))

const run = (questions: ReadonlyArray<string>, options: RunOptions = {}) =>
  Effect.flatMap(
    Pipeline,
    (pipeline) => pipeline.run(rows(questions), { defaults, directory: World.directory, ...options })
  )

/** What became of each row, without what names a batch. */
const resultsOf = (world: World.World, report: RunReport) =>
  Effect.map(
    Effect.provideService(TestProvider.readResults(report), Disk, world.memory.disk),
    (results) => results.map(({ customId, outcome, text }) => [customId, outcome, text])
  )

/** How many rows ended how: lines that are repeated or cannot be read are copied, too. */
const countsOf = ({ tally }: RunReport) => {
  const { cancelled, errored, expired, invalid, missing, refused, repairable, retryable, rows, succeeded, truncated } =
    tally ?? assert.fail("it is not finished")
  return { cancelled, errored, expired, invalid, missing, refused, repairable, retryable, rows, succeeded, truncated }
}

/** A world that keeps books of the bodies that are paid for: how often each was sent. */
const makeWorld = (options: World.WorldOptions) => {
  const single: Array<string> = []
  const wrap = (provider: Provider.Service): Provider.Service => ({
    ...provider,
    complete: (row) =>
      Effect.tap(provider.complete(row), () =>
        Effect.sync(() => {
          single.push(row.text.replace(/^\{"custom_id":"[^"]*","body":(.*)\}$/u, "$1"))
        }))
  })
  return Effect.map(World.make({ ...options, wrap }), (world) => ({
    world,
    asked: Effect.map(world.test.batches, (batches) => {
      const counts = new Map<string, number>()
      const bodies = [...single, ...batches.flatMap((batch) => batch.rows.map(({ body }) => JSON.stringify(body)))]
      for (const body of bodies) counts.set(body, (counts.get(body) ?? 0) + 1)
      return counts
    })
  }))
}

const isOutcome = (word: string): word is TestProvider.RowOutcome =>
  ["succeeded", "refused", "truncated", "errored", "missing", "malformed", "duplicate", "conflicting"].includes(word)

/** The first word of a question says what becomes of it; the answer to a `wrong` one is put right when it is sent back. */
const script: TestProvider.Script = {
  outcome: ({ prompt, body }) => {
    const word =
      (Array.isArray(body["messages"]) && body["messages"].length > 1 ? "succeeded" : prompt).split(" ")[0] ?? ""
    return isOutcome(word) ? word : "succeeded"
  },
  answeredAfter: ({ prompt }) => prompt.startsWith("slow") ? "3 days" : "1 hour",
  answer: ({ body, prompt }) => {
    const turns = Array.isArray(body["messages"]) ? body["messages"].length : 0
    return prompt.startsWith("wrong") ? "no" : `yes, ${turns}`
  }
}

const check = (reply: string) =>
  reply.startsWith("yes") ? undefined : { code: "wrong", path: "$", problem: "it does not begin with yes" }

const word = FastCheck.constantFrom(
  "succeeded",
  "succeeded",
  "refused",
  "truncated",
  "errored",
  "malformed",
  "duplicate",
  "conflicting",
  "wrong"
)

/** Few questions, many rows; now and then an odd one. */
const questionsArbitrary = (odd: string) =>
  FastCheck.array(
    FastCheck.tuple(
      FastCheck.oneof({ weight: 4, arbitrary: word }, { weight: 1, arbitrary: FastCheck.constant(odd) }),
      FastCheck.nat(1)
    ).map(([word, number]) => `${word} ${number}`),
    { minLength: 1, maxLength: 14 }
  )

const optionsArbitrary = FastCheck.record({
  shardRows: FastCheck.integer({ min: 1, max: 5 }),
  tryRows: FastCheck.integer({ min: 1, max: 4 }),
  triesFirst: FastCheck.boolean(),
  mode: FastCheck.constantFrom("batch" as const, "sync" as const, "auto" as const),
  retries: FastCheck.nat(2),
  repair: FastCheck.nat(1),
  finishes: FastCheck.boolean()
}).map(({ finishes, mode, repair, retries, shardRows, triesFirst, tryRows }): RunOptions => ({
  shardRows,
  mode,
  batchThreshold: 5,
  retries,
  repair,
  check,
  ...(triesFirst ? { tryRows } : {}),
  ...(finishes ? { finish: { deadlineMillis: null } } : {})
}))

const faultsArbitrary: FastCheck.Arbitrary<TestProvider.Faults> = FastCheck.record({
  create: FastCheck.array(FastCheck.constantFrom(None(), LostAnswer({ status: null })), { maxLength: 3 }),
  retrieve: FastCheck.array(FastCheck.constantFrom(None(), Failing({ reason: "unreachable" })), { maxLength: 3 }),
  download: FastCheck.array(FastCheck.constantFrom(None(), Cut({ bytes: 25 }), Failing({ reason: "unreachable" })), {
    maxLength: 3
  })
})

/**
 * What becomes of a row must follow from its question. Only a batch can be too slow for a row, or lose it, and in a batch
 * with both it is not known which of the two it was.
 */
const caseArbitrary = FastCheck.tuple(optionsArbitrary, FastCheck.constantFrom("slow", "missing")).chain(
  ([options, odd]) =>
    FastCheck.tuple(
      questionsArbitrary(options.mode === "auto" || options.tryRows !== undefined ? "errored" : odd),
      FastCheck.constant(options),
      faultsArbitrary
    )
)

describe("rows that ask the same", () => {
  it.effect("are sent once, and answered everywhere", () =>
    Effect.gen(function*() {
      const { asked, world } = yield* makeWorld({ script })
      const report = yield* world.inProcess(run(["a", "b", "a", "c", "b", "a"], { dedupe: true }))
      assert.deepStrictEqual(yield* resultsOf(world, report), [
        ["id 1", "succeeded", "yes, 1"],
        ["id 2", "succeeded", "yes, 1"],
        ["id 3", "succeeded", "yes, 1"],
        ["id 4", "succeeded", "yes, 1"],
        ["id 5", "succeeded", "yes, 1"],
        ["id 6", "succeeded", "yes, 1"]
      ])
      assert.deepStrictEqual([...(yield* asked).values()], [1, 1, 1])
      assert.strictEqual(
        world.read("reused/0002.jsonl"),
        "{\"row\":3,\"same_as\":1}\n{\"row\":5,\"same_as\":2}\n{\"row\":6,\"same_as\":1}\n"
      )
      // Three questions of a word each, and three answers of two.
      assert.deepStrictEqual({ ...report.tally?.tokens }, { prompt: 3, completion: 6, cached: 0, reasoning: 0 })
      assert.isFalse(world.files().includes("batch_inputs/test/0002.jsonl"))
    }))

  it.effect("are all sent where nobody says otherwise", () =>
    Effect.gen(function*() {
      const { asked, world } = yield* makeWorld({ script })
      yield* world.inProcess(run(["a", "b", "a"]))
      assert.deepStrictEqual([...(yield* asked).values()], [2, 1])
      assert.isFalse(world.files().some((name) => name.startsWith("reused/")))
    }))

  it.effect.prop(
    "get what they get when all are sent, and each question is sent once",
    [caseArbitrary],
    ([[questions, options, faults]]) =>
      Effect.gen(function*() {
        const all = yield* makeWorld({ script: { ...script, faults } })
        const once = yield* makeWorld({ script: { ...script, faults } })
        const expected = yield* all.world.simulate(run(questions, options))
        const report = yield* once.world.simulate(run(questions, { ...options, dedupe: true }))
        assert.deepStrictEqual(yield* resultsOf(once.world, report), yield* resultsOf(all.world, expected))
        assert.deepStrictEqual(countsOf(report), countsOf(expected))
        const sent = yield* once.world.simulate(once.asked)
        const counts = yield* all.world.simulate(all.asked)
        assert.deepStrictEqual([...sent.keys()].toSorted(), [...counts.keys()].toSorted())
        for (const [body, count] of counts) {
          const first: unknown = JSON.parse(body).messages[0].content
          const repeats = questions.filter((question) => question === first).length
          assert.strictEqual((sent.get(body) ?? 0) * repeats, count, body)
        }
      }),
    { fastCheck: { numRuns: 25 } }
  )
})

/** The questions that were asked. */
const questionsIn = (asked: ReadonlyMap<string, number>): ReadonlyArray<string> =>
  [...asked.keys()].map((body) => JSON.parse(body).messages[0].content)

const cached = { cacheDirectory: "/answers" }

const inDirectory = (directory: string, questions: ReadonlyArray<string>, options: RunOptions = {}) =>
  run(questions, { ...cached, directory, ...options })

describe("rows that were answered before", () => {
  it.effect("are not sent again, in whichever run", () =>
    Effect.gen(function*() {
      const { asked, world } = yield* makeWorld({ script })
      const first = yield* world.inProcess(inDirectory("/runs/first", ["a", "b"]))
      const second = yield* world.inProcess(inDirectory("/runs/second", ["c", "b", "a"]))
      assert.deepStrictEqual(questionsIn(yield* asked), ["a", "b", "c"])
      assert.deepStrictEqual([...(yield* asked).values()], [1, 1, 1])
      assert.deepStrictEqual(yield* resultsOf(world, second), [
        ["id 1", "succeeded", "yes, 1"],
        ["id 2", "succeeded", "yes, 1"],
        ["id 3", "succeeded", "yes, 1"]
      ])
      assert.deepStrictEqual([first, second].map(({ tally }) => tally?.tokens.prompt), [2, 1])
      // The run has them itself: whatever becomes of the cache does it no harm.
      world.memory.disk.remove("/answers")
      const again = yield* world.inProcess(
        Effect.flatMap(Pipeline, (pipeline) =>
          pipeline.resume("/runs/second", { steps: { from: "normalize", to: "normalize" } }))
      )
      assert.strictEqual(again.tally?.succeeded, 3)
    }))

  it.effect("have an answer each, where they ask the same, as many as there are", () =>
    Effect.gen(function*() {
      // Each answer is another one, as they are at a temperature.
      const { asked, world } = yield* makeWorld({ script: { answer: ({ row }) => `answer ${row}` } })
      const texts = (report: RunReport) =>
        Effect.map(resultsOf(world, report), (results) => results.map(([, , text]) => text))
      yield* world.inProcess(inDirectory("/runs/first", ["a", "a"]))
      const second = yield* world.inProcess(inDirectory("/runs/second", ["b", "a", "a", "a"]))
      assert.deepStrictEqual(yield* texts(second), ["answer 1", "answer 1", "answer 2", "answer 4"])
      const third = yield* world.inProcess(inDirectory("/runs/third", ["a", "a", "a"], { dedupe: true }))
      assert.deepStrictEqual(yield* texts(third), ["answer 1", "answer 1", "answer 1"])
      assert.deepStrictEqual([...(yield* asked).values()], [3, 1])
    }))

  it.effect("keep the answer that is theirs when some of them are asked again", () =>
    Effect.gen(function*() {
      let failing = true
      const { world } = yield* makeWorld({
        script: {
          answer: ({ row }) => `answer ${row}`,
          outcome: ({ row }) => failing && row === 1 ? "errored" : "succeeded"
        }
      })
      yield* world.inProcess(inDirectory("/runs/first", ["a", "a", "a"]))
      failing = false
      yield* world.inProcess(Effect.flatMap(Pipeline, (pipeline) => pipeline.retry("/runs/first")))
      const second = yield* world.inProcess(inDirectory("/runs/second", ["a", "a", "a"]))
      assert.deepStrictEqual((yield* resultsOf(world, second)).map(([, , text]) => text), [
        "answer 1",
        "answer 2",
        "answer 3"
      ])
    }))

  it.effect("are sent again where their answer serves nobody", () =>
    Effect.gen(function*() {
      const { asked, world } = yield* makeWorld({ script })
      const questions = ["succeeded 1", "refused 1", "truncated 1", "errored 1", "malformed 1", "missing 1", "wrong 1"]
      yield* world.simulate(inDirectory("/runs/first", questions, { check }))
      yield* world.simulate(inDirectory("/runs/second", questions, { check }))
      const counts = yield* world.simulate(asked)
      assert.deepStrictEqual([...counts.values()], [1, 2, 2, 2, 2, 2, 2])
    }))

  it.effect("are sent back where their answer does not fit this time, in a batch", () =>
    Effect.gen(function*() {
      const { asked, world } = yield* makeWorld({ script })
      yield* world.inProcess(inDirectory("/runs/first", ["wrong 1", "a"]))
      const second = yield* world.inProcess(inDirectory("/runs/second", ["wrong 1", "a"], { check, repair: 1 }))
      assert.deepStrictEqual(yield* resultsOf(world, second), [
        ["id 1", "succeeded", "yes, 3"],
        ["id 2", "succeeded", "yes, 1"]
      ])
      assert.deepStrictEqual([...(yield* asked).values()], [1, 1, 1])
      assert.deepStrictEqual(
        [...second.state.shards.values()].map(({ shard }) => [shard.mode, shard.rows]),
        [["reused", 2], ["batch", 1]]
      )
    }))

  it.effect("are others where anything about them is other", () =>
    Effect.gen(function*() {
      const { asked, world } = yield* makeWorld({ script })
      yield* world.inProcess(inDirectory("/runs/first", ["a"]))
      const hotter = new RequestDefaults({ model: "m", temperature: 1 })
      yield* world.inProcess(inDirectory("/runs/second", ["a"], { defaults: hotter }))
      yield* world.inProcess(inDirectory("/runs/third", ["a"], { defaults: new RequestDefaults({ model: "n" }) }))
      assert.deepStrictEqual([...(yield* asked).values()], [1, 1, 1])
      const elsewhere = yield* World.make({
        wrap: (provider) => ({ ...provider, origin: "https://other.example.com" })
      })
      for (const [path, bytes] of world.memory.files()) {
        if (!path.startsWith("/answers/")) continue
        elsewhere.memory.disk.makeDirectory("/answers")
        const handle = elsewhere.memory.disk.open(path, "write")
        handle.write(bytes, 0, bytes.length)
        handle.close()
      }
      yield* elsewhere.inProcess(inDirectory("/runs/fourth", ["a"]))
      assert.strictEqual((yield* elsewhere.test.batches).length, 1)
    }))

  it.effect("are sent where the cache is damaged, and that is told", () =>
    Effect.gen(function*() {
      const { asked, world } = yield* makeWorld({ script })
      yield* world.inProcess(inDirectory("/runs/first", ["a", "b"]))
      const [path = ""] = [...world.memory.files().keys()].filter((path) => path.startsWith("/answers/"))
      const bytes = world.memory.read(path) ?? Buffer.alloc(0)
      const write = (name: string, content: Uint8Array) => {
        const handle = world.memory.disk.open(name, "write")
        handle.write(content, 0, content.length)
        handle.close()
      }
      write(path, bytes.subarray(0, bytes.length - 1))
      write("/answers/! read me", Buffer.from("mine"))
      yield* world.inProcess(inDirectory("/runs/second", ["a"]))
      const notices = world.events.flatMap((event) => event._tag === "Notice" ? [event.text] : [])
      assert.deepStrictEqual(notices, [
        "/answers/! read me (and 1 more) cannot be read, or holds no answers: it is left out"
      ])
      assert.deepStrictEqual([...(yield* asked).values()], [2, 1])
      // A line that was changed where nobody looks for it is found out when it is to be used.
      const changed = Buffer.from(bytes)
      changed.write("}", changed.indexOf("\"text\""))
      write(path, changed)
      yield* world.inProcess(inDirectory("/runs/third", ["b", "a"]))
      assert.deepStrictEqual([...(yield* asked).values()], [2, 2])
    }))
})

describe("a run that is killed", () => {
  const sorted = (asked: ReadonlyMap<string, number>) => [...asked].toSorted(([one], [other]) => one < other ? -1 : 1)

  const questions = ["a", "b", "a", "c", "errored 1", "errored 1", "a", "d", "c"]
  const options: RunOptions = { dedupe: true, shardRows: 2, retries: 1, ...cached }

  /** The cache has the answer to one of the questions. */
  const begun = Effect.gen(function*() {
    const made = yield* makeWorld({ script })
    yield* made.world.simulate(run(["d"], { directory: "/runs/before", ...cached }))
    return made
  })

  it.effect("goes on wherever that was, sends nothing twice, and has the same results", () =>
    Effect.gen(function*() {
      const sound = yield* begun
      const before = sound.world.memory.operations
      const expected = yield* sound.world.simulate(run(questions, options))
      const operations = sound.world.memory.operations - before
      const results = yield* resultsOf(sound.world, expected)
      const sent = sorted(yield* sound.world.simulate(sound.asked))
      for (let count = 1; count <= operations; count += 17) {
        const { asked, world } = yield* begun
        world.memory.failOnce({ count, code: "crash" })
        yield* Effect.exit(world.simulate(run(questions, options)))
        world.memory.crash()
        const report = yield* world.simulate(run(questions, options))
        assert.deepStrictEqual(yield* resultsOf(world, report), results, `operation ${count}`)
        assert.deepStrictEqual(sorted(yield* world.simulate(asked)), sent, `operation ${count}`)
      }
    }))
})
