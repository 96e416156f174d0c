import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { encode } from "../../src/provider/OpenAiEncode.js"
import type { JsonObject, Request } from "../../src/Request.js"

const wireId = "k3f9a2x7qd-17"

const chat = (body: JsonObject): Request => ({ kind: "chat", row: 17, line: 17, customId: "a|b", body })

const embedding = (body: JsonObject): Request => ({ kind: "embedding", row: 17, line: 17, customId: "a|b", body })

const native = (provider: string, endpoint: string, text: string): Request => ({
  kind: "native",
  row: 17,
  line: 17,
  customId: "a|b",
  target: { provider, endpoint },
  body: JSON.parse(text),
  text
})

const right = (request: Request, endpoint: string) => Either.getOrThrow(encode(request, wireId, endpoint))

const body = (request: Request, endpoint: string): unknown => JSON.parse(right(request, endpoint).text).body

const left = (request: Request, endpoint: string) => {
  const encoded = encode(request, wireId, endpoint)
  if (Either.isRight(encoded)) throw new Error(`was encoded: ${encoded.right.text}`)
  const { field, reason, remedy, target } = encoded.left
  return { field, target, reason, remedy }
}

const hello = [{ role: "user", content: "Hello" }]

const responses = "/v1/responses"
const completions = "/v1/chat/completions"
const embeddings = "/v1/embeddings"
const useChat = "Use --endpoint /v1/chat/completions"

