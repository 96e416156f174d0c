/**
 * What stands in the body of a result line: an answer to be given as a `chat.completion`, or what went wrong.
 *
 * @since 0.1.0
 */
import * as ChatCompletion from "../ChatCompletion.js"
import { isJsonObject, type JsonObject } from "../Request.js"

/**
 * Why a row has no answer, in the provider's words.
 *
 * @since 0.1.0
 * @category models
 */
export interface RowProblem {
  readonly code: string
  readonly message: string
}

/**
 * An answer in the normalised form. `body` is the very object that was given where it needed no change.
 *
 * @since 0.1.0
 * @category models
 */
export interface Normalised {
  readonly body: JsonObject
  readonly refused: boolean
  readonly truncated: boolean
}

/**
 * What an `error` member says, which may be an object or a bare string; `null` when it says nothing.
 *
 * @since 0.1.0
 * @category decoding
 */
export const errorOf = (error: unknown): RowProblem | null => {
  if (typeof error === "string") {
    return error.trim() === "" ? null : { code: /^\w+$/.test(error) ? error : "error", message: error }
  }
  if (!isJsonObject(error)) return null
  const code = codeOf(error.code) ?? codeOf(error.type)
  const message = typeof error.message === "string" && error.message !== "" ? error.message : undefined
  if (code === undefined && message === undefined) return null
  return { code: code ?? "error", message: message ?? code ?? "error" }
}

const codeOf = (code: unknown): string | undefined =>
  typeof code === "string" && code !== "" ? code : typeof code === "number" ? String(code) : undefined

/**
 * What is wrong with a row by its HTTP status and body; `null` when it has been answered.
 *
 * @since 0.1.0
 * @category decoding
 */
export const problemOf = (body: JsonObject | null, status: number | null): RowProblem | null => {
  const error = errorOf(body?.error)
  if (error !== null) return error
  if (status !== null && (status < 200 || status >= 300)) {
    const words = [body?.message, body?.detail].find((text) => typeof text === "string")
    return { code: `http_${status}`, message: typeof words === "string" ? words : `HTTP ${status}` }
  }
  const state = body !== null && isResponse(body) ? body.status : undefined
  return typeof state === "string" && unanswered.has(state)
    ? { code: `response_${state}`, message: `the response ended with status ${JSON.stringify(state)}` }
    : null
}

const unanswered: ReadonlySet<string> = new Set(["failed", "cancelled", "queued", "in_progress"])

const isResponse = (body: JsonObject): boolean => body.object === "response" || Array.isArray(body.output)

/**
 * The normalised form of an answer's body, or a few words on why there is none.
 *
 * A Responses body becomes a `chat.completion`. A Chat Completions body stays as it is if its contents are strings and
 * its usage has the usual names. Bodies of other endpoints (embeddings, moderations, images) are their own form.
 *
 * @since 0.1.0
 * @category decoding
 */
export const normalise = (body: JsonObject): Normalised | string => {
  if (isResponse(body)) {
    return Array.isArray(body.output) ? fromResponse(body, body.output) : "its response has no output"
  }
  if (Array.isArray(body.choices)) return fromChat(body, body.choices)
  if (Array.isArray(body.data) || Array.isArray(body.results) || body.object === "video") {
    return { body, refused: false, truncated: false }
  }
  return "its body is of no known kind"
}

const textOf = (value: unknown): string => typeof value === "string" ? value : ""

const objectsOf = (list: unknown): ReadonlyArray<JsonObject> => Array.isArray(list) ? list.filter(isJsonObject) : []

interface Message {
  readonly text: string
  readonly refusal: string
  readonly logprobs: ReadonlyArray<unknown>
  readonly rank: number
}

const none: ReadonlyArray<unknown> = []

const messageOf = (item: JsonObject): Message => {
  const { content } = item
  let text = textOf(content)
  let refusal = ""
  const logprobs: Array<unknown> = []
  if (Array.isArray(content)) {
    for (const part of content) {
      if (!isJsonObject(part)) continue
      if (part.type === "refusal") refusal += textOf(part.refusal)
      else text += textOf(part.text)
      const more: ReadonlyArray<unknown> = Array.isArray(part.logprobs) ? part.logprobs : none
      for (const logprob of more) logprobs.push(logprob)
    }
  }
  return { text, refusal, logprobs, rank: rankOf(item) }
}

