import { assert, describe, it } from "@effect/vitest"
import { Either, FastCheck } from "effect"
import { encode } from "../../src/provider/AnthropicEncode.js"

type Body = { readonly [name: string]: unknown }

const haiku = "claude-haiku-4-5"
const hello = [{ role: "user", content: "Hello" }]
const base: Body = { model: haiku, max_tokens: 100, messages: hello }

const encodeBody = (body: Body) => encode({ kind: "chat", row: 7, line: 7, customId: "mine", body }, "tag-7")

const wireRow = (body: Body) => Either.getOrThrowWith(encodeBody(body), (error) => error)
const refusal = (body: Body) => Either.getOrThrowWith(Either.flip(encodeBody(body)), (row) => new Error(row.text))

/** The members of `params` besides those of the base body. */
const params = (extra: Body) => {
  const { max_tokens: _, messages: __, model: ___, ...rest } = JSON.parse(wireRow({ ...base, ...extra }).text).params
  return rest
}

const conversation = (...messages: ReadonlyArray<unknown>) => {
  const { messages: turns, system } = JSON.parse(wireRow({ ...base, messages }).text).params
  return { system, turns }
}

const native = (text: string, provider = "anthropic", endpoint = "/v1/messages") =>
  encode(
    {
      kind: "native",
      row: 7,
      line: 7,
      customId: "mine",
      target: { provider, endpoint },
      body: JSON.parse(text) as Body,
      text
    },
    "tag-7"
  )

