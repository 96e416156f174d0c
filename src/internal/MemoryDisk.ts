/**
 * A disk in memory, for tests and simulations: it forgets what was not synced when it crashes, and fails on demand.
 *
 * The rules of what a crash leaves are the strictest that a real disk may follow:
 *
 * - The content of a file is what it was when its handle was last synced.
 * - A directory has the names that it had when `syncDirectory` was last called on it. A new directory is a name in the
 *   one above it like any other. Only the root is there from the start.
 * - A rename changes two directories; moved between two, a file is lost if only the old one was synced.
 *
 * Paths are absolute; a relative one starts at the root. Everything is deterministic.
 */
import * as Layer from "effect/Layer"
import * as NodePath from "node:path"
import * as NodeUtil from "node:util"
import * as Disk from "./Disk.js"

/** The operations of a disk and of its handles. Closing a handle is none: it never fails for an open one. */
type Operation = keyof Disk.Service | Exclude<keyof Disk.Handle, "close">

/** What goes wrong once: at the `count`-th operation from now on, or at the `count`-th of one kind. */
interface Fault {
  readonly operation?: Operation
  readonly count: number
  /** The code of the error, or `crash`: the power fails before the operation has done anything. */
  readonly code: "ENOSPC" | "EIO" | "EACCES" | "EROFS" | "EMFILE" | "crash"
}

/** The limits of a disk; none by default. */
export interface Options {
  /** The bytes that its files may have together; a write takes what fits. */
  readonly capacity?: number
  /** The most bytes that one read gives. */
  readonly longestRead?: number
  /** The most bytes that one write takes. */
  readonly longestWrite?: number
}

/** A disk in memory and its controls. */
export interface MemoryDisk {
  readonly disk: Disk.Service
  /**
   * Cuts the power and starts again: what was not synced is gone, and so are all open handles. After a crash that a
   * fault made, every operation throws `SimulatedCrash` until this starts the disk again.
   */
  readonly crash: () => void
  readonly failOnce: (fault: Fault) => void
  /** Every file and its content, as a reader would see it now. */
  readonly files: () => ReadonlyMap<string, Buffer>
  /** The content of one file, as a reader would see it now; `undefined` when there is none. */
  readonly read: (path: string) => Buffer | undefined
  /** Operations so far, the failed ones too. */
  readonly operations: number
}

/** The power has failed. It has no error code, so no caller takes it for an error of the disk that it could handle. */
export class SimulatedCrash extends Error {
  override readonly name = "SimulatedCrash"
}

interface File {
  readonly kind: "file"
  readonly inode: number
  /** May be longer than the content; bytes below `synced.length` are never changed in place while shared. */
  bytes: Buffer
  length: number
  synced: Buffer
}

interface Directory {
  readonly kind: "directory"
  readonly inode: number
  names: Map<string, Entry>
  synced: Map<string, Entry>
}

type Entry = File | Directory

const errnos = new Map([...NodeUtil.getSystemErrorMap()].map(([errno, [code, text]]) => [code, { errno, text }]))

/** An error as Node makes it. */
const systemError = (code: string, syscall: string, path?: string, destination?: string): Error => {
  const { errno, text } = errnos.get(code) ?? { errno: 0, text: "unknown error" }
  const where = (path === undefined ? "" : ` '${path}'`) + (destination === undefined ? "" : ` -> '${destination}'`)
  return Object.assign(new Error(`${code}: ${text}, ${syscall}${where}`), { errno, code, syscall, path })
}

/** Makes the error of one call. */
type Fail = (code: string) => Error

const noBytes = Buffer.alloc(0)

