/**
 * What OpenAI refuses in the body of a request to `/v1/responses`, `/v1/chat/completions` or `/v1/embeddings`.
 *
 * @since 0.1.0
 */
import {
  arrayAt,
  isArray,
  isInteger,
  isObject,
  type Json,
  type JsonObject,
  objectAt,
  stringAt,
  worded
} from "./Json.js"

/**
 * The endpoints that the emulator answers, in batches and directly.
 *
 * @since 0.1.0
 * @category models
 */
export const endpoints = ["/v1/responses", "/v1/chat/completions", "/v1/embeddings"] as const

/**
 * @since 0.1.0
 * @category models
 */
export type Endpoint = (typeof endpoints)[number]

/**
 * @since 0.1.0
 * @category guards
 */
export const isEndpoint = (value: Json | undefined): value is Endpoint =>
  endpoints.some((endpoint) => endpoint === value)

/**
 * Why a body is refused: the members of OpenAI's error object.
 *
 * @since 0.1.0
 * @category models
 */
export interface Problem {
  readonly message: string
  readonly param: string | null
  readonly code: string | null
}

const problem = (message: string, param: string | null, code: string): Problem => ({ message, param, code })

const words = (text: string) => new Set(text.trim().split(/\s+/))

const known: { readonly [endpoint in Endpoint]: ReadonlySet<string> } = {
  "/v1/responses": words(`background context_management conversation include input instructions max_output_tokens
    max_tool_calls metadata model moderation parallel_tool_calls previous_response_id prompt prompt_cache_key
    prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store stream stream_options
    temperature text tool_choice tools top_logprobs top_p truncation user`),
  "/v1/chat/completions": words(`messages model audio frequency_penalty function_call functions logit_bias logprobs
    max_completion_tokens max_tokens metadata modalities moderation n parallel_tool_calls prediction presence_penalty
    prompt_cache_key prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier
    seed service_tier stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity
    web_search_options`),
  "/v1/embeddings": words("input model dimensions encoding_format user")
}

/**
 * Which model names exist: OpenAI's own families and any other name, so that a server behind a compatible API can be
 * played too, but for names that begin with `claude` or `unknown-`, and `no-such-model`.
 *
 * @since 0.1.0
 * @category models
 */
export const modelExists = (model: string): boolean => model !== "" && !/^(claude|unknown-|no-such-model)/.test(model)

/**
 * Whether a model reasons before it answers, and so refuses sampling parameters.
 *
 * @since 0.1.0
 * @category models
 */
export const reasons = (model: string): boolean => /^(o\d|gpt-5)/.test(model) && !/^gpt-5[\w.]*-chat/.test(model)

/**
 * The error of a model that does not exist.
 *
 * @since 0.1.0
 * @category models
 */
export const modelNotFound = (model: string): Problem =>
  problem(`The model \`${model}\` does not exist or you do not have access to it.`, null, "model_not_found")

const missing = (name: string) => problem(`Missing required parameter: '${name}'.`, name, "missing_required_parameter")

const kind = (value: Json): string =>
  value === null ? "null" : isArray(value) ? "an array" : typeof value === "object" ? "an object" : `a ${typeof value}`

const wrongType = (name: string, wanted: string, value: Json) =>
  problem(`Invalid type for '${name}': expected ${wanted}, but got ${kind(value)} instead.`, name, "invalid_type")

const range = (body: JsonObject, name: string, low: number, high: number): Problem | undefined => {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  if (typeof value !== "number") return wrongType(name, "a decimal", value)
  if (value < low) {
    return problem(
      `Invalid '${name}': decimal below minimum value. Expected a value >= ${low}, but got ${value} instead.`,
      name,
      "decimal_below_min_value"
    )
  }
  if (value > high) {
    return problem(
      `Invalid '${name}': decimal above maximum value. Expected a value <= ${high}, but got ${value} instead.`,
      name,
      "decimal_above_max_value"
    )
  }
  return undefined
}

const atLeast = (body: JsonObject, name: string, low: number): Problem | undefined => {
  const value = body[name]
  if (value === undefined || value === null) return undefined
  if (!isInteger(value)) return wrongType(name, "an integer", value)
  return value >= low ? undefined : problem(
    `Invalid '${name}': integer below minimum value. Expected a value >= ${low}, but got ${value} instead.`,
    name,
    "integer_below_min_value"
  )
}

