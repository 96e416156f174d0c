/**
 * Translating a catalogue of texts, a JSON document with keys nested as its owner likes, into another language: the
 * same document comes back, with other texts.
 *
 * - A request holds several texts, and each translation must come back under its key, with the placeholders, line breaks
 *   and `\n` of its source. What is wrong with an answer is sent back to the model.
 * - A **translation memory** beside the output keeps every translation. What is in it is not asked for again, so a
 *   catalogue that changed costs what changed.
 * - Texts for which no right translation came keep an earlier one, else their source text, and are listed.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Job from "llm-batch/job/Job"
 * import * as Translate from "llm-batch/job/Translate"
 * import { RequestDefaults } from "llm-batch/Request"
 *
 * const program = Effect.gen(function*() {
 *   const job = yield* Translate.make(new Translate.TranslateOptions({ input: "en.json", targetLanguage: "fr" }))
 *   const { lines } = yield* Job.run(job, { defaults: new RequestDefaults({ model: "gpt-5-mini" }) })
 *   return lines
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Struct from "effect/Struct"
import { isUtf8 } from "node:buffer"
import * as NodePath from "node:path"
import type { AnswerCheck } from "../AnswerCheck.js"
import * as Answers from "../Answers.js"
import { InputError } from "../InputError.js"
import * as Disk from "../internal/Disk.js"
import { describe } from "../internal/RowErrors.js"
import * as WholeFile from "../internal/WholeFile.js"
import { isJsonObject, type JsonObject, type Request } from "../Request.js"
import type { DiskError } from "../RunError.js"
import * as Source from "../Source.js"
import * as Catalogue from "./Catalogue.js"
import type { Conclusion, Job, JobOfRun } from "./Job.js"
import * as Placeholders from "./Placeholders.js"
import * as TranslationAnswer from "./TranslationAnswer.js"
import { TranslationMemory, type TranslationScope } from "./TranslationMemory.js"

/** A language is named as the model knows it, `fr`, `pt-BR` or `Brazilian Portuguese`, and is part of a file's name. */
const Language = Schema.String.pipe(
  Schema.pattern(/^\p{L}[\p{L}\p{M}\p{N} _-]{0,59}$/u, {
    message: ({ actual }) =>
      `found ${
        describe(actual)
      }. It must be the name of a language, such as fr, pt-BR or Brazilian Portuguese: up to 60 `
      + "letters, digits, spaces, dashes and underscores, a letter first."
  })
)

/**
 * What to translate, and into what.
 *
 * @since 0.1.0
 * @category models
 */
export class TranslateOptions extends Schema.Class<TranslateOptions>("llm-batch/job/TranslateOptions")({
  /** The path of the catalogue. */
  input: Schema.NonEmptyString,
  targetLanguage: Language,
  sourceLanguage: Schema.optionalWith(Language, { default: () => "en" }),
  /** What a translator should know: what the texts are for, how to address people, names to keep. */
  context: Schema.optionalWith(Schema.String, { default: () => "" }),
  /** How many texts a request holds. */
  batchSize: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 1000)), { default: () => 10 }),
  /** The path of the translated catalogue; `<name>.<language>.json` beside the input by default. */
  output: Schema.optionalWith(Schema.NonEmptyString, { exact: true }),
  /** The path of the translation memory; `<output>.memory.jsonl` beside the output by default. */
  memory: Schema.optionalWith(Schema.NonEmptyString, { exact: true }),
  /** The path of a translated catalogue whose texts go into the memory first: one that was made without it. */
  existing: Schema.optionalWith(Schema.NonEmptyString, { exact: true })
}) {}

/** The options with every path absolute, and where the outputs go. */
interface Plan {
  readonly options: TranslateOptions
  readonly scope: TranslationScope
  readonly output: string
  readonly memory: string
  /** The list of the texts that have no translation. */
  readonly untranslated: string
}

const planOf = (given: TranslateOptions): Plan => {
  const input = NodePath.resolve(given.input)
  const stem = (path: string) => path.replace(/\.json$/iu, "")
  const output = NodePath.resolve(given.output ?? `${stem(input)}.${given.targetLanguage}.json`)
  const memory = NodePath.resolve(given.memory ?? `${stem(output)}.memory.jsonl`)
  const { context, sourceLanguage, targetLanguage } = given
  return {
    options: new TranslateOptions({
      ...given,
      input,
      output,
      memory,
      ...(given.existing === undefined ? {} : { existing: NodePath.resolve(given.existing) })
    }),
    scope: { context, sourceLanguage, targetLanguage },
    output,
    memory,
    untranslated: `${stem(output)}.untranslated.json`
  }
}

