import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Job } from "llm-batch/job/Job"
import * as Translate from "llm-batch/job/Translate"
import * as Ledger from "llm-batch/Ledger"
import type { Request } from "llm-batch/Request"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as JobRun from "./JobRun.js"

const catalogue = Path.resolve(import.meta.dirname, "../../examples/translate/en.json")

interface Text {
  readonly key: string
  readonly text: string
}

/** What the fake translator does: capital letters, but for what has to stay as it is. */
const translated = (text: string): string =>
  text.split(/(\{\{[^}]*\}\}|\{[^}]*\}|\\n|\n)/u).map((part, at) => at % 2 === 0 ? part.toUpperCase() : part).join("")

/** The texts that a request asks for, and how many times the model has been told that it was wrong. */
const asked = (body: unknown): { readonly texts: ReadonlyArray<Text>; readonly round: number } => {
  const [first = "{}", ...further] = JobRun.userTexts(body)
  return { texts: JSON.parse(first).texts, round: further.length }
}

const reply = (translations: ReadonlyArray<object>, targetLanguage = "fr"): string =>
  JSON.stringify({ targetLanguage, translations })

const right = (texts: ReadonlyArray<Text>) => texts.map(({ key, text }) => ({ key, text: translated(text) }))

/** Every text of a document with its keys, in order. */
const texts = (value: unknown, path: ReadonlyArray<string> = []): ReadonlyArray<readonly [string, string]> =>
  typeof value === "string"
    ? [[JSON.stringify(path), value]]
    : typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([name, member]) => texts(member, [...path, name]))
    : []

const read = (path: string): string => Fs.readFileSync(path, "utf8")

const tokens = (text: string): ReadonlyArray<string> =>
  (text.match(/\{\{[^}]*\}\}|\{[^}]*\}|\\n|\n/gu) ?? []).toSorted()

/** A job over a catalogue of its own, in a directory of its own. */
const jobOf = (directory: string, document: string, options: object = {}) => {
  const input = Path.join(directory, "app.json")
  Fs.writeFileSync(input, document)
  return Translate.make(new Translate.TranslateOptions({ input, targetLanguage: "fr", ...options }))
}

describe("a catalogue is translated", () => {
  for (const [provider, mode] of [["openai", "auto"], ["anthropic", "batch"]] as const) {
    it.scopedLive(`by ${provider}, ${mode === "auto" ? "at once" : "in a batch"}: all of Excalidraw's texts, in the same shape, with all placeholders`, () =>
      Effect.gen(function*() {
        const directory = yield* JobRun.workspace
        const emulator = yield* JobRun.emulator({ answer: ({ body }) => reply(right(asked(body).texts)) })
        const job = yield* jobOf(directory, read(catalogue))
        assert.strictEqual(job.rows, 61)
        const conclusion = yield* JobRun.run(emulator, job, { provider, mode, directory: Path.join(directory, "run") })
        assert.strictEqual(conclusion.complete, true)

        const output = read(Path.join(directory, "app.fr.json"))
        const [before, after] = [texts(JSON.parse(read(catalogue))), texts(JSON.parse(output))]
        assert.strictEqual(after.length, 610)
        assert.deepStrictEqual(after, before.map(([path, text]) => [path, translated(text)]))
        assert.deepStrictEqual(after.map(([, text]) => tokens(text)), before.map(([, text]) => tokens(text)))
        assert.strictEqual(before.filter(([, text]) => tokens(text).length > 0).length, 39)
        // The same indentation, order and final newline: the documents differ in their texts only.
        const withoutTexts = (document: string) => document.replaceAll(/: "(?:[^"\\]|\\.)*"/gu, ": \"\"")
        assert.strictEqual(withoutTexts(output), withoutTexts(read(catalogue)))

        const again = yield* Translate.make(
          new Translate.TranslateOptions({
            input: Path.join(directory, "app.json"),
            targetLanguage: "fr"
          })
        )
        assert.strictEqual(again.rows, 0)
        Fs.rmSync(Path.join(directory, "app.fr.json"))
        yield* again.conclude(null)
        assert.strictEqual(read(Path.join(directory, "app.fr.json")), output)
        const { totals } = yield* emulator.books
        assert.deepStrictEqual([totals.rows, totals.directCalls], mode === "auto" ? [0, 61] : [61, 0])
      }))
  }
})

