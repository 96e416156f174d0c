import { APIConnectionError as AnthropicConnectionError, APIError as AnthropicError } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { APIConnectionError, APIConnectionTimeoutError, APIError } from "openai"
import { HttpTransportError } from "../../src/internal/HttpTransport.js"
import * as SdkError from "../../src/internal/SdkError.js"

const canary = "canary-9f8e7d6c5b4a"

const call: SdkError.Call = { provider: "openai", operation: "list batches", key: Redacted.make(canary) }

const answered = (status: number, body?: object, headers: Record<string, string> = {}, text?: string) =>
  APIError.generate(status, body, text, new Headers(headers))

const refusedConnection = new HttpTransportError({
  request: "POST https://api.example.com",
  problem: "connect ECONNREFUSED 127.0.0.1:1",
  code: "ECONNREFUSED",
  sent: false
})

const reset = new HttpTransportError({
  request: "POST https://api.example.com",
  problem: "socket hang up",
  code: "ECONNRESET",
  sent: true
})

describe("toSubmitError", () => {
  const classify = (error: unknown) => SdkError.toSubmitError(call, 0)(error)

  it("is refused only by a clear refusal", () => {
    const tags = (statuses: ReadonlyArray<number>) =>
      statuses.map((status) => `${status} ${classify(answered(status, { error: { message: "no" } }))._tag}`)
    assert.deepStrictEqual(tags([400, 401, 402, 403, 404, 405, 413, 415, 422, 431]), [
      "400 Refused",
      "401 Refused",
      "402 Refused",
      "403 Refused",
      "404 Refused",
      "405 Refused",
      "413 Refused",
      "415 Refused",
      "422 Refused",
      "431 Refused"
    ])
    assert.deepStrictEqual(tags([302, 408, 409, 429, 499, 500, 502, 503, 504, 529]), [
      "302 Unknown",
      "408 Unknown",
      "409 Unknown",
      "429 Unknown",
      "499 Unknown",
      "500 Unknown",
      "502 Unknown",
      "503 Unknown",
      "504 Unknown",
      "529 Unknown"
    ])
  })

  it("is not sent only when nothing left", () => {
    assert.strictEqual(classify(new APIConnectionError({ cause: refusedConnection }))._tag, "NotSent")
    assert.strictEqual(classify(new AnthropicConnectionError({ cause: refusedConnection }))._tag, "NotSent")
    assert.strictEqual(classify(new APIConnectionError({ cause: reset }))._tag, "Unknown")
    assert.strictEqual(classify(new APIConnectionTimeoutError())._tag, "Unknown")
    assert.strictEqual(classify(new SdkError.Unreadable(200, "no id"))._tag, "Unknown")
    assert.strictEqual(classify(new Error("what?"))._tag, "Unknown")
    assert.strictEqual(classify("a string")._tag, "Unknown")
  })

  it("keeps the provider's words, of either SDK", () => {
    const openai = classify(
      answered(400, { error: { message: "Bad file.", type: "invalid_request_error", code: "x_y" } })
    )
    assert.strictEqual(openai.detail, "Bad file. (x_y)")
    const anthropic = classify(
      AnthropicError.generate(
        400,
        { type: "error", error: { type: "invalid_request_error", message: "requests: too many" }, request_id: "req_1" },
        undefined,
        new Headers()
      )
    )
    assert.strictEqual(anthropic._tag, "Refused")
    assert.strictEqual(anthropic.detail, "requests: too many (invalid_request_error)")
    assert.strictEqual(
      classify(new APIConnectionError({ cause: refusedConnection })).detail,
      "POST https://api.example.com: connect ECONNREFUSED 127.0.0.1:1 (nothing was sent)"
    )
  })
})

