/**
 * A batch of the test provider. Its whole life is decided when it is made, but for a cancel: where it stands at a time
 * is a function of that time.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { type BatchProblem, BatchSnapshot, type Ending, RequestCounts, ResultFile } from "../Batch.js"
import type { Completion } from "../Provider.js"
import type { Shard } from "../Shard.js"
import type { Moment, RowOutcome, Script } from "../TestProvider.js"
import * as TestWire from "./TestWire.js"

/** A row of a batch, and what is to become of it. */
interface PlannedRow extends TestWire.SentRow {
  readonly outcome: RowOutcome
  readonly answer: string
  readonly answeredAt: number
}

/** A batch, with times in milliseconds since the epoch. */
export interface TestBatch {
  readonly id: string
  readonly shard: string
  readonly runTag: string
  readonly sha256: string
  readonly inputFileId: string
  readonly createdAt: number
  readonly expiresAt: number
  readonly cancelTakes: number
  readonly moments: ReadonlyArray<{ readonly at: number; readonly status: Moment["status"] }>
  readonly rows: ReadonlyArray<PlannedRow>
  problems: ReadonlyArray<BatchProblem>
  /** By which it fills the queue of each model. */
  tokens: ReadonlyMap<string, number>
  endsAt: number
  ending: Ending
  cancelRequestedAt: number | null
  deleted: boolean
}

const defaultTimeline: ReadonlyArray<Moment> = [
  { after: 0, status: "validating" },
  { after: "1 minute", status: "in_progress" }
]

/** Makes batches as the script wants them. */
export const makePlan = (script: Script) => {
  const timeline = script.timeline ?? defaultTimeline
  const expiresAfter = Duration.toMillis(script.expiresAfter ?? "24 hours")
  const cancelTakes = Duration.toMillis(script.cancelTakes ?? "1 minute")
  const answer = script.answer ?? (({ prompt }) => prompt)
  const outcome = script.outcome ?? (() => "succeeded" as const)
  const answeredAfter = script.answeredAfter ?? (() => "10 minutes" as const)
  const end = timeline.find(({ status }) => status === "ended")

  return (
    id: string,
    shard: Shard,
    inputFileId: string,
    sent: ReadonlyArray<TestWire.SentRow>,
    now: number
  ): TestBatch => {
    const rows = sent.map((one): PlannedRow => ({
      ...one,
      outcome: outcome(one.row),
      answer: answer(one.row),
      answeredAt: now + Duration.toMillis(answeredAfter(one.row))
    }))
    const expiresAt = now + expiresAfter
    const endsAt = end === undefined
      ? rows.reduce((latest, row) => Math.max(latest, row.answeredAt), now)
      : now + Duration.toMillis(end.after)
    return {
      id,
      shard: shard.id,
      runTag: shard.runTag,
      sha256: shard.sha256,
      inputFileId,
      createdAt: now,
      expiresAt,
      cancelTakes,
      moments: timeline.map(({ after, status }) => ({ at: now + Duration.toMillis(after), status })),
      rows,
      problems: end?.problems ?? [],
      tokens: new Map(),
      endsAt: Math.min(endsAt, expiresAt),
      ending: endsAt > expiresAt ? "expired" : end?.ending ?? "completed",
      cancelRequestedAt: null,
      deleted: false
    }
  }
}

/** What comes of a row that is asked for by itself. */
export const complete = (script: Script, sent: TestWire.SentRow): Completion => {
  const text = (script.answer ?? (({ prompt }) => prompt))(sent.row)
  const outcome = (script.outcome ?? (() => "succeeded" as const))(sent.row)
  return {
    line: outcome === "errored"
      ? TestWire.errorLine(sent, outcome)
      : outcome === "malformed"
      ? TestWire.malformedLine(sent)
      : TestWire.answerLine(sent, text, outcome === "refused" || outcome === "truncated" ? outcome : "succeeded"),
    again: null,
    limits: [],
    tokens: TestWire.words(sent.row.prompt) + TestWire.words(text)
  }
}

/** Has the batch fail at a time, without a row being begun. */
export const fail = (batch: TestBatch, at: number, problem: BatchProblem): void => {
  batch.endsAt = at
  batch.ending = "failed"
  batch.problems = [problem]
}

