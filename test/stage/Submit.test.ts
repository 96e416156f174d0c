import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { type Batch, BatchSnapshot } from "llm-batch/Batch"
import { Ledger } from "llm-batch/Ledger"
import { Pipeline } from "llm-batch/Pipeline"
import * as Provider from "llm-batch/Provider"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import { Submit } from "llm-batch/stage/Submit"
import { Fault, type Script } from "llm-batch/TestProvider"
import * as World from "../World.js"

const { LostAnswer, NotSent, Refused, Unanswered } = Fault

/** A world in which a run of one row a shard is built, and nothing is submitted yet. */
const built = (options: World.WorldOptions = {}, rows = 1) =>
  Effect.gen(function*() {
    const world = yield* World.make(options)
    yield* world.inProcess(
      Effect.flatMap(Pipeline, (pipeline) =>
        pipeline.run(Source.fromRows(Array.from({ length: rows }, (_, index) => ({ prompt: `row ${index + 1}` }))), {
          defaults: new RequestDefaults({ model: "m" }),
          directory: World.directory,
          shardRows: 1,
          steps: { from: "build", to: "build" }
        })),
      0
    )
    return world
  })

/** Takes the run up, as any process would, and submits its first shard. */
const submit = Effect.gen(function*() {
  const { shards } = yield* (yield* Ledger).open(World.directory)
  const shard = shards.get("0001")?.shard
  return shard === undefined ? yield* Effect.dieMessage("there is no shard") : yield* (yield* Submit).submit(shard)
})

const tags = (world: World.World) => world.journal().map((entry) => entry._tag)

/** The journal after the build. */
const submitted = (world: World.World) => tags(world).slice(3)

const operations = (world: World.World) =>
  Effect.map(world.test.calls, (calls) => calls.map(({ operation }) => operation))

/** The batches that were made of each shard. */
const batchesOf = (world: World.World) => Effect.map(world.test.batches, (batches) => batches.map(({ shard }) => shard))

const failureOf = <A, E extends { readonly message: string }>(either: Either.Either<A, E>) =>
  Either.isLeft(either) ? either.left : assert.fail("it went well")

const faulty = (create: NonNullable<Script["faults"]>["create"], more: Script = {}): World.WorldOptions => ({
  script: { ...more, faults: { create } }
})

describe("a submit", () => {
  it.effect("has each intent on disk before it is tried, and the id before anything else", () =>
    Effect.gen(function*() {
      const seen: Array<readonly [call: string, lastEntry: string | undefined]> = []
      const world: World.World = yield* built({
        wrap: (provider) => ({
          ...provider,
          upload: (...args) =>
            Effect.suspend(() => {
              seen.push(["upload", tags(world).at(-1)])
              return provider.upload(...args)
            }),
          create: (...args) =>
            Effect.suspend(() => {
              seen.push(["create", tags(world).at(-1)])
              return provider.create(...args)
            })
        })
      })
      const batch = yield* world.inProcess(submit, 0)
      assert.deepStrictEqual(seen, [["upload", "SubmitIntended"], ["create", "InputUploaded"]])
      assert.deepStrictEqual(submitted(world), ["SubmitIntended", "InputUploaded", "BatchCreated"])
      world.memory.crash()
      const created = world.journal().at(-1)
      assert.strictEqual(created?._tag, "BatchCreated")
      assert.strictEqual(batch.id, "batch-1")
      assert.include(JSON.stringify(created?.["snapshot"]), "\"batch-1\"")
    }))

  it.effect("gives the same batch when it is made again, without a call", () =>
    Effect.gen(function*() {
      const world = yield* built()
      const first = yield* world.inProcess(submit, 0)
      const second = yield* world.inProcess(
        Effect.zipRight(
          submit,
          Effect.flatMap(Ledger, (ledger) =>
            Effect.flatMap(ledger.state(World.directory), ({ shards }) => {
              const shard = shards.get("0001")?.shard
              return shard === undefined
                ? Effect.dieMessage("no shard")
                : Effect.flatMap(Submit, ({ submit }) => submit(shard))
            }))
        ),
        0
      )
      assert.strictEqual(second.id, first.id)
      assert.deepStrictEqual(yield* operations(world), ["upload", "create"])
    }))

  it.effect("tells of bytes and of the batch", () =>
    Effect.gen(function*() {
      const world = yield* built()
      yield* world.inProcess(submit, 0)
      const told = world.events.flatMap((event) => {
        if (event._tag === "BytesSent") return [`${event.bytes} bytes`]
        return event._tag === "BatchCreated" ? [`${event.batch.id}${event.adopted ? " adopted" : ""}`] : []
      })
      assert.deepStrictEqual(told, [`${world.read("batch_inputs/test/0001.jsonl").length} bytes`, "batch-1"])
    }))
})

