import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { Batch, BatchSnapshot, type BatchStatus, RequestCounts } from "llm-batch/Batch"
import * as Provider from "llm-batch/Provider"
import { ProviderError, type ProviderErrorReason } from "llm-batch/ProviderError"
import { Progress, type RunEvent } from "llm-batch/RunEvent"
import { Shard } from "llm-batch/Shard"
import * as Poll from "llm-batch/stage/Poll"
import * as TestProvider from "llm-batch/TestProvider"

const shard = (index: number) =>
  new Shard({
    id: String(index).padStart(4, "0"),
    directory: "/runs/one",
    runTag: "tag",
    provider: "test",
    endpoint: "/v1/chat/completions",
    model: "m",
    betas: [],
    rows: 1,
    bytes: 100,
    sha256: `hash ${index}`,
    firstRow: index,
    lastRow: index,
    attempt: 1,
    parents: []
  })

const wire = (index: number) =>
  Buffer.from(`{"custom_id":"tag-${index}","body":{"messages":[{"role":"user","content":"${index}"}]}}\n`)

/** Makes a batch of one row at the provider. */
const makeBatch = ({ provider }: TestProvider.Service, index: number): Effect.Effect<Batch> =>
  Effect.orDie(Effect.gen(function*() {
    const bytes = Stream.make(wire(index))
    const input = yield* provider.upload(shard(index), bytes)
    const snapshot = yield* provider.create(shard(index), input, bytes)
    return new Batch({ shard: shard(index), snapshot })
  }))

const makeBatches = (test: TestProvider.Service, count: number) =>
  Effect.forEach(Array.from({ length: count }, (_, index) => index + 1), (index) => makeBatch(test, index))

/** The stage over a provider, and everything that it told. */
const stage = (provider: Provider.Service, options: Poll.Options = {}) =>
  Effect.gen(function*() {
    const events: Array<RunEvent> = []
    const context = yield* Layer.build(
      Poll.layerWith(options).pipe(
        Layer.provide(Layer.succeed(Provider.Provider, provider)),
        Layer.provideMerge(Layer.succeed(Progress, { tell: (event: RunEvent) => events.push(event) }))
      )
    )
    const { poll, updates } = yield* Effect.provide(Poll.Poll, context)
    return {
      events,
      poll: (batch: Batch) => Effect.provide(poll(batch), context),
      updates: (batch: Batch) => Stream.provideContext(updates(batch), context)
    }
  })

/** Calls that look at batches. */
const looks = (test: TestProvider.Service) =>
  Effect.map(test.calls, (calls) => calls.filter(({ operation }) => operation === "retrieve" || operation === "list"))

/** Waits, with a clock that goes on for so long, and tells how it ended. */
const after = <A, E>(duration: Duration.DurationInput, waiting: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(waiting)
    yield* TestClock.adjust(duration)
    return yield* Effect.exit(Fiber.join(fiber))
  })

const errorOf = <A, E>(exit: Exit.Exit<A, E>): E =>
  Exit.isFailure(exit) && exit.cause._tag === "Fail"
    ? exit.cause.error
    : assert.fail(`it ended otherwise: ${exit._tag}`)

const everyMinute = Schedule.spaced("1 minute")

const failing = (reason: ProviderErrorReason, status: number | null = null, retryAfterMillis: number | null = null) =>
  new ProviderError({ provider: "test", operation: "look", reason, status, retryAfterMillis, detail: "so it is" })

