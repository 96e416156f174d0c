/**
 * The ids of evaluations: `dataset|item_id|condition|temp|sample_index|type`, as `gsm8k|17|stepwise|0.7|2|open`. Readers
 * of the results split them at each `|` and take the fourth part for a float, the fifth for an int.
 */
import * as Either from "effect/Either"

/** What stands between two parts, and in none. */
export const separator = "|"

/** The names of the parts, as columns of a table. */
export const columns = ["dataset", "item_id", "condition", "temp", "sample_index", "type"] as const

/** The form of an id, for error messages. */
export const form = columns.join(separator)

/** An id in its parts. */
export interface SixPartId {
  readonly dataset: string
  readonly itemId: string
  readonly condition: string
  readonly temp: number
  readonly sampleIndex: number
  readonly type: string
}

/** A temperature as Python writes a float: `0.7`, and `1.0` for a whole one. Reading it gives the number again. */
export const formatTemp = (temp: number): string => Number.isInteger(temp) ? temp.toFixed(1) : String(temp)

/** The parts as cells under those names. */
export const cells = ({ condition, dataset, itemId, sampleIndex, temp, type }: SixPartId): ReadonlyArray<string> => [
  dataset,
  itemId,
  condition,
  formatTemp(temp),
  String(sampleIndex),
  type
]

/** The text of an id whose parts are free of separators. */
export const format = (id: SixPartId): string => cells(id).join(separator)

const float = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/iu

/** So many digits are exact. */
const int = /^\d{1,15}$/u

/** The parts of an id; or what is wrong with it, after "the id". */
export const parse = (id: string): Either.Either<SixPartId, string> => {
  if (!id.isWellFormed()) return Either.left("holds half of a surrogate pair, which readers of the results cannot take")
  const parts = id.split(separator)
  if (parts.length !== 6)
    return Either.left(`has ${parts.length === 1 ? "one part" : `${parts.length} parts`}, not six`)
  const [dataset = "", itemId = "", condition = "", temp = "", sampleIndex = "", type = ""] = parts
  if (!float.test(temp) || !Number.isFinite(Number(temp))) {
    return Either.left(`has ${JSON.stringify(temp)} for its part 4, temp, which must be a float such as 0.7`)
  }
  return int.test(sampleIndex)
    ? Either.right({ dataset, itemId, condition, temp: Number(temp), sampleIndex: Number(sampleIndex), type })
    : Either.left(`has ${JSON.stringify(sampleIndex)} for its part 5, sample_index, which must be an int such as 0`)
}