/** A remark on the way to the answer counts less than a torn answer, and that less than a whole one. */
const rankOf = ({ phase, status }: JsonObject): number =>
  (phase === "commentary" ? 0 : 2) + (status === "completed" || typeof status !== "string" ? 1 : 0)

/** Several messages are not parts of one: the first can be a torn start of the next. The last of the best counts. */
const better = (before: Message | undefined, message: Message): Message | undefined => {
  if (message.text === "" && message.refusal === "") return before
  return before === undefined || message.rank >= before.rank ? message : before
}

const toolCallOf = (item: JsonObject): ChatCompletion.ToolCall => ({
  id: textOf(item.call_id ?? item.id),
  type: "function",
  function: {
    name: textOf(item.name),
    arguments: item.type === "custom_tool_call" ? JSON.stringify(textOf(item.input)) : textOf(item.arguments)
  }
})

/** The thoughts themselves where the server gives them, else their summary. */
const thoughtsOf = (item: JsonObject): ReadonlyArray<string> => {
  const thoughts = objectsOf(item.content)
  return (thoughts.length > 0 ? thoughts : objectsOf(item.summary)).map((part) => textOf(part.text))
    .filter((text) => text !== "")
}

const fromResponse = (body: JsonObject, output: ReadonlyArray<unknown>): Normalised => {
  let message: Message | undefined
  const thoughts: Array<string> = []
  const toolCalls: Array<ChatCompletion.ToolCall> = []
  for (const item of output) {
    if (!isJsonObject(item)) continue
    switch (item.type) {
      case "message":
        message = better(message, messageOf(item))
        break
      case "reasoning":
        thoughts.push(...thoughtsOf(item))
        break
      case "function_call":
      case "custom_tool_call":
        toolCalls.push(toolCallOf(item))
        break
    }
  }
  const finishReason = finishReasonOf(body, toolCalls.length > 0)
  const refusal = message === undefined || message.refusal === "" ? null : message.refusal
  const usage = isJsonObject(body.usage) ? body.usage : null
  const completion = ChatCompletion.make({
    id: textOf(body.id),
    created: typeof body.created_at === "number" ? Math.trunc(body.created_at) : 0,
    model: textOf(body.model),
    content: message?.text ?? "",
    reasoning: thoughts.join("\n\n"),
    toolCalls,
    refusal,
    finishReason,
    usage: usage === null ? null : usageOf(usage),
    providerUsage: usage
  })
  const logprobs = message?.logprobs ?? []
  return {
    body: logprobs.length === 0 ? completion : withLogprobs(completion, logprobs),
    refused: refusal !== null,
    truncated: finishReason === "length"
  }
}

const finishReasonOf = (body: JsonObject, callsTools: boolean): ChatCompletion.FinishReason => {
  if (body.status === "incomplete") {
    const details = body.incomplete_details
    return isJsonObject(details) && details.reason === "content_filter" ? "content_filter" : "length"
  }
  return callsTools ? "tool_calls" : "stop"
}

const withLogprobs = (body: JsonObject, content: ReadonlyArray<unknown>): JsonObject => ({
  ...body,
  choices: objectsOf(body.choices).map((choice) => ({ ...choice, logprobs: { content, refusal: null } }))
})

const count = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isFinite(value) ? value : undefined

const detail = (details: unknown, name: string): number => isJsonObject(details) ? count(details[name]) ?? 0 : 0

/** The token counts under either API's names; `null` when there are none. */
const usageOf = (usage: JsonObject): ChatCompletion.ChatUsage | null => {
  const promptTokens = count(usage.input_tokens) ?? count(usage.prompt_tokens)
  const completionTokens = count(usage.output_tokens) ?? count(usage.completion_tokens)
  if (promptTokens === undefined && completionTokens === undefined) return null
  return {
    promptTokens: promptTokens ?? 0,
    completionTokens: completionTokens ?? 0,
    cachedTokens: detail(usage.input_tokens_details ?? usage.prompt_tokens_details, "cached_tokens"),
    reasoningTokens: detail(usage.output_tokens_details ?? usage.completion_tokens_details, "reasoning_tokens")
  }
}

