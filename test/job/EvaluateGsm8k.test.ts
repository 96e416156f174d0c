/**
 * Evaluations on the 1,319 questions of GSM8K, from their file to scores, over real sockets, since the emulator is a
 * server. What is right is read from the file here, and answers are wrong by a rule of this test, so that the expected
 * scores owe nothing to `src`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Emulator, layer as emulator } from "llm-batch/emulator/Emulator"
import * as Evaluate from "llm-batch/job/Evaluate"
import * as Pipeline from "llm-batch/Pipeline"
import type { Provider } from "llm-batch/Provider"
import * as Anthropic from "llm-batch/provider/Anthropic"
import * as OpenAi from "llm-batch/provider/OpenAi"
import { RequestDefaults } from "llm-batch/Request"
import * as Poll from "llm-batch/stage/Poll"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { parse, readCsv } from "../HeritageParser.js"

const gsm8k = fileURLToPath(new URL("../../examples/gsm8k/test.jsonl", import.meta.url))

interface Question {
  readonly question: string
  readonly answer: string
}

const questions = (): ReadonlyArray<Question> =>
  Fs.readFileSync(gsm8k, "utf8").trim().split("\n").map((line) => JSON.parse(line))

const rightAnswer = ({ answer }: Question) => Number(answer.slice(answer.indexOf("####") + 4).replaceAll(",", ""))

const hurried = Pipeline.layerComposed.pipe(
  Layer.provide(Poll.layerWith({ schedule: Poll.every("20 millis") })),
  Layer.provide(Pipeline.layerStages)
)

const temporary = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "llm-batch-evaluate-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true }))
)

const apiKey = Redacted.make("any-key")

const runLive = (job: Evaluate.Evaluation, run: string, provider: Layer.Layer<Provider>) =>
  Effect.flatMap(
    Pipeline.Pipeline,
    (pipeline) => pipeline.run(job.source, { directory: run, defaults: new RequestDefaults(job.build.defaults ?? {}) })
  )
    .pipe(Effect.provide(Layer.provide(hurried, provider)))

/** What this test looks at of a score. */
interface Score {
  readonly interval: { readonly low: number; readonly high: number }
}

/** What the model of this test does with a question: the same for the same model, temperature and prompt. */
const fate = (model: string, temperature: number, prompt: string) => {
  const dice = createHash("sha256").update(`${model} ${temperature} ${prompt}`).digest().readUInt32BE(0) % 1_000
  const wrong = model === "gpt-4.1-nano" ? 300 : 100
  return { dice, kind: dice < wrong ? "wrong" : dice < wrong + 20 ? "silent" : dice < wrong + 50 ? "wordy" : "right" }
}

/** One of the ways in which models write a number. */
const written = (number: number, dice: number) =>
  [
    `First 3, then 4.\n#### ${number.toLocaleString("en")}`,
    `So it is \\boxed{${number}}, of 17.`,
    `They pay $${number.toLocaleString("en")}.00`,
    `#### **${number}** in all 9 cases`
  ][dice % 4] ?? ""

/** Wilson's interval as the roots of its equation: |p - x| = z sqrt(x (1 - x) / n). */
const wilson = (correct: number, n: number) => {
  const [z, p] = [1.959963984540054, correct / n]
  const [a, b, c] = [1 + z * z / n, -(2 * p + z * z / n), p * p]
  const root = (side: 1 | -1) => (-b + side * Math.sqrt(b * b - 4 * a * c)) / (2 * a)
  return { low: root(-1).toFixed(9), high: root(1).toFixed(9) }
}

