/**
 * All file I/O of the library goes through this one small synchronous service: the row path needs synchronous calls,
 * and a simulated disk must be able to fail or crash at any one of them.
 *
 * The operations throw what Node throws; `attempt` is the border at which that becomes a `DiskError`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as NodeFs from "node:fs"
import * as NodePath from "node:path"
import { DiskError } from "../RunError.js"
import { blockLoop, macrotask, pieceSize } from "./BlockLoop.js"

/** What is known of a file or directory. */
export interface Stat {
  readonly kind: "file" | "directory" | "other"
  readonly size: number
  /** Together with `inode`, the identity of a directory, whatever its path. */
  readonly device: number
  readonly inode: number
}

/** Is told of the end of what went on beside the thread. */
export type Done = (error: Error | null) => void

/** An open file. Reads and writes may be short, as the system's are. */
export interface Handle {
  /** Reads at `position`, or where the last read ended for `null`; 0 at the end. */
  readonly read: (into: Uint8Array, offset: number, length: number, position: number | null) => number
  readonly write: (from: Uint8Array, offset: number, length: number) => number
  readonly truncate: (size: number) => void
  readonly sync: () => void
  /** As `sync`, while the thread goes on; where there is none, `sync` does as well. */
  readonly syncBeside?: (done: Done) => void
  readonly size: () => number
  readonly close: () => void
}

/**
 * How to open a file: an existing one to read; a new or emptied one to write, which others may read as far as the system
 * lets them, or nobody else; one to append to, made if need be.
 */
export type OpenMode = "read" | "write" | "write-private" | "append"

/** The operations of a disk. */
export interface Service {
  readonly open: (path: string, mode: OpenMode) => Handle
  /** `undefined` when there is nothing there, or can be: below a file, or under too long a name. */
  readonly stat: (path: string) => Stat | undefined
  readonly list: (path: string) => ReadonlyArray<string>
  /** With all directories above it; does nothing when it is there. */
  readonly makeDirectory: (path: string) => void
  readonly rename: (from: string, to: string) => void
  /** A file or a whole directory; does nothing when it is not there. */
  readonly remove: (path: string) => void
  /** Makes the names in a directory durable. */
  readonly syncDirectory: (path: string) => void
  /** As `syncDirectory`, while the thread goes on; where there is none, `syncDirectory` does as well. */
  readonly syncDirectoryBeside?: (path: string, done: Done) => void
  /** Bytes that can still be written where this path is, or would be. */
  readonly freeBytes: (path: string) => number
}

/** The system's code of what a disk operation threw; `undefined` for anything else. */
export const codeOf = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "code") && typeof error.code === "string" ? error.code : undefined

/** The codes of a path at which there is nothing. */
const nothingThere: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR", "ENAMETOOLONG"])

/** Names what a disk operation threw; anything without a system's code is a bug, and thrown on. */
export const toDiskError = (operation: string, path: string, error: unknown): DiskError => {
  const code = codeOf(error)
  if (code === undefined) throw error
  return new DiskError({
    operation,
    path,
    code,
    detail: error instanceof Error ? error.message.replace(/^[A-Z]+: /, "") : String(error)
  })
}

/** Runs synchronous disk work; what it throws becomes a `DiskError` that names the operation and the path. */
export const attempt = <A>(operation: string, path: string, work: () => A): Effect.Effect<A, DiskError> =>
  Effect.try({ try: work, catch: (error) => toDiskError(operation, path, error) })

/** Does it beside the thread, or else, where that cannot be, at once. */
const beside = (
  path: string,
  begin: ((done: Done) => void) | undefined,
  atOnce: () => void
): Effect.Effect<void, DiskError> =>
  begin === undefined ?
    attempt("make durable", path, atOnce) :
    Effect.async((resume) =>
      begin((error) =>
        resume(attempt("make durable", path, () => {
          if (error !== null) throw error
        }))
      )
    )

