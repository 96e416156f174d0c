/**
 * Somebody decides what became of a shard in doubt. Whoever does so may be mistaken, and would pay twice, or lose what
 * was paid for: what the provider itself tells is not decided against.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { BatchSnapshot } from "../Batch.js"
import { firstWireId } from "../internal/FirstWireId.js"
import * as LostBatch from "../internal/LostBatch.js"
import { Ledger } from "../Ledger.js"
import { Provider } from "../Provider.js"
import { type ProviderError, retryTransient } from "../ProviderError.js"
import { RunRejected } from "../RunError.js"
import { Progress } from "../RunEvent.js"
import type { RunState, ShardState } from "../RunState.js"
import { submitTag } from "../Shard.js"
import { Submit } from "../stage/Submit.js"
import * as WireId from "../WireId.js"

/**
 * What somebody decides of a shard of which it cannot be told whether a batch was made of it.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision = Data.TaggedEnum<{
  /** This batch is the shard's. */
  Adopt: { readonly batchId: string; readonly shard?: string | undefined }
  /** No batch was made of it: it is sent again. */
  Resend: { readonly shard?: string | undefined }
}>

/**
 * Constructors and matchers of `Decision`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Decision = Data.taggedEnum<Decision>()

/** How many times a call is made again whose failure may pass. */
const retries = 8

/** There is nothing to be had, or nobody to tell: then only a decision is left. */
const tellsNothing = (error: { readonly _tag: string } | ProviderError): boolean =>
  error._tag === "ProviderError" && "reason" in error
  && (error.reason === "gone" || error.reason === "refused" || error.reason === "unexpected")

/** The shard that a decision is about: the only one in doubt, or the one that it names. */
const shardInDoubt = Effect.fn(function*({ directory, shards }: RunState, named: string | undefined) {
  const inDoubt = [...shards.values()].filter(({ status }) => status === "unanswered" || status === "uploaded")
  const meant = named === undefined ? inDoubt : inDoubt.filter(({ shard }) => shard.id === named)
  const [first, ...others] = meant
  if (first === undefined) {
    return yield* new RunRejected({
      directory,
      problem: named === undefined
        ? "every shard of this run is either sent or not"
        : `shard ${named} is not one of which that is unknown`,
      remedy: "There is nothing to decide: llm-batch status shows where each shard stands."
    })
  }
  if (others.length > 0) {
    return yield* new RunRejected({
      directory,
      problem: `of several shards it is unknown whether they were sent: ${
        meant.map(({ shard }) => shard.id).join(", ")
      }`,
      remedy: "Say with --shard which one is meant."
    })
  }
  return first
})

