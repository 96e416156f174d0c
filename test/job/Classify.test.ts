import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Classify from "llm-batch/job/Classify"
import * as Ledger from "llm-batch/Ledger"
import type { Request } from "llm-batch/Request"
import * as Fs from "node:fs"
import * as Path from "node:path"
import Papa from "papaparse"
import * as JobRun from "./JobRun.js"

const messages = Path.resolve(import.meta.dirname, "../../examples/spam/sms.tsv")

const read = (path: string): string => Fs.readFileSync(path, "utf8")

/** Numbers in [0, 1), always the same. */
const dice = (seed: number) => {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const label = (value: string): string => JSON.stringify({ label: value })

const csv = (path: string): ReadonlyArray<Record<string, string>> =>
  Papa.parse<Record<string, string>>(read(path).trimEnd(), { header: true }).data

const jsonl = (values: ReadonlyArray<object>): string => values.map((value) => `${JSON.stringify(value)}\n`).join("")

describe("the SMS collection is classified", () => {
  it.scopedLive("with the planted confusion matrix, cell by cell", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const rows = read(messages).trimEnd().split("\n").map((line) => line.split("\t"))
      assert.strictEqual(rows.length, 5574)

      // What the model says to each text: right, wrong, right at the second attempt only, or never anything of use.
      const roll = dice(20_111)
      const said = new Map<string, string | null>()
      const script: Array<object> = []
      for (const [truth = "", text = ""] of rows) {
        if (said.has(text)) continue
        const drawn = roll()
        const wrong = drawn < (truth === "spam" ? 0.1 : 0.04)
        const given = wrong ? truth === "spam" ? "ham" : "spam" : truth
        const prompt = `Text:\n${text}`
        if (drawn > 0.995) {
          said.set(text, null)
          script.push({ prompt, answer: "Who can tell?" })
        } else {
          said.set(text, given)
          script.push(
            drawn > 0.98
              ? { prompt, answer: "It is not what you think.", repair: [`It is ${label(given)}.`] }
              : { prompt, answer: label(given) }
          )
        }
      }
      const answersFile = Path.join(directory, "answers.jsonl")
      Fs.writeFileSync(answersFile, jsonl(script))
      const cell = (truth: string, given: string | null) =>
        rows.filter(([own, text = ""]) => own === truth && said.get(text) === given).length

      const emulator = yield* JobRun.emulator({ answersFile })
      const job = yield* Classify.make(
        new Classify.ClassifyOptions({
          input: messages,
          columns: ["truth", "text"],
          labels: ["ham", "spam"],
          labelColumn: "truth"
        })
      )
      const run = Path.join(directory, "run")
      const { complete, files, lines } = yield* JobRun.run(emulator, job, { provider: "openai", directory: run })

      const planted = [[cell("ham", "ham"), cell("ham", "spam")], [cell("spam", "ham"), cell("spam", "spam")]]
      const unanswered = [cell("ham", null), cell("spam", null)]
      // None of what is planted is nothing.
      for (const count of [...planted.flat(), ...unanswered]) assert.isAbove(count, 0)
      const [[hits = 0, alarms = 0] = [], [misses = 0, catches = 0] = []] = planted
      const answered = hits + alarms + misses + catches
      assert.strictEqual(answered + cell("ham", null) + cell("spam", null), 5574)

      assert.strictEqual(complete, false)
      assert.deepStrictEqual(files, [Path.join(run, "labels.csv"), Path.join(run, "confusion.json")])
      const confusion = JSON.parse(read(Path.join(run, "confusion.json")))
      assert.deepStrictEqual(confusion.labels, ["ham", "spam"])
      assert.deepStrictEqual(confusion.matrix, planted)
      assert.deepStrictEqual(confusion.unanswered, unanswered)
      assert.strictEqual(confusion.answered, answered)
      assert.closeTo(confusion.accuracy, (hits + catches) / answered, 1e-12)
      const [, spam] = confusion.per_label
      const [precision, recall] = [catches / (catches + alarms), catches / (catches + misses)]
      assert.closeTo(spam.precision, precision, 1e-12)
      assert.closeTo(spam.recall, recall, 1e-12)
      assert.closeTo(spam.f1, 2 * precision * recall / (precision + recall), 1e-12)
      assert.strictEqual(spam.support, catches + misses)
      assert.match(lines.join("\n"), new RegExp(`^ham +${hits} +${alarms} +${cell("ham", null)}$`, "mu"))

      const labels = csv(Path.join(run, "labels.csv"))
      assert.deepStrictEqual(
        labels.map(({ custom_id, label, text, true_label }) => [custom_id, label, true_label, text]),
        rows.map(([truth, text = ""], at) => [String(at + 1), said.get(text) ?? "", truth, text])
      )
    }), 120_000)
})