/** Makes an open file durable, while others go on. */
export const sync = (path: string, { sync, syncBeside }: Handle): Effect.Effect<void, DiskError> =>
  beside(path, syncBeside, sync)

/** Makes the names in a directory durable, while others go on. */
export const syncDirectory = (path: string): Effect.Effect<void, DiskError> =>
  Effect.flatMap(
    Disk,
    ({ syncDirectory, syncDirectoryBeside: begin }) =>
      beside(path, begin === undefined ? undefined : (done) => begin(path, done), () => syncDirectory(path))
  )

/** Writes all of it, however short each write is. */
export const writeAll = (handle: Handle, bytes: Uint8Array, length: number = bytes.length): void => {
  let offset = 0
  while (offset < length) offset += handle.write(bytes, offset, length - offset)
}

/** Makes a file empty, durably. */
export const empty = (disk: Service, path: string): void => {
  const handle = disk.open(path, "write")
  try {
    handle.sync()
  } finally {
    handle.close()
  }
}

/** Opens a file for the length of a scope. */
export const openScoped = (path: string, mode: OpenMode) =>
  Effect.flatMap(Disk, (disk) =>
    Effect.acquireRelease(
      attempt(`open (to ${mode})`, path, () => disk.open(path, mode)),
      (handle) => Effect.sync(() => handle.close())
    ))

/** The size of the blocks in which files are read. */
export const blockSize = 1 << 20

/** Small files are read often, and need no large block. A pipe has no size. */
const nextBlock = (size: number, position: number): number =>
  size === 0 ? blockSize : Math.max(1, Math.min(blockSize, size - position))

const blocksIn = (path: string, roomFor: (length: number) => Buffer): Stream.Stream<Uint8Array, DiskError> =>
  Stream.unwrapScoped(
    Effect.map(openScoped(path, "read"), (handle) => {
      let position = 0
      return Stream.unfoldEffect(0, (previous) =>
        Effect.zipRight(
          previous < blockSize ? Effect.void : macrotask,
          attempt("read", path, () => {
            const block = roomFor(nextBlock(handle.size(), position))
            const length = handle.read(block, 0, block.length, null)
            position += length
            return length === 0 ? Option.none() : Option.some([block.subarray(0, length), length] as const)
          })
        ))
    })
  )

/**
 * A file's bytes in fresh blocks, with a macrotask after each full one, so that timers and interrupts run however fast
 * the disk is. A small file takes none, so that under a test clock its reader goes straight on.
 */
export const readBlocks = (path: string): Stream.Stream<Uint8Array, DiskError> =>
  blocksIn(path, (length) => Buffer.allocUnsafe(length))

/** The same in blocks that are only lent: each is filled anew when the next is asked for. */
export const lendBlocks = (path: string): Stream.Stream<Uint8Array, DiskError> =>
  Stream.suspend(() => {
    let room = Buffer.alloc(0)
    return blocksIn(path, (length) => {
      if (room.length < length) room = Buffer.allocUnsafe(length)
      return room.subarray(0, length)
    })
  })

/**
 * Gives a file's bytes to synchronous work, in slices, in blocks of at most `size`. There is only one block, which is
 * filled again and again: its bytes are lent until the work returns, and stay in the processor's cache.
 */
export const forEachBlock = (path: string, size: number, operation: string, work: (block: Buffer) => void) =>
  Effect.scoped(Effect.flatMap(openScoped(path, "read"), (handle) =>
    Effect.suspend(() => {
      let block: Buffer | undefined
      return blockLoop(
        () => {
          block ??= Buffer.allocUnsafe(Math.min(size, nextBlock(handle.size(), 0)))
          const length = handle.read(block, 0, block.length, null)
          if (length > 0) work(block.subarray(0, length))
          return length > 0
        },
        (error) => toDiskError(operation, path, error)
      )
    })))

/** The same in blocks that are small enough for work that looks at every row in them. */
export const forEachPiece = (path: string, operation: string, work: (piece: Buffer) => void) =>
  forEachBlock(path, pieceSize, operation, work)

