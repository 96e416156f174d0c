/**
 * What a run is to be, from the flags and the configuration file together. Flags come before the file.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Struct from "effect/Struct"
import * as NodePath from "node:path"
import * as AnswerSchema from "../AnswerSchema.js"
import { InputError } from "../InputError.js"
import * as Disk from "../internal/Disk.js"
import { describe } from "../internal/RowErrors.js"
import type * as Mode from "../Mode.js"
import type { AdvanceOptions, RunOptions } from "../Pipeline.js"
import { isJsonObject, RequestDefaults, type Thinking } from "../Request.js"
import * as RunConfig from "../RunConfig.js"
import * as RunDirectory from "../RunDirectory.js"
import * as Source from "../Source.js"
import * as Step from "../Step.js"
import * as Providers from "./Providers.js"
import { UsageError } from "./UsageError.js"

const readFile = (path: string) =>
  Effect.mapError(
    Disk.readText(path),
    ({ code, detail }) =>
      new InputError({
        source: path,
        problem: code === "ENOENT" ? "there is no such file" : `it cannot be read: ${detail}`,
        remedy: "Check the path."
      })
  )

/**
 * Settings that name files to read: in a configuration file they are relative to it, or to the working directory where
 * only that one has such a file.
 */
const relative = (
  settings: RunConfig.RunConfig,
  file: string,
  exists: (path: string) => boolean
): RunConfig.RunConfig => {
  const resolve = (path: string) => {
    const beside = NodePath.isAbsolute(path) ? path : NodePath.join(NodePath.dirname(file), path)
    return !exists(beside) && exists(path) ? path : beside
  }
  const { cache, existing, input, memory, models_file, replay_dir, response_format, schema, tools } = settings
  return {
    ...settings,
    ...(input === undefined || input === "-" ? {} : { input: resolve(input) }),
    ...(replay_dir === undefined ? {} : { replay_dir: resolve(replay_dir) }),
    ...(typeof tools === "string" ? { tools: resolve(tools) } : {}),
    ...(existing === undefined ? {} : { existing: resolve(existing) }),
    ...(memory === undefined ? {} : { memory: resolve(memory) }),
    ...(cache === undefined ? {} : { cache: resolve(cache) }),
    ...(models_file === undefined ? {} : { models_file: resolve(models_file) }),
    ...(typeof schema === "string" ? { schema: resolve(schema) } : {}),
    ...(typeof response_format === "string" && response_format !== "json_object"
      ? { response_format: resolve(response_format) }
      : {})
  }
}

/** Flags and the configuration file together. */
export const merge = Effect.fn("Settings.merge")(function*(
  flags: RunConfig.RunConfig,
  input: Option.Option<string>,
  config: Option.Option<string>
) {
  const given = Option.isSome(input) ? { ...flags, input: input.value } : flags
  if (Option.isNone(config)) return given
  const text = yield* readFile(config.value)
  const decoded = yield* RunConfig.decode(text, config.value)
  const disk = yield* Disk.Disk
  const file = yield* Disk.attempt(
    "look for",
    config.value,
    () => relative(decoded, config.value, (path) => disk.stat(path) !== undefined)
  )
  // Either of the two says which API is meant.
  const saysMode = given.mode !== undefined || given.use_batch_api !== undefined
  return {
    ...(saysMode ? Struct.omit(file, "mode", "use_batch_api") : file),
    ...given,
    ...(file.var === undefined ? {} : { var: { ...file.var, ...given.var } })
  }
})

const order = Step.Step.literals

/** The steps to take. */
export const steps = (
  { dry_run, from_step, mode, no_wait, only_step, to_step, try: tried }: RunConfig.RunConfig
): Either.Either<Step.Steps, UsageError> => {
  const refuse = (message: string) => Either.left(new UsageError({ message }))
  if (only_step !== undefined && (from_step !== undefined || to_step !== undefined)) {
    return refuse("--only-step is both --from-step and --to-step. Give it alone, or give those.")
  }
  const from = only_step ?? from_step ?? "build"
  const asked = only_step ?? to_step
  if (no_wait === true && (mode === "sync" || tried !== undefined)) {
    const waiting = mode === "sync" ? "--mode sync asks row by row" : "--try shows answers first"
    return refuse(`--no-wait leaves when batches are made, and ${waiting}. Keep one of the two.`)
  }
  const implied: Step.Step | undefined = dry_run === true ? "build" : no_wait === true ? "submit" : undefined
  const to = implied ?? asked ?? "normalize"
  if (asked !== undefined && asked !== to) {
    return refuse(
      dry_run === true
        ? "--dry-run ends after the step build. Leave out the flags that ask for more."
        : "--no-wait ends after the step submit. Leave out --to-step or --only-step."
    )
  }
  return order.indexOf(from) > order.indexOf(to)
    ? refuse(`The step ${from} comes after ${to}. The order is ${order.join(", ")}.`)
    : Either.right({ from, to })
}

