/**
 * The catalogue of models: what each one takes, how much it reads and writes, what it costs, and until when it is there.
 *
 * - `builtIn` knows limits and parameters, and is there at once: what is needed before anything is sent;
 * - `load`, `layer` and `layerFile` add prices: those of a kept price list, corrected by `config/models.yaml` of this
 *   package, corrected by a file of the user's own;
 * - `find` tells a model that is known from a slip of the pen, and both from a model that is not known. It never takes
 *   one model for another: a price that is not known stays unknown;
 * - `problems` checks a body against what its model takes.
 *
 * ```ts
 * import * as Model from "llm-batch/Model"
 *
 * Model.builtIn.find("gpt-5-mni") // Near({ suggestion: "gpt-5-mini" })
 * Model.builtIn.find("gpt-7-mini") // Unknown()
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { fileURLToPath } from "node:url"
import type { InputError } from "./InputError.js"
import * as Disk from "./internal/Disk.js"
import { everything, type KnownModel, knownModels } from "./model/KnownModels.js"
import { type ModelEntry, parseModels } from "./model/ModelFile.js"
import * as ModelName from "./model/ModelName.js"
import * as ModelRules from "./model/ModelRules.js"
import * as PriceList from "./model/PriceList.js"
import type { JsonObject } from "./Request.js"
import type { DiskError } from "./RunError.js"

const Count = Schema.Int.pipe(Schema.positive())
const Rate = Schema.Number.pipe(Schema.nonNegative())
const Texts = Schema.Array(Schema.String)

/**
 * How text is cut into tokens: OpenAI's encodings by name, and the two generations of Anthropic's tokenizer, which is
 * not public.
 *
 * @since 0.1.0
 * @category models
 */
export const Tokenizer = Schema.Literal("o200k_base", "cl100k_base", "claude", "claude-2026")

/**
 * How text is cut into tokens.
 *
 * @since 0.1.0
 * @category models
 */
export type Tokenizer = typeof Tokenizer.Type

/**
 * Parameters that a model takes; `null` for what is not known, and then not checked.
 *
 * @since 0.1.0
 * @category models
 */
export const Accepts = Schema.Struct({
  /**
   * `any` sampling parameters; `one` of `temperature` and `top_p`; `without_reasoning`: any, as long as the model does
   * not reason; `none`: only what is the default anyway.
   */
  sampling: Schema.NullOr(Schema.Literal("any", "one", "without_reasoning", "none")),
  /** Sequences that end the answer. */
  stop: Schema.Boolean,
  /** Whether it reasons before it answers: `optional` where it can be told not to. */
  reasoning: Schema.NullOr(Schema.Literal("never", "optional", "always")),
  /** Levels of `reasoning_effort`, or of `output_config.effort`; empty for a model that has no levels. */
  efforts: Schema.NullOr(Texts),
  /** The value of the beta header that a level of effort needs. */
  effortBeta: Schema.NullOr(Schema.String),
  /** Forms of `thinking` besides `disabled`. */
  thinking: Schema.NullOr(Texts),
  /** Answers can be held to a JSON schema. */
  structuredOutput: Schema.Boolean,
  /** The Batch API takes it. */
  batch: Schema.NullOr(Schema.Boolean)
})

/**
 * Parameters that a model takes.
 *
 * @since 0.1.0
 * @category models
 */
export type Accepts = typeof Accepts.Type

/**
 * What tokens cost by the kind that they are, in US dollars for a million. `null`: there is no price of its own, and
 * tokens of that kind cost what input does; for `output`: the model writes none.
 *
 * @since 0.1.0
 * @category models
 */
export const Rates = Schema.Struct({
  input: Rate,
  output: Schema.NullOr(Rate),
  cacheRead: Schema.NullOr(Rate),
  /** Writes to a cache that lasts five minutes, and any write of a provider that knows one kind only. */
  cacheWrite5m: Schema.NullOr(Rate),
  cacheWrite1h: Schema.NullOr(Rate)
})

/**
 * What tokens cost by the kind that they are, in US dollars for a million.
 *
 * @since 0.1.0
 * @category models
 */
export type Rates = typeof Rates.Type

/**
 * What a model costs through its provider's own API: the synchronous prices, and the factor that makes them a batch's.
 *
 * @since 0.1.0
 * @category models
 */
export class Prices extends Schema.Class<Prices>("llm-batch/Prices")({
  ...Rates.fields,
  /** Of requests with more than `above` tokens of input, all tokens cost these. */
  long: Schema.NullOr(Schema.Struct({ ...Rates.fields, above: Count })),
  batchFactor: Schema.Number.pipe(Schema.between(0, 1)),
  /** Where they are from. */
  source: Schema.String
}) {}

/**
 * A model, as far as it is known.
 *
 * @since 0.1.0
 * @category models
 */
