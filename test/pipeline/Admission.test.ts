import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { BatchProblem, BatchSnapshot } from "llm-batch/Batch"
import { Pipeline, type RunOptions } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import type { MadeBatch, Script } from "llm-batch/TestProvider"
import * as World from "../World.js"

const model = "gpt-5-mini"

/** What the model's tokenizer makes of "hello" in a chat: the word, and what every chat and message has besides. */
const tokensOfRow = 7

const rows = (count: number) => Source.fromRows(Array.from({ length: count }, () => ({ prompt: "hello" })))

const run = (count: number, options: RunOptions = {}) =>
  Effect.flatMap(Pipeline, (pipeline) =>
    pipeline.run(rows(count), {
      defaults: new RequestDefaults({ model }),
      directory: World.directory,
      ...options
    }))

const resume = Effect.flatMap(Pipeline, (pipeline) => pipeline.resume(World.directory))

const enqueued = (batch: MadeBatch) => batch.tokens.get(model) ?? 0

const span = ({ snapshot: { createdAt, endedAt } }: MadeBatch) =>
  [DateTime.toEpochMillis(createdAt), endedAt === null ? Infinity : DateTime.toEpochMillis(endedAt)] as const

/** How full a queue was on the average, while there was something left to be sent. */
const meanFill = (batches: ReadonlyArray<MadeBatch>, limit: number): number => {
  const taken = batches.filter((batch) => enqueued(batch) > 0)
  const began = Math.min(...taken.map((batch) => span(batch)[0]))
  const last = Math.max(...taken.map((batch) => span(batch)[0]))
  const filled = taken.reduce((sum, batch) => {
    const [from, to] = span(batch)
    return sum + enqueued(batch) * (Math.min(to, last) - from)
  }, 0)
  return filled / (limit * (last - began))
}

const every = Schedule.spaced("5 minutes")

/** Batches that take from one to three hours, each another time. */
const busy = (limit: number, tokens = tokensOfRow): Script => ({
  enqueuedTokens: limit,
  tokensOf: () => tokens,
  answeredAfter: ({ row }) => `${60 + (row * 37) % 120} minutes`
})

describe("the tokens that may be enqueued", () => {
  const limit = 20 * tokensOfRow

  it.effect("are filled and never passed, when they are told", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: busy(limit), poll: { schedule: every } })
      const report = yield* world.simulate(run(80, { maxEnqueuedTokens: limit }))
      assert.strictEqual(report.tally?.succeeded, 80)
      assert.deepStrictEqual([...(yield* world.test.peakTokens)].map(([, peak]) => peak <= limit), [true])
      const batches = yield* world.simulate(world.test.batches)
      assert.isEmpty(batches.filter((batch) => enqueued(batch) === 0), "none is declined")
      assert.isAbove(meanFill(batches, limit), 0.9)
    }))

  it.effect("are learned when a batch is declined, and filled then", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: busy(limit), poll: { schedule: every } })
      const report = yield* world.simulate(run(80))
      assert.strictEqual(report.tally?.succeeded, 80)
      const batches = yield* world.simulate(world.test.batches)
      assert.strictEqual(batches.filter((batch) => enqueued(batch) === 0).length, 1)
      assert.isAbove(meanFill(batches.slice(1), limit), 0.9)
      assert.strictEqual(yield* world.simulate(world.test.rowsBilled), 80)
    }))

  it.effect("are waited for when the provider counts more of them than we do", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: busy(limit, tokensOfRow + 3), poll: { schedule: every } })
      const report = yield* world.simulate(run(45))
      assert.strictEqual(report.tally?.succeeded, 45)
      assert.strictEqual(yield* world.simulate(world.test.rowsBilled), 45)
    }))

  it.effect("are found by halves when a decline tells no limit, and no shard is cut while it only waits", () =>
    Effect.gen(function*() {
      const untold = (snapshot: BatchSnapshot) =>
        new BatchSnapshot({
          ...snapshot,
          problems: snapshot.problems.map((problem) => new BatchProblem({ ...problem, message: "The queue is full." }))
        })
      const world = yield* World.make({
        script: busy(limit),
        poll: { schedule: every },
        wrap: (provider) => ({
          ...provider,
          retrieve: (id) => Effect.map(provider.retrieve(id), untold),
          list: (after) =>
            Effect.map(provider.list(after), ({ batches, ...page }) => ({ ...page, batches: batches.map(untold) }))
        })
      })
      const report = yield* world.simulate(run(64))
      assert.strictEqual(report.tally?.succeeded, 64)
      // 64 and 32 rows do not fit, and 16 do.
      const sizes = world.journal().flatMap((entry) => entry._tag === "ShardSplit" ? [entry["shards"]] : [])
      assert.isAtMost(sizes.length, 10)
      assert.strictEqual(yield* world.simulate(world.test.rowsBilled), 64)
    }))

  it.effect("are remembered by whoever resumes", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: busy(limit), poll: { schedule: every } })
      yield* world.inProcess(Effect.ignore(Effect.timeout(run(45), "30 minutes")), "31 minutes")
      const before = (yield* world.simulate(world.test.batches)).length
      const report = yield* world.inProcess(resume)
      assert.strictEqual(report.tally?.succeeded, 45)
      const after = (yield* world.simulate(world.test.batches)).slice(before)
      assert.isEmpty(after.filter((batch) => enqueued(batch) === 0), "none is declined")
    }))

  it.effect("are fewer than one row has: it ends as errored with what the provider said, and the others are answered", () =>
    Effect.gen(function*() {
      const long = "hello ".repeat(10 * limit)
      const world = yield* World.make({
        script: { ...busy(limit), tokensOf: ({ prompt }) => prompt === long ? 10 * limit : tokensOfRow },
        poll: { schedule: every }
      })
      const report = yield* world.simulate(
        Effect.flatMap(
          Pipeline,
          (pipeline) =>
            pipeline.run(Source.fromRows([{ prompt: "hello" }, { prompt: long }, { prompt: "hello" }]), {
              defaults: new RequestDefaults({ model }),
              directory: World.directory
            })
        )
      )
      assert.deepStrictEqual([report.tally?.succeeded, report.tally?.errored], [2, 1])
      assert.match(world.read("failures.jsonl"), /"code":"token_limit_exceeded".*Limit: 140 enqueued tokens/u)
    }))
})
