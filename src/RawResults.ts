/**
 * What a provider sent back for a batch: the bytes on disk exactly as they came, and what is known about them.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { EndedBatch, ResultFile } from "./Batch.js"

/**
 * How the bytes of a results file are packed; told by their content, never by a name.
 *
 * @since 0.1.0
 * @category models
 */
export const Packing = Schema.Literal("plain", "gzip", "zip")

/**
 * How the bytes of a results file are packed.
 *
 * @since 0.1.0
 * @category models
 */
export type Packing = typeof Packing.Type

/**
 * One downloaded file.
 *
 * @since 0.1.0
 * @category models
 */
export class RawFile extends Schema.Class<RawFile>("llm-batch/RawFile")({
  file: ResultFile,
  /** Its name below `raw/<provider>/` in the run directory. */
  name: Schema.String,
  bytes: Schema.Int,
  sha256: Schema.String,
  packing: Packing
}) {}

/**
 * The downloaded results of one batch, checked against its rows.
 *
 * @since 0.1.0
 * @category models
 */
export class RawResults extends Schema.Class<RawResults>("llm-batch/RawResults")({
  batch: EndedBatch,
  files: Schema.Array(RawFile),
  /** Distinct rows of the shard that have a line in the files. */
  rows: Schema.Int,
  /** By how many rows the files fall short of what the provider counts; a row that is not in them may be one of these. */
  shortBy: Schema.optionalWith(Schema.Int.pipe(Schema.nonNegative()), { default: () => 0 })
}) {}
