/**
 * The work of `Normalize` on one shard: from its rows and raw results to a part file that only lacks its name. All that
 * it needs of the rest is how lines are decoded and what models cost, so that another thread can do it as well.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import { crc32 } from "node:zlib"
import type { AnswerCheck, AnswerProblem } from "../AnswerCheck.js"
import { ArchiveRejected } from "../BatchError.js"
import type * as Cost from "../Cost.js"
import type { Service } from "../Provider.js"
import type { RawFile, RawResults } from "../RawResults.js"
import * as RunDirectory from "../RunDirectory.js"
import { type DiskError, ShardChanged } from "../RunError.js"
import type { Shard } from "../Shard.js"
import * as Tally from "../Tally.js"
import { absentOutcome } from "./AbsentOutcome.js"
import { inPieces } from "./BlockLoop.js"
import { BlockWriter } from "./BlockWriter.js"
import * as Disk from "./Disk.js"
import { LineSplitter } from "./Lines.js"
import * as RawContent from "./RawContent.js"
import { contiguousIndex, type RawSource, ResultSorter, type RowIndex, sparseIndex } from "./ResultSorter.js"
import * as ReusedLine from "./ReusedLine.js"
import * as RowRecord from "./RowRecord.js"
import { type FindPrices, ShardMeter } from "./ShardMeter.js"

/** What is known of a part file that was written. */
export interface Written {
  readonly tally: Tally.Tally
  readonly bill: Cost.ShardBill
}

/** What it needs of the provider and of the catalogue. */
export interface Knowledge {
  readonly decode: Service["decode"]
  readonly find: FindPrices
}

/** A longer line of rows was never built: it would be larger than any batch. */
const longestRecord = 1 << 28

/** A longer line of results holds no answer of any model. */
const longestLine = 1 << 27

/** A line of more values than this would fill the memory when it is read. */
const mostValues = 1 << 24

/** Before each value of a JSON text, but for the outermost, is one of these. */
const isBeforeValue = (byte: number): boolean => byte === 0x2c || byte === 0x3a || byte === 0x5b || byte === 0x7b

const hasTooManyValues = (line: Buffer): boolean => {
  if (line.length <= mostValues) return false
  let count = 0
  for (const byte of line) {
    if (isBeforeValue(byte)) count++
  }
  return count > mostValues
}

const bufferSize = 1 << 20

/** As many rows as this are read, decoded and written in a few milliseconds. */
const rowsBlockSize = 1 << 14

/** Asks the check about the answer to the row of this record. */
const judge =
  (check: AnswerCheck, row: number, record: Buffer, onUnreadable: () => void) =>
  (reply: string): AnswerProblem | undefined => {
    const request = RowRecord.decode(record)
    if (request === undefined) {
      onUnreadable()
      return undefined
    }
    try {
      return check(reply, request)
    } catch (cause) {
      // Under a name of its own: an error of the file system that it throws is not one of this stage.
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`The check of answers failed at row ${row}: ${message}`, { cause })
    }
  }

const changed = (shard: Shard, problem: string) =>
  new ShardChanged({ path: RunDirectory.rows(shard), shard: shard.id, problem })

/** Gives each row record with its head to synchronous work, with the row's index in the shard. */
const forEachRow = Effect.fn(function*(
  shard: Shard,
  onRow: (at: number, head: RowRecord.RowHead, record: Buffer) => void
) {
  const path = RunDirectory.rows(shard)
  let count = 0
  let previous = 0
  let problem: string | undefined
  const splitter = new LineSplitter(longestRecord, (line, lineNumber) => {
    const head = RowRecord.decodeHead(line)
    if (head === undefined || head.row <= previous || count === shard.rows) {
      problem ??= `line ${lineNumber} is not the record of a row that belongs there`
      return
    }
    previous = head.row
    onRow(count++, head, line)
  }, (lineNumber) => {
    problem ??= `line ${lineNumber} is too long`
  })
  let checksum = 0
  yield* Disk.forEachBlock(path, rowsBlockSize, "normalise", (block) => {
    checksum = crc32(block, checksum)
    splitter.push(block)
  })
  yield* Disk.attempt("normalise", path, () => splitter.end())
  if (problem === undefined && count !== shard.rows) problem = `it has ${count} rows instead of ${shard.rows}`
  if (shard.rowsCrc32 !== undefined && checksum !== shard.rowsCrc32) problem ??= "its checksum differs"
  if (problem !== undefined) return yield* changed(shard, problem)
})

const indexOf = Effect.fn(function*(shard: Shard) {
  if (shard.lastRow - shard.firstRow + 1 === shard.rows) return contiguousIndex(shard)
  const rows = new Float64Array(shard.rows)
  yield* forEachRow(shard, (at, head) => {
    rows[at] = head.row
  })
  return sparseIndex(rows)
})

/** A file that is written for the length of the scope. */
const writer = (path: string) =>
  Effect.map(Disk.openScoped(path, "write"), (handle) => ({ handle, blocks: new BlockWriter(handle, bufferSize) }))

