/**
 * The two files of a shard while they are written: its wire rows, and the records of its rows, line for line.
 */
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import * as RunDirectory from "../RunDirectory.js"
import { BlockWriter } from "./BlockWriter.js"
import type * as Disk from "./Disk.js"
import type { PendingSyncs } from "./PendingSyncs.js"

/** Large enough that a write costs little, small enough for a run of many models. */
const bufferSize = 1 << 18

/** The files of a shard under construction. Its methods throw what the disk throws. */
export class ShardFiles {
  readonly wire: BlockWriter
  readonly rows: BlockWriter
  private readonly hash = createHash("sha256")
  private readonly handles: { readonly wire: Disk.Handle; readonly rows: Disk.Handle }
  private checksum = 0

  /** `wirePath` is for rows that are not sent. */
  constructor(
    disk: Disk.Service,
    shard: { readonly directory: string; readonly provider: string; readonly id: string },
    wirePath: string = RunDirectory.batchInput(shard)
  ) {
    const wire = disk.open(wirePath, "write")
    this.wire = new BlockWriter(wire, bufferSize, (bytes) => {
      this.hash.update(bytes)
    })
    try {
      const rows = disk.open(RunDirectory.rows(shard), "write")
      this.rows = new BlockWriter(rows, bufferSize, (bytes) => {
        this.checksum = crc32(bytes, this.checksum)
      })
      this.handles = { wire, rows }
    } catch (error) {
      wire.close()
      throw error
    }
  }

  /** Makes both durable, closes them, and tells what they are. They may be durable only when the syncs are waited for. */
  finish(syncs: PendingSyncs): { readonly bytes: number; readonly sha256: string; readonly rowsCrc32: number } {
    for (const name of ["wire", "rows"] as const) {
      this[name].flush()
      syncs.add(this.handles[name], () => this[name].abandon())
    }
    return { bytes: this.wire.position, sha256: this.hash.digest("hex"), rowsCrc32: this.checksum }
  }

  /** Closes both without keeping what is buffered; does nothing when they are closed. */
  abandon(): void {
    this.wire.abandon()
    this.rows.abandon()
  }
}
