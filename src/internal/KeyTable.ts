/**
 * A map from keys of 128 bits to a few small numbers, in typed arrays: so many keys cost no more than their bytes, and the
 * collector never looks at them. Keys are expected to be hashes, whose bits are as good as random.
 *
 * A key takes 16 bytes and each number 4; the slots beside them take 6 to 12 bytes more.
 */

const keyWords = 4

/** Entries are kept in pieces, so that nothing is copied when there are more. */
const pieceEntries = 1 << 13

/** Of a hundred slots, so many may be used. */
const fullest = 70

/** The map. An entry is known by its number, from 0 in the order in which they were added. */
export class KeyTable {
  /** How many keys there are. */
  size = 0
  private readonly pieces: Array<Uint32Array> = []
  private readonly entryWords: number
  /** The number of an entry plus one; 0 for none. */
  private slots = new Uint32Array(1 << 10)

  /** `numbers` is how many numbers come with each key, each a whole one below 2 ** 32. */
  constructor(numbers: number) {
    this.entryWords = keyWords + numbers
  }

  /** The entry of a key; `undefined` where there is none. */
  find(key: Buffer): number | undefined {
    const slot = this.slots[this.slotOf(key)] ?? 0
    return slot === 0 ? undefined : slot - 1
  }

  /** Adds a key that is not there, with its numbers. */
  add(key: Buffer, ...numbers: ReadonlyArray<number>): void {
    if ((this.size + 1) * 100 > this.slots.length * fullest) this.grow()
    const entry = this.size++
    if (entry % pieceEntries === 0) this.pieces.push(new Uint32Array(pieceEntries * this.entryWords))
    const piece = this.pieceOf(entry)
    const at = (entry % pieceEntries) * this.entryWords
    for (let word = 0; word < keyWords; word++) piece[at + word] = key.readUInt32LE(word * 4)
    for (const [index, number] of numbers.entries()) piece[at + keyWords + index] = number
    this.slots[this.slotOf(key)] = entry + 1
  }

  /** A number of an entry. */
  number(entry: number, index = 0): number {
    return this.pieceOf(entry)[(entry % pieceEntries) * this.entryWords + keyWords + index] ?? 0
  }

  /** Changes a number of an entry. */
  setNumber(entry: number, number: number, index = 0): void {
    this.pieceOf(entry)[(entry % pieceEntries) * this.entryWords + keyWords + index] = number
  }

  /** The slot of a key, or the free one where it belongs. */
  private slotOf(key: Buffer): number {
    const mask = this.slots.length - 1
    for (let slot = key.readUInt32LE(0) & mask;; slot = (slot + 1) & mask) {
      const entry = this.slots[slot] ?? 0
      if (entry === 0 || this.has(entry - 1, key)) return slot
    }
  }

  private has(entry: number, key: Buffer): boolean {
    const piece = this.pieceOf(entry)
    const at = (entry % pieceEntries) * this.entryWords
    for (let word = 0; word < keyWords; word++) {
      if (piece[at + word] !== key.readUInt32LE(word * 4)) return false
    }
    return true
  }

  private pieceOf(entry: number): Uint32Array {
    return this.pieces[Math.floor(entry / pieceEntries)] ?? none
  }

  private grow(): void {
    const slots = new Uint32Array(this.slots.length * 2)
    const mask = slots.length - 1
    for (let entry = 0; entry < this.size; entry++) {
      let slot = (this.pieceOf(entry)[(entry % pieceEntries) * this.entryWords] ?? 0) & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = entry + 1
    }
    this.slots = slots
  }
}

const none = new Uint32Array(0)
