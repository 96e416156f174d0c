import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { locateProblem } from "../../src/internal/JsonPosition.js"

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

const at = (text: string): readonly [number, string] | undefined => {
  const found = locateProblem(text)
  return found === undefined ? undefined : [found.offset, found.problem]
}

describe("JsonPosition", () => {
  it("names the place and what is there", () => {
    assert.deepStrictEqual(at("{\"a\": 'b'}"), [6, "unexpected character '"])
    assert.deepStrictEqual(at("{'a': 1}"), [1, "unexpected character '"])
    assert.deepStrictEqual(at("{\"a\": 1,}"), [8, "unexpected character } after a comma"])
    assert.deepStrictEqual(at("[1, 2,]"), [6, "unexpected character ] after a comma"])
    assert.deepStrictEqual(at("{\"a\": NaN}"), [6, "the word NaN"])
    assert.deepStrictEqual(at("{\"a\": -Infinity}"), [6, "unexpected character -"])
    assert.deepStrictEqual(at("{a: 1}"), [1, "the word a"])
    assert.deepStrictEqual(at("{\"a\" 1}"), [5, "unexpected character 1 where a colon should be"])
    assert.deepStrictEqual(at("{\"a\": 1 \"b\": 2}"), [8, "unexpected character \" after a complete value"])
    assert.deepStrictEqual(at("{} {}"), [3, "unexpected character { after a complete value"])
    assert.deepStrictEqual(at("{\"a\": \"x\ty\"}"), [8, "a control character (U+0009) inside a string"])
    assert.deepStrictEqual(at("{\"a\": \"\\d\"}"), [7, "the unknown escape \\d"])
    assert.deepStrictEqual(at("{\"a\": \"\\u12g4\"}"), [7, "\\u without four hexadecimal digits"])
    assert.deepStrictEqual(at("\u201ca\u201d"), [0, "a typographic quote \u201c"])
    assert.deepStrictEqual(at("{\u00a0\"a\": 1}"), [1, "a no-break space"])
    assert.deepStrictEqual(at("{\"a\": 01}"), [7, "unexpected character 1 after a complete value"])
  })

  it("tells a line that breaks off", () => {
    assert.deepStrictEqual(at("{\"a\": \"x"), [8, "the line ends inside a string"])
    assert.deepStrictEqual(at("{\"a\": \"x\\"), [9, "the line ends inside a string"])
    assert.deepStrictEqual(at("{\"a\": [1, "), [10, "the line ends inside a list"])
    assert.deepStrictEqual(at("{\"a\": tr"), [8, "the line ends inside an object"])
    assert.isTrue(locateProblem("{")?.unfinished)
    assert.isFalse(locateProblem("{\"a")?.unfinished)
  })

  it("survives any depth", () => {
    assert.deepStrictEqual(at("[".repeat(1_000_000)), [1_000_000, "the line ends inside a list"])
  })

  const pieces = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\"a\"",
    "1",
    "-",
    ".5",
    "e3",
    "true",
    "nul",
    "\\",
    " ",
    "\\u00",
    "\t"
  ]

  it.prop(
    "finds a problem exactly where there is no JSON",
    [FastCheck.array(FastCheck.constantFrom(...pieces), { maxLength: 8 }).map((parts) => parts.join(""))],
    ([text]) => assert.strictEqual(locateProblem(text) === undefined, isJson(text), text),
    { fastCheck: { numRuns: 3_000 } }
  )

  it.prop(
    "a valid text with one character taken out is judged as JSON.parse judges it",
    [FastCheck.json(), FastCheck.nat()],
    ([text, index]) => {
      const cut = text.slice(0, index % text.length) + text.slice(index % text.length + 1)
      assert.isUndefined(locateProblem(text))
      assert.strictEqual(locateProblem(cut) === undefined, isJson(cut), cut)
    }
  )
})
