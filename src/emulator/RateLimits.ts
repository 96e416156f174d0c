/**
 * The limits of direct calls: requests and tokens a minute, as buckets that fill up evenly, and the headers that tell of
 * them. Their time is real, since clients wait in real time.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { Options } from "./Options.js"
import * as Refused from "./Refused.js"

const minute = 60_000

/** One limit. It may be overdrawn, since what an answer costs is known only afterwards. */
class Bucket {
  private level: number
  private at: number

  constructor(readonly limit: number, private readonly now: () => number) {
    this.level = limit
    this.at = now()
  }

  take(amount: number): void {
    this.level = this.left() - amount
    this.at = this.now()
  }

  left(): number {
    return Math.min(this.limit, this.level + (this.now() - this.at) * this.limit / minute)
  }

  /** Milliseconds until so much is left. */
  millisUntil(amount: number): number {
    return Math.max(0, Math.ceil((amount - this.left()) * minute / this.limit))
  }
}

/**
 * The limits of one emulator.
 *
 * @since 0.1.0
 * @category models
 */
export interface RateLimits {
  /** Takes a request; it is refused where nothing is left for it. */
  readonly admit: (provider: "openai" | "anthropic") => Effect.Effect<void, Refused.Refused>
  /** Takes the tokens of an answer. */
  readonly spend: (tokens: number) => void
  /** What headers say of the limits. */
  readonly headers: (provider: "openai" | "anthropic") => Readonly<Record<string, string>>
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options, now: () => number): RateLimits => {
  const buckets = {
    requests: new Bucket(options.requestsPerMinute, now),
    tokens: new Bucket(options.tokensPerMinute, now)
  }
  const kinds = [["requests", buckets.requests], ["tokens", buckets.tokens]] as const
  const remaining = (bucket: Bucket): string => String(Math.max(0, Math.floor(bucket.left())))

  const openAiHeaders = () =>
    Object.fromEntries(kinds.flatMap(([kind, bucket]) => [
      [`x-ratelimit-limit-${kind}`, String(bucket.limit)],
      [`x-ratelimit-remaining-${kind}`, remaining(bucket)],
      [`x-ratelimit-reset-${kind}`, Refused.seconds(bucket.millisUntil(bucket.limit))]
    ]))

  const anthropicHeaders = () =>
    Object.fromEntries(kinds.flatMap(([kind, bucket]) => [
      [`anthropic-ratelimit-${kind}-limit`, String(bucket.limit)],
      [`anthropic-ratelimit-${kind}-remaining`, remaining(bucket)],
      [
        `anthropic-ratelimit-${kind}-reset`,
        DateTime.formatIso(DateTime.unsafeMake(now() + bucket.millisUntil(bucket.limit)))
      ]
    ]))

  return {
    admit: (provider) =>
      Effect.suspend(() => {
        const wait = Math.max(buckets.requests.millisUntil(1), buckets.tokens.millisUntil(1))
        if (wait === 0) {
          buckets.requests.take(1)
          return Effect.void
        }
        const which = buckets.requests.millisUntil(1) > 0 ? "requests" : "tokens"
        const told = `${buckets[which].limit} ${which} per minute. Please try again in ${Refused.seconds(wait)}.`
        return Refused.tooMany(provider, `Rate limit reached: ${told}`, which, wait)
      }),
    spend: (tokens) => buckets.tokens.take(tokens),
    headers: (provider) => provider === "openai" ? openAiHeaders() : anthropicHeaders()
  }
}