describe("an evaluation on GSM8K", () => {
  const answers = new Map(questions().map((item) => [item.question, rightAnswer(item)]))

  it.scopedLive("is scored exactly as its answers are right and wrong", () =>
    Effect.gen(function*() {
      const items = questions()
      const ways = { plain: "Answer with the number only.", stepwise: "Think step by step." }
      const models = ["gpt-4.1-mini", "gpt-4.1-nano"] as const
      const conditions = Object.fromEntries(
        Object.entries(ways).map(([name, way]) => [name, { prompt: `{{question}}\n${way}` }])
      )
      const { openAiBaseUrl } = yield* Emulator
      const job = yield* Evaluate.make(
        new Evaluate.EvaluateOptions({
          input: gsm8k,
          dataset: "gsm8k",
          models,
          conditions,
          temps: [0.7],
          maxTokens: 300
        })
      )
      const run = yield* runLive(
        job,
        Path.join(yield* temporary, "run"),
        OpenAi.layer({ apiKey, baseUrl: openAiBaseUrl })
      )
      const { complete, files, lines } = yield* job.conclude(run)

      const expected = models.flatMap((model) =>
        Object.entries(ways).map(([condition, way]) => {
          const kinds = items.map(({ question }) => fate(model, 0.7, `${question}\n${way}`).kind)
          const count = (kind: string) => kinds.filter((one) => one === kind).length
          return {
            model,
            condition,
            temp: 0.7,
            n: 1_319,
            items: 1_319,
            correct: count("right"),
            accuracy: count("right") / 1_319,
            interval: wilson(count("right"), 1_319),
            effective_n: 1_319,
            unanswered: count("silent"),
            no_number: count("wordy"),
            not_scored: 0
          }
        })
      )
      const { scores }: { readonly scores: ReadonlyArray<Score> } = JSON.parse(Fs.readFileSync(files[2] ?? "", "utf8"))
      assert.deepStrictEqual<unknown>(
        scores.map(({ interval: { high, low }, ...score }) => ({
          ...score,
          interval: { low: low.toFixed(9), high: high.toFixed(9) }
        })),
        expected
      )
      assert.isTrue(complete)
      assert.lengthOf(lines, 8)

      const predictions = readCsv(Fs.readFileSync(files[0] ?? "", "utf8"))
      assert.lengthOf(predictions, 4 * 1_319)
      assert.deepStrictEqual(predictions, parse(Fs.readFileSync(run.results, "utf8")))
      assert.deepStrictEqual(predictions.slice(0, 5).map(({ custom_id }) => custom_id), [
        "gsm8k|1|plain@gpt-4.1-mini|0.7|0|open",
        "gsm8k|1|stepwise@gpt-4.1-mini|0.7|0|open",
        "gsm8k|1|plain@gpt-4.1-nano|0.7|0|open",
        "gsm8k|1|stepwise@gpt-4.1-nano|0.7|0|open",
        "gsm8k|2|plain@gpt-4.1-mini|0.7|0|open"
      ])
    }).pipe(Effect.provide(emulator({
      timeScale: 100_000,
      answer: ({ body, model, prompt }) => {
        const right = answers.get(prompt.slice(0, prompt.lastIndexOf("\n"))) ?? Number.NaN
        const { dice, kind } = fate(model, Number(body["temperature"]), prompt)
        if (kind === "silent") return ""
        if (kind === "wordy") return "I would rather not say."
        return written(right + (kind === "wrong" ? 1 + dice % 7 : 0), dice)
      }
    }))))

  it.scopedLive("sends models that think what Anthropic takes, and keeps the temperature in the id", () =>
    Effect.gen(function*() {
      const { anthropicBaseUrl } = yield* Emulator
      const job = yield* Evaluate.make(
        new Evaluate.EvaluateOptions({
          input: gsm8k,
          dataset: "gsm8k",
          models: ["claude-opus-4-5", "claude-opus-4-6", "claude-haiku-4-5"],
          temps: [0, 0.7],
          maxTokens: 300,
          limitItems: 5
        })
      )
      const run = yield* runLive(
        job,
        Path.join(yield* temporary, "run"),
        Anthropic.layer({ apiKey, baseUrl: anthropicBaseUrl })
      )
      const { complete, files } = yield* job.conclude(run)
      assert.isTrue(complete)
      const predictions = readCsv(Fs.readFileSync(files[0] ?? "", "utf8"))
      assert.deepStrictEqual(predictions.slice(0, 6).map(({ condition, temp }) => [condition, temp]), [
        ["plain@claude-opus-4-5", "0.0"],
        ["plain@claude-opus-4-5", "0.7"],
        ["plain@claude-opus-4-6", "0.0"],
        ["plain@claude-opus-4-6", "0.7"],
        ["plain@claude-haiku-4-5", "0.0"],
        ["plain@claude-haiku-4-5", "0.7"]
      ])
      assert.lengthOf(predictions.filter((row) => row.response_text.startsWith("the answer to ")), 30)
    }).pipe(Effect.provide(emulator({ timeScale: 100_000, answer: ({ prompt }) => `the answer to ${prompt}` }))))
})
