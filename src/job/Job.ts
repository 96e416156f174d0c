/**
 * A ready-made job: what turns a user's own input into the rows of a run, tells which answers are right, and makes of
 * them what the user wanted. The run between is a run like any other.
 *
 * A job is taken through a run in three steps:
 *
 * 1. make it, which reads no more of the input than it must, and finds what is wrong with it;
 * 2. when `rows` is not 0, run its `source` with `build`, `check` and `repair`, or resume that run;
 * 3. `conclude` with the report of the finished run: it writes the outputs.
 *
 * `run` takes the last two, and `runOptions` gives what `Pipeline.run` has to know of a job.
 *
 * Every step can be taken again: a job made of the same `options` gives the same rows, and concludes as before. The
 * options are kept with the run, so that another process can resume and conclude it: `ofRun` of the job's module takes
 * them, and reads no input, since all that is asked for is in the run. Only what the outputs are made of is read, in the
 * end.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import * as AnswerCheck from "../AnswerCheck.js"
import type { AnswersError } from "../Answers.js"
import type { InputError } from "../InputError.js"
import type { Mode } from "../Mode.js"
import { Pipeline, type PipelineError, type RunOptions } from "../Pipeline.js"
import { type JsonObject, RequestDefaults } from "../Request.js"
import type { RunState } from "../RunState.js"
import type { Source } from "../Source.js"

/**
 * How the job's rows become requests, where the user's flags say nothing else.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobBuild {
  /** What rows get where they do not say so themselves: the system message, for one. */
  readonly defaults?: ConstructorParameters<typeof RequestDefaults>[0]
  /** The prompt's template, where rows carry no prompt of their own. */
  readonly prompt?: string
  /** The column that holds the user's id. */
  readonly idColumn?: string
  /** Values for template variables that no column has. */
  readonly variables?: { readonly [name: string]: string }
  /** The JSON Schema that every answer must satisfy. */
  readonly answerSchema?: JsonObject
  /** What the schema is called at a provider that wants a name for it. */
  readonly answerName?: string
}

/**
 * What a job made of a finished run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Conclusion {
  /** What to tell the user, a line each. */
  readonly lines: ReadonlyArray<string>
  /** The paths of the files that were written, the main one first. */
  readonly files: ReadonlyArray<string>
  /** The same for programs. */
  readonly report: JsonObject
  /** Whether the outputs are whole: no row is without a usable answer. */
  readonly complete: boolean
}

/**
 * What can go wrong when a job is concluded: the input is not there any more or not as it was, the run is not finished,
 * its files are damaged, or the disk refuses an output.
 *
 * @since 0.1.0
 * @category errors
 */
export type ConcludeError = InputError | AnswersError

/**
 * A job whose run is there already: what it takes to resume that run, and to conclude it.
 *
 * @since 0.1.0
 * @category models
 */
export interface JobOfRun {
  /** As in `--job`. */
  readonly name: string
  /** Whether an answer is right; `null` where any answer will do. */
  readonly check: AnswerCheck.AnswerCheck | null
  /**
   * Makes the outputs of a finished run, whose `RunReport` this takes, or of none, when there was nothing to ask. Each
   * output is whole before it has its name, and concluding again writes the same.
   */
  readonly conclude: (run: { readonly state: RunState } | null) => Effect.Effect<Conclusion, ConcludeError>
}

/**
 * A job, ready to be run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Job extends JobOfRun {
  /** All that is needed to make this job again in another process, as JSON; paths are absolute. */
  readonly options: JsonObject
  /** The rows to ask for. */
  readonly source: Source
  /** How many rows that are, where it is known beforehand. With 0 there is nothing to ask: conclude with `null`. */
  readonly rows: number | null
  readonly build: JobBuild
  /** Through which API to ask, where the user does not say. */
  readonly mode: Mode
  /** What is sent otherwise than the options say at first sight, a sentence each. */
  readonly notices?: ReadonlyArray<string> | undefined
  /** How many further rounds a wrong answer is sent back for, where the user does not say. */
  readonly repair: number
}

/**
 * What `Pipeline.run` has to know of a job: `options` come before what the job says, and a check of theirs goes beside the
 * job's own.
 *
 * @since 0.1.0
 * @category getters
 */
export const runOptions = (job: Job, options: RunOptions = {}): RunOptions => {
  const checks = [job.check, options.check].filter((check) => check !== null && check !== undefined)
  return {
    ...Struct.omit(job.build, "defaults"),
    ...options,
    mode: options.mode ?? job.mode,
    repair: options.repair ?? job.repair,
    defaults: new RequestDefaults({ ...job.build.defaults, ...options.defaults }),
    ...(checks.length === 0 ? {} : { check: AnswerCheck.all(checks) }),
    job: { name: job.name, options: job.options }
  }
}

/**
 * Takes a job through a run and concludes it. When there is nothing to ask, nothing is run.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Job from "llm-batch/job/Job"
 * import * as Translate from "llm-batch/job/Translate"
 * import { RequestDefaults } from "llm-batch/Request"
 *
 * const program = Effect.gen(function*() {
 *   const job = yield* Translate.make(new Translate.TranslateOptions({ input: "en.json", targetLanguage: "fr" }))
 *   return yield* Job.run(job, { defaults: new RequestDefaults({ model: "gpt-5-mini" }) })
 * })
 * ```
 *
 * @since 0.1.0
 * @category running
 */
export const run: (
  job: Job,
  options?: RunOptions
) => Effect.Effect<Conclusion, PipelineError | ConcludeError, Pipeline> = Effect.fn("Job.run")(
  function*(job: Job, options: RunOptions = {}) {
    if (job.rows === 0) return yield* job.conclude(null)
    const pipeline = yield* Pipeline
    return yield* job.conclude(yield* pipeline.run(job.source, runOptions(job, options)))
  }
)
