/**
 * The batches of an emulator: how they come about, and where they stand.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as AnthropicScan from "./AnthropicScan.js"
import * as Fingerprint from "./Fingerprint.js"
import type { JsonObject } from "./Json.js"
import * as Lifecycle from "./Lifecycle.js"
import type { Endpoint } from "./OpenAiRequest.js"
import * as OpenAiScan from "./OpenAiScan.js"
import * as Queue from "./Queue.js"
import type { Refused } from "./Refused.js"
import * as ResultFile from "./ResultFile.js"
import * as ResultLines from "./ResultLines.js"
import * as RowStore from "./RowStore.js"
import * as Standing from "./Standing.js"
import type * as State from "./State.js"
import * as Tokenizer from "./Tokenizer.js"

/**
 * Who calls: the account that owns what is made, and a fingerprint of the key, never the key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Caller {
  readonly account: string
  readonly keyFingerprint: string
}

/** A body meets its fault as often as the plan says, over all batches. */
const fateOf = (state: State.State) => {
  const plan = state.faults
  return (body: JsonObject): number => {
    const fated = ResultLines.fate(plan, state.options.seed, body)
    if (fated === ResultLines.Fate.answer || plan.rowFaultAttempts === 0) return fated
    const key = Fingerprint.make(state.options.seed, JSON.stringify(body)).hex(32)
    const met = state.faulted.get(key) ?? 0
    state.faulted.set(key, met + 1)
    return met < plan.rowFaultAttempts ? fated : ResultLines.Fate.answer
  }
}

const endingOf = (rows: RowStore.RowIndex): "expired" | "cancelled" | undefined => {
  let ending: "expired" | undefined
  for (let row = 0; row < rows.count; row++) {
    if (rows.fate(row) === ResultLines.Fate.cancel) return "cancelled"
    if (rows.fate(row) === ResultLines.Fate.expire) ending = "expired"
  }
  return ending
}

/** Whether a share of batches has the batch of this number in it. */
const struck = (state: State.State, share: number, what: string, order: number): boolean =>
  Fingerprint.make(state.options.seed, `${what} ${order}`).fraction(0) < share

const stopOf = (moment: Lifecycle.Moment): ResultLines.Stop => ({
  progress: moment.progress,
  by: moment.status === "expired" ? "expired" : moment.status === "cancelled" ? "cancelled" : undefined
})

/**
 * Where a batch stands now. Once it has ended, its rows are settled too.
 *
 * @since 0.1.0
 * @category accessors
 */
export const moment = (state: State.State, batch: State.StoredBatch): Effect.Effect<Lifecycle.Moment> =>
  Effect.gen(function*() {
    const early = Standing.now(state, batch)
    if (early.status === "validating") return early
    yield* batch.scan
    const now = Standing.now(state, batch)
    if (now.ended && now.status !== "failed") yield* batch.settle
    return now
  })

/**
 * The bytes of a result file of a batch that has ended.
 *
 * @since 0.1.0
 * @category accessors
 */
export const results = (
  state: State.State,
  batch: State.StoredBatch,
  settled: State.Settled,
  part: "output" | "error"
) =>
  ResultFile.bytes(
    state.answers,
    batch,
    stopOf(Standing.now(state, batch)),
    settled,
    part
  )

/** What the way to create a batch decides about it. */
type Fields = Pick<
  State.StoredBatch,
  "provider" | "endpoint" | "betas" | "inputFileId" | "metadata" | "outputLifetime" | "spool" | "rows"
>

/**
 * Does something once, for whoever asks first and all others. Not `Effect.cached`: when the call that asks first is given
 * up by its client, that one remembers for good that it was interrupted.
 */
const once = <A>(work: Effect.Effect<A>): Effect.Effect<Effect.Effect<A>> =>
  Effect.map(Deferred.make<A>(), (done) => {
    let begun = false
    const begin = Effect.suspend(() => {
      if (begun) return Effect.void
      begun = true
      return Effect.forkDaemon(Effect.intoDeferred(work, done))
    })
    return Effect.zipRight(Effect.uninterruptible(begin), Deferred.await(done))
  })

const make = (state: State.State, caller: Caller, fields: Fields): Effect.Effect<State.StoredBatch> =>
  Effect.gen(function*() {
    const settle = yield* once(Effect.suspend(() => {
      const stop = stopOf(Standing.now(state, batch))
      return Effect.tap(ResultFile.settle(state.answers, batch, stop), (settled) =>
        Effect.sync(() => {
          batch.settled = settled
          if (batch.provider === "openai") addResultFiles(state, batch, settled)
        }))
    }))
    const order = state.batches.size + state.deleted.size
    const batch: State.StoredBatch = {
      ...fields,
      ...caller,
      id: state.newId(fields.provider === "openai" ? "batch_" : "msgbatch_01"),
      order,
      createdAt: state.time.now(),
      plan: state.faults,
      expires: struck(state, state.faults.expireBatches, "expire", order),
      errors: [],
      scan: Effect.void,
      settle,
      model: undefined,
      enqueued: undefined,
      ending: endingOf(fields.rows),
      cancelledAt: undefined,
      settled: undefined
    }
    return batch
  })

