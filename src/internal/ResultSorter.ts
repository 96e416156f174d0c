/**
 * The row path of `Normalize`: takes lines of raw results in whatever order they came, and gives part records in row
 * order. Normalised lines wait in a scratch file; in memory are only numbers, a few for each row of the shard.
 */
import * as Either from "effect/Either"
import { type AnswerProblem, isRepairable } from "../AnswerCheck.js"
import * as Cost from "../Cost.js"
import type { Failed, Outcome, OutcomeName } from "../Outcome.js"
import type * as Provider from "../Provider.js"
import type { JsonObject } from "../Request.js"
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

/** Outcomes as small numbers; 0 is none yet. */
const outcomes: ReadonlyArray<OutcomeName | null> = [
  null,
  "succeeded",
  "errored",
  "expired",
  "cancelled",
  "invalid",
  "missing"
]
const succeeded = outcomes.indexOf("succeeded")

const refusedFlag = 1
const truncatedFlag = 2
const retryableFlag = 4
/** The row's own line came, but could not be read. */
const malformedFlag = 8
/** The row tells what it used. */
const usageFlag = 16

/** What can be odd about a line of results. */
type Anomaly = "duplicate" | "conflicting" | "unexpected" | "malformed"

/** What is wrong with the text of an answer; `undefined` for nothing. */
export type Judge = (reply: string) => AnswerProblem | undefined

/** Takes raw lines with `accept`, then gives part records with `emit`, once for each row in row order. */
export class ResultSorter {
  readonly tally: MutableTally = makeMutable()
  private readonly outcome: Uint8Array
  private readonly flags: Uint8Array
  private readonly offset: Float64Array
  private readonly length: Uint32Array
  /** How many bytes of the scratch text come before the user's id. */
  private readonly split: Uint32Array
  private readonly input: Uint32Array
  private readonly cacheRead: Uint32Array
  private readonly cacheWrite5m: Uint32Array
  private readonly cacheWrite1h: Uint32Array
  private readonly output: Uint32Array
  /** The part of `output` that was reasoning. */
  private readonly reasoning: Uint32Array
  /** The number of the model that answered, as the meter has it. */
  private readonly model: Uint32Array
  private lent = Buffer.allocUnsafe(1 << 16)

  constructor(
    private readonly shard: Shard,
    private readonly index: RowIndex,
    private readonly decode: Provider.Service["decode"],
    private readonly scratch: BlockWriter,
    private readonly scratchReader: Disk.Handle,
    /** Takes a line of JSON for each odd line. */
    private readonly anomalies: BlockWriter,
    /** Takes every answer that was paid for, once. */
    private readonly meter: ShardMeter
  ) {
    this.outcome = new Uint8Array(shard.rows)
    this.flags = new Uint8Array(shard.rows)
    this.offset = new Float64Array(shard.rows)
    this.length = new Uint32Array(shard.rows)
    this.split = new Uint32Array(shard.rows)
    this.input = new Uint32Array(shard.rows)
    this.cacheRead = new Uint32Array(shard.rows)
    this.cacheWrite5m = new Uint32Array(shard.rows)
    this.cacheWrite1h = new Uint32Array(shard.rows)
    this.output = new Uint32Array(shard.rows)
    this.reasoning = new Uint32Array(shard.rows)
    this.model = new Uint32Array(shard.rows)
  }

  /** Takes one line of raw results, which is this line of this file; a repeat is a further download of a file. */
  accept(line: Buffer, file: string, lineNumber: number, isRepeat = false): void {
    const text = line.toString()
    if (text.trim() === "") return
    const decoded = this.decode(text)
    if (Either.isLeft(decoded)) {
      this.malformed(decoded.left.wireId, file, lineNumber)
      return
    }
    const { outcome, wireId } = decoded.right
    const at = this.find(wireId)
    if (at === undefined) {
      this.odd("unexpected", wireId, file, lineNumber)
      return
    }
    const pieces = this.write(outcome)
    if (pieces === undefined) {
      this.malformed(wireId, file, lineNumber)
      return
    }
    const kind = this.record(at, outcome, pieces)
    if (kind === undefined || (isRepeat && kind === "duplicate")) return
    this.odd(kind, wireId, file, lineNumber)
  }

