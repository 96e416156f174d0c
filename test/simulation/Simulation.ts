/**
 * Takes one plan through: processes run, die, fail and are started again until the run is finished, and after each of
 * them is checked what must hold.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { Decision, Pipeline, type PipelineError, type RunReport } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as Checks from "./Checks.js"
import { Violation } from "./Checks.js"
import { Computer, directory } from "./Computer.js"
import { Dice, hash } from "./Dice.js"
import type { Process } from "./Machine.js"
import { isExact, type Plan, type Setting, undisturbed } from "./Plan.js"
import type { Operation, Verdict } from "./ProcessDisk.js"
import { SimulatedProvider } from "./SimulatedProvider.js"
import { SyncSites } from "./SyncSites.js"

const minute = 60_000

/** What came of a simulation. */
export interface Ending {
  /** A number that is the same when everything happened in the same way. */
  readonly trace: number
  readonly results: string
  readonly failures: string
  readonly anomalies: string
  readonly processes: number
  readonly operations: number
  readonly calls: number
  /** What the first process did of them. */
  readonly operationsOfFirst: number
  readonly callsOfFirst: number
  /** How long it took in the simulated world, in milliseconds. */
  readonly took: number
  /** Whether a download was cut short. */
  readonly isCut: boolean
  /** Whether its files were the bytes of an undisturbed run. */
  readonly isCompared: boolean
}

/** How a process is to die. */
export type Death =
  | {
    readonly _tag: "Disk"
    readonly operation: number
    readonly how: "kill" | "power" | "messy power"
    readonly after: boolean
  }
  | { readonly _tag: "Call"; readonly call: number; readonly when: "made" | "done"; readonly how: "kill" | "power" }
  | { readonly _tag: "Time"; readonly millis: number; readonly how: "kill" | "interrupt" }

const drawDeath = (dice: Dice): Death =>
  dice.weighted<() => Death>([
    [4, () => ({
      _tag: "Disk",
      operation: dice.between(1, dice.of([30, 100, 300])),
      how: dice.of(["kill", "power", "messy power"]),
      after: dice.happens(0.5)
    })],
    [3, () => ({
      _tag: "Call",
      call: dice.between(1, dice.of([3, 10, 60])),
      when: dice.of(["made", "done"]),
      how: dice.of(["kill", "power"])
    })],
    [2, () => ({
      _tag: "Time",
      millis: dice.below(dice.of([2_000, 60 * minute, 1_500 * minute])),
      how: dice.of(["kill", "interrupt"])
    })]
  ], () => ({ _tag: "Time", millis: 0, how: "kill" }))()

/** What happens to one process of a simulation, the first unless said, and nothing else to any. */
export interface Mishap {
  readonly death?: Death
  /** Which process dies, counted from 0. */
  readonly dies?: number
  /** An operation of the disk, counted from 1, and what becomes of it. */
  readonly fault?: { readonly operation: number; readonly verdict: Verdict }
  /** Syncs that are left out, as if they were not in the code. */
  readonly skips?: ReadonlyArray<string>
}

export interface Options {
  /** Is told everything that happens. */
  readonly watch?: (text: string) => void
  /** What goes wrong with processes and their disks, in the place of what the dice have. */
  readonly mishap?: Mishap
  /** Is told of each operation, and of which process it is, counted from 0. */
  readonly onOperation?: (operation: Operation, process: number) => void
}

/** What the driver knows of one process. */
interface Subject {
  readonly process: Process<RunReport, PipelineError>
  readonly isIntruder: boolean
  readonly death: Death | undefined
  operations: number
  calls: number
  diskFaults: number
  interrupted: boolean
}

const steps = ["build", "submit", "poll", "fetch", "normalize"] as const

/** More processes than this for one run, and it will never finish. */
const processesAtMost = 40

/** After so many nothing goes wrong any more. */
const troubledProcesses = 15

