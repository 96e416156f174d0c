/**
 * What can go wrong with a batch after it was made. The errors of an ended batch carry it, and `Fetch` takes what they
 * carry: results that were paid for are never out of reach.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { EndedBatch } from "./Batch.js"
import { RawResults } from "./RawResults.js"

/**
 * The batch ran out of its window before all rows were answered. The answered ones can be fetched.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import type { Batch } from "llm-batch/Batch"
 * import { Fetch } from "llm-batch/stage/Fetch"
 * import { Poll } from "llm-batch/stage/Poll"
 *
 * const salvage = (batch: Batch) =>
 *   Effect.gen(function*() {
 *     const ended = yield* (yield* Poll).poll(batch).pipe(
 *       Effect.catchTag("BatchExpired", (expired) => Effect.succeed(expired.batch))
 *     )
 *     return yield* (yield* Fetch).fetch(ended)
 *   })
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class BatchExpired extends Schema.TaggedError<BatchExpired>("llm-batch/BatchExpired")("BatchExpired", {
  batch: EndedBatch
}) {
  override get message(): string {
    return `${describe(this.batch)} expired before all rows were answered. What was answered can be fetched: `
      + `llm-batch resume ${this.batch.shard.directory}`
  }
}

/**
 * The provider failed the batch as a whole.
 *
 * @since 0.1.0
 * @category errors
 */
export class BatchErrored extends Schema.TaggedError<BatchErrored>("llm-batch/BatchErrored")("BatchErrored", {
  batch: EndedBatch
}) {
  override get message(): string {
    const problems = this.batch.snapshot.problems
      .map((problem) => `${problem.line === null ? "" : `line ${problem.line}: `}${problem.message}`)
      .join("; ")
    return `${describe(this.batch)} failed as a whole: ${problems === "" ? "the provider gives no reason" : problems}. `
      + `Correct what is named, then start a new run.`
  }
}

/**
 * The batch was cancelled, by us or by somebody else. The rows answered before can be fetched.
 *
 * @since 0.1.0
 * @category errors
 */
export class BatchCancelled extends Schema.TaggedError<BatchCancelled>("llm-batch/BatchCancelled")("BatchCancelled", {
  batch: EndedBatch
}) {
  override get message(): string {
    return `${describe(this.batch)} was cancelled. What was answered before can be fetched: `
      + `llm-batch resume ${this.batch.shard.directory}`
  }
}

/**
 * The batch had not ended when the longest wait was over. It is still running, and still paid for.
 *
 * @since 0.1.0
 * @category errors
 */
export class PollTimeout extends Schema.TaggedError<PollTimeout>("llm-batch/PollTimeout")("PollTimeout", {
  directory: Schema.String,
  batchId: Schema.String,
  waitedMillis: Schema.Number
}) {
  override get message(): string {
    return `Batch ${this.batchId} has not ended after ${Duration.format(Duration.millis(this.waitedMillis))}; `
      + `it is still running. Wait on with: llm-batch resume ${this.directory}`
  }
}

/**
 * The provider no longer has the results: they were deleted, or their retention is over.
 *
 * @since 0.1.0
 * @category errors
 */
export class ResultsGone extends Schema.TaggedError<ResultsGone>("llm-batch/ResultsGone")("ResultsGone", {
  batch: EndedBatch,
  detail: Schema.String
}) {
  override get message(): string {
    return `${describe(this.batch)}: its results are gone: ${this.detail}. `
      + `They were deleted at the provider, or kept for its retention time only. Their rows are reported as missing; asking `
      + `for them again may be charged twice: llm-batch retry ${this.batch.shard.directory}`
  }
}

/**
 * The results hold fewer rows than the provider counts, after every further download. What came is on disk, in `raw`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ResultsIncomplete
  extends Schema.TaggedError<ResultsIncomplete>("llm-batch/ResultsIncomplete")("ResultsIncomplete", {
    raw: RawResults
  })
{
  override get message(): string {
    return `${describe(this.raw.batch)}: its results hold ${this.raw.rows} of ${this.raw.batch.shard.rows} rows, `
      + `${this.raw.shortBy} fewer than the provider counts. The rest is reported as missing.`
  }
}

/**
 * The results came as an archive that is not safe or not sensible to open. It is kept as it came, in `raw`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ArchiveRejected
  extends Schema.TaggedError<ArchiveRejected>("llm-batch/ArchiveRejected")("ArchiveRejected", {
    /** The run directory. */
    directory: Schema.String,
    path: Schema.String,
    problem: Schema.String
  })
{
  override get message(): string {
    return `${this.path}: the archive cannot be opened: ${this.problem}. It is kept as it came; `
      + `look at it, or fetch it again with: llm-batch fetch ${this.directory}`
  }
}

const describe = (batch: EndedBatch) => `Batch ${batch.id} (shard ${batch.shard.id}, ${batch.shard.provider})`
