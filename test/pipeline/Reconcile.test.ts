import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { Decision, Pipeline } from "llm-batch/Pipeline"
import { Finding, type Service } from "llm-batch/Provider"
import { ProviderError } from "llm-batch/ProviderError"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import { Fault, type SubmitFault } from "llm-batch/TestProvider"
import * as World from "../World.js"

/** A look at the provider's batches that it declines. */
const blind = new ProviderError({
  provider: "test",
  operation: "find",
  reason: "refused",
  status: 400,
  retryAfterMillis: null,
  detail: "no list here"
})

/** A run of one row a shard, of which nobody knows what became of its creates; its list can be read again if `sees`. */
const inDoubt = (
  creates: ReadonlyArray<SubmitFault>,
  sees: { now: boolean },
  lag: Duration.DurationInput = 0,
  isUntagged = false
) =>
  Effect.gen(function*() {
    let firstLook: number | undefined
    const world = yield* World.make({
      script: { faults: { create: creates } },
      wrap: (provider): Service => ({
        ...provider,
        find: (...args) =>
          Effect.gen(function*() {
            if (!sees.now) return yield* blind
            const now = yield* Clock.currentTimeMillis
            firstLook ??= now
            if (now < firstLook + Duration.toMillis(lag)) return Finding.Absent()
            const finding = yield* provider.find(...args)
            return isUntagged && finding._tag === "Found"
              ? Finding.Ambiguous({ candidates: [finding.snapshot] })
              : finding
          })
      })
    })
    const rows = Source.fromRows(creates.map((_, index) => ({ prompt: `row ${index + 1}` })))
    const begun = Effect.flatMap(Pipeline, (pipeline) =>
      pipeline.run(rows, { defaults: new RequestDefaults({ model: "m" }), directory: World.directory, shardRows: 1 }))
    assert.strictEqual((yield* Effect.flip(world.inProcess(begun, "1 hour")))._tag, "SubmitUnknown")
    return world
  })

const decide = (world: World.World, decision: Decision) =>
  world.inProcess(Effect.flatMap(Pipeline, ({ reconcile }) => reconcile(World.directory, decision)), "5 minutes")

const resume = (world: World.World) =>
  world.inProcess(Effect.flatMap(Pipeline, (pipeline) => pipeline.resume(World.directory)), "5 hours")

const lost = Fault.LostAnswer({ status: null })

const messageOf = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(effect), ({ message }) => message)

const made = (world: World.World) => Effect.map(world.test.batches, (batches) => batches.map(({ shard }) => shard))

describe("a decision to send a shard again", () => {
  it.effect("is refused while its batch is there after all", () =>
    Effect.gen(function*() {
      const sees = { now: false }
      const world = yield* inDoubt([lost], sees)
      sees.now = true
      assert.strictEqual(
        yield* messageOf(decide(world, Decision.Resend({}))),
        "/runs/one: batch batch-1 was made of shard 0001, and is paid for. "
          + "Take that one up: llm-batch reconcile /runs/one --shard 0001 --adopt batch-1"
      )
      yield* decide(world, Decision.Adopt({ batchId: "batch-1" }))
      const report = yield* resume(world)
      assert.strictEqual(report.tally?.succeeded, 1)
      assert.deepStrictEqual(yield* made(world), ["0001"])
    }))

  it.effect("waits until a batch that is only now being made would be seen", () =>
    Effect.gen(function*() {
      const sees = { now: false }
      const world = yield* inDoubt([lost], sees, "50 seconds")
      sees.now = true
      assert.include(
        yield* messageOf(decide(world, Decision.Resend({}))),
        "batch batch-1 was made of shard 0001, and is paid for"
      )
      assert.deepStrictEqual(yield* made(world), ["0001"])
    }))

  it.effect("is refused when a batch has appeared since that may be the shard's", () =>
    Effect.gen(function*() {
      const sees = { now: false }
      const world = yield* inDoubt([lost], sees, "50 seconds", true)
      sees.now = true
      assert.strictEqual(
        yield* messageOf(decide(world, Decision.Resend({}))),
        "/runs/one: batch batch-1 has appeared since, and may have been made of shard 0001. "
          + "llm-batch resume /runs/one tells when it has ended; or look at it, and decide again."
      )
    }))

  it.effect("is taken when nothing can be looked through", () =>
    Effect.gen(function*() {
      const world = yield* inDoubt([Fault.Unanswered({ status: 500 })], { now: false })
      yield* decide(world, Decision.Resend({}))
      const report = yield* resume(world)
      assert.strictEqual(report.tally?.succeeded, 1)
      assert.deepStrictEqual(yield* made(world), ["0001"])
    }))
})

