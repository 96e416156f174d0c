import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import type * as Cost from "llm-batch/Cost"
import * as Model from "llm-batch/Model"
import type { Failed, Outcome } from "llm-batch/Outcome"
import type { BadLine, DecodedLine } from "llm-batch/Provider"
import { isJsonObject } from "llm-batch/Request"
import { Shard } from "llm-batch/Shard"
import { BlockWriter } from "../../src/internal/BlockWriter.js"
import { parse } from "../../src/internal/JsonText.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"
import { contiguousIndex, type Judge, ResultSorter, sparseIndex } from "../../src/internal/ResultSorter.js"
import { ShardMeter } from "../../src/internal/ShardMeter.js"

const shard = (firstRow: number, rows: number) =>
  new Shard({
    id: "0001",
    directory: "/run",
    runTag: "tag",
    provider: "test",
    endpoint: "/v1/chat/completions",
    model: null,
    betas: [],
    rows,
    bytes: 1,
    sha256: "",
    firstRow,
    lastRow: firstRow + rows - 1,
    attempt: 1,
    parents: []
  })

const absent: Failed = {
  outcome: "missing",
  id: null,
  code: "missing",
  message: "nothing speaks of it",
  retryable: true,
  response: null
}

/** What the rows of a shard ask for, and how. */
interface Asked {
  readonly asked?: string | null
  readonly mode?: Shard["mode"]
}

/** Lines of these tests are `{"id": <wire id>, "text": <answer>}`, or have their body's text as `bodyText`. */
const decode = (text: string): Either.Either<DecodedLine, BadLine> => {
  const line: unknown = parse(text)
  if (!isJsonObject(line) || typeof line["id"] !== "string") return Either.left({ wireId: null, problem: "no id" })
  const { bodyText, failed, model, refused, text: answer, truncated, usage } = line
  const body = { text: answer, model, ...(usage === undefined ? undefined : { usage }) }
  if (failed === true) {
    const response = { statusCode: 200, requestId: null, body }
    return Either.right({ wireId: line["id"], outcome: { ...absent, outcome: "errored", code: "failed", response } })
  }
  const outcome: Outcome = {
    outcome: "succeeded",
    id: "line",
    statusCode: 200,
    requestId: "req",
    body,
    refused: refused === true,
    truncated: truncated === true,
    ...(typeof bodyText === "string" ? { bodyText } : undefined)
  }
  return Either.right({ wireId: line["id"], outcome })
}

/** A model that costs one picodollar for each token that it reads, and 1,000 for each that it writes. */
const priced = (name: string): Model.Model =>
  new Model.Model({
    ...Model.unknown(name, "test"),
    prices: new Model.Prices({
      input: 0.000001,
      output: 0.001,
      cacheRead: null,
      cacheWrite5m: null,
      cacheWrite1h: null,
      long: null,
      batchFactor: 1,
      source: "test"
    })
  })

/** A sorter of the rows 1 to `rows`, and what it writes. */
const setUp = (rows: number, { asked = null, mode = "batch" }: Asked, careful: boolean) => {
  const memory = MemoryDisk.make()
  const open = (path: string) => new BlockWriter(memory.disk.open(path, "write"), 32)
  const [raw, part, anomalies] = [open("/raw"), open("/part"), open("/anomalies")]
  const all = new Shard({ ...shard(1, rows), model: asked, mode })
  const meter = new ShardMeter(Model.make([priced("alpha"), priced("beta")]).find, all)
  const sorter = new ResultSorter(all, contiguousIndex(all), decode, anomalies, meter, careful)
  const source = { name: "raw.jsonl", isRepeat: false, reader: memory.disk.open("/raw", "read"), copy: raw }
  const accept = (line: string, lineNumber: number) => sorter.accept(Buffer.from(line), source, lineNumber, 0)
  /** Gives every row, and then what was written. */
  const finish = (judge?: Judge) => {
    for (let at = 0; at < rows; at++) {
      sorter.emit(at, { row: at + 1, line: at + 1, customId: `c${at + 1}` }, absent, part, judge)
    }
    part.flush()
    anomalies.flush()
    const read = (path: string) => (memory.files().get(path) ?? "").toString()
    return { tally: sorter.tally, bill: meter.bill(), text: read("/part"), anomalies: read("/anomalies") }
  }
  return { sorter, source, accept, finish }
}

