/**
 * OpenAI's answers to single requests: Responses, Chat Completions, Embeddings.
 *
 * @since 0.1.0
 */
import * as Answer from "./Answer.js"
import * as Fingerprint from "./Fingerprint.js"
import { arrayAt, isObject, type Json, type JsonObject, numberAt, objectAt, stringAt } from "./Json.js"
import * as OpenAiRequest from "./OpenAiRequest.js"

/** What a reasoning model thinks, in tokens. */
const reasoningTokens = 64

/**
 * The body of an error, as OpenAI words it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const errorBody = (message: string, type: string, param: string | null, code: string | null): JsonObject => ({
  error: { message, type, param, code }
})

/** The fully dated name under which a model answers: the name itself, where it is dated or not OpenAI's. */
const snapshot = (model: string): string =>
  /^(gpt|o\d)/.test(model) && !/\d{4}-\d{2}-\d{2}$/.test(model) ? `${model}-2026-01-01` : model

interface Forced {
  readonly name: string
  readonly parameters: Json
}

/** The function that `tool_choice` forces, in the form of either endpoint. */
const forcedTool = (body: JsonObject): Forced | undefined => {
  const choice = body["tool_choice"]
  const tools = arrayAt(body, "tools").filter(isObject).filter((tool) => stringAt(tool, "type") === "function")
  const define = (tool: JsonObject): JsonObject => isObject(tool["function"]) ? tool["function"] : tool
  const wanted = isObject(choice) ? stringAt(define(choice), "name") : undefined
  const tool = choice === "required" ? tools[0] : tools.find((each) => stringAt(define(each), "name") === wanted)
  if (tool === undefined || (choice !== "required" && wanted === undefined)) return undefined
  return { name: stringAt(define(tool), "name") ?? "", parameters: define(tool)["parameters"] ?? {} }
}

const lastUserText = (messages: ReadonlyArray<Json>): string => {
  for (let i = messages.length - 1; i >= 0; i--) {
    const message = messages[i]
    if (isObject(message) && stringAt(message, "role") === "user") return Answer.contentText(message["content"])
  }
  return ""
}

const inputTokens = (...parts: ReadonlyArray<Json | undefined>): number =>
  parts.reduce<number>(
    (total, part) =>
      part === undefined || part === null
        ? total
        : total + (typeof part === "string" ? Answer.tokens(part) : Answer.tokens(JSON.stringify(part))),
    0
  )

/** Tool and format definitions are part of the prompt, and of what it costs. */
const promptTokens = (body: JsonObject): number =>
  inputTokens(
    body["messages"],
    body["input"],
    body["instructions"],
    body["tools"],
    body["response_format"],
    body["text"]
  )

interface Drawn {
  readonly text: string
  readonly forced: Forced | undefined
  readonly arguments: string
  readonly output: number
  readonly reasoning: number
  readonly cut: boolean
}

/** What the model produces within its cap: thinking first, then the text or the arguments of a forced tool. */
const draw = (
  context: Answer.Context,
  request: Answer.AnswerRequest,
  format: JsonObject,
  stops: ReadonlyArray<string>,
  cap: number,
  variant: string
): Drawn => {
  const thinking = OpenAiRequest.reasons(request.model) ? reasoningTokens : 0
  const reasoning = Math.min(thinking, cap)
  const forced = forcedTool(request.body)
  const whole = forced === undefined
    ? Answer.stopped(Answer.text(context, request, Answer.formatSchema(format)) + variant, stops).text
    : JSON.stringify(Answer.structured(context, request, forced.parameters))
  const capped = cap <= reasoning ? { text: "", tokens: 0, cut: true } : Answer.capped(whole, cap - reasoning)
  return {
    text: forced === undefined ? capped.text : "",
    forced,
    arguments: forced === undefined ? "" : capped.text,
    output: capped.tokens + reasoning,
    reasoning,
    cut: capped.cut
  }
}

