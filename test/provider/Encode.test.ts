import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import type { Service } from "../../src/Provider.js"
import * as Anthropic from "../../src/provider/Anthropic.js"
import * as OpenAi from "../../src/provider/OpenAi.js"

type Json = null | boolean | number | string | Array<Json> | { [name: string]: Json }

const tool = {
  type: "function",
  function: { name: "f", description: "d", parameters: { type: "object", properties: {} }, strict: true }
}

const messages = [{ role: "user", content: "u" }]

const bodies: ReadonlyArray<{ readonly [name: string]: unknown }> = [
  {
    messages: [
      { role: "system", content: [{ type: "text", text: "s" }] },
      {
        role: "user",
        content: [
          { type: "text", text: "t" },
          { type: "image_url", image_url: { url: "https://example.com/a.png", detail: "auto" } },
          { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0x" } }
        ]
      },
      {
        role: "assistant",
        content: "c",
        refusal: null,
        annotations: [],
        tool_calls: [{ id: "c1", type: "function", function: { name: "f", arguments: "{}" } }]
      },
      { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "r" }] },
      { role: "assistant", content: [{ type: "text", text: "a" }, { type: "refusal", refusal: "n" }] }
    ],
    tools: [tool],
    tool_choice: { type: "function", function: { name: "f" } },
    parallel_tool_calls: false
  },
  {
    messages,
    max_tokens: 2048,
    response_format: { type: "json_schema", json_schema: { name: "n", schema: { type: "object" }, strict: true } },
    user: "me",
    n: 1,
    seed: null,
    stream: false
  },
  { messages, response_format: { type: "text" }, logit_bias: {}, modalities: ["text"], logprobs: true },
  {
    messages: [{ role: "user", content: "u", cache_control: { type: "ephemeral" } }],
    system: [{ type: "text", text: "s" }],
    thinking: { type: "enabled", budget_tokens: 1024 },
    output_config: { format: { type: "json_schema", schema: {} } },
    tools: [{ ...tool, cache_control: { type: "ephemeral" } }],
    tool_choice: "auto",
    stop: ["a"]
  },
  { messages: [{ role: "user", content: [], cache_control: null }, { role: "assistant", content: "", tool_calls: [] }] }
]

/** Members that some part of some API has, so that they are read where they do not belong. */
const names =
  "extra name detail strict description text refusal content json_schema annotations id type function tool_calls image_url "
  + "file cache_control citations is_error title schema effort format logprobs n __proto__"

const targets: ReadonlyArray<readonly [provider: Service, endpoint: string, models: ReadonlyArray<string>]> = [
  [OpenAi.make(), "/v1/responses", ["gpt-4.1-mini", "gpt-5-mini"]],
  [OpenAi.make(), "/v1/chat/completions", ["gpt-4.1-mini", "gpt-5-mini"]],
  [Anthropic.make(), "/v1/messages", ["claude-haiku-4-5", "claude-opus-5", "some-model"]]
]

const placesIn = (value: Json): ReadonlyArray<Array<Json> | { [name: string]: Json }> =>
  typeof value === "object" && value !== null ? [value, ...Object.values(value).flatMap(placesIn)] : []

/** Whether this is a format's schema, whose name and strictness say nothing to Anthropic: it always holds to a schema. */
const isSchema = (place: object | undefined, name: string): boolean =>
  place !== undefined && "schema" in place && ["name", "strict"].includes(name)

describe("encode", () => {
  it.prop(
    "what a body holds is in the wire row, or is refused",
    [
      FastCheck.constantFrom(...bodies),
      FastCheck.constantFrom(
        ...targets.flatMap(([provider, endpoint, models]) => models.map((model) => ({ provider, endpoint, model })))
      ),
      FastCheck.nat(),
      FastCheck.constantFrom(...names.split(" ")),
      FastCheck.constantFrom<Json>("canary", ["canary"], { in: "canary" })
    ],
    ([body, { endpoint, model, provider }, at, name, canary]) => {
      const changed: { [name: string]: Json } = JSON.parse(JSON.stringify({ model, ...body }))
      const places = placesIn(changed)
      const place = places[at % places.length]
      if (Array.isArray(place)) place.push(canary)
      else if (place !== undefined) Object.defineProperty(place, name, { value: canary, enumerable: true })
      const text = JSON.stringify(changed)
      const encoded = provider.encode(
        { kind: "chat", row: 1, line: 1, customId: "a", body: changed },
        "tag-1",
        endpoint
      )
      if (encoded._tag === "Left" || (endpoint === "/v1/messages" && isSchema(place, name))) return
      assert.include(encoded.right.text, "canary", text)
    },
    { fastCheck: { numRuns: 5_000 } }
  )

  const text = FastCheck.oneof(FastCheck.constantFrom("", "a", "b \"c\" \ud83d\ude00"), FastCheck.string())
  const plain = FastCheck.array(
    FastCheck.tuple(FastCheck.constantFrom("system", "developer", "user", "assistant"), text),
    { minLength: 1, maxLength: 4 }
  )
  const settings = FastCheck.record({
    temperature: FastCheck.constantFrom<unknown>(1, 0.5, null),
    max_tokens: FastCheck.constantFrom<unknown>(9, 10),
    max_completion_tokens: FastCheck.constant<unknown>(9),
    system: FastCheck.constantFrom<unknown>("s", ""),
    reasoning_effort: FastCheck.constantFrom<unknown>("low", "none"),
    stop: FastCheck.constantFrom<unknown>("x", ["x"]),
    user: FastCheck.constant<unknown>("me"),
    top_k: FastCheck.constant<unknown>(5)
  }, { requiredKeys: [] })

  it.prop(
    "plain chats that are alike are written as any other",
    [
      FastCheck.array(FastCheck.tuple(plain, settings), { minLength: 1, maxLength: 4 }),
      FastCheck.constantFrom(
        ...targets.flatMap(([provider, endpoint, models]) => models.map((model) => ({ provider, endpoint, model })))
      )
    ],
    ([rows, { endpoint, model, provider }]) => {
      const encode = (messages: unknown, rest: object) =>
        provider.encode(
          { kind: "chat", row: 1, line: 1, customId: "a", body: { model, ...rest, messages } },
          "tag-1",
          endpoint
        )
      // The second time, what all of them have in common is known.
      for (const [roles, rest] of [...rows, ...rows]) {
        const messages = roles.map(([role, content]) => ({ role, content }))
        // Nobody takes these for plain, since their members have another order.
        const other = encode(roles.map(([role, content]) => ({ content, role })), rest)
        const encoded = encode(messages, rest)
        if (encoded._tag === "Left" || other._tag === "Left") {
          assert.deepStrictEqual(encoded, other)
        } else {
          const { messages: written, text, ...row } = encoded.right
          const { text: otherText, ...otherRow } = other.right
          assert.deepStrictEqual(row, otherRow)
          assert.include([undefined, JSON.stringify(messages)], written)
          if (endpoint === "/v1/chat/completions") assert.deepStrictEqual(JSON.parse(text), JSON.parse(otherText))
          else assert.strictEqual(text, otherText)
        }
      }
    },
    { fastCheck: { numRuns: 1_000 } }
  )
})
