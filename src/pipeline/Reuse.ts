/**
 * The raw results of shards whose rows are not sent: lines out of the cache, which are there since they were built, or the
 * lines of the rows that ask the same, under the wire ids of those that do not.
 *
 * What became of a row becomes of all that ask the same, whatever it is: they fail together, and are asked again together.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { createHash } from "node:crypto"
import * as NodePath from "node:path"
import { answered, ResultFile, reused } from "../Batch.js"
import { ArchiveRejected } from "../BatchError.js"
import { absentOutcome } from "../internal/AbsentOutcome.js"
import { blockLoop } from "../internal/BlockLoop.js"
import { BlockWriter } from "../internal/BlockWriter.js"
import * as Disk from "../internal/Disk.js"
import { LineReader } from "../internal/LineReader.js"
import { LineSplitter } from "../internal/Lines.js"
import * as RawContent from "../internal/RawContent.js"
import { sparseIndex } from "../internal/ResultSorter.js"
import * as ReusedLine from "../internal/ReusedLine.js"
import * as RowRecord from "../internal/RowRecord.js"
import { RowSet } from "../internal/RowSet.js"
import { readFully } from "../internal/ZipEntries.js"
import { Provider } from "../Provider.js"
import { RawFile, RawResults } from "../RawResults.js"
import * as RunDirectory from "../RunDirectory.js"
import { ShardChanged } from "../RunError.js"
import type { RunState } from "../RunState.js"
import type { Shard } from "../Shard.js"
import * as WireId from "../WireId.js"

/** A line longer than this holds no answer of any model. */
const longestLine = 1 << 28

/** A line longer than this is not parsed to see whether it is better than another one. */
const longestRead = 1 << 24

const bufferSize = 1 << 20

/** How many rows are looked at between two looks at the time. */
const rowsPerStep = 1 << 12

/** A line longer than this names no two rows. */
const longestPair = 100

const newline = Buffer.from("\n")

const linePattern = /^\{"row":(\d+),"same_as":(\d+)\}$/u

/** What stands for the results of rows that are not sent. */
const resultsOf = (shard: Shard, now: DateTime.Utc, { bytes, sha256 }: { bytes: number; sha256: string }) =>
  new RawResults({
    batch: reused(shard, now),
    files: [
      new RawFile({
        file: new ResultFile({
          kind: "output",
          reference: `answers of ${shard.reuse === "cache" ? "the cache" : "other rows"}`
        }),
        name: `${shard.id}.jsonl`,
        bytes,
        sha256,
        packing: "plain"
      })
    ],
    rows: shard.rows
  })

/** What came of the rows that others ask the same as: their lines in a file of their own, and whose they are. */
interface Leaders {
  readonly rows: Float64Array
  /** Where the line of a row is; its length is 0 where it has none. */
  readonly offset: Float64Array
  readonly length: Uint32Array
  /** The number of the results that a row without a line belongs to; 0 for none, else one more. */
  readonly origin: Uint32Array
}

