/**
 * The configuration of a run as a YAML file: what the flags of `llm-batch run` say, under the same names.
 *
 * ```yaml
 * input: items.jsonl
 * provider: openai
 * model: gpt-5-mini
 * temperature: 0.2
 * max_tokens: 400
 * ```
 *
 * Keys are the names of the flags, with `_` or `-`. A row's own values come before flags, flags before the file.
 *
 * - `decode` reads a file's text, and says what is wrong with it to the line;
 * - `format` writes the configuration of a run, which `decode` reads again;
 * - `fields` has the schema of each setting, for whoever reads one from elsewhere.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { isMap, isNode, isScalar, LineCounter, parseDocument, stringify } from "yaml"
import { InputError } from "./InputError.js"
import * as JobSettings from "./internal/JobSettings.js"
import { nearestName } from "./internal/NearestName.js"
import { describe } from "./internal/RowErrors.js"
import { thousands } from "./internal/Thousands.js"
import * as Mode from "./Mode.js"
import { isJsonObject, Thinking } from "./Request.js"
import type { JobDescription, RunDescription } from "./RunState.js"
import { Step } from "./Step.js"

/** What a setting takes, after "must be": the description of its schema. */
const taking = (takes: string) => ({ description: takes })

const Text = Schema.NonEmptyString.annotations(taking("a text that is not empty"))

const number = (least: number, most: number) =>
  Schema.Number.pipe(Schema.between(least, most)).annotations(taking(`a number from ${least} to ${most}`))

const count = (most: number = Number.MAX_SAFE_INTEGER) =>
  Schema.Int.pipe(Schema.between(1, most)).annotations(
    taking(
      most === Number.MAX_SAFE_INTEGER
        ? "a whole number above 0"
        : `a whole number from 1 to ${thousands(most)}`
    )
  )

const choice = <const Names extends readonly [string, ...ReadonlyArray<string>]>(...names: Names) =>
  Schema.Literal(...names).annotations(taking(names.length === 1 ? names[0] : `one of ${names.join(", ")}`))

const JsonObject = Schema.declare(isJsonObject)

/** One text, or a list of them. */
const Texts = Schema.Union(
  Schema.transform(Text, Schema.Array(Text), {
    strict: true,
    decode: (text) => [text],
    encode: (texts) => texts[0] ?? ""
  }),
  Schema.Array(Text)
).annotations(taking("a text or a list of texts, none of them empty"))

const CommaList = Schema.Union(
  Schema.transform(Text, Schema.Array(Text), {
    strict: true,
    decode: (text) => text.split(",").map((name) => name.trim()),
    encode: (names) => names.join(",")
  }),
  Schema.Array(Text)
).annotations(taking("names with commas between them, or a list of names"))

/** Numbers with commas between them, a list of them, or one. */
const Temperatures = Schema.Union(
  Schema.transform(Schema.String, Schema.Array(Schema.Number.pipe(Schema.between(0, 2))), {
    strict: true,
    decode: (text) => text.split(",").map((number) => number.trim() === "" ? Number.NaN : Number(number)),
    encode: (numbers) => numbers.join(",")
  }),
  Schema.transform(Schema.Number, Schema.Array(Schema.Number.pipe(Schema.between(0, 2))), {
    strict: true,
    decode: (number) => [number],
    encode: (numbers) => numbers[0] ?? 0
  }),
  Schema.Array(Schema.Number.pipe(Schema.between(0, 2)))
).annotations(taking("numbers from 0 to 2 with commas between them, or a list of them"))

const Conditions = Schema.Record({
  key: Schema.String,
  value: Schema.Struct({
    prompt: Schema.optionalWith(Text, { exact: true }),
    system: Schema.optionalWith(Text, { exact: true })
  })
}).annotations(taking("names with a prompt and a system message each, either of which may be left out"))

const Variables = Schema.Record({
  key: Schema.String,
  value: Schema.Union(
    Schema.String,
    Schema.transform(Schema.Union(Schema.Number, Schema.Boolean), Schema.String, {
      strict: true,
      decode: String,
      encode: Number
    })
  )
}).annotations(taking("names with a text each"))

