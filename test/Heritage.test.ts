/**
 * Users of the earlier evaluation runner switch without changing their downstream parser: results of every provider and
 * endpoint, read the way that parser reads them, give the right ids, texts and token columns; and the predictions that
 * are made of them are those that it would write. Over real sockets.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Provider } from "llm-batch/Provider"
import * as Anthropic from "llm-batch/provider/Anthropic"
import * as OpenAi from "llm-batch/provider/OpenAi"
import { RequestDefaults } from "llm-batch/Request"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Emulator, layer as emulator } from "../src/emulator/Emulator.js"
import * as Evaluate from "../src/job/Evaluate.js"
import * as Pipeline from "../src/Pipeline.js"
import * as Source from "../src/Source.js"
import * as Poll from "../src/stage/Poll.js"
import { parse, readCsv, toCsv } from "./HeritageParser.js"

const items = ["gsm8k|q1|plain|0.7|0|open", "gsm8k|q1|plain|0.7|1|open", "gsm8k|q2|cot|0.0|0|closed"]

const rows = items.map((custom_id, index) =>
  JSON.stringify({ custom_id, body: { messages: [{ role: "user", content: `question ${index + 1}` }] } })
)

const key = Redacted.make("any-key")

const targets = {
  "OpenAI Responses": {
    model: "gpt-4.1-mini",
    endpoint: "/v1/responses",
    provider: (openAi: string, _: string): Layer.Layer<Provider> => OpenAi.layer({ apiKey: key, baseUrl: openAi })
  },
  "OpenAI Chat Completions": {
    model: "gpt-4.1-mini",
    endpoint: "/v1/chat/completions",
    provider: (openAi: string, _: string): Layer.Layer<Provider> => OpenAi.layer({ apiKey: key, baseUrl: openAi })
  },
  "Anthropic Messages": {
    model: "claude-haiku-4-5",
    endpoint: "/v1/messages",
    provider: (_: string, anthropic: string): Layer.Layer<Provider> =>
      Anthropic.layer({ apiKey: key, baseUrl: anthropic })
  }
}

const hurried = Pipeline.layerComposed.pipe(
  Layer.provide(Poll.layerWith({ schedule: Poll.every("20 millis") })),
  Layer.provide(Pipeline.layerStages)
)

describe("the ancestors' parser reads", () => {
  for (const [name, { endpoint, model, provider }] of Object.entries(targets)) {
    it.scopedLive(name, () =>
      Effect.gen(function*() {
        const { anthropicBaseUrl, openAiBaseUrl } = yield* Emulator
        const directory = yield* Effect.acquireRelease(
          Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "llm-batch-heritage-"))),
          (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true }))
        )
        const job = yield* Evaluate.make(
          new Evaluate.EvaluateOptions({ input: "items.jsonl", models: [model] }),
          Source.fromText("items.jsonl", `${rows.join("\n")}\n`)
        )
        const report = yield* Effect.flatMap(Pipeline.Pipeline, (pipeline) =>
          pipeline.run(job.source, {
            directory: Path.join(directory, "run"),
            defaults: new RequestDefaults(job.build.defaults ?? {}),
            endpoint
          })).pipe(Effect.provide(Layer.provide(hurried, provider(openAiBaseUrl, anthropicBaseUrl))))
        const { files } = yield* job.conclude(report)

        const parsed = parse(Fs.readFileSync(report.results, "utf8"))
        const predictions = Fs.readFileSync(files[0] ?? "", "utf8")
        assert.strictEqual(predictions, toCsv(parsed))
        assert.deepStrictEqual(readCsv(predictions), parsed)
        assert.deepStrictEqual(parsed.map((row) => [row.custom_id, row.response_text, row.finish_reason]), [
          ["gsm8k|q1|plain|0.7|0|open", "answer to question 1", "stop"],
          ["gsm8k|q1|plain|0.7|1|open", "answer to question 2", "stop"],
          ["gsm8k|q2|cot|0.0|0|closed", "answer to question 3", "stop"]
        ])
        assert.deepStrictEqual(
          parsed.map((row) => [row.dataset, row.item_id, row.condition, row.temp, row.sample_index, row.type]),
          [
            ["gsm8k", "q1", "plain", "0.7", "0", "open"],
            ["gsm8k", "q1", "plain", "0.7", "1", "open"],
            ["gsm8k", "q2", "cot", "0.0", "0", "closed"]
          ]
        )
        for (const row of parsed) {
          const [prompt, completion] = [Number(row.prompt_tokens), Number(row.completion_tokens)]
          assert.isAbove(prompt, 0)
          assert.isAbove(completion, 0)
          assert.strictEqual(Number(row.total_tokens), prompt + completion)
        }
      }).pipe(Effect.provide(emulator({
        timeScale: 10_000,
        answer: ({ prompt }) => `answer to ${prompt}`
      }))))
  }
})
