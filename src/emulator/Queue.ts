/**
 * The limits on what waits at a provider:
 *
 * - OpenAI: how many batches an account may make in an hour, and how many tokens of one model it may have enqueued. A
 *   create too many is answered with HTTP 429; a batch without room in the queue is made, and fails validation.
 * - Anthropic: how many requests an account may have in its batches that are not processed yet. A create too many is
 *   answered with HTTP 429.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { JsonObject } from "./Json.js"
import * as Lifecycle from "./Lifecycle.js"
import * as OpenAiScan from "./OpenAiScan.js"
import * as Refused from "./Refused.js"
import * as Standing from "./Standing.js"
import type { State, StoredBatch } from "./State.js"

const hour = 60 * 60 * 1000

/** With the separators of thousands that providers write. */
const worded = (count: number): string => count.toLocaleString("en-US")

const batchesOf = (state: State, provider: StoredBatch["provider"], account: string): ReadonlyArray<StoredBatch> =>
  [...state.batches.values()].filter((batch) => batch.provider === provider && batch.account === account)

/**
 * Lets an account make an OpenAI batch, unless it has made too many within an hour.
 *
 * @since 0.1.0
 * @category running
 */
export const admitOpenAi = (state: State, account: string): Effect.Effect<void, Refused.Refused> =>
  Effect.suspend(() => {
    const limit = state.options.openAiBatchesPerHour
    const now = state.time.now()
    const made = batchesOf(state, "openai", account).filter(({ createdAt }) => createdAt > now - hour)
    const [leaving] = made.slice(-limit)
    if (leaving === undefined || made.length < limit) return Effect.void
    const wait = state.time.toReal(leaving.createdAt + hour - now)
    return Refused.tooMany(
      "openai",
      "Rate limit reached for batch creation in organization org-emulator on batches per hour: "
        + `Limit ${limit}, Used ${made.length}, Requested 1. Please try again in ${Refused.seconds(wait)}.`,
      "requests",
      wait
    )
  })

const unprocessed = (state: State, batch: StoredBatch): number => {
  const { ended, progress } = Standing.now(state, batch)
  return ended ? 0 : batch.rows.count - Math.floor(batch.rows.count * progress)
}

/**
 * Lets an account make an Anthropic batch of so many requests, unless too many are being processed.
 *
 * @since 0.1.0
 * @category running
 */
export const admitAnthropic = (state: State, account: string, requests: number): Effect.Effect<void, Refused.Refused> =>
  Effect.suspend(() => {
    const limit = state.options.anthropicQueuedRequests
    const queued = batchesOf(state, "anthropic", account).reduce((sum, batch) => sum + unprocessed(state, batch), 0)
    return queued + requests <= limit ? Effect.void : Refused.tooMany(
      "anthropic",
      `This request would exceed your organization's limit of ${worded(limit)} batch requests in the processing queue: `
        + `${worded(queued)} are in it. Please try again when some of them are processed.`,
      "requests",
      state.time.toReal(60_000)
    )
  })

/** Tokens of the batches of this model and account that are under way. */
const queued = (state: State, batch: StoredBatch): number =>
  batchesOf(state, "openai", batch.account)
    .filter((other) => other.model === batch.model && !Standing.now(state, other).ended)
    .reduce((sum, other) => sum + (other.enqueued?.tokens ?? 0), 0)

/**
 * Takes an OpenAI batch into the queue of its model, or gives the error for which it fails.
 *
 * @since 0.1.0
 * @category running
 */
export const enqueue = (state: State, batch: StoredBatch, tokens: number): JsonObject | undefined => {
  const limit = state.options.openAiEnqueuedTokens
  if (limit === undefined) return undefined
  if (queued(state, batch) + tokens > limit) {
    return OpenAiScan.error(
      "token_limit_exceeded",
      `Enqueued token limit reached for ${batch.model} in organization org-emulator. Limit: ${worded(limit)} enqueued `
        + "tokens. Please try again once some in_progress batches have been completed."
    )
  }
  batch.enqueued = { tokens, at: state.time.now() }
  return undefined
}

/**
 * How the queue of a model went: the tokens in it from each time on, in order.
 *
 * @since 0.1.0
 * @category accessors
 */
export const changes = (
  state: State,
  batches: ReadonlyArray<StoredBatch>
): ReadonlyArray<{ readonly at: number; readonly tokens: number }> => {
  const steps = batches.flatMap((batch) => {
    if (batch.enqueued === undefined) return []
    const { at, tokens } = batch.enqueued
    const end = Lifecycle.endedAt(Standing.now(state, batch))
    return end === undefined ? [{ at, tokens }] : end <= at ? [] : [{ at, tokens }, { at: end, tokens: -tokens }]
  })
  // Whoever leaves at a time makes room for who comes at that time.
  steps.sort((a, b) => a.at - b.at || a.tokens - b.tokens)
  let tokens = 0
  return steps
    .map((step) => ({ at: step.at, tokens: tokens += step.tokens }))
    .filter(({ at }, index) => steps[index + 1]?.at !== at)
}
