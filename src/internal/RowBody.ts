/**
 * Bodies of requests: checks what a row says, fills in what it does not say, and puts it all in one order. Plain code
 * for the row path; what a model or an endpoint can take is the provider's business, not decided here.
 */
import { isJsonObject, type JsonObject, type RequestDefaults } from "../Request.js"
import { frozen } from "./AlikeBodies.js"
import { nearestName } from "./NearestName.js"
import { describe, type RowErrors } from "./RowErrors.js"

/** An object under construction. */
export type Members = { [name: string]: unknown }

/** Sets a member, also one that is called `__proto__`. */
export const setMember = (object: Members, name: string, value: unknown): void => {
  if (name === "__proto__") {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })
  } else {
    object[name] = value
  }
}

type Accepts = (value: unknown) => boolean

const isText: Accepts = (value) => typeof value === "string" && value !== ""
const isCount: Accepts = (value) => typeof value === "number" && Number.isSafeInteger(value) && value > 0
const isTyped: Accepts = (value) => isJsonObject(value) && isText(value.type)
const isThinking: Accepts = (value) =>
  isJsonObject(value)
  && (value.type === "disabled" || value.type === "adaptive"
    || (value.type === "enabled" && isCount(value.budget_tokens)))
const within = (least: number, most: number): Accepts => (value) =>
  typeof value === "number" && value >= least && value <= most
const listOf = (accepts: Accepts): Accepts => (value) =>
  Array.isArray(value) && value.length > 0 && value.every(accepts)

interface Parameter {
  readonly name: string
  readonly accepts: Accepts
  /** What it takes, after "must be". */
  readonly takes: string
  readonly fallback: (defaults: RequestDefaults) => unknown
}

/** The parameters of a chat that a row and the defaults may have, in the order in which a body has them. */
const chatParameters: ReadonlyArray<Parameter> = [
  {
    name: "temperature",
    accepts: within(0, 2),
    takes: "a number from 0 to 2",
    fallback: (defaults) => defaults.temperature
  },
  { name: "top_p", accepts: within(0, 1), takes: "a number from 0 to 1", fallback: (defaults) => defaults.topP },
  {
    name: "max_tokens",
    accepts: isCount,
    takes: "a whole number above 0",
    fallback: (defaults) => defaults.maxTokens
  },
  { name: "max_completion_tokens", accepts: isCount, takes: "a whole number above 0", fallback: () => undefined },
  {
    name: "stop",
    accepts: (value) => isText(value) || listOf(isText)(value),
    takes: "a string or a list of strings, none of them empty",
    fallback: (defaults) => defaults.stop
  },
  {
    name: "response_format",
    accepts: isTyped,
    takes: "an object with a \"type\"",
    fallback: (defaults) => defaults.responseFormat
  },
  {
    name: "reasoning_effort",
    accepts: isText,
    takes: "a string such as low, medium or high",
    fallback: (defaults) => defaults.reasoningEffort
  },
  {
    name: "thinking",
    accepts: isThinking,
    takes: "{\"type\": \"disabled\"}, {\"type\": \"adaptive\"} or {\"type\": \"enabled\", \"budget_tokens\": N}",
    fallback: (defaults) => defaults.thinking
  },
  {
    name: "tools",
    accepts: (value) => Array.isArray(value) && value.every(isTyped),
    takes: "a list of objects with a \"type\"",
    fallback: (defaults) => defaults.tools
  }
]

/** Members of a row that belong to the request, where the row has its prompt beside them. */
export const promptMembers: ReadonlySet<string> = new Set([
  "model",
  ...chatParameters.map((parameter) => parameter.name)
])

/** Members of a row that belong to the request, where the row has its messages beside them: all of a chat's. */
export const chatMembers: ReadonlySet<string> = new Set([
  ...promptMembers,
  "audio",
  "frequency_penalty",
  "function_call",
  "functions",
  "logit_bias",
  "logprobs",
  "metadata",
  "modalities",
  "n",
  "parallel_tool_calls",
  "prediction",
  "presence_penalty",
  "prompt_cache_key",
  "safety_identifier",
  "seed",
  "service_tier",
  "store",
  "stream",
  "stream_options",
  "tool_choice",
  "top_k",
  "top_logprobs",
  "user",
  "verbosity",
  "web_search_options"
])

/** Members of a row that belong to an embedding. */
export const embeddingMembers: ReadonlySet<string> = new Set(["model", "dimensions", "encoding_format", "user"])

const fault = (errors: RowErrors, field: string, value: unknown, takes: string) =>
  errors.make({ field, problem: `found ${describe(value)}`, remedy: `It must be ${takes}.` })

const noModel = (errors: RowErrors, path: string, model: unknown, remedy: string) =>
  errors.make({
    field: `${path}model`,
    problem: model === undefined ? "no model is named" : `found ${describe(model)}`,
    remedy
  })

