/**
 * Runs simulations one after the other, for `scripts/simulate.mjs`: `command.mjs FIRST_SEED COUNT [--trace]`. Each says
 * what came of it in a line of JSON. `command.mjs points PART PARTS` tries one part of all points of the scenarios.
 */
import { Violation } from "./Checks.js"
import { draw } from "./Plan.js"
import * as Points from "./Points.js"
import { scenarios } from "./Scenarios.js"
import { simulate } from "./Simulation.js"
import * as Syncs from "./Syncs.js"

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

/** Every so many-th, beginning with one of the first. */
const partOf = <A>(all: ReadonlyArray<A>, part: number, parts: number): ReadonlyArray<A> =>
  all.filter((_, index) => index % parts === part)

const tell = (what: string, problems: ReadonlyArray<string | undefined>): void => {
  print(JSON.stringify({
    points: { what, tried: problems.length, problems: problems.filter((problem) => problem !== undefined) }
  }))
}

const tryPoints = (part: number, parts: number): void => {
  for (const [name, plan] of Object.entries(scenarios)) {
    const survey = Points.survey(plan)
    for (const [kind, pointsOf] of Object.entries(Points.kinds)) {
      const points = partOf(pointsOf(survey), part, parts)
      tell(`${name}: ${kind}`, points.map((point) => Points.problemAt(plan, point)))
    }
  }
  tell("syncs left out", partOf(Syncs.all, part, parts).map(Syncs.problemWith))
}

const [first, second, third] = process.argv.slice(2)
if (first === "points") tryPoints(Number(second), Number(third))
else if (first !== undefined && second !== undefined) trySeeds(Number(first), Number(second))
else throw new Error("Give the first seed, and how many; or: points, which part, and of how many")
