import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import {
  isTransient,
  ProviderError,
  type ProviderErrorReason,
  retryAfter,
  retryTransient
} from "llm-batch/ProviderError"

const failing = (reason: ProviderErrorReason, retryAfterMillis: number | null = null, status: number | null = null) =>
  new ProviderError({
    provider: "openai",
    operation: "retrieve batch_1",
    reason,
    status,
    retryAfterMillis,
    detail: "so it is"
  })

/** When a call that fails with these errors, then succeeds, was made; and how it ended. */
const timesOf = (times: number, errors: ReadonlyArray<ProviderError>) =>
  Effect.gen(function*() {
    const at: Array<number> = []
    const call = Effect.suspend(() =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const error = errors[at.push(now) - 1]
        return error === undefined ? Effect.succeed("well") : Effect.fail(error)
      })
    )
    const fiber = yield* Effect.fork(Effect.either(retryTransient(times)(call)))
    yield* TestClock.adjust("1 day")
    const ended = yield* Fiber.join(fiber)
    return { at, ended: ended._tag === "Right" ? ended.right : ended.left.reason }
  })

const pauses = (at: ReadonlyArray<number>) => at.slice(1).map((time, index) => time - (at[index] ?? 0))

describe("a failed call", () => {
  it("says what was tried, what came, and what to do", () => {
    assert.strictEqual(
      failing("auth", null, 401).message,
      "openai: retrieve batch_1: so it is (HTTP 401). Check the API key and what it may do; nothing is lost, "
        + "and the same command with a right key goes on."
    )
    assert.strictEqual(
      failing("unreachable").message,
      "openai: retrieve batch_1: so it is. Check the network and the base URL, then run the same command again; "
        + "nothing is lost."
    )
  })

  it("may pass when it is about the moment, not about the request", () => {
    const reasons: ReadonlyArray<ProviderErrorReason> = [
      "auth",
      "rate-limited",
      "unreachable",
      "gone",
      "refused",
      "unexpected"
    ]
    assert.deepStrictEqual(
      reasons.filter((reason) => isTransient(failing(reason))),
      ["rate-limited", "unreachable", "unexpected"]
    )
  })

  it("asks for a wait, within reason", () => {
    const waits = [null, 0, -5, 1_500, 86_400_000, Number.POSITIVE_INFINITY]
    assert.deepStrictEqual(
      waits.map((millis) => Duration.toMillis(retryAfter(failing("rate-limited", millis)))),
      [0, 0, 0, 1_500, 600_000, 600_000]
    )
  })
})

describe("retryTransient", () => {
  it.effect("makes the call again, with pauses that grow", () =>
    Effect.gen(function*() {
      const { at, ended } = yield* timesOf(8, Array.from({ length: 4 }, () => failing("unreachable")))
      assert.strictEqual(ended, "well")
      const nominal = [500, 1_000, 2_000, 4_000]
      assert.strictEqual(at.length, 5)
      pauses(at).forEach((pause, index) => {
        assert.isAtLeast(pause, 0.8 * (nominal[index] ?? 0))
        assert.isAtMost(pause, 1.2 * (nominal[index] ?? 0))
      })
    }))

  it.effect("lets no pause grow beyond half a minute", () =>
    Effect.gen(function*() {
      const { at } = yield* timesOf(12, Array.from({ length: 12 }, () => failing("unreachable")))
      assert.strictEqual(at.length, 13)
      assert.isTrue(pauses(at).every((pause) => pause <= 36_000))
    }))

  it.effect("gives up after so many times", () =>
    Effect.gen(function*() {
      const { at, ended } = yield* timesOf(3, Array.from({ length: 9 }, () => failing("unexpected")))
      assert.strictEqual(at.length, 4)
      assert.strictEqual(ended, "unexpected")
    }))

  it.effect("waits as long as the provider asks, each time anew", () =>
    Effect.gen(function*() {
      const { at } = yield* timesOf(8, [
        failing("rate-limited", 45_000),
        failing("rate-limited", 0),
        failing("rate-limited", 86_400_000)
      ])
      const [first, second, third] = pauses(at)
      assert.strictEqual(first, 45_000)
      assert.isAtMost(second ?? Infinity, 1_200)
      assert.strictEqual(third, 600_000)
    }))

  it.effect("does not make a call again whose failure will not pass", () =>
    Effect.gen(function*() {
      for (const reason of ["auth", "gone", "refused"] as const) {
        const { at, ended } = yield* timesOf(8, [failing(reason)])
        assert.strictEqual(at.length, 1)
        assert.strictEqual(ended, reason)
      }
    }))

  it.effect("passes on any other error", () =>
    Effect.gen(function*() {
      let calls = 0
      const error = yield* Effect.flip(
        retryTransient(8)(Effect.suspend(() => {
          calls++
          return Effect.fail("another")
        }))
      )
      assert.strictEqual(error, "another")
      assert.strictEqual(calls, 1)
    }))
})
