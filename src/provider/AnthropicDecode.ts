/**
 * Lines of an Anthropic message batch's results, as outcomes: a message becomes a `chat.completion`. Never throws; what
 * cannot be understood is a `BadLine` that costs one row.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as ChatCompletion from "../ChatCompletion.js"
import { memberText, parse } from "../internal/JsonText.js"
import type { Failed, Succeeded } from "../Outcome.js"
import type { BadLine, DecodedLine } from "../Provider.js"
import { isJsonObject, type JsonObject } from "../Request.js"

/**
 * What a line of results says.
 *
 * @since 0.1.0
 * @category conversions
 */
export const decode = (text: string): Either.Either<DecodedLine, BadLine> => {
  const line = parse(text)
  if (line === undefined) return bad(null, "it is not JSON")
  const wireId = isJsonObject(line) ? line.custom_id : undefined
  if (!isJsonObject(line) || typeof wireId !== "string") return bad(null, "it has no custom_id")
  const result = line.result
  if (!isJsonObject(result)) return bad(wireId, "it has no result")
  switch (result.type) {
    case "succeeded": {
      const message = result.message
      if (!isJsonObject(message)) return bad(wireId, "it succeeded without a message")
      const outcome = succeeded(message, text)
      return outcome === undefined ? bad(wireId, "its message is nested too deeply") : Either.right({ wireId, outcome })
    }
    case "errored":
      return Either.right({ wireId, outcome: errored(result.error) })
    case "expired":
      return Either.right({
        wireId,
        outcome: unanswered("expired", "batch_expired", "The batch expired before its turn came")
      })
    case "canceled":
    case "cancelled":
      return Either.right({
        wireId,
        outcome: unanswered("cancelled", "batch_cancelled", "The batch was cancelled before its turn came")
      })
    default:
      return bad(wireId, "its result is of no known type")
  }
}

const bad = (wireId: string | null, problem: string) => Either.left({ wireId, problem })

const stringOf = (value: unknown): string => typeof value === "string" ? value.toWellFormed() : ""

const countOf = (value: unknown): number => Number.isSafeInteger(value) && Number(value) > 0 ? Number(value) : 0

/** What is kept as it came is bounded: nothing real is nested this deep, and printing would overflow the stack. */
const deepest = 64

const isShallow = (value: unknown, depth = 0): boolean =>
  typeof value !== "object" || value === null
  || (depth < deepest && Object.values(value).every((inner) => isShallow(inner, depth + 1)))

const kept = (value: unknown): JsonObject | null => isJsonObject(value) && isShallow(value) ? value : null

const unanswered = (outcome: "expired" | "cancelled", code: string, message: string): Failed => ({
  outcome,
  id: null,
  code,
  message,
  retryable: true,
  response: null
})

/** HTTP statuses of Anthropic's error types; results name only the type. */
const statuses: ReadonlyMap<string, number> = new Map([
  ["invalid_request_error", 400],
  ["authentication_error", 401],
  ["billing_error", 402],
  ["permission_error", 403],
  ["not_found_error", 404],
  ["request_too_large", 413],
  ["rate_limit_error", 429],
  ["api_error", 500],
  ["timeout_error", 504],
  ["overloaded_error", 529]
])

const retryable = new Set(["rate_limit_error", "timeout_error", "api_error", "overloaded_error"])

const errored = (response: unknown): Failed => {
  const outer = isJsonObject(response) ? response : {}
  const error = isJsonObject(outer.error) ? outer.error : outer
  const type = stringOf(error.type)
  const requestId = stringOf(outer.request_id)
  return {
    outcome: "errored",
    id: null,
    code: type === "" ? "unknown_error" : type,
    message: stringOf(error.message) || "The provider gives no reason",
    retryable: retryable.has(type),
    response: {
      statusCode: statuses.get(type) ?? 400,
      requestId: requestId === "" ? null : requestId,
      body: kept(response) ?? {}
    }
  }
}

