/**
 * The row path of `Normalize`: takes lines of raw results in whatever order they came, and gives part records in row
 * order. In memory are only numbers, a few for each row of the shard: where its line is.
 *
 * Lines are told apart by the wire id that is seen in their bytes, and are read in row order only. Where one turns out to
 * be another than its bytes say (it is cut short, say), the sorter is mistaken, and a careful one must begin anew, which
 * reads each line as it comes. Both write the same of results that they both can read.
 */
import * as Either from "effect/Either"
import { type AnswerProblem, isRepairable } from "../AnswerCheck.js"
import * as Cost from "../Cost.js"
import type { Failed, Outcome, OutcomeName, Succeeded } from "../Outcome.js"
import type * as Provider from "../Provider.js"
import type { Shard } from "../Shard.js"
import { makeMutable, type MutableTally } from "../Tally.js"
import * as Usage from "../Usage.js"
import * as WireId from "../WireId.js"
import type { BlockWriter } from "./BlockWriter.js"
import type * as Disk from "./Disk.js"
import * as ResultLine from "./ResultLine.js"
import type { RowHead } from "./RowRecord.js"
import type { ShardMeter } from "./ShardMeter.js"

/** Where each row of a shard is among its rows. */
export interface RowIndex {
  /** From 0; `undefined` for a row of another shard. */
  readonly of: (row: number) => number | undefined
}

/** The index of a shard whose rows follow each other. */
export const contiguousIndex = (shard: Shard): RowIndex => ({
  of: (row) => row >= shard.firstRow && row <= shard.lastRow ? row - shard.firstRow : undefined
})

/** The index of a shard with these rows, in growing order. */
export const sparseIndex = (rows: Float64Array): RowIndex => ({
  of: (row) => {
    let low = 0
    let high = rows.length - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      const found = rows[middle] ?? 0
      if (found === row) return middle
      if (found < row) low = middle + 1
      else high = middle - 1
    }
    return undefined
  }
})

/** What can be odd about a line of results. */
type Anomaly = "duplicate" | "conflicting" | "unexpected" | "malformed"

/** What is wrong with the text of an answer; `undefined` for nothing. */
export type Judge = (reply: string) => AnswerProblem | undefined

/** A file of raw results. */
export interface RawSource {
  readonly name: string
  /** Whether it is a further download of a file before it. */
  readonly isRepeat: boolean
  /** Where its lines can be read again. */
  readonly reader: Disk.Handle
  /** Takes the lines for that, where it is not the file itself. */
  readonly copy: BlockWriter | undefined
}

/** An outcome, and how it is written. */
interface Decoded {
  readonly outcome: Outcome
  readonly pieces: ResultLine.ResultPieces
}

/** Takes raw lines with `accept`, then gives part records with `emit`, once for each row in row order. */
export class ResultSorter {
  readonly tally: MutableTally = makeMutable()
  /** Whether a line was another than its bytes said: nothing that was written counts. */
  mistaken = false
  private readonly sources: Array<RawSource> = []
  /** Where the line of each row is; it has none where the length is 0. */
  private readonly source: Uint16Array
  private readonly offset: Float64Array
  private readonly length: Uint32Array
  /** Whether a line of the row came that could not be read. */
  private readonly malformedRows: Uint8Array
  private readonly rowOf: (line: Buffer) => number | undefined
  private lent = Buffer.allocUnsafe(1 << 16)

  constructor(
    private readonly shard: Shard,
    private readonly index: RowIndex,
    private readonly decode: Provider.Service["decode"],
    /** Takes a line of JSON for each odd line. */
    private readonly anomalies: BlockWriter,
    /** Takes every answer that was paid for, once. */
    private readonly meter: ShardMeter,
    private readonly careful: boolean
  ) {
    this.source = new Uint16Array(shard.rows)
    this.offset = new Float64Array(shard.rows)
    this.length = new Uint32Array(shard.rows)
    this.malformedRows = new Uint8Array(shard.rows)
    this.rowOf = WireId.rowFinder(shard.runTag)
  }

