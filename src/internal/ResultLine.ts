/**
 * A line of `results.jsonl`, in the two pieces between which the user's id belongs, and the line of a part file that
 * carries it. Plain text building, for the row path.
 */
import type { Failed, Outcome, OutcomeName } from "../Outcome.js"
import { isJsonObject } from "../Request.js"
import type { RowHead } from "./RowRecord.js"

/** A result line without its `custom_id`. */
export interface ResultPieces {
  readonly before: string
  readonly after: string
}

const text = (value: unknown): string => JSON.stringify(value)

const failedPieces = (failed: Failed): string => {
  const { response } = failed
  const kept = response === null ? "null" : text({
    status_code: response.statusCode,
    request_id: response.requestId,
    body: response.body
  })
  const error = text({
    code: failed.code,
    message: failed.message.toWellFormed(),
    outcome: failed.outcome,
    retryable: failed.retryable
  })
  return `,"response":${kept},"error":${error}}`
}

/** The pieces of an outcome's line. Throws a `RangeError` when its body is nested too deeply to be written. */
export const pieces = (outcome: Outcome): ResultPieces => ({
  before: `{"id":${text(outcome.id)},"custom_id":`,
  after: outcome.outcome === "succeeded"
    ? `,"response":{"status_code":${outcome.statusCode},"request_id":${text(outcome.requestId)},"body":${
      outcome.bodyText ?? text(outcome.body)
    }},"error":null}`
    : failedPieces(outcome)
})

/** These bytes can only stand where the head of a part record ends: inside JSON strings every quote is escaped. */
const resultStart = ",\"result\":"

/** What a merge needs to know of a row besides its line. */
export interface PartHead {
  readonly row: number
  readonly line: number
  readonly outcome: OutcomeName
}

/** The start of a part record, up to its result. */
export const partHead = (head: RowHead, outcome: OutcomeName): string =>
  `{"row":${head.row},"line":${head.line},"outcome":"${outcome}"${resultStart}`

/** The end of a part record, after its result. */
export const partEnd = "}\n"

const headPattern = /^\{"row":(\d+),"line":(\d+),"outcome":"(\w+)"$/u

const outcomeNames: Record<string, OutcomeName> = {
  succeeded: "succeeded",
  errored: "errored",
  expired: "expired",
  cancelled: "cancelled",
  invalid: "invalid",
  missing: "missing"
}

/** A part record taken apart: its head, and the bytes of the result line in it. */
export const decodePart = (record: Buffer): { readonly head: PartHead; readonly result: Buffer } | undefined => {
  const end = record.indexOf(resultStart)
  if (end === -1) return undefined
  const match = headPattern.exec(record.toString("latin1", 0, end))
  const outcome = outcomeNames[match?.[3] ?? ""]
  if (match === null || outcome === undefined) return undefined
  return {
    head: { row: Number(match[1]), line: Number(match[2]), outcome },
    result: record.subarray(end + resultStart.length, record.length - 1)
  }
}

/** The error of a result line without an answer. */
export interface ResultError {
  readonly customId: string
  readonly code: string
  readonly message: string
  readonly retryable: boolean
}

/** The error in a result line; `undefined` when it has none. */
export const decodeError = (result: Buffer): ResultError | undefined => {
  const line: unknown = JSON.parse(result.toString())
  if (!isJsonObject(line) || typeof line["custom_id"] !== "string" || !isJsonObject(line["error"])) return undefined
  const { code, message, retryable } = line["error"]
  return {
    customId: line["custom_id"],
    code: typeof code === "string" ? code : "unknown",
    message: typeof message === "string" ? message : "",
    retryable: retryable === true
  }
}
