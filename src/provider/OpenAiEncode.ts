/**
 * Requests as lines of an OpenAI batch file, for `/v1/responses`, `/v1/chat/completions` and `/v1/embeddings`.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { AnswerFormat } from "../AnswerSchema.js"
import { UnsupportedField } from "../InputError.js"
import { AlikeBodies, type Frame, frameOf } from "../internal/AlikeBodies.js"
import * as AnswerInstruction from "../internal/AnswerInstruction.js"
import { quoted } from "../internal/JsonText.js"
import * as ParameterCheck from "../internal/ParameterCheck.js"
import * as PlainChat from "../internal/PlainChat.js"
import type { WireRow } from "../Provider.js"
import { isJsonObject, type JsonObject, type Request } from "../Request.js"
import type { WireId } from "../WireId.js"
import * as OpenAiModel from "./OpenAiModel.js"
import * as OpenAiResponses from "./OpenAiResponses.js"
import * as OpenAiSchema from "./OpenAiSchema.js"

/**
 * The endpoints for which rows are encoded; the first is the default.
 *
 * @since 0.1.0
 * @category constants
 */
export const endpoints = ["/v1/responses", "/v1/chat/completions", "/v1/embeddings"] as const

/** What the Batch API takes besides, in rows that were written for it. */
const nativeEndpoints: ReadonlySet<string> = new Set([
  ...endpoints,
  "/v1/completions",
  "/v1/moderations",
  "/v1/images/generations",
  "/v1/images/edits",
  "/v1/videos"
])

/** Where the rules of models hold; what other endpoints take has other meanings. */
const chatEndpoints: ReadonlySet<string> = new Set(["/v1/responses", "/v1/chat/completions"])

/**
 * The wire row of a request.
 *
 * A chat on `/v1/chat/completions` keeps its body as it is, fields that nobody here knows included, but for
 * `max_tokens`, which reasoning models take under its new name. On `/v1/responses` it is translated. A native row keeps
 * its own endpoint and, byte for byte, its body.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (
  request: Request,
  wireId: WireId,
  endpoint: string,
  answer?: AnswerFormat
): Either.Either<WireRow, UnsupportedField> => {
  try {
    switch (request.kind) {
      case "chat": {
        return Either.right(chatRow(request.body, wireId, endpoint, answer))
      }
      case "embedding": {
        if (answer !== undefined) throw noAnswer(endpoint)
        return Either.right(wireRow(wireId, endpoint, request.body, JSON.stringify(embedding(request.body, endpoint))))
      }
      case "native": {
        return Either.right(wireRow(wireId, request.target.endpoint, request.body, nativeText(request)))
      }
    }
  } catch (error) {
    if (error instanceof UnsupportedField) return Either.left(error)
    if (error instanceof RangeError) return Either.left(tooDeep(endpoint))
    throw error
  }
}

const noBetas: ReadonlyArray<string> = []

const modelOf = (body: JsonObject): string => typeof body.model === "string" ? body.model : ""

const wireRow = (wireId: WireId, endpoint: string, body: JsonObject, bodyText: string): WireRow => ({
  text: `{"custom_id":${quoted(wireId)},"method":"POST","url":${JSON.stringify(endpoint)},"body":${bodyText}}`,
  endpoint,
  model: modelOf(body),
  betas: noBetas,
  inputs: endpoint === "/v1/embeddings" ? countInputs(body.input) : 1,
  notice: null
})

/** What is the same for all chats that differ in nothing but plain messages: they were checked once. */
interface Chats extends Frame {
  readonly model: string
  readonly notice: string | null
}

/** Those of the last rows: all rows of a build go to one endpoint, as a rule, and have one form of answers. */
let alike: {
  readonly endpoint: string
  readonly answer: AnswerFormat | undefined
  readonly bodies: AlikeBodies<Chats>
} | undefined

const chatsLike = (endpoint: string, answer: AnswerFormat | undefined): AlikeBodies<Chats> => {
  if (alike?.endpoint !== endpoint || alike.answer !== answer) {
    alike = { endpoint, answer, bodies: new AlikeBodies("messages") }
  }
  return alike.bodies
}

