/**
 * Evaluating models on a set of items: one file of questions becomes a row for each model, condition, temperature and
 * sample, and the answers become `predictions.csv` and scores.
 *
 * **Items** are records of JSON Lines, CSV or TSV, such as `{"id": "1", "question": "2 + 2?", "answer": "4"}`. The id is
 * `item_id`, else `id`, else `custom_id`, else the item's number. A condition's prompt is a template over its columns,
 * `{{question}}` where nothing else is said. An item may name its own `dataset` and `type`.
 *
 * A line `{"custom_id": "dataset|item_id|condition|temp|sample_index|type", "body": {...}}` is a row already. Its id is
 * checked, and it goes on as it is, so such rows are not multiplied.
 *
 * **Ids** of rows have those six parts. A run of one model has its ids exactly so. With several models the condition is
 * `condition@model`, as `gsm8k|17|stepwise@gpt-5-mini|0.7|2|open`: ids stay unique, whoever groups by condition keeps the
 * models apart, and items are found by dataset and id as before. Parts are free of `|`, and a condition's name of `@`.
 * The temperature is written as a float, `0.0`; `1.0`, the providers' default, stands for one that is not set.
 *
 * **Thinking** is on for Claude Opus 4.5, with a budget of 20,000 tokens, and for 4.6, adaptive, unless `thinking` says
 * otherwise; `max_tokens` gets room for it. A Claude model that thinks takes no temperature: its rows are sent without,
 * and their ids keep it.
 *
 * **Scores** compare the final number of an answer with that of the item's `answer`, exactly: what stands after `####`,
 * else in `\boxed{}`, else the last number. A row without an answer counts as wrong, and is counted apart too. The
 * interval of an accuracy is Wilson's, at 95 %, over items: samples of one item are no independent evidence, so the
 * number of rows goes in divided by their design effect.
 *
 * It writes into the run directory:
 *
 * ```text
 * predictions.csv   custom_id,dataset,item_id,condition,temp,sample_index,type,request_id,finish_reason,response_text,
 *                   prompt_tokens,completion_tokens,total_tokens: one line a row, in input order
 * scores.csv        custom_id,model,dataset,item_id,condition,temp,sample_index,type,expected,predicted,verdict
 * scores.json       the table of scores: by model, condition and temperature
 * ```
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { Pipeline } from "llm-batch/Pipeline"
 * import { RequestDefaults } from "llm-batch/Request"
 * import * as Evaluate from "llm-batch/job/Evaluate"
 *
 * const program = Effect.gen(function*() {
 *   const job = yield* Evaluate.make(
 *     new Evaluate.EvaluateOptions({
 *       input: "gsm8k.jsonl",
 *       models: ["gpt-4.1-mini", "gpt-4.1-nano"],
 *       conditions: {
 *         plain: { prompt: "{{question}} Answer with the number only." },
 *         stepwise: { prompt: "{{question}} Think step by step. End with \"#### \" and the number." }
 *       },
 *       temps: [0, 0.7],
 *       samples: 3
 *     })
 *   )
 *   const pipeline = yield* Pipeline
 *   const run = yield* pipeline.run(job.source, { defaults: new RequestDefaults(job.build.defaults ?? {}) })
 *   return yield* job.conclude(run)
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as NodePath from "node:path"
import * as Answers from "../Answers.js"
import { InputError } from "../InputError.js"
import * as Disk from "../internal/Disk.js"
import { describe } from "../internal/RowErrors.js"
import * as WholeFile from "../internal/WholeFile.js"
import { type JsonObject, Thinking } from "../Request.js"
import { RunRejected } from "../RunError.js"
import * as Source from "../Source.js"
import * as Template from "../Template.js"
import * as ItemMatrix from "./ItemMatrix.js"
import type { Conclusion, Job, JobOfRun } from "./Job.js"
import { NotAnEvaluation, RowScorer } from "./RowScorer.js"
import * as ScoreTable from "./ScoreTable.js"
import * as SixPartId from "./SixPartId.js"

const Optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/**
 * A way to ask: templates over an item's columns.
 *
 * @since 0.1.0
 * @category models
 */
export const Condition = Schema.Struct({
  /** The question; the options' `prompt` where it is left out. */
  prompt: Optional(Schema.NonEmptyString),
  /** The system message; the options' `system` where it is left out. */
  system: Optional(Schema.NonEmptyString)
})

/**
 * A way to ask: templates over an item's columns.
 *
 * @since 0.1.0
 * @category models
 */
export type Condition = typeof Condition.Type

/**
 * What to ask of which models.
 *
 * @since 0.1.0
 * @category models
 */
