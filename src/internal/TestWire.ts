/**
 * What the test provider sends and gets: JSON lines of its own, just enough to carry a request and what became of it.
 *
 * ```text
 * {"custom_id":"k3f9a2x7qd-1","body":{"model":"test","messages":[{"role":"user","content":"2 + 2"}]}}
 * {"custom_id":"k3f9a2x7qd-1","text":"4","refusal":null,"finish_reason":"stop","prompt_tokens":3,"completion_tokens":1}
 * {"custom_id":"k3f9a2x7qd-2","error":{"outcome":"expired","code":"batch_expired","message":"...","retryable":true}}
 * ```
 */
import * as Either from "effect/Either"
import { type AnswerFormat, responseFormat } from "../AnswerSchema.js"
import * as ChatCompletion from "../ChatCompletion.js"
import { UnsupportedField } from "../InputError.js"
import type { Failed, OutcomeName } from "../Outcome.js"
import type { BadLine, DecodedLine, WireRow } from "../Provider.js"
import { isJsonObject, type JsonObject, type Request } from "../Request.js"
import type { Result, TestRow } from "../TestProvider.js"
import type { WireId } from "../WireId.js"

/** The only endpoint. */
export const endpoint = "/v1/chat/completions"

const stringOr = (value: unknown, otherwise: string): string => typeof value === "string" ? value : otherwise

/** The wire row of a chat, or of a row that was written for this very provider. */
export const encode = (
  name: string,
  request: Request,
  wireId: WireId,
  target: string,
  answer?: AnswerFormat
): Either.Either<WireRow, UnsupportedField> => {
  const unsupported = (field: string, reason: string) =>
    Either.left(new UnsupportedField({ field, target: name, reason, remedy: null }))
  if (request.kind === "embedding") return unsupported("input", "it makes no embeddings")
  if (request.kind === "native" && request.target.provider !== name) {
    return unsupported("body", `the row was written for ${request.target.provider}`)
  }
  return Either.right({
    text: `{"custom_id":${JSON.stringify(wireId)},"body":${
      request.kind === "native"
        ? request.text
        : JSON.stringify(
          answer === undefined ? request.body : { response_format: responseFormat(answer), ...request.body }
        )
    }}`,
    endpoint: request.kind === "native" ? request.target.endpoint : target,
    model: stringOr(request.body["model"], "test"),
    betas: [],
    inputs: 1,
    notice: null
  })
}

/** A row that was sent. */
export interface SentRow {
  readonly wireId: WireId
  readonly row: TestRow
}

const textOf = (content: unknown): string => {
  if (!Array.isArray(content)) return stringOr(content, "")
  return content.map((part) => isJsonObject(part) ? stringOr(part["text"], "") : "").join("")
}

const promptOf = ({ messages }: JsonObject): string => {
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : undefined
  return isJsonObject(last) ? textOf(last["content"]) : ""
}

/** The rows in the bytes of a shard. */
export const readRows = (content: Buffer): ReadonlyArray<SentRow> =>
  content.toString().split("\n").filter((line) => line !== "").map((text) => {
    const line: unknown = JSON.parse(text)
    const { body, custom_id: id }: JsonObject = isJsonObject(line) ? line : {}
    const wireId = stringOr(id, "")
    const kept = isJsonObject(body) ? body : {}
    const row = Number(wireId.slice(wireId.lastIndexOf("-") + 1))
    return { wireId, row: { row, prompt: promptOf(kept), body: kept } }
  })

/** The model that a row asks for. */
export const modelOf = ({ body }: TestRow): string => stringOr(body["model"], "test")

/** What counts as a token here. */
export const words = (text: string): number => text.split(/\s+/u).filter((word) => word !== "").length

