/**
 * The rows of a finished evaluation, one by one: each becomes a line of predictions and a line of scores, and is counted.
 */
import * as Either from "effect/Either"
import type { Answer } from "../Answers.js"
import type { BlockWriter } from "../internal/BlockWriter.js"
import { csvLine } from "../internal/CsvLine.js"
import { finalNumber } from "./FinalNumber.js"
import * as Predictions from "./Predictions.js"
import { Scores, type Verdict } from "./ScoreTable.js"
import * as SixPartId from "./SixPartId.js"

/** A row whose id is not one of an evaluation. */
export class NotAnEvaluation extends Error {}

/** Where lines go, and what the rows were made of. */
export interface RowScorerOptions {
  readonly predictions: BlockWriter
  readonly lines: BlockWriter
  /** The column with the right answer. */
  readonly answerColumn: string
  /** Whether conditions are `condition@model`. */
  readonly manyModels: boolean
}

const header = csvLine(["custom_id", "model", ...SixPartId.columns, "expected", "predicted", "verdict"])

const textOf = (value: unknown): string =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : ""

const verdictOf = (response: string, expected: string | undefined, predicted: string | undefined): Verdict => {
  if (expected === undefined) return "not_scored"
  if (response === "") return "unanswered"
  if (predicted === undefined) return "no_number"
  return predicted === expected ? "correct" : "wrong"
}

/** Takes the rows in input order. `add` throws `NotAnEvaluation`, or what the disk throws. */
export class RowScorer {
  readonly scores = new Scores()
  rows = 0
  /** Rows without a usable answer, whether they are scored or not. */
  failed = 0

  constructor(private readonly options: RowScorerOptions) {
    options.predictions.text(Predictions.header)
    options.lines.text(header)
  }

  add(row: Answer): void {
    const { answerColumn, lines, manyModels, predictions } = this.options
    const { request } = row
    const { customId } = request
    const id = Either.getOrThrowWith(
      SixPartId.parse(customId),
      (problem) => new NotAnEvaluation(`the id ${JSON.stringify(customId)} ${problem}`)
    )
    const model = textOf(request.body["model"])
    const mark = `@${model}`
    const condition = manyModels && id.condition.endsWith(mark) ? id.condition.slice(0, -mark.length) : id.condition
    const response = Predictions.responseText(row)
    const expected = finalNumber(textOf(request.kind === "native" ? undefined : request.columns?.[answerColumn]))
    const predicted = finalNumber(response)
    const verdict = verdictOf(response, expected, predicted)
    predictions.text(Predictions.line(row, id))
    const parts = SixPartId.cells({ ...id, condition })
    lines.text(csvLine([customId, model, ...parts, expected ?? "", predicted ?? "", verdict]))
    this.scores.add({
      model,
      condition,
      temp: id.temp,
      item: `${id.dataset}${SixPartId.separator}${id.itemId}`,
      sampleIndex: id.sampleIndex,
      verdict
    })
    this.rows++
    if (row.error !== null) this.failed++
  }
}
