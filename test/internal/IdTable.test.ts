import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { IdTable, textOf } from "../../src/internal/IdTable.js"

/** Any UTF-16 at all, halves of surrogate pairs among it. */
const text = FastCheck.oneof(
  FastCheck.array(FastCheck.nat(0xffff), { maxLength: 6 }).map((units) => String.fromCharCode(...units)),
  FastCheck.string({ maxLength: 3 }),
  FastCheck.integer({ min: 1, max: 20 }).map((count) => "x".repeat(count * 1_000))
)

describe("IdTable", () => {
  it.prop("is a map", [FastCheck.array(text)], ([texts]) => {
    const table = new IdTable()
    const map = new Map<string, number>()
    texts.forEach((text, number) => {
      assert.strictEqual(table.find(text), map.get(text))
      if (map.has(text)) return
      table.add(number)
      map.set(text, number)
    })
    assert.strictEqual(table.size, map.size)
    for (const [text, number] of map) assert.strictEqual(table.find(text), number)
  })

  it("has room for many", () => {
    const table = new IdTable()
    for (let number = 0; number < 20_000; number++) {
      assert.isUndefined(table.find(`item-${number}`))
      table.add(number)
    }
    for (let number = 0; number < 20_000; number++) assert.strictEqual(table.find(`item-${number}`), number)
    assert.isUndefined(table.find("item-20000"))
  })

  const bytesOf = (text: string): Uint8Array => {
    const table = new IdTable()
    table.find(text)
    const bytes = new Uint8Array(table.soughtBytes + 2)
    table.copySought(bytes, 1)
    return bytes
  }

  it.prop("gives the bytes of what it looked for, by which another finds it", [text, text], ([text, other]) => {
    const [bytes, others] = [bytesOf(text), bytesOf(other)]
    assert.strictEqual(textOf(bytes, 1, bytes.length - 1), text)
    const table = new IdTable()
    table.find(text)
    table.add(7)
    assert.strictEqual(table.findBytes(bytes, 1, bytes.length - 1), 7)
    assert.strictEqual(table.findBytes(others, 1, others.length - 1), other === text ? 7 : undefined)
  })

  it("is empty when it was cleared", () => {
    const table = new IdTable()
    table.find("a")
    table.add(1)
    table.clear()
    assert.strictEqual(table.size, 0)
    assert.isUndefined(table.find("a"))
    table.add(2)
    assert.strictEqual(table.find("a"), 2)
  })
})
