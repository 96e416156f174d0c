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
  /** Those of each process. */
  readonly processes: ReadonlyArray<ReadonlyArray<Operation>>
}

export const survey = (plan: Plan): Survey => {
  const processes: Array<Array<Operation>> = []
  const onOperation = (operation: Operation, process: number) => (processes[process] ??= []).push(operation)
  const ending = simulate(plan, { mishap: {}, onOperation })
  return { plan, ending, operations: processes[0] ?? [], processes }
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

/** An operation: of which process, counted from 0, and which of its operations, counted from 1. */
interface Place {
  readonly process: number
  readonly operation: number
}

/** The syncs of a run, with the place of the first of each. */
export const syncSites = ({ processes }: Survey): ReadonlyMap<string, Place> => {
  const sites = new SyncSites()
  const found = new Map<string, Place>()
  for (const [process, operations] of processes.entries()) {
    for (const [index, operation] of operations.entries()) {
      const site = sites.of(operation)
      if (site !== "" && !found.has(site)) found.set(site, { process, operation: index + 1 })
    }
  }
  return found
}

/**
 * What is noticed when a sync is left out of the code: the power is cut at the end, and before each operation of the same
 * process, at most so many of them, from where the sync would be; `how` says whether the disk then keeps some of what was
 * not synced, as the plan's dice have it. `undefined` when nothing is.
 */
export const noticesWithout = (
  { plan, processes }: Survey,
  site: string,
  from: Place,
  most = Number.POSITIVE_INFINITY,
  how: "power" | "messy power" = "power"
): string | undefined => {
  const skips = [site]
  const dies = from.process
  const last = processes[dies]?.length ?? 0
  const points = numbers(last).slice(from.operation - 1, from.operation - 1 + most).map((operation): Point => ({
    name: `power cut before operation ${operation}`,
    mishap: { skips, dies, death: disk(operation, how, false) }
  }))
  for (const point of [{ name: "power cut at the end", mishap: { skips } }, ...points]) {
    const problem = problemAt(plan, point)
    if (problem !== undefined) return problem
  }
  return undefined
}
