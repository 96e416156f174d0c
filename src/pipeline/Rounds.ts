/**
 * What a run does when all that was asked has an outcome: which rows are asked again, through which API, until when
 * batches are waited for.
 */
import * as DateTime from "effect/DateTime"
import * as Cost from "../Cost.js"
import * as Mode from "../Mode.js"
import { AskAgainReason, type Finish, type RunState } from "../RunState.js"
import type { Shard } from "../Shard.js"
import type { Tally } from "../Tally.js"
import * as AskAgain from "./AskAgain.js"
import { chargedFor } from "./Budget.js"

/** What the caller says of it this time; where it says nothing, the run's own description counts. */
export interface Wishes {
  readonly retries?: number | undefined
  readonly repair?: number | undefined
  readonly finish?: Finish | undefined
}

/** Whether a shard holds rows that are tried first. */
export const isTried = ({ run }: RunState, { attempt, lastRow }: Shard): boolean =>
  attempt === 1 && lastRow <= (run.options.tryRows ?? 0)

/** Through which API the rows of a run were asked first, but for those that were only tried, or not sent. */
export const modeOf = (state: RunState): Mode.SentMode => {
  const sent = [...state.shards.values()].flatMap(({ shard }) =>
    shard.attempt > 1 || shard.mode === "reused" ? [] : [{ mode: shard.mode, tried: isTried(state, shard) }]
  )
  const { batchThreshold, mode } = state.run
  if (sent.length === 0) return Mode.forRows(mode, batchThreshold, state.rows ?? 0)
  return sent.find(({ tried }) => !tried)?.mode ?? "sync"
}

/** When batches are waited for no longer; `null` where they are waited for to their end. */
export const deadlineOf = ({ run, startedAt }: RunState, { finish }: Wishes): DateTime.Utc | null => {
  const millis = (finish ?? run.finish)?.deadlineMillis ?? null
  return millis === null ? null : DateTime.add(startedAt, { millis })
}

/** Why rows of a finished run are to be asked again without anybody saying so now. */
export const reasons = (
  { rounds, run }: RunState,
  tally: Tally,
  { finish, repair, retries }: Wishes
): ReadonlyArray<AskAgainReason> => {
  const candidates = AskAgain.candidates(tally)
  const most = {
    retry: retries ?? run.retries,
    repair: repair ?? run.repair,
    finish: (finish ?? run.finish) === null ? 0 : Number.POSITIVE_INFINITY
  }
  return AskAgainReason.literals.filter((reason) => candidates[reason] > 0 && rounds[reason] < most[reason])
}

/**
 * What it would cost to ask rows again for these reasons, going by what the run's answers have cost so far; `null` when
 * that tells nothing.
 */
export const costOf = (
  { shards }: RunState,
  tally: Tally,
  reasons: ReadonlyArray<AskAgainReason>
): { readonly spent: bigint; readonly needed: bigint } | null => {
  const bill = Cost.sum([...shards.values()].flatMap(({ bill }) => bill === null ? [] : [bill]))
  if (bill.priced === 0) return null
  const rows = AskAgain.candidates(tally)
  const each = (reason: AskAgainReason): bigint => reason === "finish" ? bill.synchronous : bill.charged
  const needed = reasons.reduce((sum, reason) => sum + each(reason) * BigInt(rows[reason]) / BigInt(bill.priced), 0n)
  const spent = [...shards.values()].reduce((sum, state) => sum + (chargedFor(state) ?? state.bill?.charged ?? 0n), 0n)
  return { spent, needed }
}
