import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as Either from "effect/Either"
import { decode } from "../../src/provider/OpenAiDecode.js"
import * as HeritageParser from "../HeritageParser.js"

const right = (line: string) => {
  const decoded = decode(line)
  if (Either.isLeft(decoded)) throw new Error(decoded.left.problem)
  return decoded.right
}

const answered = (line: string) => {
  const { outcome } = right(line)
  if (outcome.outcome !== "succeeded") throw new Error(`${outcome.outcome}: ${outcome.message}`)
  return outcome
}

const unanswered = (line: string) => {
  const { outcome } = right(line)
  if (outcome.outcome === "succeeded") throw new Error("it succeeded")
  return outcome
}

const left = (line: string) => {
  const decoded = decode(line)
  if (Either.isRight(decoded)) throw new Error(`understood: ${JSON.stringify(decoded.right)}`)
  return decoded.left
}

const line = (body: unknown, status: unknown = 200) =>
  JSON.stringify({
    id: "batch_req_1",
    custom_id: "run-1",
    response: { status_code: status, request_id: "req_1", body },
    error: null
  })

const message = (text: string, fields: object = {}) => ({
  id: "msg_1",
  type: "message",
  status: "completed",
  role: "assistant",
  content: [{ type: "output_text", text, annotations: [] }],
  ...fields
})

const response = (output: ReadonlyArray<unknown>, fields: object = {}) => ({
  id: "resp_1",
  object: "response",
  created_at: 1795161600,
  status: "completed",
  error: null,
  incomplete_details: null,
  model: "gpt-5-mini",
  output,
  usage: null,
  ...fields
})

interface Choice {
  readonly [name: string]: unknown
  readonly finish_reason: string
  readonly logprobs?: unknown
  readonly message: {
    readonly [name: string]: unknown
    readonly content: unknown
    readonly refusal?: string | null
    readonly reasoning_content?: string
    readonly tool_calls?: unknown
  }
}

/** The first choice of the answer in a line. */
const choice = (text: string): Choice => JSON.parse(JSON.stringify(answered(text).body)).choices[0]