/** Six texts in three requests. */
const small = `{
  "menu": { "open": "Open {{file}}", "save": "Save" },
  "dialog": {
    "lost": "Gone.\\nReally.",
    "count": "{count} files"
  },
  "name": "Sketch",
  "bye": "Bye"
}
`

const inPairs = { batchSize: 2 }

interface Untranslated extends Text {
  readonly kept: string
  readonly why: string
}

/** What became of the texts, and of the requests for them. */
const finish = (directory: string, job: Job, emulator: JobRun.Emulated, run: string, repair?: number) =>
  Effect.gen(function*() {
    const conclusion = yield* JobRun.run(emulator, job, {
      provider: "openai",
      directory: Path.join(directory, run),
      ...(repair === undefined ? {} : { repair })
    })
    const list = Path.join(directory, "app.fr.untranslated.json")
    const untranslated: ReadonlyArray<Untranslated> = Fs.existsSync(list) ? JSON.parse(read(list)) : []
    return { conclusion, document: read(Path.join(directory, "app.fr.json")), untranslated }
  })

describe("a wrong translation", () => {
  const keysIn = (body: unknown) => asked(body).texts.map(({ key }) => key)

  it.scopedLive("is sent back, and put right", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const complaints = new Set<string>()
      const emulator = yield* JobRun.emulator({
        answer: ({ body }) => {
          const { round, texts } = asked(body)
          const complaint = round === 0 ? "" : JobRun.userTexts(body).at(-1) ?? ""
          if (round > 0) complaints.add(complaint)
          const good = right(texts)
          if (keysIn(body).includes("menu.open")) {
            // Wrong twice: a placeholder is gone, then a key.
            if (round === 0) return reply([{ key: "menu.open", text: "OUVRIR" }, ...good.slice(1)])
            return reply(complaint.includes("{{file}} is in") ? good.slice(1) : good)
          }
          // The others: right but wrapped in prose; and in another language first.
          if (keysIn(body).includes("name")) return round === 0 ? reply(good, "de") : reply(good)
          return `Here you are:\n\`\`\`json\n${reply(good)}\n\`\`\`\nAnything else?`
        }
      })
      const { conclusion, document, untranslated } = yield* finish(
        directory,
        yield* jobOf(directory, small, inPairs),
        emulator,
        "run"
      )
      assert.strictEqual(conclusion.complete, true)
      assert.deepStrictEqual(untranslated, [])
      assert.deepStrictEqual(JSON.parse(document), {
        menu: { open: "OPEN {{file}}", save: "SAVE" },
        dialog: { lost: "GONE.\nREALLY.", count: "{count} FILES" },
        name: "SKETCH",
        bye: "BYE"
      })
      assert.strictEqual(complaints.size, 3)
      const said = [...complaints].join("\n")
      assert.include(said, "$.translations[0].text")
      assert.include(said, "{{file}} is in the source once, and here not at all")
      assert.include(said, "the key \"menu.open\" is missing")
      assert.include(said, "$.targetLanguage")
    }))

  it.scopedLive("that stays wrong is reported; what is right beside it is kept, and not asked for again", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const stubborn = yield* JobRun.emulator({
        answer: ({ body }) => {
          const { texts } = asked(body)
          if (keysIn(body).includes("name")) return "I would rather not."
          return reply(right(texts).map((one) => one.key === "menu.open" ? { ...one, text: "OUVRIR" } : one))
        }
      })
      const job = yield* jobOf(directory, small, inPairs)
      const { conclusion, document, untranslated } = yield* finish(directory, job, stubborn, "run")
      assert.strictEqual(conclusion.complete, false)
      assert.strictEqual(
        document,
        small.replace("Save", "SAVE").replace("Gone.\\nReally.", "GONE.\\nREALLY.").replace(
          "{count} files",
          "{count} FILES"
        )
      )
      assert.deepStrictEqual(
        untranslated.map(({ key, kept, text }) => [key, kept, text]),
        [["menu.open", "source", "Open {{file}}"], ["name", "source", "Sketch"], ["bye", "source", "Bye"]]
      )
      assert.include(untranslated[0]?.why, "{{file}} is in the source once, and here not at all")
      for (const key of ["menu.open", "name", "bye"]) assert.include(conclusion.lines.join("\n"), `  ${key} (`)
      // Three requests, of which two are sent back twice.
      assert.strictEqual((yield* stubborn.books).totals.directCalls, 3 + 2 + 2)

      const willing = yield* JobRun.emulator({ answer: ({ body }) => reply(right(asked(body).texts)) })
      const again = yield* jobOf(directory, small, inPairs)
      assert.strictEqual(again.rows, 2)
      const second = yield* finish(directory, again, willing, "again")
      assert.strictEqual(second.conclusion.complete, true)
      assert.deepStrictEqual(second.untranslated, [])
      assert.strictEqual((yield* willing.books).totals.directCalls, 2)
    }))
})

