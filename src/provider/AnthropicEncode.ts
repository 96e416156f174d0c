/**
 * Requests as rows of an Anthropic message batch: `{"custom_id": ..., "params": {...}}`.
 *
 * A chat body is translated field by field, in a fixed order, so that equal requests are equal bytes. Fields that only
 * Anthropic's Messages API has (`top_k`, `thinking`, `cache_control`, `container`, ...) go through as they are. What has
 * no counterpart, or what the model does not take, is an `UnsupportedField`: nothing is dropped silently. Fields that
 * are `null`, or say what is so anyway (`n: 1`, `stream: false`), are as good as absent.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { AnswerFormat } from "../AnswerSchema.js"
import { UnsupportedField } from "../InputError.js"
import { AlikeBodies, type Frame, frameOf } from "../internal/AlikeBodies.js"
import * as AnswerInstruction from "../internal/AnswerInstruction.js"
import * as JsonText from "../internal/JsonText.js"
import { quoted } from "../internal/JsonText.js"
import * as ParameterCheck from "../internal/ParameterCheck.js"
import * as PlainChat from "../internal/PlainChat.js"
import type { Accepts } from "../Model.js"
import type { WireRow } from "../Provider.js"
import { isJsonObject, type JsonObject, type Request } from "../Request.js"
import type { WireId } from "../WireId.js"
import { checkMembers, found, isAbsent, unsupported } from "./AnthropicField.js"
import { translate } from "./AnthropicMessages.js"
import { modelOf } from "./AnthropicModel.js"
import * as AnthropicSchema from "./AnthropicSchema.js"
import { toolChoiceOf, toolsOf } from "./AnthropicTools.js"
import { effortOf, maxTokensOf, samplingOf, thinkingOf } from "./AnthropicTuning.js"

/**
 * The path of the endpoint that answers the rows.
 *
 * @since 0.1.0
 * @category constants
 */
export const endpoint = "/v1/messages"

/** What Anthropic requires and Chat Completions does not. */
const defaultMaxTokens = 4_096

const defaultNotice = "max_tokens is not set: 4,096 is used for anthropic (--max-tokens)"

/**
 * The wire row of a request.
 *
 * `answer` is the form that answers must have: the model is held to it, or told, where it cannot be held. A chat with a
 * `response_format` or an `output_config.format` of its own keeps that.
 *
 * @since 0.1.0
 * @category conversions
 */
export const encode = (
  request: Request,
  wireId: WireId,
  _endpoint?: string,
  answer?: AnswerFormat
): Either.Either<WireRow, UnsupportedField> => {
  try {
    return Either.right(request.kind === "native" ? encodeNative(request, wireId) : encodeBody(request, wireId, answer))
  } catch (error) {
    if (error instanceof UnsupportedField) return Either.left(error)
    if (error instanceof RangeError)
      return Either.left(unsupported("body", "it is nested too deeply to be written", null))
    throw error
  }
}

type Native = Extract<Request, { readonly kind: "native" }>

const row = (
  wireId: WireId,
  params: string,
  body: JsonObject,
  rest: Pick<WireRow, "betas" | "notice" | "messages">
): WireRow => ({
  text: `{"custom_id":${quoted(wireId)},"params":${params}}`,
  endpoint,
  model: String(body.model),
  inputs: 1,
  ...rest
})

const encodeNative = (request: Native, wireId: WireId): WireRow => {
  const { body, target, text } = request
  if (target.provider !== "anthropic" || target.endpoint !== endpoint) {
    throw unsupported(
      "url",
      `the row was written for ${target.provider} ${target.endpoint}`,
      `Send it with --provider ${target.provider}`
    )
  }
  if (body.stream === true) throw unsupported("stream", "a batch cannot stream", "Leave it out")
  const betas = betasOf(body)
  const model = String(body.model)
  ParameterCheck.check(modelOf(model), model, body, true)
  const params = "betas" in body ? without(text, body, "betas") : text
  // A raw line break in JSON text is space between tokens; here it would end the row.
  return row(wireId, params.replace(/[\r\n]/g, " "), body, { betas: sorted(betas), notice: null })
}

/** The object's text without one of its members; the text of all others is kept as it is. */
const without = (text: string, body: JsonObject, name: string): string =>
  `{${
    Object.keys(body)
      .filter((key) => key !== name)
      .map((key) => `${JSON.stringify(key)}:${JsonText.memberText(text, key) ?? JSON.stringify(body[key])}`)
      .join(",")
  }}`

