/**
 * Feeds saved results of a provider to a pipeline in place of the network: to normalise again what was downloaded
 * before, by this program or by another. No key is needed and no call is made.
 *
 * The saved results are all files below a directory: JSON Lines, plain, gzip or ZIP, told by content. Where a run
 * directory is among them, what it has in `raw/` counts. A line is a row's by the user's own id or, in results of an
 * earlier run of the same input, by the row number in the wire id; the user's id wins where both could be meant.
 *
 * @example
 * ```ts
 * import * as Layer from "effect/Layer"
 * import * as Pipeline from "llm-batch/Pipeline"
 * import * as OpenAi from "llm-batch/provider/OpenAi"
 * import * as Replay from "llm-batch/Replay"
 *
 * const replaying = Pipeline.layerComposed.pipe(
 *   Layer.provide(Replay.layer("saved")),
 *   Layer.provide(Pipeline.layerStages),
 *   Layer.provide(OpenAi.layer())
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import * as NodePath from "node:path"
import { answered, Batch, BatchSnapshot, EndedBatch, expectedRows, RequestCounts, ResultFile } from "./Batch.js"
import { ArchiveRejected, ResultsIncomplete } from "./BatchError.js"
import * as AnswerLog from "./internal/AnswerLog.js"
import { inPieces } from "./internal/BlockLoop.js"
import { BlockWriter } from "./internal/BlockWriter.js"
import * as Disk from "./internal/Disk.js"
import { LineSplitter } from "./internal/Lines.js"
import * as RawContent from "./internal/RawContent.js"
import * as RowRecord from "./internal/RowRecord.js"
import type { RowSet } from "./internal/RowSet.js"
import { IdFamilies, ownLine, ShardIds } from "./internal/SavedResults.js"
import { Ledger } from "./Ledger.js"
import { Provider } from "./Provider.js"
import { ProviderError } from "./ProviderError.js"
import { RawFile, RawResults } from "./RawResults.js"
import * as RunDirectory from "./RunDirectory.js"
import { RunRejected, ShardChanged } from "./RunError.js"
import { Progress } from "./RunEvent.js"
import type { Shard } from "./Shard.js"
import { Ask } from "./stage/Ask.js"
import { Fetch } from "./stage/Fetch.js"
import { Poll } from "./stage/Poll.js"
import { Submit } from "./stage/Submit.js"

/** A line longer than this holds no answer of any model. */
const longestLine = 1 << 28

const bufferSize = 1 << 20

const idPrefix = "replay_"

const counts = (shard: Shard) =>
  new RequestCounts({ total: shard.rows, succeeded: 0, errored: 0, expired: 0, cancelled: 0 })

/** What stands for a batch: everything about it is known beforehand but its results. */
const begun = (shard: Shard, now: DateTime.Utc) =>
  new BatchSnapshot({
    id: `${idPrefix}${shard.id}`,
    status: "in_progress",
    ending: null,
    providerStatus: "replayed",
    counts: counts(shard),
    createdAt: now,
    expiresAt: null,
    endedAt: null,
    inputFileId: null,
    files: [],
    problems: []
  })

const ended = (batch: Batch, now: DateTime.Utc): EndedBatch =>
  new EndedBatch({
    shard: batch.shard,
    snapshot: new BatchSnapshot({ ...batch.snapshot, status: "ended", ending: "completed", endedAt: now }),
    ending: "completed"
  })

/** Every file of saved results below a directory, in the order of their paths. */
const filesBelow = (disk: Disk.Service, directory: string, provider: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  const entered = new Set<string>()
  const enter = (path: string): void => {
    const stat = disk.stat(path)
    if (stat?.kind === "file") found.push(path)
    if (stat?.kind !== "directory") return
    // A link may lead back to where it is.
    const identity = `${stat.device}:${stat.inode}`
    if (entered.has(identity)) return
    entered.add(identity)
    if (disk.stat(RunDirectory.journal(path)) === undefined) {
      for (const name of disk.list(path)) {
        if (!name.startsWith(".") && !name.endsWith(".tmp")) enter(`${path}/${name}`)
      }
    } else enter(RunDirectory.rawDirectory({ directory: path, id: "", provider }))
  }
  enter(directory)
  return found
}

