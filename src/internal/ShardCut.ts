/**
 * A shard that is too large for what is left of a provider's queue, cut into smaller ones: the same rows, byte for byte,
 * in more files.
 */
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import * as NodePath from "node:path"
import { crc32 } from "node:zlib"
import * as RunDirectory from "../RunDirectory.js"
import { ShardChanged } from "../RunError.js"
import { Shard, shardId } from "../Shard.js"
import { blockLoop } from "./BlockLoop.js"
import * as Disk from "./Disk.js"
import { LineReader } from "./LineReader.js"
import { PendingSyncs } from "./PendingSyncs.js"
import * as RowRecord from "./RowRecord.js"
import { ShardFiles } from "./ShardFiles.js"

const newline = Buffer.from("\n")

/** One of the smaller shards, while it is written. */
interface Piece {
  readonly id: string
  readonly files: ShardFiles
  readonly firstRow: number
  lastRow: number
  rows: number
}

/** A cut under way: `step` copies a row, until it gives `false`. Throws `ShardChanged`, or what the disk throws. */
class Cutting {
  readonly pieces: Array<Shard> = []
  readonly syncs = new PendingSyncs()
  private readonly wire: LineReader
  private readonly rows: LineReader
  private readonly hash = createHash("sha256")
  private checksum = 0
  private copied = 0
  private piece: Piece | undefined

  constructor(
    private readonly disk: Disk.Service,
    private readonly shard: Shard,
    /** The bytes of a piece. */
    private readonly each: number,
    /** The number of the last shard that the run has. */
    private readonly before: number
  ) {
    this.wire = this.reader(RunDirectory.batchInput(shard))
    try {
      this.rows = this.reader(RunDirectory.rows(shard))
    } catch (error) {
      this.wire.close()
      throw error
    }
  }

  step(): boolean {
    const { rows, shard, wire } = this
    const sent = wire.read()
    const record = rows.read()
    if (sent === undefined || record === undefined) {
      const wirePath = RunDirectory.batchInput(shard)
      if (this.hash.digest("hex") !== shard.sha256) throw this.changed(wirePath, "its SHA-256 differs")
      const same = shard.rowsCrc32 === undefined || this.checksum === shard.rowsCrc32
      if (!same || sent !== record) throw this.changed(RunDirectory.rows(shard), "its checksum differs")
      this.finishPiece()
      return false
    }
    const head = RowRecord.decodeHead(record)
    if (head === undefined) throw this.changed(RunDirectory.rows(shard), "it holds a line that is no record of a row")
    if (this.copied + sent.length + 1 > this.each * (this.pieces.length + 1)) this.finishPiece()
    const piece = this.piece ??= this.open(head.row)
    for (const part of [sent, newline]) {
      this.hash.update(part)
      piece.files.wire.bytes(part)
    }
    for (const part of [record, newline]) {
      this.checksum = crc32(part, this.checksum)
      piece.files.rows.bytes(part)
    }
    piece.rows++
    piece.lastRow = head.row
    this.copied += sent.length + 1
    return true
  }

  close(): void {
    this.piece?.files.abandon()
    this.wire.close()
    this.rows.close()
  }

  private open(firstRow: number): Piece {
    const id = shardId(this.before + this.pieces.length + 1)
    return { id, files: new ShardFiles(this.disk, { ...this.shard, id }), firstRow, lastRow: firstRow, rows: 0 }
  }

  private finishPiece(): void {
    if (this.piece === undefined) return
    const { files, ...about } = this.piece
    this.pieces.push(new Shard({ ...this.shard, ...files.finish(this.syncs), ...about }))
    this.piece = undefined
  }

  private reader(path: string): LineReader {
    return new LineReader(this.disk, path, Number.POSITIVE_INFINITY, (line) => {
      throw this.changed(path, `line ${line} is too long`)
    })
  }

  private changed(path: string, problem: string): ShardChanged {
    return new ShardChanged({ path, shard: this.shard.id, problem })
  }
}

/**
 * Cuts a shard into about so many, of about the same number of bytes, with ids behind that number. Its own files stay
 * as they are. All that is written is durable when the shards are given.
 */
export const cut = Effect.fn("ShardCut.cut")(function*(shard: Shard, pieces: number, before: number) {
  const disk = yield* Disk.Disk
  const each = shard.bytes / Math.min(pieces, shard.rows)
  const wirePath = RunDirectory.batchInput(shard)
  const cutting = yield* Effect.acquireRelease(
    Disk.attempt("cut", wirePath, () => new Cutting(disk, shard, each, before)),
    (cutting) => Effect.sync(() => cutting.close())
  )
  yield* blockLoop(
    () => cutting.step(),
    (error) => error instanceof ShardChanged ? error : Disk.toDiskError("cut", wirePath, error)
  )
  yield* cutting.syncs.wait(wirePath)
  yield* Disk.syncDirectory(NodePath.dirname(RunDirectory.rows(shard)))
  yield* Disk.syncDirectory(NodePath.dirname(wirePath))
  return cutting.pieces
}, Effect.scoped)
