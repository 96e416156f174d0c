/**
 * A catalogue of texts as one JSON document, with keys nested as its owner likes. It is kept as the text that it is, and
 * only the strings in it are ever replaced: so order, indentation, numbers and the final newline stay as they were.
 */
import * as Either from "effect/Either"
import { InputError } from "../InputError.js"
import { locateProblem } from "../internal/JsonPosition.js"
import { parse as parseJson } from "../internal/JsonText.js"
import { describe } from "../internal/RowErrors.js"
import { isJsonObject } from "../Request.js"

/** A text of a catalogue. */
export interface Item {
  /** The names on the way to it, `labels.paste`; unlike that of every other item. */
  readonly key: string
  readonly text: string
  /** Where its string lies in the document, quotes included. */
  readonly start: number
  readonly end: number
}

/** A catalogue: its document, and the strings in it, in order. */
export interface Catalogue {
  readonly document: string
  readonly items: ReadonlyArray<Item>
}

const plainKey = (path: ReadonlyArray<string>): string => path.join(".")

/** As RFC 6901 has it: no two paths have the same. */
const pointer = (path: ReadonlyArray<string>): string =>
  path.map((name) => `/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("")

/**
 * A key for each path: its names with dots between them. Where two paths come out the same, since a name holds a dot
 * itself, those are told apart as JSON Pointers.
 */
const keysOf = (paths: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const counts = new Map<string, number>()
  for (const path of paths) counts.set(plainKey(path), (counts.get(plainKey(path)) ?? 0) + 1)
  const keys = paths.map((path) => counts.get(plainKey(path)) === 1 ? plainKey(path) : pointer(path))
  return new Set(keys).size === keys.length ? keys : paths.map(pointer)
}

/** A list or an object that is being read, with the position or the name of what comes next in it. */
interface Level {
  readonly kind: "[" | "{"
  position: number
  name: string | undefined
}

interface Found extends Omit<Item, "key"> {
  readonly path: ReadonlyArray<string>
}

/** The strings of a document that is known to be JSON. */
const strings = (document: string): ReadonlyArray<Found> => {
  const found: Array<Found> = []
  const levels: Array<Level> = []
  for (const { 0: token, index } of document.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],]/gu)) {
    const level = levels.at(-1)
    if (token === "{" || token === "[") levels.push({ kind: token, position: 0, name: undefined })
    else if (token === "}" || token === "]") levels.pop()
    else if (level === undefined) continue
    else if (token === ",") {
      level.position++
      level.name = undefined
    } else {
      const text = String(parseJson(token))
      if (level.kind === "{" && level.name === undefined) level.name = text
      else {
        const path = levels.map(({ name, position }) => name ?? String(position))
        found.push({ path, text, start: index, end: index + token.length })
      }
    }
  }
  return found
}

const lineOf = (document: string, offset: number): number => document.slice(0, offset).split("\n").length

const remedy = "A catalogue is one JSON object of texts, nested or not: {\"menu\": {\"open\": \"Open\"}}."

/** Reads a catalogue. `name` is how errors call it. */
export const parse = (name: string, document: string): Either.Either<Catalogue, InputError> => {
  const unmarked = document.replace(/^\uFEFF/u, "")
  const value = parseJson(unmarked)
  if (value === undefined) {
    const problem = locateProblem(unmarked)
    const line = problem === undefined ? 1 : lineOf(unmarked, problem.offset)
    return Either.left(
      new InputError({
        source: name,
        line,
        problem: `it is not JSON: ${problem?.problem ?? "it holds no value"}`,
        remedy: problem?.remedy ?? remedy
      })
    )
  }
  if (!isJsonObject(value)) {
    return Either.left(new InputError({ source: name, problem: `it holds ${describe(value)}, not an object`, remedy }))
  }
  const found = strings(document)
  const byPath = new Set<string>()
  for (const { path, start } of found) {
    const id = pointer(path)
    if (byPath.has(id)) {
      return Either.left(
        new InputError({
          source: name,
          line: lineOf(document, start),
          field: plainKey(path),
          problem: "this key is there twice",
          remedy: "Keep one of the two: most readers of JSON see the last one only."
        })
      )
    }
    byPath.add(id)
  }
  const keys = keysOf(found.map(({ path }) => path))
  const items = found.map(({ end, start, text }, index) => ({ key: keys[index] ?? "", text, start, end }))
  return Either.right({ document, items })
}

/** The document with other texts in the place of some; a text for which there is no other stays, byte for byte. */
export const render = ({ document, items }: Catalogue, replacement: (item: Item) => string | undefined): string => {
  let text = ""
  let at = 0
  for (const item of items) {
    const other = replacement(item)
    if (other === undefined || other === item.text) continue
    text += document.slice(at, item.start) + JSON.stringify(other)
    at = item.end
  }
  return text + document.slice(at)
}
