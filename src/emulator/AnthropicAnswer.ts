/**
 * Anthropic's answers to single messages.
 *
 * @since 0.1.0
 */
import * as Answer from "./Answer.js"
import * as AnthropicRequest from "./AnthropicRequest.js"
import * as Fingerprint from "./Fingerprint.js"
import { arrayAt, isArray, isObject, type Json, type JsonObject, numberAt, objectAt, stringAt } from "./Json.js"

/** What thinking costs, in tokens, where there is room for it. */
const thinkingTokens = 64

/**
 * The body of an error, as Anthropic words it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const errorBody = (type: string, message: string, requestId: string): JsonObject => ({
  type: "error",
  error: { type, message },
  request_id: requestId
})

const size = (value: Json | undefined): number =>
  value === undefined || value === null ? 0 : Answer.tokens(typeof value === "string" ? value : JSON.stringify(value))

/** The blocks that make up the prompt, in the order in which a cache sees them. */
const promptBlocks = (params: JsonObject): ReadonlyArray<Json> => {
  const spread = (content: Json | undefined): ReadonlyArray<Json> =>
    isArray(content) ? content : content === undefined || content === null ? [] : [content]
  return [
    ...arrayAt(params, "tools"),
    ...spread(params["system"]),
    ...arrayAt(params, "messages").flatMap((message) => isObject(message) ? spread(message["content"]) : [])
  ]
}

interface Prompt {
  readonly fresh: number
  readonly cached: number
  readonly hourly: boolean
}

/** Everything up to the last `cache_control` is cached, and the rest is not. */
const promptTokens = (params: JsonObject): Prompt => {
  let before = 0
  let cached = 0
  let hourly = false
  for (const block of promptBlocks(params)) {
    before += size(block)
    const control = isObject(block) ? block["cache_control"] : undefined
    if (isObject(control)) {
      cached = before
      hourly = stringAt(control, "ttl") === "1h"
    }
  }
  if (isObject(params["cache_control"])) {
    cached = before
    hourly = stringAt(params["cache_control"], "ttl") === "1h"
  }
  return { fresh: before - cached, cached, hourly }
}

const lastUserText = (params: JsonObject): string => {
  const users = arrayAt(params, "messages").filter((message) => stringAt(message, "role") === "user")
  const last = users.at(-1)
  return isObject(last) ? Answer.contentText(last["content"]) : ""
}

const forcedTool = (params: JsonObject): JsonObject | undefined => {
  const type = stringAt(params["tool_choice"], "type")
  const tools = arrayAt(params, "tools").filter(isObject)
  if (type === "any") return tools[0]
  const wanted = stringAt(params["tool_choice"], "name")
  return type === "tool" ? tools.find((tool) => stringAt(tool, "name") === wanted) : undefined
}

/**
 * The reply to the parameters of a message: the message, or the error that says why there is none.
 *
 * `variant` is added to the text of the answer, to get a second answer that differs from the first.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reply = (
  context: Answer.Context,
  params: JsonObject,
  circumstances: AnthropicRequest.Circumstances,
  variant = ""
): Answer.Reply => {
  const print = Fingerprint.make(context.seed, JSON.stringify(params) + variant)
  const requestId = `req_${print.hex(24)}`
  const problem = AnthropicRequest.validate(params, circumstances)
  if (problem !== undefined) {
    return {
      status: problem.type === "not_found_error" ? 404 : 400,
      requestId,
      body: errorBody(problem.type, problem.message, requestId),
      usage: Answer.noUsage
    }
  }
  const model = stringAt(params, "model") ?? ""
  const request: Answer.AnswerRequest = { provider: "anthropic", model, prompt: lastUserText(params), body: params }
  const cap = numberAt(params, "max_tokens") ?? 0
  const thinks = ["enabled", "adaptive"].includes(stringAt(params["thinking"], "type") ?? "")
  const reasoning = thinks ? Math.min(thinkingTokens, cap) : 0
  const tool = forcedTool(params)
  const schema = Answer.formatSchema(objectAt(objectAt(params, "output_config"), "format"))
  const stops = arrayAt(params, "stop_sequences").filter((each) => typeof each === "string")
  const stopped = Answer.stopped(tool === undefined ? Answer.text(context, request, schema) + variant : "", stops)
  const input = tool === undefined ? undefined : Answer.structured(context, request, tool["input_schema"] ?? {})
  const capped = Answer.capped(input === undefined ? stopped.text : JSON.stringify(input), cap - reasoning)
  const said: Json = input === undefined
    ? { type: "text", text: capped.text, citations: null }
    : {
      type: "tool_use",
      id: `toolu_${print.hex(24)}`,
      name: stringAt(tool, "name") ?? "",
      // What of the arguments is past the cap is lost.
      input: capped.cut ? {} : input,
      caller: { type: "direct" }
    }
  const prompt = promptTokens(params)
  const reads = prompt.cached > 0 && print.int(7, 2) === 1
  const written = reads ? 0 : prompt.cached
  const read = reads ? prompt.cached : 0
  const output = capped.tokens + reasoning
  const message: JsonObject = {
    id: `msg_${print.hex(24)}`,
    type: "message",
    role: "assistant",
    model,
    content: [
      ...(thinks
        ? [{
          type: "thinking",
          thinking: stringAt(params["thinking"], "display") === "omitted"
            ? ""
            : "What is asked for is clear; the answer follows.",
          signature: Buffer.from(print.hex(64)).toString("base64")
        }]
        : []),
      ...(capped.text === "" && thinks ? [] : [said])
    ],
    stop_reason: capped.cut
      ? "max_tokens"
      : input !== undefined
      ? "tool_use"
      : stopped.stop === null
      ? "end_turn"
      : "stop_sequence",
    stop_sequence: capped.cut ? null : stopped.stop,
    stop_details: null,
    container: null,
    diagnostics: null,
    usage: {
      input_tokens: prompt.fresh,
      cache_creation_input_tokens: written,
      cache_read_input_tokens: read,
      cache_creation: {
        ephemeral_5m_input_tokens: prompt.hourly ? 0 : written,
        ephemeral_1h_input_tokens: prompt.hourly ? written : 0
      },
      output_tokens: output,
      output_tokens_details: thinks ? { thinking_tokens: reasoning } : null,
      server_tool_use: null,
      service_tier: circumstances.batch ? "batch" : "standard",
      inference_geo: null,
      speed: null
    }
  }
  return {
    status: 200,
    requestId,
    body: message,
    usage: { input: prompt.fresh + prompt.cached, cacheRead: read, cacheWrite: written, output, reasoning }
  }
}
