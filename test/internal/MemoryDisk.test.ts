import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Disk from "../../src/internal/Disk.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"

const write = (disk: Disk.Service, path: string, text: string, mode: Disk.OpenMode = "write") => {
  const handle = disk.open(path, mode)
  Disk.writeAll(handle, Buffer.from(text))
  return handle
}

const writeSynced = (disk: Disk.Service, path: string, text: string) => {
  const handle = write(disk, path, text)
  handle.sync()
  handle.close()
}

const contents = (memory: MemoryDisk.MemoryDisk) =>
  Object.fromEntries([...memory.files()].map(([path, bytes]) => [path, bytes.toString()]))

/** The message and code of what is thrown. */
const thrown = (work: () => unknown): unknown => {
  try {
    work()
  } catch (error) {
    return error instanceof Error && "code" in error ? { code: error.code, message: error.message } : error
  }
  return "nothing was thrown"
}

describe("a crash", () => {
  it("takes what was written since the last sync", () => {
    const memory = MemoryDisk.make()
    const handle = write(memory.disk, "/journal", "one\n")
    handle.sync()
    memory.disk.syncDirectory("/")
    Disk.writeAll(handle, Buffer.from("two\n"))
    assert.deepStrictEqual(contents(memory), { "/journal": "one\ntwo\n" })
    memory.crash()
    assert.deepStrictEqual(contents(memory), { "/journal": "one\n" })
  })

  it("takes a truncation that was not synced", () => {
    const memory = MemoryDisk.make()
    writeSynced(memory.disk, "/a", "123456")
    memory.disk.syncDirectory("/")
    const handle = memory.disk.open("/a", "append")
    handle.truncate(2)
    Disk.writeAll(handle, Buffer.from("xy"))
    assert.deepStrictEqual(contents(memory), { "/a": "12xy" })
    memory.crash()
    assert.deepStrictEqual(contents(memory), { "/a": "123456" })
  })

  it("brings back what was there before a file was opened anew", () => {
    const memory = MemoryDisk.make()
    writeSynced(memory.disk, "/a", "old")
    memory.disk.syncDirectory("/")
    write(memory.disk, "/a", "newer").close()
    assert.deepStrictEqual(contents(memory), { "/a": "newer" })
    assert.strictEqual(memory.read("/a")?.toString(), "newer")
    assert.isUndefined(memory.read("/a/b"))
    memory.crash()
    assert.deepStrictEqual(contents(memory), { "/a": "old" })
  })

  it("takes a synced file whose name was not", () => {
    const memory = MemoryDisk.make()
    writeSynced(memory.disk, "/a", "1")
    memory.crash()
    assert.deepStrictEqual(contents(memory), {})
  })

  it("leaves a synced name without what was written to the file", () => {
    const memory = MemoryDisk.make()
    write(memory.disk, "/a", "1").close()
    memory.disk.syncDirectory("/")
    memory.crash()
    assert.deepStrictEqual(contents(memory), { "/a": "" })
  })

  it("undoes a rename until its directory is synced", () => {
    const memory = MemoryDisk.make()
    writeSynced(memory.disk, "/a", "old")
    writeSynced(memory.disk, "/a.tmp", "new")
    memory.disk.syncDirectory("/")
    memory.disk.rename("/a.tmp", "/a")
    assert.deepStrictEqual(contents(memory), { "/a": "new" })
    memory.crash()
    assert.deepStrictEqual(contents(memory), { "/a": "old", "/a.tmp": "new" })
    memory.disk.rename("/a.tmp", "/a")
    memory.disk.syncDirectory("/")
    memory.crash()
    assert.deepStrictEqual(contents(memory), { "/a": "new" })
  })

  it("undoes a removal until its directory is synced", () => {
    const memory = MemoryDisk.make()
    memory.disk.makeDirectory("/run")
    writeSynced(memory.disk, "/run/a", "1")
    memory.disk.syncDirectory("/run")
    memory.disk.syncDirectory("/")
    memory.disk.remove("/run")
    assert.isUndefined(memory.disk.stat("/run"))
    memory.crash()
    assert.deepStrictEqual(contents(memory), { "/run/a": "1" })
    memory.disk.remove("/run")
    memory.disk.syncDirectory("/")
    memory.crash()
    assert.deepStrictEqual(memory.disk.list("/"), [])
  })

  it("takes a directory whose name was not synced, with all that is in it", () => {
    const memory = MemoryDisk.make()
    memory.disk.makeDirectory("/runs/one")
    writeSynced(memory.disk, "/runs/one/a", "1")
    memory.disk.syncDirectory("/runs/one")
    memory.disk.syncDirectory("/")
    memory.crash()
    assert.deepStrictEqual(memory.disk.list("/runs"), [])
  })

  it("keeps the identity of what stays", () => {
    const memory = MemoryDisk.make()
    memory.disk.makeDirectory("/run")
    memory.disk.syncDirectory("/")
    const before = memory.disk.stat("/run")
    memory.crash()
    assert.deepStrictEqual(memory.disk.stat("/run"), before)
    memory.disk.makeDirectory("/other")
    assert.notStrictEqual(memory.disk.stat("/other")?.inode, before?.inode)
  })

  it("ends all handles, which can still be closed", () => {
    const memory = MemoryDisk.make()
    const handle = write(memory.disk, "/a", "1")
    memory.crash()
    assert.deepStrictEqual(thrown(() => handle.sync()), {
      code: "EBADF",
      message: "EBADF: bad file descriptor, fdatasync"
    })
    handle.close()
  })

  it("leaves every synced byte, whatever was done before", () => {
    const step = FastCheck.oneof(
      FastCheck.record({ kind: FastCheck.constant("write" as const), text: FastCheck.string({ maxLength: 9 }) }),
      FastCheck.record({ kind: FastCheck.constant("truncate" as const), size: FastCheck.nat(12) }),
      FastCheck.constant({ kind: "sync" as const }),
      FastCheck.constant({ kind: "empty" as const }),
      FastCheck.constant({ kind: "crash" as const })
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.array(step, { maxLength: 40 }), (steps) => {
        const memory = MemoryDisk.make()
        memory.disk.open("/a", "append").close()
        memory.disk.syncDirectory("/")
        let handle = memory.disk.open("/a", "append")
        let now = Buffer.alloc(0)
        let synced = now
        for (const step of steps) {
          if (step.kind === "write") {
            Disk.writeAll(handle, Buffer.from(step.text))
            now = Buffer.concat([now, Buffer.from(step.text)])
          } else if (step.kind === "truncate") {
            handle.truncate(step.size)
            now = Buffer.concat([now, Buffer.alloc(step.size)], step.size < now.length ? step.size : undefined)
              .subarray(0, step.size)
          } else if (step.kind === "empty") {
            memory.disk.open("/a", "write").close()
            now = Buffer.alloc(0)
          } else if (step.kind === "sync") {
            handle.sync()
            synced = now
          } else {
            memory.crash()
            handle = memory.disk.open("/a", "append")
            now = synced
          }
          assert.strictEqual(memory.files().get("/a")?.toString("hex"), now.toString("hex"))
        }
        memory.crash()
        assert.strictEqual(memory.files().get("/a")?.toString("hex"), synced.toString("hex"))
      }),
      { numRuns: 1_000 }
    )
  })

  it("at any operation leaves a replaced file old or new, never between", () => {
    const replace = (disk: Disk.Service) => {
      writeSynced(disk, "/a.tmp", "the new text")
      disk.rename("/a.tmp", "/a")
      disk.syncDirectory("/")
    }
    const prepared = () => {
      const memory = MemoryDisk.make()
      writeSynced(memory.disk, "/a", "old")
      memory.disk.syncDirectory("/")
      return memory
    }
    const whole = prepared()
    const before = whole.operations
    replace(whole.disk)
    assert.strictEqual(whole.operations - before, 5)
    for (let count = 1; count <= 6; count++) {
      const memory = prepared()
      memory.failOnce({ count, code: "crash" })
      if (count <= 5) assert.throws(() => replace(memory.disk), MemoryDisk.SimulatedCrash)
      else replace(memory.disk)
      memory.crash()
      assert.strictEqual(contents(memory)["/a"], count <= 5 ? "old" : "the new text")
    }
  })
})

