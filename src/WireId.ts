/**
 * The `custom_id` that a provider sees is ours, not the user's: the run's tag and the row number. It is safe under
 * every provider's rule, joins results to rows by number without a map, and lets an orphaned batch be recognised.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/**
 * The id of a row on the wire: `<run tag>-<row number>`.
 *
 * @since 0.1.0
 * @category models
 */
export type WireId = string

const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"

/**
 * Draws the tag of a new run: ten characters of `a-z0-9`, from `Random`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeRunTag: Effect.Effect<string> = Effect.map(
  Effect.all(Array.from({ length: 10 }, () => Random.nextIntBetween(0, alphabet.length))),
  (indices) => indices.map((index) => alphabet.charAt(index)).join("")
)

/**
 * The wire id of a row.
 *
 * @example
 * ```ts
 * import * as WireId from "llm-batch/WireId"
 *
 * WireId.make("k3f9a2x7qd", 17) // "k3f9a2x7qd-17"
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (runTag: string, row: number): WireId => `${runTag}-${row}`

/**
 * The row number in a wire id of this run, or `undefined` for any other string.
 *
 * @since 0.1.0
 * @category destructors
 */
export const rowOf = (runTag: string, wireId: string): number | undefined => {
  if (wireId.length <= runTag.length + 1 || !wireId.startsWith(runTag) || wireId[runTag.length] !== "-") {
    return undefined
  }
  let row = 0
  for (let index = runTag.length + 1; index < wireId.length; index++) {
    const digit = wireId.charCodeAt(index) - 48
    if (digit < 0 || digit > 9) return undefined
    row = row * 10 + digit
  }
  return row > 0 && Number.isSafeInteger(row) && wireId[runTag.length + 1] !== "0" ? row : undefined
}

/**
 * The row number of the first wire id of this run in a line of results, or `undefined` when there is none. It looks at
 * the bytes only, so that rows can be counted without parsing them; a model never sees the tag, and cannot repeat it.
 *
 * @since 0.1.0
 * @category destructors
 */
export const rowInLine = (runTag: string, line: Buffer): number | undefined => rowFinder(runTag)(line)

const quote = 34
const zero = 48

/**
 * `rowInLine` for many lines of one run.
 *
 * @since 0.1.0
 * @category destructors
 */
export const rowFinder = (runTag: string): (line: Buffer) => number | undefined => {
  const head = Buffer.from(`"${runTag}-`)
  return (line) => {
    const start = line.indexOf(head)
    if (start === -1) return undefined
    const first = start + head.length
    // A number begins with no zero, and with a digit at all.
    if (line[first] === zero) return undefined
    let row = 0
    for (let at = first;; at++) {
      const byte = line[at]
      if (byte === quote) return row > 0 && Number.isSafeInteger(row) ? row : undefined
      const digit = byte === undefined ? -1 : byte - zero
      if (digit < 0 || digit > 9) return undefined
      row = row * 10 + digit
    }
  }
}
