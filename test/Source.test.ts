import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { InputError } from "llm-batch/InputError"
import * as Source from "llm-batch/Source"
import * as NodeFs from "node:fs"
import * as NodeOs from "node:os"
import * as NodePath from "node:path"
import { Readable } from "node:stream"
import * as NodeZlib from "node:zlib"
import * as Disk from "../src/internal/Disk.js"
import * as MemoryDisk from "../src/internal/MemoryDisk.js"
import { cutAt } from "./Blocks.js"

const textOf = (source: Source.Source) =>
  Effect.map(Stream.runCollect(source.blocks), (blocks) => Buffer.concat(Chunk.toReadonlyArray(blocks)).toString())

const messageOf = (source: Source.Source) =>
  Effect.map(Effect.flip(Stream.runDrain(source.blocks)), (error) => error.message)

const temporaryFile = (name: string, bytes: Uint8Array | string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => NodeFs.mkdtempSync(NodePath.join(NodeOs.tmpdir(), "source-"))),
      (directory) => Effect.sync(() => NodeFs.rmSync(directory, { recursive: true }))
    ),
    (directory) => {
      const path = NodePath.join(directory, name)
      NodeFs.writeFileSync(path, bytes)
      return path
    }
  )

const lines = (count: number) =>
  Array.from({ length: count }, (_, index) => `{"prompt":"question ${index} ${(index * 7_919) % 1_000_003}"}\n`).join(
    ""
  )

