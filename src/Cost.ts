/**
 * What answers cost: exact arithmetic from the provider's own usage.
 *
 * The unit is the picodollar, a whole `bigint`: 1,000,000,000,000 are one US dollar, and a price of one dollar for a
 * million tokens is 1,000,000 picodollars a token. A price in dollars becomes whole picodollars a token once, batch
 * factor included; from there on nothing is rounded until `format` shows it. What has no known price is unknown: it is
 * counted, and never taken for 0.
 *
 * - `tokensOf` reads a usage of OpenAI or Anthropic by the kinds that are charged apart;
 * - `meter` adds up the answers of one model on the row path, and gives a `Bill`;
 * - `Bill` has what was charged with the synchronous price beside it, and adds up; a `ShardBill` has
 *   the part of each model, with the prices that it was made with;
 * - `PriceSource` is where prices are from: provide another one for prices of your own.
 *
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as Cost from "llm-batch/Cost"
 * import * as Model from "llm-batch/Model"
 * import * as Pipeline from "llm-batch/Pipeline"
 * import * as OpenAi from "llm-batch/provider/OpenAi"
 *
 * const MyPrices = Layer.succeed(Cost.PriceSource, { load: Model.loadFile("prices.yaml") })
 *
 * const MyPipeline = Pipeline.layer.pipe(Layer.provide(OpenAi.layerConfig()), Layer.provide(MyPrices))
 * ```
 *
 * Only tokens are counted: not what a provider charges for its own tools (a web search) or for a region.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { InputError } from "./InputError.js"
import { thousands } from "./internal/Thousands.js"
import type * as Model from "./Model.js"
import type { Prices, Rates } from "./Model.js"
import { isJsonObject, type JsonObject } from "./Request.js"
import type { DiskError } from "./RunError.js"

/** Decimals of a dollar that a picodollar is. */
const decimals = 12

const dollar = 10n ** BigInt(decimals)

const toText = (amount: bigint): string => {
  const digits = (amount < 0n ? -amount : amount).toString().padStart(decimals + 1, "0")
  const fraction = digits.slice(-decimals).replace(/0+$/, "")
  return `${amount < 0n ? "-" : ""}${digits.slice(0, -decimals)}${fraction === "" ? "" : `.${fraction}`}`
}

const pattern = /^(-?)(\d+)(?:\.(\d{1,12}))?$/

/**
 * US dollars, exact: picodollars in the program, and a decimal text of dollars (`"0.0123"`) in JSON.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Usd = Schema.transformOrFail(Schema.String, Schema.BigIntFromSelf, {
  strict: true,
  decode: (text, _, ast) => {
    const [, sign, whole, fraction = ""] = pattern.exec(text) ?? []
    if (whole === undefined) return ParseResult.fail(new ParseResult.Type(ast, text, "not an amount of dollars"))
    const amount = BigInt(whole + fraction.padEnd(decimals, "0"))
    return ParseResult.succeed(sign === "-" ? -amount : amount)
  },
  encode: (amount) => ParseResult.succeed(toText(amount))
}).annotations({ identifier: "Usd" })

/**
 * An amount of dollars in picodollars, rounded to the nearest: for budgets, which people write as `5.00`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDollars = (dollars: number): bigint => BigInt(Math.round(dollars * 1_000_000)) * 1_000_000n

const Count = Schema.Int.pipe(Schema.nonNegative())

/**
 * Tokens by the kinds that are charged apart: each token is in exactly one of them.
 *
 * @since 0.1.0
 * @category models
 */
export const BillableTokens = Schema.Struct({
  /** Read, and neither from a cache nor into one. */
  input: Count,
  cacheRead: Count,
  /** Written to a cache that lasts five minutes, or to the cache of a provider that has one kind only. */
  cacheWrite5m: Count,
  cacheWrite1h: Count,
  /** Written, reasoning included. */
  output: Count
})

/**
 * Tokens by the kinds that are charged apart: each token is in exactly one of them.
 *
 * @since 0.1.0
 * @category models
 */
export type BillableTokens = typeof BillableTokens.Type

const count = (value: unknown): number =>
  typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0

const member = (usage: JsonObject, group: string, name: string): number => {
  const value = usage[group]
  return isJsonObject(value) ? count(value[name]) : 0
}

/**
 * The tokens of a usage as OpenAI (Chat Completions, Responses, embeddings) or Anthropic (Messages) reports it.
 *
 * OpenAI's count of input includes what came from the cache and what was written to it; Anthropic's does not.
 *
 * @since 0.1.0
 * @category destructors
 */
