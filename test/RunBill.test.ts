import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import { EndedBatch } from "llm-batch/Batch"
import { BuildOptions } from "llm-batch/BuildOptions"
import * as Cost from "llm-batch/Cost"
import * as RunBill from "llm-batch/RunBill"
import { type Entry, Fold, InputDescription, RunDescription } from "llm-batch/RunState"
import { Shard } from "llm-batch/Shard"
import type { Tally } from "llm-batch/Tally"
import { shard, snapshot, tally } from "./cli/RunEvents.js"

const at = DateTime.unsafeMake(0)

const dollar = 10n ** 12n

const modelBill = (model: string, charged: bigint, more: Partial<Cost.Bill> = {}) =>
  new Cost.ModelBill({
    ...Cost.empty,
    charged,
    synchronous: 2n * charged,
    priced: 1,
    ...more,
    model,
    answeredAs: model,
    tariff: null
  })

const fetched = (index: number): ReadonlyArray<Entry> => [
  {
    _tag: "BatchCreated",
    at,
    shard: shard(index).id,
    snapshot: snapshot(shard(index), "validating", 0),
    adopted: false
  },
  {
    _tag: "BatchEnded",
    at,
    batch: new EndedBatch({
      shard: shard(index),
      snapshot: snapshot(shard(index), "ended", 400, { ending: "completed" }),
      ending: "completed"
    })
  },
  { _tag: "ResultsFetched", at, shard: shard(index).id, files: [], rows: 400, shortBy: 0, shortfall: null }
]

const normalised = (index: number, of: Tally, ...models: ReadonlyArray<Cost.ModelBill>): Entry => ({
  _tag: "ShardNormalized",
  at,
  shard: shard(index).id,
  tally: of,
  bill: Cost.ofModels(models)
})

const built = (of: Shard): Entry => ({ _tag: "ShardBuilt", at, shard: of })

/** The bill of a run with these entries. */
const billOf = (...entries: ReadonlyArray<Entry>): RunBill.RunBill => {
  const fold = new Fold("/run")
  const run = new RunDescription({
    runId: "1",
    runTag: "k3f9a2x7qd",
    provider: "openai",
    input: new InputDescription({ name: "in.jsonl", path: null, format: "jsonl", columns: null, bytes: null }),
    options: new BuildOptions()
  })
  const all: ReadonlyArray<Entry> = [{ _tag: "RunStarted", at, run }, ...entries]
  for (const entry of all) assert.isUndefined(fold.step(entry))
  assert.isDefined(fold.state)
  return RunBill.make(fold.state)
}

const end: Entry = { _tag: "BuildFinished", at, rows: 800, notices: [], input: { bytes: 0, sha256: "" } }

describe("the bill of a run", () => {
  it("adds up by model, and by attempt and way of asking", () => {
    const bill = billOf(
      built(shard(1)),
      built(new Shard({ ...shard(2), mode: "sync" })),
      ...fetched(1),
      normalised(1, tally(400), modelBill("alpha", dollar), modelBill("beta", 3n * dollar)),
      ...fetched(2),
      normalised(2, tally(400), modelBill("alpha", 10n * dollar, { synchronous: 10n * dollar, unpriced: 2 }))
    )
    assert.deepInclude(bill.bill, { charged: 14n * dollar, synchronous: 18n * dollar, priced: 3, unpriced: 2 })
    assert.deepStrictEqual(bill.models.map(({ bill, model }) => [model, bill.charged, bill.unpriced]), [
      ["alpha", 11n * dollar, 2],
      ["beta", 3n * dollar, 0]
    ])
    assert.deepStrictEqual(bill.attempts.map(({ attempt, bill, mode, rows }) => [attempt, mode, rows, bill.charged]), [
      [1, "batch", 400, 4n * dollar],
      [1, "sync", 400, 10n * dollar]
    ])
    const { charged_usd, models, saved_usd, unpriced_answers, without_batches_usd } = RunBill.toJson(bill)
    assert.deepStrictEqual([charged_usd, without_batches_usd, saved_usd, unpriced_answers], ["14", "18", "4", 2])
    assert.deepStrictEqual(models.map(({ charged_usd, model }) => [model, charged_usd]), [["alpha", "11"], [
      "beta",
      "3"
    ]])
  })

  it("has the last bill of a shard, and none while its results are newer", () => {
    const once = [built(shard(1)), ...fetched(1), normalised(1, tally(400), modelBill("alpha", dollar))]
    const [, , refetched] = fetched(1)
    assert.isDefined(refetched)
    const between = billOf(...once, refetched)
    assert.deepInclude(between, { openRows: 400, isKnown: false })
    assert.isNull(RunBill.toJson(between).charged_usd)
    const after = billOf(...once, refetched, normalised(1, tally(400), modelBill("alpha", 2n * dollar)))
    assert.deepInclude(after, { openRows: 0, isKnown: true })
    assert.strictEqual(after.bill.charged, 2n * dollar)
  })

  it("tells what is not sent, what is not known yet, and what an older version did not keep", () => {
    const bill = billOf(
      built(shard(1)),
      built(shard(2)),
      built(shard(3)),
      { _tag: "AskStarted", at, shard: shard(2).id },
      ...fetched(3),
      { _tag: "ShardNormalized", at, shard: shard(3).id, tally: tally(400) }
    )
    assert.deepInclude(bill, { unsentRows: 400, openRows: 400, unbilledRows: 400, isKnown: false })
    assert.deepInclude(billOf(built(shard(1))), { unsentRows: 400, openRows: 0, isKnown: true })
    // Rows that get their answers from elsewhere are never sent.
    assert.deepInclude(billOf(built(new Shard({ ...shard(1), mode: "reused" }))), { unsentRows: 0, isKnown: true })
  })

  it("tells of missing rows, and of those that were asked again", () => {
    const missing = tally(400, { succeeded: 397, missing: 3, retryable: 3 })
    const first: ReadonlyArray<Entry> = [
      built(shard(1)),
      end,
      ...fetched(1),
      normalised(1, missing, modelBill("alpha", dollar)),
      { _tag: "RunFinished", at, tally: missing }
    ]
    const again = (reason: "retry" | "repair"): Entry => ({
      _tag: "RetryBuilt",
      at,
      attempt: 2,
      reasons: [reason],
      shards: [shard(2, 3, 2)]
    })
    assert.deepInclude(billOf(...first), { missingRows: 3, rowsMayBeChargedTwice: 0 })
    assert.deepInclude(billOf(...first, again("repair")), { missingRows: 3, rowsMayBeChargedTwice: 0 })
    assert.deepInclude(billOf(...first, again("retry")), { missingRows: 3, rowsMayBeChargedTwice: 3, unsentRows: 3 })
  })

  it("does not count rows that are missing with the one that asked the same: they were never sent", () => {
    const missing = (rows: number) => tally(rows, { succeeded: 0, missing: rows, retryable: rows })
    const reusing = new Shard({ ...shard(2), rows: 5, mode: "reused" })
    const bill = billOf(
      built(shard(1)),
      built(reusing),
      end,
      ...fetched(1),
      normalised(1, missing(2), modelBill("alpha", dollar)),
      ...fetched(2),
      normalised(2, missing(5), modelBill("alpha", 0n)),
      { _tag: "RunFinished", at, tally: missing(7) },
      { _tag: "RetryBuilt", at, attempt: 2, reasons: ["retry"], shards: [shard(3, 2, 2)] }
    )
    assert.deepInclude(bill, { missingRows: 2, rowsMayBeChargedTwice: 2 })
  })
})