/** What becomes of lines, with whether the first sorter was mistaken, so that a careful one followed. */
const sortText = (rows: number, lines: ReadonlyArray<string>, judge?: Judge, asked: Asked = {}) => {
  const sorted = (careful: boolean) => {
    const { accept, finish, sorter } = setUp(rows, asked, careful)
    lines.forEach((line, index) => accept(line, index + 1))
    return { ...finish(judge), mistaken: sorter.mistaken }
  }
  const first = sorted(false)
  const careful = sorted(true)
  assert.isFalse(careful.mistaken)
  if (first.mistaken) return { ...careful, mistaken: true }
  assert.deepStrictEqual(first, careful)
  return first
}

const sort = (rows: number, lines: ReadonlyArray<object>, judge?: Judge, asked?: Asked) =>
  sortText(rows, lines.map((line) => JSON.stringify(line)), judge, asked)

describe("an index", () => {
  it("of rows that follow each other finds those", () => {
    const index = contiguousIndex(shard(5, 3))
    assert.deepStrictEqual([4, 5, 6, 7, 8].map(index.of), [undefined, 0, 1, 2, undefined])
  })

  it.prop(
    "of scattered rows finds those",
    [FastCheck.uniqueArray(FastCheck.integer({ min: 1, max: 60 }))],
    ([rows]) => {
      const sorted = rows.toSorted((one, other) => one - other)
      const index = sparseIndex(Float64Array.from(sorted))
      for (let row = 0; row <= 61; row++) {
        const at = sorted.indexOf(row)
        assert.strictEqual(index.of(row), at === -1 ? undefined : at)
      }
    }
  )
})

