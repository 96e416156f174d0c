import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as NodeZlib from "node:zlib"
import * as Disk from "../../src/internal/Disk.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"
import * as RawContent from "../../src/internal/RawContent.js"
import { type Member, zip } from "./ZipWriter.js"

const path = "/results"

const diskWith = (bytes: Uint8Array, options?: MemoryDisk.Options) => {
  const memory = MemoryDisk.make(options)
  const handle = memory.disk.open(path, "append")
  Disk.writeAll(handle, bytes)
  handle.close()
  return memory
}

/** Counts the handles that are open. */
const counting = (disk: Disk.Service) => {
  const open = { handles: 0 }
  const counted: Disk.Service = {
    ...disk,
    open: (path, mode) => {
      const handle = disk.open(path, mode)
      open.handles++
      return {
        ...handle,
        close: () => {
          open.handles--
          handle.close()
        }
      }
    }
  }
  return { open, counted }
}

const content = Effect.gen(function*() {
  const packing = yield* RawContent.sniff(path)
  const blocks = yield* Stream.runCollect(RawContent.blocks(path, packing))
  return Buffer.concat(Chunk.toReadonlyArray(blocks))
})

/** What is read of a file with these bytes, as text. */
const read = (bytes: Uint8Array, options?: MemoryDisk.Options) => {
  const { counted, open } = counting(diskWith(bytes, options).disk)
  return content.pipe(
    Effect.map((all) => all.toString()),
    Effect.ensuring(Effect.sync(() => assert.strictEqual(open.handles, 0))),
    Effect.provideService(Disk.Disk, counted)
  )
}

/** Why it cannot be read. */
const problem = (bytes: Uint8Array, options?: MemoryDisk.Options) =>
  Effect.map(Effect.flip(read(bytes, options)), (error) => {
    assert.strictEqual(error._tag, "ArchiveProblem")
    return error._tag === "ArchiveProblem" ? { problem: error.problem, truncated: error.truncated } : undefined
  })

/** More than a piece of either kind of file. */
const names = Array.from({ length: 40_000 }, (_, at) => `{"name":"${at}"}\n`).join("")

for (const [packing, bytes] of [["plain", Buffer.from(names)], ["gzip", NodeZlib.gzipSync(names)]] as const) {
  it.effect(`a ${packing} file is given piece by piece`, () =>
    Effect.gen(function*() {
      const pieces: Array<Buffer> = []
      yield* RawContent.forEachPiece(path, packing, "look at", (piece) => pieces.push(Buffer.from(piece)))
      assert.isTrue(Buffer.concat(pieces).toString() === names)
      assert.isTrue(pieces.every(({ length }) => length <= 1 << 16))
      const failing = RawContent.forEachPiece(path, packing, "look at", () => {
        throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" })
      })
      assert.propertyVal(yield* Effect.flip(failing), "operation", "look at")
    }).pipe(Effect.provideService(Disk.Disk, diskWith(bytes).disk)))
}

const good = { name: "good.jsonl", content: "{\"good\":1}\n" }

const rejects = (members: ReadonlyArray<Member>, expected: string, options?: Parameters<typeof zip>[1]) =>
  Effect.gen(function*() {
    assert.deepStrictEqual(yield* problem(zip(members, options)), { problem: expected, truncated: false })
  })

describe("RawContent.sniff", () => {
  const sniffed = (bytes: Uint8Array, options?: MemoryDisk.Options) =>
    RawContent.sniff(path).pipe(Effect.provideService(Disk.Disk, diskWith(bytes, options).disk))

  it.effect("tells the packing by the first bytes", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* sniffed(Buffer.from("{\"a\":1}\n")), "plain")
      assert.strictEqual(yield* sniffed(Buffer.from("")), "plain")
      assert.strictEqual(yield* sniffed(Buffer.from("PK\n")), "plain")
      assert.strictEqual(yield* sniffed(Buffer.from([0x1f])), "plain")
      assert.strictEqual(yield* sniffed(NodeZlib.gzipSync("{}")), "gzip")
      assert.strictEqual(yield* sniffed(zip([good])), "zip")
      assert.strictEqual(yield* sniffed(zip([])), "zip")
      assert.strictEqual(yield* sniffed(zip([good]), { longestRead: 1 }), "zip")
    }))

  it.effect("fails with the disk's error", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        RawContent.sniff("/nothing").pipe(Effect.provideService(Disk.Disk, MemoryDisk.make().disk))
      )
      assert.strictEqual(error.code, "ENOENT")
      assert.strictEqual(error.path, "/nothing")
    }))
})

