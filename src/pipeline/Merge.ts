/**
 * The parts of all shards and attempts, merged into the results of the run.
 */
import * as Effect from "effect/Effect"
import { isAtProvider } from "../Batch.js"
import { blockLoop } from "../internal/BlockLoop.js"
import { BlockWriter } from "../internal/BlockWriter.js"
import * as Disk from "../internal/Disk.js"
import { addPartTallies, type PartFile, PartMerge } from "../internal/PartMerge.js"
import * as RunDirectory from "../RunDirectory.js"
import { RunRejected, ShardChanged } from "../RunError.js"
import type { RunState, ShardState } from "../RunState.js"
import * as Tally from "../Tally.js"

/** A file under a temporary name, written for the length of the scope. */
const writer = (path: string, bufferSize: number) =>
  Effect.map(Disk.openScoped(`${path}.tmp`, "write"), (handle) => new BlockWriter(handle, bufferSize))

/** The odd lines of all shards' results, one shard after the other, where there are any. */
const gatherAnomalies = Effect.fn(function*(directory: string, shards: ReadonlyArray<ShardState>) {
  const disk = yield* Disk.Disk
  const path = RunDirectory.anomalies(directory)
  const odd = shards.filter(({ tally }) => tally !== null && Tally.hasAnomalies(tally))
  if (odd.length === 0) {
    yield* Disk.attempt("remove", path, () => disk.remove(path))
    return
  }
  yield* Effect.scoped(Effect.gen(function*() {
    const anomalies = yield* writer(path, 1 << 16)
    for (const { shard } of odd) {
      yield* Disk.forEachPiece(RunDirectory.partAnomalies(shard), "copy", (piece) => anomalies.bytes(piece))
    }
    yield* anomalies.sync(path)
  }))
  yield* Disk.attempt("keep", path, () => disk.rename(`${path}.tmp`, path))
})

/** All parts into results in input order; the files are complete before any of them has its name. */
export const merge = Effect.fn("Pipeline.merge")(function*(state: RunState, rows: number) {
  const disk = yield* Disk.Disk
  const { directory } = state
  const shards = [...state.shards.values()]
  const parts = shards.map(({ shard, snapshot }): PartFile => ({
    path: RunDirectory.part(shard),
    shard,
    batchId: snapshot !== null && isAtProvider(snapshot) ? snapshot.id : null
  }))
  const results = RunDirectory.results(directory)
  const failures = RunDirectory.failures(directory)
  const tally = yield* Effect.scoped(Effect.gen(function*() {
    const resultsFile = yield* writer(results, 1 << 20)
    const failuresFile = yield* writer(failures, 1 << 16)
    const merging = yield* Effect.acquireRelease(
      Effect.sync(() => new PartMerge(disk, directory, parts, rows, resultsFile, failuresFile)),
      (merging) => Effect.sync(() => merging.close())
    )
    yield* blockLoop(
      () => merging.step(),
      (error) =>
        error instanceof ShardChanged || error instanceof RunRejected
          ? error
          : Disk.toDiskError("merge results", results, error)
    )
    yield* resultsFile.sync(results)
    yield* failuresFile.sync(failures)
    addPartTallies(merging.tally, shards.flatMap((shard) => shard.tally === null ? [] : [shard.tally]))
    return Tally.fromMutable(merging.tally)
  }))
  if (Tally.sum(tally) !== rows) {
    return yield* Effect.dieMessage(`${results}: ${Tally.sum(tally)} outcomes for ${rows} rows of input`)
  }
  yield* gatherAnomalies(directory, shards)
  yield* Disk.attempt("keep", results, () => {
    disk.rename(`${failures}.tmp`, failures)
    disk.rename(`${results}.tmp`, results)
  })
  yield* Disk.syncDirectory(directory)
  return tally
})
