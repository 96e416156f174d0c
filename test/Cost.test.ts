import { assert, describe, it } from "@effect/vitest"
import { FastCheck, Schema } from "effect"
import * as Cost from "../src/Cost.js"
import { Prices } from "../src/Model.js"

const prices = (fields: Partial<typeof Prices.Encoded>): Prices =>
  new Prices({
    input: 0,
    output: null,
    cacheRead: null,
    cacheWrite5m: null,
    cacheWrite1h: null,
    long: null,
    batchFactor: 0.5,
    source: "test",
    ...fields
  })

const haiku = prices({ input: 1, output: 5, cacheRead: 0.1, cacheWrite5m: 1.25, cacheWrite1h: 2 })
const mini = prices({ input: 0.25, output: 2, cacheRead: 0.025 })
const dollars = (amount: bigint): string => Schema.encodeSync(Cost.Usd)(amount)

describe("tokensOf", () => {
  const usages: ReadonlyArray<
    readonly [what: string, usage: { readonly [name: string]: unknown }, tokens: Cost.BillableTokens]
  > = [
    [
      "Chat Completions, whose prompt includes what was cached",
      {
        prompt_tokens: 1_000,
        completion_tokens: 70,
        total_tokens: 1_070,
        prompt_tokens_details: { cached_tokens: 600 },
        completion_tokens_details: { reasoning_tokens: 64 }
      },
      { input: 400, cacheRead: 600, cacheWrite5m: 0, cacheWrite1h: 0, output: 70 }
    ],
    [
      "Responses, with writes to the cache",
      {
        input_tokens: 1_000,
        input_tokens_details: { cached_tokens: 600, cache_write_tokens: 300 },
        output_tokens: 70,
        output_tokens_details: { reasoning_tokens: 64 },
        total_tokens: 1_070
      },
      { input: 100, cacheRead: 600, cacheWrite5m: 300, cacheWrite1h: 0, output: 70 }
    ],
    [
      "embeddings",
      { prompt_tokens: 9, total_tokens: 9 },
      { input: 9, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0, output: 0 }
    ],
    [
      "Messages, whose input does not include what was cached",
      {
        input_tokens: 412,
        cache_creation_input_tokens: 2_048,
        cache_read_input_tokens: 1_024,
        cache_creation: { ephemeral_5m_input_tokens: 48, ephemeral_1h_input_tokens: 2_000 },
        output_tokens: 188,
        service_tier: "batch"
      },
      { input: 412, cacheRead: 1_024, cacheWrite5m: 48, cacheWrite1h: 2_000, output: 188 }
    ],
    [
      "Messages of before the cache had two durations",
      { input_tokens: 412, cache_creation_input_tokens: 2_048, cache_read_input_tokens: null, output_tokens: 1 },
      { input: 412, cacheRead: 0, cacheWrite5m: 2_048, cacheWrite1h: 0, output: 1 }
    ],
    [
      "Chat Completions by a proxy, which counts as Messages does beside it",
      {
        prompt_tokens: 1_000,
        completion_tokens: 70,
        prompt_tokens_details: { cached_tokens: 600 },
        cache_read_input_tokens: 600,
        cache_creation_input_tokens: 0
      },
      { input: 400, cacheRead: 600, cacheWrite5m: 0, cacheWrite1h: 0, output: 70 }
    ],
    [
      "nonsense",
      { prompt_tokens: -5, completion_tokens: "many", prompt_tokens_details: { cached_tokens: 7 } },
      { input: 0, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0, output: 0 }
    ]
  ]
  for (const [what, usage, tokens] of usages) {
    it(what, () => assert.deepStrictEqual(Cost.tokensOf(usage), tokens))
  }

  it("prefers the provider's own usage to the neutral one", () => {
    const body = {
      usage: { prompt_tokens: 3_484, completion_tokens: 188 },
      provider_usage: { input_tokens: 412, cache_read_input_tokens: 3_072, output_tokens: 188 }
    }
    assert.deepInclude(Cost.tokensOfBody(body), { input: 412, cacheRead: 3_072 })
    for (const usage of [undefined, null, {}, { total_tokens: 3 }, { prompt_tokens: null }]) {
      assert.strictEqual(Cost.tokensOfBody({ usage }), undefined)
    }
  })
})

