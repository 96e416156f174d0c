/**
 * Reads requests out of the bytes of a source: splits rows, tells their shapes apart, fills in defaults and templates.
 * Plain synchronous code, for millions of rows.
 *
 * @since 0.1.0
 */
import type { Request, RequestDefaults } from "./Request.js"
import type { Source } from "./Source.js"

/**
 * How rows become requests.
 *
 * @since 0.1.0
 * @category models
 */
export interface RowReaderOptions {
  /** What a row gets where it does not say so itself. */
  readonly defaults: RequestDefaults
  /** The prompt's template, `Is this spam? {{text}}`; `null` when rows carry their own prompt. */
  readonly prompt: string | null
  /** The column or field that holds the user's id, where it is not `custom_id` or `id`. */
  readonly idColumn: string | null
  /** Values for template variables that no column has. */
  readonly variables: { readonly [name: string]: string }
  /** Rows are embeddings, not chats. */
  readonly embedding: boolean
}

/**
 * Takes blocks and gives requests, in input order, through the callback that it was made with.
 *
 * Both methods throw an `InputError` for the first row that cannot be read; the reader is spent then.
 *
 * @since 0.1.0
 * @category models
 */
export interface RowReader {
  readonly push: (block: Uint8Array) => void
  readonly end: () => void
}

/**
 * Makes the reader of a source.
 *
 * @since 0.1.0
 * @category constructors
 */
export declare const make: (
  source: Pick<Source, "name" | "format" | "columns">,
  options: RowReaderOptions,
  onRow: (request: Request) => void
) => RowReader
