/**
 * The answers of a cache, for the row path: which there are is in memory, the answers themselves are read from its files one
 * by one.
 *
 * A file of the cache may vanish while it is used, since any process may prune it, or be somebody else's, who lets nobody
 * read it: its answers are not there then.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Provider from "../Provider.js"
import type { WireId } from "../WireId.js"
import { blockLoop } from "./BlockLoop.js"
import * as CacheSegment from "./CacheSegment.js"
import * as Disk from "./Disk.js"
import { KeyTable } from "./KeyTable.js"

/** How many files are open at a time. */
const mostOpen = 16

/** The answers of a cache. Its methods throw what the disk throws. */
export class CachedAnswers {
  /** Where each answer is: the number of its file, its place in it, its length. */
  private readonly places = new KeyTable(3)
  private readonly paths: Array<string> = []
  /** The files that are open, the one that was used last at the end. */
  private readonly open = new Map<number, Disk.Handle>()
  /** Files that cannot be used. */
  readonly unusable: Array<string> = []

  constructor(
    private readonly disk: Disk.Service,
    private readonly directory: string,
    private readonly decode: Provider.Service["decode"]
  ) {}

  /** Takes the answers of a file. */
  add(name: string): void {
    const path = `${this.directory}/${name}`
    const file = this.paths.length
    const isRead = reading(this.disk, path, false, (handle) => {
      const footer = CacheSegment.readFooter(handle)
      return footer !== undefined && CacheSegment.readIndex(handle, footer, (key, at, length) => {
        if (this.places.find(key) === undefined) this.places.add(key, file, at, length)
      })
    })
    if (isRead) this.paths.push(path)
    else if (this.disk.stat(path) !== undefined) this.unusable.push(name)
  }

  /** The line of results that answers what this key stands for, under a wire id; `undefined` where there is none. */
  find(key: Buffer, wireId: WireId): Buffer | undefined {
    const entry = this.places.find(key)
    if (entry === undefined) return undefined
    const line = withoutTrouble(undefined, () => {
      const handle = this.handleOf(this.places.number(entry))
      return CacheSegment.readLine(handle, key, this.places.number(entry, 1), this.places.number(entry, 2), wireId)
    })
    return line !== undefined && isUsable(this.decode(line.toString()), wireId) ? line : undefined
  }

  /** Closes its files. */
  close(): void {
    for (const handle of this.open.values()) handle.close()
    this.open.clear()
  }

  private handleOf(file: number): Disk.Handle {
    const handle = this.open.get(file) ?? this.disk.open(this.paths[file] ?? "", "read")
    this.open.delete(file)
    this.open.set(file, handle)
    for (const [oldest, other] of this.open) {
      if (this.open.size <= mostOpen) break
      this.open.delete(oldest)
      other.close()
    }
    return handle
  }
}

/** Whether a line is an answer that serves whoever asks the same. */
const isUsable = (decoded: ReturnType<Provider.Service["decode"]>, wireId: WireId): boolean => {
  if (Either.isLeft(decoded) || decoded.right.wireId !== wireId) return false
  const { outcome } = decoded.right
  return outcome.outcome === "succeeded" && !outcome.refused && !outcome.truncated
}

/** Whatever the disk has against it, an answer that cannot be read is one that is not there. */
const withoutTrouble = <A>(otherwise: A, work: () => A): A => {
  try {
    return work()
  } catch (error) {
    if (Disk.codeOf(error) === undefined) throw error
    return otherwise
  }
}

/** Does something with a file of a cache; gives `otherwise` when it is not there any more, or cannot be read. */
export const reading = <A>(disk: Disk.Service, path: string, otherwise: A, work: (handle: Disk.Handle) => A): A =>
  withoutTrouble(otherwise, () => {
    // To open a pipe is to wait for whoever writes into it.
    if (disk.stat(path)?.kind !== "file") return otherwise
    const handle = disk.open(path, "read")
    try {
      return work(handle)
    } finally {
      handle.close()
    }
  })

/** The files in a directory that may be those of a cache; what is being written is left out. */
export const filesIn = (disk: Disk.Service, directory: string): ReadonlyArray<string> =>
  disk.stat(directory) === undefined
    ? []
    : disk.list(directory).filter((name) => CacheSegment.writtenSince(name) === undefined)

/** The answers in the directory of a cache, for the length of the scope; none where there is no such directory. */
export const make = Effect.fn("CachedAnswers.make")(
  function*(directory: string, decode: Provider.Service["decode"]) {
    const disk = yield* Disk.Disk
    const answers = yield* Effect.acquireRelease(
      Effect.sync(() => new CachedAnswers(disk, directory, decode)),
      (answers) => Effect.sync(() => answers.close())
    )
    const names = yield* Disk.attempt("read the cache", directory, () => filesIn(disk, directory))
    let next = 0
    yield* blockLoop(() => {
      const name = names[next++]
      if (name !== undefined) answers.add(name)
      return name !== undefined
    }, (error) => Disk.toDiskError("read the cache", directory, error))
    return answers
  }
)
