/**
 * What a run will cost, as the command line tells it: as lines before somebody is asked, as one line where nobody is,
 * and what to watch out for in the models.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Cost from "../Cost.js"
import * as Estimate from "../Estimate.js"
import * as Model from "../Model.js"
import type { RunConfig } from "../RunConfig.js"
import type { Shard } from "../Shard.js"
import * as Survey from "../Survey.js"
import * as Report from "./Report.js"
import { UsageError } from "./UsageError.js"

/** The catalogue of models, with the user's own file where one is named. */
export const catalogue = Effect.fn("cli.catalogue")(function*({ models_file: file }: RunConfig) {
  if (file === undefined) return yield* Model.load
  return yield* Effect.catchIf(
    Model.loadFile(file),
    (error) => error._tag === "DiskError" && error.path === file,
    (error) =>
      new UsageError({
        message: error._tag === "DiskError" && error.code === "ENOENT"
          ? `--models-file: there is no file ${file}. Check the path.`
          : `--models-file: ${error.message}`
      })
  )
})

/** What rows will cost, by the way in which they are asked. */
export interface Forecast {
  /** Of the rows that go in batches; `null` where there are none. */
  readonly batches: Estimate.Estimate | null
  /** Of the rows that are asked one by one, at the full price. */
  readonly single: Estimate.Estimate | null
  /** What to watch out for, a sentence or two each. */
  readonly warnings: ReadonlyArray<string>
}

/** A few names, and how many more there are. */
const several = (names: ReadonlyArray<string>): string =>
  names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${Report.number(names.length - 3)} more` : names.join(", ")

/** What to watch out for in models, on a day: nothing of it is an error, since their provider knows better. */
const warnings = (
  models: ReadonlyArray<Model.Model>,
  { find }: Model.Service,
  day: string,
  inBatches: boolean
): ReadonlyArray<string> => {
  const isKnown = ({ name }: Model.Model) => find(name)._tag === "Known"
  const unknown = models.filter((model) => !isKnown(model)).map(({ name }) => name)
  const unpriced = models.filter((model) => isKnown(model) && model.prices === null).map(({ name }) => name)
  const unbatched = models.filter(({ accepts }) => inBatches && accepts.batch === false).map(({ name }) => name)
  return [
    ...(unknown.length === 0 ? [] : [
      `${several(unknown)}: not in the catalogue of models. Parameters are not checked, and the cost is unknown; `
      + "--models-file can say more."
    ]),
    ...(unpriced.length === 0 ? [] : [
      `${several(unpriced)}: the price is not known, and neither is the cost; --models-file can tell it.`
    ]),
    ...(unbatched.length === 0 ? [] : [`${several(unbatched)}: the Batch API is not known to take it.`]),
    ...models.filter((model) => Model.isRetired(model, day)).map(({ name, retires }) =>
      `${name}: retired on ${retires ?? day}. Its rows will most likely fail.`
    )
  ]
}

/** The forecast of a survey, all of whose rows are asked in one way. */
export const ofSurvey = Effect.fn("cli.forecast")(
  function*(survey: Survey.Survey, models: Model.Service, inBatches: boolean) {
    const day = DateTime.formatIsoDateUtc(yield* DateTime.now)
    const estimate = Survey.estimate(survey)
    const forecast: Forecast = {
      batches: inBatches ? estimate : null,
      single: inBatches ? null : estimate,
      warnings: warnings(survey.samples.map(({ model }) => model), models, day, inBatches)
    }
    return forecast
  }
)

const nothing: Forecast = { batches: null, single: null, warnings: [] }

/** What shards that are built will cost. */
export const ofShards = Effect.fn("cli.forecastShards")(function*(shards: ReadonlyArray<Shard>, settings: RunConfig) {
  const models = yield* catalogue(settings)
  const of = (mode: Shard["mode"]) => {
    const chosen = shards.filter((shard) => shard.mode === mode)
    return chosen.length === 0 ? Effect.succeed(nothing) : Survey.ofShards(chosen).pipe(
      Effect.provideService(Model.Catalogue, models),
      Effect.flatMap((survey) => ofSurvey(survey, models, mode === "batch"))
    )
  }
  const { batches, warnings } = yield* of("batch")
  const single = yield* of("sync")
  return {
    batches,
    single: single.single,
    warnings: [...new Set([...warnings, ...single.warnings])]
  } satisfies Forecast
})

/** A range of dollars. */
const money = (range: Estimate.UsdRange | null): string => {
  if (range === null) return Cost.format(null)
  const [low, high] = [Cost.format(range.low), Cost.format(range.high)]
  return low === high ? low : `${low} to ${high}`
}

const forMoney = (range: Estimate.UsdRange | null): string =>
  range === null ? "at a cost that is not known" : `for ${money(range)}`

const besides = ({ batch, unpriced }: Estimate.Estimate): string =>
  batch === null || unpriced.length === 0 ? "" : `, and what ${several(unpriced)} costs`

const labelled = (estimate: Estimate.Estimate, ...labels: ReadonlyArray<string>) =>
  Estimate.lines(estimate).filter(([label]) => labels.includes(label))

/** Lines of rows that are asked one by one: their price is the full one. */
const singleLines = (estimate: Estimate.Estimate): ReadonlyArray<readonly [label: string, text: string]> => {
  const { batch, rows, synchronous } = estimate
  const most = synchronous?.atMost ?? null
  return [
    ["rows", `${Report.number(rows)}, asked one by one`],
    ...labelled(estimate, "input", "output"),
    [
      "cost",
      `${money(synchronous)}${most === null || most === synchronous?.high ? "" : `, ${Cost.format(most)} at most`}`
    ],
    ...(batch === null ? [] : [["instead", `${money(batch)} in batches`] as const]),
    ...labelled(estimate, "unknown")
  ]
}

/** The forecast as lines of a label and a text. */
export const lines = ({ batches, single }: Forecast): ReadonlyArray<readonly [label: string, text: string]> => {
  if (batches === null) return single === null ? [] : singleLines(single)
  return [
    ...Estimate.lines(batches),
    ...(single === null
      ? []
      : [
        ["at once", `${Report.count(single.rows, "row")} ${forMoney(single.synchronous)}${besides(single)}`] as const
      ])
  ]
}

const inputOf = ({ input, rows }: Estimate.Estimate): string =>
  `${Report.count(rows, "row")} with ${input.exact ? "" : "about "}${Report.count(input.tokens, "token")}`

/** The forecast in one line. */
export const sentence = ({ batches, single }: Forecast): string =>
  [
    ...(batches === null ? [] : [
      `${inputOf(batches)} in ${Report.count(batches.batches, "batch", "batches")} ${forMoney(batches.batch)}${
        batches.synchronous === null ? "" : ` (${money(batches.synchronous)} without batches)`
      }${besides(batches)}`
    ]),
    ...(single === null ? [] : [
      `${inputOf(single)} one by one ${forMoney(single.synchronous)}${
        single.batch === null || batches !== null ? "" : ` (${money(single.batch)} in batches)`
      }${besides(single)}`
    ])
  ].join("; ")

/** How the lines are called beside the summary of what is sent, in which `Input` is a file. */
const besideSummary: { readonly [label: string]: string } = { input: "Reads", output: "Writes" }

/** The forecast for the summary of what is about to be sent, which tells the rows itself. */
export const table = (forecast: Forecast): string =>
  lines(forecast)
    .filter(([label]) => label !== "rows")
    .map(([label, text]) =>
      `  ${(besideSummary[label] ?? `${label.charAt(0).toUpperCase()}${label.slice(1)}`).padEnd(9)}  ${text}`
    )
    .join("\n")
