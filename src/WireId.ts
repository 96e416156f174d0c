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

const quote = 34

/**
 * The row number of the first wire id of this run in a line of results, or `undefined` when there is none. It looks at
 * the bytes only, so that rows can be counted without parsing them; a model never sees the tag, and cannot repeat it.
 *
 * @since 0.1.0
 * @category destructors
 */
export const rowInLine = (runTag: string, line: Buffer): number | undefined => {
  const start = line.indexOf(`"${runTag}-`)
  if (start === -1) return undefined
  const end = line.indexOf(quote, start + 1)
  return end === -1 ? undefined : rowOf(runTag, line.toString("latin1", start + 1, end))
}
