/**
 * The ready-made jobs on the command line, with the configurations under `config/` and the data under `examples/`, as
 * processes against the emulator; they run live, as Processes.ts says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { ChildProcess } from "node:child_process"
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { AnswerRequest } from "../../src/emulator/Answer.js"
import type * as Emulator from "../../src/emulator/Emulator.js"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import { lines, llmBatch, start, workspace } from "./Processes.js"

const quick = ["--poll-interval", "50ms"]

const root = fileURLToPath(new URL("../..", import.meta.url))

/** Lays the configurations and the examples where the process runs. */
const lay = (directory: string) => {
  cpSync(join(root, "config"), join(directory, "config"), { recursive: true })
  mkdirSync(join(directory, "examples"))
  for (const name of ["translate", "spam"]) {
    cpSync(join(root, "examples", name), join(directory, "examples", name), { recursive: true })
  }
}

const laid = (settings: Emulator.Settings = {}) =>
  Effect.tap(start(settings), ({ directory }) => Effect.sync(() => lay(directory)))

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

/** The texts of the user's messages, in the body of either provider. */
const userTexts = (body: unknown): ReadonlyArray<string> => {
  const messages: unknown = member(body, "input") ?? member(body, "messages")
  if (typeof messages === "string") return [messages]
  if (!Array.isArray(messages)) return []
  return messages.filter((message) => member(message, "role") === "user").map((message) => {
    const content = member(message, "content")
    return Array.isArray(content) ? content.map((part) => String(member(part, "text"))).join("") : String(content)
  })
}

const systemText = (body: unknown): string =>
  JSON.stringify(member(body, "instructions") ?? member(body, "system") ?? body)

interface Text {
  readonly key: string
  readonly text: string
}

/** Capital letters, but for what has to stay as it is. */
const translated = (text: string): string =>
  text.split(/(\{\{[^}]*\}\}|\{[^}]*\}|\\n|\n)/u).map((part, at) => at % 2 === 0 ? part.toUpperCase() : part).join("")

/** A translator who translates so; `slip` may make something else of a text, knowing how often it was sent back. */
const translator =
  (slip: (text: Text, round: number) => string | undefined = () => undefined) => ({ body }: AnswerRequest): string => {
    const [first = "{}", ...further] = userTexts(body)
    const { targetLanguage, texts }: { readonly targetLanguage: string; readonly texts: ReadonlyArray<Text> } = JSON
      .parse(
        first
      )
    return JSON.stringify({
      targetLanguage,
      translations: texts.map((text) => ({ key: text.key, text: slip(text, further.length) ?? translated(text.text) }))
    })
  }

/** Every text of a document with its keys, in order. */
const textsOf = (value: unknown, path: ReadonlyArray<string> = []): ReadonlyArray<readonly [string, string]> =>
  typeof value === "string"
    ? [[path.join("."), value]]
    : typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([name, inner]) => textsOf(inner, [...path, name]))
    : []

const readTexts = (path: string) => textsOf(JSON.parse(readFileSync(path, "utf8")))

const english = join(root, "examples/translate/en.json")

const translating = ["run", "examples/translate/en.json", "--config", "config/translate.yaml"]

