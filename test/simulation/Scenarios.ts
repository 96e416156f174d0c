/**
 * A handful of fixed plans of few shards, in which each point can be tried one after the other.
 */
import type { RowOutcome } from "llm-batch/TestProvider"
import { type Plan, type Setting, undisturbed } from "./Plan.js"
import type { Fate } from "./SimulatedProvider.js"

const minute = 60_000

const outcomes: Readonly<Record<number, RowOutcome>> = { 3: "duplicate", 4: "refused", 5: "truncated" }

/** Of the rows one fails and one is missing the first time that they are asked. */
const fate = ({ attempt }: { readonly attempt: number }): Fate => ({
  answer: (row) => `answer ${row}.${attempt}`,
  outcome: (row) =>
    attempt === 1 && row === 2 ? "errored" : attempt === 1 && row === 6 ? "missing" : outcomes[row] ?? "succeeded",
  answeredAfter: (row) => row * minute,
  ending: null,
  lost: false
})

const rowsOf = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ id: `row ${index + 1}`, prompt: `prompt ${index + 1}` }))

const withTags: Setting = {
  rows: rowsOf(6),
  options: { shardRows: 2 },
  fate,
  batchesHaveFates: false,
  tags: true,
  oneModelPerBatch: false,
  retriesAfterwards: false
}

// Shards of a provider without tags are told apart by their numbers of rows: 4, 3 and 2.
const withoutTags: Setting = { ...withTags, rows: rowsOf(9), options: { shardRows: 4 }, tags: false }

const planOf = (setting: Setting, trouble: Partial<Plan["provider"]> = {}): Plan => {
  const plan = undisturbed(setting)
  return { ...plan, provider: { ...plan.provider, latency: 20, ...trouble }, pollFirst: 10 * minute }
}

const retried = (setting: Setting): Setting => ({ ...setting, options: { ...setting.options, retries: 1 } })

const oneShard: Setting = { ...withTags, rows: rowsOf(3), options: { shardRows: 3 } }

/** In which each sync is left out in turn: few operations of the disk, and every kind of file. */
export const small = {
  /** Taken through by one process. */
  whole: planOf(retried(oneShard)),
  /** By one process a step. */
  stepwise: { ...planOf(oneShard), stepwise: true },
  /** The second shard ends long after the first. */
  apart: planOf({
    ...withTags,
    rows: rowsOf(2),
    options: { shardRows: 1 },
    fate: (batch) => ({ ...fate(batch), answeredAfter: (row) => row * 60 * minute })
  }),
  unanswered: planOf(oneShard, { lostCreates: [1], lag: 30_000 }),
  deferred: planOf({ ...oneShard, tags: false }, { lostCreates: [1], lag: 30_000 })
} satisfies Record<string, Plan>

/** By name. */
export const scenarios: Readonly<Record<string, Plan>> = {
  "three shards": planOf(withTags),
  "three shards without tags": planOf(withoutTags),
  "a round of retries": planOf(retried(withTags)),
  "a lost answer to a create": planOf(withTags, { lostCreates: [2], lag: 30_000 }),
  "a lost answer to a create without tags": planOf(retried(withoutTags), { lostCreates: [1], lag: 30_000 })
}
