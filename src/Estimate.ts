/**
 * What a run will cost, before it is sent: from rows that were counted to ranges of tokens and money.
 *
 * Input is known, or known within a band. Output is not: `output` is where it is expected (by an earlier run, else by
 * what such models usually write), and `atMost` what it cannot pass, by `max_tokens` or the model's own limit. Models
 * whose price is not known are named in `unpriced`, and in no sum.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Cost from "./Cost.js"
import { thousands } from "./internal/Thousands.js"
import type { Model } from "./Model.js"
import type { Limits } from "./Provider.js"
import * as TokenCount from "./TokenCount.js"

const Count = Schema.Int.pipe(Schema.nonNegative())

/**
 * Tokens of answers: where they are expected, and what they cannot pass (`null` where nothing limits them).
 *
 * @since 0.1.0
 * @category models
 */
export const OutputRange = Schema.Struct({ low: Count, high: Count, atMost: Schema.NullOr(Count) })

/**
 * Tokens of answers.
 *
 * @since 0.1.0
 * @category models
 */
export type OutputRange = typeof OutputRange.Type

/**
 * Dollars: where the cost is expected, and what it cannot pass, as far as that is known.
 *
 * @since 0.1.0
 * @category models
 */
export const UsdRange = Schema.Struct({ low: Cost.Usd, high: Cost.Usd, atMost: Schema.NullOr(Cost.Usd) })

/**
 * Dollars: where the cost is expected, and what it cannot pass.
 *
 * @since 0.1.0
 * @category models
 */
export type UsdRange = typeof UsdRange.Type

/**
 * What the rows of one model cost.
 *
 * @since 0.1.0
 * @category models
 */
export class ModelEstimate extends Schema.Class<ModelEstimate>("llm-batch/ModelEstimate")({
  model: Schema.String,
  rows: Count,
  bytes: Count,
  input: TokenCount.TokenBand,
  output: OutputRange,
  /** `null`: the price is not known. */
  batch: Schema.NullOr(UsdRange),
  synchronous: Schema.NullOr(UsdRange)
}) {}

/**
 * What a run costs.
 *
 * @since 0.1.0
 * @category models
 */
export class Estimate extends Schema.Class<Estimate>("llm-batch/Estimate")({
  rows: Count,
  /** How many batches the provider's limits make of the rows. */
  batches: Count,
  input: TokenCount.TokenBand,
  output: OutputRange,
  /** `null` when no model's price is known; else of the models whose prices are. */
  batch: Schema.NullOr(UsdRange),
  synchronous: Schema.NullOr(UsdRange),
  /** What a batch saves. */
  saving: Schema.NullOr(Schema.Struct({ low: Cost.Usd, high: Cost.Usd })),
  /** Models whose price is not known: the cost is more than the sums by what they cost. */
  unpriced: Schema.Array(Schema.String),
  models: Schema.Array(ModelEstimate)
}) {}

/**
 * How prompts are cached: not at all; by the provider, as it likes; or since rows ask for it, for five minutes or for an
 * hour.
 *
 * @since 0.1.0
 * @category models
 */
export type Caching = "none" | "automatic" | "5m" | "1h"

/**
 * Rows of one model, counted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sample {
  /** `Model.unknown` for one that is not in the catalogue. */
  readonly model: Model
  readonly rows: number
  /** On the wire. */
  readonly bytes: number
  /** Bytes of the largest row: whether any prompt can be a long one, of which all tokens may cost more. */
  readonly longestRow: number
  readonly input: TokenCount.TokenBand
  /** Whether prompts may come from a cache, or go into one: the tokens of those may have prices of their own. */
  readonly caching: Caching
  /** Rows that say how many tokens their answer may have, and the sum of what they say. */
  readonly cappedRows: number
  readonly cappedTokens: number
  /** Answers of earlier runs that were alike: how many, and the tokens of an average one. */
  readonly history?: { readonly answers: number; readonly meanTokens: number }
  /** Rows that get vectors, and no words. */
  readonly embeddings: boolean
}

/** Where the answers of models are, as a rule, in tokens: of those that reason before they answer, and of others. */
const usual = { reasoning: { low: 200, high: 4_000 }, plain: { low: 20, high: 800 } }

/** How far the average may be from that of earlier answers: less, the more there were. */
const historyBand = (answers: number): number => 0.1 + 0.4 / Math.sqrt(Math.max(1, answers))

