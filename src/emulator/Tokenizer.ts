/**
 * Counts the tokens of prompts for OpenAI's queues: texts by the public tokenizers, plus four for each message and three
 * for each request, as OpenAI puts around them. What cannot be counted is taken for a number that is about right: tools and
 * schemas for the tokens of their JSON, and an image or a file for a thousand.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { arrayAt, isArray, isObject, type Json, type JsonObject, stringAt } from "./Json.js"
import type { Endpoint } from "./OpenAiRequest.js"

/**
 * The tokens of the prompt in a body that goes to an endpoint.
 *
 * @since 0.1.0
 * @category models
 */
export type Count = (body: JsonObject, endpoint: Endpoint) => number

const perRequest = 3
const perMessage = 4
const perAttachment = 1_000

/**
 * The time that a tokenizer takes for a text without a space grows with its square, so a text is cut into pieces, before
 * a space where there is one.
 */
const pieces = /[^]{1,400}(?=\s|$)|[^]{1,400}/gu

/** Texts that look like special tokens are just text in a request. */
const asText = { disallowedSpecial: new Set<string>() }

const sum = <A>(items: ReadonlyArray<A>, of: (item: A) => number): number =>
  items.reduce((total, item) => total + of(item), 0)

const make = (countTokens: (text: string, options: typeof asText) => number): Count => {
  const text = (value: string): number => sum(value.match(pieces) ?? [], (piece) => countTokens(piece, asText))

  const definition = (value: Json | undefined): number =>
    isObject(value) || isArray(value) ? text(JSON.stringify(value)) : 0

  const content = (value: Json | undefined): number => {
    if (typeof value === "string") return text(value)
    return sum(isArray(value) ? value : [], (part) => {
      const said = stringAt(part, "text") ?? stringAt(part, "refusal")
      return said === undefined ? perAttachment : text(said)
    })
  }

  const message = (value: Json): number =>
    isObject(value)
      ? perMessage + content(value["content"] ?? value["output"] ?? value["arguments"]) +
        definition(value["tool_calls"])
      : 0

  /** What is embedded: a text, the numbers of tokens, or several of them. */
  const embedded = (value: Json | undefined): number => {
    if (typeof value === "string") return text(value)
    return isArray(value) ? sum(value, embedded) : 1
  }

  return (body, endpoint) => {
    if (endpoint === "/v1/embeddings") return embedded(body["input"])
    const texts = [body["instructions"], body["input"]].filter((value) => typeof value === "string")
    return perRequest
      + sum([...arrayAt(body, "messages"), ...arrayAt(body, "input")], message)
      + sum(texts, (value) => perMessage + text(value))
      + sum(["tools", "response_format", "text"], (name) => definition(body[name]))
  }
}

const olderModel = /^(?:text-embedding-|gpt-3\.5|gpt-4(?:$|-))/u

/**
 * Loads the tokenizers, which takes some tenths of a second the first time. Which one counts is told by the model that a
 * body names.
 *
 * @since 0.1.0
 * @category constructors
 */
export const load: Effect.Effect<Count> = Effect.gen(function*() {
  const newer = make((yield* Effect.promise(() => import("gpt-tokenizer/encoding/o200k_base"))).countTokens)
  const older = make((yield* Effect.promise(() => import("gpt-tokenizer/encoding/cl100k_base"))).countTokens)
  return (body, endpoint) => (olderModel.test(stringAt(body, "model") ?? "") ? older : newer)(body, endpoint)
})
