/**
 * Evaluations from items to scores. Expected values are literals, or come from a reader that knows nothing of `src`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Evaluate from "llm-batch/job/Evaluate"
import * as Pipeline from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import { fileURLToPath } from "node:url"
import { parse, readCsv, toCsv } from "../HeritageParser.js"
import { directory, make as makeWorld } from "../World.js"

type Options = ConstructorParameters<typeof Evaluate.EvaluateOptions>[0]

const jsonl = (rows: ReadonlyArray<object>) => rows.map((row) => `${JSON.stringify(row)}\n`).join("")

const make = (text: string, options: Partial<Options> = {}, format?: Source.SourceFormat) =>
  Evaluate.make(
    new Evaluate.EvaluateOptions({ input: "sums.jsonl", models: ["m"], ...options }),
    Source.fromText("sums.jsonl", text, { format })
  )

const readSource = ({ blocks }: Source.Source) =>
  Effect.map(Stream.runCollect(blocks), (blocks) => Buffer.concat(Chunk.toReadonlyArray(blocks)).toString())

interface MadeRow {
  readonly custom_id: string
  readonly body: { readonly [name: string]: unknown }
  readonly [column: string]: unknown
}

const rowsOf = (text: string): ReadonlyArray<MadeRow> =>
  text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))

const madeRows = (text: string, options?: Partial<Options>, format?: Source.SourceFormat) =>
  Effect.map(Effect.flatMap(make(text, options, format), (job) => readSource(job.source)), rowsOf)

/** The message of what is wrong with the options or the items. */
const problem = (text: string, options?: Partial<Options>) =>
  Effect.map(Effect.flip(madeRows(text, options)), ({ message }) => message)

const two = jsonl([{ id: "a", question: "1 + 1?", answer: "2" }, { id: "b", question: "2 + 2?", answer: "4" }])