describe("a create", () => {
  it.effect("whose answer is lost is looked for, and its batch adopted", () =>
    Effect.gen(function*() {
      const world = yield* built(faulty([LostAnswer({ status: null })]))
      const batch = yield* world.inProcess(submit, 0)
      assert.strictEqual(batch.id, "batch-1")
      assert.deepStrictEqual(yield* operations(world), ["upload", "create", "find"])
      assert.deepStrictEqual(submitted(world), [
        "SubmitIntended",
        "InputUploaded",
        "CreateUnanswered",
        "BatchCreated"
      ])
      assert.strictEqual(world.journal().at(-1)?.["adopted"], true)
    }))

  it.effect("is sent again only after the settle time, when there certainly is no batch", () =>
    Effect.gen(function*() {
      const world = yield* built(faulty([Unanswered({ status: 503 })]))
      yield* world.inProcess(submit, "5 minutes")
      const calls = yield* world.test.calls
      assert.deepStrictEqual(calls.map(({ operation }) => operation), ["upload", "create", "find", "find", "create"])
      assert.deepStrictEqual(calls.slice(0, 4).map(({ at }) => at), [0, 0, 0, 60_000])
      assert.isAbove(calls[4]?.at ?? 0, 60_000)
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
      assert.deepStrictEqual(
        world.events.flatMap((event) =>
          event._tag === "SubmitWaiting" && event.waitMillis > 0 ? [event.waitMillis] : []
        ),
        [60_000]
      )
    }))

  it.effect("is adopted when the list shows its batch late", () =>
    Effect.gen(function*() {
      const world = yield* built(faulty([LostAnswer({ status: 504 })], { listedAfter: "40 seconds" }))
      yield* world.inProcess(submit, "5 minutes")
      assert.deepStrictEqual(yield* operations(world), ["upload", "create", "find", "find"])
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
    }))

  it.effect("waits as long as the provider asks before it is sent again", () =>
    Effect.gen(function*() {
      const world = yield* built(faulty([Unanswered({ status: 429, retryAfter: "3 minutes" })]))
      yield* world.inProcess(submit, "10 minutes")
      const creates = (yield* world.test.calls).filter(({ operation }) => operation === "create")
      assert.strictEqual(creates.length, 2)
      assert.isAtLeast(creates[1]?.at ?? 0, 180_000)
    }))

  it.effect("that was not sent is sent again, without a look", () =>
    Effect.gen(function*() {
      const world = yield* built(faulty([NotSent(), NotSent()]))
      yield* world.inProcess(submit, "1 minute")
      assert.deepStrictEqual(yield* operations(world), ["upload", "create", "create", "create"])
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
    }))

  it.effect("that is never sent ends as unreachable, and can be taken up again", () =>
    Effect.gen(function*() {
      const world = yield* built(faulty(Array.from({ length: 6 }, () => NotSent())))
      const error = failureOf(yield* world.inProcess(Effect.either(submit), "10 minutes"))
      assert.strictEqual(error._tag, "ProviderError")
      assert.deepStrictEqual(yield* batchesOf(world), [])
      yield* world.inProcess(submit, "10 minutes")
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
      assert.strictEqual((yield* operations(world)).filter((operation) => operation === "upload").length, 1)
    }))

  it.effect("that is refused is not sent again by itself, and can be once the cause is gone", () =>
    Effect.gen(function*() {
      const world = yield* built(faulty([Refused({ status: 401 })]))
      const error = failureOf(yield* world.inProcess(Effect.either(submit), "10 minutes"))
      assert.strictEqual(error._tag, "SubmitRefused")
      assert.strictEqual(
        error.message,
        "test refused shard 0001 with HTTP 401: the script says so. Nothing was charged for it. "
          + "Check the API key and what it may do, then go on with: llm-batch resume /runs/one"
      )
      assert.deepStrictEqual(yield* operations(world), ["upload", "create"])
      yield* world.inProcess(submit, 0)
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
    }))

  it.effect("that may have made one of several batches is not repeated", () =>
    Effect.gen(function*() {
      const world = yield* built({
        ...faulty([LostAnswer({ status: null })]),
        wrap: (provider) => ({
          ...provider,
          find: (tag, since, exclude, holds) =>
            Effect.map(provider.find(tag, since, exclude, holds), (finding) =>
              finding._tag === "Found"
                ? Provider.Finding.Ambiguous({ candidates: [finding.snapshot, finding.snapshot] })
                : finding)
        })
      })
      const error = failureOf(yield* world.inProcess(Effect.either(submit), "10 minutes"))
      assert.strictEqual(error._tag, "SubmitUnknown")
      assert.include(error.message, "Batches that may be its own: batch-1, batch-1.")
      const again = failureOf(yield* world.inProcess(Effect.either(submit), "10 minutes"))
      assert.strictEqual(again._tag, "SubmitUnknown")
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
    }))

  it.effect("of unknown fate stays unknown under another account", () =>
    Effect.gen(function*() {
      let account = "one"
      const world = yield* built({
        ...faulty([Unanswered({ status: null })]),
        wrap: (provider) => ({
          ...provider,
          account: (salt) =>
            Effect.map(provider.account(salt), (own) => new Provider.Account({ ...own, keyFingerprint: account })),
          find: () => Effect.interrupt
        })
      })
      yield* world.inProcess(Effect.exit(submit), 0)
      account = "two"
      const error = failureOf(yield* world.inProcess(Effect.either(submit), "10 minutes"))
      assert.strictEqual(error._tag, "SubmitUnknown")
      assert.include(error.message, "it was submitted under another account")
      assert.deepStrictEqual(yield* operations(world), ["upload", "create"])
    }))

  it.effect("does not take the batch of another shard for its own", () =>
    Effect.gen(function*() {
      let excluded: ReadonlyArray<string> = []
      const world = yield* built({
        ...faulty([Fault.None(), LostAnswer({ status: null })]),
        wrap: (provider) => ({
          ...provider,
          find: (tag, since, exclude, holds) => {
            excluded = [...exclude]
            return provider.find(tag, since, exclude, holds)
          }
        })
      }, 2)
      const batches = yield* world.inProcess(
        Effect.gen(function*() {
          const { shards } = yield* (yield* Ledger).open(World.directory)
          const stage = yield* Submit
          return yield* Effect.forEach([...shards.values()], ({ shard }) => stage.submit(shard))
        }),
        "10 minutes"
      )
      assert.deepStrictEqual(batches.map((batch: Batch) => batch.id), ["batch-1", "batch-2"])
      assert.deepStrictEqual(excluded, ["batch-1"])
    }))
})

