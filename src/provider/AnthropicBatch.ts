/**
 * A message batch as Anthropic describes it, as a snapshot. Only the id is needed: whatever else is missing or strange
 * must not lose a batch that is paid for.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { BatchSnapshot, type BatchStatus, type Ending, RequestCounts, ResultFile } from "../Batch.js"
import { Unreadable } from "../internal/SdkError.js"
import { isJsonObject, type JsonObject } from "../Request.js"

/**
 * A batch, and what of it must not be kept: the address of its results may be signed.
 *
 * @since 0.1.0
 * @category models
 */
export interface DescribedBatch {
  readonly snapshot: BatchSnapshot
  readonly resultsUrl: string | null
}

/**
 * A page of batches.
 *
 * @since 0.1.0
 * @category models
 */
export interface DescribedPage {
  readonly batches: ReadonlyArray<DescribedBatch>
  readonly next: string | null
}

/**
 * Reads a batch out of an answer. `now` stands in for a time of creation that is missing. Throws `Unreadable`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const describe = (value: unknown, now: DateTime.Utc): DescribedBatch => {
  if (!isJsonObject(value) || typeof value.id !== "string" || value.id === "") {
    throw new Unreadable(200, "the answer is not a message batch")
  }
  const status = statuses.get(value.processing_status) ?? "in_progress"
  const counts = countsOf(value.request_counts)
  const ended = status === "ended"
  const resultsUrl = ended && typeof value.results_url === "string" && value.results_url !== ""
      && timeOf(value.archived_at) === null
    ? value.results_url
    : null
  const snapshot = new BatchSnapshot({
    id: value.id,
    status,
    ending: ended ? endingOf(counts) : null,
    providerStatus: typeof value.processing_status === "string" ? value.processing_status : "",
    counts,
    createdAt: timeOf(value.created_at) ?? now,
    expiresAt: timeOf(value.expires_at),
    endedAt: timeOf(value.ended_at),
    inputFileId: null,
    files: resultsUrl === null ? [] : [new ResultFile({ kind: "output", reference: value.id })],
    problems: []
  })
  return { snapshot, resultsUrl }
}

/**
 * Reads a page of batches that holds what follows the batch `after`. Throws `Unreadable`, also when the page says that
 * there are more and not where: a list cut short would look like an absence.
 *
 * @since 0.1.0
 * @category conversions
 */
export const describePage = (value: unknown, after: string | null, now: DateTime.Utc): DescribedPage => {
  if (!isJsonObject(value) || !Array.isArray(value.data)) {
    throw new Unreadable(200, "the answer is not a list of message batches")
  }
  const batches = value.data.map((item: unknown) => describe(item, now))
  if (value.has_more !== true) return { batches, next: null }
  const named = typeof value.last_id === "string" && value.last_id !== "" ? value.last_id : null
  const next = named ?? batches.at(-1)?.snapshot.id ?? null
  if (next === null || next === after) {
    throw new Unreadable(200, "the list of message batches does not say how it goes on")
  }
  return { batches, next }
}

/** A status that is not known yet is waited on. */
const statuses: ReadonlyMap<unknown, BatchStatus> = new Map<unknown, BatchStatus>([
  ["in_progress", "in_progress"],
  ["canceling", "cancelling"],
  ["ended", "ended"]
])

/** Anthropic has no such endings: its rows tell. A batch whose rows were all answered completed, cancelled or not. */
const endingOf = (counts: RequestCounts): Ending =>
  counts.cancelled > 0 ? "cancelled" : counts.expired > 0 ? "expired" : "completed"

const countsOf = (value: unknown): RequestCounts => {
  const counts = isJsonObject(value) ? value : {}
  const succeeded = countOf(counts, "succeeded")
  const errored = countOf(counts, "errored")
  const expired = countOf(counts, "expired")
  const cancelled = countOf(counts, "canceled")
  const total = countOf(counts, "processing") + succeeded + errored + expired + cancelled
  return new RequestCounts({ total, succeeded, errored, expired, cancelled })
}

const countOf = (counts: JsonObject, name: string): number => {
  const count = counts[name]
  return typeof count === "number" && Number.isSafeInteger(count) && count > 0 ? count : 0
}

const timeOf = (value: unknown): DateTime.Utc | null =>
  typeof value === "string" ? Option.getOrNull(Option.map(DateTime.make(value), DateTime.toUtc)) : null