describe("a Chat Completions answer", () => {
  const body =
    "{\"id\":\"chatcmpl-9a\",\"object\":\"chat.completion\",\"created\":1795161600,\"model\":\"gpt-4.1-mini\","
    + "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"4 \\ud83d\\ude00\",\"refusal\":null},"
    + "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":24,\"completion_tokens\":1,"
    + "\"total_tokens\":25},\"big\":12345678901234567890,\"one\": 1.0}"
  const whole =
    `{"id":"batch_req_1","custom_id":"run-1","response":{"status_code":200,"request_id":"req_1","body":${body}},`
    + "\"error\":null}"

  it("is given as its own text when it is in order", () => {
    const { outcome, wireId } = right(whole)
    assert.strictEqual(wireId, "run-1")
    assert.deepStrictEqual(outcome, {
      outcome: "succeeded",
      id: "batch_req_1",
      statusCode: 200,
      requestId: "req_1",
      body: JSON.parse(body),
      bodyText: body,
      refused: false,
      truncated: false
    })
  })

  it("keeps all choices", () => {
    const two = line({
      object: "chat.completion",
      choices: [
        { index: 0, message: { content: "a" }, finish_reason: "stop" },
        { index: 1, message: { content: "b" }, finish_reason: "length" }
      ]
    })
    assert.strictEqual(
      answered(two).bodyText,
      "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"},"
        + "{\"index\":1,\"message\":{\"content\":\"b\"},\"finish_reason\":\"length\"}]}"
    )
    assert.isTrue(answered(two).truncated)
  })

  it("always has a string for content", () => {
    const withMessage = (fields: object) =>
      line({
        object: "chat.completion",
        choices: [{ message: { role: "assistant", ...fields }, finish_reason: "stop" }]
      })
    const calls = [{ id: "call_1", type: "function", function: { name: "f", arguments: "{}" } }]
    assert.deepStrictEqual(choice(withMessage({ content: null, tool_calls: calls })), {
      message: { role: "assistant", content: "", tool_calls: calls },
      finish_reason: "stop"
    })
    assert.strictEqual(choice(withMessage({})).message.content, "")
    assert.deepStrictEqual(
      choice(withMessage({ content: [{ type: "text", text: "a" }, { type: "text", text: "b" }], extra: 1 })).message,
      { role: "assistant", content: "ab", extra: 1 }
    )
    assert.strictEqual(answered(withMessage({ content: null })).bodyText, undefined)
  })

  it("loses lone surrogates, and nothing else, to a remake", () => {
    const lone = whole.replace("4 \\ud83d\\ude00", "4 \\ud83d")
    assert.strictEqual(answered(lone).bodyText, undefined)
    assert.strictEqual(choice(lone).message.content, "4 \ufffd")
    const elsewhere = whole.replace("\"refusal\":null", "\"reasoning_content\":\"\\ude00\"")
    assert.strictEqual(choice(elsewhere).message.reasoning_content, "\ufffd")
  })

  it("is refused when it says so, and truncated at the limit", () => {
    const refusal = answered(line({
      object: "chat.completion",
      choices: [{ message: { content: null, refusal: "No." }, finish_reason: "stop" }]
    }))
    assert.isTrue(refusal.refused)
    assert.isFalse(refusal.truncated)
    const cut = answered(
      line({ object: "chat.completion", choices: [{ message: { content: "So" }, finish_reason: "length" }] })
    )
    assert.isTrue(cut.truncated)
    assert.isFalse(cut.refused)
  })

  it("has usage by its usual names, beside the server's own", () => {
    const { body } = answered(line({
      object: "chat.completion",
      choices: [{ message: { content: "a" }, finish_reason: "stop" }],
      usage: { input_tokens: 3, output_tokens: 4, seconds: 1 }
    }))
    assert.deepStrictEqual(body.usage, {
      input_tokens: 3,
      output_tokens: 4,
      seconds: 1,
      prompt_tokens: 3,
      completion_tokens: 4,
      total_tokens: 7
    })
    assert.deepStrictEqual(body.provider_usage, { input_tokens: 3, output_tokens: 4, seconds: 1 })
  })

  it("may be of the older kind", () => {
    assert.deepStrictEqual(
      choice(line({ object: "text_completion", choices: [{ index: 0, text: "4", finish_reason: "stop" }] })),
      {
        index: 0,
        text: "4",
        message: { role: "assistant", content: "4", refusal: null },
        finish_reason: "stop"
      }
    )
  })
})

