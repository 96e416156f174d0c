import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { Shard } from "llm-batch/Shard"
import * as Tally from "llm-batch/Tally"
import { BlockWriter } from "../../src/internal/BlockWriter.js"
import * as Disk from "../../src/internal/Disk.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"
import { addPartTallies, type PartFile, PartMerge } from "../../src/internal/PartMerge.js"

/** A row of a part: its number, and its answer; or none, for a row that failed. */
type Row = readonly [row: number, answer: string | null]

const succeeded = ([row, answer]: Row) =>
  `{"id":null,"custom_id":"id ${row}","response":{"status_code":200,"request_id":null,"body":{"text":"${answer}"}},"error":null}`

const failed = (row: number, why: string) =>
  `{"id":null,"custom_id":"id ${row}","response":null,"error":{"code":"${why}","message":"so it is","outcome":"expired","retryable":true}}`

const record = (row: Row, why: string) =>
  row[1] === null
    ? `{"row":${row[0]},"line":${row[0] + 100},"outcome":"expired","result":${failed(row[0], why)}}\n`
    : `{"row":${row[0]},"line":${row[0] + 100},"outcome":"succeeded","result":${succeeded(row)}}\n`

const shard = (id: string, rows: ReadonlyArray<Row>, attempt: number) =>
  new Shard({
    id,
    directory: "/run",
    runTag: "tag",
    provider: "test",
    endpoint: "/v1/chat/completions",
    model: null,
    betas: [],
    rows: rows.length,
    bytes: 1,
    sha256: "",
    firstRow: rows[0]?.[0] ?? 1,
    lastRow: rows.at(-1)?.[0] ?? 1,
    attempt,
    parents: []
  })

interface Part {
  readonly rows: ReadonlyArray<Row>
  readonly attempt?: number
  /** What the file holds, where it is not those rows. */
  readonly content?: string
}

const merge = (parts: ReadonlyArray<Part>, rows: number, options: MemoryDisk.Options = {}) => {
  const memory = MemoryDisk.make(options)
  const files = parts.map(({ attempt, content, rows }, index): PartFile => {
    const id = String(index + 1).padStart(4, "0")
    const handle = memory.disk.open(`/${id}`, "write")
    Disk.writeAll(handle, Buffer.from(content ?? rows.map((row) => record(row, `failed in ${id}`)).join("")))
    handle.close()
    return { path: `/${id}`, shard: shard(id, rows, attempt ?? 1), batchId: `batch ${id}` }
  })
  const results = new BlockWriter(memory.disk.open("/results", "write"), 64)
  const failures = new BlockWriter(memory.disk.open("/failures", "write"), 64)
  const merging = new PartMerge(memory.disk, "/run", files, rows, results, failures)
  try {
    while (merging.step());
  } finally {
    merging.close()
  }
  results.flush()
  failures.flush()
  const read = (name: string) => (memory.files().get(name) ?? "").toString()
  return { results: read("/results"), failures: read("/failures"), tally: merging.tally }
}

const lines = (rows: ReadonlyArray<Row>) => rows.map((row) => `${succeeded(row)}\n`).join("")

