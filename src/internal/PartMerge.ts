/**
 * Merges the part files of all shards and attempts by row number into `results.jsonl` and `failures.jsonl`. Of several
 * records of one row, an answer that fits wins over one that does not, that over none, and of equals the latest attempt.
 *
 * Memory holds a block of each part that covers the current row, and nothing of the others.
 */
import { RunRejected, ShardChanged } from "../RunError.js"
import type { Shard } from "../Shard.js"
import { makeMutable, type MutableTally, type Tally } from "../Tally.js"
import type { BlockWriter } from "./BlockWriter.js"
import type * as Disk from "./Disk.js"
import { LineReader } from "./LineReader.js"
import * as ResultLine from "./ResultLine.js"

/** A part to be merged. */
export interface PartFile {
  readonly path: string
  readonly shard: Shard
  readonly batchId: string | null
}

const longestLine = 1 << 29

interface PartRecord {
  readonly head: ResultLine.PartHead
  readonly result: Buffer
}

const changed = ({ path, shard }: PartFile, problem: string) => new ShardChanged({ path, shard: shard.id, problem })

/** Reads the records of one part, one at a time. */
class PartReader {
  private readonly lines: LineReader
  current: PartRecord | undefined

  constructor(readonly file: PartFile, disk: Disk.Service) {
    this.lines = new LineReader(disk, file.path, longestLine, (line) => {
      throw changed(file, `line ${line} of its part is too long`)
    })
  }

  /** Goes to the next record, at first to the first one; at the end of the part, `current` is `undefined`. */
  advance(): void {
    const line = this.lines.read()
    this.current = line === undefined ? undefined : ResultLine.decodePart(line)
    if (line !== undefined && this.current === undefined) {
      throw changed(this.file, "its part holds a line that is no result of a row")
    }
  }

  close(): void {
    this.lines.close()
  }
}

/** Whether a row got no answer because its batch was over before its turn. */
export const isLate = (outcome: unknown): boolean => outcome === "expired" || outcome === "cancelled"

const worth = ({ current }: PartReader): number =>
  current?.head.outcome === "succeeded" ? 2 : current?.head.outcome === "invalid" ? 1 : 0

const wins = (one: PartReader, other: PartReader): boolean => {
  const more = worth(one) - worth(other)
  return more === 0 ? one.file.shard.attempt > other.file.shard.attempt : more > 0
}

/** A merge under way: `step` takes the next row, until it gives `false`. */
export class PartMerge {
  readonly tally: MutableTally = makeMutable()
  private readonly waiting: Array<PartFile>
  private active: Array<PartReader> = []

  constructor(
    private readonly disk: Disk.Service,
    /** The run directory, for errors. */
    private readonly directory: string,
    parts: ReadonlyArray<PartFile>,
    private readonly rows: number,
    private readonly results: BlockWriter,
    private readonly failures: BlockWriter
  ) {
    this.waiting = parts.toSorted((one, other) => one.shard.firstRow - other.shard.firstRow)
  }

  /** Writes the next row; `false` when there is none. */
  step(): boolean {
    const row = this.tally.rows + 1
    if (row > this.rows) return false
    this.open(row)
    let winner: PartReader | undefined
    let latest: PartReader | undefined
    for (const reader of this.active) {
      if (reader.current?.head.row !== row) continue
      if (winner === undefined || wins(reader, winner)) winner = reader
      if (latest === undefined || reader.file.shard.attempt > latest.file.shard.attempt) latest = reader
    }
    if (winner?.current === undefined) {
      throw new RunRejected({
        directory: this.directory,
        problem: `no file in parts holds a result of row ${row}`,
        remedy: `Make them anew with: llm-batch normalize ${this.directory}`
      })
    }
    this.write(winner.current, winner.file, (latest ?? winner).current ?? winner.current)
    let ended = false
    for (const reader of this.active) {
      if (reader.current?.head.row === row) reader.advance()
      if (reader.current === undefined) ended = true
    }
    if (ended) this.closeEnded()
    return true
  }

  /** Closes what is still open. */
  close(): void {
    for (const reader of this.active) reader.close()
    this.active = []
  }

  /** No part is closed twice, whatever goes wrong with another one: its number may be that of another file by then. */
  private closeEnded(): void {
    const ended = this.active.filter((reader) => reader.current === undefined)
    this.active = this.active.filter((reader) => reader.current !== undefined)
    for (const reader of ended) reader.close()
  }

  private open(row: number): void {
    for (let next = this.waiting[0]; next !== undefined && next.shard.firstRow <= row; next = this.waiting[0]) {
      this.waiting.shift()
      const reader = new PartReader(next, this.disk)
      // Before anything is read, so that it is closed whatever comes of that.
      this.active.push(reader)
      reader.advance()
    }
  }

  /** An answer that does not fit stays, though a later attempt to put it right came to nothing: then that is told too. */
  private write({ head, result }: PartRecord, file: PartFile, latest: PartRecord): void {
    const { tally } = this
    const { batchId, shard } = file
    tally.rows++
    tally[head.outcome]++
    this.results.line(result)
    if (head.outcome === "succeeded") return
    const error = ResultLine.decodeError(result)
    if (error === undefined) throw changed(file, `the result of row ${head.row} has neither answer nor error`)
    const after = latest.result === result ? undefined : ResultLine.decodeError(latest.result)
    const retryable = error.retryable || after?.retryable === true
    if (retryable) tally.retryable++
    if (error.repairable) tally.repairable++
    if (isLate(latest.head.outcome)) tally.late++
    this.failures.text(`${
      JSON.stringify({
        custom_id: error.customId,
        row: head.row,
        line: head.line,
        outcome: head.outcome,
        code: error.code,
        message: error.message,
        retryable,
        ...error.repairable ? { repairable: true } : undefined,
        ...after === undefined ? undefined : { latest: { outcome: latest.head.outcome, code: after.code } },
        shard: shard.id,
        attempt: shard.attempt,
        batch_id: batchId
      })
    }\n`)
  }
}

/** Adds to a merged tally what only the parts know: everything that was paid for, and every odd line. */
export const addPartTallies = (merged: MutableTally, parts: ReadonlyArray<Tally>): void => {
  for (const part of parts) {
    merged.refused += part.refused
    merged.truncated += part.truncated
    merged.duplicateLines += part.duplicateLines
    merged.conflictingLines += part.conflictingLines
    merged.unexpectedLines += part.unexpectedLines
    merged.malformedLines += part.malformedLines
    merged.tokens.prompt += part.tokens.prompt
    merged.tokens.completion += part.tokens.completion
    merged.tokens.cached += part.tokens.cached
    merged.tokens.reasoning += part.tokens.reasoning
  }
}
