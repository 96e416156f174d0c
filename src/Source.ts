/**
 * Where rows come from: a file, standard input, or rows made in code. A source gives bytes; what the rows in them mean
 * is told apart row by row, by `RowReader`.
 *
 * @since 0.1.0
 */
import type * as Stream from "effect/Stream"
import type { InputError } from "./InputError.js"
import type { Disk } from "./internal/Disk.js"

/**
 * How a source's bytes are laid out, after any decompression.
 *
 * @since 0.1.0
 * @category models
 */
export type SourceFormat = "jsonl" | "csv" | "tsv"

/**
 * Where rows come from.
 *
 * @since 0.1.0
 * @category models
 */
export interface Source {
  /** As error messages name it: a path, or `standard input`. */
  readonly name: string
  /** The absolute path, where the source is a file that can be read again. */
  readonly path: string | null
  readonly format: SourceFormat
  /** The names of the columns, for CSV and TSV without a header line. */
  readonly columns: ReadonlyArray<string> | null
  /** The bytes in blocks, decompressed where the content is gzip. */
  readonly blocks: Stream.Stream<Uint8Array, InputError, Disk>
}
