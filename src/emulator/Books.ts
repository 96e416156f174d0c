/**
 * The books of an emulator: what was made, what it cost, and who called what how often.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Batches from "./Batches.js"
import { stringAt } from "./Json.js"
import * as Lifecycle from "./Lifecycle.js"
import * as Queue from "./Queue.js"
import type { State, StoredBatch } from "./State.js"

/**
 * A batch in the books. Counts and tokens of results are 0 until it has ended.
 *
 * @since 0.1.0
 * @category models
 */
export class BatchEntry extends Schema.Class<BatchEntry>("llm-batch/emulator/BatchEntry")({
  id: Schema.String,
  provider: Schema.Literal("openai", "anthropic"),
  /** OpenAI's word for where it stands, for both providers. */
  status: Schema.String,
  /** OpenAI: the code of what was found wrong with it as a whole, where it failed. */
  problem: Schema.NullOr(Schema.String),
  /** Whether it was deleted since. */
  deleted: Schema.Boolean,
  /** OpenAI: the endpoint its rows go to. */
  endpoint: Schema.NullOr(Schema.String),
  /** OpenAI: the model of its rows, once they are read. */
  model: Schema.NullOr(Schema.String),
  /** The sha256 of what was sent: the input file, or the body of the create. */
  sha256: Schema.String,
  inputBytes: Schema.Int,
  metadata: Schema.NullOr(Schema.Record({ key: Schema.String, value: Schema.Unknown })),
  /** The first digits of the sha256 of the key. */
  keyFingerprint: Schema.String,
  rows: Schema.Int,
  succeeded: Schema.Int,
  errored: Schema.Int,
  expired: Schema.Int,
  cancelled: Schema.Int,
  /** Rows that are paid for: all that succeeded, also where the result is absent from the results. */
  billed: Schema.Int,
  inputTokens: Schema.Int,
  outputTokens: Schema.Int,
  /** Milliseconds of emulated time since the epoch. */
  createdAt: Schema.Number,
  endedAt: Schema.NullOr(Schema.Number)
}) {}

/**
 * The queue of an OpenAI account for one model, where the tokens in it are limited.
 *
 * @since 0.1.0
 * @category models
 */
export class QueueEntry extends Schema.Class<QueueEntry>("llm-batch/emulator/QueueEntry")({
  model: Schema.String,
  /** The most tokens that were in it at a time. */
  peak: Schema.Int,
  /** How many batches failed because there was no room for them. */
  declined: Schema.Int,
  /** The tokens in it from a time on, in milliseconds of emulated time since the epoch, up to the next one. */
  changes: Schema.Array(Schema.Struct({ at: Schema.Number, tokens: Schema.Int }))
}) {}

/**
 * The books.
 *
 * @since 0.1.0
 * @category models
 */
export class Books extends Schema.Class<Books>("llm-batch/emulator/Books")({
  /** In the order of their creation. */
  batches: Schema.Array(BatchEntry),
  /** Sums over all batches, and the answers that were given directly. */
  totals: Schema.Struct({
    batches: Schema.Int,
    rows: Schema.Int,
    billed: Schema.Int,
    inputTokens: Schema.Int,
    outputTokens: Schema.Int,
    directCalls: Schema.Int,
    directInputTokens: Schema.Int,
    directOutputTokens: Schema.Int
  }),
  /** Inputs that were sent in more than one batch that costs or may yet cost something. */
  duplicates: Schema.Array(Schema.Struct({ sha256: Schema.String, batches: Schema.Array(Schema.String) })),
  /** One for each account and model, in the order of their first batches. */
  queues: Schema.Array(QueueEntry),
  /** Calls by route (`"POST /v1/batches"`) and by status, `reset`, `cut` or `hang`. */
  calls: Schema.Record({ key: Schema.String, value: Schema.Record({ key: Schema.String, value: Schema.Int }) }),
  /** Files that were neither deleted nor have expired. */
  filesAlive: Schema.Int,
  fileBytesAlive: Schema.Int
}) {}

