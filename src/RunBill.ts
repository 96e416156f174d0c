/**
 * The bill of a run: what its answers have cost by now, by what its journal knows. Nothing is read but the state, and
 * no price is looked up: each shard's bill was made when its results were normalised.
 *
 * - `make` is the bill of a run;
 * - `toJson` is that as the manifest and `llm-batch cost --json` have it.
 *
 * ```ts
 * import * as Cost from "llm-batch/Cost"
 * import type { RunReport } from "llm-batch/Pipeline"
 * import * as RunBill from "llm-batch/RunBill"
 *
 * const told = ({ state }: RunReport): string => Cost.formatBill(RunBill.make(state).bill)
 * ```
 *
 * @since 0.1.0
 */
import * as Cost from "./Cost.js"
import type { ShardMode } from "./Mode.js"
import type { RunState, ShardState } from "./RunState.js"

/**
 * Shards of a run taken together, and what they have cost.
 *
 * @since 0.1.0
 * @category models
 */
export interface ShardsBill {
  readonly shards: number
  readonly rows: number
  readonly bill: Cost.Bill
  /** Rows that may have been sent, and whose cost is not known yet. A row that is asked again counts again. */
  readonly openRows: number
  /** Rows that are to be sent, and were not by now. */
  readonly unsentRows: number
  /** Rows that were normalised by an older version, which kept no bill: to normalise them again makes one. */
  readonly unbilledRows: number
  /** Rows whose answers never came: each may have been charged, and is in no sum. */
  readonly missingRows: number
  /** Whether the sums say anything. */
  readonly isKnown: boolean
}

/**
 * The shards of a run that were asked in one attempt and in one way.
 *
 * @since 0.1.0
 * @category models
 */
export interface AttemptBill extends ShardsBill {
  /** From 1. */
  readonly attempt: number
  readonly mode: ShardMode
}

/**
 * What a run has cost, as far as its journal knows.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunBill extends ShardsBill {
  /** By the model whose prices they are, in the order in which they answered. */
  readonly models: ReadonlyArray<{ readonly model: string; readonly bill: Cost.Bill }>
  readonly attempts: ReadonlyArray<AttemptBill>
  /** Missing rows that were asked again, and so may have been charged twice. */
  readonly rowsMayBeChargedTwice: number
}

const rowsOf = (shards: ReadonlyArray<ShardState>): number => shards.reduce((sum, { shard }) => sum + shard.rows, 0)

/** Things by what they have in common, in the order of the first of each. */
const grouped = <A>(things: ReadonlyArray<A>, key: (thing: A) => string): ReadonlyMap<string, ReadonlyArray<A>> => {
  const groups = new Map<string, Array<A>>()
  for (const thing of things) {
    const name = key(thing)
    const group = groups.get(name)
    if (group === undefined) groups.set(name, [thing])
    else group.push(thing)
  }
  return groups
}

/**
 * What shards have cost by now. The bill of a shard is known when it is normalised; one that is normalised again has a
 * new bill in the place of the old one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofShards = (shards: ReadonlyArray<ShardState>): ShardsBill => {
  const bill = Cost.sum(shards.flatMap(({ bill }) => bill ?? []))
  const sent = shards.filter(({ shard }) => shard.mode !== "reused")
  const pending = sent.filter(({ tally }) => tally === null)
  const unsentRows = rowsOf(pending.filter(({ status }) => status === "built"))
  const openRows = rowsOf(pending) - unsentRows
  const unbilledRows = rowsOf(sent.filter(({ bill, tally }) => bill === null && tally !== null))
  return {
    shards: shards.length,
    rows: rowsOf(shards),
    bill,
    openRows,
    unsentRows,
    unbilledRows,
    missingRows: sent.reduce((sum, { tally }) => sum + (tally?.missing ?? 0), 0),
    isKnown: bill.priced > 0 || bill.unpriced + openRows + unbilledRows === 0
  }
}

/**
 * What a run has cost by now.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ rowsMayBeChargedTwice, shards: all }: RunState): RunBill => {
  const shards = [...all.values()]
  const bills = shards.flatMap(({ bill }) => bill?.models ?? [])
  return {
    ...ofShards(shards),
    models: [...grouped(bills, ({ model }) => model)].map(([model, of]) => ({ model, bill: Cost.sum(of) })),
    attempts: [...grouped(shards, ({ shard: { attempt, mode } }) => `${attempt} ${mode}`).values()].flatMap((of) =>
      of.slice(0, 1).map(({ shard: { attempt, mode } }) => ({ attempt, mode, ...ofShards(of) }))
    ),
    rowsMayBeChargedTwice
  }
}

const shardsToJson = (bill: ShardsBill) => ({
  ...Cost.toJson(bill.bill, bill.isKnown),
  rows_not_known_yet: bill.openRows,
  rows_not_sent: bill.unsentRows,
  rows_without_a_bill: bill.unbilledRows,
  rows_missing: bill.missingRows
})

/**
 * The bill of a run as JSON, in dollars as exact decimal text. Sums that say nothing are `null`, and never 0.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toJson = (bill: RunBill) => ({
  ...shardsToJson(bill),
  rows_maybe_charged_twice: bill.rowsMayBeChargedTwice,
  models: bill.models.map(({ bill, model }) => ({ model, ...Cost.toJson(bill) })),
  attempts: bill.attempts.map((attempt) => ({
    attempt: attempt.attempt,
    mode: attempt.mode,
    shards: attempt.shards,
    rows: attempt.rows,
    ...shardsToJson(attempt)
  }))
})
