/**
 * Lets shards be sent when the provider's queue has room for them and the budget has money: until then they wait, and
 * that is told. A limit is never a failure; only a budget that is used up ends in one.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isAtProvider, isWithdrawn } from "../Batch.js"
import * as Cost from "../Cost.js"
import * as Disk from "../internal/Disk.js"
import { Provider } from "../Provider.js"
import { BudgetReached, type DiskError, RunRejected } from "../RunError.js"
import { Progress } from "../RunEvent.js"
import { queueName, type RunState, type ShardState } from "../RunState.js"
import type { Shard } from "../Shard.js"
import { Budget, type Commitment, isChargeKnown, nothing, sumAtMost } from "./Budget.js"
import * as Forecast from "./Forecast.js"
import { type Load, type Obstacle, Queue, type QueueLimits } from "./Queue.js"

/** What limits a run. */
export interface Limits extends QueueLimits {
  /** Picodollars that all of the run may cost; `null` for no limit. */
  readonly maxCost: bigint | null
}

/** Whether a shard may be sent: now, in pieces of which there are about so many, or not by this process. */
export type Permission =
  | { readonly _tag: "Send" }
  | { readonly _tag: "Cut"; readonly pieces: number }
  | { readonly _tag: "Later" }
  | { readonly _tag: "TooLate" }

/** How long nobody looks whether the run was cancelled while a shard waits. */
const attention = Duration.minutes(1)

/** Whether something of a shard may be with the provider, or be charged, though nobody knows how much. */
const isUnderWay = ({ ended, status }: ShardState): boolean =>
  status !== "built" && status !== "normalized" && (ended === null || !isWithdrawn(ended.snapshot))

/** Whether a shard takes up room in the provider's queue. */
const isQueued = ({ ended, shard, snapshot, status }: ShardState): boolean =>
  shard.mode === "batch" && ended === null && (snapshot !== null || status === "uploaded" || status === "unanswered")

const cent = Cost.fromDollars(0.01)

/** An amount that is told as a limit: never rounded down. */
const upTo = (amount: bigint): string => {
  const step = amount < 100n * cent ? cent / 100n : cent
  return Cost.format((amount + step - 1n) / step * step)
}

/** The admission of the shards of a run, from where the run stands. */
export interface Admission {
  /**
   * Fails when shards that are to be sent will certainly cost more than the budget, or nobody knows what they cost; tells
   * when they may.
   */
  readonly checkBudget: (
    shards: ReadonlyArray<ShardState>
  ) => Effect.Effect<void, BudgetReached | RunRejected | DiskError>
  /** These shards are taken on by this process: those under way will make room. */
  readonly expect: (shards: ReadonlyArray<ShardState>) => void
  /**
   * Waits until a shard may be sent. `waits` says whether batches are waited for: else nothing that is in the way goes
   * away. Fails when the budget does not allow it, and nothing can change that.
   */
  readonly admit: <E>(
    state: ShardState,
    options: { readonly waits: boolean; readonly isTooLate: Effect.Effect<boolean, E> }
  ) => Effect.Effect<Permission, E | BudgetReached | RunRejected | DiskError>
  /** The batch of a shard has ended. */
  readonly ended: (shard: Shard) => Effect.Effect<void>
  /** Whether a shard has more tokens than the provider's queue takes, and cannot be cut: it would be declined for good. */
  readonly neverFits: (shard: Shard, tokenLimit: number) => Effect.Effect<boolean>
  /** The provider's queue had no room for the batch of a shard. */
  readonly declined: (shard: Shard, tokenLimit: number | null) => Effect.Effect<void>
  /** This process does no more for a shard; so it stands. `undefined` for one that was cut. */
  readonly over: (shard: Shard, state: ShardState | undefined) => Effect.Effect<void>
}