export class EvaluateOptions extends Schema.Class<EvaluateOptions>("llm-batch/job/EvaluateOptions")({
  /** The path of the items. */
  input: Schema.NonEmptyString,
  /** As for any source: told by the file's name where it is left out. */
  inputFormat: Optional(Schema.Literal("jsonl", "csv", "tsv")),
  /** The names of the columns, for CSV and TSV without a header line. */
  columns: Optional(Schema.Array(Schema.NonEmptyString)),
  models: Schema.NonEmptyArray(
    Schema.NonEmptyTrimmedString.annotations({
      message: ({ actual }) => ({
        message: `found ${describe(actual)}. A model's name is not empty, without spaces around it.`,
        override: true
      })
    })
  ),
  /** By name; `plain` alone where it is left out. */
  conditions: Optional(Schema.Record({ key: Schema.String, value: Condition })),
  /** The prompt of conditions without one. */
  prompt: Schema.optionalWith(Schema.NonEmptyString, { default: () => "{{question}}" }),
  /** The system message of conditions without one, a template too, and of rows that are ready without one, as it is. */
  system: Optional(Schema.NonEmptyString),
  /** Without any, no temperature is sent. */
  temps: Schema.optionalWith(Schema.Array(Schema.Number.pipe(Schema.between(0, 2))), { default: () => [] }),
  /** How many times each item is asked in the same way. */
  samples: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 10_000)), { default: () => 1 }),
  /** For items that do not name their own; the name of the file without its ending where it is left out. */
  dataset: Optional(Schema.NonEmptyString),
  /** For items that do not name their own. */
  type: Schema.optionalWith(Schema.NonEmptyString, { default: () => "open" }),
  /** The column with an item's id, where it is not `item_id`, `id` or `custom_id`. */
  idColumn: Optional(Schema.NonEmptyString),
  /** The column with the right answer. */
  answerColumn: Schema.optionalWith(Schema.NonEmptyString, { default: () => "answer" }),
  /** Values for template variables that no column has. */
  variables: Schema.optionalWith(Schema.Record({ key: Schema.String, value: Schema.String }), { default: () => ({}) }),
  /** The most tokens an answer may have. */
  maxTokens: Optional(Schema.Int.pipe(Schema.positive())),
  /** For all models; where it is left out, Opus 4.5 and 4.6 think. */
  thinking: Optional(Thinking),
  /** Reads no more than so many items, each of which may become several rows. */
  limitItems: Optional(Schema.Int.pipe(Schema.positive()))
}) {}

/**
 * The job, and what there is to know before it is run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Evaluation extends Job {
  /** What is sent otherwise than the options say at first sight, a sentence each. */
  readonly notices: ReadonlyArray<string>
}

const thinkingBudget = 20_000

/** The room of an answer beside its thinking, where nobody says how much. */
const usualMaxTokens = 4_096

/** What the ancestors of this job let think, and how. */
const usualThinking = (model: string): Thinking | undefined => {
  const [, version] = /^claude-opus-4-([56])(?:-|$)/u.exec(model) ?? []
  if (version === undefined) return undefined
  return version === "5" ? { type: "enabled", budget_tokens: thinkingBudget } : { type: "adaptive" }
}

/** What the bodies of a model say, but for the temperature. */
interface Tuning {
  readonly model: string
  readonly parameters: { readonly max_tokens?: number; readonly thinking?: Thinking }
  /** Whether the model thinks because of this job, not because it was told to. */
  readonly thinksByItself: boolean
  readonly takesTemperature: boolean
}

const tuningOf = (model: string, { maxTokens, thinking: given }: EvaluateOptions): Tuning => {
  const usual = given === undefined ? usualThinking(model) : undefined
  const thinking = given ?? usual
  // Tokens of thinking count as tokens of the answer: a limit that was meant for the answer alone would leave it none.
  const room = usual === undefined || (maxTokens !== undefined && maxTokens > thinkingBudget) ? 0 : thinkingBudget
  const limit = usual === undefined ? maxTokens : (maxTokens ?? usualMaxTokens) + room
  return {
    model,
    parameters: {
      ...(limit === undefined ? undefined : { max_tokens: limit }),
      ...(thinking === undefined ? undefined : { thinking })
    },
    thinksByItself: usual !== undefined,
    takesTemperature: thinking === undefined || thinking.type === "disabled" || !model.startsWith("claude-")
  }
}

