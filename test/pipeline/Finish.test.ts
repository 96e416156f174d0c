/**
 * Runs that are brought to their end through the synchronous API: when their time is over, and what is never done.
 */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { type AdvanceOptions, Pipeline, type RunOptions, type RunReport } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as TestProvider from "llm-batch/TestProvider"
import * as World from "../World.js"

const { Failing } = TestProvider.Fault

const defaults = new RequestDefaults({ model: "m" })

const rows = (count: number) =>
  Source.fromRows(Array.from({ length: count }, (_, at) => ({ id: `q${at + 1}`, prompt: `row ${at + 1}` })))

const run = (source: Source.Source, options: RunOptions = {}) =>
  Effect.flatMap(Pipeline, (pipeline) => pipeline.run(source, { defaults, directory: World.directory, ...options }))

const resume = (options: AdvanceOptions = {}) =>
  Effect.flatMap(Pipeline, (pipeline) => pipeline.resume(World.directory, options))

const retry = (options: AdvanceOptions = {}) =>
  Effect.flatMap(Pipeline, (pipeline) => pipeline.retry(World.directory, options))

const cancel = Effect.flatMap(Pipeline, (pipeline) => pipeline.cancel(World.directory))

const after = (deadline: Duration.DurationInput | null) => ({
  finish: { deadlineMillis: deadline === null ? null : Duration.toMillis(deadline) }
})

const submitted = { steps: { from: "build", to: "submit" } } as const

/** Every second row is answered by a batch soon, the others never in time. */
const half: TestProvider.Script = { answeredAfter: ({ row }) => row % 2 === 1 ? "1 hour" : "3 days" }

const tookMinutes = ({ state: { finishedAt, startedAt } }: RunReport) =>
  finishedAt === null ? null : DateTime.distance(startedAt, finishedAt) / 60_000

/** How often rows were asked again, in which shards. */
const rounds = (world: World.World) =>
  world.journal().filter(({ _tag }) => _tag === "RetryBuilt").map(({ reasons, shards }) => [
    reasons,
    Array.isArray(shards) ? shards.map(({ mode, rows }) => [mode, rows]) : []
  ])

/** The shards that ended without having been sent, or cut short. */
const cancelled = (world: World.World) =>
  world.journal().flatMap(({ _tag, batch }) =>
    _tag === "BatchEnded" && Reflect.get(Object(batch), "ending") === "cancelled" ? [batch] : []
  ).length

const callsOf = (world: World.World, operation: string) =>
  Effect.map(
    world.test.calls,
    (calls) => calls.filter((call) => call.operation === operation).map(({ target }) => target)
  )

describe("a deadline", () => {
  it.effect("cancels what is still live, keeps what was answered, and asks the rest", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: half })
      const report = yield* world.simulate(run(rows(6), { ...after("6 hours"), shardRows: 3 }))
      assert.deepInclude(report.tally, { rows: 6, succeeded: 6 })
      assert.deepStrictEqual(rounds(world), [[["finish"], [["sync", 3]]]])
      assert.deepStrictEqual(yield* callsOf(world, "cancel"), ["batch-1", "batch-2"])
      assert.deepStrictEqual((yield* callsOf(world, "complete")).toSorted(), ["2", "4", "6"])
      // Six hours, and until the poll after that has seen the ends.
      assert.isBelow(tookMinutes(report) ?? Infinity, 7 * 60 + 5)
      assert.strictEqual(yield* world.simulate(world.test.rowsBilled), 6)
      assert.deepStrictEqual(
        world.events.flatMap((event) => event._tag === "DeadlineReached" ? [event.batch.id] : []),
        ["batch-1", "batch-2"]
      )
      yield* world.simulate(resume())
      assert.lengthOf(rounds(world), 1)
    }))

  it.effect("that is not reached changes nothing", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      const report = yield* world.simulate(run(rows(3), after("6 hours")))
      assert.deepInclude(report.tally, { succeeded: 3 })
      assert.deepStrictEqual([rounds(world), yield* callsOf(world, "cancel")], [[], []])
    }))

  it.effect("that is over when the run is taken up sends nothing more as a batch", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: {
          ...half,
          faults: { upload: [TestProvider.Fault.None(), TestProvider.Fault.Refused({ status: 400 })] }
        }
      })
      // The second batch is refused; the run is left.
      yield* world.simulate(Effect.ignore(run(rows(4), { ...submitted, shardRows: 2, maxConcurrentJobs: 1 })))
      assert.strictEqual((yield* world.test.batches).length, 1)
      const report = yield* world.simulate(Effect.zipRight(Effect.sleep("2 hours"), resume(after(0))))
      assert.deepInclude(report.tally, { rows: 4, succeeded: 4 })
      assert.strictEqual((yield* world.test.batches).length, 1)
      assert.strictEqual(cancelled(world), 2)
      assert.deepStrictEqual((yield* callsOf(world, "complete")).toSorted(), ["2", "3", "4"])
      assert.strictEqual(yield* world.simulate(world.test.rowsBilled), 4)
    }))

  it.effect("is kept with the run, and counts from its beginning", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: half })
      yield* world.simulate(run(rows(4), { ...after("3 hours"), ...submitted }))
      const report = yield* world.simulate(Effect.zipRight(Effect.sleep("2 days"), resume()))
      assert.deepInclude(report.tally, { rows: 4, succeeded: 4 })
      // The batch had expired by then.
      assert.deepStrictEqual((yield* callsOf(world, "complete")).toSorted(), ["2", "4"])
    }))

  it.effect("waits on where the provider does not let go of a batch", () =>
    Effect.gen(function*() {
      const refusals = Array.from({ length: 9 }, () => Failing({ reason: "refused" }))
      const world = yield* World.make({ script: { ...half, faults: { cancel: refusals } } })
      const report = yield* world.simulate(run(rows(4), after("3 hours")))
      assert.deepInclude(report.tally, { rows: 4, succeeded: 4 })
      assert.strictEqual(yield* world.simulate(world.test.rowsBilled), 4)
    }))

  it.effect("lets a later retry of failed rows go at once, too", () =>
    Effect.gen(function*() {
      let fails = true
      const world = yield* World.make({
        script: { outcome: ({ row }) => row === 2 && fails ? "errored" : "succeeded" }
      })
      yield* world.simulate(run(rows(3), after("1 hour")))
      fails = false
      const report = yield* world.simulate(Effect.zipRight(Effect.sleep("2 hours"), retry()))
      assert.deepInclude(report.tally, { succeeded: 3 })
      assert.deepStrictEqual(rounds(world), [[["retry"], [["sync", 1]]]])
      assert.strictEqual((yield* world.test.batches).length, 1)
    }))
})

