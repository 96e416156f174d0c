import { draw } from "./Plan.js"
import { simulate } from "./Simulation.js"
const verbose = process.argv[2] === '-v'
const seeds = process.argv.slice(verbose ? 3 : 2).map(Number)
for (const seed of seeds) {
  const plan = draw(seed)
  const t = performance.now()
  try { const e = simulate(plan, verbose ? { watch: console.log } : {}); console.log(seed, plan.rows.length, JSON.stringify(plan.options), e.processes, e.operations, e.calls, (performance.now()-t).toFixed(1)) } catch (e) { console.log(seed, plan.rows.length, (performance.now()-t).toFixed(1), String(e).slice(0,4000)) }
}
