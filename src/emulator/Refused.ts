/**
 * A call that the emulated provider refuses.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The members of either provider's error object, and the status that goes with it. `param` and `code` are OpenAI's.
 *
 * @since 0.1.0
 * @category errors
 */
export class Refused extends Schema.TaggedError<Refused>("llm-batch/emulator/Refused")("Refused", {
  status: Schema.Int,
  type: Schema.String,
  detail: Schema.String,
  param: Schema.NullOr(Schema.String),
  code: Schema.NullOr(Schema.String)
}) {
  override get message(): string {
    return `${this.status} ${this.type}: ${this.detail}`
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  status: number,
  type: string,
  detail: string,
  param: string | null = null,
  code: string | null = null
): Refused => new Refused({ status, type, detail, param, code })

/**
 * A request that is wrong in itself; the default status is 400.
 *
 * @since 0.1.0
 * @category constructors
 */
export const invalid = (
  detail: string,
  param: string | null = null,
  code: string | null = null,
  status = 400
): Refused => make(status, "invalid_request_error", detail, param, code)