/** Makes the admission for a run. Models and prices are looked up only where tokens or money are limited. */
export const make = Effect.fn("Pipeline.admission")(function*(run: RunState, limits: Limits) {
  const { load } = yield* Cost.PriceSource
  const disk = yield* Disk.Disk
  const provider = yield* Provider
  const { tell } = yield* Progress
  const queue = new Queue({
    ...limits,
    maxBatchesPerHour: limits.maxBatchesPerHour ?? provider.limits.batchesPerHour
  })
  const budget = new Budget(limits.maxCost)
  const models = Effect.mapError(load, ({ message }) =>
    new RunRejected({
      directory: run.directory,
      problem: `there is a limit to tokens or to money, and what is known of models cannot be read: ${message}`,
      remedy: "Put that right, or go on without the limit."
    }))
  const forecast = yield* Effect.cached(
    Effect.provideService(Effect.flatMap(models, Forecast.make), Disk.Disk, disk)
  )
  const shards = new Map<string, Shard>()
  /** Shards that may still make room, or leave money. */
  const moving = new Set<string>()
  const uncounted = new Set<string>()
  const settled = new Set<string>()
  /** Something of the run costs nobody knows what. */
  let isPriceUnknown = false
  const turns = new Map<string, Effect.Semaphore>()
  const told = new Map<string, string>()
  let waiting = 0
  let change = yield* Deferred.make<void>()

  // Nothing comes between: who waits for what was replaced unseen would not be woken.
  const notify = Effect.flatMap(Deferred.make<void>(), (next) => {
    const before = change
    change = next
    return Deferred.succeed(before, undefined)
  })

  const loadOf = (shard: Shard, tokens: number): Load => ({
    id: shard.id,
    name: queueName(shard.model),
    rows: shard.rows,
    tokens
  })

  const tokensOf = (shard: Shard) =>
    Effect.map(Effect.flatMap(forecast, ({ tokens }) => tokens(shard)), ({ high }) => high)

  const costOf = (shard: Shard) =>
    Effect.flatMap(forecast, ({ cost }) => cost([shard])).pipe(
      Effect.map((range): Commitment => {
        if (range === null) isPriceUnknown = true
        return range === null ? nothing : { expected: range.high, atMost: range.atMost }
      })
    )

  /** Takes in what became of a shard, once: what it has cost, or at least that; and how long answers are. */
  const settle = (state: ShardState, { learn }: Forecast.Forecast) => {
    const { bill, shard, tally } = state
    budget.settle(state)
    // Answers that do not say how many tokens they have would make the others seem to have none.
    if (tally === null || bill === null || bill.unpriced > 0 || settled.has(shard.id)) return
    settled.add(shard.id)
    learn(shard, tally)
  }

  const turnOf = (name: string): Effect.Semaphore => {
    const known = turns.get(name)
    if (known !== undefined) return known
    const turn = Effect.unsafeMakeSemaphore(1)
    turns.set(name, turn)
    return turn
  }

  /** Counts the tokens of what was let in before anybody wanted to know them. */
  const countInside = Effect.fn(function*(name: string) {
    if (uncounted.size === 0) return
    for (const id of queue.insideOf(name)) {
      const shard = shards.get(id)
      if (shard === undefined || !uncounted.has(id)) continue
      const tokens = yield* tokensOf(shard)
      // It may have ended while it was counted, or somebody else may have counted it.
      if (uncounted.delete(id)) queue.count(id, tokens)
    }
  })

  for (const [name, limit] of run.tokenLimits) queue.learn(name, limit)
  for (const state of run.shards.values()) {
    const { shard, snapshot, status } = state
    if (snapshot !== null && isAtProvider(snapshot)) queue.created(DateTime.toEpochMillis(snapshot.createdAt))
    if (isQueued(state)) {
      shards.set(shard.id, shard)
      uncounted.add(shard.id)
      queue.enter(loadOf(shard, 0))
    }
    if (limits.maxCost === null || shard.mode === "reused") continue
    const isNormalized = status === "normalized"
    if (isNormalized ? !isChargeKnown(state) : isUnderWay(state)) budget.put(shard.id, yield* costOf(shard))
    if (isNormalized) settle(state, yield* forecast)
  }

  /** Why a shard has to wait, or its place: nothing comes between the look and the place. */
  const tryEnter = (shard: Shard, tokens: number, cost: Commitment, now: number): Obstacle | "money" | undefined => {
    const load = loadOf(shard, tokens)
    const obstacle = shard.mode === "batch" ? queue.obstacle(load, now) : undefined
    if (obstacle !== undefined) return obstacle
    if (!budget.allows(cost.expected)) return "money"
    if (shard.mode === "batch") {
      shards.set(shard.id, shard)
      if (!queue.countsTokens(load.name)) uncounted.add(shard.id)
      queue.enter(load)
      queue.created(now)
    }
    budget.put(shard.id, cost)
    moving.add(shard.id)
    return undefined
  }

  const held = (shard: Shard, detail: string, waitMillis: number | null) => {
    const name = queueName(shard.model)
    if (told.get(name) === detail) return
    told.set(name, detail)
    tell({ _tag: "SendingHeld", shard, shards: waiting, waitMillis, detail })
  }

  const pause = (until: Deferred.Deferred<void>, millis: number | null) =>
    Deferred.await(until).pipe(
      Effect.timeoutOption(millis === null ? attention : Duration.min(attention, Duration.millis(millis))),
      Effect.asVoid
    )

  const admit: Admission["admit"] = ({ shard }, { isTooLate, waits }) =>
    Effect.gen(function*() {
      const name = queueName(shard.model)
      for (;;) {
        if (yield* isTooLate) return { _tag: "TooLate" } as const
        // Whatever changes from here on is noticed.
        const next = change
        const counts = shard.mode === "batch" && queue.countsTokens(name)
        const tokens = counts ? yield* tokensOf(shard) : 0
        if (counts) yield* countInside(name)
        const cost = limits.maxCost === null ? nothing : yield* costOf(shard)
        const now = yield* Clock.currentTimeMillis
        // A limit came to be known in the meantime: what was not counted must not go in as nothing.
        if (!counts && shard.mode === "batch" && queue.countsTokens(name)) continue
        const obstacle = tryEnter(shard, tokens, cost, now)
        if (obstacle === undefined) {
          told.delete(name)
          return { _tag: "Send" } as const
        }
        const isStuck = moving.size === 0 || !waits
        if (obstacle === "money") {
          if (isStuck) {
            return yield* new BudgetReached({
              directory: shard.directory,
              budget: budget.limit ?? 0n,
              committed: budget.total,
              needed: cost.expected
            })
          }
          held(shard, "the budget may be used up by what is under way", null)
          yield* pause(next, null)
          continue
        }
        if (obstacle.pieces > 1) return { _tag: "Cut", pieces: obstacle.pieces } as const
        if (!waits || (obstacle.until === null && isStuck)) return { _tag: "Later" } as const
        const millis = obstacle.until === null ? null : obstacle.until - now
        held(shard, obstacle.detail, millis)
        yield* pause(next, millis)
      }
    }).pipe(
      turnOf(queueName(shard.model)).withPermits(1),
      (turn) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            waiting++
          }),
          () => turn,
          () =>
            Effect.sync(() => {
              waiting--
            })
        )
    )

  const checkBudget: Admission["checkBudget"] = (states) =>
    Effect.gen(function*() {
      const { limit } = budget
      const { directory } = run
      const isUnderWayNow = [...run.shards.values()].some((state) => state.shard.mode !== "reused" && isUnderWay(state))
      if (limit === null || (states.length === 0 && !isUnderWayNow)) return
      const range = yield* Effect.flatMap(forecast, ({ cost }) => cost(states.map(({ shard }) => shard)))
      if (range === null || isPriceUnknown) {
        // What is under way is brought.
        if (states.length === 0) return
        return yield* new RunRejected({
          directory,
          problem: "there is a budget, and the price of a model is not known",
          remedy: "Name its price in a file for --models-file, or send it without --max-cost."
        })
      }
      // What is under way is brought first: it may cost less than it could.
      if (!isUnderWayNow && !budget.allows(range.low)) {
        return yield* new BudgetReached({ directory, budget: limit, committed: budget.total, needed: range.low })
      }
      if (!budget.allows(range.high)) {
        const text = `the run may cost up to ${upTo(budget.total + range.high)}: what could pass the budget of `
          + `${Cost.format(limit)} is held back until it is known what the rest has cost`
        tell({ _tag: "Notice", text })
      }
      const atMost = sumAtMost(budget.atMost, range.atMost)
      if (atMost === null || atMost > limit) {
        const text = atMost === null
          ? "nothing limits the length of answers, so nothing limits by how much single shards can pass the budget: "
            + "--max-tokens does"
          : `if every answer were as long as it may be, the run would cost ${upTo(atMost)}: `
            + `answers longer than expected can pass the budget by up to ${upTo(atMost - limit)}`
        tell({ _tag: "Notice", text })
      }
    })

  const admission: Admission = {
    checkBudget,
    expect: (states) => {
      for (const state of states) if (isUnderWay(state)) moving.add(state.shard.id)
    },
    admit: (state, options) => isQueued(state) ? Effect.succeed({ _tag: "Send" }) : admit(state, options),
    ended: ({ id }) =>
      Effect.suspend(() => {
        queue.leave(id)
        uncounted.delete(id)
        return notify
      }),
    neverFits: (shard, tokenLimit) =>
      shard.rows > 1 ? Effect.succeed(false) : Effect.flatMap(forecast, ({ tokens }) => tokens(shard)).pipe(
        Effect.map(({ low }) => low > tokenLimit),
        // What cannot be counted may fit.
        Effect.orElseSucceed(() => false)
      ),
    declined: (shard, tokenLimit) =>
      Effect.gen(function*() {
        const name = queueName(shard.model)
        moving.delete(shard.id)
        budget.free(shard.id)
        // What is in was let in without being counted, when no limit was known. Uncounted, it counts as nothing.
        yield* Effect.ignore(countInside(name))
        const tokens = yield* Effect.orElseSucceed(tokensOf(shard), () => 0)
        uncounted.delete(shard.id)
        queue.decline(loadOf(shard, tokens), tokenLimit, yield* Clock.currentTimeMillis)
        yield* notify
      }),
    over: (shard, state) =>
      Effect.gen(function*() {
        moving.delete(shard.id)
        if (state === undefined || state.status === "built") {
          queue.leave(shard.id)
          budget.free(shard.id)
        } else if (state.tally !== null && limits.maxCost !== null && shard.mode !== "reused") {
          const known = yield* Effect.option(forecast)
          if (Option.isSome(known)) settle(state, known.value)
        }
        yield* notify
      })
  }
  return admission
})
