/**
 * Reads a file of models: what corrects the catalogue, or adds to it. Errors name the line and the field.
 */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { isMap, isNode, isPair, LineCounter, type Node, parseDocument } from "yaml"
import { InputError } from "../InputError.js"
import { nearestName } from "../internal/NearestName.js"
import { describe } from "../internal/RowErrors.js"

/** What a field takes, after "must be". */
const taking = (takes: string) => ({ description: takes })

const Text = Schema.NonEmptyString.annotations(taking("a text that is not empty"))
const Texts = Schema.Array(Text).annotations(taking("a list of texts"))
const YesNo = Schema.Boolean.annotations(taking("true or false"))
const Count = Schema.Int.pipe(Schema.positive()).annotations(taking("a whole number above 0"))
const Rate = Schema.Number.pipe(Schema.nonNegative()).annotations(taking("US dollars for a million tokens, from 0"))
const NoRate = Schema.NullOr(Rate).annotations(taking("US dollars for a million tokens, from 0, or null"))

const choice = <const Names extends readonly [string, ...ReadonlyArray<string>]>(...names: Names) =>
  Schema.Literal(...names).annotations(taking(`one of ${names.join(", ")}`))

const Day = Schema.String.pipe(Schema.pattern(/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/)).annotations(
  taking("a day, such as 2026-11-30")
)

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

const renamed = <A, I>(schema: Schema.Schema<A, I>, key: string) =>
  Schema.propertySignature(schema).pipe(Schema.fromKey(key))

const maybe = <A, I>(schema: Schema.Schema<A, I>, key: string) => optional(schema).pipe(Schema.fromKey(key))

const orNull = (key: string) => Schema.optionalWith(NoRate, { default: () => null }).pipe(Schema.fromKey(key))

const rates = {
  input: Schema.propertySignature(Rate),
  output: orNull("output"),
  cacheRead: orNull("cache_read"),
  cacheWrite5m: orNull("cache_write_5m"),
  cacheWrite1h: orNull("cache_write_1h")
}

const Prices = Schema.Struct({
  ...rates,
  long: Schema.optionalWith(
    Schema.NullOr(Schema.Struct({ ...rates, above: renamed(Count, "above") })).annotations(
      taking("the prices of long prompts, with above")
    ),
    { default: () => null }
  ),
  batchFactor: Schema.optionalWith(
    Schema.Number.pipe(Schema.between(0, 1)).annotations(taking("a number from 0 to 1")),
    { default: () => 0.5 }
  ).pipe(Schema.fromKey("batch_factor"))
}).annotations(taking("prices, or null where they are not known"))

const Accepts = Schema.Struct({
  sampling: optional(choice("any", "one", "without_reasoning", "none")),
  stop: optional(YesNo),
  reasoning: optional(choice("never", "optional", "always")),
  efforts: optional(Texts),
  effortBeta: maybe(Text, "effort_beta"),
  thinking: optional(Texts),
  structuredOutput: maybe(YesNo, "structured_output"),
  batch: optional(YesNo)
}).annotations(taking("what the model takes: sampling, stop, reasoning, efforts, thinking, structured_output, batch"))

const Entry = Schema.Struct({
  provider: optional(Text),
  like: optional(Text),
  aliases: optional(Texts),
  context: optional(Count),
  maxOutput: maybe(Count, "max_output"),
  tokenizer: optional(choice("o200k_base", "cl100k_base", "claude", "claude-2026")),
  accepts: optional(Accepts),
  prices: optional(Schema.NullOr(Prices)),
  retires: optional(Schema.NullOr(Day)),
  asOf: maybe(Day, "as_of")
}).annotations(taking("the fields of a model"))

/** What a file says of one model; what it does not say stays as it is. */
export interface ModelEntry extends Omit<typeof Entry.Type, "like"> {
  readonly name: string
  /** Another model whose limits and parameters it has, and the error for when there is none of that name. */
  readonly like?: { readonly name: string; readonly error: InputError }
  /** The error for when nobody knows the model, and the entry does not say whose it is. */
  readonly nameless: InputError
}

const decodeEntry = Schema.decodeUnknownEither(Entry, { onExcessProperty: "error" })

/** What is wrong first: where, how, and what its schema says that it takes. */
interface Issue {
  readonly path: ReadonlyArray<string>
  readonly issue: ParseResult.ParseIssue
  readonly takes: string | undefined
}

const detail = ({ path, takes }: Issue): number => path.length * 2 + (takes === undefined ? 0 : 1)

