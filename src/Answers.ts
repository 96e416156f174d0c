/**
 * The answers of a finished run, in the form in which they are wanted:
 *
 * - `jsonl`: `results.jsonl`, byte for byte;
 * - `csv` and `tsv`: one line a row, in input order, the answer beside the input's own columns. The header is
 *   `custom_id`, the input's columns in the order in which they first appear, then `answer`, `finish_reason`, `outcome`,
 *   `error`, `prompt_tokens`, `completion_tokens`, `total_tokens`. An input column with one of these names is called
 *   `input_<name>`, so a column `answer` of the input is `input_answer`. CSV is RFC 4180: fields with a comma, a quote
 *   or a line break are quoted, lines end in CR LF. TSV quotes nothing: a tab is written `\t`, a line feed `\n`, a
 *   carriage return `\r` and a backslash `\\`;
 * - `text`: for people: `# <custom_id>`, the answer below it, an empty line.
 *
 * In code, `rows` gives them one by one, with the request that each of them answers, and `source` makes them the rows of
 * a further run.
 *
 * The answer to an embedding is its vector as JSON; tool calls without a text are the answer as JSON. A row without an
 * answer has an empty one, and says in `outcome` and `error` why. Values of columns that are no strings are JSON, and
 * `null` is empty.
 *
 * Memory stays flat: tables take two passes over `rows/`, the first of them to find the columns.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as NodePath from "node:path"
import { InputError } from "./InputError.js"
import * as AnswerRow from "./internal/AnswerRow.js"
import { blockLoop, macrotask } from "./internal/BlockLoop.js"
import * as CsvLine from "./internal/CsvLine.js"
import * as Disk from "./internal/Disk.js"
import * as InputCells from "./internal/InputCells.js"
import { InputRows } from "./internal/InputRows.js"
import { LineReader } from "./internal/LineReader.js"
import * as RowRecord from "./internal/RowRecord.js"
import * as WholeFile from "./internal/WholeFile.js"
import { Ledger } from "./Ledger.js"
import type { OutcomeName } from "./Outcome.js"
import type { JsonObject, Request } from "./Request.js"
import * as RowError from "./RowError.js"
import * as RunDirectory from "./RunDirectory.js"
import { type DiskError, type LedgerCorrupt, RunRejected, ShardChanged } from "./RunError.js"
import type { RunState } from "./RunState.js"
import * as Source from "./Source.js"
import type { Usage } from "./Usage.js"

/**
 * The forms in which answers can be had.
 *
 * @since 0.1.0
 * @category models
 */
export const Format = Schema.Literal("jsonl", "csv", "tsv", "text")

/**
 * The forms in which answers can be had.
 *
 * @since 0.1.0
 * @category models
 */
export type Format = typeof Format.Type

const endings: Record<string, Format> = {
  ".jsonl": "jsonl",
  ".ndjson": "jsonl",
  ".csv": "csv",
  ".tsv": "tsv",
  ".tab": "tsv",
  ".txt": "text"
}

/**
 * The format that the ending of a file's name asks for.
 *
 * @example
 * ```ts
 * import * as Answers from "llm-batch/Answers"
 *
 * Answers.formatOf("answers.csv") // Either.right("csv")
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const formatOf = (path: string): Either.Either<Format, InputError> => {
  const ending = NodePath.extname(path)
  const format = endings[ending.toLowerCase()]
  return format === undefined
    ? Either.left(
      new InputError({
        source: path,
        problem: ending === "" ? "its name has no ending that tells a format" : `the ending ${ending} tells no format`,
        remedy: "Let it end in .jsonl, .csv, .tsv or .txt."
      })
    )
    : Either.right(format)
}

/**
 * What can go wrong when answers are written: the run is not finished, or its files are not as they were.
 *
 * @since 0.1.0
 * @category errors
 */
export type AnswersError = RunRejected | LedgerCorrupt | ShardChanged | DiskError

