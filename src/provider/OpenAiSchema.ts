/**
 * Answer schemas as OpenAI's structured outputs take them, in strict mode.
 *
 * The subset is that of the guide "Structured model outputs", section "Supported schemas"
 * (https://developers.openai.com/api/docs/guides/structured-outputs#supported-schemas): the root is an object and no
 * `anyOf`; every member is in `required`, and one that may be left out may be `null` instead; `additionalProperties` is
 * `false` everywhere; `allOf`, `not`, `if`, `dependentRequired` and `dependentSchemas` are not taken; there are at most
 * 5,000 members on 10 levels, 1,000 values in `enum`, and 120,000 characters in names and values. A schema may refer to
 * itself. The API answers 400 to `oneOf` and `default` too.
 *
 * @since 0.1.0
 */
import type { AnswerFormat } from "../AnswerSchema.js"
import * as WireSchema from "../internal/WireSchema.js"
import type { JsonObject } from "../Request.js"

/** The guide names these for strings, numbers and lists. */
const keywords: ReadonlySet<string> = new Set([
  "multipleOf",
  "maximum",
  "exclusiveMaximum",
  "minimum",
  "exclusiveMinimum",
  "minItems",
  "maxItems"
])

const formats: ReadonlySet<unknown> = new Set([
  "date-time",
  "time",
  "date",
  "duration",
  "email",
  "hostname",
  "ipv4",
  "ipv6",
  "uuid"
])

/** Lookaround, back references and word boundaries are beyond the grammars that hold a model to a pattern. */
const isSimplePattern = (pattern: unknown): boolean => typeof pattern === "string" && !/\(\?|\\[1-9bBk]/u.test(pattern)

const strict: WireSchema.Dialect = {
  target: "openai (structured outputs)",
  takes: (keyword, value) =>
    keywords.has(keyword)
    || (keyword === "format" && formats.has(value))
    || (keyword === "pattern" && isSimplePattern(value)),
  optional: "nullable",
  recursion: true,
  limits: {
    properties: 5_000,
    depth: 10,
    optional: Number.POSITIVE_INFINITY,
    unions: Number.POSITIVE_INFINITY,
    enumValues: 1_000,
    characters: 120_000,
    longEnumCharacters: 15_000
  }
}

/** The guide: fine-tuned models take no constraints on strings, numbers and lists. */
const fineTuned: WireSchema.Dialect = { ...strict, target: "openai (fine-tuned model)", takes: () => false }

const translations = {
  strict: new WeakMap<AnswerFormat, JsonObject>(),
  fineTuned: new WeakMap<AnswerFormat, JsonObject>()
}

/**
 * The `response_format` that holds a model to this form. Made once for each format; throws an `UnsupportedField` for a
 * schema that is not in the subset and cannot be brought into it.
 *
 * @since 0.1.0
 * @category conversions
 */
export const responseFormat = (format: AnswerFormat, model: string): JsonObject => {
  const kind = model.startsWith("ft:") ? "fineTuned" : "strict"
  const known = translations[kind].get(format)
  if (known !== undefined) return known
  const schema = WireSchema.translate(format.schema, kind === "strict" ? strict : fineTuned)
  const made = { type: "json_schema", json_schema: { name: format.name, schema, strict: true } }
  translations[kind].set(format, made)
  return made
}
