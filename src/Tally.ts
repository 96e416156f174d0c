/**
 * How many rows ended in each outcome, and the tokens that they used.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const Count = Schema.Int.pipe(Schema.nonNegative())

/**
 * Tokens as the providers counted them.
 *
 * @since 0.1.0
 * @category models
 */
export class TokenCount extends Schema.Class<TokenCount>("llm-batch/TokenCount")({
  /** Everything that was read, cached tokens included. */
  prompt: Count,
  /** Everything that was written, reasoning tokens included. */
  completion: Count,
  /** The part of `prompt` that came from a cache. */
  cached: Count,
  /** The part of `completion` that was reasoning. */
  reasoning: Count
}) {}

/**
 * How many rows ended in each outcome. The six outcomes add up to `rows`; `refused` and `truncated` are parts of
 * `succeeded`, or of `invalid` where answers are checked; the anomalies count lines of the provider's results, not rows.
 *
 * @since 0.1.0
 * @category models
 */
export class Tally extends Schema.Class<Tally>("llm-batch/Tally")({
  rows: Count,
  succeeded: Count,
  errored: Count,
  expired: Count,
  cancelled: Count,
  invalid: Count,
  missing: Count,
  refused: Count,
  truncated: Count,
  /** Rows without an answer that a retry can help. */
  retryable: Count,
  /** Rows with an answer that does not fit, and that the model may put right when it is told. */
  repairable: Schema.optionalWith(Count, { exact: true, default: () => 0 }),
  /** Rows that no batch answered in time, when they were asked for the last time: what the synchronous API can finish. */
  late: Schema.optionalWith(Count, { exact: true, default: () => 0 }),
  /** Result lines that repeat another line of the same row, byte for byte in what counts. */
  duplicateLines: Count,
  /** Result lines that contradict another line of the same row; the first usable one is kept. */
  conflictingLines: Count,
  /** Result lines whose id is none of the shard's. */
  unexpectedLines: Count,
  /** Result lines that could not be read. */
  malformedLines: Count,
  tokens: TokenCount
}) {
  /** Whether every row has an answer. */
  get complete(): boolean {
    return this.succeeded === this.rows
  }
}

/**
 * A tally under construction: plain numbers, for the row path.
 *
 * @since 0.1.0
 * @category models
 */
export type MutableTally =
  & { -readonly [K in Exclude<keyof typeof Tally.Encoded, "tokens">]: number }
  & { readonly tokens: { -readonly [K in keyof typeof TokenCount.Encoded]: number } }

/**
 * A tally of nothing, to be counted up on the row path.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMutable = (): MutableTally => ({
  rows: 0,
  succeeded: 0,
  errored: 0,
  expired: 0,
  cancelled: 0,
  invalid: 0,
  missing: 0,
  refused: 0,
  truncated: 0,
  retryable: 0,
  repairable: 0,
  late: 0,
  duplicateLines: 0,
  conflictingLines: 0,
  unexpectedLines: 0,
  malformedLines: 0,
  tokens: { prompt: 0, completion: 0, cached: 0, reasoning: 0 }
})

/**
 * A finished tally.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromMutable = (tally: MutableTally): Tally =>
  new Tally({ ...tally, tokens: new TokenCount({ ...tally.tokens }) })

/**
 * A tally of nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: Tally = fromMutable(makeMutable())

/**
 * How many rows have an outcome: `rows`, when nothing was lost.
 *
 * @since 0.1.0
 * @category destructors
 */
export const sum = (tally: Tally): number =>
  tally.succeeded + tally.errored + tally.expired + tally.cancelled + tally.invalid + tally.missing

/**
 * Whether the provider's results had lines that should not be there.
 *
 * @since 0.1.0
 * @category predicates
 */
export const hasAnomalies = (tally: Tally): boolean =>
  tally.duplicateLines + tally.conflictingLines + tally.unexpectedLines + tally.malformedLines > 0
