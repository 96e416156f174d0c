/**
 * What is random in the emulator is a function of its seed and of the bytes of a request: ids, times, answers, faults.
 *
 * @since 0.1.0
 */
import * as Crypto from "node:crypto"

/**
 * Thirty-two bytes drawn from a seed and a text, read as fractions, integers and ids.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fingerprint {
  /** A number in [0, 1). Each `slot` (0 to 3) gives an independent one. */
  readonly fraction: (slot: number) => number
  /** An integer in [0, below). Each `slot` (0 to 7) gives an independent one. */
  readonly int: (slot: number, below: number) => number
  /** The first `length` hexadecimal digits, at most 64. */
  readonly hex: (length: number) => string
}

/**
 * The fingerprint of a text under a seed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (seed: number, text: string): Fingerprint => {
  const bytes = Crypto.createHash("sha256").update(`${seed}\n`).update(text).digest()
  return {
    fraction: (slot) => bytes.readUIntBE(slot * 6, 6) / 2 ** 48,
    int: (slot, below) => bytes.readUInt32BE(slot * 4) % below,
    hex: (length) => bytes.toString("hex").slice(0, length)
  }
}

/**
 * The integers 0 to `count - 1` in an order drawn from the seed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const shuffled = (seed: number, count: number): Uint32Array => {
  const order = new Uint32Array(count)
  for (let i = 0; i < count; i++) order[i] = i
  let state = (seed ^ Math.imul(count, 0x9e3779b1)) >>> 0
  for (let i = count - 1; i > 0; i--) {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    const j = ((mixed ^ (mixed >>> 14)) >>> 0) % (i + 1)
    const swap = order[i] ?? 0
    order[i] = order[j] ?? 0
    order[j] = swap
  }
  return order
}
