/**
 * What happens in a run while it happens, for whoever shows it. Events are told to `Progress`, which does nothing
 * unless a program gives it something to do.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as DateTime from "effect/DateTime"
import type { Batch, EndedBatch } from "./Batch.js"
import type { AskAgainReason } from "./RunState.js"
import type { Shard } from "./Shard.js"
import type { Tally } from "./Tally.js"

/**
 * What happens in a run.
 *
 * @since 0.1.0
 * @category models
 */
export type RunEvent =
  /** Rows were built, so many up to now. Told now and then, not for every row. */
  | { readonly _tag: "RowsBuilt"; readonly rows: number }
  | { readonly _tag: "ShardBuilt"; readonly shard: Shard }
  /** Something to be told once: a default that was filled in, a field that was dropped. */
  | { readonly _tag: "Notice"; readonly text: string }
  /** Bytes of a shard went to the provider, so many up to now in this try. */
  | { readonly _tag: "BytesSent"; readonly shard: Shard; readonly bytes: number }
  | { readonly _tag: "BatchCreated"; readonly batch: Batch; readonly adopted: boolean }
  /** A submit waits before it looks or tries again. */
  | { readonly _tag: "SubmitWaiting"; readonly shard: Shard; readonly waitMillis: number; readonly detail: string }
  /** A limit keeps shards from being sent; so many wait. `waitMillis` is `null` when something has to end first. */
  | {
    readonly _tag: "SendingHeld"
    readonly shard: Shard
    readonly shards: number
    readonly waitMillis: number | null
    readonly detail: string
  }
  /** The provider's queue was too full for a batch: its shard is sent again when there is room. */
  | { readonly _tag: "BatchDeclined"; readonly batch: EndedBatch; readonly detail: string }
  /** A shard was cut into smaller ones, which fit into what is left of the queue. */
  | { readonly _tag: "ShardSplit"; readonly shard: Shard; readonly shards: ReadonlyArray<Shard> }
  | { readonly _tag: "BatchObserved"; readonly batch: Batch }
  /** A look at the batches failed in a way that may pass; the wait goes on. */
  | { readonly _tag: "PollTrouble"; readonly detail: string }
  /** A batch will expire soon, with what is not answered by then. */
  | { readonly _tag: "BatchExpiring"; readonly batch: Batch; readonly expiresAt: DateTime.Utc }
  /** The time to wait for batches is over: this one is cancelled, and ends with what was answered. */
  | { readonly _tag: "DeadlineReached"; readonly batch: Batch }
  | { readonly _tag: "BatchEnded"; readonly batch: EndedBatch }
  /** Rows of a shard that are asked one by one: so many have an answer on disk by now. Told now and then. */
  | {
    readonly _tag: "RowsAnswered"
    readonly shard: Shard
    readonly answered: number
    readonly rows: number
    /** Rows whose answers were lost on the way, and which were asked again, in this process. */
    readonly mayBeBilledTwice: number
  }
  /** No row is asked for so long: a limit is reached, or the provider asks to wait. */
  | { readonly _tag: "AskWaiting"; readonly waitMillis: number; readonly detail: string }
  /** A download was shorter than it should be and is made again. */
  | { readonly _tag: "DownloadRepeated"; readonly batch: EndedBatch; readonly rows: number; readonly shortBy: number }
  | { readonly _tag: "ShardNormalized"; readonly shard: Shard; readonly tally: Tally }
  /** A shard could not be brought to its end; the others go on. */
  | { readonly _tag: "ShardFailed"; readonly shard: Shard; readonly detail: string }
  /** Rows are asked again; those that were missing may be charged a second time. */
  | {
    readonly _tag: "RetryBuilt"
    readonly attempt: number
    readonly reasons: ReadonlyArray<AskAgainReason>
    readonly rows: number
    readonly mayBeBilledTwice: number
  }
  | { readonly _tag: "RunFinished"; readonly tally: Tally }

/**
 * Takes events as they happen. `tell` is synchronous and must be quick: it is called on the row path.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listener {
  readonly tell: (event: RunEvent) => void
}

/**
 * Who is told of events; nobody, unless it is provided.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { Progress } from "llm-batch/RunEvent"
 *
 * const loudly = <A, E, R>(program: Effect.Effect<A, E, R>) =>
 *   Effect.provideService(program, Progress, { tell: (event) => console.error(event._tag) })
 * ```
 *
 * @since 0.1.0
 * @category tags
 */
export class Progress extends Context.Reference<Progress>()("llm-batch/Progress", {
  defaultValue: (): Listener => ({ tell: () => undefined })
}) {}