describe("a batch", () => {
  it.scoped("that ends well is given as ended", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      const batch = yield* makeBatch(test, 1)
      const { poll } = yield* stage(test.provider)
      const ended = yield* Effect.flatten(after("20 minutes", poll(batch)))
      assert.strictEqual(ended.ending, "completed")
      assert.strictEqual(ended.snapshot.counts.succeeded, 1)
      assert.strictEqual(ended.shard.id, "0001")
    }))

  for (
    const [ending, tag] of [
      ["expired", "BatchExpired"],
      ["failed", "BatchErrored"],
      ["cancelled", "BatchCancelled"]
    ] as const
  ) {
    it.scoped(`that is ${ending} is a ${tag} that carries it`, () =>
      Effect.gen(function*() {
        const test = yield* TestProvider.make({ timeline: [{ after: "5 minutes", status: "ended", ending }] })
        const batch = yield* makeBatch(test, 1)
        const { poll } = yield* stage(test.provider)
        const error = errorOf(yield* after("20 minutes", poll(batch)))
        assert.strictEqual(error._tag, tag)
        assert.strictEqual("batch" in error ? error.batch.id : "none", "batch-1")
        assert.strictEqual("batch" in error ? error.batch.ending : "none", ending)
      }))
  }

  it.scoped("that has ended already needs no look", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      const made = yield* makeBatch(test, 1)
      yield* TestClock.adjust("1 hour")
      const snapshot = yield* test.provider.retrieve(made.id)
      const { poll } = yield* stage(test.provider)
      const before = (yield* looks(test)).length
      const ended = yield* poll(new Batch({ shard: made.shard, snapshot }))
      assert.strictEqual(ended.ending, "completed")
      assert.strictEqual((yield* looks(test)).length, before)
    }))

  it.scoped("is told each time it has changed, and the last time when it has ended", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({
        timeline: [
          { after: 0, status: "validating" },
          { after: "2 minutes", status: "in_progress" },
          { after: "4 minutes", status: "validating" },
          { after: "6 minutes", status: "finalizing" },
          { after: "8 minutes", status: "ended" }
        ],
        answeredAfter: () => "1 hour"
      })
      const batch = yield* makeBatch(test, 1)
      const { updates } = yield* stage(test.provider, { schedule: everyMinute })
      const seen = yield* Effect.flatten(after("20 minutes", Stream.runCollect(updates(batch))))
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(seen).map(({ snapshot }) => snapshot.status),
        ["in_progress", "finalizing", "ended"]
      )
    }))

  it.scoped("whose status goes backwards never does, whatever a server that lags behind says", () =>
    Effect.gen(function*() {
      const counts = (succeeded: number) =>
        new RequestCounts({ total: 9, succeeded, errored: 0, expired: 0, cancelled: 0 })
      const test = yield* TestProvider.make({ answeredAfter: () => "1 hour" })
      const batch = yield* makeBatch(test, 1)
      const says: Array<readonly [BatchStatus, number]> = [
        ["in_progress", 3],
        ["in_progress", 1],
        ["validating", 0],
        ["in_progress", 3],
        ["in_progress", 0],
        ["in_progress", 7],
        ["finalizing", 0],
        ["in_progress", 9],
        ["ended", 9]
      ]
      const { updates } = yield* stage({
        ...test.provider,
        retrieve: () =>
          Effect.sync(() => {
            const [status, done] = says.shift() ?? ["ended", 9] as const
            return new BatchSnapshot({
              ...batch.snapshot,
              status,
              counts: counts(done),
              ending: status === "ended" ? "completed" : null
            })
          })
      }, { schedule: everyMinute })
      const seen = yield* Effect.flatten(after("20 minutes", Stream.runCollect(updates(batch))))
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(seen).map(({ snapshot }) => [snapshot.status, snapshot.counts.succeeded]),
        [["in_progress", 3], ["in_progress", 7], ["finalizing", 0], ["ended", 9]]
      )
    }))
})

describe("the pauses", () => {
  it.scoped("are short at first, and a minute later on", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ answeredAfter: () => "40 minutes" })
      const batch = yield* makeBatch(test, 1)
      const { poll } = yield* stage(test.provider)
      yield* Effect.flatten(after("45 minutes", poll(batch)))
      const times = (yield* looks(test)).map(({ at }) => at)
      const pauses = times.slice(1).map((at, index) => at - (times[index] ?? 0))
      assert.isAtMost(times[0] ?? Infinity, 1_000)
      assert.isAtMost(pauses[0] ?? Infinity, 3_000)
      assert.isTrue(pauses.every((pause) => pause <= 72_000))
      assert.isTrue(pauses.slice(10).every((pause) => pause >= 48_000))
    }))

  it.scoped("are the caller's, where he gives some", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      const batch = yield* makeBatch(test, 1)
      const { poll } = yield* stage(test.provider, { schedule: Schedule.spaced("3 minutes") })
      yield* Effect.flatten(after("20 minutes", poll(batch)))
      assert.deepStrictEqual((yield* looks(test)).map(({ at }) => at), [100, 180_100, 360_100, 540_100, 720_100])
    }))

  it.scoped("that come to an end, end the wait, and say so", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ answeredAfter: () => "1 hour" })
      const batch = yield* makeBatch(test, 1)
      const { poll } = yield* stage(test.provider, { schedule: Schedule.recurs(2) })
      const error = errorOf(yield* after("20 minutes", poll(batch)))
      assert.strictEqual(error._tag, "ProviderError")
      assert.include(error.message, "they are still running")
    }))

  it.scoped("jitter, by every", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ answeredAfter: () => "2 hours" })
      const batch = yield* makeBatch(test, 1)
      const { poll } = yield* stage(test.provider, { schedule: Poll.every("10 minutes") })
      yield* Effect.flatten(after("3 hours", poll(batch)))
      const times = (yield* looks(test)).map(({ at }) => at)
      const pauses = times.slice(1).map((at, index) => at - (times[index] ?? 0))
      assert.isTrue(pauses.every((pause) => pause >= 480_000 && pause <= 720_000))
      assert.isAbove(new Set(pauses).size, 1)
    }))
})