const perRow = ({ history, model }: Sample): { readonly low: number; readonly high: number } => {
  if (history !== undefined) {
    const band = historyBand(history.answers)
    return { low: history.meanTokens * (1 - band), high: history.meanTokens * (1 + band) }
  }
  const { reasoning } = model.accepts
  return reasoning === "always" ? usual.reasoning : reasoning === "never" ? usual.plain : {
    low: usual.plain.low,
    high: usual.reasoning.high
  }
}

const outputOf = (sample: Sample): OutputRange => {
  if (sample.embeddings) return { low: 0, high: 0, atMost: 0 }
  const { cappedRows, cappedTokens, model, rows } = sample
  const { high, low } = perRow(sample)
  const uncapped = rows - cappedRows
  const limit = model.maxOutput
  const atMost = uncapped === 0 ? cappedTokens : limit === null ? null : cappedTokens + uncapped * limit
  const bound = (tokens: number) =>
    Math.round(Math.min(cappedTokens, cappedRows * tokens) + uncapped * Math.min(tokens, limit ?? Infinity))
  return { low: bound(low), high: bound(high), atMost }
}

type Rates = Pick<Cost.Tariff, keyof Cost.BillableTokens>
type Kinds = ReadonlyArray<keyof Cost.BillableTokens>

/** As what the tokens of a prompt can be charged. */
const possibleKinds: Record<Caching, Kinds> = {
  "none": ["input"],
  "automatic": ["input", "cacheRead", "cacheWrite5m"],
  "5m": ["input", "cacheRead", "cacheWrite5m"],
  "1h": ["input", "cacheRead", "cacheWrite5m", "cacheWrite1h"]
}

/** And as what they are expected to be charged: few prompts are alike where nobody asks for a cache. */
const expectedKinds: Record<Caching, Kinds> = { ...possibleKinds, automatic: ["input"] }

const least = (amounts: ReadonlyArray<bigint>): bigint => amounts.reduce((a, b) => a < b ? a : b)
const most = (amounts: ReadonlyArray<bigint>): bigint => amounts.reduce((a, b) => a > b ? a : b)

/**
 * Prices of long prompts apply to what is expected where the average prompt is long, and to what the cost cannot pass
 * where any can be: a token is a byte at least.
 */
const rangeOf = (
  { caching, input, longestRow, model, rows }: Sample,
  output: OutputRange,
  mode: "batch" | "synchronous"
): UsdRange | null => {
  if (model.prices === null) return null
  const { long, ...short } = Cost.tariff(model.prices, mode)
  const isLong = (tokens: number) => long !== null && rows > 0 && tokens / rows > long.above
  const canBeLong = long !== null && (longestRow > long.above || isLong(input.high))
  const expected = (tokens: number): Rates => long !== null && isLong(tokens) ? long : short
  const possible: ReadonlyArray<Rates> = canBeLong ? [short, long] : [short]
  const prompts = (rates: Rates, kinds: Kinds) => kinds.map((kind) => rates[kind])
  const cost = (input: number, perInput: bigint, output: number, perOutput: bigint) =>
    BigInt(input) * perInput + BigInt(output) * perOutput
  const low = expected(input.low)
  const high = expected(input.high)
  return {
    low: cost(input.low, least(prompts(low, expectedKinds[caching])), output.low, low.output),
    high: cost(input.high, most(prompts(high, expectedKinds[caching])), output.high, high.output),
    atMost: output.atMost === null ? null : cost(
      input.high,
      most(possible.flatMap((rates) => prompts(rates, possibleKinds[caching]))),
      output.atMost,
      most(possible.map((rates) => rates.output))
    )
  }
}

const estimateModel = (sample: Sample): ModelEstimate => {
  const output = outputOf(sample)
  return new ModelEstimate({
    model: sample.model.name,
    rows: sample.rows,
    bytes: sample.bytes,
    input: sample.input,
    output,
    batch: rangeOf(sample, output, "batch"),
    synchronous: rangeOf(sample, output, "synchronous")
  })
}

const sumOutput = (ranges: ReadonlyArray<OutputRange>): OutputRange => ({
  low: ranges.reduce((sum, range) => sum + range.low, 0),
  high: ranges.reduce((sum, range) => sum + range.high, 0),
  atMost: ranges.reduce<number | null>(
    (sum, { atMost }) => sum === null || atMost === null ? null : sum + atMost,
    0
  )
})