describe("plain content", () => {
  it.effect("is given as it is, in blocks of its own", () =>
    Effect.gen(function*() {
      const bytes = Buffer.alloc(2_500_000, "{\"a\":1}\n")
      const blocks = Chunk.toReadonlyArray(
        yield* Stream.runCollect(RawContent.blocks(path, "plain")).pipe(
          Effect.provideService(Disk.Disk, diskWith(bytes).disk)
        )
      )
      assert.deepStrictEqual(blocks.map((block) => block.length), [1_048_576, 1_048_576, 402_848])
      assert.isTrue(Buffer.concat(blocks).equals(bytes))
    }))
})

describe("gzip content", () => {
  it.effect("is unpacked, member after member, wherever they meet", () =>
    Effect.gen(function*() {
      const bytes = Buffer.concat([NodeZlib.gzipSync("{\"a\":1}\n"), NodeZlib.gzipSync("{\"b\":2}\n")])
      assert.strictEqual(yield* read(bytes), "{\"a\":1}\n{\"b\":2}\n")
      assert.strictEqual(yield* read(bytes, { longestRead: 1 }), "{\"a\":1}\n{\"b\":2}\n")
      assert.strictEqual(yield* read(Buffer.concat([bytes, Buffer.alloc(512)])), "{\"a\":1}\n{\"b\":2}\n")
      assert.strictEqual(yield* read(NodeZlib.gzipSync("")), "")
    }))

  it.effect("is unpacked in blocks that stay as they were given", () =>
    Effect.gen(function*() {
      const lines = Buffer.from(Array.from({ length: 300_000 }, (_, row) => `{"row":${row}}\n`).join(""))
      const blocks = Chunk.toReadonlyArray(
        yield* Stream.runCollect(RawContent.blocks(path, "gzip")).pipe(
          Effect.provideService(Disk.Disk, diskWith(NodeZlib.gzipSync(lines)).disk)
        )
      )
      assert.isTrue(Buffer.concat(blocks).equals(lines))
      assert.isTrue(blocks.every((block) => block.length > 0 && block.length <= 2 * 1_048_576))
    }))

  it.effect("cut short anywhere is told as truncated, never as an end", () =>
    Effect.gen(function*() {
      const bytes = NodeZlib.gzipSync("{\"a\":1}\n{\"b\":2}\n")
      for (let length = 2; length < bytes.length; length++) {
        assert.deepStrictEqual(yield* problem(bytes.subarray(0, length)), {
          problem: "its gzip data ends early",
          truncated: true
        })
      }
    }))

  it.effect("with a wrong checksum is rejected", () =>
    Effect.gen(function*() {
      const bytes = NodeZlib.gzipSync("{\"a\":1}\n")
      bytes.writeUInt32LE(1, bytes.length - 8)
      assert.deepStrictEqual(yield* problem(bytes), {
        problem: "its gzip data is damaged: incorrect data check",
        truncated: false
      })
    }))

  it.effect("that is a bomb is rejected", () => {
    // Members of a gzip file follow each other: this one unpacks to 640 MB.
    const bytes = Buffer.concat(Array(40).fill(NodeZlib.gzipSync(Buffer.alloc(16 << 20, " "))))
    const { counted, open } = counting(diskWith(bytes).disk)
    return Effect.gen(function*() {
      const error = yield* Effect.flip(Stream.runDrain(RawContent.blocks(path, "gzip")))
      assert.strictEqual(error.message, "it unpacks to far more than its size allows")
      assert.strictEqual(open.handles, 0)
    }).pipe(Effect.provideService(Disk.Disk, counted))
  })

  it.effect("followed by something else is rejected", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problem(Buffer.concat([NodeZlib.gzipSync("{}\n"), Buffer.from("<html>")])), {
        problem: "its gzip data is damaged: incorrect header check",
        truncated: false
      })
    }))

  it.effect("that is an archive itself is rejected", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problem(NodeZlib.gzipSync(zip([good]))), {
        problem: "its content is an archive itself",
        truncated: false
      })
    }))
})

