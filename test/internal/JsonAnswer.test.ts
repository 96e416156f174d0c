import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { candidates } from "../../src/internal/JsonAnswer.js"

const found = (reply: string): ReadonlyArray<unknown> => [...candidates(reply)].map(({ value }) => value)

/** Text without anything that could begin JSON or a fence. */
const prose = FastCheck.string({
  unit: FastCheck.constantFrom(..."Answer: it's so, \n\t(yes) 42. <b>&é🙂"),
  maxLength: 60
})

const objects = FastCheck.dictionary(FastCheck.string(), FastCheck.jsonValue({ maxDepth: 4 })).map((value): unknown =>
  JSON.parse(JSON.stringify(value))
)
const lists = FastCheck.array(FastCheck.jsonValue({ maxDepth: 4 })).map((value): unknown =>
  JSON.parse(JSON.stringify(value))
)

describe("a reply that is JSON", () => {
  it("is the only candidate, whatever kind of value it is", () => {
    assert.deepStrictEqual(found("{\"a\":{\"b\":[1]}}"), [{ a: { b: [1] } }])
    assert.deepStrictEqual(found(" \n\uFEFF [1, 2]\r\n"), [[1, 2]])
    assert.deepStrictEqual(found("\"spam\""), ["spam"])
    assert.deepStrictEqual(found("-1.5e3"), [-1500])
    assert.deepStrictEqual(found("null"), [null])
  })

  it("is JSON to the letter", () => {
    for (
      const reply of [
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{'a':1}",
        "{a:1}",
        "{\"a\":1,}",
        "{\"a\":01}",
        "{\"a\":1 // one\n}",
        "spam",
        "",
        "  "
      ]
    ) {
      assert.deepStrictEqual(found(reply), [], reply)
    }
  })
})

describe("a code fence", () => {
  it("holds the answer, with or without a language", () => {
    assert.deepStrictEqual(found("Here:\n```json\n{\"a\":1}\n```\nDone.")[0], { a: 1 })
    assert.deepStrictEqual(found("```\r\n[1]\r\n```")[0], [1])
    assert.deepStrictEqual(found("  ````JSON\n{\"a\":\"```\"}\n````")[0], { a: "```" })
  })

  it("is looked at before the others when it comes later", () => {
    assert.deepStrictEqual(
      found("A draft:\n```json\n{\"v\":1}\n```\nBetter:\n```json\n{\"v\":2}\n```\nas code:\n```py\nx = 3\n```").slice(
        0,
        2
      ),
      [{ v: 2 }, { v: 1 }]
    )
  })

  it("may lack its end, or stand on one line", () => {
    assert.deepStrictEqual(found("```json\n{\"a\":1}"), [{ a: 1 }, { a: 1 }])
    assert.deepStrictEqual(found("so ```json {\"a\":1}``` it is"), [{ a: 1 }])
    assert.deepStrictEqual(found("```json\n{\"v\":\n```json\n{\"v\":2}\n```")[0], { v: 2 })
  })
})

describe("an object or a list in prose", () => {
  it("is found, the first one first", () => {
    assert.deepStrictEqual(found("It is {\"a\":1}, I think; or {\"a\":2}."), [{ a: 1 }, { a: 2 }])
    assert.deepStrictEqual(found("According to [1]: {\"a\":1}"), [[1], { a: 1 }])
    assert.deepStrictEqual(found("He said \"so\" {\"a\":\"}{\\\"]\"} and left"), [{ a: "}{\"]" }])
    assert.deepStrictEqual(found("\\frac{1}{2} is [\"half\"]"), [["half"]])
  })

  it("is found behind brackets that begin no JSON", () => {
    assert.deepStrictEqual(found("{ the answer is {\"a\":1} }"), [{ a: 1 }])
    assert.deepStrictEqual(found("[see below] {x} (a] {\"a\":1}"), [{ a: 1 }])
    assert.deepStrictEqual(found("[sic], {\"a\":1}"), [{ a: 1 }])
    assert.deepStrictEqual(found("he said: [\"oh\n{\"a\":1}"), [{ a: 1 }])
  })

  it("is found behind a fragment of itself", () => {
    assert.deepStrictEqual(found("{\"a\": 1, \"b\n{\"a\":1,\"b\":2}"), [{ a: 1, b: 2 }])
    assert.deepStrictEqual(found("{\"a\": 1, \"b\":\n\nSorry, again: {\"a\":1,\"b\":2}"), [{ a: 1, b: 2 }])
    assert.deepStrictEqual(found("{\"a\": 1, {\"a\":1,\"b\":2}"), [{ a: 1, b: 2 }])
  })

  it("is no member of something that is broken", () => {
    assert.deepStrictEqual(found("{\"name\":\"x\",\"inner\":{\"b\":1}"), [])
    assert.deepStrictEqual(found("{\"name\": NaN, \"inner\" : {\"b\":1}}"), [])
    assert.deepStrictEqual(found("[{\"a\":1}, {\"a\":2}, {\"a\":"), [])
    assert.deepStrictEqual(found("{\"list\":[{\"a\":1},{\"a\":2}"), [])
  })

  it.prop(
    "is found whatever it holds, with any prose and any fence around it",
    [
      prose,
      FastCheck.oneof(objects, lists),
      prose,
      FastCheck.constantFrom("", "```", "```json", "````JSON"),
      FastCheck.constantFrom(0, 2)
    ],
    ([before, value, after, fence, indent]) => {
      const json = JSON.stringify(value, null, indent)
      const marks = fence.replace(/\w/g, "")
      const block = fence === "" ? json : `\n${fence}\n${json}\n${marks}\n`
      assert.deepStrictEqual(found(before + block + after)[0], value)
    }
  )

  it.prop(
    "is never made up: what is found stands in the reply as JSON",
    [FastCheck.string({ unit: FastCheck.constantFrom(..."{}[]\",:\\ \n1ab`"), maxLength: 40 })],
    ([reply]) => {
      for (const { length, value } of candidates(reply)) {
        assert.include(reply.replaceAll(/\s/g, ""), JSON.stringify(value).replaceAll(/\s/g, "").slice(0, 1))
        assert.isAtMost(length, reply.length)
      }
    }
  )
})

describe("text that is made to be slow", () => {
  const size = 400_000
  const bombs: ReadonlyArray<readonly [string, string]> = [
    ["opening brackets", "[".repeat(size)],
    ["nesting", "[".repeat(size / 2) + "]".repeat(size / 2)],
    ["nested members", "{\"a\":".repeat(size / 5)],
    ["quotes", "{\"".repeat(size / 2)],
    ["prose in braces", "{ x ".repeat(size / 8) + "}".repeat(size / 8)],
    ["fences", "```\n".repeat(size / 4)],
    ["backslashes", `{"${"\\".repeat(size)}`]
  ]
  for (const [name, text] of bombs) {
    it(`is read through all the same: ${name}`, () => {
      assert.deepStrictEqual(found(text), [])
      assert.deepStrictEqual(found(`{"a":1} ${text}`)[0], { a: 1 })
    })
  }

  it("is no answer when it is nested more deeply than any", () => {
    const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`
    assert.strictEqual(found(nested(200)).length, 1)
    assert.strictEqual(found(nested(201)).length, 0)
  })
})
