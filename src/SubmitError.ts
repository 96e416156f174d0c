/**
 * What an unsuccessful upload or create means for the money. Every answer is exactly one of three: the request was
 * certainly not sent, it was certainly refused, or nobody knows. Only the last can have made a batch, so it is never
 * tried again before a look at the provider.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * No byte of the request reached the provider: the connection was refused, or the host's name has no address. It may be
 * tried again.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotSent extends Schema.TaggedError<NotSent>("llm-batch/NotSent")("NotSent", {
  provider: Schema.String,
  operation: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.provider}: ${this.operation}: not sent: ${this.detail}. Check the network and the base URL.`
  }
}

/**
 * The provider refused: HTTP 400, 401, 403, 404, 413 or 422. No batch was made, and the same request would be refused
 * again.
 *
 * @since 0.1.0
 * @category errors
 */
export class Refused extends Schema.TaggedError<Refused>("llm-batch/Refused")("Refused", {
  provider: Schema.String,
  operation: Schema.String,
  status: Schema.Int,
  /** The provider's own words. */
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.provider}: ${this.operation}: refused with HTTP ${this.status}: ${this.detail}`
  }
}

/**
 * Nobody knows whether it happened: a timeout, a reset, HTTP 408, 409, 429 or 5xx, or an answer that makes no sense.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unknown extends Schema.TaggedError<Unknown>("llm-batch/Unknown")("Unknown", {
  provider: Schema.String,
  operation: Schema.String,
  status: Schema.NullOr(Schema.Int),
  retryAfterMillis: Schema.NullOr(Schema.Number),
  detail: Schema.String
}) {
  override get message(): string {
    const status = this.status === null ? "" : ` (HTTP ${this.status})`
    return `${this.provider}: ${this.operation}: no clear answer: ${this.detail}${status}`
  }
}

/**
 * The provider will not make a batch of this shard.
 *
 * @since 0.1.0
 * @category errors
 */
export class SubmitRefused extends Schema.TaggedError<SubmitRefused>("llm-batch/SubmitRefused")("SubmitRefused", {
  directory: Schema.String,
  shard: Schema.String,
  provider: Schema.String,
  status: Schema.NullOr(Schema.Int),
  detail: Schema.String
}) {
  override get message(): string {
    const status = this.status === null ? "" : ` with HTTP ${this.status}`
    const advice = this.status === 401 || this.status === 403
      ? "Check the API key and what it may do"
      : "Correct what the provider names"
    return `${this.provider} refused shard ${this.shard}${status}: ${this.detail}. `
      + `Nothing was charged for it. ${advice}, then go on with: llm-batch resume ${this.directory}`
  }
}

/**
 * A batch was made and is paid for, and its id could not be written into the journal. Nothing is lost by that: the
 * journal says that a batch may have been made, and the next process looks for it before it sends anything.
 *
 * @since 0.1.0
 * @category errors
 */
export class BatchUnrecorded extends Schema.TaggedError<BatchUnrecorded>("llm-batch/BatchUnrecorded")(
  "BatchUnrecorded",
  {
    directory: Schema.String,
    shard: Schema.String,
    provider: Schema.String,
    batchId: Schema.String,
    /** Why it could not be written. */
    detail: Schema.String
  }
) {
  override get message(): string {
    return `${this.provider} made batch ${this.batchId} of shard ${this.shard}, which is paid for, and its id could not `
      + `be recorded: ${this.detail} Then go on with: llm-batch resume ${this.directory}. It finds batch `
      + `${this.batchId} at ${this.provider} again, takes it up, and pays nothing twice.`
  }
}

/**
 * The run was cancelled before a batch was made of this shard: it is not sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class SubmitCancelled extends Schema.TaggedError<SubmitCancelled>("llm-batch/SubmitCancelled")(
  "SubmitCancelled",
  {
    directory: Schema.String,
    shard: Schema.String
  }
) {
  override get message(): string {
    return `Shard ${this.shard} was not sent: the run is cancelled. Its rows can be asked for with: `
      + `llm-batch retry ${this.directory}`
  }
}

/**
 * It cannot be told whether the provider made a batch of this shard, so it is not sent again.
 *
 * @since 0.1.0
 * @category errors
 */
export class SubmitUnknown extends Schema.TaggedError<SubmitUnknown>("llm-batch/SubmitUnknown")("SubmitUnknown", {
  directory: Schema.String,
  shard: Schema.String,
  provider: Schema.String,
  /** Batches at the provider that may be the shard's. */
  candidates: Schema.Array(Schema.String),
  detail: Schema.String
}) {
  override get message(): string {
    const candidates = this.candidates.length === 0
      ? "No batch at the provider can be told to be its own"
      : `Batches that may be its own: ${this.candidates.join(", ")}`
    return `${this.provider}: it is not known whether a batch was made of shard ${this.shard}: ${this.detail}. `
      + `${candidates}. It is not sent again, so that nothing is paid twice. `
      + `Look again with: llm-batch resume ${this.directory}, or decide with: `
      + `llm-batch reconcile ${this.directory} --shard ${this.shard} --adopt BATCH_ID, or --resend in place of --adopt`
  }
}
