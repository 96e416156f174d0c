import { assert, describe, it } from "@effect/vitest"
import * as Points from "./Points.js"
import { scenarios } from "./Scenarios.js"

/** How soon after a sync the power may be cut, in operations of the disk, for its absence to be noticed. */
const window = 60

describe("what is noticed when a sync is left out of the code:", () => {
  const plan = scenarios["a round of retries"] ?? assert.fail("there is no such scenario")
  const { ending, operations } = Points.survey(plan)
  const sites = Points.syncSites(operations)

  for (
    const [site, notice] of [
      ["syncDirectory .. after rename manifest.json", /there is no results\.jsonl/u],
      ["sync manifest.json.tmp", /the manifest is no object/u],
      ["sync config.yaml.tmp", /config\.yaml is empty/u],
      ["sync batch_inputs/test/N.jsonl", /ShardChanged/u],
      ["syncDirectory batch_inputs/test after write rows/N.jsonl", /DiskError/u],
      ["sync journal.jsonl (InputUploaded)", /was paid twice|nothing on disk tells of/u],
      ["sync journal.jsonl (BatchCreated)", /was waited for, and its id is not on disk/u],
      ["sync results.jsonl.tmp", /0 results of 6 rows/u],
      ["sync anomalies.jsonl.tmp", /did not survive the power/u],
      ["syncDirectory . after rename results.jsonl", /no such file|there is no/u],
      ["sync journal.jsonl (RunFinished)", /are said to be|did not finish/u]
    ] as const
  ) {
    it(site, () => {
      const from = sites.get(site) ?? assert.fail(`a run makes no ${site}`)
      assert.match(Points.noticesWithout(plan, ending, site, from, window) ?? "nothing", notice)
    }, 120_000)
  }
})
