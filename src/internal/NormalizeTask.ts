/**
 * What the thread of a run and a thread that normalises for it say to each other.
 */
import * as Schema from "effect/Schema"
import { MessagePort } from "node:worker_threads"
import { ArchiveRejected } from "../BatchError.js"
import * as Cost from "../Cost.js"
import { RawResults } from "../RawResults.js"
import { DiskError, ShardChanged } from "../RunError.js"
import * as Tally from "../Tally.js"
import { RowDecoding } from "./RowDecoding.js"

/** What such a thread begins with. */
export const Beginning = Schema.Struct({
  decoding: RowDecoding,
  /** Through it the thread asks for the prices of a model, by its name. */
  prices: Schema.instanceOf(MessagePort),
  /** Becomes 1 when they are there. */
  answered: Schema.declare((value): value is Int32Array => value instanceof Int32Array)
})

/** A shard that is to be normalised. */
export const Task = RawResults

/** What came of it. */
export const Outcome = Schema.Exit({
  success: Schema.Struct({ tally: Tally.Tally, bill: Cost.ShardBill }),
  failure: Schema.Union(ArchiveRejected, ShardChanged, DiskError),
  defect: Schema.Defect
})
