/**
 * Reads requests out of the bytes of a source: splits rows, tells their shapes apart, fills in defaults and templates.
 * Plain synchronous code, for millions of rows.
 *
 * A row of JSON Lines is told by what it has, in this order:
 *
 * 1. `{ body, url }`: a line of an OpenAI batch file. `{ params }`: one of an Anthropic batch file. Both go to their own
 *    provider as they are, so they must name their model themselves, and defaults do not apply.
 * 2. `{ body }`: a Chat Completions body; with `input` and no `messages`, a body for OpenAI's `/v1/responses`, which is
 *    sent as it is too. Among embeddings, an embeddings body.
 * 3. With a prompt template, any other record, also one whose `body` or `params` is no object: data for the template
 *    and nothing else.
 * 4. `{ messages, system? }`: a Chat Completions body without a `body` around it.
 * 5. `{ prompt, system? }`: one question; among embeddings, `{ prompt }`, `{ input }` or `{ text }`.
 *
 * In 4 and 5, `model`, `temperature`, `top_p`, `max_tokens`, `max_completion_tokens`, `stop`, `response_format`,
 * `reasoning_effort`, `thinking` and `tools` beside them belong to the request; in 4 all other parameters of Chat
 * Completions do too. Whatever else a row has are its own columns, which come back beside the answer. `null` says
 * nothing.
 *
 * CSV and TSV hold records: for the template, else with a column `prompt` (and `system`, and parameters as above, an
 * empty cell saying nothing). TSV has no quoting: a field is what stands between two tabs.
 *
 * The id of a row is its `custom_id`, else its `id`, else the row number; or the column that `idColumn` names.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { InputError } from "./InputError.js"
import * as CsvRows from "./internal/CsvRows.js"
import * as JsonRows from "./internal/JsonRows.js"
import { RowErrors } from "./internal/RowErrors.js"
import * as RowShape from "./internal/RowShape.js"
import type { Request, RequestDefaults } from "./Request.js"
import type { Source } from "./Source.js"
import * as Template from "./Template.js"

/**
 * How rows become requests.
 *
 * @since 0.1.0
 * @category models
 */
export interface RowReaderOptions {
  /** What a row gets where it does not say so itself. With a prompt template, `system` is a template too. */
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

const parseTemplates = (options: RowReaderOptions): Either.Either<RowShape.Templates, InputError> =>
  Either.all({
    prompt: options.prompt === null ? Either.right(null) : Template.parse("--prompt", options.prompt),
    system: options.prompt === null || options.defaults.system === undefined
      ? Either.right(null)
      : Template.parse("--system", options.defaults.system)
  })

const failing = (error: InputError): RowReader => {
  const fail = () => {
    throw error
  }
  return { push: fail, end: fail }
}

/**
 * Makes the reader of a source. A template that cannot be read is thrown by the reader's first call.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  source: Pick<Source, "name" | "format" | "columns">,
  options: RowReaderOptions,
  onRow: (request: Request) => void
): RowReader => {
  const errors = new RowErrors(source.name)
  return Either.match(parseTemplates(options), {
    onLeft: failing,
    onRight: (templates) => {
      const shape = RowShape.make(errors, options, templates)
      let row = 0
      return source.format === "jsonl"
        ? JsonRows.make(errors, (record, text) => onRow(shape(record, ++row, text)))
        : CsvRows.make(errors, source.format, source.columns, (record) => onRow(shape(record, ++row, null)))
    }
  })
}
