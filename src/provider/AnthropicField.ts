/**
 * Reading the fields of a chat body: what counts as absent, how a value is named in an error, and the error itself.
 *
 * @since 0.1.0
 */
import { UnsupportedField } from "../InputError.js"
import { isJsonObject, type JsonObject } from "../Request.js"

/**
 * Whether a field is as good as left out.
 *
 * @since 0.1.0
 * @category guards
 */
export const isAbsent = (value: unknown): value is null | undefined => value === undefined || value === null

/**
 * A value in an error message: its JSON text, cut short.
 *
 * @since 0.1.0
 * @category conversions
 */
export const found = (value: unknown): string => {
  if (value === undefined) return "missing"
  if (Array.isArray(value)) return "a list"
  if (isJsonObject(value)) return "an object"
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/**
 * What Anthropic, or one of its models as `target`, cannot take, and the way out besides `--drop`.
 *
 * @since 0.1.0
 * @category errors
 */
export const unsupported = (
  field: string,
  reason: string,
  remedy: string | null,
  target = "anthropic"
): UnsupportedField => new UnsupportedField({ field, target, reason, remedy })

/**
 * Refuses the first member that is not among those that are translated. Empty `annotations`, which answers come with,
 * say nothing.
 *
 * @since 0.1.0
 * @category guards
 */
export const checkMembers = (value: JsonObject, allowed: ReadonlySet<string>, path: string): void => {
  for (const name of Object.keys(value)) {
    const member = value[name]
    if (allowed.has(name) || isAbsent(member)) continue
    if (name === "annotations" && Array.isArray(member) && member.length === 0) continue
    throw unsupported(`${path}.${name}`, "Anthropic has no such field", `Leave it out of ${path}`)
  }
}
