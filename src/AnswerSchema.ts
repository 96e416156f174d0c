/**
 * The form that answers must have: made of an Effect `Schema` or of a JSON Schema. It tells providers what to hold the
 * model to, and checks what comes back, wherever in the reply it is.
 *
 * A form that is no object at the top (a list, a choice of words) is asked for as the member `answer` of an object,
 * since that is what providers take, and is taken out of it again.
 *
 * @example
 * ```ts
 * import * as Either from "effect/Either"
 * import * as Schema from "effect/Schema"
 * import * as AnswerSchema from "llm-batch/AnswerSchema"
 *
 * const Verdict = Schema.Struct({ label: Schema.Literal("spam", "ham"), score: Schema.Number })
 * const answers = Either.getOrThrow(AnswerSchema.fromSchema(Verdict))
 *
 * answers.decode("Sure! {\"label\": \"spam\", \"score\": 0.9}") // Either.right({ label: "spam", score: 0.9 })
 * ```
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as JSONSchema from "effect/JSONSchema"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type { AnswerCheck, AnswerProblem } from "./AnswerCheck.js"
import { InputError } from "./InputError.js"
import * as AbsentNulls from "./internal/AbsentNulls.js"
import * as JsonAnswer from "./internal/JsonAnswer.js"
import * as SchemaCheck from "./internal/SchemaCheck.js"
import * as SchemaPointer from "./internal/SchemaPointer.js"
import { isJsonObject, type JsonObject } from "./Request.js"

/**
 * What a provider needs to know of the form of answers: it translates the schema to what it takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnswerFormat {
  /** Letters, digits, `_` and `-`, at most 64 of them. */
  readonly name: string
  /** A JSON Schema of draft 2020-12, an object at the top. */
  readonly schema: JsonObject
}

/**
 * The form of answers.
 *
 * @since 0.1.0
 * @category models
 */
export interface AnswerSchema<A = unknown> {
  /** The JSON Schema of an answer, as it is kept with a run. */
  readonly jsonSchema: JsonObject
  /** What providers are asked for: as `jsonSchema`, but an object at the top. */
  readonly format: AnswerFormat
  /**
   * The answer in a reply, decoded; or what is wrong with it. The reply may have prose or a code fence around the JSON.
   * Of several values the likeliest that fits is taken. A `null` for a member that may be left out counts as absent.
   */
  readonly decode: (reply: string) => Either.Either<A, AnswerProblem>
  /** What is wrong with a reply; `undefined` when it can be decoded. */
  readonly check: AnswerCheck
}

/**
 * How a schema is called, and where it comes from.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What it is called at providers; by default as its title or identifier, else `answer`. */
  readonly name?: string | undefined
  /** Where it comes from, for error messages: a file's path, for one. */
  readonly source?: string | undefined
}

/** The member that holds an answer which is no object. */
const member = "answer"

/** The name by which providers know a schema: that which was given, its title, that of its definition, or `answer`. */
const nameOf = (given: string | undefined, { $ref: reference, title }: JsonObject): string => {
  const definition = typeof reference === "string" ? reference.slice(reference.lastIndexOf("/") + 1) : undefined
  const name = given ?? (typeof title === "string" ? title : definition) ?? member
  return name.replace(/[^a-zA-Z0-9_-]+/gu, "_").slice(0, 64) || member
}

const definitionNames = ["$defs", "definitions"]

const isObjectSchema = (schema: JsonObject): boolean => {
  const top = SchemaPointer.follow(schema, schema)
  if (!isJsonObject(top) || top["anyOf"] !== undefined || top["oneOf"] !== undefined) return false
  return top["type"] === "object" || (top["type"] === undefined && isJsonObject(top["properties"]))
}

/** References into a schema that is not at the top any more, but for those to definitions, which stay there. */
const moved = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(moved)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) =>
      name === "$ref" && typeof inner === "string" && /^#(?!\/(\$defs|definitions)\/)/u.test(inner)
        ? [name, `#/properties/${member}${inner.slice(1)}`]
        : [name, moved(inner)]
    )
  )
}

const wrapped = (schema: JsonObject): JsonObject => {
  const all = Object.entries(schema)
  const definitions = all.filter(([name]) => definitionNames.includes(name))
    .map(([name, inner]) => [name, moved(inner)] as const)
  const own = all.filter(([name]) => name !== "$schema" && name !== "$id" && !definitionNames.includes(name))
  return {
    type: "object",
    properties: { [member]: moved(Object.fromEntries(own)) },
    required: [member],
    additionalProperties: false,
    ...Object.fromEntries(definitions)
  }
}

/** A value that may be meant as the answer, in the order of likelihood. */
const readings = (value: unknown, isWrapped: boolean): ReadonlyArray<unknown> =>
  isWrapped && isJsonObject(value) && Object.hasOwn(value, member) && Object.keys(value).length === 1
    ? [value[member], value]
    : [value]

const invalidJson = (problem: string): AnswerProblem => ({ code: "invalid_json", path: "$", problem })