/** Makes what gives shards their results whose rows are not sent. */
export const make = Effect.gen(function*() {
  const disk = yield* Disk.Disk
  const provider = yield* Provider

  const changed = (shard: Shard, path: string, problem: string) => new ShardChanged({ path, shard: shard.id, problem })

  /** Fails when the file by which a shard gets its answers is not as it was built. */
  const check = Effect.fn(function*(shard: Shard, path: string) {
    const hash = createHash("sha256")
    yield* Disk.forEachPiece(path, "read", (piece) => hash.update(piece))
    if (hash.digest("hex") !== shard.sha256) return yield* changed(shard, path, "its SHA-256 differs")
  })

  /** The lines of answers that a shard got from the cache when it was built. */
  const fromCache = Effect.fn("Reuse.fromCache")(function*(shard: Shard) {
    yield* check(shard, RunDirectory.raw(shard, `${shard.id}.jsonl`))
    return resultsOf(shard, yield* DateTime.now, shard)
  })

  /** The pairs of rows of a shard: one that is not sent, and the one that it gets its answer from. */
  const pairs = (shard: Shard) => {
    const path = RunDirectory.reused(shard)
    const damaged = (line: number) => changed(shard, path, `line ${line} names no rows`)
    return Effect.map(
      Effect.acquireRelease(
        Disk.attempt("read", path, () =>
          new LineReader(disk, path, longestPair, (line) => {
            throw damaged(line)
          })),
        (lines) => Effect.sync(() => lines.close())
      ),
      (lines) => {
        let count = 0
        return (): { readonly row: number; readonly leader: number } | undefined => {
          const line = lines.read()
          if (line === undefined) return undefined
          count++
          const match = linePattern.exec(line.toString("latin1"))
          if (match === null) throw damaged(count)
          return { row: Number(match[1]), leader: Number(match[2]) }
        }
      }
    )
  }

  const toError = (path: string) => (error: unknown) =>
    error instanceof ShardChanged ? error : Disk.toDiskError("reuse answers", path, error)

  /** Gives each pair of rows of a shard to synchronous work. */
  const forEachPair = Effect.fn(function*(shard: Shard, onPair: (row: number, leader: number) => void) {
    const next = yield* pairs(shard)
    yield* blockLoop(() => {
      const pair = next()
      if (pair !== undefined) onPair(pair.row, pair.leader)
      return pair !== undefined
    }, toError(RunDirectory.reused(shard)))
  }, Effect.scoped)

  /** The rows that others get their answers from, in growing order. */
  const leadersOf = Effect.fn(function*(shards: ReadonlyArray<Shard>) {
    const last = shards.reduce((most, { lastRow }) => Math.max(most, lastRow), 1)
    const set = new RowSet(1, last)
    for (const shard of shards) {
      yield* check(shard, RunDirectory.reused(shard))
      yield* forEachPair(shard, (_row, leader) => set.add(leader))
    }
    const rows = new Float64Array(set.size)
    let found = 0
    let row = 0
    yield* blockLoop(() => {
      const end = Math.min(last, row + rowsPerStep)
      while (row < end) if (set.has(++row)) rows[found++] = row
      return row < last
    }, toError(""))
    return rows
  })

  /** How good a line is: as `Normalize` chooses among several of one row. */
  const worth = (line: Buffer): number => {
    if (line.length > longestRead) return 0
    const decoded = provider.decode(line.toString())
    return Either.isLeft(decoded) ? 0 : decoded.right.outcome.outcome === "succeeded" ? 2 : 1
  }

  /** Copies the lines of these rows out of all results into one file. */
  const gather = Effect.fn(function*(rows: Float64Array, sources: ReadonlyArray<RawResults>, path: string) {
    const at = sparseIndex(rows)
    const leaders: Leaders = {
      rows,
      offset: new Float64Array(rows.length),
      length: new Uint32Array(rows.length),
      origin: new Uint32Array(rows.length)
    }
    const scratch = new BlockWriter(yield* Disk.openScoped(path, "write"), bufferSize)
    const reader = yield* Disk.openScoped(path, "read")
    const before = (index: number): Buffer => {
      scratch.flush()
      const line = Buffer.allocUnsafe(leaders.length[index] ?? 0)
      readFully(reader, line, leaders.offset[index] ?? 0)
      return line
    }
    for (const { batch: { shard }, files } of sources) {
      const take = (line: Buffer) => {
        const row = WireId.rowInLine(shard.runTag, line)
        const index = row === undefined ? undefined : at.of(row)
        if (index === undefined) return
        if (leaders.length[index] !== 0 && worth(line) <= worth(before(index))) return
        leaders.offset[index] = scratch.position
        leaders.length[index] = line.length
        scratch.bytes(line)
      }
      for (const { name, packing } of files) {
        const file = RunDirectory.raw(shard, name)
        const splitter = new LineSplitter(longestLine, take, () => undefined)
        yield* RawContent.forEachPiece(file, packing, "reuse answers", (piece) => splitter.push(piece)).pipe(
          Effect.zipRight(Disk.attempt("reuse answers", file, () => splitter.end())),
          Effect.catchTag(
            "ArchiveProblem",
            ({ problem }) => new ArchiveRejected({ directory: shard.directory, path: file, problem })
          )
        )
      }
    }
    yield* Disk.attempt("write", path, () => scratch.flush())
    return { leaders, reader, at }
  })

  /** Finds to which results the rows without a line belong. */
  const findOrigins = Effect.fn(function*({ length, origin, rows }: Leaders, sources: ReadonlyArray<RawResults>) {
    if (length.every((bytes) => bytes > 0)) return
    const at = sparseIndex(rows)
    for (const [number, { batch: { shard } }] of sources.entries()) {
      const splitter = new LineSplitter(Number.POSITIVE_INFINITY, (line) => {
        const head = RowRecord.decodeHead(line)
        const index = head === undefined ? undefined : at.of(head.row)
        if (index !== undefined) origin[index] = number + 1
      }, () => undefined)
      yield* Disk.forEachPiece(RunDirectory.rows(shard), "read", (piece) => splitter.push(piece))
      splitter.end()
    }
  })

  /** Writes the results of one shard. */
  const compose = Effect.fn(function*(
    shard: Shard,
    { at, leaders, reader }: Effect.Effect.Success<ReturnType<typeof gather>>,
    sources: ReadonlyArray<RawResults>
  ) {
    const { runTag } = shard
    const path = RunDirectory.raw(shard, `${shard.id}.jsonl`)
    const now = yield* DateTime.now
    // For a row that no shard has, which cannot be: it is missing.
    const nowhere = new RawResults({ batch: answered(shard, now), files: [], rows: 0, shortBy: shard.rows })
    const hash = createHash("sha256")
    const bytes = yield* Effect.scoped(Effect.gen(function*() {
      const handle = yield* Disk.openScoped(`${path}.tmp`, "write")
      const writer = new BlockWriter(handle, bufferSize, (block) => hash.update(block))
      yield* forEachPair(shard, (row, leader) => {
        const wireId = WireId.make(runTag, row)
        const index = at.of(leader)
        const length = index === undefined ? 0 : leaders.length[index] ?? 0
        if (index === undefined || length === 0) {
          const source = index === undefined ? undefined : sources[(leaders.origin[index] ?? 0) - 1]
          writer.text(`${ReusedLine.absent(wireId, absentOutcome(source ?? nowhere))}\n`)
          return
        }
        const line = Buffer.allocUnsafe(length)
        readFully(reader, line, leaders.offset[index] ?? 0)
        const span = ReusedLine.wireIdSpan(runTag, line)
        writer.bytes(line.subarray(0, span?.start))
        if (span !== undefined) {
          writer.text(wireId)
          writer.bytes(line.subarray(span.end))
        }
        writer.bytes(newline)
      })
      yield* writer.sync(path)
      return writer.position
    }))
    yield* Disk.attempt("keep", path, () => disk.rename(`${path}.tmp`, path))
    yield* Disk.syncDirectory(NodePath.dirname(path))
    return resultsOf(shard, now, { bytes, sha256: hash.digest("hex") })
  })

  /** The results of shards of one attempt, out of those of the rows that were sent in it. */
  const fromRows = Effect.fn("Reuse.fromRows")(
    function*(shards: ReadonlyArray<Shard>, sources: ReadonlyArray<RawResults>) {
      const [first] = shards
      if (first === undefined) return []
      const rows = yield* leadersOf(shards)
      const scratch = RunDirectory.raw(first, `${first.id}.leaders.tmp`)
      yield* Effect.addFinalizer(() => Effect.ignore(Disk.attempt("remove", scratch, () => disk.remove(scratch))))
      const gathered = yield* gather(rows, sources, scratch)
      yield* findOrigins(gathered.leaders, sources)
      return yield* Effect.forEach(shards, (shard) => compose(shard, gathered, sources))
    },
    Effect.scoped
  )

  /**
   * The results of shards of a run whose rows are not sent, by the shard's id. Those are left out that have to wait, since
   * not all rows that were sent with them have results.
   */
  return Effect.fn("Pipeline.reuse")(function*({ shards }: RunState, wanted: ReadonlyArray<Shard>) {
    const results = new Map<string, RawResults>()
    for (const shard of wanted) if (shard.reuse === "cache") results.set(shard.id, yield* fromCache(shard))
    const all = wanted.filter(({ reuse }) => reuse === "input")
    for (const attempt of new Set(all.map(({ attempt }) => attempt))) {
      const waiting = all.filter((shard) => shard.attempt === attempt)
      const last = Math.max(...waiting.map(({ lastRow }) => lastRow))
      // Of rows that ask the same, the first is sent.
      const sources = [...shards.values()].filter(({ shard }) =>
        shard.mode !== "reused" && shard.attempt === attempt && shard.firstRow < last
      )
      const raws = sources.flatMap(({ raw }) => raw ?? [])
      if (raws.length < sources.length) continue
      for (const raw of yield* fromRows(waiting, raws)) results.set(raw.batch.shard.id, raw)
    }
    return results
  })
})