const request = (body: JsonObject, prompt: string): Answer.AnswerRequest => ({
  provider: "openai",
  model: stringAt(body, "model") ?? "",
  prompt,
  body
})

const capOf = (body: JsonObject, ...names: ReadonlyArray<string>): number =>
  names.map((name) => numberAt(body, name)).find((value) => value !== undefined) ?? 128_000

const chat = (context: Answer.Context, body: JsonObject, print: Fingerprint.Fingerprint, variant: string) => {
  const asked = request(body, lastUserText(arrayAt(body, "messages")))
  const stop = body["stop"]
  const stops = typeof stop === "string" ? [stop] : arrayAt(body, "stop").filter((each) => typeof each === "string")
  const drawn = draw(
    context,
    asked,
    objectAt(body, "response_format"),
    stops,
    capOf(body, "max_completion_tokens", "max_tokens"),
    variant
  )
  const choices = Array.from({ length: numberAt(body, "n") ?? 1 }, (_, index): Json => ({
    index,
    message: {
      role: "assistant",
      content: drawn.forced === undefined ? drawn.text : null,
      refusal: null,
      annotations: [],
      ...(drawn.forced === undefined ? {} : {
        tool_calls: [{
          id: `call_${print.hex(24)}`,
          type: "function",
          function: { name: drawn.forced.name, arguments: drawn.arguments }
        }]
      })
    },
    logprobs: null,
    finish_reason: drawn.cut
      ? "length"
      : drawn.forced === undefined || isObject(body["tool_choice"])
      ? "stop"
      : "tool_calls"
  }))
  const input = promptTokens(body)
  const output = drawn.output * choices.length
  const answer: JsonObject = {
    id: `chatcmpl-${print.hex(29)}`,
    object: "chat.completion",
    created: Answer.createdAt(print),
    model: snapshot(asked.model),
    choices,
    usage: {
      prompt_tokens: input,
      completion_tokens: output,
      total_tokens: input + output,
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: {
        reasoning_tokens: drawn.reasoning * choices.length,
        audio_tokens: 0,
        accepted_prediction_tokens: 0,
        rejected_prediction_tokens: 0
      }
    },
    service_tier: "default",
    system_fingerprint: `fp_${print.hex(10)}`
  }
  return { answer, usage: { ...Answer.noUsage, input, output, reasoning: drawn.reasoning * choices.length } }
}

const responses = (context: Answer.Context, body: JsonObject, print: Fingerprint.Fingerprint, variant: string) => {
  const prompt = typeof body["input"] === "string" ? body["input"] : lastUserText(arrayAt(body, "input"))
  const asked = request(body, prompt)
  const drawn = draw(
    context,
    asked,
    objectAt(objectAt(body, "text"), "format"),
    [],
    capOf(body, "max_output_tokens"),
    variant
  )
  const reasons = drawn.reasoning > 0
  const status = drawn.cut ? "incomplete" : "completed"
  const item: Json = drawn.forced === undefined
    ? {
      id: `msg_${print.hex(48)}`,
      type: "message",
      status,
      content: [{ type: "output_text", annotations: [], logprobs: [], text: drawn.text }],
      role: "assistant"
    }
    : {
      id: `fc_${print.hex(48)}`,
      type: "function_call",
      status,
      arguments: drawn.arguments,
      call_id: `call_${print.hex(24)}`,
      name: drawn.forced.name
    }
  const said = drawn.text !== "" || drawn.arguments !== ""
  const input = promptTokens(body)
  const created = Answer.createdAt(print)
  const answer: JsonObject = {
    id: `resp_${print.hex(48)}`,
    object: "response",
    created_at: created,
    status,
    background: false,
    completed_at: drawn.cut ? null : created + 1,
    error: null,
    incomplete_details: drawn.cut ? { reason: "max_output_tokens" } : null,
    instructions: body["instructions"] ?? null,
    max_output_tokens: body["max_output_tokens"] ?? null,
    max_tool_calls: null,
    model: snapshot(asked.model),
    output: [
      ...(reasons ? [{ id: `rs_${print.hex(48)}`, type: "reasoning", summary: [] }] : []),
      ...(said || !reasons ? [item] : [])
    ],
    parallel_tool_calls: body["parallel_tool_calls"] ?? true,
    previous_response_id: body["previous_response_id"] ?? null,
    reasoning: { effort: stringAt(body["reasoning"], "effort") ?? (reasons ? "medium" : null), summary: null },
    service_tier: "default",
    store: body["store"] ?? true,
    temperature: body["temperature"] ?? 1,
    text: body["text"] ?? { format: { type: "text" }, verbosity: "medium" },
    tool_choice: body["tool_choice"] ?? "auto",
    tools: arrayAt(body, "tools"),
    top_logprobs: 0,
    top_p: body["top_p"] ?? 1,
    truncation: "disabled",
    usage: {
      input_tokens: input,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: drawn.output,
      output_tokens_details: { reasoning_tokens: drawn.reasoning },
      total_tokens: input + drawn.output
    },
    user: body["user"] ?? null,
    metadata: body["metadata"] ?? {}
  }
  return { answer, usage: { ...Answer.noUsage, input, output: drawn.output, reasoning: drawn.reasoning } }
}

