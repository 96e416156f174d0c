import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Cost from "../src/Cost.js"
import * as Estimate from "../src/Estimate.js"
import * as Model from "../src/Model.js"
import type { Limits } from "../src/Provider.js"
import * as TokenCount from "../src/TokenCount.js"

const limits: Limits = {
  rows: 50_000,
  bytes: 200_000_000,
  overheadBytes: 0,
  oneModelPerBatch: true,
  embeddingInputs: 50_000,
  windowHours: 24,
  retentionDays: 30,
  listPage: 100
}

const exactly = (tokens: number) => new TokenCount.TokenBand({ tokens, low: tokens, high: tokens, exact: true })

const modelOf = (name: string, rates: { readonly input: number; readonly output: number | null } | null) => {
  const model = Model.knownOr(Model.builtIn.find(name), name, "openai")
  return new Model.Model({
    ...model,
    prices: rates === null ? null : new Model.Prices({
      ...rates,
      cacheRead: null,
      cacheWrite5m: null,
      cacheWrite1h: null,
      long: null,
      batchFactor: 0.5,
      source: "test"
    })
  })
}

const mini = modelOf("gpt-4.1-mini", { input: 0.4, output: 1.6 })

const sample = (fields: Partial<Estimate.Sample>): Estimate.Sample => ({
  model: mini,
  rows: 1_000,
  bytes: 500_000,
  longestRow: 2_000,
  input: exactly(100_000),
  caching: "none",
  cappedRows: 1_000,
  cappedTokens: 500_000,
  embeddings: false,
  ...fields
})

const usd = (range: Estimate.UsdRange | null) => range === null ? null : Schema.encodeSync(Estimate.UsdRange)(range)

describe("make", () => {
  it("prices input, and output from what is usual to what max_tokens allows", () => {
    const estimate = Estimate.make([sample({})], { limits })
    // 100,000 x 0.4 + 20,000 x 1.6; + 500,000 x 1.6, in millionths
    assert.deepStrictEqual(estimate.output, { low: 20_000, high: 500_000, atMost: 500_000 })
    assert.deepStrictEqual(usd(estimate.synchronous), { low: "0.072", high: "0.84", atMost: "0.84" })
    assert.deepStrictEqual(usd(estimate.batch), { low: "0.036", high: "0.42", atMost: "0.42" })
    assert.deepStrictEqual(estimate.saving, { low: 36_000_000_000n, high: 420_000_000_000n })
    assert.strictEqual(estimate.batches, 1)
  })

  it("has no limit but the model's where rows set none", () => {
    const { batch, output } = Estimate.make([sample({ cappedRows: 400, cappedTokens: 4_000 })], { limits })
    // 400 rows of ten tokens, and 600 of 20 to 800, each of 32,768 at most
    assert.deepStrictEqual(output, { low: 16_000, high: 484_000, atMost: 19_664_800 })
    assert.strictEqual(usd(batch)?.atMost, "15.75184")
    const unlimited = Estimate.make([
      sample({ model: Model.unknown("my-org/llama-3", "openai"), cappedRows: 0, cappedTokens: 0 })
    ], { limits })
    assert.isNull(unlimited.output.atMost)
  })

  it("expects more of models that reason", () => {
    const reasoning = modelOf("gpt-5-mini", { input: 0.25, output: 2 })
    const { output } = Estimate.make([sample({ model: reasoning, cappedRows: 0, cappedTokens: 0 })], { limits })
    assert.deepStrictEqual(output, { low: 200_000, high: 4_000_000, atMost: 128_000_000 })
  })

  it("goes by earlier answers, the closer the more there were", () => {
    const { output: few } = Estimate.make([sample({ history: { answers: 4, meanTokens: 100 } })], { limits })
    const { output: many } = Estimate.make([sample({ history: { answers: 10_000, meanTokens: 100 } })], { limits })
    assert.deepStrictEqual(few, { low: 70_000, high: 130_000, atMost: 500_000 })
    assert.deepStrictEqual(many, { low: 89_600, high: 110_400, atMost: 500_000 })
  })

  it("widens the cost by the band of the input", () => {
    const input = new TokenCount.TokenBand({ tokens: 100_000, low: 80_000, high: 130_000, exact: false })
    const { batch } = Estimate.make([sample({ input, history: { answers: 1e12, meanTokens: 0 } })], { limits })
    assert.deepStrictEqual([usd(batch)?.low, usd(batch)?.high], ["0.016", "0.026"])
  })

  it("takes embeddings for their input alone", () => {
    const model = modelOf("text-embedding-3-small", { input: 0.02, output: null })
    const { batch, output } = Estimate.make([sample({ model, embeddings: true, cappedRows: 0 })], { limits })
    assert.deepStrictEqual(output, { low: 0, high: 0, atMost: 0 })
    assert.deepStrictEqual(usd(batch), { low: "0.001", high: "0.001", atMost: "0.001" })
  })

  it("names what it cannot price, and leaves it in no sum", () => {
    const unknown = Model.unknown("my-org/llama-3", "openai")
    const both = Estimate.make([sample({}), sample({ model: unknown })], { limits })
    assert.deepStrictEqual(both.unpriced, ["my-org/llama-3"])
    assert.deepStrictEqual(usd(both.batch), { low: "0.036", high: "0.42", atMost: null })
    assert.strictEqual(both.rows, 2_000)
    assert.strictEqual(both.batches, 2)
    const alone = Estimate.make([sample({ model: unknown })], { limits })
    assert.deepStrictEqual([alone.batch, alone.synchronous, alone.saving], [null, null, null])
  })

  it("prices prompts that are long by their own rates", () => {
    const prices = new Model.Prices({
      input: 0.4,
      output: 1.6,
      cacheRead: null,
      cacheWrite5m: null,
      cacheWrite1h: null,
      batchFactor: 0.5,
      source: "test",
      long: { above: 200_000, input: 4, output: 16, cacheRead: null, cacheWrite5m: null, cacheWrite1h: null }
    })
    const model = new Model.Model({ ...mini, prices })
    const long = sample({ model, rows: 2, input: exactly(500_000), cappedRows: 2, cappedTokens: 0 })
    const cost = (fields: Partial<Estimate.Sample>) =>
      usd(Estimate.make([{ ...long, ...fields }], { limits }).synchronous)
    assert.deepStrictEqual(cost({}), { low: "2", high: "2", atMost: "2" })
    // Most are short; whether one is long is not known.
    assert.deepStrictEqual(cost({ rows: 10, cappedRows: 10 }), { low: "0.2", high: "0.2", atMost: "0.2" })
    assert.deepStrictEqual(cost({ rows: 10, cappedRows: 10, longestRow: 300_000 }), {
      low: "0.2",
      high: "0.2",
      atMost: "2"
    })
  })

  it("expects no longer answers than the model writes", () => {
    const model = new Model.Model({ ...mini, maxOutput: 100 })
    const { output } = Estimate.make([sample({ model, cappedRows: 0, cappedTokens: 0 })], { limits })
    assert.deepStrictEqual(output, { low: 20_000, high: 100_000, atMost: 100_000 })
  })

  it("prices what goes into a cache and comes from it where rows ask for one, and as what it can be elsewhere", () => {
    const prices = new Model.Prices({
      input: 1,
      output: 0,
      cacheRead: 0.1,
      cacheWrite5m: 1.25,
      cacheWrite1h: 2,
      long: null,
      batchFactor: 0.5,
      source: "test"
    })
    const model = new Model.Model({ ...mini, prices })
    const cost = (caching: Estimate.Caching) => usd(Estimate.make([sample({ model, caching })], { limits }).synchronous)
    assert.deepStrictEqual(cost("none"), { low: "0.1", high: "0.1", atMost: "0.1" })
    assert.deepStrictEqual(cost("automatic"), { low: "0.1", high: "0.1", atMost: "0.125" })
    assert.deepStrictEqual(cost("5m"), { low: "0.01", high: "0.125", atMost: "0.125" })
    assert.deepStrictEqual(cost("1h"), { low: "0.01", high: "0.2", atMost: "0.2" })
  })

  it("serialises", () => {
    const estimate = Estimate.make([sample({}), sample({ model: Model.unknown("m", "openai") })], 7)
    const json: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(Estimate.Estimate)(estimate)))
    assert.deepInclude(json, { rows: 2_000, batches: 7, batch: { low: "0.036", high: "0.42", atMost: null } })
    assert.deepStrictEqual(Schema.decodeUnknownSync(Estimate.Estimate)(json), estimate)
  })
})

