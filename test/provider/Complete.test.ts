import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Fiber, Redacted, TestClock } from "effect"
import { HttpTransportError } from "../../src/internal/HttpTransport.js"
import type { Completion, Service, SyncRow } from "../../src/Provider.js"
import * as Anthropic from "../../src/provider/Anthropic.js"
import * as OpenAi from "../../src/provider/OpenAi.js"

const key = "sk-canary-0123456789"

interface Sent {
  readonly url: string
  readonly headers: Headers
  readonly body: string
}

/** A `fetch` with one answer, or one error, for every request; keeps what was sent. */
const answering = (answer: () => Response | Error) => {
  const sent: Array<Sent> = []
  const fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const body = init.body instanceof Uint8Array ? Buffer.from(init.body).toString() : ""
    sent.push({ url: input instanceof Request ? input.url : String(input), headers: new Headers(init.headers), body })
    const given = answer()
    if (given instanceof Error) throw given
    return given
  }
  return { sent, fetch }
}

const text = (body: string, status = 200, headers: Record<string, string> = {}) =>
  new Response(body, { status, headers: { "content-type": "application/json", ...headers } })

const openAi = (answer: () => Response | Error) => {
  const { fetch, sent } = answering(answer)
  return { sent, provider: OpenAi.make({ apiKey: Redacted.make(key), fetch }) }
}

const anthropic = (answer: () => Response | Error) => {
  const { fetch, sent } = answering(answer)
  return { sent, provider: Anthropic.make({ apiKey: Redacted.make(key), fetch }) }
}

const chatBody =
  "{\"model\":\"gpt-4.1-mini\",\"seed\":12345678901234567890,\"messages\":[{\"role\":\"user\",\"content\":\"2+2\"}]}"

const chatRow: SyncRow = {
  wireId: "k3f9a2x7qd-7",
  text: `{"custom_id":"k3f9a2x7qd-7","method":"POST","url":"/v1/chat/completions","body":${chatBody}}`,
  endpoint: "/v1/chat/completions",
  betas: []
}

const params = (maxTokens: number) =>
  `{"model":"claude-opus-4-5","max_tokens":${maxTokens},"messages":[{"role":"user","content":"2+2"}]}`

const messageRow = (maxTokens: number, betas: ReadonlyArray<string> = []): SyncRow => ({
  wireId: "k3f9a2x7qd-7",
  text: `{"custom_id":"k3f9a2x7qd-7","params":${params(maxTokens)}}`,
  endpoint: "/v1/messages",
  betas
})

const failure = (provider: Service, row: SyncRow) => Effect.flip(provider.complete(row))

const outcomeOf = (provider: Service, { line }: Completion) => {
  const decoded = Either.getOrThrowWith(provider.decode(line), ({ problem }) => new Error(problem))
  assert.strictEqual(decoded.wireId, "k3f9a2x7qd-7")
  const { outcome } = decoded
  return outcome.outcome === "succeeded"
    ? { outcome: outcome.outcome, content: outcome.body["choices"] }
    : { outcome: outcome.outcome, code: "code" in outcome ? outcome.code : null, retryable: outcome.retryable }
}

const answer = `{
  "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "new_field": [1.0, 12345678901234567890],
  "choices": [{"index": 0, "message": {"role": "assistant", "content": "4\\n"}, "finish_reason": "stop"}],
  "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
}`

