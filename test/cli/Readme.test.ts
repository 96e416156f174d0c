/** The README's commands about answers at once, answers of a given form and the ready-made jobs, run as they are written. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import Papa from "papaparse"
import type { AnswerRequest } from "../../src/emulator/Answer.js"
import { lines, questions, start } from "./Processes.js"

const root = Path.resolve(import.meta.dirname, "..", "..")
const readme = Fs.readFileSync(Path.join(root, "README.md"), "utf8")

/** The commands in the fenced blocks of a section, which are so many. */
const commandsOf = (title: string, count: number): ReadonlyArray<string> => {
  const section = readme.slice(readme.indexOf(`${title}\n`)).split(/^##+ /mu)[1] ?? ""
  const commands = [...section.matchAll(/```sh\n([\s\S]*?)```/gu)]
    .flatMap(([, block = ""]) => block.split("\n"))
    .filter((line) => line.startsWith("npx llm-batch "))
  assert.lengthOf(commands, count, title)
  return commands
}

interface Text {
  readonly key: string
  readonly text: string
}

/** Translates by crying out: every text is itself, and a word before it. */
const translation = ({ prompt }: AnswerRequest): string | undefined => {
  if (!prompt.startsWith("{\"targetLanguage\"")) return undefined
  const { targetLanguage, texts }: { readonly targetLanguage: string; readonly texts: ReadonlyArray<Text> } = JSON
    .parse(
      prompt
    )
  const translations = texts.map(({ key, text }) => ({ key, text: `${targetLanguage}: ${text}` }))
  return JSON.stringify({ targetLanguage, translations })
}

const world = Effect.gen(function*() {
  const here = yield* start({ answer: translation })
  for (const folder of ["config", "examples"]) {
    Fs.cpSync(Path.join(root, folder), Path.join(here.directory, folder), { recursive: true })
  }
  here.write("prompts.jsonl", questions(12))
  return {
    ...here,
    command: (line: string) => here.run(line.replace(/^npx llm-batch /u, "").split(" "))
  }
})

describe("the README's commands", () => {
  for (const command of commandsOf("### Answers at once, or by a given time", 4)) {
    it.scopedLive(`answer every row: ${command}`, () =>
      Effect.gen(function*() {
        const { command: run, directory } = yield* world
        const { code, stderr, stdout } = yield* run(command)
        assert.strictEqual(code, 0, stderr)
        const results = lines(Fs.readFileSync(Path.resolve(directory, stdout.trim()), "utf8"))
        assert.deepStrictEqual(
          results.map(({ custom_id }) => custom_id),
          Array.from({ length: 12 }, (_, at) => `q${at + 1}`)
        )
        assert.isTrue(results.every(({ error }) => error === null))
      }))
  }

  for (const command of commandsOf("### Answers of a given form", 1)) {
    it.scopedLive(`give answers of that form: ${command}`, () =>
      Effect.gen(function*() {
        const { command: run, directory } = yield* world
        const { code, stderr, stdout } = yield* run(command)
        assert.strictEqual(code, 0, stderr)
        const results = lines(Fs.readFileSync(Path.resolve(directory, stdout.trim()), "utf8"))
        for (const { response } of results) {
          const { answer, confidence } = JSON.parse(response.body.choices[0].message.content)
          assert.isTrue(typeof answer === "string" && confidence >= 0 && confidence <= 1)
        }
      }))
  }

  const [evaluation = "", translate = "", classify = ""] = commandsOf("## Ready-made jobs", 3)

  it.scopedLive(`evaluate: ${evaluation}`, () =>
    Effect.gen(function*() {
      const { command, directory } = yield* world
      const { code, stderr, stdout } = yield* command(evaluation)
      assert.strictEqual(code, 0, stderr)
      assert.match(stderr, /^model +condition +temp +n +correct +accuracy +95 % interval +unanswered$/mu)
      assert.match(stderr, /^gpt-4\.1-nano +plain +0\.2 +1,?319 /mu)
      const predictions = Path.resolve(directory, stdout.trim())
      assert.isTrue(predictions.endsWith("predictions.csv"))
      // A header, and a row for each question and model.
      assert.lengthOf(Papa.parse(Fs.readFileSync(predictions, "utf8").trimEnd()).data, 1 + 2 * 1_319)
    }))

  it.scopedLive(`translate: ${translate}`, () =>
    Effect.gen(function*() {
      const { command, directory } = yield* world
      const { code, stderr, stdout } = yield* command(translate)
      assert.strictEqual(code, 0, stderr)
      const path = Path.resolve(directory, stdout.trim())
      assert.strictEqual(Path.basename(path), "en.fr.json")
      assert.strictEqual(JSON.parse(Fs.readFileSync(path, "utf8")).labels.paste, "fr: Paste")
    }))

  it.scopedLive(`classify: ${classify}`, () =>
    Effect.gen(function*() {
      const { command, directory } = yield* world
      const { code, stderr, stdout } = yield* command(classify)
      assert.strictEqual(code, 0, stderr)
      assert.match(stderr, /^true \\ given +ham +spam +no answer$/mu)
      const labels = Papa.parse(Fs.readFileSync(Path.resolve(directory, stdout.trim()), "utf8").trimEnd())
      assert.lengthOf(labels.data, 1 + 5_574)
    }))
})