describe("batchesOf", () => {
  const cases: ReadonlyArray<readonly [rows: number, bytes: number, batches: number]> = [
    [0, 0, 0],
    [1, 1, 1],
    [50_000, 1_000_000, 1],
    [50_001, 1_000_000, 2],
    [100, 200_000_001, 2],
    [1_000_000, 4_000_000_000, 20],
    [1_000_000, 8_000_000_000, 40]
  ]
  for (const [rows, bytes, batches] of cases) {
    it(`${rows} rows of ${bytes} bytes are ${batches}`, () =>
      assert.strictEqual(Estimate.batchesOf({ rows, bytes }, limits), batches))
  }

  it("goes by the user's own limits where they are less", () => {
    assert.strictEqual(Estimate.batchesOf({ rows: 1_000, bytes: 10_000 }, limits, { shardRows: 400 }), 3)
    assert.strictEqual(Estimate.batchesOf({ rows: 1_000, bytes: 10_000 }, limits, { shardBytes: 2_000 }), 5)
  })

  it("mixes models where a batch may", () => {
    const other = modelOf("gpt-4.1", { input: 2, output: 8 })
    const samples = [sample({}), sample({ model: other })]
    assert.strictEqual(Estimate.make(samples, { limits }).batches, 2)
    assert.strictEqual(Estimate.make(samples, { limits: { ...limits, oneModelPerBatch: false } }).batches, 1)
  })
})

describe("lines", () => {
  it("are for people", () => {
    assert.deepStrictEqual(Estimate.lines(Estimate.make([sample({ cappedTokens: 2_000_000 })], { limits })), [
      ["rows", "1,000 in 1 batch"],
      ["input", "100,000 tokens"],
      ["output", "20,000 to 800,000 tokens, 2,000,000 at most"],
      ["cost", "$0.0360 to $0.6600, $1.62 at most"],
      ["saved", "$0.0360 to $0.6600 against $0.0720 to $1.32 without batches"]
    ])
  })

  it("say what is guessed and what is not known", () => {
    const input = new TokenCount.TokenBand({ tokens: 100_000, low: 80_000, high: 130_000, exact: false })
    const unknown = sample({ model: Model.unknown("my-org/llama-3", "openai"), input })
    assert.deepStrictEqual(Estimate.lines(Estimate.make([unknown], 3)), [
      ["rows", "1,000 in 3 batches"],
      ["input", "about 100,000 (80,000 to 130,000) tokens"],
      ["output", "20,000 to 500,000 tokens"],
      ["cost", "unknown"]
    ])
    assert.deepStrictEqual(
      Estimate.lines(Estimate.make([sample({}), unknown], 3)).at(-1),
      ["unknown", "the cost of my-org/llama-3 comes on top"]
    )
  })

  it("show the cost of nothing", () => assert.strictEqual(Cost.format(0n), "$0.00"))
})