describe("translate", () => {
  it.scopedLive(
    "translates all of Excalidraw's texts at once, and the second time makes no call",
    () =>
      Effect.gen(function*() {
        const { directory, emulator, run } = yield* laid({
          // Three texts lose what has to stay: two until that is sent back.
          answer: translator(({ key }, round) =>
            round === 0 && (key === "errors.cannotResolveCollabServer" || key === "labels.paste") ? "  " : undefined
          )
        })
        const first = yield* run([...translating, "--run-dir", "first"])
        assert.strictEqual(first.code, 0, first.stderr)
        const output = join(directory, "examples/translate/en.fr.json")
        assert.strictEqual(first.stdout, `${output}\n`)
        assert.include(first.stderr, "\n610 of 610 texts are in fr: 610 translated now, 0 known before.\n")
        assert.deepStrictEqual(
          readTexts(output),
          readTexts(english).map(([key, text]) => [key, translated(text)] as const)
        )
        const { totals } = yield* emulator.books
        assert.strictEqual(totals.batches, 0)
        const { batches }: {
          readonly batches: ReadonlyArray<{ readonly mode: string; readonly request_count: number }>
        } = JSON
          .parse((yield* run(["status", "first", "--json"])).stdout)
        const [asked, repaired, ...others] = batches
        assert.deepInclude(asked, { mode: "sync", request_count: 61 })
        assert.deepInclude(repaired, { mode: "sync", request_count: 2 })
        assert.lengthOf(others, 0)
        assert.strictEqual(totals.directCalls, 63)

        const before = readFileSync(output, "utf8")
        const second = yield* run([...translating, "--json"])
        assert.strictEqual(second.code, 0, second.stderr)
        assert.deepInclude(JSON.parse(second.stdout).job, { name: "translate" })
        assert.strictEqual(readFileSync(output, "utf8"), before)
        assert.strictEqual((yield* emulator.books).totals.directCalls, totals.directCalls)
        assert.isFalse(existsSync(join(directory, "experiments")))
      }),
    60_000
  )

  it.scopedLive(
    "reports what stays wrong in a few lines, and the same command asks for that alone",
    () =>
      Effect.gen(function*() {
        let isPatient = false
        const { directory, emulator, run } = yield* laid({
          answer: translator(({ key }) => key.startsWith("labels.") && !isPatient ? "" : undefined)
        })
        const first = yield* run([...translating, "--repair", "0", "--run-dir", "first"])
        assert.strictEqual(first.code, 3, first.stderr)
        const said = first.stderr.split("\n")
        const listed = said.filter((line) => line.includes("(keeps its text): "))
        assert.lengthOf(listed, 10)
        assert.isTrue(listed.every((line) => line.length <= 122), listed.join("\n"))
        assert.match(first.stderr, /\n {2}and \d+ more\nAll of them: .*en\.fr\.untranslated\.json\n/)
        const list = join(directory, "examples/translate/en.fr.untranslated.json")
        const untranslated: ReadonlyArray<Text> = JSON.parse(readFileSync(list, "utf8"))
        const labels = readTexts(english).filter(([key]) => key.startsWith("labels."))
        assert.deepStrictEqual(untranslated.map(({ key, text }) => [key, text] as const), labels)
        const { directCalls } = (yield* emulator.books).totals

        isPatient = true
        const second = yield* run([...translating, "--run-dir", "second"])
        assert.strictEqual(second.code, 0, second.stderr)
        assert.include(second.stderr, ` ${labels.length} translated now, ${610 - labels.length} known before.\n`)
        assert.isFalse(existsSync(list))
        assert.strictEqual((yield* emulator.books).totals.directCalls - directCalls, Math.ceil(labels.length / 10))
      }),
    60_000
  )

  it.scopedLive(
    "is killed on its way, concluded by resume, and made again from the configuration it kept",
    () =>
      Effect.gen(function*() {
        let child: ChildProcess | undefined
        let asked = 0
        const answer = translator()
        const { directory, emulator, env, run } = yield* laid({
          faults: new FaultPlan({
            calls: [new CallFault({ route: "POST /v1/responses", kind: "hang", afterSuccess: true, skip: 20 })]
          }),
          answer: (request) => {
            if (++asked === 22) child?.kill("SIGKILL")
            return answer(request)
          }
        })
        const flags = ["--run-dir", "here", "--max-concurrent-requests", "2"]
        const killed = yield* run([...translating, ...flags], {
          onStderr: (_, running) => {
            child = running
          }
        })
        assert.strictEqual(killed.signal, "SIGKILL", killed.stderr)
        const output = join(directory, "examples/translate/en.fr.json")
        assert.isFalse(existsSync(output))
        yield* emulator.setFaults(new FaultPlan())
        // From another directory: what a run keeps of its job does not depend on where it is.
        const elsewhere = join(directory, "config")
        const resumed = yield* llmBatch(["resume", "../here"], { cwd: elsewhere, env })
        assert.strictEqual(resumed.code, 0, resumed.stderr)
        const wanted = readTexts(english).map(([key, text]) => [key, translated(text)] as const)
        assert.deepStrictEqual(readTexts(output), wanted)
        assert.strictEqual((yield* emulator.books).totals.directCalls, 63)

        // A resume of what is finished concludes again.
        rmSync(output)
        assert.strictEqual((yield* run(["resume", "here"])).code, 0)
        assert.deepStrictEqual(readTexts(output), wanted)

        rmSync(output)
        rmSync(join(directory, "examples/translate/en.fr.memory.jsonl"))
        const again = yield* run(["run", "--config", "here/config.yaml", "--run-dir", "there"])
        assert.strictEqual(again.code, 0, again.stderr)
        assert.deepStrictEqual(readTexts(output), wanted)
        const bodies = (run: string) =>
          lines(readFileSync(join(directory, run, "batch_inputs/openai/0001.jsonl"), "utf8")).map(({ body }) => body)
        assert.deepStrictEqual(bodies("there"), bodies("here"))
      }),
    60_000
  )

  it.scopedLive("takes the ancestors' command", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start({ answer: translator() })
      write("en.json", "{\n  \"a\": { \"b\": \"Open {{file}}\", \"c\": \"Save\" },\n  \"d\": \"Bye\"\n}\n")
      const flags = ["--target-lang", "fr", "--provider", "claude", "-m", "claude-haiku-4-5", "--use-batch-api"]
      const { code, stderr, stdout } = yield* run([
        "run",
        "en.json",
        ...flags,
        "--batch-size",
        "10",
        "--context",
        "A text editor",
        "--run-dir",
        "here",
        ...quick
      ])
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stdout, `${join(directory, "en.fr.json")}\n`)
      assert.strictEqual(
        readFileSync(join(directory, "en.fr.json"), "utf8"),
        "{\n  \"a\": { \"b\": \"OPEN {{file}}\", \"c\": \"SAVE\" },\n  \"d\": \"BYE\"\n}\n"
      )
      assert.deepInclude((yield* emulator.books).totals, { batches: 1, rows: 1, directCalls: 0 })
      const [{ params }] = lines(readFileSync(join(directory, "here/batch_inputs/anthropic/0001.jsonl"), "utf8"))
      assert.include(systemText(params), "A text editor")
    }))

  const catalogue = "{\n  \"a\": \"Open {{file}}\",\n  \"b\": \"Save\"\n}\n"
  const toFrench = ["--target-lang", "fr", "-m", "gpt-5-mini"]

  for (const going of ["resume", "fetch", "cancel"] as const) {
    it.scopedLive(
      `brings its answers when its catalogue is gone, by ${going}, and says so in the end`,
      () =>
        Effect.gen(function*() {
          const { directory, emulator, run, write } = yield* start({ answer: translator() })
          write("en.json", catalogue)
          const sent = yield* run(["run", "en.json", ...toFrench, "--mode", "batch", "--no-wait", "--run-dir", "here"])
          assert.strictEqual(sent.code, 4, sent.stderr)
          renameSync(join(directory, "en.json"), join(directory, "aside.json"))
          if (going === "fetch") {
            assert.strictEqual((yield* run(["poll", "here", ...quick])).code, 0)
            assert.strictEqual((yield* run(["fetch", "here"])).code, 0)
            assert.isTrue(existsSync(join(directory, "here/raw/openai/0001.jsonl")))
            const normalized = yield* run(["normalize", "here"])
            assert.strictEqual(normalized.code, 1, normalized.stderr)
          } else {
            const { code, stderr } = yield* run([going, "here", ...quick])
            assert.strictEqual(code, 1, stderr)
            assert.include(stderr, "en.json: there is no such file. Check the path. What was translated is kept in ")
            assert.include(
              stderr,
              "The run is finished, and has its answers. When that is put right, conclude it: llm-batch resume here"
            )
          }
          assert.lengthOf(lines(readFileSync(join(directory, "here/results.jsonl"), "utf8")), 1)
          renameSync(join(directory, "aside.json"), join(directory, "en.json"))
          const { totals } = yield* emulator.books
          const concluded = yield* run(["resume", "here"])
          if (going !== "cancel") {
            assert.strictEqual(concluded.code, 0, concluded.stderr)
            assert.strictEqual(
              readFileSync(join(directory, "en.fr.json"), "utf8"),
              "{\n  \"a\": \"OPEN {{file}}\",\n  \"b\": \"SAVE\"\n}\n"
            )
          }
          assert.deepStrictEqual((yield* emulator.books).totals, totals)
        }),
      60_000
    )
  }

  for (
    const [how, again, code] of [
      ["the same command", ["run", "en.json", ...toFrench], 0],
      ["resume with a round of repair", ["resume", "here", "--repair", "1"], 0],
      ["resume", ["resume", "here"], 3],
      ["retry", ["retry", "here", "--yes"], 3]
    ] as const
  ) {
    it.scopedLive(`goes on by ${how} after a run without one right answer`, () =>
      Effect.gen(function*() {
        let isWilling = false
        const right = translator()
        const { directory, run, write } = yield* start({ answer: (request) => isWilling ? right(request) : "No." })
        write("en.json", catalogue)
        const first = yield* run(["run", "en.json", ...toFrench, "--repair", "0", "--run-dir", "here"])
        assert.strictEqual(first.code, 3, first.stderr)
        assert.strictEqual(readFileSync(join(directory, "en.fr.json"), "utf8"), catalogue)
        isWilling = true
        const second = yield* run(again)
        assert.strictEqual(second.code, code, second.stderr)
        assert.strictEqual(
          readFileSync(join(directory, "en.fr.json"), "utf8"),
          code === 0 ? "{\n  \"a\": \"OPEN {{file}}\",\n  \"b\": \"SAVE\"\n}\n" : catalogue
        )
      }))
  }

  it.scopedLive(
    "is resumed into another output, which is the translation and never the catalogue",
    () =>
      Effect.gen(function*() {
        const { directory, run, write } = yield* start({ answer: translator() })
        write("en.json", catalogue)
        assert.strictEqual((yield* run(["run", "en.json", ...toFrench, "--run-dir", "here"])).code, 0)
        const { code, stderr, stdout } = yield* run(["resume", "here", "-o", "mine.json"])
        assert.strictEqual(code, 0, stderr)
        assert.strictEqual(stdout, `${join(directory, "mine.json")}\n`)
        assert.strictEqual(
          readFileSync(join(directory, "mine.json"), "utf8"),
          readFileSync(join(directory, "en.fr.json"), "utf8")
        )
        const refused = yield* run(["resume", "here", "-o", "en.json"])
        assert.strictEqual(refused.code, 2, refused.stderr)
        assert.include(refused.stderr, "error: --output: en.json is the input, which would be lost.")
        assert.strictEqual(readFileSync(join(directory, "en.json"), "utf8"), catalogue)
      }),
    60_000
  )

  it.scopedLive(
    "keeps in its configuration that it is a batch, and that nothing is sent back",
    () =>
      Effect.gen(function*() {
        const { directory, emulator, run, write } = yield* start({ answer: () => "No." })
        write("en.json", catalogue)
        const flags = [...toFrench, "--mode", "batch", "--repair", "0", ...quick]
        assert.strictEqual((yield* run(["run", "en.json", ...flags, "--run-dir", "here"])).code, 3)
        const again = yield* run(["run", "--config", "here/config.yaml", "--run-dir", "there", ...quick])
        assert.strictEqual(again.code, 3, again.stderr)
        const { totals } = yield* emulator.books
        assert.deepInclude(totals, { batches: 2, rows: 2, directCalls: 0 })
        assert.deepStrictEqual(
          readdirSync(join(directory, "there/rows")),
          readdirSync(join(directory, "here/rows"))
        )
      }),
    60_000
  )

  it.scopedLive("is cancelled, and keeps what was translated by then", () =>
    Effect.gen(function*() {
      const { directory, emulator, run } = yield* laid({ answer: translator() })
      const flags = ["--max-concurrent-requests", "1", "--requests-per-minute", "20", "--run-dir", "here"]
      const left = yield* run([...translating, ...flags], {
        onStderr: (text, child) => {
          if (text.includes("Z waiting ")) child.kill("SIGKILL")
        }
      })
      assert.strictEqual(left.signal, "SIGKILL", left.stderr)
      const cancelled = yield* run(["cancel", "here"])
      assert.strictEqual(cancelled.code, 3, cancelled.stderr)
      assert.include(cancelled.stderr, "\n200 of 610 texts are in fr: 200 translated now, 0 known before.\n")
      const output = readTexts(join(directory, "examples/translate/en.fr.json"))
      assert.strictEqual(output.filter(([, text], at) => text !== readTexts(english)[at]?.[1]).length >= 190, true)
      assert.strictEqual((yield* emulator.books).totals.directCalls, 20)
    }))
})

