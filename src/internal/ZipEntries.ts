/**
 * The members of a ZIP archive, read from its central directory and judged before any of them is opened.
 *
 * Nothing is ever written under a name out of an archive: names are only looked at, and shown.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Yauzl from "yauzl"
import type { DiskError } from "../RunError.js"
import { macrotask } from "./BlockLoop.js"
import * as Disk from "./Disk.js"

/**
 * Why a packed file cannot be read. `truncated`: its end is missing, as after a download cut short, so fetching it
 * again may help. Otherwise it is as it was made, and not to be opened.
 */
export class ArchiveProblem extends Data.TaggedError("ArchiveProblem")<{
  readonly problem: string
  readonly truncated: boolean
}> {
  override get message(): string {
    return this.problem
  }
}

/** An archive that is not to be opened. */
export const rejected = (problem: string): ArchiveProblem => new ArchiveProblem({ problem, truncated: false })

/** A file in an archive: where its packed bytes are, and what they must become. */
export interface ZipMember {
  /** Quoted, cut and without control characters: fit to be shown, and for nothing else. */
  readonly shownName: string
  /** Whether the name says that its content is lines of JSON. */
  readonly namedLines: boolean
  readonly deflated: boolean
  readonly start: number
  readonly packedSize: number
  readonly size: number
  readonly crc32: number
}

const mostMembers = 10_000

const longestShown = 80

const show = (text: string): string => {
  const clean = text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?")
  return clean.length > longestShown ? `${clean.slice(0, longestShown)}...` : clean
}

/** Gives yauzl positioned reads of an open file, and remembers what the disk threw. */
class HandleReader extends Yauzl.RandomAccessReader {
  thrown: { readonly error: unknown } | undefined = undefined
  /** Where the last read ended. */
  end = 0

  constructor(private readonly handle: Disk.Handle, private readonly size: number) {
    super()
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void
  ): void {
    if (position + length > this.size) {
      callback(new Error("it points past its own end"))
      return
    }
    try {
      readFully(this.handle, buffer.subarray(offset, offset + length), position)
    } catch (error) {
      this.thrown = { error }
      callback(new Error("the disk failed"))
      return
    }
    this.end = position + length
    callback(null)
  }
}

/** Fills the buffer as far as the file goes, however short each read is, and tells how far. */
export const readFully = (handle: Disk.Handle, into: Uint8Array, position: number): number => {
  let length = 0
  while (length < into.length) {
    const read = handle.read(into, length, into.length - length, position + length)
    if (read === 0) break
    length += read
  }
  return length
}

const endRecordSize = 22
const longestComment = 0xffff

/** Whether the record that closes every archive is there to its last byte: a cut anywhere takes that one first. */
const hasWholeEnd = (handle: Disk.Handle, size: number): boolean => {
  const tail = Buffer.alloc(Math.min(size, endRecordSize + longestComment))
  readFully(handle, tail, size - tail.length)
  const end = tail.lastIndexOf("PK\u0005\u0006", undefined, "latin1")
  return end !== -1
    && tail.length >= end + endRecordSize
    && tail.length >= end + endRecordSize + tail.readUInt16LE(end + 20)
}

/** Whether the directory goes on where its last declared entry ends. */
const hasMore = (handle: Disk.Handle, end: number): boolean => {
  const signature = Buffer.alloc(4)
  readFully(handle, signature, end)
  return signature.equals(Buffer.from("PK\u0001\u0002", "latin1"))
}

const isDirectory = (name: string): boolean => name.endsWith("/")

/** What archivers of some systems add by themselves. */
const isJunk = (name: string): boolean => /(^|\/)(__MACOSX\/|\.DS_Store$|Thumbs\.db$|\._[^/]*$)/.test(name)

/** The kind in the Unix mode that the external attributes may hold: none, a regular file or a directory are fine. */
const isSpecialFile = (entry: Yauzl.Entry): boolean => {
  const kind = (entry.externalFileAttributes >>> 16) & 0o170000
  return kind !== 0 && kind !== 0o100000 && kind !== 0o040000
}

