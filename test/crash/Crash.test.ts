/**
 * The command line killed at points spread over its whole run. `npm run test:crash` takes every one of them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { survive, undisturbed } from "./Crashes.js"

/** Where processes are killed, as shares of the points of that kind, and where the one that resumes is killed too. */
const places = [
  { side: "before", share: 0, second: 6 },
  { side: "within", share: 0, second: 12 },
  { side: "after", share: 0.15, second: 30 },
  { side: "after", share: 0.6, second: 45 },
  { side: "within", share: 0.7, second: 60 },
  { side: "before", share: 0.9, second: 25 }
] as const

describe("a process that is killed", () => {
  for (const provider of ["openai", "anthropic"] as const) {
    it.live(`is resumed to the same bytes, and nothing is paid twice: ${provider}`, () =>
      Effect.gen(function*() {
        const whole = yield* undisturbed(provider)
        const survived = yield* Effect.forEach(
          places,
          ({ second, share, side }) =>
            survive(
              provider,
              { side, at: 1 + Math.floor(share * whole.points[side]) },
              { side: "before", at: second }
            ),
          { concurrency: 2 }
        )
        for (const { killed, results } of survived) {
          assert.isNotNull(killed)
          assert.strictEqual(results, whole.results, killed ?? "")
        }
      }), 180_000)
  }
})
