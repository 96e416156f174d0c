/**
 * A message batch as Anthropic describes it, as a snapshot. Only the id is needed.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import { BatchSnapshot, type BatchStatus, type Ending, RequestCounts, ResultFile } from "../Batch.js"
import { batchOf, countOf, type Described, statusOf, textOf, timeOf } from "../internal/BatchAnswer.js"
import { isJsonObject } from "../Request.js"

/**
 * A batch, and what of it must not be kept: the address of its results may be signed.
 *
 * @since 0.1.0
 * @category models
 */
export interface DescribedBatch extends Described {
  readonly resultsUrl: string | null
}

/**
 * Reads a batch out of an answer. `now` stands in for a time of creation that is missing. Throws `Unreadable`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const describe = (value: unknown, now: DateTime.Utc): DescribedBatch => {
  const { fields, id } = batchOf(value)
  const createdAt = timeOf(fields.created_at)
  const status = statuses.get(statusOf(fields.processing_status)) ?? "in_progress"
  const counts = countsOf(fields.request_counts)
  const ended = status === "ended"
  const resultsUrl = ended && timeOf(fields.archived_at) === null
    ? textOf(fields.results_url) ?? resultsPath(id)
    : null
  const snapshot = new BatchSnapshot({
    id,
    status,
    ending: ended ? endingOf(counts) : null,
    providerStatus: textOf(fields.processing_status) ?? "",
    counts,
    createdAt: createdAt ?? now,
    expiresAt: timeOf(fields.expires_at),
    endedAt: timeOf(fields.ended_at),
    inputFileId: null,
    files: resultsUrl === null ? [] : [new ResultFile({ kind: "output", reference: id })],
    problems: []
  })
  return { snapshot, isDated: createdAt !== null, resultsUrl }
}

/**
 * Where the results of a batch lie by the API's documentation.
 *
 * @since 0.1.0
 * @category constants
 */
export const resultsPath = (batchId: string): string => `/v1/messages/batches/${encodeURIComponent(batchId)}/results`

/** A status that is not known yet is waited on. */
const statuses: ReadonlyMap<string, BatchStatus> = new Map<string, BatchStatus>([
  ["in_progress", "in_progress"],
  ["canceling", "cancelling"],
  ["cancelling", "cancelling"],
  ["ended", "ended"]
])

/** Anthropic has no such endings: its rows tell. A batch whose rows were all answered completed, cancelled or not. */
const endingOf = (counts: RequestCounts): Ending =>
  counts.cancelled > 0 ? "cancelled" : counts.expired > 0 ? "expired" : "completed"

const countsOf = (value: unknown): RequestCounts => {
  const counts = isJsonObject(value) ? value : {}
  const succeeded = countOf(counts.succeeded)
  const errored = countOf(counts.errored)
  const expired = countOf(counts.expired)
  const cancelled = countOf(counts.canceled)
  const total = countOf(counts.processing) + succeeded + errored + expired + cancelled
  return new RequestCounts({ total, succeeded, errored, expired, cancelled })
}