const fromChat = (body: JsonObject, choices: ReadonlyArray<unknown>): Normalised | string => {
  if (choices.length === 0) return "its body has no choices"
  const before = objectsOf(choices)
  if (before.length < choices.length) return "a choice in its body is not an object"
  const after = before.map(choiceInOrder)
  const usage = usageInOrder(body)
  const inOrder = body.object === "chat.completion" && usage === undefined
    && after.every((choice, index) => choice === before[index])
  return {
    body: inOrder ? body : { ...body, object: "chat.completion", choices: after, ...usage },
    refused: after.some((choice) => isJsonObject(choice.message) && isRefusal(choice.message["refusal"])),
    truncated: after.some((choice) => choice.finish_reason === "length")
  }
}

const isRefusal = (refusal: unknown): boolean => typeof refusal === "string" && refusal !== ""

/** A choice whose content is a string. Legacy completions have `text` in place of a message. */
const choiceInOrder = (choice: JsonObject): JsonObject => {
  const { message } = choice
  if (!isJsonObject(message)) {
    return { ...choice, message: { role: "assistant", content: textOf(choice.text), refusal: null } }
  }
  if (typeof message.content === "string") return choice
  const parts = objectsOf(message.content)
  const refusal = parts.map((part) => part.type === "refusal" ? textOf(part.refusal) : "").join("")
  return {
    ...choice,
    message: {
      ...message,
      content: parts.map((part) => part.type === "refusal" ? "" : textOf(part.text)).join(""),
      ...(refusal === "" ? undefined : { refusal })
    }
  }
}

/** The members that give the usage its usual names, beside the server's own; `undefined` when it has them already. */
const usageInOrder = (body: JsonObject): JsonObject | undefined => {
  const { usage } = body
  if (!isJsonObject(usage)) return undefined
  const usual = ["prompt_tokens", "completion_tokens", "total_tokens"].every((name) => count(usage[name]) !== undefined)
  const tokens = usual ? null : usageOf(usage)
  if (tokens === null) return undefined
  return {
    usage: {
      ...usage,
      prompt_tokens: tokens.promptTokens,
      completion_tokens: tokens.completionTokens,
      total_tokens: tokens.promptTokens + tokens.completionTokens
    },
    provider_usage: usage
  }
}

/**
 * Whether an object is shallow enough to be written as JSON without exhausting the stack.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isWritable = (value: unknown, depth = 0): boolean => {
  if (typeof value !== "object" || value === null) return true
  if (depth === 500) return false
  if (Array.isArray(value)) {
    for (const item of value) {
      if (typeof item === "object" && !isWritable(item, depth + 1)) return false
    }
  } else if (isJsonObject(value)) {
    // Without a list of the members: this is for every answer.
    for (const name in value) {
      const member = value[name]
      if (typeof member === "object" && !isWritable(member, depth + 1)) return false
    }
  }
  return true
}

const toWellFormed = (value: unknown): unknown => {
  if (typeof value === "string") return value.isWellFormed() ? value : value.toWellFormed()
  if (Array.isArray(value)) {
    const after = value.map(toWellFormed)
    return after.every((item, index) => item === value[index]) ? value : after
  }
  return isJsonObject(value) ? objectToWellFormed(value) : value
}

/**
 * The object with every lone surrogate, which many readers cannot take, replaced by U+FFFD; the very same object where
 * there is none. For objects that are writable.
 *
 * @since 0.1.0
 * @category conversions
 */
export const objectToWellFormed = (object: JsonObject): JsonObject => {
  const before = Object.entries(object)
  const after = before.map(([name, value]) => [name.toWellFormed(), toWellFormed(value)] as const)
  const same = after.every(([name, value], index) => name === before[index]?.[0] && value === before[index]?.[1])
  return same ? object : Object.fromEntries(after)
}
