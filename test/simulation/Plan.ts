/**
 * What one simulation is about: the input, the limits, the provider, and how much goes wrong. A seed decides all of it.
 */
import type { RunOptions } from "llm-batch/Pipeline"
import type { RowOutcome } from "llm-batch/TestProvider"
import { Dice } from "./Dice.js"
import { type Behaviour, tokensOf } from "./SimulatedProvider.js"

const minute = 60_000
const hour = 60 * minute

/** A row of the input. */
export interface InputRow {
  readonly id?: string
  readonly model?: string
  readonly prompt: string
}

/** What the files of a run are a function of, whatever happens to it on the way. */
export interface Setting {
  readonly rows: ReadonlyArray<InputRow>
  readonly options: Pick<RunOptions, "shardRows" | "shardBytes" | "retries">
  /** What becomes of each row each time that it is asked. */
  readonly fate: Behaviour["fate"]
  /** Whether whole batches end early, or lose their results: then it matters which rows are in a batch together. */
  readonly batchesHaveFates: boolean
  /** Batches carry our tag, and inputs are uploaded first: OpenAI's way. Anthropic's is without either. */
  readonly tags: boolean
  readonly oneModelPerBatch: boolean
  /** Whether the rows that failed are asked again once more when the run is finished. */
  readonly retriesAfterwards: boolean
}

export interface Plan {
  readonly seed: number
  readonly setting: Setting
  readonly maxConcurrentJobs: number | undefined
  readonly provider: Omit<Behaviour, "fate" | "tags" | "upload" | "oneModelPerBatch">
  /** Whether each step of the run is taken by a process of its own, after whose end the power is cut. */
  readonly stepwise: boolean
  /** How many processes are killed, lose their power or are interrupted, at most. */
  readonly deaths: number
  /** How many operations of the disk fail, at most, and how likely each does. */
  readonly diskFaults: number
  readonly diskFaultRate: number
  /** Whether somebody asks for the run to be cancelled. */
  readonly cancels: boolean
  /** Whether another process tries to take the run up beside the one that has it. */
  readonly intrudes: boolean
  /** Whether the clocks of processes are wrong, each by another amount of at most so many milliseconds. */
  readonly clockError: number
  /** Whether the key does not work for a while. */
  readonly lockout: boolean
  /** The first pause between two looks at the batches, in milliseconds; each further one is twice as long, up to an hour. */
  readonly pollFirst: number
}

/** Ids that have been trouble to somebody. */
const strangeIds: ReadonlyArray<string> = [
  "../x",
  "a/b",
  "nul\u0000nul",
  "__proto__",
  "constructor",
  "x".repeat(64),
  "x".repeat(65),
  "set|item|treatment|0.7|3|closed",
  "  spaces  ",
  "😀",
  "caf\u00e9",
  "cafe\u0301",
  "\ud800",
  "\"quoted\\\"",
  "line\nbreak",
  "\u2028",
  "custom_id",
  ",\"kind\":",
  "0",
  "-1",
  "abcdefghij-1"
]

/** Mostly few rows: what can go wrong with many can nearly always go wrong with few, and soon. */
const inputOf = (dice: Dice): ReadonlyArray<InputRow> => {
  const count = dice.weighted([
    [0.3, 0],
    [3, 1],
    [8, dice.between(2, 4)],
    [1.5, dice.between(5, 10)],
    [0.3, dice.between(11, 24)],
    [0.05, dice.between(25, 60)]
  ], 3)
  const models = dice.of([1, 1, 1, 1, 2, 3])
  const named = dice.happens(0.8)
  const strange = [...strangeIds]
  return Array.from({ length: count }, (_, index) => {
    const id = dice.happens(0.3) && strange.length > 0
      ? strange.splice(dice.below(strange.length), 1)[0]
      : `row ${index + 1}`
    return {
      ...(named && id !== undefined ? { id } : undefined),
      ...(models > 1 ? { model: `model ${dice.below(models)}` } : undefined),
      prompt: `${index + 1} `.repeat(dice.between(1, 5))
    }
  })
}

/** What becomes of each row each time that it is asked, and of whole batches. */
const fateOf = (setting: number, tags: boolean): Pick<Setting, "fate" | "batchesHaveFates"> => {
  const dice = Dice.of(setting, "fate")
  const trouble = dice.of([0, 0.05, 0.3])
  const endings = dice.of([0, 0, 0.3])
  const losses = dice.of([0, 0, 0, 0.2])
  // Without tags a shard whose create was lost is looked for every minute until its batch ends.
  const slow = tags ? dice.of([0, 0, 0, 0.2]) : 0
  const fate: Behaviour["fate"] = (shard) => {
    const own = Dice.of(setting, "shard", shard.id)
    const outcomes: ReadonlyArray<readonly [number, RowOutcome]> = [
      [1, "refused"],
      [1, "truncated"],
      [3, "errored"],
      [1, "expired"],
      [1, "cancelled"],
      [2, "missing"],
      [2, "malformed"],
      [1, "duplicate"],
      [1, "conflicting"]
    ]
    const of = (row: number, what: string) => Dice.of(setting, what, row, shard.attempt)
    return {
      answer: (row) => `answer ${row}.${shard.attempt}`,
      outcome: (row) => {
        const own = of(row, "outcome")
        return own.happens(trouble) ? own.weighted(outcomes, "errored") : "succeeded"
      },
      answeredAfter: (row) => {
        const own = of(row, "time")
        return own.happens(slow) ? own.between(1, 40) * hour : own.between(2, 30) * minute
      },
      ending: own.happens(endings)
        ? { after: own.between(1, 120) * minute, ending: own.of(["completed", "expired", "cancelled", "failed"]) }
        : null,
      lost: own.happens(losses)
    }
  }
  return { fate, batchesHaveFates: endings > 0 || losses > 0 }
}

