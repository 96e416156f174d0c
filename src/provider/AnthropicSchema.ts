/**
 * Answer schemas as Anthropic's structured outputs take them.
 *
 * The subset is that of the page "Structured outputs", section "JSON Schema limitations"
 * (https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations):
 * `additionalProperties` is `false` on every object; no schema holds itself; there are no constraints on numbers and the
 * lengths of strings, and `minItems` is 0 or 1; `enum` holds no lists and objects; `format` is one of ten. Patterns are
 * taken in part, and a 400 says which not: they are left to the description, as in Anthropic's own SDK. At most 24
 * members may be left out, and at most 16 have several types.
 *
 * @since 0.1.0
 */
import type { AnswerFormat } from "../AnswerSchema.js"
import * as WireSchema from "../internal/WireSchema.js"
import type { JsonObject } from "../Request.js"

const formats: ReadonlySet<unknown> = new Set([
  "date-time",
  "time",
  "date",
  "duration",
  "email",
  "hostname",
  "uri",
  "ipv4",
  "ipv6",
  "uuid"
])

const dialect: WireSchema.Dialect = {
  target: "anthropic (structured outputs)",
  takes: (keyword, value) =>
    (keyword === "minItems" && (value === 0 || value === 1)) || (keyword === "format" && formats.has(value)),
  optional: "optional",
  recursion: false,
  limits: {
    properties: Number.POSITIVE_INFINITY,
    depth: Number.POSITIVE_INFINITY,
    optional: 24,
    unions: 16,
    enumValues: Number.POSITIVE_INFINITY,
    characters: Number.POSITIVE_INFINITY,
    longEnumCharacters: Number.POSITIVE_INFINITY
  }
}

const translations = new WeakMap<AnswerFormat, JsonObject>()

/**
 * The `output_config.format` that holds a model to this form. Made once for each format; throws an `UnsupportedField`
 * for a schema that is not in the subset and cannot be brought into it.
 *
 * @since 0.1.0
 * @category conversions
 */
export const outputFormat = (format: AnswerFormat): JsonObject => {
  const known = translations.get(format)
  if (known !== undefined) return known
  const made = { type: "json_schema", schema: WireSchema.translate(format.schema, dialect) }
  translations.set(format, made)
  return made
}
