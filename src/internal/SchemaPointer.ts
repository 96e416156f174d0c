/**
 * What the references of a JSON Schema name: places in the same document.
 */
import { isJsonObject, type JsonObject } from "../Request.js"

/** The schema at a reference like `#/$defs/Person`; `undefined` when there is none, or it is in another document. */
export const resolve = (root: JsonObject, reference: string): unknown => {
  if (reference === "#") return root
  if (!reference.startsWith("#/")) return undefined
  let at: unknown = root
  for (const escaped of reference.slice(2).split("/")) {
    const name = decoded(escaped).replaceAll("~1", "/").replaceAll("~0", "~")
    if (Array.isArray(at)) at = at[Number(name)]
    else at = isJsonObject(at) && Object.hasOwn(at, name) ? at[name] : undefined
  }
  return at
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** A schema, or what it refers to, if that is all it does besides naming definitions. */
export const follow = (root: JsonObject, schema: unknown): unknown => {
  let at = schema
  // A chain of references is shorter than this, or it goes round.
  for (let hops = 0; hops < 64; hops++) {
    if (!isJsonObject(at) || typeof at["$ref"] !== "string") return at
    at = resolve(root, at["$ref"])
  }
  return undefined
}

/** The schemas that the same value has to satisfy, or may. */
const inPlace = (root: JsonObject, schema: JsonObject): ReadonlyArray<unknown> => [
  ...typeof schema["$ref"] === "string" ? [resolve(root, schema["$ref"])] : [],
  ...["allOf", "anyOf", "oneOf"].flatMap((keyword): ReadonlyArray<unknown> => {
    const parts = schema[keyword]
    return Array.isArray(parts) ? parts : []
  }),
  ...["not", "if", "then", "else"].map((keyword) => schema[keyword])
]

/** Whether a schema refers to itself about one and the same value: to check that would never end. */
export const isEndless = (root: JsonObject): boolean => {
  const done = new Set<unknown>()
  const open = new Set<unknown>()
  const goesRound = (schema: unknown): boolean => {
    if (!isJsonObject(schema) || done.has(schema)) return false
    if (open.has(schema)) return true
    open.add(schema)
    const found = inPlace(root, schema).some(goesRound)
    open.delete(schema)
    done.add(schema)
    return found
  }
  const anywhere = (value: unknown): boolean =>
    Array.isArray(value)
      ? value.some(anywhere)
      : isJsonObject(value) && (goesRound(value) || Object.values(value).some(anywhere))
  return anywhere(root)
}
