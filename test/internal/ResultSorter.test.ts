import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import type { Failed, Outcome } from "llm-batch/Outcome"
import { isJsonObject } from "llm-batch/Request"
import { Shard } from "llm-batch/Shard"
import { BlockWriter } from "../../src/internal/BlockWriter.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"
import { contiguousIndex, type Judge, ResultSorter, sparseIndex } from "../../src/internal/ResultSorter.js"

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

/** Lines of these tests are `{"id": <wire id>, "text": <answer>}`, or have their body's text as `bodyText`. */
const decode = (text: string) => {
  const line: unknown = JSON.parse(text)
  if (!isJsonObject(line) || typeof line["id"] !== "string") return Either.left({ wireId: null, problem: "no id" })
  const { bodyText, refused, text: answer, truncated, usage } = line
  const outcome: Outcome = {
    outcome: "succeeded",
    id: "line",
    statusCode: 200,
    requestId: "req",
    body: { text: answer, ...(usage === undefined ? undefined : { usage }) },
    refused: refused === true,
    truncated: truncated === true,
    ...(typeof bodyText === "string" ? { bodyText } : undefined)
  }
  return Either.right({ wireId: line["id"], outcome })
}

/** A sorter of the rows 1 to `rows`, and what it writes. */
const setUp = (rows: number) => {
  const memory = MemoryDisk.make()
  const open = (path: string) => new BlockWriter(memory.disk.open(path, "write"), 32)
  const [scratch, part, anomalies] = [open("/scratch"), open("/part"), open("/anomalies")]
  const all = shard(1, rows)
  const sorter = new ResultSorter(
    all,
    contiguousIndex(all),
    decode,
    scratch,
    memory.disk.open("/scratch", "read"),
    anomalies
  )
  /** Gives every row, and then what was written. */
  const finish = (judge?: Judge) => {
    scratch.flush()
    for (let at = 0; at < rows; at++) {
      sorter.emit(at, { row: at + 1, line: at + 1, customId: `c${at + 1}` }, absent, part, judge)
    }
    part.finish()
    anomalies.finish()
    const read = (path: string) => (memory.files().get(path) ?? "").toString()
    return { tally: sorter.tally, text: read("/part"), anomalies: read("/anomalies") }
  }
  return { sorter, finish }
}

const sort = (rows: number, lines: ReadonlyArray<object>, judge?: Judge) => {
  const { finish, sorter } = setUp(rows)
  lines.forEach((line, index) => sorter.accept(Buffer.from(JSON.stringify(line)), "raw.jsonl", index + 1))
  return finish(judge)
}

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
    const { finish, sorter } = setUp(1)
    sorter.acceptLongLine("raw.jsonl", 7)
    const { anomalies, tally } = finish()
    assert.deepStrictEqual([tally.malformedLines, tally.missing, tally.rows], [1, 1, 1])
    assert.strictEqual(
      anomalies,
      "{\"kind\":\"malformed\",\"shard\":\"0001\",\"file\":\"raw.jsonl\",\"line\":7,\"wire_id\":null}\n"
    )
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
    assert.deepStrictEqual(asked, [""])
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
      assert.deepStrictEqual(asked, answers)
    }
  )
})