  /** Takes one line of raw results: which one of its file it is, and where that file has it. */
  accept(line: Buffer, source: RawSource, lineNumber: number, position: number): void {
    if (this.mistaken) return
    const row = this.careful ? undefined : this.rowOf(line)
    const at = row === undefined ? undefined : this.index.of(row)
    if (at === undefined || this.has(at)) this.look(line, source, lineNumber, position)
    else this.keep(at, line, source, position)
  }

  /** A line that is too long to be read: it costs the row whose it is, and that one shows up as missing. */
  acceptLongLine(source: RawSource, lineNumber: number): void {
    this.odd("malformed", null, source, lineNumber)
  }

  /**
   * Gives the record of the next row to `part`; `absent` says what became of a row that no line speaks of, `judge` what
   * is wrong with its answer, where answers are checked.
   */
  emit(at: number, head: RowHead, absent: Failed, part: BlockWriter, judge?: Judge): void {
    if (this.mistaken) return
    this.tally.rows++
    if (!this.has(at)) {
      const outcome = this.malformedRows[at] === 1 ? malformedOutcome : absent
      this.count(outcome, undefined)
      write(part, head, outcome.outcome, ResultLine.pieces(outcome))
      return
    }
    const decoded = this.decodedAt(at)
    if (decoded === undefined) return
    const { outcome, pieces } = decoded
    const problem = judge === undefined || outcome.outcome !== "succeeded"
      ? undefined
      : problemOf(outcome, pieces, judge)
    this.count(outcome, problem)
    this.charge(outcome)
    if (problem === undefined) write(part, head, outcome.outcome, pieces)
    else write(part, head, "invalid", { before: pieces.before, after: ResultLine.objectTo(pieces.after, problem) })
  }

  /** Reads a line at once: one without a wire id that can be seen, or of a row that has a line already. */
  private look(line: Buffer, source: RawSource, lineNumber: number, position: number): void {
    const text = line.toString()
    if (text.trim() === "") return
    const decoded = this.decode(text)
    if (Either.isLeft(decoded)) {
      this.malformed(decoded.left.wireId, source, lineNumber)
      return
    }
    const { outcome, wireId } = decoded.right
    const at = this.find(wireId)
    if (at === undefined) {
      this.odd("unexpected", wireId, source, lineNumber)
      return
    }
    const pieces = piecesOf(outcome)
    if (pieces === undefined) {
      this.malformed(wireId, source, lineNumber)
    } else if (this.has(at)) {
      const before = this.decodedAt(at)
      if (before === undefined) return
      const isSame = before.pieces.before === pieces.before && before.pieces.after === pieces.after
      if (isSame && source.isRepeat) return
      this.odd(isSame ? "duplicate" : "conflicting", wireId, source, lineNumber)
      const isBetter = before.outcome.outcome !== "succeeded" && outcome.outcome === "succeeded"
      if (isBetter) this.keep(at, line, source, position)
    } else {
      this.keep(at, line, source, position)
    }
  }

  private has(at: number): boolean {
    return this.length[at] !== 0
  }

  private find(wireId: WireId.WireId): number | undefined {
    const row = WireId.rowOf(this.shard.runTag, wireId)
    return row === undefined ? undefined : this.index.of(row)
  }

  private odd(kind: Anomaly, wireId: WireId.WireId | null, { name: file }: RawSource, line: number): void {
    this.tally[`${kind}Lines`]++
    this.anomalies.text(`${JSON.stringify({ kind, shard: this.shard.id, file, line, wire_id: wireId })}\n`)
  }

  private malformed(wireId: WireId.WireId | null, source: RawSource, lineNumber: number): void {
    this.odd("malformed", wireId, source, lineNumber)
    const at = wireId === null ? undefined : this.find(wireId)
    if (at !== undefined) this.malformedRows[at] = 1
  }

