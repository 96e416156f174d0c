import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as TestClock from "effect/TestClock"
import * as AnswerCache from "llm-batch/AnswerCache"
import { createHash } from "node:crypto"
import { CachedAnswers } from "../src/internal/CachedAnswers.js"
import * as CacheSegment from "../src/internal/CacheSegment.js"
import { Disk, type OpenMode } from "../src/internal/Disk.js"
import { KeyTable } from "../src/internal/KeyTable.js"
import * as MemoryDisk from "../src/internal/MemoryDisk.js"
import * as TestWire from "../src/internal/TestWire.js"

const keyOf = (question: string): Buffer => createHash("sha256").update(question).digest().subarray(0, 16)

const answerTo = (question: string, wireId: string): string =>
  `{"custom_id":"${wireId}","model":"m","text":"${question}?","refusal":null,"finish_reason":"stop"}`

/** Writes a file of answers as a run does, up to its name. */
const write = (memory: MemoryDisk.MemoryDisk, name: string, questions: ReadonlyArray<string>, created: string) => {
  memory.disk.makeDirectory("/answers")
  const writer = new CacheSegment.SegmentWriter(memory.disk.open(`/answers/${name}`, "write-private"))
  for (const [index, question] of questions.entries()) {
    const line = Buffer.from(answerTo(question, `tag-${index + 1}`))
    const start = line.indexOf("tag-")
    writer.add(keyOf(question), line, start, line.indexOf("\"", start), index % 2 === 0 ? "m" : undefined)
  }
  writer.end("test", DateTime.unsafeMake(created))
  Effect.runSync(writer.sync(name))
  writer.close()
}

const put = (memory: MemoryDisk.MemoryDisk, name: string, content: string) => {
  memory.disk.makeDirectory("/answers")
  const handle = memory.disk.open(`/answers/${name}`, "write")
  handle.write(Buffer.from(content), 0, content.length)
  handle.close()
}

const on = <A, E>(memory: MemoryDisk.MemoryDisk, effect: Effect.Effect<A, E>) =>
  Effect.provideService(effect, Disk, memory.disk)

const namesOf = (memory: MemoryDisk.MemoryDisk) =>
  [...memory.files().keys()].map((path) => path.slice("/answers/".length))

describe("the contents of a cache", () => {
  it.effect("are nothing where there is none", () =>
    Effect.gen(function*() {
      const { bytes, entries, others, segments } = yield* on(MemoryDisk.make(), AnswerCache.contents("/answers"))
      assert.deepStrictEqual([bytes, entries, others, segments], [0, 0, [], []])
    }))

  it.effect("are read from files alone: to open a pipe is to wait", () =>
    Effect.gen(function*() {
      const memory = MemoryDisk.make()
      write(memory, "a.answers", ["x"], "2026-03-02T00:00:00Z")
      put(memory, "pipe", "")
      const disk = {
        ...memory.disk,
        stat: (path: string) => {
          const stat = memory.disk.stat(path)
          return stat !== undefined && path.endsWith("/pipe") ? { ...stat, kind: "other" as const } : stat
        },
        open: (path: string, mode: OpenMode) =>
          path.endsWith("/pipe") ? assert.fail("the pipe was opened") : memory.disk.open(path, mode)
      }
      const contents = yield* Effect.provideService(AnswerCache.contents("/answers"), Disk, disk)
      assert.deepStrictEqual([contents.entries, contents.others], [1, ["pipe"]])
    }))

  it.effect("are its files, the oldest first, and what else lies there", () =>
    Effect.gen(function*() {
      const memory = MemoryDisk.make()
      write(memory, "a.answers", ["x", "y", "z"], "2026-03-02T00:00:00Z")
      write(memory, "b.answers", ["x"], "2026-03-01T00:00:00Z")
      put(memory, "notes.txt", "mine")
      put(memory, "c.answers.1772496000000.tmp", "half")
      const contents = yield* on(memory, AnswerCache.contents("/answers"))
      assert.deepStrictEqual(
        contents.segments.map(({ created, entries, models, name, provider }) => [
          name,
          entries,
          DateTime.formatIso(created),
          provider,
          models
        ]),
        [
          ["b.answers", 1, "2026-03-01T00:00:00.000Z", "test", { m: 1 }],
          ["a.answers", 3, "2026-03-02T00:00:00.000Z", "test", { m: 2, others: 1 }]
        ]
      )
      assert.deepStrictEqual(contents.others, ["notes.txt"])
      const sizes = ["a.answers", "b.answers"].map((name) => memory.read(`/answers/${name}`)?.length ?? 0)
      assert.deepStrictEqual([contents.entries, contents.bytes], [4, (sizes[0] ?? 0) + (sizes[1] ?? 0)])
    }))
})

