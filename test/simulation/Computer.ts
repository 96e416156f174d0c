/**
 * A machine with a disk, on which processes of the pipeline run, one after the other or beside each other. What a process
 * knows is on that disk and at the provider.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Pipeline from "llm-batch/Pipeline"
import { Provider } from "llm-batch/Provider"
import { RunLocked } from "llm-batch/RunError"
import * as Poll from "llm-batch/stage/Poll"
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
  readonly pollEvery: number
  /** Decides over the operations of a process. */
  readonly before?: (process: Process, operation: Operation) => Verdict
  readonly after?: (process: Process, operation: Operation) => void
}

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
      (self) => Effect.provide(program, this.layerOf(self, provider)),
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
    return this.memory.files().get(`${directory}/${path}`)?.toString()
  }

  private unlock(): void {
    for (const [inode, process] of this.locks) {
      if (!process.isAlive) this.locks.delete(inode)
    }
  }

  private layerOf(process: Process, provider: SimulatedProvider): Layer.Layer<Pipeline.Pipeline> {
    const { after, before, pollEvery } = this.options
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
    return Layer.fresh(
      Pipeline.layerComposed.pipe(
        Layer.provide(Poll.layerWith({ schedule: Schedule.spaced(pollEvery) })),
        Layer.provide(Pipeline.layerStages),
        Layer.provide(Layer.mergeAll(
          Layer.sync(Provider, () => provider.connect(process)),
          Layer.succeed(Disk, disk),
          Layer.succeed(RunLock, lock)
        ))
      )
    )
  }
}
