/**
 * Lines out of blocks of bytes: a newline search on the buffer, one slice a line, no copy but for the line that two
 * blocks share.
 */

/** Takes one line, without its newline or carriage return, and its number from 1. The bytes are only lent. */
export type OnLine = (line: Buffer, lineNumber: number) => void

/** What became of a line longer than the cap: it is passed over, and only its number is told. */
export type OnLongLine = (lineNumber: number) => void

const newline = 10
const carriageReturn = 13

/**
 * Splits blocks into lines.
 *
 * A byte order mark at the very start is passed over. A line that is longer than `longest` bytes is not kept in
 * memory.
 */
export class LineSplitter {
  private carried: Array<Uint8Array> = []
  private carriedBytes = 0
  private overlong = false
  private lineNumber = 0
  private atStart = true

  constructor(
    private readonly longest: number,
    private readonly onLine: OnLine,
    private readonly onLongLine: OnLongLine
  ) {}

  /** Takes the next block. */
  push(block: Uint8Array): void {
    const bytes = Buffer.from(block.buffer, block.byteOffset, block.length)
    let start = 0
    for (;;) {
      const end = bytes.indexOf(newline, start)
      if (end === -1) break
      if (this.carriedBytes === 0 && !this.overlong) {
        this.emit(bytes.subarray(start, end))
      } else {
        this.carry(bytes.subarray(start, end))
        this.emitCarried()
      }
      start = end + 1
    }
    if (start < bytes.length) this.carry(bytes.subarray(start))
  }

  /** Ends the input: what follows the last newline is a line too. */
  end(): void {
    if (this.carriedBytes > 0 || this.overlong) this.emitCarried()
  }

  private carry(piece: Buffer): void {
    if (this.overlong) return
    // With room for what is no part of the line: a byte order mark and a carriage return. `emit` decides exactly.
    if (this.carriedBytes + piece.length > this.longest + 4) {
      this.overlong = true
      this.carried = []
      this.carriedBytes = 0
      return
    }
    this.carried.push(piece)
    this.carriedBytes += piece.length
  }

  private emitCarried(): void {
    const line = this.carried.length === 1 && this.carried[0] !== undefined
      ? Buffer.from(this.carried[0].buffer, this.carried[0].byteOffset, this.carried[0].length)
      : Buffer.concat(this.carried)
    const overlong = this.overlong
    this.carried = []
    this.carriedBytes = 0
    this.overlong = false
    if (overlong) {
      this.lineNumber++
      this.atStart = false
      this.onLongLine(this.lineNumber)
    } else {
      this.emit(line)
    }
  }

  private emit(line: Buffer): void {
    this.lineNumber++
    const from = this.atStart && line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf ? 3 : 0
    const to = line[line.length - 1] === carriageReturn ? line.length - 1 : line.length
    this.atStart = false
    if (to - from > this.longest) this.onLongLine(this.lineNumber)
    else this.onLine(from === 0 && to === line.length ? line : line.subarray(from, Math.max(from, to)), this.lineNumber)
  }
}
