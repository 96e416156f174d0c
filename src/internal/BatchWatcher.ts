/**
 * One watcher for all batches of a provider that somebody waits for.
 *
 * A `RequestResolver` does not do this: forked fibers do not batch, and batching in lock-step lets one sleeper hold up
 * all the others.
 */
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Take from "effect/Take"
import { Batch, type BatchSnapshot } from "../Batch.js"
import type * as Provider from "../Provider.js"
import { isTransient, ProviderError, retryAfter } from "../ProviderError.js"
import { Progress } from "../RunEvent.js"

/** Watches batches for whoever waits. */
interface BatchWatcher {
  /** The batch each time it has changed, ending with its end. */
  readonly watch: (batch: Batch) => Stream.Stream<Batch, ProviderError>
}

type Listener = Queue.Enqueue<Take.Take<Batch, ProviderError>>

/** One batch that is waited for. */
interface Watched {
  readonly listeners: Set<Listener>
  batch: Batch
  /** How many rounds in a row the provider did not know it: what it shows can lag behind a create. */
  unknownRounds: number
}

/** After so many rounds a batch that the provider does not know is believed to be gone. */
const unknownRoundsAtMost = 5

/** A look that takes longer is given up, and made again: a socket can hang, or bring a byte a second for ever. */
const longestLook = Duration.minutes(2)

/** How soon the first look follows when somebody begins to wait: long enough to gather all who begin together. */
const gathering = Duration.millis(100)

const order: Record<BatchSnapshot["status"], number> = {
  validating: 0,
  in_progress: 1,
  finalizing: 2,
  cancelling: 3,
  ended: 4
}

const rowsDone = ({ counts }: BatchSnapshot): number =>
  counts.succeeded + counts.errored + counts.expired + counts.cancelled

/** A batch only goes forward: an answer from a server that lags behind is passed over. */
const isNewer = (before: BatchSnapshot, after: BatchSnapshot): boolean =>
  order[after.status] > order[before.status]
  || (after.status === before.status && rowsDone(after) > rowsDone(before))

/** The same call, given up when it takes too long. */
const withinReason =
  (provider: Provider.Service, operation: string) =>
  <A>(call: Effect.Effect<A, ProviderError>): Effect.Effect<A, ProviderError> =>
    Effect.timeoutFail(call, {
      duration: longestLook,
      onTimeout: () =>
        new ProviderError({
          provider: provider.name,
          operation,
          reason: "unreachable",
          status: null,
          retryAfterMillis: null,
          detail: `no whole answer within ${Duration.format(longestLook)}`
        })
    })

const tellTrouble = (error: ProviderError) =>
  Effect.map(Progress, ({ tell }) => tell({ _tag: "PollTrouble", detail: error.message }))

