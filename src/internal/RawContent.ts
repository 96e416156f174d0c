/**
 * The content of a downloaded results file, whatever it is packed in: plain, gzip, or the members of a ZIP archive.
 *
 * A packed file is not trusted: what it unpacks to is counted while it is unpacked, and checked against what it says
 * of itself. Blocks given before a problem shows are of no use without the end of the stream.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as NodeZlib from "node:zlib"
import type { Packing } from "../RawResults.js"
import type { DiskError } from "../RunError.js"
import { inPieces, macrotask } from "./BlockLoop.js"
import * as Disk from "./Disk.js"
import { ArchiveProblem, members, readFully, rejected, type ZipMember } from "./ZipEntries.js"

type Failure = DiskError | ArchiveProblem

/** The next block; `none` at the end, however often it is asked for. */
type Pull = Effect.Effect<Uint8Array, Option.Option<Failure>>

const failPull = (failure: Failure): Effect.Effect<never, Option.Option<Failure>> => Effect.fail(Option.some(failure))

const endPull: Effect.Effect<never, Option.Option<Failure>> = Effect.fail(Option.none())

const startsWith = (bytes: Uint8Array, ...prefix: ReadonlyArray<number>): boolean =>
  prefix.every((byte, index) => bytes[index] === byte)

const packingOf = (head: Uint8Array): Packing => {
  if (startsWith(head, 0x1f, 0x8b)) return "gzip"
  // The second is the record that alone makes an empty archive.
  if (startsWith(head, 0x50, 0x4b, 0x03, 0x04) || startsWith(head, 0x50, 0x4b, 0x05, 0x06)) return "zip"
  return "plain"
}

/** How a file is packed, told by its first bytes. */
export const sniff = Effect.fn("RawContent.sniff")(function*(path: string) {
  const handle = yield* Disk.openScoped(path, "read")
  return yield* Disk.attempt("read", path, () => {
    const head = Buffer.alloc(4)
    return packingOf(head.subarray(0, readFully(handle, head, 0)))
  })
}, Effect.scoped)

/** Reads a range of an open file in fresh blocks. */
const readRange = (handle: Disk.Handle, path: string, start: number, end: number): Pull => {
  let position = start
  return Effect.flatMap(
    Effect.mapError(
      Disk.attempt("read", path, () => {
        const block = Buffer.allocUnsafe(Math.min(Disk.blockSize, end - position))
        const length = block.length === 0 ? 0 : handle.read(block, 0, block.length, position)
        position += length
        return block.subarray(0, length)
      }),
      Option.some
    ),
    (block) => block.length === 0 ? endPull : Effect.succeed(block)
  )
}

/** What a decompressor makes of the blocks that it is fed. It is gone with the scope. */
const inflate = (
  feed: Pull,
  make: (options: NodeZlib.ZlibOptions) => NodeZlib.Gunzip | NodeZlib.InflateRaw,
  problemOf: (error: NodeJS.ErrnoException) => ArchiveProblem
): Effect.Effect<Pull, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => make({ chunkSize: Disk.blockSize })),
      (zlib) => Effect.sync(() => zlib.destroy())
    ),
    (zlib) => {
      let failure: Error | undefined
      let ended = false
      const changed = Effect.unsafeMakeLatch(false)
      zlib.on("readable", () => changed.unsafeOpen())
      zlib.on("drain", () => changed.unsafeOpen())
      zlib.on("end", () => {
        ended = true
        changed.unsafeOpen()
      })
      zlib.on("error", (error) => {
        failure = error
        changed.unsafeOpen()
      })
      const feedOnce = Effect.matchEffect(feed, {
        onSuccess: (block) => Effect.sync(() => zlib.write(block)),
        onFailure: Option.match({
          onNone: () => Effect.sync(() => zlib.end()),
          onSome: failPull
        })
      })
      const pull: Pull = Effect.suspend(() => {
        changed.unsafeClose()
        const block: unknown = zlib.read()
        if (block instanceof Uint8Array) return Effect.succeed(block)
        if (failure !== undefined) return failPull(problemOf(failure))
        if (ended) return endPull
        return Effect.zipRight(zlib.writableEnded || zlib.writableNeedDrain ? changed.await : feedOnce, pull)
      })
      return pull
    }
  )

const mebibyte = 1 << 20

/** Ends a file that unpacks to more than any honest one would: 200 times its own size, and 256 MiB. */
const bombGuard = (packedSize: number): (pull: Pull) => Pull => {
  let left = 200 * packedSize + 256 * mebibyte
  return Effect.tap((block) => {
    left -= block.length
    return left < 0 ? failPull(rejected("it unpacks to far more than its size allows")) : Effect.void
  })
}

const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/**
 * Enough of the beginning to judge it by: its first bytes and the first that is not blank, or all of it. A beginning
 * that stays blank is given up after a block.
 */
const readHead = (pull: Pull, head: Uint8Array = Buffer.alloc(0)): Effect.Effect<Uint8Array, Failure> => {
  const isEnough = head.length >= 4 && !head.every(isBlank)
  if (isEnough || head.length >= Disk.blockSize) return Effect.succeed(head)
  return Effect.matchEffect(pull, {
    onSuccess: (block) => readHead(pull, head.length === 0 ? block : Buffer.concat([head, block])),
    onFailure: Option.match({ onNone: () => Effect.succeed(head), onSome: (error) => Effect.fail(error) })
  })
}