describe("zip content", () => {
  it.effect("of several JSONL members is the lines of all in the order of the directory", () =>
    Effect.gen(function*() {
      const bytes = zip([
        { name: "b.jsonl", content: "{\"b\":1}" },
        { name: "empty.jsonl", content: "" },
        { name: "a.jsonl", content: "{\"a\":1}\n", method: 0 },
        { name: "c.txt", content: "\uFEFF\r\n {\"c\":1}", streamed: true }
      ])
      assert.strictEqual(yield* read(bytes), "{\"b\":1}\n{\"a\":1}\n\r\n {\"c\":1}")
      assert.strictEqual(yield* read(bytes, { longestRead: 1 }), "{\"b\":1}\n{\"a\":1}\n\r\n {\"c\":1}")
    }))

  it.effect("is told by its content where the name says nothing", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* read(zip([{ name: "batch_1", content: "{\"a\":1}\n" }])), "{\"a\":1}\n")
      assert.strictEqual(yield* read(zip([{ name: "x", content: "" }])), "")
    }))

  it.effect("is everything in a member named as lines, a damaged first line too", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* read(zip([{ name: "a.jsonl", content: "oops\n{\"a\":1}\n" }])), "oops\n{\"a\":1}\n")
    }))

  it.effect("is not in directories, in what archivers add, nor in other texts", () =>
    Effect.gen(function*() {
      const bytes = zip([
        { name: "out/", content: "", method: 0, mode: 0o040755 },
        { name: "out/.DS_Store", content: "\u0000\u0001Bud1" },
        { name: "README.txt", content: "Results of a batch.\n" },
        { name: "out/results.jsonl", content: "{\"a\":1}\n", mode: 0o100644 },
        { name: "__MACOSX/out/._results.jsonl", content: "{\"not\":\"this\"}\n" }
      ])
      assert.strictEqual(yield* read(bytes), "{\"a\":1}\n")
    }))

  it.effect("may be in ZIP64 form, with a comment, with names in backslashes", () =>
    Effect.gen(function*() {
      const bytes = zip([{ ...good, name: "out\\good.jsonl", zip64: true }], { zip64: true, comment: "made by hand" })
      assert.strictEqual(yield* read(bytes), "{\"good\":1}\n")
    }))

  it.effect("of more than a block comes in blocks", () =>
    Effect.gen(function*() {
      const lines = Buffer.from(Array.from({ length: 200_000 }, (_, row) => `{"row":${row}}\n`).join(""))
      const bytes = zip([{ name: "deflated.jsonl", content: lines }, {
        name: "stored.jsonl",
        content: lines,
        method: 0
      }])
      const all = yield* content.pipe(Effect.provideService(Disk.Disk, diskWith(bytes).disk))
      assert.isTrue(all.equals(Buffer.concat([lines, lines])))
    }))

  it.effect("cut anywhere is told as truncated", () =>
    Effect.gen(function*() {
      const bytes = zip([good], { comment: "bye" })
      for (let length = 4; length < bytes.length; length++) {
        assert.deepStrictEqual(yield* problem(bytes.subarray(0, length)), {
          problem: "its end is missing",
          truncated: true
        })
      }
    }))
})