describe("AnthropicEncode", () => {
  describe("the row", () => {
    it("is the id and the parameters in one order, whatever the order of the body", () => {
      const expected =
        "{\"custom_id\":\"tag-7\",\"params\":{\"model\":\"claude-haiku-4-5\",\"max_tokens\":50,\"temperature\":0.5,"
        + "\"stop_sequences\":[\"END\"],\"system\":[{\"type\":\"text\",\"text\":\"Be brief.\"}],"
        + "\"messages\":[{\"role\":\"user\",\"content\":\"Hi \\u0000 é 🙂\"}],\"metadata\":{\"user_id\":\"u1\"}}}"
      const messages = [{ role: "system", content: "Be brief." }, { role: "user", content: "Hi \u0000 é 🙂" }]
      const body = { model: haiku, messages, temperature: 0.5, max_tokens: 50, stop: "END", user: "u1" }
      const turned = Object.fromEntries(Object.entries(body).toReversed())
      assert.deepStrictEqual(wireRow(body), {
        text: expected,
        endpoint: "/v1/messages",
        model: "claude-haiku-4-5",
        betas: [],
        inputs: 1,
        notice: null
      })
      assert.strictEqual(wireRow(turned).text, expected)
    })

    it("gets 4,096 tokens where the body does not say, and says so", () => {
      const row = wireRow({ model: haiku, messages: hello })
      assert.strictEqual(
        row.text,
        "{\"custom_id\":\"tag-7\",\"params\":{\"model\":\"claude-haiku-4-5\",\"max_tokens\":4096,"
          + "\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}}"
      )
      assert.strictEqual(row.notice, "max_tokens is not set: 4,096 is used for anthropic (--max-tokens)")
    })

    it("takes either name of max_tokens, and both when they agree", () => {
      for (
        const limit of [
          { max_tokens: 9 },
          { max_completion_tokens: 9 },
          { max_tokens: 9, max_completion_tokens: 9 },
          { max_tokens: null, max_completion_tokens: 9 }
        ]
      ) {
        const row = wireRow({ model: haiku, messages: hello, ...limit })
        assert.strictEqual(JSON.parse(row.text).params.max_tokens, 9)
        assert.isNull(row.notice)
      }
    })

    it("leaves out what is null or says what is so anyway", () => {
      const nothing = {
        n: 1,
        stream: false,
        logprobs: false,
        top_logprobs: 0,
        frequency_penalty: 0,
        presence_penalty: 0,
        logit_bias: {},
        modalities: ["text"],
        store: false,
        stop: null,
        seed: null,
        anything: null,
        tools: [],
        tool_choice: "auto",
        parallel_tool_calls: true,
        response_format: { type: "text" },
        metadata: {},
        system: ""
      }
      assert.deepStrictEqual(params(nothing), {})
    })

    it("never throws, whatever the body holds", () => {
      FastCheck.assert(
        FastCheck.property(
          FastCheck.dictionary(
            FastCheck.constantFrom(
              "messages",
              "max_tokens",
              "tools",
              "tool_choice",
              "thinking",
              "response_format",
              "output_config",
              "stop",
              "system",
              "metadata",
              "betas",
              "temperature",
              "reasoning_effort",
              "__proto__",
              "constructor"
            ),
            FastCheck.jsonValue()
          ),
          FastCheck.array(
            FastCheck.dictionary(FastCheck.constantFrom("role", "content", "tool_calls"), FastCheck.jsonValue())
          ),
          (body, messages) => {
            Either.isEither(encodeBody({ ...base, ...body }))
            const encoded = encodeBody({ ...base, messages })
            if (Either.isRight(encoded)) assert.notInclude(encoded.right.text, "\n")
          }
        )
      )
    })

    it("is refused when it is nested too deeply to be written", () => {
      const deep: unknown = JSON.parse("[".repeat(50_000) + "]".repeat(50_000))
      assert.strictEqual(refusal({ ...base, container: deep }).field, "body")
    })
  })

  describe("messages", () => {
    it("puts leading system and developer messages into system, with cache_control", () => {
      assert.deepStrictEqual(
        conversation(
          { role: "system", content: "One." },
          { role: "developer", content: [{ type: "text", text: "Two.", cache_control: { type: "ephemeral" } }] },
          { role: "system", content: "" },
          { role: "system", content: "Three.", cache_control: { type: "ephemeral", ttl: "1h" } },
          ...hello
        ),
        {
          system: [
            { type: "text", text: "One." },
            { type: "text", text: "Two.", cache_control: { type: "ephemeral" } },
            { type: "text", text: "Three.", cache_control: { type: "ephemeral", ttl: "1h" } }
          ],
          turns: [{ role: "user", content: "Hello" }]
        }
      )
    })

    it("translates text, images and PDF files", () => {
      assert.deepStrictEqual(
        conversation({
          role: "user",
          content: [
            { type: "text", text: "What is this?", cache_control: { type: "ephemeral" } },
            { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=", detail: "auto" } },
            { type: "image_url", image_url: { url: "https://example.com/cat.jpg" } },
            { type: "image_url", image_url: "http://example.com/dog.jpg", cache_control: { type: "ephemeral" } },
            { type: "file", file: { file_data: "data:application/pdf;base64,JVBERi0xLjQ=", filename: "a.pdf" } },
            { type: "file", file: { file_data: "JVBERi0xLjQ=" } }
          ]
        }).turns,
        [{
          role: "user",
          content: [
            { type: "text", text: "What is this?", cache_control: { type: "ephemeral" } },
            { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } },
            { type: "image", source: { type: "url", url: "https://example.com/cat.jpg" } },
            {
              type: "image",
              source: { type: "url", url: "http://example.com/dog.jpg" },
              cache_control: { type: "ephemeral" }
            },
            {
              type: "document",
              source: { type: "base64", media_type: "application/pdf", data: "JVBERi0xLjQ=" },
              title: "a.pdf"
            },
            { type: "document", source: { type: "base64", media_type: "application/pdf", data: "JVBERi0xLjQ=" } }
          ]
        }]
      )
    })

    it("translates tool calls and joins their results in one user turn", () => {
      assert.deepStrictEqual(
        conversation(
          { role: "user", content: "Weather in Bonn and Ulm?" },
          {
            role: "assistant",
            content: null,
            refusal: null,
            annotations: [],
            tool_calls: [
              { id: "c1", type: "function", function: { name: "weather", arguments: "{\"city\":\"Bonn\"}" } },
              { id: "c2", type: "function", function: { name: "now", arguments: "" } }
            ]
          },
          { role: "tool", tool_call_id: "c1", content: "12 °C" },
          { role: "tool", tool_call_id: "c2", content: [{ type: "text", text: "noon" }] },
          { role: "user", content: "And?" },
          { role: "assistant", content: "One moment.", tool_calls: [{ id: "c3", function: { name: "now" } }] },
          { role: "tool", tool_call_id: "c3", content: "1 pm", is_error: true }
        ).turns,
        [
          { role: "user", content: "Weather in Bonn and Ulm?" },
          {
            role: "assistant",
            content: [
              { type: "tool_use", id: "c1", name: "weather", input: { city: "Bonn" } },
              { type: "tool_use", id: "c2", name: "now", input: {} }
            ]
          },
          {
            role: "user",
            content: [
              { type: "tool_result", tool_use_id: "c1", content: "12 °C" },
              { type: "tool_result", tool_use_id: "c2", content: [{ type: "text", text: "noon" }] }
            ]
          },
          { role: "user", content: "And?" },
          {
            role: "assistant",
            content: [
              { type: "text", text: "One moment." },
              { type: "tool_use", id: "c3", name: "now", input: {} }
            ]
          },
          { role: "user", content: [{ type: "tool_result", tool_use_id: "c3", content: "1 pm", is_error: true }] }
        ]
      )
    })

    it("keeps an assistant's refusal as text, and blocks of Anthropic's own as they are", () => {
      const thinking = { type: "thinking", thinking: "Hm.", signature: "EqQBCg==" }
      assert.deepStrictEqual(
        conversation(
          ...hello,
          { role: "assistant", content: null, refusal: "I would rather not." },
          { role: "user", content: "Please" },
          { role: "assistant", content: [thinking, { type: "text", text: "Fine." }] }
        ).turns,
        [
          { role: "user", content: "Hello" },
          { role: "assistant", content: [{ type: "text", text: "I would rather not." }] },
          { role: "user", content: "Please" },
          { role: "assistant", content: [thinking, { type: "text", text: "Fine." }] }
        ]
      )
    })

    const bad: ReadonlyArray<readonly [what: string, messages: unknown, field: string]> = [
      ["no list", "Hello", "messages"],
      ["no message", ["Hello"], "messages[0]"],
      ["no role", [{ content: "Hello" }], "messages[0].role"],
      ["the role function", [{ role: "function", name: "f", content: "1" }], "messages[0].role"],
      ["a system message after others", [...hello, { role: "system", content: "Be brief." }], "messages[1].role"],
      [
        "an image in a system message",
        [{ role: "system", content: [{ type: "image_url", image_url: "https://example.com/a.png" }] }],
        "messages[0].content[0].type"
      ],
      ["a name", [{ role: "user", name: "Ann", content: "Hello" }], "messages[0].name"],
      ["no content", [{ role: "user" }], "messages[0].content"],
      ["a number as content", [{ role: "user", content: 1 }], "messages[0].content"],
      ["a part that is none", [{ role: "user", content: ["Hello"] }], "messages[0].content[0]"],
      ["a part without text", [{ role: "user", content: [{ type: "text" }] }], "messages[0].content[0].text"],
      [
        "sound",
        [{ role: "user", content: [{ type: "input_audio", input_audio: { data: "", format: "wav" } }] }],
        "messages[0].content[0].type"
      ],
      [
        "an image's detail",
        [{
          role: "user",
          content: [{ type: "image_url", image_url: { url: "https://example.com/a", detail: "low" } }]
        }],
        "messages[0].content[0].image_url.detail"
      ],
      [
        "an image of another type",
        [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:image/tiff;base64,AAAA" } }] }],
        "messages[0].content[0].image_url.url"
      ],
      [
        "an image at an address that is not http",
        [{ role: "user", content: [{ type: "image_url", image_url: { url: "file:///etc/passwd" } }] }],
        "messages[0].content[0].image_url.url"
      ],
      [
        "a file at another provider",
        [{ role: "user", content: [{ type: "file", file: { file_id: "file-1" } }] }],
        "messages[0].content[0].file.file_id"
      ],
      [
        "a file that is no PDF",
        [{ role: "user", content: [{ type: "file", file: { file_data: "data:text/csv;base64,YSxi" } }] }],
        "messages[0].content[0].file.file_data"
      ],
      ["an assistant's sound", [{ role: "assistant", audio: { id: "a" } }], "messages[0].audio"],
      [
        "an old function call",
        [{ role: "assistant", function_call: { name: "f", arguments: "" } }],
        "messages[0].function_call"
      ],
      [
        "arguments that are no object",
        [{ role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "[1]" } }] }],
        "messages[0].tool_calls[0].function.arguments"
      ],
      [
        "arguments that are not JSON",
        [{ role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "{" } }] }],
        "messages[0].tool_calls[0].function.arguments"
      ],
      [
        "a custom tool's call",
        [{ role: "assistant", tool_calls: [{ id: "c", type: "custom", custom: {} }] }],
        "messages[0].tool_calls[0].type"
      ],
      [
        "what else a call says",
        [{ role: "assistant", tool_calls: [{ id: "c", function: { name: "f" }, extra_content: { a: 1 } }] }],
        "messages[0].tool_calls[0].extra_content"
      ],
      [
        "what else an image says",
        [{ role: "user", content: [{ type: "image_url", image_url: { url: "https://example.com/a", size: 1 } }] }],
        "messages[0].content[0].image_url.size"
      ],
      [
        "a cache_control with nothing to keep",
        [{ role: "user", content: [], cache_control: { type: "ephemeral" } }],
        "messages[0].cache_control"
      ],
      ["a tool's answer to nothing", [{ role: "tool", content: "1" }], "messages[0].tool_call_id"]
    ]
    for (const [what, messages, field] of bad) {
      it(`names ${what}`, () => assert.strictEqual(refusal({ ...base, messages }).field, field))
    }
  })

  describe("fields", () => {
    const weather = {
      type: "function",
      function: {
        name: "weather",
        description: "Tells the weather",
        parameters: { type: "object", properties: { city: { type: "string" } } },
        strict: true
      }
    }
    const translatedTool = {
      name: "weather",
      description: "Tells the weather",
      input_schema: { type: "object", properties: { city: { type: "string" } } },
      strict: true
    }

    it("translates tools, and keeps Anthropic's own", () => {
      const search = { type: "web_search_20250305", name: "web_search" }
      const own = { name: "own", input_schema: { type: "object" } }
      const plain = { type: "function", function: { name: "now" }, cache_control: { type: "ephemeral" } }
      assert.deepStrictEqual(params({ tools: [weather, plain, search, own] }), {
        tools: [
          translatedTool,
          { name: "now", input_schema: { type: "object", properties: {} }, cache_control: { type: "ephemeral" } },
          search,
          own
        ]
      })
    })

    const choices: ReadonlyArray<readonly [Body, unknown]> = [
      [{ tool_choice: "auto" }, { type: "auto" }],
      [{ tool_choice: "none" }, { type: "none" }],
      [{ tool_choice: "required" }, { type: "any" }],
      [{ tool_choice: { type: "function", function: { name: "weather" } } }, { type: "tool", name: "weather" }],
      [{ tool_choice: { type: "any" } }, { type: "any" }],
      [{ parallel_tool_calls: false }, { type: "auto", disable_parallel_tool_use: true }],
      [{ tool_choice: "required", parallel_tool_calls: false }, { type: "any", disable_parallel_tool_use: true }],
      [{ tool_choice: "none", parallel_tool_calls: false }, { type: "none" }],
      [{ parallel_tool_calls: true }, undefined]
    ]
    for (const [body, expected] of choices) {
      it(`translates ${JSON.stringify(body)}`, () =>
        assert.deepStrictEqual(params({ tools: [weather], ...body }).tool_choice, expected))
    }

    const schema = { type: "object", properties: { spam: { type: "boolean" } }, required: ["spam"] }

    it("translates a JSON schema and the user", () => {
      assert.deepStrictEqual(
        params({ response_format: { type: "json_schema", json_schema: { name: "answer", strict: true, schema } } }),
        { output_config: { format: { type: "json_schema", schema } } }
      )
      assert.deepStrictEqual(params({ user: "u1" }), { metadata: { user_id: "u1" } })
      assert.deepStrictEqual(params({ metadata: { user_id: "u2" }, user: "u2" }), { metadata: { user_id: "u2" } })
    })

    it("takes stop as one or several, or Anthropic's own name", () => {
      assert.deepStrictEqual(params({ stop: "a" }), { stop_sequences: ["a"] })
      assert.deepStrictEqual(params({ stop: ["a", "b"] }), { stop_sequences: ["a", "b"] })
      assert.deepStrictEqual(params({ stop_sequences: ["c"] }), { stop_sequences: ["c"] })
      assert.deepStrictEqual(params({ stop: [] }), {})
    })

    it("takes a system prompt beside the messages", () => {
      const cached = [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }]
      assert.deepStrictEqual(params({ system: "Be brief." }), { system: [{ type: "text", text: "Be brief." }] })
      assert.deepStrictEqual(params({ system: cached }), { system: cached })
    })

    it("passes on what only the Messages API has", () => {
      const own = {
        service_tier: "standard_only",
        cache_control: { type: "ephemeral" },
        container: "c1",
        context_management: { edits: [] },
        mcp_servers: [],
        inference_geo: "eu",
        speed: "standard"
      }
      assert.deepStrictEqual(params(own), own)
      assert.deepStrictEqual(params({ top_k: 5 }), { top_k: 5 })
    })

    it("puts betas into the header, sorted and once each", () => {
      const row = wireRow({ ...base, betas: ["files-api-2025-04-14", "context-1m-2025-08-07", "files-api-2025-04-14"] })
      assert.deepStrictEqual(row.betas, ["context-1m-2025-08-07", "files-api-2025-04-14"])
      assert.notInclude(row.text, "betas")
    })

    const bad: ReadonlyArray<readonly [body: Body, field: string, remedy: string | null]> = [
      [{ n: 2 }, "n", "Write the row as often as you want answers"],
      [{ stream: true }, "stream", "Leave it out: a batch cannot stream"],
      [{ seed: 1 }, "seed", null],
      [{ logprobs: true }, "logprobs", null],
      [{ top_logprobs: 2 }, "top_logprobs", null],
      [{ logit_bias: { "50256": -100 } }, "logit_bias", null],
      [{ frequency_penalty: 0.5 }, "frequency_penalty", null],
      [{ presence_penalty: 0.5 }, "presence_penalty", null],
      [{ audio: { voice: "alloy", format: "wav" } }, "audio", null],
      [{ modalities: ["text", "audio"] }, "modalities", null],
      [{ prediction: { type: "content", content: "" } }, "prediction", null],
      [{ verbosity: "low" }, "verbosity", "Say in the prompt how long the answer should be"],
      [{ store: true }, "store", null],
      [{ functions: [] }, "functions", "Use tools"],
      [{ function_call: "auto" }, "function_call", "Use tool_choice"],
      [{ web_search_options: {} }, "web_search_options", "Use Anthropic's web search in tools"],
      [{ safety_identifier: "u" }, "safety_identifier", "Use user"],
      [{ prompt_cache_key: "k" }, "prompt_cache_key", "Use cache_control"],
      [{ temprature: 1 }, "temprature", null],
      [{ constructor: 1 }, "constructor", null],
      [{ model: 5 }, "model", "Set it with --model"],
      [{ max_tokens: 0 }, "max_tokens", "Set it with --max-tokens"],
      [{ max_tokens: 1.5 }, "max_tokens", "Set it with --max-tokens"],
      [{ max_tokens: 10, max_completion_tokens: 20 }, "max_tokens", "Keep one of the two"],
      [{ max_tokens: 64_001 }, "max_tokens", "Ask for less"],
      [{ temperature: 1.5 }, "temperature", "Set it within 0 and 1"],
      [{ temperature: "0" }, "temperature", "Set it within 0 and 1"],
      [{ top_p: -1 }, "top_p", "Set it within 0 and 1"],
      [{ temperature: 0.5, top_p: 0.5 }, "top_p", "Keep one of the two"],
      [{ stop: "\n" }, "stop", "Each sequence needs a character that is not space"],
      [{ stop: [1] }, "stop", null],
      [{ stop: "a", stop_sequences: ["b"] }, "stop", "Keep one of the two"],
      [
        { response_format: { type: "json_object" } },
        "response_format",
        "Use json_schema, or ask for JSON in the prompt"
      ],
      [{ response_format: { type: "json_schema" } }, "response_format.json_schema.schema", null],
      [
        { response_format: { type: "json_schema", json_schema: { name: "a", description: "An answer", schema } } },
        "response_format.json_schema.description",
        "Put it into the schema's own description"
      ],
      [
        {
          response_format: { type: "json_schema", json_schema: { name: "a", schema } },
          output_config: { format: { type: "json_schema", schema } }
        },
        "response_format",
        "Keep one of the two"
      ],
      [
        { tools: [{ type: "custom", custom: { name: "c" } }] },
        "tools[0].type",
        "Use function tools, or Anthropic's own"
      ],
      [{ tools: [{ type: "function" }] }, "tools[0].function", null],
      [{ tools: [{ ...weather, defer_loading: true }] }, "tools[0].defer_loading", "Leave it out of tools[0]"],
      [
        { tools: [{ type: "function", function: { name: "f", examples: ["a"] } }] },
        "tools[0].function.examples",
        "Leave it out of tools[0].function"
      ],
      [
        { response_format: { type: "json_schema", json_schema: { name: "a", schema, version: 2 } } },
        "response_format.json_schema.version",
        "Leave it out of response_format.json_schema"
      ],
      [{ tool_choice: "required" }, "tool_choice", "Give tools"],
      [
        { tools: [weather], tool_choice: { type: "allowed_tools" } },
        "tool_choice",
        "Use auto, none, required or the name of one function"
      ],
      [{ metadata: { topic: "a" } }, "metadata", "Anthropic keeps user_id only"],
      [{ user: "a", metadata: { user_id: "b" } }, "user", "Keep one of the two"],
      [{ service_tier: "flex" }, "service_tier", "Anthropic takes auto and standard_only"],
      [{ betas: ["a\r\nx-evil: 1"] }, "betas", "Write it as [\"name-2025-01-01\"]"],
      [
        { system: "A", messages: [{ role: "system", content: "B" }, ...hello] },
        "system",
        "Keep one of the two"
      ],
      [{ output_config: "high" }, "output_config", null]
    ]
    for (const [body, field, remedy] of bad) {
      it(`refuses ${JSON.stringify(body)}`, () => {
        const error = refusal({ ...base, ...body })
        assert.deepStrictEqual([error.field, error.remedy], [field, remedy])
      })
    }

    it("says what is wrong in one sentence", () => {
      assert.strictEqual(
        refusal({ ...base, temperature: 1.5 }).message,
        "temperature cannot be sent to anthropic: it is 1.5, and Anthropic takes 0 to 1. Set it within 0 and 1"
      )
      assert.strictEqual(
        refusal({ ...base, model: "claude-opus-4-8", temperature: 0 }).message,
        "temperature cannot be sent to claude-opus-4-8: the model chooses its own sampling"
      )
    })
  })

  describe("models", () => {
    const enabled = { type: "enabled", budget_tokens: 2_048 }
    const adaptive = { type: "adaptive" }
    const with4096 = (model: string, extra: Body) => ({ model, max_tokens: 4_096, messages: hello, ...extra })

    const takes: ReadonlyArray<readonly [model: string, body: Body, sent: Body, betas: ReadonlyArray<string>]> = [
      ["claude-haiku-4-5", { temperature: 0 }, { temperature: 0 }, []],
      ["claude-haiku-4-5", { temperature: 0, top_p: 1 }, { temperature: 0 }, []],
      ["claude-haiku-4-5", { temperature: 1, top_p: 0.9 }, { top_p: 0.9 }, []],
      ["claude-3-haiku-20240307", { temperature: 0.3, top_p: 0.9 }, { temperature: 0.3, top_p: 0.9 }, []],
      ["claude-opus-4-6", { temperature: 0.3, top_k: 3 }, { temperature: 0.3, top_k: 3 }, []],
      ["claude-opus-4-7", { temperature: 1, top_p: 1 }, {}, []],
      ["claude-haiku-4-5", { thinking: enabled }, { thinking: enabled }, []],
      ["claude-opus-4-5-20251101", { thinking: enabled, top_p: 0.95 }, { top_p: 0.95, thinking: enabled }, []],
      ["claude-3-7-sonnet-20250219", { thinking: enabled, temperature: 1 }, { temperature: 1, thinking: enabled }, []],
      ["claude-opus-4-6", { thinking: adaptive }, { thinking: adaptive }, []],
      ["claude-sonnet-4-6", { thinking: adaptive }, { thinking: adaptive }, []],
      ["claude-sonnet-5-5", { thinking: { type: "between_tools" } }, { thinking: { type: "between_tools" } }, []],
      ["claude-opus-5-5", { thinking: { type: "disabled" } }, { thinking: { type: "disabled" } }, []],
      ["claude-haiku-4-5", { reasoning_effort: "none" }, { thinking: { type: "disabled" } }, []],
      [
        "claude-opus-4-5",
        { reasoning_effort: "low" },
        { output_config: { effort: "low" } },
        ["effort-2025-11-24"]
      ],
      [
        "claude-opus-4-5-20251101",
        { output_config: { effort: "high" }, betas: ["context-1m-2025-08-07"] },
        { output_config: { effort: "high" } },
        ["context-1m-2025-08-07", "effort-2025-11-24"]
      ],
      ["claude-opus-4-6", { reasoning_effort: "max" }, { output_config: { effort: "max" } }, []],
      ["claude-opus-5-5", { reasoning_effort: "xhigh" }, { output_config: { effort: "xhigh" } }, []],
      [
        "claude-sonnet-5",
        { reasoning_effort: "low", output_config: { effort: "low", task_budget: { type: "tokens", total: 9 } } },
        { output_config: { effort: "low", task_budget: { type: "tokens", total: 9 } } },
        []
      ],
      [
        "somebody-elses-model",
        { temperature: 0.1, top_p: 0.2, thinking: adaptive, reasoning_effort: "huge" },
        { temperature: 0.1, top_p: 0.2, thinking: adaptive, output_config: { effort: "huge" } },
        []
      ]
    ]
    for (const [model, body, sent, betas] of takes) {
      it(`${model} takes ${JSON.stringify(body)}`, () => {
        const row = wireRow(with4096(model, body))
        assert.deepStrictEqual(JSON.parse(row.text).params, { model, max_tokens: 4_096, messages: hello, ...sent })
        assert.deepStrictEqual(row.betas, betas)
      })
    }

    const refuses: ReadonlyArray<readonly [model: string, body: Body, field: string]> = [
      ["claude-opus-4-7", { temperature: 0 }, "temperature"],
      ["claude-sonnet-5", { top_p: 0.9 }, "top_p"],
      ["claude-mythos-5-2", { top_k: 5 }, "top_k"],
      ["claude-haiku-5-5", { temperature: 0.7 }, "temperature"],
      ["claude-3-haiku-20240307", { thinking: enabled }, "thinking"],
      ["claude-3-5-haiku-latest", { thinking: enabled }, "thinking"],
      ["claude-3-haiku-20240307", { max_tokens: 4_097 }, "max_tokens"],
      ["claude-haiku-4-5", { thinking: adaptive }, "thinking"],
      ["claude-opus-4-6", { thinking: enabled }, "thinking"],
      ["claude-sonnet-4-6", { thinking: enabled }, "thinking"],
      ["claude-opus-5", { thinking: enabled }, "thinking"],
      ["claude-haiku-4-5", { thinking: "on" }, "thinking"],
      ["claude-haiku-4-5", { thinking: { type: "enabled", budget_tokens: 1_023 } }, "thinking.budget_tokens"],
      ["claude-haiku-4-5", { thinking: { type: "enabled" } }, "thinking.budget_tokens"],
      ["claude-haiku-4-5", { thinking: { type: "enabled", budget_tokens: 4_096 } }, "thinking.budget_tokens"],
      ["claude-haiku-4-5", { thinking: enabled, temperature: 0 }, "temperature"],
      ["claude-haiku-4-5", { thinking: enabled, top_k: 5 }, "top_k"],
      ["claude-haiku-4-5", { thinking: enabled, top_p: 0.9 }, "top_p"],
      ["claude-haiku-4-5", { thinking: enabled, reasoning_effort: "none" }, "reasoning_effort"],
      ["claude-haiku-4-5", { reasoning_effort: "low" }, "reasoning_effort"],
      ["claude-sonnet-4-5", { output_config: { effort: "low" } }, "output_config.effort"],
      ["claude-opus-4-5", { reasoning_effort: "max" }, "reasoning_effort"],
      ["claude-opus-4-6", { reasoning_effort: "xhigh" }, "reasoning_effort"],
      ["claude-opus-5-5", { reasoning_effort: "minimal" }, "reasoning_effort"],
      ["claude-opus-5-5", { reasoning_effort: "low", output_config: { effort: "high" } }, "reasoning_effort"],
      [
        "claude-3-7-sonnet-latest",
        { response_format: { type: "json_schema", json_schema: { name: "a", schema: {} } } },
        "response_format"
      ]
    ]
    for (const [model, body, field] of refuses) {
      it(`${model} refuses ${JSON.stringify(body)}`, () =>
        assert.strictEqual(refusal(with4096(model, body)).field, field))
    }

    it("tells the way out", () => {
      assert.strictEqual(
        refusal(with4096("claude-opus-4-6", { thinking: enabled })).remedy,
        "Use {\"type\": \"adaptive\"}, and reasoning_effort to say how much"
      )
      assert.strictEqual(
        refusal(with4096("claude-haiku-4-5", { reasoning_effort: "low" })).remedy,
        "Use thinking {\"type\": \"enabled\", \"budget_tokens\": 1024} or more"
      )
      assert.strictEqual(refusal(with4096("claude-opus-5", { reasoning_effort: "minimal" })).remedy, "Use low")
    })

    it("says which levels there are, and which one was meant", () => {
      const error = refusal(with4096("claude-opus-4-6", { reasoning_effort: "xhigh" }))
      assert.deepStrictEqual([error.reason, error.remedy], [
        "it is \"xhigh\", and the model takes low, medium, high, max",
        "Did you mean high?"
      ])
    })

    it("a budget for thinking is held against the tokens that are asked for by default", () => {
      const error = refusal({
        model: "claude-haiku-4-5",
        messages: hello,
        thinking: { type: "enabled", budget_tokens: 4_096 }
      })
      assert.deepStrictEqual([error.field, error.reason, error.remedy], [
        "thinking.budget_tokens",
        "it is 4096, not less than max_tokens (4096)",
        "Raise max_tokens above it"
      ])
      assert.strictEqual(
        refusal(with4096("claude-haiku-4-5", { thinking: { type: "enabled", budget_tokens: 1_500.5 } })).reason,
        "it is 1500.5, not a whole number"
      )
    })

    it("rows that are sent as they are follow the same rules", () => {
      const refused = native(
        "{\"model\":\"claude-opus-4-7\",\"max_tokens\":9,\"messages\":[],\"temperature\":0.5}"
      )
      assert(Either.isLeft(refused))
      assert.strictEqual(
        refused.left.message,
        "temperature cannot be sent to claude-opus-4-7: the model chooses its own sampling. Leave it out"
      )
    })

    it("a beta header lifts the limits it is for", () => {
      assert.isTrue(Either.isRight(encodeBody({
        ...with4096("claude-3-7-sonnet-20250219", {}),
        max_tokens: 128_000,
        betas: ["output-128k-2025-02-19"]
      })))
      assert.isTrue(Either.isRight(encodeBody({
        ...with4096("claude-sonnet-4-5", { thinking: { type: "enabled", budget_tokens: 8_000 } }),
        betas: ["interleaved-thinking-2025-05-14"]
      })))
    })
  })

  describe("other kinds of rows", () => {
    it("refuses embeddings", () => {
      const request = { kind: "embedding", row: 1, line: 1, customId: "a", body: { model: "m", input: "x" } } as const
      const error = Either.getOrThrow(Either.flip(encode(request, "tag-1")))
      assert.deepStrictEqual(
        [error.field, error.remedy],
        ["input", "Send it with --provider openai --endpoint /v1/embeddings"]
      )
    })

    it("sends native rows as they are, but for the id", () => {
      const text = "{ \"model\":\"claude-opus-4-8\", \"max_tokens\":1.0e2, \"messages\":[], \"x\":12345678901234567890}"
      assert.deepStrictEqual(Either.getOrThrow(native(text)), {
        text: `{"custom_id":"tag-7","params":${text}}`,
        endpoint: "/v1/messages",
        model: "claude-opus-4-8",
        betas: [],
        inputs: 1,
        notice: null
      })
    })

    it("takes the betas out of native rows and leaves all else as it is", () => {
      const row = Either.getOrThrow(
        native("{\"model\":\"m\",\"betas\":[\"b-1\",\"a-1\"],\"max_tokens\":1.0e2,\"x\":12345678901234567890}")
      )
      assert.deepStrictEqual(row.betas, ["a-1", "b-1"])
      assert.strictEqual(
        row.text,
        "{\"custom_id\":\"tag-7\",\"params\":{\"model\":\"m\",\"max_tokens\":1.0e2,\"x\":12345678901234567890}}"
      )
    })

    it("keeps a native row on one line", () => {
      const row = Either.getOrThrow(native("{\n  \"model\": \"m\",\r\n  \"a\": \"b\\nc\"\n}"))
      assert.strictEqual(row.text, "{\"custom_id\":\"tag-7\",\"params\":{   \"model\": \"m\",    \"a\": \"b\\nc\" }}")
    })

    it("refuses native rows of others, and streams", () => {
      const other = Either.getOrThrow(Either.flip(native("{\"model\":\"gpt-5\"}", "openai", "/v1/responses")))
      assert.deepStrictEqual([other.field, other.remedy], ["url", "Send it with --provider openai"])
      const stream = Either.getOrThrow(Either.flip(native("{\"model\":\"m\",\"stream\":true}")))
      assert.strictEqual(stream.field, "stream")
    })
  })
})
