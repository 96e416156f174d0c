import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import type { AnswerRequest } from "../../src/emulator/Answer.js"
import * as Script from "../../src/emulator/Script.js"
import * as H from "./Harness.js"

const read = (lines: ReadonlyArray<object>, options: Partial<Script.ScriptOptions> = {}) => {
  const script = Script.read(lines.map((line) => JSON.stringify(line)).join("\n"), {
    seed: 1,
    errorRate: 0,
    ...options
  })
  if ("problem" in script) throw new Error(script.problem)
  return script.answer
}

/** A chat: what the user says, what the model says to it, what the user says to that, and so on. */
const chat = (...texts: ReadonlyArray<string>): AnswerRequest => ({
  provider: "openai",
  model: "m",
  prompt: texts.at(-1) ?? "",
  body: {
    model: "m",
    messages: [
      { role: "system", content: "q" },
      ...texts.map((content, at) => ({ role: at % 2 === 0 ? "user" : "assistant", content }))
    ]
  }
})

describe("a script of answers", () => {
  it("is looked through by whole prompts, then by parts of them, then for what fits anything", () => {
    const answer = read([
      { answer: "anything" },
      { match: "sky", answer: "part" },
      { match: "the sky", answer: "later part" },
      { prompt: "the sky", answer: "whole" }
    ])
    assert.deepStrictEqual([chat("the sky"), chat("the sky?"), chat("the sea")].map(answer), [
      "whole",
      "part",
      "anything"
    ])
    assert.strictEqual(read([{ match: "sky", answer: "part" }])(chat("the sea")), undefined)
  })

  it("reads the user's messages in every form that the providers take", () => {
    const answer = read([{ prompt: "hello", answer: "yes" }])
    const bodies = [
      { input: "hello" },
      { input: [{ role: "user", content: [{ type: "input_text", text: "hello" }] }] },
      { messages: [{ role: "user", content: "hello" }] },
      { messages: [{ role: "user", content: [{ type: "text", text: "hello" }] }] }
    ]
    for (const body of bodies) assert.strictEqual(answer({ ...chat(), body }), "yes")
  })

  it("has answers for further rounds, the last for all that follow", () => {
    const answer = read([
      { prompt: "q", answer: "bad", repair: ["better", "good"] },
      { answer: "anything", repair: ["anything else"] }
    ])
    const rounds = [
      chat("q"),
      chat("q", "bad", "wrong"),
      chat("q", "better", "wrong"),
      chat("q", "bad", "wrong", "better", "again"),
      chat("q", "good", "wrong")
    ]
    assert.deepStrictEqual(rounds.map(answer), ["bad", "better", "good", "good", "good"])
    assert.deepStrictEqual([chat("x"), chat("x", "anything", "wrong")].map(answer), ["anything", "anything else"])
    // The last message is a question of its own: no further round of an earlier one.
    assert.strictEqual(answer(chat("first", "said", "q")), "bad")
  })

  it("answers wrong at the given rate, always the same requests, streamed or not", () => {
    const lines = Array.from({ length: 2000 }, (_, at) => ({ prompt: `q${at}`, answer: "right", wrong: ["w1", "w2"] }))
    const requests = lines.map(({ prompt }) => chat(prompt))
    const answers = requests.map(read(lines, { errorRate: 0.25 }))
    const count = (text: string) => answers.filter((answer) => answer === text).length
    assert.closeTo(count("right"), 1500, 80)
    assert.closeTo(count("w1"), 250, 60)
    assert.strictEqual(count("right") + count("w1") + count("w2"), 2000)
    const streamed = requests.map((request) => ({ ...request, body: { ...request.body, stream: true } }))
    assert.deepStrictEqual(streamed.map(read(lines, { errorRate: 0.25 })), answers)
    assert.notDeepEqual(requests.map(read(lines, { errorRate: 0.25, seed: 2 })), answers)
    assert.deepStrictEqual(new Set(requests.map(read(lines, { errorRate: 1 }))), new Set(["w1", "w2"]))
    assert.deepStrictEqual(new Set(requests.map(read(lines))), new Set(["right"]))
  })

  it("draws anew in a further round that it has no answer for", () => {
    const lines = Array.from({ length: 500 }, (_, at) => ({ prompt: `q${at}`, answer: "right", wrong: ["wrong"] }))
    const answer = read(lines, { errorRate: 0.5 })
    const repaired = lines.filter(({ prompt }) =>
      answer(chat(prompt)) === "wrong" && answer(chat(prompt, "wrong", "no")) === "right"
    )
    assert.closeTo(repaired.length, 125, 40)
  })

  it("says which line is none", () => {
    const options = { seed: 1, errorRate: 0 }
    for (
      const line of [
        "{",
        "[]",
        "{\"prompt\":\"x\"}",
        "{\"answer\":1}",
        "{\"answer\":\"a\",\"wrong\":\"b\"}",
        "{\"answer\":\"a\",\"repair\":[1]}",
        "{\"answer\":\"a\",\"promt\":\"x\"}"
      ]
    ) {
      const script = Script.read(`{"answer":"fine"}\n\n${line}`, options)
      assert.include("problem" in script ? script.problem : "", "line 3 is not")
    }
  })

  it.scopedLive("is served by the emulator, to both providers' clients", () =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "llm-batch-script-"))),
        (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true }))
      )
      const answersFile = Path.join(directory, "answers.jsonl")
      Fs.writeFileSync(answersFile, `{"prompt":"q","answer":"right","wrong":["wrong"],"repair":["put right"]}\n`)
      const { anthropic, openai } = yield* H.start({ answersFile, answerErrorRate: 1 })
      const first = [{ role: "user" as const, content: "q" }]
      const second = [...first, { role: "assistant" as const, content: "wrong" }, {
        role: "user" as const,
        content: "no"
      }]
      for (const [messages, answer] of [[first, "wrong"], [second, "put right"]] as const) {
        const chat = yield* H.call(() => openai.chat.completions.create({ model: "gpt-4.1", messages: [...messages] }))
        assert.strictEqual(chat.choices[0]?.message.content, answer)
        const response = yield* H.call(() => openai.responses.create({ model: "gpt-4.1", input: [...messages] }))
        assert.strictEqual(response.output_text, answer)
        const message = yield* H.call(() =>
          anthropic.messages.create({ model: "claude-haiku-4-5", max_tokens: 100, messages: [...messages] })
        )
        assert.deepStrictEqual(message.content.map((part) => part.type === "text" ? part.text : ""), [answer])
      }
    }))
})
