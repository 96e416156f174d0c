/**
 * What the run directory keeps of the input, row by row in input order, out of the `rows/` files of all shards side by
 * side: shards of several models interleave. Memory holds a block of each file that covers the current row.
 */
import * as RunDirectory from "../RunDirectory.js"
import { ShardChanged } from "../RunError.js"
import type { Shard } from "../Shard.js"
import type * as Disk from "./Disk.js"
import { LineReader } from "./LineReader.js"
import * as RowRecord from "./RowRecord.js"

const longestLine = 1 << 29

/** The records of one shard, one at a time. */
class ShardRows {
  private readonly lines: LineReader
  /** The record that comes next, and its row; `undefined` after the last. */
  current: { readonly row: number; readonly line: Buffer } | undefined

  constructor(disk: Disk.Service, readonly shard: Shard) {
    this.lines = new LineReader(disk, RunDirectory.rows(shard), longestLine, (line) => {
      throw this.changed(`line ${line} is too long`)
    })
    this.advance()
  }

  advance(): void {
    const line = this.lines.read()
    const head = line === undefined ? undefined : RowRecord.decodeHead(line)
    if (line !== undefined && head === undefined) throw this.changed("it holds a line that is no record of a row")
    this.current = line === undefined || head === undefined ? undefined : { row: head.row, line }
  }

  close(): void {
    this.lines.close()
  }

  private changed(problem: string): ShardChanged {
    return new ShardChanged({ path: RunDirectory.rows(this.shard), shard: this.shard.id, problem })
  }
}

/** The record of each row. Its methods throw `ShardChanged`, or what the disk throws. */
export class InputRows {
  private readonly waiting: Array<Shard>
  private active: Array<ShardRows> = []
  private row = 0

  constructor(private readonly disk: Disk.Service, private readonly directory: string, shards: Iterable<Shard>) {
    // A retry asks for rows again that the first attempt has records of.
    this.waiting = [...shards]
      .filter((shard) => shard.attempt === 1)
      .toSorted((one, other) => one.firstRow - other.firstRow)
  }

  /** The record of the next row, for `RowRecord` to decode, and the shard in which it was asked first. */
  next(): { readonly line: Buffer; readonly shard: Shard } {
    const row = ++this.row
    for (let shard = this.waiting[0]; shard !== undefined && shard.firstRow <= row; shard = this.waiting[0]) {
      this.waiting.shift()
      this.active.push(new ShardRows(this.disk, shard))
    }
    const records = this.active.find(({ current }) => current?.row === row)
    if (records?.current === undefined) {
      throw new ShardChanged({
        path: `${this.directory}/rows`,
        shard: "of any id",
        problem: `no file holds the record of row ${row}`
      })
    }
    const { current: { line }, shard } = records
    records.advance()
    if (records.current === undefined) {
      records.close()
      this.active = this.active.filter((one) => one !== records)
    }
    return { line, shard }
  }

  /** Closes what is still open. */
  close(): void {
    for (const records of this.active) records.close()
    this.active = []
  }
}
