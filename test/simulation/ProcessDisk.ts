/**
 * The disk as one process sees it: every operation is told to whoever drives the simulation, who can let it fail, cut it
 * short, or end the process before or after it.
 */
import * as NodeUtil from "node:util"
import type * as Disk from "../../src/internal/Disk.js"

/** The operations that can fail. Closing a handle never does. */
type OperationName = keyof Disk.Service | Exclude<keyof Disk.Handle, "close">

/** One operation that is about to be made. */
export interface Operation {
  readonly name: OperationName
  readonly path: string
  /** The bytes of a write. */
  readonly bytes: Uint8Array | undefined
}

/**
 * What becomes of an operation: an error code lets it fail, a number of bytes is all that a write takes, and a sync can be skipped, which
 * nobody notices.
 */
export type Verdict = "go" | "skip" | "ENOSPC" | "EIO" | "EACCES" | { readonly bytes: number }

/** Who decides over operations. */
export interface Overseer {
  /** Called before each operation. */
  readonly before: (operation: Operation) => Verdict
  /** Called after each operation that was done. */
  readonly after: (operation: Operation) => void
}

/** What every operation of a process that was killed throws: no error of a disk, and nothing that anybody handles. */
export class Killed extends Error {
  override readonly name = "Killed"
}

const errnos = new Map([...NodeUtil.getSystemErrorMap()].map(([errno, [code, text]]) => [code, { errno, text }]))

const systemError = (code: string, { name, path }: Operation): Error => {
  const { errno, text } = errnos.get(code) ?? { errno: 0, text: "unknown error" }
  return Object.assign(new Error(`${code}: ${text}, ${name} '${path}'`), { errno, code, syscall: name, path })
}

export const make = (disk: Disk.Service, overseer: Overseer): Disk.Service => {
  const perform = <A>(name: OperationName, path: string, work: (verdict: Verdict) => A, bytes?: Uint8Array): A => {
    const operation: Operation = { name, path, bytes }
    const verdict = overseer.before(operation)
    if (typeof verdict === "string" && verdict !== "go" && verdict !== "skip") throw systemError(verdict, operation)
    const done = work(verdict)
    overseer.after(operation)
    return done
  }
  const unlessSkipped = (work: () => void) => (verdict: Verdict) => {
    if (verdict !== "skip") work()
  }
  const handle = (inner: Disk.Handle, path: string): Disk.Handle => ({
    read: (into, offset, length, position) => perform("read", path, () => inner.read(into, offset, length, position)),
    write: (from, offset, length) =>
      perform(
        "write",
        path,
        (verdict) => inner.write(from, offset, typeof verdict === "object" ? Math.min(verdict.bytes, length) : length),
        from.subarray(offset, offset + length)
      ),
    truncate: (size) => perform("truncate", path, () => inner.truncate(size)),
    sync: () => perform("sync", path, unlessSkipped(() => inner.sync())),
    size: () => perform("size", path, () => inner.size()),
    close: () => inner.close()
  })
  return {
    open: (path, mode) => handle(perform("open", path, () => disk.open(path, mode)), path),
    stat: (path) => perform("stat", path, () => disk.stat(path)),
    list: (path) => perform("list", path, () => disk.list(path)),
    makeDirectory: (path) => perform("makeDirectory", path, () => disk.makeDirectory(path)),
    rename: (from, to) => perform("rename", to, () => disk.rename(from, to)),
    remove: (path) => perform("remove", path, () => disk.remove(path)),
    syncDirectory: (path) => perform("syncDirectory", path, unlessSkipped(() => disk.syncDirectory(path))),
    freeBytes: (path) => perform("freeBytes", path, () => disk.freeBytes(path))
  }
}