describe("toProviderError", () => {
  const translate = (error: unknown, now = 0) => SdkError.toProviderError(call, now)(error)

  it("has a reason for every answer", () => {
    const reasons = (statuses: ReadonlyArray<number>) => statuses.map((status) => translate(answered(status)).reason)
    assert.deepStrictEqual(reasons([401, 403]), ["auth", "auth"])
    assert.deepStrictEqual(reasons([404, 410]), ["gone", "gone"])
    assert.deepStrictEqual(reasons([429]), ["rate-limited"])
    assert.deepStrictEqual(reasons([400, 413, 422]), ["refused", "refused", "refused"])
    assert.deepStrictEqual(reasons([408, 409, 500, 503]), ["unreachable", "unreachable", "unreachable", "unreachable"])
    assert.deepStrictEqual(reasons([302]), ["unexpected"])
    assert.strictEqual(translate(new APIConnectionError({ cause: reset })).reason, "unreachable")
    assert.strictEqual(translate(new SdkError.Unreadable(200, "not JSON: <html>")).reason, "unexpected")
  })

  it("reads Retry-After in all its forms", () => {
    const wait = (headers: Record<string, string>, now = 0) =>
      translate(answered(429, undefined, headers), now).retryAfterMillis
    assert.strictEqual(wait({ "retry-after": "7" }), 7_000)
    assert.strictEqual(wait({ "retry-after-ms": "250", "retry-after": "7" }), 250)
    assert.strictEqual(wait({ "retry-after": "99999999" }), 99_999_999_000)
    assert.strictEqual(wait({}), null)
    assert.strictEqual(wait({ "retry-after": "soon" }), null)
    assert.strictEqual(wait({ "retry-after": "-5" }), null)
    const date = { "retry-after": "Fri, 20 Nov 2026 10:00:30 GMT" }
    assert.strictEqual(wait(date, Date.UTC(2026, 10, 20, 10, 0, 0)), 30_000)
    assert.strictEqual(wait({ ...date, date: "Fri, 20 Nov 2026 10:00:20 GMT" }, Date.UTC(2030, 0, 1)), 10_000)
    assert.strictEqual(wait(date, Date.UTC(2030, 0, 1)), 0)
  })

  it("names an HTML page by its title", () => {
    const page = "<!DOCTYPE html><html><head><title>502 Bad\n Gateway</title></head><body>nginx</body></html>"
    assert.strictEqual(translate(answered(502, undefined, {}, page)).detail, "an HTML page: 502 Bad Gateway")
  })

  it("gives no secret away", () => {
    const echoes = [
      answered(401, { error: { message: `Incorrect API key provided: ${canary}.`, code: `code-${canary}` } }),
      answered(500, undefined, {}, `Authorization: Bearer ${canary}`),
      new APIConnectionError({ cause: new TypeError(`invalid header value "Bearer ${canary}"`) }),
      new SdkError.Unreadable(200, `not JSON: ${canary}`),
      new Error("x".repeat(495) + canary)
    ]
    for (const error of echoes) {
      const { message } = translate(error)
      assert.notInclude(message, "canary-9f")
      assert.notInclude(SdkError.toSubmitError(call, 0)(error).message, "canary-9f")
    }
    assert.strictEqual(
      SdkError.redact(
        "Bad key sk-proj-abc_DEF-123 at https://me:pw@files.example.com/a?sig=s3cret#x, sorry",
        undefined
      ),
      "Bad key sk-*** at https://***@files.example.com/a sorry"
    )
  })

  it("takes what a server does not have for a refusal, and says so when it gives no reason", () => {
    const error = translate(answered(501, { detail: "Not Implemented" }))
    assert.deepStrictEqual([error.reason, error.detail], ["refused", "the server gives no reason"])
  })

  it("keeps a long answer short", () => {
    assert.strictEqual(translate(answered(500, undefined, {}, "y".repeat(10_000))).detail, `${"y".repeat(500)}...`)
  })
})

describe("reading", () => {
  it.effect("measures a date by the clock of the context", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 10, 20, 10, 0, 0))
      const error = yield* Effect.flip(
        SdkError.reading(call, () =>
          Promise.reject(answered(503, undefined, { "retry-after": "Fri, 20 Nov 2026 10:01:00 GMT" })))
      )
      assert.strictEqual(error.retryAfterMillis, 60_000)
      assert.strictEqual(error.operation, "list batches")
    }))

  it.effect("reads JSON whatever its content type says, and says what it is not", () =>
    Effect.gen(function*() {
      const read = (text: string) =>
        Effect.match(SdkError.reading(call, () => SdkError.readJson(new Response(text))), {
          onSuccess: (value) => `JSON ${JSON.stringify(value)}`,
          onFailure: (error) => error.detail
        })
      assert.strictEqual(yield* read("{\"a\":1}"), "JSON {\"a\":1}")
      assert.strictEqual(yield* read(""), "an empty answer")
      assert.strictEqual(yield* read("{\"a\":"), "not JSON: {\"a\":")
    }))

  it.effect("gives up an answer that trickles, never ends, or breaks", () =>
    Effect.gen(function*() {
      const read = (body: ReadableStream<Uint8Array>) =>
        SdkError.reading(call, () => SdkError.readJson(new Response(body), { bytes: 10_000, millis: 50 })).pipe(
          Effect.as("it was read"),
          Effect.flip
        )
      const cancelled: Array<string> = []
      const trickling = yield* read(
        new ReadableStream({
          start: (controller) => controller.enqueue(Buffer.from("{")),
          cancel: () => void cancelled.push("trickling")
        })
      )
      assert.strictEqual(trickling.detail, "the answer did not come to its end within 0.05 seconds")
      assert.strictEqual(trickling.reason, "unreachable")
      const endless = yield* read(
        new ReadableStream({
          pull: (controller) => controller.enqueue(Buffer.alloc(1_000, " ")),
          cancel: () => void cancelled.push("endless")
        })
      )
      assert.strictEqual(endless.detail, "the answer is longer than 10000 bytes")
      assert.strictEqual(endless.reason, "unexpected")
      assert.deepStrictEqual(cancelled, ["trickling", "endless"])
      const broken = yield* read(new ReadableStream({ start: (controller) => controller.error(reset) }))
      assert.strictEqual(broken.detail, reset.message)
    }))
})