describe("classify", () => {
  interface Message {
    readonly label: string
    readonly text: string
  }

  const messages = readFileSync(join(root, "examples/spam/sms.tsv"), "utf8").split(/\r?\n/u)
    .filter((line) => line !== "")
    .map((line): Message => {
      const [label = "", text = ""] = line.split("\t")
      return { label, text }
    })

  const answerOf = (label: string) => JSON.stringify({ label })

  /** Messages of some lengths are taken for the other kind. */
  const given = ({ label, text }: Message) => text.length % 37 !== 0 ? label : label === "ham" ? "spam" : "ham"

  /** Beside each answer stands one without any of the labels, which is put right when it is sent back. */
  const script = messages.map((message) =>
    JSON.stringify({
      prompt: `Text:\n${message.text}`,
      answer: answerOf(given(message)),
      wrong: [answerOf("junk")],
      repair: [answerOf(given(message))]
    })
  ).join("\n")

  const classifying = ["run", "examples/spam/sms.tsv", "--config", "config/classify.yaml"]

  const scripted = Effect.gen(function*() {
    const files = yield* workspace
    const answersFile = join(files, "answers.jsonl")
    writeFileSync(answersFile, script)
    return yield* laid({ answersFile, answerErrorRate: 0.05, timeScale: 10_000 })
  })

  it.scopedLive(
    "labels all 5,574 messages, and counts what it was told against what is true",
    () =>
      Effect.gen(function*() {
        const { directory, emulator, run } = yield* scripted
        const { code, stderr, stdout } = yield* run([...classifying, "--run-dir", "here", ...quick])
        assert.strictEqual(code, 0, stderr)
        assert.strictEqual(stdout, `${join(directory, "here/labels.csv")}\n`)
        assert.include(stderr, "\nLabels: here/labels.csv\nConfusion matrix: here/confusion.json\n")
        assert.match(stderr, /Z sending answers back to be put right: \d+ rows \(attempt 2\)\n/)
        assert.include(stderr, "\n5574 of 5574 rows have a label.\n")
        const cell = (truth: string, label: string) =>
          messages.filter((message) => message.label === truth && given(message) === label).length
        const confusion = JSON.parse(readFileSync(join(directory, "here/confusion.json"), "utf8"))
        assert.deepStrictEqual(confusion.labels, ["ham", "spam"])
        assert.deepStrictEqual(confusion.matrix, [
          [cell("ham", "ham"), cell("ham", "spam")],
          [cell("spam", "ham"), cell("spam", "spam")]
        ])
        assert.deepStrictEqual(confusion.unanswered, [0, 0])
        const [header, first] = readFileSync(join(directory, "here/labels.csv"), "utf8").split("\n")
        assert.strictEqual(header, "custom_id,label,true_label,outcome,error,text")
        assert.match(first ?? "", /^1,spam,ham,succeeded,,/)
        const { totals } = yield* emulator.books
        assert.isAbove(totals.rows, 5574 + 200)
        assert.strictEqual(totals.directCalls, 0)
      }),
    60_000
  )

  it.scopedLive(
    "without rounds of repair tells which rows have no label; its configuration makes the same run again",
    () =>
      Effect.gen(function*() {
        const { directory, run } = yield* scripted
        const flags = ["--limit-items", "200", "--repair", "0", "--mode", "sync"]
        const first = yield* run([...classifying, ...flags, "--run-dir", "here", "--output", "mine.csv", "--json"])
        assert.strictEqual(first.code, 3, first.stderr)
        const { job, tally } = JSON.parse(first.stdout)
        assert.isAbove(tally.invalid, 0)
        assert.strictEqual(tally.succeeded + tally.invalid, 200)
        assert.strictEqual(job.name, "classify")
        const labels = readFileSync(join(directory, "mine.csv"), "utf8")
        assert.lengthOf(labels.match(/,invalid,/gu) ?? [], tally.invalid)
        assert.deepStrictEqual(
          readdirSync(directory).toSorted(),
          ["config", "examples", "here", "mine.confusion.json", "mine.csv"]
        )
        rmSync(join(directory, "mine.csv"))
        const again = yield* run(["run", "--config", "here/config.yaml", "--run-dir", "there"])
        assert.strictEqual(again.code, 3, again.stderr)
        assert.strictEqual(readFileSync(join(directory, "mine.csv"), "utf8"), labels)
        const repaired = yield* run(["resume", "there", "--repair", "1"])
        assert.strictEqual(repaired.code, 0, repaired.stderr)
        const right = readFileSync(join(directory, "mine.csv"), "utf8")
        assert.notInclude(right, ",invalid,")
        const elsewhere = yield* run(["resume", "there", "--output", "other.csv"])
        assert.strictEqual(elsewhere.code, 0, elsewhere.stderr)
        assert.strictEqual(elsewhere.stdout, `${join(directory, "other.csv")}\n`)
        assert.strictEqual(readFileSync(join(directory, "other.csv"), "utf8"), right)
        assert.isTrue(existsSync(join(directory, "other.confusion.json")))
      }),
    60_000
  )
})

