/**
 * How a run is told: as a few lines for people, as one JSON object for programs.
 */
import * as NodePath from "node:path"
import { thousands } from "../internal/Thousands.js"
import * as Manifest from "../Manifest.js"
import type { RunReport } from "../Pipeline.js"
import * as RunDirectory from "../RunDirectory.js"
import { missingOfSent, type RunState, type ShardState } from "../RunState.js"
import { reusedRows, type Shard } from "../Shard.js"

/** A number as people read it. */
export const number = thousands

/** A number of things: `1 row`, `1,319 rows`. */
export const count = (value: number, one: string, many: string = `${one}s`): string =>
  `${number(value)} ${value === 1 ? one : many}`

/** A size as people read it. */
export const bytes = (value: number): string => {
  if (value < 1_000) return `${value} bytes`
  if (value < 1e6) return `${(value / 1e3).toFixed(1)} kB`
  return value < 1e9 ? `${(value / 1e6).toFixed(1)} MB` : `${(value / 1e9).toFixed(1)} GB`
}

/** A time that has passed, in its two largest units: `2h 05m`, `41s`. */
export const elapsed = (millis: number): string => {
  const seconds = Math.max(0, Math.round(millis / 1_000))
  const two = (value: number) => String(value).padStart(2, "0")
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${two(seconds % 60)}s`
  const hours = Math.floor(seconds / 3_600)
  return hours < 48 ? `${hours}h ${two(Math.floor(seconds / 60) % 60)}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`
}

/** A path as one would type it here. */
export const path = (absolute: string): string => {
  const relative = NodePath.relative("", absolute)
  return relative === "" || relative.startsWith("..") ? absolute : relative
}

/** An argument as a shell takes it. */
export const quoted = (argument: string): string =>
  /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", String.raw`'\''`)}'`

/** A command that goes on with a run. */
export const command = (verb: string, directory: string): string => `llm-batch ${verb} ${quoted(path(directory))}`

/**
 * A message with its paths as one would type them here, those in the commands that it names too. `directory` is the
 * run's, where it is known.
 */
export const local = (message: string, directory?: string): string => {
  const here = NodePath.resolve("x").slice(0, -1)
  const typed = directory === undefined || directory === "" ? message : message.split(directory).reduce(
    (before, after) =>
      before + (/\bllm-batch [a-z]+ $/.test(before) ? quoted(path(directory)) : path(directory)) + after
  )
  return here === "/" ? typed : typed.split(here).reduce(
    (before, after) => before + (/(?:^|[\s"'(])$/.test(before) ? "" : here) + after
  )
}

/** Lines of columns, each as wide as its widest cell. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths: Array<number> = []
  for (const row of rows) for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length)
  return rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ").trimEnd())
}

const shardsOf = (state: RunState): ReadonlyArray<ShardState> => [...state.shards.values()]

/** The shards whose batch has not ended as far as the journal knows. */
export const live = (state: RunState): ReadonlyArray<ShardState> =>
  shardsOf(state).filter(({ ended, snapshot }) => snapshot !== null && ended === null)

/** The shards of which a batch may have been made, and nobody knows yet. */
export const uncertain = (state: RunState): ReadonlyArray<ShardState> =>
  shardsOf(state).filter(({ status }) => status === "uploaded" || status === "unanswered")

/** The shards whose rows are asked one by one, and not all of which have an answer. */
export const asking = (state: RunState): ReadonlyArray<ShardState> =>
  shardsOf(state).filter(({ status }) => status === "asking")

/** The shards whose rows are sent: other rows are reused. */
const sentOf = (state: RunState): ReadonlyArray<ShardState> =>
  shardsOf(state).filter(({ shard }) => shard.mode !== "reused")

/** The shards that nothing was ever sent of, and that something is to be sent of. */
export const untouched = (state: RunState): ReadonlyArray<ShardState> =>
  sentOf(state).filter(({ ended, status }) => status === "built" && ended === null)

/** The shards that ended without being sent, since the run was cancelled. */
export const neverSent = (state: RunState): ReadonlyArray<ShardState> =>
  shardsOf(state).filter(({ ended }) => ended?.snapshot.providerStatus === "never sent")

/** The shards that ask rows again, and how often rows were asked at most. */
export const askedAgain = (state: RunState) => {
  const shards = sentOf(state).filter(({ shard }) => shard.attempt > 1)
  return {
    rows: shards.reduce((sum, { shard }) => sum + shard.rows, 0),
    attempts: shards.reduce((most, { shard }) => Math.max(most, shard.attempt), 1)
  }
}

/** What is to be said of shards of which nobody knows yet whether they have a batch. */
export const doubt = (shards: number): string =>
  `Of ${count(shards, "shard")} it is not known yet whether a batch was made; resume looks before it sends.`

/** The shards that have no batch as far as the journal knows, or whose rows have not all been asked. */
export const unsent = (state: RunState): ReadonlyArray<ShardState> =>
  sentOf(state).filter(({ snapshot }) => snapshot === null)

/** The shards whose rows are not sent, and have no results yet. */
export const toBeReused = (state: RunState): ReadonlyArray<ShardState> =>
  shardsOf(state).filter(({ raw, shard }) => shard.mode === "reused" && raw === null)

/** How many rows are not sent, and why; `undefined` where all are. */
export const reused = (shards: Iterable<Shard>): { readonly rows: number; readonly why: string } | undefined => {
  const { cache, input } = reusedRows(shards)
  const why = [
    ...(cache === 0 ? [] : [`${number(cache)} from the cache`]),
    ...(input === 0 ? [] : [`${number(input)} ${input === 1 ? "asks" : "ask"} the same as others`])
  ]
  return why.length === 0 ? undefined : { rows: cache + input, why: why.join(", ") }
}

/** What shards are to the provider: `3 batches`, `200 requests`, or both. */
export const sendings = (shards: ReadonlyArray<ShardState>): string => {
  const batches = shards.filter(({ shard }) => shard.mode === "batch").length
  const requests = shards.filter(({ shard }) => shard.mode === "sync")
    .reduce((sum, { ended, shard }) => sum + (ended?.snapshot.counts.succeeded ?? shard.rows), 0)
  return [
    ...(requests === 0 ? [] : [count(requests, "single request")]),
    ...(batches === 0 && requests > 0 ? [] : [count(batches, "batch", "batches")])
  ].join(" and ")
}

/** What asking again for missing rows can cost; `undefined` where it cannot. */
export const billedTwice = (state: RunState): string | undefined => {
  const missing = missingOfSent(state)
  return missing === 0
    ? undefined
    : `${number(missing)} of them ${missing === 1 ? "was" : "were"} missing from the results, and may be charged twice.`
}

const distinct = (values: ReadonlyArray<string>): string => {
  const names = [...new Set(values)]
  return names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ")
}

/** The models of a run. */
export const models = (state: RunState): string =>
  state.shards.size === 0
    ? state.run.options.defaults.model ?? "-"
    : distinct(shardsOf(state).map(({ shard }) => shard.model ?? "several models"))

/** What is about to be sent. */
export const summary = (state: RunState): string => {
  const shards = unsent(state)
  const notSent = reused(toBeReused(state).map(({ shard }) => shard))
  const size = shards.reduce((sum, { shard }) => sum + shard.bytes, 0)
  return table([
    ["Input", state.run.input.name],
    ["Rows", number(shards.reduce((sum, { shard }) => sum + shard.rows, 0))],
    ["To send", `${sendings(shards)} (${bytes(size)})`],
    ...(notSent === undefined ? [] : [["Not sent", `${count(notSent.rows, "row")} (${notSent.why})`]]),
    ["Provider", `${state.run.provider}, ${distinct(shards.map(({ shard }) => shard.endpoint))}`],
    ["Model", models(state)],
    ["Directory", path(state.directory)]
  ]).map((line) => `  ${line}`).join("\n")
}

/** Where a run stands, as the pipeline says it. */
export const reportOf = (state: RunState): RunReport => ({
  state,
  directory: state.directory,
  tally: state.tally,
  results: RunDirectory.results(state.directory),
  failures: RunDirectory.failures(state.directory)
})

/** A run as one JSON object: its manifest, and where its files are. */
export const json = (state: RunState) => ({
  ...Manifest.make(state),
  directory: state.directory,
  results: state.tally === null ? null : RunDirectory.results(state.directory),
  failures: state.tally === null ? null : RunDirectory.failures(state.directory)
})
