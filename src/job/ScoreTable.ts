/**
 * Scores by model, condition and temperature, counted row by row in memory that does not grow with them.
 *
 * The accuracy is that of the rows. Its interval is Wilson's, at 95 %, since that one is right near 0 and 1 too. Samples
 * of one item resemble each other, so it is over items: Wilson's formula takes the effective number of rows, which is
 * their number by the design effect, the ratio of the cluster-robust variance of the accuracy (an item being a cluster)
 * to that of independent rows. It is never more than the rows and never less than the items. With one sample an item
 * this is the textbook's interval exactly.
 *
 * The samples of an item are known by standing together. Where they do not, each item counts as one row.
 */
import type { JsonObject } from "../Request.js"
import { formatTemp } from "./SixPartId.js"

/** What an answer is worth; `not_scored` where the item has no number to compare with. */
export type Verdict = "correct" | "wrong" | "no_number" | "unanswered" | "not_scored"

/** A row that was judged. */
export interface ScoredRow {
  readonly model: string
  readonly condition: string
  readonly temp: number
  readonly item: string
  readonly sampleIndex: number
  readonly verdict: Verdict
}

/** Samples of one item, which stand together. */
interface Cluster {
  item: string
  rows: number
  correct: number
}

interface Group {
  readonly model: string
  readonly condition: string
  readonly temp: number
  /** The sample that came first: each item has one of it. */
  readonly sample: number
  items: number
  readonly verdicts: Record<Verdict, number>
  open: Cluster | undefined
  clusters: number
  /** Sums over the clusters: rows squared, correct squared, rows times correct. */
  rowsSquared: number
  correctSquared: number
  product: number
}

/** The score of one model under one condition at one temperature. */
export interface Score {
  readonly model: string
  readonly condition: string
  readonly temp: number
  /** Rows that were scored, unanswered ones among them. */
  readonly rows: number
  readonly items: number
  readonly correct: number
  /** `null` where nothing was scored, as is the interval. */
  readonly accuracy: number | null
  readonly interval: readonly [low: number, high: number] | null
  readonly effectiveRows: number
  /** Counted as wrong, as are those without a number. */
  readonly unanswered: number
  readonly noNumber: number
  readonly notScored: number
}

/** The quantile of the normal distribution for 95 %, both sides. */
const z = 1.959963984540054

/** Wilson's interval of a proportion that was seen in so many trials. */
const wilson = (proportion: number, trials: number): readonly [low: number, high: number] => {
  const scale = 1 + z * z / trials
  const center = (proportion + z * z / (2 * trials)) / scale
  const half = z * Math.sqrt(proportion * (1 - proportion) / trials + z * z / (4 * trials * trials)) / scale
  return [proportion === 0 ? 0 : center - half, proportion === 1 ? 1 : center + half]
}

const close = (group: Group): void => {
  if (group.open === undefined) return
  const { correct, rows } = group.open
  group.open = undefined
  group.clusters++
  group.rowsSquared += rows * rows
  group.correctSquared += correct * correct
  group.product += rows * correct
}

/** How many independent rows would tell as much. */
const effectiveRows = (group: Group, rows: number): number => {
  const { clusters, correctSquared, items, product, rowsSquared, verdicts } = group
  if (clusters > items) return items
  if (clusters === rows) return rows
  const p = verdicts.correct / rows
  if (clusters < 2 || p === 0 || p === 1) return clusters
  const squares = correctSquared - 2 * p * product + p * p * rowsSquared
  const clustered = squares * clusters / (clusters - 1)
  const independent = p * (1 - p) * rows * rows / (rows - 1)
  return Math.min(rows, Math.max(clusters, rows * independent / clustered))
}

const scoreOf = (group: Group): Score => {
  close(group)
  const { condition, items, model, temp, verdicts } = group
  const { correct, no_number: noNumber, not_scored: notScored, unanswered, wrong } = verdicts
  const rows = correct + wrong + noNumber + unanswered
  const effective = effectiveRows(group, rows)
  return {
    model,
    condition,
    temp,
    rows,
    items,
    correct,
    accuracy: rows === 0 ? null : correct / rows,
    interval: rows === 0 ? null : wilson(correct / rows, effective),
    effectiveRows: effective,
    unanswered,
    noNumber,
    notScored
  }
}

/** Counts rows, and gives their scores. */
export class Scores {
  private readonly groups = new Map<string, Group>()

  add(row: ScoredRow): void {
    const group = this.groupOf(row)
    group.verdicts[row.verdict]++
    if (row.verdict === "not_scored") return
    if (row.sampleIndex === group.sample) group.items++
    if (group.open?.item !== row.item) close(group)
    const cluster = group.open ??= { item: row.item, rows: 0, correct: 0 }
    cluster.rows++
    if (row.verdict === "correct") cluster.correct++
  }

  /** In the order in which they first appeared. */
  finish(): ReadonlyArray<Score> {
    return [...this.groups.values()].map(scoreOf)
  }

  private groupOf({ condition, model, sampleIndex, temp }: ScoredRow): Group {
    const key = JSON.stringify([model, condition, temp])
    const known = this.groups.get(key)
    if (known !== undefined) return known
    const group: Group = {
      model,
      condition,
      temp,
      sample: sampleIndex,
      items: 0,
      verdicts: { correct: 0, wrong: 0, no_number: 0, unanswered: 0, not_scored: 0 },
      open: undefined,
      clusters: 0,
      rowsSquared: 0,
      correctSquared: 0,
      product: 0
    }
    this.groups.set(key, group)
    return group
  }
}

/** A score for programs. */
export const toJson = (score: Score): JsonObject => ({
  model: score.model,
  condition: score.condition,
  temp: score.temp,
  n: score.rows,
  items: score.items,
  correct: score.correct,
  accuracy: score.accuracy,
  interval: score.interval === null ? null : { low: score.interval[0], high: score.interval[1] },
  effective_n: score.effectiveRows,
  unanswered: score.unanswered,
  no_number: score.noNumber,
  not_scored: score.notScored
})

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

const columns = ["model", "condition", "temp", "n", "correct", "accuracy", "95 % interval", "unanswered"]

/** The columns of text; the others hold numbers, and end where their headings do. */
const texts = 2

const cells = ({ accuracy, condition, correct, interval, model, rows, temp, unanswered }: Score) => [
  model,
  condition,
  formatTemp(temp),
  String(rows),
  String(correct),
  accuracy === null ? "-" : percent(accuracy),
  interval === null ? "-" : interval.map(percent).join(" to "),
  String(unanswered)
]

/** A table for people, a line a score below the headings. */
export const table = (scores: ReadonlyArray<Score>): ReadonlyArray<string> => {
  const lines = [columns, ...scores.map(cells)]
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines.map((line) =>
    line.map((cell, column) => {
      const width = widths[column] ?? 0
      return column < texts ? cell.padEnd(width) : cell.padStart(width)
    }).join("  ")
  )
}
