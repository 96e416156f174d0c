/**
 * The one form in which every chat answer is given, whichever provider and endpoint it came from: a `chat.completion`
 * body as OpenAI's Chat Completions API has it.
 *
 * @since 0.1.0
 */
import type { JsonObject } from "./Request.js"

/**
 * Why the model stopped writing.
 *
 * @since 0.1.0
 * @category models
 */
export type FinishReason = "stop" | "length" | "tool_calls" | "content_filter"

/**
 * A call of one of the request's tools.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolCall {
  readonly id: string
  readonly type: "function"
  readonly function: {
    readonly name: string
    /** JSON text. */
    readonly arguments: string
  }
}

/**
 * What the tokens of an answer were used for.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChatUsage {
  /** Everything that was read, tokens read from and written to a cache included. */
  readonly promptTokens: number
  /** Everything that was written, reasoning included. */
  readonly completionTokens: number
  /** The part of the prompt that came from a cache. */
  readonly cachedTokens: number
  /** The part of the completion that was reasoning. */
  readonly reasoningTokens: number
}

/**
 * The parts of an answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChatAnswer {
  /** The provider's id of the answer. */
  readonly id: string
  /** Unix seconds; 0 where the provider does not say, so that equal answers are equal bytes. */
  readonly created: number
  readonly model: string
  /** Always a string, empty when there is no text: some readers take a list or `null` for no answer. */
  readonly content: string
  /** The model's visible reasoning; left out when there is none. */
  readonly reasoning: string
  readonly toolCalls: ReadonlyArray<ToolCall>
  readonly refusal: string | null
  readonly finishReason: FinishReason
  readonly usage: ChatUsage | null
  /** The provider's own usage, as it came. */
  readonly providerUsage: JsonObject | null
}

/**
 * The `chat.completion` body of an answer.
 *
 * The provider's own usage is kept as `provider_usage`, visible reasoning as `reasoning_content` of the message. Text
 * is made well-formed: a lone surrogate, which many readers cannot take, becomes U+FFFD.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (answer: ChatAnswer): JsonObject => {
  const body: Record<string, unknown> = {
    id: answer.id,
    object: "chat.completion",
    created: answer.created,
    model: answer.model,
    choices: [{ index: 0, message: messageOf(answer), logprobs: null, finish_reason: answer.finishReason }]
  }
  if (answer.usage !== null) body["usage"] = usage(answer.usage)
  if (answer.providerUsage !== null) body["provider_usage"] = answer.providerUsage
  return body
}

const messageOf = ({ content, reasoning, refusal, toolCalls }: ChatAnswer): JsonObject => {
  const message: Record<string, unknown> = { role: "assistant", content: content.toWellFormed() }
  if (reasoning !== "") message["reasoning_content"] = reasoning.toWellFormed()
  message["refusal"] = refusal === null ? null : refusal.toWellFormed()
  if (toolCalls.length > 0) message["tool_calls"] = toolCalls
  return message
}

const usage = (tokens: ChatUsage): JsonObject => ({
  prompt_tokens: tokens.promptTokens,
  completion_tokens: tokens.completionTokens,
  total_tokens: tokens.promptTokens + tokens.completionTokens,
  prompt_tokens_details: { cached_tokens: tokens.cachedTokens },
  completion_tokens_details: { reasoning_tokens: tokens.reasoningTokens }
})
