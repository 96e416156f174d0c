/**
 * Which fields OpenAI's models take, as far as it is known for certain: a model that is not known is sent what the row
 * says, and the provider decides.
 *
 * @since 0.1.0
 */

/** The name without a server's prefix and without what fine-tuning puts around it. */
const baseName = (model: string): string => {
  const name = model.startsWith("ft:") ? model.slice(3) : model
  return name.slice(name.lastIndexOf("/") + 1).toLowerCase()
}

const isChat = (name: string): boolean => /^gpt-5[\d.]*-chat/.test(name)

/** The families that always reason: from `gpt-5.1` on, a model can be told not to. */
const alwaysReasons = (name: string): boolean => /^(o\d|gpt-5(?![\d.])|codex-mini)/.test(name) && !isChat(name)

/**
 * Whether a model reasons before it answers. Such models take `max_completion_tokens`, not `max_tokens`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isReasoning = (model: string): boolean => {
  const name = baseName(model)
  return alwaysReasons(name) || (/^gpt-5\.\d/.test(name) && !isChat(name))
}

/** Chat Completions fields that shape the choice of tokens, with what leaves the choice as it is. */
const sampling: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["temperature", 1],
  ["top_p", 1],
  ["frequency_penalty", 0],
  ["presence_penalty", 0],
  ["logprobs", false],
  ["top_logprobs", 0],
  ["logit_bias", undefined],
  ["stop", undefined]
])

/**
 * Why a model does not take this value of a Chat Completions field, or `undefined` when it does or may.
 *
 * @since 0.1.0
 * @category predicates
 */
export const refusal = (
  model: string,
  field: string,
  value: unknown,
  reasoningEffort: unknown
): string | undefined => {
  if (field === "reasoning_effort") {
    const name = baseName(model)
    return /^(gpt-3|gpt-4|chatgpt-4)/.test(name) || isChat(name) ? "it does not reason" : undefined
  }
  if (!sampling.has(field) || value === sampling.get(field)) return undefined
  const name = baseName(model)
  if (alwaysReasons(name)) {
    return field === "stop" && name.startsWith("o1") ? undefined : `it always reasons, and takes ${allowed(field)}`
  }
  const effort = typeof reasoningEffort === "string" ? reasoningEffort : "none"
  return isReasoning(model) && effort !== "none" && field !== "stop"
    ? `with reasoning_effort ${JSON.stringify(effort)} it takes ${allowed(field)}`
    : undefined
}

const allowed = (field: string): string => {
  const neutral = sampling.get(field)
  return neutral === undefined ? "none" : `${JSON.stringify(neutral)} only`
}
