/**
 * Finds ids that occur twice, in memory that does not grow with the input.
 *
 * The first ids are kept in a table, so that their duplicates are found at once. Those beyond go to partitions on disk by
 * their hash, which are looked through one by one at the end. Ids that are just the row's own number (all of
 * them, where the input has none) are kept as ranges of rows: they can only collide with an explicit id such as "17".
 */
import type { Handle, Service as Disk } from "./Disk.js"
import { blockSize, writeAll } from "./Disk.js"
import { IdTable, textOf } from "./IdTable.js"

/** An id that occurs twice. */
export interface Duplicate {
  readonly id: string
  readonly firstLine: number
  readonly secondLine: number
}

/** How much is kept in memory. */
export interface Limits {
  /** Ids kept in the table. */
  readonly ids: number
  /** Bytes of ids kept in the table. */
  readonly bytes: number
  /** Ranges of rows whose id is their number. */
  readonly ranges: number
}

const defaultLimits: Limits = { ids: 500_000, bytes: 1 << 23, ranges: 50_000 }

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

/** What stands before an id in its partition: how many bytes it has, and its line. */
const headBytes = 8

/** Whether a number without leading zeros can begin with this: a look that spares most ids the making of a string. */
const beginsNumber = (code: number): boolean => code >= 49 && code <= 57

/** More digits are no safe integer. */
const longestNumber = 15

const maybeNumber = (id: string): boolean => beginsNumber(id.charCodeAt(0)) && id.length <= longestNumber

/** The row whose number an id is, written as numbers are. */
const rowNumberIn = (id: string): number | undefined => {
  if (!maybeNumber(id)) return undefined
  const number = Number(id)
  return Number.isInteger(number) && String(number) === id ? number : undefined
}

/** The ids of one input. */
export class DuplicateIds {
  private readonly table = new IdTable()
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
    const { limits, table } = this
    const own = maybeNumber(id) && id === String(row)
    if (own && this.extendRanges(row, line - row)) return table.size === 0 ? undefined : table.find(id)
    const known = table.find(id) ?? (own ? undefined : this.lineInRanges(id))
    if (known !== undefined) return known
    if (table.size < limits.ids && table.used <= limits.bytes) table.add(line)
    else this.spill(line)
    return undefined
  }

  /**
   * An id that occurs twice and was not told by `add`, in steps of about a block of disk each. To be run once, after all
   * ids.
   */
  *check(): Generator<void, Duplicate | undefined> {
    if (this.spilled === undefined) return undefined
    let found: Duplicate | undefined
    const lines = new IdTable()
    const see = (bytes: Uint8Array, start: number, end: number, line: number) => {
      const before = lines.findBytes(bytes, start, end)
        ?? (end - start <= longestNumber && beginsNumber(bytes[start] ?? 0)
          ? this.lineInRanges(textOf(bytes, start, end))
          : undefined)
      if (before === undefined) {
        lines.add(line)
      } else if (found === undefined || Math.max(line, before) < found.secondLine) {
        const [firstLine, secondLine] = before < line ? [before, line] : [line, before]
        found = { id: textOf(bytes, start, end), firstLine, secondLine }
      }
    }
    for (let partition = 0; partition < partitions; partition++) {
      this.flush(partition)
      lines.clear()
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

  /** Puts the id aside that the table was asked for last. */
  private spill(line: number): void {
    const { hash, soughtBytes } = this.table
    if (this.spilled === undefined) {
      this.disk.remove(this.directory)
      this.disk.makeDirectory(this.directory)
      this.spilled = Array.from({ length: partitions }, () => ({ waiting: Buffer.alloc(partitionBytes), bytes: 0 }))
    }
    // The table takes the lower bits for its slots.
    const index = hash >>> 24
    const partition = this.spilled[index]
    if (partition === undefined) return
    const length = headBytes + soughtBytes
    if (partition.bytes + length > partitionBytes) this.flush(index)
    const into = length > partitionBytes ? Buffer.allocUnsafe(length) : partition.waiting
    const at = length > partitionBytes ? 0 : partition.bytes
    into.writeUInt32LE(soughtBytes, at)
    into.writeUInt32LE(line, at + 4)
    this.table.copySought(into, at + headBytes)
    if (into === partition.waiting) partition.bytes += length
    else this.write(index, into)
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

  private *readPartition(
    partition: number,
    see: (bytes: Uint8Array, start: number, end: number, line: number) => void
  ): Generator<void> {
    if (this.disk.stat(this.path(partition)) === undefined) return
    let rest: Uint8Array = new Uint8Array(0)
    for (let position = 0;;) {
      const block = Buffer.allocUnsafe(rest.length + blockSize)
      block.set(rest)
      const length = this.using(partition, "read", (handle) => handle.read(block, rest.length, blockSize, position))
      if (length === 0) return
      position += length
      const end = rest.length + length
      let at = 0
      while (at + headBytes <= end) {
        const next = at + headBytes + block.readUInt32LE(at)
        if (next > end) break
        see(block, at + headBytes, next, block.readUInt32LE(at + 4))
        at = next
      }
      rest = block.subarray(at, end)
      yield
    }
  }
}

/** Begins with no ids. `directory` is made when it is needed, and belongs to nobody else. */
export const make = (directory: string, disk: Disk, limits: Partial<Limits> = {}): DuplicateIds =>
  new DuplicateIds(directory, disk, { ...defaultLimits, ...limits })
