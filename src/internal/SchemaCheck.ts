/**
 * JSON Schemas that answers are checked against: compiled once, by ajv, then plain synchronous code for the row path.
 * Draft 2020-12; what draft 7 says otherwise is an error that says so.
 */
import { fullFormats } from "ajv-formats/dist/formats.js"
import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js"
import * as Either from "effect/Either"
import { isJsonObject, type JsonObject } from "../Request.js"
import { nearestName } from "./NearestName.js"
import { isEndless } from "./SchemaPointer.js"

/** Where a value does not fit, and what is wrong there. */
export interface Misfit {
  /** As `$.a[2].b`. */
  readonly path: string
  readonly problem: string
}

/** Tells what is wrong with a value; `undefined` when it fits. */
export type Check = (value: unknown) => Misfit | undefined

/** The path of a place in a value, as `$.a[2].b`. */
export const pathOf = (steps: ReadonlyArray<PropertyKey>): string =>
  steps.reduce<string>((path, step) => {
    if (typeof step === "number") return `${path}[${step}]`
    const name = String(step)
    return /^[A-Za-z_$][\w$]*$/u.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(name)}]`
  }, "$")

/** A value in a message, cut short. */
export const shown = (value: unknown): string => {
  if (Array.isArray(value)) return "a list"
  if (isJsonObject(value)) return "an object"
  const text = JSON.stringify(value) ?? "nothing"
  return text.length > 60 ? `${text.slice(0, 57)}...` : text
}

/** The steps of a JSON pointer into a value: a position where there is a list, a name elsewhere. */
const stepsOf = (pointer: string, value: unknown): ReadonlyArray<PropertyKey> => {
  let at = value
  return pointer.split("/").slice(1).map((escaped) => {
    const name = escaped.replaceAll("~1", "/").replaceAll("~0", "~")
    if (Array.isArray(at)) {
      at = at[Number(name)]
      return Number(name)
    }
    at = isJsonObject(at) ? at[name] : undefined
    return name
  })
}

const listed = (list: unknown): string => {
  const values: ReadonlyArray<unknown> = Array.isArray(list) ? list : []
  const some = values.slice(0, 20).map(shown).join(", ")
  return values.length > 20 ? `${some}, ... (${values.length} in all)` : some
}

const typeNames = (type: unknown): string => (Array.isArray(type) ? type : [type]).map(String).join(" or ")

/** The error that says most: of a union's, that which lies deepest, and is not only about the type. */
const telling = (errors: ReadonlyArray<ErrorObject>): ErrorObject | undefined => {
  const weight = ({ instancePath, keyword }: ErrorObject) =>
    instancePath.split("/").length * 4
    + (keyword === "anyOf" || keyword === "oneOf" ? 1 : keyword === "type" ? 0 : 2)
  let best: ErrorObject | undefined
  for (const error of errors) {
    if (best === undefined || weight(error) > weight(best)) best = error
  }
  return best
}

const misfit = (errors: ReadonlyArray<ErrorObject>, value: unknown): Misfit => {
  const error = telling(errors)
  if (error === undefined) return { path: "$", problem: "it does not fit the schema" }
  const { data, instancePath, keyword, params } = error
  const steps = stepsOf(instancePath, value)
  const at = pathOf(steps)
  switch (keyword) {
    case "required":
      return { path: pathOf([...steps, String(params["missingProperty"])]), problem: "it is missing" }
    case "additionalProperties":
    case "unevaluatedProperties":
      return {
        path: pathOf([...steps, String(params["additionalProperty"] ?? params["unevaluatedProperty"])]),
        problem: "there must be no such member"
      }
    case "type":
      return { path: at, problem: `it is ${shown(data)}, and must be of type ${typeNames(params["type"])}` }
    case "enum":
      return { path: at, problem: `it is ${shown(data)}, and must be one of ${listed(params["allowedValues"])}` }
    case "const":
      return { path: at, problem: `it is ${shown(data)}, and must be ${shown(params["allowedValue"])}` }
    case "anyOf":
    case "oneOf":
      return { path: at, problem: `it is ${shown(data)}, which is none of what it may be` }
    default:
      return { path: at, problem: `it is ${shown(data)}, and ${error.message ?? `fails ${keyword}`}` }
  }
}

const metaSchemaId = "https://json-schema.org/draft/2020-12/schema"

/** What is read as draft 2020-12: draft 7 says the same in all but a few keywords, which are told apart. */
const dialects: ReadonlySet<string> = new Set([metaSchemaId, "http://json-schema.org/draft-07/schema"])

/** Keywords of older drafts that would go unheeded. */
const old: ReadonlyMap<string, string> = new Map([
  ["additionalItems", "items, beside prefixItems"],
  ["$recursiveRef", "$dynamicRef"]
])

/** Keywords that others may be misspellings of. */
const keywords = [
  "properties",
  "required",
  "additionalProperties",
  "patternProperties",
  "propertyNames",
  "minProperties",
  "maxProperties",
  "prefixItems",
  "contains",
  "minItems",
  "maxItems",
  "uniqueItems",
  "minLength",
  "maxLength",
  "pattern",
  "format",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "description",
  "definitions",
  "anyOf",
  "oneOf",
  "allOf"
]

/** What is wrong with a schema, and where in it, where that is known. */
export interface SchemaFault {
  readonly path: string | null
  readonly problem: string
}

/** Compiled once, when the first schema comes: it takes longer than all schemas that people write. */
let metaSchema: ValidateFunction | undefined

const metaSchemaCheck = (): ValidateFunction => {
  metaSchema ??= new Ajv2020({ strict: false, verbose: true }).getSchema(metaSchemaId)
  if (metaSchema === undefined) throw new Error(`ajv does not know ${metaSchemaId}`)
  return metaSchema
}

/** Compiles a schema, or tells what is wrong with it. */
export const compile = (schema: JsonObject): Either.Either<Check, SchemaFault> => {
  const fault = (problem: string, path: string | null = null) => Either.left({ path, problem })
  const { $async: isAsync, $schema: dialect, ...rest } = schema
  if (dialect !== undefined && (typeof dialect !== "string" || !dialects.has(dialect.replace(/#$/u, "")))) {
    return fault(`it is written for ${shown(dialect)}`, "$.$schema")
  }
  if (isAsync !== undefined) return fault("answers are not checked asynchronously", "$.$async")
  const unknown: Array<string> = []
  const note = (...words: ReadonlyArray<unknown>) => {
    const name = /unknown keyword: "(.*)"$/u.exec(words.map(String).join(" "))?.[1]
    if (name !== undefined) unknown.push(name)
  }
  try {
    const isSchema = metaSchemaCheck()
    if (!isSchema(rest)) {
      const { path, problem } = misfit(isSchema.errors ?? [], rest)
      return fault(problem, path)
    }
    if (isEndless(rest)) return fault("it refers to itself about one and the same value, without an end")
    const validate = new Ajv2020({
      formats: fullFormats,
      meta: false,
      validateSchema: false,
      // Unknown keywords are told rather than refused: most of them are annotations.
      strictSchema: "log",
      strictTypes: false,
      strictTuples: false,
      strictRequired: false,
      // For messages: the value that does not fit.
      verbose: true,
      logger: { log: note, warn: note, error: note }
    }).compile(rest)
    for (const name of unknown) {
      const newer = old.get(name)
      if (newer !== undefined) return fault(`${name} is of an older draft; now it is ${newer}`)
      const near = nearestName(name, keywords)
      if (near !== undefined) return fault(`there is no keyword ${JSON.stringify(name)}; did you mean ${near}?`)
    }
    return Either.right((value) => validate(value) ? undefined : misfit(validate.errors ?? [], value))
  } catch (error) {
    if (error instanceof RangeError) return fault("it is too large, or nested too deeply, to be compiled")
    return fault(error instanceof Error ? error.message : String(error))
  }
}
