/**
 * The form of answers in words, for models that cannot be held to a schema: they are asked for it in the system message.
 */
import type { AnswerFormat } from "../AnswerSchema.js"
import { isJsonObject, type JsonObject } from "../Request.js"

const instructions = new WeakMap<AnswerFormat, string>()

/** What the model is told. */
export const text = (format: AnswerFormat): string => {
  const known = instructions.get(format)
  if (known !== undefined) return known
  const made = `Answer with JSON only, without any text around it. It must fit this JSON Schema:\n${
    JSON.stringify(format.schema)
  }`
  instructions.set(format, made)
  return made
}

/** What the user is told once. */
export const notice = (model: string): string =>
  `${model} cannot be held to a schema: the schema is in its system message, and answers are checked when they are here`

const isSystem = (message: unknown): message is JsonObject =>
  isJsonObject(message) && (message.role === "system" || message.role === "developer")

/** Content of a message with a further text behind it; `undefined` when it is neither text nor parts. */
export const extended = (content: unknown, addition: string): unknown => {
  if (typeof content === "string") return content === "" ? addition : `${content}\n\n${addition}`
  const parts: ReadonlyArray<unknown> | undefined = Array.isArray(content) ? content : undefined
  return parts === undefined ? undefined : [...parts, { type: "text", text: addition }]
}

/** Messages with the instruction at the end of their first system message, or in one of its own before them all. */
export const instructed = (messages: ReadonlyArray<unknown>, instruction: string): ReadonlyArray<unknown> => {
  const at = messages.findIndex(isSystem)
  const found = messages[at]
  const content = isSystem(found) ? extended(found.content, instruction) : undefined
  return content === undefined || !isJsonObject(found)
    ? [{ role: "system", content: instruction }, ...messages]
    : messages.with(at, { ...found, content })
}
