/**
 * Through which of a provider's APIs rows are asked: the batch API, at half the price and within a day, or the
 * synchronous one, at once.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Through which API the rows of one shard are asked.
 *
 * @since 0.1.0
 * @category models
 */
export const ShardMode = Schema.Literal("batch", "sync")

/**
 * Through which API the rows of one shard are asked.
 *
 * @since 0.1.0
 * @category models
 */
export type ShardMode = typeof ShardMode.Type

/**
 * Through which API the rows of a run are asked; `auto` decides by their number.
 *
 * @since 0.1.0
 * @category models
 */
export const Mode = Schema.Literal("batch", "sync", "auto")

/**
 * Through which API the rows of a run are asked.
 *
 * @since 0.1.0
 * @category models
 */
export type Mode = typeof Mode.Type

/**
 * Above how many rows `auto` takes the batch API, unless it is told otherwise.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultThreshold = 100

/**
 * The API for so many rows.
 *
 * @example
 * ```ts
 * import * as Mode from "llm-batch/Mode"
 *
 * Mode.forRows("auto", 100, 101) // "batch"
 * ```
 *
 * @since 0.1.0
 * @category destructors
 */
export const forRows = (mode: Mode, threshold: number, rows: number): ShardMode =>
  mode === "auto" ? (rows > threshold ? "batch" : "sync") : mode
