/**
 * A directory of answers that runs keep for later ones (`cacheDirectory`, `--cache`): what is in it, and how it is kept
 * small.
 *
 * It holds files that are written once and never changed, one for the answers of a shard, so that several processes may
 * read, write and prune it at the same time. An answer is known by what was asked, and of whom; no key of an API is in it,
 * and nobody but their owner may read the files. To remove a file, or the whole directory, does no harm to any run: what a
 * run has taken from it is in its own directory.
 *
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as AnswerCache from "llm-batch/AnswerCache"
 *
 * const program = Effect.gen(function*() {
 *   const removed = yield* AnswerCache.prune("answers", { maxBytes: 1_000_000_000 })
 *   const { bytes, entries } = yield* AnswerCache.contents("answers")
 *   return { removed: removed.length, bytes, entries }
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { blockLoop } from "./internal/BlockLoop.js"
import * as CachedAnswers from "./internal/CachedAnswers.js"
import * as CacheSegment from "./internal/CacheSegment.js"
import * as Disk from "./internal/Disk.js"
import type { DiskError } from "./RunError.js"

const Count = Schema.Int.pipe(Schema.nonNegative())

/**
 * A file of answers.
 *
 * @since 0.1.0
 * @category models
 */
export class Segment extends Schema.Class<Segment>("llm-batch/AnswerCache/Segment")({
  /** The name of the file in the directory. */
  name: Schema.String,
  bytes: Count,
  /** How many answers it has. */
  entries: Count,
  created: Schema.DateTimeUtc,
  provider: Schema.String,
  /** How many answers of each model. */
  models: Schema.Record({ key: Schema.String, value: Count })
}) {}

/**
 * What is in a cache.
 *
 * @since 0.1.0
 * @category models
 */
export class Contents extends Schema.Class<Contents>("llm-batch/AnswerCache/Contents")({
  /** The oldest first. */
  segments: Schema.Array(Segment),
  /** Names of what is there besides, and no whole file of answers that can be read. Nothing touches it. */
  others: Schema.Array(Schema.String)
}) {
  /** How large the files are together. */
  get bytes(): number {
    return this.segments.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** How many answers there are; two runs at the same time may each have kept one to the same question. */
  get entries(): number {
    return this.segments.reduce((sum, { entries }) => sum + entries, 0)
  }
}

/**
 * What is in the cache in a directory. Where there is no such directory, that is nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const contents: (directory: string) => Effect.Effect<Contents, DiskError> = Effect.fn("AnswerCache.contents")(
  function*(directory: string) {
    const disk = yield* Disk.Disk
    const names = yield* Disk.attempt("read the cache", directory, () => CachedAnswers.filesIn(disk, directory))
    const segments: Array<Segment> = []
    const others: Array<string> = []
    const look = (name: string) => {
      const path = `${directory}/${name}`
      const segment = CachedAnswers.reading(disk, path, undefined, (handle) => {
        const footer = CacheSegment.readFooter(handle)
        if (footer === undefined) return undefined
        const { created, entries, models, provider } = footer
        return new Segment({ name, bytes: handle.size(), created, entries, models, provider })
      })
      if (segment !== undefined) segments.push(segment)
      else if (disk.stat(path) !== undefined) others.push(name)
    }
    let next = 0
    yield* blockLoop(() => {
      const name = names[next++]
      if (name !== undefined) look(name)
      return name !== undefined
    }, (error) => Disk.toDiskError("read the cache", directory, error))
    const age = ({ created }: Segment) => DateTime.toEpochMillis(created)
    return new Contents({ segments: segments.toSorted((one, other) => age(one) - age(other)), others })
  }
)

/**
 * What is removed from a cache: all that is older, and of what is left the oldest, until the rest is no larger.
 *
 * @since 0.1.0
 * @category models
 */
export interface PruneOptions {
  readonly maxBytes?: number | undefined
  readonly olderThan?: Duration.DurationInput | undefined
}

/** A process writes a file of answers in seconds: one that has been at it for so long is no more. */
const longestWriting = Duration.toMillis("1 day")

/**
 * Removes answers from the cache in a directory, whole files of them, and gives those. Files that other processes are
 * writing stay; those that were begun a day ago, and never finished, go.
 *
 * @since 0.1.0
 * @category running
 */
export const prune: (
  directory: string,
  options: PruneOptions
) => Effect.Effect<ReadonlyArray<Segment>, DiskError> = Effect.fn("AnswerCache.prune")(
  function*(directory: string, { maxBytes, olderThan }: PruneOptions) {
    const disk = yield* Disk.Disk
    const now = yield* Clock.currentTimeMillis
    const before = yield* contents(directory)
    const oldest = olderThan === undefined ? -Infinity : now - Duration.toMillis(olderThan)
    let bytes = before.bytes
    const removed = before.segments.filter((segment) => {
      const goes = DateTime.toEpochMillis(segment.created) < oldest || bytes > (maxBytes ?? Infinity)
      if (goes) bytes -= segment.bytes
      return goes
    })
    yield* Disk.attempt("prune the cache", directory, () => {
      if (disk.stat(directory) === undefined) return
      for (const { name } of removed) disk.remove(`${directory}/${name}`)
      for (const name of disk.list(directory)) {
        const began = CacheSegment.writtenSince(name)
        if (began !== undefined && began < now - longestWriting) disk.remove(`${directory}/${name}`)
      }
    })
    return removed
  }
)
