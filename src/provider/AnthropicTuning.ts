/**
 * How long, how freely and how hard a model writes: `max_tokens`, sampling, `thinking` and effort of a chat body,
 * checked against what the model takes. All functions throw `UnsupportedField`.
 *
 * @since 0.1.0
 */
import { isJsonObject, type JsonObject } from "../Request.js"
import { found, isAbsent, unsupported } from "./AnthropicField.js"
import type { ModelRules } from "./AnthropicModel.js"

/**
 * The most tokens of the answer; `undefined` where the body does not say.
 *
 * @since 0.1.0
 * @category conversions
 */
export const maxTokensOf = (
  body: JsonObject,
  model: string,
  rules: ModelRules,
  betas: ReadonlyArray<string>
): number | undefined => {
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
  const extended = betas.some((beta) => beta.startsWith("output-"))
  if (rules.maxTokens !== null && value > rules.maxTokens && !extended) {
    throw unsupported(name, `it is ${value}, and ${rules.maxTokens} is the most`, "Ask for less", model)
  }
  return value
}

/**
 * Whether the model thinks before it answers, in a way that restricts sampling.
 *
 * @since 0.1.0
 * @category conversions
 */
export const isThinking = (thinking: JsonObject | undefined): boolean =>
  thinking?.type === "enabled" || thinking?.type === "adaptive"

/**
 * The body's `thinking`, or what `reasoning_effort: none` means.
 *
 * @since 0.1.0
 * @category conversions
 */
export const thinkingOf = (
  body: JsonObject,
  model: string,
  rules: ModelRules,
  maxTokens: number,
  betas: ReadonlyArray<string>
): JsonObject | undefined => {
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
  if (rules.thinking !== null && !rules.thinking.some((allowed) => allowed === type)) {
    throw unsupported("thinking", ...thinkingAdvice(rules.thinking, type), model)
  }
  if (type === "enabled") checkBudget(thinking.budget_tokens, maxTokens, betas)
  return thinking
}

const thinkingAdvice = (allowed: ReadonlyArray<string>, type: string): [reason: string, remedy: string | null] => {
  if (allowed.length === 0) return ["the model does not think before it answers", null]
  const instead = allowed.includes("adaptive")
    ? "Use {\"type\": \"adaptive\"}, and reasoning_effort to say how much"
    : "Use {\"type\": \"enabled\", \"budget_tokens\": 1024} or more"
  return [`its type is ${found(type)}`, instead]
}

const checkBudget = (budget: unknown, maxTokens: number, betas: ReadonlyArray<string>): void => {
  const field = "thinking.budget_tokens"
  if (typeof budget !== "number" || !Number.isInteger(budget) || budget < 1_024) {
    throw unsupported(field, `it is ${found(budget)}, not a whole number from 1024`, "Raise it, or leave thinking out")
  }
  // Thinking between tool calls may use more than one answer's tokens.
  const interleaved = betas.some((beta) => beta.startsWith("interleaved-thinking-"))
  if (budget >= maxTokens && !interleaved) {
    throw unsupported(field, `it is ${budget}, not less than max_tokens (${maxTokens})`, "Raise --max-tokens above it")
  }
}

/**
 * The level of effort, from `reasoning_effort` or `output_config`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const effortOf = (body: JsonObject, model: string, rules: ModelRules): string | undefined => {
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
  if (effort === "minimal") throw unsupported(field, "Anthropic has no such level", "Use low")
  if (rules.efforts === null || rules.efforts.includes(effort)) return effort
  if (rules.efforts.length > 0) throw unsupported(field, `it is ${found(effort)}`, oneOf(rules.efforts), model)
  const thinks = rules.thinking?.includes("enabled") === true
  throw unsupported(
    field,
    "the model has no levels of effort",
    thinks ? "Use thinking {\"type\": \"enabled\", \"budget_tokens\": 1024} or more" : null,
    model
  )
}

const oneOf = (values: ReadonlyArray<string>): string => `It takes ${values.join(", ")}`

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
export const samplingOf = (body: JsonObject, model: string, rules: ModelRules, thinking: boolean): Sampling => {
  const temperature = fraction(body, "temperature")
  const topP = fraction(body, "top_p")
  const topK = body.top_k ?? undefined
  if (rules.sampling === "none") {
    const reason = "the model chooses its own sampling"
    if (temperature !== undefined && temperature !== 1) throw unsupported("temperature", reason, null, model)
    if (topP !== undefined && topP !== 1) throw unsupported("top_p", reason, null, model)
    if (topK !== undefined) throw unsupported("top_k", reason, null, model)
    return { temperature: undefined, top_p: undefined, top_k: undefined }
  }
  if (thinking && rules.thinking !== null) {
    const target = `${model} with thinking`
    if (temperature !== undefined && temperature !== 1) {
      throw unsupported("temperature", `it is ${temperature}, and only 1 is taken`, "Switch thinking off", target)
    }
    if (topK !== undefined) throw unsupported("top_k", "it is not taken together", "Switch thinking off", target)
    if (topP !== undefined && topP < 0.95) {
      throw unsupported("top_p", `it is ${topP}, and 0.95 to 1 is taken`, "Switch thinking off", target)
    }
  }
  if (rules.sampling === "one" && temperature !== undefined && topP !== undefined) {
    if (topP === 1) return { temperature, top_p: undefined, top_k: topK }
    if (temperature === 1) return { temperature: undefined, top_p: topP, top_k: topK }
    throw unsupported("top_p", "the model takes temperature or top_p, not both", "Keep one of the two", model)
  }
  return { temperature, top_p: topP, top_k: topK }
}

const fraction = (body: JsonObject, name: string): number | undefined => {
  const value = body[name]
  if (isAbsent(value)) return undefined
  if (typeof value === "number" && value >= 0 && value <= 1) return value
  throw unsupported(name, `it is ${found(value)}, and Anthropic takes 0 to 1`, "Set it within 0 and 1")
}
