/**
 * What Anthropic refuses in the parameters of a message.
 *
 * @since 0.1.0
 */
import { contentText } from "./Answer.js"
import {
  arrayAt,
  isArray,
  isInteger,
  isObject,
  type Json,
  type JsonObject,
  numberAt,
  objectAt,
  stringAt,
  worded
} from "./Json.js"

/**
 * What the rules depend on besides the parameters.
 *
 * @since 0.1.0
 * @category models
 */
export interface Circumstances {
  /** The beta headers of the call. */
  readonly betas: ReadonlySet<string>
  /** Whether it is a request of a batch. */
  readonly batch: boolean
}

/**
 * Why parameters are refused: the type and the message of Anthropic's error object.
 *
 * @since 0.1.0
 * @category models
 */
export interface Problem {
  readonly type: "invalid_request_error" | "not_found_error"
  readonly message: string
}

const invalid = (message: string): Problem => ({ type: "invalid_request_error", message })

const known = new Set(
  `max_tokens messages model cache_control container diagnostics inference_geo metadata output_config service_tier speed
  stop_sequences stream system temperature thinking tool_choice tools top_k top_p user_profile_id`.trim().split(/\s+/)
)

/** Fields that exist behind a beta header only. */
const behindBeta: { readonly [field: string]: string } = {
  context_management: "context-management-2025-06-27",
  mcp_servers: "mcp-client-2025-11-20"
}

/**
 * Which model names exist: all that begin with `claude-`, but for `claude-unknown`.
 *
 * @since 0.1.0
 * @category models
 */
export const modelExists = (model: string): boolean =>
  model.startsWith("claude-") && !model.startsWith("claude-unknown")

/**
 * What a model takes, from its name: `claude-opus-4-5-20251101` is Opus, generation 4.5.
 *
 * @since 0.1.0
 * @category models
 */
export interface Traits {
  readonly generation: number
  readonly thinks: boolean
  readonly budget: boolean
  readonly adaptive: boolean
  readonly sampling: boolean
  readonly effort: "yes" | "beta" | "no"
  readonly maxTokens: number
}

/**
 * @since 0.1.0
 * @category models
 */
export const traits = (model: string): Traits => {
  const modern = /^claude-([a-z]+)-(\d+)(?:-(\d{1,2}))?(?:-\d{8})?$/.exec(model)
  const old = /^claude-(\d+)(?:-(\d))?-([a-z]+)/.exec(model)
  const family = modern?.[1] ?? old?.[3] ?? ""
  const generation = modern !== null
    ? Number(modern[2]) + Number(modern[3] ?? 0) / 10
    : old !== null
    ? Number(old[1]) + Number(old[2] ?? 0) / 10
    : 5
  const adaptive = generation >= 4.6
  return {
    generation,
    thinks: generation >= 3.7,
    budget: generation >= 3.7 && generation < (family === "opus" ? 4.6 : 5),
    adaptive,
    sampling: generation <= 4.6,
    effort: adaptive ? "yes" : family === "opus" && generation === 4.5 ? "beta" : "no",
    maxTokens: generation < 3.5
      ? 4_096
      : generation < 3.7
      ? 8_192
      : generation < 4.5 && family === "opus"
      ? 32_000
      : 128_000
  }
}

const blockTypes = new Set<string | undefined>(
  `text image document tool_use tool_result thinking redacted_thinking search_result server_tool_use
  web_search_tool_result web_fetch_tool_result code_execution_tool_result bash_code_execution_tool_result
  text_editor_code_execution_tool_result tool_search_tool_result container_upload mid_conv_system compaction tool_reference
  tool_addition tool_removal`.trim().split(/\s+/)
)

const blocks = (
  content: ReadonlyArray<Json>,
  at: string,
  types: ReadonlySet<string | undefined>
): Problem | undefined => {
  for (const [index, block] of content.entries()) {
    if (!isObject(block)) return invalid(`${at}.${index}: Input should be an object`)
    if (!types.has(stringAt(block, "type"))) {
      return invalid(
        `${at}.${index}: Input tag '${
          worded(block["type"])
        }' found using 'type' does not match any of the expected tags`
      )
    }
    if (block["type"] === "text") {
      if (typeof block["text"] !== "string") return invalid(`${at}.${index}.text: Field required`)
      if (block["text"].trim() === "") return invalid(`${at}: text content blocks must contain non-whitespace text`)
    }
  }
  return undefined
}

