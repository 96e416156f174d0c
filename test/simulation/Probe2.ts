import * as Points from "./Points.js"
import { scenarios } from "./Scenarios.js"
const plan = scenarios[process.argv[2] ?? ""]
if (plan !== undefined) {
  const { ending, operations } = Points.survey(plan)
  for (const [site, from] of Points.syncSites(operations)) console.log(from, site, "=>", Points.noticesWithout(plan, ending, site, from, 25)?.split("\n")[0]?.slice(0,170))
}