describe("trouble", () => {
  for (
    const [what, error] of [
      ["500", failing("unreachable", 500)],
      ["408", failing("unreachable", 408)],
      ["a reset", failing("unreachable", null)],
      ["an HTML error page", failing("unexpected", 200)],
      ["429", failing("rate-limited", 429)]
    ] as const
  ) {
    it.scoped(`does not end a wait when it may pass: ${what}`, () =>
      Effect.gen(function*() {
        const test = yield* TestProvider.make()
        const batch = yield* makeBatch(test, 1)
        let calls = 0
        const { events, poll } = yield* stage({
          ...test.provider,
          retrieve: (id) => Effect.suspend(() => ++calls < 12 ? error : test.provider.retrieve(id))
        }, { schedule: everyMinute })
        const ended = yield* Effect.flatten(after("1 hour", poll(batch)))
        assert.strictEqual(ended.ending, "completed")
        assert.strictEqual(events.filter(({ _tag }) => _tag === "PollTrouble").length, 11)
      }))
  }

  it.scoped("of a list does not end a wait either, and falls back on single looks where it will not pass", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({
        faults: {
          list: [
            TestProvider.Fault.Failing({ reason: "unreachable" }),
            TestProvider.Fault.Failing({ reason: "gone" }),
            TestProvider.Fault.Failing({ reason: "refused" })
          ]
        }
      })
      const batches = yield* makeBatches(test, 3)
      const { poll } = yield* stage(test.provider, { schedule: everyMinute })
      const ended = yield* Effect.flatten(after("1 hour", Effect.forEach(batches, poll, { concurrency: "unbounded" })))
      assert.deepStrictEqual(ended.map(({ ending }) => ending), ["completed", "completed", "completed"])
      const operations = (yield* looks(test)).map(({ operation }) => operation)
      assert.deepStrictEqual(operations.slice(0, 6), ["list", "retrieve", "retrieve", "retrieve", "list", "retrieve"])
    }))

  for (const [asked, honoured] of [["5 minutes", 300_000], ["3 days", 600_000], [undefined, 0]] as const) {
    it.scoped(`with Retry-After of ${asked ?? "nothing"} is honoured, unless it is absurdly large`, () =>
      Effect.gen(function*() {
        const test = yield* TestProvider.make({
          faults: { retrieve: [TestProvider.Fault.Failing({ reason: "rate-limited", retryAfter: asked })] }
        })
        const batch = yield* makeBatch(test, 1)
        const { poll } = yield* stage(test.provider, { schedule: everyMinute })
        yield* Effect.flatten(after("1 hour", poll(batch)))
        const [first, second] = (yield* looks(test)).map(({ at }) => at)
        assert.strictEqual((second ?? 0) - (first ?? 0), honoured + 60_000)
      }))
  }

  for (
    const [what, retrieve] of [
      ["hangs", () => Effect.never],
      ["brings one byte a second", () => Effect.zipRight(Effect.sleep("1 day"), failing("unexpected"))]
    ] as const
  ) {
    it.scoped(`with a socket that ${what} does not end a wait, and holds up no other one`, () =>
      Effect.gen(function*() {
        const test = yield* TestProvider.make()
        const batches = yield* makeBatches(test, 3)
        let calls = 0
        const { events, poll } = yield* stage({
          ...test.provider,
          list: retrieve,
          retrieve: (id) => id === "batch-2" && ++calls < 4 ? retrieve() : test.provider.retrieve(id)
        }, { schedule: everyMinute })
        const ended = yield* Effect.flatten(
          after("40 minutes", Effect.forEach(batches, poll, { concurrency: "unbounded" }))
        )
        assert.deepStrictEqual(ended.map(({ ending }) => ending), ["completed", "completed", "completed"])
        assert.deepStrictEqual(
          events.flatMap((event) => event._tag === "PollTrouble" ? [event.detail] : []).slice(0, 2),
          [
            "test: list batches: no whole answer within 2m. Check the network and the base URL, then run the same command again; nothing is lost.",
            "test: retrieve batch-2: no whole answer within 2m. Check the network and the base URL, then run the same command again; nothing is lost."
          ]
        )
      }))
  }

  it.scoped("of a 401 with the key ends all waits", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      const batches = yield* makeBatches(test, 3)
      const refused = { list: () => failing("auth", 401), retrieve: () => failing("auth", 401) }
      const { poll } = yield* stage({ ...test.provider, ...refused }, { schedule: everyMinute })
      const exits = yield* Effect.flatten(
        after("10 minutes", Effect.forEach(batches, (batch) => Effect.exit(poll(batch)), { concurrency: "unbounded" }))
      )
      for (const exit of exits) {
        const error = errorOf(exit)
        assert.strictEqual(error._tag === "ProviderError" ? error.reason : error._tag, "auth")
      }
    }))

  it.scoped("with one batch does not touch the others", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      const batches = yield* makeBatches(test, 3)
      const { poll } = yield* stage({
        ...test.provider,
        list: () => failing("refused", 400),
        retrieve: (id) => id === "batch-2" ? failing("refused", 400) : test.provider.retrieve(id)
      }, { schedule: everyMinute })
      const exits = yield* Effect.flatten(
        after("1 hour", Effect.forEach(batches, (batch) => Effect.exit(poll(batch)), { concurrency: "unbounded" }))
      )
      assert.deepStrictEqual(exits.map(({ _tag }) => _tag), ["Success", "Failure", "Success"])
    }))

  it.scoped("that is a bug is seen by those who wait", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      const batch = yield* makeBatch(test, 1)
      const { poll } = yield* stage({ ...test.provider, retrieve: () => Effect.dieMessage("a bug") })
      const exit = yield* after("10 minutes", poll(batch))
      assert.include(Exit.isFailure(exit) ? String(exit.cause) : "it went well", "a bug")
    }))

  it.scoped("of a 404 on a known batch is borne for some rounds, then it is gone", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      const batch = yield* makeBatch(test, 1)
      let calls = 0
      const lagging = (rounds: number): Provider.Service => ({
        ...test.provider,
        retrieve: (id) => Effect.suspend(() => ++calls <= rounds ? failing("gone", 404) : test.provider.retrieve(id))
      })
      const patient = yield* stage(lagging(4), { schedule: everyMinute })
      assert.strictEqual((yield* Effect.flatten(after("1 hour", patient.poll(batch)))).ending, "completed")
      calls = 0
      const lost = yield* stage(lagging(Infinity), { schedule: everyMinute })
      const error = errorOf(yield* after("1 hour", lost.poll(batch)))
      assert.strictEqual(error._tag === "ProviderError" ? error.reason : error._tag, "gone")
      assert.strictEqual(calls, 5)
    }))
})