const noRefusalText = "The model declined to answer."

/** `undefined` when a tool's input is nested too deeply to be printed. */
const succeeded = (message: JsonObject, line: string): Succeeded | undefined => {
  const content = contentOf(message.content, line)
  if (content === undefined) return undefined
  const stopReason = message.stop_reason
  const refused = stopReason === "refusal"
  const finishReason = finishReasonOf(stopReason, content.toolCalls.length > 0)
  return {
    outcome: "succeeded",
    id: null,
    statusCode: 200,
    requestId: null,
    body: ChatCompletion.make({
      id: stringOf(message.id),
      created: 0,
      model: stringOf(message.model),
      content: content.text,
      reasoning: content.reasoning,
      toolCalls: content.toolCalls,
      refusal: refused ? content.text || explanationOf(message.stop_details) || noRefusalText : null,
      finishReason,
      usage: usageOf(message.usage),
      providerUsage: kept(message.usage)
    }),
    refused,
    truncated: finishReason === "length"
  }
}

const explanationOf = (details: unknown): string => isJsonObject(details) ? stringOf(details.explanation) : ""

/** A turn that the provider paused has no counterpart; what there is of it is whole, as far as it goes. */
const finishReasonOf = (stopReason: unknown, hasToolCalls: boolean): ChatCompletion.FinishReason => {
  switch (stopReason) {
    case "max_tokens":
    case "model_context_window_exceeded":
      return "length"
    case "tool_use":
      return "tool_calls"
    case "refusal":
      return "content_filter"
    case "end_turn":
    case "stop_sequence":
    case "pause_turn":
      return "stop"
    default:
      return hasToolCalls ? "tool_calls" : "stop"
  }
}

interface Content {
  readonly text: string
  readonly reasoning: string
  readonly toolCalls: ReadonlyArray<ChatCompletion.ToolCall>
}

/** Text blocks are pieces of one text, cut where a citation or a server's tool comes in between. */
const contentOf = (blocks: unknown, line: string): Content | undefined => {
  if (typeof blocks === "string") return { text: blocks, reasoning: "", toolCalls: [] }
  if (!Array.isArray(blocks)) return { text: "", reasoning: "", toolCalls: [] }
  let text = ""
  const thoughts: Array<string> = []
  const toolCalls: Array<ChatCompletion.ToolCall> = []
  for (const [index, block] of blocks.entries()) {
    if (!isJsonObject(block)) continue
    switch (block.type) {
      case "text": {
        if (typeof block.text === "string") text += block.text
        break
      }
      case "thinking": {
        const thought = stringOf(block.thinking)
        if (thought !== "") thoughts.push(thought)
        break
      }
      case "tool_use": {
        const exact = isJsonObject(block.input) && longNumber.test(line)
        const input = exact
          ? memberText(line, "result", "message", "content", index, "input")
          : print(block.input ?? {})
        if (input === undefined) return undefined
        toolCalls.push({
          id: stringOf(block.id),
          type: "function",
          function: { name: stringOf(block.name), arguments: input }
        })
        break
      }
      default: {
        break
      }
    }
  }
  return { text, reasoning: thoughts.join("\n"), toolCalls }
}

/** Digits that a number may lose when it is parsed: such a tool's input is taken as it stands. */
const longNumber = /\d{16}/

const print = (value: unknown): string | undefined => {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined
  }
}

const usageOf = (usage: unknown): ChatCompletion.ChatUsage | null => {
  if (!isJsonObject(usage)) return null
  const cached = countOf(usage.cache_read_input_tokens)
  const details = usage.output_tokens_details
  return {
    promptTokens: countOf(usage.input_tokens) + countOf(usage.cache_creation_input_tokens) + cached,
    completionTokens: countOf(usage.output_tokens),
    cachedTokens: cached,
    reasoningTokens: isJsonObject(details) ? countOf(details.thinking_tokens) : 0
  }
}
