/**
 * Result files in the forms in which they are served: plain, gzip, ZIP. Each is written block by block.
 *
 * @since 0.1.0
 */
import * as Zlib from "node:zlib"

/**
 * A writer of one file. `split` begins a further member, where there are members.
 *
 * @since 0.1.0
 * @category models
 */
export interface Writer {
  readonly begin: () => Uint8Array
  readonly block: (bytes: Uint8Array) => Uint8Array
  readonly split: () => Uint8Array
  readonly end: () => Uint8Array
}

const nothing = new Uint8Array(0)

/**
 * @since 0.1.0
 * @category constructors
 */
export const plain: Writer = { begin: () => nothing, block: (bytes) => bytes, split: () => nothing, end: () => nothing }

/** A part of a deflate stream that ends at a byte and does not end the stream. */
const deflated = (bytes: Uint8Array): Buffer =>
  Zlib.deflateRawSync(bytes, { level: 1, finishFlush: Zlib.constants.Z_SYNC_FLUSH })

const deflateEnd = (): Buffer => Zlib.deflateRawSync(nothing)

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value % 2 ** 32)
  return bytes
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const gzip = (): Writer => {
  let crc = 0
  let size = 0
  return {
    begin: () => Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]),
    block: (bytes) => {
      crc = Zlib.crc32(bytes, crc)
      size += bytes.length
      return deflated(bytes)
    },
    split: () => nothing,
    end: () => Buffer.concat([deflateEnd(), uint32(crc), uint32(size)])
  }
}

interface Member {
  readonly name: Buffer
  readonly offset: number
  crc: number
  packed: number
  size: number
}

/** The fields that a local and a central header share, from the version to the length of the name. */
const common = (member: Member): Buffer => {
  const bytes = Buffer.alloc(26)
  bytes.writeUInt16LE(20, 0)
  // Sizes follow the data, and the name is UTF-8.
  bytes.writeUInt16LE(0x0808, 2)
  bytes.writeUInt16LE(8, 4)
  bytes.writeUInt16LE(0x5b74, 8)
  bytes.writeUInt32LE(member.crc, 10)
  bytes.writeUInt32LE(member.packed, 14)
  bytes.writeUInt32LE(member.size, 18)
  bytes.writeUInt16LE(member.name.length, 22)
  return bytes
}

/**
 * A ZIP whose members are named by `name`, given their number from 1. Below 4 GB.
 *
 * @since 0.1.0
 * @category constructors
 */
export const zip = (name: (member: number) => string): Writer => {
  const members: Array<Member> = []
  let offset = 0
  const written = (bytes: Buffer): Buffer => {
    offset += bytes.length
    return bytes
  }
  const open = (): Buffer => {
    const member: Member = { name: Buffer.from(name(members.length + 1)), offset, crc: 0, packed: 0, size: 0 }
    members.push(member)
    return written(Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), common(member), member.name]))
  }
  const close = (): Buffer => {
    const member = members.at(-1)
    if (member === undefined) return Buffer.alloc(0)
    const end = deflateEnd()
    member.packed += end.length
    return written(Buffer.concat([
      end,
      Buffer.from("PK\x07\x08", "latin1"),
      uint32(member.crc),
      uint32(member.packed),
      uint32(member.size)
    ]))
  }
  return {
    begin: open,
    block: (bytes) => {
      const packed = deflated(bytes)
      const member = members.at(-1)
      if (member !== undefined) {
        member.crc = Zlib.crc32(bytes, member.crc)
        member.packed += packed.length
        member.size += bytes.length
      }
      return written(packed)
    },
    split: () => Buffer.concat([close(), open()]),
    end: () => {
      const closed = close()
      const directory = Buffer.concat(members.flatMap((member) => {
        const rest = Buffer.alloc(14)
        rest.writeUInt32LE(member.offset, 10)
        return [Buffer.from("PK\x01\x02\x14\x00", "latin1"), common(member), rest, member.name]
      }))
      const tail = Buffer.alloc(22)
      tail.write("PK\x05\x06", 0, "latin1")
      tail.writeUInt16LE(members.length, 8)
      tail.writeUInt16LE(members.length, 10)
      tail.writeUInt32LE(directory.length, 12)
      tail.writeUInt32LE(offset, 16)
      return Buffer.concat([closed, directory, tail])
    }
  }
}