describe("a run without one right answer", () => {
  it.scopedLive("leaves an output and a memory that are the job's own: the same job asks again", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const first = yield* finish(
        directory,
        yield* jobOf(directory, small),
        yield* JobRun.emulator({ answer: () => "No." }),
        "one",
        0
      )
      assert.strictEqual(first.document, small)
      assert.lengthOf(first.untranslated, 6)
      assert.strictEqual(read(Path.join(directory, "app.fr.memory.jsonl")), "")
      const willing = yield* JobRun.emulator({ answer: ({ body }) => reply(right(asked(body).texts)) })
      const { conclusion } = yield* finish(directory, yield* jobOf(directory, small), willing, "two")
      assert.strictEqual(conclusion.complete, true)
    }))

  it.scopedLive("does so beside a memory of other languages too, which is no sign of an output of this one", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const memory = Path.join(directory, "all.memory.jsonl")
      const willing = yield* JobRun.emulator({
        answer: ({ body }) => reply(right(asked(body).texts), JSON.stringify(body).includes(" into de") ? "de" : "fr")
      })
      const german = { memory, targetLanguage: "de", output: Path.join(directory, "app.de.json") }
      const made = yield* JobRun.run(willing, yield* jobOf(directory, small, german), {
        provider: "openai",
        directory: Path.join(directory, "de")
      })
      assert.strictEqual(made.complete, true)
      const refusing = yield* JobRun.emulator({ answer: () => "No." })
      yield* finish(directory, yield* jobOf(directory, small, { memory }), refusing, "one", 0)
      const again = yield* finish(directory, yield* jobOf(directory, small, { memory }), willing, "two")
      assert.strictEqual(again.conclusion.complete, true)
      const strange = Path.join(directory, "app.it.json")
      Fs.writeFileSync(strange, "{}")
      const refused = yield* Effect.flip(jobOf(directory, small, { memory, targetLanguage: "it" }))
      assert.include(refused.message, "app.it.json: it is there already")
    }))
})

describe("a run whose catalogue is gone", () => {
  it.scopedLive("keeps what was translated, says so, and is concluded when the catalogue is there again", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const emulator = yield* JobRun.emulator({ answer: ({ body }) => reply(right(asked(body).texts)) })
      const job = yield* jobOf(directory, small)
      const [input, aside] = [Path.join(directory, "app.json"), Path.join(directory, "aside.json")]
      Fs.renameSync(input, aside)
      const run = Path.join(directory, "run")
      const error = yield* Effect.flip(JobRun.run(emulator, job, { provider: "openai", directory: run }))
      const memory = Path.join(directory, "app.fr.memory.jsonl")
      assert.strictEqual(
        error.message,
        `${input}: there is no such file. Check the path. What was translated is kept in ${memory}.`
      )
      assert.lengthOf(read(memory).trimEnd().split("\n"), 6)
      assert.isFalse(Fs.existsSync(Path.join(directory, "app.fr.json")))
      const kept = Translate.ofRun(Schema.decodeUnknownSync(Translate.TranslateOptions)(job.options))
      const state = yield* Effect.flatMap(Ledger.Ledger, (ledger) => ledger.state(run))
      Fs.writeFileSync(input, "{")
      assert.include((yield* Effect.flip(kept.conclude({ state }))).message, "app.json:1: it is not JSON")
      // What changed meanwhile was not asked for.
      Fs.writeFileSync(input, read(aside).replace("Bye", "Good bye"))
      const { lines } = yield* kept.conclude({ state })
      assert.include(lines, "5 of 6 texts are in fr: 5 translated now, 0 known before.")
      assert.include(lines, "  bye (keeps an earlier one): it was not asked for in this run")
      Fs.renameSync(aside, input)
      assert.strictEqual((yield* kept.conclude({ state })).complete, true)
      assert.strictEqual(JSON.parse(read(Path.join(directory, "app.fr.json"))).bye, "BYE")
      assert.strictEqual((yield* emulator.books).totals.directCalls, 1)
    }).pipe(Effect.provide(Ledger.layer)))
})