describe("items", () => {
  it.effect("become a row for each model, condition, temperature and sample", () =>
    Effect.gen(function*() {
      const rows = yield* madeRows(two, {
        models: ["small", "large"],
        conditions: { plain: {}, stepwise: { prompt: "{{question}} Step by step.", system: "You know {{topic}}." } },
        temps: [0, 0.7],
        samples: 2,
        variables: { topic: "sums" }
      })
      assert.deepStrictEqual(rows.map(({ custom_id }) => custom_id).slice(0, 17), [
        "sums|a|plain@small|0.0|0|open",
        "sums|a|plain@small|0.0|1|open",
        "sums|a|plain@small|0.7|0|open",
        "sums|a|plain@small|0.7|1|open",
        "sums|a|stepwise@small|0.0|0|open",
        "sums|a|stepwise@small|0.0|1|open",
        "sums|a|stepwise@small|0.7|0|open",
        "sums|a|stepwise@small|0.7|1|open",
        "sums|a|plain@large|0.0|0|open",
        "sums|a|plain@large|0.0|1|open",
        "sums|a|plain@large|0.7|0|open",
        "sums|a|plain@large|0.7|1|open",
        "sums|a|stepwise@large|0.0|0|open",
        "sums|a|stepwise@large|0.0|1|open",
        "sums|a|stepwise@large|0.7|0|open",
        "sums|a|stepwise@large|0.7|1|open",
        "sums|b|plain@small|0.0|0|open"
      ])
      assert.lengthOf(rows, 32)
      assert.lengthOf(new Set(rows.map(({ custom_id }) => custom_id)), 32)
      assert.deepStrictEqual(rows[0], {
        custom_id: "sums|a|plain@small|0.0|0|open",
        body: { model: "small", messages: [{ role: "user", content: "1 + 1?" }], temperature: 0 },
        id: "a",
        question: "1 + 1?",
        answer: "2"
      })
      assert.deepStrictEqual(rows[15]?.body, {
        model: "large",
        messages: [
          { role: "system", content: "You know sums." },
          { role: "user", content: "1 + 1? Step by step." }
        ],
        temperature: 0.7
      })
    }))

  it.effect("have the ids of the ancestors with one model, and no temperature where none is asked for", () =>
    Effect.gen(function*() {
      const rows = yield* madeRows(
        jsonl([
          { question: "?", answer: 12 },
          { item_id: 7, id: "other", dataset: "gsm8k", type: "closed", question: "?", url: "/about", answer: "####1" }
        ]),
        { maxTokens: 50, system: "Be brief." }
      )
      assert.deepStrictEqual(rows.map(({ custom_id }) => custom_id), [
        "sums|1|plain|1.0|0|open",
        "gsm8k|7|plain|1.0|0|closed"
      ])
      assert.deepStrictEqual(rows[0]?.body, {
        model: "m",
        messages: [{ role: "system", content: "Be brief." }, { role: "user", content: "?" }],
        max_tokens: 50
      })
      assert.strictEqual(rows[0]?.["answer"], "12")
      assert.strictEqual(rows[1]?.["input_url"], "/about")
    }))

  it.effect("come from tables too, with their own columns", () =>
    Effect.gen(function*() {
      const rows = yield* madeRows("key,q,a\nk1,\"What, 1 + 1?\",2\n", {
        prompt: "{{q}}",
        idColumn: "key",
        answerColumn: "a",
        samples: 2
      }, "csv")
      assert.deepStrictEqual(
        rows,
        [0, 1].map((sample) => ({
          custom_id: `sums|k1|plain|1.0|${sample}|open`,
          body: { model: "m", messages: [{ role: "user", content: "What, 1 + 1?" }] },
          key: "k1",
          q: "What, 1 + 1?",
          a: "2"
        }))
      )
    }))

  it.effect("are limited by their own number, whatever comes behind", () =>
    Effect.gen(function*() {
      const rows = yield* madeRows(`${two}{broken\n`, { limitItems: 2, samples: 3 })
      assert.lengthOf(rows, 6)
    }))

  it.effect("are multiplied in blocks, however many rows one of them becomes", () =>
    Effect.gen(function*() {
      const job = yield* make(jsonl([{ id: "a", question: "x".repeat(1_000) }]), { samples: 5_000 })
      const sizes = Chunk.toReadonlyArray(
        yield* Stream.runCollect(Stream.map(job.source.blocks, ({ length }) => length))
      )
      assert.isAbove(sizes.length, 8)
      assert.isBelow(Math.max(...sizes), 1_100_000)
    }))

  it.effect("that are ready rows go on as they are, on their lines", () =>
    Effect.gen(function*() {
      const row = (id: string) =>
        `{"custom_id": "gsm8k|${id}|plain|0.70|3|open", "body": {"messages": [{"role": "user", "content": "?"}]}}`
      const job = yield* make(`\n${row("q1")}\n\n\n${row("q2")}\n`, { temps: [0.7], maxTokens: 9, system: "Be brief." })
      assert.strictEqual(yield* readSource(job.source), `\n${row("q1")}\n\n\n${row("q2")}\n`)
      assert.strictEqual(job.source.name, "sums.jsonl")
      assert.deepStrictEqual(job.build.defaults, {
        model: "m",
        system: "Be brief.",
        temperature: 0.7,
        maxTokens: 9
      })
    }))

  it.effect("of the ready-made configuration all have a right answer", () =>
    Effect.gen(function*() {
      const input = fileURLToPath(new URL("../../config/eval-items.jsonl", import.meta.url))
      const job = yield* Evaluate.make(
        new Evaluate.EvaluateOptions({ input, models: ["m"], temps: [0.2], limitItems: 6 })
      )
      const rows = rowsOf(yield* readSource(job.source))
      assert.deepStrictEqual(
        rows.map(({ answer, custom_id }) => [custom_id, String(answer).replace(/^[^]*#### /, "")]),
        [
          ["sums|add-1|plain|0.2|0|open", "42"],
          ["sums|add-2|plain|0.2|0|open", "1,925"],
          ["sums|sub-1|plain|0.2|0|open", "-157"],
          ["sums|mul-1|plain|0.2|0|open", "144"],
          ["stories|pens|plain|0.2|0|open", "57"],
          ["stories|bus|plain|0.2|0|open", "24"]
        ]
      )
    }))

  const ready = (custom_id: unknown) => `\n${jsonl([{ custom_id, body: { messages: [] } }])}`
  const form = "dataset|item_id|condition|temp|sample_index|type"

  it.effect.each<readonly [name: string, text: string, options: Partial<Options>, message: string]>([
    [
      "an id of five parts",
      ready("gsm8k|q1|plain|0.7|0"),
      {},
      `sums.jsonl:2: custom_id: the id "gsm8k|q1|plain|0.7|0" has 5 parts, not six. Its form is ${form}.`
    ],
    [
      "a temperature that is none",
      ready("a|b|c|warm|0|open"),
      {},
      "sums.jsonl:2: custom_id: the id \"a|b|c|warm|0|open\" has \"warm\" for its part 4, temp, which must be a float such "
      + `as 0.7. Its form is ${form}.`
    ],
    [
      "half a sample",
      ready("a|b|c|0.7|1.5|open"),
      {},
      "sums.jsonl:2: custom_id: the id \"a|b|c|0.7|1.5|open\" has \"1.5\" for its part 5, sample_index, which must be an "
      + `int such as 0. Its form is ${form}.`
    ],
    [
      "an id that is a number",
      ready(7),
      {},
      `sums.jsonl:2: custom_id: found the number 7. A row that is ready to be sent has an id of six parts: ${form}.`
    ],
    [
      "half of a character",
      ready("a|\ud800|c|0.7|1|open"),
      {},
      "sums.jsonl:2: custom_id: the id \"a|\\ud800|c|0.7|1|open\" holds half of a surrogate pair, which readers of the "
      + `results cannot take. Its form is ${form}.`
    ],
    [
      "a ready row and several samples",
      ready("a|b|c|0.7|0|open"),
      { samples: 2 },
      "sums.jsonl:2: body: this row is ready to be sent, and the options ask for several rows of each item. Give one "
      + "model and one temperature, and neither conditions nor samples, or turn the rows into items such as "
      + "{\"item_id\": \"1\", \"question\": \"...\", \"answer\": \"...\"}."
    ],
    [
      "an item id with a separator",
      `${two}${jsonl([{ id: "c|d", question: "?" }])}`,
      { samples: 3 },
      `sums.jsonl:3: id: the string "c|d" holds a |. It becomes a part of the row's id, ${form}: write it without.`
    ],
    [
      "an item that is there twice",
      `${two}${two}`,
      { samples: 3 },
      "sums.jsonl:3: the item \"sums|a\" is that of line 1 too. Give every item an id of its own, or none: items without "
      + "one are numbered."
    ],
    [
      "a column that is not there",
      jsonl([{ id: "a", questoin: "?" }]),
      {},
      "sums.jsonl:1: question: the item has no such column. It has: id, questoin. Perhaps questoin is meant."
    ],
    [
      "a line that is cut short",
      `${two}{"id": \n`,
      { samples: 2 },
      "sums.jsonl:3:8: the line ends inside an object. Write each JSON object whole, on one line of its own."
    ]
  ])("are refused: %s", ([, text, options, message]) =>
    Effect.gen(function*() {
      const found = yield* problem(text, options)
      assert.strictEqual(found, message)
    }))
})

describe("options", () => {
  it.effect.each<readonly [Partial<Options>, string]>([
    [
      { models: ["a", "b", "a"] },
      "models: a is there twice. Name it once; samples asks in the same way more than once."
    ],
    [{ temps: [0.7, 0.7] }, "temps: 0.7 is there twice. Name it once; samples asks in the same way more than once."],
    [
      { models: ["a|b"] },
      "models: found the string \"a|b\". It becomes a part of every row's id, dataset|item_id|condition|temp|sample_index|"
      + "type: not empty, and without |."
    ],
    [
      { conditions: { "plain@home": {} } },
      "conditions: found the string \"plain@home\". A condition's name is without @: what follows it is a model."
    ],
    [{ conditions: {} }, "conditions: there are none. Leave them out, or name one."],
    [
      { conditions: { plain: { prompt: "{{question" } } },
      "the prompt of plain:1:1: a variable is opened with {{ and never closed. Close it with }}, or write {{{{ for {{."
    ]
  ])("are refused: %j", ([options, message]) =>
    Effect.gen(function*() {
      assert.strictEqual(yield* problem(two, options), message)
    }))

  it.effect("make the same job again, as they are kept with a run", () =>
    Effect.gen(function*() {
      const given = { models: ["a", "b"] as const, conditions: { plain: { system: "?" } }, temps: [0], samples: 2 }
      const job = yield* make(two, { ...given, thinking: { type: "disabled" } })
      const kept: unknown = JSON.parse(JSON.stringify(job.options))
      const again = yield* Evaluate.make(
        Schema.decodeUnknownSync(Evaluate.EvaluateOptions)(kept),
        Source.fromText("sums.jsonl", two)
      )
      assert.strictEqual(yield* readSource(again.source), yield* readSource(job.source))
      assert.deepStrictEqual(again.options, job.options)
    }))

  it.effect("let the models think that the ancestors let think, and say so", () =>
    Effect.gen(function*() {
      const models = ["claude-opus-4-5-20251101", "claude-opus-4-6", "claude-haiku-4-5"] as const
      const asked = (options: Partial<Options>) =>
        Effect.map(
          madeRows(two, { models, limitItems: 1, temps: [0.7], ...options }),
          (rows) =>
            rows.map(({ body: { max_tokens, temperature, thinking } }) => ({ max_tokens, temperature, thinking }))
        )
      assert.deepStrictEqual(yield* asked({ maxTokens: 500 }), [
        { max_tokens: 20_500, temperature: undefined, thinking: { type: "enabled", budget_tokens: 20_000 } },
        { max_tokens: 20_500, temperature: undefined, thinking: { type: "adaptive" } },
        { max_tokens: 500, temperature: 0.7, thinking: undefined }
      ])
      assert.deepStrictEqual(yield* asked({ maxTokens: 30_000 }), [
        { max_tokens: 30_000, temperature: undefined, thinking: { type: "enabled", budget_tokens: 20_000 } },
        { max_tokens: 30_000, temperature: undefined, thinking: { type: "adaptive" } },
        { max_tokens: 30_000, temperature: 0.7, thinking: undefined }
      ])
      assert.deepStrictEqual(
        yield* asked({ thinking: { type: "disabled" } }),
        models.map(() => ({ max_tokens: undefined, temperature: 0.7, thinking: { type: "disabled" } }))
      )
      assert.deepStrictEqual((yield* make(two, { models, temps: [0.7] })).notices, [
        "claude-opus-4-5-20251101 thinks before it answers, up to 20,000 tokens, and max_tokens is 24,096 with that. To "
        + "have it otherwise, set thinking: off, adaptive, or a number of tokens.",
        "claude-opus-4-5-20251101 takes no temperature while it thinks: its rows are sent without, and their ids keep it.",
        "claude-opus-4-6 thinks before it answers, and max_tokens is 24,096 with that. To have it otherwise, set thinking: "
        + "off, adaptive, or a number of tokens.",
        "claude-opus-4-6 takes no temperature while it thinks: its rows are sent without, and their ids keep it."
      ])
      assert.deepStrictEqual((yield* make(two, { models: ["gpt-5-mini"], temps: [1] })).notices, [])
    }))
})

/** Runs a job to its end under a test clock, concludes it twice, and gives what it wrote. */
const concluded = (job: Evaluate.Evaluation, world: Effect.Effect.Success<ReturnType<typeof makeWorld>>) =>
  world.simulate(Effect.gen(function*() {
    const pipeline = yield* Pipeline.Pipeline
    const defaults = new RequestDefaults(job.build.defaults ?? {})
    const run = yield* pipeline.run(job.source, { directory, defaults })
    const first = yield* job.conclude(run)
    const files = ["predictions.csv", "scores.csv", "scores.json"].map(world.read)
    const second = yield* job.conclude(yield* pipeline.resume(directory))
    assert.deepStrictEqual(second, first)
    assert.deepStrictEqual(["predictions.csv", "scores.csv", "scores.json"].map(world.read), files)
    assert.deepStrictEqual(world.files().filter((path) => path.endsWith(".tmp")), [])
    const [predictions = "", lines = "", scores = ""] = files
    return { conclusion: first, predictions, lines, scores: JSON.parse(scores) }
  }))

describe("a finished evaluation", () => {
  it.effect("has a line of predictions for every row, and a score for every way to ask", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld({
        script: {
          answer: ({ prompt }) =>
            prompt.startsWith("1")
              ? "It is \"2\",\nthat is:\r\n#### 2"
              : prompt.startsWith("3")
              ? "\ud83d of 5"
              : "None.",
          outcome: ({ prompt }) => prompt.startsWith("4") ? "errored" : prompt.startsWith("5") ? "refused" : "succeeded"
        }
      })
      const items = [
        { id: "a", question: "1 + 1?", answer: "2 it is\n#### 2.0" },
        { id: "b", question: "2 + 2?", answer: "4" },
        { id: "c", question: "3 + 3?", answer: "6" },
        { id: "d", question: "4 + 4?", answer: "8" },
        { id: "e", question: "5 + 5?", answer: "10" },
        { id: "f", question: "1 + x?", answer: "it depends" }
      ]
      const job = yield* make(jsonl(items), { models: ["m", "n"], dataset: "sums" })
      const { conclusion, lines, predictions, scores } = yield* concluded(job, world)
      const parsed = parse(world.read("results.jsonl"))
      assert.strictEqual(predictions, toCsv(parsed))
      assert.deepStrictEqual(
        readCsv(predictions).map((row) => [row.condition, row.item_id, row.response_text]).slice(0, 10),
        [
          ["plain@m", "a", "It is \"2\",\nthat is:\r\n#### 2"],
          ["plain@n", "a", "It is \"2\",\nthat is:\r\n#### 2"],
          ["plain@m", "b", "None."],
          ["plain@n", "b", "None."],
          ["plain@m", "c", "\ufffd of 5"],
          ["plain@n", "c", "\ufffd of 5"],
          ["plain@m", "d", ""],
          ["plain@n", "d", ""],
          ["plain@m", "e", ""],
          ["plain@n", "e", ""]
        ]
      )
      assert.deepStrictEqual(lines.split("\n").filter((line) => line.includes(",m,")), [
        "sums|a|plain@m|1.0|0|open,m,sums,a,plain,1.0,0,open,2,2,correct",
        "sums|b|plain@m|1.0|0|open,m,sums,b,plain,1.0,0,open,4,,no_number",
        "sums|c|plain@m|1.0|0|open,m,sums,c,plain,1.0,0,open,6,5,wrong",
        "sums|d|plain@m|1.0|0|open,m,sums,d,plain,1.0,0,open,8,,unanswered",
        "sums|e|plain@m|1.0|0|open,m,sums,e,plain,1.0,0,open,10,,unanswered",
        "sums|f|plain@m|1.0|0|open,m,sums,f,plain,1.0,0,open,,2,not_scored"
      ])
      assert.deepStrictEqual(conclusion.lines, [
        "model  condition  temp  n  correct  accuracy    95 % interval  unanswered",
        "m      plain       1.0  5        1    20.0 %  3.6 % to 62.4 %           2",
        "n      plain       1.0  5        1    20.0 %  3.6 % to 62.4 %           2",
        "Unanswered rows count as wrong. Intervals are Wilson's.",
        "Answers without a number, which count as wrong: 2.",
        "Rows that are not scored, since their items have no number to compare with: 2.",
        `Predictions: ${directory}/predictions.csv`
      ])
      assert.isFalse(conclusion.complete)
      assert.strictEqual(scores.rows, 12)
      assert.strictEqual(scores.failed, 2)
      assert.deepStrictEqual(scores, conclusion.report)
      assert.deepInclude(scores.scores[0], { model: "m", condition: "plain", temp: 1, n: 5, items: 5, correct: 1 })
    }))

  it.effect("has scores for ready rows whose items say what is right, and none for those that do not", () =>
    Effect.gen(function*() {
      const row = (id: string, more: object) => ({
        custom_id: `gsm8k|${id}|plain|0.0|0|open`,
        body: { messages: [{ role: "user", content: "1 + 1?" }] },
        ...more
      })
      const world = yield* makeWorld({ script: { answer: () => "2" } })
      const job = yield* make(jsonl([row("1", { answer: 2 }), row("2", { answer: "3" }), row("3", {})]))
      const { conclusion, scores } = yield* concluded(job, world)
      assert.deepInclude(scores.scores[0], { n: 2, correct: 1, not_scored: 1 })
      assert.isTrue(conclusion.complete)
    }))

  it.effect("without a right answer has predictions only", () =>
    Effect.gen(function*() {
      const job = yield* make(jsonl([{ question: "1 + 1?" }]))
      const { conclusion } = yield* concluded(job, yield* makeWorld({ script: { answer: () => "2" } }))
      assert.deepStrictEqual(conclusion.lines, [
        "Rows that are not scored, since their items have no number to compare with: 1.",
        `Predictions: ${directory}/predictions.csv`
      ])
    }))

  it.effect("is one of an evaluation", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld()
      const job = yield* make(two)
      const error = yield* world.simulate(Effect.gen(function*() {
        const defaults = new RequestDefaults({ model: "m" })
        const pipeline = yield* Pipeline.Pipeline
        const run = yield* pipeline.run(Source.fromRows([{ id: "one", prompt: "?" }]), { directory, defaults })
        return yield* Effect.flip(job.conclude(run))
      }))
      assert.include(error.message, "this is not the run of an evaluation: the id \"one\" has one part, not six.")
      assert.notInclude(world.files(), "predictions.csv")
    }))
})
