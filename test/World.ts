/**
 * A provider and a disk that outlive the processes of a test: each `inProcess` builds all layers anew, and knows only
 * what is on that disk and at that provider.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Cost from "llm-batch/Cost"
import * as Ledger from "llm-batch/Ledger"
import * as Model from "llm-batch/Model"
import * as Pipeline from "llm-batch/Pipeline"
import * as Provider from "llm-batch/Provider"
import * as RunError from "llm-batch/RunError"
import type { Listener, RunEvent } from "llm-batch/RunEvent"
import { Progress } from "llm-batch/RunEvent"
import * as Ask from "llm-batch/stage/Ask"
import * as Build from "llm-batch/stage/Build"
import * as Fetch from "llm-batch/stage/Fetch"
import * as Normalize from "llm-batch/stage/Normalize"
import * as Poll from "llm-batch/stage/Poll"
import * as Submit from "llm-batch/stage/Submit"
import * as TestProvider from "llm-batch/TestProvider"
import { Disk, type Service } from "../src/internal/Disk.js"
import * as MemoryDisk from "../src/internal/MemoryDisk.js"
import { RunLock } from "../src/internal/RunLock.js"
import * as SimulatedClock from "./SimulatedClock.js"

/** Everything that a process of a test may use. */
type Everything =
  | Pipeline.Pipeline
  | Provider.Provider
  | Ledger.Ledger
  | Build.Build
  | Submit.Submit
  | Poll.Poll
  | Fetch.Fetch
  | Normalize.Normalize

export interface World {
  readonly test: TestProvider.Service
  readonly memory: MemoryDisk.MemoryDisk
  /** Every event that was told, by all processes. */
  readonly events: Array<RunEvent>
  readonly layer: Layer.Layer<Everything>
  /** Runs a program in a new process, under a clock that goes on by itself for so long. */
  readonly inProcess: <A, E>(
    program: Effect.Effect<A, E, Everything | Scope.Scope>,
    duration?: Duration.DurationInput
  ) => Effect.Effect<A, E>
  /** Runs a program in a new process, under a clock of the world's own that goes on by itself for as long as it takes. */
  readonly simulate: <A, E>(program: Effect.Effect<A, E, Everything | Scope.Scope>) => Effect.Effect<A, E>
  /** The text of a file below the run directory. */
  readonly read: (path: string) => string
  /** The entries of the journal, as they are on disk, but for those that say that a process took the run up. */
  readonly journal: () => ReadonlyArray<{ readonly _tag: string; readonly [field: string]: unknown }>
  /** The names of all files below the run directory, sorted. */
  readonly files: () => ReadonlyArray<string>
}

export interface WorldOptions {
  readonly script?: TestProvider.Script
  /** What the processes see instead of the provider itself. */
  readonly wrap?: (provider: Provider.Service) => Provider.Service
  readonly disk?: MemoryDisk.Options
  /** What the processes see instead of the disk itself. */
  readonly wrapDisk?: (disk: Service) => Service
  readonly poll?: Poll.Options
  readonly ledger?: Layer.Layer<Ledger.Ledger>
  /** The models, with their prices; none has one by default. */
  readonly models?: Model.Service
}

/** Where the runs of these tests are. */
export const directory = "/runs/one"

const makeLock = () => {
  const held = new Set<number>()
  return Layer.succeed(RunLock, {
    acquire: (path, { inode }) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.suspend(() => {
          if (held.has(inode)) return Effect.fail(new RunError.RunLocked({ directory: path }))
          held.add(inode)
          return Effect.void
        }),
        () => Effect.sync(() => held.delete(inode))
      ))
  })
}

export const make = (options: WorldOptions = {}): Effect.Effect<World> =>
  Effect.map(TestProvider.make(options.script), (test) => {
    const memory = MemoryDisk.make(options.disk)
    const events: Array<RunEvent> = []
    const clock = SimulatedClock.make()
    const listener: Listener = { tell: (event) => events.push(event) }
    const provider = options.wrap?.(test.provider) ?? test.provider
    const machine = Layer.mergeAll(
      Layer.succeed(Disk, options.wrapDisk?.(memory.disk) ?? memory.disk),
      makeLock(),
      Layer.succeed(Progress, listener),
      // The list of prices is loaded in real time, which no test clock sees.
      Layer.succeed(Cost.PriceSource, { load: Effect.succeed(options.models ?? Model.builtIn) })
    )
    const stages = Layer.mergeAll(
      Build.layer,
      Submit.layer,
      Poll.layerWith(options.poll ?? { schedule: Schedule.spaced("1 hour") }),
      Fetch.layer,
      Normalize.layer,
      Ask.layer
    ).pipe(Layer.provideMerge(options.ledger ?? Ledger.layer))
    const layer = Layer.fresh(
      Pipeline.layerComposed.pipe(
        Layer.provideMerge(stages),
        Layer.provideMerge(Layer.succeed(Provider.Provider, provider)),
        Layer.provideMerge(machine)
      )
    )
    const read = (path: string) => {
      const found = memory.files().get(`${directory}/${path}`)
      if (found === undefined) throw new Error(`there is no ${path}`)
      return found.toString()
    }
    return {
      test,
      memory,
      events,
      layer,
      inProcess: (program, duration = "25 hours") =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(Effect.provide(Effect.scoped(program), layer))
          yield* TestClock.adjust(duration)
          return yield* Fiber.join(fiber)
        }),
      simulate: (program) => Effect.withClock(Effect.provide(Effect.scoped(program), layer), clock),
      read,
      journal: () =>
        read("journal.jsonl").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line)).filter(
          ({ _tag }) => _tag !== "RunOpened"
        ),
      files: () =>
        [...memory.files().keys()].filter((path) => path.startsWith(`${directory}/`))
          .map((path) => path.slice(directory.length + 1)).toSorted()
    }
  })
