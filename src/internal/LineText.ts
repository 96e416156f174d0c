/**
 * Text out of the bytes of a line: only valid UTF-8, and no longer than what a provider could take.
 */
import { isUtf8 } from "node:buffer"
import type { InputError } from "../InputError.js"
import type { RowErrors } from "./RowErrors.js"

/** The longest line that is read, in bytes: no provider takes a batch that is larger. */
export const longestLine = 256_000_000

/** The error of a line that is longer. */
export const tooLong = (errors: RowErrors) =>
  errors.make({
    problem: `the line is longer than ${longestLine / 1_000_000} MB`,
    remedy: "No provider takes a row of this size. Check that rows end in newlines."
  })

/** Where bytes stop being UTF-8, from 0. */
export const firstInvalid = (bytes: Uint8Array): number => {
  let valid = 0
  let end = bytes.length
  while (valid < end) {
    const middle = Math.ceil((valid + end) / 2)
    // A prefix may be cut inside a character; up to three bytes more make it whole.
    const whole = [0, 1, 2, 3].some((more) => middle + more <= bytes.length && isUtf8(bytes.subarray(0, middle + more)))
    if (whole) valid = middle
    else end = middle - 1
  }
  return valid
}

/** Newlines in a part of a text. */
export const countNewlines = (text: string, from: number, to: number): number => {
  let count = 0
  for (let at = text.indexOf("\n", from); at !== -1 && at < to; at = text.indexOf("\n", at + 1)) count++
  return count
}

/** The text of bytes; `undefined` where they are not UTF-8. */
export const textOf = (bytes: Buffer): string | undefined => {
  const text = bytes.toString("utf8")
  // Bytes that are not UTF-8 become U+FFFD, and only a text that has one needs the second look.
  return !text.includes("\ufffd") || isUtf8(bytes) ? text : undefined
}

/** The error of bytes that are not UTF-8, and follow `before`; the line of the errors is the one on which that begins. */
export const notUtf8 = (errors: RowErrors, bytes: Buffer, before: string): InputError => {
  const offset = firstInvalid(bytes)
  const byte = bytes[offset] ?? 0
  const valid = before + bytes.toString("utf8", 0, offset)
  errors.line += countNewlines(valid, 0, valid.length)
  return errors.make({
    column: valid.length - valid.lastIndexOf("\n"),
    problem: `the byte 0x${byte.toString(16)} is not UTF-8`,
    remedy: `Save the input as UTF-8, for example with: iconv -f ${
      offset === 0 && byte >= 0xfe ? "UTF-16" : "WINDOWS-1252"
    } -t UTF-8 FILE > NEW_FILE`
  })
}
