/**
 * The bill of a shard under construction: answers by the model whose price they have. For the row path: a model's name
 * is looked up once, and a row has a number of it.
 */
import * as Cost from "../Cost.js"
import type * as Model from "../Model.js"
import type { Shard } from "../Shard.js"

interface Metered {
  readonly model: string
  readonly answeredAs: string | null
  readonly prices: Model.Prices | null
  readonly meter: Cost.Meter
}

/** What a catalogue knows of the prices of a model. */
export type PricesFound =
  | { readonly _tag: "Known"; readonly model: { readonly name: string; readonly prices: Model.Prices | null } }
  | { readonly _tag: "Near" | "Unknown" }

/** Looks a model up by its name. */
export type FindPrices = (name: string) => PricesFound

/** So many names are kept apart; a shard whose answers have more is somebody's joke. */
const mostNames = 100

/** `indexOf` gives a number for the model of an answer; `add` takes the answer under it. */
export class ShardMeter {
  /** The first has the answers of every model that has no price of its own. */
  private readonly models: Array<Metered> = []
  private readonly indices = new Map<string, number>()
  private lastName: unknown
  private lastIndex = 0
  private readonly mode: "batch" | "synchronous"

  constructor(private readonly find: FindPrices, private readonly shard: Shard) {
    this.mode = shard.mode === "batch" ? "batch" : "synchronous"
    const asked = shard.model === null ? undefined : find(shard.model)
    this.push(
      null,
      asked?._tag === "Known" ? asked.model.name : shard.model ?? "unknown",
      asked?._tag === "Known" ? asked.model.prices : null
    )
  }

  /** The number of the model that a body names, or does not name. */
  indexOf(name: unknown): number {
    if (name !== this.lastName) {
      this.lastName = name
      this.lastIndex = typeof name === "string" ? this.indices.get(name) ?? this.look(name) : 0
    }
    return this.lastIndex
  }

  /** Takes an answer that was paid for; `undefined` for one that does not tell what it used. */
  add(index: number, tokens: Cost.BillableTokens | undefined): void {
    this.models[index]?.meter.add(tokens)
  }

  /** What all of them cost. */
  bill(): Cost.ShardBill {
    const isReused = this.shard.mode === "reused"
    return Cost.ofModels(this.models.flatMap(({ answeredAs, meter, model, prices }) => {
      const bill = meter.bill()
      if (bill.priced + bill.unpriced === 0) return []
      const tariff = prices === null || isReused ? null : Cost.tariff(prices, this.mode)
      return [new Cost.ModelBill({ ...(isReused ? Cost.reused(bill) : bill), model, answeredAs, tariff })]
    }))
  }

  private look(name: string): number {
    if (this.indices.size === mostNames) return 0
    const lookup = this.find(name)
    const known = lookup._tag === "Known" ? lookup.model : undefined
    const prices = known?.prices ?? null
    // Without a price of its own it has that of the model asked for, where all rows asked for the same.
    const index = prices === null && this.shard.model !== null ? 0 : this.push(name, known?.name ?? name, prices)
    this.indices.set(name, index)
    return index
  }

  private push(answeredAs: string | null, model: string, prices: Model.Prices | null): number {
    return this.models.push({ answeredAs, model, prices, meter: Cost.meter(prices, this.mode) }) - 1
  }
}
