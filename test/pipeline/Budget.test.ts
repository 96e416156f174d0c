import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Schedule from "effect/Schedule"
import * as Model from "llm-batch/Model"
import { type AdvanceOptions, Pipeline, type RunOptions } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import type { Step } from "llm-batch/Step"
import type { Script } from "llm-batch/TestProvider"
import * as BudgetedRun from "../BudgetedRun.js"
import * as World from "../World.js"

/** A dollar for a million tokens read, and ten for those written; half of that in batches. */
const priced = (name: string, maxOutput: number | null) =>
  new Model.Model({
    ...Model.unknown(name, "test"),
    maxOutput,
    prices: new Model.Prices({
      input: 1,
      output: 10,
      cacheRead: null,
      cacheWrite5m: null,
      cacheWrite1h: null,
      long: null,
      batchFactor: 0.5,
      source: "the test"
    })
  })

const models = Model.make([
  priced("priced", 1_000),
  priced("long-winded", 10_000),
  priced("endless", null),
  Model.unknown("unpriced", "test")
])

const begun = (script: Script = {}) => World.make({ script, models, poll: { schedule: Schedule.spaced("10 minutes") } })

const defaults = (maxTokens: number, model = "priced") => new RequestDefaults({ model, maxTokens })

const run = (count: number, { model = "priced", ...options }: RunOptions & { readonly model?: string } = {}) =>
  Effect.flatMap(
    Pipeline,
    (pipeline) =>
      pipeline.run(Source.fromRows(Array.from({ length: count }, (_, at) => ({ prompt: `question ${at}` }))), {
        defaults: defaults(1_000, model),
        directory: World.directory,
        shardRows: 1,
        ...options
      })
  )

const resume = (options: AdvanceOptions) =>
  Effect.flatMap(Pipeline, (pipeline) => pipeline.resume(World.directory, options))

const made = (world: World.World) => Effect.map(world.test.batches, (batches) => batches.length)

const notices = (world: World.World) => world.events.flatMap((event) => event._tag === "Notice" ? [event.text] : [])

const cases = FastCheck.record({
  setting: BudgetedRun.cases,
  /** How much of what the rows can cost the budget is, in hundredths. */
  share: FastCheck.oneof(FastCheck.integer({ min: 1, max: 40 }), FastCheck.integer({ min: 1, max: 120 })),
  finish: FastCheck.boolean(),
  /** How far the run comes at first: to its end, to the end of a step, or until it is killed; or without a budget. */
  first: FastCheck.oneof(
    FastCheck.constantFrom<Step | "unlimited">("normalize", "normalize", "submit", "poll", "fetch", "unlimited"),
    FastCheck.integer({ min: 1, max: 100 }).map((minutes) => Duration.minutes(minutes))
  )
})

