import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as CsvRows from "../../src/internal/CsvRows.js"
import { RowErrors } from "../../src/internal/RowErrors.js"
import { cutAt } from "../Blocks.js"

type Seen = readonly [line: number, ...fields: ReadonlyArray<unknown>]

/** The records of a table, then the error that ended it, if one did. */
const read = (
  bytes: Uint8Array | string,
  options: {
    readonly format?: "csv" | "tsv"
    readonly columns?: ReadonlyArray<string>
    readonly cuts?: ReadonlyArray<number>
  } = {}
): ReadonlyArray<Seen | string> => {
  const seen: Array<Seen | string> = []
  const errors = new RowErrors("in")
  const reader = CsvRows.make(
    errors,
    options.format ?? "csv",
    options.columns ?? null,
    (record) => seen.push([errors.line, ...Object.values(record)])
  )
  try {
    for (const block of cutAt(Buffer.from(bytes), options.cuts ?? [])) reader.push(block)
    reader.end()
  } catch (error) {
    seen.push(error instanceof Error ? error.message : "no error")
  }
  return seen
}

const quote = (field: string) =>
  /[",\n\r]/.test(field) || field.trim() === "" ? `"${field.replaceAll("\"", "\"\"")}"` : field

const write = (rows: ReadonlyArray<ReadonlyArray<string>>, newline: string) =>
  rows.map((fields) => fields.map(quote).join(",") + newline).join("")

describe("CsvRows", () => {
  it("reads fields with commas, quotes and newlines", () => {
    assert.deepStrictEqual(
      read("a,b\n1,\"x, \"\"y\"\"\"\n\"two\nlines\",\"\"\n3,z\n"),
      [[2, "1", "x, \"y\""], [3, "two\nlines", ""], [5, "3", "z"]]
    )
  })

  it("takes CRLF, a byte order mark, blank lines and a last line without a newline", () => {
    assert.deepStrictEqual(
      read("\ufeffa,b\r\n\r\n1,\"x\"\r\n  \n2,y\r\n3,\"z\r\n\"\r\n4,w"),
      [[3, "1", "x"], [5, "2", "y"], [6, "3", "z\r\n"], [8, "4", "w"]]
    )
  })

  it("leaves quotes inside an unquoted field alone", () => {
    assert.deepStrictEqual(read("a,b\n5\" pipe,the \"big\" one\n"), [[2, "5\" pipe", "the \"big\" one"]])
  })

  it("names columns by the first line, or by those given", () => {
    const errors = new RowErrors("in")
    const records: Array<unknown> = []
    const reader = CsvRows.make(errors, "csv", null, (record) => records.push(record))
    reader.push(Buffer.from("id, my text ,\"q,r\"\n1,2,3\n"))
    reader.end()
    assert.deepStrictEqual(records, [{ id: "1", "my text": "2", "q,r": "3" }])
    assert.deepStrictEqual(read("1,x\n2,y\n", { columns: ["a", "b"] }), [[1, "1", "x"], [2, "2", "y"]])
    assert.deepStrictEqual(read("a,b\n"), [])
    assert.deepStrictEqual(read(""), [])
  })

  it("keeps columns of any name", () => {
    const records: Array<string> = []
    const reader = CsvRows.make(
      new RowErrors("in"),
      "csv",
      null,
      (record) => records.push(JSON.stringify(record))
    )
    reader.push(Buffer.from("__proto__,constructor\nx,y\n"))
    reader.end()
    assert.deepStrictEqual(records, ["{\"__proto__\":\"x\",\"constructor\":\"y\"}"])
  })

  it("tells an empty field of a table with one column from a blank line", () => {
    assert.deepStrictEqual(read("a\nx\n\n\"\"\ny\n"), [[2, "x"], [4, ""], [5, "y"]])
  })

  it("says what is wrong, and where", () => {
    assert.deepStrictEqual(read("a,a\n1,2\n"), [
      "in:1: two columns are called a. Give every column a name of its own in the first line, or give all names with "
      + "--columns."
    ])
    assert.include(read("a,,c\n1,2,3\n")[0], "in:1: column 2 has no name")
    assert.include(read("1\n", { columns: ["a", "a"] })[0], "two columns are called a")
    assert.deepStrictEqual(read("a,b\n1,2\n1,2,3\n"), [
      [2, "1", "2"],
      "in:3: the record has 3 fields, and there are 2 columns: a, b. Put double quotes around a field that holds a "
      + "comma, a quote or a newline."
    ])
    assert.include(read("a,b\n1\n")[0], "in:2: the record has 1 field, and there are 2 columns")
    assert.include(read("a,b\n1,x\n2,\"y\n3,z\n")[1], "in:3: a quoted field begins in this record and is never closed")
    assert.include(
      read("a,b\n1,\"x\ny\" z\n")[0],
      "in:2:3: the quoted field that begins here goes on after its closing"
    )
    assert.include(read("a,b\n\"x\ny\",\"z\" w\n")[0], "in:3:4: the quoted field that begins here goes on")
  })

  it("refuses bytes that are not UTF-8, with their line and column", () => {
    const latin1 = Buffer.from("a,b\n1,\"x\n\u00e9\"\n", "latin1")
    assert.deepStrictEqual(read(latin1), [
      "in:3:1: the byte 0xe9 is not UTF-8. Save the input as UTF-8, for example with: "
      + "iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW_FILE"
    ])
    assert.include(read(Buffer.from("a,b\n1,\u00e4\u00e9", "latin1"), { cuts: [7] })[0], "in:2:3: the byte 0xe4")
    assert.include(read(Buffer.from("\ufeffa,b\n", "utf16le"))[0], "iconv -f UTF-16 ")
    assert.deepStrictEqual(read("a\n\ufffd\n"), [[2, "\ufffd"]])
  })

  it("reads TSV without quoting", () => {
    assert.deepStrictEqual(
      read("a\tb\r\n1\t\"Hi\" she said\n\n2\t\"open\n3\tx, y", { format: "tsv" }),
      [[2, "1", "\"Hi\" she said"], [4, "2", "\"open"], [5, "3", "x, y"]]
    )
    assert.include(read("a\tb\n1\t2\t3\n", { format: "tsv" })[0], "Fields of a TSV hold no tab and no newline")
    assert.include(read(Buffer.from("a\tb\n1\t\u00e9\n", "latin1"), { format: "tsv" })[0], "in:2:3: the byte 0xe9")
  })

  it("reads records far larger than a block", () => {
    const long = "x\n".repeat(300_000)
    const text = `a,b\n1,"${long}"\n2,y\n`
    const cuts = Array.from({ length: 600 }, (_, index) => index * 1_000)
    assert.deepStrictEqual(read(text, { cuts }), [[2, "1", long], [300_003, "2", "y"]])
  })

  const field = FastCheck.array(
    FastCheck.constantFrom("a", ",", "\"", "\n", "\r", " ", "\u00e4", "\ud83d\ude00", "\t"),
    {
      maxLength: 5
    }
  ).map((parts) => parts.join(""))
  const rows = FastCheck.integer({ min: 1, max: 3 }).chain((width) =>
    FastCheck.array(FastCheck.array(field, { minLength: width, maxLength: width }), { maxLength: 5 })
  )

  it.prop(
    "gives back what was written, wherever the blocks are cut",
    [rows, FastCheck.constantFrom("\n", "\r\n"), FastCheck.array(FastCheck.nat(120))],
    ([rows, newline, cuts]) => {
      const columns = (rows[0] ?? []).map((_, index) => `c${index}`)
      const seen = read(write(rows, newline), { columns, cuts })
      assert.deepStrictEqual(seen.map((record) => typeof record === "string" ? record : record.slice(1)), rows)
    },
    { fastCheck: { numRuns: 2_000 } }
  )

  const text = FastCheck.array(FastCheck.constantFrom("a", ",", "\"", "\n", "\r\n", " ", "\u00e4"), { maxLength: 25 })
    .map((parts) => parts.join(""))

  it.prop(
    "says the same of any text, wherever the blocks are cut",
    [text, FastCheck.array(FastCheck.nat(30))],
    ([text, cuts]) => assert.deepStrictEqual(read(text, { cuts }), read(text)),
    { fastCheck: { numRuns: 3_000 } }
  )
})