/** A batch costs nothing when it has come to its end without a row that is paid for. */
const costs = (entry: BatchEntry): boolean =>
  entry.billed > 0 || !["failed", "completed", "expired", "cancelled"].includes(entry.status)

const queuesOf = (state: State, batches: ReadonlyArray<StoredBatch>): ReadonlyArray<QueueEntry> => {
  if (state.options.openAiEnqueuedTokens === undefined) return []
  const queues = new Map<string, Array<StoredBatch>>()
  for (const batch of batches) {
    if (batch.provider !== "openai" || batch.model === undefined) continue
    const key = `${batch.account}\n${batch.model}`
    queues.set(key, [...(queues.get(key) ?? []), batch])
  }
  return [...queues.values()].map((batches) => {
    const changes = Queue.changes(state, batches)
    return new QueueEntry({
      model: batches[0]?.model ?? "",
      peak: changes.reduce((most, { tokens }) => Math.max(most, tokens), 0),
      declined: batches.filter(({ errors }) => stringAt(errors[0], "code") === "token_limit_exceeded").length,
      changes
    })
  })
}

/**
 * The books as of now. Batches that have ended are settled first.
 *
 * @since 0.1.0
 * @category accessors
 */
export const make = (state: State): Effect.Effect<Books> =>
  Effect.gen(function*() {
    const all = [...state.batches.values(), ...state.deleted.values()].toSorted((a, b) => a.order - b.order)
    const batches = yield* Effect.forEach(all, (batch) =>
      Effect.map(Batches.moment(state, batch), (moment) =>
        new BatchEntry({
          id: batch.id,
          provider: batch.provider,
          status: moment.status,
          problem: moment.status === "failed" ? stringAt(batch.errors[0], "code") ?? null : null,
          deleted: state.deleted.has(batch.id),
          endpoint: batch.provider === "openai" ? batch.endpoint : null,
          model: batch.model ?? null,
          sha256: batch.spool.sha256,
          inputBytes: batch.spool.bytes,
          metadata: batch.metadata,
          keyFingerprint: batch.keyFingerprint,
          rows: batch.rows.count,
          succeeded: batch.settled?.succeeded ?? 0,
          errored: batch.settled?.errored ?? 0,
          expired: batch.settled?.expired ?? 0,
          cancelled: batch.settled?.cancelled ?? 0,
          billed: batch.settled?.succeeded ?? 0,
          inputTokens: batch.settled?.inputTokens ?? 0,
          outputTokens: batch.settled?.outputTokens ?? 0,
          createdAt: batch.createdAt,
          endedAt: Lifecycle.endedAt(moment) ?? null
        })))
    const sum = (of: (entry: BatchEntry) => number): number =>
      batches.reduce((total, entry) =>
        total + of(entry), 0)
    const bySha256 = new Map<string, Array<string>>()
    for (const entry of batches.filter(costs)) {
      const key = `${entry.provider} ${entry.sha256}`
      bySha256.set(key, [...(bySha256.get(key) ?? []), entry.id])
    }
    const alive = [...state.files.values()].filter((file) =>
      file.expiresAt === undefined || file.expiresAt > state.time.now()
    )
    return new Books({
      batches,
      totals: {
        batches: batches.length,
        rows: sum((entry) => entry.rows),
        billed: sum((entry) => entry.billed),
        inputTokens: sum((entry) => entry.inputTokens),
        outputTokens: sum((entry) => entry.outputTokens),
        directCalls: state.direct.calls,
        directInputTokens: state.direct.inputTokens,
        directOutputTokens: state.direct.outputTokens
      },
      duplicates: [...bySha256].filter(([, ids]) => ids.length > 1).map(([key, ids]) => ({
        sha256: key.split(" ")[1] ?? key,
        batches: ids
      })),
      queues: queuesOf(state, all),
      calls: Object.fromEntries([...state.calls].map(([route, statuses]) => [route, Object.fromEntries(statuses)])),
      filesAlive: alive.length,
      fileBytesAlive: alive.reduce((total, file) => total + file.bytes, 0)
    })
  })