class Simulation {
  private readonly dice: Dice
  private readonly provider: SimulatedProvider
  private readonly computer: Computer
  private readonly subjects = new Map<Process, Subject>()
  private deathsLeft: number
  private diskFaultsLeft: number
  private traceHash = 0
  private operations = 0
  private attemptsBefore: number | undefined
  private stepsTaken = 0
  private readonly sites = new SyncSites()

  constructor(private readonly plan: Plan, private readonly options: Options) {
    this.dice = Dice.of(plan.seed, "people")
    this.deathsLeft = plan.deaths
    this.diskFaultsLeft = plan.diskFaults
    this.computer = new Computer({
      dice: Dice.of(plan.seed, "machine"),
      pollFirst: plan.pollFirst,
      before: (process, operation) => this.beforeOperation(process, operation),
      after: (process) => this.afterOperation(process)
    })
    const { fate, oneModelPerBatch, tags } = plan.setting
    const behaviour = { ...plan.provider, fate, oneModelPerBatch, tags, upload: tags }
    this.provider = new SimulatedProvider(this.computer.machine, behaviour, Dice.of(plan.seed, "provider"), {
      trace: (text) => this.trace(text),
      onCall: (process, _, when) => this.onCall(process, when)
    })
    if (plan.lockout) {
      const { machine } = this.computer
      machine.after(this.dice.below(120 * minute), () => {
        this.provider.lockedOutUntil = machine.now + this.dice.below(300 * minute)
      })
    }
  }

  run(): Ending {
    const { computer, plan, provider } = this
    const { machine } = computer
    const began = machine.now
    let report: RunReport | undefined
    while (report === undefined) {
      if (this.subjects.size > processesAtMost)
        throw new Violation(`${this.subjects.size} processes did not finish the run`)
      if (this.subjects.size > troubledProcesses) this.calm()
      report = this.round()
      this.pause()
    }
    Checks.finished(computer, provider, plan.setting.rows, { ...report.tally }, isExact(plan))
    if (computer.powerCuts === 0 && this.isDiskWell) Checks.nothingTemporary(computer)
    const results = computer.read("results.jsonl") ?? ""
    const failures = computer.read("failures.jsonl") ?? ""
    const anomalies = this.anomalies()
    computer.cutPower([])
    Checks.finished(computer, provider, plan.setting.rows, null, isExact(plan))
    Checks.wholeFiles(computer)
    if (computer.read("results.jsonl") !== results || this.anomalies() !== anomalies) {
      throw new Violation("what was written did not survive the power")
    }
    this.trace(results + failures)
    return {
      trace: this.traceHash,
      results,
      failures,
      anomalies,
      processes: this.subjects.size,
      operations: this.operations,
      operationsOfFirst: [...this.subjects.values()][0]?.operations ?? 0,
      callsOfFirst: [...this.subjects.values()][0]?.calls ?? 0,
      calls: provider.calls,
      took: machine.now - began,
      isCut: provider.books.some(({ cuts }) => cuts > 0),
      isCompared: false
    }
  }

  /** The anomalies without the tag of the run, which is another one each time. */
  private anomalies(): string {
    return (this.computer.read("anomalies.jsonl") ?? "").replaceAll(/"wire_id":"\w+-/gu, "\"wire_id\":\"tag-")
  }

  private trace(text: string): void {
    this.traceHash = hash(text, this.traceHash)
    this.options.watch?.(text)
  }

  /** Whether no operation of the disk has failed. */
  private get isDiskWell(): boolean {
    return [...this.subjects.values()].every(({ diskFaults }) => diskFaults === 0)
  }

  private calm(): void {
    this.provider.calm()
    this.deathsLeft = 0
    this.diskFaultsLeft = 0
  }

  /** Time passes between two processes. */
  private pause(): void {
    const { machine } = this.computer
    let over = false
    machine.after(this.dice.below(this.dice.of([1_000, 30 * minute, 2_000 * minute])), () => {
      over = true
    })
    machine.run(() => over)
  }

