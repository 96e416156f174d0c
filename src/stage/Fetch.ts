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
import { EndedBatch, expectedRows, type ResultFile } from "../Batch.js"
import { ArchiveRejected, ResultsGone, ResultsIncomplete } from "../BatchError.js"
import * as Disk from "../internal/Disk.js"
import { DurableDirectories } from "../internal/DurableDirectories.js"
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
   * Brings all result files of the batch to `raw/<provider>/`, byte for byte as they were sent. Safe to call again: no
   * row that came `before` is lost. Of downloads that are all short, each one that holds a row of its own is kept, under
   * a name of its own.
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
const longestLine = 1 << 27

const suffix: Record<ResultFile["kind"], string> = { output: ".jsonl", error: ".errors.jsonl" }

/** The name of a result file; of a further download of it, with its number. */
const nameOf = (shard: Shard, file: ResultFile, number = 1): string =>
  `${shard.id}${number === 1 ? "" : `.${number}`}${suffix[file.kind]}`

const partial = (shard: Shard, file: ResultFile): string => RunDirectory.raw(shard, `${nameOf(shard, file)}.tmp`)

const isGone = (error: ProviderError | DiskError): boolean => error._tag === "ProviderError" && error.reason === "gone"

/** What one download brought, or several: on disk under temporary names, or kept. */
interface Results {
  readonly batch: EndedBatch
  readonly files: ReadonlyArray<RawFile>
  /** The rows that have a line, and those that have one among the answers. */
  readonly seen: RowSet
  readonly answered: RowSet
  /** Why the content could not be read to its end. */
  readonly archiveProblem: { readonly path: string; readonly problem: string } | null
}

/** By how many rows results fall short of what the provider counts. */
const shortBy = ({ answered, batch, seen }: Results): number => {
  // Rows that failed can stand in for answered ones in the sum: the answers are counted by themselves too.
  const missing = Math.min(batch.shard.rows, batch.snapshot.counts.succeeded) - answered.size
  return Math.max(0, expectedRows(batch) - seen.size, batch.ending === "failed" ? 0 : missing)
}

const isWhole = (results: Results): boolean => shortBy(results) === 0 && results.archiveProblem === null

const rawOf = (results: Results): RawResults =>
  new RawResults({
    batch: results.batch,
    files: results.files,
    rows: results.seen.size,
    shortBy: shortBy(results)
  })

const isSame = (one: RawFile, other: RawFile): boolean =>
  one.file.kind === other.file.kind && one.sha256 === other.sha256

/** What is to become of a further download. */
type Choice = "replace" | "add" | "discard"

const choose = (kept: Results, again: Results): Choice => {
  if (kept.files.length === 0) return "replace"
  if (again.files.length === 0) return "discard"
  if (isWhole(again)) return "replace"
  if (again.archiveProblem !== null) return "discard"
  if (kept.archiveProblem !== null) return "replace"
  const seen = kept.seen.union(again.seen).size
  const answered = kept.answered.union(again.answered).size
  if (seen === kept.seen.size && answered === kept.answered.size) return "discard"
  return seen === again.seen.size && answered === again.answered.size ? "replace" : "add"
}

const isJson = (line: Buffer): boolean => {
  try {
    JSON.parse(line.toString())
    return true
  } catch {
    return false
  }
}