describe("a chat on /v1/responses", () => {
  it("is written in a fixed order, plain messages as they are", () => {
    const request = chat({
      metadata: { set: "x" },
      messages: [{ role: "system", content: "Be brief." }, { content: "2+2?", role: "user" }],
      max_tokens: 50,
      top_p: 0.9,
      temperature: 0.7,
      model: "gpt-4.1-mini"
    })
    assert.deepStrictEqual(right(request, responses), {
      text: "{\"custom_id\":\"k3f9a2x7qd-17\",\"method\":\"POST\",\"url\":\"/v1/responses\",\"body\":"
        + "{\"model\":\"gpt-4.1-mini\",\"temperature\":0.7,\"top_p\":0.9,\"max_output_tokens\":50,"
        + "\"input\":[{\"role\":\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"2+2?\"}],"
        + "\"metadata\":{\"set\":\"x\"}}}",
      endpoint: "/v1/responses",
      model: "gpt-4.1-mini",
      betas: [],
      inputs: 1,
      notice: null
    })
  })

  it("translates parts, tools, formats and effort", () => {
    const request = chat({
      model: "gpt-5-mini",
      messages: [
        { role: "developer", content: [{ type: "text", text: "Look." }] },
        {
          role: "user",
          content: [
            { type: "text", text: "What is it?", prompt_cache_breakpoint: { mode: "explicit" } },
            { type: "image_url", image_url: { url: "https://example.com/a.png" } },
            { type: "image_url", image_url: { url: "data:image/png;base64,AA==", detail: "low" } },
            { type: "file", file: { file_id: "file-1" } },
            { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AA==" } }
          ]
        },
        {
          role: "assistant",
          content: null,
          refusal: null,
          annotations: [],
          tool_calls: [{ id: "call_1", type: "function", function: { name: "look", arguments: "{\"x\":1}" } }]
        },
        { role: "tool", tool_call_id: "call_1", content: "a cat" },
        {
          role: "assistant",
          content: [{ type: "text", text: "One " }, { type: "text", text: "moment." }],
          tool_calls: [{ id: "call_2", type: "function", function: { name: "look", arguments: "{}" } }]
        },
        { role: "tool", tool_call_id: "call_2", content: [{ type: "text", text: "a dog" }] },
        { role: "assistant", content: null, refusal: "I will not say." },
        { role: "assistant", content: [{ type: "text", text: "Well." }, { type: "refusal", refusal: "No." }] }
      ],
      max_completion_tokens: 2000,
      reasoning_effort: "low",
      verbosity: "high",
      response_format: {
        type: "json_schema",
        json_schema: { name: "answer", description: "d", schema: { type: "object" }, strict: true }
      },
      tools: [
        {
          type: "function",
          function: { name: "look", description: "Looks.", parameters: { type: "object" }, strict: true }
        },
        { type: "function", function: { name: "wait" } }
      ],
      tool_choice: { type: "function", function: { name: "look" } },
      parallel_tool_calls: false,
      user: "u",
      safety_identifier: "s",
      prompt_cache_key: "k",
      prompt_cache_options: { ttl: "30m" },
      prompt_cache_retention: "24h",
      service_tier: "auto",
      store: false,
      moderation: { model: "m" }
    })
    assert.deepStrictEqual(body(request, responses), {
      model: "gpt-5-mini",
      max_output_tokens: 2000,
      input: [
        { role: "developer", content: [{ type: "input_text", text: "Look." }] },
        {
          role: "user",
          content: [
            { type: "input_text", text: "What is it?", prompt_cache_breakpoint: { mode: "explicit" } },
            { type: "input_image", image_url: "https://example.com/a.png", detail: "auto" },
            { type: "input_image", image_url: "data:image/png;base64,AA==", detail: "low" },
            { type: "input_file", file_id: "file-1" },
            { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,AA==" }
          ]
        },
        { type: "function_call", call_id: "call_1", name: "look", arguments: "{\"x\":1}" },
        { type: "function_call_output", call_id: "call_1", output: "a cat" },
        { role: "assistant", content: "One moment." },
        { type: "function_call", call_id: "call_2", name: "look", arguments: "{}" },
        { type: "function_call_output", call_id: "call_2", output: [{ type: "input_text", text: "a dog" }] },
        { role: "assistant", content: "I will not say." },
        { role: "assistant", content: "Well." },
        { role: "assistant", content: "No." }
      ],
      text: {
        format: { type: "json_schema", name: "answer", description: "d", schema: { type: "object" }, strict: true },
        verbosity: "high"
      },
      reasoning: { effort: "low" },
      tools: [
        { type: "function", name: "look", description: "Looks.", parameters: { type: "object" }, strict: true },
        { type: "function", name: "wait", parameters: null, strict: false }
      ],
      tool_choice: { type: "function", name: "look" },
      parallel_tool_calls: false,
      user: "u",
      safety_identifier: "s",
      prompt_cache_key: "k",
      prompt_cache_options: { ttl: "30m" },
      prompt_cache_retention: "24h",
      service_tier: "auto",
      store: false,
      moderation: { model: "m" }
    })
  })

  it("translates the choices of tools, the formats and log probabilities", () => {
    const translate = (fields: JsonObject): unknown => {
      const { input: _input, model: _model, ...rest } = body(
        chat({ model: "gpt-4.1", messages: hello, ...fields }),
        responses
      ) as Record<string, unknown>
      return rest
    }
    assert.deepStrictEqual(translate({ tool_choice: "required" }), { tool_choice: "required" })
    assert.deepStrictEqual(
      translate({
        tool_choice: {
          type: "allowed_tools",
          allowed_tools: { mode: "auto", tools: [{ type: "function", function: { name: "f" } }] }
        }
      }),
      { tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "f" }] } }
    )
    assert.deepStrictEqual(translate({ response_format: { type: "json_object" } }), {
      text: { format: { type: "json_object" } }
    })
    assert.deepStrictEqual(translate({ response_format: { type: "text" } }), { text: { format: { type: "text" } } })
    assert.deepStrictEqual(translate({ logprobs: true, top_logprobs: 5 }), {
      include: ["message.output_text.logprobs"],
      top_logprobs: 5
    })
    assert.deepStrictEqual(translate({ max_completion_tokens: 9 }), { max_output_tokens: 9 })
  })

  it("leaves out what says nothing", () => {
    const nothing = {
      n: 1,
      stream: false,
      stop: null,
      seed: null,
      tools: null,
      logprobs: false,
      frequency_penalty: 0,
      presence_penalty: 0,
      logit_bias: {},
      modalities: ["text"],
      max_tokens: null,
      max_completion_tokens: 7,
      unheard_of: null
    }
    assert.deepStrictEqual(body(chat({ model: "gpt-4.1", messages: hello, ...nothing }), responses), {
      model: "gpt-4.1",
      max_output_tokens: 7,
      input: hello
    })
  })

  it("refuses each field that it has no place for, with the way out", () => {
    const values: Record<string, unknown> = {
      stop: ["\n"],
      n: 2,
      seed: 7,
      frequency_penalty: 0.5,
      presence_penalty: 0.5,
      logit_bias: { "50256": -100 },
      modalities: ["text", "audio"],
      audio: { voice: "alloy" },
      prediction: { type: "content", content: "x" },
      functions: [{ name: "f" }],
      function_call: "auto",
      web_search_options: {}
    }
    for (const [field, value] of Object.entries(values)) {
      assert.deepStrictEqual(
        left(chat({ model: "gpt-4.1", messages: hello, [field]: value }), responses),
        { field, target: "/v1/responses", reason: "only Chat Completions has it", remedy: useChat },
        field
      )
    }
    assert.deepStrictEqual(left(chat({ model: "gpt-4.1", messages: hello, unheard_of: 1 }), responses), {
      field: "unheard_of",
      target: "/v1/responses",
      reason: "it is not a field of Chat Completions",
      remedy: "Use --endpoint /v1/chat/completions, which passes it on, or: "
        + "Write the row as an OpenAI batch line for /v1/responses to send it as it is"
    })
  })

  it("names the place in a message, tool or format that it cannot translate", () => {
    const field = (fields: JsonObject) => left(chat({ model: "gpt-4.1", messages: hello, ...fields }), responses).field
    const inMessage = (message: unknown) => field({ messages: [...hello, message] })
    const inPart = (part: unknown) => inMessage({ role: "user", content: [{ type: "text", text: "x" }, part] })
    const call = { id: "c", type: "function", function: { name: "f", arguments: "{}" } }
    assert.strictEqual(field({ messages: "Hello" }), "messages")
    assert.strictEqual(inMessage("Hello"), "messages[1]")
    assert.strictEqual(inMessage({ content: "Hello" }), "messages[1].role")
    assert.strictEqual(inMessage({ role: "function", name: "f", content: "x" }), "messages[1].role")
    assert.strictEqual(inMessage({ role: "user", content: "x", name: "Ann" }), "messages[1].name")
    assert.strictEqual(inMessage({ role: "user", content: null }), "messages[1].content")
    assert.strictEqual(inMessage({ role: "user", content: 5 }), "messages[1].content")
    assert.strictEqual(inPart("x"), "messages[1].content[1]")
    assert.strictEqual(inPart({ type: "input_audio", input_audio: {} }), "messages[1].content[1].type")
    assert.strictEqual(inPart({ type: "video_url", video_url: {} }), "messages[1].content[1].type")
    assert.strictEqual(inPart({ type: "text", text: 5 }), "messages[1].content[1].text")
    assert.strictEqual(inPart({ type: "text", text: "x", extra: 1 }), "messages[1].content[1].extra")
    assert.strictEqual(inPart({ type: "image_url", image_url: "https://x" }), "messages[1].content[1].image_url")
    assert.strictEqual(inPart({ type: "file", file: { path: "x" } }), "messages[1].content[1].file.path")
    assert.strictEqual(inMessage({ role: "assistant", content: null }), "messages[1].content")
    assert.strictEqual(inMessage({ role: "assistant", content: "x", audio: { id: "a" } }), "messages[1].audio")
    assert.strictEqual(inMessage({ role: "assistant", content: "x", function_call: {} }), "messages[1].function_call")
    assert.strictEqual(
      inMessage({ role: "assistant", content: [{ type: "image_url" }] }),
      "messages[1].content[0].type"
    )
    assert.strictEqual(
      inMessage({ role: "assistant", tool_calls: [{ ...call, type: "custom" }] }),
      "messages[1].tool_calls[0].type"
    )
    assert.strictEqual(
      inMessage({ role: "assistant", tool_calls: [call, { ...call, id: null }] }),
      "messages[1].tool_calls[1].id"
    )
    assert.strictEqual(inMessage({ role: "tool", content: "x" }), "messages[1].tool_call_id")
    assert.strictEqual(field({ tools: [{ type: "custom", custom: { name: "f" } }] }), "tools[0].type")
    assert.strictEqual(field({ tools: [{ type: "function", function: { name: "f", x: 1 } }] }), "tools[0].function.x")
    assert.strictEqual(field({ tools: {} }), "tools")
    assert.strictEqual(field({ tool_choice: "perhaps" }), "tool_choice")
    assert.strictEqual(field({ tool_choice: { type: "custom", custom: { name: "f" } } }), "tool_choice.type")
    assert.strictEqual(field({ response_format: { type: "grammar" } }), "response_format.type")
    assert.strictEqual(
      field({ response_format: { type: "json_schema", json_schema: { name: "x" } } }),
      "response_format.json_schema.schema"
    )
  })
})

