/**
 * The answers to the rows of one shard, as they come: a file of lines that is only ever added to. A line that was appended
 * is durable; lines that come together are made so together.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"
import * as NodePath from "node:path"
import * as RunDirectory from "../RunDirectory.js"
import type { DiskError } from "../RunError.js"
import type { Shard } from "../Shard.js"
import * as WireId from "../WireId.js"
import { macrotask } from "./BlockLoop.js"
import * as Disk from "./Disk.js"
import { LineSplitter } from "./Lines.js"
import { RowSet } from "./RowSet.js"

/** A line longer than this holds no answer of any model. */
const longestLine = 1 << 28

/** After so many groups of lines a macrotask is spent to gather the next one; few rows go without, as under a test clock. */
const gatheringFrom = 1_000

const newline = 10
const openingBrace = 123
const closingBrace = 125

/** The rows that have a line in a file, and where the last of its lines ends: what follows was torn. */
const read = Effect.fnUntraced(function*(shard: Shard, path: string) {
  const rows = new RowSet(shard.firstRow, shard.lastRow)
  let size = 0
  let whole = 0
  const splitter = new LineSplitter(longestLine, (line) => {
    const isLine = line[0] === openingBrace && line.at(-1) === closingBrace
    const row = isLine ? WireId.rowInLine(shard.runTag, line) : undefined
    if (row !== undefined) rows.add(row)
  }, () => undefined)
  yield* Disk.forEachPiece(path, "read", (piece) => {
    const end = piece.lastIndexOf(newline)
    if (end !== -1) whole = size + end + 1
    size += piece.length
    // Its end is not told: a line without its newline is none.
    splitter.push(piece)
  })
  return { rows, size, whole }
})

/** The answers of a shard. */
export interface AnswerLog {
  /** The rows that have an answer on disk. */
  readonly rows: RowSet
  /** Keeps the line of a row; when it returns, no crash can lose it. */
  readonly append: (row: number, line: string) => Effect.Effect<void, DiskError>
  /** What the file is by now. */
  readonly describe: Effect.Effect<{ readonly bytes: number; readonly sha256: string }, DiskError, Disk.Disk>
}

/** Opens the answers of a shard for the length of the scope; what a crash tore is cut off. */
export const open = (shard: Shard, name: string) =>
  Effect.gen(function*() {
    const disk = yield* Disk.Disk
    const path = RunDirectory.raw(shard, name)
    const directory = RunDirectory.rawDirectory(shard)
    yield* Disk.attempt("make", directory, () => {
      disk.makeDirectory(directory)
      disk.syncDirectory(NodePath.dirname(directory))
      disk.syncDirectory(shard.directory)
    })
    const handle = yield* Disk.openScoped(path, "append")
    const { rows, size, whole } = yield* read(shard, path)
    if (size > whole) yield* Disk.attempt("cut", path, () => handle.truncate(whole))
    // What an earlier process wrote last may be known to the system only.
    yield* Disk.sync(path, handle)
    yield* Disk.syncDirectory(directory)

    let waiting: { readonly done: Deferred.Deferred<void, DiskError>; text: string; rows: Array<number> } | undefined
    let broken: DiskError | undefined
    let groups = 0

    const flush = Effect.suspend(() => {
      const group = waiting
      waiting = undefined
      if (group === undefined) return Effect.void
      // After a write that failed, nobody knows where the file ends: nothing more is put there.
      if (broken !== undefined) return Deferred.fail(group.done, broken)
      return Disk.attempt("write", path, () => Disk.writeAll(handle, Buffer.from(group.text))).pipe(
        Effect.zipRight(Disk.sync(path, handle)),
        Effect.tapBoth({
          onSuccess: () =>
            Effect.sync(() => {
              for (const row of group.rows) rows.add(row)
            }),
          onFailure: (error) =>
            Effect.sync(() => {
              broken = error
            })
        }),
        Effect.exit,
        Effect.flatMap((exit) => Deferred.done(group.done, exit))
      )
    })
    // Lines that come while others are made durable are gathered: they are written when it is known how that ended.
    const oneAtATime = (yield* Effect.makeSemaphore(1)).withPermits(1)

    const append = (row: number, line: string): Effect.Effect<void, DiskError> =>
      Effect.gen(function*() {
        if (waiting !== undefined) {
          waiting.text += `${line}\n`
          waiting.rows.push(row)
          return yield* Deferred.await(waiting.done)
        }
        const done = yield* Deferred.make<void, DiskError>()
        waiting = { done, text: `${line}\n`, rows: [row] }
        // Whoever has an answer at hand too adds it now: in a long shard, all whose connections brought one meanwhile.
        yield* groups++ < gatheringFrom ? Effect.yieldNow() : macrotask
        yield* oneAtATime(flush)
        return yield* Deferred.await(done)
      }).pipe(Effect.uninterruptible)

    const describe = Effect.gen(function*() {
      const hash = createHash("sha256")
      let bytes = 0
      yield* Disk.forEachPiece(path, "read", (piece) => {
        hash.update(piece)
        bytes += piece.length
      })
      return { bytes, sha256: hash.digest("hex") }
    })

    return { rows, append, describe } satisfies AnswerLog
  })
