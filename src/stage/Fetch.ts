/**
 * The fourth stage: the results of an ended batch come to disk, byte for byte, and are checked against its rows.
 *
 * Whether all came is decided from ids and counts, never from the end of the stream: a connection that breaks can look
 * like one that ends. A short download is made again before anybody calls a row missing.
 *
 * @since 0.1.0
 */
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import * as NodePath from "node:path"
import { EndedBatch, expectedRows, type ResultFile } from "../Batch.js"
import { ArchiveRejected, ResultsGone, ResultsIncomplete } from "../BatchError.js"
import * as Disk from "../internal/Disk.js"
import { LineSplitter } from "../internal/Lines.js"
import * as RawContent from "../internal/RawContent.js"
import { RowSet } from "../internal/RowSet.js"
import { Provider } from "../Provider.js"
import { type ProviderError, retryTransient } from "../ProviderError.js"
import { RawFile, RawResults } from "../RawResults.js"
import * as RunDirectory from "../RunDirectory.js"
import type { DiskError } from "../RunError.js"
import { Progress } from "../RunEvent.js"
import type { Shard } from "../Shard.js"
import * as WireId from "../WireId.js"

/**
 * What can go wrong when results are fetched. `ResultsIncomplete` carries what came.
 *
 * @since 0.1.0
 * @category errors
 */
export type FetchError = ResultsGone | ResultsIncomplete | ArchiveRejected | ProviderError | DiskError

/**
 * The interface of the stage.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Brings all result files of the batch to `raw/<provider>/`. Safe to call again: what came `before` is replaced only
   * by results that hold as many rows.
   */
  readonly fetch: (batch: EndedBatch, before?: RawResults) => Effect.Effect<RawResults, FetchError>
}

/**
 * The stage that fetches results.
 *
 * @since 0.1.0
 * @category tags
 */
export class Fetch extends Context.Tag("llm-batch/stage/Fetch")<Fetch, Service>() {}

/** How many times results are downloaded that stay short, in all. */
const downloads = 3

/** The same, while the provider names no file at all for rows that it counts: that comes right, some time after the end. */
const looksForFiles = 12

/** The same, while it knows none of the files that it names: they are gone, or not there yet. */
const looksForLostFiles = 6

/** The pause before a short download is made again, longer each time: results can lag behind the batch's end. */
const pause = Duration.seconds(3)

/** The longest of these pauses. */
const longestPause = Duration.minutes(2)

/** How many times a call is made again whose failure may pass. */
const retries = 8

/** A line longer than this holds no answer of any model. */
const longestLine = 1 << 28

const suffix: Record<ResultFile["kind"], string> = { output: ".jsonl", error: ".errors.jsonl" }

const nameOf = (shard: Shard, file: ResultFile): string => `${shard.id}${suffix[file.kind]}`

const isGone = (error: ProviderError | DiskError): boolean => error._tag === "ProviderError" && error.reason === "gone"

/** One download of all files of a batch. */
interface Download {
  readonly raw: RawResults
  /** Why none of the files that the provider names could be had. */
  readonly lost: string | null
  /** Why the content could not be read to its end. */
  readonly archiveProblem: { readonly path: string; readonly problem: string } | null
}

const sameBytes = (one: RawResults, other: RawResults): boolean =>
  one.files.length === other.files.length
  && one.files.every((file, index) => file.sha256 === other.files[index]?.sha256)

