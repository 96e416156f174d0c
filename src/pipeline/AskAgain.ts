/**
 * Which rows of a finished run are asked again, and what they are asked: the same, or, where the answer did not fit, to
 * put it right.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as AnswerRow from "../internal/AnswerRow.js"
import { inPieces } from "../internal/BlockLoop.js"
import * as Disk from "../internal/Disk.js"
import { LineReader } from "../internal/LineReader.js"
import { LineSplitter } from "../internal/Lines.js"
import { isLate } from "../internal/PartMerge.js"
import { RowSet } from "../internal/RowSet.js"
import { isJsonObject, type Request } from "../Request.js"
import * as RunDirectory from "../RunDirectory.js"
import { RunRejected } from "../RunError.js"
import type { AskAgainReason } from "../RunState.js"
import type { Tally } from "../Tally.js"

/** How many rows each reason concerns. */
export const candidates = (tally: Tally): { readonly [Reason in AskAgainReason]: number } => ({
  retry: tally.retryable,
  repair: tally.repairable,
  finish: tally.late
})

const longestLine = 1 << 29

/** The rows that are asked again. */
export interface Selection {
  /** Those that are asked through the same API as before. */
  readonly again: RowSet
  /** Those that are finished through the synchronous API. */
  readonly finished: RowSet
  /** Those of either whose answer did not fit: they are told so. */
  readonly repaired: RowSet
}

/** The rows of a finished run that there is reason to ask again. */
export const select = Effect.fn("Pipeline.select")(function*(
  directory: string,
  rows: number,
  tally: Tally,
  reasons: ReadonlyArray<AskAgainReason>
) {
  const path = RunDirectory.failures(directory)
  const found = { retry: new RowSet(1, rows), repair: new RowSet(1, rows), finish: new RowSet(1, rows) }
  const selection: Selection = {
    again: new RowSet(1, rows),
    finished: new RowSet(1, rows),
    repaired: new RowSet(1, rows)
  }
  const changed = (problem: string) =>
    new RunRejected({
      directory,
      problem: `failures.jsonl is not as it was made: ${problem}`,
      remedy: `Make it anew with: llm-batch normalize ${directory}`
    })
  const take = (line: Buffer, lineNumber: number) => {
    const failure: unknown = JSON.parse(line.toString())
    if (!isJsonObject(failure) || typeof failure.row !== "number") throw changed(`line ${lineNumber} is no failed row`)
    if (failure.retryable === true) found.retry.add(failure.row)
    if (failure.repairable === true) found.repair.add(failure.row)
    const { outcome } = isJsonObject(failure.latest) ? failure.latest : failure
    if (isLate(outcome)) found.finish.add(failure.row)
    const row = failure.row
    const why = reasons.filter((reason) => found[reason].has(row))
    if (why.length === 0) return
    selection[why.includes("finish") ? "finished" : "again"].add(row)
    if (failure.repairable === true) selection.repaired.add(row)
  }
  const splitter = new LineSplitter(longestLine, take, (lineNumber) => {
    throw changed(`line ${lineNumber} is too long`)
  })
  const toError = (error: unknown) =>
    error instanceof RunRejected
      ? error
      : error instanceof SyntaxError
      ? changed("a line is not JSON")
      : Disk.toDiskError("read", path, error)
  const push = (piece: Uint8Array) => splitter.push(piece)
  yield* Stream.runForEach(Disk.readBlocks(path), (block) => inPieces(block, push, toError))
  yield* Effect.try({ try: () => splitter.end(), catch: toError })
  const counted = candidates(tally)
  for (const reason of reasons) {
    if (found[reason].size !== counted[reason]) {
      return yield* changed(`it names ${found[reason].size} rows to ${reason} where ${counted[reason]} were counted`)
    }
  }
  return selection
})

/** What a model is told of an answer that did not fit. */
const correction = (problem: string): string =>
  `Your answer cannot be used. ${problem}\nAnswer again, in full: put that right, and keep to everything asked for before.`

/**
 * What a row is asked this time, for as long as the scope lasts: rows in input order. A row whose answer did not fit gets
 * the answer and the problem behind its own messages; one that was written for a provider cannot be added to, and is
 * left out.
 */
export const reviser = Effect.fn("Pipeline.reviser")(function*(directory: string, { repaired }: Selection) {
  const disk = yield* Disk.Disk
  const path = RunDirectory.results(directory)
  const damaged = (problem: string) =>
    new RunRejected({
      directory,
      problem: `results.jsonl is not as it was written: ${problem}`,
      remedy: `Make it anew with: llm-batch normalize ${directory}`
    })
  const results = yield* Effect.acquireRelease(
    Disk.attempt("read", path, () =>
      new LineReader(disk, path, longestLine, (line) => {
        throw damaged(`line ${line} is too long`)
      })),
    (reader) => Effect.sync(() => reader.close())
  )
  let read = 0
  const resultOf = (row: number): AnswerRow.AnswerRow => {
    let line: Buffer | undefined
    while (read < row) {
      line = results.read()
      read++
    }
    const result = line === undefined ? undefined : AnswerRow.decode(line)
    if (result === undefined) throw damaged(`it holds no result of row ${row}`)
    return result
  }
  return (request: Request): Request | undefined => {
    if (!repaired.has(request.row)) return request
    if (request.kind !== "chat") return undefined
    const { answer, error } = resultOf(request.row)
    if (error === null || !Array.isArray(request.body.messages)) {
      throw damaged(`row ${request.row} has nothing to put right`)
    }
    const messages: ReadonlyArray<unknown> = request.body.messages
    return {
      ...request,
      body: {
        ...request.body,
        messages: [
          ...messages,
          // A turn without a text is refused by providers.
          ...(answer.trim() === "" ? [] : [{ role: "assistant", content: answer }]),
          { role: "user", content: correction(error.message) }
        ]
      }
    }
  }
})
