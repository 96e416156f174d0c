import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as Either from "effect/Either"
import * as Catalogue from "../../src/job/Catalogue.js"

const parse = (document: string) => Either.getOrThrow(Catalogue.parse("en.json", document))

const keysAndTexts = (document: string) => parse(document).items.map(({ key, text }) => [key, text])

const shout = (document: string) => Catalogue.render(parse(document), ({ text }) => text.toUpperCase())

describe("Catalogue", () => {
  it("gives the texts with their keys, in order, and passes over what is no text", () => {
    assert.deepStrictEqual(
      keysAndTexts(
        `{"b": {"10": "x", "2": "y"}, "n": 1, "list": ["p", {"q": "r"}, 2, "s"], "": "e", "__proto__": "z"}`
      ),
      [["b.10", "x"], ["b.2", "y"], ["list.0", "p"], ["list.1.q", "r"], ["list.3", "s"], ["", "e"], ["__proto__", "z"]]
    )
  })

  it("keeps dots in flat keys, and tells keys apart that would come out the same", () => {
    assert.deepStrictEqual(keysAndTexts(`{"app.title": "x", "app.sub.title": "y"}`), [
      ["app.title", "x"],
      ["app.sub.title", "y"]
    ])
    assert.deepStrictEqual(keysAndTexts(`{"a.b": "x", "a": {"b": "y", "c": "z"}, "~/": {".": "w"}}`), [
      ["/a.b", "x"],
      ["/a/b", "y"],
      ["a.c", "z"],
      ["~/..", "w"]
    ])
    const keys = keysAndTexts(`{"a.b": "1", "a": {"b": "2"}, "/a/b": "3"}`).map(([key]) => key)
    assert.strictEqual(new Set(keys).size, 3)
  })

  it("changes nothing but texts", () => {
    const document =
      "\uFEFF{ \"b\" :\t\"x\\u00e9\\\"{\" ,\r\n  \"n\":1.0,\"big\": 12345678901234567890, \"e\" : \"\", \"a\":[ \"y\" ] }"
    assert.strictEqual(
      shout(document),
      "\uFEFF{ \"b\" :\t\"XÉ\\\"{\" ,\r\n  \"n\":1.0,\"big\": 12345678901234567890, \"e\" : \"\", \"a\":[ \"Y\" ] }"
    )
    assert.strictEqual(Catalogue.render(parse(document), () => undefined), document)
    assert.strictEqual(Catalogue.render(parse(document), ({ text }) => text), document)
  })

  const mapped = (value: unknown): unknown => {
    if (typeof value === "string") return value.toUpperCase()
    if (Array.isArray(value)) return value.map(mapped)
    if (typeof value !== "object" || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, mapped(member)]))
  }

  const documents = FastCheck.tuple(
    FastCheck.dictionary(FastCheck.string(), FastCheck.jsonValue(), { noNullPrototype: true }),
    FastCheck.constantFrom(undefined, 2, "\t")
  )

  it.prop("is the document with every text replaced, and every key told apart, whatever it holds", [documents], ([
    [value, indentation]
  ]) => {
    const document = JSON.stringify(value, null, indentation)
    const { items } = parse(document)
    assert.strictEqual(new Set(items.map(({ key }) => key)).size, items.length)
    assert.strictEqual(shout(document), JSON.stringify(mapped(JSON.parse(document)), null, indentation))
  })
})