/** How many rows have an answer or an error: all of them, when the run is finished. */
const finishedRows = ({ directory, tally }: RunState): Effect.Effect<number, RunRejected> =>
  tally !== null ? Effect.succeed(tally.rows) : new RunRejected({
    directory,
    problem: "this run is not finished, so its answers are not all there",
    remedy: `Finish it with: llm-batch resume ${directory}`
  })

const damaged = (directory: string, problem: string) =>
  new RunRejected({
    directory,
    problem: `results.jsonl is not as it was written: ${problem}`,
    remedy: `Make it again with: llm-batch normalize ${directory}`
  })

/** Names what the row path throws; anything else is a bug, and dies. */
const nameError = (path: string) => (error: unknown): RunRejected | ShardChanged | DiskError =>
  error instanceof RunRejected || error instanceof ShardChanged ? error : Disk.toDiskError("read", path, error)

const longestLine = 1 << 29

/** How much text is given at a time, in characters. */
const blockLength = 1 << 18

/** Text in blocks, made row by row until all rows are written. */
const rowBlocks = (
  path: string,
  rows: number,
  head: string,
  write: () => string
): Stream.Stream<Uint8Array, RunRejected | ShardChanged | DiskError> =>
  Stream.concat(
    head === "" ? Stream.empty : Stream.sync(() => Buffer.from(head)),
    Stream.unfoldEffect(0, (written) =>
      Effect.zipRight(
        written === 0 ? Effect.void : macrotask,
        Effect.try({
          try: () => {
            let text = ""
            let row = written
            while (row < rows && text.length < blockLength) {
              text += write()
              row++
            }
            return row === written ? Option.none() : Option.some([Buffer.from(text), row] as const)
          },
          catch: nameError(path)
        })
      ))
  )

/** Gives what each line of results says, in order. */
const openResults = Effect.fn(function*(state: RunState) {
  const disk = yield* Disk.Disk
  const { directory } = state
  const path = RunDirectory.results(directory)
  const lines = yield* Effect.acquireRelease(
    Disk.attempt("read", path, () =>
      new LineReader(disk, path, longestLine, (line) => {
        throw damaged(directory, `line ${line} is too long`)
      })),
    (reader) => Effect.sync(() => reader.close())
  )
  let row = 0
  return (): AnswerRow.AnswerRow => {
    const line = lines.read()
    row++
    if (line === undefined) throw damaged(directory, `it ends before row ${row}`)
    const answer = AnswerRow.decode(line)
    if (answer === undefined) throw damaged(directory, `line ${row} is no line of results`)
    return answer
  }
})

const openInput = Effect.fn(function*(state: RunState) {
  const disk = yield* Disk.Disk
  const shards = [...state.shards.values()].map(({ shard }) => shard)
  return yield* Effect.acquireRelease(
    Effect.sync(() => new InputRows(disk, state.directory, shards)),
    (input) => Effect.sync(() => input.close())
  )
})

/** The names of the input's columns, in the order in which they first appear. */
const columnNames = Effect.fn(function*(state: RunState, rows: number) {
  const input = yield* openInput(state)
  const names = new Set<string>()
  let row = 0
  yield* blockLoop(() => {
    if (row === rows) return false
    row++
    for (const name of Object.keys(RowRecord.decodeColumns(input.next().line))) names.add(name)
    return true
  }, nameError(state.directory))
  // The id is the first column already, unless another column was told to be the id.
  if (state.run.options.idColumn === undefined) names.delete("custom_id")
  return [...names]
}, Effect.scoped)

const answerColumns = [
  "answer",
  "finish_reason",
  "outcome",
  "error",
  "prompt_tokens",
  "completion_tokens",
  "total_tokens"
]

const header = (names: ReadonlyArray<string>): ReadonlyArray<string> => [
  "custom_id",
  ...InputCells.names(names, ["custom_id", ...answerColumns]),
  ...answerColumns
]

const errorText = (error: AnswerRow.AnswerRow["error"]): string =>
  error === null ? "" : `${error.code}: ${error.message}`

