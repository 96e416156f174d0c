/**
 * What of a run's time goes into its journal and into syncs: a run of many shards on the emulator at full speed.
 */
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { writePrompts } from "../data/prompts.mjs"
import { median, megabytes, rows as written, seconds } from "../harness/figures.mjs"
import { executable, serve } from "../harness/programs.mjs"
import { freshRun, llmBatch, model } from "../harness/stage.mjs"

/** Fast enough that a batch ends at the first look, slow enough that its files do not expire meanwhile. */
const timeScale = "5000"

/** @type {import("../harness/stage.mjs").Row} */
export const journal = {
  name: "journal",
  measure: async (stage) => {
    const [shards, rowsOfShard] = stage.small ? [5, 20] : [100, 1_000]
    const input = join(stage.folder, "journal.jsonl")
    const directory = join(stage.folder, "journal")
    const syncs = join(stage.folder, "syncs.json")
    writePrompts(input, shards * rowsOfShard)
    const server = await serve([executable, "emulator", "--json", "--time-scale", timeScale], "}\n")
    try {
      const addresses = JSON.parse(server.printed)
      const env = {
        OPENAI_API_KEY: "sk-bench",
        OPENAI_BASE_URL: addresses.openai_base_url,
        LLM_BATCH_BENCH_SYNCS: syncs
      }
      const measured = []
      for (let round = 0; round < stage.rounds; round++) {
        const flags = ["--model", model, "--run-dir", freshRun(stage, "journal"), "--poll-interval", "100ms", "--yes"]
        const { millis, peak } = await llmBatch(
          stage,
          ["run", input, "--shard-rows", String(rowsOfShard), ...flags],
          { env, preloads: ["sync-times.mjs"] }
        )
        const totals = JSON.parse(readFileSync(syncs, "utf8"))
        const journalMillis = totals.appendMillis + totals.journalSyncMillis
        measured.push({
          ...totals,
          millis,
          peak,
          journalMillis,
          share: (journalMillis + totals.otherSyncMillis + totals.idleBesideMillis) / millis
        })
      }
      const shares = measured.map(({ share }) => share)
      const share = median(shares)
      const typical = measured.toSorted((one, other) => one.share - other.share)[measured.length >> 1]
      const percent = (/** @type {number} */ part) => `${(100 * part).toFixed(1)} %`
      return [{
        work: `journal and syncs in a run of ${written(shards)} shards of ${written(rowsOfShard)} rows`,
        yardstick: "the whole time, on the emulator at full speed",
        goal: "<= 2 %",
        measured: percent(share),
        met: share <= 0.02,
        peak: megabytes(typical.peak),
        detail: [
          `${seconds(typical.millis)} in all`,
          `${typical.appends} appends and ${typical.journalSyncs} syncs of the journal ${
            seconds(typical.journalMillis)
          }`,
          `${typical.otherSyncs} other syncs ${seconds(typical.otherSyncMillis)}`,
          `${typical.syncsBeside} beside the thread, which had nothing else to do for ${
            seconds(typical.idleBesideMillis)
          } of them`,
          `a sync of the machine ${(typical.journalMillis / typical.journalSyncs).toFixed(1)} ms`,
          `${percent(Math.min(...shares))} to ${percent(Math.max(...shares))}`
        ].join("; ")
      }]
    } finally {
      await server.stop()
      for (const path of [input, directory, syncs]) rmSync(path, { recursive: true, force: true })
    }
  }
}
