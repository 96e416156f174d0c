/**
 * A file of a cache of answers: written once, and never changed.
 *
 * ```text
 * <key, in hex> <checksum> <where the id belongs> <the line of results, without it>    one for each answer
 * <the index: for each answer its key, where its line begins, how long that is>       in binary, 24 bytes each
 * {"llm_batch_answers":1,"provider":"openai","created":"...","entries":2,"index":1234,"crc32":5678,"models":{...}}
 * ```
 *
 * The last line is what makes it one: a file that does not end in such a line, or whose index has another checksum, was torn
 * or is something else. It is written under a temporary name, and renamed when it is whole.
 */
import type * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { crc32 } from "node:zlib"
import type { DiskError } from "../RunError.js"
import type { WireId } from "../WireId.js"
import { BlockWriter } from "./BlockWriter.js"
import * as ContentKey from "./ContentKey.js"
import * as Disk from "./Disk.js"
import { readFully } from "./ZipEntries.js"

/** How the names of these files end. */
export const suffix = ".answers"

/** How the names of those end that are being written; before it stands when that began, in milliseconds. */
const unfinished = /\.answers\.(\d{1,15})\.tmp$/u

/** The name of a file while it is written. */
export const temporaryName = (name: string, began: number): string => `${name}.${began}.tmp`

/** When the writing of a file began, in milliseconds; `undefined` when it is none that is written. */
export const writtenSince = (name: string): number | undefined => {
  const began = unfinished.exec(name)?.[1]
  return began === undefined ? undefined : Number(began)
}

/** A file takes no more answers when it has so many bytes: places in it are numbers of 32 bits. */
const fullBytes = 1 << 30

const entryBytes = ContentKey.bytes + 8

const bufferSize = 1 << 18

/** How many models are told apart in one file. */
const mostModels = 50

/** The model of answers that do not say theirs, and of all beyond so many. */
const otherModels = "others"

const Count = Schema.Int.pipe(Schema.nonNegative())

/** What a file says of itself. */
export const Footer = Schema.Struct({
  llm_batch_answers: Schema.Literal(1),
  provider: Schema.String,
  created: Schema.DateTimeUtc,
  entries: Count,
  index: Count,
  crc32: Count,
  models: Schema.Record({ key: Schema.String, value: Count })
})

/** What a file says of itself. */
export type Footer = typeof Footer.Type

const FooterLine = Schema.parseJson(Footer)
const encodeFooter = Schema.encodeSync(FooterLine)
const decodeFooter = Schema.decodeOption(FooterLine)

/** A file being written. Its methods throw what the disk throws. */
export class SegmentWriter {
  private readonly lines: BlockWriter
  private readonly models = new Map<string, number>()
  private index = Buffer.allocUnsafe(entryBytes * 256)
  /** How many answers it has. */
  entries = 0

  constructor(handle: Disk.Handle) {
    this.lines = new BlockWriter(handle, bufferSize)
  }

  /** Whether it takes no more answers. */
  get isFull(): boolean {
    return this.lines.position >= fullBytes
  }

  /** Adds the answer to a row: its line of results, in which its wire id stands from `start` up to `end`. */
  add(key: Buffer, line: Buffer, start: number, end: number, model: string | undefined): void {
    const at = this.lines.position
    const [before, after] = [line.subarray(0, start), line.subarray(end)]
    this.lines.text(`${key.toString("hex")} ${crc32(after, crc32(before))} ${start} `)
    this.lines.bytes(before)
    this.lines.bytes(after)
    this.addToIndex(key, at, this.lines.position - at)
    this.lines.text("\n")
    const known = model !== undefined && (this.models.has(model) || this.models.size < mostModels)
    const name = known ? model : otherModels
    this.models.set(name, (this.models.get(name) ?? 0) + 1)
  }

  /** Ends it with what it says of itself. */
  end(provider: string, created: DateTime.Utc): void {
    const index = this.index.subarray(0, this.entries * entryBytes)
    const footer = encodeFooter({
      llm_batch_answers: 1,
      provider,
      created,
      entries: this.entries,
      index: this.lines.position,
      crc32: crc32(index),
      models: Object.fromEntries(this.models)
    })
    this.lines.bytes(index)
    this.lines.text(`\n${footer}\n`)
  }

  /** Makes all of it durable while others go on; `path` is for errors. */
  sync(path: string): Effect.Effect<void, DiskError> {
    return this.lines.sync(path)
  }

  /** Closes it; does nothing when it is closed. */
  close(): void {
    this.lines.abandon()
  }

  private addToIndex(key: Buffer, at: number, length: number): void {
    const start = this.entries++ * entryBytes
    if (start === this.index.length) this.index = Buffer.concat([this.index, Buffer.allocUnsafe(start)])
    key.copy(this.index, start, 0, ContentKey.bytes)
    this.index.writeUInt32LE(at, start + ContentKey.bytes)
    this.index.writeUInt32LE(length, start + ContentKey.bytes + 4)
  }
}

/** More than any footer has. */
const longestFooter = 1 << 16

const newline = 10

/** What an open file says of itself; `undefined` when it is not one, or not a whole one. */
export const readFooter = (handle: Disk.Handle): Footer | undefined => {
  const size = handle.size()
  const tail = Buffer.allocUnsafe(Math.min(size, longestFooter))
  if (readFully(handle, tail, size - tail.length) !== tail.length) return undefined
  const start = tail.lastIndexOf(newline, tail.length - 2)
  if (tail.length < 2 || start === -1 || tail.at(-1) !== newline) return undefined
  const footer = Option.getOrUndefined(decodeFooter(tail.toString("utf8", start + 1)))
  const end = size - tail.length + start
  return footer !== undefined && footer.index + footer.entries * entryBytes === end ? footer : undefined
}

/**
 * Gives each answer of an open file with this footer to `onEntry`: its key, and where its line is. `false` when the file is
 * not a whole one; then nothing was given.
 */
export const readIndex = (
  handle: Disk.Handle,
  { crc32: checksum, entries, index: start }: Footer,
  onEntry: (key: Buffer, at: number, length: number) => void
): boolean => {
  const index = Buffer.allocUnsafe(entries * entryBytes)
  if (readFully(handle, index, start) !== index.length || crc32(index) !== checksum) return false
  for (let entry = 0; entry < index.length; entry += entryBytes) {
    const at = entry + ContentKey.bytes
    onEntry(index.subarray(entry, at), index.readUInt32LE(at), index.readUInt32LE(at + 4))
  }
  return true
}

/** What stands before the line: enough to find its end in. */
const longestHead = ContentKey.bytes * 2 + 32

const headPattern = /^([\da-f]+) (\d+) (\d+) /u

/**
 * The line of results at a place of an open file, under another wire id; `undefined` when the answer to this key is not
 * there as it was written.
 */
export const readLine = (
  handle: Disk.Handle,
  key: Buffer,
  at: number,
  length: number,
  wireId: WireId
): Buffer | undefined => {
  const entry = Buffer.allocUnsafe(length)
  if (readFully(handle, entry, at) !== length) return undefined
  const [head = "", hex, checksum, place] = headPattern.exec(entry.toString("latin1", 0, longestHead)) ?? []
  const line = entry.subarray(head.length)
  if (hex !== key.toString("hex") || crc32(line) !== Number(checksum)) return undefined
  const id = Number(place)
  return Buffer.concat([line.subarray(0, id), Buffer.from(wireId), line.subarray(id)])
}
