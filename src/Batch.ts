/**
 * A batch is the provider's job for one shard. What a provider says of it at one moment is a `BatchSnapshot`; a
 * snapshot with its shard is a `Batch`; a batch that will not change any more is an `EndedBatch`.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import { Shard } from "./Shard.js"

const Count = Schema.Int.pipe(Schema.nonNegative())

/**
 * Where a batch stands, in one vocabulary for every provider.
 *
 * @since 0.1.0
 * @category models
 */
export const BatchStatus = Schema.Literal("validating", "in_progress", "finalizing", "cancelling", "ended")

/**
 * Where a batch stands.
 *
 * @since 0.1.0
 * @category models
 */
export type BatchStatus = typeof BatchStatus.Type

/**
 * How a batch ended. One meaning for every provider, decided in this order: cancelled, expired, failed as a whole,
 * completed. That no row succeeded is a tally, not an ending.
 *
 * @since 0.1.0
 * @category models
 */
export const Ending = Schema.Literal("completed", "expired", "cancelled", "failed")

/**
 * How a batch ended.
 *
 * @since 0.1.0
 * @category models
 */
export type Ending = typeof Ending.Type

/**
 * The provider's own count of a batch's rows. Some providers count only when the batch has ended; all numbers are 0
 * until then.
 *
 * @since 0.1.0
 * @category models
 */
export class RequestCounts extends Schema.Class<RequestCounts>("llm-batch/RequestCounts")({
  total: Count,
  succeeded: Count,
  errored: Count,
  expired: Count,
  cancelled: Count
}) {}

/**
 * A file of results at the provider.
 *
 * @since 0.1.0
 * @category models
 */
export class ResultFile extends Schema.Class<ResultFile>("llm-batch/ResultFile")({
  /** `output` holds answers, `error` holds rows that failed; providers with one file have `output` only. */
  kind: Schema.Literal("output", "error"),
  /** The provider's file id, or the address of the results. */
  reference: Schema.String
}) {}

/**
 * What the provider found wrong with a batch as a whole.
 *
 * @since 0.1.0
 * @category models
 */
export class BatchProblem extends Schema.Class<BatchProblem>("llm-batch/BatchProblem")({
  code: Schema.NullOr(Schema.String),
  message: Schema.String,
  /** The line of the wire rows, from 1, where the provider names one. */
  line: Schema.NullOr(Schema.Int)
}) {}

/**
 * What a provider says of a batch at one moment.
 *
 * @since 0.1.0
 * @category models
 */
export class BatchSnapshot extends Schema.Class<BatchSnapshot>("llm-batch/BatchSnapshot")({
  id: Schema.String,
  status: BatchStatus,
  /** How it ended; `null` while it has not. */
  ending: Schema.NullOr(Ending),
  /** The status in the provider's own words. */
  providerStatus: Schema.String,
  counts: RequestCounts,
  createdAt: Schema.DateTimeUtc,
  expiresAt: Schema.NullOr(Schema.DateTimeUtc),
  endedAt: Schema.NullOr(Schema.DateTimeUtc),
  /** The uploaded file of the wire rows, where the provider takes one. */
  inputFileId: Schema.NullOr(Schema.String),
  files: Schema.Array(ResultFile),
  problems: Schema.Array(BatchProblem)
}) {}

/**
 * The provider's job for one shard, as last seen.
 *
 * @since 0.1.0
 * @category models
 */
export class Batch extends Schema.Class<Batch>("llm-batch/Batch")({
  shard: Shard,
  snapshot: BatchSnapshot
}) {
  /** The provider's id of the batch. */
  get id(): string {
    return this.snapshot.id
  }
}

/**
 * A batch that will not change any more.
 *
 * @since 0.1.0
 * @category models
 */
export class EndedBatch extends Schema.Class<EndedBatch>("llm-batch/EndedBatch")({
  shard: Shard,
  snapshot: BatchSnapshot,
  ending: Ending
}) {
  /** The provider's id of the batch. */
  get id(): string {
    return this.snapshot.id
  }
}

const withdrawn = "never sent"

