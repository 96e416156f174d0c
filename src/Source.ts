/**
 * Where rows come from: a file, standard input, or rows made in code. A source gives bytes; what the rows in them mean
 * is told apart row by row, by `RowReader`.
 *
 * Making a source reads nothing: what is wrong with a file shows when its blocks are read.
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as NodePath from "node:path"
import { InputError } from "./InputError.js"
import { macrotask } from "./internal/BlockLoop.js"
import * as Disk from "./internal/Disk.js"
import * as Gunzip from "./internal/Gunzip.js"
import * as ReadableBlocks from "./internal/ReadableBlocks.js"
import type { JsonObject } from "./Request.js"

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
  readonly blocks: Stream.Stream<Uint8Array, InputError>
}

/**
 * What is known of a source beforehand.
 *
 * @since 0.1.0
 * @category models
 */
export interface SourceOptions {
  /** Without it: told by a file's name, `.csv`, `.tsv` or `.tab` (or that and `.gz`); JSON Lines by any other. */
  readonly format?: SourceFormat | undefined
  /** The names of the columns, for CSV and TSV without a header line. */
  readonly columns?: ReadonlyArray<string> | undefined
}

/**
 * The format that a file's name tells: `data.csv`, `data.tsv.gz`; JSON Lines for any name that tells nothing.
 *
 * @since 0.1.0
 * @category getters
 */
export const formatOf = (name: string): SourceFormat => {
  const ending = /\.(csv|tsv|tab)(?:\.gz)?$/i.exec(name)?.[1]?.toLowerCase()
  return ending === "csv" ? "csv" : ending === undefined ? "jsonl" : "tsv"
}

const layout = (name: string, options: SourceOptions | undefined) => ({
  format: options?.format ?? formatOf(name),
  columns: options?.columns ?? null
})

const withGzip = (name: string, blocks: Source["blocks"]): Source["blocks"] =>
  Gunzip.whereGzip(blocks, (problem) =>
    new InputError({
      source: name,
      problem: `it begins as gzip does, and cannot be decompressed: ${problem}`,
      remedy: "The file is damaged or was cut short: make it or copy it again."
    }))

const problems: Record<string, readonly [problem: string, remedy: string]> = {
  ENOENT: ["there is no such file", "Check the path."],
  ENOTDIR: ["there is no such file", "Check the path."],
  EISDIR: ["it is a directory", "Name a file in it."],
  EACCES: ["it may not be read", "Check its permissions."],
  EPERM: ["it may not be read", "Check its permissions."]
}

/**
 * The rows of a file: JSON Lines, CSV or TSV, plain or gzip. Compression is told by the content, the format by the
 * name or by the options.
 *
 * @example
 * ```ts
 * import * as Source from "llm-batch/Source"
 *
 * const prompts = Source.file("prompts.jsonl")
 * const messages = Source.file("sms.tsv", { columns: ["label", "text"] })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const file = (path: string, options?: SourceOptions): Source => ({
  name: path,
  path: NodePath.resolve(path),
  ...layout(path, options),
  blocks: withGzip(
    path,
    Stream.mapError(Disk.readBlocks(NodePath.resolve(path)), (error) => {
      const [problem, remedy] = problems[error.code]
        ?? [`it cannot be read: ${error.detail}`, "What is on the disk may be damaged: try again, or make a copy."]
      return new InputError({ source: path, problem, remedy })
    })
  )
})

const standardInput = "standard input"

/**
 * The rows of standard input, or of any other Node stream of bytes: JSON Lines unless the options say otherwise, plain
 * or gzip. It can be read once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stdin = (
  options?: SourceOptions & { readonly readable?: NodeJS.ReadableStream | undefined }
): Source => ({
  name: standardInput,
  path: null,
  ...layout("", options),
  blocks: withGzip(
    standardInput,
    Stream.suspend(() => {
      const readable: NodeJS.ReadableStream = options?.readable ?? process.stdin
      const refuse = (problem: string) =>
        new InputError({ source: standardInput, problem, remedy: "Put the rows into a file and name that." })
      return readable.readable
        ? ReadableBlocks.make(
          readable,
          (error) => refuse(`it cannot be read: ${error instanceof Error ? error.message : String(error)}`)
        )
        : Stream.fail(refuse("it has been read already"))
    })
  )
})

/**
 * The rows of a text. `name` is how error messages call it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromText = (name: string, text: string, options?: SourceOptions): Source => ({
  name,
  path: null,
  ...layout(name, options),
  blocks: Stream.suspend(() => Stream.make(Buffer.from(text)))
})

/** Writes rows as JSON Lines, counting them for errors. */
class RowWriter {
  private row = 0