describe("a Responses answer", () => {
  it("becomes a chat completion", () => {
    const text =
      "{\"id\":\"batch_req_2\",\"custom_id\":\"run-2\",\"response\":{\"status_code\":200,\"request_id\":\"req_2\",\"body\":"
      + "{\"id\":\"resp_0a1\",\"object\":\"response\",\"created_at\":1795161600,\"status\":\"completed\",\"error\":null,"
      + "\"incomplete_details\":null,\"model\":\"gpt-5-mini\",\"output\":[{\"id\":\"rs_0a1\",\"type\":\"reasoning\",\"summary\":"
      + "[{\"type\":\"summary_text\",\"text\":\"Add.\"},{\"type\":\"summary_text\",\"text\":\"Done.\"}]},"
      + "{\"id\":\"msg_0a1\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":"
      + "[{\"type\":\"output_text\",\"text\":\"4\",\"annotations\":[],\"logprobs\":[]}]}],\"usage\":{\"input_tokens\":30,"
      + "\"input_tokens_details\":{\"cached_tokens\":10},\"output_tokens\":70,\"output_tokens_details\":"
      + "{\"reasoning_tokens\":64},\"total_tokens\":100}}},\"error\":null}"
    assert.deepStrictEqual(right(text), {
      wireId: "run-2",
      outcome: {
        outcome: "succeeded",
        id: "batch_req_2",
        statusCode: 200,
        requestId: "req_2",
        refused: false,
        truncated: false,
        body: {
          id: "resp_0a1",
          object: "chat.completion",
          created: 1795161600,
          model: "gpt-5-mini",
          choices: [{
            index: 0,
            message: { role: "assistant", content: "4", reasoning_content: "Add.\n\nDone.", refusal: null },
            logprobs: null,
            finish_reason: "stop"
          }],
          usage: {
            prompt_tokens: 30,
            completion_tokens: 70,
            total_tokens: 100,
            prompt_tokens_details: { cached_tokens: 10 },
            completion_tokens_details: { reasoning_tokens: 64 }
          },
          provider_usage: {
            input_tokens: 30,
            input_tokens_details: { cached_tokens: 10 },
            output_tokens: 70,
            output_tokens_details: { reasoning_tokens: 64 },
            total_tokens: 100
          }
        }
      }
    })
  })

  it("takes the last whole message, and joins the parts of one", () => {
    const content = (...output: ReadonlyArray<unknown>) => choice(line(response(output))).message.content
    assert.strictEqual(content(message("{\"a\":"), message("{\"a\":1}")), "{\"a\":1}")
    assert.strictEqual(content(message("{\"a\":1}"), message("{\"a", { status: "incomplete" })), "{\"a\":1}")
    assert.strictEqual(content(message("the answer"), message("")), "the answer")
    assert.strictEqual(
      content(message("done", { phase: "final_answer" }), message("hm", { phase: "commentary" })),
      "done"
    )
    assert.strictEqual(content(message("hm", { phase: "commentary" })), "hm")
    assert.strictEqual(
      content(message("", { content: [{ type: "output_text", text: "a" }, { type: "output_text", text: "b" }] })),
      "ab"
    )
    assert.strictEqual(content(message("", { content: "plain" })), "plain")
    assert.strictEqual(content(), "")
  })

  it("calls tools", () => {
    const { finish_reason, message } = choice(line(response([
      {
        type: "function_call",
        id: "fc_1",
        call_id: "call_1",
        name: "look",
        arguments: "{\"x\":1}",
        status: "completed"
      },
      { type: "custom_tool_call", id: "ct_1", call_id: "call_2", name: "say", input: "hi" },
      { type: "web_search_call", id: "ws_1", status: "completed" }
    ])))
    assert.strictEqual(finish_reason, "tool_calls")
    assert.strictEqual(message.content, "")
    assert.deepStrictEqual(message.tool_calls, [
      { id: "call_1", type: "function", function: { name: "look", arguments: "{\"x\":1}" } },
      { id: "call_2", type: "function", function: { name: "say", arguments: "\"hi\"" } }
    ])
  })

  it("is refused", () => {
    const refused = line(response([message("", { content: [{ type: "refusal", refusal: "I cannot." }] })]))
    assert.isTrue(answered(refused).refused)
    assert.strictEqual(choice(refused).message.refusal, "I cannot.")
    assert.strictEqual(choice(refused).message.content, "")
    assert.strictEqual(choice(refused).finish_reason, "stop")
  })

  it("is cut short", () => {
    const cut = (reason: string | null) =>
      line(response([message("So far", { status: "incomplete" })], {
        status: "incomplete",
        incomplete_details: reason === null ? null : { reason }
      }))
    assert.isTrue(answered(cut("max_output_tokens")).truncated)
    assert.strictEqual(choice(cut("max_output_tokens")).finish_reason, "length")
    assert.strictEqual(choice(cut("max_output_tokens")).message.content, "So far")
    assert.strictEqual(choice(cut(null)).finish_reason, "length")
    assert.isFalse(answered(cut("content_filter")).truncated)
    assert.strictEqual(choice(cut("content_filter")).finish_reason, "content_filter")
  })

  it("keeps log probabilities and the thoughts themselves", () => {
    const logprobs = [{ token: "4", logprob: -0.1, bytes: [52], top_logprobs: [] }]
    const thinking = {
      type: "reasoning",
      summary: [{ type: "summary_text", text: "short" }],
      content: [{ type: "reasoning_text", text: "long" }]
    }
    const answer = choice(
      line(response([thinking, message("", { content: [{ type: "output_text", text: "4", logprobs }] })]))
    )
    assert.deepStrictEqual(answer.logprobs, { content: logprobs, refusal: null })
    assert.strictEqual(answer.message.reasoning_content, "long")
  })

  it("is an error when it failed", () => {
    const failed = unanswered(
      line(response([], { status: "failed", error: { code: "server_error", message: "Oops." } }))
    )
    assert.strictEqual(failed.outcome, "errored")
    assert.strictEqual(failed.code, "server_error")
    assert.strictEqual(failed.message, "Oops.")
    assert.isTrue(failed.retryable)
    assert.strictEqual(failed.response?.body.status, "failed")
    const prompt = unanswered(
      line(response([], { status: "failed", error: { code: "invalid_prompt", message: "No." } }))
    )
    assert.isFalse(prompt.retryable)
    const cancelled = unanswered(line(response([], { status: "cancelled" })))
    assert.strictEqual(cancelled.outcome, "errored")
    assert.strictEqual(cancelled.code, "response_cancelled")
  })

  it("may have no whole numbers, dates or names", () => {
    const bare = answered(line({ output: [message("4")], created_at: 1795161600.75, usage: { input_tokens: 1 } }))
    assert.strictEqual(bare.body.created, 1795161600)
    assert.strictEqual(bare.body.model, "")
    assert.deepStrictEqual(bare.body.usage, {
      prompt_tokens: 1,
      completion_tokens: 0,
      total_tokens: 1,
      prompt_tokens_details: { cached_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0 }
    })
  })
})

