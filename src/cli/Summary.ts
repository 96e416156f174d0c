/**
 * How a run stands in the end, as a table for people.
 */
import * as DateTime from "effect/DateTime"
import * as Cost from "../Cost.js"
import * as Manifest from "../Manifest.js"
import type { RunReport } from "../Pipeline.js"
import * as RunBill from "../RunBill.js"
import * as RunDirectory from "../RunDirectory.js"
import type { RunState } from "../RunState.js"
import * as Tally from "../Tally.js"
import * as Report from "./Report.js"

type Row = readonly [name: string, value: string, remark?: string]

const shown = (rows: ReadonlyArray<readonly [name: string, count: number, remark?: string]>): ReadonlyArray<Row> =>
  rows.flatMap(([name, count, remark]): ReadonlyArray<Row> =>
    count === 0 ? [] : [remark === undefined ? [name, Report.number(count)] : [name, Report.number(count), remark]]
  )

const share = (part: number, all: number): string => `${(Math.floor(part * 1_000 / all) / 10).toFixed(1)} %`

const outcomes = (tally: Tally.Tally): ReadonlyArray<Row> => [
  ["rows", Report.number(tally.rows)],
  ...(tally.rows === 0
    ? []
    : [["answered", Report.number(tally.succeeded), share(tally.succeeded, tally.rows)]] satisfies ReadonlyArray<Row>),
  ...shown([
    ["refused", tally.refused, "among the answered"],
    ["truncated", tally.truncated, "among the answered: cut at the token limit"],
    ["errored", tally.errored],
    ["expired", tally.expired],
    ["cancelled", tally.cancelled],
    ["invalid", tally.invalid, "their answers do not fit"],
    ["missing", tally.missing],
    ["repairable", tally.repairable, "among the invalid: sending them back may put them right"],
    ["retryable", tally.retryable, "among the rest: asking again can help"],
    ["duplicate lines", tally.duplicateLines, "in the provider's results, counted once"],
    ["conflicting lines", tally.conflictingLines, "in the provider's results, the first usable one is kept"],
    ["unexpected lines", tally.unexpectedLines, "in the provider's results, of none of the rows"],
    ["malformed lines", tally.malformedLines, "in the provider's results, which cannot be read"]
  ])
]

const tokens = ({ tokens: { cached, completion, prompt, reasoning } }: Tally.Tally): ReadonlyArray<Row> => [
  [
    "tokens read",
    Report.number(prompt),
    ...(cached === 0 ? [] as const : [`${Report.number(cached)} from a cache`] as const)
  ],
  [
    "tokens written",
    Report.number(completion),
    ...(reasoning === 0 ? [] as const : [`${Report.number(reasoning)} of reasoning`] as const)
  ]
]

/** What it cost, against the same answers one by one. Nothing is said where nothing was paid for. */
const cost = (state: RunState, name: string): ReadonlyArray<Row> => {
  const { bill, isKnown, unbilledRows } = RunBill.make(state)
  const { charged, priced, reused, saved, synchronous, unpriced } = bill
  if (priced + unpriced + reused + unbilledRows === 0) return []
  const remark = [
    ...(isKnown && saved > 0n
      ? [`${Cost.format(synchronous)} ${reused === 0 ? "without batches" : "one by one"}`]
      : []),
    ...(unpriced === 0 ? [] : [`${Report.count(unpriced, "answer")} of unknown price`]),
    ...(unbilledRows === 0 ? [] : [
      `${Report.count(unbilledRows, "row")} without a bill: ${Report.command("normalize", state.directory)}`
    ])
  ].join(", ")
  const value = Cost.format(isKnown ? charged : null)
  return [remark === "" ? [name, value] : [name, value, remark]]
}

/** Rows that were not sent, and what their answers would have cost. */
const reused = (state: RunState): ReadonlyArray<Row> => {
  const shards = [...state.shards.values()].filter(({ shard }) => shard.mode === "reused")
  const found = Report.reused(shards.map(({ shard }) => shard))
  if (found === undefined) return []
  const { synchronous } = Cost.sum(shards.flatMap(({ bill }) => bill ?? []))
  const worth = synchronous === 0n ? "" : `; their answers cost ${Cost.format(synchronous)} one by one`
  return [["not sent", Report.number(found.rows), `${found.why}${worth}`]]
}

