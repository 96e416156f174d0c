import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Shard } from "llm-batch/Shard"
import * as AnswerLog from "../../src/internal/AnswerLog.js"
import { Disk, type Done } from "../../src/internal/Disk.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"

const path = "/runs/one/raw/test/0001.jsonl"

const shard = new Shard({
  id: "0001",
  directory: "/runs/one",
  runTag: "tag",
  provider: "test",
  endpoint: "/v1/chat",
  model: "m",
  betas: [],
  rows: 9,
  bytes: 9,
  sha256: "",
  firstRow: 1,
  lastRow: 9,
  attempt: 1,
  mode: "sync",
  parents: []
})

/** The answers of a shard on a disk whose syncs end when they are told to, but for the one when the file is opened. */
const opened = Effect.gen(function*() {
  const memory = MemoryDisk.make()
  const begun: Array<Done> = []
  let isOpen = false
  const disk = {
    ...memory.disk,
    open: (path: string, mode: Parameters<typeof memory.disk.open>[1]) => ({
      ...memory.disk.open(path, mode),
      syncBeside: (done: Done) => {
        if (isOpen) begun.push(done)
        else done(null)
      }
    })
  }
  const log = yield* Effect.provideService(AnswerLog.open(shard, "0001.jsonl"), Disk, disk)
  isOpen = true
  const written = () => memory.files().get(path)?.toString()
  /** Appends the line of a row, as somebody else, up to where that has to wait. */
  const append = (row: number) =>
    Effect.tap(Effect.fork(log.append(row, `{"row":${row}}`)), () => Effect.repeatN(Effect.yieldNow(), 5))
  return { append, begun, log, written }
})

describe("answers that come while others are made durable", () => {
  it.scoped("are gathered, and written together when that is done", () =>
    Effect.gen(function*() {
      const { append, begun, log, written } = yield* opened
      const first = yield* append(1)
      const second = yield* append(2)
      const third = yield* append(3)
      assert.deepStrictEqual([written(), begun.length, log.rows.has(1)], ["{\"row\":1}\n", 1, false])
      begun[0]?.(null)
      yield* Fiber.join(first)
      assert.deepStrictEqual([log.rows.has(1), log.rows.has(2)], [true, false])
      yield* Effect.repeatN(Effect.yieldNow(), 5)
      assert.deepStrictEqual([written(), begun.length], ["{\"row\":1}\n{\"row\":2}\n{\"row\":3}\n", 2])
      begun[1]?.(null)
      yield* Fiber.join(Fiber.zip(second, third))
      assert.isTrue(log.rows.has(2) && log.rows.has(3))
    }))

  it.scoped("are not written behind some of which nobody knows whether they are there", () =>
    Effect.gen(function*() {
      const { append, begun, log, written } = yield* opened
      const first = yield* append(1)
      const second = yield* append(2)
      begun[0]?.(Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO" }))
      const errors = yield* Effect.forEach([first, second], (fiber) => Effect.flip(Fiber.join(fiber)))
      assert.deepStrictEqual(errors.map(({ code }) => code), ["EIO", "EIO"])
      assert.deepStrictEqual([written(), begun.length], ["{\"row\":1}\n", 1])
      assert.isFalse(log.rows.has(1) || log.rows.has(2))
    }))
})
