/**
 * A machine with a disk, on which processes of the pipeline run, one after the other or beside each other. What a process
 * knows is on that disk and at the provider.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Cost from "llm-batch/Cost"
import * as Ledger from "llm-batch/Ledger"
import * as Model from "llm-batch/Model"
import * as Pipeline from "llm-batch/Pipeline"
import { Provider } from "llm-batch/Provider"
import { RunLocked } from "llm-batch/RunError"
import * as Ask from "llm-batch/stage/Ask"
import * as Build from "llm-batch/stage/Build"
import * as Fetch from "llm-batch/stage/Fetch"
import * as Normalize from "llm-batch/stage/Normalize"
import * as Poll from "llm-batch/stage/Poll"
import * as Submit from "llm-batch/stage/Submit"
import { Disk } from "../../src/internal/Disk.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"
import { RunLock } from "../../src/internal/RunLock.js"
import type { Dice } from "./Dice.js"
import { Machine, type Process } from "./Machine.js"
import { Killed, make as makeProcessDisk, type Operation, type Verdict } from "./ProcessDisk.js"
import type { SimulatedProvider } from "./SimulatedProvider.js"

/** Where the run is. */
export const directory = "/runs/one"

export interface ComputerOptions {
  readonly dice: Dice
  readonly pollFirst: number
  /** Decides over the operations of a process. */
  readonly before?: (process: Process, operation: Operation) => Verdict
  readonly after?: (process: Process, operation: Operation) => void
}

/** Fewer and fewer looks: it is what they find that matters. The last pause is within the grace after the provider's window. */
const looks = (first: number) =>
  Schedule.modifyDelay(Schedule.exponential(first), (_, delay) => Duration.min(delay, "1 hour"))

/** What there is, and what a layer makes of it. */
const extended = <Before, Needed, A>(
  before: Context.Context<Before>,
  layer: Layer.Layer<A, never, Needed>
): Effect.Effect<Context.Context<Before | A>, never, Scope.Scope | Exclude<Needed, Before>> =>
  Effect.map(Effect.provide(Layer.build(layer), before), (made) => Context.merge(before, made))

export class Computer {
  readonly machine: Machine
  readonly memory = MemoryDisk.make()
  powerCuts = 0
  private readonly locks = new Map<number, Process>()

  constructor(private readonly options: ComputerOptions) {
    this.machine = new Machine(options.dice)
  }

  /** Starts a program in a process of its own. */
  start<A, E>(
    provider: SimulatedProvider,
    program: Effect.Effect<A, E, Pipeline.Pipeline>,
    clockError = 0
  ): Process<A, E> {
    const process = this.machine.start<A, E>(
      (self) =>
        Effect.scoped(
          Effect.flatMap(this.pipelineOf(self, provider), (pipeline) => Effect.provide(program, pipeline))
        ),
      { clockError, onEnd: () => this.unlock() }
    )
    return process
  }

  /** Cuts the power: every process ends, and the disk forgets what was not synced, or as much of it as the dice have it. */
  cutPower(processes: Iterable<Process>, dice?: Dice): void {
    this.powerCuts++
    for (const process of processes) process.kill()
    const before = dice === undefined ? undefined : this.memory.files()
    this.memory.crash()
    if (before !== undefined && dice !== undefined) this.keepSome(before, dice)
  }

  /** A real disk may have written some of what nobody had asked it to make durable. */
  private keepSome(before: ReadonlyMap<string, Buffer>, dice: Dice): void {
    const { disk } = this.memory
    const after = this.memory.files()
    for (const [path, bytes] of before) {
      const synced = after.get(path)
      if (synced?.equals(bytes) === true || dice.happens(0.5)) continue
      // A file that was renamed was synced before: all of it is there under its new name, or nothing.
      const isRenamed = !/\.tmp$|\.scratch$|\/rows\/|\/batch_inputs\/|\/journal\.jsonl$/u.test(path)
      const least = isRenamed ? bytes.length : synced?.length ?? 0
      const kept = bytes.subarray(0, dice.between(Math.min(least, bytes.length), bytes.length))
      const parents = path.split("/").slice(1, -1).map((_, index, names) => `/${names.slice(0, index + 1).join("/")}`)
      disk.makeDirectory(parents.at(-1) ?? "/")
      const handle = disk.open(path, "write")
      handle.write(kept, 0, kept.length)
      handle.sync()
      for (const parent of ["/", ...parents]) disk.syncDirectory(parent)
    }
  }

  /** The text of a file below the run directory; `undefined` when it is not there. */
  read(path: string): string | undefined {
    return this.memory.read(`${directory}/${path}`)?.toString()
  }

  private unlock(): void {
    for (const [inode, process] of this.locks) {
      if (!process.isAlive) this.locks.delete(inode)
    }
  }

  /** The real stages and ledger, built one after the other: composed as layers they take longer than all the rest. */
  private pipelineOf(
    process: Process,
    provider: SimulatedProvider
  ): Effect.Effect<Context.Context<Pipeline.Pipeline>, never, Scope.Scope> {
    const { after, before, pollFirst } = this.options
    const disk = makeProcessDisk(this.memory.disk, {
      before: (operation) => {
        if (!process.isAlive) throw new Killed()
        const verdict = before?.(process, operation) ?? "go"
        if (!process.isAlive) throw new Killed()
        return verdict
      },
      after: (operation) => {
        after?.(process, operation)
        if (!process.isAlive) throw new Killed()
      }
    })
    const lock = RunLock.of({
      acquire: (path, { inode }) =>
        Effect.asVoid(Effect.acquireRelease(
          Effect.suspend(() => {
            if (this.locks.has(inode)) return Effect.fail(new RunLocked({ directory: path }))
            this.locks.set(inode, process)
            return Effect.void
          }),
          () =>
            Effect.sync(() => {
              if (this.locks.get(inode) === process) this.locks.delete(inode)
            })
        ))
    })
    const machine = Context.make(Provider, provider.connect(process)).pipe(
      Context.add(Disk, disk),
      // The list of prices is loaded in real time, which this clock does not see.
      Context.add(Cost.PriceSource, { load: Effect.succeed(Model.builtIn) }),
      Context.add(RunLock, lock)
    )
    const poll = Poll.layerWith({ schedule: looks(pollFirst) })
    return Effect.gen(function*() {
      const withLedger = yield* extended(machine, Ledger.layer)
      const withBuild = yield* extended(withLedger, Build.layer)
      const withSubmit = yield* extended(withBuild, Submit.layer)
      const withPoll = yield* extended(withSubmit, poll)
      const withFetch = yield* extended(withPoll, Fetch.layer)
      const withNormalize = yield* extended(withFetch, Normalize.layer)
      const withAsk = yield* extended(withNormalize, Ask.layer)
      return yield* extended(withAsk, Pipeline.layerComposed)
    })
  }
}