const fixedToDefault = (body: JsonObject, name: string): Problem | undefined => {
  const value = body[name]
  return value === undefined || value === null || value === 1 ? undefined : problem(
    `Unsupported value: '${name}' does not support ${JSON.stringify(value)} with this model. ` +
      "Only the default (1) value is supported.",
    name,
    "unsupported_value"
  )
}

const unsupported = (body: JsonObject, name: string, hint: string): Problem | undefined =>
  body[name] === undefined || body[name] === null
    ? undefined
    : problem(
      `Unsupported parameter: '${name}' is not supported with this model.${hint}`,
      name,
      "unsupported_parameter"
    )

/**
 * Whether metadata keeps the documented limits: 16 pairs, keys of 64 and values of 512 characters.
 *
 * @since 0.1.0
 * @category validation
 */
export const metadata = (value: Json | undefined): Problem | undefined => {
  if (value === undefined || value === null) return undefined
  if (!isObject(value)) return wrongType("metadata", "an object", value)
  const entries = Object.entries(value)
  if (entries.length > 16) {
    return problem(
      `Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an object with ${entries.length} properties instead.`,
      "metadata",
      "object_above_max_properties"
    )
  }
  for (const [key, item] of entries) {
    if (key.length > 64) {
      return problem(
        `Invalid 'metadata': property name too long. Expected a name with maximum length 64, but got one with length ${key.length} instead.`,
        "metadata",
        "property_name_above_max_length"
      )
    }
    if (typeof item !== "string") return wrongType(`metadata.${key}`, "a string", item)
    if (item.length > 512) {
      return problem(
        `Invalid 'metadata.${key}': string too long. Expected a string with maximum length 512, but got a string with length ${item.length} instead.`,
        `metadata.${key}`,
        "string_above_max_length"
      )
    }
  }
  return undefined
}

/** A strict schema names every property as required, and allows no others. */
const strictSchema = (schema: Json | undefined, name: string, param: string, path: string): Problem | undefined => {
  if (!isObject(schema)) return undefined
  const properties = objectAt(schema, "properties")
  const fault = (what: string) =>
    problem(`Invalid schema for response_format '${name}': In context=(${path}), ${what}`, param, "invalid_json_schema")
  if (stringAt(schema, "type") === "object") {
    if (schema["additionalProperties"] !== false) {
      return fault("'additionalProperties' is required to be supplied and to be false.")
    }
    const required = arrayAt(schema, "required")
    const absent = Object.keys(properties).find((key) => !required.includes(key))
    if (absent !== undefined) {
      return fault(
        `'required' is required to be supplied and to be an array including every key in properties. Missing '${absent}'.`
      )
    }
  }
  for (const [key, child] of Object.entries(properties)) {
    const found = strictSchema(child, name, param, `${path}'properties', '${key}'`)
    if (found !== undefined) return found
  }
  return strictSchema(schema["items"], name, param, `${path}'items'`)
}

const format = (value: JsonObject, definition: JsonObject, param: string): Problem | undefined => {
  if (stringAt(value, "type") !== "json_schema") return undefined
  const name = stringAt(definition, "name")
  if (name === undefined) return missing(`${param}.name`)
  if (!/^[a-zA-Z0-9_-]{1,64}$/.test(name)) {
    return problem(
      `Invalid '${param}.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.`,
      `${param}.name`,
      "invalid_value"
    )
  }
  if (!isObject(definition["schema"])) return missing(`${param}.schema`)
  return definition["strict"] === true ? strictSchema(definition["schema"], name, param, "") : undefined
}

const roles = new Set<Json | undefined>(["system", "developer", "user", "assistant", "tool", "function"])