const tsvEscapes: Record<string, string> = { "\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\" }

const tsvCell = (text: string): string => text.replaceAll(/[\t\n\r\\]/gu, (found) => tsvEscapes[found] ?? found)

const tableLine: Record<"csv" | "tsv", (cells: ReadonlyArray<string>) => string> = {
  csv: (cells) => `${cells.map(CsvLine.cell).join(",")}\r\n`,
  tsv: (cells) => `${cells.map(tsvCell).join("\t")}\n`
}

const table = Effect.fn(function*(state: RunState, rows: number, format: "csv" | "tsv") {
  const names = yield* columnNames(state, rows)
  const line = tableLine[format]
  const input = yield* openInput(state)
  const nextAnswer = yield* openResults(state)
  return rowBlocks(state.directory, rows, line(header(names)), () => {
    const own = RowRecord.decodeColumns(input.next().line)
    const { answer, customId, error, finishReason, outcome, usage } = nextAnswer()
    return line([
      customId,
      ...names.map((name) => InputCells.cell(own, name)),
      answer,
      finishReason ?? "",
      outcome,
      errorText(error),
      ...(usage === null ? ["", "", ""] : [usage.prompt, usage.completion, usage.prompt + usage.completion].map(String))
    ])
  })
})

/** An id is one line here, whatever is in it. */
const shownId = (id: string): string => /[\r\n]/u.test(id) ? JSON.stringify(id) : id

const text = Effect.fn(function*(state: RunState, rows: number) {
  const nextAnswer = yield* openResults(state)
  return rowBlocks(state.directory, rows, "", () => {
    const { answer, customId, error, outcome } = nextAnswer()
    const failure = error === null ? "" : `(${outcome}: ${errorText(error)})\n`
    return `# ${shownId(customId)}\n${answer === "" ? "" : `${answer}\n`}${failure}\n`
  })
})

/**
 * One row of a finished run: what was asked, and what came of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  /** What was asked; the user's id, and the input's own columns, are in it. */
  readonly request: Request
  readonly outcome: OutcomeName
  /**
   * The text of the answer: of an embedding its vector as JSON, of tool calls the calls as JSON, of a refusal its words.
   * An `invalid` answer is here too. Empty where there is none.
   */
  readonly answer: string
  /** Why the row has no usable answer; `null` when it has one. */
  readonly error: RowError.RowError | null
  readonly finishReason: string | null
  readonly requestId: string | null
  /** The tokens that it used; `null` where the provider counted none. */
  readonly usage: Usage | null
  /** The `chat.completion`, or the provider's list of embeddings; `null` where nothing came. */
  readonly body: JsonObject | null
}

/** Rows that are read at a time. */
const rowsAtATime = 256

/**
 * The rows of a finished run, in input order.
 *
 * @example
 * ```ts
 * import * as Option from "effect/Option"
 * import * as Stream from "effect/Stream"
 * import * as Answers from "llm-batch/Answers"
 * import type { RunReport } from "llm-batch/Pipeline"
 *
 * const unanswered = (report: RunReport) =>
 *   Answers.rows(report).pipe(
 *     Stream.filterMap(({ error }) => error === null ? Option.none() : Option.some(error.message)),
 *     Stream.runCollect
 *   )
 * ```
 *
 * @since 0.1.0
 * @category destructors
 */
export const rows = ({ state }: { readonly state: RunState }): Stream.Stream<
  Answer,
  RunRejected | ShardChanged | DiskError
> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const { directory } = state
    const count = yield* finishedRows(state)
    const input = yield* openInput(state)
    const nextAnswer = yield* openResults(state)
    const next = (): Answer => {
      const request = RowRecord.decode(input.next().line)
      const { customId, error, ...answered } = nextAnswer()
      if (request === undefined) throw damaged(directory, `the record of ${JSON.stringify(customId)} is no request`)
      if (request.customId !== customId)
        throw damaged(directory, `row ${request.row} is not ${JSON.stringify(customId)}`)
      const { outcome } = answered
      return {
        ...answered,
        request,
        error: error === null || outcome === "succeeded" ? null : RowError.make(outcome, {
          row: request.row,
          customId,
          code: error.code,
          detail: error.message,
          retryable: error.retryable
        })
      }
    }
    return Stream.unfoldChunkEffect(0, (read) =>
      Effect.zipRight(
        read === 0 ? Effect.void : macrotask,
        Effect.try({
          try: () => {
            const length = Math.min(rowsAtATime, count - read)
            return length === 0
              ? Option.none()
              : Option.some([Chunk.unsafeFromArray(Array.from({ length }, next)), read + length] as const)
          },
          catch: nameError(directory)
        })
      ))
  }))

/**
 * The answers of a finished run as the rows of another one: one pipeline feeds on another's answers. `make` gives the
 * row that an answer becomes, or `undefined` for none; equal answers must give equal rows, so that the further run can
 * be resumed.
 *
 * @example
 * ```ts
 * import * as Answers from "llm-batch/Answers"
 * import type { RunReport } from "llm-batch/Pipeline"
 *
 * const judged = (report: RunReport) =>
 *   Answers.source(report, ({ answer, error, request }) =>
 *     error !== null ? undefined : { id: request.customId, prompt: `Is this polite? Answer yes or no.\n\n${answer}` })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = (
  report: { readonly state: RunState },
  make: (answer: Answer) => JsonObject | undefined
): Source.Source =>
  Source.fromStream(
    rows(report).pipe(
      Stream.filterMap((answer) => Option.fromNullable(make(answer))),
      Stream.mapError((error) =>
        new InputError({
          source: report.state.directory,
          problem: error.message,
          remedy: "It is the answers of this run that the rows are made of."
        })
      )
    ),
    { name: `the answers of ${report.state.directory}` }
  )

const open = (
  directory: string,
  format: Format
): Effect.Effect<Stream.Stream<Uint8Array, AnswersError>, AnswersError, Ledger | Scope.Scope> =>
  Effect.gen(function*() {
    const state = yield* (yield* Ledger).state(NodePath.resolve(directory))
    const rows = yield* finishedRows(state)
    switch (format) {
      case "jsonl":
        return Disk.readBlocks(RunDirectory.results(state.directory))
      case "csv":
      case "tsv":
        return yield* table(state, rows, format)
      case "text":
        return yield* text(state, rows)
    }
  })

/**
 * The answers of a finished run, as blocks of UTF-8.
 *
 * @since 0.1.0
 * @category destructors
 */
export const stream = (directory: string, format: Format): Stream.Stream<Uint8Array, AnswersError, Ledger> =>
  Stream.unwrapScoped(open(directory, format))

/** Writes the blocks into a file that is whole before it has its name; a pipe or a device is written to as it is. */
const writeFile = Effect.fn(function*(path: string, blocks: Stream.Stream<Uint8Array, AnswersError, Ledger>) {
  const disk = yield* Disk.Disk
  const kind = (yield* Disk.attempt("look at", path, () => disk.stat(path)))?.kind
  if (kind !== "other") {
    return yield* WholeFile.write(
      path,
      (writer) => Stream.runForEach(blocks, (block) => Disk.attempt("write", path, () => writer.bytes(block)))
    )
  }
  const handle = yield* Disk.openScoped(path, "write")
  yield* Stream.runForEach(blocks, (block) => Disk.attempt("write", path, () => Disk.writeAll(handle, block)))
}, Effect.scoped)

/**
 * Writes the answers of a finished run into a file, which it makes or replaces.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Answers from "llm-batch/Answers"
 * import * as Ledger from "llm-batch/Ledger"
 *
 * const program = Answers.write("experiments/run_1", "csv", "answers.csv").pipe(Effect.provide(Ledger.layer))
 * ```
 *
 * @since 0.1.0
 * @category destructors
 */
export const write = Effect.fn("Answers.write")((directory: string, format: Format, path: string) =>
  writeFile(NodePath.resolve(path), stream(directory, format))
)
