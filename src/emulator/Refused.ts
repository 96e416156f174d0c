/**
 * A call that the emulated provider refuses.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The members of either provider's error object, and the status that goes with it. `param` and `code` are OpenAI's.
 * `retryAfterMillis` is how long to wait, in real time, where the provider says so.
 *
 * @since 0.1.0
 * @category errors
 */
export class Refused extends Schema.TaggedError<Refused>("llm-batch/emulator/Refused")("Refused", {
  status: Schema.Int,
  type: Schema.String,
  detail: Schema.String,
  param: Schema.NullOr(Schema.String),
  code: Schema.NullOr(Schema.String),
  retryAfterMillis: Schema.NullOr(Schema.Number)
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
): Refused => new Refused({ status, type, detail, param, code, retryAfterMillis: null })

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

/**
 * A call too many, of `kind` in OpenAI's words, and how long to wait, in real milliseconds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const tooMany = (provider: "openai" | "anthropic", detail: string, kind: string, millis: number): Refused =>
  new Refused({
    status: 429,
    type: provider === "openai" ? kind : "rate_limit_error",
    detail,
    param: null,
    code: "rate_limit_exceeded",
    retryAfterMillis: Math.ceil(millis)
  })

/**
 * A time as providers write it: `250ms`, `1.5s`.
 *
 * @since 0.1.0
 * @category formatting
 */
export const seconds = (millis: number): string =>
  millis < 1_000 ? `${Math.ceil(millis)}ms` : `${Math.ceil(millis) / 1_000}s`
