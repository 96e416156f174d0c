/**
 * A model's answer to a request for translations: which of them are right, and what is wrong with the others. Plain
 * functions, for the row path.
 */
import * as JsonAnswer from "../internal/JsonAnswer.js"
import { describe } from "../internal/RowErrors.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import * as Placeholders from "./Placeholders.js"

/** A text to be translated, under its key. */
export interface TranslationItem {
  readonly key: string
  readonly text: string
}

/** What is wrong with an answer, and where in it. */
interface TranslationProblem {
  readonly path: string
  readonly problem: string
}

/** An answer, judged. */
export interface TranslationAnswer {
  /** The right translations, by key. */
  readonly texts: ReadonlyMap<string, string>
  readonly problems: ReadonlyArray<TranslationProblem>
}

/** The schema of an answer. What it cannot say, `read` does. */
export const schema = (targetLanguage: string): JsonObject => ({
  type: "object",
  properties: {
    targetLanguage: { type: "string", enum: [targetLanguage] },
    translations: {
      type: "array",
      items: {
        type: "object",
        properties: { key: { type: "string" }, text: { type: "string" } },
        required: ["key", "text"],
        additionalProperties: false
      }
    }
  },
  required: ["targetLanguage", "translations"],
  additionalProperties: false
})

const unusable = (path: string, problem: string): TranslationAnswer => ({
  texts: new Map(),
  problems: [{ path, problem }]
})

const quoted = (text: string): string => JSON.stringify(text)

/** Judges an answer: each item exactly once, no others, and each with a text that has what its source has. */
export const read = (
  answer: string,
  items: ReadonlyArray<TranslationItem>,
  targetLanguage: string
): TranslationAnswer => {
  let first: TranslationAnswer | undefined
  for (const { value } of JsonAnswer.candidates(answer)) {
    if (!isJsonObject(value)) continue
    const judged = judge(value, items, targetLanguage)
    if (judged.problems.length === 0) return judged
    first ??= judged
  }
  return first ?? unusable("$", "there is no JSON object in the answer")
}

const judge = (
  value: JsonObject,
  items: ReadonlyArray<TranslationItem>,
  targetLanguage: string
): TranslationAnswer => {
  if (value["targetLanguage"] !== targetLanguage) {
    const found = describe(value["targetLanguage"])
    return unusable("$.targetLanguage", `found ${found}, and the texts are to be in ${quoted(targetLanguage)}`)
  }
  const translations = value["translations"]
  if (!Array.isArray(translations)) return unusable("$.translations", `found ${describe(translations)}, not a list`)

  const sources = new Map(items.map(({ key, text }) => [key, text]))
  const texts = new Map<string, string>()
  const problems: Array<TranslationProblem> = []
  const seen = new Set<string>()
  const repeated = new Set<string>()
  const problemWith = (translation: unknown): readonly [member: string, problem: string] | undefined => {
    if (!isJsonObject(translation)) return ["", `found ${describe(translation)}, not an object`]
    const { key, text } = translation
    if (typeof key !== "string") return [".key", `found ${describe(key)}, not a string`]
    const source = sources.get(key)
    if (source === undefined) return [".key", `nothing was asked under the key ${quoted(key)}`]
    if (seen.has(key)) {
      repeated.add(key)
      return [".key", `the key ${quoted(key)} is here a second time`]
    }
    seen.add(key)
    if (typeof text !== "string") return [".text", `found ${describe(text)}, not a string`]
    if (text.trim() === "") return [".text", "the text is blank"]
    const difference = Placeholders.difference(source, text)
    if (difference !== undefined) return [".text", difference]
    texts.set(key, text)
    return undefined
  }
  const list: ReadonlyArray<unknown> = translations
  for (const [index, translation] of list.entries()) {
    const found = problemWith(translation)
    if (found !== undefined) problems.push({ path: `$.translations[${index}]${found[0]}`, problem: found[1] })
  }
  for (const { key } of items) {
    if (!seen.has(key)) problems.push({ path: "$.translations", problem: `the key ${quoted(key)} is missing` })
  }
  // Of two texts for one key nobody can tell which is meant.
  for (const key of repeated) texts.delete(key)
  return { texts, problems }
}