describe("an answer in a cache", () => {
  it("is found under any wire id", () => {
    const memory = MemoryDisk.make({ longestRead: 7 })
    write(memory, "a.answers", ["x", "ü 🎉"], "2026-03-02T00:00:00Z")
    const answers = new CachedAnswers(memory.disk, "/answers", TestWire.decode)
    answers.add("a.answers")
    assert.strictEqual(answers.find(keyOf("ü 🎉"), "other-17")?.toString(), answerTo("ü 🎉", "other-17"))
    assert.strictEqual(answers.find(keyOf("x"), "other-1")?.toString(), answerTo("x", "other-1"))
    assert.isUndefined(answers.find(keyOf("y"), "other-1"))
    answers.close()
  })

  it("is gone when its file is", () => {
    const memory = MemoryDisk.make()
    write(memory, "a.answers", ["x"], "2026-03-02T00:00:00Z")
    const answers = new CachedAnswers(memory.disk, "/answers", TestWire.decode)
    answers.add("a.answers")
    answers.add("b.answers")
    memory.disk.remove("/answers/a.answers")
    assert.isUndefined(answers.find(keyOf("x"), "other-1"))
    assert.deepStrictEqual(answers.unusable, [])
  })

  it.prop(
    "is never another one, whatever became of the file",
    [FastCheck.nat(2_000), FastCheck.integer({ min: 1, max: 255 }), FastCheck.boolean()],
    ([at, change, cut]) => {
      const memory = MemoryDisk.make()
      const questions = ["x", "y", "z"]
      write(memory, "a.answers", questions, "2026-03-02T00:00:00Z")
      const bytes = memory.read("/answers/a.answers") ?? Buffer.alloc(0)
      const place = at % bytes.length
      bytes.writeUInt8((bytes[place] ?? 0) ^ change, place)
      const handle = memory.disk.open("/answers/a.answers", "write")
      handle.write(bytes, 0, cut ? place : bytes.length)
      handle.close()
      const answers = new CachedAnswers(memory.disk, "/answers", TestWire.decode)
      answers.add("a.answers")
      for (const question of questions) {
        const line = answers.find(keyOf(question), "other-1")
        assert.include([undefined, answerTo(question, "other-1")], line?.toString())
      }
      if (cut) assert.deepStrictEqual(answers.unusable, ["a.answers"])
      answers.close()
    }
  )
})