describe("a chat on /v1/chat/completions", () => {
  it("keeps its body, in its order, unknown fields included", () => {
    const request = chat({
      messages: hello,
      stop: ["\n"],
      seed: 7,
      n: 2,
      unheard_of: { a: null },
      model: "gpt-4.1",
      max_tokens: 5
    })
    assert.strictEqual(
      right(request, completions).text,
      "{\"custom_id\":\"k3f9a2x7qd-17\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":"
        + "{\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}],\"stop\":[\"\\n\"],\"seed\":7,\"n\":2,"
        + "\"unheard_of\":{\"a\":null},\"model\":\"gpt-4.1\",\"max_tokens\":5}}"
    )
  })

  it("gives reasoning models their limit under its new name", () => {
    for (
      const model of ["o3", "o4-mini-2025-04-16", "gpt-5", "gpt-5-nano", "gpt-5.2", "ft:o4-mini-2025-04-16:org::x"]
    ) {
      assert.deepStrictEqual(body(chat({ model, max_tokens: 5, messages: hello }), completions), {
        model,
        max_completion_tokens: 5,
        messages: hello
      })
    }
    for (const model of ["gpt-4o", "gpt-5-chat-latest", "llama-3.3-70b", "openai/gpt-oss-20b"]) {
      assert.deepStrictEqual(body(chat({ model, max_tokens: 5, messages: hello }), completions), {
        model,
        max_tokens: 5,
        messages: hello
      })
    }
  })

  it("refuses both limits at once", () => {
    for (const endpoint of [responses, completions]) {
      assert.deepStrictEqual(
        left(chat({ model: "gpt-5", messages: hello, max_tokens: 5, max_completion_tokens: 6 }), endpoint),
        {
          field: "max_tokens",
          target: endpoint,
          reason: "max_completion_tokens says the same thing",
          remedy: "Keep one of the two"
        }
      )
    }
  })
})

