import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { macrotask } from "../../src/internal/BlockLoop.js"
import * as Points from "./Points.js"
import { scenarios } from "./Scenarios.js"

/** How many points of a kind are tried here; `npm run simulate -- --points` tries all of them. */
const most = 7

/** Points spread evenly over all. */
const spread = (points: ReadonlyArray<Points.Point>): ReadonlyArray<Points.Point> => {
  const step = Math.max(1, points.length / most)
  return Array.from({ length: Math.min(most, points.length) }, (_, index) => points[Math.floor(index * step)])
    .filter((point) => point !== undefined)
}

for (const [name, plan] of Object.entries(scenarios)) {
  describe(name, () => {
    for (const [kind, pointsOf] of Object.entries(Points.kinds)) {
      it.effect(
        `is finished with the same bytes, and paid once, whatever the point: ${kind}`,
        () =>
          Effect.suspend(() =>
            Effect.forEach(
              spread(pointsOf(Points.survey(plan))),
              (point) =>
                Effect.zipRight(macrotask, Effect.sync(() => assert.isUndefined(Points.problemAt(plan, point)))),
              {
                discard: true
              }
            )
          ),
        120_000
      )
    }
  })
}
