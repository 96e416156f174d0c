/**
 * `llm-batch status RUN_DIR`: where a run stands, from its journal alone: no network, and beside whatever runs it.
 */
import * as Command from "@effect/cli/Command"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { isAtProvider } from "../../Batch.js"
import * as CancelMark from "../../internal/CancelMark.js"
import * as Ledger from "../../Ledger.js"
import * as Manifest from "../../Manifest.js"
import type { RunState, ShardState } from "../../RunState.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Providers from "../Providers.js"
import * as Report from "../Report.js"
import * as Runs from "../Runs.js"
import * as Summary from "../Summary.js"

const standing = ({ candidates, ended, shard, snapshot, status, tally }: ShardState): string => {
  if (tally !== null) return ended?.ending === "completed" ? "done" : `done (${ended?.ending ?? "ended"})`
  if (ended !== null) return `${ended.ending}, ${status === "fetched" ? "fetched" : "to be fetched"}`
  if (snapshot !== null) return snapshot.providerStatus
  if (candidates.length > 0) {
    return `may be ${candidates.join(" or ")}${candidates.length === 1 ? "" : ": their results will tell"}`
  }
  switch (status) {
    case "asking":
      return "being asked, row by row"
    case "uploaded":
    case "unanswered":
      return "not known whether it was submitted"
    default:
      return shard.mode === "reused"
        ? `not sent: answers ${shard.reuse === "cache" ? "from the cache" : "of other rows"}`
        : "not sent"
  }
}

const progress = ({ shard, snapshot, tally }: ShardState): string => {
  if (tally !== null) return `${Report.number(tally.succeeded)} of ${Report.count(tally.rows, "row")} answered`
  const counts = snapshot?.counts
  const done = counts === undefined ? 0 : counts.succeeded + counts.errored + counts.expired + counts.cancelled
  return done === 0
    ? Report.count(shard.rows, "row")
    : `${Report.number(done)} of ${Report.count(shard.rows, "row")} done`
}

const times = ({ ended, snapshot }: ShardState, now: DateTime.Utc): string => {
  if (snapshot === null) return ""
  const age = (from: DateTime.Utc, to: DateTime.Utc) => Report.elapsed(DateTime.distance(from, to))
  if (ended !== null) {
    return snapshot.endedAt === null ? "" : `took ${age(snapshot.createdAt, snapshot.endedAt)}`
  }
  const begun = `sent ${age(snapshot.createdAt, now)} ago`
  return snapshot.expiresAt === null || DateTime.lessThan(snapshot.expiresAt, now)
    ? begun
    : `${begun}, expires in ${age(now, snapshot.expiresAt)}`
}

/** Results that are still to be fetched, and will not be there for ever. */
const deletions = (state: RunState, now: DateTime.Utc): ReadonlyArray<string> => {
  const times = [...state.shards.values()].flatMap(({ ended, raw, snapshot }) => {
    const time = ended === null || raw !== null || snapshot === null
      ? null
      : Providers.deletionOf(state.run.provider, snapshot)
    return time === null ? [] : [DateTime.toEpochMillis(time)]
  })
  if (times.length === 0) return []
  const first = DateTime.unsafeMake(Math.min(...times))
  const day = DateTime.formatIsoDateUtc(first)
  return [
    DateTime.lessThan(first, now)
      ? `${state.run.provider} may have deleted results since ${day} that were never fetched.`
      : `${state.run.provider} deletes results from ${day} on (in ${
        Report.elapsed(DateTime.distance(now, first))
      }): fetch them before that.`
  ]
}

const shards = (state: RunState, now: DateTime.Utc): ReadonlyArray<string> => {
  const isRetried = Report.askedAgain(state).attempts > 1
  return Report.table(
    [...state.shards.values()].map((shard) => [
      `  ${shard.shard.id}`,
      ...(isRetried ? [`attempt ${shard.shard.attempt}`] : []),
      shard.snapshot !== null && isAtProvider(shard.snapshot) ? shard.snapshot.id : "-",
      standing(shard),
      progress(shard),
      times(shard, now)
    ])
  )
}

const text = (state: RunState, isCancelled: boolean, now: DateTime.Utc): string => {
  const { directory, run, tally } = state
  const status = Manifest.runStatus(state)
  const uncertain = Report.uncertain(state).length
  return [
    `${run.runId}: ${status}`,
    `${run.input.name}, ${state.rows === null ? "rows not built yet" : Report.count(state.rows, "row")}, `
    + [run.provider, Report.models(state)].filter((part) => part !== "").join(" "),
    `begun ${Report.elapsed(DateTime.distance(state.startedAt, now))} ago, last heard of `
    + `${Report.elapsed(DateTime.distance(state.updatedAt, now))} ago`,
    ...shards(state, now),
    ...deletions(state, now),
    ...(uncertain === 0 ? [] : [`${Report.doubt(uncertain)} Or decide: ${Report.command("reconcile", directory)}`]),
    ...(tally === null
      ? [
        isCancelled ? "It was cancelled: nothing more is sent." : "",
        status === "building" ? "" : `Go on with it: ${Report.command("resume", directory)}`
      ]
      : [Summary.summary(Report.reportOf(state))])
  ].filter((line) => line !== "").join("\n")
}

/** `llm-batch status RUN_DIR` */
export const status = Command.make(
  "status",
  { directory: Options.runDirectory, flags: Options.settings(["json"]) },
  ({ directory, flags }) =>
    Effect.gen(function*() {
      const output = yield* Output
      const state = yield* (yield* Ledger.Ledger).state(yield* Runs.locate(directory))
      if (flags.json === true) return yield* output.json(Report.json(state))
      yield* output.data(text(state, yield* CancelMark.isSet(state.directory), yield* DateTime.now))
    }).pipe(Effect.provide(Ledger.layer))
)