/** Asks the batch to stop. */
export const cancel = (batch: TestBatch, now: number): void => {
  if (now >= batch.endsAt || batch.cancelRequestedAt !== null) return
  batch.cancelRequestedAt = now
  if (now + batch.cancelTakes >= batch.endsAt) return
  batch.endsAt = now + batch.cancelTakes
  batch.ending = "cancelled"
}

/** What became of a row by a time; `null` for nothing yet. */
const outcomeAt = (batch: TestBatch, row: PlannedRow, now: number): RowOutcome | null => {
  const ended = now >= batch.endsAt
  if (row.answeredAt <= Math.min(now, batch.endsAt) || (ended && batch.ending === "completed")) return row.outcome
  if (!ended || batch.ending === "completed") return null
  return batch.ending === "failed" ? "errored" : batch.ending
}

const isError = (outcome: RowOutcome): outcome is "errored" | "expired" | "cancelled" =>
  outcome === "errored" || outcome === "expired" || outcome === "cancelled"

const outcomesAt = (batch: TestBatch, now: number): ReadonlyArray<RowOutcome> =>
  batch.rows.flatMap((row) => outcomeAt(batch, row, now) ?? [])

/** Rows answered by a time: what is paid for. A batch that fails as a whole was never begun. */
export const rowsBilled = (batch: TestBatch, now: number): number =>
  batch.ending === "failed" ? 0 : outcomesAt(batch, now).filter((outcome) => !isError(outcome)).length

const countsAt = (batch: TestBatch, now: number): RequestCounts => {
  const counts = { total: batch.rows.length, succeeded: 0, errored: 0, expired: 0, cancelled: 0 }
  const outcomes = batch.ending === "failed" ? [] : outcomesAt(batch, now)
  for (const outcome of outcomes) counts[isError(outcome) ? outcome : "succeeded"]++
  return new RequestCounts(counts)
}

/** The name of a results file. */
export const reference = (id: string, kind: ResultFile["kind"]): string => `${id}/${kind}`

const linesOf = (row: PlannedRow, outcome: RowOutcome): ReadonlyArray<string> => {
  switch (outcome) {
    case "missing":
      return []
    case "malformed":
      return [TestWire.malformedLine(row)]
    case "errored":
    case "expired":
    case "cancelled":
      return [TestWire.errorLine(row, outcome)]
    case "duplicate": {
      const line = TestWire.answerLine(row, row.answer, "succeeded")
      return [line, line]
    }
    case "conflicting":
      return [row.answer, `${row.answer}, or not`].map((answer) => TestWire.answerLine(row, answer, "succeeded"))
    default:
      return [TestWire.answerLine(row, row.answer, outcome)]
  }
}

/** The bytes of a results file, the last row first: no provider keeps the order. */
export const content = (batch: TestBatch, kind: ResultFile["kind"]): Buffer => {
  if (batch.ending === "failed") return Buffer.alloc(0)
  const lines = batch.rows.toReversed().flatMap((row) => {
    const outcome = outcomeAt(batch, row, batch.endsAt)
    return outcome !== null && isError(outcome) === (kind === "error") ? linesOf(row, outcome) : []
  })
  return Buffer.from(lines.map((line) => `${line}\n`).join(""))
}

const filesAt = (batch: TestBatch, now: number): ReadonlyArray<ResultFile> =>
  now < batch.endsAt ? [] : (["output", "error"] as const)
    .filter((kind) => content(batch, kind).length > 0)
    .map((kind) => new ResultFile({ kind, reference: reference(batch.id, kind) }))

const statusAt = (batch: TestBatch, now: number): Moment["status"] => {
  if (now >= batch.endsAt) return "ended"
  if (batch.cancelRequestedAt !== null) return "cancelling"
  return batch.moments.findLast(({ at, status }) => at <= now && status !== "ended")?.status ?? "validating"
}

/** What a batch says of itself at a time. */
export const snapshot = (batch: TestBatch, now: number): BatchSnapshot => {
  const status = statusAt(batch, now)
  const ended = status === "ended"
  return new BatchSnapshot({
    id: batch.id,
    status,
    ending: ended ? batch.ending : null,
    providerStatus: ended ? batch.ending : status,
    counts: countsAt(batch, now),
    createdAt: DateTime.unsafeMake(batch.createdAt),
    expiresAt: DateTime.unsafeMake(batch.expiresAt),
    endedAt: ended ? DateTime.unsafeMake(batch.endsAt) : null,
    inputFileId: batch.inputFileId,
    files: filesAt(batch, now),
    problems: ended ? batch.problems : []
  })
}