/** A watcher that lives as long as the scope, and looks at nothing while nobody waits. */
export const make = Effect.fnUntraced(function*(provider: Provider.Service, schedule: Schedule.Schedule<unknown>) {
  const scope = yield* Effect.scope
  const watched = new Map<string, Watched>()
  let running = false
  let newcomer = yield* Deferred.make<void>()
  /** Requests that a look through the list took the last time; a guess until there was one. */
  let listRequests = 1

  const close = (id: string, one: Watched, last: Take.Take<Batch, ProviderError>) =>
    Effect.suspend(() => {
      watched.delete(id)
      return Effect.forEach(one.listeners, (listener) => Queue.offer(listener, last), { discard: true })
    })

  const failAll = (cause: Cause.Cause<ProviderError>) =>
    Effect.suspend(() =>
      Effect.forEach([...watched], ([id, one]) => close(id, one, Take.failCause(cause)), { discard: true })
    )

  const observe = Effect.fnUntraced(function*(snapshot: BatchSnapshot) {
    const one = watched.get(snapshot.id)
    if (one === undefined) return
    one.unknownRounds = 0
    if (!isNewer(one.batch.snapshot, snapshot)) return
    const batch = new Batch({ shard: one.batch.shard, snapshot })
    one.batch = batch
    yield* Effect.forEach(one.listeners, (listener) => Queue.offer(listener, Take.of(batch)), { discard: true })
    if (snapshot.ending !== null) yield* close(snapshot.id, one, Take.end)
  })

  /** What a failed look at one batch means for it. Only trouble with the key concerns the others too. */
  const failedLook = Effect.fnUntraced(function*(id: string, error: ProviderError) {
    const one = watched.get(id)
    if (error.reason === "auth") return yield* error
    if (one === undefined) return Duration.zero
    const goesOn = error.reason === "gone" ? ++one.unknownRounds < unknownRoundsAtMost : isTransient(error)
    yield* goesOn ? tellTrouble(error) : close(id, one, Take.fail(error))
    return retryAfter(error)
  })

  /** Pages from the newest batch back to the oldest that is waited for, while that is fewer requests than one for each. */
  const listRound = Effect.fnUntraced(function*(unseen: Set<string>) {
    const oldest = Math.min(...[...watched.values()].map((one) => DateTime.toEpochMillis(one.batch.snapshot.createdAt)))
    let cursor: string | null = null
    let pages = 0
    do {
      const page: Provider.BatchPage = yield* withinReason(provider, "list batches")(provider.list(cursor))
      pages++
      for (const snapshot of page.batches) {
        if (unseen.delete(snapshot.id)) yield* observe(snapshot)
      }
      const last = page.batches.at(-1)
      cursor = last === undefined || DateTime.toEpochMillis(last.createdAt) < oldest ? null : page.next
    } while (cursor !== null && unseen.size > 1 && pages < watched.size)
    listRequests = pages + unseen.size
  })

  /** Asks for each batch by itself; gives how long the provider asked us to stay away. */
  const singleRound = (unseen: ReadonlySet<string>) =>
    Effect.map(
      Effect.forEach(
        unseen,
        (id) =>
          provider.retrieve(id).pipe(
            withinReason(provider, `retrieve ${id}`),
            Effect.flatMap(observe),
            Effect.as(Duration.zero),
            Effect.catchAll((error) => failedLook(id, error))
          ),
        { concurrency: 4 }
      ),
      (pauses) => pauses.reduce(Duration.max, Duration.zero)
    )

  /** One look at every batch that is waited for; gives how long the provider asked us to stay away. */
  const round = Effect.gen(function*() {
    const unseen = new Set(watched.keys())
    if (unseen.size > listRequests) {
      const failure = yield* Effect.flip(listRound(unseen)).pipe(Effect.option)
      if (failure._tag === "Some") {
        const error = failure.value
        yield* tellTrouble(error)
        // A list that is not to be had must not keep anybody from asking for the batches one by one.
        if (error.reason === "rate-limited") return retryAfter(error)
      }
    }
    return yield* singleRound(unseen)
  }).pipe(Effect.catchAllCause((cause) => Effect.as(failAll(cause), Duration.zero)))

  const scheduleOver = new ProviderError({
    provider: provider.name,
    operation: "wait for batches",
    reason: "refused",
    status: null,
    retryAfterMillis: null,
    detail: "the schedule of looks came to its end before the batches did; they are still running"
  })

  const loop = Effect.gen(function*() {
    const driver = yield* Schedule.driver(schedule)
    while (watched.size > 0) {
      if (yield* Deferred.isDone(newcomer)) {
        newcomer = yield* Deferred.make<void>()
        yield* driver.reset
        yield* Effect.sleep(gathering)
      }
      yield* Effect.sleep(yield* round)
      if (watched.size === 0) break
      const goesOn = yield* Effect.raceFirst(
        Effect.isSuccess(driver.next(undefined)),
        Effect.as(Deferred.await(newcomer), true)
      )
      if (!goesOn) yield* failAll(Cause.fail(scheduleOver))
    }
    running = false
  })

  const join = Effect.fnUntraced(function*(batch: Batch, listener: Listener) {
    const existing = watched.get(batch.id)
    if (existing === undefined) watched.set(batch.id, { batch, listeners: new Set([listener]), unknownRounds: 0 })
    else existing.listeners.add(listener)
    yield* Deferred.succeed(newcomer, undefined)
    if (!running) {
      running = true
      yield* Effect.forkIn(Effect.interruptible(loop), scope)
    }
  })

  const leave = (id: string, listener: Listener) => {
    const one = watched.get(id)
    if (one === undefined || !one.listeners.delete(listener)) return
    if (one.listeners.size === 0) watched.delete(id)
  }

  const watch = (batch: Batch): Stream.Stream<Batch, ProviderError> =>
    Stream.unwrapScoped(Effect.gen(function*() {
      const queue = yield* Queue.unbounded<Take.Take<Batch, ProviderError>>()
      yield* Effect.acquireRelease(join(batch, queue), () => Effect.sync(() => leave(batch.id, queue)))
      return Stream.flattenTake(Stream.fromQueue(queue))
    }))

  return { watch } satisfies BatchWatcher
})