/** Makes what records a decision, when nothing proves it wrong. */
export const make = Effect.gen(function*() {
  const ledger = yield* Ledger
  const provider = yield* Provider
  const { settleTime } = yield* Submit

  /** What the provider's batches tell of a shard; `null` when they cannot be looked through. */
  const look = Effect.fn(function*(run: RunState, state: ShardState) {
    const { shard } = state
    const rows = yield* LostBatch.rowsOf(shard)
    const others = LostBatch.knownOthers(run.shards, shard)
    return yield* provider.find(submitTag(shard), LostBatch.notBefore(state), others, (row) => rows.has(row)).pipe(
      retryTransient(retries),
      Effect.catchIf(tellsNothing, () => Effect.succeed(null))
    )
  })

  const isPaidFor = ({ directory }: RunState, { shard }: ShardState, batchId: string) =>
    new RunRejected({
      directory,
      problem: `batch ${batchId} was made of shard ${shard.id}, and is paid for`,
      remedy: `Take that one up: llm-batch reconcile ${directory} --shard ${shard.id} --adopt ${batchId}`
    })

  /** A batch may come to be seen only a while after the call that made it, and nobody saw that call end. */
  const checkThereIsNone = Effect.fn(function*(run: RunState, state: ShardState) {
    const { tell } = yield* Progress
    const before = yield* look(run, state)
    if (before?._tag === "Found") return yield* isPaidFor(run, state, before.snapshot.id)
    tell({
      _tag: "SubmitWaiting",
      shard: state.shard,
      waitMillis: Duration.toMillis(settleTime),
      detail: "a batch that is only now being made would be seen by then"
    })
    yield* Effect.sleep(settleTime)
    const after = yield* look(run, state)
    if (after?._tag === "Found") return yield* isPaidFor(run, state, after.snapshot.id)
    if (after?._tag !== "Ambiguous") return
    // Those that the run has told of are what was decided about.
    const appeared = after.candidates.find(({ id }) => !state.candidates.includes(id))
    if (appeared === undefined) return
    return yield* new RunRejected({
      directory: run.directory,
      problem: `batch ${appeared.id} has appeared since, and may have been made of shard ${state.shard.id}`,
      remedy: `llm-batch resume ${run.directory} tells when it has ended; or look at it, and decide again.`
    })
  })

  /** The first wire id in the results of a batch, where it has any that can be read. */
  const wireIdOf = ({ files }: BatchSnapshot) =>
    Effect.reduce(
      files,
      undefined,
      (found: WireId.WireId | undefined, file) =>
        found !== undefined ? Effect.succeed(found) : firstWireId(provider.download(file), provider.decode).pipe(
          retryTransient(retries),
          Effect.catchIf(tellsNothing, () => Effect.succeed(undefined))
        )
    )

  const checkIsOf = Effect.fn(function*(run: RunState, state: ShardState, snapshot: BatchSnapshot) {
    const { directory } = run
    const { shard } = state
    const rejected = (problem: string, remedy = "It is the batch of something else: name another one.") =>
      new RunRejected({ directory, problem, remedy })
    const { total } = snapshot.counts
    if (total !== 0 && total !== shard.rows) {
      return yield* rejected(
        `batch ${snapshot.id} counts ${total} rows, and shard ${shard.id} counts ${shard.rows}`
      )
    }
    const wireId = yield* wireIdOf(snapshot)
    if (wireId !== undefined) {
      const row = WireId.rowOf(shard.runTag, wireId)
      const rows = yield* LostBatch.rowsOf(shard)
      if (row !== undefined && rows.has(row)) return
      return yield* rejected(`the results of batch ${snapshot.id} are of other rows than those of shard ${shard.id}`)
    }
    const finding = yield* look(run, state)
    if (finding?._tag === "Found" && finding.snapshot.id !== snapshot.id) {
      return yield* isPaidFor(run, state, finding.snapshot.id)
    }
  })

  return Effect.fn("Pipeline.decide")(function*(run: RunState, decision: Decision) {
    const { directory } = run
    const state = yield* shardInDoubt(run, decision.shard)
    const { shard } = state
    if (decision._tag === "Resend") {
      yield* checkThereIsNone(run, state)
      const detail = "somebody decided that no batch was made of it"
      yield* ledger.append(directory, { _tag: "CreateFailed", shard: shard.id, refused: false, detail })
      return yield* ledger.state(directory)
    }
    if ([...run.shards.values()].some(({ declined }) => declined.includes(decision.batchId))) {
      return yield* new RunRejected({
        directory,
        problem: `the provider's queue was too full for batch ${decision.batchId}, and nothing of it was begun`,
        remedy: "Name another one."
      })
    }
    const owner = [...run.shards.values()].find(({ snapshot }) => snapshot?.id === decision.batchId)
    if (owner !== undefined) {
      return yield* new RunRejected({
        directory,
        problem: `batch ${decision.batchId} is that of shard ${owner.shard.id}`,
        remedy: "Name another one."
      })
    }
    const snapshot = yield* retryTransient(retries)(provider.retrieve(decision.batchId))
    yield* checkIsOf(run, state, snapshot)
    yield* ledger.append(directory, { _tag: "BatchCreated", shard: shard.id, snapshot, adopted: true })
    return yield* ledger.state(directory)
  })
})
