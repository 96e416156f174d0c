/**
 * JSON Schemas as the providers' structured outputs take them: subsets, and not the same ones.
 *
 * What a provider does not take, and only narrows what an answer may be, goes into the description, where the model
 * still reads it: answers are checked against the whole schema here. What cannot be said at all is refused. What comes
 * out is never narrower than the schema, but for what the schema does not mention: objects have no further members, and
 * values have the type that their constraints are about.
 *
 * References are replaced by what they refer to, since providers differ in what may stand beside them; only a schema
 * that holds itself keeps them.
 */
import { UnsupportedField } from "../InputError.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import { resolve } from "./SchemaPointer.js"

/** What a provider takes. */
export interface Dialect {
  /** Whose it is, for errors. */
  readonly target: string
  /** Whether a constraint may stand as it is. */
  readonly takes: (keyword: string, value: unknown) => boolean
  /** How members are written that may be left out: as ones that may be `null`, or as they are. */
  readonly optional: "nullable" | "optional"
  /** Whether a schema may hold itself. */
  readonly recursion: boolean
  readonly limits: Limits
}

/** How large a schema may be. Infinity for what is not limited. */
interface Limits {
  readonly properties: number
  /** Levels of objects within objects, the outermost being the first. */
  readonly depth: number
  readonly optional: number
  /** Members of several types, by `anyOf` or a list of types. */
  readonly unions: number
  readonly enumValues: number
  /** Characters in the names of members and definitions, and in `enum` and `const`. */
  readonly characters: number
  /** Characters in the values of one `enum`, where it has more than 250 of them. */
  readonly longEnumCharacters: number
}

/** Translates a schema that is an object at the top. Throws an `UnsupportedField` that says what cannot be said. */
export const translate = (schema: JsonObject, dialect: Dialect): JsonObject => new Translation(schema, dialect).run()

/** The type that a constraint is about, and the words for it. */
type Constraint = readonly [type: string, words: (value: unknown) => string]

/** The constraints that can be put into words. */
const constraints: ReadonlyMap<string, Constraint> = new Map(Object.entries<Constraint>({
  minLength: ["string", (value) => `at least ${String(value)} characters`],
  maxLength: ["string", (value) => `at most ${String(value)} characters`],
  pattern: ["string", (value) => `must match the regular expression ${String(value)}`],
  format: ["string", (value) => `format: ${String(value)}`],
  contentEncoding: ["string", (value) => `encoded as ${String(value)}`],
  contentMediaType: ["string", (value) => `media type: ${String(value)}`],
  minimum: ["number", (value) => `at least ${String(value)}`],
  maximum: ["number", (value) => `at most ${String(value)}`],
  exclusiveMinimum: ["number", (value) => `more than ${String(value)}`],
  exclusiveMaximum: ["number", (value) => `less than ${String(value)}`],
  multipleOf: ["number", (value) => `a multiple of ${String(value)}`],
  minItems: ["array", (value) => `at least ${String(value)} items`],
  maxItems: ["array", (value) => `at most ${String(value)} items`],
  uniqueItems: ["array", (value) => value === true ? "no two items alike" : ""],
  contains: ["array", (value) => `contains: ${JSON.stringify(value)}`],
  minContains: ["array", (value) => `minContains: ${String(value)}`],
  maxContains: ["array", (value) => `maxContains: ${String(value)}`],
  minProperties: ["object", (value) => `at least ${String(value)} members`],
  maxProperties: ["object", (value) => `at most ${String(value)} members`],
  propertyNames: ["object", (value) => `names: ${JSON.stringify(value)}`],
  dependentRequired: ["object", (value) => `dependentRequired: ${JSON.stringify(value)}`]
}))

/** Keywords that no provider takes and no description makes up for, with the way out. */
const refused: { readonly [keyword: string]: string } = {
  not: "Say what may be there instead",
  if: "Use anyOf with an alternative for each case",
  dependentSchemas: "Use anyOf with an alternative for each case",
  dependencies: "Use anyOf with an alternative for each case",
  patternProperties: "Use a list of objects with a name and a value",
  prefixItems: "Use an object with a member for each position",
  $dynamicRef: "Use $ref"
}

/** Keywords that say what shape a value has; two schemas that both have some cannot be made one. */
const shapes = ["properties", "additionalProperties", "items", "anyOf", "oneOf", "enum", "const"]

/** More parts than this are no schema that somebody wrote for a model. */
const mostNodes = 20_000

/** Where a part of the schema is, and what is known there. */
interface Place {
  /** For errors: `schema.properties.label`. */
  readonly path: string
  /** Levels of objects around it. */
  readonly depth: number
  /** References that are being followed; one that is met again makes a definition. */
  readonly within: ReadonlySet<string>
}

