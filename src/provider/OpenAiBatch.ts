/**
 * A batch as OpenAI describes it, as a snapshot. Only the id is needed: nulls, empty strings, dates as text and statuses
 * in other spellings come from servers that follow the API less strictly, and must not lose a batch that is paid for.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import { BatchProblem, BatchSnapshot, type BatchStatus, type Ending, RequestCounts, ResultFile } from "../Batch.js"
import { Unreadable } from "../internal/SdkError.js"
import { isJsonObject, type JsonObject } from "../Request.js"

/**
 * A batch with what it was marked with when it was made.
 *
 * @since 0.1.0
 * @category models
 */
export interface DescribedBatch {
  readonly snapshot: BatchSnapshot
  /** `null` where the server keeps none. */
  readonly metadata: JsonObject | null
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
  const id = isJsonObject(value) ? textOf(value.id) : null
  if (!isJsonObject(value) || id === null) throw new Unreadable(200, "the answer is not a batch")
  const providerStatus = textOf(value.status) ?? ""
  const ending = endings.get(plain(providerStatus)) ?? null
  const snapshot = new BatchSnapshot({
    id,
    status: ending === null ? statuses.get(plain(providerStatus)) ?? "in_progress" : "ended",
    ending,
    providerStatus,
    counts: countsOf(value.request_counts),
    createdAt: timeOf(value.created_at) ?? now,
    expiresAt: timeOf(value.expires_at),
    endedAt: ending === null ? null : endedAt(value),
    inputFileId: textOf(value.input_file_id),
    files: filesOf(value),
    problems: problemsOf(value.errors)
  })
  return { snapshot, metadata: isJsonObject(value.metadata) ? value.metadata : null }
}

/**
 * Reads a page of batches that holds what follows the batch `after`. Throws `Unreadable`, also when the page says that
 * there are more and not where: a list cut short would look like an absence.
 *
 * @since 0.1.0
 * @category conversions
 */
export const describePage = (value: unknown, after: string | null, limit: number, now: DateTime.Utc): DescribedPage => {
  if (!isJsonObject(value) || !Array.isArray(value.data)) {
    throw new Unreadable(200, "the answer is not a list of batches")
  }
  const batches = value.data.map((item: unknown) => describe(item, now))
  const more = typeof value.has_more === "boolean" ? value.has_more : batches.length >= limit
  if (!more) return { batches, next: null }
  const next = textOf(value.last_id) ?? batches.at(-1)?.snapshot.id ?? null
  if (next === null || next === after) throw new Unreadable(200, "the list of batches does not say how it goes on")
  return { batches, next }
}

/** An empty string stands for nothing. */
const textOf = (value: unknown): string | null => typeof value === "string" && value !== "" ? value : null

/** `InProgress`, `IN_PROGRESS` and `in progress` are one. */
const plain = (status: string): string =>
  status.trim().replace(/([a-z])([A-Z])/g, "$1_$2").replace(/[\s-]+/g, "_").toLowerCase()

const endings: ReadonlyMap<string, Ending> = new Map<string, Ending>([
  ["completed", "completed"],
  ["succeeded", "completed"],
  ["failed", "failed"],
  ["expired", "expired"],
  ["cancelled", "cancelled"],
  ["canceled", "cancelled"]
])

/** A status that is not known yet is waited on. */
const statuses: ReadonlyMap<string, BatchStatus> = new Map<string, BatchStatus>([
  ["validating", "validating"],
  ["pending", "validating"],
  ["not_started", "validating"],
  ["in_progress", "in_progress"],
  ["finalizing", "finalizing"],
  ["cancelling", "cancelling"],
  ["canceling", "cancelling"]
])

const countsOf = (value: unknown): RequestCounts => {
  const counts = isJsonObject(value) ? value : {}
  return new RequestCounts({
    total: countOf(counts.total),
    succeeded: countOf(counts.completed),
    errored: countOf(counts.failed),
    expired: 0,
    cancelled: 0
  })
}

const countOf = (value: unknown): number =>
  typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : 0

/** Unix seconds or milliseconds, as a number or as text, or an ISO date. */
const timeOf = (value: unknown): DateTime.Utc | null => {
  const time = typeof value === "string" && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value
  if (typeof time === "number") {
    return time > 0 ? Option.getOrNull(DateTime.make(time < 1e11 ? time * 1000 : time)) : null
  }
  return typeof time === "string" ? Option.getOrNull(Option.map(DateTime.make(time), DateTime.toUtc)) : null
}

const endedAt = (batch: JsonObject): DateTime.Utc | null =>
  timeOf(batch.cancelled_at) ?? timeOf(batch.expired_at) ?? timeOf(batch.failed_at)
    ?? timeOf(batch.completed_at)

const filesOf = (batch: JsonObject): ReadonlyArray<ResultFile> => {
  const output = textOf(batch.output_file_id)
  const error = textOf(batch.error_file_id)
  return [
    ...(output === null ? [] : [new ResultFile({ kind: "output", reference: output })]),
    ...(error === null ? [] : [new ResultFile({ kind: "error", reference: error })])
  ]
}

const problemsOf = (errors: unknown): ReadonlyArray<BatchProblem> => {
  const list = isJsonObject(errors) ? errors.data : errors
  if (!Array.isArray(list)) return []
  return list.map((item: unknown) => {
    const problem: JsonObject = isJsonObject(item) ? item : { message: item }
    const { code, line, message } = problem
    return new BatchProblem({
      code: textOf(code),
      message: textOf(message) ?? textOf(code) ?? "no message",
      line: typeof line === "number" && Number.isInteger(line) ? line : null
    })
  })
}
