/**
 * What can go wrong in a call to a provider, in one vocabulary for all of them. No header, key or signed address is
 * ever in one of these.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"

/**
 * Why a call to a provider failed:
 * - `auth`: no key, a wrong key, or one without the permission;
 * - `rate-limited`: asked to slow down, for `retryAfterMillis` where the provider said so;
 * - `unreachable`: no answer, a broken one, or a server error; may pass;
 * - `gone`: the thing asked for does not exist (any more);
 * - `refused`: the provider understood and declined;
 * - `unexpected`: an answer that fits none of these.
 *
 * @since 0.1.0
 * @category models
 */
export const ProviderErrorReason = Schema.Literal(
  "auth",
  "rate-limited",
  "unreachable",
  "gone",
  "refused",
  "unexpected"
)

/**
 * Why a call to a provider failed.
 *
 * @since 0.1.0
 * @category models
 */
export type ProviderErrorReason = typeof ProviderErrorReason.Type

/**
 * A call to a provider failed.
 *
 * @since 0.1.0
 * @category errors
 */
export class ProviderError extends Schema.TaggedError<ProviderError>("llm-batch/ProviderError")("ProviderError", {
  provider: Schema.String,
  /** What was tried: `retrieve batch_1`, `list batches`. */
  operation: Schema.String,
  reason: ProviderErrorReason,
  /** The HTTP status, where an answer came. */
  status: Schema.NullOr(Schema.Int),
  /** How long the provider asked us to wait. */
  retryAfterMillis: Schema.NullOr(Schema.Number),
  /** The provider's or the network's own words, without secrets. */
  detail: Schema.String,
  /** Whether a request whose answer is lost may have been carried out, and charged. */
  mayBeCharged: Schema.optional(Schema.Boolean)
}) {
  override get message(): string {
    const status = this.status === null ? "" : ` (HTTP ${this.status})`
    const what = (this.status === null ? adviceBefore[this.reason] : undefined) ?? advice[this.reason]
    return `${this.provider}: ${this.operation}: ${this.detail}${status}. ${what}`
  }
}

/** What to do about what is found before any call is made. */
const adviceBefore: Partial<Record<ProviderErrorReason, string>> = {
  "auth": "Put it into the environment or into .env, and give the same command again.",
  "refused": "Correct that, and give the same command again."
}

const advice: Record<ProviderErrorReason, string> = {
  "auth": "Check the API key and what it may do; nothing is lost, and the same command with a right key goes on.",
  "rate-limited": "Wait a little and run the same command again; nothing is lost.",
  "unreachable": "Check the network and the base URL, then run the same command again; nothing is lost.",
  "gone": "It was deleted, has passed its retention, or belongs to another account.",
  "refused": "Correct what the provider names, then run the same command again.",
  "unexpected": "Run the same command again; if it stays, the server does not speak the provider's API."
}

/**
 * Whether a failed call may succeed when it is made again.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isTransient = (error: ProviderError): boolean =>
  error.reason === "rate-limited" || error.reason === "unreachable" || error.reason === "unexpected"

/** However long a provider asks for, the wait is at most this: some servers send nonsense. */
const longestRetryAfter = Duration.minutes(10)

/**
 * The wait that a `Retry-After` asks for, within reason.
 *
 * @since 0.1.0
 * @category combinators
 */
export const retryAfter = (error: ProviderError): Duration.Duration =>
  Duration.min(Duration.millis(Math.max(0, error.retryAfterMillis ?? 0)), longestRetryAfter)

const backoff = Schedule.exponential("500 millis", 2).pipe(
  Schedule.modifyDelay((_, delay) => Duration.min(delay, Duration.seconds(30))),
  Schedule.jittered
)

/**
 * Makes a call that can be repeated without harm (reading, cancelling, deleting: never a create) again while its
 * failure may pass, at most `times` times, with growing pauses that honour `Retry-After`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const retryTransient = (times: number) => <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.retry(self, {
    while: (error) => error instanceof ProviderError && isTransient(error),
    schedule: Schedule.identity<E>().pipe(
      Schedule.intersect(backoff),
      Schedule.modifyDelay(([error], delay) =>
        error instanceof ProviderError ? Duration.max(delay, retryAfter(error)) : delay
      ),
      Schedule.intersect(Schedule.recurs(times))
    )
  })
