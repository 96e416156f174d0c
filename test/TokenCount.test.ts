/**
 * The counts that these tests compare with are not ours: OpenAI's `tiktoken` (its WebAssembly build, 1.0.22 of npm) over
 * the same texts; what the APIs answered to requests that were published; and a public reconstruction of Anthropic's
 * older tokenizer (`ai-tokenizer` 1.0.6 of npm, within 3 % of the API by its authors' measure).
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Model from "../src/Model.js"
import * as TokenCount from "../src/TokenCount.js"

const model = (name: string): Model.Model => Model.knownOr(Model.builtIn.find(name), name, "openai")
const counterOf = (name: string) => TokenCount.counter(model(name))

const questions: ReadonlyArray<string> = readFileSync("examples/gsm8k/test.jsonl", "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => String(JSON.parse(line).question))

/** A sample of the SMS Spam Collection. */
const messages: ReadonlyArray<string> = readFileSync("test/data/sms-spam.tsv", "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => line.split("\t")[1] ?? "")

const chat = "/v1/chat/completions"
const user = (content: unknown) => ({ messages: [{ role: "user", content }] })

const sampled = (counter: TokenCount.Counter, texts: ReadonlyArray<string>, budget?: number): TokenCount.TokenBand => {
  const sampler = TokenCount.sampler(counter, budget)
  for (const text of texts) {
    const body = user(text)
    sampler.add(body, chat, Buffer.byteLength(JSON.stringify(body)))
  }
  return sampler.estimate()
}

/** Within so many hundredths. */
const assertNear = (actual: number, expected: number, percent: number) =>
  assert.isAtMost(Math.abs(actual - expected), (expected * percent) / 100, `${actual} is not near ${expected}`)

describe("OpenAI", () => {
  it.effect("counts the texts of GSM8K and the SMS collection as tiktoken does", () =>
    Effect.gen(function*() {
      const newer = yield* counterOf("gpt-5-mini")
      const older = yield* counterOf("gpt-4-turbo")
      const total = (counter: TokenCount.Counter, texts: ReadonlyArray<string>) =>
        texts.reduce((sum, text) => sum + counter.text(text), 0)
      assert.strictEqual(questions.length, 1_319)
      assert.strictEqual(total(newer, questions), 77_109)
      assert.strictEqual(total(older, questions), 77_791)
      assert.strictEqual(messages.length, 507)
      assert.strictEqual(total(newer, messages), 11_012)
      assert.strictEqual(total(older, messages), 11_316)
    }))

  it.effect("adds what OpenAI puts around messages", () =>
    Effect.gen(function*() {
      // The example of OpenAI's cookbook, whose counts were returned by the API.
      const jargon = {
        messages: [
          {
            role: "system",
            content:
              "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."
          },
          { role: "system", name: "example_user", content: "New synergies will help drive top-line growth." },
          {
            role: "system",
            name: "example_assistant",
            content: "Things working well together will increase revenue."
          },
          {
            role: "system",
            name: "example_user",
            content:
              "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."
          },
          {
            role: "system",
            name: "example_assistant",
            content: "Let's talk later when we're less busy about how to do better."
          },
          {
            role: "user",
            content: "This late pivot means we don't have time to boil the ocean for the client deliverable."
          }
        ]
      }
      const greeting = {
        messages: [
          { role: "developer", content: "You are a helpful assistant." },
          { role: "user", content: "Hello!" }
        ]
      }
      const published: ReadonlyArray<
        readonly [name: string, body: { readonly [name: string]: unknown }, tokens: number]
      > = [
        ["gpt-3.5-turbo", jargon, 129],
        ["gpt-4", jargon, 129],
        ["gpt-4o", jargon, 124],
        ["gpt-4o-mini", jargon, 124],
        ["gpt-4o", greeting, 19],
        ["gpt-4.1", greeting, 19],
        ["gpt-5", greeting, 18],
        ["gpt-4o-mini", user("Who won the World Cup in 2022?"), 17]
      ]
      for (const [name, body, tokens] of published) {
        const counter = yield* counterOf(name)
        assert.deepInclude(counter.body(body, chat), { tokens, low: tokens, high: tokens }, name)
      }
    }))

  it.effect("counts bodies of every endpoint", () =>
    Effect.gen(function*() {
      const { body } = yield* counterOf("gpt-4o")
      const hello = body(user("Hello!"), chat).tokens
      assert.strictEqual(hello, 9)
      assert.strictEqual(body({ input: "Hello!" }, "/v1/responses").tokens, 9)
      assert.strictEqual(
        body({ input: [{ role: "user", content: [{ type: "input_text", text: "Hello!" }] }] }, "/v1/responses").tokens,
        9
      )
      assert.strictEqual(
        body({ instructions: "You are a helpful assistant.", input: "Hello!" }, "/v1/responses").tokens,
        19
      )
      const embeddings = "/v1/embeddings"
      assert.strictEqual(body({ input: "Hello!" }, embeddings).tokens, 2)
      assert.strictEqual(body({ input: ["Hello!", "Hello!"] }, embeddings).tokens, 4)
      assert.strictEqual(body({ input: [1, 2, 3] }, embeddings).tokens, 3)
      assert.strictEqual(body({ input: [[1, 2, 3], [4]] }, embeddings).tokens, 4)
      assert.strictEqual(body({ prompt: "Hello!" }, "/v1/completions").tokens, 2)
    }))

  it.effect("guesses what it cannot count, and says so", () =>
    Effect.gen(function*() {
      const counter = yield* counterOf("gpt-4o")
      const image = counter.body(
        user([{ type: "text", text: "Hello!" }, {
          type: "image_url",
          image_url: { url: "https://example.com/a.png" }
        }]),
        chat
      )
      assert.isBelow(image.low, image.tokens)
      assert.isAbove(image.high, image.tokens)
      const tools = counter.body(
        { ...user("Hello!"), tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }] },
        chat
      )
      assert.isBelow(tools.low, tools.tokens)
      const sampler = TokenCount.sampler(counter)
      sampler.add(user([{ type: "file", file: { file_id: "f" } }]), chat, 100)
      assert.isFalse(sampler.estimate().exact)
    }))

  it.effect("takes special tokens for text, and long runs of one kind in pieces", () =>
    Effect.gen(function*() {
      const { text } = yield* counterOf("gpt-5-mini")
      assert.strictEqual(text("<|endoftext|> hi"), 8)
      // tiktoken's counts; by themselves these runs would take minutes.
      assertNear(text("人工智能是计算机科学的一个分支".repeat(200)), 2_000, 3)
      assertNear(text("a".repeat(20_000)), 2_500, 1)
      assertNear(text("-".repeat(1_000)), 16, 40)
      assertNear(text(`${"word ".repeat(1_000)}${"日本語".repeat(300)} tail of it`), 1_603, 1)
    }))
})