describe("other answers", () => {
  it("are their own form", () => {
    const embedding =
      "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.10, -1e-7]}],"
      + "\"model\":\"text-embedding-3-small\",\"usage\":{\"prompt_tokens\":2,\"total_tokens\":2}}"
    const text = `{"custom_id":"run-3","response":{"status_code":200,"body":${embedding}}}`
    assert.strictEqual(answered(text).bodyText, embedding)
    assert.strictEqual(
      answered(line({ results: [{ flagged: false }] })).bodyText,
      "{\"results\":[{\"flagged\":false}]}"
    )
  })

  it("may come as text in a string, or without a status", () => {
    const body = { object: "chat.completion", choices: [{ message: { content: "a" }, finish_reason: "stop" }] }
    assert.deepStrictEqual(answered(line(JSON.stringify(body))).body, body)
    assert.strictEqual(answered(line(body, null)).statusCode, 200)
    assert.strictEqual(answered(line(body, "200")).statusCode, 200)
  })
})

describe("an error", () => {
  it("is told by the status", () => {
    const text =
      "{\"id\":\"batch_req_4\",\"custom_id\":\"d\",\"response\":{\"status_code\":400,\"request_id\":\"req_4\",\"body\":"
      + "{\"error\":{\"message\":\"max_tokens is too large\",\"type\":\"invalid_request_error\",\"param\":\"max_tokens\","
      + "\"code\":\"invalid_value\"}}},\"error\":null}"
    assert.deepStrictEqual(right(text), {
      wireId: "d",
      outcome: {
        outcome: "errored",
        id: "batch_req_4",
        code: "invalid_value",
        message: "max_tokens is too large",
        retryable: false,
        response: {
          statusCode: 400,
          requestId: "req_4",
          body: {
            error: {
              message: "max_tokens is too large",
              type: "invalid_request_error",
              param: "max_tokens",
              code: "invalid_value"
            }
          }
        }
      }
    })
  })

  it("may pass or not", () => {
    const retryable = (status: unknown, error: unknown) => unanswered(line({ error }, status)).retryable
    assert.isTrue(retryable(429, { message: "slow down", type: "requests", code: "rate_limit_exceeded" }))
    assert.isTrue(retryable(500, { message: "x", type: "server_error", code: null }))
    assert.isTrue(retryable(503, null))
    assert.isTrue(retryable(200, { message: "x", code: "server_error" }))
    assert.isFalse(retryable(429, { message: "pay", type: "insufficient_quota", code: "insufficient_quota" }))
    assert.isFalse(retryable(429, { message: "pay", code: "billing_hard_limit_reached" }))
    assert.isFalse(retryable(404, { message: "x", code: "model_not_found" }))
    assert.isFalse(retryable(200, { message: "x", code: "invalid_value" }))
  })

  it("may be of any shape", () => {
    const said = (status: unknown, body: unknown) => {
      const { code, message } = unanswered(line(body, status))
      return `${code}: ${message}`
    }
    assert.strictEqual(said(500, null), "http_500: HTTP 500")
    assert.strictEqual(said(502, "<html>"), "http_502: HTTP 502")
    assert.strictEqual(said(400, { detail: "no model" }), "http_400: no model")
    assert.strictEqual(said(400, { error: { type: "bad", code: null } }), "bad: bad")
    assert.strictEqual(said(400, { error: { code: 400, message: "m" } }), "400: m")
    assert.strictEqual(said(200, { error: "it broke down" }), "error: it broke down")
    assert.strictEqual(said(200, { error: "overloaded" }), "overloaded: overloaded")
  })

  it("keeps what was paid for, but no choices", () => {
    const { response } = unanswered(
      line({ error: { message: "x" }, choices: [{ message: { content: "a" } }], usage: { a: 1 } })
    )
    assert.deepStrictEqual(response?.body, { error: { message: "x" }, usage: { a: 1 } })
  })
})

