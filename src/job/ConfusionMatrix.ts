/**
 * How often each label was given where each was right, and what follows from it. Plain functions, for the row path.
 */

/** How well one label was told. Shares are `null` where there is nothing to take a share of. */
export interface LabelScore {
  readonly label: string
  /** How many answered rows truly have it. */
  readonly support: number
  /** The share of the rows that were given it which have it. */
  readonly precision: number | null
  /** The share of the rows that have it which were given it. */
  readonly recall: number | null
  /** The harmonic mean of both. */
  readonly f1: number | null
}

const share = (part: number, whole: number): number | null => whole === 0 ? null : part / whole

/** Counts of rows whose true label is known. */
export class ConfusionMatrix {
  /** By the true label, then by the one that was given, in the order of the labels. */
  readonly counts: ReadonlyArray<Array<number>>
  /** Rows without a label in the answer, by their true label. */
  readonly unanswered: Array<number>
  private readonly positions: ReadonlyMap<string, number>

  constructor(readonly labels: ReadonlyArray<string>) {
    this.counts = labels.map(() => labels.map(() => 0))
    this.unanswered = labels.map(() => 0)
    this.positions = new Map(labels.map((label, position) => [label, position]))
  }

  /** Counts a row; `given` is `null` where the row has no usable answer. */
  add(truth: string, given: string | null): void {
    const row = this.positions.get(truth)
    if (row === undefined) return
    if (given === null) {
      this.unanswered[row] = (this.unanswered[row] ?? 0) + 1
      return
    }
    const [counts, column] = [this.counts[row], this.positions.get(given)]
    if (counts !== undefined && column !== undefined) counts[column] = (counts[column] ?? 0) + 1
  }

  private count(truth: number, given: number): number {
    return this.counts[truth]?.[given] ?? 0
  }

  private sum(count: (label: number) => number): number {
    return this.labels.reduce((total, _, label) => total + count(label), 0)
  }

  /** Rows with both a true and a given label. */
  get answered(): number {
    return this.sum((truth) => this.sum((given) => this.count(truth, given)))
  }

  get correct(): number {
    return this.sum((label) => this.count(label, label))
  }

  /** The share of the answered rows that were given their true label. */
  get accuracy(): number | null {
    return share(this.correct, this.answered)
  }

  get scores(): ReadonlyArray<LabelScore> {
    return this.labels.map((label, at) => {
      const hits = this.count(at, at)
      const support = this.sum((given) => this.count(at, given))
      const given = this.sum((truth) => this.count(truth, at))
      return {
        label,
        support,
        precision: share(hits, given),
        recall: share(hits, support),
        f1: share(2 * hits, support + given)
      }
    })
  }
}