describe("a fault", () => {
  it("strikes once, at the operation it is for", () => {
    const memory = MemoryDisk.make()
    const handle = write(memory.disk, "/a", "1")
    memory.failOnce({ operation: "write", count: 2, code: "EIO" })
    assert.strictEqual(handle.write(Buffer.from("2"), 0, 1), 1)
    handle.sync()
    assert.deepStrictEqual(thrown(() => handle.write(Buffer.from("3"), 0, 1)), {
      code: "EIO",
      message: "EIO: i/o error, write"
    })
    assert.strictEqual(handle.write(Buffer.from("4"), 0, 1), 1)
    assert.deepStrictEqual(contents(memory), { "/a": "124" })
  })

  it("strikes at the operation of any kind, counted from when it was asked for", () => {
    const memory = MemoryDisk.make()
    memory.disk.makeDirectory("/run")
    memory.failOnce({ count: 2, code: "EACCES" })
    memory.disk.stat("/run")
    assert.deepStrictEqual(thrown(() => memory.disk.open("/run/a", "write")), {
      code: "EACCES",
      message: "EACCES: permission denied, open '/run/a'"
    })
    assert.strictEqual(memory.operations, 3)
    assert.deepStrictEqual(contents(memory), {})
  })

  it("of a sync leaves the bytes unsynced", () => {
    const memory = MemoryDisk.make()
    const handle = write(memory.disk, "/a", "1")
    memory.disk.syncDirectory("/")
    memory.failOnce({ operation: "sync", count: 1, code: "EIO" })
    assert.deepStrictEqual(thrown(() => handle.sync()), { code: "EIO", message: "EIO: i/o error, fdatasync" })
    memory.crash()
    assert.deepStrictEqual(contents(memory), { "/a": "" })
  })

  it("that crashes leaves no operation possible until the disk starts again", () => {
    const memory = MemoryDisk.make()
    writeSynced(memory.disk, "/a", "1")
    memory.disk.syncDirectory("/")
    memory.failOnce({ operation: "rename", count: 1, code: "crash" })
    assert.throws(() => memory.disk.rename("/a", "/b"), MemoryDisk.SimulatedCrash)
    assert.throws(() => memory.disk.stat("/a"), MemoryDisk.SimulatedCrash)
    assert.throws(() => memory.disk.remove("/a"), MemoryDisk.SimulatedCrash)
    memory.crash()
    assert.deepStrictEqual(contents(memory), { "/a": "1" })
  })

  it.effect("is a DiskError where an effect meets it, a crash is not", () =>
    Effect.gen(function*() {
      const memory = MemoryDisk.make()
      const save = Effect.provideService(Disk.replaceFile("/a", "text"), Disk.Disk, memory.disk)
      memory.failOnce({ operation: "sync", count: 1, code: "ENOSPC" })
      const error = yield* Effect.flip(save)
      assert.strictEqual(error.code, "ENOSPC")
      assert.strictEqual(error.path, "/a")
      memory.failOnce({ operation: "sync", count: 1, code: "crash" })
      const exit = yield* Effect.exit(save)
      assert.isTrue(exit._tag === "Failure" && exit.cause._tag === "Die")
    }))
})

