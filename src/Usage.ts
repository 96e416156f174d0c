/**
 * The tokens that one answer used, read out of a body in any of the forms in which providers count them.
 *
 * @since 0.1.0
 */
import * as Cost from "./Cost.js"
import { isJsonObject, type JsonObject } from "./Request.js"
import type { TokenCount } from "./Tally.js"

/**
 * Tokens of one answer.
 *
 * @since 0.1.0
 * @category models
 */
export type Usage = typeof TokenCount.Encoded

const detail = (usage: JsonObject, group: string, name: string): number => {
  const details = usage[group]
  const value = isJsonObject(details) ? details[name] : undefined
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0
}

/**
 * The part of what was written that was reasoning.
 *
 * @since 0.1.0
 * @category destructors
 */
export const reasoningOfBody = ({ usage }: JsonObject): number => {
  if (!isJsonObject(usage)) return 0
  return usage["input_tokens"] === undefined
    ? detail(usage, "completion_tokens_details", "reasoning_tokens")
    : detail(usage, "output_tokens_details", "reasoning_tokens")
      + detail(usage, "output_tokens_details", "thinking_tokens")
}

/**
 * The usage in a body: Chat Completions' and embeddings' names, or those of Responses and Messages.
 *
 * @since 0.1.0
 * @category destructors
 */
export const ofBody = (body: JsonObject): Usage => {
  const tokens = Cost.tokensOfBody(body)
  return {
    prompt: tokens === undefined ? 0 : Cost.promptOf(tokens),
    completion: tokens?.output ?? 0,
    cached: tokens?.cacheRead ?? 0,
    reasoning: reasoningOfBody(body)
  }
}
