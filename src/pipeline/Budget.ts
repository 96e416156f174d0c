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

/**
 * The sum of a run: for each shard what was charged, or, from when it is
 * sent until that is known, the most that is expected. Plain bookkeeping in picodollars.
 */
export class Budget {
  private readonly amounts = new Map<string, bigint>()
  /** What is spent, and what may come to it. */
  total = 0n

  constructor(
    /** `null` for no limit. */
    readonly limit: bigint | null
  ) {}

  /** Puts an amount down for a shard, in the place of what was put down before. */
  put(shard: string, amount: bigint): void {
    this.total += amount - (this.amounts.get(shard) ?? 0n)
    this.amounts.set(shard, amount)
  }

  /** What is put down for a shard is no less than this. */
  atLeast(shard: string, amount: bigint): void {
    if (amount > (this.amounts.get(shard) ?? 0n)) this.put(shard, amount)
  }

  /** Whether so much more may be put down. */
  allows(amount: bigint): boolean {
    return this.limit === null || this.total + amount <= this.limit
  }
}