const chatMessages = (messages: Json | undefined): Problem | undefined => {
  if (messages === undefined) return missing("messages")
  if (!isArray(messages)) return wrongType("messages", "an array of objects", messages)
  if (messages.length === 0) {
    return problem(
      "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
      "messages",
      "empty_array"
    )
  }
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`
    if (!isObject(message)) return wrongType(at, "an object", message)
    if (message["role"] === undefined) return missing(`${at}.role`)
    if (!roles.has(message["role"])) {
      return problem(
        `Invalid value: '${
          worded(message["role"])
        }'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.`,
        `${at}.role`,
        "invalid_value"
      )
    }
    const content = message["content"]
    if (content === undefined && message["role"] !== "assistant") return missing(`${at}.content`)
    if (typeof content === "number" || typeof content === "boolean" || isObject(content)) {
      return problem(
        `Invalid type for '${at}.content': expected one of a string or array of objects, but got ${
          kind(content)
        } instead.`,
        `${at}.content`,
        "invalid_type"
      )
    }
  }
  return undefined
}

const chat = (body: JsonObject, model: string): Problem | undefined => {
  const stop = body["stop"]
  return chatMessages(body["messages"]) ??
    (reasons(model)
      ? unsupported(body, "max_tokens", " Use 'max_completion_tokens' instead.") ??
        fixedToDefault(body, "temperature") ?? fixedToDefault(body, "top_p") ?? unsupported(body, "stop", "") ??
        unsupported(body, "logit_bias", "")
      : unsupported(body, "reasoning_effort", "")) ??
    atLeast(body, "max_tokens", 1) ?? atLeast(body, "max_completion_tokens", 1) ?? atLeast(body, "n", 1) ??
    (isArray(stop) && stop.length > 4
      ? problem(
        `Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length ${stop.length} instead.`,
        "stop",
        "array_above_max_length"
      )
      : undefined) ??
    format(
      objectAt(body, "response_format"),
      objectAt(objectAt(body, "response_format"), "json_schema"),
      "response_format"
    )
}

const responses = (body: JsonObject, model: string): Problem | undefined => {
  const input = body["input"]
  const textFormat = objectAt(objectAt(body, "text"), "format")
  if (input === undefined && body["prompt"] === undefined && body["previous_response_id"] === undefined)
    return missing("input")
  if (input !== undefined && typeof input !== "string" && !isArray(input)) {
    return wrongType("input", "one of a string or array of objects", input)
  }
  return (reasons(model)
    ? fixedToDefault(body, "temperature") ?? fixedToDefault(body, "top_p")
    : unsupported(body, "reasoning", "")) ??
    atLeast(body, "max_output_tokens", 16) ??
    format(textFormat, textFormat, "text.format")
}

const embeddings = (body: JsonObject): Problem | undefined => {
  const input = body["input"]
  if (input === undefined || input === null) return missing("input")
  if (input === "" || (isArray(input) && (input.length === 0 || input.includes("")))) {
    return problem(
      "'$.input' is invalid. Please check the API reference: https://example.com/embeddings.",
      null,
      "invalid_value"
    )
  }
  if (isArray(input) && input.length > 2048) {
    return problem(
      `Invalid 'input': array too long. Expected an array with maximum length 2048, but got an array with length ${input.length} instead.`,
      "input",
      "array_above_max_length"
    )
  }
  return atLeast(body, "dimensions", 1)
}

/**
 * Why a body is refused by an endpoint, or `undefined` when it is accepted.
 *
 * @since 0.1.0
 * @category validation
 */
export const validate = (endpoint: Endpoint, body: JsonObject): Problem | undefined => {
  const model = body["model"]
  if (model === undefined) return problem("you must provide a model parameter", "model", "missing_required_parameter")
  if (typeof model !== "string") return wrongType("model", "a string", model)
  if (!modelExists(model)) return modelNotFound(model)
  const stranger = Object.keys(body).find((key) => !known[endpoint].has(key))
  if (stranger !== undefined) return problem(`Unknown parameter: '${stranger}'.`, stranger, "unknown_parameter")
  return range(body, "temperature", 0, 2) ?? range(body, "top_p", 0, 1) ??
    (endpoint === "/v1/embeddings" ? undefined : metadata(body["metadata"])) ??
    (endpoint === "/v1/responses"
      ? responses(body, model)
      : endpoint === "/v1/chat/completions"
      ? chat(body, model)
      : embeddings(body))
}

/**
 * How many inputs the body of an embeddings request has.
 *
 * @since 0.1.0
 * @category accessors
 */
export const embeddingInputs = (body: JsonObject): ReadonlyArray<Json> => {
  const input = body["input"]
  if (!isArray(input)) return [input ?? ""]
  return typeof input[0] === "number" ? [input] : input
}
