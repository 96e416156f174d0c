/**
 * The books of an emulator: what was made, what it cost, and who called what how often.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Batches from "./Batches.js"
import type { State } from "./State.js"

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
  /** Whether it was deleted since. */
  deleted: Schema.Boolean,
  /** OpenAI: the endpoint its rows go to. */
  endpoint: Schema.NullOr(Schema.String),
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
  createdAt: Schema.Number
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
  /** Calls by route (`"POST /v1/batches"`) and by status, `reset`, `cut` or `hang`. */
  calls: Schema.Record({ key: Schema.String, value: Schema.Record({ key: Schema.String, value: Schema.Int }) }),
  /** Files that were neither deleted nor have expired. */
  filesAlive: Schema.Int,
  fileBytesAlive: Schema.Int
}) {}

/** A batch costs nothing when it has come to its end without a row that is paid for. */
const costs = (entry: BatchEntry): boolean =>
  entry.billed > 0 || !["failed", "completed", "expired", "cancelled"].includes(entry.status)

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
          deleted: state.deleted.has(batch.id),
          endpoint: batch.provider === "openai" ? batch.endpoint : null,
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
          createdAt: batch.createdAt
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
      calls: Object.fromEntries([...state.calls].map(([route, statuses]) => [route, Object.fromEntries(statuses)])),
      filesAlive: alive.length,
      fileBytesAlive: alive.reduce((total, file) => total + file.bytes, 0)
    })
  })
