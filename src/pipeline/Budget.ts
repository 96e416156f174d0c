/**
 * What a run has cost and may come to cost, against what it may: for each shard what was charged, or, from when it is
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

  /** Whether so much more may be put down. */
  allows(amount: bigint): boolean {
    return this.limit === null || this.total + amount <= this.limit
  }
}
