/**
 * Rows on disk: bytes are spooled to a file, and of each row only its place is kept in memory.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Slices from "./Slices.js"

const blockSize = 1 << 20

/**
 * A file that was written from a stream.
 *
 * @since 0.1.0
 * @category models
 */
export interface Spool {
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

/**
 * Writes bytes to a new file; `close` gives what was written.
 *
 * @since 0.1.0
 * @category models
 */
export interface SpoolWriter {
  readonly write: (chunk: Uint8Array) => void
  readonly bytes: () => number
  readonly close: () => Spool
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const spool = (path: string): SpoolWriter => {
  const fd = Fs.openSync(path, "w")
  const hash = Crypto.createHash("sha256")
  let bytes = 0
  return {
    write: (chunk) => {
      hash.update(chunk)
      let written = 0
      while (written < chunk.length) written += Fs.writeSync(fd, chunk, written)
      bytes += chunk.length
    },
    bytes: () => bytes,
    close: () => {
      Fs.closeSync(fd)
      return { path, bytes, sha256: hash.digest("hex") }
    }
  }
}

/**
 * The places of rows in a file and what the fault plan wants with them, in typed arrays that grow.
 *
 * @since 0.1.0
 * @category models
 */
export class RowIndex {
  private offsets = new Float64Array(1024)
  private lengths = new Uint32Array(1024)
  private fates = new Uint8Array(1024)
  private size = 0

  get count(): number {
    return this.size
  }

  push(offset: number, length: number, fate: number): void {
    if (this.size === this.offsets.length) {
      const offsets = new Float64Array(this.size * 2)
      offsets.set(this.offsets)
      this.offsets = offsets
      const lengths = new Uint32Array(this.size * 2)
      lengths.set(this.lengths)
      this.lengths = lengths
      const fates = new Uint8Array(this.size * 2)
      fates.set(this.fates)
      this.fates = fates
    }
    this.offsets[this.size] = offset
    this.lengths[this.size] = length
    this.fates[this.size] = fate
    this.size += 1
  }

  offset(row: number): number {
    return this.offsets[row] ?? 0
  }

  length(row: number): number {
    return this.lengths[row] ?? 0
  }

  fate(row: number): number {
    return this.fates[row] ?? 0
  }
}

/**
 * Reads ranges of a file.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reader {
  readonly read: (offset: number, length: number) => Buffer
}

/**
 * A reader whose file is closed with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reader = (path: string) =>
  Effect.acquireRelease(
    Effect.sync(() => Fs.openSync(path, "r")),
    (fd) => Effect.sync(() => Fs.closeSync(fd))
  ).pipe(
    Effect.map((fd): Reader => ({
      read: (offset, length) => {
        const buffer = Buffer.allocUnsafe(length)
        let done = 0
        while (done < length) {
          const read = Fs.readSync(fd, buffer, done, length - done, offset + done)
          if (read === 0) break
          done += read
        }
        return buffer.subarray(0, done)
      }
    }))
  )

/**
 * Goes over a file block by block, in slices. `onBlock` gets each block with its offset and says whether to go on.
 *
 * @since 0.1.0
 * @category scanning
 */
export const blocks = (file: Reader, onBlock: (block: Buffer, offset: number) => boolean): Effect.Effect<void> =>
  Effect.suspend(() => {
    let offset = 0
    return Slices.run(() => {
      const block = file.read(offset, blockSize)
      if (block.length === 0) return true
      const goOn = onBlock(block, offset)
      offset += block.length
      return !goOn
    })
  })

/**
 * Goes over the lines of a file in slices; the newline is not part of a line. `onLine` says whether to go on.
 *
 * @since 0.1.0
 * @category scanning
 */
export const lines = (
  file: Reader,
  onLine: (line: Buffer, offset: number) => boolean
): Effect.Effect<void> =>
  Effect.suspend(() => {
    let lineStart = 0
    let end = 0
    let stopped = false
    const emit = (block: Buffer, offset: number, lineEnd: number) => {
      const line = lineStart >= offset
        ? block.subarray(lineStart - offset, lineEnd - offset)
        : file.read(lineStart, lineEnd - lineStart)
      stopped = !onLine(line, lineStart)
      lineStart = lineEnd + 1
    }
    return blocks(file, (block, offset) => {
      end = offset + block.length
      for (let at = block.indexOf(10); at >= 0 && !stopped; at = block.indexOf(10, at + 1))
        emit(block, offset, offset + at)
      return !stopped
    }).pipe(
      Effect.tap(() =>
        Effect.sync(() => {
          if (!stopped && lineStart < end) emit(Buffer.alloc(0), end, end)
        })
      )
    )
  })