describe("OpenAI", () => {
  it.effect("sends the body of the row as it is, once, and keeps the answer as it came, on one line", () =>
    Effect.gen(function*() {
      const { provider, sent } = openAi(() => text(answer, 200, { "x-request-id": "req_9" }))
      const completion = yield* provider.complete(chatRow)
      assert.strictEqual(sent.length, 1)
      assert.strictEqual(sent[0]?.url, "https://api.openai.com/v1/chat/completions")
      assert.strictEqual(sent[0]?.body, chatBody)
      assert.strictEqual(sent[0]?.headers.get("content-type"), "application/json")
      assert.strictEqual(
        completion.line,
        `{"id":"req_9","custom_id":"k3f9a2x7qd-7","response":{"status_code":200,"request_id":"req_9","body":${
          answer.replaceAll("\n", " ")
        }},"error":null}`
      )
      assert.deepStrictEqual([completion.again, completion.tokens], [null, 5])
      assert.strictEqual(outcomeOf(provider, completion).outcome, "succeeded")
    }))

  it.effect("asks each endpoint at its own path", () =>
    Effect.gen(function*() {
      const { provider, sent } = openAi(() =>
        text("{\"id\":\"1\",\"output\":[],\"usage\":{\"input_tokens\":2,\"output_tokens\":3}}")
      )
      for (const endpoint of ["/v1/responses", "/v1/embeddings"]) {
        const { tokens } = yield* provider.complete({ ...chatRow, endpoint })
        assert.strictEqual(tokens, 5)
      }
      assert.deepStrictEqual(sent.map(({ url }) => url), [
        "https://api.openai.com/v1/responses",
        "https://api.openai.com/v1/embeddings"
      ])
    }))

  it.effect("tells the limits that the headers have", () =>
    Effect.gen(function*() {
      const { provider } = openAi(() =>
        text(answer, 200, {
          "x-ratelimit-limit-requests": "500",
          "x-ratelimit-remaining-requests": "499",
          "x-ratelimit-reset-requests": "120ms",
          "x-ratelimit-limit-tokens": "30000",
          "x-ratelimit-remaining-tokens": "100",
          "x-ratelimit-reset-tokens": "1m2.5s"
        })
      )
      const { limits } = yield* provider.complete(chatRow)
      assert.deepStrictEqual(limits, [
        { kind: "requests", limit: 500, remaining: 499, resetMillis: 120 },
        { kind: "tokens", limit: 30_000, remaining: 100, resetMillis: 62_500 }
      ])
    }))

  const error = (code: string) => JSON.stringify({ error: { message: "No.", type: "t", param: null, code } })
  const cases: ReadonlyArray<readonly [status: number, body: string, code: string, again: boolean]> = [
    [400, error("invalid_value"), "invalid_value", false],
    [404, error("model_not_found"), "model_not_found", false],
    [408, error("timeout"), "timeout", true],
    [409, error("conflict"), "conflict", true],
    [413, "<html><title>413 Request Entity Too Large</title></html>", "http_413", false],
    [422, error("invalid"), "invalid", false],
    [429, error("rate_limit_exceeded"), "rate_limit_exceeded", true],
    [500, error("server_error"), "server_error", true],
    [501, error("not_implemented"), "not_implemented", false],
    [502, error("server_error"), "server_error", true],
    [503, "<html><title>503 Service Unavailable</title></html>", "http_503", true],
    [503, "", "http_503", true]
  ]
  for (const [status, body, code, again] of cases) {
    it.effect(`an answer of ${status} (${code}) is a line`, () =>
      Effect.gen(function*() {
        const { provider, sent } = openAi(() => text(body, status, { "x-request-id": "req_9" }))
        const completion = yield* provider.complete(chatRow)
        assert.strictEqual(sent.length, 1)
        assert.deepStrictEqual(completion.again, again ? { afterMillis: null } : null)
        const outcome = outcomeOf(provider, completion)
        assert.deepStrictEqual([outcome.outcome, outcome.code], ["errored", code])
        if (body.startsWith("{"))
          assert.include(completion.line, `"status_code":${status},"request_id":"req_9","body":${body}`)
      }))
  }

  it.effect("honours a wait in every form, and a server that knows better", () =>
    Effect.gen(function*() {
      const again = (headers: Record<string, string>) =>
        Effect.map(
          openAi(() => text(error("rate_limit_exceeded"), 429, headers)).provider.complete(chatRow),
          (completion) => completion.again
        )
      assert.deepStrictEqual(yield* again({ "retry-after": "7" }), { afterMillis: 7_000 })
      assert.deepStrictEqual(yield* again({ "retry-after": "0.25" }), { afterMillis: 250 })
      assert.deepStrictEqual(yield* again({ "retry-after-ms": "350", "retry-after": "1" }), { afterMillis: 350 })
      assert.deepStrictEqual(
        yield* again({ "retry-after": "Thu, 01 Jan 2026 00:01:00 GMT", date: "Thu, 01 Jan 2026 00:00:00 GMT" }),
        { afterMillis: 60_000 }
      )
      assert.deepStrictEqual(yield* again({ "retry-after": "Thu, 01 Jan 1970 00:00:30 GMT" }), { afterMillis: 30_000 })
      assert.deepStrictEqual(yield* again({ "retry-after": "999999999" }), { afterMillis: 999_999_999_000 })
      assert.deepStrictEqual(yield* again({ "retry-after": "soon" }), { afterMillis: null })
      assert.deepStrictEqual(yield* again({ "x-should-retry": "false" }), null)
    }))

  it.effect("fails where no row would get an answer: no permission, no money, no API", () =>
    Effect.gen(function*() {
      const told = (status: number, body: string) =>
        Effect.map(
          failure(openAi(() => text(body, status)).provider, chatRow),
          ({ reason, status }) => [reason, status]
        )
      assert.deepStrictEqual(yield* told(401, error("invalid_api_key")), ["auth", 401])
      assert.deepStrictEqual(yield* told(403, error("forbidden")), ["auth", 403])
      assert.deepStrictEqual(yield* told(429, error("insufficient_quota")), ["refused", 429])
      assert.deepStrictEqual(yield* told(400, error("billing_hard_limit_reached")), ["refused", 400])
      assert.deepStrictEqual(yield* told(404, "<html></html>"), ["unexpected", 404])
    }))

  for (const status of [502, 504, 520, 524]) {
    it.effect(`was not counted as what may be charged: an answer of ${status} that is a gateway's own`, () =>
      Effect.gen(function*() {
        for (const body of ["<html><title>Bad Gateway</title></html>", "", "{\"detail\":\"upstream timed out\"}"]) {
          const { provider } = openAi(() => text(body, status, { "retry-after": "7" }))
          const error = yield* failure(provider, chatRow)
          assert.deepStrictEqual(
            [error.reason, error.status, error.mayBeCharged, error.retryAfterMillis],
            ["unreachable", status, true, 7_000]
          )
          const { mayBeCharged } = yield* failure(anthropic(() => text(body, status)).provider, messageRow(100))
          assert.strictEqual(mayBeCharged, true)
        }
      }))
  }

  it.effect("took a wrong base URL for the error of every row", () =>
    Effect.gen(function*() {
      const stopped = (status: number, body: string) =>
        Effect.map(
          failure(openAi(() => text(body, status)).provider, chatRow),
          ({ detail, reason }) => [reason, detail]
        )
      const body =
        "{\"error\":{\"message\":\"Invalid URL (POST /v2/chat/completions)\",\"type\":\"invalid_request_error\","
        + "\"param\":null,\"code\":null}}"
      const advice = "there is no /v1/chat/completions at the base URL: check OPENAI_BASE_URL. The server says: "
      assert.deepStrictEqual(yield* stopped(404, body), [
        "unexpected",
        `${advice}Invalid URL (POST /v2/chat/completions) (invalid_request_error)`
      ])
      assert.deepStrictEqual(yield* stopped(404, "<html><title>Not Found</title></html>"), [
        "unexpected",
        `${advice}an HTML page: Not Found`
      ])
      assert.strictEqual((yield* stopped(405, error("method_not_allowed")))[0], "unexpected")
      // What a row names is the row's matter.
      for (
        const named of [
          error("model_not_found"),
          "{\"error\":{\"message\":\"model 'm' not found\",\"type\":\"api_error\",\"param\":null,\"code\":null}}",
          "{\"error\":{\"message\":\"No such File object: file-1\",\"type\":\"t\",\"param\":\"id\",\"code\":null}}"
        ]
      ) {
        const { again, line } = yield* openAi(() => text(named, 404)).provider.complete(chatRow)
        assert.isNull(again)
        assert.include(line, named)
      }
      const notFound = (message: string) =>
        anthropic(() => text(JSON.stringify({ type: "error", error: { type: "not_found_error", message } }), 404))
          .provider
      const { detail } = yield* failure(notFound("Not found"), messageRow(100))
      assert.strictEqual(
        detail,
        "there is no /v1/messages at the base URL: check ANTHROPIC_BASE_URL. The server says: Not found (not_found_error)"
      )
      const { line } = yield* notFound("model: claude-opus-9").complete(messageRow(100))
      assert.include(line, "model: claude-opus-9")
    }))

  it.effect("keeps a key that a server repeats out of lines and errors", () =>
    Effect.gen(function*() {
      const echo = JSON.stringify({ error: { message: `Bearer ${key} is busy`, type: "t", code: "c" } })
      const { line } = yield* openAi(() => text(echo, 500)).provider.complete(chatRow)
      assert.include(line, "is busy")
      assert.notInclude(line, key)
      const refused = yield* failure(openAi(() => text(echo, 401)).provider, chatRow)
      assert.notInclude(JSON.stringify(refused) + refused.message, key)
    }))

  it.effect("tells a request that was never sent from one whose answer is lost", () =>
    Effect.gen(function*() {
      const told = (answer: () => Response | Error) =>
        Effect.map(
          failure(openAi(answer).provider, chatRow),
          ({ mayBeCharged, reason, status }) => [reason, status, mayBeCharged]
        )
      const broken = (sent: boolean) => () =>
        new HttpTransportError({ request: "POST https://api.example.com", problem: "broken", code: "ECONNRESET", sent })
      assert.deepStrictEqual(yield* told(broken(false)), ["unreachable", null, false])
      assert.deepStrictEqual(yield* told(broken(true)), ["unreachable", null, true])
      assert.deepStrictEqual(yield* told(() => text(answer.slice(0, 100))), ["unreachable", null, true])
      assert.deepStrictEqual(yield* told(() => text("<html>Log in to the hotel</html>")), ["unreachable", null, true])
    }))

  it.effect("makes no call without a key", () =>
    Effect.gen(function*() {
      const { fetch, sent } = answering(() => text(answer))
      const { reason } = yield* failure(OpenAi.make({ fetch }), chatRow)
      assert.deepStrictEqual([reason, sent.length], ["auth", 0])
    }))

  const hanging = () => {
    const seen = { aborted: false, asked: false }
    const fetch = (_input: string | URL | Request, init: RequestInit = {}) =>
      new Promise<Response>((_resolve, reject) => {
        seen.asked = true
        init.signal?.addEventListener("abort", () => {
          seen.aborted = true
          reject(init.signal?.reason)
        })
      })
    return { seen, provider: OpenAi.make({ apiKey: Redacted.make(key), fetch }) }
  }
  const untilAsked = (seen: { readonly asked: boolean }) =>
    Effect.repeat(Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve))), {
      until: () => seen.asked
    })

  it.effect("ends the request when it is interrupted", () =>
    Effect.gen(function*() {
      const { provider, seen } = hanging()
      const asking = yield* Effect.fork(provider.complete(chatRow))
      yield* untilAsked(seen)
      yield* Fiber.interrupt(asking)
      assert.isTrue(seen.aborted)
    }))

  it.effect("waits ten minutes for an answer, and longer for one that may be long", () =>
    Effect.gen(function*() {
      const waits = (row: SyncRow, before: number) =>
        Effect.gen(function*() {
          const { provider, seen } = hanging()
          const asking = yield* Effect.fork(Effect.flip(provider.complete(row)))
          yield* untilAsked(seen)
          yield* TestClock.adjust(before - 1)
          assert.isFalse(seen.aborted)
          yield* TestClock.adjust(1)
          const { mayBeCharged, reason } = yield* Fiber.join(asking)
          assert.deepStrictEqual([reason, mayBeCharged, seen.aborted], ["unreachable", true, true])
        })
      yield* waits(chatRow, 600_000)
      yield* waits(
        { ...chatRow, text: chatRow.text.replace("\"seed\"", "\"max_completion_tokens\":100000,\"seed\"") },
        3_400_000
      )
    }))
})

