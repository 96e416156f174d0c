/**
 * What is known of a batch that may have been made, and that nobody was told of: by this it is looked for.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as RunDirectory from "../RunDirectory.js"
import { ShardChanged } from "../RunError.js"
import type { ShardState } from "../RunState.js"
import type { Shard } from "../Shard.js"
import * as WireId from "../WireId.js"
import * as Disk from "./Disk.js"
import { LineSplitter } from "./Lines.js"
import { RowSet } from "./RowSet.js"

/** Where the provider's time before an intent is not known, all its batches are looked through. */
const beginning = DateTime.unsafeMake(0)

/** A time on the provider's own clock before which the batch of a shard cannot have been made. */
export const notBefore = ({ input, intent }: ShardState): DateTime.Utc =>
  (input?._tag === "UploadedFile" ? input.createdAt : undefined) ?? intent?.notBefore ?? beginning

/** The batches that are known to be those of other shards, or to have been declined. */
export const knownOthers = (shards: ReadonlyMap<string, ShardState>, { id }: Shard): ReadonlySet<string> =>
  new Set(
    [...shards.values()].flatMap(({ declined, shard, snapshot }) =>
      snapshot !== null && shard.id !== id ? [...declined, snapshot.id] : declined
    )
  )

/** The rows of a shard, as its bytes name them. */
export const rowsOf = Effect.fn(function*(shard: Shard) {
  const path = RunDirectory.batchInput(shard)
  const rows = new RowSet(shard.firstRow, shard.lastRow)
  const lines = new LineSplitter(shard.bytes, (line) => {
    const row = WireId.rowInLine(shard.runTag, line)
    if (row !== undefined) rows.add(row)
  }, () => undefined)
  yield* Disk.forEachPiece(path, "read", (piece) => lines.push(piece))
  lines.end()
  if (rows.size === shard.rows) return rows
  const problem = `it names ${rows.size} rows where ${shard.rows} were built`
  return yield* new ShardChanged({ path, shard: shard.id, problem })
})
