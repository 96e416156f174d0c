/**
 * `llm-batch cost RUN_DIR...`: what runs have cost, by the bill that is in their journals: no network, no key, and beside
 * whatever runs them.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as CliOptions from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Cost from "../../Cost.js"
import * as RowCosts from "../../internal/RowCosts.js"
import * as Ledger from "../../Ledger.js"
import * as Manifest from "../../Manifest.js"
import * as RunBill from "../../RunBill.js"
import type { RunState } from "../../RunState.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Report from "../Report.js"
import { locate } from "../Runs.js"
import { UsageError } from "../UsageError.js"
import { print } from "./Results.js"

/** A run and what it has cost. */
interface Billed {
  readonly state: RunState
  readonly bill: RunBill.RunBill
}

/** A line of a table: some words, and an amount in each of the columns. */
interface Line {
  readonly words: ReadonlyArray<string>
  readonly bill: Cost.Bill
  readonly isKnown: boolean
}

interface Column {
  readonly name: string
  readonly cell: (line: Line) => string
}

const counted = (name: string, count: (bill: Cost.Bill) => number): Column => ({
  name,
  cell: ({ bill }) => Report.number(count(bill))
})

const amount = (name: string, of: (bill: Cost.Bill) => bigint): Column => ({
  name,
  cell: ({ bill, isKnown }) => Cost.format(isKnown ? of(bill) : null)
})

/** What only some runs have has a column only there. */
const columnsOf = ({ reused, tokens }: Cost.Bill): ReadonlyArray<Column> => [
  counted("ANSWERS", ({ priced, unpriced }) => priced + unpriced),
  ...(reused === 0 ? [] : [counted("REUSED", (bill) => bill.reused)]),
  counted("INPUT", (bill) => bill.tokens.input),
  ...(tokens.cacheRead === 0 ? [] : [counted("CACHE READ", (bill) => bill.tokens.cacheRead)]),
  ...(tokens.cacheWrite5m === 0 ? [] : [counted("CACHE WRITE", (bill) => bill.tokens.cacheWrite5m)]),
  ...(tokens.cacheWrite1h === 0 ? [] : [counted("CACHE WRITE 1H", (bill) => bill.tokens.cacheWrite1h)]),
  counted("OUTPUT", (bill) => bill.tokens.output),
  amount("CHARGED", (bill) => bill.charged),
  amount("ONE BY ONE", (bill) => bill.synchronous),
  amount("SAVED", (bill) => bill.saved)
]

/** Words stand at the left of their columns, numbers at the right. */
const table = (words: ReadonlyArray<string>, lines: ReadonlyArray<Line>, total: Line): ReadonlyArray<string> => {
  const columns = columnsOf(total.bill)
  const rows = [
    [...words, ...columns.map(({ name }) => name)],
    ...[...lines, ...(lines.length > 1 ? [total] : [])].map((line) => [
      ...line.words,
      ...columns.map(({ cell }) => cell(line))
    ])
  ]
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  return rows.map((row) =>
    row.map((cell, at) => at < words.length ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)).join("  ")
      .trimEnd()
  )
}

/** What is to be known beside the sums. */
const remarks = ({ bill, state: { directory } }: Billed): ReadonlyArray<string> => {
  const { missingRows, openRows, rowsMayBeChargedTwice, unbilledRows, unsentRows } = bill
  const { unpriced } = bill.bill
  const were = (rows: number) => rows === 1 ? "was" : "were"
  return [
    ...(openRows === 0
      ? []
      : [`What ${Report.count(openRows, "sent row")} cost${openRows === 1 ? "s" : ""} is not known yet.`]),
    ...(unsentRows === 0 ? [] : [`${Report.count(unsentRows, "row")} ${were(unsentRows)} not sent yet.`]),
    ...(unbilledRows === 0 ? [] : [
      `${Report.count(unbilledRows, "row")} ${were(unbilledRows)} normalised by an older version, which kept no bill. `
      + `Make one: ${Report.command("normalize", directory)}`
    ]),
    ...(unpriced === 0 ? [] : [
      `${Report.count(unpriced, "answer")} of unknown price, in no sum. With prices of your own: ${
        Report.command("normalize", directory)
      } --models-file FILE`
    ]),
    ...(missingRows === 0 ? [] : [
      `${Report.count(missingRows, "row")} ${
        were(missingRows)
      } missing from the results: each may have been charged, and is `
      + "in no sum."
    ]),
    ...(rowsMayBeChargedTwice === 0
      ? []
      : [
        `${
          Report.count(rowsMayBeChargedTwice, "of them was", "of them were")
        } asked again, and may have been charged twice.`
      ])
  ]
}