const chatRow = (body: JsonObject, wireId: WireId, endpoint: string, answer: AnswerFormat | undefined): WireRow => {
  const plain = PlainChat.read(body.messages)
  const bodies = chatsLike(endpoint, answer)
  let chats = plain === undefined ? undefined : bodies.find(body)
  if (chats === undefined) {
    const { body: asked, notice } = withAnswer(body, answer)
    const sent = chatBody(asked, endpoint)
    // Plain messages are sent as they are, to either endpoint, unless something was put in.
    if (plain === undefined || asked.messages !== body.messages) {
      return { ...wireRow(wireId, endpoint, asked, JSON.stringify(sent)), notice }
    }
    const { head, tail } = frameOf(sent, endpoint === "/v1/responses" ? "input" : "messages")
    chats = bodies.keep(body, {
      head: `,"method":"POST","url":${JSON.stringify(endpoint)},"body":${head}`,
      tail,
      model: modelOf(body),
      notice
    })
  }
  const messages = plain?.text
  return {
    text: `{"custom_id":${quoted(wireId)}${chats.head}${messages}${chats.tail}}`,
    endpoint,
    model: chats.model,
    betas: noBetas,
    inputs: 1,
    notice: chats.notice,
    messages
  }
}

const noAnswer = (target: string) =>
  new UnsupportedField({ field: "schema", target, reason: "an embedding has no text to check", remedy: null })

/** The body with what makes the model answer in this form. */
const withAnswer = (
  body: JsonObject,
  answer: AnswerFormat | undefined
): { readonly body: JsonObject; readonly notice: string | null } => {
  if (answer === undefined || isGiven(body.response_format)) return { body, notice: null }
  const model = typeof body.model === "string" ? body.model : ""
  if (OpenAiModel.hasStructuredOutput(model)) {
    return { body: { ...body, response_format: OpenAiSchema.responseFormat(answer, model) }, notice: null }
  }
  const messages = Array.isArray(body.messages) ? body.messages : []
  return {
    body: { ...body, messages: AnswerInstruction.instructed(messages, AnswerInstruction.text(answer)) },
    notice: AnswerInstruction.notice(model)
  }
}

/** A list of numbers is one input, given as tokens. */
const countInputs = (input: unknown): number =>
  Array.isArray(input) && input.length > 0 && typeof input[0] !== "number" ? input.length : 1

const tooDeep = (target: string) =>
  new UnsupportedField({ field: "body", target, reason: "it is nested too deeply to be written", remedy: null })

const chatBody = (body: JsonObject, endpoint: string): JsonObject => {
  if (endpoint !== "/v1/chat/completions" && endpoint !== "/v1/responses") {
    throw new UnsupportedField({
      field: "messages",
      target: endpoint,
      reason: "it does not take chats",
      remedy: "Use --endpoint /v1/responses or --endpoint /v1/chat/completions"
    })
  }
  const model = typeof body.model === "string" ? body.model : ""
  for (const [field, value] of Object.entries(body)) {
    if (value !== null && value !== undefined) checkField(field, value, body, endpoint)
  }
  ParameterCheck.check(OpenAiModel.modelOf(model), model, body)
  checkForeignParts(body)
  if (endpoint === "/v1/responses") return OpenAiResponses.fromChat(body)
  return isGiven(body.max_tokens) && OpenAiModel.isReasoning(model) ? renameMaxTokens(body) : body
}

const isGiven = (value: unknown): boolean => value !== null && value !== undefined

const checkField = (field: string, value: unknown, body: JsonObject, endpoint: string): void => {
  const remedy = anthropicOnly.get(field)
  if (remedy !== undefined) throw foreign(field, remedy)
  if ((field === "stream" && value === true) || (field === "stream_options" && body.stream !== true)) {
    throw new UnsupportedField({ field, target: "a batch", reason: "nothing is streamed", remedy: null })
  }
  if (field === "max_tokens" && isGiven(body.max_completion_tokens)) {
    throw new UnsupportedField({
      field,
      target: endpoint,
      reason: "max_completion_tokens says the same thing",
      remedy: "Keep one of the two"
    })
  }
}

