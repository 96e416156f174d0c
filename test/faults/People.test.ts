/**
 * What people and their machines do to a run: two processes on it, a process that is killed, clocks that jump, a laptop
 * that sleeps, a directory that cannot be written.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Pipeline from "llm-batch/Pipeline"
import * as Provider from "llm-batch/Provider"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as Poll from "llm-batch/stage/Poll"
import * as TestProvider from "llm-batch/TestProvider"
import { Disk } from "../../src/internal/Disk.js"
import { RunLock } from "../../src/internal/RunLock.js"
import { questions, start } from "../cli/Processes.js"
import * as World from "../World.js"

const run = (rows: number) =>
  Effect.flatMap(Pipeline.Pipeline, (pipeline) =>
    pipeline.run(
      Source.fromRows(Array.from({ length: rows }, (_, at) => ({ id: `${at + 1}`, prompt: `row ${at + 1}` }))),
      {
        defaults: new RequestDefaults({ model: "m" }),
        directory: World.directory,
        shardRows: 1,
        maxConcurrentJobs: 1
      }
    ))

const resume = Effect.flatMap(Pipeline.Pipeline, (pipeline) => pipeline.resume(World.directory))

/** The outcomes of a finished run. */
const outcomes = (world: World.World) =>
  world.read("results.jsonl").trimEnd().split("\n").map((line) => JSON.parse(line).error?.outcome ?? "succeeded")

const batches = (world: World.World) =>
  Effect.map(world.test.batches, (all) => all.map(({ shard }) => shard).toSorted())

describe("two machines on one run directory, without a common lock", () => {
  /** A machine whose lock no other one sees. */
  const machine = ({ memory, test }: World.World) =>
    Layer.fresh(
      Pipeline.layerComposed.pipe(
        Layer.provide(
          Layer.provideMerge(Poll.layerWith({ schedule: Schedule.spaced("1 hour") }), Pipeline.layerStages)
        ),
        Layer.provide(Layer.succeed(Provider.Provider, test.provider)),
        Layer.provide(Layer.succeed(Disk, memory.disk)),
        Layer.provide(Layer.succeed(RunLock, { acquire: () => Effect.void }))
      )
    )

  it.effect("make one batch a shard: the first one notices the second, and stops", () =>
    Effect.gen(function*() {
      const world = yield* World.make({ script: { answeredAfter: () => "5 hours" } })
      const first = yield* Effect.fork(Effect.provide(run(3), machine(world)))
      yield* TestClock.adjust("2 hours")
      const second = yield* Effect.fork(Effect.provide(resume, machine(world)))
      yield* TestClock.adjust("30 hours")
      const error = yield* Effect.flip(Fiber.join(first))
      assert.strictEqual(error._tag, "RunLocked")
      yield* Fiber.join(second)
      assert.deepStrictEqual(outcomes(world), ["succeeded", "succeeded", "succeeded"])
      assert.deepStrictEqual(yield* batches(world), ["0001", "0002", "0003"])
    }))
})

const day = 24 * 60 * 60 * 1000

/**
 * A machine whose clock is off by so much that everybody else's; it sleeps as long as all. Nobody sets its
 * monotonic clock, which stands still while a laptop sleeps.
 */
const clockOff = (base: Clock.Clock, off: { by: number }): Clock.Clock => ({
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  unsafeCurrentTimeMillis: () => base.unsafeCurrentTimeMillis() + off.by,
  unsafeCurrentTimeNanos: () => base.unsafeCurrentTimeNanos(),
  currentTimeMillis: Effect.map(base.currentTimeMillis, (millis) => millis + off.by),
  currentTimeNanos: base.currentTimeNanos,
  sleep: (duration) => base.sleep(duration)
})

/** A provider that has its own clock, whatever the caller's says. */
const withOwnClock = (base: Clock.Clock) => (provider: Provider.Service): Provider.Service => ({
  ...provider,
  upload: (...given) => Effect.withClock(provider.upload(...given), base),
  create: (...given) => Effect.withClock(provider.create(...given), base),
  find: (...given) => Effect.withClock(provider.find(...given), base),
  retrieve: (...given) => Effect.withClock(provider.retrieve(...given), base),
  list: (...given) => Effect.withClock(provider.list(...given), base),
  download: (file) =>
    Stream.unwrap(
      Effect.map(Effect.withClock(Stream.runCollect(provider.download(file)), base), Stream.fromChunk)
    )
})