describe("a sorter", () => {
  it("gives the body's own text where the provider has it in the right form", () => {
    const { text } = sort(1, [{ id: "tag-1", text: "", bodyText: "{\"big\":12345678901234567890,\"one\":1.0}" }])
    assert.strictEqual(
      text,
      "{\"row\":1,\"line\":1,\"outcome\":\"succeeded\",\"result\":{\"id\":\"line\",\"custom_id\":\"c1\",\"response\":"
        + "{\"status_code\":200,\"request_id\":\"req\",\"body\":{\"big\":12345678901234567890,\"one\":1.0}},\"error\":null}}\n"
    )
  })

  it("counts tokens of rows, not of lines", () => {
    const usage = (input: number) => ({
      input_tokens: input,
      output_tokens: 7,
      cache_read_input_tokens: 2,
      output_tokens_details: { reasoning_tokens: 3 }
    })
    const { tally } = sort(2, [
      { id: "tag-1", text: "a", usage: usage(10) },
      { id: "tag-1", text: "a", usage: usage(10) },
      { id: "tag-1", text: "other", usage: usage(500) },
      { id: "tag-2", text: "b", usage: usage(20) }
    ])
    assert.deepStrictEqual({ ...tally.tokens }, { prompt: 34, completion: 14, cached: 4, reasoning: 6 })
    assert.deepStrictEqual([tally.duplicateLines, tally.conflictingLines], [1, 1])
  })

  it("counts a line that is too long, and misses its row", () => {
    const { finish, sorter, source } = setUp(1, {}, false)
    sorter.acceptLongLine(source, 7)
    const { anomalies, tally } = finish()
    assert.deepStrictEqual([tally.malformedLines, tally.missing, tally.rows], [1, 1, 1])
    assert.strictEqual(
      anomalies,
      "{\"kind\":\"malformed\",\"shard\":\"0001\",\"file\":\"raw.jsonl\",\"line\":7,\"wire_id\":null}\n"
    )
  })

  it("begins anew where a line is another than its bytes say", () => {
    const told = (lines: ReadonlyArray<string>) => {
      const { anomalies, mistaken, tally } = sortText(2, lines)
      assert.isTrue(mistaken)
      return [tally.succeeded, tally.missing, anomalies.match(/"kind":"\w+"|"line":\d+/gu)?.join()]
    }
    // Cut short, before and after the whole line of the row.
    assert.deepStrictEqual(told(["{\"id\":\"tag-2\",\"te"]), [0, 2, "\"kind\":\"malformed\",\"line\":1"])
    assert.deepStrictEqual(
      told(["{\"id\":\"tag-2\",\"te", "{\"id\":\"tag-2\"}", "{\"id\":\"tag-2\"}"]),
      [1, 1, "\"kind\":\"malformed\",\"line\":1,\"kind\":\"duplicate\",\"line\":3"]
    )
    // It names a row before its own id.
    assert.deepStrictEqual(told(["{\"text\":\"tag-1\",\"id\":\"tag-2\"}"]), [1, 1, undefined])
    assert.deepStrictEqual(
      told(["{\"text\":\"tag-1\",\"id\":\"tag-2\"}", "{\"id\":\"tag-1\"}"]),
      [2, 0, undefined]
    )
  })

  it("knows a row by an id that is written with escapes", () => {
    const { mistaken, tally, text } = sortText(1, ["{\"id\":\"t\\u0061g-1\",\"text\":\"a\"}"])
    assert.deepStrictEqual([mistaken, tally.succeeded, text.includes("\"text\":\"a\"")], [false, 1, true])
  })

  it("tells where each odd line is", () => {
    const { anomalies } = sort(2, [
      { id: "tag-1", text: "a" },
      { id: "tag-1", text: "a" },
      { id: "tag-1", text: "b" },
      { id: "tag-3", text: "c" },
      { text: "d" }
    ])
    const told: ReadonlyArray<unknown> = anomalies.trimEnd().split("\n").map((line) => JSON.parse(line))
    assert.deepStrictEqual(
      told,
      [["duplicate", 2, "tag-1"], ["conflicting", 3, "tag-1"], ["unexpected", 4, "tag-3"], ["malformed", 5, null]].map(
        ([kind, line, wire_id]) => ({ kind, shard: "0001", file: "raw.jsonl", line, wire_id })
      )
    )
  })

  it.prop(
    "gives every row of the shard once and in order, whatever comes",
    [FastCheck.array(FastCheck.tuple(FastCheck.integer({ min: 0, max: 9 }), FastCheck.string({ unit: "binary" })))],
    ([pairs]) => {
      const { tally, text } = sort(8, pairs.map(([row, answer]) => ({ id: `tag-${row}`, text: answer })))
      const first = new Map<number, string>()
      for (const [row, answer] of pairs) if (!first.has(row)) first.set(row, answer)
      const records: ReadonlyArray<unknown> = text.trimEnd().split("\n").map((line) => JSON.parse(line))
      assert.deepStrictEqual(
        records.map((record) => JSON.stringify(record).includes("\"outcome\":\"succeeded\"")),
        Array.from({ length: 8 }, (_, index) => first.has(index + 1))
      )
      assert.strictEqual(tally.rows, 8)
      assert.strictEqual(tally.succeeded + tally.missing, 8)
      assert.strictEqual(
        tally.succeeded + tally.duplicateLines + tally.conflictingLines + tally.unexpectedLines,
        pairs.length
      )
    }
  )
})

