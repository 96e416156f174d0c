/**
 * What the emulated model says: from the hook or the file of answers, or else made up, always the same for the same
 * prompt and seed.
 *
 * @since 0.1.0
 */
import * as Fingerprint from "./Fingerprint.js"
import { isArray, type Json, type JsonObject, objectAt, stringAt } from "./Json.js"
import * as SchemaInstance from "./SchemaInstance.js"

/**
 * A request as the hook for answers sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnswerRequest {
  readonly provider: "openai" | "anthropic"
  readonly model: string
  /** The text of the last user message. */
  readonly prompt: string
  /** The request body as sent. */
  readonly body: JsonObject
}

/**
 * Tokens of one answer. `input` contains `cacheRead` and `cacheWrite`; `output` contains `reasoning`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Usage {
  readonly input: number
  readonly cacheRead: number
  readonly cacheWrite: number
  readonly output: number
  readonly reasoning: number
}

/**
 * Nothing was used, nothing is billed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const noUsage: Usage = { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 }

/**
 * The answer of a provider to one request: the HTTP status, the body, the provider's id of the request, what is billed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reply {
  readonly status: number
  readonly requestId: string
  readonly body: JsonObject
  readonly usage: Usage
}

/**
 * What an answer is made of besides the request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  readonly seed: number
  /** A scripted answer, or `undefined` to make one up. */
  readonly scripted: (request: AnswerRequest) => string | undefined
}

/**
 * About four characters a token, and never none.
 *
 * @since 0.1.0
 * @category tokens
 */
export const tokens = (text: string): number => Math.max(1, Math.ceil(text.length / 4))

/**
 * A made up time within the days before 2026-11-20, in seconds, that does not depend on when it is asked for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const createdAt = (print: Fingerprint.Fingerprint): number => 1_795_000_000 + print.int(6, 160_000)

const sum = /(-?\d{1,9})\s*([+*x×-])\s*(-?\d{1,9})/

/** Only the beginning of a prompt is looked at, since prompts may be long and rows many. */
const madeUp = (seed: number, prompt: string): string => {
  const beginning = prompt.slice(0, 500)
  const match = sum.exec(beginning)
  if (match !== null) {
    const [left, right] = [Number(match[1]), Number(match[3])]
    return String(match[2] === "+" ? left + right : match[2] === "-" ? left - right : left * right)
  }
  const words = beginning.trim().replace(/\s+/g, " ")
  const start = words.length > 80 ? `${words.slice(0, 80)}...` : words
  return /\d/.test(beginning) && prompt.includes("?")
    ? `Taking "${start}" step by step.\n#### ${Fingerprint.make(seed, prompt).int(0, 1000)}`
    : `About "${start}": noted.`
}

/**
 * The text of an answer: scripted, an instance of `schema` where one is asked for, or made up.
 *
 * @since 0.1.0
 * @category constructors
 */
export const text = (context: Context, request: AnswerRequest, schema: Json | undefined): string => {
  const scripted = context.scripted(request)
  if (scripted !== undefined) return scripted
  if (schema === undefined) return madeUp(context.seed, request.prompt)
  return JSON.stringify(structured(context, request, schema))
}

/**
 * An instance of a schema for a request: the answer to a structured request, or the arguments of a tool.
 *
 * @since 0.1.0
 * @category constructors
 */
export const structured = (context: Context, request: AnswerRequest, schema: Json): Json => {
  const print = Fingerprint.make(context.seed, request.prompt)
  let drawn = 0
  const choose = (alternatives: number) => print.int(drawn++ % 8, alternatives)
  return SchemaInstance.instance(schema, request.prompt.trim().slice(0, 60) || "text", choose)
}

/**
 * A text cut at a number of tokens.
 *
 * @since 0.1.0
 * @category tokens
 */
export const capped = (
  whole: string,
  cap: number
): { readonly text: string; readonly tokens: number; readonly cut: boolean } =>
  tokens(whole) <= cap
    ? { text: whole, tokens: tokens(whole), cut: false }
    : { text: whole.slice(0, Math.max(0, cap * 4)), tokens: cap, cut: true }

/**
 * A text ended before the first of some stop sequences.
 *
 * @since 0.1.0
 * @category tokens
 */
export const stopped = (
  whole: string,
  stops: ReadonlyArray<string>
): { readonly text: string; readonly stop: string | null } => {
  let first = whole.length
  let stop: string | null = null
  for (const each of stops) {
    const at = each === "" ? -1 : whole.indexOf(each)
    if (at >= 0 && at < first) {
      first = at
      stop = each
    }
  }
  return { text: whole.slice(0, first), stop }
}

/**
 * The text of a message's content: a string, or the text parts of an array, in either provider's form.
 *
 * @since 0.1.0
 * @category accessors
 */
export const contentText = (content: Json | undefined): string => {
  if (typeof content === "string") return content
  if (!isArray(content)) return ""
  return content.map((part) => stringAt(part, "text") ?? "").filter((part) => part !== "").join("\n")
}

/**
 * The JSON schema that a `json_schema` format asks for, `{}` for a free object, or `undefined` for plain text.
 *
 * @since 0.1.0
 * @category accessors
 */
export const formatSchema = (format: JsonObject): Json | undefined => {
  const type = stringAt(format, "type")
  if (type === "json_schema") return format["schema"] ?? objectAt(format, "json_schema")["schema"] ?? {}
  return type === "json_object"
    ? { type: "object", properties: { answer: { type: "string" } }, required: ["answer"] }
    : undefined
}