const unitMillis = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

const isUnit = (unit: string): unit is keyof typeof unitMillis => Object.hasOwn(unitMillis, unit)

const longest = 30 * unitMillis.d

const parseDuration = (text: string): Duration.Duration | undefined => {
  const [, amount = "", unit = ""] = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(text) ?? []
  if (!isUnit(unit)) return undefined
  const millis = Number(amount) * unitMillis[unit]
  return millis <= longest ? Duration.millis(millis) : undefined
}

const formatDuration = (duration: Duration.Duration): string => {
  const millis = Duration.toMillis(duration)
  const unit = (["h", "m", "s"] as const).find((unit) => millis >= unitMillis[unit] && millis % unitMillis[unit] === 0)
  return unit === undefined ? `${millis}ms` : `${millis / unitMillis[unit]}${unit}`
}

/** A time with its unit, from `leastMillis` to 30 days. */
const duration = (leastMillis: number) =>
  Schema.transformOrFail(Schema.String, Schema.DurationFromSelf, {
    strict: true,
    decode: (text, _, ast) => {
      const parsed = parseDuration(text)
      return parsed !== undefined && Duration.toMillis(parsed) >= leastMillis
        ? ParseResult.succeed(parsed)
        : ParseResult.fail(new ParseResult.Type(ast, text))
    },
    encode: (duration) => ParseResult.succeed(formatDuration(duration))
  }).annotations(
    taking("a time with its unit, such as 200ms, 60s, 10m or 24h, and at most 30d")
  )

/** `run_id` becomes part of a directory's name. */
const RunId = Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/)).annotations(
  taking("up to 100 letters, digits, dots, dashes and underscores, a letter or digit first")
)

const manyTokens = 10_000_000

const dollars = Schema.Number.pipe(Schema.between(0, 1_000_000_000)).annotations(
  taking("an amount of dollars, such as 5.00")
)

/**
 * The schema of each setting. The `description` of a schema says what it takes: "a number from 0 to 2".
 *
 * @since 0.1.0
 * @category schemas
 */
