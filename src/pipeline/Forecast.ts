/**
 * What single shards will cost, and how many tokens they have: counted when somebody wants to know it, once for each.
 * What answers turn out to have makes the forecast of the others better.
 */
import * as Effect from "effect/Effect"
import * as Estimate from "../Estimate.js"
import * as Disk from "../internal/Disk.js"
import * as Model from "../Model.js"
import type { DiskError } from "../RunError.js"
import type { Shard } from "../Shard.js"
import * as Survey from "../Survey.js"
import type { Tally } from "../Tally.js"
import * as TokenCount from "../TokenCount.js"
import { sumAtMost } from "./Budget.js"

/** The forecast of the shards of a run. */
export interface Forecast {
  /** How many tokens the prompts of a shard are believed to have: at least, and at most. */
  readonly tokens: (shard: Shard) => Effect.Effect<TokenCount.TokenBand, DiskError>
  /** What shards will cost together, the way they are asked; `null` where a price is not known. */
  readonly cost: (shards: ReadonlyArray<Shard>) => Effect.Effect<Estimate.UsdRange | null, DiskError>
  /** Takes in what the answers to a shard had. */
  readonly learn: (shard: Shard, tally: Tally) => void
}

const nothing: Estimate.UsdRange = { low: 0n, high: 0n, atMost: 0n }

/** Answers that were seen, and their tokens. */
interface Seen {
  answers: number
  tokens: number
}

/** Makes a forecast by a catalogue of models. */
export const make = (models: Model.Service): Effect.Effect<Forecast, never, Disk.Disk> =>
  Effect.map(Disk.Disk, (disk) => {
    const surveys = new Map<string, ReadonlyArray<Estimate.Sample>>()
    const seen = new Map<string | null, Seen>()

    const samplesOf = Effect.fn("Forecast.samples")(function*(shard: Shard) {
      const known = surveys.get(shard.id)
      if (known !== undefined) return known
      const { samples } = yield* Survey.ofShards([shard]).pipe(
        Effect.provideService(Model.Catalogue, models),
        Effect.provideService(Disk.Disk, disk)
      )
      surveys.set(shard.id, samples)
      return samples
    })

    const withHistory = (shard: Shard, samples: ReadonlyArray<Estimate.Sample>): ReadonlyArray<Estimate.Sample> => {
      // The answers of several models say nothing of each.
      const before = shard.model === null ? undefined : seen.get(shard.model)
      if (before === undefined || before.answers === 0) return samples
      const history = { answers: before.answers, meanTokens: before.tokens / before.answers }
      return samples.map((sample) => ({ ...sample, history }))
    }

    const costOf = (shard: Shard) =>
      Effect.map(samplesOf(shard), (samples) => {
        const { batch, synchronous, unpriced } = Estimate.make(withHistory(shard, samples), 1)
        return unpriced.length > 0 ? null : shard.mode === "batch" ? batch : synchronous
      })

    return {
      tokens: (shard) => Effect.map(samplesOf(shard), (samples) => TokenCount.sum(samples.map(({ input }) => input))),
      cost: (shards) =>
        Effect.reduce(
          shards,
          nothing as Estimate.UsdRange | null,
          (sum, shard) =>
            Effect.map(costOf(shard), (cost) =>
              sum === null || cost === null ? null : {
                low: sum.low + cost.low,
                high: sum.high + cost.high,
                atMost: sumAtMost(sum.atMost, cost.atMost)
              })
        ),
      learn: ({ model }, { invalid, succeeded, tokens }) => {
        const sum = seen.get(model) ?? { answers: 0, tokens: 0 }
        seen.set(model, { answers: sum.answers + succeeded + invalid, tokens: sum.tokens + tokens.completion })
      }
    }
  })
