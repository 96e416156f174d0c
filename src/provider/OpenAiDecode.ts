/**
 * Lines of OpenAI's output and error files, for every endpoint, as outcomes of rows. Other servers that write the same
 * format less strictly are understood too.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import { memberText, parse } from "../internal/JsonText.js"
import { type Failed, type Outcome, retryableStatus, type Succeeded } from "../Outcome.js"
import type { BadLine, DecodedLine } from "../Provider.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import * as OpenAiAnswer from "./OpenAiAnswer.js"

/**
 * What a line says. Never throws.
 *
 * A Chat Completions or embeddings body that is in order is given as its own text (`bodyText`), so that nothing in it
 * changes; of a Responses body a `chat.completion` is made.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (text: string): Either.Either<DecodedLine, BadLine> => {
  const line = parse(text)
  if (line === undefined) return bad(idInBrokenLine(text), "it is not JSON: malformed, or cut short")
  if (!isJsonObject(line)) return bad(null, "it is not a JSON object")
  const wireId = line.custom_id
  if (typeof wireId !== "string") return bad(null, "it has no custom_id")
  const outcome = outcomeOf(line, text)
  return typeof outcome === "string" ? bad(wireId, outcome) : Either.right({ wireId, outcome })
}

const bad = (wireId: string | null, problem: string) => Either.left({ wireId, problem })

const idInBrokenLine = (text: string): string | null => {
  const id = parse(memberText(text, "custom_id") ?? "")
  return typeof id === "string" ? id : null
}

/** A problem instead of an outcome is given as a string. */
const outcomeOf = (line: JsonObject, text: string): Outcome | string => {
  const id = stringOrNull(line.id)
  const error = OpenAiAnswer.errorOf(line.error)
  const response = isJsonObject(line.response) ? line.response : null
  if (response === null) {
    return error === null ? "it has neither a response nor an error" : failed(id, error, null)
  }
  const inText = isJsonObject(response.body)
  const body = inText ? response.body : parseBody(response.body)
  const requestId = stringOrNull(response.request_id)
  const status = statusOf(response.status_code)
  if (typeof status === "string") return failed(id, error ?? { code: status, message: status }, null)

  const answer = isJsonObject(body) ? body : null
  const problem = error ?? OpenAiAnswer.problemOf(answer, status)
  if (problem !== null) {
    return failed(id, problem, { statusCode: status ?? 0, requestId, body: answer ?? {} })
  }
  if (answer === null) return "its response has no body"
  const bodyText = () => inText ? memberText(text, "response", "body") : undefined
  return succeeded({ id, statusCode: status ?? 200, requestId }, answer, hasSurrogateEscape(text), bodyText)
}

const stringOrNull = (value: unknown): string | null => typeof value === "string" ? value : null

/** Some servers give the body as JSON text in a string. */
const parseBody = (body: unknown): unknown => typeof body === "string" ? parse(body) : undefined

/** A string that is no number stands where some servers put the reason why a row was not answered. */
const statusOf = (status: unknown): number | string | null => {
  if (typeof status === "number") return Number.isInteger(status) ? status : null
  if (typeof status !== "string" || status.trim() === "") return null
  return /^\d{3}$/.test(status.trim()) ? Number(status) : status
}

const tooDeep = "its body is nested too deeply to be written"

/** Only an escape can bring half of a surrogate pair into a text that was UTF-8. */
const surrogateEscape = /\\u[dD][89a-fA-F]/

/** Most texts have no escape of this kind at all, which is found out faster. */
const hasSurrogateEscape = (text: string): boolean => text.includes("\\u") && surrogateEscape.test(text)

const succeeded = (
  line: Pick<Succeeded, "id" | "requestId" | "statusCode">,
  body: JsonObject,
  suspect: boolean,
  bodyText: () => string | undefined
): Succeeded | string => {
  if (suspect && !OpenAiAnswer.isWritable(body)) return tooDeep
  const normalised = OpenAiAnswer.normalise(suspect ? OpenAiAnswer.objectToWellFormed(body) : body)
  if (typeof normalised === "string") return normalised
  const kept = normalised.body === body ? bodyText() : undefined
  if (kept === undefined && !OpenAiAnswer.isWritable(normalised.body)) return tooDeep
  const outcome: Succeeded = {
    outcome: "succeeded",
    id: line.id,
    statusCode: line.statusCode,
    requestId: line.requestId,
    body: normalised.body,
    refused: normalised.refused,
    truncated: normalised.truncated
  }
  return kept === undefined ? outcome : { ...outcome, bodyText: kept }
}

const failed = (
  id: string | null,
  error: OpenAiAnswer.RowProblem,
  response: Failed["response"]
): Failed | string => {
  if (response !== null && !OpenAiAnswer.isWritable(response.body)) return tooDeep
  const outcome = outcomeOfCode(error.code)
  return {
    outcome,
    id,
    code: error.code.toWellFormed(),
    message: error.message.toWellFormed(),
    retryable: outcome !== "errored" || canPass(error.code, response?.statusCode ?? 0),
    response: response === null ? null : { ...response, body: paidFor(response.body) }
  }
}

/** What is kept of a response without an answer: all of it, but for choices, which readers would take for one. */
const paidFor = (body: JsonObject): JsonObject =>
  OpenAiAnswer.objectToWellFormed(Object.fromEntries(Object.entries(body).filter(([name]) => name !== "choices")))

const outcomeOfCode = (code: string): "errored" | "expired" | "cancelled" => {
  if (/^((batch|request)_)?expired$/.test(code)) return "expired"
  return /^((batch|request)_)?cancell?ed$/.test(code) ? "cancelled" : "errored"
}

/** Codes that come with a status that may pass, and do not. */
const lasting = /quota|billing|deactivated|not_active/

/** Codes that come without a telling status. */
const passing = /rate_limit|server_error|internal_error|timeout|timed_out|overloaded|unavailable|token_limit_exceeded/

const canPass = (code: string, status: number): boolean =>
  !lasting.test(code) && (retryableStatus(status) || passing.test(code))
