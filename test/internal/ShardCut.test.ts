import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { Shard } from "llm-batch/Shard"
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { Disk, writeAll } from "../../src/internal/Disk.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"
import { cut } from "../../src/internal/ShardCut.js"

const directory = "/runs/one"
const wirePath = (id: string) => `${directory}/batch_inputs/test/${id}.jsonl`
const rowsPath = (id: string) => `${directory}/rows/${id}.jsonl`
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex")

/** A shard on a disk, with a wire row of each length; its rows are every third one of the input. */
const shardOf = (lengths: ReadonlyArray<number>) => {
  const memory = MemoryDisk.make()
  const wire = lengths.map((length, at) => `{"n":${at},"text":"${"é".repeat(length)}"}\n`)
  const rows = lengths.map((_, at) => `{"row":${7 + at * 3},"line":${at + 1},"id":"a","kind":"chat","body":{}}\n`)
  for (const path of [wirePath("0004"), rowsPath("0004")])
    memory.disk.makeDirectory(path.slice(0, path.lastIndexOf("/")))
  const write = (path: string, text: string) => {
    const handle = memory.disk.open(path, "write")
    writeAll(handle, Buffer.from(text))
    handle.close()
  }
  write(wirePath("0004"), wire.join(""))
  write(rowsPath("0004"), rows.join(""))
  const shard = new Shard({
    id: "0004",
    directory,
    runTag: "tag",
    provider: "test",
    endpoint: "/v1/chat",
    model: "m",
    betas: ["b"],
    rows: lengths.length,
    bytes: Buffer.byteLength(wire.join("")),
    sha256: sha256(wire.join("")),
    rowsCrc32: crc32(rows.join("")),
    firstRow: 7,
    lastRow: 7 + (lengths.length - 1) * 3,
    attempt: 2,
    mode: "batch",
    parents: ["0001"]
  })
  const read = (path: string) => memory.files().get(path)?.toString() ?? ""
  return { memory, shard, wire, rows, read, write }
}

const cutting = ({ memory, shard }: ReturnType<typeof shardOf>, pieces: number) =>
  Effect.provideService(cut(shard, pieces, 9), Disk, memory.disk)

describe("a shard that is cut", () => {
  it.effect.prop(
    "is the same rows, byte for byte, in more files",
    {
      lengths: FastCheck.array(FastCheck.integer({ min: 0, max: 400 }), { minLength: 2, maxLength: 40 }),
      pieces: FastCheck.integer({ min: 2, max: 50 })
    },
    ({ lengths, pieces }) =>
      Effect.gen(function*() {
        const world = shardOf(lengths)
        const cuts = yield* cutting(world, pieces)
        assert.isAbove(cuts.length, 1)
        assert.isAtMost(cuts.length, Math.min(2 * pieces, lengths.length))
        assert.deepStrictEqual(cuts.map(({ id }) => id), cuts.map((_, at) => String(10 + at).padStart(4, "0")))
        assert.strictEqual(cuts.map(({ id }) => world.read(wirePath(id))).join(""), world.wire.join(""))
        assert.strictEqual(cuts.map(({ id }) => world.read(rowsPath(id))).join(""), world.rows.join(""))
        let row = 7
        for (const piece of cuts) {
          const text = world.read(wirePath(piece.id))
          const { bytes, firstRow, lastRow, rows, rowsCrc32 } = piece
          assert.deepStrictEqual([bytes, piece.sha256], [Buffer.byteLength(text), sha256(text)])
          assert.strictEqual(rowsCrc32, crc32(world.read(rowsPath(piece.id))))
          assert.deepStrictEqual([firstRow, lastRow], [row, row + (rows - 1) * 3])
          row = lastRow + 3
          assert.deepStrictEqual([piece.attempt, piece.parents, piece.model, piece.betas], [2, ["0001"], "m", ["b"]])
        }
      }),
    { fastCheck: { numRuns: 60 } }
  )

  it.effect("keeps a row together that is larger than a piece", () =>
    Effect.gen(function*() {
      const cuts = yield* cutting(shardOf([1, 400]), 2)
      assert.deepStrictEqual(cuts.map(({ rows }) => rows), [1, 1])
    }))

  it.effect("is refused when its files are not as they were built", () =>
    Effect.gen(function*() {
      const wire = shardOf([10, 10])
      wire.write(wirePath("0004"), wire.wire.join("").replace("\"n\":1", "\"n\":2"))
      assert.include((yield* Effect.flip(cutting(wire, 2))).message, "its SHA-256 differs")
      const rows = shardOf([10, 10])
      rows.write(rowsPath("0004"), rows.rows.join("").replace("\"id\":\"a\"", "\"id\":\"b\""))
      assert.include((yield* Effect.flip(cutting(rows, 2))).message, "its checksum differs")
      const short = shardOf([10, 10])
      short.write(rowsPath("0004"), short.rows.slice(0, 1).join(""))
      assert.strictEqual((yield* Effect.flip(cutting(short, 2)))._tag, "ShardChanged")
    }))
})
