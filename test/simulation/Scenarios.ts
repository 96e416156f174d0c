/**
 * A handful of fixed plans of three shards, in which each point can be tried one after the other.
 */
import { draw, type Plan } from "./Plan.js"
import type { Fate } from "./SimulatedProvider.js"

const minute = 60_000

/** Rows of two models; one fails the first time that it is asked. */
const fate = ({ attempt }: { readonly attempt: number }): Fate => ({
  answer: (row) => `answer ${row}.${attempt}`,
  outcome: (row) => row === 2 && attempt === 1 ? "errored" : row === 5 ? "duplicate" : "succeeded",
  answeredAfter: (row) => row * minute,
  ending: null,
  lost: false
})

const quiet: Plan = {
  ...draw(0),
  rows: Array.from({ length: 6 }, (_, index) => ({ id: `row ${index + 1}`, prompt: `prompt ${index + 1}` })),
  options: { shardRows: 2 },
  provider: {
    tags: true,
    upload: true,
    oneModelPerBatch: false,
    listPage: 100,
    fate,
    faultRate: 0,
    faults: 0,
    lostCreates: [],
    lag: 0,
    latency: 20,
    stale: false,
    countless: false,
    hardCuts: false,
    neighbours: false
  },
  deaths: 0,
  diskFaults: 0,
  cancels: false,
  intrudes: false,
  retriesAfterwards: false,
  clockError: 0,
  lockout: false,
  pollEvery: 10 * minute
}

const withoutTags: Plan = {
  ...quiet,
  // Shards of a provider without tags are told apart by their numbers of rows: 4, 3 and 2.
  rows: Array.from({ length: 9 }, (_, index) => ({ id: `row ${index + 1}`, prompt: `prompt ${index + 1}` })),
  options: { shardRows: 4 },
  provider: { ...quiet.provider, tags: false, upload: false }
}

/** By name. */
export const scenarios: Readonly<Record<string, Plan>> = {
  "three shards": quiet,
  "three shards without tags": withoutTags,
  "a round of retries": { ...quiet, options: { ...quiet.options, retries: 1 } },
  "a lost answer to a create": { ...quiet, provider: { ...quiet.provider, lostCreates: [2], lag: 30_000 } },
  "a lost answer to a create without tags": {
    ...withoutTags,
    options: { ...withoutTags.options, retries: 1 },
    provider: { ...withoutTags.provider, lostCreates: [1], lag: 30_000 }
  }
}
