/**
 * A line of `results.jsonl`, in the two pieces between which the user's id belongs, and the line of a part file that
 * carries it. Plain text building, for the row path.
 */
import { type AnswerProblem, isRepairable } from "../AnswerCheck.js"
import type { Failed, Outcome, OutcomeName } from "../Outcome.js"
import { isJsonObject } from "../Request.js"
import type { RowHead } from "./RowRecord.js"

/** A result line without its `custom_id`. */
export interface ResultPieces {
  readonly before: string
  readonly after: string
}

const text = (value: unknown): string => JSON.stringify(value)

/** The provider's own name of something, fit for readers that cannot take half of a surrogate pair. */
const nameText = (name: string | null): string => text(name === null ? null : name.toWellFormed())

const failedPieces = (failed: Failed): string => {
  const { response } = failed
  const kept = response === null ? "null" : text({
    status_code: response.statusCode,
    request_id: response.requestId?.toWellFormed() ?? null,
    body: response.body
  })
  const error = text({
    code: failed.code.toWellFormed(),
    message: failed.message.toWellFormed(),
    outcome: failed.outcome,
    retryable: failed.retryable
  })
  return `,"response":${kept},"error":${error}}`
}

/** The pieces of an outcome's line. Throws a `RangeError` when its body is nested too deeply to be written. */
export const pieces = (outcome: Outcome): ResultPieces => ({
  before: `{"id":${nameText(outcome.id)},"custom_id":`,
  after: outcome.outcome === "succeeded"
    ? `,"response":{"status_code":${outcome.statusCode},"request_id":${nameText(outcome.requestId)},"body":${
      outcome.bodyText ?? text(outcome.body)
    }},"error":null}`
    : failedPieces(outcome)
})

/** How the line of an answer ends. */
const unobjected = "null}"

/** The second piece of an answer's line, byte for byte, but with what is wrong with the answer as its error. */
export const objectTo = (after: string, problem: AnswerProblem): string => {
  const error = text({
    code: problem.code.toWellFormed(),
    message: `${problem.path}: ${problem.problem}`.toWellFormed(),
    outcome: "invalid",
    retryable: false,
    ...isRepairable(problem) ? { repairable: true } : undefined
  })
  return `${after.slice(0, -unobjected.length)}${error}}`
}

/**
 * The text of an answer, in the pieces of its line; `undefined` where there is none that could be checked: an embedding,
 * a call of tools.
 */
export const replyOf = ({ after, before }: ResultPieces): string | undefined => {
  const line: unknown = JSON.parse(`${before}null${after}`)
  const response = isJsonObject(line) ? line["response"] : undefined
  const body = isJsonObject(response) ? response["body"] : undefined
  const choices = isJsonObject(body) ? body["choices"] : undefined
  const choice: unknown = Array.isArray(choices) ? choices[0] : undefined
  const message = isJsonObject(choice) ? choice["message"] : undefined
  if (!isJsonObject(message)) return undefined
  const { content, tool_calls: calls } = message
  if (Array.isArray(calls) && calls.length > 0) return undefined
  return typeof content === "string" ? content : ""
}

/** What a merge needs to know of a row besides its line. */
export interface PartHead {
  readonly row: number
  readonly line: number
  readonly outcome: OutcomeName
}

const rowStart = "{\"row\":"
const lineStart = ",\"line\":"
const tailOf = (outcome: OutcomeName) => `,"outcome":"${outcome}","result":`

/** The start of a part record, up to its result. */
export const partHead = (head: RowHead, outcome: OutcomeName): string =>
  `${rowStart}${head.row}${lineStart}${head.line}${tailOf(outcome)}`

/** The end of a part record, after its result. */
export const partEnd = "}\n"

/** The outcomes by name. */
export const outcomeNames: Record<string, OutcomeName> = {
  succeeded: "succeeded",
  errored: "errored",
  expired: "expired",
  cancelled: "cancelled",
  invalid: "invalid",
  missing: "missing"
}

const rowStartBytes = Buffer.from(rowStart)
const lineStartBytes = Buffer.from(lineStart)
const tails = Object.values(outcomeNames).map((outcome) => ({ outcome, bytes: Buffer.from(tailOf(outcome)) }))

const startsAt = (record: Buffer, from: number, start: Buffer): boolean => {
  for (let at = 0; at < start.length; at++) {
    if (record[from + at] !== start[at]) return false
  }
  return true
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 48 && byte <= 57

const digitsEnd = (record: Buffer, from: number): number => {
  let at = from
  while (isDigit(record[at])) at++
  return at
}

const numberIn = (record: Buffer, from: number, to: number): number => {
  let number = 0
  for (let at = from; at < to; at++) number = number * 10 + (record[at] ?? 0) - 48
  return number
}

/** A part record taken apart: its head, and the bytes of the result line in it. It is read byte by byte, for merges. */
export const decodePart = (record: Buffer): { readonly head: PartHead; readonly result: Buffer } | undefined => {
  const rowAt = rowStartBytes.length
  const rowEnd = digitsEnd(record, rowAt)
  const lineAt = rowEnd + lineStartBytes.length
  const lineEnd = digitsEnd(record, lineAt)
  if (rowEnd === rowAt || lineEnd === lineAt) return undefined
  if (!startsAt(record, 0, rowStartBytes) || !startsAt(record, rowEnd, lineStartBytes)) return undefined
  for (const { bytes, outcome } of tails) {
    if (!startsAt(record, lineEnd, bytes)) continue
    return {
      head: { row: numberIn(record, rowAt, rowEnd), line: numberIn(record, lineAt, lineEnd), outcome },
      result: record.subarray(lineEnd + bytes.length, record.length - 1)
    }
  }
  return undefined
}

/** The error of a result line without an answer. */
export interface ResultError {
  readonly customId: string
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  /** Whether the answer is there, and may be put right by the model when it is told. */
  readonly repairable: boolean
}

/** The error in a result line; `undefined` when it has none. */
export const decodeError = (result: Buffer): ResultError | undefined => {
  const line: unknown = JSON.parse(result.toString())
  if (!isJsonObject(line) || typeof line["custom_id"] !== "string" || !isJsonObject(line["error"])) return undefined
  const { code, message, repairable, retryable } = line["error"]
  return {
    customId: line["custom_id"],
    code: typeof code === "string" ? code : "unknown",
    message: typeof message === "string" ? message : "",
    retryable: retryable === true,
    repairable: repairable === true
  }
}