export const fields = {
  /** The file of rows, from the configuration file's own directory; `-` is standard input. */
  input: Text,
  input_format: choice("jsonl", "csv", "tsv"),
  /** The names of the columns, for CSV and TSV without a header line. */
  columns: CommaList,
  provider: Text,
  /** Through which API rows are asked. */
  mode: choice(...Mode.Mode.literals),
  /** Above how many rows `mode: auto` takes the batch API. */
  batch_threshold: Schema.Int.pipe(Schema.nonNegative()).annotations(taking("a whole number")),
  /** The same as `mode: batch`. */
  use_batch_api: Schema.Boolean.annotations(taking("true or false")),
  /** So many rows are asked at once, before the rest is sent. */
  try: count(1_000),
  /** Rows that no batch answers in time are asked through the synchronous API. */
  finish: choice("sync"),
  /** How long after its beginning a run waits for batches before it is finished. */
  deadline: duration(0),
  /** The most requests of the synchronous API at a time. */
  max_concurrent_requests: count(1_000),
  requests_per_minute: count(),
  tokens_per_minute: count(),
  /** A path, or `responses`, `chat`, `embeddings`, `messages` for short. */
  endpoint: Text,
  model: Text,
  system: Schema.String.annotations(taking("a text")),
  temperature: number(0, 2),
  top_p: number(0, 1),
  max_tokens: count(manyTokens),
  stop: Texts,
  reasoning_effort: Text,
  /** A number is the most tokens to think for. */
  thinking: Schema.Union(Schema.Literal("adaptive", "off"), Schema.Int.pipe(Schema.between(1, manyTokens))).annotations(
    taking("adaptive, off, or a whole number of tokens")
  ),
  /** The object itself, the path of a JSON file that holds it, or `json_object` for any JSON. */
  response_format: Schema.Union(JsonObject, Text).annotations(
    taking("json_object, the path of a JSON file, or the format itself")
  ),
  /** The JSON Schema that every answer must satisfy, or the path of a JSON file that holds it. */
  schema: Schema.Union(JsonObject, Text).annotations(taking("the path of a JSON file, or the JSON Schema itself")),
  /** How many times an answer that does not fit is sent back to be put right. */
  repair: Schema.Int.pipe(Schema.between(0, 10)).annotations(taking("a whole number from 0 to 10")),
  /** The list itself, or the path of a JSON file that holds it. */
  tools: Schema.Union(Schema.Array(JsonObject), Text).annotations(
    taking("the path of a JSON file, or the list of tools itself")
  ),
  dimensions: count(100_000),
  prompt: Text,
  id_column: Text,
  /** Values for template variables that no column has. */
  var: Variables,
  /** The name of a model is right, though it is nearly that of a known one. */
  allow_unknown_model: Schema.Boolean.annotations(taking("true or false")),
  /** A file that corrects the catalogue of models, and adds to it. */
  models_file: Text,
  drop: Texts,
  /** Rows that ask the same are sent once, and get one answer. */
  dedupe: Schema.Boolean.annotations(taking("true or false")),
  /** A directory of answers that are used again. */
  cache: Text,
  limit_items: count(),
  run_dir: Text,
  run_id: RunId,
  output: Text,
  replay_dir: Text,
  poll_interval: duration(1),
  max_wait: duration(1),
  settle_time: duration(0),
  shard_rows: count(),
  shard_bytes: count(),
  max_concurrent_jobs: count(10_000),
  /** Prompt tokens of a model in batches that have not ended. */
  max_enqueued_tokens: count(),
  /** Rows in batches that have not ended. */
  max_queued_requests: count(),
  max_batches_per_hour: count(),
  /** Dollars that the run may cost. */
  max_cost: dollars,
  /** How many times rows that failed are asked again, where that can help. */
  retries: Schema.Int.pipe(Schema.between(0, 10)).annotations(taking("a whole number from 0 to 10")),
  /** How many threads more normalise large results. */
  workers: Schema.Int.pipe(Schema.between(0, 64)).annotations(taking("a whole number from 0 to 64")),
  /** The key is another one than the run began with, of the same account. */
  accept_new_key: Schema.Boolean.annotations(taking("true or false")),
  /** A ready-made job; the settings below are those of jobs. */
  job: choice("eval", "translate", "classify"),
  /** eval: the models that are compared; `model` alone by default. */
  models: CommaList,
  /** eval: the temperatures at which each item is asked. */
  temps: Temperatures,
  /** eval: how many times each item is asked in the same way. */
  samples: count(10_000),
  /** eval: ways to ask by name, with a `prompt` and a `system` each. */
  conditions: Conditions,
  dataset: Text,
  type: Text,
  /** eval: the column with the right answer. */
  answer_column: Text,
  /** translate: the language to translate to. */
  target_lang: Text,
  source_lang: Text,
  /** translate: what a translator should know. */
  context: Schema.String.annotations(taking("a text")),
  /** translate: how many texts a request holds. */
  batch_size: count(1_000),
  /** translate: the file of translations that are not asked for again. */
  memory: Text,
  /** translate: a translated file whose texts are taken over. */
  existing: Text,
  /** classify: what a row may be. */
  labels: CommaList,
  text_column: Text,
  /** classify: what is to be decided, and how. */
  instructions: Schema.String.annotations(taking("a text")),
  /** classify: the column with the true label. */
  label_column: Text,
  only_step: choice(...Step.literals),
  from_step: choice(...Step.literals),
  to_step: choice(...Step.literals),
  dry_run: Schema.Boolean.annotations(taking("true or false")),
  no_wait: Schema.Boolean.annotations(taking("true or false")),
  json: Schema.Boolean.annotations(taking("true or false")),
  yes: Schema.Boolean.annotations(taking("true or false")),
  skip_prepare: Schema.Boolean.annotations(taking("true or false")),
  skip_build: Schema.Boolean.annotations(taking("true or false"))
}