describe("the translation memory", () => {
  it.scopedLive("leaves only what changed to be asked for, and keeps an earlier translation while there is no other", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const willing = yield* JobRun.emulator({ answer: ({ body }) => reply(right(asked(body).texts)) })
      yield* finish(directory, yield* jobOf(directory, small), willing, "one")
      const refusing = yield* JobRun.emulator({ answer: () => "No." })
      const changed = small.replace("Save", "Save all").replace("Open {{file}}", "Open").replace("Bye", "Good bye")
      const job = yield* jobOf(directory, changed)
      const rows = yield* JobRun.rowsOf(job)
      assert.deepStrictEqual(rows.map(({ items }) => items), [[
        { key: "menu.open", text: "Open" },
        { key: "menu.save", text: "Save all" },
        { key: "bye", text: "Good bye" }
      ]])
      const { document, untranslated } = yield* finish(directory, job, refusing, "two", 0)
      // The earlier translation of the first has a placeholder that its text has not any more.
      assert.deepStrictEqual(JSON.parse(document), {
        menu: { open: "Open", save: "SAVE" },
        dialog: { lost: "GONE.\nREALLY.", count: "{count} FILES" },
        name: "SKETCH",
        bye: "BYE"
      })
      assert.deepStrictEqual(untranslated.map(({ key, kept }) => [key, kept]), [
        ["menu.open", "source"],
        ["menu.save", "earlier"],
        ["bye", "earlier"]
      ])
    }))

  it.scopedLive("holds for one language and one context, and a line in it may be corrected by hand", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const emulator = yield* JobRun.emulator({ answer: ({ body }) => reply(right(asked(body).texts)) })
      yield* finish(directory, yield* jobOf(directory, small), emulator, "one")
      const memory = Path.join(directory, "app.fr.memory.jsonl")
      Fs.writeFileSync(memory, read(memory).replace("\"BYE\"", "\"Au revoir\""))
      assert.strictEqual((yield* jobOf(directory, small)).rows, 0)
      yield* (yield* jobOf(directory, small)).conclude(null)
      assert.strictEqual(JSON.parse(read(Path.join(directory, "app.fr.json"))).bye, "Au revoir")
      assert.strictEqual((yield* jobOf(directory, small, { context: "A game for children." })).rows, 1)
      assert.strictEqual((yield* jobOf(directory, small, { memory, targetLanguage: "de" })).rows, 1)
      assert.strictEqual((yield* jobOf(directory, small, { sourceLanguage: "en-GB" })).rows, 1)
    }))

  it.scopedLive("takes over a catalogue that was translated without it, and nothing replaces that one unasked", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const existing = Path.join(directory, "app.fr.json")
      Fs.writeFileSync(
        existing,
        `{"menu": {"open": "Ouvrir", "save": "Enregistrer"}, "name": "Sketch", "old": "Vieux"}`
      )
      const refused = yield* Effect.flip(jobOf(directory, small))
      assert.include(refused.message, "is there already")
      assert.include(refused.message, "--existing")
      const job = yield* jobOf(directory, small, { existing })
      const [row] = yield* JobRun.rowsOf(job)
      // The first has lost its placeholder, and the name is as it was: neither is taken for a translation.
      assert.deepStrictEqual(JobRun.keys(row), ["menu.open", "dialog.lost", "dialog.count", "name", "bye"])
      const emulator = yield* JobRun.emulator({ answer: ({ body }) => reply(right(asked(body).texts)) })
      const { document } = yield* finish(directory, job, emulator, "run")
      assert.deepStrictEqual(JSON.parse(document).menu, { open: "OPEN {{file}}", save: "Enregistrer" })

      // By now that file is the job's own output: what it keeps for a text that changed is no translation of it.
      const changed = small.replace("Save", "Save all")
      yield* finish(directory, yield* jobOf(directory, changed, { existing }), yield* JobRun.emulator(), "two", 0)
      assert.strictEqual(JSON.parse(read(existing)).menu.save, "Enregistrer")
      const [again] = yield* JobRun.rowsOf(yield* jobOf(directory, changed, { existing }))
      assert.deepStrictEqual(JobRun.keys(again), ["menu.save"])
    }))
})

