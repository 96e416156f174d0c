/**
 * A disk that keeps nothing: what would be sent is looked at while it passes, all else is forgotten. A build on it takes
 * the same decisions as on any other, and needs neither room nor the right to write.
 *
 * Files are never found there again, so that ids beyond those that `DuplicateIds` keeps in memory are not compared.
 */
import type * as Disk from "./Disk.js"
import { LineSplitter, type OnLine } from "./Lines.js"

const nothing = () => undefined

const forgetting: Disk.Handle = {
  read: () => 0,
  write: (_from, _offset, length) => length,
  truncate: nothing,
  sync: nothing,
  size: () => 0,
  close: nothing
}

const isReadable = ({ directory }: Readable, path: string): boolean =>
  directory !== undefined && (path === directory || path.startsWith(`${directory}/`))

/** A file whose lines are looked at. Each ends in a newline. */
const watched = (onLine: OnLine): Disk.Handle => {
  const lines = new LineSplitter(Number.POSITIVE_INFINITY, onLine, nothing)
  return {
    ...forgetting,
    write: (from, offset, length) => {
      // The writer uses its buffer again, and the last line may go on in the next one.
      lines.push(Buffer.from(from.subarray(offset, offset + length)))
      return length
    }
  }
}

/** A directory of another disk that a build reads from: a cache of answers. */
interface Readable {
  readonly disk: Disk.Service
  /** `undefined` for none. */
  readonly directory: string | undefined
}

/** The disk that hands on each line of the files below a directory. */
export const make = (directory: string, onLine: OnLine, readable: Readable): Disk.Service => ({
  open: (path, mode) => {
    if (mode === "read" && isReadable(readable, path)) return readable.disk.open(path, mode)
    return mode === "write" && path.startsWith(`${directory}/`) ? watched(onLine) : forgetting
  },
  stat: (path) => isReadable(readable, path) ? readable.disk.stat(path) : undefined,
  list: (path) => isReadable(readable, path) ? readable.disk.list(path) : [],
  makeDirectory: nothing,
  rename: nothing,
  remove: nothing,
  syncDirectory: nothing,
  freeBytes: () => Number.POSITIVE_INFINITY
})