  /** Starts a process, and whoever gets in its way; gives the report when the run is finished by it. */
  private round(): RunReport | undefined {
    const { computer, plan } = this
    const { machine } = computer
    const main = this.start(this.nextProgram(), false)
    const others: Array<Process<unknown, unknown>> = []
    if (plan.intrudes && this.dice.happens(0.5)) {
      machine.after(this.dice.below(this.dice.of([10, 60 * minute])), () => {
        if (main.process.isAlive) others.push(this.start(this.continued(), true).process)
      })
    }
    if (plan.cancels && this.dice.happens(0.3)) {
      machine.after(this.dice.below(this.dice.of([10_000, 120 * minute])), () => {
        if (!main.process.isAlive || !Checks.isBuilt(computer)) return
        const cancel = Effect.flatMap(Pipeline, (pipeline) => pipeline.cancel(directory))
        others.push(computer.start(this.provider, cancel))
      })
    }
    const isOver = () => !main.process.isAlive && others.every(({ isAlive }) => !isAlive)
    if (!machine.run(isOver)) throw new Violation("a process waits for something that never comes")
    let report: RunReport | undefined
    for (const subject of this.subjects.values()) {
      const judged = subject.process === main.process || others.includes(subject.process)
        ? this.judge(subject)
        : undefined
      report ??= judged
    }
    if (plan.stepwise) this.cutPowerAfter(main)
    Checks.paidOnce(this.provider)
    Checks.batchesOnDisk(computer, this.provider, this.isDiskWell)
    Checks.wholeFiles(computer)
    return report === undefined ? undefined : this.isDone(report)
  }

  private cutPowerAfter({ process: { exit } }: Subject): void {
    const before = this.computer.read("journal.jsonl") ?? ""
    this.computer.cutPower(this.subjects.keys())
    if (exit?._tag === "Success") Checks.nothingForgotten(before, this.computer.read("journal.jsonl") ?? "")
  }

  /** Whether a finished run is all that was wanted of it. */
  private isDone(report: RunReport): RunReport | undefined {
    if (!this.plan.setting.retriesAfterwards) return report
    const attempts = Checks.attempts(this.computer)
    if (this.attemptsBefore === undefined) {
      if (report.tally?.retryable === 0) return report
      this.attemptsBefore = attempts
    }
    return attempts > this.attemptsBefore ? report : undefined
  }

  private nextProgram(): Effect.Effect<RunReport, PipelineError, Pipeline> {
    if (this.attemptsBefore !== undefined && Checks.attempts(this.computer) === this.attemptsBefore) {
      return Effect.flatMap(Pipeline, (pipeline) => pipeline.retry(directory))
    }
    return this.continued()
  }

  private continued(): Effect.Effect<RunReport, PipelineError, Pipeline> {
    const to = this.plan.stepwise ? steps[this.stepsTaken] : undefined
    const until = to === undefined ? {} : { steps: { from: "build", to } as const }
    if (Checks.isBuilt(this.computer) && this.dice.happens(0.8)) {
      return Effect.flatMap(Pipeline, (pipeline) => pipeline.resume(directory, until))
    }
    const { maxConcurrentJobs, setting: { options, rows } } = this.plan
    const text = rows.map((row) => `${JSON.stringify(row)}\n`).join("")
    const source = Source.fromText("input.jsonl", text)
    return Effect.flatMap(
      Pipeline,
      (pipeline) =>
        pipeline.run(source, {
          ...options,
          ...until,
          maxConcurrentJobs,
          defaults: new RequestDefaults({ model: "any" }),
          directory
        })
    )
  }

