import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Schedule from "effect/Schedule"
import * as Model from "llm-batch/Model"
import { type AdvanceOptions, Pipeline, type RunOptions } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as Tally from "llm-batch/Tally"
import type { Script } from "llm-batch/TestProvider"
import * as World from "../World.js"

/** A dollar for a million tokens read, and ten for those written; half of that in batches. */
const models = Model.make([
  new Model.Model({
    ...Model.unknown("priced", "test"),
    maxOutput: 1_000,
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
  }),
  Model.unknown("unpriced", "test")
])

const begun = (script: Script = {}) => World.make({ script, models, poll: { schedule: Schedule.spaced("10 minutes") } })

const defaults = (maxTokens: number, model = "priced") => new RequestDefaults({ model, maxTokens })

/** What an entry of the journal says that was charged, in dollars. */
const chargedBy = (entry: { readonly [field: string]: unknown }): number => {
  const { bill } = entry
  return typeof bill === "object" && bill !== null && "charged" in bill ? Number(bill.charged) : 0
}

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
    "is never passed, but by answers longer than expected, which was told before",
    {
      answers: FastCheck.array(FastCheck.integer({ min: 1, max: 1_500 }), { minLength: 1, maxLength: 8 }),
      shardRows: FastCheck.integer({ min: 1, max: 3 }),
      maxTokens: FastCheck.integer({ min: 20, max: 1_500 }),
      failing: FastCheck.integer({ min: 2, max: 6 }),
      retries: FastCheck.integer({ min: 0, max: 2 }),
      cents: FastCheck.integer({ min: 1, max: 80 })
    },
    ({ answers, cents, failing, maxTokens, retries, shardRows }) =>
      Effect.gen(function*() {
        let asked = 0
        const world = yield* begun({
          outcome: () => asked++ % failing === 0 ? "errored" : "succeeded",
          answer: ({ row }) => "word ".repeat(Math.min(maxTokens, answers[row - 1] ?? 1)).trim()
        })
        const maxCost = cents / 1_000
        const ended = yield* Effect.either(
          world.simulate(run(answers.length, { defaults: defaults(maxTokens), maxCost, retries, shardRows }))
        )
        const charged = world.journal().reduce((sum, entry) => sum + chargedBy(entry), 0)
        const wasTold = notices(world).some((text) => text.includes("answers longer than expected can pass the budget"))
        if (!wasTold) assert.isAtMost(charged, maxCost)
        const most = answers.length * (1 + retries) * (maxTokens * 5 + 100 * 0.5) / 1_000_000
        assert.isAtMost(charged, Math.max(maxCost, most))
        if (Either.isLeft(ended)) assert.strictEqual(ended.left._tag, "BudgetReached")
        const report = yield* world.simulate(resume({ maxCost: 10 }))
        assert.strictEqual(report.tally === null ? 0 : Tally.sum(report.tally), answers.length)
      }),
    { fastCheck: { numRuns: 40 } }
  )
})
