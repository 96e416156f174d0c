/**
 * Uploaded files: of the lines, only the numbers of the rows are kept.
 */

const newline = 10
const lineStart = Buffer.from("{\"custom_id\":\"")
const quote = 34
const dash = 45

/** What an uploaded file held. */
export class Upload {
  tag = ""
  bytes = 0
  /** @type {Uint32Array} */
  #rows = new Uint32Array(1 << 16)
  #count = 0
  /** @type {Buffer} */
  #carried = Buffer.alloc(0)

  /** The numbers of the rows. */
  get rows() {
    return this.#rows.subarray(0, this.#count)
  }

  /** Takes a piece of the file, or of the form around it. @param {Buffer} piece */
  push(piece) {
    this.bytes += piece.length
    const bytes = this.#carried.length === 0 ? piece : Buffer.concat([this.#carried, piece])
    let start = 0
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
      this.#line(bytes, start)
      start = end + 1
    }
    this.#carried = bytes.subarray(start)
  }

  /** @param {Buffer} bytes @param {number} start */
  #line(bytes, start) {
    const idStart = start + lineStart.length
    if (bytes.compare(lineStart, 0, lineStart.length, start, Math.min(idStart, bytes.length)) !== 0) return
    if (this.tag === "") this.tag = bytes.toString("latin1", idStart, bytes.indexOf(dash, idStart))
    let row = 0
    for (let at = idStart + this.tag.length + 1; bytes[at] !== quote; at++) row = row * 10 + (bytes[at] ?? 0) - 48
    if (this.#count === this.#rows.length) {
      const grown = new Uint32Array(this.#rows.length * 2)
      grown.set(this.#rows)
      this.#rows = grown
    }
    this.#rows[this.#count++] = row
  }
}