describe("a clock", () => {
  for (const [what, by] of [["forward", day], ["back", -day]] as const) {
    it.effect(`that jumps a day ${what} while a batch is waited for changes nothing`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(30 * day)
        const base = yield* Effect.clock
        const off = { by: 0 }
        const world = yield* World.make({
          script: { answeredAfter: () => "5 hours" },
          wrap: withOwnClock(base)
        })
        const running = yield* Effect.fork(
          Effect.withClock(Effect.provide(Effect.scoped(run(2)), world.layer), clockOff(base, off))
        )
        yield* TestClock.adjust("2 hours")
        off.by = by
        yield* TestClock.adjust("10 hours")
        yield* Fiber.join(running)
        assert.deepStrictEqual(outcomes(world), ["succeeded", "succeeded"])
        assert.deepStrictEqual(yield* batches(world), ["0001", "0002"])
        // No wait became longer: each batch is asked for once an hour.
        assert.isAtMost((yield* world.test.calls).filter(({ operation }) => operation === "retrieve").length, 14)
      }))
  }

  for (const [what, by, listedAfter] of [["behind", -day, "30 seconds"], ["ahead", day, "0 seconds"]] as const) {
    it.effect(`that is a day ${what} when the answer of a create is lost pays once`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(30 * day)
        const base = yield* Effect.clock
        const world = yield* World.make({
          script: { faults: { create: [TestProvider.Fault.LostAnswer({ status: null })] }, listedAfter },
          wrap: withOwnClock(base)
        })
        const running = yield* Effect.fork(
          Effect.withClock(Effect.provide(Effect.scoped(run(1)), world.layer), clockOff(base, { by }))
        )
        yield* TestClock.adjust("3 hours")
        yield* Fiber.join(running)
        assert.deepStrictEqual(yield* batches(world), ["0001"])
      }))
  }

  for (const [what, by] of [["forward", day], ["back", -day]] as const) {
    it.effect(`that jumps a day ${what} between a lost answer and the look pays once`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(30 * day)
        const base = yield* Effect.clock
        const off = { by: 0 }
        const world = yield* World.make({
          script: { faults: { create: [TestProvider.Fault.LostAnswer({ status: null })] }, listedAfter: "30 seconds" },
          wrap: (provider) => {
            const own = withOwnClock(base)(provider)
            return {
              ...own,
              find: (...given) =>
                Effect.zipRight(
                  Effect.sync(() => {
                    off.by = by
                  }),
                  own.find(...given)
                )
            }
          }
        })
        const running = yield* Effect.fork(
          Effect.withClock(Effect.provide(Effect.scoped(run(1)), world.layer), clockOff(base, off))
        )
        yield* TestClock.adjust("3 hours")
        yield* Fiber.join(running)
        assert.deepStrictEqual(yield* batches(world), ["0001"])
      }))
  }
})

describe("a laptop", () => {
  it.effect("that sleeps for two days during a wait finds the batch ended, and brings what was answered", () =>
    Effect.gen(function*() {
      const base = yield* Effect.clock
      const off = { by: 0 }
      const everybodys = clockOff(base, off)
      const world = yield* World.make({
        script: { answeredAfter: ({ row }) => row === 1 ? "5 hours" : "30 hours" },
        wrap: withOwnClock(everybodys),
        poll: { schedule: Schedule.spaced("1 minute") }
      })
      const running = yield* Effect.fork(
        Effect.withClock(Effect.provide(Effect.scoped(run(2)), world.layer), everybodys)
      )
      yield* TestClock.adjust("10 minutes")
      // Asleep, nothing runs, and no timer counts.
      off.by += 2 * day
      yield* TestClock.adjust("10 minutes")
      off.by += 2 * day
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(running)
      assert.deepStrictEqual(outcomes(world), ["succeeded", "expired"])
      assert.deepStrictEqual(yield* batches(world), ["0001", "0002"])
    }))
})

describe("a directory", () => {
  it.effect("that is read-only is said to be so, before anything is sent", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      world.memory.failOnce({ operation: "makeDirectory", count: 1, code: "EROFS" })
      const error = yield* Effect.flip(world.inProcess(run(1), 0))
      assert.strictEqual(
        error.message,
        "/runs/one: cannot make: read-only file system, mkdir '/runs/one' (EROFS). "
          + "Choose a directory that can be written with --run-dir."
      )
      assert.deepStrictEqual(yield* batches(world), [])
    }))
})

describe("a process", () => {
  it.scopedLive("that was killed leaves no stale lock: the run is taken up at once", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start({ timeScale: 0 })
      write("in.jsonl", questions(2))
      const killed = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here"], {
        onStderr: (text, child) => {
          if (/batch_\w+ made/.test(text)) child.kill("SIGKILL")
        }
      })
      assert.strictEqual(killed.signal, "SIGKILL")
      yield* emulator.advance("1 hour")
      const { code, stderr } = yield* run(["resume", "here", "--poll-interval", "20ms"])
      assert.strictEqual(code, 0, stderr)
      assert.lengthOf((yield* emulator.books).batches, 1)
    }))

  it.scopedLive("beside another one on one run directory is refused, and disturbs nothing", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start({ timeScale: 0 })
      write("in.jsonl", questions(2))
      const made = yield* Effect.makeLatch()
      const first = yield* Effect.fork(
        run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", "--poll-interval", "20ms"], {
          onStderr: (text) => {
            if (/batch_\w+ made/.test(text)) made.unsafeOpen()
          }
        })
      )
      yield* made.await
      const second = yield* run(["resume", "here"])
      assert.strictEqual(second.code, 1)
      assert.include(second.stderr, "is in use by another llm-batch process")
      yield* emulator.advance("1 hour")
      assert.strictEqual((yield* Fiber.join(first)).code, 0)
      assert.lengthOf((yield* emulator.books).batches, 1)
    }))
})
