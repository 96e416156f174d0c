/**
 * Runs simulations one after the other: `Command.js FIRST_SEED COUNT`. Says how many it has run, a line of JSON each
 * second or so, and what the first one that went wrong says.
 */
import { Violation } from "./Checks.js"
import { draw } from "./Plan.js"
import { simulate } from "./Simulation.js"

const [first, count] = process.argv.slice(2).map(Number)
if (first === undefined || count === undefined) throw new Error("Give the first seed, and how many")

const totals = { runs: 0, processes: 0, operations: 0, calls: 0, days: 0 }
const say = (more: object = {}) => process.stdout.write(`${JSON.stringify({ ...totals, ...more })}\n`)

let told = Date.now()
for (let seed = first; seed < first + count; seed++) {
  try {
    const { calls, operations, processes, took } = simulate(draw(seed))
    totals.runs++
    totals.processes += processes
    totals.operations += operations
    totals.calls += calls
    totals.days += took / 86_400_000
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    say({ violation: error.message })
    process.exitCode = 1
  }
  if (Date.now() - told > 1_000) {
    told = Date.now()
    say()
  }
}
say({ done: true })