const readText = Effect.fn(function*(path: string) {
  const blocks = yield* Stream.runCollect(Source.file(path).blocks)
  const bytes = Buffer.concat(Chunk.toReadonlyArray(blocks))
  if (isUtf8(bytes)) return bytes.toString()
  return yield* new InputError({ source: path, problem: "it is not UTF-8", remedy: "Save it again as UTF-8." })
})

const readCatalogue = (path: string) => Effect.flatMap(readText(path), (text) => Catalogue.parse(path, text))

const isThere = Effect.fn(function*(path: string) {
  const disk = yield* Disk.Disk
  return (yield* Disk.attempt("look at", path, () => disk.stat(path))) !== undefined
})

const readMemory = Effect.fn(function*({ memory, scope }: Plan) {
  return yield* TranslationMemory.parse(memory, (yield* isThere(memory)) ? yield* readText(memory) : "", scope)
})

/**
 * Takes over the translations of a catalogue that was made elsewhere, for keys of which nothing is known yet: the file may
 * be an output of this job by now. What stayed in the source language is no translation.
 */
const learn = (
  memory: TranslationMemory,
  items: ReadonlyArray<Catalogue.Item>,
  existing: Catalogue.Catalogue
): void => {
  const texts = new Map(existing.items.map(({ key, text }) => [key, text]))
  for (const { key, text } of items) {
    const translation = texts.get(key)
    if (translation === undefined || translation === text || translation.trim() === "") continue
    if (memory.findEarlier(key) !== undefined) continue
    if (Placeholders.difference(text, translation) === undefined) memory.add(key, text, translation)
  }
}

/** The catalogue as it is now; the memory gets what is taken over from elsewhere. */
const readInputs = Effect.fn(function*({ options }: Plan, memory: TranslationMemory) {
  const { existing, input } = options
  const catalogue = yield* readCatalogue(input)
  if (existing !== undefined) learn(memory, catalogue.items, yield* readCatalogue(existing))
  return catalogue
})

const isBlank = ({ text }: Catalogue.Item): boolean => text.trim() === ""

const systemMessage = ({ context, sourceLanguage, targetLanguage }: TranslationScope): string =>
  [
    `You translate the texts of a program from ${sourceLanguage} into ${targetLanguage}. Texts come as JSON, each under `
    + "a key that tells where it stands. Answer with JSON and nothing else, in this form:",
    `{"targetLanguage":${JSON.stringify(targetLanguage)},"translations":[{"key":"...","text":"..."}]}`,
    "Rules:",
    "- Give every key exactly once, as it is, and no other keys. Keys are never translated.",
    "- Placeholders such as {{name}} and {count} stay as they are, each as often as in the source. Of a plural or select "
    + "message such as {count, plural, one {...} other {...}}, translate the texts in the inner braces only.",
    "- Line breaks, and \\n where it is written out, stay as many as they are.",
    "- Tags such as <b> and </b> stay around what they are around.",
    "- No text is empty. What needs no translation, such as a name, stays as it is.",
    ...(context === "" ? [] : ["What you should know of these texts:", context])
  ].join("\n")

/** The rows: so many texts a request. The items are columns of the row too, by which its answer is judged. */
const rowsOf = (
  items: ReadonlyArray<Catalogue.Item>,
  { batchSize, targetLanguage }: TranslateOptions
): ReadonlyArray<JsonObject> =>
  Array.from({ length: Math.ceil(items.length / batchSize) }, (_, row) => {
    const own = items.slice(row * batchSize, (row + 1) * batchSize).map(({ key, text }) => ({ key, text }))
    return { prompt: JSON.stringify({ targetLanguage, texts: own }), items: own }
  })

const isItem = (value: unknown): value is TranslationAnswer.TranslationItem =>
  isJsonObject(value) && typeof value["key"] === "string" && typeof value["text"] === "string"

