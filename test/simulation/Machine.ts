/**
 * A computer whose time is simulated: fibers run one task after the other in an order that a seed decides, and when
 * none is left to run, time goes on to the next timer at once. Nothing waits, and nothing depends on real time: equal
 * seeds give equal runs. A process can be killed between any two of its tasks, and no finalizer of it has an effect then.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Random from "effect/Random"
import type { Task } from "effect/Scheduler"
import { make as makeScheduler } from "effect/Scheduler"
import type { Dice } from "./Dice.js"

interface Timer {
  readonly at: number
  readonly order: number
  readonly ring: () => void
  cancelled: boolean
}

const isBefore = (one: Timer, other: Timer): boolean =>
  one.at === other.at ? one.order < other.order : one.at < other.at

/** A process of the machine, seen from outside. */
export interface Process<A = unknown, E = unknown> {
  /** How it ended by itself; `undefined` while it runs, and when it was killed. */
  readonly exit: Exit.Exit<A, E> | undefined
  readonly isAlive: boolean
  /** Ends it at once. What it had asked the machine for never comes. */
  readonly kill: () => void
  /** Asks it to end, as SIGINT does. */
  readonly interrupt: () => void
}

/** When a machine begins, unless it is said: some day. */
const someDay = Date.UTC(2027, 0, 15, 8, 30)

/** More tasks than this are no run any more, but a loop without end. */
const tasksAtMost = 3_000_000

/** How long a fiber may go on before another one has its turn: as long as outside of a simulation. */
const stepsAtATime = 2_048

/** What of the host's time is taken over while a machine runs. */
const host = { setImmediate: globalThis.setImmediate, clearImmediate: globalThis.clearImmediate }

export class Machine {
  now = someDay
  private readonly timers: Array<Timer> = []
  private readonly running = new Set<RunningProcess<unknown, unknown>>()
  private timersMade = 0
  private tasks = 0

  constructor(private readonly dice: Dice) {}

  /** Does something after so many milliseconds, whatever becomes of whoever asked; gives how to call that off. */
  after(millis: number, ring: () => void): () => void {
    const timer: Timer = {
      at: this.now + Math.ceil(Math.max(0, millis)),
      order: this.timersMade++,
      ring,
      cancelled: false
    }
    this.push(timer)
    return () => {
      timer.cancelled = true
    }
  }

  /** Starts a process, whose clock may be wrong by so many milliseconds. */
  start<A, E>(
    program: (process: Process<A, E>) => Effect.Effect<A, E>,
    options: { readonly clockError?: number; readonly onEnd?: () => void } = {}
  ): Process<A, E> {
    const process = new RunningProcess<A, E>(options.onEnd)
    this.running.add(process)
    const clock = this.clockOf(process, options.clockError ?? 0)
    process.begin(
      Effect.suspend(() => program(process)).pipe(
        Effect.withRandom(Random.make(`process ${this.dice.below(1e9)}`)),
        Effect.withClock(clock),
        // Spans cost more than all the rest, and nobody looks at them.
        Effect.withTracerEnabled(false)
      )
    )
    return process
  }

  /** Runs everything until the condition holds; `false` when nothing is left to do before it does. */
  run(until: () => boolean): boolean {
    const immediates = new Set<object>()
    Object.defineProperty(performance, "now", { value: () => 0, configurable: true })
    globalThis.setImmediate = Object.assign((work: () => void) => {
      const handle = {}
      immediates.add(handle)
      this.after(0, () => {
        if (immediates.delete(handle)) work()
      })
      return handle
    }, host.setImmediate)
    globalThis.clearImmediate = (handle) => {
      if (typeof handle === "object" && handle !== null) immediates.delete(handle)
    }
    try {
      while (!until()) {
        if (!this.step()) return false
      }
      return true
    } finally {
      Reflect.deleteProperty(performance, "now")
      globalThis.setImmediate = host.setImmediate
      globalThis.clearImmediate = host.clearImmediate
    }
  }

  private step(): boolean {
    if (++this.tasks > tasksAtMost) throw new Error("the simulation does not come to an end")
    let ready = 0
    for (const process of this.running) {
      if (!process.isAlive) {
        this.running.delete(process)
        process.bury()
      } else if (process.isReady) ready++
    }
    if (ready > 0) {
      let chosen = ready === 1 ? 0 : this.dice.below(ready)
      for (const process of this.running) {
        if (process.isReady && chosen-- === 0) {
          process.step()
          return true
        }
      }
    }
    for (let timer = this.pop(); timer !== undefined; timer = this.pop()) {
      if (timer.cancelled) continue
      this.now = Math.max(this.now, timer.at)
      timer.ring()
      return true
    }
    return false
  }

  private clockOf(process: Process, error: number): Clock.Clock {
    const millis = () => this.now + error
    return {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: millis,
      unsafeCurrentTimeNanos: () => BigInt(millis()) * 1_000_000n,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanos: Effect.sync(() => BigInt(millis()) * 1_000_000n),
      sleep: (duration) =>
        Effect.async<void>((resume) => {
          const cancel = this.after(Duration.toMillis(duration), () => {
            if (process.isAlive) resume(Effect.void)
          })
          return Effect.sync(cancel)
        })
    }
  }

  private push(timer: Timer): void {
    const { timers } = this
    let at = timers.length
    timers.push(timer)
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = timers[above]
      if (parent === undefined || !isBefore(timer, parent)) break
      timers[at] = parent
      at = above
    }
    timers[at] = timer
  }

  private pop(): Timer | undefined {
    const { timers } = this
    const first = timers[0]
    const last = timers.pop()
    if (first === undefined || last === undefined || timers.length === 0) return first
    let at = 0
    for (;;) {
      let below = 2 * at + 1
      const left = timers[below]
      if (left === undefined) break
      const right = timers[below + 1]
      let child = left
      if (right !== undefined && isBefore(right, left)) {
        child = right
        below++
      }
      if (!isBefore(child, last)) break
      timers[at] = child
      at = below
    }
    timers[at] = last
    return first
  }
}

class RunningProcess<A, E> implements Process<A, E> {
  exit: Exit.Exit<A, E> | undefined
  isAlive = true
  private queue: Array<Task> = []
  private head = 0
  private fiber: Fiber.RuntimeFiber<A, E> | undefined

  constructor(private readonly onEnd: () => void = () => undefined) {}

  get isReady(): boolean {
    return this.isAlive && this.head < this.queue.length
  }

  begin(program: Effect.Effect<A, E>): void {
    const scheduler = makeScheduler(
      (task) => this.queue.push(task),
      (fiber) => fiber.currentOpCount > stepsAtATime ? 0 : false
    )
    this.fiber = Effect.runFork(program, { scheduler, immediate: false })
    this.fiber.addObserver((exit) => {
      if (!this.isAlive) return
      this.exit = exit
      this.isAlive = false
      this.onEnd()
    })
  }

  step(): void {
    const task = this.queue[this.head++]
    if (this.head === this.queue.length) {
      this.queue = []
      this.head = 0
    }
    task?.()
  }

  interrupt(): void {
    this.fiber?.unsafeInterruptAsFork(FiberId.none)
  }

  kill(): void {
    if (!this.isAlive) return
    this.isAlive = false
    this.onEnd()
    // The host keeps every root fiber until it ends: let this one, with nothing left that it could change.
    this.interrupt()
  }

  /** Lets what a killed process left end. */
  bury(): void {
    for (let steps = 0; steps < 10_000 && this.head < this.queue.length; steps++) this.step()
  }
}