describe("a row without a response", () => {
  const without = (error: unknown, fields: object = {}) =>
    JSON.stringify({ id: "batch_req_5", custom_id: "e", response: null, error, ...fields })

  it("expired, was cancelled, or failed", () => {
    const text =
      "{\"id\":\"batch_req_5\",\"custom_id\":\"e\",\"response\":null,\"error\":{\"code\":\"batch_expired\",\"message\":"
      + "\"This request could not be executed before the completion window expired.\"}}"
    assert.deepStrictEqual(right(text), {
      wireId: "e",
      outcome: {
        outcome: "expired",
        id: "batch_req_5",
        code: "batch_expired",
        message: "This request could not be executed before the completion window expired.",
        retryable: true,
        response: null
      }
    })
    const told = (error: unknown) => {
      const { outcome, retryable } = unanswered(without(error))
      return `${outcome} ${retryable}`
    }
    assert.strictEqual(told({ code: "batch_cancelled", message: "x" }), "cancelled true")
    assert.strictEqual(told({ code: "batch_canceled", message: null }), "cancelled true")
    assert.strictEqual(told("batch_expired"), "expired true")
    assert.strictEqual(told({ code: "server_error", message: "x" }), "errored true")
    assert.strictEqual(told({ code: "invalid_request", message: "x" }), "errored false")
    assert.strictEqual(told("Something else happened"), "errored false")
  })

  it("may say so where the status should stand", () => {
    const text = without(null, { response: { status_code: "batch_expired", request_id: null, body: null } })
    const { code, outcome, response } = unanswered(text)
    assert.deepStrictEqual({ code, outcome, response }, { code: "batch_expired", outcome: "expired", response: null })
  })
})

