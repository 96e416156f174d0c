/**
 * Keeps the answers of a shard in the cache, for later runs: those that serve whoever asks the same. Answers that were
 * refused or cut short are none of them, nor are those that did not pass the check of this run.
 *
 * The cache saves money and is nobody's result: what keeps an answer out of it is told, and fails nothing.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { createHash } from "node:crypto"
import * as NodePath from "node:path"
import { blockLoop } from "../internal/BlockLoop.js"
import * as CacheSegment from "../internal/CacheSegment.js"
import * as ContentKey from "../internal/ContentKey.js"
import * as Disk from "../internal/Disk.js"
import { LineReader } from "../internal/LineReader.js"
import { LineSplitter } from "../internal/Lines.js"
import * as RawContent from "../internal/RawContent.js"
import * as ResultLine from "../internal/ResultLine.js"
import { sparseIndex } from "../internal/ResultSorter.js"
import * as ReusedLine from "../internal/ReusedLine.js"
import * as RowRecord from "../internal/RowRecord.js"
import { Provider } from "../Provider.js"
import type { RawResults } from "../RawResults.js"
import * as RunDirectory from "../RunDirectory.js"
import { Progress } from "../RunEvent.js"
import type { Shard } from "../Shard.js"
import * as WireId from "../WireId.js"

/** A line longer than this is not kept. */
const longestLine = 1 << 24

const longestRecord = 1 << 29

/** The rows of a shard whose answers may be kept, in growing order, and the keys under which they are. */
interface Keepable {
  readonly rows: Float64Array
  readonly keys: Buffer
}

/** Makes what keeps the answers of shards. */
export const make = Effect.gen(function*() {
  const disk = yield* Disk.Disk
  const provider = yield* Provider

  const lines = (path: string) =>
    Effect.acquireRelease(
      Disk.attempt("read", path, () => new LineReader(disk, path, longestRecord, () => undefined)),
      (reader) => Effect.sync(() => reader.close())
    )

  /** Records and results of a shard follow each other in the same order. */
  const keepableOf = Effect.fn(function*(shard: Shard) {
    const part = RunDirectory.part(shard)
    const records = yield* lines(RunDirectory.rows(shard))
    const results = yield* lines(part)
    const rows = new Float64Array(shard.rows)
    const keys = Buffer.alloc(shard.rows * ContentKey.bytes)
    let count = 0
    yield* blockLoop(() => {
      const record = records.read()
      const line = results.read()
      if (record === undefined || line === undefined) return false
      const key = RowRecord.keyOf(record)
      const result = ResultLine.decodePart(line)
      if (key === undefined || result?.head.outcome !== "succeeded") return true
      key.copy(keys, count * ContentKey.bytes)
      rows[count++] = result.head.row
      return true
    }, (error) => Disk.toDiskError("read", part, error))
    const keepable: Keepable = { rows: rows.subarray(0, count), keys }
    return keepable
  }, Effect.scoped)

  /** The files that are written: a further one when one is full. */
  const segments = Effect.fn(function*(directory: string, name: string) {
    const began = yield* Clock.currentTimeMillis
    const created = DateTime.unsafeMake(began)
    const files: Array<
      { readonly path: string; readonly temporary: string; readonly writer: CacheSegment.SegmentWriter }
    > = []
    yield* Effect.addFinalizer(() =>
      Effect.ignore(Disk.attempt("remove", directory, () => {
        for (const { temporary, writer } of files) {
          writer.close()
          disk.remove(temporary)
        }
      }))
    )
    const begin = () => {
      const file = `${name}${files.length === 0 ? "" : `-${files.length}`}${CacheSegment.suffix}`
      const temporary = `${directory}/${CacheSegment.temporaryName(file, began)}`
      const writer = new CacheSegment.SegmentWriter(disk.open(temporary, "write-private"))
      files.push({ path: `${directory}/${file}`, temporary, writer })
      return writer
    }
    const finish = Effect.gen(function*() {
      for (const { path, temporary, writer } of files) {
        yield* Disk.attempt("write", path, () => writer.end(provider.name, created))
        yield* writer.sync(path)
        yield* Disk.attempt("keep", path, () => {
          writer.close()
          disk.rename(temporary, path)
        })
      }
      if (files.length > 0) yield* Disk.syncDirectory(directory)
    })
    return {
      finish,
      writer: () => {
        const last = files.at(-1)?.writer
        return last === undefined || last.isFull ? begin() : last
      }
    }
  })

  const write = Effect.fn(function*(raw: RawResults, { keys, rows }: Keepable, directory: string, name: string) {
    const { shard } = raw.batch
    const at = sparseIndex(rows)
    const taken = new Uint8Array(rows.length)
    const { finish, writer } = yield* segments(directory, name)
    const take = (line: Buffer) => {
      const row = WireId.rowInLine(shard.runTag, line)
      const index = row === undefined ? undefined : at.of(row)
      if (index === undefined || taken[index] === 1) return
      const decoded = provider.decode(line.toString())
      if (Either.isLeft(decoded) || decoded.right.outcome.outcome !== "succeeded") return
      // It is this one that the results have, whether it is kept or not.
      taken[index] = 1
      const { body, refused, truncated } = decoded.right.outcome
      const span = ReusedLine.wireIdSpan(shard.runTag, line)
      if (refused || truncated || span === undefined) return
      const key = keys.subarray(index * ContentKey.bytes, (index + 1) * ContentKey.bytes)
      const model = typeof body.model === "string" ? body.model : undefined
      writer().add(key, line, span.start, span.end, model)
    }
    for (const file of raw.files) {
      const path = RunDirectory.raw(shard, file.name)
      const splitter = new LineSplitter(longestLine, take, () => undefined)
      yield* RawContent.forEachPiece(path, file.packing, "keep the answers of", (piece) => splitter.push(piece))
      yield* Disk.attempt("keep answers in", directory, () => splitter.end())
    }
    yield* finish
  }, Effect.scoped)

  /** What the same results are kept as, whenever that is. */
  const nameOf = ({ batch: { shard }, files }: RawResults): string => {
    const content = createHash("sha256").update(files.map(({ sha256 }) => sha256).join("\n")).digest("hex")
    return `${shard.runTag}-${shard.id}-${content.slice(0, 8)}`
  }

  const keep = Effect.fn(function*(raw: RawResults, directory: string) {
    const name = nameOf(raw)
    const isKept = yield* Disk.attempt("keep answers in", directory, () => {
      if (disk.stat(directory) === undefined) {
        disk.makeDirectory(directory)
        disk.syncDirectory(NodePath.dirname(directory))
      }
      return disk.stat(`${directory}/${name}${CacheSegment.suffix}`) !== undefined
    })
    if (isKept) return
    const keepable = yield* keepableOf(raw.batch.shard)
    if (keepable.rows.length > 0) yield* write(raw, keepable, directory, name)
  })

  /** Keeps the answers in results that are normalised, in the cache that is this directory. */
  return Effect.fn("Pipeline.keepAnswers")(function*(raw: RawResults, directory: string | undefined) {
    const { shard } = raw.batch
    if (directory === undefined || shard.mode === "reused") return
    const { tell } = yield* Progress
    const tellLoss = (why: string) =>
      Effect.sync(() =>
        tell({
          _tag: "Notice",
          text: `the answers of shard ${shard.id} are not kept in the cache ${directory}: ${why}`
        })
      )
    yield* Effect.catchTags(keep(raw, directory), {
      DiskError: (error) => tellLoss(error.message),
      ArchiveProblem: ({ problem }) => tellLoss(problem)
    })
  })
})