/**
 * The scripted provider as one whose batches bear no tag, and whose clock shows another time than ours: batches are
 * found by their number of rows and, when they have ended, by the row of their first result.
 */
const withoutTags = (ahead: number) => {
  const since: Array<string> = []
  const theirs = (snapshot: BatchSnapshot) =>
    new BatchSnapshot({ ...snapshot, createdAt: DateTime.add(snapshot.createdAt, { millis: ahead }) })
  const wrap = (provider: Provider.Service): Provider.Service => ({
    ...provider,
    capabilities: { ...provider.capabilities, tags: false, upload: false },
    create: (...args) => Effect.map(provider.create(...args), theirs),
    list: (after) => Effect.map(provider.list(after), ({ batches, next }) => ({ batches: batches.map(theirs), next })),
    find: (tag, from, exclude, holds) =>
      Effect.gen(function*() {
        since.push(DateTime.formatIso(from))
        const { batches } = yield* provider.list(null)
        const possible = batches.map(theirs).filter((batch) =>
          DateTime.greaterThanOrEqualTo(batch.createdAt, from) && !exclude.has(batch.id)
          && batch.counts.total === tag.rows
        )
        const certain: Array<BatchSnapshot> = []
        const open: Array<BatchSnapshot> = []
        for (const batch of possible) {
          const [file] = batch.files
          if (file === undefined) open.push(batch)
          else {
            const blocks = yield* Stream.runCollect(provider.download(file))
            const id = /"custom_id":"[^"]*-(\d+)"/.exec(Buffer.concat([...blocks]).toString())?.[1]
            if (holds(Number(id))) certain.push(batch)
          }
        }
        const [snapshot] = certain
        if (snapshot !== undefined) return Provider.Finding.Found({ snapshot })
        return open.length === 0 ? Provider.Finding.Absent() : Provider.Finding.Ambiguous({ candidates: open })
      })
  })
  return { wrap, since }
}

