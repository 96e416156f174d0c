/**
 * Rows of JSON Lines: an object a line. Blank lines are passed over.
 */
import { isJsonObject, type JsonObject } from "../Request.js"
import type { RowReader } from "../RowReader.js"
import { locateProblem } from "./JsonPosition.js"
import { describe, type RowErrors } from "./RowErrors.js"
import { makeTextLines } from "./WholeLines.js"

/** The deepest nesting of a row, its own braces included: what writes JSON overflows its stack beyond a few thousand. */
const deepest = 1_000

const isDeeper = (value: unknown, levels: number): boolean => {
  if (typeof value !== "object" || value === null) return false
  if (levels === 0) return true
  for (const member of Array.isArray(value) ? value : Object.values(value)) {
    if (isDeeper(member, levels - 1)) return true
  }
  return false
}

const linesRemedy = "The input must be JSON Lines, one object a line. "

/** Makes the reader of rows; `onRow` takes each with its text. */
export const make = (errors: RowErrors, onRow: (record: JsonObject, text: string) => void): RowReader => {
  let first = true

  const notAnObject = (value: unknown) =>
    errors.make({
      problem: `the line holds ${describe(value)}, not an object`,
      remedy: Array.isArray(value) ?
        `${linesRemedy}Turn one array into lines with: jq -c '.[]' FILE > NEW_FILE`
        : `${linesRemedy}For example: {"prompt": "..."}`
    })

  const malformed = (text: string) => {
    const found = locateProblem(text)
    if (found === undefined) return errors.make({ problem: "the line is not JSON", remedy: linesRemedy.trim() })
    const array = text.trimStart().startsWith("[")
    if (first && (array || found.unfinished)) {
      return errors.make({
        problem: array ? "the input is one JSON array" : "the object goes on over several lines",
        remedy: `${linesRemedy}Turn it into lines with: jq -c ${array ? "'.[]'" : "."} FILE > NEW_FILE`
      })
    }
    return errors.make({ column: found.offset + 1, problem: found.problem, remedy: found.remedy })
  }

  return makeTextLines(errors, (text) => {
    if (text === "") return
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      if (text.trim() === "") return
      throw malformed(text)
    }
    if (!isJsonObject(value)) throw notAnObject(value)
    // A level of nesting takes two characters, so that most rows need no look.
    if (text.length > 2 * deepest && isDeeper(value, deepest)) {
      throw errors.make({
        problem: `the row is nested more than ${deepest} levels deep`,
        remedy: "Take the nested value out, or write it as a string."
      })
    }
    first = false
    onRow(value, text)
  })
}