describe("Source", () => {
  it("tells the format by the name, whatever packs it", () => {
    const formats = [
      "a.jsonl",
      "a.ndjson.gz",
      "a.json",
      "a",
      "a.csv",
      "A.CSV.GZ",
      "a.tsv",
      "a.tab.gz",
      "csv",
      "a.csv.txt"
    ]
    assert.deepStrictEqual(formats.map(Source.formatOf), [
      "jsonl",
      "jsonl",
      "jsonl",
      "jsonl",
      "csv",
      "csv",
      "tsv",
      "tsv",
      "jsonl",
      "jsonl"
    ])
    assert.strictEqual(Source.file("a.txt", { format: "csv" }).format, "csv")
    assert.strictEqual(Source.stdin().format, "jsonl")
  })

  it("keeps the path as it was given for messages, and whole for later", () => {
    const source = Source.file("data/a.tsv", { columns: ["label", "text"] })
    assert.strictEqual(source.name, "data/a.tsv")
    assert.strictEqual(source.path, NodePath.join(process.cwd(), "data/a.tsv"))
    assert.deepStrictEqual(source.columns, ["label", "text"])
    assert.isNull(Source.stdin().path)
  })

  it.effect("reads a small plain file without waiting for anything", () =>
    Effect.gen(function*() {
      const memory = MemoryDisk.make()
      memory.disk.makeDirectory("/data")
      const handle = memory.disk.open("/data/a.jsonl", "write")
      Disk.writeAll(handle, Buffer.from("{\"prompt\":\"a\"}\n"))
      handle.close()
      const exit = yield* Effect.provideService(textOf(Source.file("/data/a.jsonl")), Disk.Disk, memory.disk)
      assert.strictEqual(exit, "{\"prompt\":\"a\"}\n")
    }))

  it.scoped("reads a file of several blocks, and an empty one", () =>
    Effect.gen(function*() {
      const text = lines(70_000)
      assert.isAbove(text.length, 2 << 20)
      assert.strictEqual(yield* textOf(Source.file(yield* temporaryFile("a.jsonl", text))), text)
      assert.strictEqual(yield* textOf(Source.file(yield* temporaryFile("a.jsonl", ""))), "")
      assert.strictEqual(yield* textOf(Source.file(yield* temporaryFile("a.jsonl", "\u001f"))), "\u001f")
    }))

  it.scoped("says what is wrong with a file that cannot be read", () =>
    Effect.gen(function*() {
      const path = yield* temporaryFile("a.jsonl", "")
      assert.strictEqual(
        yield* messageOf(Source.file("no-such-file.jsonl")),
        "no-such-file.jsonl: there is no such file. Check the path."
      )
      const directory = NodePath.dirname(path)
      assert.strictEqual(
        yield* messageOf(Source.file(directory)),
        `${directory}: it is a directory. Name a file in it.`
      )
    }))

  it.scoped("decompresses by content, whatever the name", () =>
    Effect.gen(function*() {
      const text = lines(200_000)
      const packed = NodeZlib.gzipSync(text)
      assert.isAbove(packed.length, 1 << 20)
      assert.strictEqual(yield* textOf(Source.file(yield* temporaryFile("a.jsonl", packed))), text)
    }))

  it.scoped("takes several gzip members as one content", () =>
    Effect.gen(function*() {
      const members = Buffer.concat(["a\n", "", "b\n"].map((text) => NodeZlib.gzipSync(text)))
      assert.strictEqual(yield* textOf(Source.file(yield* temporaryFile("a.gz", members))), "a\nb\n")
      const blocks = cutAt(members, [1, 2, 3, 20, 21, 22, 23, 40, 41, 42])
      assert.strictEqual(yield* textOf(Source.stdin({ readable: Readable.from(blocks) })), "a\nb\n")
    }))

  it.scoped("refuses gzip that is cut short, damaged or followed by something else", () =>
    Effect.gen(function*() {
      const packed = NodeZlib.gzipSync(lines(1_000))
      const damaged = Buffer.from(packed)
      damaged.fill(0xff, 100, 200)
      for (
        const bytes of [
          packed.subarray(0, packed.length - 1),
          packed.subarray(0, 100),
          packed.subarray(0, 2),
          damaged,
          Buffer.concat([packed, Buffer.from("{\"prompt\":\"x\"}\n")]),
          Buffer.concat([packed, packed.subarray(0, 20)])
        ]
      ) {
        const message = yield* messageOf(Source.file(yield* temporaryFile("a.jsonl.gz", bytes)))
        assert.include(message, "it begins as gzip does, and cannot be decompressed")
      }
    }))

  it.scoped("decompresses no faster than it is read", () =>
    Effect.gen(function*() {
      const bomb = NodeZlib.gzipSync(Buffer.alloc(256 << 20))
      const path = yield* temporaryFile("a.gz", bomb)
      const before = process.memoryUsage().arrayBuffers
      let most = 0
      yield* Stream.runForEach(Source.file(path).blocks, (block) =>
        Effect.sync(() => {
          assert.isAtMost(block.length, 1 << 20)
          most = Math.max(most, process.memoryUsage().arrayBuffers - before)
        }))
      assert.isBelow(most, 128 << 20)
    }))

  it.effect("reads standard input, bytes or text", () =>
    Effect.gen(function*() {
      const bytes = Source.stdin({ readable: Readable.from([Buffer.from("a\n"), Buffer.from("b")]) })
      assert.strictEqual(bytes.name, "standard input")
      assert.strictEqual(yield* textOf(bytes), "a\nb")
      assert.strictEqual(yield* textOf(Source.stdin({ readable: Readable.from(["a\n", "b"]) })), "a\nb")
      const packed = NodeZlib.gzipSync("a\nb")
      assert.strictEqual(yield* textOf(Source.stdin({ readable: Readable.from([packed]) })), "a\nb")
      const broken = Readable.from((function*() {
        yield Buffer.from("a\n")
        throw new Error("the pipe broke")
      })())
      assert.include(
        yield* messageOf(Source.stdin({ readable: broken })),
        "standard input: it cannot be read: the pipe"
      )
    }))

  it.effect("reads standard input once", () =>
    Effect.gen(function*() {
      const source = Source.stdin({ readable: Readable.from(["a\n"]) })
      assert.strictEqual(yield* textOf(source), "a\n")
      assert.include(yield* messageOf(source), "standard input: it has been read already")
    }))

  it.effect("stops reading standard input when it is interrupted", () =>
    Effect.gen(function*() {
      const silent = new Readable({ read: () => {} })
      const fiber = yield* Effect.fork(textOf(Source.stdin({ readable: silent })))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("takes a text", () =>
    Effect.gen(function*() {
      const source = Source.fromText("a.csv", "prompt\nhi\n")
      assert.strictEqual(source.format, "csv")
      assert.strictEqual(yield* textOf(source), "prompt\nhi\n")
      assert.strictEqual(yield* textOf(source), "prompt\nhi\n")
    }))

  it.effect("takes rows made in code, one by one, as they are needed", () =>
    Effect.gen(function*() {
      let made = 0
      let closed = false
      const source = Source.fromRows((function*() {
        try {
          for (;;) yield { prompt: `question ${made++}` }
        } finally {
          closed = true
        }
      })())
      const first = Option.getOrThrow(yield* Stream.runHead(source.blocks))
      assert.isTrue(
        Buffer.from(first).toString().startsWith("{\"prompt\":\"question 0\"}\n{\"prompt\":\"question 1\"}\n")
      )
      assert.isBelow(made, 100_000)
      assert.isTrue(closed)
      assert.strictEqual(
        yield* textOf(Source.fromRows([{ prompt: "a" }, { prompt: "b" }])),
        "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n"
      )
      assert.strictEqual(yield* textOf(Source.fromRows([])), "")
    }))

  it.effect("names the row that cannot be written", () =>
    Effect.gen(function*() {
      const message = yield* messageOf(Source.fromRows([{ prompt: "a" }, { prompt: 1n }], { name: "my rows" }))
      assert.include(message, "my rows:2: the row cannot be written as JSON: ")
    }))

  it.effect("takes rows from a stream, with its errors", () =>
    Effect.gen(function*() {
      const rows = Array.from({ length: 10_000 }, (_, index) => ({ prompt: "x".repeat(200), index }))
      assert.strictEqual(
        yield* textOf(Source.fromStream(Stream.rechunk(Stream.fromIterable(rows), 7_000))),
        rows.map((row) => `${JSON.stringify(row)}\n`).join("")
      )
      const error = new InputError({ source: "table", problem: "it is gone", remedy: "Look for it." })
      const broken = Stream.concat(Stream.make({ prompt: "a" }), Stream.fail(error))
      assert.strictEqual(yield* messageOf(Source.fromStream(broken)), "table: it is gone. Look for it.")
    }))
})