/**
 * The configuration of a run, each setting optional.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RunConfig = Schema.partialWith(Schema.Struct(fields), { exact: true })

/**
 * The configuration of a run.
 *
 * @since 0.1.0
 * @category models
 */
export type RunConfig = typeof RunConfig.Type

/**
 * The name of a setting.
 *
 * @since 0.1.0
 * @category models
 */
export type Key = keyof typeof fields

const decodeSettings = Schema.decodeUnknownEither(RunConfig)

/**
 * One setting from what a file or a flag says, as a configuration of its own; or what it must be.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeSetting = (key: Key, value: unknown): Either.Either<RunConfig, string> =>
  Either.mapLeft(
    decodeSettings({ [key]: value }),
    () => Option.getOrElse(SchemaAST.getDescriptionAnnotation(fields[key].ast), () => "something else")
  )

const aliases: Readonly<Record<string, Key>> = { backend: "provider", vars: "var" }

const isKey = (name: string): name is Key => Object.hasOwn(fields, name)

const keyOf = (name: string): Key | undefined => {
  const key = name.replaceAll("-", "_")
  return isKey(key) ? key : Object.hasOwn(aliases, key) ? aliases[key] : undefined
}

/** A setting as the file has it: still to be checked. */
interface Setting {
  readonly written: string
  readonly offset: number
  readonly value: unknown
}

/** What keeps a file from having settings, and where. */
type Fault = readonly [offset: number, problem: string]

const parseSettings = (text: string, lines: LineCounter): Either.Either<ReadonlyArray<Setting>, Fault> => {
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [error] = document.errors
  if (error?.code === "MULTIPLE_DOCS") return Either.left([error.pos[0], "a second YAML document begins here"])
  if (error !== undefined) return Either.left([error.pos[0], `this is not YAML: ${error.message}`])
  const root = document.contents
  if (root === null) return Either.right([])
  if (!isMap(root)) return Either.left([0, "the file holds no settings"])
  return Either.all(root.items.map(({ key, value }): Either.Either<Setting, Fault> => {
    const offset = isNode(key) ? key.range?.[0] ?? 0 : 0
    if (!isScalar(key)) return Either.left([offset, "this is not the name of a setting"])
    return Either.try({
      try: (): Setting => {
        const plain: unknown = isNode(value) ? value.toJS(document) : null
        return { written: String(key.value), offset, value: plain }
      },
      catch: (cause): Fault => [offset, `this is not YAML: ${cause instanceof Error ? cause.message : String(cause)}`]
    })
  }))
}

