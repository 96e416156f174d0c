/**
 * What an emulator knows: the files and batches of its accounts, and the calls it was made.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Context } from "./Answer.js"
import type { EmulatedTime } from "./EmulatedTime.js"
import type { FaultPlan } from "./FaultPlan.js"
import type { JsonObject } from "./Json.js"
import type { Endpoint } from "./OpenAiRequest.js"
import type { Options } from "./Options.js"
import type { RateLimits } from "./RateLimits.js"
import type { RowIndex, Spool } from "./RowStore.js"

/**
 * What became of the rows of a batch that has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settled {
  readonly succeeded: number
  readonly errored: number
  readonly expired: number
  readonly cancelled: number
  readonly inputTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
  readonly reasoningTokens: number
  /** Bytes of the output file (Anthropic: of the results) and of the error file, as plain text. */
  readonly outputBytes: number
  readonly errorBytes: number
  /** For each row, 1 when it has a line in the output file, plus 2 when it has one in the error file. */
  readonly places: Uint8Array
}

/**
 * A batch.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredBatch {
  readonly id: string
  /** Counts up with every batch. */
  readonly order: number
  readonly provider: "openai" | "anthropic"
  readonly account: string
  readonly keyFingerprint: string
  /** OpenAI: where its rows go. */
  readonly endpoint: Endpoint
  /** Anthropic: the beta headers of the create. */
  readonly betas: ReadonlySet<string>
  readonly inputFileId: string | undefined
  readonly metadata: JsonObject | null
  /** OpenAI: seconds that the output file lives. */
  readonly outputLifetime: number
  readonly createdAt: number
  readonly spool: Spool
  readonly rows: RowIndex
  readonly plan: FaultPlan
  /** Whether the plan makes it expire as a whole. */
  readonly expires: boolean
  /** OpenAI: what validation found. */
  readonly errors: Array<JsonObject>
  /** Waits until its rows are read and validated. */
  scan: Effect.Effect<void>
  /** Computes, once, what became of its rows. */
  readonly settle: Effect.Effect<Settled>
  model: string | undefined
  /** OpenAI: the tokens of its prompts, and since when they are in the queue of its model. */
  enqueued: { readonly tokens: number; readonly at: number } | undefined
  /** How the fates of its rows make it end. */
  ending: "expired" | "cancelled" | undefined
  cancelledAt: number | undefined
  settled: Settled | undefined
}

/**
 * A file of an OpenAI account: uploaded, or the output or error file of a batch.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoredFile {
  readonly id: string
  readonly account: string
  readonly purpose: string
  readonly filename: string
  readonly bytes: number
  readonly createdAt: number
  readonly expiresAt: number | undefined
  readonly content:
    | { readonly _tag: "Spool"; readonly spool: Spool }
    | { readonly _tag: "Results"; readonly batch: StoredBatch; readonly part: "output" | "error" }
}

/**
 * The state of one emulator. Maps keep the order of creation.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly options: Options
  readonly time: EmulatedTime
  readonly answers: Context
  /** A temporary directory that goes with the scope. */
  readonly directory: string
  readonly scope: Scope.Scope
  readonly files: Map<string, StoredFile>
  readonly batches: Map<string, StoredBatch>
  /** Deleted batches keep their place in the books. */
  readonly deleted: Map<string, StoredBatch>
  /** Calls by route and by what they were answered. */
  readonly calls: Map<string, Map<string, number>>
  /** Is told the route of each of them. */
  readonly onCall: (route: string) => void
  /** How often a request body met its fault. */
  readonly faulted: Map<string, number>
  /** How often each fault of calls, and each route, was asked about, and how often the fault struck. */
  readonly strikes: Map<unknown, { seen: number; struck: number }>
  /** The limits of direct calls. */
  readonly rateLimits: RateLimits
  /** Answers that were given directly, outside of any batch. */
  readonly direct: { calls: number; inputTokens: number; outputTokens: number }
  faults: FaultPlan
  /** A number that was never used before. */
  readonly next: () => number
  /** A new id with a prefix. */
  readonly newId: (prefix: string) => string
}
