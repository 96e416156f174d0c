/**
 * Tries every point of a plan: a death, a fault or a sync left out at each operation and each call in turn.
 */
import { Violation } from "./Checks.js"
import type { Plan } from "./Plan.js"
import type { Operation, Verdict } from "./ProcessDisk.js"
import { type Death, type Ending, type Mishap, simulate } from "./Simulation.js"
import { SyncSites } from "./SyncSites.js"

/** A point that was tried, and what is to be said of it when it goes wrong. */
export interface Point {
  readonly name: string
  readonly mishap: Mishap
}

/** A plan in which nothing goes wrong: what its points are. */
export interface Survey {
  readonly plan: Plan
  readonly ending: Ending
  /** Those of the first process. */
  readonly operations: ReadonlyArray<Operation>
}

export const survey = (plan: Plan): Survey => {
  const operations: Array<Operation> = []
  const ending = simulate(plan, { mishap: {}, onOperation: (operation) => operations.push(operation) })
  return { plan, ending, operations }
}

const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index + 1)

const disk = (operation: number, how: "kill" | "power" | "messy power", after: boolean): Death => ({
  _tag: "Disk",
  operation,
  how,
  after
})

/** Whether an operation can be done in part. */
const isDivisible = ({ bytes, name }: Operation): boolean => name === "write" && bytes !== undefined && bytes.length > 1

/** The power is cut before every operation of the disk and in the midst of every write; the process killed after each. */
const deathsAtDisk = ({ operations }: Survey): ReadonlyArray<Point> =>
  operations.flatMap((operation, index) => [
    { name: `power cut before operation ${index + 1}`, mishap: { death: disk(index + 1, "power", false) } },
    ...(isDivisible(operation)
      ? [{
        name: `power cut in the midst of operation ${index + 1}`,
        mishap: { death: disk(index + 1, "power", true) }
      }]
      : []),
    { name: `killed after operation ${index + 1}`, mishap: { death: disk(index + 1, "kill", true) } }
  ])

/** The process is killed, or the power cut, before every call and when it was carried out. */
const deathsAtCalls = ({ ending }: Survey): ReadonlyArray<Point> =>
  numbers(ending.callsOfFirst).flatMap((call) =>
    (["made", "done"] as const).flatMap((when) =>
      (["kill", "power"] as const).map((how) => ({
        name: `${how} when call ${call} was ${when}`,
        mishap: { death: { _tag: "Call", call, when, how } } as const
      }))
    )
  )

const errors: ReadonlyArray<Verdict> = ["ENOSPC", "EIO", "EACCES"]

/** Every operation of the disk fails in every way, and every write is cut short. */
const diskFaults = ({ operations }: Survey): ReadonlyArray<Point> =>
  operations.flatMap((operation, index) =>
    [...errors, ...(isDivisible(operation) ? [{ bytes: 1 }] : [])].map((verdict) => ({
      name: `operation ${index + 1} meets ${JSON.stringify(verdict)}`,
      mishap: { fault: { operation: index + 1, verdict } }
    }))
  )

/** Every point of a plan, by kind. */
export const kinds = {
  "deaths at calls": deathsAtCalls,
  "deaths at operations of the disk": deathsAtDisk,
  "faults of the disk": diskFaults
} as const

/** What goes wrong at a point; `undefined` when all is well. */
export const problemAt = (plan: Plan, { mishap, name }: Point): string | undefined => {
  try {
    simulate(plan, { mishap })
    return undefined
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    return `${name}: ${error.message}`
  }
}

/** The syncs of a run, in the order in which they come first, with the operation that each is first. */
export const syncSites = ({ operations }: Survey): ReadonlyMap<string, number> => {
  const sites = new SyncSites()
  const found = new Map<string, number>()
  for (const [index, operation] of operations.entries()) {
    const site = sites.of(operation)
    if (site !== "" && !found.has(site)) found.set(site, index + 1)
  }
  return found
}

/**
 * What is noticed when a sync is left out of the code: the power is cut at the end, and before each operation, at most so
 * many of them, from where the sync would be; `how` says whether the disk then keeps some of what was not synced, as the
 * plan's dice have it. `undefined` when nothing is.
 */
export const noticesWithout = (
  { ending, plan }: Survey,
  site: string,
  from: number,
  most = Number.POSITIVE_INFINITY,
  how: "power" | "messy power" = "power"
): string | undefined => {
  const skips = [site]
  const points = numbers(ending.operationsOfFirst).slice(from - 1, from - 1 + most).map((operation): Point => ({
    name: `power cut before operation ${operation}`,
    mishap: { skips, death: disk(operation, how, false) }
  }))
  for (const point of [{ name: "power cut at the end", mishap: { skips } }, ...points]) {
    const problem = problemAt(plan, point)
    if (problem !== undefined) return problem
  }
  return undefined
}