describe("the check of an answer", () => {
  const items = [{ key: "a", text: "One {n}" }, { key: "b", text: "Two" }]
  const request: Request = { kind: "chat", row: 1, line: 1, customId: "1", body: {}, columns: { items } }
  const [a, b] = [{ key: "a", text: "Un {n}" }, { key: "b", text: "Deux" }]

  const cases: ReadonlyArray<readonly [name: string, answer: string, path: string | undefined, problem?: string]> = [
    ["what is right", reply([a, b]), undefined],
    ["another order", reply([b, a]), undefined],
    ["JSON in a fence", `Sure!\n\`\`\`json\n${reply([a, b])}\n\`\`\``, undefined],
    ["JSON in prose", `The texts {as asked}: ${reply([a, b])} Fine?`, undefined],
    ["no JSON", "Un, deux", "$"],
    ["another language", reply([a, b], "de"), "$.targetLanguage"],
    ["no language", JSON.stringify({ translations: [a, b] }), "$.targetLanguage"],
    ["no list", JSON.stringify({ targetLanguage: "fr", translations: a }), "$.translations"],
    ["a key too few", reply([a]), "$.translations", "\"b\" is missing"],
    ["a key too many", reply([a, b, { key: "c", text: "Trois" }]), "$.translations[2].key", "\"c\""],
    ["a key twice", reply([a, b, b]), "$.translations[2].key", "second time"],
    ["no text", reply([a, { key: "b" }]), "$.translations[1].text"],
    ["a blank text", reply([a, { key: "b", text: " \n" }]), "$.translations[1].text", "blank"],
    ["a lost placeholder", reply([{ key: "a", text: "Un" }, b]), "$.translations[0].text", "{n}"],
    ["a placeholder twice", reply([{ key: "a", text: "{n} {n}" }, b]), "$.translations[0].text", "2 times"],
    ["a new placeholder", reply([a, { key: "b", text: "{n}" }]), "$.translations[1].text", "{n}"],
    ["a new line break", reply([a, { key: "b", text: "De\nux" }]), "$.translations[1].text", "a line break"],
    ["two errors", reply([{ key: "a", text: "Un" }]), "$.translations[0].text", "\"b\" is missing"]
  ]
  for (const [name, answer, path, problem] of cases) {
    it.scoped(`${path === undefined ? "passes" : "finds"} ${name}`, () =>
      Effect.gen(function*() {
        const { check } = yield* jobOf(yield* JobRun.workspace, small)
        const found = check?.(answer, request)
        assert.strictEqual(found?.path, path)
        if (problem !== undefined) assert.include(found?.problem, problem)
      }))
  }
})

describe("a catalogue", () => {
  it.scoped("is refused where it is none, with the line", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const problem = (document: string) =>
        Effect.map(Effect.flip(jobOf(directory, document)), ({ message }) => message)
      assert.include(yield* problem("{\n  \"a\": \"x\"\n  \"b\": \"y\"\n}"), "app.json:3: it is not JSON")
      assert.include(yield* problem("[\"a\"]"), "a list")
      assert.include(yield* problem("{\n\"a\": {\"b\": \"x\"},\n\"a\": {\"b\": \"y\"}}"), "app.json:3: a.b:")
      const absent = new Translate.TranslateOptions({ input: Path.join(directory, "none.json"), targetLanguage: "fr" })
      assert.include((yield* Effect.flip(Translate.make(absent))).message, "there is no such file")
    }))

  it.scoped("without a text that can be translated costs nothing, and comes back as it is", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const document = "{\"n\": 1.0, \"on\": true, \"none\": null, \"blank\": \"  \"}"
      const job = yield* jobOf(directory, document)
      assert.strictEqual(job.rows, 0)
      const { complete } = yield* job.conclude(null)
      assert.strictEqual(complete, true)
      assert.strictEqual(read(Path.join(directory, "app.fr.json")), document)
    }))

  it.scoped("gives its job again from the options that are kept with the run", () =>
    Effect.gen(function*() {
      const directory = yield* JobRun.workspace
      const job = yield* jobOf(directory, small, { context: "Menus." })
      const again = yield* Translate.make(
        Schema.decodeUnknownSync(Translate.TranslateOptions)(
          JSON.parse(JSON.stringify(job.options))
        )
      )
      assert.deepStrictEqual(again.options, job.options)
      assert.deepStrictEqual(yield* JobRun.rowsOf(again), yield* JobRun.rowsOf(job))
    }))
})
