import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { LineSplitter } from "../../src/internal/Lines.js"
import { cutAt } from "../Blocks.js"

type Seen = readonly [line: number, text: string | null]

const split = (blocks: ReadonlyArray<Uint8Array>, longest = 1_000): ReadonlyArray<Seen> => {
  const seen: Array<Seen> = []
  const splitter = new LineSplitter(
    longest,
    (line, number) => seen.push([number, line.toString("utf8")]),
    (number) => seen.push([number, null])
  )
  for (const block of blocks) splitter.push(block)
  splitter.end()
  return seen
}

const whole = (text: string, longest?: number) => split([Buffer.from(text)], longest)

describe("Lines", () => {
  it("numbers lines from 1, empty ones too", () => {
    assert.deepStrictEqual(whole("a\n\nb\n"), [[1, "a"], [2, ""], [3, "b"]])
    assert.deepStrictEqual(whole(""), [])
    assert.deepStrictEqual(whole("\n"), [[1, ""]])
  })

  it("tells where each line begins", () => {
    const text = "\ufeffa\r\n\nbcd\nlonger than four\ne"
    for (const size of [1, 2, 3, 5, 100]) {
      const positions: Array<number> = []
      const splitter = new LineSplitter(4, (_line, _number, position) => positions.push(position), () => undefined)
      for (const block of cutAt(Buffer.from(text), Array.from({ length: 100 }, (_, at) => at * size)))
        splitter.push(block)
      splitter.end()
      assert.deepStrictEqual(positions, [3, 6, 7, 28])
    }
  })

  it("needs a block no longer once it has taken it", () => {
    const seen: Array<string> = []
    const splitter = new LineSplitter(100, (line) => seen.push(line.toString()), () => undefined)
    const block = Buffer.alloc(4)
    for (const text of ["one\n", "two,", "thre", "e\nfo", "ur\n."]) {
      block.write(text)
      splitter.push(block)
    }
    splitter.end()
    assert.deepStrictEqual(seen, ["one", "two,three", "four", "."])
  })

  it("takes a last line without a newline", () => {
    assert.deepStrictEqual(whole("a\nb"), [[1, "a"], [2, "b"]])
  })

  it("takes away one carriage return at the end of a line", () => {
    assert.deepStrictEqual(whole("a\r\nb\r\r\n\r\nc\r"), [[1, "a"], [2, "b\r"], [3, ""], [4, "c"]])
  })

  it("passes over a byte order mark at the very start only", () => {
    assert.deepStrictEqual(whole("\ufeffa\n\ufeffb"), [[1, "a"], [2, "\ufeffb"]])
  })

  it("tells the number of a line over the cap, and goes on", () => {
    assert.deepStrictEqual(whole("abc\nabcd\nab", 3), [[1, "abc"], [2, null], [3, "ab"]])
    assert.deepStrictEqual(
      split(["ab", "cd", "ef\nab", "c"].map((text) => Buffer.from(text)), 3),
      [[1, null], [2, "abc"]]
    )
  })

  const text = FastCheck.array(FastCheck.constantFrom("a", "\n", "\r", "\r\n", "\u00e4", "\ud83d\ude00", "\ufeff"), {
    maxLength: 30
  }).map((parts) => parts.join(""))

  it.prop(
    "does not depend on where the blocks are cut",
    [text, FastCheck.array(FastCheck.nat(40))],
    ([text, cuts]) => {
      const bytes = Buffer.from(text)
      assert.deepStrictEqual(split(cutAt(bytes, cuts)), split([bytes]))
    },
    { fastCheck: { numRuns: 1_000 } }
  )
})
