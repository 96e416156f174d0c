/**
 * The ready-made jobs on the command line: each made of the settings that name it, or of what a run keeps of it. A job's
 * module is loaded when the job is used.
 */
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as NodePath from "node:path"
import { InputError } from "../InputError.js"
import * as JobSettings from "../internal/JobSettings.js"
import type { Job, JobOfRun } from "../job/Job.js"
import type { Key, RunConfig } from "../RunConfig.js"
import type { DiskError } from "../RunError.js"
import type { JobDescription } from "../RunState.js"
import * as Source from "../Source.js"
import * as Settings from "./Settings.js"
import { UsageError } from "./UsageError.js"

/** A job by its name. */
interface Entry {
  /** Settings that the job takes for itself: they make no defaults of the run's rows. */
  readonly takes: ReadonlyArray<Key>
  /** The job's own options, as the settings name them; what is not given is not in them. */
  readonly options: (settings: RunConfig) => { readonly [name: string]: unknown }
  /** Makes the job of its options, or says what is wrong with them. */
  readonly make: (
    options: unknown
  ) => Effect.Effect<Job, InputError | DiskError | ParseResult.ParseError>
  /** What goes on with a run of the job, of the same options; it reads no input. */
  readonly ofRun: (options: unknown) => Effect.Effect<JobOfRun, ParseResult.ParseError>
}

const given = (options: { readonly [name: string]: unknown }): { readonly [name: string]: unknown } =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

const entries: { readonly [Name in NonNullable<RunConfig["job"]>]: Entry } = {
  eval: {
    takes: JobSettings.taken.eval,
    options: (settings) => ({
      ...Struct.pick(settings, "input", "columns", "conditions", "prompt", "system", "samples", "dataset", "type"),
      inputFormat: settings.input_format,
      models: settings.models ?? (settings.model === undefined ? undefined : [settings.model]),
      temps: settings.temps ?? (settings.temperature === undefined ? undefined : [settings.temperature]),
      idColumn: settings.id_column,
      answerColumn: settings.answer_column,
      variables: settings.var,
      maxTokens: settings.max_tokens,
      limitItems: settings.limit_items,
      thinking: settings.thinking === undefined ? undefined : Settings.thinking(settings.thinking)
    }),
    make: (options) =>
      Effect.gen(function*() {
        const { EvaluateOptions, make } = yield* Effect.promise(() => import("../job/Evaluate.js"))
        const decoded = yield* Schema.decodeUnknown(EvaluateOptions)(options)
        return yield* decoded.input === "-"
          ? make(decoded, Source.stdin({ format: decoded.inputFormat }))
          : make(decoded)
      }),
    ofRun: (options) =>
      Effect.gen(function*() {
        const { EvaluateOptions, ofRun } = yield* Effect.promise(() => import("../job/Evaluate.js"))
        return ofRun(yield* Schema.decodeUnknown(EvaluateOptions)(options))
      })
  },
  translate: {
    takes: JobSettings.taken.translate,
    options: (settings) => ({
      ...Struct.pick(settings, "input", "context", "output", "memory", "existing"),
      targetLanguage: settings.target_lang,
      sourceLanguage: settings.source_lang,
      batchSize: settings.batch_size
    }),
    make: (options) =>
      Effect.gen(function*() {
        const { make, TranslateOptions } = yield* Effect.promise(() => import("../job/Translate.js"))
        return yield* make(yield* Schema.decodeUnknown(TranslateOptions)(options))
      }),
    ofRun: (options) =>
      Effect.gen(function*() {
        const { ofRun, TranslateOptions } = yield* Effect.promise(() => import("../job/Translate.js"))
        return ofRun(yield* Schema.decodeUnknown(TranslateOptions)(options))
      })
  },
  classify: {
    takes: JobSettings.taken.classify,
    options: (settings) => ({
      ...Struct.pick(settings, "input", "columns", "labels", "output", "instructions"),
      format: settings.input_format,
      textColumn: settings.text_column,
      labelColumn: settings.label_column
    }),
    make: (options) =>
      Effect.gen(function*() {
        const { ClassifyOptions, make } = yield* Effect.promise(() => import("../job/Classify.js"))
        return yield* make(yield* Schema.decodeUnknown(ClassifyOptions)(options))
      }),
    ofRun: (options) =>
      Effect.gen(function*() {
        const { ClassifyOptions, ofRun } = yield* Effect.promise(() => import("../job/Classify.js"))
        return ofRun(yield* Schema.decodeUnknown(ClassifyOptions)(options))
      })
  }
}

const wrongOption = (name: string) => (error: ParseResult.ParseError): UsageError => {
  const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
  const option = issue?.path[0]
  const flag = typeof option === "string" ? `--${JobSettings.keyOf(option).replaceAll("_", "-")}` : "its options"
  return new UsageError({
    message: issue?._tag === "Missing"
      ? `The job ${name} needs ${flag}.`
      : `The job ${name}: ${flag}: ${issue?.message ?? "it is not right"}`
  })
}

const damaged = (name: string) => (error: ParseResult.ParseError): InputError =>
  new InputError({
    source: `the run's job ${name}`,
    problem: `its options cannot be read: ${ParseResult.TreeFormatter.formatErrorSync(error).split("\n")[0] ?? ""}`,
    remedy: "The run was begun by another version of this program: go on with that one."
  })

const nameOf = ({ job, target_lang }: RunConfig) => job ?? (target_lang === undefined ? undefined : "translate")

/** Whether `--output` is the job's own file, and not a copy of the answers. */
export const writesOutput = (settings: RunConfig): boolean => {
  const name = nameOf(settings)
  return name !== undefined && entries[name].takes.includes("output")
}

/** The job that the settings name; nothing where they name none. `--target-lang` alone is enough for a translation. */
export const fromSettings = Effect.fn("Jobs.fromSettings")(function*(settings: RunConfig) {
  const name = nameOf(settings)
  if (name === undefined) return undefined
  if (settings.input === undefined) yield* Settings.source(settings)
  const entry = entries[name]
  const job = yield* Effect.catchTag(entry.make(given(entry.options(settings))), "ParseError", wrongOption(name))
  return { job, others: Struct.omit(settings, ...entry.takes) }
})

/** The path of the input that a job is made of. */
export const inputOf = (description: JobDescription | null): string | undefined => {
  const input = description?.options["input"]
  return typeof input === "string" ? input : undefined
}

/**
 * The job that a run is, nothing where it is none, and the settings that are not its own: with a job that writes it,
 * `--output` is where its outputs go this time.
 */
export const ofRun = Effect.fn("Jobs.ofRun")(function*(description: JobDescription | null, settings: RunConfig) {
  if (description === null) return { job: undefined, others: settings }
  const { name, options } = description
  const isKnown = (name: string): name is keyof typeof entries => Object.hasOwn(entries, name)
  if (!isKnown(name)) {
    return yield* new UsageError({
      message: `There is no job ${JSON.stringify(name)}: use a newer version of llm-batch.`
    })
  }
  const { ofRun, takes } = entries[name]
  const own = settings.output !== undefined && takes.includes("output")
  const output = own ? { output: NodePath.resolve(settings.output) } : {}
  const job = yield* Effect.catchTag(ofRun({ ...options, ...output }), "ParseError", damaged(name))
  const others: RunConfig = own ? Struct.omit(settings, "output") : settings
  return { job, others }
})