/** Gives each line of a file of raw results to synchronous work. */
const forEachRawLine = Effect.fn(function*(shard: Shard, file: RawFile, splitter: LineSplitter) {
  const path = RunDirectory.raw(shard, file.name)
  if (file.packing === "plain") {
    yield* Disk.forEachBlock(path, bufferSize, "normalise", (block) => splitter.push(block))
  } else {
    yield* RawContent.blocks(path, file.packing).pipe(
      Stream.runForEach((block) =>
        inPieces(
          block,
          (piece) => {
            splitter.push(piece)
            return true
          },
          (error) => Disk.toDiskError("normalise", path, error)
        )
      ),
      Effect.catchTag(
        "ArchiveProblem",
        ({ problem }) => new ArchiveRejected({ directory: shard.directory, path, problem })
      )
    )
  }
  yield* Disk.attempt("normalise", path, () => splitter.end())
})

/** Gives nothing where the sorter was mistaken. */
const normalizeInto = Effect.fn(function*(
  raw: RawResults,
  { decode, find }: Knowledge,
  check: AnswerCheck | undefined,
  index: RowIndex,
  scratchPath: string,
  careful: boolean
) {
  const { shard } = raw.batch
  const anomaliesPath = RunDirectory.partAnomalies(shard)
  const anomalies = yield* writer(anomaliesPath)
  const path = partial(shard)
  const part = yield* writer(path)
  const meter = new ShardMeter(find, shard)
  const sorter = new ResultSorter(
    shard,
    index,
    shard.mode === "reused" ? ReusedLine.decodeWith(decode) : decode,
    anomalies.blocks,
    meter,
    careful
  )
  // The lines of packed files wait here to be read in row order.
  const scratch = raw.files.every(({ packing }) => packing === "plain") ? undefined : {
    ...yield* writer(scratchPath),
    reader: yield* Disk.openScoped(scratchPath, "read")
  }
  for (const [at, file] of raw.files.entries()) {
    const isPlain = file.packing === "plain"
    const source: RawSource = {
      name: file.name,
      // Downloads that were all short repeat each other: that is not the provider's doing.
      isRepeat: raw.files.slice(0, at).some(({ file: { kind } }) => kind === file.file.kind),
      reader: scratch === undefined || isPlain
        ? yield* Disk.openScoped(RunDirectory.raw(shard, file.name), "read")
        : scratch.reader,
      copy: isPlain ? undefined : scratch?.blocks
    }
    const splitter = new LineSplitter(
      longestLine,
      (line, lineNumber, position) =>
        hasTooManyValues(line)
          ? sorter.acceptLongLine(source, lineNumber)
          : sorter.accept(line, source, lineNumber, position),
      (lineNumber) => sorter.acceptLongLine(source, lineNumber)
    )
    yield* forEachRawLine(shard, file, splitter)
  }
  const absent = absentOutcome(raw)
  let unreadable: number | undefined
  const judgeOf = (row: number, record: Buffer) =>
    check === undefined ? undefined : judge(check, row, record, () => {
      unreadable ??= row
    })
  yield* forEachRow(
    shard,
    (at, head, record) => sorter.emit(at, head, absent, part.blocks, judgeOf(head.row, record))
  )
  if (sorter.mistaken) return undefined
  if (unreadable !== undefined) return yield* changed(shard, `the record of row ${unreadable} is no request`)
  yield* Disk.attempt("write", path, () => part.blocks.flush())
  yield* Disk.sync(path, part.handle)
  const tally = Tally.fromMutable(sorter.tally)
  // Without any, its file goes away.
  if (Tally.hasAnomalies(tally)) {
    yield* Disk.attempt("write", anomaliesPath, () => anomalies.blocks.flush())
    yield* Disk.sync(anomaliesPath, anomalies.handle)
  }
  return { tally, bill: meter.bill() }
}, Effect.scoped)

/** Where the part of a shard is written before it has its name. */
export const partial = (shard: Shard): string => `${RunDirectory.part(shard)}.tmp`

/** Writes the part file of a shard, durably, but for its name. Its anomalies are beside it, where there are any. */
export const write = Effect.fn("PartWriter.write")(function*(
  raw: RawResults,
  knowledge: Knowledge,
  check: AnswerCheck | undefined
): Effect.fn.Return<Written, ArchiveRejected | ShardChanged | DiskError> {
  const { shard } = raw.batch
  const disk = yield* Disk.Disk
  const scratchPath = `${RunDirectory.part(shard)}.scratch`
  const index = yield* indexOf(shard)
  const attempt = (careful: boolean) => normalizeInto(raw, knowledge, check, index, scratchPath, careful)
  return yield* attempt(false).pipe(
    Effect.filterOrElse(Predicate.isNotUndefined, () => attempt(true)),
    Effect.filterOrDieMessage(
      Predicate.isNotUndefined,
      `The raw results of shard ${shard.id} change while they are read`
    ),
    Effect.ensuring(Effect.ignore(Disk.attempt("remove", scratchPath, () => disk.remove(scratchPath))))
  )
})