export const tokensOf = (usage: JsonObject): BillableTokens => {
  const chat = usage.input_tokens === undefined
  const output = count(chat ? usage.completion_tokens : usage.output_tokens)
  // Some proxies give these beside the names of Chat Completions: the prompt includes them there.
  if (!chat && (usage.cache_read_input_tokens !== undefined || usage.cache_creation_input_tokens !== undefined)) {
    const written = count(usage.cache_creation_input_tokens)
    // Writes whose duration is not told are those that every provider has: the short ones.
    const hour = Math.min(written, member(usage, "cache_creation", "ephemeral_1h_input_tokens"))
    return {
      input: count(usage.input_tokens),
      cacheRead: count(usage.cache_read_input_tokens),
      cacheWrite5m: written - hour,
      cacheWrite1h: hour,
      output
    }
  }
  const group = chat ? "prompt_tokens_details" : "input_tokens_details"
  const total = count(chat ? usage.prompt_tokens : usage.input_tokens)
  const cacheRead = Math.min(total, member(usage, group, "cached_tokens"))
  const cacheWrite5m = Math.min(total - cacheRead, member(usage, group, "cache_write_tokens"))
  return { input: total - cacheRead - cacheWrite5m, cacheRead, cacheWrite5m, cacheWrite1h: 0, output }
}

/** Whether a usage counts anything. */
const tells = (usage: JsonObject): boolean =>
  typeof usage.prompt_tokens === "number" || typeof usage.input_tokens === "number"
  || typeof usage.completion_tokens === "number" || typeof usage.output_tokens === "number"

/**
 * The tokens of an answer's body, by the provider's own usage where the body carries it beside the neutral one;
 * `undefined` for a body without usage, such as an error's.
 *
 * @since 0.1.0
 * @category destructors
 */
export const tokensOfBody = (body: JsonObject): BillableTokens | undefined => {
  const usage = isJsonObject(body.provider_usage) ? body.provider_usage : body.usage
  return isJsonObject(usage) && tells(usage) ? tokensOf(usage) : undefined
}

/** What one token costs, by kind. */
const TokenRates = Schema.Struct({ input: Usd, cacheRead: Usd, cacheWrite5m: Usd, cacheWrite1h: Usd, output: Usd })

type TokenRates = typeof TokenRates.Type

/**
 * What one token costs, by kind, through one of the two APIs: the prices of a model with the batch factor in them.
 *
 * @since 0.1.0
 * @category models
 */
export const Tariff = Schema.Struct({
  ...TokenRates.fields,
  /** Of requests with more than `above` tokens of input, all tokens cost these. */
  long: Schema.NullOr(Schema.Struct({ ...TokenRates.fields, above: Count }))
})

/**
 * What one token costs, by kind, through one of the two APIs.
 *
 * @since 0.1.0
 * @category models
 */
export type Tariff = typeof Tariff.Type

const picodollars = (dollarsPerMillion: number, factor: number): bigint =>
  BigInt(Math.round(dollarsPerMillion * factor * 1_000_000))

const tokenRates = (rates: Rates, factor: number): TokenRates => {
  const input = picodollars(rates.input, factor)
  const own = (rate: number | null): bigint => rate === null ? input : picodollars(rate, factor)
  return {
    input,
    cacheRead: own(rates.cacheRead),
    cacheWrite5m: own(rates.cacheWrite5m),
    cacheWrite1h: rates.cacheWrite1h === null ? own(rates.cacheWrite5m) : picodollars(rates.cacheWrite1h, factor),
    output: rates.output === null ? 0n : picodollars(rates.output, factor)
  }
}

/**
 * What one token of a model costs.
 *
 * @since 0.1.0
 * @category conversions
 */
export const tariff = (prices: Prices, mode: "batch" | "synchronous"): Tariff => {
  const factor = mode === "batch" ? prices.batchFactor : 1
  const { long } = prices
  return {
    ...tokenRates(prices, factor),
    long: long === null ? null : { ...tokenRates(long, factor), above: long.above }
  }
}

const times = (tokens: BillableTokens, rates: TokenRates): bigint =>
  BigInt(tokens.input) * rates.input
  + BigInt(tokens.cacheRead) * rates.cacheRead
  + BigInt(tokens.cacheWrite5m) * rates.cacheWrite5m
  + BigInt(tokens.cacheWrite1h) * rates.cacheWrite1h
  + BigInt(tokens.output) * rates.output

/**
 * Everything that was read, from the cache and into it too: what decides whether a prompt is a long one.
 *
 * @since 0.1.0
 * @category destructors
 */
export const promptOf = (tokens: BillableTokens): number =>
  tokens.input + tokens.cacheRead + tokens.cacheWrite5m + tokens.cacheWrite1h

/**
 * What one request costs by a tariff, in picodollars.
 *
 * @since 0.1.0
 * @category conversions
 */
