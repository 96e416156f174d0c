/**
 * The tokens that one answer used, read out of a body in any of the forms in which providers count them.
 *
 * @since 0.1.0
 */
import { isJsonObject, type JsonObject } from "./Request.js"
import type { TokenCount } from "./Tally.js"

/**
 * Tokens of one answer.
 *
 * @since 0.1.0
 * @category models
 */
export type Usage = typeof TokenCount.Encoded

const nothing: Usage = { prompt: 0, completion: 0, cached: 0, reasoning: 0 }

const count = (value: unknown): number =>
  typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0

const detail = (usage: JsonObject, group: string, name: string): number => {
  const details = usage[group]
  return isJsonObject(details) ? count(details[name]) : 0
}

/**
 * The usage in a body: Chat Completions' and embeddings' names, or those of Responses and Messages.
 *
 * @since 0.1.0
 * @category destructors
 */
export const ofBody = (body: JsonObject): Usage => {
  const { usage } = body
  if (!isJsonObject(usage)) return nothing
  if (usage["input_tokens"] === undefined) {
    return {
      prompt: count(usage["prompt_tokens"]),
      completion: count(usage["completion_tokens"]),
      cached: detail(usage, "prompt_tokens_details", "cached_tokens"),
      reasoning: detail(usage, "completion_tokens_details", "reasoning_tokens")
    }
  }
  const cacheRead = count(usage["cache_read_input_tokens"])
  return {
    prompt: count(usage["input_tokens"]) + cacheRead + count(usage["cache_creation_input_tokens"]),
    completion: count(usage["output_tokens"]),
    cached: cacheRead + detail(usage, "input_tokens_details", "cached_tokens"),
    reasoning: detail(usage, "output_tokens_details", "reasoning_tokens")
      + detail(usage, "output_tokens_details", "thinking_tokens")
  }
}