const sumUsd = (ranges: ReadonlyArray<UsdRange | null>): UsdRange | null => {
  const known = ranges.filter((range) => range !== null)
  return known.length === 0 ? null : {
    low: known.reduce((sum, range) => sum + range.low, 0n),
    high: known.reduce((sum, range) => sum + range.high, 0n),
    // A sum that leaves a model out is no limit.
    atMost: known.length < ranges.length
      ? null
      : known.reduce<bigint | null>((sum, { atMost }) => sum === null || atMost === null ? null : sum + atMost, 0n)
  }
}

/**
 * How many batches so many rows and bytes become under a provider's limits, each as full as it may be. `shardRows` and
 * `shardBytes` are limits of the user's own.
 *
 * @since 0.1.0
 * @category conversions
 */
export const batchesOf = (
  { bytes, rows }: { readonly rows: number; readonly bytes: number },
  limits: Pick<Limits, "rows" | "bytes" | "overheadBytes">,
  own: { readonly shardRows?: number; readonly shardBytes?: number } = {}
): number => {
  if (rows === 0) return 0
  const mostRows = Math.min(limits.rows, own.shardRows ?? Infinity)
  const mostBytes = Math.max(1, Math.min(limits.bytes, own.shardBytes ?? Infinity) - limits.overheadBytes)
  return Math.min(rows, Math.max(Math.ceil(rows / mostRows), Math.ceil(bytes / mostBytes)))
}

/**
 * The estimate of a run, from its rows by model. `batches` is the number of shards where they are built already, else
 * follows from the limits: by model where a batch takes only one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  samples: ReadonlyArray<Sample>,
  batches: number | {
    readonly limits: Limits
    readonly shardRows?: number
    readonly shardBytes?: number
  }
): Estimate => {
  const models = samples.map(estimateModel)
  const all = {
    rows: samples.reduce((sum, sample) => sum + sample.rows, 0),
    bytes: samples.reduce((sum, sample) => sum + sample.bytes, 0)
  }
  const batch = sumUsd(models.map((model) => model.batch))
  const synchronous = sumUsd(models.map((model) => model.synchronous))
  return new Estimate({
    rows: all.rows,
    batches: typeof batches === "number"
      ? batches
      : (batches.limits.oneModelPerBatch ? samples : [all])
        .reduce((sum, part) => sum + batchesOf(part, batches.limits, batches), 0),
    input: TokenCount.sum(models.map((model) => model.input)),
    output: sumOutput(models.map((model) => model.output)),
    batch,
    synchronous,
    saving: batch === null || synchronous === null
      ? null
      : { low: synchronous.low - batch.low, high: synchronous.high - batch.high },
    unpriced: models.filter((model) => model.batch === null).map(({ model }) => model),
    models
  })
}

const between = (low: string, high: string): string => low === high ? low : `${low} to ${high}`

const tokensText = ({ exact, high, low, tokens }: TokenCount.TokenBand): string =>
  exact ? thousands(tokens) : `about ${thousands(tokens)} (${between(thousands(low), thousands(high))})`

const usdText = (range: UsdRange | null): string =>
  range === null ? Cost.format(null) : between(Cost.format(range.low), Cost.format(range.high))

/**
 * The estimate as lines of a label and a text, for people.
 *
 * @since 0.1.0
 * @category formatting
 */
export const lines = (estimate: Estimate): ReadonlyArray<readonly [label: string, text: string]> => {
  const { atMost, high, low } = estimate.output
  const limit = estimate.batch?.atMost ?? null
  return [
    [
      "rows",
      `${thousands(estimate.rows)} in ${estimate.batches === 1 ? "1 batch" : `${thousands(estimate.batches)} batches`}`
    ],
    ["input", `${tokensText(estimate.input)} tokens`],
    [
      "output",
      `${between(thousands(low), thousands(high))} tokens${
        atMost === null || atMost === high ? "" : `, ${thousands(atMost)} at most`
      }`
    ],
    [
      "cost",
      `${usdText(estimate.batch)}${
        limit === null || limit === estimate.batch?.high ? "" : `, ${Cost.format(limit)} at most`
      }`
    ],
    ...(estimate.saving === null || estimate.synchronous === null ? [] : [
      [
        "saved",
        `${between(Cost.format(estimate.saving.low), Cost.format(estimate.saving.high))} against ${
          usdText(estimate.synchronous)
        } without batches`
      ] as const
    ]),
    ...(estimate.unpriced.length === 0 || estimate.batch === null
      ? []
      : [["unknown", `the cost of ${estimate.unpriced.join(", ")} comes on top`] as const])
  ]
}
