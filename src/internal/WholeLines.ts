/**
 * Texts of whole lines out of blocks of bytes: one text a block, since to decode line by line costs as much as to parse
 * them. What follows the last newline of a block waits for the next one.
 */
import type { RowReader } from "../RowReader.js"
import { firstInvalid, longestLine, notUtf8, textOf, tooLong } from "./LineText.js"
import type { RowErrors } from "./RowErrors.js"

/** Texts have a limit, and blocks have none. */
const largest = 1 << 26

const newline = 10
const carriageReturn = 13

/** Takes texts of whole lines, the newline of the last one included. */
export interface Lines {
  readonly take: (text: string) => void
  /** What comes before the next text without having been read, and belongs to its line. Sets the line of the errors. */
  readonly before: () => string
}

/** Cuts blocks into whole lines. A byte order mark at the very start is passed over. */
export class WholeLines implements RowReader {
  private carried: Array<Uint8Array> = []
  private atStart = true
  /** Bytes after the last newline. */
  carriedBytes = 0

  constructor(private readonly errors: RowErrors, private readonly lines: Lines) {}

  push(block: Uint8Array): void {
    for (let at = 0; at < block.length; at += largest) {
      this.pushPart(Buffer.from(block.buffer, block.byteOffset + at, Math.min(largest, block.length - at)))
    }
  }

  /** Ends the input: what follows the last newline is a line too. */
  end(): void {
    if (this.carriedBytes > 0) this.take(Buffer.concat([...this.carried, Buffer.from("\n")]))
    this.carried = []
    this.carriedBytes = 0
  }

  private pushPart(bytes: Buffer): void {
    const end = bytes.lastIndexOf(newline) + 1
    if (end > 0) {
      const whole = bytes.subarray(0, end)
      const lines = this.carriedBytes === 0 ? whole : Buffer.concat([...this.carried, whole])
      this.carried = []
      this.carriedBytes = 0
      this.take(lines)
    }
    if (end < bytes.length) {
      // A copy: the block may be used anew.
      this.carried.push(Buffer.from(bytes.subarray(end)))
      this.carriedBytes += bytes.length - end
    }
  }

  private take(bytes: Buffer): void {
    const hasMark = this.atStart && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
    this.atStart = false
    this.decode(hasMark ? bytes.subarray(3) : bytes)
  }

  private decode(bytes: Buffer): void {
    const text = textOf(bytes)
    if (text !== undefined) return this.lines.take(text)
    // What is wrong with a line before is told first.
    const line = bytes.lastIndexOf(newline, firstInvalid(bytes)) + 1
    if (line > 0) this.decode(bytes.subarray(0, line))
    throw notUtf8(this.errors, bytes.subarray(line), this.lines.before())
  }
}

/** The lines of an input one by one, without what ends them; their number is set in the errors. */
export const makeTextLines = (errors: RowErrors, onLine: (line: string) => void): RowReader => {
  let lineNumber = 0

  const take = (text: string) => {
    let start = 0
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      errors.line = ++lineNumber
      const line = text.slice(start, text.charCodeAt(end - 1) === carriageReturn && end > start ? end - 1 : end)
      start = end + 1
      if (line.length * 3 > longestLine && Buffer.byteLength(line) > longestLine) throw tooLong(errors)
      onLine(line)
    }
  }

  const lines = new WholeLines(errors, {
    take,
    before: () => {
      errors.line = lineNumber + 1
      return ""
    }
  })
  return {
    push: (block) => {
      lines.push(block)
      // With room for what is no part of a line: a byte order mark and a carriage return.
      if (lines.carriedBytes <= longestLine + 4) return
      errors.line = lineNumber + 1
      throw tooLong(errors)
    },
    end: () => lines.end()
  }
}
