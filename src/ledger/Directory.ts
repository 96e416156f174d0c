/**
 * The ledger that lives in the run directory.
 *
 * The journal is appended to and synced, an entry at a time. A crash can leave its last line torn, and only that one:
 * it is cut off when the run is taken up again. Damage anywhere else is named and never guessed over.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { isUtf8 } from "node:buffer"
import * as NodePath from "node:path"
import * as Disk from "../internal/Disk.js"
import { RunLock } from "../internal/RunLock.js"
import type { NewEntry, Service } from "../Ledger.js"
import * as Manifest from "../Manifest.js"
import * as RunDirectory from "../RunDirectory.js"
import { LedgerCorrupt, RunLocked, RunRejected } from "../RunError.js"
import { Entry, Fold, type RunDescription, type RunState } from "../RunState.js"

/** How often, at most, the manifest is written while entries come in; less often where that takes long. */
const manifestMillis = 1_000

/** The manifest of a run of thousands of shards may take no more than about one part in so many of the time. */
const manifestShare = 100

/**
 * Entries that do not go to the disk by themselves, but with the next one that does: what is lost with them is found out
 * or done again, at no cost, and nothing outside of the run relies on it before that next one. A shard that was built is
 * of no use before the build is finished; an intent to send is followed by `InputUploaded` before anything is sent that
 * costs; the end of a batch and its results are there at the provider as before.
 */
const waiting: ReadonlySet<Entry["_tag"]> = new Set<Entry["_tag"]>([
  "ShardBuilt",
  "SubmitIntended",
  "SubmitDeferred",
  "BatchObserved",
  "BatchEnded",
  "ResultsFetched",
  "ShardNormalized"
])

/** How long they wait at most. */
const longestWait = Duration.seconds(1)

const newline = 10
const noBytes = Buffer.alloc(0)

const decodeEntry = Schema.decodeUnknownEither(Schema.parseJson(Entry))
const encodeEntry = Schema.encodeSync(Schema.parseJson(Entry))

/** A run that this process holds for writing. */
interface Held {
  readonly handle: Disk.Handle
  readonly fold: Fold
  /** Ends with the hold. */
  readonly scope: Scope.Scope
  /** How much of the journal is whole entries that are durable. */
  durableBytes: number
  /** The entries behind them, which wait to be. */
  unsynced: Buffer
  /**
   * What there may be behind the durable entries after an append that failed, or a crash before this process: the lines
   * that were tried, empty when they are not known; `null` when the entries that wait are there, and nothing else.
   */
  torn: Buffer | null
  isFlushing: boolean
  manifestAt: number
  manifestPause: number
  manifestStale: boolean
}

/** What a journal file holds: its entries taken together, and how many of its bytes are whole lines. */
interface Journal {
  readonly fold: Fold
  readonly wholeBytes: number
}

/** Takes a line of the journal; gives what is wrong with it. */
const take = (fold: Fold, line: Buffer): string | undefined => {
  // A broken byte in a text would be read as another character, and pass.
  if (!isUtf8(line)) return "the line is not UTF-8"
  const entry = decodeEntry(line.toString())
  return Either.isLeft(entry)
    ? `the line is no entry: ${ParseResult.ArrayFormatter.formatErrorSync(entry.left)[0]?.message ?? ""}`
    : fold.step(entry.right)
}

const readJournal = Effect.fn(function*(directory: string) {
  const disk = yield* Disk.Disk
  const path = RunDirectory.journal(directory)
  const there = yield* Disk.attempt("look for", path, () => disk.stat(path))
  if (there === undefined) {
    return yield* new RunRejected({
      directory,
      problem: "there is no run here: it has no journal.jsonl",
      remedy: "Name a run directory, such as experiments/run_<id>; llm-batch list shows them."
    })
  }
  const bytes = yield* Disk.readBytes(path)
  const wholeBytes = bytes.lastIndexOf(newline) + 1
  const fold = new Fold(directory)
  let line = 0
  for (let start = 0; start < wholeBytes;) {
    const end = bytes.indexOf(newline, start)
    line++
    const problem = take(fold, bytes.subarray(start, end))
    if (problem !== undefined) return yield* new LedgerCorrupt({ path, line, problem })
    start = end + 1
  }
  return { fold, wholeBytes } satisfies Journal
})

const stateOf = (directory: string, fold: Fold): Effect.Effect<RunState, RunRejected> =>
  fold.state === undefined
    ? Effect.fail(
      new RunRejected({
        directory,
        problem: "the run here ended before it began: its journal is empty",
        remedy: "Nothing was sent: run again from the input."
      })
    )
    : Effect.succeed(fold.state)

/** Nothing is appended to a run that nobody holds. */
export const notHeld = (directory: string) =>
  new RunRejected({
    directory,
    problem: "this process does not hold the run for writing",
    remedy: "Take it up with Ledger.open, or begin it with Ledger.create."
  })

