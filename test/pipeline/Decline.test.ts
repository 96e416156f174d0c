import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import { BatchProblem, BatchSnapshot, RequestCounts, ResultFile } from "llm-batch/Batch"
import { declineOf } from "../../src/pipeline/Decline.js"

const snapshot = (message: string, about: Partial<ConstructorParameters<typeof BatchSnapshot>[0]> = {}) =>
  new BatchSnapshot({
    id: "batch_1",
    status: "ended",
    ending: "failed",
    providerStatus: "failed",
    counts: new RequestCounts({ total: 0, succeeded: 0, errored: 0, expired: 0, cancelled: 0 }),
    createdAt: DateTime.unsafeMake(0),
    expiresAt: null,
    endedAt: null,
    inputFileId: null,
    files: [],
    problems: [new BatchProblem({ code: "token_limit_exceeded", message, line: null })],
    ...about
  })

describe("a batch that was declined", () => {
  it("tells the limit, however the number is written", () => {
    const limits = [
      "Enqueued token limit reached for gpt-4o in organization org-1. Limit: 90,000 enqueued tokens. Please try again.",
      "Limit: 2000000 enqueued tokens.",
      "The queue is full.",
      "Limit: none"
    ].map((message) => declineOf(snapshot(message))?.tokenLimit)
    assert.deepStrictEqual(limits, [90_000, 2_000_000, null, null])
  })

  it("is none that failed for another reason, or that began", () => {
    const message = "Limit: 90,000 enqueued tokens."
    const other = [new BatchProblem({ code: "invalid_json_line", message, line: 1 })]
    assert.isUndefined(declineOf(snapshot(message, { problems: other })))
    assert.isUndefined(declineOf(snapshot(message, { ending: "expired" })))
    assert.isUndefined(declineOf(snapshot(message, { files: [new ResultFile({ kind: "output", reference: "f" })] })))
    const counts = new RequestCounts({ total: 2, succeeded: 1, errored: 0, expired: 0, cancelled: 0 })
    assert.isUndefined(declineOf(snapshot(message, { counts })))
  })
})