/**
 * What is the same for all chats that differ in nothing but plain messages: they were checked once. The head ends where
 * their system messages go, right before `messages`.
 */
interface Chats extends Frame {
  readonly body: JsonObject
  /** Whether the body has a system prompt beside its messages. */
  readonly hasSystem: boolean
  readonly rest: Pick<WireRow, "betas" | "notice">
}

/** Those of the last rows: all rows of a build have one form of answers. */
let alike: { readonly answer: AnswerFormat | undefined; readonly bodies: AlikeBodies<Chats> } | undefined

const chatsLike = (answer: AnswerFormat | undefined): AlikeBodies<Chats> => {
  if (alike === undefined || alike.answer !== answer) alike = { answer, bodies: new AlikeBodies("messages") }
  return alike.bodies
}

const encodeBody = (
  request: Exclude<Request, Native>,
  wireId: WireId,
  answer: AnswerFormat | undefined
): WireRow => {
  if (request.kind === "embedding") {
    throw unsupported(
      "input",
      "Anthropic has no embeddings",
      "Send it with --provider openai --endpoint /v1/embeddings"
    )
  }
  const { body } = request
  const plain = PlainChat.read(body.messages)
  // A system message that stands in the wrong place, or besides a system prompt, is found by the way for all others.
  if (plain === undefined || plain.systemLater) return anyChat(body, wireId, answer).row
  const bodies = chatsLike(answer)
  const chats = bodies.find(body)
  if (chats === undefined || (chats.hasSystem && plain.system.length > 0)) {
    const { asked, params, row } = anyChat(body, wireId, answer)
    if (asked.messages === body.messages) {
      const { head, tail } = frameOf({ ...params, system: systemOf(asked, []) }, "messages")
      bodies.keep(body, {
        head: head.slice(0, -messagesName.length),
        tail,
        body,
        hasSystem: !isAbsent(asked.system) && asked.system !== "",
        rest: { betas: row.betas, notice: row.notice }
      })
    }
    return row
  }
  const blocks = plain.system.filter((text) => text !== emptyText).map((text) => `{"type":"text","text":${text}}`)
  const system = blocks.length === 0 ? "" : `"system":[${blocks.join(",")}],`
  const params = `${chats.head}${system}${messagesName}[${plain.turns}]${chats.tail}`
  return row(wireId, params, chats.body, { ...chats.rest, messages: plain.text })
}

const emptyText = "\"\""
const messagesName = "\"messages\":"

const anyChat = (own: JsonObject, wireId: WireId, answer: AnswerFormat | undefined) => {
  checkNames(own)
  const name = own.model
  if (typeof name !== "string") throw unsupported("model", `it is ${found(name)}, not text`, "Set it with --model")
  const model = modelOf(name)
  const { accepts } = model
  const { body, notice, outputFormat } = withAnswer(own, name, accepts, answer)
  const betas = betasOf(body)
  const maxTokens = maxTokensOf(body)
  ParameterCheck.check(model, name, maxTokens === undefined ? { ...body, max_tokens: defaultMaxTokens } : body)
  const thinking = thinkingOf(body)
  const effort = effortOf(body)
  const conversation = translate(body.messages)
  const tools = toolsOf(body)
  // `undefined` members are left out by JSON.stringify; the order is that of the text.
  const params = {
    model: name,
    max_tokens: maxTokens ?? defaultMaxTokens,
    ...samplingOf(body, accepts.sampling),
    stop_sequences: stopOf(body),
    system: systemOf(body, conversation.system),
    messages: conversation.messages,
    tools,
    tool_choice: toolChoiceOf(body, tools !== undefined),
    thinking,
    output_config: outputConfigOf(body, effort, outputFormat),
    metadata: metadataOf(body),
    service_tier: serviceTierOf(body),
    ...Object.fromEntries(passed.filter((name) => !isAbsent(body[name])).map((name) => [name, body[name]]))
  }
  const effortBeta = effort === undefined ? null : accepts.effortBeta
  return {
    asked: body,
    params,
    row: row(wireId, JSON.stringify(params), body, {
      betas: sorted(effortBeta === null ? betas : [...betas, effortBeta]),
      notice: maxTokens === undefined ? notice === null ? defaultNotice : `${defaultNotice}; ${notice}` : notice
    })
  }
}

