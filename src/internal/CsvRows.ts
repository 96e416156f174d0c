/**
 * Rows of tables: a record a line, the names of its columns in the first one or given. Blank lines are passed over.
 *
 * CSV is as RFC 4180 has it: fields that hold commas, quotes or newlines stand in double quotes, and a quote inside
 * them is doubled. TSV is as its media type has it: no quoting at all, so that text with stray quotes stays as it is.
 */
import * as Predicate from "effect/Predicate"
import Papa from "papaparse"
import type { JsonObject } from "../Request.js"
import type { RowReader } from "../RowReader.js"
import { countNewlines, longestLine, tooLong } from "./LineText.js"
import { setMember } from "./RowBody.js"
import type { RowErrors } from "./RowErrors.js"
import { makeTextLines, WholeLines } from "./WholeLines.js"

/** Takes the fields of a record. The line on which it begins is set in the errors. */
type OnFields = (fields: ReadonlyArray<string>) => void

const isBlank = (fields: ReadonlyArray<string>) => fields.length === 1 && fields[0]?.trim() === ""

const makeTsv = (errors: RowErrors, onFields: OnFields): RowReader =>
  makeTextLines(errors, (line) => {
    const fields = line.split("\t")
    if (!isBlank(fields)) onFields(fields)
  })

/** What Papa's parser tells of the record that it has just read; the types of the package leave it open. */
interface Step {
  readonly data: ReadonlyArray<ReadonlyArray<string>>
  readonly errors: ReadonlyArray<{ readonly code: string; readonly index?: number | undefined }>
  readonly meta: { readonly cursor: number }
}

const hasErrors = (result: unknown): result is Pick<Step, "errors"> =>
  Predicate.hasProperty(result, "errors") && Array.isArray(result.errors)

/**
 * Gives Papa's parser as many lines as make whole records: a quoted field may hold newlines.
 */
class CsvReader implements RowReader {
  private readonly lines: WholeLines
  /** Lines that belong to a record whose end is not there yet. */
  private pending = ""
  private pendingLine = 1
  /** How long the pending text must be before it is worth another look. */
  private worthwhile = 0

  constructor(private readonly errors: RowErrors, private readonly onFields: OnFields) {
    this.lines = new WholeLines(errors, {
      take: (text) => {
        this.pending += text
        this.parse()
      },
      before: () => {
        errors.line = this.pendingLine
        return this.pending
      }
    })
  }

  readonly push = (block: Uint8Array): void => {
    this.lines.push(block)
    if (this.isTooLong()) {
      this.worthwhile = 0
      this.parse()
    }
    if (this.isTooLong()) {
      this.errors.line = this.pendingLine
      throw this.pending === "" ? tooLong(this.errors) : this.neverClosed()
    }
  }

  readonly end = (): void => {
    this.lines.end()
    this.worthwhile = 0
    this.parse()
    if (this.pending !== "") {
      this.errors.line = this.pendingLine
      throw this.neverClosed()
    }
  }

  private isTooLong(): boolean {
    return this.lines.carriedBytes + this.pending.length > longestLine
  }

  private neverClosed() {
    return this.errors.make({
      problem: "a quoted field begins in this record and is never closed",
      remedy: "Close it with a double quote; a double quote inside a field is written twice."
    })
  }

  /** Reads all whole records of the pending text, which ends in a newline. */
  private parse(): void {
    if (this.pending === "" || this.pending.length < this.worthwhile) return
    const text = this.pending
    let start = 0
    const parser = new Papa.Parser({
      delimiter: ",",
      newline: "\n",
      step: (step: Step) => {
        this.errors.line = this.pendingLine
        this.check(text, start, step)
        const fields = step.data[0] ?? []
        const end = step.meta.cursor
        const bare = isBlank(fields) && text[start] !== "\""
        if (!bare) this.onFields(withoutReturn(fields, text, start, end))
        this.pendingLine += countNewlines(text, start, end)
        start = end
      }
    })
    const rest: unknown = parser.parse(text, 0, true)
    if (hasErrors(rest)) this.check(text, start, rest)
    this.pending = text.slice(start)
    this.worthwhile = 2 * this.pending.length
  }

  private check(text: string, start: number, result: Pick<Step, "errors">): void {
    const wrong = result.errors.find((error) => error.code === "InvalidQuotes")
    if (wrong === undefined) return
    const quote = (wrong.index ?? start + 1) - 1
    this.errors.line = this.pendingLine + countNewlines(text, start, quote)
    throw this.errors.make({
      column: quote - text.lastIndexOf("\n", quote),
      problem: "the quoted field that begins here goes on after its closing quote",
      remedy: "A double quote inside a quoted field is written twice."
    })
  }
}

/** Takes away the carriage return of a line's end, which the parser leaves on a last field without quotes. */
const withoutReturn = (fields: ReadonlyArray<string>, text: string, start: number, end: number) => {
  const last = fields[fields.length - 1]
  if (last === undefined || !last.endsWith("\r")) return fields
  const from = end - 1 - last.length
  const verbatim = from >= start && text.startsWith(last, from) && (from === start || text[from - 1] === ",")
  return verbatim ? [...fields.slice(0, -1), last.slice(0, -1)] : fields
}

const counted = (items: ReadonlyArray<string>, what: string) =>
  `${items.length} ${what}${items.length === 1 ? "" : "s"}`

const shown = (names: ReadonlyArray<string>) =>
  `${names.slice(0, 20).join(", ")}${names.length > 20 ? `, and ${names.length - 20} more` : ""}`

const checkColumns = (errors: RowErrors, names: ReadonlyArray<string>): void => {
  const seen = new Set<string>()
  for (const [index, name] of names.entries()) {
    if (name === "") {
      throw errors.make({
        problem: `column ${index + 1} has no name`,
        remedy: `Name every column in the first line, or give all names with --columns.`
      })
    }
    if (seen.has(name)) {
      throw errors.make({
        problem: `two columns are called ${name}`,
        remedy: `Give every column a name of its own in the first line, or give all names with --columns.`
      })
    }
    seen.add(name)
  }
}

/** Makes the reader of a table's records. Without `columns`, the first line names them. */
export const make = (
  errors: RowErrors,
  format: "csv" | "tsv",
  columns: ReadonlyArray<string> | null,
  onRecord: (record: JsonObject) => void
): RowReader => {
  let names: ReadonlyArray<string> | undefined

  const onFields: OnFields = (fields) => {
    if (names === undefined) {
      names = columns ?? fields.map((name) => name.trim())
      checkColumns(errors, names)
      if (columns === null) return
    }
    if (fields.length !== names.length) {
      throw errors.make({
        problem: `the record has ${counted(fields, "field")}, and there are ${counted(names, "column")}: ${
          shown(names)
        }`,
        remedy: format === "csv"
          ? "Put double quotes around a field that holds a comma, a quote or a newline."
          : "Fields of a TSV hold no tab and no newline, and quotes do not change that: such text needs CSV or JSON Lines."
      })
    }
    const record: { [name: string]: unknown } = {}
    for (let index = 0; index < names.length; index++) setMember(record, names[index] ?? "", fields[index])
    onRecord(record)
  }
  return format === "csv" ? new CsvReader(errors, onFields) : makeTsv(errors, onFields)
}
