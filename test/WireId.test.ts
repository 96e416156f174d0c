import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Random from "effect/Random"
import * as WireId from "llm-batch/WireId"

describe("a run's tag", () => {
  it.effect("is ten characters that are safe everywhere, and drawn from Random", () =>
    Effect.gen(function*() {
      const draw = (seed: string) => Effect.withRandom(WireId.makeRunTag, Random.make(seed))
      const first = yield* draw("one")
      assert.match(first, /^[a-z0-9]{10}$/u)
      assert.strictEqual(yield* draw("one"), first)
      assert.notStrictEqual(yield* draw("two"), first)
    }))
})

describe("a wire id", () => {
  it("is the tag and the row", () => {
    assert.strictEqual(WireId.make("k3f9a2x7qd", 17), "k3f9a2x7qd-17")
    assert.match(WireId.make("k3f9a2x7qd", Number.MAX_SAFE_INTEGER), /^[a-zA-Z0-9_-]{1,64}$/u)
  })

  it.prop("gives its row back", [FastCheck.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })], ([row]) => {
    assert.strictEqual(WireId.rowOf("tag", WireId.make("tag", row)), row)
  })

  it("is nothing else", () => {
    const others = [
      "tag",
      "tag-",
      "tag-0",
      "tag-01",
      "tag--1",
      "tag-1.5",
      "tag-1e3",
      "tag-1 ",
      " tag-1",
      "tagg-1",
      "TAG-1",
      "ta-1"
    ]
    assert.deepStrictEqual(others.map((id) => WireId.rowOf("tag", id)), others.map(() => undefined))
    assert.isUndefined(WireId.rowOf("tag", "tag-9007199254740992"))
    assert.isUndefined(WireId.rowOf("tag", `tag-${"9".repeat(400)}`))
    assert.isUndefined(WireId.rowOf("tag", "tag-\u0661"))
  })
})

describe("a line of results", () => {
  const rowIn = (line: string) => WireId.rowInLine("tag", Buffer.from(line))

  it("names its row, wherever the id is in it", () => {
    assert.strictEqual(rowIn("{\"custom_id\":\"tag-12\",\"response\":null}"), 12)
    assert.strictEqual(rowIn("{\"text\":\"é\",\"custom_id\" : \"tag-3\"}"), 3)
  })

  it("names none when no id of this run is in it", () => {
    assert.isUndefined(rowIn(""))
    assert.isUndefined(rowIn("{\"custom_id\":\"gat-12\"}"))
    assert.isUndefined(rowIn("{\"custom_id\":\"tag-12"))
    assert.isUndefined(rowIn("{\"custom_id\":\"tag-twelve\"}"))
    assert.isUndefined(rowIn("{\"custom_id\":\"tag-\"}"))
    assert.isUndefined(rowIn("{\"custom_id\":\"tag-0\"}"))
    assert.isUndefined(rowIn("{\"custom_id\":\"tag-012\"}"))
    assert.isUndefined(rowIn("{\"custom_id\":\"tag-9007199254740993\"}"))
  })
})
