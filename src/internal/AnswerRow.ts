/**
 * What a person wants to know of a line of `results.jsonl`, in cells of text. Plain functions, for the row path.
 */
import { isJsonObject, type JsonObject } from "../Request.js"
import * as Usage from "../Usage.js"

/** A line of results in cells. */
export interface AnswerRow {
  readonly customId: string
  readonly answer: string
  readonly finishReason: string
  readonly outcome: string
  /** Code and message of what went wrong; empty for an answer. */
  readonly error: string
  /** Empty where the provider counted none. */
  readonly promptTokens: string
  readonly completionTokens: string
  readonly totalTokens: string
}

const textOf = (value: unknown): string => typeof value === "string" ? value : ""

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

/** The cells of a line; `undefined` when it is no line of results. */
export const decode = (line: Buffer): AnswerRow | undefined => {
  const result = parse(line)
  if (!isJsonObject(result) || typeof result.custom_id !== "string") return undefined
  const error = isJsonObject(result.error) ? result.error : undefined
  const body = isJsonObject(result.response) && isJsonObject(result.response.body) ? result.response.body : {}
  const { completion, prompt } = Usage.ofBody(body)
  const count = (tokens: number) => isJsonObject(body.usage) ? String(tokens) : ""
  return {
    customId: result.custom_id,
    answer: answerOf(body),
    finishReason: textOf(first(body.choices).finish_reason),
    outcome: error === undefined ? "succeeded" : textOf(error.outcome),
    error: error === undefined ? "" : `${textOf(error.code)}: ${textOf(error.message)}`,
    promptTokens: count(prompt),
    completionTokens: count(completion),
    totalTokens: count(prompt + completion)
  }
}
