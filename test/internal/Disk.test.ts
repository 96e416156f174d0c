import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as NodeFs from "node:fs"
import * as NodeOs from "node:os"
import * as NodePath from "node:path"
import * as Disk from "../../src/internal/Disk.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"

/** A disk and a directory of its own on it, for the length of a scope. */
type Place = Effect.Effect<readonly [disk: Disk.Service, directory: string], never, Scope.Scope>

const onTheMachine: Place = Effect.zip(
  Disk.Disk,
  Effect.acquireRelease(
    Effect.sync(() => NodeFs.mkdtempSync(NodePath.join(NodeOs.tmpdir(), "disk-"))),
    (directory) => Effect.sync(() => NodeFs.rmSync(directory, { recursive: true }))
  )
)

const inMemory = (options: MemoryDisk.Options): Place =>
  Effect.sync(() => {
    const { disk } = MemoryDisk.make(options)
    disk.makeDirectory("/place")
    return [disk, "/place"]
  })

const places: ReadonlyArray<readonly [name: string, place: Place]> = [
  ["the machine's disk", onTheMachine],
  ["a disk in memory", inMemory({})],
  ["a disk in memory with short reads and writes", inMemory({ longestRead: 2, longestWrite: 3 })]
]

const write = (disk: Disk.Service, path: string, text: string, mode: Disk.OpenMode = "write") => {
  const handle = disk.open(path, mode)
  Disk.writeAll(handle, Buffer.from(text))
  handle.close()
}

/** Reads as much as there is, up to a length. */
const readAt = (handle: Disk.Handle, length: number, position: number | null): string => {
  const bytes = Buffer.alloc(length)
  let filled = 0
  for (;;) {
    const read = handle.read(bytes, filled, length - filled, position === null ? null : position + filled)
    filled += read
    if (read === 0) return bytes.toString("latin1", 0, filled)
  }
}

const read = (disk: Disk.Service, path: string): string => {
  const handle = disk.open(path, "read")
  try {
    return readAt(handle, handle.size(), 0)
  } finally {
    handle.close()
  }
}

