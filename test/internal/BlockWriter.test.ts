import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { BlockWriter } from "../../src/internal/BlockWriter.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"

const setUp = (size: number, options: MemoryDisk.Options = {}) => {
  const memory = MemoryDisk.make(options)
  const seen: Array<Buffer> = []
  const writer = new BlockWriter(memory.disk.open("/file", "write"), size, (bytes) => seen.push(Buffer.from(bytes)))
  return { memory, writer, seen, content: () => memory.files().get("/file") ?? Buffer.alloc(0) }
}

const piece = FastCheck.oneof(
  FastCheck.string({ maxLength: 12 }),
  FastCheck.constantFrom("ü", "€", "👩‍🔬", "\ud800", "x".repeat(100)),
  FastCheck.uint8Array({ maxLength: 40 })
)

describe("a block writer", () => {
  it.prop(
    "writes text as UTF-8 and bytes as they are, in order, whatever its buffer and the disk",
    [FastCheck.array(piece), FastCheck.integer({ min: 1, max: 64 }), FastCheck.integer({ min: 1, max: 16 })],
    ([pieces, size, longestWrite]) => {
      const { content, seen, writer } = setUp(size, { longestWrite })
      let expected = Buffer.alloc(0)
      for (const one of pieces) {
        assert.strictEqual(writer.position, expected.length)
        if (typeof one === "string") writer.text(one)
        else writer.bytes(one)
        expected = Buffer.concat([expected, Buffer.from(one)])
      }
      assert.strictEqual(writer.position, expected.length)
      writer.flush()
      assert.isTrue(content().equals(expected))
      assert.isTrue(Buffer.concat(seen).equals(expected))
    }
  )

  it("writes nothing before its buffer is full, and all of it on a flush", () => {
    const { content, memory, writer } = setUp(64)
    const before = memory.operations
    for (let count = 0; count < 20; count++) writer.text("ab")
    assert.strictEqual(memory.operations, before)
    writer.flush()
    assert.strictEqual(content().toString(), "ab".repeat(20))
    assert.strictEqual(memory.operations, before + 1)
  })

  it.effect("is durable when it is synced, and tells what kept it from that", () =>
    Effect.gen(function*() {
      const { content, memory, writer } = setUp(64)
      memory.disk.syncDirectory("/")
      writer.text("kept")
      memory.failOnce({ operation: "sync", count: 1, code: "EIO" })
      const error = yield* Effect.flip(writer.sync("/there"))
      assert.deepStrictEqual([error.operation, error.path, error.code], ["make durable", "/there", "EIO"])
      yield* writer.sync("/there")
      memory.crash()
      assert.strictEqual(content().toString(), "kept")
    }))

  it("keeps nothing of what is buffered when it is abandoned, however often", () => {
    const { content, writer } = setUp(64)
    writer.text("flushed")
    writer.flush()
    writer.text("lost")
    writer.abandon()
    writer.abandon()
    assert.strictEqual(content().toString(), "flushed")
  })
})