describe("a zip is rejected", () => {
  it.effect("without any member", () => rejects([], "none of its members holds lines of JSON"))

  it.effect("without a JSONL member", () =>
    rejects([{ name: "README.txt", content: "hello" }], "none of its members holds lines of JSON"))

  it.effect("with an encrypted member", () =>
    rejects([good, { name: "secret.jsonl", content: "x", flags: 0x801 }], "\"secret.jsonl\" is encrypted"))

  it.effect("with strong encryption", () =>
    rejects(
      [{ name: "secret.jsonl", content: "x", flags: 0x841 }],
      "its directory is damaged: strong encryption is not supported"
    ))

  it.effect("with a zip nested within", () =>
    rejects([good, { name: "more.jsonl", content: zip([good]) }], "\"more.jsonl\" is an archive itself"))

  it.effect("with a gzip nested within", () =>
    rejects(
      [good, { name: "more.jsonl.gz", content: NodeZlib.gzipSync("{}"), method: 0 }],
      "\"more.jsonl.gz\" is an archive itself"
    ))

  it.effect("with a symbolic link", () =>
    rejects(
      [good, { name: "link.jsonl", content: "/etc/passwd", mode: 0o120777 }],
      "\"link.jsonl\" is a link or a special file"
    ))

  it.effect("with a device", () =>
    rejects([{ name: "tty", content: "", mode: 0o020666 }], "\"tty\" is a link or a special file"))

  it.effect("with duplicate names", () => rejects([good, good], "the name \"good.jsonl\" is there twice"))

  it.effect("with an absolute path", () =>
    Effect.all([
      rejects([{ ...good, name: "/etc/cron.d/x" }], "the name \"/etc/cron.d/x\" leads out of the archive"),
      rejects([{ ...good, name: "C:\\x.jsonl" }], "the name \"C:/x.jsonl\" leads out of the archive")
    ]))

  it.effect("with a path to above", () =>
    Effect.all([
      rejects([{ ...good, name: "../x.jsonl" }], "the name \"../x.jsonl\" leads out of the archive"),
      rejects([{ ...good, name: "a\\..\\..\\x.jsonl" }], "the name \"a/../../x.jsonl\" leads out of the archive"),
      rejects(
        [good, { name: "__MACOSX/../../x", content: "" }],
        "the name \"__MACOSX/../../x\" leads out of the archive"
      )
    ]))

  it.effect("showing a hostile name without its control characters, and cut", () =>
    rejects(
      [{ ...good, name: `../\u001b[2J\u202Egnp.${"x".repeat(200)}\n` }],
      `the name "../?[2J?gnp.${"x".repeat(68)}..." leads out of the archive`
    ))

  it.effect("with a bad CRC", () =>
    Effect.all([
      rejects([{ ...good, crc32: 1 }], "\"good.jsonl\" does not have the checksum it declares"),
      rejects([{ ...good, method: 0, crc32: 1 }], "\"good.jsonl\" does not have the checksum it declares")
    ]))

  it.effect("with a declared size of 0 but data", () =>
    Effect.all([
      rejects([{ ...good, declaredSize: 0 }], "\"good.jsonl\" holds more than the 0 bytes it declares"),
      rejects([{ ...good, declaredSize: 0, method: 0 }], "\"good.jsonl\" holds more than the 0 bytes it declares"),
      rejects(
        [{ ...good, declaredSize: 0, declaredPackedSize: 0 }],
        "\"good.jsonl\" does not have the checksum it declares"
      )
    ]))

  it.effect("with a wrong size", () =>
    Effect.all([
      rejects([{ ...good, declaredSize: 5 }], "\"good.jsonl\" holds more than the 5 bytes it declares"),
      rejects([{ ...good, declaredSize: 50 }], "\"good.jsonl\" holds 11 bytes where it declares 50"),
      rejects([{ ...good, declaredSize: 50, method: 0 }], "\"good.jsonl\" holds 11 bytes where it declares 50")
    ]))

  it.effect("with a member that goes on past the end of the file", () =>
    rejects(
      [{ ...good, declaredPackedSize: 1_000_000 }],
      "its directory is damaged: file data overflows file bounds: 40 + 1000000 > 131"
    ))

  it.effect("with damaged data", () =>
    Effect.all([
      rejects(
        [{ ...good, packed: Buffer.from([0xff, 0xff, 0xff]) }],
        "the data of \"good.jsonl\" is damaged: invalid block type"
      ),
      rejects(
        [{ ...good, packed: NodeZlib.deflateRawSync("{\"good\":1}\n").subarray(0, 5) }],
        "the data of \"good.jsonl\" is damaged: unexpected end of file"
      )
    ]))

  it.effect("with an unknown method", () =>
    rejects([{ ...good, method: 93 }], "\"good.jsonl\" is packed by the unknown method 93"))

  it.effect("with more members declared than there are", () =>
    rejects([good], "its directory is damaged: it points past its own end", { declaredMembers: 2 }))

  it.effect("with fewer members declared than there are", () =>
    rejects([good, { ...good, name: "lost.jsonl" }], "it has more members than it declares", { declaredMembers: 1 }))

  it.effect("with too many members", () =>
    rejects([good], "it has 10001 members where at most 10000 are opened", { declaredMembers: 10_001 }))

  it.effect("that is a bomb", () => {
    const content = Buffer.alloc(16 << 20, " ")
    const packed = NodeZlib.deflateRawSync(content)
    const crc32 = NodeZlib.crc32(content)
    const members = Array.from({ length: 40 }, (_, index) => ({
      name: `${index}.jsonl`,
      content: "",
      packed,
      crc32,
      declaredSize: content.length
    }))
    const { counted, open } = counting(diskWith(zip(members)).disk)
    return Effect.gen(function*() {
      const error = yield* Effect.flip(Stream.runDrain(RawContent.blocks(path, "zip")))
      assert.strictEqual(error.message, "it unpacks to far more than its size allows")
      assert.strictEqual(open.handles, 0)
    }).pipe(Effect.provideService(Disk.Disk, counted))
  })
})

