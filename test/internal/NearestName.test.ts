import { assert, describe, it } from "@effect/vitest"
import { nearestName } from "../../src/internal/NearestName.js"

describe("NearestName", () => {
  it("finds the name that was meant", () => {
    assert.strictEqual(nearestName("modle", ["mode", "model", "system"]), "model")
    assert.strictEqual(nearestName("txet", ["label", "text"]), "text")
    assert.strictEqual(nearestName("temprature", ["temperature", "top-p"]), "temperature")
    assert.strictEqual(nearestName("TEXT", ["text"]), "text")
    assert.strictEqual(nearestName("resum", ["run", "resume"]), "resume")
  })

  it("finds none where none is near", () => {
    assert.isUndefined(nearestName("banana", ["model", "system"]))
    assert.isUndefined(nearestName("x", ["y", "z"]))
    assert.isUndefined(nearestName("", ["a"]))
    assert.isUndefined(nearestName("model", []))
    assert.isUndefined(nearestName("a".repeat(10_000), ["a".repeat(9_999)]))
  })

  it("takes the nearest of several, and the first of equally near ones", () => {
    assert.strictEqual(nearestName("columm", ["columns", "column"]), "column")
    assert.strictEqual(nearestName("cat", ["bat", "rat"]), "bat")
  })
})