describe("fields of models", () => {
  const refused = (fields: JsonObject, endpoint = completions): string => {
    const encoded = encode(chat({ messages: hello, ...fields }), wireId, endpoint)
    return Either.isRight(encoded) ? "" : `${encoded.left.field} to ${encoded.left.target}: ${encoded.left.reason}`
  }

  it("refuses sampling on models that always reason", () => {
    assert.strictEqual(
      refused({ model: "gpt-5-mini", temperature: 0.7 }, responses),
      "temperature to gpt-5-mini: it always reasons, and takes 1 only"
    )
    for (const model of ["o1", "o3-mini", "gpt-5", "gpt-5-2025-08-07", "gpt-5-nano"]) {
      assert.strictEqual(refused({ model, top_p: 0.5 }), `top_p to ${model}: it always reasons, and takes 1 only`)
    }
    assert.strictEqual(
      refused({ model: "o3", frequency_penalty: 0.1 }),
      "frequency_penalty to o3: it always reasons, and takes 0 only"
    )
    assert.strictEqual(
      refused({ model: "o3", logprobs: true }),
      "logprobs to o3: it always reasons, and takes false only"
    )
    assert.strictEqual(refused({ model: "o3", stop: "x" }), "stop to o3: it always reasons, and takes none")
  })

  it("lets defaults, other models and models that need not reason pass", () => {
    assert.strictEqual(refused({ model: "gpt-5-mini", temperature: 1, top_p: 1 }, responses), "")
    assert.strictEqual(refused({ model: "gpt-5-mini", temperature: null }, responses), "")
    assert.strictEqual(refused({ model: "gpt-4.1", temperature: 0.2, top_p: 0.5 }, responses), "")
    assert.strictEqual(refused({ model: "gpt-5-chat-latest", temperature: 0.2 }, responses), "")
    assert.strictEqual(refused({ model: "my-own-model", temperature: 0.2, reasoning_effort: "high" }), "")
    assert.strictEqual(refused({ model: "gpt-5.2", temperature: 0.2 }, responses), "")
    assert.strictEqual(refused({ model: "gpt-5.2", temperature: 0.2, reasoning_effort: "none" }, responses), "")
    assert.strictEqual(
      refused({ model: "gpt-5.2", temperature: 0.2, reasoning_effort: "high" }, responses),
      "temperature to gpt-5.2: with reasoning_effort \"high\" it takes 1 only"
    )
  })

  it("refuses levels and limits that the model does not have, and says what it has", () => {
    const error = (fields: JsonObject) => left(chat({ messages: hello, ...fields }), responses)
    assert.deepStrictEqual(error({ model: "gpt-5-mini", reasoning_effort: "hgih" }), {
      field: "reasoning_effort",
      target: "gpt-5-mini",
      reason: "it is \"hgih\", and the model takes minimal, low, medium, high",
      remedy: "Did you mean high?"
    })
    assert.deepStrictEqual(error({ model: "gpt-4.1-mini", max_tokens: 32_769 }), {
      field: "max_tokens",
      target: "gpt-4.1-mini",
      reason: "it is 32769, and 32768 is the most",
      remedy: "Ask for less"
    })
    const format = { type: "json_schema", json_schema: { name: "a", schema: {} } }
    assert.strictEqual(
      error({ model: "gpt-4-turbo", response_format: format }).remedy,
      "Describe the format in the prompt"
    )
    // To leave a field out is what --drop does, so that nothing else needs saying.
    assert.isNull(error({ model: "gpt-5-mini", temperature: 0.7 }).remedy)
  })

  it("are checked in rows that are sent as they are, too, but not where other endpoints have them", () => {
    const row = (endpoint: string, text: string) => encode(native("openai", endpoint, text), wireId, responses)
    const refused = row("/v1/responses", "{\"model\":\"o3\",\"input\":\"x\",\"reasoning\":{\"effort\":\"huge\"}}")
    assert(Either.isLeft(refused))
    assert.deepStrictEqual([refused.left.field, refused.left.target], ["reasoning.effort", "o3"])
    const sampled = row("/v1/chat/completions", "{\"model\":\"o3\",\"messages\":[],\"temperature\":0}")
    assert(Either.isLeft(sampled))
    assert.strictEqual(sampled.left.remedy, "Leave it out")
    assert.isTrue(Either.isRight(row("/v1/completions", "{\"model\":\"o3\",\"prompt\":\"x\",\"temperature\":0}")))
    assert.isTrue(Either.isRight(row("/v1/responses", "{\"model\":\"o9\",\"input\":\"x\",\"temperature\":0}")))
  })

  it("refuses effort on models that do not reason", () => {
    assert.strictEqual(
      refused({ model: "gpt-4.1-mini", reasoning_effort: "low" }, responses),
      "reasoning_effort to gpt-4.1-mini: it does not reason"
    )
    assert.strictEqual(refused({ model: "o3", reasoning_effort: "low" }, responses), "")
  })
})

