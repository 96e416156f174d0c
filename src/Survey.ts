/**
 * Looks through the rows of a run to tell what they will cost: how many there are, how large, of which models, and how
 * many tokens they have.
 *
 * What is looked at are the wire rows, exactly as they are sent: those of shards that are built (`ofShards`), or those
 * that `Build` would make of an input (`ofSource`), which go through it and are kept nowhere. So both say the same, and
 * whatever would stop a build stops a survey. Tokens of large inputs are counted by a sample; rows and bytes always
 * exactly.
 *
 * Needs no key and no network, and memory does not grow with the input.
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { BuildOptions } from "llm-batch/BuildOptions"
 * import * as Estimate from "llm-batch/Estimate"
 * import { RequestDefaults } from "llm-batch/Request"
 * import * as Source from "llm-batch/Source"
 * import * as Survey from "llm-batch/Survey"
 *
 * const program = Effect.gen(function*() {
 *   const options = new BuildOptions({ defaults: new RequestDefaults({ model: "gpt-5-mini" }) })
 *   const survey = yield* Survey.ofSource(Source.file("prompts.jsonl"), options)
 *   return Estimate.lines(Survey.estimate(survey))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NodePath from "node:path"
import type { BuildOptions } from "./BuildOptions.js"
import * as Cost from "./Cost.js"
import * as Estimate from "./Estimate.js"
import type { InputError } from "./InputError.js"
import * as Disk from "./internal/Disk.js"
import * as JsonText from "./internal/JsonText.js"
import { LineSplitter } from "./internal/Lines.js"
import * as SurveyDisk from "./internal/SurveyDisk.js"
import * as Model from "./Model.js"
import { Provider } from "./Provider.js"
import { isJsonObject, type JsonObject } from "./Request.js"
import * as RunDirectory from "./RunDirectory.js"
import type { DiskError } from "./RunError.js"
import type { Shard } from "./Shard.js"
import type { Source } from "./Source.js"
import * as Build from "./stage/Build.js"
import * as TokenCount from "./TokenCount.js"
import * as WireId from "./WireId.js"

/**
 * What was seen of the rows of a run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Survey {
  /** All shards, those too whose rows are not sent. */
  readonly shards: ReadonlyArray<Shard>
  /** Rows that are sent. */
  readonly rows: number
  /** On the wire, newlines included. */
  readonly bytes: number
  /** The rows by model, in the order in which models first occur. */
  readonly samples: ReadonlyArray<Estimate.Sample>
  /** What a build tells the user once. */
  readonly notices: ReadonlyArray<string>
}

/** Counters for models, by what they differ in. */
type Counters = ReadonlyMap<string, TokenCount.Counter>

const kindOf = ({ accepts, tokenizer }: Model.Model): string => `${tokenizer} ${accepts.reasoning}`

const unknownKind = kindOf(Model.unknown("", ""))

/** The row path cannot wait for a tokenizer to be loaded: what models may need is loaded before. */
const countersOf = (models: ReadonlyArray<Model.Model>): Effect.Effect<Counters> => {
  const kinds = new Map([Model.unknown("", ""), ...models].map((model) => [kindOf(model), model]))
  return Effect.map(
    Effect.forEach(
      kinds,
      ([kind, model]) => Effect.map(TokenCount.counter(model), (counter) => [kind, counter] as const)
    ),
    (counters) => new Map(counters)
  )
}

/** The models that rows for a provider may name: any, where the catalogue has none that is its own. */
const modelsOf = (catalogue: Model.Service, provider: string): ReadonlyArray<Model.Model> => {
  const own = catalogue.models.filter((model) => model.provider === provider)
  return own.length === 0 ? catalogue.models : own
}

/** The rows of one model. */
interface Group {
  readonly model: Model.Model
  readonly sampler: TokenCount.Sampler
  rows: number
  bytes: number
  longestRow: number
  cappedRows: number
  cappedTokens: number
  vectors: number
  caching: Estimate.Caching
}

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value > 0

/** How many tokens the answers to a body may have, where it says so: `n` asks for several. */
const capOf = (body: JsonObject, model: Model.Model): number | undefined => {
  const answers = isCount(body.n) ? body.n : 1
  const said = [body.max_output_tokens, body.max_completion_tokens, body.max_tokens].find(isCount)
  const cap = said ?? (answers > 1 ? model.maxOutput : undefined)
  return isCount(cap) ? cap * answers : undefined
}

/**
 * How the prompt of a wire row is cached. The rows that have `params` are Anthropic's, which caches what it is told to;
 * others do it by themselves. A name within a text is none: its quotes are escaped.
 */
const cachingOf = (line: Buffer, row: JsonObject): Estimate.Caching =>
  line.includes("\"cache_control\"")
    ? line.includes("\"1h\"") ? "1h" : "5m"
    : row.params === undefined
    ? "automatic"
    : "none"

/** From the cheapest to the dearest: of rows that differ, the dearest counts for all. */
const cachings: ReadonlyArray<Estimate.Caching> = ["none", "automatic", "5m", "1h"]

/** Takes wire rows, one line each: plain synchronous code for the row path. */
class Surveyor {
  private readonly groups = new Map<string, Group>()
  private readonly byName = new Map<string, Group>()

  constructor(
    private readonly catalogue: Model.Service,
    private readonly counters: Counters,
    private readonly provider: string
  ) {}

