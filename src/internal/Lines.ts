/**
 * Lines out of blocks of bytes: a newline search on the buffer, one slice a line, no copy but for the line that two
 * blocks share. A block may be used anew once it has been taken.
 */

/**
 * Takes one line, without its newline or carriage return, its number from 1, and where it begins in all bytes. Its own
 * bytes are only lent.
 */
export type OnLine = (line: Buffer, lineNumber: number, position: number) => void

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
  private carried: Array<Buffer> = []
  private carriedBytes = 0
  private overlong = false
  private lineNumber = 0
  /** The bytes of all blocks before this one. */
  private before = 0
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
        this.emit(bytes.subarray(start, end), this.before + start)
      } else {
        this.carry(bytes.subarray(start, end))
        this.emitCarried(this.before + end)
      }
      start = end + 1
    }
    if (start < bytes.length) this.carry(bytes.subarray(start))
    this.before += bytes.length
  }

  /** Ends the input: what follows the last newline is a line too. */
  end(): void {
    if (this.carriedBytes > 0 || this.overlong) this.emitCarried(this.before)
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
    this.carried.push(Buffer.from(piece))
    this.carriedBytes += piece.length
  }

  private emitCarried(end: number): void {
    const [first] = this.carried
    const line = first !== undefined && this.carried.length === 1 ? first : Buffer.concat(this.carried)
    const overlong = this.overlong
    this.carried = []
    this.carriedBytes = 0
    this.overlong = false
    if (overlong) {
      this.lineNumber++
      this.atStart = false
      this.onLongLine(this.lineNumber)
    } else {
      this.emit(line, end - line.length)
    }
  }

  private emit(line: Buffer, position: number): void {
    this.lineNumber++
    const from = this.atStart && line[0] === 0xef && line[1] === 0xbb && line[2] === 0xbf ? 3 : 0
    const to = line[line.length - 1] === carriageReturn ? line.length - 1 : line.length
    this.atStart = false
    if (to - from > this.longest) {
      this.onLongLine(this.lineNumber)
    } else {
      const whole = from === 0 && to === line.length
      this.onLine(whole ? line : line.subarray(from, Math.max(from, to)), this.lineNumber, position + from)
    }
  }
}
