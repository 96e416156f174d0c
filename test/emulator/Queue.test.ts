import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Struct from "effect/Struct"
import OpenAI from "openai"
import * as H from "./Harness.js"
import { meanTokens } from "./QueueFill.js"

/** Rows of nine tokens each. */
const hellos = (count: number, model = "gpt-4o") =>
  Array.from({ length: count }, (_, index) => H.chatRow(`row-${index}`, "Hello!", { model }))

describe("emulator: the queue of OpenAI", () => {
  const settings = { openAiEnqueuedTokens: 90_000, validating: 0, processing: 100, finalizing: 0 }

  it.scopedLive("has room for so many tokens of a model, and a batch without room fails in OpenAI's words", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(settings)
      const retrieve = (batch: { readonly id: string }) => H.call(() => emulator.openai.batches.retrieve(batch.id))
      const first = yield* H.submit(emulator, hellos(6_000))
      const second = yield* H.submit(emulator, hellos(4_000))
      const other = yield* H.submit(emulator, hellos(10_000, "gpt-4o-mini"))
      const late = yield* H.submit(emulator, hellos(1))
      assert.strictEqual((yield* retrieve(first)).status, "in_progress")
      assert.strictEqual((yield* retrieve(second)).status, "in_progress")
      assert.strictEqual((yield* retrieve(other)).status, "in_progress")
      const declined = yield* retrieve(late)
      assert.strictEqual(declined.status, "failed")
      assert.deepStrictEqual(declined.errors?.data, [{
        code: "token_limit_exceeded",
        line: null,
        message: "Enqueued token limit reached for gpt-4o in organization org-emulator. Limit: 90,000 enqueued tokens. "
          + "Please try again once some in_progress batches have been completed.",
        param: null
      }])
      assert.deepStrictEqual(declined.request_counts, { total: 0, completed: 0, failed: 0 })

      yield* emulator.advance("99 seconds")
      assert.strictEqual((yield* H.call(() => emulator.openai.batches.cancel(second.id))).status, "cancelling")
      const tooEarly = yield* H.submit(emulator, hellos(1))
      assert.strictEqual((yield* retrieve(tooEarly)).status, "failed")
      yield* emulator.advance("1 second")
      const next = yield* H.submit(emulator, hellos(6_000))
      assert.strictEqual((yield* retrieve(next)).status, "in_progress")

      const books = yield* emulator.books
      assert.deepStrictEqual(
        books.batches.map(({ model, problem }) => [model, problem]),
        [
          ["gpt-4o", null],
          ["gpt-4o", null],
          ["gpt-4o-mini", null],
          ["gpt-4o", "token_limit_exceeded"],
          ["gpt-4o", "token_limit_exceeded"],
          ["gpt-4o", null]
        ]
      )
      const start = books.batches[0]?.createdAt ?? assert.fail("no batch")
      assert.deepStrictEqual(
        books.queues.map((queue) => ({
          ...queue,
          changes: queue.changes.map(({ at, tokens }) => [at - start, tokens])
        })),
        [
          { model: "gpt-4o", peak: 90_000, declined: 2, changes: [[0, 90_000], [100_000, 90_000]] },
          { model: "gpt-4o-mini", peak: 90_000, declined: 0, changes: [[0, 90_000], [100_000, 0]] }
        ]
      )
      yield* emulator.advance("1 hour")
      const [queue] = (yield* emulator.books).queues
      assert.deepStrictEqual(
        queue?.changes.map(({ at, tokens }) => [at - start, tokens]),
        [[0, 90_000], [100_000, 90_000], [109_000, 54_000], [200_000, 0]]
      )
    }))

  it.scopedLive("is that of an account", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ ...settings, openAiEnqueuedTokens: 10 })
      const theirs = new OpenAI({ apiKey: "k", baseURL: emulator.openAiBaseUrl, maxRetries: 0, project: "proj-theirs" })
      yield* H.submit(emulator, hellos(1))
      const batch = yield* H.submit({ ...emulator, openai: theirs }, hellos(1))
      assert.strictEqual((yield* H.call(() => theirs.batches.retrieve(batch.id))).status, "in_progress")
      const books = yield* emulator.books
      assert.deepStrictEqual(books.queues.map(({ model, peak }) => [model, peak]), [["gpt-4o", 9], ["gpt-4o", 9]])
    }))

  it.scopedLive("is left alone by batches that fail for something else", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ ...settings, openAiEnqueuedTokens: 10, validating: 10 })
      yield* H.submit(emulator, [...hellos(1), ...hellos(1)])
      const batch = yield* H.submit(emulator, hellos(1))
      yield* emulator.advance("10 seconds")
      assert.strictEqual((yield* H.call(() => emulator.openai.batches.retrieve(batch.id))).status, "in_progress")
      const { batches, queues } = yield* emulator.books
      assert.deepStrictEqual(batches.map(({ problem }) => problem), ["duplicate_custom_id", null])
      assert.deepStrictEqual(queues.map(({ declined, peak }) => [declined, peak]), [[0, 9]])
    }))
})