export const byTariff = (tokens: BillableTokens, tariff: Tariff): bigint =>
  times(tokens, tariff.long !== null && promptOf(tokens) > tariff.long.above ? tariff.long : tariff)

/**
 * What one request costs, in picodollars.
 *
 * @since 0.1.0
 * @category conversions
 */
export const of = (tokens: BillableTokens, prices: Prices, mode: "batch" | "synchronous"): bigint =>
  byTariff(tokens, tariff(prices, mode))

/**
 * What answers cost together: what was charged for them the way they were asked, and what they would have cost one by
 * one.
 *
 * @since 0.1.0
 * @category models
 */
export class Bill extends Schema.Class<Bill>("llm-batch/Bill")({
  /** At the batch price for answers of batches, at the full one for those that were asked one by one. */
  charged: Usd,
  synchronous: Usd,
  /** Answers that are in the two sums. */
  priced: Count,
  /**
   * Answers that were paid for and are in neither sum: their model has no known price, or they do not tell what they
   * used. They are not free.
   */
  unpriced: Count,
  /** Answers that were there already, and were not paid for. Their synchronous price is in that sum, where it is known. */
  reused: Count,
  /** Of the answers that were paid for, as far as they tell. */
  tokens: BillableTokens
}) {
  /** What batches saved, and answers that were there already. */
  get saved(): bigint {
    return this.synchronous - this.charged
  }

  /** Whether the sums say anything: not where everything that was paid for is of unknown price. */
  get isKnown(): boolean {
    return this.priced > 0 || this.unpriced === 0
  }
}

type MutableTokens = { -readonly [K in keyof BillableTokens]: number }

const noTokens = (): MutableTokens => ({ input: 0, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0, output: 0 })

const addTo = (sum: MutableTokens, tokens: BillableTokens): void => {
  sum.input += tokens.input
  sum.cacheRead += tokens.cacheRead
  sum.cacheWrite5m += tokens.cacheWrite5m
  sum.cacheWrite1h += tokens.cacheWrite1h
  sum.output += tokens.output
}

/**
 * Several bills as one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const sum = (bills: Iterable<Bill>): Bill => {
  const tokens = noTokens()
  let charged = 0n
  let synchronous = 0n
  let priced = 0
  let unpriced = 0
  let reused = 0
  for (const bill of bills) {
    charged += bill.charged
    synchronous += bill.synchronous
    priced += bill.priced
    unpriced += bill.unpriced
    reused += bill.reused
    addTo(tokens, bill.tokens)
  }
  return new Bill({ charged, synchronous, priced, unpriced, reused, tokens })
}

/**
 * The bill of nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: Bill = sum([])

/**
 * The bill of one model's answers in one shard, with the prices that it was made with: what a row costs does not change
 * when prices do.
 *
 * @since 0.1.0
 * @category models
 */
export class ModelBill extends Bill.extend<ModelBill>("llm-batch/ModelBill")({
  /** Whose prices these are: those of the model that answered, or, where they are not known, of the one asked for. */
  model: Schema.String,
  /** What these answers call their model; `null` for all answers of the shard that no other bill of it is about. */
  answeredAs: Schema.NullOr(Schema.String),
  /** What a token was charged; `null` where that is not known, and where nothing was. */
  tariff: Schema.NullOr(Tariff)
}) {}

/**
 * The bill of answers that were not paid for after all, since they were there already.
 *
 * @since 0.1.0
 * @category combinators
 */
export const reused = (bill: Bill): Bill =>
  new Bill({
    charged: 0n,
    synchronous: bill.synchronous,
    priced: 0,
    unpriced: 0,
    reused: bill.priced + bill.unpriced + bill.reused,
    tokens: noTokens()
  })

/**
 * The bill of a shard, and its parts by model.
 *
 * @since 0.1.0
 * @category models
 */
export class ShardBill extends Bill.extend<ShardBill>("llm-batch/ShardBill")({
  models: Schema.Array(ModelBill)
}) {}

/**
 * The bill of a shard from its parts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofModels = (models: ReadonlyArray<ModelBill>): ShardBill => new ShardBill({ ...sum(models), models })

/**
 * A bill under construction, for the answers of one model on the row path.
 *
 * @since 0.1.0
 * @category models
 */
export interface Meter {
  /** Takes an answer that was paid for; `undefined` for one that does not tell what it used. */
  readonly add: (tokens: BillableTokens | undefined) => void
  readonly bill: () => Bill
}

