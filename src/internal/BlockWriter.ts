/**
 * Writes text to a file through one large buffer: a write a row costs more than all the rest of the row path.
 */
import * as Effect from "effect/Effect"
import type { DiskError } from "../RunError.js"
import * as Disk from "./Disk.js"

/** A UTF-16 code unit becomes at most three bytes of UTF-8. */
const longestUnit = 3

/** Where the buffer begins: a run of many small shards has many writers. */
const smallestBuffer = 1 << 12

const newline = 10

/** A file being written. Its methods throw what the disk throws. */
export class BlockWriter {
  private buffer: Buffer
  private used = 0
  private flushed = 0
  private open = true

  /** `size` is what the buffer may grow to; `onFlush` sees every byte once, in order, before it is written. */
  constructor(
    private readonly handle: Disk.Handle,
    private readonly size: number,
    private readonly onFlush: (bytes: Uint8Array) => void = () => undefined
  ) {
    this.buffer = Buffer.allocUnsafe(Math.min(size, smallestBuffer))
  }

  /** Where the next byte will be, from the start of the file. */
  get position(): number {
    return this.flushed + this.used
  }

  /** Appends text as UTF-8. */
  text(text: string): void {
    const most = text.length * longestUnit
    if (most > this.buffer.length - this.used && !this.makeRoom(most)) {
      this.write(Buffer.from(text))
      return
    }
    this.used += this.buffer.write(text, this.used)
  }

  /** Appends bytes. */
  bytes(bytes: Uint8Array): void {
    if (bytes.length > this.buffer.length - this.used && !this.makeRoom(bytes.length)) {
      this.write(bytes)
      return
    }
    this.buffer.set(bytes, this.used)
    this.used += bytes.length
  }

  /** Appends bytes and a newline. */
  line(bytes: Uint8Array): void {
    this.bytes(bytes)
    if (this.used === this.buffer.length) this.makeRoom(1)
    this.buffer[this.used++] = newline
  }

  /** Hands what is buffered to the disk. */
  flush(): void {
    if (this.used === 0) return
    const bytes = this.buffer.subarray(0, this.used)
    this.used = 0
    this.write(bytes)
  }

  /** Flushes, and makes every byte durable while others go on; `path` is for errors. */
  sync(path: string): Effect.Effect<void, DiskError> {
    return Effect.zipRight(Disk.attempt("write", path, () => this.flush()), Disk.sync(path, this.handle))
  }

  /** Closes the file without keeping what is buffered; does nothing when it is closed. */
  abandon(): void {
    this.used = 0
    if (!this.open) return
    this.open = false
    this.handle.close()
  }

  /** Makes room for so many more bytes; without success, when they are more than the buffer may ever hold. */
  private makeRoom(bytes: number): boolean {
    if (this.used + bytes > this.size) this.flush()
    if (bytes > this.size) return false
    if (this.used + bytes > this.buffer.length) {
      const grown = Buffer.allocUnsafe(Math.min(this.size, Math.max(2 * this.buffer.length, this.used + bytes)))
      this.buffer.copy(grown, 0, 0, this.used)
      this.buffer = grown
    }
    return true
  }

  private write(bytes: Uint8Array): void {
    this.onFlush(bytes)
    Disk.writeAll(this.handle, bytes)
    this.flushed += bytes.length
  }
}