  private start(program: Effect.Effect<RunReport, PipelineError, Pipeline>, isIntruder: boolean): Subject {
    const { clockError } = this.plan
    const { mishap } = this.options
    const dies = mishap === undefined && !isIntruder && this.deathsLeft > 0 && this.dice.happens(0.8)
    if (dies) this.deathsLeft--
    const process = this.computer.start(
      this.provider,
      program,
      clockError === 0 ? 0 : this.dice.between(-clockError, clockError)
    )
    const death = dies ? drawDeath(this.dice) : this.subjects.size === (mishap?.dies ?? 0) ? mishap?.death : undefined
    const subject: Subject = {
      process,
      isIntruder,
      death,
      operations: 0,
      calls: 0,
      diskFaults: 0,
      interrupted: false
    }
    this.subjects.set(process, subject)
    this.trace(`process ${this.subjects.size}, ${JSON.stringify(death ?? "no death")}`)
    if (death?._tag === "Time") {
      this.computer.machine.after(death.millis, () => {
        if (!process.isAlive) return
        this.trace(`${death.how} at ${this.computer.machine.now}`)
        if (death.how === "kill") process.kill()
        else {
          subject.interrupted = true
          process.interrupt()
        }
      })
    }
    return subject
  }

  private die(subject: Subject, how: "kill" | "power" | "messy power"): void {
    this.trace(`${how} at ${this.operations}`)
    if (how === "kill") subject.process.kill()
    else this.computer.cutPower(this.subjects.keys(), how === "power" ? undefined : this.dice)
  }

  private onCall(process: Process, when: "made" | "done"): void {
    const subject = this.subjects.get(process)
    if (subject === undefined) return
    if (when === "made") subject.calls++
    if (subject.isIntruder && this.isHeldByAnother(subject))
      throw new Violation("a call was made beside the process that has the run")
    const { death } = subject
    if (death?._tag === "Call" && death.when === when && subject.calls === death.call) this.die(subject, death.how)
  }

  private isHeldByAnother(subject: Subject): boolean {
    return [...this.subjects.values()].some((other) => other !== subject && other.process.isAlive)
  }

  private beforeOperation(process: Process, operation: Operation): Verdict {
    const subject = this.subjects.get(process)
    this.operations++
    this.trace(`${operation.name} ${operation.path}`)
    if (subject === undefined) return "go"
    subject.operations++
    const { death } = subject
    const { mishap, onOperation } = this.options
    const isFirst = this.subjects.size === 1
    onOperation?.(operation, this.subjects.size - 1)
    if (mishap?.skips !== undefined && mishap.skips.includes(this.sites.of(operation))) return "skip"
    if (isFirst && mishap?.fault?.operation === subject.operations) {
      // A write that is cut short is none that fails.
      if (typeof mishap.fault.verdict === "string") subject.diskFaults++
      return mishap.fault.verdict
    }
    if (death?._tag === "Disk" && death.operation === subject.operations) {
      if (!death.after) this.die(subject, death.how)
      else if (operation.name === "write" && operation.bytes !== undefined && operation.bytes.length > 1) {
        return { bytes: this.dice.between(1, operation.bytes.length) }
      }
      return "go"
    }
    if (this.diskFaultsLeft === 0 || !this.dice.happens(this.plan.diskFaultRate)) return "go"
    this.diskFaultsLeft--
    if (operation.name === "write" && operation.bytes !== undefined && this.dice.happens(0.3)) {
      return { bytes: this.dice.between(1, operation.bytes.length) }
    }
    subject.diskFaults++
    this.trace("fault")
    // Whose directories may not be synced has to do without that.
    return this.dice.of(operation.name === "syncDirectory" ? ["ENOSPC", "EIO"] : ["ENOSPC", "EIO", "EACCES"])
  }

  private afterOperation(process: Process): void {
    const subject = this.subjects.get(process)
    const death = subject?.death
    if (subject !== undefined && death?._tag === "Disk" && death.after && death.operation === subject.operations) {
      this.die(subject, death.how)
    }
  }