describe("without a deadline", () => {
  it.effect("rows that expired are asked when their batch has ended", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: half })
      const report = yield* world.simulate(run(rows(4), after(null)))
      assert.deepInclude(report.tally, { rows: 4, succeeded: 4, expired: 0 })
      assert.deepStrictEqual(rounds(world), [[["finish"], [["sync", 2]]]])
      assert.strictEqual(yield* world.simulate(world.test.rowsBilled), 4)
    }))

  it.effect("rows that failed in another way are left as they are", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: { ...half, outcome: ({ row }) => row === 1 ? "errored" : row === 3 ? "missing" : "succeeded" }
      })
      const report = yield* world.simulate(run(rows(4), after(null)))
      assert.deepInclude(report.tally, { succeeded: 2, errored: 1, missing: 1 })
      assert.deepStrictEqual((yield* callsOf(world, "complete")).toSorted(), ["2", "4"])
    }))

  it.effect("a row that fails when it is asked by itself is not asked for ever", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        script: { ...half, outcome: ({ row }) => row === 2 ? "errored" : "succeeded" }
      })
      const report = yield* world.simulate(run(rows(4), after(null)))
      assert.deepInclude(report.tally, { succeeded: 3, errored: 1 })
      assert.lengthOf(rounds(world), 1)
    }))
})

describe("a cancelled run", () => {
  it.effect("is not finished", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: half })
      yield* world.simulate(run(rows(4), { ...after("6 hours"), ...submitted }))
      yield* world.simulate(Effect.zipRight(Effect.sleep("2 hours"), cancel))
      const report = yield* world.simulate(resume())
      assert.deepInclude(report.tally, { succeeded: 2, cancelled: 2 })
      yield* world.simulate(resume(after(0)))
      assert.deepStrictEqual([rounds(world), yield* callsOf(world, "complete")], [[], []])
    }))

  it.effect("while it is finished asks nothing more, and keeps what has come", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const world = yield* World.make({
        script: { answeredAfter: () => "3 days", completedAfter: ({ row }) => row <= 16 ? "1 second" : "1 hour" },
        wrap: (provider) => ({
          ...provider,
          complete: (row) => Effect.zipRight(Deferred.succeed(begun, undefined), provider.complete(row))
        })
      })
      const report = yield* world.simulate(Effect.gen(function*() {
        const running = yield* Effect.fork(run(rows(40), after("1 hour")))
        yield* Deferred.await(begun)
        yield* Effect.sleep("10 seconds")
        yield* cancel
        return yield* Fiber.join(running)
      }))
      // Sixteen at a time: those under way when it was cancelled were answered, too.
      assert.deepInclude(report.tally, { rows: 40, succeeded: 32, cancelled: 8 })
      yield* world.simulate(resume())
      assert.lengthOf(rounds(world), 1)
      const retried = yield* world.simulate(retry())
      assert.deepInclude(retried.tally, { rows: 40, succeeded: 40 })
      assert.strictEqual((yield* callsOf(world, "complete")).length, 40)
    }))
})

describe("a run that asks row by row", () => {
  it.effect("has no batches to wait for", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: { completedAfter: () => "2 hours" } })
      const report = yield* world.simulate(run(rows(20), { mode: "sync", ...after("1 hour") }))
      assert.deepInclude(report.tally, { succeeded: 20 })
      assert.deepStrictEqual([rounds(world), (yield* world.test.batches).length], [[], 0])
    }))
})
