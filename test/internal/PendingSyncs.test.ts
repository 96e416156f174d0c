import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Done, Handle } from "../../src/internal/Disk.js"
import { PendingSyncs } from "../../src/internal/PendingSyncs.js"

const nothing = () => undefined

/** Files whose syncs end when they are told to. */
const files = () => {
  const begun: Array<Done> = []
  const told: Array<string> = []
  const file = (name: string): Handle => ({
    read: () => 0,
    write: (_from, _offset, length) => length,
    truncate: nothing,
    size: () => 0,
    close: nothing,
    sync: () => {
      told.push(`${name} synced`)
    },
    syncBeside: (done) => {
      begun.push(done)
    }
  })
  const add = (syncs: PendingSyncs, name: string) => syncs.add(file(name), () => told.push(`${name} closed`))
  return { add, begun, file, told }
}

describe("syncs beside the thread", () => {
  it.effect("are waited for, and each file is closed when it is durable", () =>
    Effect.gen(function*() {
      const { add, begun, told } = files()
      const syncs = new PendingSyncs()
      add(syncs, "one")
      add(syncs, "two")
      const waiting = yield* Effect.fork(syncs.wait("/there"))
      yield* Effect.yieldNow()
      begun[1]?.(null)
      assert.deepStrictEqual(told, ["two closed"])
      assert.isNull(yield* Fiber.poll(waiting).pipe(Effect.map((exit) => exit._tag === "None" ? null : exit)))
      begun[0]?.(null)
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(told, ["two closed", "one closed"])
    }))

  it.effect("tell who waits what went wrong with any of them", () =>
    Effect.gen(function*() {
      const { add, begun } = files()
      const syncs = new PendingSyncs()
      add(syncs, "one")
      add(syncs, "two")
      begun[0]?.(Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" }))
      begun[1]?.(null)
      const error = yield* Effect.flip(syncs.wait("/there"))
      assert.deepStrictEqual([error.code, error.path], ["EIO", "/there"])
    }))

  it.effect("leave room when no more than eight are under way", () =>
    Effect.gen(function*() {
      const { add, begun } = files()
      const syncs = new PendingSyncs()
      for (let at = 1; at <= 8; at++) add(syncs, `file ${at}`)
      yield* syncs.room
      add(syncs, "file 9")
      add(syncs, "file 10")
      const waiting = yield* Effect.fork(syncs.room)
      yield* Effect.yieldNow()
      begun[3]?.(null)
      yield* Effect.yieldNow()
      assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
      begun[9]?.(null)
      yield* Fiber.join(waiting)
    }))

  it.effect("are made at once when sixteen are under way, and where a disk has no other", () =>
    Effect.gen(function*() {
      const { add, begun, file, told } = files()
      const syncs = new PendingSyncs()
      for (let at = 1; at <= 17; at++) add(syncs, `file ${at}`)
      assert.deepStrictEqual(told, ["file 17 synced", "file 17 closed"])
      for (const done of begun) done(null)
      yield* syncs.wait("/there")
      const { syncBeside: _, ...plain } = file("plain")
      syncs.add(plain, nothing)
      assert.strictEqual(told.at(-1), "plain synced")
    }))
})