/**
 * What stands for the batch of a shard that was never sent, since its run was cancelled before: it ended before its
 * first row, and the provider knows nothing of it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const withdraw = (shard: Shard, at: DateTime.Utc): EndedBatch =>
  new EndedBatch({
    shard,
    ending: "cancelled",
    snapshot: new BatchSnapshot({
      id: `never-sent-${shard.id}`,
      status: "ended",
      ending: "cancelled",
      providerStatus: withdrawn,
      counts: new RequestCounts({ total: 0, succeeded: 0, errored: 0, expired: 0, cancelled: 0 }),
      createdAt: at,
      expiresAt: null,
      endedAt: at,
      inputFileId: null,
      files: [],
      problems: []
    })
  })

/**
 * Whether a snapshot stands for a batch that was never made.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isWithdrawn = (snapshot: BatchSnapshot): boolean => snapshot.providerStatus === withdrawn

const askedByRow = "asked row by row"

/**
 * What stands for the batch of a shard whose rows were asked one by one, and are not asked any more. So many of them were
 * not asked since the run was cancelled; which of the others got an error is for their tally to say.
 *
 * @since 0.1.0
 * @category constructors
 */
export const answered = (shard: Shard, at: DateTime.Utc, cancelled = 0): EndedBatch => {
  const ending = cancelled === 0 ? "completed" : "cancelled"
  return new EndedBatch({
    shard,
    ending,
    snapshot: new BatchSnapshot({
      id: `asked-${shard.id}`,
      status: "ended",
      ending,
      providerStatus: askedByRow,
      counts: new RequestCounts({
        total: shard.rows,
        succeeded: shard.rows - cancelled,
        errored: 0,
        expired: 0,
        cancelled
      }),
      createdAt: at,
      expiresAt: null,
      endedAt: at,
      inputFileId: null,
      files: [],
      problems: []
    })
  })
}

/**
 * Whether a snapshot stands for rows that were asked one by one: the provider knows of no such batch.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAnswered = (snapshot: BatchSnapshot): boolean => snapshot.providerStatus === askedByRow

const reusedAnswers = "answers reused"

/**
 * What stands for the batch of a shard whose rows are not sent: each of them has the line of an answer from before, or of
 * another row, or a line that says what became of that one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reused = (shard: Shard, at: DateTime.Utc): EndedBatch => {
  const { snapshot, ...batch } = answered(shard, at)
  return new EndedBatch({
    ...batch,
    snapshot: new BatchSnapshot({ ...snapshot, id: `reused-${shard.id}`, providerStatus: reusedAnswers })
  })
}

/**
 * Whether the provider knows of the batch: it does not of one that was never sent, whose rows were asked one by one, or
 * whose answers were there already.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isAtProvider = (snapshot: BatchSnapshot): boolean =>
  !isWithdrawn(snapshot) && !isAnswered(snapshot) && snapshot.providerStatus !== reusedAnswers

/**
 * How many rows the results of a batch must speak of for all of them to have come. The rows of a completed batch all
 * have a line; of a batch that expired or was cancelled only those that the provider counts.
 *
 * @since 0.1.0
 * @category destructors
 */
export const expectedRows = ({ ending, shard, snapshot }: EndedBatch): number => {
  const { cancelled, errored, expired, succeeded } = snapshot.counts
  if (ending === "failed") return 0
  return ending === "completed" ? shard.rows : Math.min(shard.rows, succeeded + errored + expired + cancelled)
}

/**
 * What a provider was given to make a batch of: a file uploaded before, or nothing yet, where the rows travel in the
 * create call itself.
 *
 * @since 0.1.0
 * @category models
 */
export const InputReference = Schema.Union(
  Schema.TaggedStruct("UploadedFile", {
    fileId: Schema.String,
    /** When it came there, on the provider's own clock, where that is told: a batch of it is not older. */
    createdAt: Schema.optional(Schema.DateTimeUtc)
  }),
  Schema.TaggedStruct("InCreate", {})
)

/**
 * What a provider was given to make a batch of.
 *
 * @since 0.1.0
 * @category models
 */
export type InputReference = typeof InputReference.Type
