import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { AlikeBodies, frameOf, frozen } from "../../src/internal/AlikeBodies.js"

const scalar = FastCheck.oneof(FastCheck.string(), FastCheck.integer(), FastCheck.boolean(), FastCheck.constant(null))
const settings = FastCheck.dictionary(
  FastCheck.oneof(FastCheck.constantFrom("model", "n", "1", "__proto__"), FastCheck.string({ maxLength: 2 })),
  FastCheck.oneof(scalar, FastCheck.constantFrom(undefined))
)

describe("AlikeBodies", () => {
  it.prop(
    "has the text around a member",
    [FastCheck.dictionary(FastCheck.string(), FastCheck.jsonValue()), settings, FastCheck.jsonValue()],
    ([before, after, messages]) => {
      const body = { ...before, messages, ...after }
      const { head, tail } = frameOf(body, "messages")
      assert.strictEqual(head + JSON.stringify(body.messages) + tail, JSON.stringify(body))
    }
  )

  it.prop("finds what was kept for the same members in the same order, and nothing else", [
    settings,
    settings,
    FastCheck.boolean()
  ], ([one, other, first]) => {
    const bodies = new AlikeBodies<string>("messages")
    const bodyOf = (settings: object, messages: unknown) =>
      first ? { messages, ...settings } : { ...settings, messages }
    const asText = (settings: object) =>
      JSON.stringify(Object.entries(settings).map(([name, value]) => [name, value ?? String(value)]))
    assert.isUndefined(bodies.find(bodyOf(one, [1])))
    bodies.keep(bodyOf(one, [1]), "kept")
    assert.strictEqual(bodies.find(bodyOf({ ...one }, [2])), "kept")
    assert.strictEqual(bodies.find(bodyOf(other, [1])), asText(one) === asText(other) ? "kept" : undefined)
    assert.isUndefined(bodies.find({ ...bodyOf(one, [1]), more: 1 }))
  })

  it("keeps several kinds, and lets go of the oldest", () => {
    const bodies = new AlikeBodies<number>("messages")
    for (let seed = 0; seed < 20; seed++) bodies.keep({ seed, messages: [] }, seed)
    assert.deepStrictEqual(
      [0, 11, 12, 15, 19].map((seed) => bodies.find({ seed, messages: [] })),
      [undefined, undefined, 12, 15, 19]
    )
  })

  it("knows an object by nothing but its identity, and only where it cannot change", () => {
    const bodies = new AlikeBodies<string>("messages")
    const tools = [{ type: "function" }]
    bodies.keep({ tools, messages: [] }, "kept")
    assert.isUndefined(bodies.find({ tools, messages: [] }))
    const lasting = frozen(tools)
    assert.deepStrictEqual(lasting, tools)
    bodies.keep({ tools: lasting, messages: [] }, "kept")
    assert.strictEqual(bodies.find({ tools: lasting, messages: [] }), "kept")
    assert.isUndefined(bodies.find({ tools: frozen(tools), messages: [] }))
  })

  it("freezes at any depth", () => {
    const inner = { b: 1 }
    const value = frozen([inner])
    assert.isTrue(Object.isFrozen(value))
    assert.isTrue(Array.isArray(value) && value.every(Object.isFrozen))
    assert.isFalse(Object.isFrozen(inner), "what was given is left as it is")
    assert.strictEqual(frozen("text"), "text")
    assert.isUndefined(frozen(undefined))
  })
})
