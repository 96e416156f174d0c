/**
 * What a line of `results.jsonl` says, taken out of its form. Plain functions, for the row path.
 */
import type { OutcomeName } from "../Outcome.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import * as Usage from "../Usage.js"
import { outcomeNames } from "./ResultLine.js"

/** A line of results, taken apart. */
export interface AnswerRow {
  readonly customId: string
  readonly outcome: OutcomeName
  /** The text of the answer, also of one that does not fit its schema; empty where there is none. */
  readonly answer: string
  readonly finishReason: string | null
  /** Why the row has no usable answer. */
  readonly error: { readonly code: string; readonly message: string; readonly retryable: boolean } | null
  readonly requestId: string | null
  /** `null` where the provider counted none. */
  readonly usage: Usage.Usage | null
  /** The `chat.completion` or the list of embeddings; `null` where nothing was paid for. */
  readonly body: JsonObject | null
}

const textOf = (value: unknown): string => typeof value === "string" ? value : ""

const textOrNull = (value: unknown): string | null => typeof value === "string" && value !== "" ? value : null

const first = (value: unknown): JsonObject => {
  const item: unknown = Array.isArray(value) ? value[0] : undefined
  return isJsonObject(item) ? item : {}
}

/** The vector of an embeddings body; the list of them where the row had several inputs. */
const vectorsOf = (data: ReadonlyArray<unknown>): string => {
  const vectors = data.map((item) => isJsonObject(item) ? item.embedding : null)
  return JSON.stringify(vectors.length === 1 ? vectors[0] : vectors)
}

/** The text of a message; else the tool calls, as JSON; else the words in which the model declined. */
const answerOf = (body: JsonObject): string => {
  if (Array.isArray(body.data)) return vectorsOf(body.data)
  const { message } = first(body.choices)
  if (!isJsonObject(message)) return ""
  const content = textOf(message.content)
  if (content !== "") return content
  return Array.isArray(message.tool_calls) && message.tool_calls.length > 0
    ? JSON.stringify(message.tool_calls)
    : textOf(message.refusal)
}

const parse = (line: Buffer): unknown => {
  try {
    return JSON.parse(line.toString())
  } catch {
    return undefined
  }
}

const nothing: JsonObject = {}

/** A line taken apart; `undefined` when it is no line of results. */
export const decode = (line: Buffer): AnswerRow | undefined => {
  const result = parse(line)
  if (!isJsonObject(result) || typeof result.custom_id !== "string") return undefined
  const error = isJsonObject(result.error) ? result.error : null
  const outcome = error === null ? "succeeded" : outcomeNames[textOf(error.outcome)]
  if (outcome === undefined) return undefined
  const response = isJsonObject(result.response) ? result.response : nothing
  const body = isJsonObject(response.body) ? response.body : null
  return {
    customId: result.custom_id,
    outcome,
    answer: answerOf(body ?? nothing),
    finishReason: textOrNull(first(body?.choices).finish_reason),
    error: error === null
      ? null
      : { code: textOf(error.code), message: textOf(error.message), retryable: error.retryable === true },
    requestId: textOrNull(response.request_id),
    usage: isJsonObject(body?.usage) ? Usage.ofBody(body) : null,
    body
  }
}