  private keep(at: number, line: Buffer, source: RawSource, position: number): void {
    if (this.sources.at(-1) !== source) this.sources.push(source)
    this.source[at] = this.sources.length - 1
    this.offset[at] = source.copy?.position ?? position
    this.length[at] = line.length
    source.copy?.bytes(line)
  }

  private count(outcome: Outcome, problem: AnswerProblem | undefined): void {
    const { tally } = this
    tally[problem === undefined ? outcome.outcome : "invalid"]++
    if (outcome.outcome === "succeeded") {
      if (outcome.refused) tally.refused++
      if (outcome.truncated) tally.truncated++
    } else if (outcome.retryable) tally.retryable++
    if (problem !== undefined && isRepairable(problem)) tally.repairable++
  }

  /** Counts what the row used, and what it costs: that does not depend on whether anybody can use its answer. */
  private charge(outcome: Outcome): void {
    const body = outcome.outcome === "succeeded" ? outcome.body : outcome.response?.body
    const tokens = body === undefined ? undefined : Cost.tokensOfBody(body)
    if (tokens !== undefined || outcome.outcome === "succeeded") {
      this.meter.add(this.meter.indexOf(body?.["model"]), tokens)
    }
    // What was answered before used nothing this time.
    if (body === undefined || this.shard.mode === "reused") return
    const sum = this.tally.tokens
    if (tokens !== undefined) {
      sum.prompt += Cost.promptOf(tokens)
      sum.completion += tokens.output
      sum.cached += tokens.cacheRead
    }
    sum.reasoning += Usage.reasoningOfBody(body)
  }

  /** What the line that is kept of a row says; `undefined` where it is no line of that row, and the sorter mistaken. */
  private decodedAt(at: number): Decoded | undefined {
    const decoded = this.decode(this.lineAt(at))
    if (Either.isRight(decoded) && this.find(decoded.right.wireId) === at) {
      const { outcome } = decoded.right
      const pieces = piecesOf(outcome)
      if (pieces !== undefined) return { outcome, pieces }
    }
    this.mistaken = true
    return undefined
  }

  private lineAt(at: number): string {
    const source = this.sources[this.source[at] ?? 0]
    const offset = this.offset[at] ?? 0
    const length = this.length[at] ?? 0
    source?.copy?.flush()
    if (length > this.lent.length) this.lent = Buffer.allocUnsafe(length * 2)
    let read = 0
    while (read < length) {
      const more = source?.reader.read(this.lent, read, length - read, offset + read) ?? 0
      if (more === 0) throw new RangeError("A file of raw results is shorter than it was")
      read += more
    }
    return this.lent.toString("utf8", 0, length)
  }
}

/** `undefined` for what is nested more deeply than JSON can be written: nobody could read it either. */
const piecesOf = (outcome: Outcome): ResultLine.ResultPieces | undefined => {
  try {
    return ResultLine.pieces(outcome)
  } catch {
    return undefined
  }
}

const problemOf = (
  { refused, truncated }: Succeeded,
  pieces: ResultLine.ResultPieces,
  judge: Judge
): AnswerProblem | undefined => {
  if (refused) return refusedProblem
  if (truncated) return truncatedProblem
  const reply = ResultLine.replyOf(pieces)
  return reply === undefined ? undefined : judge(reply)
}

const write = (part: BlockWriter, head: RowHead, outcome: OutcomeName, pieces: ResultLine.ResultPieces): void => {
  const { after, before } = pieces
  part.text(ResultLine.partHead(head, outcome) + before + JSON.stringify(head.customId) + after + ResultLine.partEnd)
}

const refusedProblem: AnswerProblem = { code: "refused", path: "$", problem: "the model declined to answer" }

const truncatedProblem: AnswerProblem = {
  code: "truncated",
  path: "$",
  problem: "the answer stopped at the token limit (--max-tokens)"
}

const malformedOutcome: Failed = {
  outcome: "missing",
  id: null,
  code: "malformed_result",
  message: "The provider's result line of this row cannot be read. It may have been charged.",
  retryable: true,
  response: null
}