/** A unit vector drawn from the input; a real one would be as meaningless to a test. */
const vector = (seed: number, input: Json, dimensions: number): Float32Array => {
  const values = new Float32Array(dimensions)
  let print = Fingerprint.make(seed, JSON.stringify(input))
  let norm = 0
  for (let i = 0; i < dimensions; i++) {
    if (i > 0 && i % 8 === 0) print = Fingerprint.make(seed + i, print.hex(64))
    const value = print.int(i % 8, 2001) / 1000 - 1
    values[i] = value
    norm += value * value
  }
  return values.map((value) => value / Math.sqrt(norm || 1))
}

const embeddings = (context: Answer.Context, body: JsonObject) => {
  const model = stringAt(body, "model") ?? ""
  const dimensions = numberAt(body, "dimensions") ?? (model.includes("large") ? 3072 : 1536)
  const inputs = OpenAiRequest.embeddingInputs(body)
  const base64 = stringAt(body, "encoding_format") === "base64"
  const input = inputs.reduce<number>(
    (total, each) => total + (typeof each === "string" ? Answer.tokens(each) : Array.isArray(each) ? each.length : 1),
    0
  )
  const answer: JsonObject = {
    object: "list",
    data: inputs.map((each, index) => {
      const values = vector(context.seed, each, dimensions)
      return {
        object: "embedding",
        index,
        embedding: base64
          ? Buffer.from(values.buffer).toString("base64")
          : Array.from(values, (value) => Number(value.toFixed(8)))
      }
    }),
    model,
    usage: { prompt_tokens: input, total_tokens: input }
  }
  return { answer, usage: { ...Answer.noUsage, input } }
}

/**
 * The reply of an endpoint to a body: the answer, or the error that says why there is none.
 *
 * `variant` is added to the text of the answer, to get a second answer that differs from the first.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reply = (
  context: Answer.Context,
  endpoint: OpenAiRequest.Endpoint,
  body: JsonObject,
  variant = ""
): Answer.Reply => {
  const print = Fingerprint.make(context.seed, JSON.stringify(body) + variant)
  const requestId = `req_${print.hex(32)}`
  const problem = OpenAiRequest.validate(endpoint, body)
  if (problem !== undefined) {
    return {
      status: problem.code === "model_not_found" ? 404 : 400,
      requestId,
      body: errorBody(problem.message, "invalid_request_error", problem.param, problem.code),
      usage: Answer.noUsage
    }
  }
  const { answer, usage } = endpoint === "/v1/responses"
    ? responses(context, body, print, variant)
    : endpoint === "/v1/chat/completions"
    ? chat(context, body, print, variant)
    : embeddings(context, body)
  return { status: 200, requestId, body: answer, usage }
}
