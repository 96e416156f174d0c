import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Endpoint } from "../../src/emulator/OpenAiRequest.js"
import * as Tokenizer from "../../src/emulator/Tokenizer.js"

const system = { role: "system", content: "You are a helpful assistant." }
const hello = { role: "user", content: "Hello!" }
const model = "gpt-4.1-mini"

describe("emulator: Tokenizer", () => {
  const chat = (content: unknown, named = model) => ({ model: named, messages: [{ role: "user", content }] })
  const chinese = "这是一个很长的中文句子"

  it.effect.each<readonly [what: string, body: object, tokens: number, endpoint?: Endpoint]>([
    ["a message as OpenAI's own documentation has it", { model, messages: [system, hello] }, 19],
    ["a message with parts", chat([{ type: "text", text: "Hello!" }]), 9],
    ["an image", chat([{ type: "image_url", image_url: { url: "data:" } }]), 1_007],
    ["a schema", { ...chat("Hello!"), response_format: { type: "object" } }, 14],
    ["a text", { model, input: "Hello!" }, 9, "/v1/responses"],
    ["items", { model, input: [hello], instructions: "You are a helpful assistant." }, 19, "/v1/responses"],
    ["an embedding", { model: "text-embedding-3-small", input: "Hello!" }, 2, "/v1/embeddings"],
    ["embeddings", { model: "text-embedding-3-small", input: ["Hello!", "Hello!"] }, 4, "/v1/embeddings"],
    ["embeddings of tokens", { model: "text-embedding-3-small", input: [[1, 2, 3], [4]] }, 4, "/v1/embeddings"],
    ["Chinese, by a newer model", chat(chinese), 15],
    ["Chinese, by an older model", chat(chinese, "gpt-4"), 19],
    ["a long text", chat("word ".repeat(1_000)), 1_008],
    ["what a special token looks like", chat("<|endoftext|>"), 14]
  ])(
    "counts %s",
    ([, body, tokens, endpoint = "/v1/chat/completions"]) =>
      Effect.map(
        Tokenizer.load,
        (count) => assert.strictEqual(count(JSON.parse(JSON.stringify(body)), endpoint), tokens)
      )
  )

  it.effect("is quick with a text without a space, and counts it about right", () =>
    Effect.map(Tokenizer.load, (count) => {
      const tokens = count({ model, input: "-".repeat(1_000_000) }, "/v1/responses")
      assert.approximately(tokens, 15_632, 2_000)
    }))
})
