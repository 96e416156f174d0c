/**
 * What became of one row, as a provider's codec tells it and as `results.jsonl` keeps it.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { JsonObject } from "./Request.js"

/**
 * The six ways in which a row can end. Refused and truncated answers are `succeeded`, and counted apart.
 *
 * @since 0.1.0
 * @category models
 */
export const OutcomeName = Schema.Literal("succeeded", "errored", "expired", "cancelled", "invalid", "missing")

/**
 * The six ways in which a row can end.
 *
 * @since 0.1.0
 * @category models
 */
export type OutcomeName = typeof OutcomeName.Type

/**
 * The provider answered. `body` is a `chat.completion` (or the provider's own embeddings list).
 *
 * @since 0.1.0
 * @category models
 */
export interface Succeeded {
  readonly outcome: "succeeded"
  /** The provider's id of the result line, where it has one. */
  readonly id: string | null
  readonly statusCode: number
  readonly requestId: string | null
  readonly body: JsonObject
  /**
   * The body's JSON text, where the provider's line already holds the normalised form: written as it is, so that large
   * numbers and unknown fields survive.
   */
  readonly bodyText?: string
  /** The model declined to answer; the refusal text is in the body. */
  readonly refused: boolean
  /** The answer stopped at the token limit. */
  readonly truncated: boolean
}

/**
 * The row has no usable answer. `response` keeps what was paid for all the same. No codec makes an `invalid` one: answers
 * are checked when they have their final form.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failed {
  readonly outcome: "errored" | "expired" | "cancelled" | "invalid" | "missing"
  /** The provider's id of the result line, where it has one. */
  readonly id: string | null
  /** The provider's error type or code, e.g. `rate_limit_error`, `batch_expired`. */
  readonly code: string
  readonly message: string
  /** Whether asking again can help. */
  readonly retryable: boolean
  readonly response: {
    readonly statusCode: number
    readonly requestId: string | null
    readonly body: JsonObject
  } | null
}

/**
 * What became of one row.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = Succeeded | Failed

/**
 * Whether asking again can help a row that failed with this HTTP status: a rate limit, a timeout, a conflict or a
 * server's own error may pass; anything else about the request would be refused again.
 *
 * @since 0.1.0
 * @category predicates
 */
export const retryableStatus = (status: number): boolean =>
  status === 408 || status === 409 || status === 429 || status >= 500