describe("the limits", () => {
  it("of capacity take what fits, then fail", () => {
    const memory = MemoryDisk.make({ capacity: 10 })
    const handle = write(memory.disk, "/a", "1234567")
    assert.strictEqual(memory.disk.freeBytes("/b"), 3)
    assert.strictEqual(handle.write(Buffer.from("89abc"), 0, 5), 3)
    assert.deepStrictEqual(thrown(() => handle.write(Buffer.from("bc"), 0, 2)), {
      code: "ENOSPC",
      message: "ENOSPC: no space left on device, write"
    })
    memory.disk.remove("/a")
    assert.strictEqual(memory.disk.freeBytes("/"), 10)
  })

  it("of one read and one write make them short", () => {
    const memory = MemoryDisk.make({ longestRead: 2, longestWrite: 3 })
    const handle = memory.disk.open("/a", "write")
    assert.strictEqual(handle.write(Buffer.from("abcdef"), 1, 5), 3)
    assert.deepStrictEqual(contents(memory), { "/a": "bcd" })
    assert.strictEqual(memory.disk.open("/a", "read").read(Buffer.alloc(9), 0, 9, null), 2)
  })
})

it.effect("the layer gives a new disk", () =>
  Effect.gen(function*() {
    const disk = yield* Disk.Disk
    disk.makeDirectory("/run")
    assert.deepStrictEqual(disk.list("/"), ["run"])
  }).pipe(Effect.provide(MemoryDisk.layer)))