  constructor(private readonly name: string) {}

  /** The lines of as many rows as make a block; `undefined` when there are no more. */
  nextBlock(rows: Iterator<JsonObject>): Effect.Effect<Uint8Array | undefined, InputError> {
    return Effect.suspend(() => {
      let text = ""
      while (text.length < Disk.blockSize) {
        const next = rows.next()
        if (next.done === true) break
        const line = this.line(next.value)
        if (Either.isLeft(line)) return Effect.fail(line.left)
        text += `${line.right}\n`
      }
      return Effect.succeed(text === "" ? undefined : Buffer.from(text))
    })
  }

  private line(row: JsonObject): Either.Either<string, InputError> {
    this.row++
    const refuse = (problem: string) =>
      new InputError({
        source: this.name,
        line: this.row,
        problem: `the row cannot be written as JSON: ${problem}`,
        remedy: "Rows are plain objects of strings, numbers, booleans, null, lists and objects."
      })
    return Either.flatMap(
      Either.try({
        try: (): unknown => JSON.stringify(row),
        catch: (cause) => refuse(cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause))
      }),
      (text) => typeof text === "string" ? Either.right(text) : Either.left(refuse(`it is ${typeof row}`))
    )
  }
}

/**
 * What rows made in code are called in error messages.
 *
 * @since 0.1.0
 * @category models
 */
export interface RowsOptions {
  /** `rows` when nothing is said; the line of an error is the row's number. */
  readonly name?: string | undefined
}

const madeInCode = (options: RowsOptions | undefined, blocks: (writer: RowWriter) => Source["blocks"]): Source => {
  const name = options?.name ?? "rows"
  return {
    name,
    path: null,
    format: "jsonl",
    columns: null,
    blocks: Stream.suspend(() => blocks(new RowWriter(name)))
  }
}

/**
 * Rows made in code, of any shape that JSON Lines may have. They are taken one by one, when they are needed.
 *
 * @example
 * ```ts
 * import * as Source from "llm-batch/Source"
 *
 * const questions = Source.fromRows(["2 + 2", "3 * 3"].map((sum) => ({ id: sum, prompt: `What is ${sum}?` })))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromRows = (rows: Iterable<JsonObject>, options?: RowsOptions): Source =>
  madeInCode(options, (writer) => {
    const iterator = rows[Symbol.iterator]()
    // Few rows are given without a macrotask, so that under a test clock their reader goes straight on.
    return Stream.unfoldEffect(0, (previous) =>
      Effect.map(
        Effect.zipRight(previous < Disk.blockSize ? Effect.void : macrotask, writer.nextBlock(iterator)),
        (block) => block === undefined ? Option.none() : Option.some([block, block.length] as const)
      )).pipe(Stream.ensuring(Effect.sync(() => iterator.return?.())))
  })

/**
 * Rows from a stream: out of a database, another program, an earlier run. Its errors are the source's.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromStream = (rows: Stream.Stream<JsonObject, InputError>, options?: RowsOptions): Source =>
  madeInCode(options, (writer) =>
    Stream.mapChunksEffect(rows, (chunk) => {
      const iterator = chunk[Symbol.iterator]()
      const blocks: Effect.Effect<ReadonlyArray<Uint8Array>, InputError> = Effect.flatMap(
        writer.nextBlock(iterator),
        (block) => block === undefined ? Effect.succeed([]) : Effect.map(blocks, (rest) => [block, ...rest])
      )
      return Effect.map(blocks, Chunk.fromIterable)
    }))
