import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { macrotask } from "../../src/internal/BlockLoop.js"
import * as Points from "./Points.js"
import { scenarios, small } from "./Scenarios.js"
import * as Syncs from "./Syncs.js"

describe("what is said of a sync that is left out of the code is right:", () => {
  for (const sync of Syncs.all) {
    it.effect(
      `${sync.site} is ${sync.notice === null ? "not missed" : "missed"}`,
      () => Effect.zipRight(macrotask, Effect.sync(() => assert.isUndefined(Syncs.problemWith(sync)))),
      120_000
    )
  }

  it("of each that the code makes, and of no other", () => {
    const plans = [...Object.values(scenarios), ...Object.values(small)]
    const made = new Set(plans.flatMap((plan) => [...Points.syncSites(Points.survey(plan)).keys()]))
    assert.deepStrictEqual([...made].toSorted(), Syncs.all.map(({ site }) => site).toSorted())
  }, 60_000)
})
