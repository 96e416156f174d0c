import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { memberText } from "../../src/internal/JsonText.js"

describe("memberText", () => {
  it("gives the text as it stands, numbers and spaces included", () => {
    const line =
      "{\"id\":\"a\", \"response\" : { \"status_code\":200, \"body\":\t{ \"n\": 12345678901234567890, \"f\": 1.0 } }}"
    assert.strictEqual(memberText(line, "response", "body"), "{ \"n\": 12345678901234567890, \"f\": 1.0 }")
    assert.strictEqual(memberText(line, "response", "status_code"), "200")
    assert.strictEqual(memberText(line, "id"), "\"a\"")
    assert.strictEqual(memberText(line, "body"), undefined)
    assert.strictEqual(memberText(line, "id", "body"), undefined)
  })

  it("finds elements of lists", () => {
    const line = "{\"a\" : [ [1,\"],\"] , {\"b\":[]},12345678901234567890\t],\"c\":[]}"
    assert.strictEqual(memberText(line, "a", 0, 1), "\"],\"")
    assert.strictEqual(memberText(line, "a", 1, "b"), "[]")
    assert.strictEqual(memberText(line, "a", 2), "12345678901234567890")
    assert.strictEqual(memberText(line, "a", 3), undefined)
    assert.strictEqual(memberText(line, "c", 0), undefined)
    assert.strictEqual(memberText(line, 0), undefined)
    assert.strictEqual(memberText("[1,", 1), undefined)
    assert.strictEqual(memberText("[1", 0), undefined)
  })

  it("is not misled by what strings hold", () => {
    const line = "{\"a\":\"}{\\\"body\\\":1,\\\\\",\"list\":[\"]\",{\"body\":2}],\"body\":\"\\\\\\\"\"}"
    assert.strictEqual(memberText(line, "body"), "\"\\\\\\\"\"")
    assert.strictEqual(memberText(line, "a"), "\"}{\\\"body\\\":1,\\\\\"")
  })

  it("takes the last of repeated members, and reads escapes in names", () => {
    assert.strictEqual(memberText("{\"body\":1,\"b\\u006fdy\":2}", "body"), "2")
    assert.strictEqual(memberText("{\"a\\\\b\":1,\"a\\b\":2}", "a\\b"), "1")
    assert.strictEqual(memberText("{\"__proto__\":[1]}", "__proto__"), "[1]")
  })

  it("finds what comes before the break of a broken text", () => {
    assert.strictEqual(memberText("{\"custom_id\":\"x-1\",\"response\":{\"body\":{\"a\":\"cut", "custom_id"), "\"x-1\"")
    assert.strictEqual(memberText("{\"custom_id\":\"x-1\",\"response\":{\"body\":{\"a\":\"cut", "response"), undefined)
    for (
      const text of [
        "",
        "{",
        "{\"",
        "{\"a",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":\"",
        "[1]",
        "null",
        "{\"a\" 1}",
        "{a:1}"
      ]
    ) {
      assert.strictEqual(memberText(text, "a"), undefined, text)
    }
  })

  it("does not mind depth", () => {
    const deep = `${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}`
    assert.strictEqual(memberText(`{"a":${deep},"b":1}`, "a"), deep)
    assert.strictEqual(memberText(`{"a":${deep},"b":1}`, "b"), "1")
  })

  it.prop(
    "agrees with JSON.parse",
    [
      FastCheck.dictionary(FastCheck.string({ unit: "binary" }), FastCheck.jsonValue()),
      FastCheck.constantFrom(0, 1, 4)
    ],
    ([object, indent]) => {
      const text = JSON.stringify(object, null, indent)
      const parsed = JSON.parse(text) as Record<string, unknown>
      for (const name of Object.keys(parsed)) {
        const found = memberText(text, name)
        assert.isDefined(found)
        assert.deepStrictEqual(JSON.parse(found ?? ""), parsed[name])
      }
    }
  )

  it.prop("never throws", [
    FastCheck.string({ unit: FastCheck.constantFrom("{", "}", "[", "]", "\"", "\\", ":", ",", "a", " ", "1") })
  ], ([text]) => {
    const found = memberText(text, "a")
    assert.isTrue(found === undefined || text.includes(found))
  })
})