const make = Effect.gen(function*() {
  const disk = yield* Disk.Disk
  const provider = yield* Provider
  const directories = new DurableDirectories(disk)

  /** Writes one file under a temporary name. */
  const downloadFile = Effect.fn(function*(shard: Shard, file: ResultFile) {
    const path = partial(shard, file)
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
      yield* Disk.sync(path, handle)
    }))
    const packing = yield* RawContent.sniff(path)
    return new RawFile({ file, name: nameOf(shard, file), bytes, sha256: hash.digest("hex"), packing })
  })

  /** Removes what a download left behind of a file that cannot be had. */
  const removePartial = (shard: Shard, file: ResultFile) => {
    const path = partial(shard, file)
    return Disk.attempt("remove", path, () => disk.remove(path))
  }

  /** Counts the distinct rows in a file into sets; gives what kept it from the end of the content. */
  const countRows = Effect.fn(function*(shard: Shard, file: RawFile, path: string, sets: ReadonlyArray<RowSet>) {
    let ending = false
    const splitter = new LineSplitter(longestLine, (line) => {
      // A last line without its newline may be half of one.
      if (ending ? !isJson(line) : line.at(-1) !== closingBrace) return
      const row = WireId.rowInLine(shard.runTag, line)
      if (row !== undefined) { for (const set of sets) set.add(row) }
    }, () => undefined)
    return yield* RawContent.forEachPiece(path, file.packing, "read", (piece) => splitter.push(piece)).pipe(
      Effect.zipRight(Effect.sync(() => {
        ending = true
        splitter.end()
      })),
      Effect.as(null),
      Effect.catchTag(
        "ArchiveProblem",
        ({ problem }) => Effect.succeed({ path: RunDirectory.raw(shard, file.name), problem })
      )
    )
  })

  /** Looks through files that lie at these paths. */
  const look = Effect.fn(function*(
    batch: EndedBatch,
    files: ReadonlyArray<RawFile>,
    pathOf: (file: RawFile) => string
  ) {
    const { shard } = batch
    const seen = new RowSet(shard.firstRow, shard.lastRow)
    const answered = new RowSet(shard.firstRow, shard.lastRow)
    const problems = yield* Effect.forEach(
      files,
      (file) => countRows(shard, file, pathOf(file), file.file.kind === "output" ? [seen, answered] : [seen])
    )
    const archiveProblem = problems.find((problem) => problem !== null) ?? null
    return { batch, files, seen, answered, archiveProblem } satisfies Results
  })

  /** Downloads all files, under temporary names; also says why none of the files that the provider names could be had. */
  const download = Effect.fn("Fetch.download")(function*(batch: EndedBatch) {
    const { shard } = batch
    const found = yield* Effect.forEach(batch.snapshot.files, (file) =>
      downloadFile(shard, file).pipe(
        retryTransient(retries),
        Effect.map(Either.right),
        Effect.catchIf(isGone, (error) => Effect.as(removePartial(shard, file), Either.left(error)))
      ))
    const [[lost], files] = Arr.separate(found)
    const results = yield* look(batch, files, ({ file }) => partial(shard, file))
    return { results, lost: files.length === 0 && lost !== undefined ? lost.message : null }
  })

  /** What came before, as far as it still lies there as it came. */
  const takeUp = Effect.fn(function*(batch: EndedBatch, { files }: RawResults) {
    const pathOf = ({ name }: RawFile) => RunDirectory.raw(batch.shard, name)
    const there = yield* Effect.filter(files, (file) =>
      Effect.gen(function*() {
        const path = pathOf(file)
        if ((yield* Disk.attempt("look for", path, () => disk.stat(path))) === undefined) return false
        const hash = createHash("sha256")
        yield* Disk.forEachPiece(path, "read", (piece) => hash.update(piece))
        return hash.digest("hex") === file.sha256
      }))
    return yield* look(batch, there, pathOf)
  })

  /** Gives files their names, from temporary ones. */
  const keep = Effect.fn(function*({ batch, files }: Results, number: number) {
    const { shard } = batch
    const directory = RunDirectory.rawDirectory(shard)
    const named = files.map((file) => new RawFile({ ...file, name: nameOf(shard, file.file, number) }))
    yield* Disk.attempt("keep", directory, () => {
      for (const { file, name } of named) disk.rename(partial(shard, file), RunDirectory.raw(shard, name))
    })
    yield* Disk.syncDirectory(directory)
    return named
  })

  /** Removes files that the journal does not know of. */
  const remove = (shard: Shard, paths: ReadonlyArray<string>) =>
    Disk.attempt("remove", RunDirectory.rawDirectory(shard), () => {
      for (const path of paths) disk.remove(path)
    })

  const fetch = Effect.fn("Fetch.fetch")(function*(batch: EndedBatch, before?: RawResults) {
    const { tell } = yield* Progress
    const { shard } = batch
    const directory = RunDirectory.rawDirectory(shard)
    yield* Disk.attempt("make", directory, () => directories.make(directory, shard.directory))
    const known = new Set(before?.files.map(({ name }) => name))

    /** Takes in what a download brought. */
    const take = Effect.fn(function*(kept: Results, again: Results) {
      switch (choose(kept, again)) {
        case "discard": {
          yield* remove(shard, again.files.map(({ file }) => partial(shard, file)))
          return kept
        }
        case "replace": {
          const files = yield* keep(again, 1)
          const names = new Set([...known, ...files.map(({ name }) => name)])
          const stale = kept.files.filter(({ name }) => !names.has(name))
          yield* remove(shard, stale.map(({ name }) => RunDirectory.raw(shard, name)))
          return { ...again, files }
        }
        case "add": {
          const taken = new Set(kept.files.map(({ name }) => name))
          let number = 2
          while (again.files.some(({ file }) => taken.has(nameOf(shard, file, number)))) number++
          return {
            batch: again.batch,
            files: [...kept.files, ...yield* keep(again, number)],
            seen: kept.seen.union(again.seen),
            answered: kept.answered.union(again.answered),
            archiveProblem: null
          }
        }
      }
    })

    const first = yield* download(batch)
    let { lost } = first
    const start = before === undefined || (lost === null && isWhole(first.results))
      ? yield* look(batch, [], () => "")
      : yield* takeUp(batch, before)
    let kept: Results = yield* take(start, first.results)
    const most = () => kept.files.length > 0 ? downloads : lost === null ? looksForFiles : looksForLostFiles
    for (let count = 1; count < most(); count++) {
      if (lost === null && isWhole(kept)) break
      tell({ _tag: "DownloadRepeated", batch, rows: kept.seen.size, shortBy: shortBy(kept) })
      yield* Effect.sleep(Duration.min(Duration.times(pause, 2 ** (count - 1)), longestPause))
      // The files may have been named too early, or come late: ask again which there are.
      const snapshot = yield* retryTransient(retries)(provider.retrieve(batch.id)).pipe(
        // What came is on disk, whatever becomes of the batch at the provider.
        Effect.catchTag("ProviderError", () => Effect.succeed(batch.snapshot))
      )
      const again = yield* download(
        snapshot.ending === null ? batch : new EndedBatch({ ...batch, snapshot, ending: snapshot.ending })
      )
      if (again.results.files.length > 0) lost = null
      const { files } = kept
      const unchanged = again.results.files.length > 0
        && again.results.files.every((file) => files.some((one) => isSame(file, one)))
      kept = yield* take(kept, again.results)
      if (unchanged) break
    }
    if (lost !== null) return yield* new ResultsGone({ batch, detail: lost })
    if (kept.archiveProblem !== null)
      return yield* new ArchiveRejected({
        directory: shard.directory,
        ...kept.archiveProblem
      })
    const raw = rawOf(kept)
    return raw.shortBy === 0 ? raw : yield* new ResultsIncomplete({ raw })
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