describe("a sampler", () => {
  it.effect("counts every row of a small input", () =>
    Effect.gen(function*() {
      const band = sampled(yield* counterOf("gpt-4o-mini"), questions)
      const expected = 77_109 + 7 * 1_319
      assert.deepStrictEqual(
        band,
        new TokenCount.TokenBand({ tokens: expected, low: expected, high: expected, exact: true })
      )
    }))

  it.effect("is within 2 % of the whole when it counts a part, and says how far it may be off", () =>
    Effect.gen(function*() {
      const counter = yield* counterOf("gpt-4o-mini")
      const inputs = [
        { texts: questions, tokens: 77_109 + 7 * 1_319, budget: 60_000 },
        { texts: messages, tokens: 11_012 + 7 * 507, budget: 20_000 }
      ]
      for (const { budget, texts, tokens } of inputs) {
        const band = sampled(counter, texts, budget)
        assertNear(band.tokens, tokens, 2)
        assert.isAtMost(band.low, tokens)
        assert.isAtLeast(band.high, tokens)
        assert.isBelow((band.high - band.low) / tokens, 0.15)
        assert.isFalse(band.exact)
        assert.deepStrictEqual(sampled(counter, texts, budget), band)
      }
    }))

  it.effect("counts less and less of an input that grows", () =>
    Effect.gen(function*() {
      const { body, ...rest } = yield* counterOf("claude-haiku-4-5")
      let counted = 0
      const sampler = TokenCount.sampler({
        ...rest,
        body: (...args) => {
          counted += 1
          return body(...args)
        }
      }, 100_000)
      for (let row = 0; row < 200_000; row++) sampler.add(user("How much is it?"), chat, 100)
      // A thousand rows whole, and as much again for each time that the input grows e-fold: 1 + ln 200.
      assert.isBelow(counted, 7_500)
      assert.isAbove(counted, 5_000)
      const each = body(user("How much is it?"), chat).tokens
      assertNear(sampler.estimate().tokens, 200_000 * each, 0.1)
    }))

  it("finds nothing in nothing", () => {
    const sampler = TokenCount.sampler(Effect.runSync(counterOf("claude-haiku-4-5")))
    assert.deepStrictEqual(sampler.estimate(), TokenCount.none)
  })
})

