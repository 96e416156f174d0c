/**
 * Errors of one input, each knowing the line that is being read.
 */
import { InputError } from "../InputError.js"

/** What is wrong with a row, besides where it is. */
export interface Fault {
  readonly field?: string
  readonly column?: number
  readonly problem: string
  /** A whole sentence. */
  readonly remedy: string
}

/** Makes the errors of one input. Its `line` is set once a row, so that the code below it need not pass it on. */
export class RowErrors {
  /** The line that is being read, from 1; 0 before the first. */
  line = 0

  constructor(readonly source: string) {}

  /** The error to throw for the line that is being read. */
  make(fault: Fault): InputError {
    return new InputError({ source: this.source, ...(this.line === 0 ? undefined : { line: this.line }), ...fault })
  }
}

/** A value as an error message shows it: short, and of which kind it is. */
export const describe = (value: unknown): string => {
  if (value === undefined) return "nothing"
  if (value === null) return "null"
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list"
  if (typeof value === "object") return "an object"
  if (value === "") return "an empty string"
  const text = typeof value === "number" ? String(value) : JSON.stringify(value)
  const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text
  return typeof value === "string" ? `the string ${shown}` : `the ${typeof value} ${shown}`
}