/** The message of what a merge throws. */
const problem = (parts: ReadonlyArray<Part>, rows: number) => {
  try {
    merge(parts, rows)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return "nothing went wrong"
}

describe("a merge", () => {
  it("puts the rows of interleaved parts into input order", () => {
    const { failures, results, tally } = merge(
      [{ rows: [[1, "a"], [3, "c"], [6, "f"]] }, { rows: [[2, "b"], [5, "e"]] }, { rows: [[4, "d"]] }],
      6
    )
    assert.strictEqual(results, lines([[1, "a"], [2, "b"], [3, "c"], [4, "d"], [5, "e"], [6, "f"]]))
    assert.strictEqual(failures, "")
    assert.deepStrictEqual([tally.rows, tally.succeeded], [6, 6])
  })

  it("of nothing is nothing", () => {
    const { failures, results, tally } = merge([], 0)
    assert.deepStrictEqual([results, failures, tally.rows], ["", "", 0])
  })

  it("lists the rows without an answer, where they are in the input and why", () => {
    const { failures, results, tally } = merge([{ rows: [[1, "a"], [2, null]] }], 2)
    assert.strictEqual(results, `${succeeded([1, "a"])}\n${failed(2, "failed in 0001")}\n`)
    assert.strictEqual(
      failures,
      "{\"custom_id\":\"id 2\",\"row\":2,\"line\":102,\"outcome\":\"expired\",\"code\":\"failed in 0001\","
        + "\"message\":\"so it is\",\"retryable\":true,\"shard\":\"0001\",\"attempt\":1,\"batch_id\":\"batch 0001\"}\n"
    )
    assert.deepStrictEqual([tally.succeeded, tally.expired, tally.retryable], [1, 1, 1])
  })

  it("takes an answer before none, and of two the later attempt", () => {
    const { results, tally } = merge(
      [
        { rows: [[1, "first"], [2, null], [3, "first"], [4, null]] },
        { rows: [[2, "second"], [3, null], [4, null]], attempt: 2 },
        { rows: [[1, "third"], [4, null]], attempt: 3 }
      ],
      4
    )
    assert.strictEqual(
      results,
      `${succeeded([1, "third"])}\n${succeeded([2, "second"])}\n${succeeded([3, "first"])}\n${
        failed(4, "failed in 0003")
      }\n`
    )
    assert.deepStrictEqual([tally.rows, tally.succeeded, tally.expired], [4, 3, 1])
  })

  it("takes an answer that fits before one that does not, that before none, and of equals the latest", () => {
    const outcomes: Record<string, string> = {
      fits: succeeded([1, "fits"]),
      misfits:
        `{"id":null,"custom_id":"id 1","response":{"body":{}},"error":{"code":"invalid_answer","message":"$: no",`
        + `"outcome":"invalid","retryable":false,"repairable":true}}`,
      none: failed(1, "none")
    }
    const names: Record<string, string> = { fits: "succeeded", misfits: "invalid", none: "expired" }
    const part = (name: string, attempt: number): Part => {
      const line = outcomes[name]?.replace("\"id\":null", `"id":${attempt}`) ?? ""
      const content = `{"row":1,"line":101,"outcome":"${names[name]}","result":${line}}\n`
      return { rows: [[1, null]], attempt, content }
    }
    const winner = (...attempts: ReadonlyArray<string>) =>
      Number(/"id":(\d)/.exec(merge(attempts.map((name, index) => part(name, index + 1)), 1).results)?.[1])
    assert.strictEqual(winner("fits", "misfits", "none"), 1)
    assert.strictEqual(winner("none", "misfits", "none"), 2)
    assert.strictEqual(winner("misfits", "fits"), 2)
    assert.strictEqual(winner("misfits", "misfits", "none"), 2)
    assert.strictEqual(winner("none", "none"), 2)
    const { failures, tally } = merge([part("none", 1), part("misfits", 2)], 1)
    assert.strictEqual(
      failures,
      "{\"custom_id\":\"id 1\",\"row\":1,\"line\":101,\"outcome\":\"invalid\",\"code\":\"invalid_answer\","
        + "\"message\":\"$: no\",\"retryable\":false,\"repairable\":true,\"shard\":\"0002\",\"attempt\":2,"
        + "\"batch_id\":\"batch 0002\"}\n"
    )
    assert.deepStrictEqual([tally.invalid, tally.repairable, tally.retryable], [1, 1, 0])
  })

  it.prop(
    "gives every row once, however the rows are spread over parts",
    [
      FastCheck.array(FastCheck.integer({ min: 0, max: 6 }), { maxLength: 60 }),
      FastCheck.integer({ min: 1, max: 500 })
    ],
    ([places, longestRead]) => {
      const parts = Array.from({ length: 7 }, (_, part): Part => ({
        rows: places.flatMap((place, index): ReadonlyArray<Row> => place === part ? [[index + 1, `by ${part}`]] : [])
      })).filter(({ rows }) => rows.length > 0)
      const { results } = merge(parts, places.length, { longestRead })
      assert.strictEqual(results, lines(places.map((place, index) => [index + 1, `by ${place}`])))
    }
  )
})

describe("parts that do not fit together", () => {
  it("are named", () => {
    assert.include(
      problem([{ rows: [[1, "a"], [3, "c"]] }], 3),
      "/run: no file in parts holds a result of row 2. Make them anew with: llm-batch normalize /run"
    )
    assert.include(problem([{ rows: [[1, "a"]] }], 2), "no file in parts holds a result of row 2")
    const unreadable = "/0001: shard 0001 is not as it was built: its part holds a line that is no result of a row"
    for (const content of ["x\n", "{\"row\":1}\n", "\n", record([1, "a"], "").slice(0, 30)]) {
      assert.include(problem([{ rows: [[1, "a"]], content }], 1), unreadable)
    }
    assert.include(
      problem([{ rows: [[1, "a"]], content: record([1, null], "x").replace("\"error\":{", "\"mistake\":{") }], 1),
      "the result of row 1 has neither answer nor error"
    )
    assert.include(
      problem([{ rows: [[1, "a"]], content: record([2, "b"], "") }], 1),
      "no file in parts holds a result of row 1"
    )
  })
})

describe("a part that cannot be read from its start", () => {
  it("is closed, like all others", () => {
    const memory = MemoryDisk.make()
    const open = new Set<string>()
    const disk: Disk.Service = {
      ...memory.disk,
      open: (path, mode) => {
        const handle = memory.disk.open(path, mode)
        open.add(path)
        return {
          ...handle,
          close: () => {
            open.delete(path)
            handle.close()
          }
        }
      }
    }
    const files = [1, 2].map((row): PartFile => {
      const path = `/000${row}`
      const handle = memory.disk.open(path, "write")
      Disk.writeAll(handle, Buffer.from(record([row, "a"], "")))
      handle.close()
      return { path, shard: shard(`000${row}`, [[row, "a"]], 1), batchId: null }
    })
    const nowhere = () => new BlockWriter(memory.disk.open("/nowhere", "write"), 64)
    for (let count = 1; count <= 2; count++) {
      const merging = new PartMerge(disk, "/run", files, 2, nowhere(), nowhere())
      // Each part is read twice: what it has, and its end.
      memory.failOnce({ operation: "read", count: 2 * count - 1, code: "EIO" })
      assert.throws(() => {
        while (merging.step());
      }, "EIO")
      merging.close()
      assert.deepStrictEqual([...open], [])
    }
  })
})

describe("the tally of a merge", () => {
  it("has from the parts what was paid for and what was odd", () => {
    const part = new Tally.Tally({
      ...Tally.empty,
      rows: 5,
      succeeded: 4,
      refused: 1,
      truncated: 2,
      retryable: 9,
      duplicateLines: 3,
      conflictingLines: 4,
      unexpectedLines: 5,
      malformedLines: 6,
      tokens: new Tally.TokenCount({ prompt: 10, completion: 20, cached: 3, reasoning: 4 })
    })
    const merged = Tally.makeMutable()
    addPartTallies(merged, [part, part])
    assert.deepStrictEqual(merged, {
      ...Tally.makeMutable(),
      refused: 2,
      truncated: 4,
      duplicateLines: 6,
      conflictingLines: 8,
      unexpectedLines: 10,
      malformedLines: 12,
      tokens: { prompt: 20, completion: 40, cached: 6, reasoning: 8 }
    })
  })
})
