import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { isAnswered } from "llm-batch/Batch"
import { type Completion, Provider, type Service } from "llm-batch/Provider"
import { ProviderError } from "llm-batch/ProviderError"
import { Progress, type RunEvent } from "llm-batch/RunEvent"
import { Shard } from "llm-batch/Shard"
import * as Ask from "llm-batch/stage/Ask"
import * as TestProvider from "llm-batch/TestProvider"
import { createHash } from "node:crypto"
import { Disk, type Service as DiskService } from "../../src/internal/Disk.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"
import * as SimulatedClock from "../SimulatedClock.js"

const { Failing, LostAnswer, None, NotSent, Unanswered } = TestProvider.Fault
const directory = "/runs/one"
const tag = "k3f9a2x7qd"

const input = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index).map((row) =>
    `{"custom_id":"${tag}-${row}","body":{"model":"m","messages":[{"role":"user","content":"row ${row}"}]}}\n`
  ).join("")

/** Lays a shard with these rows on a disk, durably. */
const lay = (disk: DiskService, id: string, first: number, last: number): Shard => {
  const text = input(first, last)
  disk.makeDirectory(`${directory}/batch_inputs/test`)
  const handle = disk.open(`${directory}/batch_inputs/test/${id}.jsonl`, "write")
  handle.write(Buffer.from(text), 0, text.length)
  handle.sync()
  handle.close()
  for (const path of ["/", "/runs", directory, `${directory}/batch_inputs`, `${directory}/batch_inputs/test`]) {
    disk.syncDirectory(path)
  }
  return new Shard({
    id,
    directory,
    runTag: tag,
    provider: "test",
    endpoint: "/v1/chat/completions",
    model: "m",
    betas: [],
    rows: last - first + 1,
    bytes: text.length,
    sha256: createHash("sha256").update(text).digest("hex"),
    firstRow: first,
    lastRow: last,
    attempt: 1,
    mode: "sync",
    parents: []
  })
}

interface WorldOptions {
  readonly rows?: number
  readonly script?: TestProvider.Script
  readonly wrap?: (provider: Service) => Service
  readonly wrapDisk?: (disk: DiskService) => DiskService
}

/** A provider and a disk that outlive processes, under a clock that goes on by itself. */
const make = ({ rows = 4, script = {}, wrap = (one) => one, wrapDisk = (one) => one }: WorldOptions = {}) =>
  Effect.map(TestProvider.make(script), (test) => {
    const memory = MemoryDisk.make()
    const shard = lay(memory.disk, "0001", 1, rows)
    const events: Array<RunEvent> = []
    const clock = SimulatedClock.make()
    const inProcess = <A, E>(program: Effect.Effect<A, E, Ask.Ask>, options: Ask.Options = {}) =>
      program.pipe(
        Effect.provide(
          Layer.fresh(Ask.layerWith(options)).pipe(
            Layer.provide(Layer.succeed(Provider, wrap(test.provider)))
          )
        ),
        Effect.provideService(Disk, wrapDisk(memory.disk)),
        Effect.provideService(Progress, { tell: (event) => events.push(event) }),
        Effect.withClock(clock)
      )
    return {
      test,
      memory,
      shard,
      events,
      clock,
      inProcess,
      ask: (options: Ask.Options = {}) => inProcess(Effect.flatMap(Ask.Ask, ({ ask }) => ask(shard)), options),
      /** The calls that were made: which row, and when. */
      calls: Effect.map(test.calls, (calls) => calls.map(({ at, target }) => [Number(target), at] as const)),
      answers: (id = "0001") => memory.read(`${directory}/raw/test/${id}.jsonl`)?.toString() ?? "",
      cancel: () => memory.disk.open(`${directory}/cancel`, "write").close()
    }
  })

type World = Effect.Effect.Success<ReturnType<typeof make>>

const rowsIn = (text: string) =>
  text.split("\n").slice(0, -1).map((line) => Number(/-(\d+)$/u.exec(JSON.parse(line).custom_id)?.[1]))

/** Every row has a line, and one only. */
const assertWhole = (world: World, rows: number) => {
  const text = world.answers()
  assert.isTrue(text.endsWith("\n"))
  assert.deepStrictEqual(
    rowsIn(text).toSorted((a, b) => a - b),
    Array.from({ length: rows }, (_, index) => index + 1)
  )
}