const hour = 3_600_000

describe("at a provider without tags", () => {
  it.effect("two shards whose rows lie between each other's get their own batches, both in doubt", () =>
    Effect.gen(function*() {
      const { wrap } = withoutTags(0)
      const world = yield* World.make({
        ...faulty([LostAnswer({ status: null }), LostAnswer({ status: null })]),
        wrap: (provider) => ({
          ...wrap(provider),
          limits: { ...provider.limits, oneModelPerBatch: true }
        })
      })
      const rows = Array.from({ length: 6 }, (_, index) => ({
        prompt: `row ${index + 1}`,
        model: index % 2 === 0 ? "even" : "odd"
      }))
      const report = yield* world.inProcess(
        Effect.flatMap(Pipeline, (pipeline) => pipeline.run(Source.fromRows(rows), { directory: World.directory })),
        "30 hours"
      )
      assert.strictEqual(report.tally?.succeeded, 6)
      const taken = world.journal().flatMap((entry) =>
        entry._tag === "BatchCreated"
          ? [`${String(entry["shard"])} ${/batch-\d/.exec(JSON.stringify(entry))?.[0]}`]
          : []
      )
      const made = (yield* batchesOf(world)).map((shard, index) => `${shard} batch-${index + 1}`)
      assert.deepStrictEqual(taken.toSorted(), made.toSorted())
      assert.lengthOf(made, 2)
    }))

  const submitNth = (id: string) =>
    Effect.gen(function*() {
      const shard = (yield* (yield* Ledger).open(World.directory)).shards.get(id)?.shard
      if (shard === undefined) return yield* Effect.dieMessage("there is no shard")
      return yield* (yield* Submit).submit(shard)
    })

  for (const ahead of [-24 * hour, -hour, 0, hour, 24 * hour]) {
    it.effect(`a batch is found when the clock there is ${ahead / hour} hours ahead of ours`, () =>
      Effect.gen(function*() {
        const { since, wrap } = withoutTags(ahead)
        const world = yield* built({ ...faulty([Fault.None(), Fault.Hanging()]), wrap }, 2)
        yield* TestClock.setTime(Date.parse("2026-11-20T12:00:00Z"))
        yield* world.inProcess(submitNth("0001"), "5 minutes")
        const fiber = yield* Effect.fork(Effect.provide(Effect.scoped(submitNth("0002")), world.layer))
        yield* TestClock.adjust("5 minutes")
        world.memory.crash()
        yield* Fiber.interrupt(fiber)
        const batch = yield* world.inProcess(submitNth("0002"), "3 hours")
        assert.strictEqual(batch.id, "batch-2")
        assert.deepStrictEqual(yield* batchesOf(world), ["0001", "0002"])
        assert.deepStrictEqual(
          [...new Set(since)],
          [new Date(Date.parse("2026-11-20T12:00:00Z") + ahead).toISOString()]
        )
      }))
  }

  it.effect("a look goes back to the newest batch that was there before the intent, by the time there", () =>
    Effect.gen(function*() {
      const { since, wrap } = withoutTags(-24 * hour)
      const world = yield* built({ ...faulty([Fault.None(), LostAnswer({ status: null })]), wrap }, 2)
      yield* TestClock.setTime(Date.parse("2026-11-20T12:00:00Z"))
      yield* world.inProcess(submitNth("0001"), "1 hour")
      yield* world.inProcess(submitNth("0002"), "3 hours")
      assert.deepStrictEqual([...new Set(since)], ["2026-11-19T12:00:00.000Z"])
      assert.deepStrictEqual(yield* batchesOf(world), ["0001", "0002"])
    }))

  it.effect("whose list cannot be had before a create, a look goes through all there is", () =>
    Effect.gen(function*() {
      const { since, wrap } = withoutTags(0)
      const world = yield* built({
        script: {
          faults: { create: [LostAnswer({ status: null })], list: [Fault.Failing({ reason: "refused" })] }
        },
        wrap
      })
      yield* world.inProcess(submit, "3 hours")
      assert.deepStrictEqual([...new Set(since)], ["1970-01-01T00:00:00.000Z"])
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
    }))
})

