import * as DateTime from "effect/DateTime"
import { Batch, BatchSnapshot, type BatchStatus, EndedBatch, type Ending, RequestCounts } from "llm-batch/Batch"
import type { RunEvent } from "llm-batch/RunEvent"
import { Shard } from "llm-batch/Shard"
import * as Tally from "llm-batch/Tally"

/** The nth shard of a run, of 400 rows unless it is said, 1 MB each. */
export const shard = (index: number, rows = 400, attempt = 1): Shard =>
  new Shard({
    id: String(index).padStart(4, "0"),
    directory: "/run",
    runTag: "k3f9a2x7qd",
    provider: "openai",
    endpoint: "/v1/responses",
    model: "gpt-5-mini",
    betas: [],
    rows,
    bytes: 1_000_000,
    sha256: "00",
    firstRow: 1,
    lastRow: rows,
    attempt,
    parents: []
  })

export const snapshot = (
  of: Shard,
  status: BatchStatus,
  done: number,
  more: { readonly ending?: Ending; readonly expiresAt?: number } = {}
): BatchSnapshot =>
  new BatchSnapshot({
    id: `batch_${Number(of.id)}`,
    status,
    ending: more.ending ?? null,
    providerStatus: status,
    counts: new RequestCounts({ total: of.rows, succeeded: done, errored: 0, expired: 0, cancelled: 0 }),
    createdAt: DateTime.unsafeMake(0),
    expiresAt: more.expiresAt === undefined ? null : DateTime.unsafeMake(more.expiresAt),
    endedAt: null,
    inputFileId: null,
    files: [],
    problems: []
  })

export const created = (
  of: Shard,
  more: { readonly expiresAt?: number; readonly adopted?: boolean } = {}
): RunEvent => ({
  _tag: "BatchCreated",
  batch: new Batch({ shard: of, snapshot: snapshot(of, "validating", 0, more) }),
  adopted: more.adopted ?? false
})

export const observed = (of: Shard, status: BatchStatus, done: number): RunEvent => ({
  _tag: "BatchObserved",
  batch: new Batch({ shard: of, snapshot: snapshot(of, status, done) })
})

export const ended = (of: Shard, ending: Ending, done: number): RunEvent => ({
  _tag: "BatchEnded",
  batch: new EndedBatch({ shard: of, snapshot: snapshot(of, "ended", done, { ending }), ending })
})

export const tally = (rows: number, more: Partial<typeof Tally.Tally.Encoded> = {}): Tally.Tally =>
  new Tally.Tally({
    ...Tally.empty,
    rows,
    succeeded: rows,
    ...more,
    tokens: new Tally.TokenCount(more.tokens ?? { prompt: 0, completion: 0, cached: 0, reasoning: 0 })
  })

export const normalized = (of: Shard, more: Partial<typeof Tally.Tally.Encoded> = {}): RunEvent => ({
  _tag: "ShardNormalized",
  shard: of,
  tally: tally(of.rows, more)
})
