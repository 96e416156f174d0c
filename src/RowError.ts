/**
 * Why a single row has no usable answer, as a typed error for code that takes answers one by one.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type { Failed, OutcomeName } from "./Outcome.js"

const fields = {
  /** The user's id of the row. */
  customId: Schema.String,
  /** The row's position in the input, from 1. */
  row: Schema.Int,
  code: Schema.String,
  detail: Schema.String,
  /** Whether asking again can help. */
  retryable: Schema.Boolean
}

const describe = (error: { readonly row: number; readonly customId: string; readonly detail: string }, what: string) =>
  `Row ${error.row} (${JSON.stringify(error.customId)}) ${what}: ${error.detail}`

/**
 * The provider answered the row with an error.
 *
 * @since 0.1.0
 * @category errors
 */
export class RowErrored extends Schema.TaggedError<RowErrored>("llm-batch/RowErrored")("RowErrored", fields) {
  override get message(): string {
    return describe(this, "failed")
  }
}

/**
 * The batch's window ended before the row's turn came. It was not charged; a retry can help.
 *
 * @since 0.1.0
 * @category errors
 */
export class RowExpired extends Schema.TaggedError<RowExpired>("llm-batch/RowExpired")("RowExpired", fields) {
  override get message(): string {
    return describe(this, "expired")
  }
}

/**
 * The batch was cancelled before the row's turn came. It was not charged; a retry can help.
 *
 * @since 0.1.0
 * @category errors
 */
export class RowCancelled extends Schema.TaggedError<RowCancelled>("llm-batch/RowCancelled")("RowCancelled", fields) {
  override get message(): string {
    return describe(this, "was cancelled")
  }
}

/**
 * The answer is there and paid for, but does not fit its schema.
 *
 * @since 0.1.0
 * @category errors
 */
export class RowInvalid extends Schema.TaggedError<RowInvalid>("llm-batch/RowInvalid")("RowInvalid", fields) {
  override get message(): string {
    return describe(this, "has an answer that does not fit")
  }
}

/**
 * The provider's results say nothing of the row. It may have been charged.
 *
 * @since 0.1.0
 * @category errors
 */
export class RowMissing extends Schema.TaggedError<RowMissing>("llm-batch/RowMissing")("RowMissing", fields) {
  override get message(): string {
    return describe(this, "is missing from the results")
  }
}

/**
 * Why a single row has no usable answer.
 *
 * @since 0.1.0
 * @category errors
 */
export type RowError = RowErrored | RowExpired | RowCancelled | RowInvalid | RowMissing

const classes = {
  errored: RowErrored,
  expired: RowExpired,
  cancelled: RowCancelled,
  invalid: RowInvalid,
  missing: RowMissing
}

/**
 * The typed error of a row that ended so.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  outcome: Exclude<OutcomeName, "succeeded">,
  error: Pick<RowError, "row" | "customId" | "code" | "detail" | "retryable">
): RowError => new classes[outcome](error)

/**
 * The typed error of a failed outcome.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromOutcome = (row: number, customId: string, failed: Failed): RowError =>
  make(failed.outcome, { row, customId, code: failed.code, detail: failed.message, retryable: failed.retryable })