const modelOf = (errors: RowErrors, own: JsonObject, path: string, fallback: string | undefined): string => {
  const model = own.model ?? fallback
  if (typeof model === "string" && model !== "") return model
  throw noModel(
    errors,
    path,
    model,
    "Name one with --model, as \"model\" in the row, or in the configuration file."
  )
}

/** Checks the model of a row that goes to its provider as it is: nothing is filled in. */
export const checkNativeModel = (errors: RowErrors, body: JsonObject, path: string): void => {
  if (!isText(body.model)) {
    throw noModel(
      errors,
      path,
      body.model,
      "A row in a provider's own form is sent as it is, so it must name its model itself: --model does not apply to it."
    )
  }
}

const contentForm = "a string, or a list of content parts"

const checkContent = (errors: RowErrors, message: JsonObject, path: string): void => {
  const { content } = message
  if (Array.isArray(content) && content.length > 0) {
    const bad = content.findIndex((part) => !isTyped(part))
    if (bad === -1) return
    throw fault(errors, `${path}content[${bad}]`, content[bad], "an object with a \"type\", such as text or image_url")
  }
  const answers = [message.tool_calls, message.function_call, message.refusal, message.audio]
  const isAnswer = message.role === "assistant" && answers.some((answer) => answer !== undefined && answer !== null)
  if (!isAnswer || (content !== undefined && content !== null)) {
    throw fault(errors, `${path}content`, content, contentForm)
  }
}

const roles = ["system", "developer", "user", "assistant", "tool", "function"]
const roleSet = new Set<unknown>(roles)

/** The messages of a chat: a list, and not an empty one. */
export const messagesIn = (errors: RowErrors, value: unknown, path: string): ReadonlyArray<unknown> => {
  if (Array.isArray(value) && value.length > 0) return value
  throw fault(errors, `${path}messages`, value, "a list of at least one {\"role\", \"content\"}")
}

/** Checks each message of a chat, and tells whether one of them is a system message. */
export const hasSystem = (errors: RowErrors, messages: ReadonlyArray<unknown>, path: string): boolean => {
  let system = false
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index]
    if (!isJsonObject(message)) {
      throw fault(errors, `${path}messages[${index}]`, message, "an object: {\"role\", \"content\"}")
    }
    if (!roleSet.has(message.role)) {
      const near = typeof message.role === "string" ? nearestName(message.role, roles) : undefined
      const takes = near ?? "system, developer, user, assistant or tool"
      throw fault(errors, `${path}messages[${index}].role`, message.role, takes)
    }
    if (typeof message.content !== "string") checkContent(errors, message, `${path}messages[${index}].`)
    if (message.role === "system" || message.role === "developer") system = true
  }
  return system
}

/** Makes bodies of chats: from a row's own members, of which `path` is the place, and messages that were checked. */
export const makeChat = (errors: RowErrors, defaults: RequestDefaults) => {
  const parameters = chatParameters.map((parameter) => ({
    ...parameter,
    fallback: frozen(parameter.fallback(defaults))
  }))
  const ordered = new Set(["model", "messages", ...parameters.map((parameter) => parameter.name)])
  return (own: JsonObject, path: string, messages: ReadonlyArray<unknown>): Members => {
    const body: Members = { model: modelOf(errors, own, path, defaults.model), messages }
    for (const { accepts, fallback, name, takes } of parameters) {
      const value = own[name]
      // To say null is to say nothing: programs write it for what is not set.
      if (value !== undefined && value !== null) {
        if (!accepts(value)) throw fault(errors, `${path}${name}`, value, takes)
        body[name] = value
      } else if (fallback !== undefined && (name !== "max_tokens" || (own.max_completion_tokens ?? null) === null)) {
        body[name] = fallback
      }
    }
    for (const name in own) {
      if (!ordered.has(name)) setMember(body, name, own[name])
    }
    return body
  }
}

const isToken: Accepts = (value) => typeof value === "number" && Number.isSafeInteger(value) && value >= 0
const isEmbeddable: Accepts = (input) =>
  isText(input) || listOf(isText)(input) || listOf(isToken)(input) || listOf(listOf(isToken))(input)

/** Makes bodies of embeddings: from a row's own members, of which `path` is the place, and the input in `field`. */
export const makeEmbedding =
  (errors: RowErrors, defaults: RequestDefaults) =>
  (own: JsonObject, path: string, input: unknown, field: string): Members => {
    if (!isEmbeddable(input)) {
      throw fault(errors, field, input, "a string, a list of strings or a list of tokens, nothing of it empty")
    }
    const body: Members = { model: modelOf(errors, own, path, defaults.model), input }
    const dimensions = own.dimensions ?? defaults.dimensions
    if (dimensions !== undefined) {
      if (!isCount(dimensions)) throw fault(errors, `${path}dimensions`, dimensions, "a whole number above 0")
      body.dimensions = dimensions
    }
    for (const name in own) {
      if (name !== "model" && name !== "input" && name !== "dimensions") setMember(body, name, own[name])
    }
    return body
  }