const withoutMark = (head: Uint8Array): Uint8Array => startsWith(head, 0xef, 0xbb, 0xbf) ? head.subarray(3) : head

const refuseNested = (head: Uint8Array, what: string): Effect.Effect<void, ArchiveProblem> =>
  packingOf(head) === "plain" ? Effect.void : Effect.fail(rejected(`${what} is an archive itself`))

const gunzip = (path: string) =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const handle = yield* Disk.openScoped(path, "read")
    const size = yield* Disk.attempt("read", path, () => handle.size())
    const pull = bombGuard(size)(
      yield* inflate(readRange(handle, path, 0, size), NodeZlib.createGunzip, (error) =>
        error.code === "Z_BUF_ERROR"
          ? new ArchiveProblem({ problem: "its gzip data ends early", truncated: true })
          : rejected(`its gzip data is damaged: ${error.message}`))
    )
    const head = yield* readHead(pull)
    yield* refuseNested(head, "its content")
    return Stream.concat(Stream.make(head), Stream.repeatEffectOption(pull))
  }))

/** Holds a member to the size and the checksum that the directory gives for it. */
const checked = (member: ZipMember, pull: Pull): Pull => {
  let size = 0
  let crc32 = 0
  const problem = (what: string) => failPull(rejected(`${member.shownName} ${what}`))
  return pull.pipe(
    Effect.tap((block) => {
      size += block.length
      crc32 = NodeZlib.crc32(block, crc32)
      return size > member.size ? problem(`holds more than the ${member.size} bytes it declares`) : Effect.void
    }),
    Effect.catchAll((end) => {
      if (Option.isSome(end)) return failPull(end.value)
      if (size !== member.size) return problem(`holds ${size} bytes where it declares ${member.size}`)
      if (crc32 !== member.crc32) return problem("does not have the checksum it declares")
      return endPull
    })
  )
}

const unpack = (handle: Disk.Handle, path: string, member: ZipMember): Effect.Effect<Pull, never, Scope.Scope> => {
  const packed = readRange(handle, path, member.start, member.start + member.packedSize)
  if (!member.deflated) return Effect.succeed(Effect.zipRight(macrotask, packed))
  // Some archivers leave an empty file without even the two bytes that deflate makes of nothing.
  if (member.packedSize === 0) return Effect.succeed(packed)
  return inflate(
    packed,
    NodeZlib.createInflateRaw,
    (error) => rejected(`the data of ${member.shownName} is damaged: ${error.message}`)
  )
}

const newline = 0x0a
const openBrace = 0x7b

/** The lines of every member that holds any, one member after the other. */
const unzip = (path: string) =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const handle = yield* Disk.openScoped(path, "read")
    const size = yield* Disk.attempt("read", path, () => handle.size())
    const guard = bombGuard(size)
    let lastByte = newline
    let withLines = 0
    const linesOf = (member: ZipMember) =>
      Stream.unwrapScoped(Effect.gen(function*() {
        const pull = checked(member, guard(yield* unpack(handle, path, member)))
        const head = yield* readHead(pull)
        yield* refuseNested(head, member.shownName)
        const content = withoutMark(head)
        const first = content.find((byte) => !isBlank(byte))
        // A file named as lines is one even if its first line is damaged: who reads the lines will say so.
        if (first !== undefined && first !== openBrace && !member.namedLines) return Stream.empty
        withLines++
        const separator = lastByte === newline || content.length === 0 ? [] : [Uint8Array.of(newline)]
        return Stream.fromIterable([...separator, content]).pipe(
          Stream.concat(Stream.repeatEffectOption(pull)),
          Stream.tap((block) =>
            Effect.sync(() => {
              lastByte = block.at(-1) ?? lastByte
            })
          )
        )
      }))
    const atEnd = Effect.suspend(() =>
      withLines === 0 ? Effect.fail(rejected("none of its members holds lines of JSON")) : Effect.void
    )
    return Stream.fromIterable(yield* members(handle, path, size)).pipe(
      Stream.flatMap(linesOf),
      Stream.concat(Stream.execute(atEnd))
    )
  }))

const isFilled = (block: Uint8Array): boolean => block.length > 0

/**
 * The content of a results file in fresh blocks of about 1 MB. A member of an archive that does not end in a newline
 * gets one when another follows.
 */
export const blocks = (path: string, packing: Packing): Stream.Stream<Uint8Array, Failure> => {
  switch (packing) {
    case "plain":
      return Disk.readBlocks(path)
    case "gzip":
      return Stream.filter(gunzip(path), isFilled)
    case "zip":
      return Stream.filter(unzip(path), isFilled)
  }
}

/** Gives the content of a results file to synchronous work, in slices. Its bytes are only lent. */
export const forEachPiece = (
  path: string,
  packing: Packing,
  operation: string,
  work: (piece: Uint8Array) => void
): Effect.Effect<void, Failure> =>
  packing === "plain"
    ? Disk.forEachPiece(path, operation, work)
    : Stream.runForEach(
      blocks(path, packing),
      (block) => inPieces(block, work, (error) => Disk.toDiskError(operation, path, error))
    )