describe("the bill of a sorter", () => {
  const usage = (read: number, written: number) => ({ prompt_tokens: read, completion_tokens: written })

  const parts = ({ models }: Cost.ShardBill) =>
    models.map(({ answeredAs, charged, model, priced, unpriced }) => [model, answeredAs, charged, priced, unpriced])

  it("has each answer once, whatever becomes of it, and failures that were charged", () => {
    const { bill, tally } = sort(6, [
      { id: "tag-1", model: "alpha", usage: usage(1, 1) },
      { id: "tag-1", model: "alpha", usage: usage(1, 1) },
      { id: "tag-1", model: "alpha", text: "other", usage: usage(900, 900) },
      { id: "tag-2", model: "alpha", refused: true, usage: usage(2, 2) },
      { id: "tag-3", model: "alpha", truncated: true, usage: usage(3, 3) },
      { id: "tag-4", model: "alpha", failed: true, usage: usage(4, 4) },
      { id: "tag-5", model: "alpha", failed: true }
    ], () => ({ code: "invalid_answer", path: "$", problem: "no" }))
    assert.deepStrictEqual([tally.invalid, tally.errored, tally.missing], [2, 2, 1])
    assert.deepStrictEqual(parts(bill), [["alpha", "alpha", 10_010n, 4, 0]])
    assert.deepStrictEqual({ ...bill.tokens }, {
      input: 10,
      cacheRead: 0,
      cacheWrite5m: 0,
      cacheWrite1h: 0,
      output: 10
    })
    assert.deepStrictEqual([tally.tokens.prompt, tally.tokens.completion], [10, 10])
  })

  it("takes the price of the model that answered, else that of the one asked for", () => {
    const lines = [
      { id: "tag-1", model: "beta-2025-04-14", usage: usage(1, 0) },
      { id: "tag-2", model: "nobody", usage: usage(10, 0) },
      { id: "tag-3", usage: usage(100, 0) },
      { id: "tag-4", model: "beta-2025-04-14", usage: usage(1_000, 0) }
    ]
    assert.deepStrictEqual(parts(sort(4, lines, undefined, { asked: "alpha" }).bill), [
      ["alpha", null, 110n, 2, 0],
      ["beta", "beta-2025-04-14", 1_001n, 2, 0]
    ])
    assert.deepStrictEqual(parts(sort(4, lines, undefined, { asked: "somebody" }).bill), [
      ["somebody", null, 0n, 0, 2],
      ["beta", "beta-2025-04-14", 1_001n, 2, 0]
    ])
    // Where rows ask for several models, only the answer tells which.
    assert.deepStrictEqual(parts(sort(4, lines).bill), [
      ["unknown", null, 0n, 0, 1],
      ["beta", "beta-2025-04-14", 1_001n, 2, 0],
      ["nobody", "nobody", 0n, 0, 1]
    ])
  })

  it("does not grow with the names that a server thinks of", () => {
    const lines = Array.from({ length: 300 }, (_, at) => ({ id: `tag-${at + 1}`, model: `m${at}`, usage: usage(1, 0) }))
    const { bill } = sort(300, lines)
    assert.lengthOf(bill.models, 101)
    assert.strictEqual(bill.unpriced, 300)
  })

  it("counts an answer that does not tell what it used", () => {
    const { bill } = sort(2, [{ id: "tag-1", model: "alpha" }, { id: "tag-2", model: "alpha", usage: {} }])
    assert.deepStrictEqual(parts(bill), [["alpha", "alpha", 0n, 0, 2]])
  })

  it("charges nothing for answers that were there already", () => {
    const { bill, tally } = sort(1, [{ id: "tag-1", model: "alpha", usage: usage(5, 0) }], undefined, {
      mode: "reused"
    })
    assert.deepInclude(bill, { charged: 0n, synchronous: 5n, priced: 0, unpriced: 0, reused: 1 })
    assert.strictEqual(tally.tokens.prompt, 0)
  })
})

