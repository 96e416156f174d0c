/**
 * Takes out of answers the `null`s that mean that a member is absent.
 *
 * A provider that wants every member is given a schema in which those that may be left out may be `null` instead; and
 * models write `null` for them elsewhere too. A member that may be `null` by the schema itself is left alone.
 */
import { isJsonObject, type JsonObject } from "../Request.js"
import { follow } from "./SchemaPointer.js"

/** A value that was just parsed, and may be changed. */
type Members = { [name: string]: unknown }

const isMembers = (value: unknown): value is Members => isJsonObject(value)

/** Works on a value that is its owner's alone, in place. */
type Work = (value: unknown) => void

const schemasIn = (list: unknown): ReadonlyArray<unknown> => Array.isArray(list) ? list : []

const named = (value: unknown): ReadonlyArray<readonly [string, unknown]> =>
  isJsonObject(value) ? Object.entries(value) : []

/** What takes the nulls out of values of a schema; `undefined` when it has no member that may be left out. */
export const remover = (root: JsonObject): Work | undefined => {
  const known = new Map<unknown, Work | null>()
  let found = false

  const acceptsNull = (schema: unknown, hops = 0): boolean => {
    const node = follow(root, schema)
    if (!isJsonObject(node)) return node !== false
    if (hops > 64) return true
    if (node["const"] !== undefined) return node["const"] === null
    if (Array.isArray(node["enum"])) return node["enum"].includes(null)
    if (node["type"] !== undefined) return node["type"] === "null" || schemasIn(node["type"]).includes("null")
    const either = [...schemasIn(node["anyOf"]), ...schemasIn(node["oneOf"])]
    if (either.length > 0) return either.some((option) => acceptsNull(option, hops + 1))
    return schemasIn(node["allOf"]).every((part) => acceptsNull(part, hops + 1))
  }

  /** Whether an object could be meant by this alternative: it has what is required, and the right marks. */
  const couldBe = (option: unknown, value: Members): boolean => {
    const node = follow(root, option)
    if (!isJsonObject(node)) return false
    return schemasIn(node["required"]).every((name) => Object.hasOwn(value, String(name)))
      && named(node["properties"]).every(([name, schema]) => {
        const property = follow(root, schema)
        if (!isJsonObject(property) || !Object.hasOwn(value, name)) return true
        if (property["const"] !== undefined) return property["const"] === value[name]
        return !Array.isArray(property["enum"]) || property["enum"].includes(value[name]) || value[name] === null
      })
      && (node["additionalProperties"] !== false
        || Object.keys(value).every((name) =>
          isJsonObject(node["properties"]) && Object.hasOwn(node["properties"], name)
        ))
  }

  const objectWork = (node: JsonObject): Work | undefined => {
    const required = new Set(schemasIn(node["required"]))
    const optional: Array<string> = []
    const inner: Array<readonly [string, Work]> = []
    for (const [name, schema] of named(node["properties"])) {
      if (!required.has(name) && !acceptsNull(schema)) optional.push(name)
      const work = of(schema)
      if (work !== undefined) inner.push([name, work])
    }
    if (optional.length > 0) found = true
    if (optional.length + inner.length === 0) return undefined
    return (value) => {
      if (!isMembers(value)) return
      for (const name of optional) {
        if (value[name] === null) delete value[name]
      }
      for (const [name, work] of inner) {
        if (Object.hasOwn(value, name)) work(value[name])
      }
    }
  }

  const listWork = (node: JsonObject): Work | undefined => {
    const work = of(node["items"])
    if (work === undefined) return undefined
    return (value) => {
      if (Array.isArray(value)) value.forEach(work)
    }
  }

  const unionWork = (node: JsonObject): Work | undefined => {
    const options = [...schemasIn(node["anyOf"]), ...schemasIn(node["oneOf"])]
      .map((option) => ({ option, work: of(option) }))
    if (options.every(({ work }) => work === undefined)) return undefined
    return (value) => {
      if (Array.isArray(value)) {
        for (const { work } of options) work?.(value)
      } else if (isMembers(value)) {
        options.find(({ option }) => couldBe(option, value))?.work?.(value)
      }
    }
  }

  const of = (schema: unknown): Work | undefined => {
    const node = follow(root, schema)
    if (!isJsonObject(node)) return undefined
    const before = known.get(node)
    if (before !== undefined) {
      // A schema that holds itself: what it does is known by the time that it is done.
      return before ?? ((value) => known.get(node)?.(value))
    }
    known.set(node, null)
    const parts = [objectWork(node), listWork(node), unionWork(node), ...schemasIn(node["allOf"]).map(of)]
      .filter((work) => work !== undefined)
    const work: Work = (value) => {
      for (const part of parts) part(value)
    }
    known.set(node, work)
    return parts.length === 0 ? undefined : work
  }

  const work = of(root)
  return found ? work : undefined
}