  /** A line that is too long to be read: it costs the row whose it is, and that one shows up as missing. */
  acceptLongLine(file: string, lineNumber: number): void {
    this.odd("malformed", null, file, lineNumber)
  }

  /**
   * Gives the record of the next row to `part`; `absent` says what became of a row that no line speaks of, `judge` what
   * is wrong with its answer, where answers are checked.
   */
  emit(at: number, head: RowHead, absent: Failed, part: BlockWriter, judge?: Judge): void {
    const customId = JSON.stringify(head.customId)
    const recorded = outcomes[this.outcome[at] ?? 0] ?? null
    this.tally.rows++
    if (recorded === null) {
      const outcome = this.is(at, malformedFlag) ? malformedOutcome : absent
      const pieces = ResultLine.pieces(outcome)
      this.tally[outcome.outcome]++
      if (outcome.retryable) this.tally.retryable++
      part.text(ResultLine.partHead(head, outcome.outcome))
      part.text(pieces.before + customId + pieces.after)
    } else {
      const bytes = this.read(at)
      const split = this.split[at] ?? 0
      const after = bytes.subarray(split)
      const problem = judge === undefined || recorded !== "succeeded"
        ? undefined
        : this.problemOf(at, bytes.subarray(0, split), after, judge)
      const outcome = problem === undefined ? recorded : "invalid"
      this.count(at, outcome)
      this.charge(at, recorded)
      part.text(ResultLine.partHead(head, outcome))
      part.bytes(bytes.subarray(0, split))
      part.text(customId)
      if (problem === undefined) {
        part.bytes(after)
      } else {
        if (isRepairable(problem)) this.tally.repairable++
        const [kept, error] = ResultLine.objectTo(after, problem)
        part.bytes(kept)
        part.text(error)
      }
    }
    part.text(ResultLine.partEnd)
  }

  private problemOf(at: number, before: Buffer, after: Buffer, judge: Judge): AnswerProblem | undefined {
    if (this.is(at, refusedFlag)) return refused
    if (this.is(at, truncatedFlag)) return truncated
    const reply = ResultLine.replyOf(before.toString(), after.toString())
    return reply === undefined ? undefined : judge(reply)
  }

  private find(wireId: WireId.WireId): number | undefined {
    const row = WireId.rowOf(this.shard.runTag, wireId)
    return row === undefined ? undefined : this.index.of(row)
  }

  private odd(kind: Anomaly, wireId: WireId.WireId | null, file: string, line: number): void {
    this.tally[`${kind}Lines`]++
    this.anomalies.text(`${JSON.stringify({ kind, shard: this.shard.id, file, line, wire_id: wireId })}\n`)
  }

  private malformed(wireId: WireId.WireId | null, file: string, lineNumber: number): void {
    this.odd("malformed", wireId, file, lineNumber)
    const at = wireId === null ? undefined : this.find(wireId)
    if (at !== undefined) this.set(at, malformedFlag)
  }

  private write(outcome: Outcome): ResultLine.ResultPieces | undefined {
    try {
      return ResultLine.pieces(outcome)
    } catch {
      // Nested more deeply than JSON can be written: nobody could read it either.
      return undefined
    }
  }

  /** Keeps the outcome of a row; gives what is odd about it where the row has one already. */
  private record(at: number, outcome: Outcome, pieces: ResultLine.ResultPieces): Anomaly | undefined {
    const known = this.outcome[at] ?? 0
    if (known === 0) {
      this.keep(at, outcome, pieces)
      return undefined
    }
    this.scratch.flush()
    if (this.read(at).equals(Buffer.from(pieces.before + pieces.after))) return "duplicate"
    if (known !== succeeded && outcome.outcome === "succeeded") this.keep(at, outcome, pieces)
    return "conflicting"
  }