const noticesOf = (tunings: ReadonlyArray<Tuning>, options: EvaluateOptions): ReadonlyArray<string> =>
  tunings.flatMap(({ model, parameters, takesTemperature, thinksByItself }) => {
    const number = (value: number | undefined) => value?.toLocaleString("en") ?? ""
    const budget = parameters.thinking?.type === "enabled" ? `, up to ${number(thinkingBudget)} tokens` : ""
    return [
      ...(thinksByItself
        ? [
          `${model} thinks before it answers${budget}, and max_tokens is ${number(parameters.max_tokens)} with that. `
          + "To have it otherwise, set thinking: off, adaptive, or a number of tokens."
        ]
        : []),
      ...(takesTemperature || options.temps.length === 0
        ? []
        : [`${model} takes no temperature while it thinks: its rows are sent without, and their ids keep it.`])
    ]
  })

const refuse = (source: string, problem: string, remedy: string) => new InputError({ source, problem, remedy })

/** The first value that is there before. */
const repeated = <A>(values: ReadonlyArray<A>): A | undefined =>
  values.find((value, index) => values.indexOf(value) !== index)

const checkParts = (options: EvaluateOptions, dataset: string): Either.Either<void, InputError> => {
  const { models, temps, type } = options
  const conditions = Object.keys(options.conditions ?? {})
  const parts: ReadonlyArray<readonly [name: string, part: string]> = [
    ["dataset", dataset],
    ["type", type],
    ...models.map((model) => ["models", model] as const),
    ...conditions.map((condition) => ["conditions", condition] as const)
  ]
  for (const [name, part] of parts) {
    if (part === "" || part.includes(SixPartId.separator) || !part.isWellFormed()) {
      return Either.left(refuse(
        name,
        `found ${describe(part)}`,
        `It becomes a part of every row's id, ${SixPartId.form}: not empty, and without |.`
      ))
    }
  }
  const marked = conditions.find((condition) => condition.includes("@"))
  if (marked !== undefined) {
    return Either.left(
      refuse("conditions", `found ${describe(marked)}`, "A condition's name is without @: what follows it is a model.")
    )
  }
  if (options.conditions !== undefined && conditions.length === 0) {
    return Either.left(refuse("conditions", "there are none", "Leave them out, or name one."))
  }
  const twice = repeated<string | number>(models) ?? repeated<string | number>(temps)
  return twice === undefined ? Either.void : Either.left(
    refuse(
      typeof twice === "string" ? "models" : "temps",
      `${twice} is there twice`,
      "Name it once; samples asks in the same way more than once."
    )
  )
}

/** The temperature that the providers take where none is sent. */
const usualTemp = 1

const cellsOf = (
  options: EvaluateOptions,
  tunings: ReadonlyArray<Tuning>
): Either.Either<ReadonlyArray<ItemMatrix.Cell>, InputError> =>
  Either.gen(function*() {
    const named: { readonly [name: string]: Condition } = options.conditions ?? { plain: {} }
    const conditions = yield* Either.all(
      Object.entries(named).map(([name, { prompt = options.prompt, system = options.system }]) =>
        Either.all({
          name: Either.right(name),
          prompt: Template.parse(`the prompt of ${name}`, prompt),
          system: system === undefined
            ? Either.right(null)
            : Template.parse(`the system message of ${name}`, system)
        })
      )
    )
    const temps = options.temps.length === 0 ? [undefined] : options.temps
    return tunings.flatMap(({ model, parameters, takesTemperature }) =>
      conditions.flatMap(({ name, prompt, system }) =>
        temps.map((temp): ItemMatrix.Cell => ({
          model,
          condition: tunings.length === 1 ? name : `${name}@${model}`,
          temp: temp ?? usualTemp,
          prompt,
          system,
          parameters: {
            ...(temp === undefined || !takesTemperature ? undefined : { temperature: temp }),
            ...parameters
          }
        }))
      )
    )
  })

/** What rows that are ready get: rows that are made of items say it all themselves. */
const defaultsOf = ({ system }: EvaluateOptions, cells: ReadonlyArray<ItemMatrix.Cell>): Job["build"]["defaults"] => {
  const [cell, ...others] = cells
  if (cell === undefined || others.length > 0) return undefined
  const { max_tokens: maxTokens, temperature, thinking } = cell.parameters
  return {
    model: cell.model,
    ...(system === undefined ? undefined : { system }),
    ...(temperature === undefined ? undefined : { temperature }),
    ...(maxTokens === undefined ? undefined : { maxTokens }),
    ...(thinking === undefined ? undefined : { thinking })
  }
}

const datasetOf = (input: string): string =>
  NodePath.basename(input).replace(/\.gz$/iu, "").replace(/\.(?:jsonl|ndjson|csv|tsv|tab)$/iu, "")

