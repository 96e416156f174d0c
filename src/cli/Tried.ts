/**
 * The rows that are asked first, at once, so that somebody can look at their answers before the rest is sent.
 */
import * as Effect from "effect/Effect"
import * as AnswerRow from "../internal/AnswerRow.js"
import * as Disk from "../internal/Disk.js"
import * as ResultLine from "../internal/ResultLine.js"
import * as Rounds from "../pipeline/Rounds.js"
import * as RunDirectory from "../RunDirectory.js"
import type { RunState, ShardState } from "../RunState.js"
import * as Report from "./Report.js"

/** The shards whose rows are tried first. */
export const shards = (state: RunState): ReadonlyArray<ShardState> =>
  [...state.shards.values()].filter(({ shard }) => Rounds.isTried(state, shard))

/** The rows that are sent when those that are tried have their answers. */
export const others = (state: RunState): number => {
  const tried = shards(state).reduce((sum, { shard }) => sum + shard.rows, 0)
  return (state.rows ?? 0) - tried
}

/** Whether one of the rows that were tried has a usable answer. */
export const hasUsable = (state: RunState): boolean => shards(state).some(({ tally }) => (tally?.succeeded ?? 0) > 0)

/** An answer is a few lines here: the whole of it is in the results. */
const longest = 600

const shortened = (text: string): string =>
  text.length <= longest ? text : `${text.slice(0, longest).toWellFormed()} ...`

const shown = ({ answer, customId, error }: AnswerRow.AnswerRow): string => {
  const head = `# ${/[\r\n]/u.test(customId) ? JSON.stringify(customId) : customId}`
  const failure = error === null ? [] : [`(${error.code}: ${error.message})`]
  return [head, ...(answer === "" ? [] : [shortened(answer)]), ...failure, ""].join("\n")
}

/** The answers of the rows that were tried, for people. */
export const answers = Effect.fn("cli.tried")(function*(state: RunState) {
  const parts = yield* Effect.forEach(shards(state), ({ shard }) => Disk.readText(RunDirectory.part(shard)))
  const rows = parts.flatMap((part) =>
    part.split("\n").flatMap((line) => {
      const record = ResultLine.decodePart(Buffer.from(line))
      const result = record === undefined ? undefined : AnswerRow.decode(record.result)
      return record === undefined || result === undefined ? [] : [{ row: record.head.row, text: shown(result) }]
    })
  )
  const inOrder = rows.toSorted((one, other) => one.row - other.row).map(({ text }) => text)
  return [`${Report.count(rows.length, "row was", "rows were")} tried:`, "", ...inOrder].join("\n")
})
