/**
 * What a run has cost so far and may come to cost, against what it may.
 */
import type { ShardState } from "../RunState.js"

/** What was charged for a shard, when it is known. Rows that are missing may have been charged, like the others. */
export const chargedFor = ({ bill, tally }: ShardState): bigint | null => {
  const missing = tally?.missing ?? 0
  if (bill === null || bill.unpriced > 0 || (missing > 0 && bill.priced === 0)) return null
  return missing === 0 ? bill.charged : bill.charged * BigInt(bill.priced + missing) / BigInt(bill.priced)
}

/** Whether that is all that can have been charged for a shard: each of its answers came, and says what it used. */
export const isChargeKnown = ({ bill, tally }: ShardState): boolean =>
  bill !== null && bill.unpriced === 0 && (tally?.missing ?? 0) === 0

/** What a shard may cost: the most that is expected, and what it cannot pass, `null` where nothing limits it. */
export interface Commitment {
  readonly expected: bigint
  readonly atMost: bigint | null
}

/** Of what costs nothing, or is not counted. */
export const nothing: Commitment = { expected: 0n, atMost: 0n }

/** What both cannot pass together. */
export const sumAtMost = (one: bigint | null, other: bigint | null): bigint | null =>
  one === null || other === null ? null : one + other

const larger = (one: bigint, other: bigint): bigint => one > other ? one : other

/**
 * The sum of a run: for each shard what was charged, or, from when it is
 * sent until that is known, the most that is expected. Plain bookkeeping in picodollars.
 */
export class Budget {
  private readonly commitments = new Map<string, Commitment>()
  /** What is spent, and what is expected to come to it at most. */
  total = 0n

  constructor(
    /** `null` for no limit. */
    readonly limit: bigint | null
  ) {}

  /** What is spent and committed cannot come to more than this; `null` where nothing limits it. */
  get atMost(): bigint | null {
    let sum: bigint | null = 0n
    for (const { atMost } of this.commitments.values()) sum = sumAtMost(sum, atMost)
    return sum
  }

  /** Puts down what a shard may cost, in the place of what was put down before. */
  put(shard: string, commitment: Commitment): void {
    this.total += commitment.expected - (this.commitments.get(shard) ?? nothing).expected
    this.commitments.set(shard, commitment)
  }

  /** A shard was not sent after all. */
  free(shard: string): void {
    this.put(shard, nothing)
  }

  /** Puts down what a shard has cost. What nobody knows may still have been charged, as much as it can be. */
  settle(state: ShardState): void {
    const { bill, shard } = state
    if (bill === null) return
    const before = this.commitments.get(shard.id) ?? nothing
    const expected = chargedFor(state) ?? larger(before.expected, bill.charged)
    const atMost = isChargeKnown(state)
      ? bill.charged
      : before.atMost === null
      ? null
      : larger(before.atMost, expected)
    this.put(shard.id, { expected, atMost })
  }

  /** Whether so much more may be put down. */
  allows(amount: bigint): boolean {
    return this.limit === null || this.total + amount <= this.limit
  }
}