const renameMaxTokens = (body: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(body)
      .filter(([field]) => field !== "max_completion_tokens")
      .map(([field, value]) => [field === "max_tokens" ? "max_completion_tokens" : field, value])
  )

/** Top-level fields of Anthropic's API that a chat may carry, with the way out. */
const anthropicOnly: ReadonlyMap<string, string> = new Map([
  ["thinking", "Use --reasoning-effort"],
  ["top_k", "Use --provider anthropic"],
  ["system", "Give it as a message with role system"],
  ["stop_sequences", "Give it as stop"],
  ["output_config", "Use --reasoning-effort and response_format"],
  ["cache_control", "Use --provider anthropic"]
])

const foreign = (field: string, remedy: string) =>
  new UnsupportedField({ field, target: "openai", reason: "it is a field of Anthropic's", remedy })

const anthropicParts: ReadonlySet<unknown> = new Set(["image", "document", "tool_use", "tool_result", "thinking"])

/** `cache_control` stands in content parts, messages and tools; and Anthropic's parts have types of their own. */
const checkForeignParts = (body: JsonObject): void => {
  for (const name of ["messages", "tools"]) {
    const list = body[name]
    if (!Array.isArray(list)) continue
    for (const [index, item] of list.entries()) {
      const path = `${name}[${index}]`
      checkCacheControl(item, path)
      if (isJsonObject(item) && Array.isArray(item.content)) {
        for (const [at, part] of item.content.entries()) {
          checkCacheControl(part, `${path}.content[${at}]`)
          if (isJsonObject(part) && anthropicParts.has(part.type)) {
            throw new UnsupportedField({
              field: `${path}.content[${at}].type`,
              target: "openai",
              reason: `${JSON.stringify(part.type)} is a content part of Anthropic's`,
              remedy: "Use the parts of Chat Completions (text, image_url, file), or --provider anthropic"
            })
          }
        }
      }
    }
  }
}

const checkCacheControl = (value: unknown, path: string): void => {
  if (isJsonObject(value) && isGiven(value.cache_control)) {
    throw foreign(`${path}.cache_control`, "Use --provider anthropic; OpenAI caches prompts by itself")
  }
}

const embeddingFields: ReadonlyArray<string> = ["model", "input", "dimensions", "encoding_format", "user"]

const embedding = (body: JsonObject, endpoint: string): JsonObject => {
  if (endpoint !== "/v1/embeddings") {
    throw new UnsupportedField({
      field: "input",
      target: endpoint,
      reason: "it does not make embeddings",
      remedy: "Use --endpoint /v1/embeddings"
    })
  }
  for (const [field, value] of Object.entries(body)) {
    if (isGiven(value) && !embeddingFields.includes(field)) {
      throw new UnsupportedField({
        field,
        target: endpoint,
        reason: `it takes ${embeddingFields.join(", ")}`,
        remedy: `Write the row as an OpenAI batch line for ${endpoint} to send it as it is`
      })
    }
  }
  return Object.fromEntries(
    embeddingFields.filter((field) => isGiven(body[field])).map((field) => [field, body[field]])
  )
}

const nativeText = (request: Extract<Request, { readonly kind: "native" }>): string => {
  const { body, target, text } = request
  if (target.provider !== "openai") {
    throw new UnsupportedField({
      field: target.provider === "anthropic" ? "params" : "body",
      target: "openai",
      reason: `the row was written for ${target.provider}`,
      remedy: `Use --provider ${target.provider}`
    })
  }
  if (!nativeEndpoints.has(target.endpoint)) {
    throw new UnsupportedField({
      field: "url",
      target: "the Batch API",
      reason: `it has no endpoint ${JSON.stringify(target.endpoint)}`,
      remedy: `Use one of ${endpoints.join(", ")}`
    })
  }
  if (body.stream === true) {
    throw new UnsupportedField({ field: "stream", target: "a batch", reason: "nothing is streamed", remedy: null })
  }
  if (chatEndpoints.has(target.endpoint) && typeof body.model === "string") {
    ParameterCheck.check(OpenAiModel.modelOf(body.model), body.model, body, true)
  }
  return text.includes("\n") ? text.replaceAll("\n", " ") : text
}