const itemsOf = (request: Request): ReadonlyArray<TranslationAnswer.TranslationItem> => {
  const items: unknown = request.kind === "native" ? undefined : request.columns?.["items"]
  return Array.isArray(items) ? items.filter(isItem) : []
}

/** More than one thing may be wrong, and there are only so many rounds to put it right. */
const mostTold = 5

const worded = (problems: TranslationAnswer.TranslationAnswer["problems"]): string => {
  const [first, ...others] = problems
  const further = others.slice(0, mostTold - 1).map(({ path, problem }) => `; ${path}: ${problem}`).join("")
  const rest = others.length - (mostTold - 1)
  return `${first?.problem ?? ""}${further}${rest > 0 ? `; and ${rest} more` : ""}`
}

const checkFor = (targetLanguage: string): AnswerCheck => (answer, request) => {
  const { problems } = TranslationAnswer.read(answer, itemsOf(request), targetLanguage)
  const [first] = problems
  return first && { code: "invalid_answer", path: first.path, problem: worded(problems) }
}

/** A text without a translation. */
interface Untranslated {
  readonly key: string
  readonly text: string
  /** What stands in the output in its place. */
  readonly kept: "source" | "earlier"
  readonly why: string
}

/** Puts the right translations of a run into the memory; gives their keys, and why others are not there, by key. */
const gather = Effect.fn(function*(run: Parameters<Job["conclude"]>[0], memory: TranslationMemory, target: string) {
  const reasons = new Map<string, string>()
  const answered = new Set<string>()
  if (run === null) return { answered, reasons }
  yield* Stream.runForEachChunk(Answers.rows(run), (chunk) =>
    Effect.sync(() => {
      for (const { answer, error, request } of chunk) {
        const items = itemsOf(request)
        // What is right in an answer that is wrong elsewhere is paid for, and is as good as any.
        const { problems, texts } = TranslationAnswer.read(answer, items, target)
        const wrong = problems[0] === undefined ? "" : `${problems[0].path}: ${worded(problems)}`
        const why = error === null || error._tag === "RowInvalid" && answer !== "" ? wrong : error.message
        for (const { key, text } of items) {
          const translation = texts.get(key)
          if (translation === undefined) reasons.set(key, why)
          else {
            answered.add(key)
            memory.add(key, text, translation)
          }
        }
      }
    }))
  return { answered, reasons }
})

/** The list of all is a file: here a few are named, a line each, however much is wrong with them. */
const mostListed = 10
const longestLine = 120

const inOneLine = (text: string): string => {
  const line = text.replaceAll(/[\p{Cc}\p{Z}]+/gu, " ")
  return line.length <= longestLine ? line : `${line.slice(0, longestLine - 4).toWellFormed()} ...`
}

const lines = (plan: Plan, texts: number, translated: number, untranslated: ReadonlyArray<Untranslated>) => {
  const { targetLanguage } = plan.options
  const known = texts - untranslated.length
  const listed = untranslated.slice(0, mostListed)
  return [
    `${known} of ${texts} texts are in ${targetLanguage}: ${translated} translated now, ${
      known - translated
    } known before.`,
    ...(untranslated.length === 0
      ? []
      : ["Not translated. Another run of the same, in a run directory of its own, asks for them again:"]),
    ...listed.map(({ kept, key, why }) =>
      `  ${inOneLine(`${key} (keeps ${kept === "source" ? "its text" : "an earlier one"}): ${why}`)}`
    ),
    ...(untranslated.length > mostListed ? [`  and ${untranslated.length - mostListed} more`] : []),
    ...(untranslated.length === 0 ? [] : [`All of them: ${plan.untranslated}`]),
    `Translation: ${plan.output}`
  ]
}