describe("eval", () => {
  /** Every sum is right but one; the eighth item gets no number. */
  const solver = ({ body, prompt }: AnswerRequest): string => {
    const [, left = "0", sign = "+", right = "0"] = /(-?[\d.]+) ([+-]) (-?[\d.]+)/u.exec(prompt) ?? []
    const sum = sign === "+" ? Number(left) + Number(right) : Number(left) - Number(right)
    return JSON.stringify(body).includes("17 + 25") ? "It is 41.\n#### 41" : `We reckon.\n#### ${sum}`
  }

  it.scopedLive("asks the items of config/eval.yaml and scores their answers", () =>
    Effect.gen(function*() {
      const { directory, run } = yield* laid({ answer: solver })
      const flags = ["--config", "config/eval.yaml", "--temps", "0.0,0.7", "--samples", "2", "--run-dir", "here"]
      const { code, stderr, stdout } = yield* run(["run", ...flags, ...quick])
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stdout, `${join(directory, "here/predictions.csv")}\n`)
      const [header, ...rows] = readFileSync(join(directory, "here/predictions.csv"), "utf8").split(
        /\r?\n(?=sums\||$)/u
      )
      assert.strictEqual(
        header,
        "custom_id,dataset,item_id,condition,temp,sample_index,type,request_id,finish_reason,response_text,"
          + "prompt_tokens,completion_tokens,total_tokens"
      )
      assert.include(rows[0], "sums|add-1|plain|0.0|0|open,sums,add-1,plain,0.0,0,open,")
      const items = lines(readFileSync(join(root, "config/eval-items.jsonl"), "utf8")).length
      const { rows: count, scores } = JSON.parse(readFileSync(join(directory, "here/scores.json"), "utf8"))
      assert.strictEqual(count, items * 4)
      assert.lengthOf(scores, 2)

      const again = yield* run(["run", "--config", "here/config.yaml", "--run-dir", "there", ...quick])
      assert.strictEqual(again.code, 0, again.stderr)
      const bodies = (run: string) =>
        lines(readFileSync(join(directory, run, "batch_inputs/openai/0001.jsonl"), "utf8")).map(({ body }) => body)
      assert.deepStrictEqual(bodies("there"), bodies("here"))
      assert.deepStrictEqual(
        readFileSync(join(directory, "there/scores.json"), "utf8"),
        readFileSync(join(directory, "here/scores.json"), "utf8")
      )
    }))

  it.scopedLive(
    "lets Opus 4.6 think, also when it is made again from the configuration it kept",
    () =>
      Effect.gen(function*() {
        const { directory, run } = yield* laid({ answer: solver })
        const flags = ["--config", "config/eval.yaml", "--provider", "anthropic", "--models", "claude-opus-4-6"]
        const first = yield* run(["run", ...flags, "--run-dir", "here", "--dry-run"])
        assert.strictEqual(first.code, 0, first.stderr)
        assert.include(
          first.stderr,
          "note: claude-opus-4-6 thinks before it answers, and max_tokens is 20,256 with that."
        )
        const again = yield* run(["run", "--config", "here/config.yaml", "--run-dir", "there", "--dry-run"])
        assert.strictEqual(again.code, 0, again.stderr)
        const params = (run: string) =>
          lines(readFileSync(join(directory, run, "batch_inputs/anthropic/0001.jsonl"), "utf8")).map(({ params }) =>
            params
          )
        assert.strictEqual(params("here")[0].max_tokens, 20_256)
        assert.deepStrictEqual(params("there"), params("here"))
      }),
    60_000
  )

  it.scopedLive("takes the ancestors' dry run", () =>
    Effect.gen(function*() {
      const { directory } = yield* laid()
      const { code, stderr, stdout } = yield* llmBatch(
        ["run", "--backend", "openai", "--config", "config/eval.yaml", "--dry-run", "--skip-prepare", "--skip-build"]
          .concat(["--limit-items", "2"]),
        { cwd: directory }
      )
      assert.strictEqual(code, 0, stderr)
      const manifest = JSON.parse(readFileSync(join(stdout.trim(), "manifest.json"), "utf8"))
      assert.deepInclude(manifest, { status: "built", rows: 2 })
      const rows = readFileSync(join(stdout.trim(), "rows/0001.jsonl"), "utf8")
      assert.include(rows, "\"sums|add-1|plain|0.2|0|open\"")
    }))
})