for (const [name, place] of places) {
  /** A test of what the operations do in a directory. */
  const behaves = (title: string, test: (disk: Disk.Service, at: (path: string) => string) => void) =>
    it.scoped(
      title,
      () =>
        Effect.map(place, ([disk, directory]) => test(disk, (path) => path === "" ? directory : `${directory}/${path}`))
    )

  describe(name, () => {
    behaves("writes a new file, and empties an old one", (disk, at) => {
      write(disk, at("a"), "first text")
      assert.strictEqual(read(disk, at("a")), "first text")
      write(disk, at("a"), "second")
      assert.strictEqual(read(disk, at("a")), "second")
    })

    behaves("finds nothing where nothing can be", (disk, at) => {
      write(disk, at("file"), "text")
      assert.isUndefined(disk.stat(at("no")))
      assert.isUndefined(disk.stat(at("file/a")))
      assert.isUndefined(disk.stat(at("file/a/b")))
      assert.isUndefined(disk.stat(at("x".repeat(300))))
    })

    behaves("appends, to a file that is made if need be", (disk, at) => {
      write(disk, at("a"), "one", "append")
      write(disk, at("a"), "two", "append")
      assert.strictEqual(read(disk, at("a")), "onetwo")
    })

    behaves("reads at a position, and apart from that where the last read ended", (disk, at) => {
      write(disk, at("a"), "0123456789")
      const handle = disk.open(at("a"), "read")
      assert.strictEqual(handle.size(), 10)
      const first = Buffer.alloc(2)
      assert.strictEqual(handle.read(first, 0, 2, null), 2)
      assert.strictEqual(first.toString(), "01")
      assert.strictEqual(readAt(handle, 3, 7), "789")
      assert.strictEqual(readAt(handle, 4, null), "2345")
      assert.strictEqual(readAt(handle, 100, null), "6789")
      assert.strictEqual(readAt(handle, 1, null), "")
      assert.strictEqual(readAt(handle, 1, 1_000), "")
      handle.close()
    })

    behaves("reads into the middle of a buffer", (disk, at) => {
      write(disk, at("a"), "xy")
      const handle = disk.open(at("a"), "read")
      const into = Buffer.from("......")
      assert.strictEqual(handle.read(into, 3, 2, 0), 2)
      assert.strictEqual(into.toString(), "...xy.")
      handle.close()
    })

    behaves("truncates, and appends at the new end", (disk, at) => {
      const handle = disk.open(at("a"), "append")
      Disk.writeAll(handle, Buffer.from("0123456789"))
      handle.sync()
      handle.truncate(4)
      Disk.writeAll(handle, Buffer.from("x"))
      assert.strictEqual(handle.size(), 5)
      assert.strictEqual(read(disk, at("a")), "0123x")
      handle.truncate(7)
      assert.strictEqual(read(disk, at("a")), "0123x\u0000\u0000")
      handle.close()
    })

    behaves("goes on writing where it was after a truncation", (disk, at) => {
      const handle = disk.open(at("a"), "write")
      Disk.writeAll(handle, Buffer.from("01234"))
      handle.truncate(2)
      Disk.writeAll(handle, Buffer.from("x"))
      assert.strictEqual(read(disk, at("a")), "01\u0000\u0000\u0000x")
      handle.close()
    })

    behaves("writes over what a handle of another wrote", (disk, at) => {
      const first = disk.open(at("a"), "write")
      Disk.writeAll(first, Buffer.from("abc"))
      first.sync()
      const second = disk.open(at("a"), "write")
      Disk.writeAll(second, Buffer.from("12345"))
      Disk.writeAll(first, Buffer.from("d"))
      assert.strictEqual(read(disk, at("a")), "123d5")
      first.close()
      second.close()
    })

    behaves("makes directories with all above them, and lists them in order", (disk, at) => {
      disk.makeDirectory(at("c/d/e"))
      disk.makeDirectory(at("c/d/e"))
      write(disk, at("c/b"), "")
      write(disk, at("c/a10"), "")
      write(disk, at("c/a9"), "")
      assert.deepStrictEqual(disk.list(at("c")), ["a10", "a9", "b", "d"])
      assert.deepStrictEqual(disk.list(at("c/d/e")), [])
    })

    behaves("tells what is there", (disk, at) => {
      disk.makeDirectory(at("d"))
      write(disk, at("a"), "123")
      const file = disk.stat(at("a"))
      const directory = disk.stat(at("d"))
      assert.deepStrictEqual([file?.kind, file?.size, directory?.kind], ["file", 3, "directory"])
      assert.strictEqual(file?.device, directory?.device)
      assert.notStrictEqual(file?.inode, directory?.inode)
      assert.isUndefined(disk.stat(at("b")))
      assert.isUndefined(disk.stat(at("b/c")))
    })

    behaves("renames files and directories, over what may be replaced", (disk, at) => {
      write(disk, at("a"), "a")
      write(disk, at("b"), "b")
      const inode = disk.stat(at("a"))?.inode
      disk.rename(at("a"), at("b"))
      disk.rename(at("b"), at("b"))
      assert.strictEqual(disk.stat(at("b"))?.inode, inode)
      disk.makeDirectory(at("d"))
      disk.rename(at("b"), at("d/b"))
      disk.makeDirectory(at("empty"))
      disk.rename(at("d"), at("empty"))
      assert.deepStrictEqual(disk.list(at("")), ["empty"])
      assert.strictEqual(read(disk, at("empty/b")), "a")
    })

    behaves("removes files and whole directories, and nothing that is not there", (disk, at) => {
      disk.makeDirectory(at("d/e"))
      write(disk, at("d/e/a"), "1")
      write(disk, at("a"), "1")
      disk.remove(at("d"))
      disk.remove(at("a"))
      disk.remove(at("b"))
      disk.remove(at("b/c"))
      assert.deepStrictEqual(disk.list(at("")), [])
    })

    behaves("keeps a removed file for whoever has it open", (disk, at) => {
      write(disk, at("a"), "123")
      const handle = disk.open(at("a"), "read")
      disk.remove(at("a"))
      assert.strictEqual(readAt(handle, 3, 0), "123")
      handle.close()
    })

    behaves("syncs files and directories, and has room", (disk, at) => {
      const handle = disk.open(at("a"), "write")
      handle.sync()
      handle.close()
      disk.syncDirectory(at(""))
      assert.isAbove(disk.freeBytes(at("not/yet/there")), 0)
    })

    /** What an operation throws, with the directory left out. */
    const fails = (
      title: string,
      message: string,
      work: (disk: Disk.Service, at: (path: string) => string) => unknown
    ) =>
      behaves(`fails to ${title}`, (disk, at) => {
        write(disk, at("file"), "123")
        disk.makeDirectory(at("directory/in"))
        disk.makeDirectory(at("empty"))
        const error = (() => {
          try {
            return work(disk, at)
          } catch (error) {
            return error
          }
        })()
        assert.instanceOf(error, Error)
        if (error instanceof Error) assert.strictEqual(error.message.replaceAll(at(""), ""), message)
        assert.propertyVal(error, "code", message.slice(0, message.indexOf(":")))
      })

    fails(
      "open what is not there",
      "ENOENT: no such file or directory, open '/no'",
      (disk, at) => disk.open(at("no"), "read")
    )
    fails(
      "write where no directory is",
      "ENOENT: no such file or directory, open '/no/a'",
      (disk, at) => disk.open(at("no/a"), "write")
    )
    fails(
      "write below a file",
      "ENOTDIR: not a directory, open '/file/a'",
      (disk, at) => disk.open(at("file/a"), "append")
    )
    fails(
      "write to a directory",
      "EISDIR: illegal operation on a directory, open '/directory'",
      (disk, at) => disk.open(at("directory"), "write")
    )
    const using = (
      file: string,
      mode: Disk.OpenMode,
      use: (handle: Disk.Handle) => unknown
    ) =>
    (disk: Disk.Service, at: (path: string) => string) => {
      const handle = disk.open(at(file), mode)
      try {
        return use(handle)
      } finally {
        handle.close()
      }
    }
    fails(
      "read a directory",
      "EISDIR: illegal operation on a directory, read",
      using("directory", "read", (handle) => handle.read(Buffer.alloc(1), 0, 1, 0))
    )
    fails(
      "read with a handle to append with",
      "EBADF: bad file descriptor, read",
      using("file", "append", (handle) => handle.read(Buffer.alloc(1), 0, 1, 0))
    )
    fails(
      "write with a handle to read with",
      "EBADF: bad file descriptor, write",
      using("file", "read", (handle) => handle.write(Buffer.alloc(1), 0, 1))
    )
    fails(
      "truncate with a handle to read with",
      "EINVAL: invalid argument, ftruncate",
      using("file", "read", (handle) => handle.truncate(0))
    )
    fails("close twice", "EBADF: bad file descriptor, close", using("file", "read", (handle) => handle.close()))
    fails(
      "list what is not there",
      "ENOENT: no such file or directory, scandir '/no'",
      (disk, at) => disk.list(at("no"))
    )
    fails("list a file", "ENOTDIR: not a directory, scandir '/file'", (disk, at) => disk.list(at("file")))
    fails(
      "make a directory of a file",
      "EEXIST: file already exists, mkdir '/file'",
      (disk, at) => disk.makeDirectory(at("file"))
    )
    fails(
      "make a directory below a file",
      "ENOTDIR: not a directory, mkdir '/file/a/b'",
      (disk, at) => disk.makeDirectory(at("file/a/b"))
    )
    fails(
      "rename what is not there",
      "ENOENT: no such file or directory, rename '/no' -> '/a'",
      (disk, at) => disk.rename(at("no"), at("a"))
    )
    fails(
      "rename to where no directory is",
      "ENOENT: no such file or directory, rename '/file' -> '/no/a'",
      (disk, at) => disk.rename(at("file"), at("no/a"))
    )
    fails(
      "rename a file over a directory",
      "EISDIR: illegal operation on a directory, rename '/file' -> '/empty'",
      (disk, at) => disk.rename(at("file"), at("empty"))
    )
    fails(
      "rename a directory over a file",
      "ENOTDIR: not a directory, rename '/empty' -> '/file'",
      (disk, at) => disk.rename(at("empty"), at("file"))
    )
    fails(
      "rename a directory over a full one",
      "ENOTEMPTY: directory not empty, rename '/empty' -> '/directory'",
      (disk, at) => disk.rename(at("empty"), at("directory"))
    )
    fails(
      "rename a directory into itself",
      "EINVAL: invalid argument, rename '/directory' -> '/directory/a'",
      (disk, at) => disk.rename(at("directory"), at("directory/a"))
    )
    fails(
      "sync a directory that is not there",
      "ENOENT: no such file or directory, open '/no'",
      (disk, at) => disk.syncDirectory(at("no"))
    )

    /** A test of the effects on top of the operations. */
    const does = <E>(
      title: string,
      test: (at: (path: string) => string) => Effect.Effect<void, E, Scope.Scope>
    ) =>
      it.scoped(
        title,
        () =>
          Effect.flatMap(place, ([disk, directory]) =>
            Effect.provideService(test((path) => `${directory}/${path}`), Disk.Disk, disk))
      )

    does("replaces a file and reads it as text", (at) =>
      Effect.gen(function*() {
        const disk = yield* Disk.Disk
        yield* Disk.replaceFile(at("a"), "Grüße")
        assert.strictEqual(yield* Disk.readText(at("a")), "Grüße")
        yield* Disk.replaceFile(at("a"), "")
        assert.strictEqual(yield* Disk.readText(at("a")), "")
        assert.deepStrictEqual(disk.list(at("")), ["a"])
      }))

    does("reads a file in blocks that stay as they were given", (at) =>
      Effect.gen(function*() {
        const disk = yield* Disk.Disk
        write(disk, at("a"), "0123456789")
        const blocks = Chunk.toReadonlyArray(yield* Stream.runCollect(Disk.readBlocks(at("a"))))
        assert.strictEqual(Buffer.concat(blocks).toString(), "0123456789")
      }))

    does("lends the blocks of a file, none larger than it may be", (at) =>
      Effect.gen(function*() {
        const disk = yield* Disk.Disk
        write(disk, at("a"), "0123456789")
        const blocks: Array<string> = []
        yield* Disk.forEachBlock(at("a"), 4, "copy", (block) => blocks.push(block.toString()))
        assert.strictEqual(blocks.join(""), "0123456789")
        assert.isTrue(blocks.every(({ length }) => length > 0 && length <= 4))
        const error = yield* Effect.flip(Disk.forEachBlock(at("a"), 4, "copy", () => disk.list(at("no"))))
        assert.deepStrictEqual([error.operation, error.path, error.code], ["copy", at("a"), "ENOENT"])
      }))

    does("lends a file in blocks, the next in the memory of the last", (at) =>
      Effect.gen(function*() {
        const disk = yield* Disk.Disk
        // Where every read is short, few bytes are many blocks.
        const content = "0123456789".repeat(name === "a disk in memory with short reads and writes" ? 10 : 250_000)
        write(disk, at("a"), content)
        let read = ""
        const blocks = Chunk.toReadonlyArray(
          yield* Stream.runCollect(Stream.tap(Disk.lendBlocks(at("a")), (block) =>
            Effect.sync(() => {
              read += Buffer.from(block).toString()
            })))
        )
        assert.isTrue(read === content)
        assert.isAbove(blocks.length, 1)
        assert.lengthOf([...new Set(blocks.map((block) => block.buffer))], 1)
      }))

    does("names what failed, where and why", (at) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Disk.openScoped(at("no"), "read"))
        assert.deepStrictEqual(
          [error._tag, error.operation, error.path, error.code, error.detail],
          ["DiskError", "open (to read)", at("no"), "ENOENT", `no such file or directory, open '${at("no")}'`]
        )
      }))
  })
}