describe("a sorter with a judge of answers", () => {
  const body = (content: string, more = "") =>
    `{"big":12345678901234567890, "choices":[{"message":{"content":${JSON.stringify(content)}${more}}}]}`

  const judge: Judge = (reply) =>
    reply.startsWith("no") ? { code: "invalid_answer", path: "$.a", problem: `it is ${reply}` } : undefined

  const record = (row: number, outcome: string, content: string, error: string, more = "") =>
    `{"row":${row},"line":${row},"outcome":"${outcome}","result":{"id":"line","custom_id":"c${row}","response":`
    + `{"status_code":200,"request_id":"req","body":${body(content, more)}},"error":${error}}}\n`

  const error = (code: string, message: string, repairable: boolean) =>
    `{"code":"${code}","message":"${message}","outcome":"invalid","retryable":false${
      repairable ? ",\"repairable\":true" : ""
    }}`

  it("says of each answer what is wrong with it, and keeps it byte for byte", () => {
    const { tally, text } = sort(2, [
      { id: "tag-2", bodyText: body("no \ud800 é") },
      { id: "tag-1", bodyText: body("yes") }
    ], judge)
    assert.strictEqual(
      text,
      record(1, "succeeded", "yes", "null")
        + record(2, "invalid", "no \ud800 é", error("invalid_answer", "$.a: it is no \ufffd é", true))
    )
    assert.deepStrictEqual(
      [tally.rows, tally.succeeded, tally.invalid, tally.repairable, tally.retryable],
      [2, 1, 1, 1, 0]
    )
  })

  it("takes no refused and no truncated answer, and counts them as before", () => {
    const lines = [
      { id: "tag-1", bodyText: body("yes"), refused: true },
      { id: "tag-2", bodyText: body("yes"), truncated: true }
    ]
    const { tally, text } = sort(2, lines, judge)
    assert.strictEqual(
      text,
      record(1, "invalid", "yes", error("refused", "$: the model declined to answer", false))
        + record(
          2,
          "invalid",
          "yes",
          error("truncated", "$: the answer stopped at the token limit (--max-tokens)", false)
        )
    )
    assert.deepStrictEqual(
      [tally.succeeded, tally.invalid, tally.repairable, tally.refused, tally.truncated],
      [0, 2, 0, 1, 1]
    )
    const unjudged = sort(2, lines).tally
    assert.deepStrictEqual([unjudged.succeeded, unjudged.invalid, unjudged.refused, unjudged.truncated], [2, 0, 1, 1])
  })

  it("leaves alone what is no text: calls of tools, embeddings; and takes no content for an empty one", () => {
    const asked: Array<string> = []
    const { tally } = sort(4, [
      { id: "tag-1", bodyText: body("no", ",\"tool_calls\":[{\"id\":\"call\"}]") },
      { id: "tag-2", bodyText: "{\"data\":[{\"embedding\":[0.1]}]}" },
      { id: "tag-3", bodyText: "{\"choices\":[{\"text\":\"no\"}]}" },
      { id: "tag-4", bodyText: "{\"choices\":[{\"message\":{\"content\":null}}]}" }
    ], (reply) => {
      asked.push(reply)
      return undefined
    })
    // By both sorters.
    assert.deepStrictEqual(asked, ["", ""])
    assert.strictEqual(tally.succeeded, 4)
  })

  it("asks nothing about rows without an answer", () => {
    const { tally } = sort(1, [], () => assert.fail("it was asked"))
    assert.strictEqual(tally.missing, 1)
  })

  it.prop(
    "finds every answer whole, whatever is in it",
    [FastCheck.array(FastCheck.string({ unit: "binary" }), { minLength: 1, maxLength: 5 })],
    ([answers]) => {
      const asked: Array<string> = []
      sort(
        answers.length,
        answers.map((content, at) => ({ id: `tag-${at + 1}`, bodyText: body(content) })),
        (reply) => {
          asked.push(reply)
          return undefined
        }
      )
      assert.deepStrictEqual(asked, [...answers, ...answers])
    }
  )
})
