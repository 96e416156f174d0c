import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import * as Answers from "llm-batch/Answers"
import { BuildOptions } from "llm-batch/BuildOptions"
import * as Ledger from "llm-batch/Ledger"
import { InputDescription, RunDescription } from "llm-batch/RunState"
import { Shard } from "llm-batch/Shard"
import * as Tally from "llm-batch/Tally"
import Papa from "papaparse"
import * as Disk from "../src/internal/Disk.js"
import * as MemoryDisk from "../src/internal/MemoryDisk.js"

const directory = "/run"

const shard = (id: string, rows: number, firstRow: number, lastRow: number, attempt = 1) =>
  new Shard({
    id,
    directory,
    runTag: "k3f9a2x7qd",
    provider: "openai",
    endpoint: "/v1/responses",
    model: "gpt-5-mini",
    betas: [],
    rows,
    bytes: 100,
    sha256: "00",
    firstRow,
    lastRow,
    attempt,
    parents: []
  })

const answered = (id: string, content: string, more: object = {}) =>
  JSON.stringify({
    id: "batch_req_1",
    custom_id: id,
    response: {
      status_code: 200,
      request_id: "req_1",
      body: {
        object: "chat.completion",
        choices: [{ index: 0, message: { role: "assistant", content, ...more }, finish_reason: "stop" }],
        usage: { prompt_tokens: 24, completion_tokens: 3, total_tokens: 27 }
      }
    },
    error: null
  })

const unanswered = (id: string, outcome: string, code: string, message: string) =>
  JSON.stringify({ id: null, custom_id: id, response: null, error: { code, message, outcome, retryable: true } })

const record = (row: number, id: string, columns?: object) =>
  `{"row":${row},"line":${row},"id":${JSON.stringify(id)},"kind":"chat","body":{"messages":[]}`
  + `${columns === undefined ? "" : `,"columns":${JSON.stringify(columns)}`}}`

interface Files {
  readonly results: ReadonlyArray<string>
  readonly rows: { readonly [shard: string]: ReadonlyArray<string> }
  readonly shards: ReadonlyArray<Shard>
  readonly idColumn?: string
  readonly unfinished?: boolean
  readonly count?: number
}

/** Runs an effect where `/run` is a run with these files. */
const inRun = <A, E>(files: Files, effect: Effect.Effect<A, E, Ledger.Ledger>) => {
  const memory = MemoryDisk.make()
  const put = (path: string, lines: ReadonlyArray<string>) => {
    memory.disk.makeDirectory(path.slice(0, path.lastIndexOf("/")))
    const handle = memory.disk.open(path, "write")
    Disk.writeAll(handle, Buffer.from(lines.map((line) => `${line}\n`).join("")))
    handle.close()
  }
  put("/run/results.jsonl", files.results)
  for (const [id, lines] of Object.entries(files.rows)) put(`/run/rows/${id}.jsonl`, lines)
  const rows = files.count ?? files.results.length
  return Effect.gen(function*() {
    const ledger = yield* Ledger.Ledger
    yield* ledger.create(
      directory,
      new RunDescription({
        runId: "1",
        runTag: "k3f9a2x7qd",
        provider: "openai",
        input: new InputDescription({ name: "in.csv", path: null, format: "csv", columns: null, bytes: null }),
        options: new BuildOptions(files.idColumn === undefined ? {} : { idColumn: files.idColumn })
      })
    )
    for (const one of files.shards) yield* ledger.append(directory, { _tag: "ShardBuilt", shard: one })
    yield* ledger.append(directory, { _tag: "BuildFinished", rows, notices: [], input: { bytes: 0, sha256: "" } })
    if (files.unfinished !== true) {
      yield* ledger.append(directory, { _tag: "RunFinished", tally: new Tally.Tally({ ...Tally.empty, rows }) })
    }
    return { result: yield* effect, files: memory.files() }
  }).pipe(Effect.scoped, Effect.provide(Ledger.layerMemory), Effect.provideService(Disk.Disk, memory.disk))
}

const written = (files: Files, format: Answers.Format) =>
  Effect.map(
    inRun(files, Stream.runFold(Answers.stream(directory, format), "", (text, block) => text + Buffer.from(block))),
    ({ result }) => result
  )

const simple: Files = {
  results: [
    answered("a", "Fine, \"really\"\nfine"),
    unanswered("b", "expired", "batch_expired", "Batch b1 expired before this row was answered."),
    answered("c", "C:\\new\tfolder")
  ],
  rows: {
    "0001": [
      record(1, "a", { text: "one, two", n: 1.5, tags: ["x"] }),
      record(2, "b", { text: null, late: "yes" }),
      record(3, "c")
    ]
  },
  shards: [shard("0001", 3, 1, 3)]
}

