/**
 * Random numbers that a seed decides.
 */

/** Mixes the bits of a number, so that near seeds have nothing in common. */
const mix = (seed: number): number => {
  let value = Math.imul(seed ^ (seed >>> 16), 0x21f0aaad)
  value = Math.imul(value ^ (value >>> 15), 0x735a2d97)
  return (value ^ (value >>> 15)) >>> 0
}

/** A number for a text and a number before it: the same one each time. */
export const hash = (text: string, before = 0x811c9dc5): number => {
  let value = before
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return mix(value)
}

export class Dice {
  private state: number

  constructor(seed: number) {
    this.state = mix(seed + 0x9e3779b9)
  }

  /** Dice of their own for one concern: how often others are thrown does not change them. */
  static of(seed: number, ...concern: ReadonlyArray<string | number>): Dice {
    return new Dice(hash(concern.join("/"), mix(seed)))
  }

  /** At least 0 and less than 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let value = Math.imul(this.state ^ (this.state >>> 15), this.state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return ((value ^ (value >>> 14)) >>> 0) / 4294967296
  }

  /** A whole number, at least 0 and less than the limit. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  /** A whole number between two, both of them included. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  /** Whether something of this probability happens. */
  happens(probability: number): boolean {
    return this.next() < probability
  }

  of<A>(choices: readonly [A, ...ReadonlyArray<A>]): A {
    return choices[this.below(choices.length)] ?? choices[0]
  }

  /** One of several, some more likely than others. */
  weighted<A>(choices: ReadonlyArray<readonly [weight: number, choice: A]>, otherwise: A): A {
    let left = this.next() * choices.reduce((sum, [weight]) => sum + weight, 0)
    for (const [weight, choice] of choices) {
      left -= weight
      if (left < 0) return choice
    }
    return otherwise
  }
}