describe("Anthropic", () => {
  const message =
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\n\"content\":[{\"type\":\"text\",\"text\":\"4\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":3,\"cache_read_input_tokens\":90,\"output_tokens\":2}}"

  it.effect("sends the params of the row with its betas, and keeps the message as it came", () =>
    Effect.gen(function*() {
      const { provider, sent } = anthropic(() =>
        text(message, 200, {
          date: "Fri, 20 Nov 2026 13:00:00 GMT",
          "anthropic-ratelimit-requests-limit": "50",
          "anthropic-ratelimit-requests-remaining": "0",
          "anthropic-ratelimit-requests-reset": "2026-11-20T13:00:30Z",
          "anthropic-ratelimit-output-tokens-limit": "8000",
          "anthropic-ratelimit-output-tokens-remaining": "7000",
          "anthropic-ratelimit-output-tokens-reset": "2026-11-20T13:00:10+00:00"
        })
      )
      const completion = yield* provider.complete(messageRow(21_333, ["effort-2025-11-24", "other-1"]))
      assert.strictEqual(sent.length, 1)
      assert.strictEqual(sent[0]?.url, "https://api.anthropic.com/v1/messages")
      assert.strictEqual(sent[0]?.headers.get("anthropic-beta"), "effort-2025-11-24,other-1")
      assert.strictEqual(sent[0]?.body, params(21_333))
      assert.strictEqual(
        completion.line,
        `{"custom_id":"k3f9a2x7qd-7","result":{"type":"succeeded","message":${message.replace("\n", " ")}}}`
      )
      assert.deepStrictEqual([completion.again, completion.tokens], [null, 5])
      assert.deepStrictEqual(completion.limits, [
        { kind: "requests", limit: 50, remaining: 0, resetMillis: 30_000 },
        { kind: "output-tokens", limit: 8_000, remaining: 7_000, resetMillis: 10_000 }
      ])
    }))

  it.effect("has a line for each error that the provider answers with, and for those of servers in between", () =>
    Effect.gen(function*() {
      const error = (type: string) =>
        JSON.stringify({ type: "error", error: { type, message: "No." }, request_id: "r" })
      const told = (status: number, body: string) =>
        Effect.gen(function*() {
          const { provider } = anthropic(() => text(body, status))
          const completion = yield* provider.complete(messageRow(100))
          const { code, outcome } = outcomeOf(provider, completion)
          assert.strictEqual(outcome, "errored")
          return [code, completion.again !== null, completion.line.includes(`"error":${body}}}`)]
        })
      assert.deepStrictEqual(yield* told(400, error("invalid_request_error")), ["invalid_request_error", false, true])
      assert.deepStrictEqual(yield* told(413, error("request_too_large")), ["request_too_large", false, true])
      assert.deepStrictEqual(yield* told(429, error("rate_limit_error")), ["rate_limit_error", true, true])
      assert.deepStrictEqual(yield* told(500, error("api_error")), ["api_error", true, true])
      assert.deepStrictEqual(yield* told(529, error("overloaded_error")), ["overloaded_error", true, true])
      assert.deepStrictEqual(yield* told(529, "<html>busy</html>"), ["overloaded_error", true, false])
      assert.deepStrictEqual(yield* told(503, "{\"message\":\"no upstream\"}"), ["api_error", true, false])
      const { reason } = yield* failure(anthropic(() => text(error("billing_error"), 402)).provider, messageRow(100))
      assert.strictEqual(reason, "refused")
    }))

  const events = (...list: ReadonlyArray<{ readonly type: string; readonly [name: string]: unknown }>) =>
    list.map((data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`)
  const input = "{\"sku\":12345678901234567890,\"n\":1.0}"
  const stream = [
    ...events(
      {
        type: "message_start",
        message: {
          id: "msg_1",
          type: "message",
          role: "assistant",
          model: "m",
          content: [],
          stop_reason: null,
          stop_sequence: null,
          new_field: { a: 1 },
          usage: { input_tokens: 10, cache_read_input_tokens: 4, output_tokens: 1, service_tier: "standard" }
        }
      },
      { type: "ping" },
      { type: "content_block_start", index: 0, content_block: { type: "thinking", thinking: "", signature: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "Let me " } },
      { type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking: "see 🙂" } },
      { type: "content_block_delta", index: 0, delta: { type: "signature_delta", signature: "EqQBCg==" } },
      { type: "content_block_stop", index: 0 },
      { type: "content_block_start", index: 1, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "Hel" } },
      { type: "content_block_delta", index: 1, delta: { type: "citations_delta", citation: { page: 1 } } },
      { type: "content_block_delta", index: 1, delta: { type: "text_delta", text: "lo" } },
      { type: "content_block_stop", index: 1 },
      { type: "content_block_start", index: 2, content_block: { type: "tool_use", id: "t", name: "f", input: {} } },
      { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: "" } },
      { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: input.slice(0, 12) } },
      { type: "content_block_delta", index: 2, delta: { type: "input_json_delta", partial_json: input.slice(12) } },
      { type: "content_block_stop", index: 2 },
      {
        type: "message_delta",
        delta: { stop_reason: "tool_use", stop_sequence: null },
        usage: { input_tokens: null, output_tokens: 50, output_tokens_details: { thinking_tokens: 9 } }
      },
      { type: "message_stop" }
    )
  ].join("")

  const streaming = (body: string) => () => {
    const bytes = Buffer.from(body)
    // Blocks of seven bytes: events, lines and characters are all cut somewhere.
    const blocks = Array.from({ length: Math.ceil(bytes.length / 7) }, (_, at) => bytes.subarray(at * 7, at * 7 + 7))
    return new Response(ReadableStream.from(blocks), {
      headers: { "content-type": "text/event-stream; charset=utf-8" }
    })
  }

  it.effect("streams an answer that may be longer than the API gives at once, and puts it together again", () =>
    Effect.gen(function*() {
      const { provider, sent } = anthropic(streaming(stream))
      const completion = yield* provider.complete(messageRow(21_334))
      assert.strictEqual(sent[0]?.body, `${params(21_334).slice(0, -1)},"stream":true}`)
      assert.include(completion.line, `"input":${input}`)
      assert.strictEqual(completion.tokens, 60)
      assert.deepStrictEqual(JSON.parse(completion.line.replace(input, "\"as it came\"")), {
        custom_id: "k3f9a2x7qd-7",
        result: {
          type: "succeeded",
          message: {
            id: "msg_1",
            type: "message",
            role: "assistant",
            model: "m",
            content: [
              { type: "thinking", thinking: "Let me see 🙂", signature: "EqQBCg==" },
              { type: "text", text: "Hello", citations: [{ page: 1 }] },
              { type: "tool_use", id: "t", name: "f", input: "as it came" }
            ],
            stop_reason: "tool_use",
            stop_sequence: null,
            new_field: { a: 1 },
            usage: {
              input_tokens: 10,
              cache_read_input_tokens: 4,
              output_tokens: 50,
              service_tier: "standard",
              output_tokens_details: { thinking_tokens: 9 }
            }
          }
        }
      })
      assert.strictEqual(outcomeOf(provider, completion).outcome, "succeeded")
    }))

  it.effect("looked for blocks one by one up to the index in the stream, and lost one that is beyond any list", () =>
    Effect.gen(function*() {
      for (const index of [9_007_199_254_740_991, 300_000_000]) {
        const { provider } = anthropic(streaming(stream.replaceAll("\"index\":2", `"index":${index}`)))
        const { line } = yield* provider.complete(messageRow(32_000))
        const { content } = JSON.parse(line).result.message
        assert.deepStrictEqual(
          [content.length, content[0].type, content[1].type, content[2]?.type],
          [3, "thinking", "text", "tool_use"]
        )
      }
    }))

  it.effect("takes a stream whose indexes make no sense for a lost answer", () =>
    Effect.gen(function*() {
      for (const index of ["-1", "0.5", "1e300", "\"2\"", "null", "1"]) {
        const body = stream.replaceAll("\"index\":2", `"index":${index}`)
        const { mayBeCharged, reason } = yield* failure(anthropic(streaming(body)).provider, messageRow(32_000))
        assert.deepStrictEqual([reason, mayBeCharged], ["unreachable", true], index)
      }
      const start = "\"type\":\"content_block_start\",\"index\":2"
      assert.include(stream, start)
      const body = stream.replace(start, start.replace("2", "3"))
      assert.strictEqual((yield* failure(anthropic(streaming(body)).provider, messageRow(32_000))).mayBeCharged, true)
    }))

  it.effect("takes a stream that was cut short, wherever, for a lost answer", () =>
    Effect.gen(function*() {
      for (let end = 0; end < stream.length; end += 97) {
        const { mayBeCharged, reason } = yield* failure(
          anthropic(streaming(stream.slice(0, end))).provider,
          messageRow(32_000)
        )
        assert.deepStrictEqual([reason, mayBeCharged], ["unreachable", true])
      }
    }))

  it.effect("takes an error in a stream for the row's error, whatever came before it", () =>
    Effect.gen(function*() {
      const error = { type: "error", error: { type: "overloaded_error", message: "Overloaded" }, request_id: "r" }
      const body = stream.slice(0, stream.indexOf("event: message_delta")) + events(error).join("")
      const { provider } = anthropic(streaming(body))
      const completion = yield* provider.complete(messageRow(32_000))
      assert.strictEqual(
        completion.line,
        `{"custom_id":"k3f9a2x7qd-7","result":{"type":"errored","error":${JSON.stringify(error)}}}`
      )
      assert.deepStrictEqual(completion.again, { afterMillis: null })
    }))

  it.effect("keeps a tool's input that ended in its middle", () =>
    Effect.gen(function*() {
      const body = stream.replace(JSON.stringify(input.slice(12)).slice(1, -1), "").replace(
        "\"tool_use\",\"stop_s",
        "\"max_tokens\",\"stop_s"
      )
      const { provider } = anthropic(streaming(body))
      const completion = yield* provider.complete(messageRow(32_000))
      const { result } = JSON.parse(completion.line)
      assert.deepStrictEqual(result.message.content[2], {
        type: "tool_use",
        id: "t",
        name: "f",
        input: {},
        partial_input: input.slice(0, 12)
      })
      assert.strictEqual(outcomeOf(provider, completion).outcome, "succeeded")
    }))
})