const conclude = (plan: Plan): Job["conclude"] =>
  Effect.fn("Translate.conclude")(function*(run) {
    const { memory: memoryPath, output, untranslated: listPath } = plan
    const { targetLanguage } = plan.options
    const memory = yield* readMemory(plan)
    const { answered, reasons } = yield* gather(run, memory, targetLanguage)
    const keep = Effect.suspend(() => WholeFile.writeText(memoryPath, memory.format()))
    const catalogue = yield* readInputs(plan, memory).pipe(
      // What was answered is paid for: once it is in the memory it is never asked for again.
      Effect.tapError(() => keep),
      Effect.catchTag("InputError", (error) =>
        new InputError({
          ...Struct.pick(error, "source", "line", "column", "field", "problem"),
          remedy: `${error.remedy} What was translated is kept in ${memoryPath}.`
        }))
    )
    const items = catalogue.items.filter((item) => !isBlank(item))
    const untranslated: Array<Untranslated> = []
    const document = Catalogue.render(catalogue, (item) => {
      const { key, text } = item
      const translation = isBlank(item) ? text : memory.find(key, text)
      if (translation !== undefined) return translation
      const earlier = memory.findEarlier(key)
      const usable = earlier !== undefined && Placeholders.difference(text, earlier) === undefined ? earlier : undefined
      const why = reasons.get(key) ?? "it was not asked for in this run"
      untranslated.push({ key, text, kept: usable === undefined ? "source" : "earlier", why })
      return usable
    })
    const missing = new Set(untranslated.map(({ key }) => key))
    const translated = items.filter(({ key }) => answered.has(key) && !missing.has(key)).length
    // The memory first, whatever becomes of the rest.
    yield* keep
    yield* WholeFile.writeText(output, document)
    if (untranslated.length > 0) yield* WholeFile.writeText(listPath, `${JSON.stringify(untranslated, null, 2)}\n`)
    else {
      const disk = yield* Disk.Disk
      yield* Disk.attempt("remove", listPath, () => disk.remove(listPath))
    }
    return {
      lines: lines(plan, items.length, translated, untranslated),
      files: [output, memoryPath, ...(untranslated.length > 0 ? [listPath] : [])],
      report: {
        target_language: targetLanguage,
        texts: items.length,
        translated,
        untranslated,
        output,
        memory: memoryPath
      },
      complete: untranslated.length === 0
    } satisfies Conclusion
  })

/**
 * A file at the place of the output that this job did not make is somebody's work. Beside what it made is a memory, empty
 * where no answer was right, or, where the memory is kept elsewhere for other languages too, the list of all that is missing.
 */
const checkOutput = Effect.fn(function*(plan: Plan, memory: TranslationMemory) {
  const { options, output } = plan
  if (output === options.input) {
    return yield* new InputError({
      source: output,
      problem: "the translation would replace the catalogue that it is made of",
      remedy: "Name another --output."
    })
  }
  const isOurs = output === options.existing
    || (yield* isThere(plan.untranslated))
    || (!memory.isForeign && (yield* isThere(plan.memory)))
  if (isOurs || !(yield* isThere(output))) return
  return yield* new InputError({
    source: output,
    problem: `it is there already, and no translation memory knows anything of ${options.targetLanguage}`,
    remedy: `Take its texts over with --existing ${output}, or name another --output.`
  })
})

/**
 * The job of a run that is there already, from the options that are kept with it. Nothing is read before it is concluded:
 * the catalogue is read then, as it is by then, and where it cannot be, what was translated goes into the memory before
 * that is an `InputError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofRun = (given: TranslateOptions): JobOfRun => {
  const plan = planOf(given)
  return { name: "translate", check: checkFor(given.targetLanguage), conclude: conclude(plan) }
}

/**
 * Makes the job: reads the catalogue and the memory, and finds what there is to ask for.
 *
 * Fails with `InputError` when a file is not there or not what it should be, or when the output would replace something
 * that this job did not make.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (given: TranslateOptions) => Effect.Effect<Job, InputError | DiskError> = Effect.fn(
  "Translate.make"
)(function*(given: TranslateOptions) {
  const plan = planOf(given)
  const { options, scope } = plan
  const memory = yield* readMemory(plan)
  yield* checkOutput(plan, memory)
  const catalogue = yield* readInputs(plan, memory)
  const wanted = catalogue.items.filter((item) => !isBlank(item) && memory.find(item.key, item.text) === undefined)
  const rows = rowsOf(wanted, options)
  return {
    ...ofRun(options),
    options: Schema.encodeSync(TranslateOptions)(options),
    source: Source.fromRows(rows, { name: options.input }),
    rows: rows.length,
    build: {
      defaults: { system: systemMessage(scope) },
      answerSchema: TranslationAnswer.schema(scope.targetLanguage),
      answerName: "translations"
    },
    mode: "auto",
    repair: 2
  }
})