const linesOf = (scores: ReadonlyArray<ScoreTable.Score>, predictions: string): ReadonlyArray<string> => {
  const sum = (count: (score: ScoreTable.Score) => number) => scores.reduce((total, score) => total + count(score), 0)
  const [noNumber, notScored] = [sum((score) => score.noNumber), sum((score) => score.notScored)]
  const sampled = scores.some(({ items, rows }) => items < rows)
  return [
    ...(scores.every(({ rows }) => rows === 0) ? [] : [
      ...ScoreTable.table(scores),
      "Unanswered rows count as wrong. Intervals are Wilson's"
      + (sampled ? ", over items: the samples of one are not taken for independent." : ".")
    ]),
    ...(noNumber === 0 ? [] : [`Answers without a number, which count as wrong: ${noNumber}.`]),
    ...(notScored === 0
      ? []
      : [`Rows that are not scored, since their items have no number to compare with: ${notScored}.`]),
    `Predictions: ${predictions}`
  ]
}

const nameError = (directory: string, path: string) => (error: unknown) =>
  error instanceof NotAnEvaluation
    ? new RunRejected({
      directory,
      problem: `this is not the run of an evaluation: ${error.message}`,
      remedy: "Conclude the run that the job was begun with."
    })
    : Disk.toDiskError("write", path, error)

const conclude = ({ answerColumn, models }: EvaluateOptions): Job["conclude"] =>
  Effect.fn("Evaluate.conclude")(function*(run) {
    if (run === null) {
      return { lines: ["There was nothing to ask."], files: [], report: { scores: [] }, complete: true }
    }
    const { directory } = run.state
    const predictionsPath = NodePath.join(directory, "predictions.csv")
    const linesPath = NodePath.join(directory, "scores.csv")
    const scoresPath = NodePath.join(directory, "scores.json")
    const scorer = yield* WholeFile.write(predictionsPath, (predictions) =>
      WholeFile.write(linesPath, (lines) => {
        const scorer = new RowScorer({ predictions, lines, answerColumn, manyModels: models.length > 1 })
        return Effect.as(
          Stream.runForEachChunk(Answers.rows(run), (rows) =>
            Effect.try({
              try: () => {
                for (const row of rows) scorer.add(row)
              },
              catch: nameError(directory, predictionsPath)
            })),
          scorer
        )
      }))
    const { failed, rows } = scorer
    const scores = scorer.scores.finish()
    const report: JsonObject = {
      rows,
      failed,
      interval: { method: "wilson", level: 0.95, n: "effective_n" },
      scores: scores.map(ScoreTable.toJson)
    }
    yield* WholeFile.writeText(scoresPath, `${JSON.stringify(report, null, 2)}\n`)
    return {
      lines: linesOf(scores, predictionsPath),
      files: [predictionsPath, linesPath, scoresPath],
      report,
      complete: failed === 0
    } satisfies Conclusion
  })

/**
 * The job of a run that is there already, from the options that are kept with it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofRun = (options: EvaluateOptions): JobOfRun => ({
  name: "eval",
  check: null,
  conclude: conclude(options)
})

/**
 * Makes the job. Nothing is read: what is wrong with an item shows when the rows are built, as an `InputError` that names
 * its line. `items` are the items, where they come from elsewhere than the file `input`, which is then only their name.
 *
 * Fails with `InputError` when the options cannot be: a template that cannot be read, a name that cannot be part of an
 * id, the same model or temperature twice.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (options: EvaluateOptions, items?: Source.Source) => Effect.Effect<Evaluation, InputError> = Effect
  .fn("Evaluate.make")(function*(given: EvaluateOptions, items?: Source.Source) {
    const path = items === undefined ? NodePath.resolve(given.input) : given.input
    const options = new EvaluateOptions({ ...given, input: path })
    const dataset = options.dataset ?? datasetOf(options.input)
    yield* checkParts(options, dataset)
    const tunings = options.models.map((model) => tuningOf(model, options))
    const cells = yield* cellsOf(options, tunings)
    return {
      ...ofRun(options),
      options: Schema.encodeSync(EvaluateOptions)(options),
      source: ItemMatrix.source(
        items ?? Source.file(given.input, { format: options.inputFormat, columns: options.columns }),
        {
          cells,
          samples: options.samples,
          dataset,
          type: options.type,
          idColumn: options.idColumn ?? null,
          answerColumn: options.answerColumn,
          variables: options.variables,
          limitItems: options.limitItems ?? Number.POSITIVE_INFINITY
        }
      ),
      rows: null,
      build: { defaults: defaultsOf(options, cells) },
      mode: "batch",
      repair: 0,
      notices: noticesOf(tunings, options)
    }
  })