const list = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []

const members = (value: unknown): ReadonlyArray<readonly [string, unknown]> =>
  isJsonObject(value) ? Object.entries(value) : []

const isScalar = (value: unknown): boolean => value === null || typeof value !== "object"

const typeOfValue = (value: unknown): string =>
  value === null ? "null" : typeof value === "number" && Number.isInteger(value) ? "integer" : typeof value

const sameJson = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

class Translation {
  private readonly definitions = new Map<string, string>()
  private readonly waiting: Array<{ readonly reference: string; readonly name: string }> = []
  private nodes = 0
  private properties = 0
  private optional = 0
  private unions = 0
  private enumValues = 0
  private characters = 0

  constructor(private readonly root: JsonObject, private readonly dialect: Dialect) {}

  run(): JsonObject {
    const top = this.node(this.root, { path: "schema", depth: 0, within: new Set(["#"]) })
    const definitions: Array<readonly [string, JsonObject]> = []
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
      const { name, reference } = next
      const place = { path: reference.replace("#/", "schema.").replaceAll("/", "."), depth: 0 }
      definitions.push([name, this.node(resolve(this.root, reference), { ...place, within: new Set([reference]) })])
    }
    return definitions.length === 0 ? top : { ...top, $defs: Object.fromEntries(definitions) }
  }

  private refuse(path: string, reason: string, remedy: string | null): never {
    throw new UnsupportedField({ field: path, target: this.dialect.target, reason, remedy })
  }

  private limit(name: keyof Limits, count: number, what: string, path: string, remedy: string): void {
    const most = this.dialect.limits[name]
    if (count > most) this.refuse(path, `the schema has more than ${most.toLocaleString("en")} ${what}`, remedy)
  }

  private text(text: string, path: string): void {
    this.characters += text.length
    this.limit("characters", this.characters, "characters in its names and values", path, "Make it smaller")
  }

  private node(value: unknown, place: Place): JsonObject {
    if (++this.nodes > mostNodes) this.refuse(place.path, "the schema is too large", "Make it smaller")
    if (!isJsonObject(value)) return this.refuse(place.path, "it allows anything, or nothing", "Say what type it has")
    const { around, merged, recursive } = this.flatten(value, place)
    if (recursive !== undefined) return { $ref: recursive }
    const here = { ...place, within: around }
    for (const [keyword, remedy] of Object.entries(refused)) {
      if (merged[keyword] !== undefined) this.refuse(`${place.path}.${keyword}`, "there is no place for it", remedy)
    }
    const options = merged["anyOf"] ?? merged["oneOf"]
    if (options !== undefined) return this.union(merged, list(options), here)
    if (merged["enum"] !== undefined || merged["const"] !== undefined) return this.values(merged, here)
    const types = this.typesOf(merged, here)
    const [type = "string", ...more] = types
    if (more.length === 0) return this.typed(merged, type, here)
    if (!types.includes("object") && !types.includes("array")) {
      this.unions++
      return this.described(merged, { type: types, ...this.kept(merged, types) }, types)
    }
    const { default: otherwise, description, examples, title, ...rest } = merged
    const anyOf = types.map((each) => ({ ...rest, type: each }))
    return this.union({ default: otherwise, description, examples, title, anyOf }, anyOf, here)
  }

  /**
   * A schema with what it refers to, and all parts of its `allOf`, in one; or, where it refers to what it is part of, the
   * reference to a definition.
   */
  private flatten(
    schema: JsonObject,
    place: Place
  ): { readonly merged: JsonObject; readonly around: ReadonlySet<string>; readonly recursive?: string } {
    const { $ref: reference, allOf, ...own } = schema
    if (typeof reference === "string" && place.within.has(reference)) {
      return { merged: own, around: place.within, recursive: this.recursive(reference, place.path) }
    }
    let merged: JsonObject = own
    let around = place.within
    const add = (part: unknown, path: string) => {
      if (!isJsonObject(part)) return this.refuse(path, "it is no schema with keywords", "Leave it out")
      const flat = this.flatten(part, { ...place, path, within: around })
      if (flat.recursive !== undefined) {
        return this.refuse(path, "the schema holds itself", "Refer to it from a member, or as the items of a list")
      }
      around = flat.around
      merged = this.merge(merged, flat.merged, path)
    }
    if (typeof reference === "string") {
      around = new Set([...around, reference])
      add(resolve(this.root, reference), place.path)
    }
    for (const [index, part] of list(allOf).entries()) add(part, `${place.path}.allOf[${index}]`)
    return { merged, around }
  }

  /** The name of the definition that a schema refers to from within itself. */
  private recursive(reference: string, path: string): string {
    if (!this.dialect.recursion) {
      this.refuse(path, "the schema holds itself", "Write it out to the depth that you need")
    }
    if (reference === "#") return reference
    const known = this.definitions.get(reference)
    if (known !== undefined) return `#/$defs/${known}`
    const base = reference.slice(reference.lastIndexOf("/") + 1).replace(/[^a-zA-Z0-9_-]+/gu, "_") || "part"
    const taken = new Set(this.definitions.values())
    let name = base
    for (let count = 2; taken.has(name); count++) name = `${base}_${count}`
    this.text(name, path)
    this.definitions.set(reference, name)
    this.waiting.push({ reference, name })
    return `#/$defs/${name}`
  }

  /** Two schemas that both hold, as one; what stands in the first goes before in descriptions. */
  private merge(one: JsonObject, other: JsonObject, path: string): JsonObject {
    const shaped = (schema: JsonObject) => shapes.some((keyword) => schema[keyword] !== undefined)
    if (shaped(one) && shaped(other)) {
      this.refuse(path, "two shapes at once cannot be asked for", "Write them as one schema, without allOf")
    }
    const merged: { [keyword: string]: unknown } = { ...one }
    const both: Array<string> = []
    for (const [keyword, value] of Object.entries(other)) {
      const first = merged[keyword]
      if (first === undefined) merged[keyword] = value
      else if (keyword === "required") merged[keyword] = [...new Set([...list(first), ...list(value)])]
      else if (keyword === "type") merged[keyword] = this.commonType(first, value, path)
      else if (!sameJson(first, value)) both.push(inWords(keyword, value))
    }
    return { ...merged, description: withWords(merged["description"], both) }
  }

  private commonType(one: unknown, other: unknown, path: string): unknown {
    const types = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : [value]
    const covers = (wide: ReadonlyArray<unknown>, type: unknown) =>
      wide.includes(type) || (type === "integer" && wide.includes("number"))
    const common = [
      ...types(one).filter((type) => covers(types(other), type)),
      ...types(other).filter((type) => covers(types(one), type) && !types(one).includes(type))
    ]
    if (common.length === 0) this.refuse(path, "no value has both types", "Say one type")
    return common.length === 1 ? common[0] : common
  }

  private typesOf(schema: JsonObject, { path }: Place): ReadonlyArray<string> {
    const { type } = schema
    if (Array.isArray(type)) return type.map(String)
    if (typeof type === "string") return [type]
    const about = Object.entries(schema).map(([keyword, value]) =>
      value === undefined ? undefined : constraints.get(keyword)?.[0]
    )
    if (schema["properties"] !== undefined || about.includes("object")) return ["object"]
    if (schema["items"] !== undefined || about.includes("array")) return ["array"]
    const scalar = about.find((each) => each !== undefined)
    return scalar === undefined ? this.refuse(path, "it allows anything", "Say what type it has") : [scalar]
  }

  private union(schema: JsonObject, options: ReadonlyArray<unknown>, place: Place): JsonObject {
    const beside = ["properties", "items", "enum", "const", ...schema["anyOf"] === undefined ? [] : ["oneOf"]]
      .find((keyword) => schema[keyword] !== undefined)
    if (beside !== undefined) {
      this.refuse(`${place.path}.${beside}`, "it stands beside alternatives", "Write it into each of them")
    }
    const keyword = schema["anyOf"] === undefined ? "oneOf" : "anyOf"
    if (options.length > 1) this.unions++
    const path = (index: number) => `${place.path}.${keyword}[${index}]`
    return this.described(
      schema,
      { anyOf: options.map((option, index) => this.node(option, { ...place, path: path(index) })) },
      []
    )
  }

  private values(schema: JsonObject, { path }: Place): JsonObject {
    const isConst = schema["const"] !== undefined
    const values = isConst ? [schema["const"]] : list(schema["enum"])
    if (!values.every(isScalar)) {
      this.refuse(`${path}.${isConst ? "const" : "enum"}`, "it holds a list or an object", "Use anyOf with objects")
    }
    const words = values.filter((value) => typeof value === "string")
    for (const word of words) this.text(word, path)
    if (!isConst) {
      this.enumValues += values.length
      this.limit("enumValues", this.enumValues, "values in enum", path, "Ask for a string, and check it yourself")
      if (values.length > 250) {
        const length = words.reduce((sum, word) => sum + word.length, 0)
        this.limit("longEnumCharacters", length, "characters in one enum", path, "Make the values shorter")
      }
    }
    const found = new Set(values.map(typeOfValue))
    // Every integer is a number.
    if (found.has("number")) found.delete("integer")
    const types = [...found]
    if (types.length > 1) this.unions++
    const type = types.length === 1 ? types[0] : types
    return this.described(schema, { type, ...isConst ? { const: schema["const"] } : { enum: values } }, types)
  }

  private typed(schema: JsonObject, type: string, place: Place): JsonObject {
    switch (type) {
      case "object":
        return this.object(schema, place)
      case "array": {
        const { items } = schema
        if (items === undefined) this.refuse(place.path, "it does not say what its items are", "Give it items")
        const inner = this.node(items, { ...place, path: `${place.path}.items` })
        return this.described(schema, { type, ...this.kept(schema, [type]), items: inner }, [type])
      }
      default:
        return this.described(schema, { type, ...this.kept(schema, [type]) }, [type])
    }
  }

  private object(schema: JsonObject, place: Place): JsonObject {
    const { path } = place
    const depth = place.depth + 1
    this.limit("depth", depth, "levels of objects", path, "Make it flatter")
    const { additionalProperties } = schema
    const all = members(schema["properties"])
    if (isJsonObject(additionalProperties) || (all.length === 0 && additionalProperties !== false)) {
      this.refuse(path, "its members have no names", "Use a list of objects with a name and a value")
    }
    const required = new Set(list(schema["required"]))
    const unnamed = [...required].find((name) => !all.some(([known]) => known === name))
    if (unnamed !== undefined) {
      this.refuse(`${path}.required`, `${JSON.stringify(unnamed)} is not among its properties`, "Describe it there")
    }
    this.properties += all.length
    this.limit("properties", this.properties, "properties", path, "Make it smaller")
    const properties = all.map(([name, inner]) => {
      this.text(name, path)
      const translated = this.node(inner, { ...place, depth, path: `${path}.properties.${name}` })
      return [name, required.has(name) ? translated : this.optionalMember(translated, path)] as const
    })
    return this.described(schema, {
      type: "object",
      ...this.kept(schema, ["object"]),
      properties: Object.fromEntries(properties),
      required: this.dialect.optional === "nullable" ? all.map(([name]) => name) : [...required],
      additionalProperties: false
    }, ["object"])
  }

  private optionalMember(schema: JsonObject, path: string): JsonObject {
    this.optional++
    this.limit("optional", this.optional, "members that may be left out", path, "List more of them in required")
    if (this.dialect.optional === "optional" || takesNull(schema)) return schema
    return Array.isArray(schema["anyOf"])
      ? { ...schema, anyOf: [...list(schema["anyOf"]), { type: "null" }] }
      : { anyOf: [schema, { type: "null" }] }
  }

  /** The constraints that the provider takes. */
  private kept(schema: JsonObject, types: ReadonlyArray<string>): JsonObject {
    return Object.fromEntries(
      Object.entries(schema).filter(([keyword, value]) =>
        isAbout(keyword, types) && value !== undefined && this.dialect.takes(keyword, value)
      )
    )
  }

  /** The translation with title and description, and with the constraints in words that are not in it. */
  private described(schema: JsonObject, translation: JsonObject, types: ReadonlyArray<string>): JsonObject {
    this.limit("unions", this.unions, "members of several types", "schema", "Give more of them one type")
    const { default: otherwise, examples, title } = schema
    const words = Object.entries(schema)
      .filter(([keyword, value]) =>
        isAbout(keyword, types) && value !== undefined && translation[keyword] === undefined
      )
      .map(([keyword, value]) => inWords(keyword, value))
    if (otherwise !== undefined) words.push(`by default ${JSON.stringify(otherwise)}`)
    if (Array.isArray(examples)) words.push(`for example ${examples.map((each) => JSON.stringify(each)).join(", ")}`)
    const description = withWords(schema["description"], words)
    return {
      ...translation,
      ...typeof title === "string" ? { title } : undefined,
      ...description === undefined ? undefined : { description }
    }
  }
}

/** A constraint in words; none for what says nothing, such as a second title. */
const inWords = (keyword: string, value: unknown): string => constraints.get(keyword)?.[1](value) ?? ""

/** A description with constraints in words behind it. */
const withWords = (description: unknown, words: ReadonlyArray<string>): string | undefined => {
  const added = words.filter((word) => word !== "").join(", ")
  if (typeof description !== "string" || description === "") return added === "" ? undefined : added
  return added === "" ? description : `${description} (${added})`
}

/** Whether a keyword constrains values of one of these types; with no types, of any. */
const isAbout = (keyword: string, types: ReadonlyArray<string>): boolean => {
  const about = constraints.get(keyword)?.[0]
  if (about === undefined) return false
  return types.length === 0 || types.includes(about) || (about === "number" && types.includes("integer"))
}

const takesNull = ({ anyOf, enum: values, type }: JsonObject): boolean =>
  type === "null" || list(type).includes("null") && (values === undefined || list(values).includes(null))
  || list(anyOf).some((option) => isJsonObject(option) && takesNull(option))
