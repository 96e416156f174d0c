/**
 * What a run does when all that was asked has an outcome: which rows are asked again, through which API, until when
 * batches are waited for.
 */
import * as DateTime from "effect/DateTime"
import type * as Mode from "../Mode.js"
import { AskAgainReason, type Finish, type RunState } from "../RunState.js"
import type { Shard } from "../Shard.js"
import type { Tally } from "../Tally.js"
import * as AskAgain from "./AskAgain.js"

/** What the caller says of it this time; where it says nothing, the run's own description counts. */
export interface Wishes {
  readonly retries?: number | undefined
  readonly repair?: number | undefined
  readonly finish?: Finish | undefined
}

/** Whether a shard holds rows that are tried first. */
export const isTried = ({ run }: RunState, { attempt, lastRow }: Shard): boolean =>
  attempt === 1 && lastRow <= (run.options.tryRows ?? 0)

/** Through which API the rows of a run were asked first, but for those that were only tried. */
export const modeOf = (state: RunState): Mode.ShardMode =>
  [...state.shards.values()].find(({ shard }) => shard.attempt === 1 && !isTried(state, shard))?.shard.mode ?? "sync"

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
