/**
 * JSON as the emulator sees it: a value of unknown shape that is looked at with guards.
 *
 * @since 0.1.0
 */

/**
 * Any JSON value.
 *
 * @since 0.1.0
 * @category models
 */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject

/**
 * A JSON object.
 *
 * @since 0.1.0
 * @category models
 */
export interface JsonObject {
  readonly [key: string]: Json
}

/** Whatever `JSON.parse` gives is JSON; this only says so. */
const isJson = (_value: unknown): _value is Json => true

/** Providers refuse what is nested deeper than anybody means it; and it could be read here, but not be written again. */
const deepest = 1000

const isTooDeep = (text: string): boolean => {
  let depth = 0
  let quoted = false
  // Anything shorter has no room for as many brackets.
  for (let i = 0; text.length > 2 * deepest && i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (quoted) {
      if (char === 0x5c) i += 1
      else if (char === 0x22) quoted = false
    } else if (char === 0x22) quoted = true
    else if (char === 0x7b || char === 0x5b) {
      depth += 1
      if (depth > deepest) return true
    } else if (char === 0x7d || char === 0x5d) depth -= 1
  }
  return false
}

/**
 * The value of a JSON text, or `undefined` when the text is not JSON, or is nested more than 1,000 deep.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (text: string): Json | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isJson(value) && !isTooDeep(text) ? value : undefined
  } catch {
    return undefined
  }
}

/**
 * @since 0.1.0
 * @category guards
 */
export const isArray = (value: Json | undefined): value is ReadonlyArray<Json> => Array.isArray(value)

/**
 * @since 0.1.0
 * @category guards
 */
export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * @since 0.1.0
 * @category guards
 */
export const isInteger = (value: Json | undefined): value is number =>
  typeof value === "number" && Number.isInteger(value)

/**
 * A value in a message: a string as it is, anything else as JSON.
 *
 * @since 0.1.0
 * @category formatting
 */
export const worded = (value: Json | undefined): string =>
  typeof value === "string" ? value : JSON.stringify(value) ?? "nothing"

/**
 * The member of an object when it is an object itself, else an empty object.
 *
 * @since 0.1.0
 * @category accessors
 */
export const objectAt = (value: Json | undefined, key: string): JsonObject => {
  const member = isObject(value) ? value[key] : undefined
  return isObject(member) ? member : {}
}

/**
 * The member of an object when it is an array, else an empty array.
 *
 * @since 0.1.0
 * @category accessors
 */
export const arrayAt = (value: Json | undefined, key: string): ReadonlyArray<Json> => {
  const member = isObject(value) ? value[key] : undefined
  return isArray(member) ? member : []
}

/**
 * The member of an object when it is a string, else `undefined`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const stringAt = (value: Json | undefined, key: string): string | undefined => {
  const member = isObject(value) ? value[key] : undefined
  return typeof member === "string" ? member : undefined
}

/**
 * The member of an object when it is a number, else `undefined`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const numberAt = (value: Json | undefined, key: string): number | undefined => {
  const member = isObject(value) ? value[key] : undefined
  return typeof member === "number" ? member : undefined
}
