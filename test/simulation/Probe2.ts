import * as Points from "./Points.js"
import { scenarios } from "./Scenarios.js"
const what = process.argv[2]
const only = process.argv[3]
for (const [name, plan] of Object.entries(scenarios)) {
  if (only !== undefined && !name.startsWith(only)) continue
  const { ending, operations } = Points.survey(plan)
  const t = performance.now()
  console.log(name, ending.operationsOfFirst, ending.callsOfFirst, ending.processes)
  if (what === "calls") console.log(Points.tryAll(plan, ending, Points.deathsAtCalls(ending)))
  if (what === "disk") console.log(Points.tryAll(plan, ending, Points.deathsAtDisk(ending)))
  if (what === "faults") console.log(Points.tryAll(plan, ending, Points.diskFaults(ending)))
  if (what === "syncs") for (const site of Points.syncSites(operations)) console.log(site, "=>", Points.noticesWithout(plan, site)?.slice(0,160))
  console.log((performance.now() - t).toFixed(0))
}