const make = Effect.fnUntraced(function*(given: string) {
  const disk = yield* Disk.Disk
  const ledger = yield* Ledger
  const provider = yield* Provider
  const directory = NodePath.resolve(given)

  const savedFiles = Effect.gen(function*() {
    const files = yield* Disk.attempt(
      "look for saved results in",
      directory,
      () => filesBelow(disk, directory, provider.name)
    )
    if (files.length > 0) return files
    return yield* new RunRejected({
      directory,
      problem: "there are no saved results here",
      remedy: "Name a directory with the files that a provider sent with --replay-dir."
    })
  })

  const refused = (operation: string, detail: string) =>
    new ProviderError({
      provider: provider.name,
      operation,
      reason: "refused",
      status: null,
      retryAfterMillis: null,
      detail
    })

  /** Gives the head of every record in a file of rows to synchronous work. */
  const forEachHead = Effect.fn(function*(path: string, onHead: (head: RowRecord.RowHead) => void) {
    const splitter = new LineSplitter(longestLine, (line) => {
      const head = RowRecord.decodeHead(line)
      if (head !== undefined) onHead(head)
    }, () => undefined)
    yield* Disk.forEachPiece(path, "read", (piece) => splitter.push(piece))
    splitter.end()
  })

  const familiesOf = yield* Effect.cachedFunction(Effect.fn(function*(rowsDirectory: string) {
    const names = yield* Disk.attempt("list", rowsDirectory, () => disk.list(rowsDirectory))
    const families = new IdFamilies()
    for (const name of names) yield* forEachHead(`${rowsDirectory}/${name}`, (head) => families.add(head.customId))
    return families
  }))

  const idsOf = Effect.fn(function*(shard: Shard) {
    const path = RunDirectory.rows(shard)
    const ids = new ShardIds(yield* familiesOf(NodePath.dirname(path)))
    yield* forEachHead(path, (head) => ids.add(head))
    return ids
  })

  /** Whether a saved file has a line of the shard. One that cannot be read is not judged: `fetch` says what is wrong. */
  const hasLineOf = Effect.fn(function*(shard: Shard, ids: ShardIds, path: string) {
    let found = false
    const splitter = new LineSplitter(longestLine, (line) => {
      found ||= ownLine(ids, shard.runTag, line) !== undefined
    }, () => undefined)
    return yield* RawContent.blocks(path, yield* RawContent.sniff(path)).pipe(
      Stream.takeUntilEffect((block) =>
        Effect.map(
          inPieces(
            block,
            (piece) => {
              splitter.push(piece)
              return !found
            },
            (error) => Disk.toDiskError("read", path, error)
          ),
          () => found
        )
      ),
      Stream.runDrain,
      Effect.map(() => {
        if (!found) splitter.end()
        return found
      }),
      Effect.catchTag("ArchiveProblem", () => Effect.succeed(true))
    )
  })

  /** Fails when no saved line is of any row of a run: those are the results of something else. */
  const checkMeant = yield* Effect.cachedFunction(Effect.fn(function*(runDirectory: string) {
    const files = yield* savedFiles
    const { shards } = yield* ledger.state(runDirectory)
    for (const { shard } of shards.values()) {
      const ids = yield* idsOf(shard)
      for (const file of files) {
        if (yield* hasLineOf(shard, ids, file)) return
      }
    }
    return yield* new RunRejected({
      directory,
      problem:
        `of the saved results here, in ${files.length} ${files.length === 1 ? "file" : "files"}, none is of a row `
        + `of ${runDirectory}: no custom_id is the same`,
      remedy: "Name the results of this input with --replay-dir."
    })
  }))

  const submit = Effect.fn("Replay.submit")(function*(shard: Shard) {
    const state = (yield* ledger.state(shard.directory)).shards.get(shard.id)
    if (state === undefined) {
      return yield* new ShardChanged({
        path: RunDirectory.journal(shard.directory),
        shard: shard.id,
        problem: "the journal does not know it"
      })
    }
    if (state.snapshot !== null) return new Batch({ shard, snapshot: state.snapshot })
    if (state.status !== "built") {
      return yield* new RunRejected({
        directory: shard.directory,
        problem: `a batch may have been made of shard ${shard.id} before, and saved results would hide it`,
        remedy: `Go on without --replay-dir: llm-batch resume ${shard.directory}`
      })
    }
    yield* checkMeant(shard.directory)
    const snapshot = begun(shard, yield* DateTime.now)
    yield* ledger.append(shard.directory, { _tag: "BatchCreated", shard: shard.id, snapshot, adopted: false })
    const batch = new Batch({ shard, snapshot })
    const { tell } = yield* Progress
    tell({ _tag: "BatchCreated", batch, adopted: false })
    return batch
  })

  const poll = Effect.fn("Replay.poll")(function*(batch: Batch) {
    if (!batch.id.startsWith(idPrefix)) {
      return yield* refused(
        `replay ${batch.id}`,
        "this batch is at the provider, and only the provider can say how it ended; leave out --replay-dir"
      )
    }
    return ended(batch, yield* DateTime.now)
  })

  /** Copies the lines of the shard out of a saved file; `take` is given their rows, and may leave one out. */
  const copyLines = Effect.fn(function*(
    shard: Shard,
    ids: ShardIds,
    path: string,
    writer: BlockWriter,
    take: (row: number) => boolean
  ) {
    const splitter = new LineSplitter(longestLine, (line) => {
      const own = ownLine(ids, shard.runTag, line)
      if (own === undefined || !take(own.row)) return
      writer.bytes(own.line)
      writer.text("\n")
    }, () => undefined)
    const packing = yield* RawContent.sniff(path)
    yield* RawContent.forEachPiece(path, packing, "copy", (piece) => splitter.push(piece)).pipe(
      Effect.zipRight(Disk.attempt("copy", path, () => splitter.end())),
      Effect.catchTag(
        "ArchiveProblem",
        ({ problem }) => new ArchiveRejected({ directory: shard.directory, path, problem })
      )
    )
  })

  /** Puts the lines of a shard out of all saved files into one; the lines of rows in `kept` are there, and stay. */
  const gather = Effect.fn(function*(batch: EndedBatch, files: ReadonlyArray<string>, kept: RowSet | null) {
    const { shard } = batch
    const rawDirectory = RunDirectory.rawDirectory(shard)
    const name = `${shard.id}.jsonl`
    const path = RunDirectory.raw(shard, name)
    yield* Disk.attempt("make", rawDirectory, () => {
      disk.makeDirectory(rawDirectory)
      disk.syncDirectory(NodePath.dirname(rawDirectory))
      disk.syncDirectory(shard.directory)
    })
    const ids = yield* idsOf(shard)
    const seen = new Set<number>()
    const hash = createHash("sha256")
    const bytes = yield* Effect.scoped(Effect.gen(function*() {
      const handle = yield* Disk.openScoped(`${path}.tmp`, "write")
      const writer = new BlockWriter(handle, bufferSize, (block) => hash.update(block))
      if (kept !== null) yield* Disk.forEachPiece(path, "copy", (piece) => writer.bytes(piece))
      const take = (row: number) => {
        if (kept?.has(row) === true) return false
        seen.add(row)
        return true
      }
      for (const file of files) yield* copyLines(shard, ids, file, writer, take)
      yield* writer.sync(path)
      return writer.position
    }))
    yield* Disk.attempt("keep", path, () => disk.rename(`${path}.tmp`, path))
    yield* Disk.syncDirectory(rawDirectory)
    const file = new RawFile({
      file: new ResultFile({ kind: "output", reference: directory }),
      name,
      bytes,
      sha256: hash.digest("hex"),
      packing: "plain"
    })
    const rows = seen.size + (kept?.size ?? 0)
    return new RawResults({ batch, files: [file], rows, shortBy: Math.max(0, expectedRows(batch) - rows) })
  })

  const fetch = Effect.fn("Replay.fetch")(function*(batch: EndedBatch) {
    // Whoever took them away since has lost them: their rows are missing.
    const files = yield* Effect.catchTag(savedFiles, "RunRejected", () => Effect.succeed([]))
    const raw = yield* gather(batch, files, null)
    return raw.shortBy === 0 ? raw : yield* new ResultsIncomplete({ raw })
  })

  /** Answers that were asked for and paid for before are kept. What is neither there nor saved is missing. */
  const ask = Effect.fn("Replay.ask")(function*(shard: Shard) {
    const operation = `replay the answers to shard ${shard.id}`
    const files = yield* Effect.catchTag(savedFiles, "RunRejected", ({ problem }) => refused(operation, problem))
    const { rows } = yield* Effect.scoped(AnswerLog.open(shard, `${shard.id}.jsonl`))
    return yield* gather(answered(shard, yield* DateTime.now), files, rows).pipe(
      Effect.catchTag("ArchiveRejected", ({ path, problem }) => refused(operation, `${path}: ${problem}`))
    )
  })

  const onDisk = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, Disk.Disk, disk)

  return Context.make(Submit, {
    check: () =>
      onDisk(Effect.mapError(savedFiles, () => refused("look for saved results", `there are none in ${directory}`))),
    submit: (shard) => onDisk(submit(shard)),
    settleTime: Duration.zero
  }).pipe(
    Context.add(Poll, {
      poll,
      updates: (batch) =>
        Stream.map(Stream.fromEffect(poll(batch)), ({ shard, snapshot }) => new Batch({ shard, snapshot }))
    }),
    Context.add(Fetch, { fetch: (batch) => onDisk(fetch(batch)) }),
    Context.add(Ask, { ask: (shard) => onDisk(ask(shard)) })
  )
})

/**
 * The stages `Submit`, `Poll`, `Fetch` and `Ask` over the saved results below a directory. A run that may have batches at the
 * provider is refused, so that none of them is forgotten.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (directory: string): Layer.Layer<Submit | Poll | Fetch | Ask, never, Ledger | Provider> =>
  Layer.effectContext(make(directory))