describe("the longest wait", () => {
  it.scoped("is 25 hours, and the batch is said to be running still", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ expiresAfter: "3 days", answeredAfter: () => "2 days" })
      const batch = yield* makeBatch(test, 1)
      const { poll } = yield* stage(test.provider, { schedule: Schedule.spaced("1 hour") })
      const error = errorOf(yield* after("25 hours", poll(batch)))
      assert.strictEqual(error._tag, "PollTimeout")
      assert.strictEqual(
        error.message,
        "Batch batch-1 has not ended after 1d 1h; it is still running. Wait on with: llm-batch resume /runs/one"
      )
    }))

  it.scoped("is the caller's, where he gives one", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      const batch = yield* makeBatch(test, 1)
      const { poll } = yield* stage(test.provider, { schedule: everyMinute, maxWait: "5 minutes" })
      const error = errorOf(yield* after("5 minutes", poll(batch)))
      assert.strictEqual(error._tag, "PollTimeout")
      yield* TestClock.adjust("20 minutes")
      const { length } = yield* looks(test)
      assert.isAtMost(length, 6)
    }))
})

describe("many batches", () => {
  it.scoped("are seen in as few requests as there are pages of them", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      const batches = yield* makeBatches(test, 1_000)
      const { poll } = yield* stage(test.provider, { schedule: everyMinute })
      const ended = yield* Effect.flatten(
        after(
          "15 minutes",
          Effect.forEach(batches, poll, { concurrency: "unbounded", discard: true }).pipe(Effect.as("all"))
        )
      )
      assert.strictEqual(ended, "all")
      const rounds = new Map<number, number>()
      for (const { at } of yield* looks(test)) rounds.set(at, (rounds.get(at) ?? 0) + 1)
      assert.isAtLeast(rounds.size, 10)
      assert.isAtMost(Math.max(...rounds.values()), 12)
    }))

  it.scoped("but few of them are looked at one by one, when many others are in the list", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ limits: { listPage: 1 } })
      const [oldest] = yield* makeBatches(test, 10)
      const newest = yield* makeBatch(test, 11)
      const { poll } = yield* stage(test.provider, { schedule: everyMinute })
      const both = [...oldest === undefined ? [] : [oldest], newest]
      yield* Effect.flatten(after("15 minutes", Effect.forEach(both, poll, { concurrency: "unbounded" })))
      const rounds = new Map<number, ReadonlyArray<string>>()
      for (const { at, operation } of yield* looks(test)) rounds.set(at, [...rounds.get(at) ?? [], operation])
      assert.isTrue([...rounds.values()].every((calls) => calls.length <= 2))
    }))

  it.scoped("that come later are looked at soon, and quickly at first", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ answeredAfter: () => "3 hours" })
      const first = yield* makeBatch(test, 1)
      const { poll } = yield* stage(test.provider)
      const fiber = yield* Effect.fork(poll(first))
      yield* TestClock.adjust("1 hour")
      const second = yield* makeBatch(test, 2)
      const before = (yield* looks(test)).length
      const now = yield* Clock.currentTimeMillis
      const other = yield* Effect.fork(poll(second))
      yield* TestClock.adjust("10 seconds")
      const soon = (yield* looks(test)).slice(before).map(({ at }) => at - now)
      assert.isAtLeast(soon.length, 3)
      assert.isAtMost(soon[0] ?? Infinity, 1_000)
      yield* Fiber.interruptAll([fiber, other])
    }))

  it.scoped("are waited for on, when one of them is not any more", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      const [first, second] = yield* Effect.all([makeBatch(test, 1), makeBatch(test, 2)])
      const { poll } = yield* stage(test.provider, { schedule: everyMinute })
      const dropped = yield* Effect.fork(poll(first))
      const kept = yield* Effect.fork(poll(second))
      yield* TestClock.adjust("3 minutes")
      yield* Fiber.interrupt(dropped)
      const before = (yield* looks(test)).length
      yield* TestClock.adjust("20 minutes")
      assert.strictEqual((yield* Fiber.join(kept)).ending, "completed")
      assert.isTrue((yield* looks(test)).slice(before).every(({ target }) => target !== "batch-1"))
    }))

  it.scoped("two who wait for the same one both get it, and one can leave", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      const batch = yield* makeBatch(test, 1)
      const { poll } = yield* stage(test.provider, { schedule: everyMinute })
      const fibers = yield* Effect.all([Effect.fork(poll(batch)), Effect.fork(poll(batch)), Effect.fork(poll(batch))])
      yield* TestClock.adjust("3 minutes")
      yield* Fiber.interrupt(fibers[0])
      yield* TestClock.adjust("20 minutes")
      assert.strictEqual((yield* Fiber.join(fibers[1])).ending, "completed")
      assert.strictEqual((yield* Fiber.join(fibers[2])).ending, "completed")
    }))

  it.scoped("nobody waits for are not looked at", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ answeredAfter: () => "3 hours" })
      const batch = yield* makeBatch(test, 1)
      const { poll } = yield* stage(test.provider, { schedule: everyMinute })
      const fiber = yield* Effect.fork(poll(batch))
      yield* TestClock.adjust("3 minutes")
      yield* Fiber.interrupt(fiber)
      const before = (yield* looks(test)).length
      yield* TestClock.adjust("10 minutes")
      assert.isAtMost((yield* looks(test)).length - before, 0)
      const again = yield* Effect.fork(poll(batch))
      yield* TestClock.adjust("4 hours")
      assert.strictEqual((yield* Fiber.join(again)).ending, "completed")
    }))
})
