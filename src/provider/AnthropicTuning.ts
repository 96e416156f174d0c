/**
 * How long, how freely and how hard a model writes: `max_tokens`, sampling, `thinking` and effort of a chat body. What is
 * malformed or contradicts itself throws an `UnsupportedField`; what a model takes is checked before, by the catalogue.
 *
 * @since 0.1.0
 */
import type { Accepts } from "../Model.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import { found, isAbsent, unsupported } from "./AnthropicField.js"

/**
 * The most tokens of the answer; `undefined` where the body does not say.
 *
 * @since 0.1.0
 * @category conversions
 */
export const maxTokensOf = (body: JsonObject): number | undefined => {
  const { max_completion_tokens: newer, max_tokens: older } = body
  if (isAbsent(newer) && isAbsent(older)) return undefined
  if (!isAbsent(newer) && !isAbsent(older) && newer !== older) {
    throw unsupported("max_tokens", `max_completion_tokens says ${found(newer)}`, "Keep one of the two")
  }
  const name = isAbsent(newer) ? "max_tokens" : "max_completion_tokens"
  const value = newer ?? older
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1) {
    throw unsupported(name, `it is ${found(value)}, not a whole number from 1`, "Set it with --max-tokens")
  }
  return value
}

/**
 * The body's `thinking`, or what `reasoning_effort: none` means.
 *
 * @since 0.1.0
 * @category conversions
 */
export const thinkingOf = (body: JsonObject): JsonObject | undefined => {
  const thinking = body.thinking
  if (isAbsent(thinking)) return body.reasoning_effort === "none" ? { type: "disabled" } : undefined
  if (!isJsonObject(thinking) || typeof thinking.type !== "string") {
    throw unsupported("thinking", `it is ${found(thinking)}`, "Write it as {\"type\": \"adaptive\"}")
  }
  const type = thinking.type
  if (type === "disabled") return thinking
  if (body.reasoning_effort === "none") {
    throw unsupported("reasoning_effort", `it is "none", and thinking is ${found(type)}`, "Keep one of the two")
  }
  const budget = thinking.budget_tokens
  if (type === "enabled" && !Number.isInteger(budget)) {
    throw unsupported("thinking.budget_tokens", `it is ${found(budget)}, not a whole number`, "Set it with --thinking")
  }
  return thinking
}

/**
 * The level of effort, from `reasoning_effort` or `output_config`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const effortOf = (body: JsonObject): string | undefined => {
  const config = body.output_config
  const own = isJsonObject(config) ? config.effort : undefined
  const chat = body.reasoning_effort === "none" ? undefined : body.reasoning_effort
  const effort = isAbsent(chat) ? own : chat
  if (isAbsent(effort)) return undefined
  const field = isAbsent(chat) ? "output_config.effort" : "reasoning_effort"
  if (!isAbsent(own) && own !== effort) {
    throw unsupported(field, `it is ${found(effort)}, and output_config.effort is ${found(own)}`, "Keep one of the two")
  }
  if (typeof effort !== "string") throw unsupported(field, `it is ${found(effort)}, not text`, null)
  return effort
}

/**
 * What shapes the choice of tokens; `undefined` for what is left out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sampling {
  readonly temperature: unknown
  readonly top_p: unknown
  readonly top_k: unknown
}

/**
 * `temperature`, `top_p` and `top_k` as the model takes them. A value that is the model's default anyway is left out where
 * it would be refused.
 *
 * @since 0.1.0
 * @category conversions
 */
export const samplingOf = (body: JsonObject, sampling: Accepts["sampling"]): Sampling => {
  const temperature = fraction(body, "temperature")
  const topP = fraction(body, "top_p")
  const topK = body.top_k ?? undefined
  if (sampling === "none") return { temperature: undefined, top_p: undefined, top_k: undefined }
  if (sampling === "one" && temperature !== undefined && topP !== undefined) {
    return topP === 1
      ? { temperature, top_p: undefined, top_k: topK }
      : { temperature: undefined, top_p: topP, top_k: topK }
  }
  return { temperature, top_p: topP, top_k: topK }
}

const fraction = (body: JsonObject, name: string): number | undefined => {
  const value = body[name]
  if (isAbsent(value)) return undefined
  if (typeof value === "number" && value >= 0 && value <= 1) return value
  throw unsupported(name, `it is ${found(value)}, and Anthropic takes 0 to 1`, "Set it within 0 and 1")
}