describe("of", () => {
  const tokens = (fields: Partial<Cost.BillableTokens>): Cost.BillableTokens => ({
    input: 0,
    cacheRead: 0,
    cacheWrite5m: 0,
    cacheWrite1h: 0,
    output: 0,
    ...fields
  })

  it("prices each kind by its own rate, and halves it in a batch", () => {
    const all = tokens({ input: 412, cacheRead: 1_024, cacheWrite5m: 48, cacheWrite1h: 2_000, output: 188 })
    // 412 x 1 + 1,024 x 0.1 + 48 x 1.25 + 2,000 x 2 + 188 x 5, in millionths
    assert.strictEqual(dollars(Cost.of(all, haiku, "synchronous")), "0.0055144")
    assert.strictEqual(dollars(Cost.of(all, haiku, "batch")), "0.0027572")
  })

  it("prices kinds without a rate of their own as input", () => {
    const all = tokens({ input: 100, cacheWrite5m: 300, cacheWrite1h: 100 })
    assert.strictEqual(dollars(Cost.of(all, mini, "synchronous")), "0.000125")
  })

  it("does not drift where floating point numbers do", () => {
    // 0.025 dollars a million, halved: 12,500 picodollars a token.
    const meter = Cost.meter(prices({ input: 0.025 }), "batch")
    for (let row = 0; row < 100_000; row++) meter.add(tokens({ input: 3 }))
    assert.strictEqual(dollars(meter.bill().charged), "0.00375")
    assert.strictEqual(Cost.of(tokens({ input: 1 }), prices({ input: 0.00001 }), "batch"), 5n)
  })

  it("prices long prompts apart, by all that was read", () => {
    const tiered = prices({
      input: 2.5,
      output: 15,
      long: { above: 271_999, input: 5, output: 22.5, cacheRead: 0.5, cacheWrite5m: null, cacheWrite1h: null }
    })
    assert.strictEqual(dollars(Cost.of(tokens({ input: 271_999, output: 10 }), tiered, "synchronous")), "0.6801475")
    assert.strictEqual(
      dollars(Cost.of(tokens({ input: 2_000, cacheRead: 270_000, output: 10 }), tiered, "synchronous")),
      "0.145225"
    )
  })

  it.prop(
    "a meter's bill is the sum of its answers'",
    [
      FastCheck.array(FastCheck.tuple(FastCheck.nat(400_000), FastCheck.nat(5_000), FastCheck.nat(5_000)), {
        maxLength: 20
      }),
      FastCheck.nat(3_000_000),
      FastCheck.nat(30_000_000)
    ],
    ([rows, inputRate, outputRate]) => {
      const rates = prices({
        input: inputRate / 100_000,
        output: outputRate / 100_000,
        cacheRead: 0.5,
        long: { above: 200_000, input: 7, output: 9, cacheRead: 1, cacheWrite5m: null, cacheWrite1h: null }
      })
      const meter = Cost.meter(rates, "batch")
      const alone = Cost.meter(rates, "synchronous")
      let synchronous = 0n
      for (const [input, cacheRead, output] of rows) {
        meter.add(tokens({ input, cacheRead, output }))
        alone.add(tokens({ input, cacheRead, output }))
        const long = input + cacheRead > 200_000
        synchronous += long
          ? BigInt(input) * 7_000_000n + BigInt(cacheRead) * 1_000_000n + BigInt(output) * 9_000_000n
          : BigInt(input) * BigInt(inputRate) * 10n + BigInt(cacheRead) * 500_000n +
            BigInt(output) * BigInt(outputRate) * 10n
      }
      const bill = meter.bill()
      assert.strictEqual(bill.synchronous, synchronous)
      assert.strictEqual(bill.charged * 2n, synchronous)
      assert.strictEqual(bill.saved, bill.charged)
      assert.strictEqual(bill.priced, rows.length)
      assert.strictEqual(
        Cost.promptOf(bill.tokens),
        rows.reduce((sum, [input, cacheRead]) => sum + input + cacheRead, 0)
      )
      // What is asked one by one costs the full price, and saves nothing.
      assert.deepInclude(alone.bill(), { charged: synchronous, synchronous, saved: 0n })
    }
  )

  it("counts answers of unknown price, and never takes them for free", () => {
    const meter = Cost.meter(null, "batch")
    meter.add(tokens({ input: 5 }))
    assert.strictEqual(Cost.formatBill(meter.bill()), "unknown")
    assert.isNull(Cost.toJson(meter.bill()).charged_usd)
    const known = Cost.meter(haiku, "batch")
    known.add(tokens({ input: 1_000_000 }))
    const both = Cost.sum([known.bill(), meter.bill(), Cost.empty])
    assert.deepInclude(both, { priced: 1, unpriced: 1 })
    assert.strictEqual(both.tokens.input, 1_000_005)
    assert.strictEqual(Cost.formatBill(both), "$0.5000, and 1 answer of unknown price")
    assert.strictEqual(Cost.formatBill(known.bill()), "$0.5000")
    assert.strictEqual(Cost.formatBill(Cost.empty), "$0.00")
  })

  it("counts an answer that does not tell what it used as one of unknown price", () => {
    const meter = Cost.meter(haiku, "batch")
    meter.add(undefined)
    meter.add(tokens({ output: 1_000_000 }))
    assert.deepInclude(meter.bill(), { charged: 2_500_000_000_000n, priced: 1, unpriced: 1 })
  })

  it("charges nothing for answers that were there already, and says what they would have cost", () => {
    const meter = Cost.meter(haiku, "synchronous")
    meter.add(tokens({ input: 1_000_000 }))
    const bill = Cost.reused(meter.bill())
    assert.deepInclude(bill, {
      charged: 0n,
      synchronous: 10n ** 12n,
      priced: 0,
      unpriced: 0,
      reused: 1,
      saved: 10n ** 12n
    })
    assert.deepStrictEqual({ ...bill.tokens }, tokens({}))
  })
})

