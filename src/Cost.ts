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
 * - `Bill` has the batch price with the synchronous one beside it, and adds up.
 *
 * Only tokens are counted: not what a provider charges for its own tools (a web search) or for a region.
 *
 * @since 0.1.0
 */
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type { Prices, Rates } from "./Model.js"
import { isJsonObject, type JsonObject } from "./Request.js"

/** Decimals of a dollar that a picodollar is. */
const decimals = 12

const dollar = 10n ** BigInt(decimals)

const toText = (amount: bigint): string => {
  const digits = (amount < 0n ? -amount : amount).toString().padStart(decimals + 1, "0")
  const fraction = digits.slice(-decimals).replace(/0+$/, "")
  return `${amount < 0n ? "-" : ""}${digits.slice(0, -decimals)}${fraction === "" ? "" : `.${fraction}`}`
}

const pattern = /^(-?)(\d{1,15})(?:\.(\d{1,12}))?$/

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

/**
 * Tokens of one answer by the kinds that are charged apart: each token is in exactly one of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface BillableTokens {
  /** Read, and neither from a cache nor into one. */
  readonly input: number
  readonly cacheRead: number
  readonly cacheWrite5m: number
  readonly cacheWrite1h: number
  /** Written, reasoning included. */
  readonly output: number
}

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
  if (usage.cache_read_input_tokens !== undefined || usage.cache_creation_input_tokens !== undefined) {
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

/**
 * The tokens of an answer's body, by the provider's own usage where the body carries it beside the neutral one;
 * `undefined` for a body without usage, such as an error's.
 *
 * @since 0.1.0
 * @category destructors
 */
export const tokensOfBody = (body: JsonObject): BillableTokens | undefined => {
  const usage = isJsonObject(body.provider_usage) ? body.provider_usage : body.usage
  return isJsonObject(usage) ? tokensOf(usage) : undefined
}

/** Picodollars a token, by kind. */
type TokenRates = { readonly [K in keyof BillableTokens]: bigint }

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

const times = (tokens: BillableTokens, rates: TokenRates): bigint =>
  BigInt(tokens.input) * rates.input
  + BigInt(tokens.cacheRead) * rates.cacheRead
  + BigInt(tokens.cacheWrite5m) * rates.cacheWrite5m
  + BigInt(tokens.cacheWrite1h) * rates.cacheWrite1h
  + BigInt(tokens.output) * rates.output

/** Everything that was read: what decides whether a prompt is a long one. */
const promptOf = (tokens: BillableTokens): number =>
  tokens.input + tokens.cacheRead + tokens.cacheWrite5m + tokens.cacheWrite1h

/**
 * What one request costs, in picodollars.
 *
 * @since 0.1.0
 * @category conversions
 */
export const of = (tokens: BillableTokens, prices: Prices, mode: "batch" | "synchronous"): bigint => {
  const factor = mode === "batch" ? prices.batchFactor : 1
  const { long } = prices
  const rates = long !== null && promptOf(tokens) > long.above ? long : prices
  return times(tokens, tokenRates(rates, factor))
}

const Count = Schema.Int.pipe(Schema.nonNegative())

/**
 * What answers cost together: in a batch, as they were sent, and what they would have cost one by one.
 *
 * @since 0.1.0
 * @category models
 */
export class Bill extends Schema.Class<Bill>("llm-batch/Bill")({
  batch: Usd,
  synchronous: Usd,
  /** Answers that are in the two sums. */
  priced: Count,
  /** Answers whose model has no known price: in neither sum, and not free. */
  unpriced: Count
}) {
  /** The saving that a batch is. */
  get saved(): bigint {
    return this.synchronous - this.batch
  }
}

/**
 * The bill of nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: Bill = new Bill({ batch: 0n, synchronous: 0n, priced: 0, unpriced: 0 })

/**
 * Several bills as one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const sum = (bills: Iterable<Bill>): Bill => {
  let batch = 0n
  let synchronous = 0n
  let priced = 0
  let unpriced = 0
  for (const bill of bills) {
    batch += bill.batch
    synchronous += bill.synchronous
    priced += bill.priced
    unpriced += bill.unpriced
  }
  return new Bill({ batch, synchronous, priced, unpriced })
}

/**
 * A bill under construction, for the answers of one model on the row path.
 *
 * @since 0.1.0
 * @category models
 */
export interface Meter {
  readonly add: (tokens: BillableTokens) => void
  readonly bill: () => Bill
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
 * A bill under construction: plain numbers a row, multiplied by prices once at the end. `null` is for a model whose
 * prices are not known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const meter = (prices: Prices | null): Meter => {
  // Sums of tokens are exact as numbers: of an answer's ten million, nine hundred million answers.
  const short = noTokens()
  const long = noTokens()
  const above = prices?.long?.above ?? Infinity
  let answers = 0
  return {
    add: (tokens) => {
      answers += 1
      addTo(promptOf(tokens) > above ? long : short, tokens)
    },
    bill: () => {
      if (prices === null) return new Bill({ batch: 0n, synchronous: 0n, priced: 0, unpriced: answers })
      const total = (factor: number) =>
        times(short, tokenRates(prices, factor)) + times(long, tokenRates(prices.long ?? prices, factor))
      return new Bill({
        batch: total(prices.batchFactor),
        synchronous: total(1),
        priced: answers,
        unpriced: 0
      })
    }
  }
}

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
 * A bill's batch price as people read it, with what is not known said: `$1.23, and 3 answers of unknown price`.
 *
 * @since 0.1.0
 * @category formatting
 */
export const formatBill = ({ batch, priced, unpriced }: Bill): string => {
  if (unpriced === 0) return format(batch)
  if (priced === 0) return format(null)
  const answers = unpriced === 1 ? "1 answer" : `${unpriced.toLocaleString("en")} answers`
  return `${format(batch)}, and ${answers} of unknown price`
}