  /** A row of any provider has its body under `body`, or under `params`. One that cannot be read will not be sent. */
  readonly add = (line: Buffer): void => {
    const row = JsonText.parse(line.toString())
    if (!isJsonObject(row)) return
    const body = row.body ?? row.params
    if (!isJsonObject(body)) return
    const endpoint = typeof row.url === "string" ? row.url : ""
    const bytes = line.length + 1
    const group = this.groupOf(typeof body.model === "string" ? body.model : "")
    group.rows++
    group.bytes += bytes
    if (bytes > group.longestRow) group.longestRow = bytes
    if (endpoint === "/v1/embeddings") group.vectors++
    const caching = cachingOf(line, row)
    if (cachings.indexOf(caching) > cachings.indexOf(group.caching)) group.caching = caching
    const cap = capOf(body, group.model)
    if (cap !== undefined) {
      group.cappedRows++
      group.cappedTokens += cap
    }
    group.sampler.add(body, endpoint, bytes)
  }

  samples(): ReadonlyArray<Estimate.Sample> {
    return [...this.groups.values()].map(({ sampler, vectors, ...group }) => ({
      ...group,
      input: sampler.estimate(),
      embeddings: vectors === group.rows
    }))
  }

  /** Names of one model, such as those with a date, are one group. */
  private groupOf(name: string): Group {
    const known = this.byName.get(name)
    if (known !== undefined) return known
    const model = Model.knownOr(this.catalogue.find(name), name, this.provider)
    const group = this.groups.get(model.name) ?? this.open(model)
    this.byName.set(name, group)
    return group
  }

  private open(model: Model.Model): Group {
    const counter = this.counters.get(kindOf(model)) ?? this.counters.get(unknownKind)
    if (counter === undefined) throw new Error(`There is no counter for ${model.name}`)
    const sampler = TokenCount.sampler(counter)
    const group: Group = {
      model,
      sampler,
      rows: 0,
      bytes: 0,
      longestRow: 0,
      cappedRows: 0,
      cappedTokens: 0,
      vectors: 0,
      caching: "none"
    }
    this.groups.set(model.name, group)
    return group
  }
}

const sizeOf = (shards: ReadonlyArray<Shard>) => {
  const sent = shards.filter(({ mode }) => mode !== "reused")
  return {
    rows: sent.reduce((sum, { rows }) => sum + rows, 0),
    bytes: sent.reduce((sum, { bytes }) => sum + bytes, 0)
  }
}

/** Where the shards of a survey would be, if they were kept. */
const nowhere = "/survey"

/**
 * What a build of this source would make, without making it: the input is read once, and nothing is written. The shards
 * have the sizes that a build gives them; they are nowhere, and under a run tag of their own.
 *
 * Of ids that occur twice, those among the first 500,000 are found (of long ids, among the first 8 MB).
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofSource: (
  source: Source,
  options: BuildOptions
) => Effect.Effect<Survey, InputError | DiskError, Provider | Model.Catalogue> = Effect.fn("Survey.ofSource")(
  function*(source: Source, options: BuildOptions) {
    const { name } = yield* Provider
    const catalogue = yield* Model.Catalogue
    const surveyor = new Surveyor(catalogue, yield* countersOf(modelsOf(catalogue, name)), name)
    const wireRows = NodePath.dirname(RunDirectory.batchInput({ directory: nowhere, id: "", provider: name }))
    const disk = SurveyDisk.make(wireRows, surveyor.add, { disk: yield* Disk.Disk, directory: options.cacheDirectory })
    const location = new Build.RunLocation({ directory: nowhere, runTag: yield* WireId.makeRunTag })
    const machine = Layer.merge(
      Layer.succeed(Disk.Disk, disk),
      Layer.succeed(Cost.PriceSource, { load: Effect.succeed(catalogue) })
    )
    const { notices, shards } = yield* Effect.flatMap(
      Build.Build,
      (stage) => stage.build(source, location, options)
    ).pipe(Effect.provide(Layer.provide(Layer.fresh(Build.layer), machine)))
    return { shards, ...sizeOf(shards), samples: surveyor.samples(), notices }
  }
)

/**
 * What shards that are built hold: for a run whose input cannot be read again, or has changed since.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofShards: (
  shards: ReadonlyArray<Shard>
) => Effect.Effect<Survey, DiskError, Model.Catalogue> = Effect.fn("Survey.ofShards")(
  function*(shards: ReadonlyArray<Shard>) {
    const catalogue = yield* Model.Catalogue
    const provider = shards[0]?.provider ?? ""
    const counters = yield* countersOf(shards.flatMap(({ model, provider }) =>
      model === null
        ? modelsOf(catalogue, provider)
        : [Model.knownOr(catalogue.find(model), model, provider)]
    ))
    const surveyor = new Surveyor(catalogue, counters, provider)
    for (const shard of shards) {
      const lines = new LineSplitter(Number.POSITIVE_INFINITY, surveyor.add, () => undefined)
      yield* Disk.forEachPiece(RunDirectory.batchInput(shard), "read", (piece) => lines.push(piece))
      lines.end()
    }
    return { shards, ...sizeOf(shards), samples: surveyor.samples(), notices: [] }
  }
)

/**
 * What the rows cost. Batches are the shards that are sent as such.
 *
 * @since 0.1.0
 * @category conversions
 */
export const estimate = ({ samples, shards }: Survey): Estimate.Estimate =>
  Estimate.make(samples, shards.filter(({ mode }) => mode === "batch").length)
