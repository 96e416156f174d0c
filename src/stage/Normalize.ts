/**
 * The fifth stage: raw results become a part file, one record for each row of the shard, in row order, in one form
 * whichever provider they came from.
 *
 * Every row gets exactly one outcome. A line that cannot be read costs its own row and no other.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as NodePath from "node:path"
import { crc32 } from "node:zlib"
import type { AnswerCheck, AnswerProblem } from "../AnswerCheck.js"
import { ArchiveRejected } from "../BatchError.js"
import * as Cost from "../Cost.js"
import type { InputError } from "../InputError.js"
import { absentOutcome } from "../internal/AbsentOutcome.js"
import { inPieces } from "../internal/BlockLoop.js"
import { BlockWriter } from "../internal/BlockWriter.js"
import * as Disk from "../internal/Disk.js"
import { DurableDirectories } from "../internal/DurableDirectories.js"
import { LineSplitter } from "../internal/Lines.js"
import * as RawContent from "../internal/RawContent.js"
import { contiguousIndex, type RawSource, ResultSorter, type RowIndex, sparseIndex } from "../internal/ResultSorter.js"
import * as ReusedLine from "../internal/ReusedLine.js"
import * as RowRecord from "../internal/RowRecord.js"
import { ShardMeter } from "../internal/ShardMeter.js"
import type * as Model from "../Model.js"
import { Provider } from "../Provider.js"
import type { RawFile, RawResults } from "../RawResults.js"
import * as RunDirectory from "../RunDirectory.js"
import { type DiskError, ShardChanged } from "../RunError.js"
import { Progress } from "../RunEvent.js"
import { Shard } from "../Shard.js"
import * as Tally from "../Tally.js"

/**
 * The normalised results of one shard: a part file, how its rows ended, and what they cost.
 *
 * @since 0.1.0
 * @category models
 */
export class Part extends Schema.Class<Part>("llm-batch/Part")({
  shard: Shard,
  tally: Tally.Tally,
  /** What they cost. Refused, cut and invalid answers are in it, and failures that were charged. */
  bill: Cost.ShardBill
}) {}

/**
 * What can go wrong when results are normalised. A bad line is none of it: it is a row's outcome.
 *
 * @since 0.1.0
 * @category errors
 */
export type NormalizeError = ArchiveRejected | ShardChanged | DiskError

/**
 * The interface of the stage.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Writes `parts/<shard>.jsonl`. Safe to call again: equal raw results and an equal check give equal bytes.
   *
   * With a check, a row whose answer fails is `invalid`: its line keeps the answer, and says what is wrong with it. So
   * are rows whose answer was refused or cut short. Tool calls are not checked.
   *
   * The bill has the prices of `Cost.PriceSource`. Where they cannot be loaded, everything is of unknown price, and a
   * `Notice` says why.
   */
  readonly normalize: (raw: RawResults, check?: AnswerCheck) => Effect.Effect<Part, NormalizeError>
}

/**
 * The stage that normalises results.
 *
 * @since 0.1.0
 * @category tags
 */
export class Normalize extends Context.Tag("llm-batch/stage/Normalize")<Normalize, Service>() {}

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

/** A catalogue that knows no price. */
const unpriced: Model.Service = { models: [], find: () => ({ _tag: "Unknown" }) }

const tellUnpriced = (cause: Cause.Cause<InputError | DiskError>) =>
  Effect.map(Progress, ({ tell }) => {
    const why = Cause.prettyErrors(cause).map(({ message }) => message).join(" ")
    tell({
      _tag: "Notice",
      text: `What this costs is not known, since the prices of models could not be loaded: ${why}`
    })
    return unpriced
  })

const make = Effect.gen(function*() {
  const disk = yield* Disk.Disk
  const provider = yield* Provider
  const { load } = yield* Cost.PriceSource
  const directories = new DurableDirectories(disk)
  // Once for all shards. An interrupt must not be what is kept of it.
  const catalogue = yield* Effect.cached(Effect.uninterruptible(Effect.catchAllCause(load, tellUnpriced)))

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
    check: AnswerCheck | undefined,
    index: RowIndex,
    partial: string,
    scratchPath: string,
    careful: boolean
  ) {
    const { shard } = raw.batch
    const anomaliesPath = RunDirectory.partAnomalies(shard)
    const anomalies = yield* writer(anomaliesPath)
    const part = yield* writer(partial)
    const { find } = yield* catalogue
    const meter = new ShardMeter(find, shard)
    const sorter = new ResultSorter(
      shard,
      index,
      shard.mode === "reused" ? ReusedLine.decodeWith(provider.decode) : provider.decode,
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
    yield* Disk.attempt("write", partial, () => part.blocks.flush())
    yield* Disk.sync(partial, part.handle)
    const tally = Tally.fromMutable(sorter.tally)
    // Without any, its file goes away.
    if (Tally.hasAnomalies(tally)) {
      yield* Disk.attempt("write", anomaliesPath, () => anomalies.blocks.flush())
      yield* Disk.sync(anomaliesPath, anomalies.handle)
    }
    return new Part({ shard, tally, bill: meter.bill() })
  }, Effect.scoped)

  const normalize = Effect.fn("Normalize.normalize")(function*(raw: RawResults, check?: AnswerCheck) {
    const { shard } = raw.batch
    const path = RunDirectory.part(shard)
    const scratchPath = `${path}.scratch`
    const parts = NodePath.dirname(path)
    yield* Disk.attempt("make", parts, () => directories.make(parts, shard.directory))
    const index = yield* indexOf(shard)
    const attempt = (careful: boolean) => normalizeInto(raw, check, index, `${path}.tmp`, scratchPath, careful)
    const part = yield* attempt(false).pipe(
      Effect.filterOrElse(Predicate.isNotUndefined, () => attempt(true)),
      Effect.filterOrDieMessage(
        Predicate.isNotUndefined,
        `The raw results of shard ${shard.id} change while they are read`
      ),
      Effect.ensuring(Effect.ignore(Disk.attempt("remove", scratchPath, () => disk.remove(scratchPath))))
    )
    yield* Disk.attempt("keep", path, () => {
      if (!Tally.hasAnomalies(part.tally)) disk.remove(RunDirectory.partAnomalies(shard))
      disk.rename(`${path}.tmp`, path)
    })
    yield* Disk.syncDirectory(parts)
    return part
  }, Effect.provideService(Disk.Disk, disk))

  return Normalize.of({ normalize })
})

/**
 * The stage for the provider that is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Normalize, never, Provider> = Layer.effect(Normalize, make)
