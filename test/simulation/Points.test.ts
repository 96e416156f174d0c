import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { macrotask } from "../../src/internal/BlockLoop.js"
import * as Points from "./Points.js"
import { scenarios } from "./Scenarios.js"
import type { Ending } from "./Simulation.js"

/** How many points of a kind are tried here; `npm run simulate -- --points` tries all of them. */
const most = 24

/** Points spread evenly over all. */
const spread = (points: ReadonlyArray<Points.Point>): ReadonlyArray<Points.Point> => {
  const step = Math.max(1, points.length / most)
  return Array.from({ length: Math.min(most, points.length) }, (_, index) => points[Math.floor(index * step)])
    .filter((point) => point !== undefined)
}

for (const [name, plan] of Object.entries(scenarios)) {
  const allWell = (pointsOf: (ending: Ending) => ReadonlyArray<Points.Point>) =>
    Effect.suspend(() => {
      const { ending } = Points.survey(plan)
      return Effect.forEach(spread(pointsOf(ending)), (point) =>
        Effect.zipRight(
          macrotask,
          Effect.sync(() => assert.isUndefined(Points.tryAll(plan, ending, [point])))
        ), { discard: true })
    })

  describe(name, () => {
    it.effect(
      "is finished with the same bytes after a death at any call",
      () => allWell(Points.deathsAtCalls),
      120_000
    )

    it.effect(
      "is finished with the same bytes after a death at any operation of the disk",
      () => allWell(Points.deathsAtDisk),
      120_000
    )

    it.effect(
      "is finished with the same bytes after any operation of the disk failed, which the error names",
      () => allWell(Points.diskFaults),
      120_000
    )
  })
}
