import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import { onTestFinished, vi } from "vitest"
import { blockLoop, inPieces } from "../../src/internal/BlockLoop.js"

/** Lets each look at the time find that a slice is over. */
const everySliceIsOver = () => {
  let now = 0
  const looking = vi.spyOn(performance, "now").mockImplementation(() => now += 1_000)
  onTestFinished(() => looking.mockRestore())
}

const unexpected = (error: unknown): never => {
  throw error
}

/** Does something in a macrotask of its own, again and again, for the length of the scope. */
const beside = (work: () => void) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      let handle = setImmediate(again)
      function again() {
        work()
        handle = setImmediate(again)
      }
      return () => clearImmediate(handle)
    }),
    (stop) => Effect.sync(stop)
  )

describe("blockLoop", () => {
  it.scoped("lets others work between two slices", () =>
    Effect.gen(function*() {
      everySliceIsOver()
      const order: Array<string> = []
      yield* beside(() => order.push("other"))
      let steps = 0
      yield* blockLoop(() => {
        order.push("step")
        return ++steps < 4
      }, unexpected)
      assert.deepStrictEqual(
        order.filter((what, at) => what !== order[at - 1]),
        ["step", "other", "step", "other", "step", "other", "step"]
      )
    }))

  it.effect("takes no macrotask for what is done in one step", () =>
    Effect.gen(function*() {
      everySliceIsOver()
      const order: Array<string> = []
      setImmediate(() => order.push("other"))
      yield* blockLoop(() => {
        order.push("step")
        return false
      }, unexpected)
      assert.deepStrictEqual(order, ["step"])
    }))
})

describe("inPieces", () => {
  it.effect("gives all bytes of a block in their order", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(FastCheck.integer({ min: 0, max: 300_000 }), async (length) => {
          const block = Buffer.from(Array.from({ length }, (_, at) => at % 251))
          const pieces: Array<Uint8Array> = []
          const all = await Effect.runPromise(inPieces(block, (piece) => pieces.push(piece) > 0, unexpected))
          assert.isTrue(all)
          assert.isTrue(Buffer.concat(pieces).equals(block))
        }),
        { numRuns: 20 }
      )
    ))

  it.scoped("lets others work within a block, and goes no further when it is interrupted", () =>
    Effect.gen(function*() {
      everySliceIsOver()
      const block = Buffer.alloc(1 << 20)
      const third = yield* Deferred.make<void>()
      let pieces = 0
      const fiber = yield* Effect.fork(
        inPieces(block, () => {
          pieces++
          if (pieces === 3) Deferred.unsafeDone(third, Effect.void)
          return true
        }, unexpected)
      )
      yield* Deferred.await(third)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(pieces, 3)
    }))

  it.effect("ends where nothing more is wanted", () =>
    Effect.gen(function*() {
      let pieces = 0
      const all = yield* inPieces(Buffer.alloc(1 << 20), () => ++pieces < 2, unexpected)
      assert.deepStrictEqual([all, pieces], [false, 2])
    }))
})