describe("the settle time", () => {
  /** A clock that somebody sets while it runs; sleeps take as long as they take. */
  const settable = Effect.gen(function*() {
    const clock = yield* Clock.clockWith(Effect.succeed)
    const set = { by: 0 }
    const wall: Clock.Clock = {
      ...clock,
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      sleep: (duration) => clock.sleep(duration),
      currentTimeNanos: clock.currentTimeNanos,
      unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
      unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + set.by,
      currentTimeMillis: Effect.map(clock.currentTimeMillis, (millis) => millis + set.by)
    }
    return { set, wall }
  })

  for (const jump of [-24 * hour, -30_000, 30_000, 24 * hour]) {
    it.effect(`passes before a shard is sent again, though the clock is set by ${jump} ms meanwhile`, () =>
      Effect.gen(function*() {
        const { set, wall } = yield* settable
        const begun = 48 * hour
        const creates: Array<number> = []
        const world = yield* built({
          ...faulty([Unanswered({ status: 503 })]),
          wrap: (provider) => ({
            ...provider,
            create: (...args) =>
              Effect.zipRight(
                Effect.map(Clock.currentTimeNanos, (nanos) => creates.push(Number(nanos / 1_000_000n) - begun)),
                provider.create(...args)
              ),
            // The clock is set while the first look is under way.
            find: (...args) => Effect.delay(provider.find(...args), "20 seconds")
          })
        })
        yield* TestClock.setTime(begun)
        const fiber = yield* Effect.fork(Effect.withClock(Effect.provide(Effect.scoped(submit), world.layer), wall))
        yield* TestClock.adjust("10 seconds")
        set.by = jump
        yield* TestClock.adjust("5 minutes")
        yield* Fiber.join(fiber)
        assert.lengthOf(creates, 2)
        assert.isAtLeast(creates[1] ?? 0, 60_000)
        assert.isAtMost(creates[1] ?? 0, 85_000)
        assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
      }))
  }

  it.effect("passes on a clock that stands between two milliseconds, too", () =>
    Effect.gen(function*() {
      const world = yield* built(faulty([Unanswered({ status: 503 })]))
      yield* TestClock.setTime(1_000.5)
      const fiber = yield* Effect.fork(Effect.provide(Effect.scoped(submit), world.layer))
      yield* TestClock.adjust("5 minutes")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
    }))

  for (const jump of [-24 * hour, 24 * hour]) {
    it.effect(`passes anew in a process that begins when the clock was set by ${jump / hour} hours`, () =>
      Effect.gen(function*() {
        const world = yield* built(faulty([Unanswered({ status: 503 })]))
        yield* TestClock.setTime(48 * hour)
        const fiber = yield* Effect.fork(Effect.provide(Effect.scoped(submit), world.layer))
        yield* TestClock.adjust("1 second")
        world.memory.crash()
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(submitted(world), ["SubmitIntended", "InputUploaded", "CreateUnanswered"])
        yield* TestClock.setTime(48 * hour + jump)
        yield* world.inProcess(submit, "5 minutes")
        const times = (yield* world.test.calls).map(({ at, operation }) => [operation, at - 48 * hour - jump])
        assert.deepStrictEqual(times.slice(3), [["find", 0], ["find", 60_000], ["create", 60_000]])
        assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
      }))
  }
})