export class Model extends Schema.Class<Model>("llm-batch/Model")({
  /** The name of the family: dated snapshots of it are the same model. */
  name: Schema.String,
  /** As in `--provider`. */
  provider: Schema.String,
  /** Other names that mean the same model, besides dated ones. */
  aliases: Texts,
  /** The most tokens of a prompt and its answer together; `null` where it is not known. */
  context: Schema.NullOr(Count),
  /** The most tokens of an answer; `null` where it is not known, or there is none. */
  maxOutput: Schema.NullOr(Count),
  /** `null` where it is not known. */
  tokenizer: Schema.NullOr(Tokenizer),
  accepts: Accepts,
  /** `null` where they are not known: never taken for free. */
  prices: Schema.NullOr(Prices),
  /** The day from which on requests fail, `2026-11-30`; `null` where none is known. */
  retires: Schema.NullOr(Schema.String)
}) {}

/**
 * What the catalogue has under a name.
 *
 * @since 0.1.0
 * @category models
 */
export type Lookup = Data.TaggedEnum<{
  /** This model; `prices` are `null` for one that was fine-tuned, or is asked for through somebody else. */
  Known: { readonly model: Model }
  /** No model, but what is most likely a slip of this name. */
  Near: { readonly suggestion: string }
  /** No model that is known: perhaps a newer one, or somebody's own. Its cost is unknown. */
  Unknown: {}
}>

/**
 * Constructors and matchers of `Lookup`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Lookup = Data.taggedEnum<Lookup>()

/**
 * The interface of a catalogue. Its functions are pure, and cheap enough for every row.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly models: ReadonlyArray<Model>
  /** What is known under a name, which may carry a date, or be of a model that was fine-tuned. */
  readonly find: (name: string) => Lookup
}

/**
 * A catalogue of models.
 *
 * @since 0.1.0
 * @category tags
 */
export class Catalogue extends Context.Tag("llm-batch/Model/Catalogue")<Catalogue, Service>() {}

/**
 * A catalogue of these models.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (models: ReadonlyArray<Model>): Service => {
  const byName = new Map(
    models.flatMap((model) => [model.name, ...model.aliases].map((name) => [name, model] as const))
  )
  const answers = new Map<string, Lookup>()
  const nearest = ModelName.nearestOf(byName.keys())

  const exact = (name: string): Model | undefined => byName.get(name) ?? byName.get(ModelName.familyOf(name) ?? "")

  const look = (name: string): Lookup => {
    // A name that the catalogue has is that model, whatever it looks like: `openai/gpt-oss` of the user's own file.
    const own = exact(name)
    if (own !== undefined) return Lookup.Known({ model: own })
    const { base, fineTuned, routed } = ModelName.parse(name)
    const model = exact(base)
    if (model !== undefined && (fineTuned || routed)) {
      return Lookup.Known({ model: new Model({ ...model, name, aliases: [], prices: null }) })
    }
    const undated = ModelName.familyOf(base)
    const near = nearest(undated ?? base)
    if (near === undefined) return Lookup.Unknown()
    return Lookup.Near({ suggestion: name.replace(undated ?? base, near) })
  }

  return {
    models,
    find: (name) => {
      const known = answers.get(name)
      if (known !== undefined) return known
      const found = look(name)
      // Names come from rows: millions of different ones must not fill the memory.
      if (answers.size === 1_000) answers.clear()
      answers.set(name, found)
      return found
    }
  }
}

/** The table is checked by its types: checking it again would cost every start some milliseconds. */
const ofTable = (known: KnownModel): Model => new Model({ ...known, prices: null, retires: null }, true)

/**
 * What this package knows by itself: everything but prices and dates of retirement.
 *
 * @since 0.1.0
 * @category constructors
 */
export const builtIn: Service = make(knownModels.map(ofTable))

/**
 * The model of a name, or one of which nothing is known and everything allowed.
 *
 * @since 0.1.0
 * @category destructors
 */
export const knownOr = (lookup: Lookup, name: string, provider: string): Model =>
  lookup._tag === "Known" ? lookup.model : unknown(name, provider)

/**
 * A model of which nothing is known: everything is allowed, and its cost is unknown.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unknown = (name: string, provider: string): Model =>
  new Model({
    name,
    provider,
    aliases: [],
    context: null,
    maxOutput: null,
    tokenizer: null,
    accepts: everything,
    prices: null,
    retires: null
  })

/**
 * What a model does not take of a body.
 *
 * @since 0.1.0
 * @category models
 */
export type Problem = ModelRules.Problem

/**
 * Everything in a body (of Chat Completions, Responses or Messages) that its model does not take: levels of effort that
 * it does not have, more tokens than it writes, sampling that it does not let be shaped, forms of thinking, schemas.
 * What is not known is not checked.
 *
 * @example
 * ```ts
 * import * as Model from "llm-batch/Model"
 *
 * const model = Model.knownOr(Model.builtIn.find("gpt-5-mini"), "gpt-5-mini", "openai")
 * Model.problems(model, { reasoning_effort: "hgih" })
 * // [{ field: "reasoning_effort", rule: "it is \"hgih\", and ...", remedy: "Did you mean high?" }]
 * ```
 *
 * @since 0.1.0
 * @category predicates
 */
