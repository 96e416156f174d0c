import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import { withoutKey } from "../../src/internal/RowRedaction.js"
import * as Anthropic from "../../src/provider/AnthropicDecode.js"
import * as OpenAi from "../../src/provider/OpenAiDecode.js"

const canary = "123456789"

const line = (response: object | null, error: object | null = null) =>
  JSON.stringify({ id: `batch_req_${canary}`, custom_id: "k3f9a2x7qd-1", response, error })

const outcomeOf = (decode: typeof OpenAi.decode, text: string, key = canary) => {
  const decoded = withoutKey(decode, Redacted.make(key))(text)
  return Either.isRight(decoded) ? decoded.right.outcome : assert.fail("the line is not read")
}

describe("a key that a server repeats", () => {
  it("in the error of a row is taken out of all that is known of it, and nothing else is", () => {
    const body = {
      error: { message: `bad key ${canary}`, code: canary, nested: [{ [canary]: canary, number: 123456789 }] },
      __proto__: null
    }
    const failed = outcomeOf(OpenAi.decode, line({ status_code: 401, request_id: `req_${canary}`, body }))
    assert.strictEqual(failed.outcome, "errored")
    const written = JSON.stringify(failed)
    assert.strictEqual(written.split(canary).length - 1, 1)
    assert.include(written, "\"number\":123456789")
    assert.include(written, "\"message\":\"bad key ***\"")
    assert.include(written, "{\"***\":\"***\"")
  })

  it("in characters written by their number is taken out too", () => {
    const escaped = line(null, { code: "no", message: "bad key KEY" }).replace("KEY", "\\u0031" + canary.slice(1))
    assert.notInclude(JSON.stringify(outcomeOf(OpenAi.decode, escaped)), canary)
  })

  it("in an error of Anthropic's is taken out", () => {
    const text = JSON.stringify({
      custom_id: "k3f9a2x7qd-1",
      result: { type: "errored", error: { type: "error", error: { type: "api_error", message: `bad key ${canary}` } } }
    })
    const failed = outcomeOf(Anthropic.decode, text)
    assert.include(JSON.stringify(failed), "bad key ***")
    assert.notInclude(JSON.stringify(failed), canary)
  })

  it("stays in an answer, which is paid for", () => {
    const answer = {
      id: "chatcmpl-1",
      object: "chat.completion",
      created: 1,
      model: "m",
      choices: [{ index: 0, message: { role: "assistant", content: canary }, finish_reason: "stop" }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
    }
    const succeeded = outcomeOf(OpenAi.decode, line({ status_code: 200, request_id: "req_1", body: answer }))
    assert.strictEqual(succeeded.outcome, "succeeded")
    assert.include(JSON.stringify(succeeded), canary)
  })

  it("is no key when it is shorter than any", () => {
    const failed = outcomeOf(OpenAi.decode, line(null, { code: "no", message: "no key" }), "key")
    assert.include(JSON.stringify(failed), "no key")
  })

  it("is taken out of what is nested deeply too", () => {
    const deep = `${"[".repeat(100)}"${canary}"${"]".repeat(100)}`
    const response = `{"status_code":500,"request_id":null,"body":{"x":${deep}}}`
    const failed = outcomeOf(
      OpenAi.decode,
      `{"id":null,"custom_id":"k3f9a2x7qd-1","response":${response},"error":null}`
    )
    assert.notInclude(JSON.stringify(failed), canary)
  })
})
