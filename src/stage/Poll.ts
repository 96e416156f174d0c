/**
 * The third stage: waits until a batch has ended.
 *
 * All waits share one watcher. A round of it takes list pages until every batch that is waited for was seen, or asks for
 * each by itself, whichever is fewer requests; each waiting `poll` reads its own batch from it. Nothing that may pass
 * (a rate limit, a server error, a reset, an HTML page) ends a wait.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Batch, EndedBatch } from "../Batch.js"
import { BatchCancelled, BatchErrored, BatchExpired, PollTimeout } from "../BatchError.js"
import * as BatchWatcher from "../internal/BatchWatcher.js"
import { Provider } from "../Provider.js"
import type { ProviderError } from "../ProviderError.js"

/**
 * What can end a wait.
 *
 * @since 0.1.0
 * @category errors
 */
export type PollError = BatchExpired | BatchErrored | BatchCancelled | PollTimeout | ProviderError

/**
 * The interface of the stage.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Waits until the batch has ended. A batch that expired, failed or was cancelled is an error that carries the ended
   * batch, so that `Fetch` can salvage what was answered.
   */
  readonly poll: (batch: Batch) => Effect.Effect<EndedBatch, PollError>

  /** The batch each time it is seen to have changed, the last time when it has ended. */
  readonly updates: (batch: Batch) => Stream.Stream<Batch, PollTimeout | ProviderError>
}

/**
 * The stage that waits for batches.
 *
 * @since 0.1.0
 * @category tags
 */
export class Poll extends Context.Tag("llm-batch/stage/Poll")<Poll, Service>() {}

/**
 * When to look, and how long to wait.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The pauses between two rounds; `defaultSchedule` unless given. It begins again when a further batch is waited for. */
  readonly schedule?: Schedule.Schedule<unknown> | undefined
  /** The longest wait for one batch: 25 hours, the providers' window and a grace. */
  readonly maxWait?: Duration.DurationInput | undefined
}

/**
 * Quick at first, then every 60 seconds, with some jitter.
 *
 * @since 0.1.0
 * @category schedules
 */
export const defaultSchedule: Schedule.Schedule<unknown> = Schedule.exponential("2 seconds", 1.5).pipe(
  Schedule.modifyDelay((_, delay) => Duration.min(delay, Duration.seconds(60))),
  Schedule.jittered
)

/**
 * Always the same pause, with some jitter: what `--poll-interval` makes.
 *
 * @since 0.1.0
 * @category schedules
 */
export const every = (interval: Duration.DurationInput): Schedule.Schedule<unknown> =>
  Schedule.jittered(Schedule.spaced(interval))

const make = (options: Options): Effect.Effect<Service, never, Provider | Scope.Scope> =>
  Effect.gen(function*() {
    const provider = yield* Provider
    const watcher = yield* BatchWatcher.make(provider, options.schedule ?? defaultSchedule)
    const maxWait = Duration.decode(options.maxWait ?? "25 hours")

    const updates = (batch: Batch): Stream.Stream<Batch, PollTimeout | ProviderError> => {
      if (batch.snapshot.ending !== null) return Stream.make(batch)
      const timeout = new PollTimeout({
        directory: batch.shard.directory,
        batchId: batch.id,
        waitedMillis: Duration.toMillis(maxWait)
      })
      return watcher.watch(batch).pipe(
        Stream.interruptWhen(Effect.zipRight(Effect.sleep(maxWait), Effect.fail(timeout)))
      )
    }

    const poll = Effect.fn("Poll.poll")(function*(batch: Batch) {
      const last = yield* Stream.runFold(updates(batch), batch, (_, seen) => seen)
      return yield* conclude(last)
    })

    return Poll.of({ poll, updates })
  })

/** What an ended batch is for the one who waited. */
const conclude = (
  { shard, snapshot }: Batch
): Effect.Effect<EndedBatch, BatchExpired | BatchErrored | BatchCancelled> => {
  const { ending } = snapshot
  if (ending === null) return Effect.dieMessage(`The updates of batch ${snapshot.id} stopped before it had ended`)
  const batch = new EndedBatch({ shard, snapshot, ending })
  switch (ending) {
    case "completed":
      return Effect.succeed(batch)
    case "expired":
      return Effect.fail(new BatchExpired({ batch }))
    case "failed":
      return Effect.fail(new BatchErrored({ batch }))
    case "cancelled":
      return Effect.fail(new BatchCancelled({ batch }))
  }
}

/**
 * The stage for the provider that is provided, with other pauses or another longest wait.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<Poll, never, Provider> => Layer.scoped(Poll, make(options))

/**
 * The stage for the provider that is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Poll, never, Provider> = layerWith({})