for (const [name, place] of places) {
  describe(`beside the thread, ${name}`, () => {
    it.scoped("makes a file and a directory durable", () =>
      Effect.gen(function*() {
        const [disk, directory] = yield* place
        const handle = disk.open(`${directory}/a`, "write")
        yield* Disk.sync(`${directory}/a`, handle)
        handle.close()
        yield* Effect.provideService(Disk.syncDirectory(directory), Disk.Disk, disk)
        assert.strictEqual(disk.stat(`${directory}/a`)?.kind, "file")
      }))

    it.scoped("names what goes wrong", () =>
      Effect.gen(function*() {
        const [disk, directory] = yield* place
        const nowhere = `${directory}/nowhere`
        const error = yield* Effect.flip(Effect.provideService(Disk.syncDirectory(nowhere), Disk.Disk, disk))
        assert.deepStrictEqual([error.code, error.path], ["ENOENT", nowhere])
      }))
  })
}

describe("a file that is open for a scope", () => {
  it.effect("is closed with it", () =>
    Effect.gen(function*() {
      const memory = MemoryDisk.make()
      const handle = yield* Disk.openScoped("/a", "write").pipe(
        Effect.scoped,
        Effect.provideService(Disk.Disk, memory.disk)
      )
      assert.throws(() => handle.size(), "EBADF")
    }))
})
