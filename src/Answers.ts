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
 * The answer to an embedding is its vector as JSON; tool calls without a text are the answer as JSON. A row without an
 * answer has an empty one, and says in `outcome` and `error` why. Values of columns that are no strings are JSON, and
 * `null` is empty.
 *
 * Memory stays flat: tables take two passes over `rows/`, the first of them to find the columns.
 *
 * @since 0.1.0
 */
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
import * as Disk from "./internal/Disk.js"
import { InputColumns } from "./internal/InputColumns.js"
import { LineReader } from "./internal/LineReader.js"
import { Ledger } from "./Ledger.js"
import type { JsonObject } from "./Request.js"
import * as RunDirectory from "./RunDirectory.js"
import { type DiskError, type LedgerCorrupt, RunRejected, ShardChanged } from "./RunError.js"
import type { RunState } from "./RunState.js"

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

const finished = Effect.fn("Answers.finished")(function*(directory: string) {
  const state = yield* (yield* Ledger).state(NodePath.resolve(directory))
  if (state.tally === null) {
    return yield* new RunRejected({
      directory,
      problem: "this run is not finished, so its answers are not all there",
      remedy: `Finish it with: llm-batch resume ${directory}`
    })
  }
  return { state, rows: state.tally.rows }
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

/** Gives the cells of each line of results, in order. */
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

const openColumns = Effect.fn(function*(state: RunState) {
  const disk = yield* Disk.Disk
  const shards = [...state.shards.values()].map(({ shard }) => shard)
  return yield* Effect.acquireRelease(
    Effect.sync(() => new InputColumns(disk, state.directory, shards)),
    (columns) => Effect.sync(() => columns.close())
  )
})

/** The names of the input's columns, in the order in which they first appear. */
const columnNames = Effect.fn(function*(state: RunState, rows: number) {
  const columns = yield* openColumns(state)
  const names = new Set<string>()
  let row = 0
  yield* blockLoop(() => {
    if (row === rows) return false
    row++
    for (const name of Object.keys(columns.next())) names.add(name)
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

const header = (names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const taken = new Set(["custom_id", ...answerColumns])
  const own = names.map((name) => {
    let free = name
    while (taken.has(free)) free = `input_${free}`
    taken.add(free)
    return free
  })
  return ["custom_id", ...own, ...answerColumns]
}

const cellOf = (columns: JsonObject, name: string): string => {
  const value = Object.hasOwn(columns, name) ? columns[name] : undefined
  if (typeof value === "string") return value
  return value === undefined || value === null ? "" : JSON.stringify(value)
}

const csvCell = (text: string): string => /[",\r\n]/u.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text

const tsvEscapes: Record<string, string> = { "\t": "\\t", "\n": "\\n", "\r": "\\r", "\\": "\\\\" }

const tsvCell = (text: string): string => text.replaceAll(/[\t\n\r\\]/gu, (found) => tsvEscapes[found] ?? found)

const tableLine: Record<"csv" | "tsv", (cells: ReadonlyArray<string>) => string> = {
  csv: (cells) => `${cells.map(csvCell).join(",")}\r\n`,
  tsv: (cells) => `${cells.map(tsvCell).join("\t")}\n`
}

const table = Effect.fn(function*(state: RunState, rows: number, format: "csv" | "tsv") {
  const names = yield* columnNames(state, rows)
  const line = tableLine[format]
  const columns = yield* openColumns(state)
  const nextAnswer = yield* openResults(state)
  return rowBlocks(state.directory, rows, line(header(names)), () => {
    const own = columns.next()
    const row = nextAnswer()
    return line([
      row.customId,
      ...names.map((name) => cellOf(own, name)),
      row.answer,
      row.finishReason,
      row.outcome,
      row.error,
      row.promptTokens,
      row.completionTokens,
      row.totalTokens
    ])
  })
})

/** An id is one line here, whatever is in it. */
const shownId = (id: string): string => /[\r\n]/u.test(id) ? JSON.stringify(id) : id

const text = Effect.fn(function*(state: RunState, rows: number) {
  const nextAnswer = yield* openResults(state)
  return rowBlocks(state.directory, rows, "", () => {
    const { answer, customId, error, outcome } = nextAnswer()
    const failure = error === "" ? "" : `(${outcome}: ${error})\n`
    return `# ${shownId(customId)}\n${answer === "" ? "" : `${answer}\n`}${failure}\n`
  })
})

const open = (
  directory: string,
  format: Format
): Effect.Effect<Stream.Stream<Uint8Array, AnswersError>, AnswersError, Ledger | Scope.Scope> =>
  Effect.gen(function*() {
    const { rows, state } = yield* finished(directory)
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
  const target = kind === "other" ? path : `${path}.tmp`
  const fill = Effect.gen(function*() {
    const handle = yield* Disk.openScoped(target, "write")
    yield* Stream.runForEach(blocks, (block) => Disk.attempt("write", path, () => Disk.writeAll(handle, block)))
    if (kind !== "other") yield* Disk.attempt("make durable", path, () => handle.sync())
  }).pipe(Effect.scoped)
  if (kind === "other") return yield* fill
  yield* fill.pipe(
    Effect.zipRight(Disk.attempt("keep", path, () => {
      disk.rename(target, path)
      disk.syncDirectory(NodePath.dirname(path))
    })),
    Effect.onError(() => Effect.ignore(Disk.attempt("remove", target, () => disk.remove(target))))
  )
})

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