/**
 * Reads the text of a configuration file. `name` is how errors call it.
 *
 * @example
 * ```ts
 * import * as RunConfig from "llm-batch/RunConfig"
 *
 * RunConfig.decode("model: gpt-5-mini\ntop-p: 0.9\n", "eval.yaml")
 * // Right({ model: "gpt-5-mini", top_p: 0.9 })
 * ```
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = (text: string, name: string): Either.Either<RunConfig, InputError> => {
  const lines = new LineCounter()
  const problem = (offset: number, problem: string, remedy: string, field?: string) => {
    const { col, line } = lines.linePos(offset)
    const place = { line: Math.max(1, line), column: Math.max(1, col) }
    return new InputError({ source: name, ...place, ...(field === undefined ? {} : { field }), problem, remedy })
  }

  const settingOf = ({ offset, value, written }: Setting): Either.Either<readonly [Key, RunConfig], InputError> => {
    const key = keyOf(written)
    if (key === undefined) {
      const near = nearestName(written.replaceAll("-", "_"), [...Object.keys(fields), ...Object.keys(aliases)])
      const remedy = near === undefined
        ? "Its settings are the flags of llm-batch run: llm-batch run --help"
        : `Did you mean ${near}?`
      return Either.left(problem(offset, `there is no setting ${JSON.stringify(written)}`, remedy))
    }
    if (value === null) return Either.right([key, {}])
    return Either.mapBoth(decodeSetting(key, value), {
      onLeft: (takes) => problem(offset, `found ${describe(value)}`, `It must be ${takes}.`, written),
      onRight: (setting) => [key, setting]
    })
  }

  return Either.gen(function*() {
    const written = yield* Either.mapLeft(
      parseSettings(text, lines),
      ([offset, what]) => problem(offset, what, "Write one \"key: value\" a line, such as model: gpt-5-mini")
    )
    const seen = new Set<Key>()
    const settings: RunConfig = {}
    for (const one of written) {
      const [key, setting] = yield* settingOf(one)
      if (seen.has(key)) {
        return yield* Either.left(problem(one.offset, `${key} is set a second time`, "Keep one of the two."))
      }
      seen.add(key)
      Object.assign(settings, setting)
    }
    return settings
  })
}

const formatThinking = (thinking: Thinking | undefined) => {
  if (thinking === undefined) return undefined
  return thinking.type === "enabled" ? thinking.budget_tokens : thinking.type === "disabled" ? "off" : "adaptive"
}

/** The settings that make a job again; what it makes of its own options is not repeated beside them. */
const withJob = (
  settings: { readonly [K in Key]?: unknown },
  { name, options }: JobDescription
): { readonly [setting: string]: unknown } => ({
  ...Object.fromEntries(Object.entries(settings).filter(([key]) => !JobSettings.isOwn(name, key))),
  job: name,
  ...Object.fromEntries(
    Object.entries(options).map(([option, value]) => [
      JobSettings.keyOf(option),
      option === "thinking" && isThinking(value) ? formatThinking(value) : value
    ])
  )
})

const isThinking = Schema.is(Thinking)

/**
 * The configuration that makes the same run again, as the text of a YAML file. It holds no secrets: keys come from the
 * environment.
 *
 * @since 0.1.0
 * @category destructors
 */
export const format = (
  { batchThreshold, finish, input, job, mode, options, provider, repair, retries, runId }: RunDescription
): string => {
  const { defaults } = options
  const deadline = finish?.deadlineMillis ?? null
  // A job has defaults of its own: with one, they are all said.
  const usual = job === null ? { mode: "batch", rounds: 0 } : undefined
  const settings = {
    input: input.path ?? undefined,
    input_format: input.format,
    columns: input.columns ?? undefined,
    provider,
    mode: mode === usual?.mode ? undefined : mode,
    batch_threshold: mode === "auto" ? batchThreshold : undefined,
    endpoint: options.endpoint,
    model: defaults.model,
    system: defaults.system,
    temperature: defaults.temperature,
    top_p: defaults.topP,
    max_tokens: defaults.maxTokens,
    stop: defaults.stop,
    reasoning_effort: defaults.reasoningEffort,
    thinking: formatThinking(defaults.thinking),
    response_format: defaults.responseFormat,
    tools: defaults.tools,
    dimensions: defaults.dimensions,
    prompt: options.prompt,
    id_column: options.idColumn,
    var: Object.keys(options.variables).length === 0 ? undefined : options.variables,
    allow_unknown_model: options.allowUnknownModel ? true : undefined,
    drop: options.drop.length === 0 ? undefined : options.drop,
    dedupe: options.dedupe ? true : undefined,
    cache: options.cacheDirectory,
    limit_items: options.limitItems,
    shard_rows: options.shardRows,
    shard_bytes: options.shardBytes,
    schema: options.answerSchema,
    try: options.tryRows,
    retries: retries === usual?.rounds ? undefined : retries,
    repair: repair === usual?.rounds ? undefined : repair,
    finish: finish === null ? undefined : "sync",
    deadline: deadline === null ? undefined : formatDuration(Duration.millis(deadline))
  } satisfies { readonly [K in Key]?: unknown }
  const made = job === null ? settings : withJob(settings, job)
  const origin = input.path === null && job === null ? ` Its rows came from ${input.name}.` : ""
  return `# The configuration of run ${runId}: llm-batch run --config makes the same run again.${origin}\n`
    + stringify(made)
}