const make = <A>(
  jsonSchema: JsonObject,
  name: string | undefined,
  validate: (value: unknown) => Either.Either<A, SchemaCheck.Misfit>
): AnswerSchema<A> => {
  const isWrapped = !isObjectSchema(jsonSchema)
  const removeNulls = AbsentNulls.remover(jsonSchema)
  const decode = (reply: string): Either.Either<A, AnswerProblem> => {
    let longest: { readonly problem: AnswerProblem; readonly length: number } | undefined
    for (const { length, value } of JsonAnswer.candidates(reply)) {
      let first: SchemaCheck.Misfit | undefined
      for (const reading of readings(value, isWrapped)) {
        removeNulls?.(reading)
        const validated = validate(reading)
        if (Either.isRight(validated)) return Either.right(validated.right)
        first ??= validated.left
      }
      if (first !== undefined && (longest === undefined || length > longest.length)) {
        longest = { problem: { code: "invalid_answer", ...first }, length }
      }
    }
    if (longest !== undefined) return Either.left(longest.problem)
    return Either.left(
      invalidJson(reply.trim() === "" ? "the answer is empty" : "there is no JSON in it that can be read")
    )
  }

  return {
    jsonSchema,
    format: {
      name: nameOf(name, jsonSchema),
      schema: isWrapped ? wrapped(jsonSchema) : jsonSchema
    },
    decode,
    check: (reply) => Either.match(decode(reply), { onLeft: (problem) => problem, onRight: () => undefined })
  }
}

const notUsable = ({ source }: Options, problem: string, remedy: string, field?: string | null) =>
  new InputError({
    source: source ?? "the answer schema",
    ...(typeof field === "string" ? { field } : undefined),
    problem,
    remedy
  })

/**
 * The form that a JSON Schema describes: draft 2020-12, references within the document only. Fails with an `InputError`
 * that says where it is no schema, or refers to what is not there.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromJson = (schema: unknown, options: Options = {}): Either.Either<AnswerSchema, InputError> => {
  const remedy = "Give a JSON Schema of draft 2020-12, with all that it refers to in it."
  if (!isJsonObject(schema)) {
    return Either.left(notUsable(options, `it is ${SchemaCheck.shown(schema)}, and no JSON Schema object`, remedy))
  }
  return Either.mapBoth(SchemaCheck.compile(schema), {
    onLeft: ({ path, problem }) => notUsable(options, problem, remedy, path),
    onRight: (check) =>
      make<unknown>(schema, options.name, (value) => {
        const misfit = check(value)
        return misfit === undefined ? Either.right(value) : Either.left(misfit)
      })
  })
}

/**
 * The check of a JSON Schema that was found good before, as when a run that has it is resumed. Throws the `InputError`
 * of `fromJson` for any other.
 *
 * @since 0.1.0
 * @category constructors
 */
export const checkJson = (schema: JsonObject, name?: string): AnswerCheck =>
  Either.getOrThrowWith(fromJson(schema, { name }), (error) => error).check

/** What a decoder expected and found, as it words it. */
const expectation = /^Expected (?<expected>[^]*), actual (?<actual>[^]*)$/u

/** The issue that says most: of a union's, that which lies deepest; of several in one place, all that would do there. */
const telling = (error: ParseResult.ParseError): SchemaCheck.Misfit => {
  const issues = ParseResult.ArrayFormatter.formatErrorSync(error)
  const deepest = issues.reduce((best, issue) => issue.path.length > best.path.length ? issue : best)
  const path = SchemaCheck.pathOf(deepest.path)
  const expected = new Set(
    issues.filter((issue) => SchemaCheck.pathOf(issue.path) === path)
      .map((issue) => expectation.exec(issue.message)?.groups?.["expected"])
  )
  const actual = expectation.exec(deepest.message)?.groups?.["actual"]
  return {
    path,
    problem: actual === undefined || expected.has(undefined)
      ? deepest.message
      : `Expected ${[...expected].join(" | ")}, actual ${actual}`
  }
}

/**
 * The form that an Effect `Schema` describes: its encoded side is asked for, and answers are decoded, transformations,
 * defaults and filters included. Fails with an `InputError` when it has no JSON Schema, as a `bigint` has none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromSchema = <A, I>(
  schema: Schema.Schema<A, I>,
  options: Options = {}
): Either.Either<AnswerSchema<A>, InputError> => {
  const identifier = Option.orElse(
    SchemaAST.getJSONIdentifier(schema.ast),
    () => SchemaAST.getJSONIdentifier(SchemaAST.typeAST(schema.ast))
  )
  const decode = Schema.decodeUnknownEither(schema)
  return Either.map(
    Either.try({
      try: () => jsonSchemaOf(schema),
      catch: (error) =>
        notUsable(
          options,
          `it has no JSON Schema: ${error instanceof Error ? error.message : String(error)}`,
          "Use types that JSON has, or give the schema a \"jsonSchema\" annotation."
        )
    }),
    (jsonSchema) =>
      make(
        jsonSchema,
        options.name ?? Option.getOrUndefined(identifier),
        (value) => Either.mapLeft(decode(value), telling)
      )
  )
}

/** Members that a `Struct` does not name are ignored when it is decoded, so that its JSON Schema allows them too. */
const jsonSchemaOf = <A, I>(schema: Schema.Schema<A, I>): JsonObject => {
  const definitions: Record<string, JSONSchema.JsonSchema7> = {}
  const own = JSONSchema.fromAST(schema.ast, {
    definitions,
    target: "jsonSchema2020-12",
    additionalPropertiesStrategy: "allow"
  })
  return Object.keys(definitions).length === 0 ? { ...own } : { ...own, $defs: definitions }
}

/**
 * The form as the `response_format` of a Chat Completions body, untranslated: for servers that take any schema.
 *
 * @since 0.1.0
 * @category conversions
 */
export const responseFormat = ({ name, schema }: AnswerFormat): JsonObject => ({
  type: "json_schema",
  json_schema: { name, schema, strict: true }
})