describe("a disk that is full when the id of a paid batch is to be written", () => {
  const message = "test made batch batch-1 of shard 0001, which is paid for, and its id could not be recorded: "
    + "/runs/one/journal.jsonl: cannot append to: no space left on device, write (ENOSPC). "
    + "Free some space, then go on with the same command. Then go on with: llm-batch resume /runs/one. "
    + "It finds batch batch-1 at test again, takes it up, and pays nothing twice."

  it.effect("names the batch and the way on, which pays nothing twice", () =>
    Effect.gen(function*() {
      const world: World.World = yield* built({
        wrap: (provider) => ({
          ...provider,
          create: (...args) =>
            Effect.tap(
              provider.create(...args),
              () => Effect.sync(() => world.memory.failOnce({ operation: "write", count: 1, code: "ENOSPC" }))
            )
        })
      })
      const error = failureOf(yield* world.inProcess(Effect.either(submit), 0))
      assert.strictEqual(error._tag, "BatchUnrecorded")
      assert.strictEqual(error.message, message)
      assert.deepStrictEqual(submitted(world), ["SubmitIntended", "InputUploaded"])
      const batch = yield* world.inProcess(submit, 0)
      assert.strictEqual(batch.id, "batch-1")
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
    }))
})

describe("a cancelled run", () => {
  const cancelled = (world: World.World) => {
    const handle = world.memory.disk.open("/runs/one/cancel", "write")
    handle.sync()
    handle.close()
    world.memory.disk.syncDirectory("/runs/one")
  }

  it.effect("does not send a shard again that is settled as absent after the cancel", () =>
    Effect.gen(function*() {
      const world: World.World = yield* built({
        ...faulty([Unanswered({ status: 503 })]),
        wrap: (provider) => ({
          ...provider,
          find: (...args) => Effect.tap(provider.find(...args), () => Effect.sync(() => cancelled(world)))
        })
      })
      const error = failureOf(yield* world.inProcess(Effect.either(submit), "1 hour"))
      assert.strictEqual(error._tag, "SubmitCancelled")
      assert.deepStrictEqual(yield* operations(world), ["upload", "create", "find", "find"])
      const later = failureOf(yield* world.inProcess(Effect.either(submit), "1 hour"))
      assert.strictEqual(later._tag, "SubmitCancelled")
      assert.deepStrictEqual(yield* batchesOf(world), [])
    }))

  it.effect("of which a process died in the create takes the batch up, and cancels it at once", () =>
    Effect.gen(function*() {
      const world = yield* built(faulty([Fault.Hanging()]))
      const fiber = yield* Effect.fork(Effect.provide(Effect.scoped(submit), world.layer))
      yield* TestClock.adjust(0)
      world.memory.crash()
      yield* Fiber.interrupt(fiber)
      cancelled(world)
      const report = yield* world.inProcess(
        Effect.flatMap(Pipeline, (pipeline) => pipeline.resume(World.directory)),
        "5 hours"
      )
      assert.deepStrictEqual((yield* operations(world)).slice(0, 4), ["upload", "create", "find", "cancel"])
      assert.strictEqual(report.tally?.cancelled, 1)
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
    }))

  it.effect("whose batch is being made at that instant makes it, and cancels it at once", () =>
    Effect.gen(function*() {
      const world: World.World = yield* built({
        wrap: (provider) => ({
          ...provider,
          create: (...args) => Effect.zipRight(Effect.sync(() => cancelled(world)), provider.create(...args))
        })
      }, 2)
      const report = yield* world.inProcess(
        Effect.flatMap(Pipeline, (pipeline) => pipeline.resume(World.directory, { maxConcurrentJobs: 1 })),
        "5 hours"
      )
      assert.deepStrictEqual((yield* operations(world)).slice(0, 3), ["upload", "create", "cancel"])
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
      assert.strictEqual(report.tally?.cancelled, 2)
    }))
})