const messages = (value: Json | undefined): Problem | undefined => {
  if (value === undefined) return invalid("messages: Field required")
  if (!isArray(value)) return invalid("messages: Input should be a valid list")
  if (value.length === 0) return invalid("messages: at least one message is required")
  for (const [index, message] of value.entries()) {
    const at = `messages.${index}`
    if (!isObject(message)) return invalid(`${at}: Input should be an object`)
    const role = message["role"]
    if (role !== "user" && role !== "assistant" && role !== "system") {
      return invalid(`${at}.role: Input should be 'user', 'assistant' or 'system'`)
    }
    const content = message["content"]
    if (content === undefined) return invalid(`${at}.content: Field required`)
    const last = index === value.length - 1
    if (typeof content === "string") {
      if (content === "" && !(last && role === "assistant")) {
        return invalid(
          `${at}: all messages must have non-empty content except for the optional final assistant message`
        )
      }
    } else if (isArray(content)) {
      const found = blocks(content, `${at}.content`, blockTypes)
      if (found !== undefined) return found
      if (content.length === 0) return invalid(`${at}: all messages must have non-empty content`)
    } else return invalid(`${at}.content: Input should be a valid string or a valid list`)
    if (last && role === "assistant" && /\s$/.test(contentText(content))) {
      return invalid("messages: final assistant content cannot end with trailing whitespace")
    }
  }
  return value.some((message) => stringAt(message, "role") === "user")
    ? undefined
    : invalid("messages: at least one user message is required")
}

const thinking = (params: JsonObject, model: string, maxTokens: number): Problem | undefined => {
  const config = params["thinking"]
  if (config === undefined || config === null) return undefined
  const type = stringAt(config, "type")
  const rules = traits(model)
  if (type === "disabled" || type === "between_tools") return undefined
  if (type !== "enabled" && type !== "adaptive") {
    return invalid(
      "thinking: Input tag does not match any of the expected tags: 'adaptive', 'between_tools', 'disabled', 'enabled'"
    )
  }
  if (!rules.thinks) return invalid("thinking: this model does not support thinking")
  if (type === "adaptive" && !rules.adaptive)
    return invalid("thinking: adaptive thinking is not supported on this model")
  if (type === "enabled") {
    if (!rules.budget) {
      return invalid(
        "thinking.type: 'enabled' is not supported for this model. Use 'adaptive' and output_config.effort instead."
      )
    }
    const budget = numberAt(config, "budget_tokens")
    if (budget === undefined) return invalid("thinking.enabled.budget_tokens: Field required")
    if (budget < 1024) return invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if (budget >= maxTokens) return invalid("`max_tokens` must be greater than `thinking.budget_tokens`")
  }
  const temperature = numberAt(params, "temperature")
  if (temperature !== undefined && temperature !== 1)
    return invalid("`temperature` may only be set to 1 when thinking is enabled")
  if (params["top_k"] !== undefined) return invalid("`top_k` must be unset when thinking is enabled")
  const topP = numberAt(params, "top_p")
  if (topP !== undefined && (topP < 0.95 || topP > 1)) {
    return invalid("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled")
  }
  const choice = stringAt(params["tool_choice"], "type")
  return choice === "any" || choice === "tool"
    ? invalid("Thinking may not be enabled when tool_choice forces tool use.")
    : undefined
}

const sampling = (params: JsonObject, model: string): Problem | undefined => {
  for (const name of ["temperature", "top_p"]) {
    const value = params[name]
    if (value === undefined || value === null) continue
    if (typeof value !== "number") return invalid(`${name}: Input should be a valid number`)
    if (value < 0) return invalid(`${name}: Input should be greater than or equal to 0`)
    if (value > 1) return invalid(`${name}: Input should be less than or equal to 1`)
  }
  if (params["top_k"] !== undefined && !isInteger(params["top_k"]))
    return invalid("top_k: Input should be a valid integer")
  if (traits(model).sampling) return undefined
  const temperature = numberAt(params, "temperature")
  if (temperature !== undefined && temperature !== 1) return invalid("`temperature` is not supported for this model")
  const topP = numberAt(params, "top_p")
  if (topP !== undefined && topP !== 1) return invalid("`top_p` is not supported for this model")
  return params["top_k"] === undefined ? undefined : invalid("`top_k` is not supported for this model")
}

const efforts = new Set<Json | undefined>(["low", "medium", "high", "xhigh", "max"])