describe("Answers", () => {
  it.effect("writes CSV with the input's columns, quoted as RFC 4180 says", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* written(simple, "csv"),
        "custom_id,text,n,tags,late,answer,finish_reason,outcome,error,prompt_tokens,completion_tokens,total_tokens\r\n"
          + "a,\"one, two\",1.5,\"[\"\"x\"\"]\",,\"Fine, \"\"really\"\"\nfine\",stop,succeeded,,24,3,27\r\n"
          + "b,,,,yes,,,expired,batch_expired: Batch b1 expired before this row was answered.,,,\r\n"
          + "c,,,,,C:\\new\tfolder,stop,succeeded,,24,3,27\r\n"
      )
    }))

  it.effect("writes TSV with tabs, line breaks and backslashes escaped", () =>
    Effect.gen(function*() {
      const lines = (yield* written(simple, "tsv")).split("\n")
      assert.strictEqual(lines[1], "a\tone, two\t1.5\t[\"x\"]\t\tFine, \"really\"\\nfine\tstop\tsucceeded\t\t24\t3\t27")
      assert.strictEqual(lines[3], "c\t\t\t\t\tC:\\\\new\\tfolder\tstop\tsucceeded\t\t24\t3\t27")
      assert.strictEqual(lines.length, 5)
      for (const line of lines.slice(0, 4)) assert.strictEqual(line.split("\t").length, 12)
    }))

  const anyText = FastCheck.oneof(
    FastCheck.string({ unit: "grapheme" }),
    FastCheck.string({ unit: FastCheck.constantFrom("\t", "\n", "\r", "\\", "\"", ",", "n", "t", " ") })
  )

  it.effect.prop("loses nothing in CSV and TSV, whatever the texts", [
    FastCheck.array(FastCheck.tuple(anyText, anyText))
  ], ([
    texts
  ]) =>
    Effect.gen(function*() {
      const files: Files = {
        results: texts.map(([, answer], index) => answered(String(index), answer)),
        rows: { "0001": texts.map(([text], index) => record(index + 1, String(index), { text })) },
        shards: texts.length === 0 ? [] : [shard("0001", texts.length, 1, texts.length)]
      }
      const own = (lines: ReadonlyArray<ReadonlyArray<string>>) => lines.slice(1).map((cells) => [cells[1], cells[2]])
      const csv = Papa.parse<Array<string>>(yield* written(files, "csv"), { newline: "\r\n", skipEmptyLines: true })
      assert.deepStrictEqual(own(csv.data), texts)
      const unescape = (cell: string) =>
        cell.replaceAll(/\\(.)/g, (_, letter) => ({ t: "\t", n: "\n", r: "\r" })[String(letter)] ?? String(letter))
      const tsv = (yield* written(files, "tsv")).split("\n").filter((line) => line !== "")
      assert.deepStrictEqual(own(tsv.map((line) => line.split("\t").map(unescape))), texts)
    }))

  it.effect("writes text for people", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* written(simple, "text"),
        "# a\nFine, \"really\"\nfine\n\n"
          + "# b\n(expired: batch_expired: Batch b1 expired before this row was answered.)\n\n"
          + "# c\nC:\\new\tfolder\n\n"
      )
    }))

  it.effect("copies results.jsonl byte for byte", () =>
    Effect.gen(function*() {
      const odd = "{\"id\": null,  \"custom_id\":\"a\",\"n\":12345678901234567890}"
      assert.strictEqual(yield* written({ ...simple, results: [odd] }, "jsonl"), `${odd}\n`)
    }))

  it.effect("follows the input's order through shards that interleave, and leaves retries alone", () =>
    Effect.gen(function*() {
      const text = yield* written({
        results: ["a", "b", "c", "d"].map((id) => answered(id, id.toUpperCase())),
        rows: {
          "0001": [record(1, "a", { q: "q1" }), record(3, "c", { q: "q3" })],
          "0002": [record(2, "b", { q: "q2" }), record(4, "d", { q: "q4" })],
          "0003": [record(2, "b", { q: "again" })]
        },
        shards: [shard("0001", 2, 1, 3), shard("0002", 2, 2, 4), shard("0003", 1, 2, 2, 2)]
      }, "csv")
      assert.deepStrictEqual(text.split("\r\n").map((line) => line.split(",").slice(0, 3).join(" ")), [
        "custom_id q answer",
        "a q1 A",
        "b q2 B",
        "c q3 C",
        "d q4 D",
        ""
      ])
    }))

  it.effect("renames the input's columns that have one of its own names, and shows the id once", () =>
    Effect.gen(function*() {
      const one = (columns: object, idColumn?: string) =>
        Effect.map(
          written({
            results: [answered("a", "4")],
            rows: { "0001": [record(1, "a", columns)] },
            shards: [shard("0001", 1, 1, 1)],
            ...(idColumn === undefined ? {} : { idColumn })
          }, "csv"),
          (text) => text.split("\r\n").slice(0, 2).map((line) => line.split(",").slice(0, 4).join(" "))
        )
      assert.deepStrictEqual(yield* one({ custom_id: "a", answer: "5" }), [
        "custom_id input_answer answer finish_reason",
        "a 5 4 stop"
      ])
      assert.deepStrictEqual(yield* one({ custom_id: "x", key: "a" }, "key"), [
        "custom_id input_custom_id key answer",
        "a x a 4"
      ])
      assert.deepStrictEqual(yield* one({ answer: "5", input_answer: "6" }), [
        "custom_id input_answer input_input_answer answer",
        "a 5 6 4"
      ])
    }))

  it.effect("gives vectors, tool calls and refusals as answers", () =>
    Effect.gen(function*() {
      const embedding = (data: ReadonlyArray<object>) =>
        JSON.stringify({
          custom_id: "e",
          response: { status_code: 200, body: { object: "list", data, usage: { prompt_tokens: 5, total_tokens: 5 } } },
          error: null
        })
      const call = { id: "c1", type: "function", function: { name: "f", arguments: "{}" } }
      const text = yield* written({
        results: [
          embedding([{ embedding: [0.5, -1], index: 0 }]),
          embedding([{ embedding: [1], index: 0 }, { embedding: [2], index: 1 }]),
          answered("t", "", { content: null, tool_calls: [call] }),
          answered("r", "", { content: null, refusal: "I cannot." })
        ],
        rows: { "0001": [1, 2, 3, 4].map((row) => record(row, "x")) },
        shards: [shard("0001", 4, 1, 4)]
      }, "tsv")
      assert.deepStrictEqual(text.split("\n").slice(1, 5), [
        "e\t[0.5,-1]\t\tsucceeded\t\t5\t0\t5",
        "e\t[[1],[2]]\t\tsucceeded\t\t5\t0\t5",
        "t\t[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]\tstop\tsucceeded\t\t24\t3\t27",
        "r\tI cannot.\tstop\tsucceeded\t\t24\t3\t27"
      ])
    }))

  it.effect("writes a header alone for a run without rows", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* written({ results: [], rows: {}, shards: [] }, "csv"),
        "custom_id,answer,finish_reason,outcome,error,prompt_tokens,completion_tokens,total_tokens\r\n"
      )
    }))

  it.effect("says how to finish a run that is not finished", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(written({ ...simple, unfinished: true }, "csv"))
      assert.strictEqual(
        error.message,
        "/run: this run is not finished, so its answers are not all there. Finish it with: llm-batch resume /run"
      )
    }))

  it.effect("never passes over a row that is lost", () =>
    Effect.gen(function*() {
      const short = yield* Effect.flip(written({ ...simple, count: 4 }, "text"))
      assert.strictEqual(
        short.message,
        "/run: results.jsonl is not as it was written: it ends before row 4. Make it again with: llm-batch normalize /run"
      )
      const noRecord = yield* Effect.flip(written({ ...simple, rows: { "0001": [record(1, "a")] } }, "csv"))
      assert.strictEqual(noRecord._tag, "ShardChanged")
    }))

  it.effect("replaces a file only when all of it is written", () =>
    Effect.gen(function*() {
      const good = yield* inRun(simple, Answers.write(directory, "text", "/run/answers.txt"))
      assert.isTrue(good.files.get("/run/answers.txt")?.toString().startsWith("# a\nFine"))
      assert.isFalse(good.files.has("/run/answers.txt.tmp"))
      const bad = yield* inRun(
        { ...simple, count: 4 },
        Effect.flip(Answers.write(directory, "text", "/run/answers.txt"))
      )
      assert.strictEqual(bad.result._tag, "RunRejected")
      assert.deepStrictEqual([...bad.files.keys()].filter((name) => name.includes("answers")), [])
    }))

  it("tells the format by a file's ending", () => {
    const formats = ["a.jsonl", "b.NDJSON", "c.csv", "d.tsv", "e.tab", "f.txt"].map((path) =>
      Either.getOrNull(Answers.formatOf(path))
    )
    assert.deepStrictEqual(formats, ["jsonl", "jsonl", "csv", "tsv", "tsv", "text"])
    assert.strictEqual(
      Either.getOrThrow(Either.flip(Answers.formatOf("out/a.xlsx"))).message,
      "out/a.xlsx: the ending .xlsx tells no format. Let it end in .jsonl, .csv, .tsv or .txt."
    )
  })
})
