/**
 * Runs that are there already, as the command line names them: by their directories.
 */
import * as Effect from "effect/Effect"
import * as NodePath from "node:path"
import * as Disk from "../internal/Disk.js"
import * as Ledger from "../Ledger.js"
import * as Providers from "./Providers.js"
import { UsageError } from "./UsageError.js"

/** The absolute path of the run directory that was named. */
export const locate = Effect.fn(function*(directory: string) {
  const disk = yield* Disk.Disk
  const stat = yield* Disk.attempt("look at", directory, () => disk.stat(directory))
  if (stat?.kind === "directory") return NodePath.resolve(directory)
  return yield* new UsageError({
    message: stat === undefined
      ? `There is no directory ${directory}. Name a run directory: llm-batch list shows them.`
      : `${directory} is a file. Name the run directory: llm-batch list shows them.`
  })
})

/** What a run is, as its journal has it. */
export const describe = Effect.fn(function*(directory: string) {
  const located = yield* locate(directory)
  const { run } = yield* Effect.provide(
    Effect.flatMap(Ledger.Ledger, (ledger) => ledger.state(located)),
    Ledger.layer
  )
  return run
})

/** The provider of a run. */
export const providerOf = (directory: string) =>
  Effect.flatMap(describe(directory), ({ provider }) => Providers.byId(provider))