describe("emulator: how full the queue was", () => {
  /** Sends batches of 18 tokens to a queue of 90, so many at a time, each as soon as one has ended. */
  const sent = (batches: number, atATime: number) =>
    Effect.gen(function*() {
      const emulator = yield* H.start({
        openAiEnqueuedTokens: 90,
        validating: 0,
        processing: 100,
        finalizing: 0
      })
      for (let made = 0; made < batches; made += atATime) {
        if (made > 0) yield* emulator.advance("100 seconds")
        for (let batch = made; batch < Math.min(batches, made + atATime); batch++) yield* H.submit(emulator, hellos(2))
      }
      yield* emulator.advance("1 hour")
      const books = yield* emulator.books
      const [queue] = books.queues
      return queue === undefined ? {} : { ...Struct.pick(queue, "peak", "declined"), mean: meanTokens(books, queue) }
    })

  it.scopedLive("is told by the books: full by who fills it, a fifth full by who sends one batch after the other", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sent(21, 5), { peak: 90, declined: 0, mean: 90 })
      assert.deepStrictEqual(yield* sent(4, 1), { peak: 18, declined: 0, mean: 18 })
      assert.deepStrictEqual(yield* sent(12, 6), { peak: 90, declined: 2, mean: 90 })
    }))
})

describe("emulator: the batches of an hour of OpenAI", () => {
  it.scopedLive("are so many, and a create too many is told when to come again", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ openAiBatchesPerHour: 2 })
      const file = yield* H.upload(emulator, H.jsonl(hellos(1)))
      const create = () =>
        emulator.openai.batches.create({
          input_file_id: file.id,
          endpoint: "/v1/chat/completions",
          completion_window: "24h"
        })
      yield* H.call(create)
      yield* emulator.advance("20 minutes")
      yield* H.call(create)
      yield* emulator.advance("39 minutes")
      const refused = yield* H.failure(create)
      assert.strictEqual(refused.status, 429)
      assert.deepInclude(refused.error, { type: "requests", code: "rate_limit_exceeded" })
      assert.include(refused.message, "Limit 2, Used 2, Requested 1. Please try again in 60s.")
      assert.strictEqual(refused.headers?.get("retry-after"), "60")
      assert.strictEqual(refused.headers?.get("retry-after-ms"), "60000")
      yield* emulator.advance("1 minute")
      yield* H.call(create)
      assert.strictEqual((yield* H.failure(create)).headers?.get("retry-after"), "1200")
      assert.deepStrictEqual((yield* emulator.books).calls["POST /v1/batches"], { "200": 3, "429": 2 })
    }))

  it.scopedLive("are hours of its own time, and the wait is one of real time", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ openAiBatchesPerHour: 1, timeScale: 3_600 })
      yield* H.submit(emulator, hellos(1))
      const file = yield* H.upload(emulator, H.jsonl(hellos(1)))
      const refused = yield* H.failure(() =>
        emulator.openai.batches.create({
          input_file_id: file.id,
          endpoint: "/v1/chat/completions",
          completion_window: "24h"
        })
      )
      assert.strictEqual(refused.headers?.get("retry-after"), "1")
    }))
})

describe("emulator: the queue of Anthropic", () => {
  it.scopedLive("has room for so many requests that are not processed, over all batches", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ anthropicQueuedRequests: 1_200, processing: 100 })
      const { anthropic } = emulator
      yield* H.submitMessages(emulator, H.messages(1_000))
      const create = () => anthropic.messages.batches.create({ requests: [...H.messages(400)] })
      const refused = yield* H.failure(create)
      assert.strictEqual(refused.status, 429)
      assert.nestedPropertyVal(refused.error, "error.type", "rate_limit_error")
      assert.include(refused.message, "1,200 batch requests in the processing queue: 1,000 are in it")
      assert.strictEqual(refused.headers?.get("retry-after"), "60")
      assert.strictEqual((yield* H.call(() => anthropic.messages.batches.list())).data.length, 1)
      yield* emulator.advance("20 seconds")
      yield* H.call(create)
      assert.strictEqual((yield* H.failure(create)).status, 429)
      yield* emulator.advance("1 hour")
      yield* H.call(create)
      assert.deepStrictEqual((yield* emulator.books).calls["POST /v1/messages/batches"], { "200": 3, "429": 2 })
    }))
})