describe("a batch that is to be taken up", () => {
  it.effect("is refused when another one is proved to be the shard's", () =>
    Effect.gen(function*() {
      const sees = { now: false }
      const world = yield* inDoubt([lost, lost], sees)
      sees.now = true
      // It runs still at the time of the decision: there are no results yet that would tell.
      yield* TestClock.setTime(0)
      assert.strictEqual(
        yield* messageOf(decide(world, Decision.Adopt({ shard: "0001", batchId: "batch-2" }))),
        "/runs/one: batch batch-1 was made of shard 0001, and is paid for. "
          + "Take that one up: llm-batch reconcile /runs/one --shard 0001 --adopt batch-1"
      )
    }))

  it.effect("is refused when its results are of other rows, though as many", () =>
    Effect.gen(function*() {
      const world = yield* inDoubt([lost, lost], { now: false })
      assert.strictEqual(
        yield* messageOf(decide(world, Decision.Adopt({ shard: "0001", batchId: "batch-2" }))),
        "/runs/one: the results of batch batch-2 are of other rows than those of shard 0001. "
          + "It is the batch of something else: name another one."
      )
      yield* decide(world, Decision.Adopt({ shard: "0001", batchId: "batch-1" }))
      yield* decide(world, Decision.Adopt({ batchId: "batch-2" }))
      const report = yield* resume(world)
      assert.strictEqual(report.tally?.succeeded, 2)
      assert.deepStrictEqual(yield* made(world), ["0001", "0002"])
    }))

  it.effect("is refused when it is another run's", () =>
    Effect.gen(function*() {
      const world = yield* inDoubt([lost], { now: false })
      const theirs = Effect.flatMap(Pipeline, (pipeline) =>
        pipeline.run(Source.fromRows([{ prompt: "row 1" }]), {
          defaults: new RequestDefaults({ model: "m" }),
          directory: "/runs/other"
        }))
      yield* world.inProcess(theirs, "5 hours")
      assert.include(
        yield* messageOf(decide(world, Decision.Adopt({ batchId: "batch-2" }))),
        "the results of batch batch-2 are of other rows than those of shard 0001"
      )
    }))

  it.effect("is refused when the provider's queue was too full for it", () =>
    Effect.gen(function*() {
      const world = yield* World.make({
        // It counts more tokens than we do.
        script: { enqueuedTokens: 500, tokensOf: () => 501, faults: { create: [Fault.None(), lost] } },
        wrap: (provider) => ({ ...provider, find: () => Effect.fail(blind) })
      })
      const begun = Effect.flatMap(Pipeline, (pipeline) =>
        pipeline.run(Source.fromRows([{ prompt: "two words" }]), {
          defaults: new RequestDefaults({ model: "m" }),
          directory: World.directory
        }))
      assert.strictEqual((yield* Effect.flip(world.simulate(begun)))._tag, "SubmitUnknown")
      assert.strictEqual(
        yield* messageOf(decide(world, Decision.Adopt({ batchId: "batch-1" }))),
        "/runs/one: the provider's queue was too full for batch batch-1, and nothing of it was begun. Name another one."
      )
    }))
})
