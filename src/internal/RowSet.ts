/** A set of row numbers as bits: a shard's rows take as many bytes as an eighth of the span that they cover. */
export class RowSet {
  private readonly bits: Uint8Array
  private count = 0

  constructor(private readonly first: number, private readonly last: number) {
    this.bits = new Uint8Array(((last - first) >>> 3) + 1)
  }

  /** How many rows are in it. */
  get size(): number {
    return this.count
  }

  /** Adds a row; one outside the span is passed over. */
  add(row: number): void {
    if (row < this.first || row > this.last) return
    const index = row - this.first
    const mask = 1 << (index & 7)
    const byte = this.bits[index >>> 3] ?? 0
    if ((byte & mask) !== 0) return
    this.bits[index >>> 3] = byte | mask
    this.count++
  }

  /** The rows that are in this one or in another one of the same span. */
  union(other: RowSet): RowSet {
    const both = new RowSet(this.first, this.last)
    for (let at = 0; at < this.bits.length; at++) {
      let byte = (this.bits[at] ?? 0) | (other.bits[at] ?? 0)
      both.bits[at] = byte
      for (; byte !== 0; byte &= byte - 1) both.count++
    }
    return both
  }

  /** Whether a row is in it. */
  has(row: number): boolean {
    if (row < this.first || row > this.last) return false
    const index = row - this.first
    return ((this.bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0
  }
}
