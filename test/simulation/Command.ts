/**
 * Runs simulations one after the other, for `scripts/simulate.mjs`: `command.mjs FIRST_SEED COUNT [--trace]`. Each says
 * what came of it in a line of JSON. `command.mjs points` tries every point of the scenarios, and each sync left out.
 */
import { Violation } from "./Checks.js"
import { draw } from "./Plan.js"
import * as Points from "./Points.js"
import { scenarios } from "./Scenarios.js"
import { simulate } from "./Simulation.js"

const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const trySeeds = (first: number, count: number): void => {
  for (let seed = first; seed < first + count; seed++) {
    try {
      const { calls, isCompared, operations, processes, took } = simulate(
        draw(seed),
        process.argv.includes("--trace") ? { watch: print } : {}
      )
      print(JSON.stringify({ run: { calls, operations, processes, took }, compared: isCompared }))
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      print(JSON.stringify({ run: null, violation: error.message }))
    }
  }
}

const tryPoints = (): void => {
  for (const [name, plan] of Object.entries(scenarios)) {
    const { ending, operations } = Points.survey(plan)
    for (
      const [what, points] of [
        ["deaths at calls", Points.deathsAtCalls(ending)],
        ["deaths at operations of the disk", Points.deathsAtDisk(ending)],
        ["faults of the disk", Points.diskFaults(ending)]
      ] as const
    ) {
      const problem = Points.tryAll(plan, ending, points)
      print(`${name}: ${points.length} ${what}: ${problem ?? "all well"}`)
      if (problem !== undefined) process.exitCode = 1
    }
    for (const [site, from] of Points.syncSites(operations)) {
      const notice = Points.noticesWithout(plan, ending, site, from)
      print(`${name}: without ${site}: ${notice?.split("\n")[0] ?? "nothing is noticed"}`)
    }
  }
}

const [first, count] = process.argv.slice(2).map(Number)
if (process.argv[2] === "points") tryPoints()
else if (first !== undefined && count !== undefined) trySeeds(first, count)
else throw new Error("Give the first seed, and how many, or: points")
