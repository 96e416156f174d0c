/**
 * The bill of a run, and books that are kept apart from it: whatever goes wrong, they agree to the last digit.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Stream from "effect/Stream"
import * as RunBill from "llm-batch/RunBill"
import type { RunState } from "llm-batch/RunState"
import * as RowCosts from "../src/internal/RowCosts.js"
import * as BilledRun from "./BilledRun.js"
import { anyTokens, type BillingBooks, decimal } from "./BillingBooks.js"
import type * as World from "./World.js"

const total = (amounts: ReadonlyArray<bigint | undefined>): bigint =>
  amounts.reduce((sum: bigint, amount) => sum + (amount ?? 0n), 0n)

/** What is to be in a bill, by the books. */
const expected = ({ charges }: BillingBooks) => {
  const kind = (at: 0 | 1 | 2 | 3 | 4) => charges.reduce((sum, { tokens }) => sum + (tokens?.[at] ?? 0), 0)
  return {
    charged: total(charges.map(({ charged }) => charged)),
    synchronous: total(charges.map(({ oneByOne }) => oneByOne)),
    priced: charges.filter(({ charged }) => charged !== undefined).length,
    unpriced: charges.filter(({ charged }) => charged === undefined).length,
    tokens: { input: kind(0), cacheRead: kind(1), cacheWrite5m: kind(2), cacheWrite1h: kind(3), output: kind(4) }
  }
}

const billOf = (state: RunState) => {
  const { charged, priced, synchronous, tokens, unpriced } = RunBill.make(state).bill
  return { charged, synchronous, priced, unpriced, tokens: { ...tokens } }
}

/** The rows of `cost --rows`, but for the head. */
const rowsOf = (world: World.World, state: RunState) =>
  Effect.map(
    world.simulate(Stream.runFold(RowCosts.csv(state.shards.values()), "", (text, block) => text + block.toString())),
    (text) => text.trimEnd().split("\n").slice(1).map((line) => line.split(","))
  )

const cases = FastCheck.record({
  plan: BilledRun.cases(600_000),
  rows: FastCheck.integer({ min: 1, max: 24 }),
  /** Whether rows of several models are in one input. */
  mixed: FastCheck.boolean()
})

describe("the bill of a run", () => {
  it.effect.prop(
    "is what the provider's books say, whatever comes",
    [cases],
    ([{ mixed, plan, rows: count }]) =>
      Effect.gen(function*() {
        const { books, resume, run, world } = yield* BilledRun.make(plan, {
          rows: Array.from({ length: count }, () => ({ prompt: "p" })),
          models: mixed ? BilledRun.names : BilledRun.names.slice(0, 1),
          swaps: !mixed,
          maxOutput: null,
          uses: anyTokens
        })
        const report = yield* run({ retries: 2, repair: 1 })
        const books1 = expected(books)
        assert.deepStrictEqual(billOf(report.state), books1)

        // By model and by attempt it is the same.
        const { attempts, models } = RunBill.make(report.state)
        for (const parts of [models, attempts]) {
          assert.strictEqual(total(parts.map(({ bill }) => bill.charged)), books1.charged)
        }

        // So it is in the manifest, and row by row.
        const { bill } = JSON.parse(world.read("manifest.json"))
        assert.strictEqual(
          bill.charged_usd,
          books1.priced + books1.unpriced > 0 && books1.priced === 0
            ? null
            : decimal(books1.charged)
        )
        const rows = yield* rowsOf(world, report.state)
        const paid = rows.filter(([, , , , , , ...amounts]) => amounts.some((amount) => Number(amount) > 0))
        assert.deepStrictEqual(
          paid.map(([, row, , , , , ...amounts]) => [row, ...amounts].join(" ")).toSorted(),
          books.charges.filter(({ tokens }) => tokens?.some((count) => count > 0))
            .map(({ charged, row, tokens = [] }) =>
              [row, ...tokens, charged === undefined ? "" : decimal(charged)].join(" ")
            ).toSorted()
        )

        // To fetch and to normalise again costs nothing.
        const fetched = yield* resume({ steps: { from: "fetch", to: "fetch" } })
        const again = yield* resume({ steps: { from: "normalize", to: "normalize" } })
        assert.isTrue(plan.mode === "sync" || RunBill.make(fetched.state).openRows > 0)
        assert.deepStrictEqual(billOf(again.state), books1)
      }),
    { fastCheck: { numRuns: 15 } }
  )
})
