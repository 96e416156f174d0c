import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import { BatchSnapshot, EndedBatch } from "llm-batch/Batch"
import { BuildOptions } from "llm-batch/BuildOptions"
import * as Cost from "llm-batch/Cost"
import type { RunReport } from "llm-batch/Pipeline"
import { type Entry, Fold, InputDescription, RunDescription } from "llm-batch/RunState"
import type { Tally } from "llm-batch/Tally"
import { summary } from "../../src/cli/Summary.js"
import { shard, snapshot, tally } from "./RunEvents.js"

const start = DateTime.unsafeMake(0)

const later = DateTime.unsafeMake(192_000)

/** A report of a run in `/run` with 800 rows in two shards. */
const report = (...entries: ReadonlyArray<Entry>): RunReport => {
  const fold = new Fold("/run")
  const all: ReadonlyArray<Entry> = [
    {
      _tag: "RunStarted",
      at: start,
      run: new RunDescription({
        runId: "1",
        runTag: "k3f9a2x7qd",
        provider: "openai",
        input: new InputDescription({ name: "in.jsonl", path: null, format: "jsonl", columns: null, bytes: null }),
        options: new BuildOptions()
      })
    },
    { _tag: "ShardBuilt", at: start, shard: shard(1) },
    { _tag: "ShardBuilt", at: start, shard: shard(2) },
    { _tag: "BuildFinished", at: start, rows: 800, notices: [], input: { bytes: 0, sha256: "" } },
    ...entries
  ]
  for (const entry of all) assert.isUndefined(fold.step(entry))
  const { state } = fold
  assert.isDefined(state)
  return {
    state,
    directory: "/run",
    tally: state.tally,
    results: "/run/results.jsonl",
    failures: "/run/failures.jsonl"
  }
}

const finished = (tally: Tally) => report({ _tag: "RunFinished", at: later, tally })

