/**
 * The durable record of what was intended and what happened: the truth from which a run resumes.
 *
 * Every intent is appended before it is tried, every fact as soon as it is known. Whatever a process was doing when it
 * died, the ledger tells what may have happened and what cannot have. An entry on which money or anybody outside of the run
 * relies is durable before `append` gives back; others become so with it, and within a second.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Directory from "./ledger/Directory.js"
import { type DiskError, type LedgerCorrupt, RunLocked, RunRejected } from "./RunError.js"
import type { Entry, RunDescription, RunState } from "./RunState.js"
import { Fold } from "./RunState.js"

/**
 * An entry to be appended: the ledger adds the time.
 *
 * @since 0.1.0
 * @category models
 */
export type NewEntry = Entry extends infer One ? One extends Entry ? Omit<One, "at"> : never : never

/**
 * The interface of a ledger. A run is named by the absolute path of its directory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Begins a run, and holds it for writing until the scope closes. */
  readonly create: (
    directory: string,
    run: RunDescription
  ) => Effect.Effect<RunState, RunRejected | RunLocked | DiskError, Scope.Scope>

  /** Takes up a run for writing until the scope closes. */
  readonly open: (
    directory: string
  ) => Effect.Effect<RunState, RunRejected | RunLocked | LedgerCorrupt | DiskError, Scope.Scope>

  /**
   * Records an entry of a run that this process holds. It survives the process from then on, and a power failure too, but
   * for entries whose loss only means that something is found out or done again: those are durable with the next one that
   * has to be, with `sync`, and after a second. Fails with `RunLocked` when another process has taken the run up in the
   * meantime.
   */
  readonly append: (
    directory: string,
    entry: NewEntry
  ) => Effect.Effect<void, RunRejected | RunLocked | DiskError>

  /** Makes durable all that was appended to a run that this process holds. */
  readonly sync: (directory: string) => Effect.Effect<void, RunRejected | RunLocked | DiskError>

  /** Where a run stands; reading needs no hold on it. */
  readonly state: (directory: string) => Effect.Effect<RunState, RunRejected | LedgerCorrupt | DiskError>
}

/**
 * The durable record of runs.
 *
 * @since 0.1.0
 * @category tags
 */
export class Ledger extends Context.Tag("llm-batch/Ledger")<Ledger, Service>() {}

/**
 * Keeps each run in its run directory: `journal.jsonl`, and `manifest.json` derived from it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Ledger> = Layer.effect(Ledger, Directory.make)

const notThere = (directory: string) =>
  new RunRejected({ directory, problem: "no run was begun here", remedy: "Begin one with Ledger.create." })

/**
 * Keeps runs in memory, for tests and for pipelines that need not survive their process.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory: Layer.Layer<Ledger> = Layer.sync(Ledger, () => {
  const runs = new Map<string, Fold>()
  const held = new Set<string>()
  const hold = (directory: string) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        if (held.has(directory)) return Effect.fail(new RunLocked({ directory }))
        held.add(directory)
        return Effect.void
      }),
      () => Effect.sync(() => held.delete(directory))
    )
  const append = (directory: string, entry: NewEntry) =>
    Effect.flatMap(DateTime.now, (at) => {
      const fold = held.has(directory) ? runs.get(directory) : undefined
      if (fold === undefined) return Effect.fail(Directory.notHeld(directory))
      const problem = fold.step({ ...entry, at })
      return problem === undefined ? Effect.void : Effect.dieMessage(`${directory}: an entry cannot be: ${problem}`)
    })
  const state = (directory: string) =>
    Effect.suspend(() => {
      const found = runs.get(directory)?.state
      return found === undefined ? Effect.fail(notThere(directory)) : Effect.succeed(found)
    })
  return Ledger.of({
    create: (directory, run) =>
      Effect.gen(function*() {
        yield* hold(directory)
        if (runs.has(directory)) return yield* Directory.alreadyThere(directory)
        runs.set(directory, new Fold(directory))
        yield* append(directory, { _tag: "RunStarted", run })
        return yield* state(directory)
      }),
    open: (directory) => Effect.zipRight(hold(directory), state(directory)),
    append,
    sync: (directory) => held.has(directory) ? Effect.void : Effect.fail(Directory.notHeld(directory)),
    state
  })
})
