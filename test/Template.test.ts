import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as Either from "effect/Either"
import * as Template from "llm-batch/Template"

const fill = (
  text: string,
  record: { readonly [name: string]: unknown },
  values: { readonly [name: string]: string } = {}
): string =>
  Template.render(Either.getOrThrow(Template.parse("--prompt", text)), record, values, (name) => `<no ${name}>`)

const errorOf = (text: string): string =>
  Either.match(Template.parse("--prompt", text), { onLeft: (error) => error.message, onRight: () => "no error" })

describe("Template", () => {
  it("fills in columns, with or without spaces around the name", () => {
    assert.strictEqual(fill("Is this spam? {{text}}", { text: "Win!" }), "Is this spam? Win!")
    assert.strictEqual(fill("{{ a }}{{b}}-{{a}}", { a: "1", b: "2" }), "12-1")
    assert.strictEqual(fill("{{Review text}}", { "Review text": "fine" }), "fine")
    assert.strictEqual(fill("no variables", {}), "no variables")
  })

  it("writes every kind of value as text", () => {
    const record = { number: 0.5, yes: true, nothing: null, list: [1, "a"], object: { a: 1 }, empty: "" }
    assert.strictEqual(
      fill("{{number}}|{{yes}}|{{nothing}}|{{list}}|{{object}}|{{empty}}", record),
      "0.5|true||[1,\"a\"]|{\"a\":1}|"
    )
  })

  it("reaches into objects by dots, a column of that very name first", () => {
    const record = { user: { name: "Ann", tags: ["x", "y"] }, "user.age": 7 }
    assert.strictEqual(fill("{{user.name}} {{user.tags.1}} {{user.age}}", record), "Ann y 7")
    assert.strictEqual(fill("{{user.name.first}}", record), "<no user.name.first>")
  })

  it("takes the row's own column before a value for all rows", () => {
    assert.strictEqual(fill("{{a}}{{b}}", { a: "row" }, { a: "all", b: "all" }), "rowall")
  })

  it("knows own columns only, whatever they are called", () => {
    assert.strictEqual(fill("{{constructor}} {{toString}}", {}), "<no constructor> <no toString>")
    const record: unknown = JSON.parse("{\"__proto__\": \"data\"}")
    assert.strictEqual(fill("{{__proto__}}", Object(record)), "data")
  })

  it("leaves single braces alone and takes four for two", () => {
    assert.strictEqual(fill("{\"text\": \"{{text}}\"}", { text: "x" }), "{\"text\": \"x\"}")
    assert.strictEqual(fill("{{{{text}}", { text: "x" }), "{{text}}")
    assert.strictEqual(fill("{{{text}}}", { text: "x" }), "{x}")
    assert.strictEqual(fill("{{{{{{text}}", { text: "x" }), "{{x")
  })

  it("does not look into what it filled in", () => {
    assert.strictEqual(fill("{{a}}", { a: "{{b}}", b: "no" }), "{{b}}")
  })

  it("says where a template is wrong", () => {
    assert.strictEqual(
      errorOf("Is this\nspam? {{text"),
      "--prompt:2:7: a variable is opened with {{ and never closed. Close it with }}, or write {{{{ for {{."
    )
    assert.include(errorOf("{{ }}"), "--prompt:1:1: {{ }} names no variable")
    assert.include(errorOf("{{a {b}}"), "is not the name of a variable")
  })

  it.prop(
    "text without double braces is itself",
    [FastCheck.string().map((text) => text.replaceAll("{{", "{"))],
    ([text]) => {
      FastCheck.pre(!text.includes("{{"))
      assert.strictEqual(fill(text, {}), text)
    }
  )

  it.prop("any text survives escaping", [FastCheck.string()], ([text]) => {
    assert.strictEqual(fill(text.replaceAll("{{", "{{{{"), {}), text)
  })
})
