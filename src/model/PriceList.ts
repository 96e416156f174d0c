/**
 * Prices from the list that `@pydantic/genai-prices` keeps. It is loaded when it is first asked for, and never updated
 * over the network.
 */
import type { ConditionalPrice, MatchLogic, ModelInfo, ModelPrice } from "@pydantic/genai-prices"
import * as Effect from "effect/Effect"

/** US dollars for a million tokens, as the list has them; `null` for what is not charged apart, or not known. */
interface ListedRates {
  readonly input: number
  readonly output: number | null
  readonly cacheRead: number | null
  readonly cacheWrite5m: number | null
  readonly cacheWrite1h: number | null
}

/** Prices of a model: those of long prompts apart, from more than `above` tokens on. */
interface ListedPrices extends ListedRates {
  readonly long: (ListedRates & { readonly above: number }) | null
}

/**
 * The names that a rule of the list spells out. A rule for all names that begin with one would also match models that
 * are others: `claude-sonnet-5-5` begins with `claude-sonnet-5`.
 */
const literals = (match: MatchLogic): ReadonlyArray<string> => {
  if ("or" in match) return match.or.flatMap(literals)
  if ("equals" in match) return [match.equals]
  return "starts_with" in match ? [match.starts_with] : []
}

const startDate = (price: ConditionalPrice): string =>
  price.constraint?.type === "start_date" ? price.constraint.start_date : ""

/** The prices of a day, `2026-11-20`. Prices that depend on the time of day are of neither provider. */
const pricesOn = (prices: ModelInfo["prices"], day: string): ModelPrice | undefined =>
  Array.isArray(prices)
    ? prices.filter((price) => startDate(price) <= day).toSorted((a, b) => startDate(a) < startDate(b) ? -1 : 1).at(-1)
      ?.prices
    : prices

type Rate = ModelPrice[string]

const base = (rate: Rate): number | null => rate === undefined ? null : typeof rate === "number" ? rate : rate.base

const tier = (rate: Rate): { readonly start: number; readonly price: number } | undefined =>
  rate === undefined || typeof rate === "number" ? undefined : rate.tiers[0]

const ratesOf = (price: ModelPrice, pick: (rate: Rate) => number | null): ListedRates | null => {
  const input = pick(price.input_mtok)
  return input === null ? null : {
    input,
    output: pick(price.output_mtok),
    cacheRead: pick(price.cache_read_mtok),
    cacheWrite5m: pick(price.cache_write_mtok),
    cacheWrite1h: pick(price.cache_write_1h_mtok)
  }
}

const listed = (price: ModelPrice): ListedPrices | null => {
  const rates = ratesOf(price, base)
  if (rates === null) return null
  const above = tier(price.input_mtok)?.start
  const long = above === undefined ? null : ratesOf(price, (rate) => tier(rate)?.price ?? base(rate))
  return { ...rates, long: above === undefined || long === null ? null : { ...long, above } }
}

/** Gives the prices of a model by its exact name; `null` for a name that the list does not spell out. */
export type PriceList = (provider: string, name: string) => ListedPrices | null

/** Loads the list, as it is on a day. */
export const load = (day: string): Effect.Effect<PriceList> =>
  Effect.map(Effect.promise(() => import("@pydantic/genai-prices")), ({ findProvider }): PriceList => {
    const byName = new Map<string, ListedPrices>()
    for (const provider of ["openai", "anthropic"]) {
      for (const model of findProvider({ providerId: provider })?.models ?? []) {
        const price = pricesOn(model.prices, day)
        const prices = price === undefined ? null : listed(price)
        if (prices === null) continue
        for (const name of [...literals(model.match), model.id]) {
          const key = `${provider} ${name}`
          if (!byName.has(key)) byName.set(key, prices)
        }
      }
    }
    return (provider, name) => byName.get(`${provider} ${name}`) ?? null
  })