describe("rows are classified", () => {
  it.scopedLive("beside their own columns; those whose true label is not known are counted apart", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const input = Path.join(directory, "reviews.jsonl")
      Fs.writeFileSync(
        input,
        jsonl([
          { id: "a", review: "Great {{really}}", truth: "positive", stars: 5, label: "old" },
          { id: "b", review: "Awful, \"so\" awful", truth: "negative" },
          { id: "c", review: "Well", truth: "" },
          { id: "d", review: "Hm", truth: "mixed, or so" }
        ])
      )
      const emulator = yield* JobRun.emulator({
        answer: ({ prompt }) =>
          prompt.includes("Well") ? label("mixed, or so") : prompt.includes("Hm") ? label("Mixed") : label("positive")
      })
      const output = Path.join(directory, "out", "labels.csv")
      const job = yield* Classify.make(
        new Classify.ClassifyOptions({
          input,
          labels: ["positive", "negative", "mixed, or so"],
          textColumn: "review",
          labelColumn: "truth",
          instructions: "How does the {{customer}} feel?",
          output
        })
      )
      const run = JobRun.run(emulator, job, {
        provider: "anthropic",
        directory: Path.join(directory, "run"),
        repair: 0
      })
      const { report } = yield* run
      const [header, ...lines] = read(output).split("\n")
      assert.strictEqual(header, "custom_id,label,true_label,outcome,error,id,review,stars,input_label")
      assert.deepStrictEqual(
        csv(output).map((
          { custom_id, input_label, label, review, stars, true_label }
        ) => [custom_id, label, true_label, review, stars, input_label]),
        [
          ["a", "positive", "positive", "Great {{really}}", "5", "old"],
          ["b", "positive", "negative", "Awful, \"so\" awful", "", ""],
          ["c", "mixed, or so", "", "Well", "", ""],
          ["d", "", "mixed, or so", "Hm", "", ""]
        ]
      )
      assert.strictEqual(lines[0], "a,positive,positive,succeeded,,a,Great {{really}},5,old")
      assert.include(csv(output)[3]?.["error"], "$.label")
      assert.deepStrictEqual(Fs.readdirSync(Path.dirname(output)).toSorted(), ["labels.confusion.json", "labels.csv"])
      const confusion = JSON.parse(read(Path.join(directory, "out", "labels.confusion.json")))
      assert.deepStrictEqual(confusion.matrix, [[1, 0, 0], [1, 0, 0], [0, 0, 0]])
      assert.deepStrictEqual(confusion.unanswered, [0, 0, 1])
      assert.strictEqual(confusion.unlabelled, 1)
      assert.strictEqual(confusion.per_label[2].recall, null)
      assert.deepStrictEqual([report["rows"], report["labelled"]], [4, 3])

      // The same again asks nothing, and concludes the run that is there.
      const before = [read(output), yield* emulator.books]
      assert.deepStrictEqual((yield* run).report, report)
      assert.deepStrictEqual([read(output), yield* emulator.books], before)

      // Another output in the same directory leaves both of these as they are.
      const mine = Classify.ofRun(
        new Classify.ClassifyOptions({
          input,
          labels: ["positive", "negative", "mixed, or so"],
          labelColumn: "truth",
          output: Path.join(directory, "out", "mine.csv")
        })
      )
      const ledger = yield* Ledger.Ledger
      Fs.rmSync(input)
      const { files } = yield* mine.conclude({ state: yield* ledger.state(Path.join(directory, "run")) })
      assert.deepStrictEqual(files.map((file) => Path.basename(file)), ["mine.csv", "mine.confusion.json"])
      assert.deepStrictEqual(read(Path.join(directory, "out", "mine.csv")), read(output))
    }).pipe(Effect.provide(Ledger.layer)))

  const build = (directory: string, text: string, options: object = {}) =>
    Effect.gen(function*() {
      const input = Path.join(directory, "in.csv")
      Fs.writeFileSync(input, text)
      const emulator = yield* JobRun.emulator()
      const job = yield* Classify.make(
        new Classify.ClassifyOptions({ input, labels: ["yes", "no"], labelColumn: "truth", ...options })
      )
      const run = JobRun.run(emulator, job, { provider: "openai", directory: Path.join(directory, "run") })
      const error = yield* Effect.flip(run)
      assert.strictEqual((yield* emulator.books).batches.length, 0)
      return error.message
    })

  it.scopedLive("and a true label that is none of the labels is told before anything is sent", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const message = yield* build(directory, "truth,text\nyes,one\n,two\nmaybe,three\n")
      assert.include(message, "in.csv:4: truth: found the string \"maybe\", and the labels are \"yes\", \"no\"")
    }))

  it.scopedLive("and so are a column of true labels that is not there, and a column of texts", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      assert.include(yield* build(directory, "thruth,text\nyes,one\n"), "Did you mean thruth?")
      assert.include(yield* build(directory, "truth,text\nyes,one\n", { textColumn: "body" }), "{{body}}")
    }))
})

