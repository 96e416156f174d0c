import { assert, describe, it } from "@effect/vitest"
import { type Load, Queue } from "../../src/pipeline/Queue.js"

const load = (id: string, tokens: number, about: Partial<Load> = {}): Load => ({
  id,
  name: "m",
  rows: 100,
  tokens,
  ...about
})

describe("the room in a provider's queue", () => {
  it("is as many batches as may be with the provider", () => {
    const queue = new Queue({ maxConcurrentJobs: 1 })
    queue.enter(load("0001", 0))
    assert.deepStrictEqual(queue.obstacle(load("0002", 0), 0), {
      detail: "1 batches are with the provider, and no more may be",
      until: null,
      pieces: 1
    })
    queue.leave("0001")
    assert.isUndefined(queue.obstacle(load("0002", 0), 0))
  })

  it("is as many batches as may be made within an hour, by when they were made", () => {
    const queue = new Queue({ maxBatchesPerHour: 2 })
    queue.created(1_000)
    queue.created(2_000)
    assert.strictEqual(queue.obstacle(load("0003", 0), 3_000)?.until, 3_601_000)
    assert.isUndefined(queue.obstacle(load("0003", 0), 3_601_001))
  })

  it("is a number of tokens for each model, and what does not fit is cut to a twentieth of it", () => {
    const queue = new Queue({ maxEnqueuedTokens: 1_000 })
    assert.isUndefined(queue.obstacle(load("0001", 1_000), 0))
    queue.enter(load("0001", 700))
    assert.isUndefined(queue.obstacle(load("0002", 300), 0))
    assert.deepStrictEqual(queue.obstacle(load("0002", 301), 0), {
      detail: "700 of 1,000 tokens of m are with the provider",
      until: null,
      pieces: 6
    })
    assert.isUndefined(queue.obstacle(load("0002", 1_000, { name: "another" }), 0))
  })

  it("is a number of rows", () => {
    const queue = new Queue({ maxQueuedRequests: 150 })
    queue.enter(load("0001", 0))
    assert.strictEqual(queue.obstacle(load("0002", 0), 0)?.detail, "100 of 150 requests are with the provider")
    assert.isUndefined(queue.obstacle(load("0002", 0, { rows: 50 }), 0))
  })

  it("lets a single row through that is larger than all of it, when nothing else is in", () => {
    const queue = new Queue({ maxEnqueuedTokens: 10 })
    assert.isUndefined(queue.obstacle(load("0001", 11, { rows: 1 }), 0))
    queue.enter(load("0001", 11, { rows: 1 }))
    assert.strictEqual(queue.obstacle(load("0002", 1, { rows: 1 }), 0)?.pieces, 1)
  })

  it("is after a decline what was in then, until something ends or a quarter of an hour has passed", () => {
    const queue = new Queue({ maxEnqueuedTokens: 1_000 })
    queue.enter(load("0001", 400))
    queue.enter(load("0002", 200))
    queue.decline(load("0003", 100), null, 0)
    assert.strictEqual(queue.obstacle(load("0003", 50), 1)?.until, 900_000)
    queue.leave("0002")
    assert.isUndefined(queue.obstacle(load("0003", 50), 1))
    queue.enter(load("0003", 200))
    assert.isDefined(queue.obstacle(load("0004", 50), 2))
    assert.isUndefined(queue.obstacle(load("0004", 50), 900_000))
  })

  it("is waited for longer and longer when others fill it, up to ten minutes", () => {
    const queue = new Queue({})
    const waits = [0, 0, 0, 0, 0].map(() => {
      // It was in until the provider told.
      queue.enter(load("0001", 50, { rows: 1 }))
      queue.decline(load("0001", 50, { rows: 1 }), null, 0)
      return queue.obstacle(load("0001", 50, { rows: 1 }), 0)?.until
    })
    assert.deepStrictEqual(waits, [60_000, 120_000, 240_000, 480_000, 600_000])
  })

  it("is not doubted after a decline that the limit explains", () => {
    const queue = new Queue({})
    queue.enter(load("0001", 400))
    queue.decline(load("0002", 700), 1_000, 0)
    assert.isUndefined(queue.obstacle(load("0002", 600), 1))
  })

  it("is waited for by a single row that is larger than the limit, and was declined though it was alone", () => {
    const queue = new Queue({})
    queue.enter(load("0001", 11, { rows: 1 }))
    queue.decline(load("0001", 11, { rows: 1 }), 10, 0)
    assert.strictEqual(queue.obstacle(load("0001", 11, { rows: 1 }), 0)?.until, 60_000)
    assert.isUndefined(queue.obstacle(load("0001", 11, { rows: 1 }), 60_000))
  })

  it("is unknown after a decline that tells no limit: what is as large is cut once, and its pieces wait", () => {
    const alone = new Queue({})
    alone.decline(load("0001", 1_000), null, 0)
    const pieces = (queue: Queue, tokens: number) => queue.obstacle(load("0002", tokens), 1)?.pieces
    assert.deepStrictEqual([1_000, 500, 250].map((tokens) => pieces(alone, tokens)), [2, 1, 1])
    const beside = new Queue({})
    beside.enter(load("0009", 10))
    beside.decline(load("0001", 990), null, 0)
    assert.deepStrictEqual([990, 50].map((tokens) => pieces(beside, tokens)), [1, 1])
  })

  it("is as large as what was let in uncounted, when that is counted while it is still in", () => {
    const queue = new Queue({ maxEnqueuedTokens: 1_000 })
    queue.enter(load("0001", 0))
    queue.count("0001", 900)
    queue.count("0002", 900)
    assert.strictEqual(
      queue.obstacle(load("0003", 101), 0)?.detail,
      "900 of 1,000 tokens of m are with the provider"
    )
  })

  it("is at most what the provider says, and what the user says", () => {
    const queue = new Queue({ maxEnqueuedTokens: 1_000 })
    queue.learn("m", 500)
    queue.learn("another", 2_000)
    assert.deepStrictEqual([queue.tokenLimit("m"), queue.tokenLimit("another")], [500, 1_000])
    assert.isFalse(new Queue({}).countsTokens("m"))
  })
})