describe("a job that cannot be", () => {
  it.scopedLive("is refused with the name of the flag, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const directory = yield* workspace
      lay(directory)
      const en = ["run", "examples/translate/en.json", "-m", "gpt-5-mini"]
      const sms = ["run", "examples/spam/sms.tsv", "-m", "gpt-5-mini", "--columns", "label,text"]
      for (
        const [args, message] of [
          [
            [...en, "--job", "nosuch"],
            "--job: found the string \"nosuch\". It must be one of eval, translate, classify."
          ],
          [[...en, "--job", "translate"], "error: The job translate needs --target-lang.\n"],
          [
            [...en, "--target-lang", "../fr"],
            "error: The job translate: --target-lang: found the string \"../fr\". It must be the name of a language, "
          ],
          [[...en, "--target-lang", "fr", "--batch-size", "0"], "--batch-size: found the number 0."],
          [[...sms, "--job", "classify"], "error: The job classify needs --labels.\n"],
          [
            [...sms, "--job", "classify", "--labels", "spam"],
            "error: The job classify: --labels: there must be two labels at least, "
          ],
          [[...sms, "--job", "classify", "--labels", "spam,spam"], "a label is named twice"],
          [
            [...sms, "--job", "classify", "--labels", "ham,scam", "--label-column", "label", "--dry-run"],
            "found the string \"spam\", and the labels are \"ham\", \"scam\". Name it with --labels too"
          ],
          [["run", "--job", "classify", "-m", "gpt-5-mini", "--labels", "a,b"], "error: No input is named. "],
          [["run", "none.jsonl", "--job", "eval", "--provider", "openai"], "error: The job eval needs --models.\n"],
          [
            ["run", "config/eval-items.jsonl", "--job", "eval", "--models", "gpt-4.1-mini,gpt-4.1-mini", "--dry-run"],
            "error: models: gpt-4.1-mini is there twice."
          ],
          [["run", "none.json", "--target-lang", "fr", "-m", "gpt-5-mini"], "none.json: there is no such file. Check"]
        ] as const
      ) {
        const { code, stderr, stdout } = yield* llmBatch(args, { cwd: directory })
        assert.include(stderr, message)
        assert.deepStrictEqual([code, stdout], [2, ""], stderr)
      }
      assert.strictEqual((yield* llmBatch(["list", "--json"], { cwd: directory })).stdout, "[]\n")
    }))
})