/** The numbers stand in a column of their own, at its right. */
const table = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const names = Math.max(...rows.map(([name]) => name.length))
  const values = Math.max(...rows.map(([, value]) => value.length))
  return rows.map(([name, value, remark]) =>
    `  ${name.padEnd(names)}  ${value.padStart(values)}${remark === undefined ? "" : `  ${remark}`}`
  )
}

const files = (rows: ReadonlyArray<readonly [name: string, path: string]>): ReadonlyArray<string> =>
  Report.table(rows.map(([name, path]) => [`  ${name}`, Report.path(path)]))

const title = (state: RunState, what: string): string => `${state.run.provider}, ${Report.models(state)}: ${what}`

const attempts = (state: RunState): ReadonlyArray<Row> => {
  const { attempts, rows } = Report.askedAgain(state)
  return attempts === 1 ? [] : [["attempts", Report.number(attempts), `${Report.count(rows, "request")} repeated`]]
}

const finished = (
  { directory, failures, results, state }: RunReport,
  tally: Tally.Tally
): ReadonlyArray<string> => {
  const took = Report.elapsed(DateTime.distance(state.startedAt, state.finishedAt ?? state.updatedAt))
  const withdrawn = Report.neverSent(state)
  const unsent = withdrawn.length
  const twice = Report.billedTwice(state)
  const sent = Report.sendings([...state.shards.values()].filter((shard) => !withdrawn.includes(shard)))
  return [
    title(state, `finished, ${unsent === 0 ? sent : `${sent} and ${Report.number(unsent)} never sent,`} in ${took}`),
    "",
    ...table([...attempts(state), ...outcomes(tally), ...reused(state), ...tokens(tally), ...cost(state, "cost")]),
    "",
    ...files([
      ["results", results],
      ...(tally.complete ? [] : [["failures", failures]] as const),
      ...(Tally.hasAnomalies(tally) ? [["anomalies", RunDirectory.anomalies(directory)]] as const : []),
      ["run", directory]
    ]),
    "",
    `Answers beside the input's columns: ${Report.command("results", directory)} --format csv`,
    ...(tally.repairable === 0
      ? []
      : [
        `Send ${Report.count(tally.repairable, "answer")} back to be put right: ${
          Report.command("resume", directory)
        } --repair ${state.rounds.repair + 1}`
      ]),
    ...(tally.retryable === 0
      ? []
      : [
        `Ask again for ${Report.count(tally.retryable, "row")}: ${Report.command("retry", directory)}`,
        ...(twice === undefined ? [] : [twice])
      ])
  ]
}

const unfinished = ({ directory, state }: RunReport): ReadonlyArray<string> => {
  const shards = [...state.shards.values()]
  const rows = Report.count(state.rows ?? 0, "row")
  const resume = Report.command("resume", directory)
  if (Manifest.runStatus(state) === "built") {
    return [
      title(state, `${rows} built as ${Report.sendings(shards)}, and nothing was sent`),
      "",
      ...files([
        ...(shards[0] === undefined
          ? []
          : [["payloads", RunDirectory.batchInput(shards[0].shard).replace(/\/[^/]*$/u, "")]] as const),
        ["run", directory]
      ]),
      "",
      `${shards.length === 0 ? "Finish it" : "Send them"}: ${resume}`
    ]
  }
  const stages = new Map<string, number>()
  for (const { status } of shards) stages.set(status, (stages.get(status) ?? 0) + 1)
  const live = Report.live(state).length
  return [
    title(state, `not finished, ${rows} in ${Report.sendings(shards)}`),
    "",
    ...table([
      ...attempts(state),
      ...[...stages].map(([stage, count]): Row => [stage, Report.number(count)]),
      ...cost(state, "cost so far")
    ]),
    "",
    ...files([["run", directory]]),
    "",
    live === 0
      ? `Go on: ${resume}`
      : `${Report.count(live, "batch is", "batches are")} running. Wait for the answers: ${resume}`
  ]
}

/** The closing table of a run, without a newline at the end. */
export const summary = (report: RunReport): string =>
  (report.tally === null ? unfinished(report) : finished(report, report.tally)).join("\n")