describe("a zip of many members", () => {
  const members = (count: number) =>
    Array.from({ length: count }, (_, row) => ({
      name: `${row}.jsonl`,
      content: `{"row":${row}}\n`,
      method: row % 9 === 0 ? 8 : 0
    }))

  it.effect("is read one after the other", () =>
    Effect.gen(function*() {
      const lines = Array.from({ length: 500 }, (_, row) => `{"row":${row}}\n`).join("")
      assert.strictEqual(yield* read(zip(members(500))), lines)
    }))

  it.effect("is opened up to ten thousand", () =>
    Effect.gen(function*() {
      const first = yield* Stream.runCollect(Stream.take(RawContent.blocks(path, "zip"), 1)).pipe(
        Effect.provideService(Disk.Disk, diskWith(zip(members(10_000))).disk)
      )
      assert.strictEqual(Buffer.concat(Chunk.toReadonlyArray(first)).toString(), "{\"row\":0}\n")
    }))
})

describe("any archive", () => {
  it.effect("with bytes changed is read, rejected or truncated, and never breaks the reader", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(
          FastCheck.boolean(),
          FastCheck.array(FastCheck.tuple(FastCheck.nat(), FastCheck.nat(255)), { minLength: 1, maxLength: 4 }),
          async (gzip, changes) => {
            const bytes = gzip
              ? NodeZlib.gzipSync("{\"a\":1}\n")
              : zip([good, { name: "b.jsonl", content: "{\"b\":1}", method: 0, zip64: true }], { zip64: true })
            for (const [position, byte] of changes) bytes[position % bytes.length] = byte
            await Effect.runPromise(Effect.catchTag(read(bytes), "ArchiveProblem", (error) =>
              Effect.sync(() =>
                assert.isNotEmpty(error.problem)
              )))
          }
        ),
        { numRuns: 500 }
      )
    ))

  it.effect("on a failing disk fails with the disk's error, whichever read fails", () =>
    Effect.gen(function*() {
      for (const bytes of [NodeZlib.gzipSync("{}\n"), zip([good, { ...good, name: "b", method: 0 }])]) {
        const whole = diskWith(bytes)
        const before = whole.operations
        yield* Effect.provideService(content, Disk.Disk, whole.disk)
        const count = whole.operations - before
        assert.isAbove(count, 4)
        for (let failing = 1; failing <= count; failing++) {
          const memory = diskWith(bytes)
          const { counted, open } = counting(memory.disk)
          memory.failOnce({ count: failing, code: "EIO" })
          const error = yield* Effect.flip(Effect.provideService(content, Disk.Disk, counted))
          assert.strictEqual(error._tag === "DiskError" ? error.code : error.message, "EIO")
          assert.strictEqual(open.handles, 0)
        }
      }
    }))

  it.effect("on a crashing disk dies, whichever read crashes", () =>
    Effect.gen(function*() {
      for (const bytes of [NodeZlib.gzipSync("{}\n"), zip([good])]) {
        for (let failing = 1; failing <= 5; failing++) {
          const memory = diskWith(bytes)
          memory.failOnce({ count: failing, code: "crash" })
          const exit = yield* Effect.exit(Effect.provideService(content, Disk.Disk, memory.disk))
          assert.isTrue(exit._tag === "Failure" && exit.cause._tag === "Die")
        }
      }
    }))

  it.effect("interrupted or left half read closes its file", () =>
    Effect.gen(function*() {
      const lines = Buffer.alloc(16 << 20, "{\"a\":1}\n")
      for (
        const [packing, bytes] of [
          ["gzip", NodeZlib.gzipSync(lines)],
          ["zip", zip([{ name: "a.jsonl", content: lines }])],
          ["zip", zip([{ name: "a.jsonl", content: lines, method: 0 }])]
        ] as const
      ) {
        const { counted, open } = counting(diskWith(bytes).disk)
        const started = yield* Effect.makeLatch()
        const blocks = RawContent.blocks(path, packing).pipe(Stream.tap(() => started.open))
        const reading = yield* Effect.fork(
          Stream.runDrain(blocks).pipe(Effect.provideService(Disk.Disk, counted))
        )
        yield* started.await
        assert.strictEqual(open.handles, 1)
        yield* Fiber.interrupt(reading)
        assert.strictEqual(open.handles, 0)
        yield* Stream.runDrain(Stream.take(blocks, 1)).pipe(Effect.provideService(Disk.Disk, counted))
        assert.strictEqual(open.handles, 0)
      }
    }))
})
