/**
 * The queue of the test provider: how many tokens of each model are in batches that have not ended.
 */
import { BatchProblem } from "../Batch.js"
import type { Script, TestRow } from "../TestProvider.js"
import * as TestBatch from "./TestBatch.js"
import * as TestWire from "./TestWire.js"

const minute = 60_000
const hour = 60 * minute

const problemOf = (model: string, limit: number): BatchProblem =>
  new BatchProblem({
    code: "token_limit_exceeded",
    message: `Enqueued token limit reached for ${model} in organization org-test. `
      + `Limit: ${limit.toLocaleString("en-US")} enqueued tokens. `
      + "Please try again once some in_progress batches have been completed.",
    line: null
  })

export class TestQueue {
  /** The most tokens of each model at a time. */
  readonly peaks = new Map<string, number>()
  private readonly tokensOf: (row: TestRow) => number

  constructor(private readonly script: Pick<Script, "enqueuedTokens" | "tokensOf" | "createsPerHour">) {
    this.tokensOf = script.tokensOf ?? (({ prompt }) => TestWire.words(prompt))
  }

  /** How long after `now` another batch may be made. */
  millisUntilCreate(batches: ReadonlyArray<TestBatch.TestBatch>, now: number): number {
    const limit = this.script.createsPerHour ?? Number.POSITIVE_INFINITY
    const made = batches.filter(({ createdAt }) => createdAt > now - hour)
    const [leaving] = made.slice(-limit)
    return leaving === undefined || made.length < limit ? 0 : leaving.createdAt + hour - now
  }

  /** Takes a batch in beside the others, or declines it: then it fails soon. Gives whether it is in. */
  enter(batch: TestBatch.TestBatch, others: ReadonlyArray<TestBatch.TestBatch>, now: number): boolean {
    const limit = this.script.enqueuedTokens ?? Number.POSITIVE_INFINITY
    const own = new Map<string, number>()
    for (const { row } of batch.rows) {
      const model = TestWire.modelOf(row)
      own.set(model, (own.get(model) ?? 0) + this.tokensOf(row))
    }
    const queued = others.filter(({ endsAt }) => endsAt > now)
    const sums = [...own].map(([model, tokens]) =>
      [model, queued.reduce((sum, other) => sum + (other.tokens.get(model) ?? 0), tokens)] as const
    )
    const full = sums.find(([, sum]) => sum > limit)
    if (full !== undefined) {
      TestBatch.fail(batch, now + minute, problemOf(full[0], limit))
      return false
    }
    batch.tokens = own
    for (const [model, sum] of sums) this.peaks.set(model, Math.max(sum, this.peaks.get(model) ?? 0))
    return true
  }
}
