/**
 * A small value that a JSON schema accepts, for answers to requests that ask for structured output.
 *
 * It knows what the providers' structured outputs allow: types, `enum`, `const`, `anyOf`/`oneOf`/`allOf`, `$ref` into the
 * same schema, `required`, `items`, `prefixItems`, `minItems`, `minLength`, `maxLength`, bounds, `multipleOf` and the
 * common formats. Of `pattern` it knows nothing.
 *
 * @since 0.1.0
 */
import { arrayAt, isArray, isObject, type Json, type JsonObject, numberAt, objectAt, stringAt } from "./Json.js"

const formats: JsonObject = {
  "date-time": "2026-11-20T12:00:00Z",
  date: "2026-11-20",
  time: "12:00:00Z",
  duration: "PT1H",
  email: "someone@example.com",
  hostname: "example.com",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
  uuid: "3f2b8f0e-5c1d-4a7e-9b1a-6d2c4e8f0a11",
  uri: "https://example.com/"
}

/**
 * An instance of a schema. `text` fills strings that are free, `choose` picks among alternatives: it is given their
 * number and gives the index of one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const instance = (schema: Json, text: string, choose: (alternatives: number) => number): Json => {
  const pick = (options: ReadonlyArray<Json>): Json => options[choose(options.length)] ?? options[0] ?? null

  const resolve = (reference: string): Json => {
    let target: Json = schema
    for (const part of reference.replace(/^#\/?/, "").split("/").filter((part) => part !== "")) {
      const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")
      target = (isArray(target) ? target[Number(key)] : isObject(target) ? target[key] : undefined) ?? {}
    }
    return target
  }

  const string = (node: JsonObject): string => {
    const format = stringAt(node, "format")
    const known = format === undefined ? undefined : formats[format]
    if (typeof known === "string") return known
    const least = numberAt(node, "minLength") ?? 0
    const most = numberAt(node, "maxLength") ?? 200
    const padded = text.length >= least ? text : text + "x".repeat(least - text.length)
    return padded.slice(0, Math.max(least, most))
  }

  /** The number that is nearest to 0 within the bounds. */
  const number = (node: JsonObject, whole: boolean): number => {
    const step = numberAt(node, "multipleOf") ?? (whole ? 1 : 0)
    const above = numberAt(node, "exclusiveMinimum")
    const below = numberAt(node, "exclusiveMaximum")
    if (step === 0 && above !== undefined && below !== undefined) return (above + below) / 2
    const gap = step === 0 ? 0.5 : step
    const low = numberAt(node, "minimum") ?? (above === undefined ? -Infinity : above + gap)
    const high = numberAt(node, "maximum") ?? (below === undefined ? Infinity : below - gap)
    const nearest = Math.min(Math.max(0, low), high)
    if (step === 0) return nearest
    return (nearest > 0 ? Math.ceil(nearest / step) : Math.floor(nearest / step)) * step
  }

  const object = (node: JsonObject, depth: number): Json => {
    const properties = node["properties"]
    const required = new Set(arrayAt(node, "required"))
    const result = new Map<string, Json>()
    for (const [name, child] of Object.entries(isObject(properties) ? properties : {})) {
      if (required.has(name)) result.set(name, of(child, depth + 1))
    }
    for (const name of required) {
      if (typeof name === "string" && !result.has(name)) result.set(name, text)
    }
    return Object.fromEntries(result)
  }

  const array = (node: JsonObject, depth: number): Json => {
    const prefix = arrayAt(node, "prefixItems")
    const least = Math.max(numberAt(node, "minItems") ?? 0, prefix.length)
    const most = numberAt(node, "maxItems") ?? Infinity
    // One element says more than none; a recursive schema has to come to an end, though.
    const length = Math.min(Math.max(least, depth < 4 ? 1 : 0), most)
    return Array.from({ length }, (_, i) => of(prefix[i] ?? node["items"] ?? {}, depth + 1))
  }

  /** Alternatives that refer back to the schema are avoided when they get deep. */
  const alternative = (options: ReadonlyArray<Json>, depth: number): Json => {
    if (depth < 4) return pick(options)
    return options.find((option) => stringAt(option, "type") === "null") ??
      options.find((option) => stringAt(option, "$ref") === undefined) ?? options[0] ?? {}
  }

  const typeOf = (node: JsonObject, depth: number): Json => {
    const type = node["type"]
    if (isArray(type)) return alternative(type.map((each) => ({ type: each })), depth)
    if (type !== undefined) return { type }
    if (node["properties"] !== undefined) return { type: "object" }
    if (node["items"] !== undefined || node["prefixItems"] !== undefined) return { type: "array" }
    if (node["minimum"] !== undefined || node["maximum"] !== undefined) return { type: "number" }
    return { type: "string" }
  }

  const of = (node: Json, depth: number): Json => {
    if (!isObject(node)) return text
    if (depth > 64) return null
    const reference = stringAt(node, "$ref")
    if (reference !== undefined) return of(resolve(reference), depth + 1)
    if (node["const"] !== undefined) return node["const"]
    const options = arrayAt(node, "enum")
    if (options.length > 0) return pick(options)
    const either = [...arrayAt(node, "anyOf"), ...arrayAt(node, "oneOf")]
    if (either.length > 0) return of(alternative(either, depth), depth + 1)
    const all = arrayAt(node, "allOf")
    if (all.length > 0) {
      const parts = all.map((part) =>
        stringAt(part, "$ref") === undefined ? part : resolve(stringAt(part, "$ref") ?? "")
      )
      const members = [{ ...node, allOf: [] }, ...parts.filter(isObject)]
      const merged: JsonObject = {
        ...Object.fromEntries(members.flatMap((part) => Object.entries(part))),
        properties: Object.fromEntries(members.flatMap((part) => Object.entries(objectAt(part, "properties")))),
        required: members.flatMap((part) => arrayAt(part, "required"))
      }
      return of(merged, depth + 1)
    }
    switch (stringAt(typeOf(node, depth), "type") ?? "string") {
      case "object":
        return object(node, depth)
      case "array":
        return array(node, depth)
      case "integer":
        return number(node, true)
      case "number":
        return number(node, false)
      case "boolean":
        return choose(2) === 1
      case "null":
        return null
      default:
        return string(node)
    }
  }

  return of(schema, 0)
}