const outputConfig = (params: JsonObject, model: string, betas: ReadonlySet<string>): Problem | undefined => {
  const config = params["output_config"]
  if (config === undefined || config === null) return undefined
  if (!isObject(config)) return invalid("output_config: Input should be an object")
  const stranger = Object.keys(config).find((key) => key !== "effort" && key !== "format")
  if (stranger !== undefined) return invalid(`output_config.${stranger}: Extra inputs are not permitted`)
  const effort = config["effort"]
  if (effort !== undefined && effort !== null) {
    if (!efforts.has(effort))
      return invalid("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    const support = traits(model).effort
    if (support === "no" || (support === "beta" && !betas.has("effort-2025-11-24"))) {
      return invalid("output_config.effort: This model does not support the effort parameter.")
    }
  }
  const format = config["format"]
  if (format === undefined || format === null) return undefined
  if (stringAt(format, "type") !== "json_schema")
    return invalid("output_config.format.type: Input should be 'json_schema'")
  if (!isObject(objectAt(config, "format")["schema"])) return invalid("output_config.format.schema: Field required")
  return closed(objectAt(config, "format")["schema"])
    ? undefined
    : invalid("output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false")
}

/** Whether every object of a schema says that it has no further members. */
const closed = (schema: Json | undefined): boolean => {
  if (!isObject(schema)) return true
  if (stringAt(schema, "type") === "object" && schema["additionalProperties"] !== false) return false
  return [
    ...Object.values(objectAt(schema, "properties")),
    ...Object.values(objectAt(schema, "$defs")),
    schema["items"],
    ...arrayAt(schema, "anyOf")
  ].every(closed)
}

const tools = (params: JsonObject): Problem | undefined => {
  const names = new Set<string>()
  for (const [index, tool] of arrayAt(params, "tools").entries()) {
    const name = stringAt(tool, "name")
    const type = stringAt(tool, "type")
    if (name === undefined) return invalid(`tools.${index}.custom.name: Field required`)
    if (!/^[a-zA-Z0-9_-]{1,128}$/.test(name))
      return invalid(`tools.${index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'`)
    if (names.has(name)) return invalid("tools: Tool names must be unique.")
    names.add(name)
    if ((type === undefined || type === "custom") && stringAt(objectAt(tool, "input_schema"), "type") !== "object") {
      return invalid(`tools.${index}.custom.input_schema.type: Field required`)
    }
  }
  const choice = stringAt(params["tool_choice"], "type")
  if (choice === undefined)
    return params["tool_choice"] === undefined
      ? undefined
      : invalid("tool_choice: Input should be an object")
  if (choice !== "auto" && choice !== "none" && names.size === 0)
    return invalid("tool_choice may only be specified while providing tools.")
  const wanted = stringAt(params["tool_choice"], "name")
  return choice === "tool" && (wanted === undefined || !names.has(wanted))
    ? invalid(`Tool '${String(wanted)}' not found in provided tools`)
    : undefined
}

const system = (value: Json | undefined): Problem | undefined => {
  if (value === undefined || value === null || typeof value === "string") return undefined
  return isArray(value)
    ? blocks(value, "system", new Set(["text"]))
    : invalid("system: Input should be a valid string or a valid list")
}

const stops = (value: Json | undefined): Problem | undefined => {
  if (value === undefined || value === null) return undefined
  if (!isArray(value)) return invalid("stop_sequences: Input should be a valid list")
  return value.some((each) => typeof each !== "string" || each.trim() === "")
    ? invalid("stop_sequences: each stop sequence must contain non-whitespace")
    : undefined
}

/**
 * Why the parameters of a message are refused, or `undefined` when they are accepted.
 *
 * @since 0.1.0
 * @category validation
 */
export const validate = (params: JsonObject, { batch, betas }: Circumstances): Problem | undefined => {
  const model = params["model"]
  if (model === undefined) return invalid("model: Field required")
  if (typeof model !== "string") return invalid("model: Input should be a valid string")
  const stranger = Object.keys(params).find((key) => !known.has(key) && !betas.has(behindBeta[key] ?? ""))
  if (stranger !== undefined) return invalid(`${stranger}: Extra inputs are not permitted`)
  const maxTokens = params["max_tokens"]
  if (maxTokens === undefined) return invalid("max_tokens: Field required")
  if (!isInteger(maxTokens)) return invalid("max_tokens: Input should be a valid integer")
  if (maxTokens < (batch ? 1 : 0)) return invalid(`max_tokens: must be >= ${batch ? 1 : 0}`)
  if (batch && params["stream"] === true) return invalid("stream: streaming is not supported in batches")
  if (!modelExists(model)) return { type: "not_found_error", message: `model: ${model}` }
  const most = traits(model).maxTokens
  if (maxTokens > most) {
    return invalid(
      `max_tokens: ${maxTokens} > ${most}, which is the maximum allowed number of output tokens for ${model}`
    )
  }
  return messages(params["messages"]) ?? system(params["system"]) ?? stops(params["stop_sequences"]) ??
    thinking(params, model, maxTokens) ?? sampling(params, model) ?? outputConfig(params, model, betas) ?? tools(params)
}
