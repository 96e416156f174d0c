import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck } from "effect"
import type { Failed, Succeeded } from "../../src/Outcome.js"
import { decode } from "../../src/provider/AnthropicDecode.js"

const line = (result: unknown, custom_id: unknown = "tag-1") => JSON.stringify({ custom_id, result })

const outcome = (text: string) => Either.getOrThrowWith(decode(text), (bad) => new Error(bad.problem)).outcome

const answered = (message: object): Succeeded => {
  const decoded = outcome(line({ type: "succeeded", message: { id: "msg_1", model: "m", ...message } }))
  if (decoded.outcome !== "succeeded") throw new Error(decoded.outcome)
  return decoded
}

const failed = (error: unknown): Failed => {
  const decoded = outcome(line({ type: "errored", error }))
  if (decoded.outcome === "succeeded") throw new Error("succeeded")
  return decoded
}

/** The parts of an answer's body that the message is made of. */
const choice = (message: object) => {
  const body = JSON.parse(JSON.stringify(answered(message).body))
  return { ...body.choices[0].message, finish_reason: body.choices[0].finish_reason }
}

const bad = (text: string) => Either.getOrThrow(Either.flip(decode(text)))

describe("AnthropicDecode", () => {
  it("gives a chat.completion of a message with thinking, text, a tool call and cached tokens", () => {
    const text =
      "{\"custom_id\":\"doc-1\",\"result\":{\"type\":\"succeeded\",\"message\":{\"id\":\"msg_01AbC\",\"type\":\"message\","
      + "\"role\":\"assistant\",\"model\":\"claude-sonnet-5-5\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
      + "\"Check the date.\",\"signature\":\"EqQBCg==\"},{\"type\":\"text\",\"text\":\"Looking it up.\",\"citations\":null},"
      + "{\"type\":\"tool_use\",\"id\":\"toolu_01X\",\"name\":\"lookup\",\"input\":{\"sku\":\"A-1\"}}],\"stop_reason\":"
      + "\"tool_use\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":412,\"cache_creation_input_tokens\":2048,"
      + "\"cache_read_input_tokens\":1024,\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,"
      + "\"ephemeral_1h_input_tokens\":2048},\"output_tokens\":188,\"output_tokens_details\":{\"thinking_tokens\":100},"
      + "\"service_tier\":\"batch\"}}}}"
    const decoded = Either.getOrThrow(decode(text))
    assert.strictEqual(decoded.wireId, "doc-1")
    assert.deepStrictEqual(JSON.parse(JSON.stringify(decoded.outcome)), {
      outcome: "succeeded",
      id: null,
      statusCode: 200,
      requestId: null,
      refused: false,
      truncated: false,
      body: {
        id: "msg_01AbC",
        object: "chat.completion",
        created: 0,
        model: "claude-sonnet-5-5",
        choices: [{
          index: 0,
          message: {
            role: "assistant",
            content: "Looking it up.",
            reasoning_content: "Check the date.",
            refusal: null,
            tool_calls: [
              { id: "toolu_01X", type: "function", function: { name: "lookup", arguments: "{\"sku\":\"A-1\"}" } }
            ]
          },
          logprobs: null,
          finish_reason: "tool_calls"
        }],
        usage: {
          prompt_tokens: 3_484,
          completion_tokens: 188,
          total_tokens: 3_672,
          prompt_tokens_details: { cached_tokens: 1_024 },
          completion_tokens_details: { reasoning_tokens: 100 }
        },
        provider_usage: {
          input_tokens: 412,
          cache_creation_input_tokens: 2_048,
          cache_read_input_tokens: 1_024,
          cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 2_048 },
          output_tokens: 188,
          output_tokens_details: { thinking_tokens: 100 },
          service_tier: "batch"
        }
      }
    })
  })

  const reasons: ReadonlyArray<readonly [unknown, string, boolean]> = [
    ["end_turn", "stop", false],
    ["stop_sequence", "stop", false],
    ["pause_turn", "stop", false],
    ["max_tokens", "length", true],
    ["model_context_window_exceeded", "length", true],
    ["tool_use", "tool_calls", false],
    ["refusal", "content_filter", false],
    ["something_new", "stop", false],
    [null, "stop", false]
  ]
  for (const [stopReason, finishReason, truncated] of reasons) {
    it(`reads the stop reason ${String(stopReason)}`, () => {
      const message = { content: [{ type: "text", text: "A" }], stop_reason: stopReason }
      assert.strictEqual(choice(message).finish_reason, finishReason)
      assert.strictEqual(answered(message).truncated, truncated)
      assert.strictEqual(answered(message).refused, stopReason === "refusal")
    })
  }

  it("stitches text and thinking, and passes over what a server's tool left", () => {
    const message = choice({
      content: [
        { type: "thinking", thinking: "First.", signature: "a" },
        { type: "redacted_thinking", data: "xyz" },
        { type: "text", text: "The sky " },
        { type: "server_tool_use", id: "s1", name: "web_search", input: {} },
        { type: "web_search_tool_result", tool_use_id: "s1", content: [] },
        { type: "thinking", thinking: "Second.", signature: "b" },
        { type: "text", text: "is blue." },
        "nonsense"
      ],
      stop_reason: "end_turn"
    })
    assert.strictEqual(message.content, "The sky is blue.")
    assert.strictEqual(message.reasoning_content, "First.\nSecond.")
  })

  it("gives a refusal its text, the provider's explanation, or a sentence", () => {
    const refusal = (message: object) => {
      const { content, refusal } = choice({ stop_reason: "refusal", ...message })
      return [content, refusal]
    }
    const stop_details = { type: "refusal", category: null, explanation: "Not this one." }
    assert.deepStrictEqual(refusal({ content: [{ type: "text", text: "I can't." }], stop_details }), [
      "I can't.",
      "I can't."
    ])
    assert.deepStrictEqual(refusal({ content: [], stop_details }), ["", "Not this one."])
    assert.deepStrictEqual(refusal({ content: [] }), ["", "The model declined to answer."])
  })

  it("makes text well-formed", () => {
    const message = choice({
      content: [
        { type: "text", text: "a\ud800b \ud83d" },
        { type: "text", text: "\ude42" },
        { type: "thinking", thinking: "\udc00" },
        { type: "tool_use", id: "t\ud800", name: "n", input: { a: "\ud800" } }
      ]
    })
    assert.strictEqual(message.content, "a\ufffdb 🙂")
    assert.strictEqual(message.reasoning_content, "\ufffd")
    assert.strictEqual(message.tool_calls[0].id, "t\ufffd")
    assert.strictEqual(message.tool_calls[0].function.arguments, "{\"a\":\"\\ud800\"}")
  })

  it("keeps every digit of a tool's input", () => {
    const argumentsOf = (input: string) => {
      const text = `{"custom_id":"a","result":{"type":"succeeded","message":{"content":[{"type":"text","text":"A"},`
        + `{"type":"tool_use","id":"t","name":"n","input":${input}}]}}}`
      return JSON.parse(JSON.stringify(outcome(text))).body.choices[0].message.tool_calls[0].function.arguments
    }
    assert.strictEqual(argumentsOf("{\"id\": 1234567890123456789}"), "{\"id\": 1234567890123456789}")
    assert.strictEqual(argumentsOf("{\"id\": 12}"), "{\"id\":12}")
    assert.strictEqual(argumentsOf("null"), "{}")
  })

  it("takes usage with nulls, nonsense or nothing", () => {
    const usage = (value: unknown) => JSON.parse(JSON.stringify(answered({ content: [], usage: value }).body)).usage
    assert.deepStrictEqual(
      usage({
        input_tokens: 5,
        cache_creation_input_tokens: null,
        cache_read_input_tokens: -1,
        output_tokens: "7",
        output_tokens_details: null
      }),
      {
        prompt_tokens: 5,
        completion_tokens: 0,
        total_tokens: 5,
        prompt_tokens_details: { cached_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 0 }
      }
    )
    assert.isUndefined(usage(null))
    assert.isUndefined(usage([]))
  })

  const errors: ReadonlyArray<readonly [string, number, boolean]> = [
    ["invalid_request_error", 400, false],
    ["authentication_error", 401, false],
    ["billing_error", 402, false],
    ["permission_error", 403, false],
    ["not_found_error", 404, false],
    ["request_too_large", 413, false],
    ["rate_limit_error", 429, true],
    ["api_error", 500, true],
    ["timeout_error", 504, true],
    ["overloaded_error", 529, true],
    ["something_new", 400, false]
  ]
  for (const [type, statusCode, retryable] of errors) {
    it(`reads the error ${type}`, () => {
      const error = { type: "error", error: { type, message: "Because." }, request_id: "req_1" }
      assert.deepStrictEqual(failed(error), {
        outcome: "errored",
        id: null,
        code: type,
        message: "Because.",
        retryable,
        response: { statusCode, requestId: "req_1", body: error }
      })
    })
  }

  it("reads errors of other shapes", () => {
    assert.deepStrictEqual(failed({ type: "overloaded_error", message: "Busy" }), {
      outcome: "errored",
      id: null,
      code: "overloaded_error",
      message: "Busy",
      retryable: true,
      response: { statusCode: 529, requestId: null, body: { type: "overloaded_error", message: "Busy" } }
    })
    assert.deepStrictEqual(failed(undefined), {
      outcome: "errored",
      id: null,
      code: "unknown_error",
      message: "The provider gives no reason",
      retryable: false,
      response: { statusCode: 400, requestId: null, body: {} }
    })
  })

  it("reads rows that were never asked", () => {
    assert.deepStrictEqual(outcome(line({ type: "expired" })), {
      outcome: "expired",
      id: null,
      code: "batch_expired",
      message: "The batch expired before its turn came",
      retryable: true,
      response: null
    })
    assert.deepStrictEqual(outcome(line({ type: "canceled" })), {
      outcome: "cancelled",
      id: null,
      code: "batch_cancelled",
      message: "The batch was cancelled before its turn came",
      retryable: true,
      response: null
    })
  })

  it("costs one row where a line cannot be understood", () => {
    assert.deepStrictEqual(bad("{\"custom_id\":\"a\",\"resu"), { wireId: null, problem: "it is not JSON" })
    assert.deepStrictEqual(bad("[]"), { wireId: null, problem: "it has no custom_id" })
    assert.deepStrictEqual(bad(line({ type: "expired" }, 5)), { wireId: null, problem: "it has no custom_id" })
    assert.deepStrictEqual(bad("{\"custom_id\":\"a\"}"), { wireId: "a", problem: "it has no result" })
    assert.deepStrictEqual(bad(line({ type: "lost" })), { wireId: "tag-1", problem: "its result is of no known type" })
    assert.deepStrictEqual(bad(line({ type: "succeeded" })), {
      wireId: "tag-1",
      problem: "it succeeded without a message"
    })
  })

  it("survives whatever is nested too deeply", () => {
    const bomb = "{\"a\":".repeat(20_000) + "1" + "}".repeat(20_000)
    const of = (message: string) => `{"custom_id":"tag-1","result":{"type":"succeeded","message":${message}}}`
    assert.deepStrictEqual(bad(of(`{"content":[{"type":"tool_use","id":"t","name":"n","input":${bomb}}]}`)), {
      wireId: "tag-1",
      problem: "its message is nested too deeply"
    })
    const usage = outcome(of(`{"content":"A","usage":${bomb}}`))
    assert.notInclude(JSON.stringify(usage), "provider_usage")
    const error = outcome(
      `{"custom_id":"tag-1","result":{"type":"errored","error":{"error":{"type":"api_error"},"x":${bomb}}}}`
    )
    assert.deepStrictEqual(error.outcome === "errored" ? [error.code, error.response?.body] : [], ["api_error", {}])
  })

  it("never throws, and what it gives can be printed", () => {
    const message = FastCheck.dictionary(
      FastCheck.constantFrom("id", "model", "content", "stop_reason", "usage", "stop_details"),
      FastCheck.jsonValue()
    )
    const result = FastCheck.oneof(
      FastCheck.jsonValue(),
      message.map((message) => ({ type: "succeeded", message })),
      FastCheck.jsonValue().map((error) => ({ type: "errored", error }))
    )
    FastCheck.assert(FastCheck.property(result, FastCheck.string(), (result, text) => {
      assert.isString(JSON.stringify(decode(line(result))))
      assert.isTrue(Either.isLeft(decode(`x${text}`)))
    }))
  })
})
