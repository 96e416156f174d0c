/**
 * The translations that were made before, as JSON Lines:
 *
 * ```json
 * {"key":"labels.paste","source":"Paste","targetLanguage":"fr","context":"9f86d081884c7d65","text":"Coller"}
 * ```
 *
 * A translation holds for the same text under the same key, into the same language and in the same context: the
 * language that it is from, and what the translator was told. The first one of several counts, so that a line may be
 * corrected by hand and nothing comes over it. Lines are only ever added.
 */
import * as Either from "effect/Either"
import { createHash } from "node:crypto"
import { InputError } from "../InputError.js"
import { parse as parseJson } from "../internal/JsonText.js"
import { isJsonObject } from "../Request.js"

/** A line of a memory. */
interface Entry {
  readonly key: string
  readonly source: string
  readonly targetLanguage: string
  readonly context: string
  readonly text: string
}

const entryOf = (line: string): Entry | undefined => {
  const value = parseJson(line)
  if (!isJsonObject(value)) return undefined
  const { context, key, source, targetLanguage, text } = value
  return typeof key === "string" && typeof source === "string" && typeof targetLanguage === "string"
      && typeof context === "string" && typeof text === "string"
    ? { key, source, targetLanguage, context, text }
    : undefined
}

/** What tells one context of translating from another. */
export interface TranslationScope {
  readonly sourceLanguage: string
  readonly targetLanguage: string
  /** What the translator is told besides. */
  readonly context: string
}

const contextHash = ({ context, sourceLanguage }: TranslationScope): string =>
  createHash("sha256").update(JSON.stringify([sourceLanguage, context])).digest("hex").slice(0, 16)

const identity = (key: string, source: string): string => JSON.stringify([key, source])

/** A memory, seen in one scope. */
export class TranslationMemory {
  private readonly translations = new Map<string, string>()
  /** The newest translation of each key into this language, whatever its text was then. */
  private readonly byKey = new Map<string, string>()
  private hasOtherLanguages = false
  private readonly context: string
  private readonly targetLanguage: string

  private constructor(private document: string, scope: TranslationScope) {
    this.context = contextHash(scope)
    this.targetLanguage = scope.targetLanguage
  }

  /** Reads the text of a memory, empty where there is none yet. `name` is how errors call it. */
  static parse(name: string, document: string, scope: TranslationScope): Either.Either<TranslationMemory, InputError> {
    const ended = document === "" || document.endsWith("\n") ? document : `${document}\n`
    const memory = new TranslationMemory(ended, scope)
    for (const [index, line] of document.split("\n").entries()) {
      if (line.trim() === "") continue
      const entry = entryOf(line)
      if (entry === undefined) {
        return Either.left(
          new InputError({
            source: name,
            line: index + 1,
            problem: "this is no line of a translation memory",
            remedy: "Correct or remove the line; another file is named with --memory."
          })
        )
      }
      memory.learn(entry)
    }
    return Either.right(memory)
  }

  private learn({ context, key, source, targetLanguage, text }: Entry): void {
    if (targetLanguage !== this.targetLanguage) {
      this.hasOtherLanguages = true
      return
    }
    this.byKey.set(key, text)
    const id = identity(key, source)
    if (context === this.context && !this.translations.has(id)) this.translations.set(id, text)
  }

  /** Whether it knows other languages, and nothing of this one. */
  get isForeign(): boolean {
    return this.hasOtherLanguages && this.byKey.size === 0
  }

  /** The translation of a text. */
  find(key: string, source: string): string | undefined {
    return this.translations.get(identity(key, source))
  }

  /** A translation of what was under this key before, or in another context. */
  findEarlier(key: string): string | undefined {
    return this.byKey.get(key)
  }

  /** Adds a translation, unless there is one. */
  add(key: string, source: string, text: string): void {
    if (this.translations.has(identity(key, source))) return
    const entry: Entry = { key, source, targetLanguage: this.targetLanguage, context: this.context, text }
    this.document += `${JSON.stringify(entry)}\n`
    this.learn(entry)
  }

  /** The memory as text, as it was read but for what was added. */
  format(): string {
    return this.document
  }
}