const make = Effect.gen(function*() {
  const disk = yield* Disk.Disk
  const provider = yield* Provider

  /** Writes one file under a temporary name. */
  const downloadFile = Effect.fn(function*(shard: Shard, file: ResultFile) {
    const name = nameOf(shard, file)
    const path = RunDirectory.raw(shard, `${name}.tmp`)
    const hash = createHash("sha256")
    let bytes = 0
    yield* Effect.scoped(Effect.gen(function*() {
      const handle = yield* Disk.openScoped(path, "write")
      yield* Stream.runForEach(provider.download(file), (block) =>
        Disk.attempt("write", path, () => {
          Disk.writeAll(handle, block)
          hash.update(block)
          bytes += block.length
        }))
      yield* Disk.attempt("make durable", path, () => handle.sync())
    }))
    const packing = yield* RawContent.sniff(path)
    return new RawFile({ file, name, bytes, sha256: hash.digest("hex"), packing })
  })

  /** Removes what a download left behind of a file that cannot be had. */
  const removePartial = (shard: Shard, file: ResultFile) => {
    const path = RunDirectory.raw(shard, `${nameOf(shard, file)}.tmp`)
    return Disk.attempt("remove", path, () => disk.remove(path))
  }

  /** Counts the distinct rows in a downloaded file into sets; gives what kept it from the end of the content. */
  const countRows = Effect.fn(function*(shard: Shard, file: RawFile, sets: ReadonlyArray<RowSet>) {
    const path = RunDirectory.raw(shard, `${file.name}.tmp`)
    const splitter = new LineSplitter(longestLine, (line) => {
      const row = line.at(-1) === closingBrace ? WireId.rowInLine(shard.runTag, line) : undefined
      if (row !== undefined) { for (const set of sets) set.add(row) }
    }, () => undefined)
    return yield* RawContent.blocks(path, file.packing).pipe(
      Stream.runForEach((block) => Effect.sync(() => splitter.push(block))),
      Effect.zipRight(Effect.sync(() => splitter.end())),
      Effect.as(null),
      Effect.catchTag(
        "ArchiveProblem",
        ({ problem }) => Effect.succeed({ path: RunDirectory.raw(shard, file.name), problem })
      )
    )
  })

  const download = Effect.fn("Fetch.download")(function*(batch: EndedBatch) {
    const { shard } = batch
    const found = yield* Effect.forEach(batch.snapshot.files, (file) =>
      downloadFile(shard, file).pipe(
        retryTransient(retries),
        Effect.map(Either.right),
        Effect.catchIf(isGone, (error) => Effect.as(removePartial(shard, file), Either.left(error)))
      ))
    const [[lost], files] = Arr.separate(found)
    if (files.length === 0 && lost !== undefined) {
      const raw = new RawResults({ batch, files: [], rows: 0, shortBy: Math.max(1, expectedRows(batch)) })
      return { raw, lost: lost.message, archiveProblem: null } satisfies Download
    }
    const seen = new RowSet(shard.firstRow, shard.lastRow)
    const answered = new RowSet(shard.firstRow, shard.lastRow)
    const problems = yield* Effect.forEach(
      files,
      (file) => countRows(shard, file, file.file.kind === "output" ? [seen, answered] : [seen])
    )
    const archiveProblem = problems.find((problem) => problem !== null) ?? null
    // Rows that failed can stand in for answered ones in the sum: the answers are counted by themselves too.
    const missing = Math.min(shard.rows, batch.snapshot.counts.succeeded) - answered.size
    const shortBy = Math.max(0, expectedRows(batch) - seen.size, batch.ending === "failed" ? 0 : missing)
    const raw = new RawResults({ batch, files, rows: seen.size, shortBy })
    return { raw, lost: null, archiveProblem } satisfies Download
  })

  /** Removes temporary files. */
  const discard = ({ raw }: Download) =>
    Disk.attempt("remove", RunDirectory.rawDirectory(raw.batch.shard), () => {
      for (const { name } of raw.files) disk.remove(RunDirectory.raw(raw.batch.shard, `${name}.tmp`))
    })

  /** Gives the temporary files their names. */
  const keep = Effect.fn(function*({ raw }: Download) {
    const { shard } = raw.batch
    yield* Disk.attempt("keep", RunDirectory.rawDirectory(shard), () => {
      for (const { name } of raw.files) {
        disk.rename(RunDirectory.raw(shard, `${name}.tmp`), RunDirectory.raw(shard, name))
      }
      disk.syncDirectory(RunDirectory.rawDirectory(shard))
    })
  })

  const fetch = Effect.fn("Fetch.fetch")(function*(batch: EndedBatch, before?: RawResults) {
    const { tell } = yield* Progress
    const directory = RunDirectory.rawDirectory(batch.shard)
    yield* Disk.attempt("make", directory, () => {
      disk.makeDirectory(directory)
      disk.syncDirectory(NodePath.dirname(directory))
      disk.syncDirectory(batch.shard.directory)
    })
    let best: Download = yield* download(batch)
    if (before !== undefined && before.shortBy < best.raw.shortBy) {
      yield* discard(best)
      best = { raw: before, lost: best.lost, archiveProblem: null }
    } else {
      yield* keep(best)
    }
    const most = ({ lost, raw }: Download) =>
      raw.files.length > 0 ? downloads : lost === null ? looksForFiles : looksForLostFiles
    for (let count = 1; count < most(best); count++) {
      if (best.raw.shortBy === 0 && best.archiveProblem === null) break
      tell({ _tag: "DownloadRepeated", batch, rows: best.raw.rows, shortBy: best.raw.shortBy })
      yield* Effect.sleep(Duration.min(Duration.times(pause, 2 ** (count - 1)), longestPause))
      // The files may have been named too early, or come late: ask again which there are.
      const snapshot = yield* retryTransient(retries)(provider.retrieve(batch.id)).pipe(
        // What came is on disk, whatever becomes of the batch at the provider.
        Effect.catchTag("ProviderError", () => Effect.succeed(batch.snapshot))
      )
      const again = yield* download(
        snapshot.ending === null ? batch : new EndedBatch({ ...batch, snapshot, ending: snapshot.ending })
      )
      const unchanged = best.raw.files.length > 0 && sameBytes(best.raw, again.raw)
      if (again.raw.shortBy < best.raw.shortBy || (best.archiveProblem !== null && again.archiveProblem === null)) {
        best = again
        yield* keep(best)
      } else {
        yield* discard(again)
      }
      if (unchanged) break
    }
    if (best.lost !== null) return yield* new ResultsGone({ batch, detail: best.lost })
    if (best.archiveProblem !== null)
      return yield* new ArchiveRejected({
        directory: batch.shard.directory,
        ...best.archiveProblem
      })
    return best.raw.shortBy === 0 ? best.raw : yield* new ResultsIncomplete({ raw: best.raw })
  }, Effect.provideService(Disk.Disk, disk))

  return Fetch.of({ fetch })
})

const closingBrace = 125

/**
 * The stage for the provider that is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Fetch, never, Provider> = Layer.effect(Fetch, make)
