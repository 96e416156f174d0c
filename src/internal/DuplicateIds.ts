/**
 * Finds ids that occur twice, in memory that does not grow with the input.
 *
 * The first ids are kept in a map, so that a small input's duplicate is found at once. Those beyond go to partitions on
 * disk by their hash, which are looked through one by one at the end. Ids that are just the row's own number (all of
 * them, where the input has none) are kept as ranges of rows: they can only collide with an explicit id such as "17".
 */
import type { Handle, Service as Disk } from "./Disk.js"
import { blockSize, writeAll } from "./Disk.js"
import { LineSplitter } from "./Lines.js"

/** An id that occurs twice. */
export interface Duplicate {
  readonly id: string
  readonly firstLine: number
  readonly secondLine: number
}

/** How much is kept in memory. */
export interface Limits {
  /** Ids kept in the map. */
  readonly ids: number
  /** Ranges of rows whose id is their number. */
  readonly ranges: number
}

const defaultLimits: Limits = { ids: 200_000, ranges: 50_000 }

/** Rows that follow one another, whose ids are their numbers and whose lines are as far from those. */
interface Range {
  readonly firstRow: number
  lastRow: number
  /** Line minus row. */
  readonly offset: number
}

const partitions = 256

/** Bytes of a partition that wait in memory for its file. */
const partitionBytes = 1 << 15

interface Partition {
  readonly waiting: Buffer
  bytes: number
}

/** FNV-1a over UTF-16 units. */
const partitionOf = (id: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < id.length; index++) hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193)
  return (hash ^ (hash >>> 16)) & (partitions - 1)
}

/** Whether an id can be a number without leading zeros: a look that spares most ids the making of a string. */
const maybeNumber = (id: string): boolean => {
  const first = id.charCodeAt(0)
  return first >= 49 && first <= 57 && id.length <= 15
}

/** The row whose number an id is, written as numbers are. */
const rowNumberIn = (id: string): number | undefined => {
  if (!maybeNumber(id)) return undefined
  const number = Number(id)
  return Number.isInteger(number) && String(number) === id ? number : undefined
}

/** The ids of one input. */
export class DuplicateIds {
  private readonly map = new Map<string, number>()
  private readonly ranges: Array<Range> = []
  private row = 0
  private spilled: ReadonlyArray<Partition> | undefined

  constructor(private readonly directory: string, private readonly disk: Disk, private readonly limits: Limits) {}

  /**
   * Takes the id of the next row, which begins on a line. Gives the line that has the same id, where that is known
   * already.
   */
  add(id: string, line: number): number | undefined {
    const row = ++this.row
    const own = maybeNumber(id) && id === String(row)
    if (own && this.extendRanges(row, line - row)) return this.map.size === 0 ? undefined : this.map.get(id)
    const known = this.map.get(id) ?? (own ? undefined : this.lineInRanges(id))
    if (known !== undefined) return known
    if (this.map.size < this.limits.ids) this.map.set(id, line)
    else this.spill(id, line)
    return undefined
  }

  /**
   * An id that occurs twice and was not told by `add`, in steps of about a block of disk each. To be run once, after all
   * ids.
   */
  *check(): Generator<void, Duplicate | undefined> {
    if (this.spilled === undefined) return undefined
    let found: Duplicate | undefined
    for (let partition = 0; partition < partitions; partition++) {
      this.flush(partition)
      const lines = new Map<string, number>()
      const see = (id: string, line: number) => {
        const before = lines.get(id) ?? this.lineInRanges(id)
        if (before === undefined) {
          lines.set(id, line)
        } else if (found === undefined || Math.max(line, before) < found.secondLine) {
          found = { id, firstLine: Math.min(line, before), secondLine: Math.max(line, before) }
        }
      }
      yield* this.readPartition(partition, see)
    }
    return found
  }

  /** Removes the files on disk. */
  close(): void {
    if (this.spilled !== undefined) this.disk.remove(this.directory)
    this.spilled = undefined
  }

  private extendRanges(row: number, offset: number): boolean {
    const last = this.ranges[this.ranges.length - 1]
    if (last !== undefined && last.lastRow === row - 1 && last.offset === offset) {
      last.lastRow = row
      return true
    }
    if (this.ranges.length === this.limits.ranges) return false
    this.ranges.push({ firstRow: row, lastRow: row, offset })
    return true
  }

  private lineInRanges(id: string): number | undefined {
    const row = this.ranges.length === 0 ? undefined : rowNumberIn(id)
    if (row === undefined) return undefined
    let low = 0
    let high = this.ranges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.ranges[middle]?.lastRow ?? 0) < row) low = middle + 1
      else high = middle
    }
    const range = this.ranges[low]
    return range !== undefined && range.firstRow <= row ? row + range.offset : undefined
  }

  private path(partition: number): string {
    return `${this.directory}/${String(partition).padStart(3, "0")}`
  }

  private spill(id: string, line: number): void {
    if (this.spilled === undefined) {
      this.disk.remove(this.directory)
      this.disk.makeDirectory(this.directory)
      this.spilled = Array.from({ length: partitions }, () => ({ waiting: Buffer.alloc(partitionBytes), bytes: 0 }))
    }
    const index = partitionOf(id)
    const partition = this.spilled[index]
    if (partition === undefined) return
    // As JSON, an id holds no newline, and lone surrogates survive.
    const text = `${line} ${JSON.stringify(id)}\n`
    const most = text.length * 3
    if (partition.bytes + most > partitionBytes) this.flush(index)
    if (most > partitionBytes) this.write(index, Buffer.from(text))
    else partition.bytes += partition.waiting.write(text, partition.bytes)
  }

  private flush(index: number): void {
    const partition = this.spilled?.[index]
    if (partition === undefined || partition.bytes === 0) return
    this.write(index, partition.waiting.subarray(0, partition.bytes))
    partition.bytes = 0
  }

  private write(index: number, bytes: Uint8Array): void {
    this.using(index, "append", (handle) => writeAll(handle, bytes))
  }

  private using<A>(index: number, mode: "append" | "read", work: (handle: Handle) => A): A {
    const handle = this.disk.open(this.path(index), mode)
    try {
      return work(handle)
    } finally {
      handle.close()
    }
  }

  private *readPartition(partition: number, see: (id: string, line: number) => void): Generator<void> {
    if (this.disk.stat(this.path(partition)) === undefined) return
    const splitter = new LineSplitter(Number.POSITIVE_INFINITY, (bytes) => {
      const text = bytes.toString("utf8")
      const space = text.indexOf(" ")
      const id: unknown = JSON.parse(text.slice(space + 1))
      if (typeof id === "string") see(id, Number(text.slice(0, space)))
    }, () => {})
    for (let position = 0;;) {
      const block = Buffer.allocUnsafe(blockSize)
      const length = this.using(partition, "read", (handle) => handle.read(block, 0, blockSize, position))
      if (length === 0) return splitter.end()
      splitter.push(block.subarray(0, length))
      position += length
      yield
    }
  }
}

/** Begins with no ids. `directory` is made when it is needed, and belongs to nobody else. */
export const make = (directory: string, disk: Disk, limits: Limits = defaultLimits): DuplicateIds =>
  new DuplicateIds(directory, disk, limits)
