/**
 * The tokens of a request's body: its texts, what the provider puts around each message, and a guess at what has no
 * text (images, files) or is written anew by the provider (tools, schemas). Bodies of Chat Completions, Responses,
 * Messages, embeddings and completions are understood alike.
 */
import { isJsonObject, type JsonObject } from "../Request.js"

/** Counts texts, and knows what stands around them. */
export interface Rules {
  readonly text: (text: string) => number
  /** Tokens around each message, its role included. */
  readonly perMessage: number
  /** Tokens around a system prompt that is no message. */
  readonly perSystem: number
  /** Tokens once a conversation. */
  readonly perConversation: number
  /** Tokens for a message's `name`, besides its own. */
  readonly perName: number
  /** Tokens once, where there are tools. */
  readonly perTools: number
}

/** Tokens of one body: `low` and `high` are apart from `tokens` as far as parts of it are guessed. */
export interface Measure {
  tokens: number
  low: number
  high: number
}

/** What the provider makes of tools and schemas is shorter or longer than their JSON. */
const rewritten = { low: 0.4, high: 1.4 }

/** An image, by its size; a file, by its pages: neither is looked into. */
const image: Measure = { tokens: 1_000, low: 70, high: 5_000 }
const file: Measure = { tokens: 5_000, low: 500, high: 100_000 }

const guesses: ReadonlyMap<unknown, Measure> = new Map<unknown, Measure>([
  ["image", image],
  ["image_url", image],
  ["input_image", image],
  ["file", file],
  ["input_file", file],
  ["document", file],
  ["input_audio", file]
])

/** Longer texts are counted in three places only. */
const longText = 300_000
const slice = 50_000

class Measuring implements Measure {
  tokens = 0
  low = 0
  high = 0

  constructor(readonly rules: Rules) {}

  add(tokens: number, low = tokens, high = tokens): void {
    this.tokens += tokens
    this.low += low
    this.high += high
  }

  text(value: unknown): void {
    if (typeof value !== "string" || value === "") return
    if (value.length <= longText) return this.add(this.rules.text(value))
    const middle = Math.floor((value.length - slice) / 2)
    const parts = [value.slice(0, slice), value.slice(middle, middle + slice), value.slice(-slice)]
    const counted = parts.reduce((sum, part) => sum + this.rules.text(part), 0)
    const tokens = Math.round(counted * (value.length / (3 * slice)))
    this.add(tokens, tokens * 0.8, tokens * 1.25)
  }

  /** What is sent as JSON, and reaches the model in another form. */
  json(value: unknown): void {
    const tokens = this.rules.text(JSON.stringify(value))
    this.add(tokens, tokens * rewritten.low, tokens * rewritten.high)
  }

  /** A text, or a list of parts. */
  content(value: unknown): void {
    if (typeof value === "string") return this.text(value)
    if (!Array.isArray(value)) return
    for (const part of value) this.part(part)
  }

  part(part: unknown): void {
    if (typeof part === "string") return this.text(part)
    if (!isJsonObject(part)) return
    const guess = guesses.get(part.type)
    if (guess !== undefined && !this.isPlainDocument(part)) return this.add(guess.tokens, guess.low, guess.high)
    this.text(part.text)
    this.text(part.refusal)
    this.text(part.thinking)
    // A result of a tool, whose content is again a text or parts.
    this.content(part.content)
    if (isJsonObject(part.input)) this.json(part.input)
  }

  /** A document that is sent as text. */
  isPlainDocument(part: JsonObject): boolean {
    const source = part.source
    if (!isJsonObject(source) || source.type !== "text") return false
    this.text(source.data)
    return true
  }

  message(message: unknown): void {
    if (!isJsonObject(message)) return
    this.add(this.rules.perMessage)
    this.content(message.content)
    if (typeof message.name === "string") {
      this.text(message.name)
      this.add(this.rules.perName)
    }
    // Of Chat Completions, and of Responses, whose calls are items of their own.
    if (Array.isArray(message.tool_calls)) { for (const call of message.tool_calls) this.call(call) }
    if (message.type === "function_call") this.call({ function: message })
    if (typeof message.output === "string") this.text(message.output)
  }

  call(call: unknown): void {
    const called = isJsonObject(call) ? call.function : undefined
    if (!isJsonObject(called)) return
    this.text(called.name)
    this.text(called.arguments)
    this.add(this.rules.perMessage)
  }

  conversation(messages: ReadonlyArray<unknown>): void {
    this.add(this.rules.perConversation)
    for (const message of messages) this.message(message)
  }

  system(value: unknown): void {
    if (value === undefined || value === null || value === "") return
    this.add(this.rules.perSystem)
    this.content(value)
  }

  body(body: JsonObject, endpoint: string): void {
    const { input, messages, prompt } = body
    this.system(body.system)
    this.system(body.instructions)
    if (Array.isArray(messages)) this.conversation(messages)
    else if (endpoint === "/v1/embeddings") this.texts(input)
    else if (typeof input === "string") this.conversation([{ content: input }])
    else if (Array.isArray(input)) this.conversation(input)
    else if (prompt !== undefined) this.texts(prompt)
    if (Array.isArray(body.tools) && body.tools.length > 0) {
      this.add(this.rules.perTools, 0, this.rules.perTools * 1.5)
      this.json(body.tools)
    }
    for (const schema of schemas(body)) this.json(schema)
  }

  /** Texts without anything around them: one, several, or tokens already. */
  texts(value: unknown): void {
    if (!Array.isArray(value)) return this.text(value)
    for (const item of value) {
      if (typeof item === "number") this.add(1)
      else this.texts(item)
    }
  }
}

const schemas = (body: JsonObject): ReadonlyArray<JsonObject> =>
  [
    body.response_format,
    isJsonObject(body.text) ? body.text.format : undefined,
    isJsonObject(body.output_config) ? body.output_config.format : undefined
  ].filter((format) => isJsonObject(format) && format.type === "json_schema").filter(isJsonObject)

/** The tokens of a body that goes to an endpoint. */
export const measure = (rules: Rules, body: JsonObject, endpoint: string): Measure => {
  const measuring = new Measuring(rules)
  measuring.body(body, endpoint)
  return measuring
}