describe("a bad line", () => {
  it("costs its row, where that can be told", () => {
    assert.deepStrictEqual(left("{\"id\":\"x\",\"custom_id\":\"run-7\",\"response\":{\"status_co"), {
      wireId: "run-7",
      problem: "it is not JSON: malformed, or cut short"
    })
    assert.deepStrictEqual(left("{\"custom_id\":\"run-7\",\"response\":{\"body\":{\"n\":NaN}}}"), {
      wireId: "run-7",
      problem: "it is not JSON: malformed, or cut short"
    })
    assert.deepStrictEqual(left(line({})), { wireId: "run-1", problem: "its body is of no known kind" })
    assert.deepStrictEqual(left(line(null)), { wireId: "run-1", problem: "its response has no body" })
    assert.deepStrictEqual(left(line({ choices: [] })), { wireId: "run-1", problem: "its body has no choices" })
    assert.deepStrictEqual(left(line({ choices: [null] })), {
      wireId: "run-1",
      problem: "a choice in its body is not an object"
    })
    assert.deepStrictEqual(left(line({ object: "response", output: null })), {
      wireId: "run-1",
      problem: "its response has no output"
    })
    assert.deepStrictEqual(left("{\"custom_id\":\"run-1\",\"response\":null,\"error\":null}"), {
      wireId: "run-1",
      problem: "it has neither a response nor an error"
    })
  })

  it("is nobody's otherwise", () => {
    for (const text of ["", "null", "[]", "7", "\"x\"", "<html>", "{\"custom_id\":"]) {
      assert.strictEqual(left(text).wireId, null, text)
    }
    assert.strictEqual(left("{\"custom_id\":7}").wireId, null)
  })

  it("may be too deep to be written, but not to be kept", () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`
    const chat = (content: string) =>
      `{"custom_id":"run-1","response":{"status_code":200,"body":{"object":"chat.completion","choices":`
      + `[{"message":{"content":${content}},"finish_reason":"stop"}],"deep":${deep}}}}`
    assert.include(answered(chat("\"a\"")).bodyText ?? "", deep)
    assert.strictEqual(left(chat("null")).problem, "its body is nested too deeply to be written")
    assert.strictEqual(left(chat("\"\\ud800\"")).problem, "its body is nested too deeply to be written")
    assert.strictEqual(
      left(`{"custom_id":"run-1","response":{"status_code":400,"body":{"error":{"message":"x"},"deep":${deep}}}}`)
        .problem,
      "its body is nested too deeply to be written"
    )
  })

  const loose = FastCheck.letrec((tie) => ({
    value: FastCheck.oneof(
      FastCheck.constantFrom(null, true, 0, -1, 200, 400, "", "x", "response", "message", "completed", "\ud800"),
      FastCheck.array(tie("value"), { maxLength: 3 }),
      FastCheck.dictionary(
        FastCheck.constantFrom(
          "error",
          "code",
          "message",
          "type",
          "content",
          "text",
          "choices",
          "output",
          "usage",
          "status",
          "data"
        ),
        tie("value")
      )
    )
  }))

  it.prop(
    "never throws, and what it gives can be written and holds no lone surrogate",
    [loose.value, loose.value, loose.value],
    ([body, status, error]) => {
      const text = JSON.stringify({ custom_id: "run-1", response: { status_code: status, body }, error })
      const decoded = decode(text)
      if (Either.isRight(decoded)) assert.notMatch(JSON.stringify(decoded.right), /\\ud[89a-f]/)
      else assert.strictEqual(decoded.left.wireId, "run-1")
    }
  )
})

it("is read by the ancestors' parser", () => {
  const written = (id: string, text: string) => {
    const { body, bodyText, requestId, statusCode } = answered(text)
    return `{"id":null,"custom_id":${JSON.stringify(id)},"response":{"status_code":${statusCode},"request_id":`
      + `${JSON.stringify(requestId)},"body":${bodyText ?? JSON.stringify(body)}},"error":null}\n`
  }
  const fromResponses = line(response([message("Zürich, \"4\"")], {
    usage: { input_tokens: 30, output_tokens: 70, total_tokens: 100 }
  }))
  const fromChat = line({
    object: "chat.completion",
    choices: [{ message: { content: "4" }, finish_reason: "stop" }],
    usage: { prompt_tokens: 24, completion_tokens: 1, total_tokens: 25 }
  })
  const results = written("set|item 1|treatment|0.7|3|closed", fromResponses) +
    written("set|item 2|control|0|0|open", fromChat)
  assert.strictEqual(
    HeritageParser.toCsv(HeritageParser.parse(results)),
    "custom_id,dataset,item_id,condition,temp,sample_index,type,request_id,finish_reason,response_text,prompt_tokens,"
      + "completion_tokens,total_tokens\n"
      + "set|item 1|treatment|0.7|3|closed,set,item 1,treatment,0.7,3,closed,req_1,stop,\"Zürich, \"\"4\"\"\",30,70,100\n"
      + "set|item 2|control|0|0|open,set,item 2,control,0.0,0,open,req_1,stop,4,24,1,25\n"
  )
})
