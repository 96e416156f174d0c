/**
 * What is wrong with the input, where, and what would be right. Always found before anything is sent.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * What is wrong with the input, where, and what would be right.
 *
 * @since 0.1.0
 * @category errors
 */
export class InputError extends Schema.TaggedError<InputError>("llm-batch/InputError")("InputError", {
  /** The input's name: a file's path, or `standard input`. */
  source: Schema.String,
  /** The line, from 1, where the problem is in one. */
  line: Schema.optionalWith(Schema.Int, { exact: true }),
  /** The column of that line, from 1. */
  column: Schema.optionalWith(Schema.Int, { exact: true }),
  /** The field of the row, as a path: `messages[0].content`. */
  field: Schema.optionalWith(Schema.String, { exact: true }),
  /** What was found. */
  problem: Schema.String,
  /** What would be right. */
  remedy: Schema.String
}) {
  override get message(): string {
    const place = [
      this.source,
      ...(this.line === undefined ? [] : [String(this.line)]),
      ...(this.column === undefined ? [] : [String(this.column)])
    ].join(":")
    const field = this.field === undefined ? "" : ` ${this.field}:`
    return `${place}:${field} ${this.problem}. ${this.remedy}`
  }
}

/**
 * A field that the provider, its endpoint or the model cannot take. Fields are never dropped silently.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnsupportedField extends Schema.TaggedError<UnsupportedField>("llm-batch/UnsupportedField")(
  "UnsupportedField",
  {
    /** The field of the neutral request, as a path: `stop`, `messages[0].content[1].type`. */
    field: Schema.String,
    /** What cannot take it: a model, an endpoint, a provider. */
    target: Schema.String,
    /** Why, in a few words: what was found, or what the target takes instead. */
    reason: Schema.String,
    /** The ways out besides `--drop`: another endpoint, another field; `null` where there is none. */
    remedy: Schema.NullOr(Schema.String)
  }
) {
  override get message(): string {
    return `${this.field} cannot be sent to ${this.target}: ${this.reason}${
      this.remedy === null ? "" : `. ${this.remedy}`
    }`
  }
}