/** A run is begun once. */
export const alreadyThere = (directory: string) =>
  new RunRejected({
    directory,
    problem: "there is a run here already",
    remedy: `Go on with it by: llm-batch resume ${directory}, or name another directory with --run-dir.`
  })

/** Why there can be no directory at a path, whoever asks: it lies below a file, or its name is too long. */
const noDirectory: ReadonlySet<string> = new Set(["EEXIST", "ENOTDIR", "ENAMETOOLONG"])

const cannotBe = (directory: string, detail: string) =>
  new RunRejected({
    directory,
    problem: `there can be no directory here: ${detail}`,
    remedy: "Name another one with --run-dir."
  })

/** The directories that hold a new one's name, or the name of one above it that is new too. */
const parentsToSync = (disk: Disk.Service, directory: string): ReadonlyArray<string> => {
  const parent = NodePath.dirname(directory)
  return disk.stat(parent) === undefined && parent !== directory ? [parent, ...parentsToSync(disk, parent)] : [parent]
}

/** Those above them: a process that died may have made them without coming to this. Some may not be ours to sync. */
const syncAbove = (disk: Disk.Service, directory: string): void => {
  const parent = NodePath.dirname(directory)
  if (parent === directory) return
  try {
    disk.syncDirectory(parent)
  } catch (error) {
    if (!["EACCES", "EPERM"].includes(Disk.codeOf(error) ?? "")) throw error
  }
  syncAbove(disk, parent)
}

/** A file's bytes from a place on. */
const bytesFrom = (disk: Disk.Service, path: string, start: number, length: number): Buffer => {
  const handle = disk.open(path, "read")
  try {
    const bytes = Buffer.alloc(length)
    let read = 0
    for (;;) {
      const more = handle.read(bytes, read, length - read, start + read)
      read += more
      if (more === 0) return bytes.subarray(0, read)
    }
  } finally {
    handle.close()
  }
}

/**
 * Cuts off what a crash or a failed append of ours left behind the durable entries. `false` when what is there is not
 * ours: another process has written entries of its own.
 */
const mend = (disk: Disk.Service, path: string, { durableBytes, handle, torn, unsynced }: Held): boolean => {
  const behind = handle.size() - durableBytes
  if (torn === null) return behind === unsynced.length
  if (behind <= 0) return behind === 0
  const tail = bytesFrom(disk, path, durableBytes, behind)
  const isOurs = torn.length === 0 ? !tail.includes(newline) : torn.subarray(0, tail.length).equals(tail)
  if (!isOurs) return false
  handle.truncate(durableBytes)
  handle.sync()
  return true
}

/**
 * Writes a line, and makes it durable with all before it, unless it may wait. When that fails, nothing of it is taken to
 * be there: what waited is written anew with the next one, since a disk may forget what it could not keep. `false` when
 * another process has written.
 */
const put = (disk: Disk.Service, path: string, held: Held, line: Buffer, mayWait: boolean): boolean => {
  if (!mend(disk, path, held)) return false
  const lines = Buffer.concat([held.unsynced, line])
  const written = held.torn === null ? line : lines
  held.torn = lines
  Disk.writeAll(held.handle, written)
  if (mayWait) {
    held.unsynced = lines
  } else {
    held.handle.sync()
    held.durableBytes += lines.length
    held.unsynced = noBytes
  }
  held.torn = null
  return true
}

