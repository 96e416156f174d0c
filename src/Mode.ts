/**
 * How rows come by their answers: through the batch API of a provider, at half the price and within a day, through the
 * synchronous one, at once, or from what was answered before, for nothing.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * Through which API the rows of one shard are asked; `reused` ones are not sent, and get answers that are there already or
 * that other rows get.
 *
 * @since 0.1.0
 * @category models
 */
export const ShardMode = Schema.Literal("batch", "sync", "reused")

/**
 * Through which API the rows of one shard are asked, if they are.
 *
 * @since 0.1.0
 * @category models
 */
export type ShardMode = typeof ShardMode.Type

/**
 * Through which API rows are asked that are sent.
 *
 * @since 0.1.0
 * @category models
 */
export type SentMode = Exclude<ShardMode, "reused">

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
export const forRows = (mode: Mode, threshold: number, rows: number): SentMode =>
  mode === "auto" ? (rows > threshold ? "batch" : "sync") : mode
