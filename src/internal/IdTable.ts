/**
 * A map from texts to whole numbers in typed arrays: a million short texts take some thirty megabytes, and the collector
 * never looks at them. Texts are kept as they are, so that two of them are never taken for one.
 */

/** An entry: where its text begins, the hash of that, and its number. The text ends where the next one begins. */
const entryWords = 3

/** Of a hundred slots, so many may be used. */
const fullest = 60

/** The map. Look for a text with `find` or `findBytes`; what was looked for last, and is not there, is added with `add`. */
export class IdTable {
  /** How many texts there are. */
  size = 0
  /** The bytes of all texts, and behind them those of the one that was looked for last. */
  private bytes = new Uint8Array(1 << 12)
  private entries = new Uint32Array(entryWords << 8)
  /** The number of an entry plus one; 0 for none. */
  private slots = new Uint32Array(1 << 9)
  /** Where the texts end, and where the one looked for last does; its hash, and the free slot where it belongs. */
  private end = 0
  private soughtEnd = 0
  private soughtHash = 0
  private slot = 0

  /** The bytes of all texts. */
  get used(): number {
    return this.end
  }

  /** How many bytes the text has that was looked for last: other texts have others. */
  get soughtBytes(): number {
    return this.soughtEnd - this.end
  }

  /** Copies those bytes. */
  copySought(into: Uint8Array, at: number): void {
    // Ids are short: a loop takes less time than a call.
    for (let from = this.end, to = at; from < this.soughtEnd; from++, to++) into[to] = this.bytes[from] ?? 0
  }

  /** The hash of that text, of 32 bits. */
  get hash(): number {
    return this.soughtHash
  }

  /** The number of a text; `undefined` where it is not there. */
  find(text: string): number | undefined {
    this.reserve(text.length * 3)
    const { bytes } = this
    let at = this.end
    // As UTF-8, but for halves of surrogate pairs, each of which is written by itself: none of them is lost.
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index)
      if (unit < 0x80) {
        bytes[at++] = unit
        continue
      }
      if (unit < 0x800) {
        bytes[at++] = 0xc0 | (unit >> 6)
      } else {
        bytes[at++] = 0xe0 | (unit >> 12)
        bytes[at++] = 0x80 | ((unit >> 6) & 0x3f)
      }
      bytes[at++] = 0x80 | (unit & 0x3f)
    }
    return this.look(at)
  }

  /** The number of a text of which another table had the bytes from `start` to `end`. */
  findBytes(text: Uint8Array, start: number, end: number): number | undefined {
    this.reserve(end - start)
    const { bytes } = this
    let at = this.end
    for (let from = start; from < end; from++) bytes[at++] = text[from] ?? 0
    return this.look(at)
  }

  /** Adds the text that was looked for last, and is not there, with its number: one below 2 ** 32. */
  add(number: number): void {
    if ((this.size + 1) * entryWords > this.entries.length) this.entries = larger(this.entries)
    const at = this.size++ * entryWords
    this.entries[at] = this.end
    this.entries[at + 1] = this.soughtHash
    this.entries[at + 2] = number
    this.slots[this.slot] = this.size
    this.end = this.soughtEnd
    if (this.size * 100 > this.slots.length * fullest) this.spread()
  }

  /** Takes all texts out. */
  clear(): void {
    this.slots.fill(0)
    this.size = 0
    this.end = 0
    this.soughtEnd = 0
  }

  private look(end: number): number | undefined {
    const { bytes, entries, slots } = this
    const start = this.end
    let hash = 0x811c9dc5
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193)
    hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b)
    hash = (hash ^ (hash >>> 13)) >>> 0
    this.soughtEnd = end
    this.soughtHash = hash
    const mask = slots.length - 1
    for (let slot = hash & mask;; slot = (slot + 1) & mask) {
      const entry = slots[slot] ?? 0
      if (entry === 0) {
        this.slot = slot
        return undefined
      }
      if (entries[(entry - 1) * entryWords + 1] === hash && this.isSought(entry - 1)) {
        return entries[(entry - 1) * entryWords + 2]
      }
    }
  }

  private isSought(entry: number): boolean {
    const { bytes, entries } = this
    const start = entries[entry * entryWords] ?? 0
    const end = entry + 1 === this.size ? this.end : entries[(entry + 1) * entryWords] ?? 0
    const length = end - start
    if (length !== this.soughtEnd - this.end) return false
    for (let index = 0; index < length; index++) {
      if (bytes[start + index] !== bytes[this.end + index]) return false
    }
    return true
  }

  /** Makes room for the bytes of a text to look for. */
  private reserve(bytes: number): void {
    if (this.end + bytes <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(this.end + bytes, this.bytes.length * 2))
    grown.set(this.bytes.subarray(0, this.end))
    this.bytes = grown
  }

  private spread(): void {
    const slots = new Uint32Array(this.slots.length * 2)
    const mask = slots.length - 1
    for (let entry = 0; entry < this.size; entry++) {
      let slot = (this.entries[entry * entryWords + 1] ?? 0) & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = entry + 1
    }
    this.slots = slots
  }
}

const larger = (array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> => {
  const grown = new Uint32Array(array.length * 2)
  grown.set(array)
  return grown
}

/** The text of which a table had the bytes from `start` to `end`. */
export const textOf = (bytes: Uint8Array, start: number, end: number): string => {
  let text = ""
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0
    const next = () => (bytes[++at] ?? 0) & 0x3f
    const unit = byte < 0x80
      ? byte
      : byte < 0xe0
      ? ((byte & 0x1f) << 6) | next()
      : ((byte & 0xf) << 12) | (next() << 6) | next()
    text += String.fromCharCode(unit)
  }
  return text
}