describe("Anthropic", () => {
  /** Content by the reconstruction, and the seven tokens that the API adds to a message. */
  const inputs = [
    { texts: questions, content: 75_967, frames: 7 * 1_319 },
    { texts: messages, content: 11_442, frames: 7 * 507 }
  ]

  it.effect("has the older models' count in its band", () =>
    Effect.gen(function*() {
      for (const name of ["claude-haiku-4-5", "claude-sonnet-4-6"]) {
        const counter = yield* counterOf(name)
        for (const { content, frames, texts } of inputs) {
          const band = sampled(counter, texts)
          assert.isFalse(band.exact)
          // The API counts up to 10 % more than the reconstruction.
          for (const tokens of [content + frames, content * 1.1 + frames]) {
            assert.isAtMost(band.low, tokens)
            assert.isAtLeast(band.high, tokens)
            assertNear(band.tokens, tokens, 10)
          }
        }
      }
    }))

  it.effect("has the newer models' count in its band, about 30 % above", () =>
    Effect.gen(function*() {
      for (const name of ["claude-opus-4-7", "claude-haiku-5-5"]) {
        const counter = yield* counterOf(name)
        for (const { content, frames, texts } of inputs) {
          const band = sampled(counter, texts)
          for (const factor of [1.15, 1.3, 1.47]) {
            assert.isAtMost(band.low, content * factor + frames)
            assert.isAtLeast(band.high, content * factor + frames)
          }
          assertNear(band.tokens, content * 1.3 + frames, 10)
        }
      }
    }))

  it.effect("has what the documentation counts in its band", () =>
    Effect.gen(function*() {
      const sampler = TokenCount.sampler(yield* counterOf("claude-sonnet-4-5"))
      sampler.add({ system: "You are a scientist", ...user("Hello, Claude") }, "/v1/messages", 100)
      const { high, low } = sampler.estimate()
      assert.isAtMost(low, 14)
      assert.isAtLeast(high, 14)
    }))

  it.effect("knows other scripts", () =>
    Effect.gen(function*() {
      const older = yield* counterOf("claude-haiku-4-5")
      const newer = yield* counterOf("claude-opus-5")
      // By the reconstruction 95 and 106; the newer tokenizer was measured to be no other for these scripts.
      const chinese =
        "人工智能是计算机科学的一个分支，它企图了解智能的实质，并生产出一种新的能以人类智能相似的方式做出反应的智能机器。该领域的研究包括机器人、语言识别、图像识别、自然语言处理和专家系统等。"
      const russian =
        "Искусственный интеллект — это свойство искусственных интеллектуальных систем выполнять творческие функции, которые традиционно считаются прерогативой человека. Наука и технология создания интеллектуальных машин."
      assertNear(older.text(chinese), 95, 15)
      assertNear(newer.text(chinese), 95, 15)
      assertNear(older.text(russian), 106, 15)
      assertNear(newer.text(russian), 106, 15)
    }))
})

describe("an unknown model", () => {
  it.effect("has a wide band", () =>
    Effect.gen(function*() {
      const band = sampled(yield* TokenCount.counter(Model.unknown("my-org/llama-3", "openai")), questions)
      assert.isFalse(band.exact)
      assert.isAtMost(band.low, 77_109)
      assert.isAtLeast(band.high, 77_109)
    }))
})

describe("TokenBand", () => {
  it("adds up, and serialises", () => {
    const exact = new TokenCount.TokenBand({ tokens: 5, low: 5, high: 5, exact: true })
    const guess = new TokenCount.TokenBand({ tokens: 10, low: 8, high: 13, exact: false })
    assert.deepStrictEqual(
      Schema.encodeSync(TokenCount.TokenBand)(TokenCount.sum([exact, guess])),
      { tokens: 15, low: 13, high: 18, exact: false }
    )
    assert.deepStrictEqual(TokenCount.sum([]), TokenCount.none)
  })
})