const modes = { batch: "in batches", sync: "one by one", reused: "reused" }

const text = (billed: Billed): string => {
  const { bill, state } = billed
  const { directory, run } = state
  const total: Line = { words: ["total"], bill: bill.bill, isKnown: bill.isKnown }
  const models = bill.models.map(({ bill, model }): Line => ({ words: [model], bill, isKnown: bill.isKnown }))
  const attempts = bill.attempts.map((attempt): Line => ({
    words: [`attempt ${attempt.attempt}, ${modes[attempt.mode]}`],
    bill: attempt.bill,
    isKnown: attempt.isKnown
  }))
  const known = remarks(billed)
  return [
    `${Report.path(directory)}: ${Manifest.runStatus(state)}, ${
      state.rows === null ? "rows not built yet" : Report.count(state.rows, "row")
    }, ${run.provider}`,
    "",
    ...table(["MODEL"], models.length === 0 ? [total] : models, total),
    ...(attempts.length < 2 ? [] : ["", ...table(["ATTEMPT"], attempts, total)]),
    ...(known.length === 0 ? [] : ["", ...known])
  ].join("\n")
}

const totalOf = (runs: ReadonlyArray<Billed>): RunBill.ShardsBill =>
  RunBill.ofShards(runs.flatMap(({ state }) => [...state.shards.values()]))

const textOfSeveral = (runs: ReadonlyArray<Billed>): string => {
  const lines = runs.map(({ bill, state }): Line => ({
    words: [Report.path(state.directory), state.run.provider],
    bill: bill.bill,
    isKnown: bill.isKnown
  }))
  const total = totalOf(runs)
  const known = runs.flatMap((billed) =>
    remarks(billed).map((remark) => `${Report.path(billed.state.directory)}: ${remark}`)
  )
  return [
    ...table(["RUN", "PROVIDER"], lines, { words: ["total", ""], bill: total.bill, isKnown: total.isKnown }),
    ...(known.length === 0 ? [] : ["", ...known])
  ].join("\n")
}

const json = (runs: ReadonlyArray<Billed>) => {
  const total = totalOf(runs)
  return {
    runs: runs.map(({ bill, state }) => ({
      run_id: state.run.runId,
      directory: state.directory,
      provider: state.run.provider,
      status: Manifest.runStatus(state),
      rows: state.rows,
      ...RunBill.toJson(bill),
      shards: [...state.shards.values()].map(({ bill, shard }) => ({
        shard: shard.id,
        attempt: shard.attempt,
        mode: shard.mode,
        rows: shard.rows,
        bill: bill === null ? null : Cost.toJson(bill)
      }))
    })),
    total: Cost.toJson(total.bill, total.isKnown)
  }
}

const rows = CliOptions.boolean("rows").pipe(
  CliOptions.withDescription("Prints what each row cost, as CSV: a line for each time that it was asked")
)

/** `llm-batch cost RUN_DIR...` */
export const cost = Command.make(
  "cost",
  {
    directories: Args.atLeast(Options.runDirectory, 1),
    rows,
    flags: Options.settings(["json"])
  },
  ({ directories, flags, rows }) =>
    Effect.gen(function*() {
      const output = yield* Output
      const ledger = yield* Ledger.Ledger
      const located = yield* Effect.forEach(directories, locate)
      const twice = located.find((directory, at) => located.indexOf(directory) !== at)
      if (twice !== undefined) {
        return yield* new UsageError({ message: `${Report.path(twice)} is named twice, and would be counted twice.` })
      }
      const runs = yield* Effect.forEach(located, (directory) =>
        Effect.map(ledger.state(directory), (state): Billed => ({ state, bill: RunBill.make(state) })))
      const [first, ...others] = runs
      if (first === undefined)
        return
      if (rows) {
        if (flags.json === true)
          return yield* new UsageError({ message: "--rows prints CSV: leave out --json." })
        if (others.length > 0) {
          return yield* new UsageError({ message: "--rows takes one run, and prints its rows. Name one." })
        }
        for (const remark of remarks(first))
          yield* output.say(remark)
        return yield* Stream.runDrain(Stream.takeUntilEffect(RowCosts.csv(first.state.shards.values()), print))
      }
      if (flags.json === true)
        return yield* output.json(json(runs))
      yield* output.data(others.length === 0 ? text(first) : textOfSeveral(runs))
    }).pipe(Effect.provide(Ledger.layer))
)