const readJson = Effect.fn(function*(path: string, wanted: string) {
  const text = yield* readFile(path)
  return yield* Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (cause) =>
      new InputError({
        source: path,
        problem: `this is not JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
        remedy: `The file must hold ${wanted}.`
      })
  })
})

const wrongJson = (source: string, value: unknown, wanted: string) =>
  new InputError({ source, problem: `found ${describe(value)}`, remedy: `The file must hold ${wanted}.` })

const formatWanted = "an object with a \"type\", such as {\"type\": \"json_schema\", ...}"

const responseFormat = Effect.fn(function*(setting: RunConfig.RunConfig["response_format"]) {
  if (setting === "json_object") return { type: "json_object" }
  if (typeof setting !== "string") return setting
  const value = yield* readJson(setting, formatWanted)
  return isJsonObject(value) && typeof value.type === "string"
    ? value
    : yield* wrongJson(setting, value, formatWanted)
})

const toolsWanted = "a list of objects with a \"type\" each"

const tools = Effect.fn(function*(setting: RunConfig.RunConfig["tools"]) {
  if (typeof setting !== "string") return setting
  const value = yield* readJson(setting, toolsWanted)
  const isList = Array.isArray(value) && value.every((tool: unknown) => isJsonObject(tool))
  return isList ? value : yield* wrongJson(setting, value, toolsWanted)
})

/** How hard models are to think. */
export const thinking = (setting: NonNullable<RunConfig.RunConfig["thinking"]>): Thinking => {
  if (setting === "adaptive") return { type: "adaptive" }
  return setting === "off" ? { type: "disabled" } : { type: "enabled", budget_tokens: setting }
}

/** How the pipeline is to go on. */
export const advanceOptions = (
  {
    accept_new_key,
    deadline,
    finish,
    max_batches_per_hour,
    max_concurrent_jobs,
    max_cost,
    max_enqueued_tokens,
    max_queued_requests,
    repair,
    retries
  }: RunConfig.RunConfig
): Either.Either<AdvanceOptions, UsageError> =>
  deadline !== undefined && finish === undefined
    ? Either.left(
      new UsageError({ message: "--deadline says when the rows are finished: give --finish sync with it." })
    )
    : Either.right({
      maxConcurrentJobs: max_concurrent_jobs,
      maxEnqueuedTokens: max_enqueued_tokens,
      maxQueuedRequests: max_queued_requests,
      maxBatchesPerHour: max_batches_per_hour,
      maxCost: max_cost,
      retries,
      repair,
      acceptNewKey: accept_new_key,
      finish: finish === undefined
        ? undefined
        : { deadlineMillis: deadline === undefined ? null : Duration.toMillis(deadline) }
    })

/** Through which API rows are asked. */
const mode = ({ mode, use_batch_api }: RunConfig.RunConfig): Either.Either<Mode.Mode | undefined, UsageError> =>
  use_batch_api === true && mode === "sync"
    ? Either.left(new UsageError({ message: "--use-batch-api and --mode sync contradict each other. Keep one." }))
    : Either.right(use_batch_api === true ? "batch" : mode)

const schemaWanted = "a JSON Schema, such as {\"type\": \"object\", \"properties\": {...}}"

const answerSchema = Effect.fn(function*(setting: RunConfig.RunConfig["schema"]) {
  if (typeof setting !== "string") return setting
  const value = yield* readJson(setting, schemaWanted)
  if (!isJsonObject(value)) return yield* wrongJson(setting, value, schemaWanted)
  // What is wrong with it is found here too, where the file's name is known.
  yield* AnswerSchema.fromJson(value, { source: setting })
  return value
})

/** What the pipeline is to do with the rows. */
export const runOptions = Effect.fn("Settings.runOptions")(function*(settings: RunConfig.RunConfig) {
  const { id_column, limit_items, max_tokens, reasoning_effort, shard_bytes, shard_rows, top_p } = settings
  const format = yield* responseFormat(settings.response_format)
  const toolList = yield* tools(settings.tools)
  const schema = yield* answerSchema(settings.schema)
  if (schema !== undefined && format !== undefined) {
    return yield* new UsageError({ message: "--schema makes the response format. Leave out --response-format." })
  }
  const defaults = new RequestDefaults({
    ...Struct.pick(settings, "model", "system", "temperature", "stop", "dimensions"),
    ...(top_p === undefined ? {} : { topP: top_p }),
    ...(max_tokens === undefined ? {} : { maxTokens: max_tokens }),
    ...(reasoning_effort === undefined ? {} : { reasoningEffort: reasoning_effort }),
    ...(settings.thinking === undefined ? {} : { thinking: thinking(settings.thinking) }),
    ...(format === undefined ? {} : { responseFormat: format }),
    ...(toolList === undefined ? {} : { tools: toolList })
  })
  const options: RunOptions = {
    ...Struct.pick(settings, "prompt", "drop"),
    defaults,
    directory: settings.run_dir,
    runId: settings.run_id,
    ...(yield* advanceOptions(settings)),
    mode: yield* mode(settings),
    batchThreshold: settings.batch_threshold,
    ...(schema === undefined ? {} : { answerSchema: schema }),
    ...(settings.try === undefined ? {} : { tryRows: settings.try }),
    ...(settings.endpoint === undefined ? {} : { endpoint: yield* Providers.endpointPath(settings.endpoint) }),
    ...(settings.allow_unknown_model === undefined ? {} : { allowUnknownModel: settings.allow_unknown_model }),
    ...(id_column === undefined ? {} : { idColumn: id_column }),
    ...(settings.var === undefined ? {} : { variables: settings.var }),
    ...(limit_items === undefined ? {} : { limitItems: limit_items }),
    ...(settings.dedupe === undefined ? {} : { dedupe: settings.dedupe }),
    ...(settings.cache === undefined ? {} : { cacheDirectory: NodePath.resolve(settings.cache) }),
    ...(shard_rows === undefined ? {} : { shardRows: shard_rows }),
    ...(shard_bytes === undefined ? {} : { shardBytes: shard_bytes })
  }
  return options
})

/** Where the rows come from. */
export const source = (settings: RunConfig.RunConfig): Either.Either<Source.Source, UsageError> => {
  const options = { format: settings.input_format, columns: settings.columns }
  if (settings.input === undefined) {
    return Either.left(
      new UsageError({
        message: "No input is named. Give a file, - for standard input, or name it as input: in the file of --config."
      })
    )
  }
  return Either.right(settings.input === "-" ? Source.stdin(options) : Source.file(settings.input, options))
}

/** The model that was named, or the first of several. */
export const modelOf = ({ model, models }: RunConfig.RunConfig): string | undefined => models?.[0] ?? model

/** The provider that was named, or the only one that has the model. `inferred` tells the two apart. */
export const provider = (
  settings: RunConfig.RunConfig
): Effect.Effect<{ readonly entry: Providers.Entry; readonly inferred: boolean }, UsageError> => {
  const { provider } = settings
  const model = modelOf(settings)
  if (provider !== undefined) return Effect.map(Providers.byId(provider), (entry) => ({ entry, inferred: false }))
  const entry = model === undefined ? undefined : Providers.byModel(model)
  if (entry !== undefined) return Effect.succeed({ entry, inferred: true })
  return new UsageError({
    message: `${
      model === undefined ? "No provider is named" : `The model ${model} does not tell its provider`
    }. Name it: --provider ${Providers.all.map(({ id }) => id).join(" or --provider ")}.`
  })
}

/** The files of a run directory that a copy of the answers must not replace; what lies deeper is the run's own, too. */
const ownNames: ReadonlySet<string> = new Set(
  [
    RunDirectory.manifest,
    RunDirectory.journal,
    RunDirectory.config,
    RunDirectory.results,
    RunDirectory.failures,
    RunDirectory.anomalies,
    RunDirectory.cancelRequest
  ].map((place) => NodePath.basename(place("")))
)

/** What a copy of the answers must not replace. */
interface Precious {
  readonly input?: string | null | undefined
  readonly directory?: string | undefined
}

/** Checks where a copy of the answers is to go, before anything is paid for. */
export const checkOutput = Effect.fn("Settings.checkOutput")(function*(path: string, { directory, input }: Precious) {
  const disk = yield* Disk.Disk
  const identity = (path: string) =>
    Effect.map(
      Disk.attempt("look for", path, () => disk.stat(path)),
      (stat) => stat === undefined ? undefined : { ...stat, id: `${stat.device}:${stat.inode}` }
    )
  const refuse = (problem: string) => new UsageError({ message: `--output: ${problem}` })
  const absolute = NodePath.resolve(path)
  const parent = NodePath.dirname(absolute)
  if ((yield* identity(parent))?.kind !== "directory") {
    return yield* refuse(`there is no directory ${parent}. Make it first.`)
  }
  const there = yield* identity(absolute)
  if (there?.kind === "directory") return yield* refuse(`${path} is a directory. Name a file.`)
  if (there?.kind === "file" && typeof input === "string" && input !== "-") {
    if ((yield* identity(input))?.id === there.id) {
      return yield* refuse(`${path} is the input, which would be lost. Name another file.`)
    }
  }
  const run = directory === undefined ? undefined : yield* identity(directory)
  if (run === undefined) return
  for (let above = parent, deep = false;; above = NodePath.dirname(above), deep = true) {
    if ((yield* identity(above))?.id === run.id && (deep || ownNames.has(NodePath.basename(absolute)))) {
      return yield* refuse(`${path} belongs to the run itself. Name another file.`)
    }
    if (above === NodePath.dirname(above)) return
  }
})