describe("fields of others", () => {
  it("refuses what only Anthropic has", () => {
    for (const endpoint of [responses, completions]) {
      const refused = (fields: JsonObject) => left(chat({ model: "gpt-4.1", messages: hello, ...fields }), endpoint)
      assert.deepStrictEqual(refused({ thinking: { type: "adaptive" } }), {
        field: "thinking",
        target: "openai",
        reason: "it is a field of Anthropic's",
        remedy: "Use --reasoning-effort"
      })
      assert.strictEqual(refused({ top_k: 5 }).remedy, "Use --provider anthropic")
      assert.strictEqual(refused({ stop_sequences: ["x"] }).remedy, "Give it as stop")
      assert.strictEqual(refused({ system: "Be brief." }).remedy, "Give it as a message with role system")
      const cached = { type: "text", text: "x", cache_control: { type: "ephemeral" } }
      assert.strictEqual(
        refused({ messages: [{ role: "user", content: [cached] }] }).field,
        "messages[0].content[0].cache_control"
      )
      assert.strictEqual(refused({ tools: [{ type: "function", cache_control: {} }] }).field, "tools[0].cache_control")
      assert.strictEqual(
        refused({ messages: [{ role: "user", content: [{ type: "image", source: {} }] }] }).field,
        "messages[0].content[0].type"
      )
    }
  })

  it("refuses streams", () => {
    for (const endpoint of [responses, completions]) {
      assert.strictEqual(left(chat({ model: "gpt-4.1", messages: hello, stream: true }), endpoint).field, "stream")
      assert.strictEqual(
        left(chat({ model: "gpt-4.1", messages: hello, stream_options: {} }), endpoint).field,
        "stream_options"
      )
    }
  })
})