const firstIssue = (issue: ParseResult.ParseIssue, path: ReadonlyArray<string>, outer: string | undefined): Issue => {
  if (issue._tag === "Pointer") {
    const step = Array.isArray(issue.path) ? issue.path.map(String) : [String(issue.path)]
    return firstIssue(issue.issue, [...path, ...step], undefined)
  }
  if (issue._tag === "Missing" || issue._tag === "Unexpected") return { path, issue, takes: outer }
  const takes = outer ?? Option.getOrUndefined(SchemaAST.getDescriptionAnnotation(issue.ast))
  if (issue._tag === "Composite") {
    // Of the members of a union the one that says most: null is one, too.
    return ("_tag" in issue.issues ? [issue.issues] : issue.issues)
      .map((inner) => firstIssue(inner, path, takes))
      .reduce((best, other) => detail(other) > detail(best) ? other : best)
  }
  return issue._tag === "Refinement" || issue._tag === "Transformation"
    ? firstIssue(issue.issue, path, takes)
    : { path, issue, takes }
}

const entryFields = [
  "provider",
  "like",
  "aliases",
  "context",
  "max_output",
  "tokenizer",
  "accepts",
  "prices",
  "retires",
  "as_of"
]
const priceFields = [
  "input",
  "output",
  "cache_read",
  "cache_write_5m",
  "cache_write_1h",
  "long",
  "above",
  "batch_factor"
]
const acceptFields = [
  "sampling",
  "stop",
  "reasoning",
  "efforts",
  "effort_beta",
  "thinking",
  "structured_output",
  "batch"
]

const remedyOf = ({ issue, takes }: Issue, field: string): string => {
  if (issue._tag === "Unexpected") {
    const near = nearestName(field, [...entryFields, ...priceFields, ...acceptFields])
    return near === undefined
      ? `The fields of a model are ${entryFields.join(", ")}.`
      : `Did you mean ${near}?`
  }
  return takes === undefined
    ? "See config/models.yaml of this package for the fields and what they take."
    : `It must be ${takes}.`
}

/** The entries of a file's text. `source` is how errors call it. */
export const parseModels = (
  text: string,
  source: string
): Either.Either<ReadonlyArray<ModelEntry>, InputError> => {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })

  const errorAt = (offset: number, problem: string, remedy: string, field?: string): InputError => {
    const { col, line } = lines.linePos(offset)
    return new InputError({
      source,
      line: Math.max(1, line),
      column: Math.max(1, col),
      ...(field === undefined ? {} : { field }),
      problem,
      remedy
    })
  }

  /** Where the last part of a path stands that the file has. */
  const offsetOf = (entry: Node, path: ReadonlyArray<string>): number => {
    let offset = entry.range?.[0] ?? 0
    let node: unknown = entry
    for (const step of path) {
      if (!isMap(node)) break
      const pair = node.items.find(({ key }) => String(key) === step)
      if (!isPair(pair) || !isNode(pair.key)) break
      offset = pair.key.range?.[0] ?? offset
      node = pair.value
    }
    return offset
  }

  const invalid = (name: string, node: Node, error: ParseResult.ParseError): InputError => {
    const first = firstIssue(error.issue, [], undefined)
    const { issue, path } = first
    const field = path.at(-1) ?? name
    const problem = issue._tag === "Missing"
      ? "it is missing"
      : issue._tag === "Unexpected"
      ? "there is no such field"
      : `found ${describe(issue.actual)}`
    return errorAt(offsetOf(node, path), problem, remedyOf(first, field), [name, ...path].join("."))
  }

  return Either.gen(function*() {
    const [broken] = document.errors
    const shape = "Write \"models:\", and below it one name a line with its fields below."
    if (broken !== undefined) {
      return yield* Either.left(errorAt(broken.pos[0], `this is not YAML: ${broken.message}`, shape))
    }
    const root = document.contents
    if (root === null) return []
    if (!isMap(root)) return yield* Either.left(errorAt(0, "the file holds no models", shape))
    for (const { key } of root.items) {
      if (String(key) === "models") continue
      const offset = isNode(key) ? key.range?.[0] ?? 0 : 0
      return yield* Either.left(errorAt(offset, `there is no field ${JSON.stringify(String(key))}`, shape))
    }
    const models = root.get("models", true)
    if (!isMap(models)) return yield* Either.left(errorAt(0, "the file holds no models", shape))
    const entries: Array<ModelEntry> = []
    for (const { key, value } of models.items) {
      const name = String(key)
      const offset = isNode(key) ? key.range?.[0] ?? 0 : 0
      if (!isMap(value)) {
        return yield* Either.left(errorAt(offset, "it has no fields", "Write its fields below, further in.", name))
      }
      const plain: unknown = value.toJS(document)
      const { like, ...entry } = yield* Either.mapLeft(decodeEntry(plain), (error) => invalid(name, value, error))
      entries.push({
        ...entry,
        name,
        nameless: errorAt(
          offset,
          "no model of this name is known",
          "Add \"provider: openai\" or \"provider: anthropic\", or \"like:\" a model that is known.",
          name
        ),
        ...(like === undefined ? {} : {
          like: {
            name: like,
            error: errorAt(
              offsetOf(value, ["like"]),
              `no model ${JSON.stringify(like)} is known`,
              "Name one that stands further up, or in llm-batch models.",
              `${name}.like`
            )
          }
        })
      })
    }
    return entries
  })
}
