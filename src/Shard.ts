/**
 * A shard is the rows that become one provider batch: its exact bytes lie in the run directory, and this class is what
 * is known about them.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { ShardMode } from "./Mode.js"

/**
 * The rows that become one provider batch.
 *
 * Its bytes are `batch_inputs/<provider>/<id>.jsonl` in the run directory, its requests `rows/<id>.jsonl`, line for
 * line. Rows that are not sent are a shard too, of mode `reused`: its bytes are what it gets its answers by.
 *
 * @since 0.1.0
 * @category models
 */
export class Shard extends Schema.Class<Shard>("llm-batch/Shard")({
  /** Four digits or more, counted through the run: `0001`. */
  id: Schema.String,
  /** The run directory, absolute. */
  directory: Schema.String,
  /** The run's tag, which begins every wire id. */
  runTag: Schema.String,
  provider: Schema.String,
  /** The path of the endpoint that answers the rows, e.g. `/v1/responses`. */
  endpoint: Schema.String,
  /** The model of all rows, or `null` where the provider allows several in one batch and there are several. */
  model: Schema.NullOr(Schema.String),
  /** Values of the beta header that every row of the shard needs. */
  betas: Schema.Array(Schema.String),
  rows: Schema.Int.pipe(Schema.positive()),
  /** The size of the wire rows, newlines included. */
  bytes: Schema.Int.pipe(Schema.positive()),
  /** SHA-256 of the wire rows, in hex: what is sent is what was built. */
  sha256: Schema.String,
  /** CRC-32 of the records in `rows/`: answers are joined to the rows that were built. Absent from older journals. */
  rowsCrc32: Schema.optional(Schema.Int),
  firstRow: Schema.Int,
  lastRow: Schema.Int,
  /** 1 for rows asked for the first time, one more for each retry. */
  attempt: Schema.Int.pipe(Schema.positive()),
  /** Through which API the rows are asked: as one batch, or one by one; `reused` for rows that are not sent. */
  mode: Schema.optionalWith(ShardMode, { default: () => "batch" }),
  /**
   * Where rows that are not sent have their answers from: the `cache`, whose lines are `raw/<provider>/<id>.jsonl` from the
   * start, or rows of the same `input` that ask the same, named in `reused/<id>.jsonl`.
   */
  reuse: Schema.optional(Schema.Literal("cache", "input")),
  /** The shards whose failed rows this one asks for again. */
  parents: Schema.Array(Schema.String)
}) {}

/**
 * How many rows are not sent, by where their answers come from.
 *
 * @since 0.1.0
 * @category destructors
 */
export const reusedRows = (shards: Iterable<Shard>): { readonly cache: number; readonly input: number } => {
  const rows = { cache: 0, input: 0 }
  for (const shard of shards) if (shard.reuse !== undefined) rows[shard.reuse] += shard.rows
  return rows
}

/**
 * What marks a batch as the batch of a shard, so that it can be found again after a crash.
 *
 * @since 0.1.0
 * @category models
 */
export class SubmitTag extends Schema.Class<SubmitTag>("llm-batch/SubmitTag")({
  runTag: Schema.String,
  shard: Schema.String,
  sha256: Schema.String,
  /** Tells apart shards of a provider whose batches carry no tags. */
  rows: Schema.Int
}) {}

/**
 * The tag of a shard's batch.
 *
 * @since 0.1.0
 * @category constructors
 */
export const submitTag = (shard: Shard): SubmitTag =>
  new SubmitTag({
    runTag: shard.runTag,
    shard: shard.id,
    sha256: shard.sha256,
    rows: shard.rows
  })

/**
 * The id of the nth shard of a run, from 1.
 *
 * @since 0.1.0
 * @category constructors
 */
export const shardId = (index: number): string => String(index).padStart(4, "0")

/**
 * How many shards a run has had by now, going by their ids: those that were cut into others are not among them any more,
 * and the ones that they became have the higher ids.
 *
 * @since 0.1.0
 * @category destructors
 */
export const countByIds = (shards: Iterable<Shard>): number => {
  let highest = 0
  for (const { id } of shards) highest = Math.max(highest, Number(id))
  return highest
}
