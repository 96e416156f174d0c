/**
 * What the hand-written loops have in common: lines out of blocks, text into one large buffer. No code of the project.
 */
import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from "node:fs"

const blockSize = 1 << 20
const newline = 10

/**
 * Gives each line of a file: the buffer that it is in, where it starts and ends there, and where it starts in the file.
 *
 * @param {string} path
 * @param {(bytes: Buffer, start: number, end: number, position: number) => void} onLine
 */
export const forEachLine = (path, onLine) => {
  const fd = openSync(path, "r")
  let block = Buffer.allocUnsafe(2 * blockSize)
  let kept = 0
  let position = 0
  for (;;) {
    if (block.length - kept < blockSize) {
      const larger = Buffer.allocUnsafe(2 * block.length)
      block.copy(larger, 0, 0, kept)
      block = larger
    }
    const length = kept + readSync(fd, block, kept, blockSize, null)
    if (length === kept) break
    const bytes = block.subarray(0, length)
    let start = 0
    for (let end = bytes.indexOf(newline, kept); end !== -1; end = bytes.indexOf(newline, start)) {
      onLine(bytes, start, end, position + start)
      start = end + 1
    }
    block.copyWithin(0, start, length)
    kept = length - start
    position += start
  }
  closeSync(fd)
}

/** A file that is written through one large buffer. */
export class Output {
  #buffer = Buffer.allocUnsafe(blockSize)
  #used = 0
  #fd
  #onBytes

  /** @param {string} path @param {(bytes: Buffer) => void} [onBytes] */
  constructor(path, onBytes) {
    this.#fd = openSync(path, "w")
    this.#onBytes = onBytes
  }

  /** @param {string} text */
  write(text) {
    if (this.#used + 3 * text.length > this.#buffer.length) this.#flush(3 * text.length)
    this.#used += this.#buffer.write(text, this.#used)
  }

  /** What was written is on the disk when this is over, as the program that is measured promises. */
  close() {
    this.#flush(0)
    fdatasyncSync(this.#fd)
    closeSync(this.#fd)
  }

  /** @param {number} room */
  #flush(room) {
    const bytes = this.#buffer.subarray(0, this.#used)
    for (let written = 0; written < bytes.length;) written += writeSync(this.#fd, bytes, written)
    this.#onBytes?.(bytes)
    this.#used = 0
    if (room > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(room)
  }
}
