/**
 * The lines of a file, one whenever it is asked for: for merges, which go through several files side by side. Memory
 * holds one block and the line that it ends in.
 */
import type * as Disk from "./Disk.js"
import { LineSplitter } from "./Lines.js"

const blockSize = 1 << 17

/** A file being read line by line. Its methods throw what the disk throws. */
export class LineReader {
  private readonly handle: Disk.Handle
  private readonly splitter: LineSplitter
  private lines: Array<Buffer> = []
  private next = 0
  private ended = false

  /** A line longer than `longest` bytes is for `onLongLine`, which may throw. */
  constructor(disk: Disk.Service, path: string, longest: number, onLongLine: (lineNumber: number) => void) {
    this.handle = disk.open(path, "read")
    this.splitter = new LineSplitter(longest, (line) => this.lines.push(line), onLongLine)
  }

  /** The next line, without its newline; `undefined` at the end. Its bytes stay as they are. */
  read(): Buffer | undefined {
    while (this.next === this.lines.length && !this.ended) {
      this.lines = []
      this.next = 0
      // A block of its own each time: lines are slices of it.
      const block = Buffer.allocUnsafe(blockSize)
      const length = this.handle.read(block, 0, blockSize, null)
      this.ended = length === 0
      if (this.ended) this.splitter.end()
      else this.splitter.push(block.subarray(0, length))
    }
    return this.lines[this.next++]
  }

  close(): void {
    this.handle.close()
  }
}
