/**
 * Files that are whole or not there: written beside their place, made durable, and then given their name.
 */
import * as Effect from "effect/Effect"
import * as NodePath from "node:path"
import type { DiskError } from "../RunError.js"
import { BlockWriter } from "./BlockWriter.js"
import * as Disk from "./Disk.js"

const bufferSize = 1 << 20

/**
 * Makes or replaces a file with all that `fill` writes, and the directory above it where there is none. When `fill`
 * fails, what was there before stays.
 */
export const write = <A, E, R>(
  path: string,
  fill: (writer: BlockWriter) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | DiskError, R> =>
  Effect.gen(function*() {
    const disk = yield* Disk.Disk
    const temporary = `${path}.tmp`
    const written = Effect.gen(function*() {
      const writer = yield* Effect.acquireRelease(
        Disk.attempt("open (to write)", path, () => {
          disk.makeDirectory(NodePath.dirname(path))
          return new BlockWriter(disk.open(temporary, "write"), bufferSize)
        }),
        (writer) => Effect.sync(() => writer.abandon())
      )
      const result = yield* fill(writer)
      yield* writer.sync(path)
      return result
    }).pipe(Effect.scoped)
    return yield* written.pipe(
      Effect.zipLeft(Disk.attempt("keep", path, () => {
        disk.rename(temporary, path)
        disk.syncDirectory(NodePath.dirname(path))
      })),
      Effect.onError(() => Effect.ignore(Disk.attempt("remove", temporary, () => disk.remove(temporary))))
    )
  })

/** Makes or replaces a file with a text. */
export const writeText = (path: string, text: string): Effect.Effect<void, DiskError> =>
  write(path, (writer) => Disk.attempt("write", path, () => writer.text(text)))