  /** Whether a process may end as it did; gives the report of one that finished the run. */
  private judge({ diskFaults, interrupted, isIntruder, process: { exit } }: Subject): RunReport | undefined {
    this.trace(`the process ends with ${exit?._tag ?? "death"}`)
    if (exit === undefined) return undefined
    if (exit._tag === "Success") {
      if (exit.value.tally !== null) return exit.value
      if (!this.plan.stepwise) throw new Violation("a process ended well without finishing the run")
      this.stepsTaken++
      return undefined
    }
    const { cause } = exit
    if (Cause.isInterruptedOnly(cause) && interrupted) return undefined
    const error = Cause.failureOption(cause)
    if (Cause.isDie(cause) || error._tag === "None") throw new Violation(Cause.pretty(cause))
    const { value } = error
    this.trace(value.message)
    const isExpected = (): boolean => {
      switch (value._tag) {
        case "DiskError":
          return diskFaults > 0 && value.message.startsWith(`${value.path}: cannot ${value.operation}: `)
        case "BatchUnrecorded":
          return diskFaults > 0 || isIntruder
        case "ProviderError":
        case "SubmitRefused":
          return this.plan.provider.faults > 0 || this.plan.lockout
        case "PollTimeout":
          // Seen too late, for whatever went wrong with looking.
          return this.plan.provider.faults > 0 || this.plan.provider.stale
        case "RunLocked":
          return isIntruder
        case "SubmitUnknown":
          return this.settle(value.shard, value.detail.includes("cannot be looked through"))
        case "RunRejected":
          return this.neverBegan(value.message)
        default:
          return false
      }
    }
    if (!isExpected()) throw new Violation(`a process ended with ${value._tag}: ${value.message}`)
    return undefined
  }

  /** Somebody looks at the provider's own pages, and decides; with tags there is nothing to decide. */
  private settle(shard: string, isRefused: boolean): boolean {
    if (this.plan.setting.tags) return isRefused
    const { machine } = this.computer
    const booked = this.provider.books.find((booked) => booked.shard === shard && booked.runTag !== "neighbour1")
    const decision = booked === undefined
      ? Decision.Resend({ shard })
      : Decision.Adopt({ shard, batchId: booked.id })
    const process = this.computer.start(
      this.provider,
      Effect.flatMap(Pipeline, (pipeline) => pipeline.reconcile(directory, decision))
    )
    return machine.run(() => !process.isAlive)
  }

  /** A run that was never begun is begun again, in the directory as it is. */
  private neverBegan(message: string): boolean {
    if (Checks.isBuilt(this.computer) || this.provider.books.length > 0) return false
    return /its journal is empty|there is no run here/u.test(message)
  }
}

/** What an undisturbed run in a setting gives. */
const quietOf = (setting: Setting): Ending => {
  const known = quietEndings.get(setting)
  if (known !== undefined) return known
  const ending = new Simulation(undisturbed(setting), { mishap: {} }).run()
  quietEndings.set(setting, ending)
  return ending
}

const quietEndings = new WeakMap<Setting, Ending>()

/** Takes a plan through, telling everything that happens; throws a `Violation` that says how to see it again. */
export const simulate = (plan: Plan, options: Options = {}): Ending => {
  try {
    const ending = new Simulation(plan, options).run()
    if (!isExact(plan)) return ending
    const quiet = quietOf(plan.setting)
    // A shard that had to wait for room in the queue may have been sent again, or cut into others with files of their own.
    const withoutBatches = (text: string) =>
      plan.provider.tokenLimit === null
        ? text
        : text.replaceAll(/batch-\d+(?:-again-\d+)?|,"shard":"\d+"|"file":"\d+\.jsonl","line":\d+,/gu, "").split("\n")
          .toSorted()
          .join("\n")
    const differ = (one: string, other: string) => withoutBatches(one) !== withoutBatches(other)
    if (differ(quiet.results, ending.results))
      throw new Violation("the results differ from those of an undisturbed run")
    if (differ(quiet.failures, ending.failures)) {
      throw new Violation("the failures differ from those of an undisturbed run")
    }
    // A download is complete when every row is in it: what a cut takes may be the second line of one.
    if (!ending.isCut && differ(quiet.anomalies, ending.anomalies)) {
      throw new Violation("the anomalies differ from those of an undisturbed run")
    }
    return { ...ending, isCompared: true }
  } catch (error) {
    const problem = error instanceof Violation ? error.message : String(error instanceof Error ? error.stack : error)
    throw new Violation(`seed ${plan.seed}: ${problem}\nSee it again by: npm run simulate -- --seed ${plan.seed}`)
  }
}