/** The body with what makes the model answer in this form; the format that it is held to goes beside it. */
const withAnswer = (
  body: JsonObject,
  model: string,
  accepts: Accepts,
  answer: AnswerFormat | undefined
): { readonly body: JsonObject; readonly notice: string | null; readonly outputFormat: JsonObject | undefined } => {
  const config = body.output_config
  const hasOwn = !isAbsent(body.response_format) || (isJsonObject(config) && !isAbsent(config.format))
  if (answer === undefined || hasOwn) return { body, notice: null, outputFormat: undefined }
  if (accepts.structuredOutput) return { body, notice: null, outputFormat: AnthropicSchema.outputFormat(answer) }
  const instruction = AnswerInstruction.text(answer)
  const system = isAbsent(body.system) ? undefined : AnswerInstruction.extended(body.system, instruction)
  const { messages } = body
  const told = system === undefined
    ? { messages: Array.isArray(messages) ? AnswerInstruction.instructed(messages, instruction) : messages }
    : { system }
  return { body: { ...body, ...told }, notice: AnswerInstruction.notice(model), outputFormat: undefined }
}

/** Fields of the Messages API that Chat Completions does not have, in the order in which they are written. */
const passed = [
  "cache_control",
  "container",
  "context_management",
  "compaction",
  "mcp_servers",
  "inference_geo",
  "speed",
  "fallbacks",
  "fallback_credit_token",
  "billing_policy",
  "diagnostics",
  "user_profile_id"
]

const translated = [
  "model",
  "messages",
  "system",
  "max_tokens",
  "max_completion_tokens",
  "temperature",
  "top_p",
  "top_k",
  "stop",
  "stop_sequences",
  "tools",
  "tool_choice",
  "parallel_tool_calls",
  "thinking",
  "reasoning_effort",
  "response_format",
  "output_config",
  "user",
  "metadata",
  "service_tier",
  "betas"
]

const taken: ReadonlySet<string> = new Set([...translated, ...passed])

/** Values of fields without a counterpart that say what is so anyway. */
const meaningless: { readonly [name: string]: (value: unknown) => boolean } = {
  n: (value) => value === 1,
  stream: (value) => value === false,
  logprobs: (value) => value === false,
  top_logprobs: (value) => value === 0,
  frequency_penalty: (value) => value === 0,
  presence_penalty: (value) => value === 0,
  logit_bias: (value) => isJsonObject(value) && Object.keys(value).length === 0,
  modalities: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
  store: (value) => value === false
}

/** Ways out for fields without a counterpart. */
const remedies: { readonly [name: string]: string } = {
  n: "Write the row as often as you want answers",
  stream: "Leave it out: a batch cannot stream",
  functions: "Use tools",
  function_call: "Use tool_choice",
  verbosity: "Say in the prompt how long the answer should be",
  web_search_options: "Use Anthropic's web search in tools",
  safety_identifier: "Use user",
  prompt_cache_key: "Use cache_control"
}

const checkNames = (body: JsonObject): void => {
  for (const name of Object.keys(body)) {
    const value = body[name]
    if (taken.has(name) || isAbsent(value)) continue
    if (Object.hasOwn(meaningless, name) && meaningless[name]?.(value) === true) continue
    const remedy = Object.hasOwn(remedies, name) ? remedies[name] : undefined
    throw unsupported(name, "Anthropic has no such field", remedy ?? null)
  }
}

const betaValue = /^[\w.-]+$/

const isBetas = (value: unknown): value is ReadonlyArray<string> =>
  Array.isArray(value) && value.every((item) => typeof item === "string" && betaValue.test(item))

const betasOf = (body: JsonObject): ReadonlyArray<string> => {
  const value = body.betas
  if (isAbsent(value)) return []
  if (isBetas(value)) return value
  throw unsupported("betas", "it is not a list of names", "Write it as [\"name-2025-01-01\"]")
}

const sorted = (betas: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(betas)].toSorted()