describe("an upload", () => {
  it.effect("is repeated whatever became of it", () =>
    Effect.gen(function*() {
      const world = yield* built({
        script: { faults: { upload: [LostAnswer({ status: null }), NotSent(), Unanswered({ status: 500 })] } }
      })
      yield* world.inProcess(submit, "5 minutes")
      assert.deepStrictEqual(yield* operations(world), ["upload", "upload", "upload", "upload", "create"])
    }))

  it.effect("that is refused ends the submit", () =>
    Effect.gen(function*() {
      const world = yield* built({ script: { faults: { upload: [Refused({ status: 413 })] } } })
      const error = failureOf(yield* world.inProcess(Effect.either(submit), "5 minutes"))
      assert.strictEqual(error._tag, "SubmitRefused")
      assert.deepStrictEqual(yield* operations(world), ["upload"])
    }))
})

describe("after a crash", () => {
  /** Submits, and kills the process while a call hangs. */
  const killed = (world: World.World) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.provide(Effect.scoped(submit), world.layer))
      yield* TestClock.adjust(0)
      world.memory.crash()
      yield* Fiber.interrupt(fiber)
    })

  it.effect("in the create call, its batch is looked for first", () =>
    Effect.gen(function*() {
      const world = yield* built(faulty([Fault.Hanging()]))
      yield* killed(world)
      assert.deepStrictEqual(submitted(world), ["SubmitIntended", "InputUploaded"])
      const batch = yield* world.inProcess(submit, "5 minutes")
      assert.strictEqual(batch.id, "batch-1")
      assert.deepStrictEqual(yield* operations(world), ["upload", "create", "find"])
      assert.deepStrictEqual(submitted(world), ["SubmitIntended", "InputUploaded", "BatchCreated"])
    }))

  it.effect("between upload and create, the list is believed only after the settle time", () =>
    Effect.gen(function*() {
      let died = false
      const world = yield* built({
        wrap: (provider) => ({
          ...provider,
          create: (...args) =>
            Effect.suspend(() => {
              if (died) return provider.create(...args)
              died = true
              return Effect.never
            })
        })
      })
      yield* killed(world)
      const start = yield* Clock.currentTimeMillis
      yield* world.inProcess(submit, "5 minutes")
      const calls = yield* world.test.calls
      assert.deepStrictEqual(calls.map(({ at, operation }) => [operation, at - start]), [
        ["upload", 0],
        ["find", 0],
        ["find", 60_000],
        ["create", 60_000]
      ])
    }))

  it.effect("in the upload, it begins again", () =>
    Effect.gen(function*() {
      const world = yield* built({ script: { faults: { upload: [Fault.Hanging()] } } })
      yield* killed(world)
      // The intent may be lost with the power, since nothing was sent that costs.
      assert.notInclude(submitted(world), "InputUploaded")
      yield* world.inProcess(submit, 0)
      assert.deepStrictEqual(yield* operations(world), ["upload", "upload", "create"])
      assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
    }))
})