  private keep(at: number, outcome: Outcome, { after, before }: ResultLine.ResultPieces): void {
    this.outcome[at] = outcomes.indexOf(outcome.outcome)
    this.offset[at] = this.scratch.position
    this.scratch.text(before)
    this.split[at] = this.scratch.position - (this.offset[at] ?? 0)
    this.scratch.text(after)
    this.length[at] = this.scratch.position - (this.offset[at] ?? 0)
    this.flags[at] = 0
    if (outcome.outcome === "succeeded") {
      if (outcome.refused) this.set(at, refusedFlag)
      if (outcome.truncated) this.set(at, truncatedFlag)
    } else if (outcome.retryable) this.set(at, retryableFlag)
    const body = outcome.outcome === "succeeded" ? outcome.body : outcome.response?.body
    this.keepUsage(at, body ?? {})
  }

  private keepUsage(at: number, body: JsonObject): void {
    const tokens = Cost.tokensOfBody(body)
    this.input[at] = tokens?.input ?? 0
    this.cacheRead[at] = tokens?.cacheRead ?? 0
    this.cacheWrite5m[at] = tokens?.cacheWrite5m ?? 0
    this.cacheWrite1h[at] = tokens?.cacheWrite1h ?? 0
    this.output[at] = tokens?.output ?? 0
    this.reasoning[at] = Usage.reasoningOfBody(body)
    this.model[at] = this.meter.indexOf(body["model"])
    if (tokens !== undefined) this.set(at, usageFlag)
  }

  private count(at: number, recorded: OutcomeName): void {
    const { tally } = this
    tally[recorded]++
    if (this.is(at, refusedFlag)) tally.refused++
    if (this.is(at, truncatedFlag)) tally.truncated++
    if (this.is(at, retryableFlag)) tally.retryable++
  }

  /** Counts what the row used, and what it costs: that does not depend on whether anybody can use its answer. */
  private charge(at: number, recorded: OutcomeName): void {
    const tokens: Cost.BillableTokens = {
      input: this.input[at] ?? 0,
      cacheRead: this.cacheRead[at] ?? 0,
      cacheWrite5m: this.cacheWrite5m[at] ?? 0,
      cacheWrite1h: this.cacheWrite1h[at] ?? 0,
      output: this.output[at] ?? 0
    }
    if (this.is(at, usageFlag)) this.meter.add(this.model[at] ?? 0, tokens)
    else if (recorded === "succeeded") this.meter.add(this.model[at] ?? 0, undefined)
    // What was answered before used nothing this time.
    if (this.shard.mode === "reused") return
    const sum = this.tally.tokens
    sum.prompt += Cost.promptOf(tokens)
    sum.completion += tokens.output
    sum.cached += tokens.cacheRead
    sum.reasoning += this.reasoning[at] ?? 0
  }

  private is(at: number, flag: number): boolean {
    return ((this.flags[at] ?? 0) & flag) !== 0
  }

  private set(at: number, flag: number): void {
    this.flags[at] = (this.flags[at] ?? 0) | flag
  }

  /** The scratch text of a row; the bytes are only lent. Everything must be flushed. */
  private read(at: number): Buffer {
    const length = this.length[at] ?? 0
    if (length > this.lent.length) this.lent = Buffer.allocUnsafe(length * 2)
    let read = 0
    while (read < length) {
      const more = this.scratchReader.read(this.lent, read, length - read, (this.offset[at] ?? 0) + read)
      if (more === 0) throw new RangeError("The scratch file of normalised lines is shorter than it was written")
      read += more
    }
    return this.lent.subarray(0, length)
  }
}

const refused: AnswerProblem = { code: "refused", path: "$", problem: "the model declined to answer" }

const truncated: AnswerProblem = {
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