describe("a tariff", () => {
  it("is what single tokens cost, with the batch factor in it", () => {
    assert.deepStrictEqual(Schema.encodeSync(Cost.Tariff)(Cost.tariff(haiku, "batch")), {
      input: "0.0000005",
      cacheRead: "0.00000005",
      cacheWrite5m: "0.000000625",
      cacheWrite1h: "0.000001",
      output: "0.0000025",
      long: null
    })
  })
})

describe("Usd", () => {
  it("is an exact decimal text in JSON", () => {
    const bill = new Cost.Bill({ ...Cost.empty, charged: 1_230_000_000_005n, synchronous: 2n * 10n ** 24n, priced: 2 })
    const json = Schema.encodeSync(Cost.Bill)(bill)
    assert.deepInclude(json, { charged: "1.230000000005", synchronous: "2000000000000", priced: 2, unpriced: 0 })
    assert.deepStrictEqual(Schema.decodeSync(Cost.Bill)(json), bill)
  })

  it.prop("reads what it writes", [FastCheck.bigInt({ min: -(10n ** 26n), max: 10n ** 26n })], ([amount]) => {
    assert.strictEqual(Schema.decodeSync(Cost.Usd)(dollars(amount)), amount)
  })

  it("refuses what is no amount", () => {
    for (const text of ["", "1,5", "1e3", ".5", "1.1234567890123", "$1"]) {
      assert.throws(() => Schema.decodeSync(Cost.Usd)(text))
    }
  })

  it("takes budgets as people write them", () => {
    assert.strictEqual(dollars(Cost.fromDollars(5)), "5")
    assert.strictEqual(dollars(Cost.fromDollars(0.1)), "0.1")
    assert.strictEqual(dollars(Cost.fromDollars(12.345678)), "12.345678")
  })
})

describe("format", () => {
  const amounts: ReadonlyArray<readonly [usd: string, text: string]> = [
    ["0", "$0.00"],
    ["0.000000000001", "< $0.0001"],
    ["0.000099999999", "< $0.0001"],
    ["0.0001", "$0.0001"],
    ["0.0123", "$0.0123"],
    ["0.01235", "$0.0124"],
    ["0.012349999999", "$0.0123"],
    ["0.99994", "$0.9999"],
    ["0.99995", "$1.00"],
    ["1", "$1.00"],
    ["12.345", "$12.35"],
    ["1234567.891", "$1,234,567.89"],
    ["-0.5", "-$0.5000"]
  ]
  for (const [usd, text] of amounts) {
    it(`${usd} is ${text}`, () => assert.strictEqual(Cost.format(Schema.decodeSync(Cost.Usd)(usd)), text))
  }

  it("says what is not known", () => assert.strictEqual(Cost.format(null), "unknown"))
})
