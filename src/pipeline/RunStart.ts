/**
 * How a run begins: where it lives, whether there is room, and whether a run that is there already is the same one.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import * as NodePath from "node:path"
import { BuildOptions } from "../BuildOptions.js"
import * as Disk from "../internal/Disk.js"
import * as RunDirectory from "../RunDirectory.js"
import { DiskError, RunRejected } from "../RunError.js"
import type { RunDescription, RunState } from "../RunState.js"
import type { Source } from "../Source.js"

/** A run needs its rows, its wire rows, its raw results, its parts and its results: about so many times its input. */
const spaceFactor = 6

/** The name and the directory of a run; both tell when it began, unless they are given. */
export const locate = Effect.fn(function*(
  { directory, runId }: { readonly directory?: string | undefined; readonly runId?: string | undefined },
  runTag: string
) {
  const began = DateTime.formatIso(yield* DateTime.now).replaceAll(/[-:]/gu, "").replace(/\..*$/u, "")
  const name = runId ?? `${began}-${runTag.slice(0, 4)}`
  return { runId: name, directory: NodePath.resolve(directory ?? `${RunDirectory.defaultParent}/run_${name}`) }
})

/** Fails when the disk cannot hold the run of an input of this size. */
export const checkSpace = Effect.fn(function*(directory: string, inputBytes: number) {
  const disk = yield* Disk.Disk
  const needed = inputBytes * spaceFactor
  const free = yield* Disk.attempt("look for space at", directory, () => disk.freeBytes(directory))
  if (free >= needed) return
  const megabytes = (bytes: number) => `${Math.ceil(bytes / 1e6).toLocaleString("en")} MB`
  return yield* new DiskError({
    operation: "hold the run",
    path: directory,
    code: "ENOSPC",
    detail: `a run of this input needs about ${megabytes(needed)}, and ${megabytes(free)} are free; `
      + "--run-dir can name a directory on another disk"
  })
})

/** What is at the place where a run is to be. */
export type Place = "nothing" | "empty" | "run"

/** Looks at the place of a run: a run has a directory of its own, so that what a failed build leaves can be removed. */
export const look = Effect.fn(function*(directory: string) {
  const disk = yield* Disk.Disk
  const place = yield* Disk.attempt("look at", directory, (): Place | "file" | "other" => {
    const stat = disk.stat(directory)
    if (stat === undefined) return "nothing"
    if (stat.kind !== "directory") return "file"
    if (disk.stat(RunDirectory.journal(directory)) !== undefined) return "run"
    return disk.list(directory).length === 0 ? "empty" : "other"
  })
  if (place !== "file" && place !== "other") return place
  return yield* new RunRejected({
    directory,
    problem: place === "file" ? "this is a file" : "the directory is not empty, and holds no run",
    remedy: "Name a new or empty directory with --run-dir."
  })
})

/** Removes what was built, and the directory too where there was none before. */
export const giveUp = (directory: string, place: Place) =>
  Effect.flatMap(Disk.Disk, (disk) =>
    Disk.attempt("empty", directory, () => {
      if (disk.stat(directory) === undefined) return
      const journal = RunDirectory.journal(directory)
      const paths = disk.list(directory).map((name) => NodePath.join(directory, name))
      // Without its entries it says that no run has begun, whatever else is there when a crash comes in between; its name
      // goes last, since by that the directory is known for a run's.
      if (paths.includes(journal)) Disk.empty(disk, journal)
      for (const path of [...paths.filter((path) => path !== journal), journal]) disk.remove(path)
      if (place === "nothing") disk.remove(directory)
    }))

const encodeOptions = Schema.encodeSync(Schema.parseJson(BuildOptions))

/** Whether a source is what a build read: all of it, unless the build was to read the first rows only. */
const isSameInput = Effect.fn(function*({ input, run }: RunState, source: Source) {
  if (input === null) return false
  const hash = createHash("sha256")
  let bytes = 0
  yield* source.blocks.pipe(
    Stream.takeUntil((block) => {
      hash.update(block.subarray(0, Math.max(0, input.bytes - bytes)))
      bytes += block.length
      return bytes > input.bytes
    }),
    Stream.runDrain
  )
  const isWhole = bytes === input.bytes || (bytes > input.bytes && run.options.limitItems !== undefined)
  return isWhole && hash.digest("hex") === input.sha256
})

/** Fails unless a run that is there already was built of the same input in the same way. */
export const checkSame = Effect.fn(function*(state: RunState, source: Source, description: RunDescription) {
  const { directory, run } = state
  const differs = (what: string) =>
    new RunRejected({
      directory,
      problem: `there is a run here already, of ${what}`,
      remedy: `Go on with that one by: llm-batch resume ${directory}, or name another directory with --run-dir.`
    })
  if (run.provider !== description.provider) return yield* differs(`another provider (${run.provider})`)
  if (encodeOptions(run.options) !== encodeOptions(description.options)) {
    return yield* differs("other options: its config.yaml has them")
  }
  if (run.mode !== description.mode) return yield* differs(`another mode (${run.mode})`)
  if (!(yield* isSameInput(state, source))) return yield* differs(`another input (${run.input.name})`)
})
