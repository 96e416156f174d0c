/**
 * A batch as OpenAI describes it, as a snapshot. Only the id is needed.
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Redacted from "effect/Redacted"
import { BatchProblem, BatchSnapshot, type BatchStatus, type Ending, RequestCounts, ResultFile } from "../Batch.js"
import { batchOf, countOf, type Described, statusOf, textOf, timeOf } from "../internal/BatchAnswer.js"
import * as SdkError from "../internal/SdkError.js"
import { isJsonObject, type JsonObject } from "../Request.js"

/**
 * A batch with what it was marked with when it was made.
 *
 * @since 0.1.0
 * @category models
 */
export interface DescribedBatch extends Described {
  /** `null` where the server keeps none. */
  readonly metadata: JsonObject | null
}

/**
 * Reads a batch out of an answer. `now` stands in for a time of creation that is missing; `key` is taken out of what the
 * server says is wrong with the batch. Throws `Unreadable`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const describe = (
  value: unknown,
  now: DateTime.Utc,
  key: Redacted.Redacted | undefined
): DescribedBatch => {
  const { fields, id } = batchOf(value)
  const createdAt = timeOf(fields.created_at)
  const status = statusOf(fields.status)
  const ending = endings.get(status) ?? null
  const snapshot = new BatchSnapshot({
    id,
    status: ending === null ? statuses.get(status) ?? "in_progress" : "ended",
    ending,
    providerStatus: textOf(fields.status) ?? "",
    counts: countsOf(fields.request_counts),
    createdAt: createdAt ?? now,
    expiresAt: timeOf(fields.expires_at),
    endedAt: ending === null ? null : endedAt(fields),
    inputFileId: textOf(fields.input_file_id),
    files: filesOf(fields),
    problems: problemsOf(fields.errors, key)
  })
  return {
    snapshot,
    isDated: createdAt !== null,
    metadata: isJsonObject(fields.metadata) ? fields.metadata : null
  }
}

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

const problemsOf = (errors: unknown, key: Redacted.Redacted | undefined): ReadonlyArray<BatchProblem> => {
  const said = (value: unknown): string | null => {
    const text = textOf(value)
    return text === null ? null : SdkError.redact(text, key)
  }
  const list = isJsonObject(errors) ? errors.data : errors
  if (!Array.isArray(list)) return []
  return list.map((item: unknown) => {
    const problem: JsonObject = isJsonObject(item) ? item : { message: item }
    const { code, line, message } = problem
    return new BatchProblem({
      code: said(code),
      message: said(message) ?? said(code) ?? "no message",
      line: typeof line === "number" && Number.isInteger(line) ? line : null
    })
  })
}
