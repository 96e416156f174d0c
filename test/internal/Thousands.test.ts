import { assert, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { thousands } from "../../src/internal/Thousands.js"

it("writes whole numbers as the locale does", () => {
  FastCheck.assert(FastCheck.property(FastCheck.maxSafeInteger(), (count) => {
    assert.strictEqual(thousands(count), count.toLocaleString("en"))
  }))
  assert.strictEqual(thousands(1_234_567), "1,234,567")
  assert.strictEqual(thousands(999), "999")
})