/**
 * A bill under construction: plain numbers a row, multiplied by prices once at the end. `null` is for a model whose
 * prices are not known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const meter = (prices: Prices | null, mode: "batch" | "synchronous"): Meter => {
  // Sums of tokens are exact as numbers: of an answer's ten million, nine hundred million answers.
  const short = noTokens()
  const long = noTokens()
  const above = prices?.long?.above ?? Infinity
  let answers = 0
  let untold = 0
  const total = (tariff: Tariff): bigint => times(short, tariff) + times(long, tariff.long ?? tariff)
  return {
    add: (tokens) => {
      if (tokens === undefined) {
        untold += 1
        return
      }
      answers += 1
      addTo(promptOf(tokens) > above ? long : short, tokens)
    },
    bill: () => {
      const tokens = noTokens()
      addTo(tokens, short)
      addTo(tokens, long)
      return prices === null
        ? new Bill({ charged: 0n, synchronous: 0n, priced: 0, unpriced: answers + untold, reused: 0, tokens })
        : new Bill({
          charged: total(tariff(prices, mode)),
          synchronous: total(tariff(prices, "synchronous")),
          priced: answers,
          unpriced: untold,
          reused: 0,
          tokens
        })
    }
  }
}

/** The catalogue with the prices of today. It takes its time to be imported: whoever only looks at a bill need not wait. */
const standardSource: { readonly load: Effect.Effect<Model.Service, InputError | DiskError> } = {
  load: Effect.flatMap(Effect.promise(() => import("./Model.js")), ({ load }) => load)
}

/**
 * Where the prices come from by which answers are charged: the catalogue with the prices of today, unless a program
 * provides another one. It is loaded when the first answers are there; where that fails the run goes on, and everything
 * is of unknown price. The models of another one are known when rows are built, too.
 *
 * @since 0.1.0
 * @category tags
 */
export class PriceSource extends Context.Reference<PriceSource>()("llm-batch/Cost/PriceSource", {
  defaultValue: () => standardSource
}) {}

/**
 * The catalogue of a source that a program provides in the place of the standard one; `null` where there is none, or it cannot be
 * loaded: whoever needs its prices says why.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ownCatalogue = (source: Context.Tag.Service<PriceSource>): Effect.Effect<Model.Service | null> =>
  source === standardSource ? Effect.succeed(null) : Effect.orElseSucceed(source.load, () => null)

const encodeUsd = Schema.encodeSync(Usd)

/**
 * A bill as JSON, in dollars as exact decimal text. Sums that say nothing are `null`, and never 0.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toJson = (bill: Bill, isKnown: boolean = bill.isKnown) => ({
  charged_usd: isKnown ? encodeUsd(bill.charged) : null,
  without_batches_usd: isKnown ? encodeUsd(bill.synchronous) : null,
  saved_usd: isKnown ? encodeUsd(bill.saved) : null,
  priced_answers: bill.priced,
  unpriced_answers: bill.unpriced,
  reused_answers: bill.reused,
  tokens: {
    input: bill.tokens.input,
    cache_read: bill.tokens.cacheRead,
    cache_write_5m: bill.tokens.cacheWrite5m,
    cache_write_1h: bill.tokens.cacheWrite1h,
    output: bill.tokens.output
  }
})

/** Rounds half up, to so many decimals of a dollar. */
const rounded = (amount: bigint, places: number): bigint => {
  const step = 10n ** BigInt(decimals - places)
  return (amount + step / 2n) / step
}

const fixed = (amount: bigint, places: number): string => {
  const digits = rounded(amount, places).toString().padStart(places + 1, "0")
  const whole = digits.slice(0, -places).replace(/\B(?=(\d{3})+$)/g, ",")
  return `$${whole}.${digits.slice(-places)}`
}

/**
 * An amount as people read it: `$12.34` from a dollar on, `$0.0123` below, `< $0.0001` for less, `unknown` for `null`.
 * Rounded half up: the one place where it is.
 *
 * @since 0.1.0
 * @category formatting
 */
export const format = (amount: bigint | null): string => {
  if (amount === null) return "unknown"
  if (amount < 0n) return `-${format(-amount)}`
  if (amount === 0n) return "$0.00"
  if (amount < dollar / 10_000n) return "< $0.0001"
  return rounded(amount, 4) < 10_000n ? fixed(amount, 4) : fixed(amount, 2)
}

/**
 * What was charged by a bill as people read it, with what is not known said: `$1.23, and 3 answers of unknown price`.
 *
 * @since 0.1.0
 * @category formatting
 */
export const formatBill = ({ charged, isKnown, unpriced }: Bill): string => {
  if (!isKnown) return format(null)
  if (unpriced === 0) return format(charged)
  const answers = unpriced === 1 ? "1 answer" : `${thousands(unpriced)} answers`
  return `${format(charged)}, and ${answers} of unknown price`
}