/** What is wrong with any entry, wanted or not. */
const problemOfEntry = (entry: Yauzl.Entry, name: string, seen: ReadonlySet<string>): string | undefined => {
  const shown = `"${show(name)}"`
  if (Yauzl.validateFileName(name) !== null) return `the name ${shown} leads out of the archive`
  if (seen.has(name)) return `the name ${shown} is there twice`
  if (isSpecialFile(entry)) return `${shown} is a link or a special file`
  return undefined
}

const problemOfMember = (entry: Yauzl.Entry, shown: string): string | undefined => {
  if (entry.isEncrypted()) return `${shown} is encrypted`
  if (!entry.canDecodeFileData()) return `${shown} is packed by the unknown method ${entry.compressionMethod}`
  return undefined
}

/**
 * The files in an archive, in the order of its central directory: without directories, and without what archivers add.
 * The whole directory is judged first, so that an archive with any fault in it gives nothing.
 */
export const members = Effect.fn("ZipEntries.members")(function*(
  handle: Disk.Handle,
  path: string,
  size: number
): Effect.fn.Return<ReadonlyArray<ZipMember>, DiskError | ArchiveProblem> {
  if (!(yield* Disk.attempt("read", path, () => hasWholeEnd(handle, size)))) {
    return yield* new ArchiveProblem({ problem: "its end is missing", truncated: true })
  }
  const reader = new HandleReader(handle, size)
  const ask = <A>(question: () => Promise<A>): Effect.Effect<A, DiskError | ArchiveProblem> =>
    Effect.tryPromise({
      try: question,
      catch: (error) =>
        rejected(`its directory is damaged: ${show(error instanceof Error ? error.message : String(error))}`)
    }).pipe(
      Effect.catchAll((problem): Effect.Effect<never, DiskError | ArchiveProblem> =>
        Effect.fail(
          reader.thrown === undefined ? problem : Disk.toDiskError("read", path, reader.thrown.error)
        )
      )
    )
  const zip = yield* ask(() =>
    Yauzl.fromRandomAccessReaderPromise(reader, size, {
      autoClose: false,
      decodeStrings: false,
      validateEntrySizes: false
    })
  )
  if (zip.entryCount > mostMembers) {
    return yield* rejected(`it has ${zip.entryCount} members where at most ${mostMembers} are opened`)
  }
  const entries = zip.eachEntry()
  const seen = new Set<string>()
  const found: Array<ZipMember> = []
  let directoryEnd = 0
  for (;;) {
    const next = yield* ask(() => entries.next())
    if (next.done === true) break
    const entry = next.value
    directoryEnd = reader.end
    const name = Yauzl.getFileNameLowLevel(entry.generalPurposeBitFlag, entry.fileNameRaw, entry.extraFields, false)
    const problem = problemOfEntry(entry, name, seen)
    if (problem !== undefined) return yield* rejected(problem)
    seen.add(name)
    if (seen.size % 256 === 0) yield* macrotask
    if (isDirectory(name) || isJunk(name)) continue
    const shownName = `"${show(name)}"`
    const memberProblem = problemOfMember(entry, shownName)
    if (memberProblem !== undefined) return yield* rejected(memberProblem)
    const { fileDataStart } = yield* ask(() => zip.readLocalFileHeaderPromise(entry, { minimal: true }))
    found.push({
      shownName,
      namedLines: /\.(jsonl|ndjson)$/i.test(name),
      deflated: entry.compressionMethod === 8,
      start: fileDataStart,
      packedSize: entry.compressedSize,
      size: entry.uncompressedSize,
      crc32: entry.crc32
    })
  }
  if (yield* Disk.attempt("read", path, () => hasMore(handle, directoryEnd))) {
    return yield* rejected("it has more members than it declares")
  }
  return found
})