/** Makes a disk with nothing on it but its root. */
export const make = (options: Options = {}): MemoryDisk => {
  let inodes = 0
  let operations = 0
  let powered = true
  /** Counts the starts: a handle of an earlier one is dead. */
  let start = 0
  let faults: Array<{ readonly fault: Fault; left: number }> = []

  const newDirectory = (): Directory => ({ kind: "directory", inode: ++inodes, names: new Map(), synced: new Map() })
  const root = newDirectory()

  const forget = (entry: Entry): void => {
    if (entry.kind === "file") {
      entry.bytes = entry.synced
      entry.length = entry.synced.length
    } else {
      entry.names = new Map(entry.synced)
      for (const child of entry.names.values()) forget(child)
    }
  }
  const cutPower = () => {
    powered = false
    start++
    faults = []
    forget(root)
  }

  /** Counts an operation, lets it fail if a fault says so, and gives how else it may fail. */
  const begin = (operation: Operation, syscall: string, path?: string, destination?: string): Fail => {
    operations++
    if (!powered) throw new SimulatedCrash("the power is off")
    const fail: Fail = (code) => systemError(code, syscall, path, destination)
    const due = faults.filter(({ fault }) => fault.operation === undefined || fault.operation === operation)
    for (const pending of due) pending.left--
    const struck = due.find(({ left }) => left === 0)
    if (struck === undefined) return fail
    faults = faults.filter(({ left }) => left > 0)
    if (struck.fault.code !== "crash") throw fail(struck.fault.code)
    cutPower()
    throw new SimulatedCrash(`the power failed at operation ${operations}: ${operation} ${path ?? ""}`)
  }

  const namesOf = (path: string): ReadonlyArray<string> =>
    NodePath.posix.resolve("/", path).split("/").filter((name) => name !== "")

  /** What is at a path. Without `fail`, there is nothing below a file. */
  const find = (path: string, fail?: Fail): Entry | undefined => {
    let entry: Entry | undefined = root
    for (const name of namesOf(path)) {
      if (entry === undefined) return undefined
      if (entry.kind === "file") {
        if (fail === undefined) return undefined
        throw fail("ENOTDIR")
      }
      entry = entry.names.get(name)
    }
    return entry
  }
  const parentOf = (path: string, fail: Fail): readonly [parent: Directory, name: string] => {
    const parent = find(NodePath.posix.resolve("/", path, ".."), fail)
    if (parent === undefined) throw fail("ENOENT")
    if (parent.kind === "file") throw fail("ENOTDIR")
    return [parent, namesOf(path).at(-1) ?? ""]
  }

  const filesBelow = function*(directory: Directory, path: string): Generator<readonly [string, File]> {
    for (const [name, entry] of directory.names) {
      if (entry.kind === "file") yield [`${path}/${name}`, entry]
      else yield* filesBelow(entry, `${path}/${name}`)
    }
  }
  const freeBytes = (): number => {
    if (options.capacity === undefined) return Number.MAX_SAFE_INTEGER
    let used = 0
    for (const [, file] of filesBelow(root, "")) used += file.length
    return Math.max(0, options.capacity - used)
  }

  /** Makes room to change a file from a position on, leaving its synced bytes as they are. */
  const resize = (file: File, from: number, length: number): void => {
    const shared = file.bytes.buffer === file.synced.buffer && from < file.synced.length
    if (shared || length > file.bytes.length) {
      const grown = Buffer.alloc(length > file.bytes.length ? Math.max(length, 2 * file.bytes.length) : length)
      file.bytes.copy(grown, 0, 0, Math.min(file.length, length))
      file.bytes = grown
    } else if (length < file.length) {
      file.bytes.fill(0, length, file.length)
    }
    file.length = length
  }

  const sync = (entry: Entry): void => {
    if (entry.kind === "file") entry.synced = entry.bytes.subarray(0, entry.length)
    else entry.synced = new Map(entry.names)
  }

  const handle = (entry: Entry, mode: Disk.OpenMode): Disk.Handle => {
    const openedAt = start
    let open = true
    let position = 0
    const use = (operation: Operation, syscall: string): Fail => {
      const fail = begin(operation, syscall)
      if (!open || openedAt !== start) throw fail("EBADF")
      return fail
    }
    return {
      read: (into, offset, length, at) => {
        const fail = use("read", "read")
        if (mode !== "read") throw fail("EBADF")
        if (entry.kind === "directory") throw fail("EISDIR")
        const from = at ?? position
        const to = Math.min(entry.length, from + Math.min(length, options.longestRead ?? length))
        const read = Math.max(0, to - from)
        if (read > 0) into.set(entry.bytes.subarray(from, to), offset)
        if (at === null) position += read
        return read
      },
      write: (from, offset, length) => {
        const fail = use("write", "write")
        if (mode === "read" || entry.kind === "directory") throw fail("EBADF")
        if (mode === "append") position = entry.length
        const wanted = Math.min(length, options.longestWrite ?? length)
        const room = freeBytes() + Math.max(0, entry.length - position)
        const written = Math.min(wanted, room)
        if (written === 0 && wanted > 0) throw fail("ENOSPC")
        resize(entry, position, Math.max(entry.length, position + written))
        entry.bytes.set(from.subarray(offset, offset + written), position)
        position += written
        return written
      },
      truncate: (size) => {
        const fail = use("truncate", "ftruncate")
        if (mode === "read" || entry.kind === "directory") throw fail("EINVAL")
        resize(entry, Math.min(size, entry.length), size)
      },
      sync: () => {
        use("sync", "fdatasync")
        sync(entry)
      },
      size: () => {
        use("size", "fstat")
        return entry.kind === "file" ? entry.length : 0
      },
      close: () => {
        if (!open) throw systemError("EBADF", "close")
        open = false
      }
    }
  }

  const disk: Disk.Service = {
    open: (path, mode) => {
      const fail = begin("open", "open", path)
      const found = find(path, fail)
      if (found === undefined && mode === "read") throw fail("ENOENT")
      if (found?.kind === "directory" && mode !== "read") throw fail("EISDIR")
      if (found === undefined) {
        const [parent, name] = parentOf(path, fail)
        const file: File = { kind: "file", inode: ++inodes, bytes: noBytes, length: 0, synced: noBytes }
        parent.names.set(name, file)
        return handle(file, mode)
      }
      if (found.kind === "file" && (mode === "write" || mode === "write-private")) resize(found, 0, 0)
      return handle(found, mode)
    },
    stat: (path) => {
      begin("stat", "stat", path)
      const found = find(path)
      if (found === undefined) return undefined
      return { kind: found.kind, size: found.kind === "file" ? found.length : 0, device: 1, inode: found.inode }
    },
    list: (path) => {
      const fail = begin("list", "scandir", path)
      const found = find(path, fail)
      if (found?.kind !== "directory") throw fail(found === undefined ? "ENOENT" : "ENOTDIR")
      return [...found.names.keys()].toSorted()
    },
    makeDirectory: (path) => {
      const fail = begin("makeDirectory", "mkdir", path)
      if (find(path, fail)?.kind === "file") throw fail("EEXIST")
      let directory = root
      for (const name of namesOf(path)) {
        const next = directory.names.get(name) ?? newDirectory()
        if (next.kind === "file") throw fail("ENOTDIR")
        directory.names.set(name, next)
        directory = next
      }
    },
    rename: (from, to) => {
      const fail = begin("rename", "rename", from, to)
      const [oldParent, oldName] = parentOf(from, fail)
      const [newParent, newName] = parentOf(to, fail)
      const moved = oldParent.names.get(oldName)
      const replaced = newParent.names.get(newName)
      if (moved === undefined) throw fail("ENOENT")
      if (moved === replaced) return
      if (moved.kind === "directory") {
        const oldPath = namesOf(from)
        if (oldPath.every((name, index) => namesOf(to)[index] === name)) throw fail("EINVAL")
        if (replaced?.kind === "file") throw fail("ENOTDIR")
        if (replaced !== undefined && replaced.names.size > 0) throw fail("ENOTEMPTY")
      } else if (replaced?.kind === "directory") throw fail("EISDIR")
      oldParent.names.delete(oldName)
      newParent.names.set(newName, moved)
    },
    remove: (path) => {
      const fail = begin("remove", "unlink", path)
      if (find(path, fail) === undefined) return
      const [parent, name] = parentOf(path, fail)
      parent.names.delete(name)
    },
    syncDirectory: (path) => {
      const fail = begin("syncDirectory", "fsync", path)
      const found = find(path, fail)
      if (found === undefined) throw systemError("ENOENT", "open", path)
      sync(found)
    },
    freeBytes: (path) => {
      begin("freeBytes", "statfs", path)
      return freeBytes()
    }
  }

  return {
    disk,
    crash: () => {
      cutPower()
      powered = true
    },
    failOnce: (fault) => {
      faults.push({ fault, left: fault.count })
    },
    files: () =>
      new Map(
        [...filesBelow(root, "")].map(([path, file]) => [path, Buffer.from(file.bytes.subarray(0, file.length))])
      ),
    read: (path) => {
      const found = find(path)
      return found?.kind === "file" ? Buffer.from(found.bytes.subarray(0, found.length)) : undefined
    },
    get operations() {
      return operations
    }
  }
}

/** A new disk in memory. */
export const layer: Layer.Layer<Disk.Disk> = Layer.sync(Disk.Disk, () => make().disk)