describe("embeddings", () => {
  it("are written in a fixed order, and counted", () => {
    const row = right(
      embedding({ user: "u", dimensions: 256, input: ["a", "b"], encoding_format: "float", model: "m" }),
      embeddings
    )
    assert.strictEqual(
      row.text,
      "{\"custom_id\":\"k3f9a2x7qd-17\",\"method\":\"POST\",\"url\":\"/v1/embeddings\",\"body\":"
        + "{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"dimensions\":256,\"encoding_format\":\"float\",\"user\":\"u\"}}"
    )
    assert.strictEqual(row.inputs, 2)
    const inputs = (input: unknown) => right(embedding({ model: "m", input }), embeddings).inputs
    assert.strictEqual(inputs("one"), 1)
    assert.strictEqual(inputs([1, 2, 3]), 1)
    assert.strictEqual(inputs([[1, 2], [3]]), 2)
  })

  it("have their endpoint to themselves", () => {
    assert.deepStrictEqual(left(embedding({ model: "m", input: "x" }), responses), {
      field: "input",
      target: "/v1/responses",
      reason: "it does not make embeddings",
      remedy: "Use --endpoint /v1/embeddings"
    })
    assert.strictEqual(left(chat({ model: "m", messages: hello }), embeddings).field, "messages")
    assert.strictEqual(left(embedding({ model: "m", input: "x", temperature: 1 }), embeddings).field, "temperature")
  })
})

describe("native rows", () => {
  it("go as they are, to their own endpoint", () => {
    const text = "{\"model\": \"gpt-4.1\", \"messages\": [], \"n\": 12345678901234567890, \"x\": 1.0}"
    assert.deepStrictEqual(right(native("openai", "/v1/chat/completions", text), responses), {
      text: "{\"custom_id\":\"k3f9a2x7qd-17\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":"
        + "{\"model\": \"gpt-4.1\", \"messages\": [], \"n\": 12345678901234567890, \"x\": 1.0}}",
      endpoint: "/v1/chat/completions",
      model: "gpt-4.1",
      betas: [],
      inputs: 1,
      notice: null
    })
    assert.strictEqual(
      right(native("openai", "/v1/embeddings", "{\"model\":\"m\",\"input\":[\"a\",\"b\"]}"), responses).inputs,
      2
    )
  })

  it("stay on one line", () => {
    const { text } = right(native("openai", "/v1/responses", "{\n\"model\":\"m\"\n}"), responses)
    assert.notInclude(text, "\n")
    assert.deepStrictEqual(JSON.parse(text).body, { model: "m" })
  })

  it("go nowhere else", () => {
    assert.deepStrictEqual(left(native("anthropic", "/v1/messages", "{\"model\":\"claude\"}"), responses), {
      field: "params",
      target: "openai",
      reason: "the row was written for anthropic",
      remedy: "Use --provider anthropic"
    })
    assert.strictEqual(left(native("openai", "/v1/audio/speech", "{}"), responses).field, "url")
    assert.strictEqual(left(native("openai", "/v1/responses", "{\"stream\":true}"), responses).field, "stream")
  })
})

it("says so when a body is too deep to be written", () => {
  const deep: JsonObject = JSON.parse(`${"{\"a\":".repeat(100_000)}1${"}".repeat(100_000)}`)
  const refused = left(chat({ model: "m", messages: hello, metadata: deep }), completions)
  assert.deepStrictEqual(refused, {
    field: "body",
    target: "/v1/chat/completions",
    reason: "it is nested too deeply to be written",
    remedy: null
  })
})