const settingOf = (number: number): Setting => {
  const dice = Dice.of(number, "setting")
  const tags = dice.happens(0.6)
  const rows = inputOf(dice)
  const shards = dice.weighted([[5, 1], [4, 2], [2, 3], [0.3, dice.between(4, 12)]], 1)
  return {
    rows,
    options: {
      ...(dice.happens(0.8) ? { shardRows: Math.max(1, Math.ceil(rows.length / shards)) } : undefined),
      ...(dice.happens(0.05) ? { shardBytes: dice.between(300, 1_500) } : undefined),
      retries: dice.of([0, 0, 0, 0, 1, 1, 2])
    },
    ...fateOf(number, tags),
    tags,
    oneModelPerBatch: dice.happens(0.5),
    retriesAfterwards: dice.happens(0.1)
  }
}

/** So many seeds in a row have one setting, and so one undisturbed run to be compared with. */
const seedsPerSetting = 10

let latest = { number: -1, setting: settingOf(-1) }

/** The share of plans in which the queue of the provider is too small for all of the run. */
const crowdedShare = 0.2

/**
 * What may be enqueued at a time: at least any one row, and less than all of them as a rule. Anthropic's queue has room for
 * any batch while nothing else is in it.
 */
const tokenLimitOf = (
  seed: number,
  { batchesHaveFates, oneModelPerBatch, rows, tags }: Setting
): number | null => {
  const dice = Dice.of(seed, "queue")
  // To count the tokens of several models takes their tokenizers, which are loaded in real time.
  const isMixed = !oneModelPerBatch && rows.some(({ model }) => model !== undefined)
  // A shard that has to wait may be cut, and then other rows are in a batch together.
  if (isMixed || batchesHaveFates || !dice.happens(crowdedShare)) return null
  const tokens = rows.map(({ prompt }) => tokensOf(prompt))
  const all = tokens.reduce((sum, each) => sum + each, 0)
  return tags ? dice.between(Math.max(1, ...tokens), Math.max(1, all)) : Math.max(1, all)
}

/** The plan of a seed. */
export const draw = (seed: number): Plan => {
  const number = Math.floor(seed / seedsPerSetting)
  if (latest.number !== number) latest = { number, setting: settingOf(number) }
  const { setting } = latest
  const dice = Dice.of(seed, "plan")
  const calm = dice.happens(0.1)
  return {
    seed,
    setting,
    maxConcurrentJobs: dice.happens(0.2) ? dice.between(1, 3) : undefined,
    provider: {
      listPage: dice.of([1, 2, 5, 100]),
      faultRate: calm ? 0 : dice.of([0.05, 0.2, 0.5]),
      faults: calm ? 0 : dice.between(0, 12),
      lostCreates: [],
      lag: dice.of([0, 5_000, 45_000]),
      latency: dice.of([1, 100, 3_000]),
      stale: dice.happens(0.2),
      countless: dice.happens(0.2),
      hardCuts: dice.happens(0.1),
      neighbours: dice.happens(0.1),
      tokenLimit: tokenLimitOf(seed, setting)
    },
    stepwise: dice.happens(0.05),
    deaths: calm ? 0 : dice.of([0, 1, 1, 2, 3, 4]),
    diskFaults: calm ? 0 : dice.of([0, 0, 1, 3]),
    diskFaultRate: dice.of([0.002, 0.02, 0.1]),
    cancels: !calm && dice.happens(0.1),
    intrudes: !calm && dice.happens(0.15),
    clockError: calm ? 0 : dice.of([0, 0, 0, 4 * minute]),
    lockout: !calm && dice.happens(0.1),
    pollFirst: dice.of([minute, 10 * minute, hour, hour, hour])
  }
}

/** A plan of the setting in which nothing goes wrong but what the provider does with the rows. */
export const undisturbed = (setting: Setting): Plan => ({
  seed: 0,
  setting,
  maxConcurrentJobs: undefined,
  provider: {
    listPage: 100,
    faultRate: 0,
    faults: 0,
    lostCreates: [],
    lag: 0,
    latency: 1,
    stale: false,
    countless: false,
    hardCuts: false,
    neighbours: false,
    tokenLimit: null
  },
  stepwise: false,
  deaths: 0,
  diskFaults: 0,
  diskFaultRate: 0,
  cancels: false,
  intrudes: false,
  clockError: 0,
  lockout: false,
  pollFirst: hour
})

/** Whether the results are the same bytes, whatever happens on the way. */
export const isExact = (plan: Plan): boolean => !plan.cancels && !plan.provider.hardCuts