describe("pruning", () => {
  const filled = Effect.gen(function*() {
    const memory = MemoryDisk.make()
    write(memory, "new.answers", ["x"], "2026-03-09T00:00:00Z")
    write(memory, "old.answers", ["y"], "2026-03-01T00:00:00Z")
    write(memory, "middle.answers", ["z"], "2026-03-05T00:00:00Z")
    put(memory, "notes.txt", "mine")
    yield* TestClock.setTime(DateTime.toEpochMillis(DateTime.unsafeMake("2026-03-10T00:00:00Z")))
    const size = memory.read("/answers/new.answers")?.length ?? 0
    return { memory, size }
  })

  const names = (segments: ReadonlyArray<AnswerCache.Segment>) => segments.map(({ name }) => name)

  it.effect("removes the oldest until the rest is no larger", () =>
    Effect.gen(function*() {
      const { memory, size } = yield* filled
      assert.deepStrictEqual(names(yield* on(memory, AnswerCache.prune("/answers", { maxBytes: size * 3 }))), [])
      assert.deepStrictEqual(names(yield* on(memory, AnswerCache.prune("/answers", { maxBytes: size }))), [
        "old.answers",
        "middle.answers"
      ])
      assert.deepStrictEqual(namesOf(memory), ["new.answers", "notes.txt"])
      yield* on(memory, AnswerCache.prune("/answers", { maxBytes: 0 }))
      assert.deepStrictEqual(namesOf(memory), ["notes.txt"])
    }))

  it.effect("removes what is older, and of the rest what is too much", () =>
    Effect.gen(function*() {
      const { memory, size } = yield* filled
      assert.deepStrictEqual(names(yield* on(memory, AnswerCache.prune("/answers", { olderThan: "6 days" }))), [
        "old.answers"
      ])
      assert.deepStrictEqual(
        names(yield* on(memory, AnswerCache.prune("/answers", { olderThan: "6 days", maxBytes: size }))),
        ["middle.answers"]
      )
    }))

  it.effect("leaves alone what others are writing, unless they must be dead", () =>
    Effect.gen(function*() {
      const { memory } = yield* filled
      const at = (time: string) => DateTime.toEpochMillis(DateTime.unsafeMake(time))
      put(memory, CacheSegment.temporaryName("a.answers", at("2026-03-09T01:00:00Z")), "half")
      put(memory, CacheSegment.temporaryName("b.answers", at("2026-03-08T23:00:00Z")), "half")
      put(memory, "backup.1.tmp", "mine")
      yield* on(memory, AnswerCache.prune("/answers", { maxBytes: 0 }))
      assert.deepStrictEqual(namesOf(memory).toSorted(), [
        `a.answers.${at("2026-03-09T01:00:00Z")}.tmp`,
        "backup.1.tmp",
        "notes.txt"
      ])
    }))

  it.effect("removes nothing where there is nothing", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* on(MemoryDisk.make(), AnswerCache.prune("/answers", { maxBytes: 0 })), [])
    }))
})

describe("a table of keys", () => {
  it.prop(
    "is a map",
    [FastCheck.array(FastCheck.tuple(FastCheck.nat(200), FastCheck.nat(0xffff_ffff)), { maxLength: 400 })],
    ([pairs]) => {
      const table = new KeyTable(2)
      const map = new Map<number, number>()
      for (const [name, number] of pairs) {
        const key = keyOf(String(name))
        const entry = table.find(key)
        assert.strictEqual(entry !== undefined, map.has(name))
        if (entry === undefined) table.add(key, 7, number)
        else table.setNumber(entry, number, 1)
        map.set(name, number)
      }
      assert.strictEqual(table.size, map.size)
      for (const [name, number] of map) {
        const entry = table.find(keyOf(String(name))) ?? assert.fail("it is not there")
        assert.deepStrictEqual([table.number(entry), table.number(entry, 1)], [7, number])
      }
    }
  )

  it("grows without losing any, and tells keys apart that begin alike", () => {
    const table = new KeyTable(1)
    const alike = (number: number) => {
      const key = Buffer.alloc(16, 1)
      key.writeUInt32LE(number, 12)
      return key
    }
    const count = 20_000
    for (let number = 0; number < count; number++) table.add(keyOf(String(number)), number)
    for (let number = 0; number < 100; number++) table.add(alike(number), count + number)
    for (let number = 0; number < count; number++) {
      assert.strictEqual(table.number(table.find(keyOf(String(number))) ?? -1), number)
    }
    for (let number = 0; number < 100; number++) {
      assert.strictEqual(table.number(table.find(alike(number)) ?? -1), count + number)
    }
    assert.isUndefined(table.find(alike(100)))
  })
})