describe("Summary", () => {
  it("tells how a run ended of which every row is answered", () => {
    const tokens = { prompt: 120_000, completion: 34_000, cached: 0, reasoning: 12_000 }
    assert.deepStrictEqual(summary(finished(tally(800, { tokens }))).split("\n"), [
      "openai, gpt-5-mini: finished, 2 batches in 3m 12s",
      "",
      "  rows                800",
      "  answered            800  100.0 %",
      "  tokens read     120,000",
      "  tokens written   34,000  12,000 of reasoning",
      "",
      "  results  /run/results.jsonl",
      "  run      /run",
      "",
      "Answers beside the input's columns: llm-batch results /run --format csv"
    ])
  })

  it("tells what became of the other rows, and what was odd", () => {
    const all = tally(800, {
      succeeded: 790,
      refused: 1,
      truncated: 2,
      errored: 3,
      expired: 4,
      cancelled: 1,
      invalid: 1,
      missing: 1,
      retryable: 6,
      duplicateLines: 5,
      conflictingLines: 6,
      unexpectedLines: 7,
      malformedLines: 8,
      tokens: { prompt: 10, completion: 2, cached: 4, reasoning: 0 }
    })
    const ended = finished(all)
    const shards = new Map(
      [...ended.state.shards].map(([id, shard]) => [
        id,
        { ...shard, tally: tally(400, { missing: id === "0001" ? 1 : 0 }), bill: Cost.ofModels([]) }
      ])
    )
    assert.deepStrictEqual(summary({ ...ended, state: { ...ended.state, shards } }).split("\n"), [
      "openai, gpt-5-mini: finished, 2 batches in 3m 12s",
      "",
      "  rows               800",
      "  answered           790  98.7 %",
      "  refused              1  among the answered",
      "  truncated            2  among the answered: cut at the token limit",
      "  errored              3",
      "  expired              4",
      "  cancelled            1",
      "  invalid              1  their answers do not fit",
      "  missing              1",
      "  retryable            6  among the rest: asking again can help",
      "  duplicate lines      5  in the provider's results, counted once",
      "  conflicting lines    6  in the provider's results, the first usable one is kept",
      "  unexpected lines     7  in the provider's results, of none of the rows",
      "  malformed lines      8  in the provider's results, which cannot be read",
      "  tokens read         10  4 from a cache",
      "  tokens written       2",
      "",
      "  results    /run/results.jsonl",
      "  failures   /run/failures.jsonl",
      "  anomalies  /run/anomalies.jsonl",
      "  run        /run",
      "",
      "Answers beside the input's columns: llm-batch results /run --format csv",
      "Ask again for 6 rows: llm-batch retry /run",
      "1 of them was missing from the results, and may be charged twice."
    ])
  })

  const neverSent = (index: number) =>
    new BatchSnapshot({ ...snapshot(shard(index), "ended", 0), providerStatus: "never sent" })

  it("tells how often rows were asked, and what was never sent", () => {
    const all = tally(800, { succeeded: 790, errored: 10 })
    const retried = report(
      {
        _tag: "BatchEnded",
        at: start,
        batch: new EndedBatch({ shard: shard(2), snapshot: neverSent(2), ending: "cancelled" })
      },
      { _tag: "RetryBuilt", at: start, attempt: 2, reasons: ["retry"], shards: [shard(3, 1_000, 2), shard(4, 40, 2)] },
      { _tag: "RetryBuilt", at: start, attempt: 3, reasons: ["retry"], shards: [shard(5, 12, 3)] },
      { _tag: "RunFinished", at: later, tally: all }
    )
    assert.deepStrictEqual(summary(retried).split("\n").slice(0, 6), [
      "openai, gpt-5-mini: finished, 4 batches and 1 never sent, in 3m 12s",
      "",
      "  attempts          3  1,052 requests repeated",
      "  rows            800",
      "  answered        790  98.7 %",
      "  errored          10"
    ])
  })

  /** A shard that is normalised, whose answers cost so many dollars. */
  const normalised = (index: number, bill: Partial<Cost.Bill> | undefined): ReadonlyArray<Entry> => [
    {
      _tag: "BatchEnded",
      at: start,
      batch: new EndedBatch({ shard: shard(index), snapshot: neverSent(index), ending: "completed" })
    },
    { _tag: "ResultsFetched", at: start, shard: shard(index).id, files: [], rows: 400, shortBy: 0, shortfall: null },
    {
      _tag: "ShardNormalized",
      at: start,
      shard: shard(index).id,
      tally: tally(400),
      ...(bill === undefined ? {} : { bill: new Cost.ShardBill({ ...Cost.empty, ...bill, models: [] }) })
    }
  ]

  const costs = (...entries: ReadonlyArray<Entry>) =>
    summary(report(...entries)).split("\n").filter((line) => line.startsWith("  cost"))

  it("tells what it cost, and what is not known of that", () => {
    const dollar = 10n ** 12n
    const half = { charged: dollar / 2n, synchronous: dollar, priced: 400 }
    const end: Entry = { _tag: "RunFinished", at: later, tally: tally(800) }
    const bills: ReadonlyArray<readonly [Partial<Cost.Bill> | undefined, Partial<Cost.Bill> | undefined, string]> = [
      [half, half, "  cost            $1.00  $2.00 without batches"],
      [half, { ...half, charged: dollar }, "  cost            $1.50  $2.00 without batches"],
      [{ ...half, synchronous: half.charged }, {}, "  cost            $0.5000"],
      [half, { unpriced: 3 }, "  cost            $0.5000  $1.00 without batches, 3 answers of unknown price"],
      [{ unpriced: 3 }, { unpriced: 1 }, "  cost            unknown  4 answers of unknown price"],
      [half, { synchronous: dollar, reused: 2 }, "  cost            $0.5000  $2.00 one by one"],
      [
        undefined,
        undefined,
        "  cost            unknown  800 rows without a bill: llm-batch normalize /run"
      ],
      [
        half,
        undefined,
        "  cost            $0.5000  $1.00 without batches, 400 rows without a bill: llm-batch normalize /run"
      ]
    ]
    for (const [one, other, line] of bills) {
      assert.deepStrictEqual(costs(...normalised(1, one), ...normalised(2, other), end), [line])
    }
    assert.deepStrictEqual(costs(...normalised(1, half)), ["  cost so far  $0.5000  $1.00 without batches"])
  })

  it("tells what a dry run made, and how to send it", () => {
    assert.deepStrictEqual(summary(report()).split("\n"), [
      "openai, gpt-5-mini: 800 rows built as 2 batches, and nothing was sent",
      "",
      "  payloads  /run/batch_inputs/openai",
      "  run       /run",
      "",
      "Send them: llm-batch resume /run"
    ])
  })

  it("tells where an unfinished run stands, and how to go on", () => {
    const of = (index: number) => snapshot(shard(index), "in_progress", 0)
    const running = report(
      { _tag: "BatchCreated", at: later, shard: "0001", snapshot: of(1), adopted: false },
      { _tag: "BatchCreated", at: later, shard: "0002", snapshot: of(2), adopted: false },
      {
        _tag: "BatchEnded",
        at: later,
        batch: new EndedBatch({ shard: shard(2), snapshot: of(2), ending: "completed" })
      }
    )
    assert.deepStrictEqual(summary(running).split("\n"), [
      "openai, gpt-5-mini: not finished, 800 rows in 2 batches",
      "",
      "  submitted  1",
      "  ended      1",
      "",
      "  run  /run",
      "",
      "1 batch is running. Wait for the answers: llm-batch resume /run"
    ])
  })
})