/** When a batch of OpenAI has ended, it has an output file and an error file, where there is something to put in. */
const addResultFiles = (state: State.State, batch: State.StoredBatch, settled: State.Settled): void => {
  for (const part of ["output", "error"] as const) {
    const bytes = part === "output" ? settled.outputBytes : settled.errorBytes
    if (bytes === 0) continue
    const createdAt = Lifecycle.endedAt(Standing.now(state, batch)) ?? state.time.now()
    const id = resultFileId(state, batch, part)
    state.files.set(id, {
      id,
      account: batch.account,
      purpose: "batch_output",
      filename: `${batch.id}_${part}.jsonl`,
      bytes,
      createdAt,
      expiresAt: createdAt + batch.outputLifetime * 1000,
      content: { _tag: "Results", batch, part }
    })
  }
}

/**
 * The id of a result file of a batch, whether there is such a file or not.
 *
 * @since 0.1.0
 * @category accessors
 */
export const resultFileId = (state: State.State, batch: State.StoredBatch, part: "output" | "error"): string =>
  `file-${Fingerprint.make(state.options.seed, `${batch.id} ${part}`).hex(24)}`

const scanOpenAi = (state: State.State, batch: State.StoredBatch): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { options } = state
    const scanned = yield* OpenAiScan.scan({
      path: batch.spool.path,
      bytes: batch.spool.bytes,
      endpoint: batch.endpoint,
      maxRows: options.openAiMaxRows,
      maxBytes: options.openAiMaxBytes,
      maxEmbeddingInputs: options.openAiMaxEmbeddingInputs,
      fate: fateOf(state),
      tokens: options.openAiEnqueuedTokens === undefined ? () => 0 : yield* Tokenizer.load,
      rows: batch.rows
    })
    batch.model = scanned.model
    batch.errors.push(...scanned.errors)
    if (batch.errors.length > 0) return
    const problem = struck(state, batch.plan.failBatches, "fail", batch.order)
      ? OpenAiScan.error(batch.plan.failCode, "The batch could not be processed.")
      : Queue.enqueue(state, batch, scanned.tokens)
    if (problem === undefined) batch.ending = endingOf(batch.rows)
    else batch.errors.push(problem)
  })

/**
 * Makes an OpenAI batch at once; its file is read and validated after.
 *
 * @since 0.1.0
 * @category constructors
 */
export const createOpenAi = (
  state: State.State,
  caller: Caller,
  input: {
    readonly endpoint: Endpoint
    readonly fileId: string
    readonly spool: RowStore.Spool
    readonly metadata: JsonObject | null
    readonly outputLifetime: number
  }
): Effect.Effect<State.StoredBatch> =>
  Effect.gen(function*() {
    const batch = yield* make(state, caller, {
      provider: "openai",
      endpoint: input.endpoint,
      betas: new Set(),
      inputFileId: input.fileId,
      metadata: input.metadata,
      outputLifetime: input.outputLifetime,
      spool: input.spool,
      rows: new RowStore.RowIndex()
    })
    state.batches.set(batch.id, batch)
    const scan = yield* Effect.forkIn(scanOpenAi(state, batch), state.scope)
    // Not `join`: whoever waits would go on with the context of the call that made the batch.
    batch.scan = Effect.flatten(Fiber.await(scan))
    return batch
  })

/**
 * Makes an Anthropic batch, once its requests are read.
 *
 * @since 0.1.0
 * @category constructors
 */
export const createAnthropic = (
  state: State.State,
  caller: Caller,
  input: { readonly spool: RowStore.Spool; readonly betas: ReadonlySet<string> }
): Effect.Effect<State.StoredBatch, Refused> =>
  Effect.gen(function*() {
    const rows = new RowStore.RowIndex()
    yield* AnthropicScan.scan({
      path: input.spool.path,
      maxRows: state.options.anthropicMaxRows,
      fate: fateOf(state),
      rows
    })
    yield* Queue.admitAnthropic(state, caller.account, rows.count)
    const batch = yield* make(state, caller, {
      provider: "anthropic",
      endpoint: "/v1/chat/completions",
      betas: input.betas,
      inputFileId: undefined,
      metadata: null,
      outputLifetime: 0,
      spool: input.spool,
      rows
    })
    state.batches.set(batch.id, batch)
    return batch
  })

/**
 * Asks to cancel a batch, now.
 *
 * @since 0.1.0
 * @category running
 */
export const cancel = (state: State.State, batch: State.StoredBatch): Effect.Effect<Lifecycle.Moment> =>
  Effect.suspend(() => {
    batch.cancelledAt ??= state.time.now()
    return moment(state, batch)
  })
