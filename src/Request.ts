/**
 * A request is one row to be answered, in a form that belongs to no provider: a Chat Completions body, an embedding,
 * or a row that was written for one provider and goes to that provider as it is.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * A JSON object of unknown content: a body on its way from the input to a provider.
 *
 * @since 0.1.0
 * @category models
 */
export type JsonObject = { readonly [key: string]: unknown }

/**
 * Whether a parsed JSON value is an object (and not null or an array).
 *
 * @since 0.1.0
 * @category guards
 */
export const isJsonObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * Where a provider-native row was written for: the provider's name and the path of its endpoint.
 *
 * @since 0.1.0
 * @category models
 */
export const NativeTarget = Schema.Struct({
  /** The provider's name, as in `--provider`. */
  provider: Schema.String,
  /** The path of the endpoint, e.g. `/v1/responses` or `/v1/messages`. */
  endpoint: Schema.String
})

/**
 * Where a provider-native row was written for.
 *
 * @since 0.1.0
 * @category models
 */
export type NativeTarget = typeof NativeTarget.Type

/**
 * One row to be answered.
 *
 * - `chat`: `body` is a Chat Completions body; a provider translates it to its own wire form.
 * - `embedding`: `body` is an embeddings body, `{ model, input, ... }`.
 * - `native`: `text` is the body's JSON text exactly as the input had it; only the id around it is replaced.
 *
 * Requests are plain objects, not class instances: millions of them are made, and none is kept.
 *
 * @since 0.1.0
 * @category models
 */
export const Request = Schema.Union(
  Schema.Struct({
    kind: Schema.Literal("chat", "embedding"),
    /** The row's position in the input, from 1. It names the row on the wire. */
    row: Schema.Int,
    /** The line of the input on which the row begins, from 1. */
    line: Schema.Int,
    /** The user's own id, any string; the row number when the input has none. */
    customId: Schema.String,
    body: Schema.Record({ key: Schema.String, value: Schema.Unknown }),
    /** The input's own columns, where it had any besides the request: they come back beside the answer. */
    columns: Schema.optionalWith(Schema.Record({ key: Schema.String, value: Schema.Unknown }), { exact: true })
  }),
  Schema.Struct({
    kind: Schema.Literal("native"),
    row: Schema.Int,
    line: Schema.Int,
    customId: Schema.String,
    target: NativeTarget,
    body: Schema.Record({ key: Schema.String, value: Schema.Unknown }),
    /** The body's JSON text, byte for byte as in the input. */
    text: Schema.String
  })
)

/**
 * One row to be answered.
 *
 * @since 0.1.0
 * @category models
 */
export type Request = typeof Request.Type

/**
 * How hard a model should think before it answers: switched off, left to the model, or up to a number of tokens.
 *
 * @since 0.1.0
 * @category models
 */
export const Thinking = Schema.Union(
  Schema.Struct({ type: Schema.Literal("disabled") }),
  Schema.Struct({ type: Schema.Literal("adaptive") }),
  Schema.Struct({ type: Schema.Literal("enabled"), budget_tokens: Schema.Int.pipe(Schema.positive()) })
)

/**
 * How hard a model should think before it answers.
 *
 * @since 0.1.0
 * @category models
 */
export type Thinking = typeof Thinking.Type

/**
 * What a row gets where it does not say so itself: from the flags, then from the configuration file.
 *
 * @since 0.1.0
 * @category models
 */
export class RequestDefaults extends Schema.Class<RequestDefaults>("llm-batch/RequestDefaults")({
  model: Schema.optionalWith(Schema.NonEmptyTrimmedString, { exact: true }),
  system: Schema.optionalWith(Schema.String, { exact: true }),
  temperature: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 2)), { exact: true }),
  topP: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 1)), { exact: true }),
  /** The most tokens an answer may have. */
  maxTokens: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { exact: true }),
  stop: Schema.optionalWith(Schema.Array(Schema.String), { exact: true }),
  /** Chat Completions' `response_format`. */
  responseFormat: Schema.optionalWith(Schema.Record({ key: Schema.String, value: Schema.Unknown }), { exact: true }),
  /** `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`; which of them a model takes differs. */
  reasoningEffort: Schema.optionalWith(Schema.String, { exact: true }),
  thinking: Schema.optionalWith(Thinking, { exact: true }),
  /** Chat Completions' `tools`. */
  tools: Schema.optionalWith(Schema.Array(Schema.Unknown), { exact: true }),
  /** The vector length of an embedding. */
  dimensions: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { exact: true })
}) {}