describe("a shard", () => {
  const edited = (world: World.World, text: string) => {
    const handle = world.memory.disk.open("/runs/one/batch_inputs/test/0001.jsonl", "write")
    const bytes = Buffer.from(text)
    handle.write(bytes, 0, bytes.length)
    handle.close()
  }

  it.effect("edited since it was built is not sent", () =>
    Effect.gen(function*() {
      const world = yield* built()
      edited(world, world.read("batch_inputs/test/0001.jsonl").replace("row 1", "row 2"))
      const error = failureOf(yield* world.inProcess(Effect.either(submit), 0))
      assert.strictEqual(error._tag, "ShardChanged")
      assert.strictEqual(
        error.message,
        "/runs/one/batch_inputs/test/0001.jsonl: shard 0001 is not as it was built: its SHA-256 differs. "
          + "Restore the file, or start a new run from the input."
      )
      assert.deepStrictEqual(yield* operations(world), [])
      assert.deepStrictEqual(submitted(world), [])
    }))

  it.effect("whose file is gone is not sent", () =>
    Effect.gen(function*() {
      const world = yield* built()
      world.memory.disk.remove("/runs/one/batch_inputs/test/0001.jsonl")
      const error = failureOf(yield* world.inProcess(Effect.either(submit), 0))
      assert.strictEqual(error._tag, "DiskError")
      assert.deepStrictEqual(yield* operations(world), [])
    }))
})

describe("whatever goes wrong", () => {
  const fault = FastCheck.constantFrom(
    Fault.None(),
    NotSent(),
    Refused({ status: 400 }),
    LostAnswer({ status: null }),
    LostAnswer({ status: 500 }),
    Unanswered({ status: 429, retryAfter: "20 seconds" }),
    Unanswered({ status: null }),
    Fault.Hanging()
  )
  const trouble = FastCheck.constantFrom(
    Fault.None(),
    Fault.Failing({ reason: "unreachable" }),
    Fault.Failing({ reason: "auth" })
  )

  it.effect.prop(
    "there is never more than one batch, and in the end there is one, and it is known",
    {
      upload: FastCheck.array(fault, { maxLength: 3 }),
      create: FastCheck.array(fault, { maxLength: 5 }),
      find: FastCheck.array(trouble, { maxLength: 4 }),
      listedAfter: FastCheck.constantFrom(0, 30_000, 59_000),
      killAfter: FastCheck.array(FastCheck.constantFrom(0, 1_000, 61_000, 600_000), { maxLength: 4 })
    },
    ({ create, find, killAfter, listedAfter, upload }) =>
      Effect.gen(function*() {
        const world = yield* built({ script: { listedAfter, faults: { upload, create, find } } })
        for (const millis of killAfter) {
          const fiber = yield* Effect.fork(Effect.provide(Effect.scoped(submit), world.layer))
          yield* TestClock.adjust(millis)
          world.memory.crash()
          yield* Fiber.interrupt(fiber)
          assert.isAtMost((yield* batchesOf(world)).length, 1)
        }
        // Every further process gets on: faults are used up.
        let last: string | undefined
        for (let process = 0; process < 15 && last === undefined; process++) {
          const fiber = yield* Effect.fork(Effect.provide(Effect.scoped(Effect.either(submit)), world.layer))
          yield* TestClock.adjust("2 hours")
          const exit = yield* Fiber.poll(fiber)
          if (exit._tag === "None") yield* Fiber.interrupt(fiber)
          else if (exit.value._tag === "Success" && Either.isRight(exit.value.value)) last = exit.value.value.right.id
        }
        assert.strictEqual(last, "batch-1")
        assert.deepStrictEqual(yield* batchesOf(world), ["0001"])
        world.memory.crash()
        assert.include(world.read("journal.jsonl"), "\"batch-1\"")
      }),
    { fastCheck: { numRuns: 30 } }
  )
})