/** The whole of a small file. */
export const readBytes = (path: string) =>
  Effect.flatMap(Disk, (disk) =>
    attempt("read", path, () => {
      const handle = disk.open(path, "read")
      try {
        const bytes = Buffer.alloc(handle.size())
        let length = 0
        for (;;) {
          const read = handle.read(bytes, length, bytes.length - length, null)
          length += read
          if (read === 0) return bytes.subarray(0, length)
        }
      } finally {
        handle.close()
      }
    }))

/** The whole of a small file, as text. */
export const readText = (path: string) => Effect.map(readBytes(path), (bytes) => bytes.toString())

/** Replaces a file in one step that a crash cannot split: a temporary file, synced, renamed, the directory synced. */
export const replaceFile = (path: string, text: string) =>
  Effect.flatMap(Disk, (disk) =>
    attempt("write", path, () => {
      const temporary = `${path}.tmp`
      const handle = disk.open(temporary, "write")
      try {
        writeAll(handle, Buffer.from(text))
        handle.sync()
      } finally {
        handle.close()
      }
      disk.rename(temporary, path)
      disk.syncDirectory(NodePath.dirname(path))
    }))

const nodeHandle = (fd: number): Handle => ({
  read: (into, offset, length, position) => NodeFs.readSync(fd, into, offset, length, position),
  write: (from, offset, length) => NodeFs.writeSync(fd, from, offset, length),
  truncate: (size) => NodeFs.ftruncateSync(fd, size),
  sync: () => NodeFs.fdatasyncSync(fd),
  syncBeside: (done) => NodeFs.fdatasync(fd, done),
  size: () => NodeFs.fstatSync(fd).size,
  close: () => NodeFs.closeSync(fd)
})

const flags: Record<OpenMode, string> = { read: "r", write: "w", "write-private": "w", append: "a" }

const nearestExisting = (path: string): string => {
  const parent = NodePath.dirname(path)
  return NodeFs.existsSync(path) || parent === path ? path : nearestExisting(parent)
}

const statOf = (path: string): NodeFs.Stats | undefined => {
  try {
    return NodeFs.statSync(path)
  } catch (error) {
    if (nothingThere.has(codeOf(error) ?? "")) return undefined
    throw error
  }
}

/** The machine's own disk. */
export const machine: Service = {
  open: (path, mode) => nodeHandle(NodeFs.openSync(path, flags[mode], mode === "write-private" ? 0o600 : 0o666)),
  stat: (path) => {
    const found = statOf(path)
    return found === undefined ? undefined : {
      kind: found.isFile() ? "file" : found.isDirectory() ? "directory" : "other",
      size: found.size,
      device: found.dev,
      inode: found.ino
    }
  },
  list: (path) => NodeFs.readdirSync(path).toSorted(),
  makeDirectory: (path) => {
    NodeFs.mkdirSync(path, { recursive: true })
  },
  rename: (from, to) => NodeFs.renameSync(from, to),
  remove: (path) => NodeFs.rmSync(path, { recursive: true, force: true }),
  syncDirectory: (path) => {
    const fd = NodeFs.openSync(path, "r")
    try {
      NodeFs.fsyncSync(fd)
    } finally {
      NodeFs.closeSync(fd)
    }
  },
  syncDirectoryBeside: (path, done) =>
    NodeFs.open(path, "r", (problem, fd) => {
      if (problem !== null) return done(problem)
      NodeFs.fsync(fd, (error) => NodeFs.close(fd, () => done(error)))
    }),
  freeBytes: (path) => {
    const { bavail, bsize } = NodeFs.statfsSync(nearestExisting(path))
    return bavail * bsize
  }
}

/** The disk that the library works on: the machine's own, unless another is provided. */
export class Disk extends Context.Reference<Disk>()("llm-batch/internal/Disk", {
  defaultValue: (): Service => machine
}) {}
