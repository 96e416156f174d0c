/**
 * Every sync of the code, and what is noticed when it is left out and the power is cut some time after.
 */
import * as Points from "./Points.js"
import { small } from "./Scenarios.js"

/** A sync of the code. */
interface Sync {
  readonly site: string
  readonly plan: keyof typeof small
  readonly how: "power after each step" | "power" | "messy power"
  /** What is noticed without it; `null` for one that can be left out: then nothing may be noticed. */
  readonly notice: RegExp | null
}

/** What a process told that ended well, and what the power took then. */
const told = /was told, and the power took it/u

/** When the run is taken through by a process a step, and the power cut after each. */
const betweenSteps: ReadonlyArray<readonly [site: string, notice: RegExp]> = [
  ["syncDirectory .. after open journal.jsonl", told],
  ["syncDirectory ../.. after open journal.jsonl", told],
  ["sync manifest.json.tmp", /the manifest is no object/u],
  ["sync config.yaml.tmp", /config\.yaml is empty/u],
  ["sync batch_inputs/test/N.jsonl", /ShardChanged/u],
  ["sync rows/N.jsonl", /ShardChanged/u],
  ["syncDirectory rows after write rows/N.jsonl", /DiskError.*rows\/0001\.jsonl/u],
  ["syncDirectory batch_inputs/test after write rows/N.jsonl", /DiskError.*batch_inputs\/test\/0001\.jsonl/u],
  ["syncDirectory batch_inputs after write rows/N.jsonl", /DiskError.*batch_inputs\/test\/0001\.jsonl/u],
  ["sync journal.jsonl (BuildFinished)", told],
  ["sync journal.jsonl (BatchCreated)", told],
  ["sync journal.jsonl (BatchEnded)", told],
  ["syncDirectory raw after makeDirectory raw/test", /DiskError.*raw\/test\/0001\.jsonl/u],
  ["sync raw/test/N.jsonl.tmp", /row 1 is missing instead of succeeded/u],
  ["sync raw/test/N.errors.jsonl.tmp", /row 2 is missing instead of errored/u],
  ["syncDirectory raw/test after rename raw/test", /DiskError.*raw\/test\/0001\.jsonl/u],
  ["sync journal.jsonl (ResultsFetched)", told],
  ["sync results.jsonl.tmp", /0 results of 3 rows/u],
  ["sync failures.jsonl.tmp", /failures\.jsonl lists/u],
  ["sync anomalies.jsonl.tmp", /the anomalies differ|did not survive/u],
  ["sync journal.jsonl (RunFinished)", told]
]

/** The same, and the power is cut soon after, in the midst of a step. */
const inAStep: ReadonlyArray<readonly [site: string, notice: RegExp]> = [
  ["syncDirectory . after makeDirectory raw/test", /DiskError.*raw\/test\/0001\.jsonl/u]
]

/** When the power is cut soon after, in the midst of a run. */
const inTheMidst: ReadonlyArray<readonly [site: string, notice: RegExp]> = [
  ["sync journal.jsonl (InputUploaded)", /was paid twice|nothing on disk tells of/u],
  ["syncDirectory . after write rows/N.jsonl", /DiskError.*batch_inputs\/test\/0001\.jsonl/u],
  ["syncDirectory . after rename results.jsonl", /DiskError.*failures\.jsonl|there is no/u],
  ["sync parts/N.jsonl.tmp", /no file in parts holds a result of row 1/u],
  ["sync parts/N.anomalies.jsonl", /the anomalies differ/u],
  ["syncDirectory parts after rename parts/N.jsonl", /DiskError.*parts\/0001\.jsonl/u]
]

/** The same, while another shard is waited for. */
const meanwhile: ReadonlyArray<readonly [site: string, notice: RegExp]> = [
  ["syncDirectory . after makeDirectory parts", /DiskError.*parts\/0001\.jsonl/u]
]

/** When the power is cut soon after, and the disk keeps some of what was not synced and forgets the rest. */
const outOfOrder: ReadonlyArray<readonly [site: string, notice: RegExp]> = [
  ["syncDirectory . after open journal.jsonl", /holds no run/u]
]

/**
 * Those that can be left out: whoever takes the run up without what they keep comes to the same again, and nothing outside
 * of the run relies on it before a later sync of the same file or directory. They stay since `append` and `replaceFile`
 * are each of one piece; that of `RunOpened`, since `clean`, which no plan has, relies on what a process left that was killed.
 */
const spare: ReadonlyArray<readonly [site: string, plan: keyof typeof small]> = [
  ["sync journal.jsonl (RunStarted)", "whole"],
  ["sync journal.jsonl (RunOpened)", "stepwise"],
  ["syncDirectory . after rename manifest.json", "whole"],
  ["syncDirectory . after rename config.yaml", "whole"],
  ["sync journal.jsonl (BatchObserved)", "apart"],
  ["sync journal.jsonl (CreateUnanswered)", "unanswered"],
  ["sync journal.jsonl (SubmitDeferred)", "deferred"],
  ["sync journal.jsonl (ShardNormalized)", "apart"],
  ["sync journal.jsonl (RetryBuilt)", "whole"]
]

export const all: ReadonlyArray<Sync> = [
  ...betweenSteps.map(([site, notice]): Sync => ({ site, notice, plan: "stepwise", how: "power after each step" })),
  ...inAStep.map(([site, notice]): Sync => ({ site, notice, plan: "stepwise", how: "power" })),
  ...inTheMidst.map(([site, notice]): Sync => ({ site, notice, plan: "whole", how: "power" })),
  ...meanwhile.map(([site, notice]): Sync => ({ site, notice, plan: "apart", how: "power" })),
  ...outOfOrder.map(([site, notice]): Sync => ({ site, notice, plan: "whole", how: "messy power" })),
  ...spare.map(([site, plan]): Sync => ({ site, notice: null, plan, how: "power" }))
]

/**
 * How soon after a sync the power may be cut, in operations of the disk, for its absence to be noticed; what nothing can
 * be noticed of is made durable by a later sync well before that.
 */
const window = { missed: 60, spare: 25 }

/** How many ways are tried in which a disk may keep some of what was not synced. */
const waysOfKeeping = 10

const notices = ({ how, notice, plan, site }: Sync): string | undefined => {
  if (how === "power after each step") {
    return Points.problemAt(small.stepwise, { name: "power cut after each step", mishap: { skips: [site] } })
  }
  const survey = Points.survey(small[plan])
  const from = Points.syncSites(survey).get(site)
  if (from === undefined) return "a run makes no such sync"
  const plans = how === "power"
    ? [survey.plan]
    : Array.from({ length: waysOfKeeping }, (_, way) => ({ ...survey.plan, seed: way + 1 }))
  for (const one of plans) {
    const most = notice === null ? window.spare : window.missed
    const noticed = Points.noticesWithout({ ...survey, plan: one }, site, from, most, how)
    if (noticed !== undefined) return noticed
  }
  return undefined
}

/** What is wrong with what is said of a sync; `undefined` when it is right. */
export const problemWith = (sync: Sync): string | undefined => {
  const noticed = notices(sync)
  if (sync.notice === null) return noticed === undefined ? undefined : `${sync.site} is needed: ${noticed}`
  if (noticed === undefined) return `without ${sync.site} nothing is noticed`
  return sync.notice.test(noticed) ? undefined : `without ${sync.site} something else is noticed: ${noticed}`
}