describe("the check of a label", () => {
  const request: Request = { kind: "chat", row: 1, line: 1, customId: "1", body: {} }
  const cases: ReadonlyArray<readonly [name: string, answer: string, path: string | undefined, problem?: string]> = [
    ["a label", "{\"label\":\"spam\"}", undefined],
    ["one in a fence", "```json\n{\"label\": \"ham\"}\n```", undefined],
    ["one in prose", "I say {\"label\": \"ham\"}, since it is.", undefined],
    ["no JSON", "spam", "$", "\"spam\", \"ham\""],
    ["another label", "{\"label\":\"Spam\"}", "$.label", "found the string \"Spam\""],
    ["no label", "{\"class\":\"spam\"}", "$.label", "found nothing"],
    ["a list", "[\"spam\"]", "$"]
  ]
  for (const [name, answer, path, problem] of cases) {
    it.effect(`${path === undefined ? "passes" : "finds"} ${name}`, () =>
      Effect.gen(function*() {
        const options = { input: "in.csv", labels: ["spam", "ham"] }
        const { check } = yield* Classify.make(new Classify.ClassifyOptions(options))
        const found = check?.(answer, request)
        assert.strictEqual(found?.path, path)
        if (problem !== undefined) assert.include(found?.problem, problem)
      }))
  }
})

describe("the options", () => {
  it.effect("make the same job again in another process", () =>
    Effect.gen(function*() {
      const given = { input: "in.tsv", labels: ["a", "b"], columns: ["x", "text"], labelColumn: "x", output: "o.csv" }
      const job = yield* Classify.make(new Classify.ClassifyOptions(given))
      const kept: unknown = JSON.parse(JSON.stringify(job.options))
      const again = yield* Classify.make(Schema.decodeUnknownSync(Classify.ClassifyOptions)(kept))
      assert.deepStrictEqual(again.options, job.options)
      assert.deepStrictEqual(again.build, job.build)
      assert.strictEqual(job.options["input"], Path.resolve("in.tsv"))
    }))

  it("need two labels at least, each once", () => {
    const decode = Schema.decodeUnknownEither(Classify.ClassifyOptions)
    const problem = (labels: ReadonlyArray<string>) =>
      Either.match(decode({ input: "in.csv", labels }), {
        onLeft: (error) => ParseResult.ArrayFormatter.formatErrorSync(error)[0]?.message,
        onRight: () => undefined
      })
    assert.strictEqual(problem(["a"]), "there must be two labels at least, such as spam,ham")
    assert.strictEqual(problem(["a", "a"]), "a label is named twice")
    assert.strictEqual(
      problem(["a", " b"]),
      "found the string \" b\". A label is a text that is not empty, without spaces around it."
    )
    assert.strictEqual(problem(["a", "b"]), undefined)
  })
})
