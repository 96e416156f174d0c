/**
 * Rows asked one by one of the emulator, over real sockets on the loopback and with the official SDKs: what a scripted
 * `fetch` cannot show. So these tests run live; nothing in them waits but for the loopback.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Fiber, Redacted } from "effect"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import type { Completion, Service, SyncRow } from "../../src/Provider.js"
import * as Anthropic from "../../src/provider/Anthropic.js"
import * as OpenAi from "../../src/provider/OpenAi.js"
import * as H from "../emulator/Harness.js"

const apiKey = Redacted.make("sk-test-0123456789")

const start = (settings: Parameters<typeof H.start>[0] = {}) =>
  Effect.map(H.start(settings), (emulator) => ({
    emulator,
    openai: OpenAi.make({ apiKey, baseUrl: emulator.openAiBaseUrl }),
    anthropic: Anthropic.make({ apiKey, baseUrl: emulator.anthropicBaseUrl })
  }))

type Calls = ReadonlyArray<ConstructorParameters<typeof CallFault>[0]>

const withFaults = (...calls: Calls) =>
  start({ faults: new FaultPlan({ calls: calls.map((call) => new CallFault(call)) }) })

const chat = { model: "gpt-4.1-mini", messages: [{ role: "user" as const, content: "2 + 2" }] }

const row = (endpoint: string, body: object): SyncRow => ({
  wireId: "k3f9a2x7qd-1",
  text: JSON.stringify(
    endpoint === "/v1/messages"
      ? { custom_id: "k3f9a2x7qd-1", params: body }
      : { custom_id: "k3f9a2x7qd-1", method: "POST", url: endpoint, body }
  ),
  endpoint,
  betas: []
})

const chatRow = row("/v1/chat/completions", chat)

const opus = { model: "claude-opus-4-5", messages: [{ role: "user" as const, content: "Tell me of rain." }] }

const outcome = (provider: Service, { line }: Completion) =>
  Either.getOrThrowWith(provider.decode(line), ({ problem }) => new Error(problem)).outcome

describe("OpenAI", () => {
  it.scopedLive("gives the very body that the SDK gives", () =>
    Effect.gen(function*() {
      const { emulator, openai } = yield* start()
      const body = (completion: Completion) => JSON.parse(completion.line).response.body
      const chatted = yield* openai.complete(chatRow)
      assert.deepStrictEqual(
        body(chatted),
        JSON.parse(JSON.stringify(yield* H.call(() => emulator.openai.chat.completions.create(chat))))
      )
      assert.strictEqual(outcome(openai, chatted).outcome, "succeeded")
      assert.isAbove(chatted.tokens, 0)
      assert.match(JSON.parse(chatted.line).response.request_id, /^req_/)

      const asked = { model: "gpt-5-mini", input: "2 + 2" }
      const responded = yield* openai.complete(row("/v1/responses", asked))
      const { output_text: _sugar, ...response } = yield* H.call(() => emulator.openai.responses.create(asked))
      assert.deepStrictEqual(body(responded), JSON.parse(JSON.stringify(response)))

      const embedded = { model: "text-embedding-3-small", input: "rain", encoding_format: "float" as const }
      const embedding = yield* openai.complete(row("/v1/embeddings", embedded))
      assert.deepStrictEqual(
        body(embedding),
        JSON.parse(JSON.stringify(yield* H.call(() => emulator.openai.embeddings.create(embedded))))
      )
    }))

  it.scopedLive("learns the limits, and is told how long to wait when one is used up", () =>
    Effect.gen(function*() {
      const { openai } = yield* start({ requestsPerMinute: 2, tokensPerMinute: 1_000 })
      const first = yield* openai.complete(chatRow)
      assert.deepStrictEqual(first.limits.map(({ kind, limit }) => [kind, limit]), [["requests", 2], ["tokens", 1_000]])
      assert.strictEqual(first.limits[0]?.remaining, 1)
      yield* openai.complete(chatRow)
      const third = yield* openai.complete(chatRow)
      assert.strictEqual(outcome(openai, third).outcome, "errored")
      const wait = third.again?.afterMillis ?? 0
      assert.isTrue(wait > 20_000 && wait <= 30_000, String(wait))
      assert.strictEqual(third.limits[0]?.remaining, 0)
    }))

  it.scopedLive("understands a wait in every form", () =>
    Effect.gen(function*() {
      const route = "POST /v1/chat/completions"
      const busy = { route, kind: "status", status: 429, retryAfter: 20, first: 1 } as const
      const { openai } = yield* withFaults(
        { ...busy, retryAfterForm: "seconds" },
        { ...busy, retryAfterForm: "date" },
        { ...busy, retryAfterForm: "millis" },
        { ...busy, retryAfterForm: "absent" },
        { route, kind: "status", status: 503, html: true, retryAfterForm: "absent", first: 1 }
      )
      const waits: Array<number | null | undefined> = []
      for (let count = 0; count < 5; count++) waits.push((yield* openai.complete(chatRow)).again?.afterMillis)
      const [seconds, date, millis, absent, html] = waits
      assert.deepStrictEqual([seconds, millis, absent, html], [20_000, 20_000, null, null])
      // The date has no milliseconds, and the second may have turned on the way.
      assert.isTrue(typeof date === "number" && date >= 18_000 && date <= 20_000, String(date))
      assert.isNull((yield* openai.complete(chatRow)).again)
    }))

  it.scopedLive("takes a broken connection for a lost answer, and ends one that is not wanted any more", () =>
    Effect.gen(function*() {
      const route = "POST /v1/chat/completions"
      const { emulator, openai } = yield* withFaults(
        { route, kind: "reset", first: 1 },
        { route, kind: "reset", afterSuccess: true, first: 1 },
        { route, kind: "cut", framing: "length", first: 1 },
        { route, kind: "cut", framing: "close", first: 1 },
        { route, kind: "hang", skip: 1 }
      )
      for (let count = 0; count < 4; count++) {
        const { mayBeCharged, reason, status } = yield* Effect.flip(openai.complete(chatRow))
        assert.deepStrictEqual([reason, status, mayBeCharged], ["unreachable", null, true])
      }
      const asking = yield* Effect.fork(openai.complete(chatRow))
      const looked = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
      yield* Effect.repeat(Effect.zipRight(looked, emulator.books), {
        until: ({ calls }) => Object.values(calls[route] ?? {}).reduce((sum, count) => sum + count, 0) === 5
      })
      yield* Fiber.interrupt(asking)
      const nobody = OpenAi.make({ apiKey, baseUrl: "http://127.0.0.1:1/v1" })
      assert.strictEqual((yield* Effect.flip(nobody.complete(chatRow))).mayBeCharged, false)
    }))
})

describe("Anthropic", () => {
  const cases: ReadonlyArray<readonly [name: string, extra: object]> = [
    ["text", {}],
    ["thinking", { thinking: { type: "enabled", budget_tokens: 2_000 } }],
    [
      "a tool's input",
      {
        tools: [{
          name: "weather",
          input_schema: {
            type: "object",
            properties: { city: { type: "string" }, days: { type: "integer" } },
            required: ["city", "days"],
            additionalProperties: false
          }
        }],
        tool_choice: { type: "tool", name: "weather" }
      }
    ]
  ]
  for (const [name, extra] of cases) {
    it.scopedLive(`gives the very message that the SDK gives, streamed or not: ${name}`, () =>
      Effect.gen(function*() {
        const { anthropic, emulator } = yield* start()
        const message = (completion: Completion) => JSON.parse(completion.line).result.message
        const short = { ...opus, ...extra, max_tokens: 4_000 }
        const whole = yield* anthropic.complete(row("/v1/messages", short))
        assert.deepStrictEqual(
          message(whole),
          JSON.parse(JSON.stringify(yield* H.call(() => emulator.anthropic.messages.create(short))))
        )
        const long = { ...short, max_tokens: 32_000 }
        const streamed = yield* anthropic.complete(row("/v1/messages", long))
        const { parsed_output: _sugar, ...expected } = yield* H.call(() =>
          emulator.anthropic.messages.stream(long).finalMessage()
        )
        assert.deepStrictEqual(message(streamed), JSON.parse(JSON.stringify(expected)))
        assert.strictEqual(outcome(anthropic, streamed).outcome, "succeeded")
        assert.isAbove(streamed.tokens, 0)
      }))
  }

  it.scopedLive("is refused by the API itself when a long answer is not streamed", () =>
    Effect.gen(function*() {
      const { emulator } = yield* start()
      const { status } = yield* H.failure(() =>
        emulator.anthropic.post("/v1/messages", { body: { ...opus, max_tokens: 21_334 } })
      )
      assert.strictEqual(status, 400)
    }))

  it.scopedLive("takes a stream that breaks off for a lost answer, however it does", () =>
    Effect.gen(function*() {
      const route = "POST /v1/messages"
      const { anthropic } = yield* withFaults(
        { route, kind: "cut", framing: "length", first: 1 },
        { route, kind: "cut", framing: "chunked", first: 1 },
        { route, kind: "cut", framing: "close", first: 1 },
        { route, kind: "reset", first: 1 },
        { route, kind: "status", status: 529, retryAfterForm: "absent", first: 1 }
      )
      const long = row("/v1/messages", { ...opus, max_tokens: 32_000 })
      for (let count = 0; count < 4; count++) {
        const { mayBeCharged, reason } = yield* Effect.flip(anthropic.complete(long))
        assert.deepStrictEqual([reason, mayBeCharged], ["unreachable", true])
      }
      const busy = yield* anthropic.complete(long)
      assert.deepStrictEqual(busy.again, { afterMillis: null })
      assert.deepStrictEqual(busy.limits.map(({ kind }) => kind), ["requests", "tokens"])
      const { again, line } = yield* anthropic.complete(long)
      assert.deepStrictEqual([again, line.includes("\"succeeded\"")], [null, true])
    }))
})
