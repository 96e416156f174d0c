/** Writes ZIP archives for tests, sound ones and every kind of unsound one. */
import * as NodeZlib from "node:zlib"

/** A member. Only `name` and `content` are needed; each of the others replaces what would be written for it. */
export interface Member {
  readonly name: string
  readonly content: string | Uint8Array
  /** 0 is stored, 8 is deflated (the default); under any other the content is written as it is. */
  readonly method?: number
  /** The general purpose flags; 0x800 (names are UTF-8) by default. */
  readonly flags?: number
  /** The Unix mode in the external attributes. */
  readonly mode?: number
  readonly crc32?: number
  readonly declaredSize?: number
  readonly declaredPackedSize?: number
  /** The packed bytes. */
  readonly packed?: Uint8Array
  /** Sizes and offset only in the ZIP64 extra field. */
  readonly zip64?: boolean
  /** Sizes and checksum only after the data, as a writer to a pipe does it. */
  readonly streamed?: boolean
}

export interface Options {
  readonly comment?: string
  readonly declaredMembers?: number
  /** Adds the ZIP64 end record. */
  readonly zip64?: boolean
}

const uint16 = (value: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

const uint64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}

const inExtraField = 0xffffffff

/** One archive of these members, in this order. */
export const zip = (members: ReadonlyArray<Member>, options: Options = {}): Buffer => {
  const parts: Array<Buffer> = []
  const directory: Array<Buffer> = []
  let offset = 0
  const put = (bytes: Buffer) => {
    parts.push(bytes)
    offset += bytes.length
  }
  for (const member of members) {
    const content = Buffer.from(member.content)
    const method = member.method ?? 8
    const packed = Buffer.from(member.packed ?? (method === 8 ? NodeZlib.deflateRawSync(content) : content))
    const name = Buffer.from(member.name)
    const streamed = member.streamed ?? false
    const flags = member.flags ?? (0x800 | (streamed ? 0x8 : 0))
    const crc32 = member.crc32 ?? NodeZlib.crc32(content)
    const size = member.declaredSize ?? content.length
    const packedSize = member.declaredPackedSize ?? packed.length
    const shared = (sizes: ReadonlyArray<Buffer>, extraLength: number) =>
      Buffer.concat([
        uint16(45),
        uint16(flags),
        uint16(method),
        uint16(0),
        uint16(0x21),
        ...sizes,
        uint16(name.length),
        uint16(extraLength)
      ])
    const start = offset
    const localSizes = streamed ? [0, 0, 0] : [crc32, packedSize, size]
    put(Buffer.concat([uint32(0x04034b50), shared(localSizes.map(uint32), 0), name, packed]))
    if (streamed) put(Buffer.concat([0x08074b50, crc32, packedSize, size].map(uint32)))
    const extra = member.zip64 === true
      ? Buffer.concat([uint16(1), uint16(24), uint64(size), uint64(packedSize), uint64(start)])
      : Buffer.alloc(0)
    const sizes = member.zip64 === true ? [crc32, inExtraField, inExtraField] : [crc32, packedSize, size]
    directory.push(
      uint32(0x02014b50),
      // Made by Unix, so that the upper half of the external attributes is a mode.
      uint16((3 << 8) | 45),
      shared(sizes.map(uint32), extra.length),
      Buffer.alloc(6),
      uint32(((member.mode ?? 0) << 16) >>> 0),
      uint32(member.zip64 === true ? inExtraField : start),
      name,
      extra
    )
  }
  const start = offset
  put(Buffer.concat(directory))
  const size = offset - start
  const count = options.declaredMembers ?? members.length
  if (options.zip64 === true) {
    const end = offset
    put(Buffer.concat([uint32(0x06064b50), uint64(44), uint16(45), uint16(45), uint32(0), uint32(0)]))
    put(Buffer.concat([count, count, size, start].map(uint64)))
    put(Buffer.concat([uint32(0x07064b50), uint32(0), uint64(end), uint32(1)]))
  }
  const comment = Buffer.from(options.comment ?? "")
  const short = options.zip64 === true ? [0xffff, inExtraField] as const : [count, start] as const
  put(Buffer.concat([uint32(0x06054b50), uint16(0), uint16(0), uint16(short[0]), uint16(short[0])]))
  put(Buffer.concat([uint32(size), uint32(short[1]), uint16(comment.length), comment]))
  return Buffer.concat(parts)
}
