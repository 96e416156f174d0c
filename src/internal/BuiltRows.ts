/**
 * The wire rows of a shard, as they were built: what is sent is nothing else.
 */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import * as RunDirectory from "../RunDirectory.js"
import { ShardChanged } from "../RunError.js"
import type { Shard } from "../Shard.js"
import * as Disk from "./Disk.js"

/** Fails when the wire rows of a shard were edited since they were built. */
export const check = Effect.fnUntraced(function*(shard: Shard) {
  const path = RunDirectory.batchInput(shard)
  const hash = createHash("sha256")
  yield* Disk.forEachPiece(path, "read", (piece) => hash.update(piece))
  if (hash.digest("hex") !== shard.sha256) {
    return yield* new ShardChanged({ path, shard: shard.id, problem: "its SHA-256 differs" })
  }
})
