/**
 * The bill of a run, and books that are kept apart from it: whatever goes wrong, they agree to the last digit.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Stream from "effect/Stream"
import type { AnswerCheck } from "llm-batch/AnswerCheck"
import * as Model from "llm-batch/Model"
import { type AdvanceOptions, Pipeline } from "llm-batch/Pipeline"
import type * as Provider from "llm-batch/Provider"
import * as RunBill from "llm-batch/RunBill"
import type { RunState } from "llm-batch/RunState"
import * as Source from "llm-batch/Source"
import { Fault, type Faults } from "llm-batch/TestProvider"
import * as RowCosts from "../src/internal/RowCosts.js"
import * as AnthropicDecode from "../src/provider/AnthropicDecode.js"
import * as OpenAiDecode from "../src/provider/OpenAiDecode.js"
import { BillingBooks, type BookPrice, type BookRates, decimal, type WireFormat } from "./BillingBooks.js"
import * as World from "./World.js"

interface Case {
  readonly seed: number
  readonly format: WireFormat
  readonly rows: number
  readonly shardRows: number
  readonly mode: "batch" | "sync"
  /** Whether rows of two models are in one input. */
  readonly mixed: boolean
  /** After how many rows the first download of each file is cut, as a remainder; `null` for never. */
  readonly firstDownload: number | null
  /** Rows whose number is a multiple of this are not answered before their batch expires. */
  readonly late: number
  /** Calls that fail before others go well. */
  readonly faults: Faults
  readonly prices: readonly [BookPrice, BookPrice]
}

/** Dollars for a million tokens, as catalogues have them. */
const catalogueRates = (rates: BookRates): Model.Rates => {
  const dollars = (rate: number | null) => rate === null ? null : rate / 1_000_000
  return {
    input: rates.input / 1_000_000,
    output: dollars(rates.output),
    cacheRead: dollars(rates.cacheRead),
    cacheWrite5m: dollars(rates.cacheWrite5m),
    cacheWrite1h: dollars(rates.cacheWrite1h)
  }
}

const catalogueModel = (name: string, price: BookPrice | null): Model.Model =>
  new Model.Model({
    ...Model.unknown(name, "test"),
    prices: price === null ? null : new Model.Prices({
      ...catalogueRates(price),
      long: price.long === null ? null : { ...catalogueRates(price.long), above: price.long.above },
      batchFactor: 1 / price.batchDivisor,
      source: "test"
    })
  })

const check: AnswerCheck = (answer) =>
  answer === "bad" ? { code: "invalid_answer", path: "$", problem: "it is bad" } : undefined

const decodes = { openai: OpenAiDecode.decode, anthropic: AnthropicDecode.decode }

/** A provider whose lines are those of the books, in the wire format of one that exists. */
const charging = (books: BillingBooks, { firstDownload, format, seed }: Case) => {
  const begun = new Set<string>()
  const calls = new Map<string, number>()
  return (provider: Provider.Service): Provider.Service => ({
    ...provider,
    decode: decodes[format],
    complete: (row) =>
      Effect.map(provider.complete(row), (completion) => {
        if (completion.again !== null) return { ...completion, line: books.failure(row.wireId) }
        const call = (calls.get(row.wireId) ?? 0) + 1
        calls.set(row.wireId, call)
        return { ...completion, line: books.lines(`call ${call}`, row.wireId, "sync")[0] ?? assert.fail("no line") }
      }),
    download: (file) =>
      Stream.unwrap(
        Effect.map(Stream.runFold(provider.download(file), "", (text, block) => text + block.toString()), (text) => {
          const results = text.trimEnd().split("\n").map((line) => JSON.parse(line))
          const inOrder = seed % 2 === 0 ? results : results.toReversed()
          const lines = inOrder.map(({ custom_id: id, error }) =>
            (error === undefined ? books.lines(file.reference, id, "batch") : [books.expired(id)])
              .map((line) => `${line}\n`).join("")
          )
          const isFirst = !begun.has(file.reference)
          begun.add(file.reference)
          const whole = isFirst && firstDownload !== null ? firstDownload % lines.length : lines.length
          return Stream.make(Buffer.from(lines.slice(0, whole).join("") + (lines[whole] ?? "").slice(0, 30)))
        })
      )
  })
}