/** The line of an answer. */
export const answerLine = (
  { row, wireId }: SentRow,
  text: string,
  how: "succeeded" | "refused" | "truncated"
): string =>
  JSON.stringify({
    custom_id: wireId,
    model: modelOf(row),
    text: how === "refused" ? "" : text,
    refusal: how === "refused" ? text : null,
    finish_reason: how === "truncated" ? "length" : "stop",
    prompt_tokens: words(row.prompt),
    completion_tokens: words(text)
  })

/** What a row without an answer says of itself. */
type Unanswered = "errored" | "expired" | "cancelled"

const errors: Record<Unanswered, { readonly code: string; readonly message: string }> = {
  errored: { code: "server_error", message: "The script lets this row fail." },
  expired: { code: "batch_expired", message: "The batch expired before this row was answered." },
  cancelled: { code: "batch_cancelled", message: "The batch was cancelled before this row was answered." }
}

/** The line of a row without an answer. */
export const errorLine = ({ wireId }: SentRow, outcome: Unanswered): string =>
  JSON.stringify({ custom_id: wireId, error: { outcome, ...errors[outcome], retryable: true } })

/** A line that cannot be read, though it names its row. */
export const malformedLine = ({ wireId }: SentRow): string => `{"custom_id":${JSON.stringify(wireId)},"text":}`

const parse = (text: string): JsonObject | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

const isUnanswered = (value: unknown): value is Unanswered =>
  value === "errored" || value === "expired" || value === "cancelled"

const failedOf = (error: JsonObject): Failed => ({
  outcome: isUnanswered(error["outcome"]) ? error["outcome"] : "errored",
  id: null,
  code: stringOr(error["code"], "unknown"),
  message: stringOr(error["message"], ""),
  retryable: error["retryable"] === true,
  response: null
})

const count = (value: unknown): number => typeof value === "number" ? value : 0

/** What a line of results says. */
export const decode = (text: string): Either.Either<DecodedLine, BadLine> => {
  const line = parse(text)
  const wireId = line?.["custom_id"]
  if (line === undefined || typeof wireId !== "string") {
    return Either.left({
      wireId: /^\{"custom_id":"([^"\\]*)"/u.exec(text)?.[1] ?? null,
      problem: line === undefined ? "it is no JSON object" : "it has no custom_id"
    })
  }
  const { error, refusal } = line
  if (isJsonObject(error)) return Either.right({ wireId, outcome: failedOf(error) })
  const truncated = line["finish_reason"] === "length"
  return Either.right({
    wireId,
    outcome: {
      outcome: "succeeded",
      id: null,
      statusCode: 200,
      requestId: null,
      body: ChatCompletion.make({
        id: `answer-${wireId.slice(wireId.lastIndexOf("-") + 1)}`,
        created: 0,
        model: stringOr(line["model"], "test"),
        content: stringOr(line["text"], ""),
        reasoning: "",
        toolCalls: [],
        refusal: typeof refusal === "string" ? refusal : null,
        finishReason: truncated ? "length" : "stop",
        usage: {
          promptTokens: count(line["prompt_tokens"]),
          completionTokens: count(line["completion_tokens"]),
          cachedTokens: 0,
          reasoningTokens: 0
        },
        providerUsage: null
      }),
      refused: typeof refusal === "string",
      truncated
    }
  })
}

const outcomeNames: ReadonlyArray<OutcomeName> = ["errored", "expired", "cancelled", "invalid", "missing"]

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((inner, key) => {
    if (Array.isArray(inner)) return inner[Number(key)]
    return isJsonObject(inner) ? inner[key] : undefined
  }, value)

/** The lines of `results.jsonl`. */
export const readResults = (text: string): ReadonlyArray<Result> =>
  text.split("\n").filter((line) => line !== "").map((encoded) => {
    const line = parse(encoded) ?? {}
    const content = at(line, "response", "body", "choices", "0", "message", "content")
    const name = at(line, "error", "outcome")
    return {
      customId: stringOr(line["custom_id"], ""),
      outcome: outcomeNames.find((known) => known === name) ?? "succeeded",
      text: typeof content === "string" ? content : null,
      line
    }
  })