const stopOf = (body: JsonObject): ReadonlyArray<unknown> | undefined => {
  const name = isAbsent(body.stop) ? "stop_sequences" : "stop"
  if (name === "stop" && !isAbsent(body.stop_sequences)) {
    throw unsupported("stop", "stop_sequences is set too", "Keep one of the two")
  }
  const value = body[name]
  if (isAbsent(value)) return undefined
  const sequences: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
  for (const sequence of sequences) {
    if (typeof sequence !== "string") throw unsupported(name, `it holds ${found(sequence)}, not text`, null)
    if (sequence.trim() === "") {
      throw unsupported(name, `it holds ${found(sequence)}`, "Each sequence needs a character that is not space")
    }
  }
  return sequences.length === 0 ? undefined : sequences
}

const systemOf = (body: JsonObject, blocks: ReadonlyArray<JsonObject>): unknown => {
  const system = body.system
  if (isAbsent(system) || system === "") return blocks.length === 0 ? undefined : blocks
  if (blocks.length > 0) throw unsupported("system", "messages has a system message too", "Keep one of the two")
  if (typeof system === "string") return [{ type: "text", text: system }]
  if (Array.isArray(system)) return system.length === 0 ? undefined : system
  throw unsupported("system", `it is ${found(system)}, not text or a list of text blocks`, null)
}

const outputConfigOf = (
  body: JsonObject,
  effort: string | undefined,
  answer: JsonObject | undefined
): JsonObject | undefined => {
  const config = body.output_config ?? {}
  if (!isJsonObject(config)) throw unsupported("output_config", `it is ${found(config)}, not an object`, null)
  const format = formatOf(body)
  const own = config.format ?? undefined
  if (format !== undefined && own !== undefined) {
    throw unsupported("response_format", "output_config.format is set too", "Keep one of the two")
  }
  const both = format ?? own ?? answer
  const { effort: _effort, format: _format, ...rest } = config
  const merged = {
    ...(effort === undefined ? {} : { effort }),
    ...(both === undefined ? {} : { format: both }),
    ...rest
  }
  return Object.keys(merged).length === 0 ? undefined : merged
}

const formatMembers = new Set(["type", "json_schema"])
const schemaMembers = new Set(["name", "schema", "strict"])

/** The name of a schema and `strict` have no counterpart and need none: Anthropic always holds to the schema. */
const formatOf = (body: JsonObject): JsonObject | undefined => {
  const format = body.response_format
  if (isAbsent(format)) return undefined
  const type = isJsonObject(format) ? format.type : undefined
  if (!isJsonObject(format) || typeof type !== "string") {
    throw unsupported("response_format", `it is ${found(format)}`, "Use type json_schema")
  }
  checkMembers(format, formatMembers, "response_format")
  if (type === "text") return undefined
  if (type !== "json_schema") {
    throw unsupported("response_format", `its type is ${found(type)}`, "Use json_schema, or ask for JSON in the prompt")
  }
  const described = format.json_schema
  if (!isJsonObject(described) || !isJsonObject(described.schema)) {
    throw unsupported("response_format.json_schema.schema", "it is not an object", null)
  }
  if (!isAbsent(described.description)) {
    throw unsupported(
      "response_format.json_schema.description",
      "Anthropic has no such field",
      "Put it into the schema's own description"
    )
  }
  checkMembers(described, schemaMembers, "response_format.json_schema")
  return { type: "json_schema", schema: described.schema }
}

const metadataOf = (body: JsonObject): JsonObject | undefined => {
  const { metadata, user } = body
  if (!isAbsent(metadata) && !isJsonObject(metadata)) {
    throw unsupported("metadata", `it is ${found(metadata)}, not an object`, null)
  }
  for (const name of Object.keys(metadata ?? {})) {
    if (name !== "user_id") throw unsupported("metadata", `it holds ${found(name)}`, "Anthropic keeps user_id only")
  }
  const own = metadata?.user_id ?? undefined
  if (!isAbsent(user) && own !== undefined && user !== own) {
    throw unsupported("user", "metadata.user_id says otherwise", "Keep one of the two")
  }
  const id = own ?? user
  if (isAbsent(id)) return undefined
  if (typeof id !== "string") throw unsupported("user", `it is ${found(id)}, not text`, null)
  return { user_id: id }
}

const serviceTierOf = (body: JsonObject): unknown => {
  const tier = body.service_tier
  if (isAbsent(tier)) return undefined
  if (tier === "auto" || tier === "standard_only") return tier
  throw unsupported("service_tier", `it is ${found(tier)}`, "Anthropic takes auto and standard_only")
}
