/**
 * Expected intervals of independent rows are those of the textbook; the others are worked out by hand beside the test.
 */
import { assert, describe, it } from "@effect/vitest"
import { type ScoredRow, Scores, table, toJson, type Verdict } from "../../src/job/ScoreTable.js"

const row = (item: string, verdict: Verdict, more: Partial<ScoredRow> = {}): ScoredRow => ({
  model: "m",
  condition: "plain",
  temp: 0.7,
  item,
  sampleIndex: 0,
  verdict,
  ...more
})

const scored = (rows: ReadonlyArray<ScoredRow>) => {
  const scores = new Scores()
  for (const row of rows) scores.add(row)
  return scores.finish()
}

const one = (rows: ReadonlyArray<ScoredRow>) => {
  const [score, ...others] = scored(rows)
  assert.isDefined(score)
  assert.lengthOf(others, 0)
  return score
}

const rowsOf = (rows: number, correct: number) =>
  Array.from({ length: rows }, (_, index) => row(String(index), index < correct ? "correct" : "wrong"))

/** Items with several samples: how many of them are right, for each item. */
const sampled = (samples: number, correct: ReadonlyArray<number>) =>
  correct.flatMap((right, item) =>
    Array.from(
      { length: samples },
      (_, sampleIndex) => row(String(item), sampleIndex < right ? "correct" : "wrong", { sampleIndex })
    )
  )

const near = (actual: readonly [number, number] | null, low: number, high: number) => {
  assert.closeTo(actual?.[0] ?? -1, low, 5e-5)
  assert.closeTo(actual?.[1] ?? -1, high, 5e-5)
}

describe("scores", () => {
  it("are Wilson's for one sample an item", () => {
    near(one(rowsOf(10, 8)).interval, 0.4902, 0.9433)
    near(one(rowsOf(100, 50)).interval, 0.4038, 0.5962)
    near(one(rowsOf(20, 0)).interval, 0, 0.1611)
    near(one(rowsOf(20, 20)).interval, 0.8389, 1)
    assert.strictEqual(one(rowsOf(10, 8)).effectiveRows, 10)
  })

  it("count items, not samples, where the samples of an item agree", () => {
    const score = one(sampled(5, [5, 5, 5, 5, 5, 5, 5, 5, 0, 0]))
    assert.strictEqual(score.rows, 50)
    assert.strictEqual(score.items, 10)
    assert.strictEqual(score.accuracy, 0.8)
    assert.strictEqual(score.effectiveRows, 10)
    near(score.interval, 0.4902, 0.9433)
    assert.strictEqual(one(sampled(5, [5, 5, 5])).effectiveRows, 3)
  })

  it("take the design effect where they agree in part", () => {
    // 4 items of 4 samples: p = 8/16. Deviations of the items' counts from 2: 1, -1, 1, -1; squared, 4 in all.
    // Clustered: 4 * 4/3. Independent: 16 * 16 / 15 * 1/4. Effect: (16/3) / (64/15) = 1.25; 16 / 1.25 = 12.8.
    const score = one(sampled(4, [3, 1, 3, 1]))
    assert.closeTo(score.effectiveRows, 12.8, 1e-9)
    assert.strictEqual(score.accuracy, 0.5)
    // Items more alike than chance makes them: no reason to believe in more than the rows.
    assert.strictEqual(one(sampled(4, [2, 2, 2, 2])).effectiveRows, 16)
  })

  it("count each item once where its samples stand apart", () => {
    const apart = sampled(2, [2, 1, 0, 2]).toSorted((one, other) => one.sampleIndex - other.sampleIndex)
    const score = one(apart)
    assert.strictEqual(score.rows, 8)
    assert.strictEqual(score.items, 4)
    assert.strictEqual(score.correct, 5)
    assert.strictEqual(score.effectiveRows, 4)
  })

  it("count what is unanswered or holds no number as wrong, and what has no right answer not at all", () => {
    const score = one([
      row("1", "correct"),
      row("2", "unanswered"),
      row("3", "no_number"),
      row("4", "wrong"),
      row("5", "not_scored")
    ])
    assert.deepInclude(score, { rows: 4, items: 4, correct: 1, accuracy: 0.25, unanswered: 1, noNumber: 1 })
    assert.strictEqual(score.notScored, 1)
    const none = one([row("5", "not_scored")])
    assert.deepInclude(none, { rows: 0, accuracy: null, interval: null })
    assert.deepInclude(toJson(none), { n: 0, accuracy: null, interval: null, not_scored: 1 })
  })

  it("are told by model, condition and temperature, in the order in which these come", () => {
    const rows = ["a", "b"].flatMap((model) =>
      [0, 0.7].flatMap((temp) =>
        rowsOf(10, model === "a" ? 8 : 5).map((row) => ({ ...row, model, temp, condition: "step by step" }))
      )
    )
    assert.deepStrictEqual(table(scored([...rows, row("x", "not_scored")])), [
      "model  condition     temp   n  correct  accuracy     95 % interval  unanswered",
      "a      step by step   0.0  10        8    80.0 %  49.0 % to 94.3 %           0",
      "a      step by step   0.7  10        8    80.0 %  49.0 % to 94.3 %           0",
      "b      step by step   0.0  10        5    50.0 %  23.7 % to 76.3 %           0",
      "b      step by step   0.7  10        5    50.0 %  23.7 % to 76.3 %           0",
      "m      plain          0.7   0        0         -                 -           0"
    ])
  })
})
