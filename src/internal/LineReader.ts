/**
 * The lines of a file, one whenever it is asked for: for merges, which go through several files side by side. Memory
 * holds two blocks and the line that one ends in.
 */
import type * as Disk from "./Disk.js"
import { LineSplitter } from "./Lines.js"

const blockSize = 1 << 17

const emptyBlock = Buffer.alloc(0)

/** A file being read line by line. Its methods throw what the disk throws. */
export class LineReader {
  private readonly handle: Disk.Handle
  private readonly splitter: LineSplitter
  /** The block that the last lines are in, and the one that is filled next. */
  private block = emptyBlock
  private spare = emptyBlock
  private lines: Array<Buffer> = []
  private next = 0
  private ended = false

  /** A line longer than `longest` bytes is for `onLongLine`, which may throw. */
  constructor(disk: Disk.Service, path: string, longest: number, onLongLine: (lineNumber: number) => void) {
    this.handle = disk.open(path, "read")
    this.splitter = new LineSplitter(longest, (line) => this.lines.push(line), onLongLine)
  }

  /**
   * The next line, without its newline; `undefined` at the end. Its bytes stay as they are until the next but one is
   * read.
   */
  read(): Buffer | undefined {
    while (this.next === this.lines.length && !this.ended) {
      if (this.lines.length > 0) [this.block, this.spare] = [this.spare, this.block]
      if (this.block.length === 0) this.block = Buffer.allocUnsafe(blockSize)
      this.lines.length = 0
      this.next = 0
      const length = this.handle.read(this.block, 0, blockSize, null)
      this.ended = length === 0
      if (this.ended) this.splitter.end()
      else this.splitter.push(this.block.subarray(0, length))
    }
    return this.lines[this.next++]
  }

  close(): void {
    this.handle.close()
  }
}