describe("a budget", () => {
  it.effect("refuses before anything is sent what will certainly cost more", () =>
    Effect.gen(function*() {
      const world = yield* begun()
      const error = yield* Effect.flip(world.simulate(run(10, { maxCost: 0.000_01 })))
      assert.strictEqual(error._tag, "BudgetReached")
      assert.match(
        error.message,
        /^\/runs\/one: the budget of < \$0\.0001 is too small for more: what is next may cost .* Nothing more is sent\. Go on with a larger one: llm-batch resume \/runs\/one --max-cost DOLLARS$/u
      )
      assert.strictEqual(yield* made(world), 0)
      const report = yield* world.simulate(resume({ maxCost: 1 }))
      assert.strictEqual(report.tally?.succeeded, 10)
    }))

  it.effect("holds back what could pass it, until it is known what the rest has cost", () =>
    Effect.gen(function*() {
      const world = yield* begun()
      // Two rows at the most that one is expected to cost; all of them at what they turn out to cost.
      const report = yield* world.simulate(run(6, { maxCost: 0.01 }))
      assert.strictEqual(report.tally?.succeeded, 6)
      assert.match(
        notices(world)[0] ?? "",
        /^the run may cost up to \$0\.0\d+: what could pass the budget of \$0\.0100 is held back/u
      )
      const held = world.events.find((event) => event._tag === "SendingHeld")
      assert.strictEqual(held?._tag === "SendingHeld" && held.detail, "the budget may be used up by what is under way")
    }))

  it.effect("tells by how much longer answers than expected can pass it", () =>
    Effect.gen(function*() {
      const told = (model: string, maxCost: number) =>
        Effect.gen(function*() {
          const world = yield* begun()
          yield* world.simulate(run(1, { defaults: new RequestDefaults({ model }), maxCost }))
          return notices(world)
        })
      // Up to 4,000 tokens are expected, for two cents; 10,000 cost five, and the prompt a little on top.
      assert.deepStrictEqual(yield* told("long-winded", 0.03), [
        "if every answer were as long as it may be, the run would cost $0.0501: answers longer than expected can pass the "
        + "budget by up to $0.0201"
      ])
      assert.deepStrictEqual(yield* told("long-winded", 0.0501), [])
      assert.deepStrictEqual(yield* told("endless", 0.03), [
        "nothing limits the length of answers, so nothing limits by how much single shards can pass the budget: "
        + "--max-tokens does"
      ])
    }))

  it.effect("tells it of what was sent before there was one", () =>
    Effect.gen(function*() {
      const world = yield* begun()
      const defaults = new RequestDefaults({ model: "long-winded" })
      yield* world.simulate(run(1, { defaults, steps: { from: "build", to: "submit" } }))
      assert.deepStrictEqual(notices(world), [])
      yield* world.simulate(resume({ maxCost: 0.03 }))
      assert.match(notices(world)[0] ?? "", /can pass the budget by up to \$0\.0201$/u)
    }))

  it.effect("counts what is missing as dear as it can be, when it tells that", () =>
    Effect.gen(function*() {
      let asked = 0
      const world = yield* begun({ outcome: () => asked++ === 0 ? "missing" : "succeeded" })
      const defaults = new RequestDefaults({ model: "long-winded" })
      const report = yield* world.simulate(run(1, { defaults, retries: 1, maxCost: 0.0601 }))
      assert.strictEqual(report.tally?.succeeded, 1)
      // Nothing at first; then the row may have been charged, and is asked again, for five cents at most each time.
      assert.match(notices(world).join(), /^if every .* would cost \$0\.1001: .* by up to \$0\.0400$/u)
    }))

  it.effect("does not keep what is under way from being brought", () =>
    Effect.gen(function*() {
      const world = yield* begun()
      const steps = { from: "build", to: "submit" } as const
      yield* world.simulate(run(6, { maxConcurrentJobs: 1, steps }))
      assert.strictEqual(yield* made(world), 1)
      // Beside half a cent for that one the others do not fit; beside what it has cost they do.
      const report = yield* world.simulate(resume({ maxCost: 0.0051 }))
      assert.strictEqual(report.tally?.succeeded, 6)
    }))

  it.effect("refuses what has no known price", () =>
    Effect.gen(function*() {
      const world = yield* begun()
      const error = yield* Effect.flip(world.simulate(run(1, { model: "unpriced", maxCost: 1 })))
      assert.strictEqual(
        error.message,
        "/runs/one: there is a budget, and the price of a model is not known. "
          + "Name its price in a file for --models-file, or send it without --max-cost."
      )
      assert.strictEqual(yield* made(world), 0)
    }))

  it.effect("refuses to go on beside what was sent and has no known price", () =>
    Effect.gen(function*() {
      const world = yield* begun()
      const both = Source.fromRows([{ prompt: "one", model: "unpriced" }, { prompt: "two", model: "priced" }])
      const started = Effect.flatMap(Pipeline, (pipeline) =>
        pipeline.run(both, {
          defaults: defaults(1_000),
          directory: World.directory,
          maxConcurrentJobs: 1,
          shardRows: 1,
          steps: { from: "build", to: "submit" }
        }))
      yield* world.simulate(started)
      assert.strictEqual(yield* made(world), 1)
      const error = yield* Effect.flip(world.simulate(resume({ maxCost: 1 })))
      assert.include(error.message, "there is a budget, and the price of a model is not known")
    }))

  it.effect("counts what was answered row by row before it is known what it has cost", () =>
    Effect.gen(function*() {
      const world = yield* begun()
      const asked = Effect.map(
        world.test.calls,
        (calls) => calls.filter(({ operation }) => operation === "complete").length
      )
      // One row at the most that it is expected to cost, in the synchronous API.
      const options = { maxCost: 0.015, steps: { from: "build", to: "fetch" } } as const
      const first = yield* Effect.flip(world.simulate(run(3, { ...options, mode: "sync" })))
      assert.deepStrictEqual([first._tag, yield* asked], ["BudgetReached", 1])
      const second = yield* Effect.flip(world.inProcess(resume(options)))
      assert.deepStrictEqual([second._tag, yield* asked], ["BudgetReached", 1])
      const report = yield* world.inProcess(resume({}))
      assert.strictEqual(report.tally?.succeeded, 3)
    }))

  it.effect("counts rows that are missing as if they had been answered: they may have been charged", () =>
    Effect.gen(function*() {
      let asked = 0
      const world = yield* begun({
        // Four rows cost two cents, and of two of them nothing is to be seen.
        outcome: () => asked++ % 2 === 0 ? "succeeded" : "missing",
        answer: () => "word ".repeat(1_000)
      })
      const report = yield* world.simulate(run(4, { shardRows: 4, maxCost: 0.024 }))
      assert.strictEqual(report.tally?.missing, 2)
      const error = yield* Effect.flip(world.simulate(
        Effect.flatMap(Pipeline, (pipeline) => pipeline.retry(World.directory, { maxCost: 0.022 }))
      ))
      assert.strictEqual(error._tag, "BudgetReached")
      assert.strictEqual(yield* made(world), 1)
    }))

  it.effect("lets no round begin that could pass it, and the run is finished without", () =>
    Effect.gen(function*() {
      let asked = 0
      const world = yield* begun({
        outcome: () => (asked++ % 2 === 0 ? "succeeded" : "errored"),
        answer: () => "word ".repeat(1_200)
      })
      const report = yield* world.simulate(run(4, { shardRows: 4, retries: 3, maxCost: 0.021 }))
      assert.strictEqual(report.tally?.succeeded, 2)
      assert.strictEqual(yield* made(world), 1)
      assert.match(notices(world).at(-1) ?? "", /^rows are not asked again: .* the budget of \$0\.0210/u)
    }))

  it.effect.prop(
    "is never passed by more than was told, and nothing is sent that could pass it, by the provider's books",
    [cases],
    ([{ finish, first, setting, share }]) =>
      Effect.gen(function*() {
        // What a kill keeps from being told of rows that are asked one by one is in nobody's sum.
        const until = Duration.isDuration(first) && setting.plan.mode === "sync" ? "normalize" : first
        const { books, limitTo, resume, run, told, violations, world, worst } = yield* BudgetedRun.make(setting)
        const budget = Math.max(1, Math.round(Number(worst) * share / 100 / 1e6))
        const options = { retries: 2, repair: 1, ...(finish ? { finish: { deadlineMillis: null } } : {}) }

        /** What can have been charged, by what was told; `null` once it was told that nothing limits that. */
        let most: bigint | null = 0n
        const within = <A, E extends { readonly _tag: string; readonly message: string }>(
          micros: number,
          go: (options: { readonly maxCost: number }) => Effect.Effect<A, E>
        ) =>
          Effect.gen(function*() {
            const before = world.events.length
            const limit = BigInt(micros) * 1_000_000n
            limitTo(limit)
            const ended = yield* Effect.either(go({ maxCost: micros / 1_000_000 }))
            if (Either.isLeft(ended)) assert.strictEqual(ended.left._tag, "BudgetReached", ended.left.message)
            assert.deepStrictEqual(violations, [])
            const passing = told(world.events.slice(before))
            if (most !== null) most = passing === null ? null : [most, limit + passing].reduce((a, b) => a > b ? a : b)
            return ended
          })
        const assertKept = () =>
          assert.isTrue(
            most === null || books.charged <= most,
            `${books.charged} were charged, ${most} at most were told`
          )

        if (until === "unlimited") yield* run({ ...options, steps: { from: "build", to: "submit" } })
        else if (typeof until === "string") {
          yield* within(budget, ({ maxCost }) => run({ ...options, maxCost, steps: { from: "build", to: until } }))
        } else yield* within(budget, ({ maxCost }) => Effect.timeoutOption(run({ ...options, maxCost }), until))

        yield* within(budget, resume)
        assertKept()
        // What is under way is brought, whatever else there is room for.
        const entries = (tag: string) => world.journal().flatMap(({ _tag, shard }) => _tag === tag ? [shard] : [])
        assert.sameMembers(entries("ShardNormalized"), [...entries("BatchCreated"), ...entries("AskStarted")])

        yield* within(budget * 3, resume)
        assertKept()
        const report = yield* within(1e12, resume)
        assertKept()
        assert.isTrue(Either.isRight(report))
        const ids = world.read("results.jsonl").trimEnd().split("\n").map((line) => JSON.parse(line).custom_id)
        assert.deepStrictEqual(ids, setting.rows.map((_, at) => `q${at + 1}`))
      }),
    { fastCheck: { numRuns: 10 } }
  )
})
