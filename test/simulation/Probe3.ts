import * as Points from "./Points.js"
import { scenarios } from "./Scenarios.js"
const plan = scenarios["a round of retries"]
if (plan !== undefined) {
  const { ending, operations } = Points.survey(plan)
  if (process.argv[2] === "ops") operations.slice(125, 240).forEach((o, i) => { if (o.name !== "read" && o.name !== "size") console.log(i + 126, o.name, o.path, /_tag":"(\w+)/.exec(Buffer.from(o.bytes ?? []).toString())?.[1] ?? "") })
  else for (const [site, from] of Points.syncSites(operations)) if (process.argv.slice(2).some((w) => site.startsWith(w))) console.log(from, site, "=>", Points.noticesWithout(plan, ending, site, from, 60)?.split("\n")[0]?.slice(0,150))
}
