/**
 * Loaded before a measured program, by `node --import`: leaves a report when the program ends, at the path that
 * `LLM_BATCH_BENCH_REPORT` names.
 *
 * The peak comes from the kernel's own mark of this program's memory where there is one: `maxRSS` of a child begins with
 * what its parent had when it was started.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"

const peak = () => {
  const status = "/proc/self/status"
  const mark = existsSync(status) ? /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(status, "utf8"))?.[1] : undefined
  return (mark === undefined ? process.resourceUsage().maxRSS : Number(mark)) * 1_024
}

process.on("exit", () => {
  const path = process.env.LLM_BATCH_BENCH_REPORT
  if (path === undefined) return
  const { systemCPUTime, userCPUTime } = process.resourceUsage()
  writeFileSync(path, JSON.stringify({ peak: peak(), cpuMillis: (systemCPUTime + userCPUTime) / 1_000 }))
})