/** A run of a case, and what the books say of it. */
const play = Effect.fnUntraced(function*(plan: Case) {
  const prices = new Map<string, BookPrice | null>([
    ["alpha", plan.prices[0]],
    ["beta", plan.prices[1]],
    ["gamma", null]
  ])
  const asked = plan.mixed ? ["alpha", "beta", "gamma"] : ["alpha"]
  const modelOf = (row: number) => asked[row % asked.length] ?? "alpha"
  const books = new BillingBooks({ ...plan, prices, modelOf, swaps: !plan.mixed })
  const world = yield* World.make({
    script: {
      answeredAfter: ({ row }) => row % plan.late === 0 ? "3 days" : "1 hour",
      faults: plan.faults
    },
    wrap: charging(books, plan),
    models: Model.make([...prices].map(([name, price]) => catalogueModel(name, price)))
  })
  const rows = Array.from({ length: plan.rows }, (_, at) => ({ id: `q${at + 1}`, prompt: "p", model: modelOf(at + 1) }))
  const report = yield* world.simulate(Effect.flatMap(Pipeline, ({ run }) =>
    run(Source.fromRows(rows), {
      directory: World.directory,
      shardRows: plan.shardRows,
      mode: plan.mode,
      retries: 2,
      repair: 1,
      check
    })))
  const resume = (options: AdvanceOptions) =>
    world.simulate(Effect.flatMap(Pipeline, ({ resume }) => resume(World.directory, { check, ...options })))
  return { books, world, report, resume }
})

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

const rate = FastCheck.nat(50_000).map((steps) => steps * 400)
const otherRate = FastCheck.option(rate)
const rates = { input: rate, cacheRead: otherRate, cacheWrite5m: otherRate, cacheWrite1h: otherRate, output: otherRate }
const price: FastCheck.Arbitrary<BookPrice> = FastCheck.record({
  ...rates,
  batchDivisor: FastCheck.constantFrom(2, 4, 1),
  long: FastCheck.option(FastCheck.record({ ...rates, above: FastCheck.integer({ min: 1, max: 600_000 }) }))
})

const submitFault = FastCheck.constantFrom(
  Fault.None(),
  Fault.NotSent(),
  Fault.LostAnswer({ status: null }),
  Fault.Unanswered({ status: 503 })
)

const callFault = FastCheck.constantFrom(
  Fault.None(),
  Fault.Failing({ reason: "unreachable" }),
  Fault.Failing({ reason: "rate-limited", retryAfter: "30 seconds" })
)

const cases: FastCheck.Arbitrary<Case> = FastCheck.record({
  seed: FastCheck.nat(),
  format: FastCheck.constantFrom<WireFormat>("openai", "anthropic"),
  rows: FastCheck.integer({ min: 1, max: 24 }),
  shardRows: FastCheck.integer({ min: 2, max: 12 }),
  mode: FastCheck.constantFrom("batch", "batch", "sync"),
  mixed: FastCheck.boolean(),
  firstDownload: FastCheck.option(FastCheck.nat(11)),
  late: FastCheck.integer({ min: 2, max: 30 }),
  faults: FastCheck.record({
    create: FastCheck.array(submitFault, { maxLength: 2 }),
    retrieve: FastCheck.array(callFault, { maxLength: 2 }),
    download: FastCheck.array(callFault, { maxLength: 2 }),
    complete: FastCheck.array(FastCheck.oneof(submitFault, callFault), { maxLength: 3 })
  }),
  prices: FastCheck.tuple(price, price)
})

describe("the bill of a run", () => {
  it.effect.prop(
    "is what the provider's books say, whatever comes",
    [cases],
    ([plan]) =>
      Effect.gen(function*() {
        const { books, report, resume, world } = yield* play(plan)
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
