import { assert, describe, it } from "@effect/vitest"
import { LineReader } from "../../src/internal/LineReader.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"

const readerOf = (lines: ReadonlyArray<string>) => {
  const { disk } = MemoryDisk.make()
  const handle = disk.open("/a", "write")
  const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""))
  for (let written = 0; written < bytes.length;) {
    written += handle.write(bytes, written, bytes.length - written)
  }
  handle.close()
  return new LineReader(disk, "/a", 1_000_000, () => assert.fail("no line is too long"))
}

describe("a reader of lines", () => {
  it("leaves a line as it is until the next but one is read", () => {
    // Blocks have 131,072 bytes: lines end in them, begin at their starts, and reach over several.
    const sizes = [70_000, 61_070, 131_071, 1, 200_000, 400_000, 0, 60_000, 60_000, 60_000, 131_072, 3]
    const lines = sizes.map((size, at) => String.fromCharCode(97 + at).repeat(size))
    const reader = readerOf(lines)
    let before = reader.read()
    for (const [at, text] of lines.entries()) {
      const next = reader.read()
      assert.isTrue(before?.toString() === text, `line ${at + 1}`)
      before = next
    }
    assert.isUndefined(before)
    assert.isUndefined(reader.read())
    reader.close()
  })
})
