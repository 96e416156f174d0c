/**
 * Threads that normalise shards beside the thread of the run. They are started when there is something for them to do,
 * and end with the scope. They write files and nothing else: what is true of the run is decided here.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { fileURLToPath } from "node:url"
import { MessageChannel, Worker } from "node:worker_threads"
import type { ArchiveRejected } from "../BatchError.js"
import type { Service } from "../Provider.js"
import type { RawResults } from "../RawResults.js"
import type { DiskError, ShardChanged } from "../RunError.js"
import * as Disk from "./Disk.js"
import { type Beginning, Outcome, Task } from "./NormalizeTask.js"
import type { Written } from "./PartWriter.js"
import * as RowDecoding from "./RowDecoding.js"
import type { FindPrices, PricesFound } from "./ShardMeter.js"

/** The threads. */
export interface NormalizeWorkers {
  /** How many there may be; 0 where there can be none. */
  readonly count: number
  readonly write: (
    raw: RawResults,
    find: FindPrices
  ) => Effect.Effect<Written, ArchiveRejected | ShardChanged | DiskError>
}

/**
 * Their program lies beside this module where both are built. Where it does not, as when the source itself is executed
 * or somebody has bundled this module alone, there are no threads.
 */
const program = (): string | undefined => {
  const name = "./NormalizeWorker.js"
  const url = URL.canParse(name, import.meta.url) ? new URL(name, import.meta.url) : undefined
  return url?.protocol === "file:" ? fileURLToPath(url) : undefined
}

/** Garbage is collected before it fills the memory. */
const resourceLimits = { maxYoungGenerationSizeMb: 8 }

interface Thread {
  readonly worker: Worker
  /** Whose shard it has, and what is to be done when that cannot go on. */
  task: { readonly find: FindPrices; readonly die: (defect: unknown) => void } | undefined
  ended: boolean
}

const priceOf = (found: PricesFound): PricesFound =>
  found._tag === "Known"
    ? { _tag: "Known", model: { name: found.model.name, prices: found.model.prices } }
    : { _tag: "Unknown" }

const start = (program: string, decoding: RowDecoding.RowDecoding): Thread => {
  const { port1: here, port2: there } = new MessageChannel()
  const answered = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  const workerData: typeof Beginning.Type = { decoding, prices: there, answered }
  const worker = new Worker(program, { workerData, transferList: [there], resourceLimits, execArgv: [] })
  const thread: Thread = { worker, task: undefined, ended: false }
  here.on("message", (name: string) => {
    try {
      here.postMessage(priceOf(thread.task?.find(name) ?? { _tag: "Unknown" }))
    } catch (defect) {
      return thread.task?.die(defect)
    }
    Atomics.store(answered, 0, 1)
    Atomics.notify(answered, 0)
  })
  // What an idle thread has is no reason to go on living.
  here.unref()
  worker.unref()
  worker.on(
    "error",
    (error) => thread.task?.die(new Error(`A thread that normalised results died: ${error.message}`, { cause: error }))
  )
  worker.on("exit", (code) => {
    thread.ended = true
    thread.task?.die(new Error(`A thread that normalised results ended before its time, with code ${code}`))
  })
  return thread
}

const encodeTask = Schema.encode(Task)
const decodeOutcome = Schema.decodeUnknown(Outcome)

/** Gives a shard to a thread that has none. A thread that died is a defect. */
const give = (thread: Thread, raw: RawResults, find: FindPrices) => {
  const { worker } = thread
  return Effect.orDie(encodeTask(raw)).pipe(
    Effect.flatMap((task) =>
      Effect.async<unknown>((resume) => {
        thread.task = { find, die: (defect) => resume(Effect.die(defect)) }
        worker.once("message", (outcome: unknown) => resume(Effect.succeed(outcome)))
        worker.ref()
        worker.postMessage(task)
      })
    ),
    Effect.flatMap((outcome) => Effect.orDie(decodeOutcome(outcome))),
    Effect.ensuring(Effect.sync(() => {
      thread.task = undefined
      worker.unref()
    }))
  )
}

const none: NormalizeWorkers = { count: 0, write: () => Effect.dieMessage("There are no threads") }

/** Threads for results that are decoded like this: as many as are asked for, where there can be any. */
export const make = Effect.fn(function*(
  decode: Service["decode"],
  count: number
): Effect.fn.Return<NormalizeWorkers, never, Scope.Scope> {
  const disk = yield* Disk.Disk
  const decoding = RowDecoding.of(decode)
  const code = program()
  if (count === 0 || decoding === undefined || disk !== Disk.machine) return none
  if (code === undefined || disk.stat(code) === undefined) return none
  const permits = yield* Effect.makeSemaphore(count)
  let idle: ReadonlyArray<Thread> = []
  const end = ({ worker }: Thread) => Effect.promise(() => worker.terminate())
  yield* Effect.addFinalizer(() => Effect.forEach(idle, end))
  const take = Effect.sync(() => {
    const [thread = start(code, decoding), ...rest] = idle.filter(({ ended }) => !ended)
    idle = rest
    return thread
  })
  const putBack = (thread: Thread) =>
    Effect.sync(() => {
      idle = [...idle, thread]
    })

  const write = (raw: RawResults, find: FindPrices) =>
    Effect.acquireUseRelease(
      take,
      (thread) => give(thread, raw, find),
      // Nobody knows what one does whose shard was taken from it. It must write no more when this is over.
      (thread, exit) => Exit.isSuccess(exit) ? putBack(thread) : end(thread)
    ).pipe(Effect.flatten, permits.withPermits(1))

  return { count, write }
})
