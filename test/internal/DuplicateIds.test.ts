import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as DuplicateIds from "../../src/internal/DuplicateIds.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"

const directory = "/run/ids.tmp"

interface Row {
  readonly id: string
  readonly line: number
}

const check = (ids: DuplicateIds.DuplicateIds): DuplicateIds.Duplicate | undefined => {
  const checking = ids.check()
  for (;;) {
    const step = checking.next()
    if (step.done === true) return step.value
  }
}

const search = (rows: ReadonlyArray<Row>, limits?: Partial<DuplicateIds.Limits>) => {
  const disk = MemoryDisk.make().disk
  const ids = DuplicateIds.make(directory, disk, limits)
  for (const { id, line } of rows) {
    const firstLine = ids.add(id, line)
    if (firstLine !== undefined) {
      ids.close()
      return { id, firstLine, secondLine: line }
    }
  }
  const found = check(ids)
  ids.close()
  assert.isUndefined(disk.stat(directory), "nothing is left on disk")
  return found
}

const hasDuplicate = (rows: ReadonlyArray<Row>) => new Set(rows.map((row) => row.id)).size < rows.length

const onLines = (...ids: ReadonlyArray<string>): ReadonlyArray<Row> => ids.map((id, index) => ({ id, line: index + 1 }))

describe("DuplicateIds", () => {
  it("tells both lines of an id that occurs twice", () => {
    assert.deepStrictEqual(search(onLines("a", "b", "c", "b")), { id: "b", firstLine: 2, secondLine: 4 })
    assert.isUndefined(search(onLines("a", "b", "c")))
    assert.isUndefined(search([]))
  })

  it("tells them too when the ids went to disk", () => {
    const rows = onLines(...Array.from({ length: 5_000 }, (_, index) => `item-${index}`), "item-4321")
    assert.deepStrictEqual(search(rows, { ids: 10, ranges: 10 }), {
      id: "item-4321",
      firstLine: 4_322,
      secondLine: 5_001
    })
    assert.isUndefined(search(rows.slice(0, -1), { ids: 10, ranges: 10 }))
    assert.strictEqual(search(rows, { bytes: 100, ranges: 10 })?.firstLine, 4_322)
    assert.isUndefined(search(rows.slice(0, -1), { bytes: 100, ranges: 10 }))
  })

  it("tells them when they are far more than its buffers hold, or longer", () => {
    const long = Array.from({ length: 6_000 }, (_, index) => `${"x".repeat(2_000)}${index}`)
    const longer = "y".repeat(50_000)
    const limits = { ids: 0, ranges: 0 }
    assert.isUndefined(search(onLines(...long, longer), limits))
    assert.deepStrictEqual(search(onLines(longer, ...long, longer), limits), {
      id: longer,
      firstLine: 1,
      secondLine: 6_002
    })
    assert.strictEqual(search(onLines(...long, long[7] ?? ""), limits)?.firstLine, 8)
  })

  it("finds an explicit id that is another row's number, before it or after it", () => {
    assert.deepStrictEqual(search(onLines("1", "2", "x", "2")), { id: "2", firstLine: 2, secondLine: 4 })
    assert.deepStrictEqual(search(onLines("3", "2", "3")), { id: "3", firstLine: 1, secondLine: 3 })
    assert.isUndefined(search(onLines("1", "2", "1.5", "02", "2.0", "1e0")))
  })

  it("takes ids of any kind as they are", () => {
    const odd = [
      "__proto__",
      "constructor",
      "../x",
      "a/b",
      "\u0000",
      "\n",
      " ",
      "\ud83d\ude00",
      "\u00e9",
      "e\u0301",
      "\ud800"
    ]
    for (const ids of [200, 0]) {
      assert.isUndefined(search(onLines(...odd), { ids, ranges: 10 }))
      for (const id of odd) {
        assert.deepStrictEqual(search(onLines(...odd, id), { ids, ranges: 10 }), {
          id,
          firstLine: odd.indexOf(id) + 1,
          secondLine: odd.length + 1
        })
      }
    }
  })

  it("keeps nothing of rows that have their number as id", () => {
    const disk = MemoryDisk.make().disk
    const ids = DuplicateIds.make(directory, disk, { ids: 0, ranges: 1 })
    for (let row = 1; row <= 100_000; row++) assert.isUndefined(ids.add(String(row), row + 1))
    assert.isUndefined(disk.stat(directory))
    assert.isUndefined(check(ids))
  })

  it("begins with an empty directory, whatever was left there", () => {
    const disk = MemoryDisk.make().disk
    const left = DuplicateIds.make(directory, disk, { ids: 0, ranges: 0 })
    for (let line = 1; line <= 1_000; line++) left.add(`item-${line}`, line)
    assert.isUndefined(check(left))
    const ids = DuplicateIds.make(directory, disk, { ids: 0, ranges: 0 })
    for (let line = 1; line <= 1_000; line++) ids.add(`item-${line}`, line)
    assert.isUndefined(check(ids))
  })

  const id = FastCheck.oneof(FastCheck.integer({ min: 1, max: 12 }).map(String), FastCheck.constantFrom("a", "b", "c"))
  const rows = FastCheck.array(FastCheck.tuple(FastCheck.option(id), FastCheck.integer({ min: 1, max: 3 })), {
    maxLength: 14
  }).map((parts) => {
    let line = 0
    return parts.map(([id, lines], index) => ({ id: id ?? String(index + 1), line: line += lines }))
  })

  it.prop(
    "finds a duplicate where there is one, whatever fits in memory",
    [rows, FastCheck.nat(4), FastCheck.nat(3)],
    ([rows, ids, ranges]) => {
      const found = search(rows, { ids, ranges })
      const lines = rows.filter((row) => row.id === found?.id).map((row) => row.line)
      assert.strictEqual(found === undefined, !hasDuplicate(rows))
      if (found !== undefined) {
        assert.isBelow(found.firstLine, found.secondLine)
        assert.includeMembers(lines, [found.firstLine, found.secondLine])
      }
    },
    { fastCheck: { numRuns: 500 } }
  )
})
