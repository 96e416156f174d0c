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

const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index + 1)

/** Nothing goes wrong: what the points of the plan are. */
export const survey = (plan: Plan): { readonly ending: Ending; readonly operations: ReadonlyArray<Operation> } => {
  const operations: Array<Operation> = []
  const ending = simulate(plan, { mishap: {}, onOperation: (operation) => operations.push(operation) })
  return { ending, operations }
}

const disk = (operation: number, how: "kill" | "power", after: boolean): Death => ({
  _tag: "Disk",
  operation,
  how,
  after
})

/** The power is cut, or the process killed, before and in the midst of every operation of the disk. */
export const deathsAtDisk = (ending: Ending): ReadonlyArray<Point> =>
  numbers(ending.operationsOfFirst).flatMap((operation) => [
    { name: `power cut before operation ${operation}`, mishap: { death: disk(operation, "power", false) } },
    { name: `power cut after operation ${operation}`, mishap: { death: disk(operation, "power", true) } },
    { name: `killed after operation ${operation}`, mishap: { death: disk(operation, "kill", true) } }
  ])

/** The process is killed, or the power cut, before every call and when it was carried out. */
export const deathsAtCalls = (ending: Ending): ReadonlyArray<Point> =>
  numbers(ending.callsOfFirst).flatMap((call) =>
    (["made", "done"] as const).flatMap((when) =>
      (["kill", "power"] as const).map((how) => ({
        name: `${how} when call ${call} was ${when}`,
        mishap: { death: { _tag: "Call", call, when, how } } as const
      }))
    )
  )

const verdicts: ReadonlyArray<Verdict> = ["ENOSPC", "EIO", "EACCES", { bytes: 1 }]

/** Every operation of the disk fails, or a write of it is cut short. */
export const diskFaults = (ending: Ending): ReadonlyArray<Point> =>
  numbers(ending.operationsOfFirst).flatMap((operation) =>
    verdicts.map((verdict) => ({
      name: `operation ${operation} meets ${JSON.stringify(verdict)}`,
      mishap: { fault: { operation, verdict } }
    }))
  )

/** Tries points; gives what the first bad one says. */
export const tryAll = (plan: Plan, undisturbed: Ending, points: Iterable<Point>): string | undefined => {
  for (const { mishap, name } of points) {
    try {
      simulate(plan, { mishap, undisturbed })
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      return `${name}: ${error.message}`
    }
  }
  return undefined
}

/** The syncs of a run, in the order in which they come first, with the operation that each is first. */
export const syncSites = (operations: ReadonlyArray<Operation>): ReadonlyMap<string, number> => {
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
 * many of them, from where the sync would be. `undefined` when nothing is.
 */
export const noticesWithout = (
  plan: Plan,
  ending: Ending,
  site: string,
  from: number,
  most = Number.POSITIVE_INFINITY
): string | undefined => {
  const skips = [site]
  const points = numbers(ending.operationsOfFirst).slice(from - 1, from - 1 + most).map((operation): Point => ({
    name: `power cut before operation ${operation}`,
    mishap: { skips, death: disk(operation, "power", false) }
  }))
  return tryAll(plan, ending, [{ name: "power cut at the end", mishap: { skips } }, ...points])
}