describe("Ask", () => {
  it.effect("asks for each row once, and keeps each answer as it came", () =>
    Effect.gen(function*() {
      const world = yield* make({ script: { outcome: ({ row }) => row === 2 ? "errored" : "succeeded" } })
      const raw = yield* world.ask()
      assertWhole(world, 4)
      assert.deepStrictEqual((yield* world.calls).map(([row]) => row), [1, 2, 3, 4])
      assert.include(
        world.answers(),
        `{"custom_id":"${tag}-3","model":"m","text":"row 3","refusal":null,"finish_reason":"stop",`
      )
      assert.deepStrictEqual([raw.rows, raw.shortBy, raw.batch.ending, raw.batch.id], [4, 0, "completed", "asked-0001"])
      assert.isTrue(isAnswered(raw.batch.snapshot))
      assert.deepStrictEqual(raw.files.map(({ bytes, name, packing, sha256 }) => [name, packing, bytes, sha256]), [[
        "0001.jsonl",
        "plain",
        world.answers().length,
        createHash("sha256").update(world.answers()).digest("hex")
      ]])
      assert.deepStrictEqual(world.events.at(-1), {
        _tag: "RowsAnswered",
        shard: world.shard,
        answered: 4,
        rows: 4,
        mayBeBilledTwice: 0
      })
      yield* world.ask()
      assert.strictEqual((yield* world.calls).length, 4)
    }))

  it.effect("goes by the script of its test provider, but for what only a batch does to a row", () =>
    Effect.gen(function*() {
      const outcomes = ["expired", "cancelled", "missing", "duplicate", "conflicting", "refused", "malformed"] as const
      const script: TestProvider.Script = {
        outcome: ({ row }) => outcomes[row - 1] ?? "succeeded",
        completedAfter: ({ row }) => `${row} minutes`
      }
      const world = yield* make({ rows: 7, script })
      const raw = yield* world.ask({ concurrency: 1 })
      const lines = world.answers().split("\n").slice(0, -1)
      assert.deepStrictEqual(lines.slice(0, 6).map((line) => JSON.parse(line).refusal), [
        ...Array.from({ length: 5 }, () => null),
        "row 6"
      ])
      assert.strictEqual(lines[6], `{"custom_id":"${tag}-7","text":}`)
      assert.deepStrictEqual([raw.rows, raw.shortBy], [7, 0])
      assert.deepStrictEqual((yield* world.calls).map(([, at]) => at / 60_000), [0, 1, 3, 6, 10, 15, 21])
      assert.strictEqual(yield* world.test.rowsBilled, 7)
    }))

  it.effect("asks for no more rows at a time than it may, over all shards", () =>
    Effect.gen(function*() {
      let underWay = 0
      let most = 0
      const wrap = (provider: Service): Service => ({
        ...provider,
        complete: (row) =>
          Effect.acquireUseRelease(
            Effect.sync(() => {
              most = Math.max(most, ++underWay)
            }),
            () => provider.complete(row),
            () => Effect.sync(() => underWay--)
          )
      })
      const world = yield* make({ rows: 7, wrap })
      const other = lay(world.memory.disk, "0002", 8, 12)
      yield* world.inProcess(
        Effect.flatMap(Ask.Ask, ({ ask }) => Effect.all([ask(world.shard), ask(other)], { concurrency: 2 })),
        { concurrency: 3 }
      )
      assert.strictEqual(most, 3)
      assert.deepStrictEqual(
        (yield* world.calls).map(([, at]) => at),
        [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3].map((s) => s * 1_000)
      )
      assertWhole(world, 7)
      assert.deepStrictEqual(rowsIn(world.answers("0002")).toSorted((a, b) => a - b), [8, 9, 10, 11, 12])
    }))

  it.effect("makes no more requests in any minute than it may, and says why it waits", () =>
    Effect.gen(function*() {
      const world = yield* make({ rows: 5 })
      yield* world.ask({ requestsPerMinute: 2 })
      assert.deepStrictEqual((yield* world.calls).map(([, at]) => at), [0, 0, 60_000, 60_000, 120_000])
      assert.deepStrictEqual(
        world.events.flatMap((event) => event._tag === "AskWaiting" ? [event.waitMillis] : []),
        [60_000, 60_000]
      )
    }))

  it.effect("uses no more tokens in any minute than it may", () =>
    Effect.gen(function*() {
      // Two words there and two back: four tokens a row. One at a time, so that each is known before the next goes.
      const world = yield* make({ rows: 5 })
      yield* world.ask({ tokensPerMinute: 8, concurrency: 1 })
      // Before the first answer a row is reckoned by its length, which is more.
      assert.deepStrictEqual((yield* world.calls).map(([, at]) => at), [0, 1_000, 60_000, 61_000, 120_000])
    }))

  it.effect("goes by the limits that answers tell of", () =>
    Effect.gen(function*() {
      const wrap = (provider: Service): Service => ({
        ...provider,
        complete: (row) =>
          Effect.map(provider.complete(row), (completion): Completion => ({
            ...completion,
            limits: [{ kind: "requests", limit: 6, remaining: 0, resetMillis: 60_000 }]
          }))
      })
      const world = yield* make({ rows: 3, wrap })
      yield* world.ask({ concurrency: 1 })
      // One request comes back every ten seconds, from the answer on.
      assert.deepStrictEqual((yield* world.calls).map(([, at]) => at), [0, 11_000, 22_000])
    }))

  it.effect("asks again after what it is asked to wait, and lets nobody else go meanwhile", () =>
    Effect.gen(function*() {
      const script = { faults: { complete: [Unanswered({ status: 429, retryAfter: "30 seconds" })] } }
      const world = yield* make({ rows: 2, script })
      yield* world.ask({ concurrency: 1 })
      assert.deepStrictEqual(yield* world.calls, [[1, 0], [1, 31_000], [2, 32_000]])
      assertWhole(world, 2)
      const shared = yield* make({ rows: 3, script })
      yield* shared.ask({ concurrency: 2 })
      assert.deepStrictEqual((yield* shared.calls).map(([, at]) => at), [0, 0, 31_000, 31_000])
    }))

  it.effect("waits ten minutes at most, whatever it is asked", () =>
    Effect.gen(function*() {
      const script = { faults: { complete: [Unanswered({ status: 429, retryAfter: "30 days" })] } }
      const world = yield* make({ rows: 1, script })
      yield* world.ask()
      assert.deepStrictEqual(yield* world.calls, [[1, 0], [1, 601_000]])
    }))

  it.effect("gives up on a row after so many tries, each after a longer pause: then the error is its outcome", () =>
    Effect.gen(function*() {
      const busy = Array.from({ length: 8 }, () => Unanswered({ status: 503 }))
      const world = yield* make({ rows: 2, script: { faults: { complete: busy } } })
      const raw = yield* world.ask({ concurrency: 1 })
      const calls = yield* world.calls
      assert.deepStrictEqual(calls.map(([row]) => row), [1, 1, 1, 1, 1, 1, 1, 1, 2])
      const pauses = calls.slice(1, 8).map(([, at], index) => at - (calls[index]?.[1] ?? 0) - 1_000)
      for (const [index, pause] of pauses.entries()) {
        const middle = Math.min(60_000, 1_000 * 2 ** index)
        assert.isTrue(pause >= 0.8 * middle && pause <= 1.2 * middle + 1, `${pause} after ${index + 1}`)
      }
      assert.include(world.answers().split("\n")[0], "\"outcome\":\"errored\"")
      assertWhole(world, 2)
      assert.strictEqual(raw.shortBy, 0)
    }))

  it.effect("asks again for an answer that was lost, and counts it", () =>
    Effect.gen(function*() {
      const script = { faults: { complete: [LostAnswer({ status: null }), NotSent(), Unanswered({ status: null })] } }
      const world = yield* make({ rows: 1, script })
      yield* world.ask()
      assertWhole(world, 1)
      const told = world.events.flatMap((event) => event._tag === "RowsAnswered" ? [event.mayBeBilledTwice] : [])
      assert.deepStrictEqual(told, [2])
      assert.strictEqual(yield* world.test.rowsBilled, 2)
    }))

  it.effect("fails when nothing comes through any more, and goes on from there", () =>
    Effect.gen(function*() {
      const down = Array.from({ length: 20 }, () => NotSent())
      const world = yield* make({ rows: 4, script: { faults: { complete: [None(), ...down] } } })
      const error = yield* Effect.flip(world.ask({ concurrency: 1 }))
      assert.strictEqual(error._tag === "ProviderError" ? error.reason : error._tag, "unreachable")
      assert.deepStrictEqual(rowsIn(world.answers()), [1])
      // The last failures of the script, then all is well.
      assert.strictEqual((yield* world.calls).length, 9)
      yield* Effect.flip(world.ask({ concurrency: 1 }))
      yield* world.ask({ concurrency: 1 })
      assertWhole(world, 4)
      assert.strictEqual((yield* world.calls).filter(([row]) => row === 1).length, 1)
    }))

  /** Answers to these rows are always lost on the way, a second after they were paid. */
  const losing = (...rows: ReadonlyArray<number>) => {
    const paid: Array<number> = []
    const wrap = (provider: Service): Service => ({
      ...provider,
      complete: (sync) => {
        const row = rows.find((row) => sync.wireId === `${tag}-${row}`)
        if (row === undefined) return provider.complete(sync)
        paid.push(row)
        return Effect.zipRight(
          Effect.sleep("1 second"),
          new ProviderError({
            provider: "test",
            operation: `ask for row ${row}`,
            reason: "unreachable",
            status: null,
            retryAfterMillis: null,
            detail: "the connection broke",
            mayBeCharged: true
          })
        )
      }
    })
    return { paid, wrap }
  }
  const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)
  const sorted = (rows: ReadonlyArray<number>) => rows.toSorted((a, b) => a - b)

  for (const concurrency of [1, 16]) {
    for (const row of [5, 12]) {
      it.effect(`was blocked for ever by row ${row} of 12, whose answer is always lost (${concurrency} at a time)`, () =>
        Effect.gen(function*() {
          const { paid, wrap } = losing(row)
          const world = yield* make({ rows: 12, wrap })
          const raw = yield* world.ask({ concurrency })
          assert.deepStrictEqual([raw.rows, raw.shortBy, raw.batch.ending], [11, 1, "completed"])
          assert.deepStrictEqual(sorted(rowsIn(world.answers())), upTo(12).filter((one) => one !== row))
          assert.deepStrictEqual(paid, [row, row, row, row, row])
          const last = world.events.at(-1)
          assert.strictEqual(last?._tag === "RowsAnswered" ? last.mayBeBilledTwice : last?._tag, 4)
          // Another process leaves it alone.
          const again = yield* world.ask({ concurrency })
          assert.deepStrictEqual([again.rows, again.shortBy, paid.length], [11, 1, 5])
        }))
    }
  }

  it.effect("fails once, and no more, where the only row's answer is always lost", () =>
    Effect.gen(function*() {
      const { paid, wrap } = losing(1)
      const world = yield* make({ rows: 1, wrap })
      const error = yield* Effect.flip(world.ask())
      assert.strictEqual(error._tag === "ProviderError" ? error.detail : error._tag, "the connection broke")
      assert.strictEqual(paid.length, 5)
      const raw = yield* world.ask()
      assert.deepStrictEqual([raw.rows, raw.shortBy, paid.length], [0, 1, 10])
      yield* world.ask()
      assert.strictEqual(paid.length, 10)
    }))

  it.effect("fails when answers stop coming for all rows, before it has paid for all of them", () =>
    Effect.gen(function*() {
      const { paid, wrap } = losing(...upTo(60).slice(3))
      const world = yield* make({ rows: 60, wrap })
      const error = yield* Effect.flip(world.ask({ concurrency: 1 }))
      assert.strictEqual(error._tag, "ProviderError")
      assert.deepStrictEqual([...new Set(paid)], [4, 5, 6, 7, 8, 9, 10, 11])
      yield* Effect.flip(world.ask({ concurrency: 1 }))
      assert.isTrue(upTo(60).every((row) => paid.filter((one) => one === row).length <= 5))
    }))

  it.effect("was silent while the server could not be reached", () =>
    Effect.gen(function*() {
      const down = Array.from({ length: 40 }, () => NotSent())
      const world = yield* make({ rows: 30, script: { faults: { complete: down } } })
      yield* world.ask({ concurrency: 16 })
      assertWhole(world, 30)
      const waits = world.events.filter((event) => event._tag === "AskWaiting")
      assert.match(waits[0]?.detail ?? "", /^the provider cannot be reached \(.+\); trying again$/u)
      assert.isTrue(waits.length >= 1 && waits.length <= 3, String(waits.length))
    }))

  it.effect("held the only place of all shards while a row rested", () =>
    Effect.gen(function*() {
      const { paid, wrap } = losing(1)
      const world = yield* make({ rows: 2, wrap })
      const other = lay(world.memory.disk, "0002", 3, 4)
      yield* world.inProcess(
        Effect.flatMap(Ask.Ask, ({ ask }) => Effect.all([ask(world.shard), ask(other)], { concurrency: 2 })),
        { concurrency: 1 }
      )
      assert.strictEqual(paid.length, 5)
      // Rows 3 and 4 are asked while row 1 rests.
      assert.deepStrictEqual(
        (yield* world.calls).filter(([row]) => row > 2).map(([row, at]) => [row, at < 5_000]),
        [[3, true], [4, true]]
      )
    }))

  it.effect("goes without a row whose answers alone keep being lost", () =>
    Effect.gen(function*() {
      const wrap = (provider: Service): Service => ({
        ...provider,
        complete: (row) =>
          row.wireId === `${tag}-2`
            ? Effect.zipRight(
              Effect.sleep("1 second"),
              Effect.flatMap(
                TestProvider.make({ faults: { complete: [LostAnswer({ status: null })] } }),
                ({ provider }) => provider.complete(row)
              )
            )
            : provider.complete(row)
      })
      const world = yield* make({ rows: 60, wrap })
      const raw = yield* world.ask({ concurrency: 2 })
      assert.deepStrictEqual([raw.rows, raw.shortBy, raw.batch.ending], [59, 1, "completed"])
      assert.notInclude(rowsIn(world.answers()), 2)
    }))

  for (const reason of ["auth", "refused", "unexpected"] as const) {
    it.effect(`stops at once where no row would get an answer (${reason}), and keeps what is under way`, () =>
      Effect.gen(function*() {
        const world = yield* make({ rows: 9, script: { faults: { complete: [None(), None(), Failing({ reason })] } } })
        const error = yield* Effect.flip(world.ask({ concurrency: 3 }))
        assert.strictEqual(error._tag === "ProviderError" ? error.reason : error._tag, reason)
        assert.deepStrictEqual(rowsIn(world.answers()), [1, 2])
        yield* world.ask()
        assertWhole(world, 9)
        assert.strictEqual((yield* world.calls).length, 10)
      }))
  }

  it.effect("refuses a shard that was changed since it was built, before anything is sent", () =>
    Effect.gen(function*() {
      const world = yield* make()
      lay(world.memory.disk, "0001", 2, 5)
      const error = yield* Effect.flip(world.ask())
      assert.strictEqual(error._tag, "ShardChanged")
      assert.deepStrictEqual(yield* world.calls, [])
    }))

  it.effect("asks for nothing more once the run is cancelled", () =>
    Effect.gen(function*() {
      const world = yield* make({ rows: 10 })
      const raw = yield* Effect.all([
        world.ask({ concurrency: 2 }),
        Effect.withClock(Effect.zipRight(Effect.sleep("1500 millis"), Effect.sync(world.cancel)), world.clock)
      ], { concurrency: 2 }).pipe(Effect.map(([raw]) => raw))
      assert.deepStrictEqual(rowsIn(world.answers()).toSorted((a, b) => a - b), [1, 2, 3, 4])
      assert.deepStrictEqual([raw.rows, raw.shortBy, raw.batch.ending], [4, 0, "cancelled"])
      assert.strictEqual(raw.batch.snapshot.counts.cancelled, 6)
    }))

  it.effect("does not sit out a long wait when the run is cancelled", () =>
    Effect.gen(function*() {
      const script = { faults: { complete: [Unanswered({ status: 429, retryAfter: "5 minutes" })] } }
      const world = yield* make({ rows: 3, script })
      const raw = yield* Effect.all([
        world.inProcess(
          Effect.flatMap(Ask.Ask, ({ ask }) => Effect.zip(ask(world.shard), Clock.currentTimeMillis)),
          { concurrency: 1 }
        ),
        Effect.withClock(Effect.zipRight(Effect.sleep("10 seconds"), Effect.sync(world.cancel)), world.clock)
      ], { concurrency: 2 }).pipe(Effect.map(([raw]) => raw))
      assert.deepStrictEqual([raw[0].rows, raw[0].batch.ending], [0, "cancelled"])
      assert.isBelow(raw[1], 13_000)
    }))

  it.effect("cuts off a line that a crash tore, and asks for its row again", () =>
    Effect.gen(function*() {
      const world = yield* make({ rows: 3 })
      yield* world.ask({ concurrency: 1 })
      const handle = world.memory.disk.open(`${directory}/raw/test/0001.jsonl`, "append")
      handle.truncate(world.answers().length - 9)
      handle.close()
      const raw = yield* world.ask()
      assertWhole(world, 3)
      assert.strictEqual(raw.rows, 3)
      assert.deepStrictEqual((yield* world.calls).map(([row]) => row), [1, 2, 3, 3])
    }))

  it.effect("makes answers that come together durable together", () =>
    Effect.gen(function*() {
      let syncs = 0
      const wrapDisk = (disk: DiskService): DiskService => ({
        ...disk,
        open: (path, mode) => {
          const handle = disk.open(path, mode)
          return {
            ...handle,
            sync: () => {
              syncs++
              handle.sync()
            }
          }
        }
      })
      const wave = yield* Effect.makeLatch()
      let waiting = 0
      const wrap = (provider: Service): Service => ({
        ...provider,
        complete: ({ wireId }) =>
          Effect.as(Effect.suspend(() => ++waiting === 20 ? wave.open : wave.await), {
            line: JSON.stringify({ custom_id: wireId }),
            again: null,
            limits: [],
            tokens: 1
          })
      })
      const world = yield* make({ rows: 20, wrap, wrapDisk })
      yield* world.ask({ concurrency: 20 })
      assertWhole(world, 20)
      // One when the file is opened, one for the row that came last and opened the way, one for all others.
      assert.isAtMost(syncs, 3)
    }))

  it.effect("keeps what came when it is interrupted, and ends what is under way", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const wrap = (provider: Service): Service => ({
        ...provider,
        complete: (row) =>
          (row.wireId === `${tag}-1` ? provider.complete(row) : Effect.never).pipe(
            Effect.onInterrupt(() => Effect.sync(() => interrupted++))
          )
      })
      const world = yield* make({ rows: 6, wrap })
      const asking = yield* Effect.fork(world.ask({ concurrency: 3 }))
      yield* Effect.repeat(Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve))), {
        until: () => world.answers() !== ""
      })
      yield* Fiber.interrupt(asking)
      assert.strictEqual(interrupted, 3)
      assert.deepStrictEqual(rowsIn(world.answers()), [1])
    }))

  for (const code of ["crash", "ENOSPC", "EIO"] as const) {
    it.effect(`loses no answer, and asks for none twice that is on disk, whichever operation ends in ${code}`, () =>
      Effect.gen(function*() {
        for (let count = 1;; count++) {
          const world = yield* make({ rows: 5 })
          const before = world.memory.operations
          world.memory.failOnce({ count, code })
          const exit = yield* Effect.exit(world.ask({ concurrency: 2 }))
          if (Exit.isSuccess(exit) && world.memory.operations - before < count) break
          world.memory.crash()
          const durable = rowsIn(world.answers().slice(0, world.answers().lastIndexOf("\n") + 1))
          const asked = (yield* world.calls).length
          const raw = yield* world.ask({ concurrency: 2 })
          assert.deepStrictEqual([raw.rows, raw.shortBy], [5, 0], `operation ${count}`)
          assertWhole(world, 5)
          const again = (yield* world.calls).slice(asked).map(([row]) => row)
          assert.deepStrictEqual(again.filter((row) => durable.includes(row)), [], `operation ${count}`)
          assert.strictEqual(again.length, 5 - durable.length)
        }
      }))
  }
})