export const problems = (model: Model, body: JsonObject): ReadonlyArray<Problem> => ModelRules.problems(model, body)

/**
 * Whether a model is no longer there on a day, given as `2026-11-30`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isRetired = (model: Model, day: string): boolean => model.retires !== null && model.retires <= day

const merged = (base: Model, entry: ModelEntry, source: string): Model =>
  new Model({
    ...base,
    name: entry.name,
    ...(entry.provider === undefined ? {} : { provider: entry.provider }),
    ...(entry.aliases === undefined ? {} : { aliases: entry.aliases }),
    ...(entry.context === undefined ? {} : { context: entry.context }),
    ...(entry.maxOutput === undefined ? {} : { maxOutput: entry.maxOutput }),
    ...(entry.tokenizer === undefined ? {} : { tokenizer: entry.tokenizer }),
    ...(entry.accepts === undefined ? {} : { accepts: { ...base.accepts, ...entry.accepts } }),
    ...(entry.retires === undefined ? {} : { retires: entry.retires }),
    ...(entry.prices === undefined ? {} : {
      prices: entry.prices === null
        ? null
        : new Prices({ ...entry.prices, source: entry.asOf === undefined ? source : `${source}, ${entry.asOf}` })
    })
  })

/**
 * A catalogue with the entries of a file laid over it: what an entry does not say stays as it is. `source` is how errors
 * and prices call the file. Fails with the line and the field of what is wrong.
 *
 * @since 0.1.0
 * @category combinators
 */
export const extend = (base: Service, text: string, source: string): Either.Either<Service, InputError> =>
  Either.gen(function*() {
    const entries = yield* parseModels(text, source)
    const models = new Map(base.models.map((model) => [model.name, model]))
    for (const entry of entries) {
      const like = entry.like === undefined ? undefined : models.get(entry.like.name)
      if (entry.like !== undefined && like === undefined) return yield* Either.left(entry.like.error)
      const known = models.get(entry.name)
      if (known === undefined && like === undefined && entry.provider === undefined) {
        return yield* Either.left(entry.nameless)
      }
      // What is like a model has its rules, and a price of its own.
      const start = like === undefined
        ? known ?? unknown(entry.name, entry.provider ?? "")
        : new Model({ ...like, aliases: [], prices: null, retires: null })
      models.set(entry.name, merged(start, entry, source))
    }
    return make([...models.values()])
  })

/** The file of this package: two folders up where the executable keeps its parts. */
const shipped: ReadonlyArray<string> = ["../config/models.yaml", "../../config/models.yaml"].map((path) =>
  fileURLToPath(new URL(path, import.meta.url))
)

const extendWith = (catalogue: Service, path: string, name: string) =>
  Effect.flatMap(Disk.readText(path), (text) => extend(catalogue, text, name))

/**
 * The catalogue with the prices of today.
 *
 * @since 0.1.0
 * @category constructors
 */
export const load: Effect.Effect<Service, InputError | DiskError> = Effect.gen(function*() {
  const now = yield* DateTime.now
  const priceOf = yield* PriceList.load(DateTime.formatIsoDateUtc(now))
  const priced = builtIn.models.map((model) => {
    const listed = priceOf(model.provider, model.name)
    return listed === null
      ? model
      : new Model({ ...model, prices: new Prices({ ...listed, batchFactor: 0.5, source: "genai-prices" }) })
  })
  const disk = yield* Disk.Disk
  const path = yield* Disk.attempt(
    "look for",
    "config/models.yaml",
    () => shipped.find((path) => disk.stat(path) !== undefined)
  )
  return path === undefined ? make(priced) : yield* extendWith(make(priced), path, "config/models.yaml")
}).pipe(Effect.withSpan("Model.load"))

/**
 * The catalogue with the prices of today, and a file of the user's own laid over it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const loadFile: (path: string) => Effect.Effect<Service, InputError | DiskError> = Effect.fn("Model.loadFile")(
  function*(path: string) {
    return yield* extendWith(yield* load, path, path)
  }
)

/**
 * The catalogue with the prices of today.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Catalogue, InputError | DiskError> = Layer.effect(Catalogue, load)

/**
 * The catalogue with the prices of today, and a file of the user's own laid over it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFile = (path: string): Layer.Layer<Catalogue, InputError | DiskError> =>
  Layer.effect(Catalogue, loadFile(path))

/**
 * What is known without prices, for tests and for where they do not matter.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerBuiltIn: Layer.Layer<Catalogue> = Layer.succeed(Catalogue, builtIn)