/** Makes the ledger. */
export const make: Effect.Effect<Service> = Effect.gen(function*() {
  const disk = yield* Disk.Disk
  const lock = yield* RunLock
  const runs = new Map<string, Held>()

  const writeManifest = Effect.fn(function*(directory: string, held: Held) {
    const state = held.fold.state
    if (state === undefined) return
    held.manifestAt = yield* Clock.currentTimeMillis
    yield* Disk.replaceFile(RunDirectory.manifest(directory), Manifest.format(state))
    const took = (yield* Clock.currentTimeMillis) - held.manifestAt
    held.manifestPause = Math.max(manifestMillis, took * manifestShare)
    held.manifestStale = false
  })

  /** Makes durable what waits. */
  const sync = Effect.fn("Ledger.sync")(function*(directory: string) {
    const held = runs.get(directory)
    if (held === undefined) return yield* notHeld(directory)
    if (held.unsynced.length === 0) return
    const path = RunDirectory.journal(directory)
    const ours = yield* Disk.attempt("append to", path, () => put(disk, path, held, noBytes, false))
    if (!ours) return yield* new RunLocked({ directory })
  }, Effect.uninterruptible)

  /** Makes durable what waits, a while from now. What fails then is tried again with the next entry. */
  const syncLater = (directory: string, held: Held) => {
    if (held.isFlushing) return Effect.void
    held.isFlushing = true
    return Effect.sleep(longestWait).pipe(
      Effect.ensuring(Effect.sync(() => {
        held.isFlushing = false
      })),
      Effect.zipRight(Effect.ignore(sync(directory))),
      Effect.interruptible,
      Effect.forkIn(held.scope)
    )
  }

  const append = Effect.fn("Ledger.append")(function*(directory: string, entry: NewEntry) {
    const held = runs.get(directory)
    if (held === undefined) return yield* notHeld(directory)
    const stamped: Entry = { ...entry, at: yield* DateTime.now }
    const path = RunDirectory.journal(directory)
    const mayWait = waiting.has(entry._tag)
    const ours = yield* Disk.attempt(
      "append to",
      path,
      () => put(disk, path, held, Buffer.from(`${encodeEntry(stamped)}\n`), mayWait)
    )
    // The lock does not reach beyond this machine. Whoever took the run up since has written that into its journal.
    if (!ours) return yield* new RunLocked({ directory })
    const problem = held.fold.step(stamped)
    if (problem !== undefined) {
      return yield* Effect.dieMessage(`${path}: an entry was appended that cannot be: ${problem}`)
    }
    if (mayWait) yield* syncLater(directory, held)
    held.manifestStale = true
    const since = (yield* Clock.currentTimeMillis) - held.manifestAt
    // Less than none has passed when somebody set the clock back: what it showed before is then no measure.
    if (since >= 0 && since < held.manifestPause) return
    // What is in the journal is a fact, whether or not its summary can be written now.
    yield* Effect.ignore(writeManifest(directory, held))
  }, Effect.uninterruptible)

  /** Holds a run for writing: by this process's own map and, against other processes, by the lock. */
  const hold = Effect.fn(function*(directory: string) {
    if (runs.has(directory)) return yield* new RunLocked({ directory })
    const stat = yield* Disk.attempt("look at", directory, () => disk.stat(directory))
    if (stat !== undefined) yield* lock.acquire(directory, stat)
  })

  const keep = (directory: string, { fold, wholeBytes }: Journal) =>
    Effect.acquireRelease(
      Effect.gen(function*() {
        const path = RunDirectory.journal(directory)
        const handle = yield* Disk.attempt("open", path, () => disk.open(path, "append"))
        const held: Held = {
          handle,
          fold,
          scope: yield* Effect.scope,
          durableBytes: wholeBytes,
          unsynced: noBytes,
          // A crash may have left the beginning of an entry behind the whole ones.
          torn: noBytes,
          isFlushing: false,
          manifestAt: Number.NEGATIVE_INFINITY,
          manifestPause: manifestMillis,
          manifestStale: false
        }
        runs.set(directory, held)
        return held
      }),
      (held) =>
        Effect.gen(function*() {
          yield* Effect.ignore(sync(directory))
          // A run directory that was taken away with its failed build needs no manifest.
          const there = yield* Effect.orElseSucceed(
            Disk.attempt("look for", directory, () => disk.stat(RunDirectory.journal(directory))),
            () => undefined
          )
          if (held.manifestStale && there !== undefined) yield* Effect.ignore(writeManifest(directory, held))
          runs.delete(directory)
          held.handle.close()
        })
    )

  const create = Effect.fn("Ledger.create")(function*(directory: string, run: RunDescription) {
    const parents = yield* Disk.attempt("look at", directory, () => parentsToSync(disk, directory))
    yield* Disk.attempt("make", directory, () => disk.makeDirectory(directory)).pipe(
      Effect.mapError((error) => noDirectory.has(error.code) ? cannotBe(directory, error.detail) : error)
    )
    yield* hold(directory)
    const path = RunDirectory.journal(directory)
    const there = yield* Disk.attempt("look for", path, () => disk.stat(path))
    if (there !== undefined && (yield* Disk.readText(path)).includes("\n")) return yield* alreadyThere(directory)
    const held = yield* keep(directory, { fold: new Fold(directory), wholeBytes: 0 })
    // The journal's name comes first: a directory that held other names only, such as the manifest's, would be no run's.
    yield* Disk.attempt("make durable", directory, () => {
      for (const changed of [directory, ...parents]) disk.syncDirectory(changed)
      syncAbove(disk, parents.at(-1) ?? directory)
    })
    yield* append(directory, { _tag: "RunStarted", run })
    return yield* stateOf(directory, held.fold)
  })

  const open = Effect.fn("Ledger.open")(function*(directory: string) {
    yield* hold(directory)
    const journal = yield* readJournal(directory)
    yield* stateOf(directory, journal.fold)
    const held = yield* keep(directory, journal)
    yield* append(directory, { _tag: "RunOpened" })
    return yield* stateOf(directory, held.fold)
  })

  const state = Effect.fn("Ledger.state")(function*(directory: string) {
    const held = runs.get(directory)
    return yield* stateOf(directory, held === undefined ? (yield* readJournal(directory)).fold : held.fold)
  })

  const onDisk = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideService(effect, Disk.Disk, disk)

  return {
    create: (directory, run) => onDisk(create(directory, run)),
    open: (directory) => onDisk(open(directory)),
    append: (directory, entry) => onDisk(append(directory, entry)),
    sync: (directory) => onDisk(sync(directory)),
    state: (directory) => onDisk(state(directory))
  }
})
