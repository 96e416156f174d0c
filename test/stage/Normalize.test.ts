import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import { BatchProblem, BatchSnapshot, EndedBatch, type Ending, RequestCounts, ResultFile } from "llm-batch/Batch"
import { BuildOptions } from "llm-batch/BuildOptions"
import * as Cost from "llm-batch/Cost"
import * as Model from "llm-batch/Model"
import { Provider } from "llm-batch/Provider"
import { RawFile, RawResults } from "llm-batch/RawResults"
import { isJsonObject } from "llm-batch/Request"
import { DiskError } from "llm-batch/RunError"
import { Progress } from "llm-batch/RunEvent"
import * as Source from "llm-batch/Source"
import * as Build from "llm-batch/stage/Build"
import { layer, Normalize } from "llm-batch/stage/Normalize"
import { gzipSync } from "node:zlib"
import { Disk } from "../../src/internal/Disk.js"
import * as World from "../World.js"

interface Case {
  /** The ids of the input's rows; by default there are three, `a`, `b` and `c`. */
  readonly ids?: ReadonlyArray<string>
  /** The models of the rows; rows of other models than the first one's are in other shards. */
  readonly models?: ReadonlyArray<string>
  readonly output?: string | Uint8Array
  readonly errors?: string
  readonly ending?: Ending
  readonly shortBy?: number
  readonly problems?: ReadonlyArray<BatchProblem>
  readonly world?: World.WorldOptions
}

const write = (world: World.World, path: string, content: string | Uint8Array) => {
  const bytes = Buffer.from(content)
  const handle = world.memory.disk.open(path, "write")
  for (let written = 0; written < bytes.length;) {
    written += handle.write(bytes, written, bytes.length - written)
  }
  handle.close()
}

const prepare = (options: Case) =>
  Effect.gen(function*() {
    const world = yield* World.make({
      ...options.world,
      script: { limits: { oneModelPerBatch: options.models !== undefined } }
    })
    world.memory.disk.makeDirectory(`${World.directory}/raw/test`)
    const ids = options.ids ?? ["a", "b", "c"]
    const rows = ids.map((id, index) => ({ id, model: options.models?.[index] ?? "m", prompt: "p" }))
    const built = yield* world.inProcess(
      Effect.flatMap(Build.Build, ({ build }) =>
        build(
          Source.fromRows(rows),
          new Build.RunLocation({ directory: World.directory, runTag: "tag" }),
          new BuildOptions({})
        )),
      0
    )
    const shard = built.shards[0] ?? assert.fail("there is no shard")
    const file = (kind: "output" | "error", name: string, packing: "plain" | "gzip") =>
      new RawFile({ file: new ResultFile({ kind, reference: name }), name, bytes: 0, sha256: "", packing })
    const { errors, output } = options
    if (output !== undefined)
      write(world, `${World.directory}/raw/test/0001.jsonl`, output)
    if (errors !== undefined)
      write(world, `${World.directory}/raw/test/0001.errors.jsonl`, errors)
    const ending = options.ending ?? "completed"
    const snapshot = new BatchSnapshot({
      id: "batch-1",
      status: "ended",
      ending,
      providerStatus: ending,
      counts: new RequestCounts({ total: 3, succeeded: 0, errored: 0, expired: 0, cancelled: 0 }),
      createdAt: DateTime.unsafeMake(0),
      expiresAt: null,
      endedAt: null,
      inputFileId: null,
      files: [],
      problems: options.problems ?? []
    })
    const raw = new RawResults({
      batch: new EndedBatch({ shard, snapshot, ending }),
      files: [
        ...output === undefined ? [] : [file("output", "0001.jsonl", output[0] === 0x1f ? "gzip" : "plain")],
        ...errors === undefined ? [] : [file("error", "0001.errors.jsonl", "plain")]
      ],
      rows: 0,
      shortBy: options.shortBy ?? 0
    })
    const normalize = world.inProcess(Effect.flatMap(Normalize, (stage) => Effect.either(stage.normalize(raw))), 0)
    return { world, raw, normalize }
  })

interface PartLine {
  readonly row: number
  readonly outcome: string
  readonly id: unknown
  /** The answer's text, or the code of the error. */
  readonly says: unknown
}

const at = (value: unknown, ...path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>(
    (inner, key) => Array.isArray(inner) ? inner[Number(key)] : isJsonObject(inner) ? inner[key] : undefined,
    value
  )

const parsePart = (text: string): ReadonlyArray<PartLine> =>
  text.trimEnd().split("\n").map((line) => {
    const record: unknown = JSON.parse(line)
    return {
      row: Number(at(record, "row")),
      outcome: String(at(record, "outcome")),
      id: at(record, "result", "custom_id"),
      says: at(record, "result", "response", "body", "choices", "0", "message", "content")
        ?? at(record, "result", "error", "code")
    }
  })

const normalized = (options: Case) =>
  Effect.gen(function*() {
    const { normalize, world } = yield* prepare(options)
    const part = Either.getOrThrowWith(yield* normalize, (error) => error)
    return {
      tally: part.tally,
      bill: part.bill,
      text: world.read("parts/0001.jsonl"),
      lines: parsePart(world.read("parts/0001.jsonl")),
      world
    }
  })

const answer = (row: number, text: string, more: object = {}) =>
  JSON.stringify({
    custom_id: `tag-${row}`,
    model: "m",
    text,
    finish_reason: "stop",
    prompt_tokens: 3,
    completion_tokens: 2,
    ...more
  })

const failed = (row: number, outcome: string, code = "server_error", retryable = true) =>
  JSON.stringify({ custom_id: `tag-${row}`, error: { outcome, code, message: "so it is", retryable } })

const lines = (...all: ReadonlyArray<string>) => all.map((line) => `${line}\n`).join("")

const says = (all: ReadonlyArray<PartLine>) => all.map((line) => [line.row, line.outcome, line.says])

const answered = [[1, "succeeded", "one"], [2, "succeeded", "two"], [3, "succeeded", "three"]]

describe("results become a part", () => {
  it.effect("in row order, each with the user's id", () =>
    Effect.gen(function*() {
      const { tally, text, world } = yield* normalized({
        ids: ["first", "second"],
        output: lines(answer(2, "two")),
        errors: lines(failed(1, "errored", "rate_limit", true))
      })
      assert.strictEqual(
        text,
        "{\"row\":1,\"line\":1,\"outcome\":\"errored\",\"result\":{\"id\":null,\"custom_id\":\"first\",\"response\":null,"
          + "\"error\":{\"code\":\"rate_limit\",\"message\":\"so it is\",\"outcome\":\"errored\",\"retryable\":true}}}\n"
          + "{\"row\":2,\"line\":2,\"outcome\":\"succeeded\",\"result\":{\"id\":null,\"custom_id\":\"second\",\"response\":"
          + "{\"status_code\":200,\"request_id\":null,\"body\":{\"id\":\"answer-2\",\"object\":\"chat.completion\",\"created\":0,"
          + "\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"two\",\"refusal\":null},"
          + "\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,"
          + "\"total_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":0},"
          + "\"completion_tokens_details\":{\"reasoning_tokens\":0}}}},\"error\":null}}\n"
      )
      assert.deepStrictEqual({ ...tally, tokens: { ...tally.tokens } }, {
        rows: 2,
        succeeded: 1,
        errored: 1,
        expired: 0,
        cancelled: 0,
        invalid: 0,
        missing: 0,
        refused: 0,
        truncated: 0,
        retryable: 1,
        repairable: 0,
        late: 0,
        duplicateLines: 0,
        conflictingLines: 0,
        unexpectedLines: 0,
        malformedLines: 0,
        tokens: { prompt: 3, completion: 2, cached: 0, reasoning: 0 }
      })
      assert.deepStrictEqual(world.files().filter((path) => path.startsWith("parts/")), ["parts/0001.jsonl"])
    }))

  it.effect("that survives a crash", () =>
    Effect.gen(function*() {
      const { normalize, world } = yield* prepare({
        output: lines(answer(3, "three"), answer(1, "one"), answer(2, "two"))
      })
      // As the ledger does when it begins a run.
      for (const above of ["/", "/runs"]) world.memory.disk.syncDirectory(above)
      yield* normalize
      world.memory.crash()
      assert.deepStrictEqual(says(parsePart(world.read("parts/0001.jsonl"))), answered)
    }))

  it.effect("also for rows of a shard that do not follow each other", () =>
    Effect.gen(function*() {
      const { lines: part, tally } = yield* normalized({
        ids: ["a", "b", "c", "d", "e"],
        models: ["m", "n", "n", "m", "m"],
        output: lines(answer(5, "five"), answer(2, "not ours"), answer(1, "one"), answer(4, "four"))
      })
      assert.deepStrictEqual(says(part), [[1, "succeeded", "one"], [4, "succeeded", "four"], [5, "succeeded", "five"]])
      assert.deepStrictEqual(part.map(({ id }) => id), ["a", "d", "e"])
      assert.strictEqual(tally.unexpectedLines, 1)
    }))

  it.effect("with every id as it was, whatever it is", () =>
    Effect.gen(function*() {
      const ids = ["__proto__", "👩‍🔬|é", "a\"b\\c\n", ",\"kind\":", "\u2028", "1", " ", "x".repeat(300), "\ud800"]
      const { lines: part } = yield* normalized({
        ids,
        output: lines(...ids.map((_, index) => answer(index + 1, "ok")))
      })
      assert.deepStrictEqual(part.map(({ id }) => id), ids)
    }))

  it.effect("out of gzip", () =>
    Effect.gen(function*() {
      const output = gzipSync(lines(answer(3, "three"), answer(1, "one"), answer(2, "two")))
      assert.deepStrictEqual(says((yield* normalized({ output })).lines), answered)
    }))

  it.effect("with refused and truncated answers counted apart", () =>
    Effect.gen(function*() {
      const { tally } = yield* normalized({
        output: lines(
          answer(1, "", { refusal: "no" }),
          answer(2, "tw", { finish_reason: "length" }),
          answer(3, "three")
        )
      })
      assert.deepStrictEqual([tally.succeeded, tally.refused, tally.truncated], [3, 1, 1])
      assert.deepStrictEqual({ ...tally.tokens }, { prompt: 9, completion: 6, cached: 0, reasoning: 0 })
    }))
})

describe("the bill of a part", () => {
  /** The model of these tests, one picodollar a token. */
  const priced = Model.make([
    new Model.Model({
      ...Model.unknown("m", "test"),
      prices: new Model.Prices({
        input: 0.000002,
        output: 0.000002,
        cacheRead: null,
        cacheWrite5m: null,
        cacheWrite1h: null,
        long: null,
        batchFactor: 0.5,
        source: "test"
      })
    })
  ])

  it.effect("has each answer once, by the prices that are provided", () =>
    Effect.gen(function*() {
      const output = lines(answer(1, "one"), answer(1, "one"), answer(2, "two"), failed(3, "errored"))
      const { bill } = yield* normalized({ output, world: { models: priced } })
      assert.deepInclude(bill, { charged: 10n, synchronous: 20n, priced: 2, unpriced: 0 })
      assert.deepStrictEqual(bill.models.map(({ answeredAs, model }) => [model, answeredAs]), [["m", "m"]])
    }))

  it.effect("is of unknown price where prices cannot be loaded, which is told once, and stops nothing", () =>
    Effect.gen(function*() {
      let loads = 0
      const load = Effect.suspend(() => {
        loads++
        return Effect.fail(
          new DiskError({ operation: "read", path: "models.yaml", code: "EIO", detail: "the disk is broken" })
        )
      })
      const { raw, world } = yield* prepare({ output: lines(answer(1, "one"), answer(2, "two"), answer(3, "three")) })
      const parts = yield* Effect.flatMap(Normalize, ({ normalize }) => Effect.all([normalize(raw), normalize(raw)]))
        .pipe(
          Effect.provide(Layer.provide(layer, Layer.succeed(Provider, world.test.provider))),
          Effect.provideService(Cost.PriceSource, { load }),
          Effect.provideService(Disk, world.memory.disk),
          Effect.provideService(Progress, { tell: (event) => world.events.push(event) })
        )
      assert.deepStrictEqual(parts.map(({ bill, tally }) => [bill.unpriced, tally.succeeded]), [[3, 3], [3, 3]])
      assert.strictEqual(loads, 1)
      const notices = world.events.flatMap((event) => event._tag === "Notice" ? [event.text] : [])
      assert.lengthOf(notices, 1)
      assert.match(notices[0] ?? "", /^What this costs is not known, .*the disk is broken/u)
    }))
})

describe("lines", () => {
  it.effect("may be blank, end in CRLF, follow a BOM and lack the last newline", () =>
    Effect.gen(function*() {
      const output = `\ufeff${answer(2, "two")}\r\n\r\n  \n\n${answer(1, "one")}\n${answer(3, "three")}`
      const { lines: part, tally } = yield* normalized({ output })
      assert.deepStrictEqual(says(part), answered)
      assert.strictEqual(tally.malformedLines, 0)
    }))

  it.effect("with duplicate ids that are identical count once", () =>
    Effect.gen(function*() {
      const { lines: part, tally } = yield* normalized({
        output: lines(answer(1, "one"), answer(2, "two"), answer(1, "one"), answer(3, "three"), answer(1, "one"))
      })
      assert.deepStrictEqual(says(part), answered)
      assert.deepStrictEqual([tally.duplicateLines, tally.conflictingLines], [2, 0])
      assert.strictEqual(tally.tokens.prompt, 9)
    }))

  it.effect("with duplicate ids that are conflicting leave the first answer", () =>
    Effect.gen(function*() {
      const { lines: part, tally } = yield* normalized({
        output: lines(
          failed(1, "errored"),
          answer(1, "one"),
          answer(2, "two"),
          answer(2, "zwei"),
          answer(3, "three"),
          failed(3, "expired")
        )
      })
      assert.deepStrictEqual(says(part), answered)
      assert.deepStrictEqual([tally.duplicateLines, tally.conflictingLines], [0, 3])
      assert.deepStrictEqual([tally.succeeded, tally.errored, tally.retryable], [3, 0, 0])
    }))

  it.effect("with the same id in output and error file yield to the answer", () =>
    Effect.gen(function*() {
      const { lines: part, tally } = yield* normalized({
        output: lines(answer(1, "one"), answer(2, "two"), answer(3, "three")),
        errors: lines(failed(2, "expired"))
      })
      assert.deepStrictEqual(says(part), answered)
      assert.strictEqual(tally.conflictingLines, 1)
    }))

  it.effect("with unknown ids are counted, and nothing else", () =>
    Effect.gen(function*() {
      const foreign = ["tag-4", "tag-0", "tag-01", "tag-", "tag-1x", "gat-1", "1", "tag-9007199254740993", "__proto__"]
      const { lines: part, tally } = yield* normalized({
        output: lines(
          ...foreign.map((id) => JSON.stringify({ custom_id: id, text: "?" })),
          answer(1, "one"),
          answer(2, "two"),
          answer(3, "three")
        )
      })
      assert.deepStrictEqual(says(part), answered)
      assert.strictEqual(tally.unexpectedLines, foreign.length)
    }))

  it.effect("that are malformed cost their own row, where they name one", () =>
    Effect.gen(function*() {
      const { lines: part, tally } = yield* normalized({
        output: lines(
          "{\"custom_id\":\"tag-2\",\"text\":}",
          "<html>",
          "{",
          "[]",
          "null",
          answer(3, "three"),
          answer(1, "one")
        )
      })
      assert.deepStrictEqual(says(part), [[1, "succeeded", "one"], [2, "missing", "malformed_result"], [
        3,
        "succeeded",
        "three"
      ]])
      assert.deepStrictEqual([tally.malformedLines, tally.missing, tally.retryable], [5, 1, 1])
    }))

  it.effect("that are malformed are forgotten when a good one comes, before or after", () =>
    Effect.gen(function*() {
      const bad = (row: number) => `{"custom_id":"tag-${row}","text":}`
      const { lines: part, tally } = yield* normalized({
        output: lines(bad(1), answer(1, "one"), answer(2, "two"), bad(2), answer(3, "three"))
      })
      assert.deepStrictEqual(says(part), answered)
      assert.strictEqual(tally.malformedLines, 2)
    }))

  it.effect("with invalid UTF-8 are still those of their rows", () =>
    Effect.gen(function*() {
      const bytes = Buffer.from(lines(answer(1, "one"), answer(2, "t?o"), answer(3, "three")))
      bytes[bytes.indexOf("t?o") + 1] = 0xff
      const { lines: part } = yield* normalized({ output: bytes })
      assert.deepStrictEqual(says(part), [[1, "succeeded", "one"], [2, "succeeded", "t\ufffdo"], [
        3,
        "succeeded",
        "three"
      ]])
    }))

  it.effect("nested 100,000 deep cost their own row", () =>
    Effect.gen(function*() {
      const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`
      const { lines: part, tally } = yield* normalized({
        output: lines(answer(1, "one"), `{"custom_id":"tag-2","deep":${deep}}`, answer(3, "three")),
        world: {
          wrap: (provider) => ({
            ...provider,
            decode: (text) =>
              Either.map(provider.decode(text), (decoded) => {
                const body: unknown = JSON.parse(text)
                return decoded.outcome.outcome === "succeeded" && isJsonObject(body) && body["deep"] !== undefined
                  ? { ...decoded, outcome: { ...decoded.outcome, body } }
                  : decoded
              })
          })
        }
      })
      assert.deepStrictEqual(says(part), [[1, "succeeded", "one"], [2, "missing", "malformed_result"], [
        3,
        "succeeded",
        "three"
      ]])
      assert.strictEqual(tally.malformedLines, 1)
    }))

  it.effect("may end in CRLF that is split across the blocks in which they come", () =>
    Effect.gen(function*() {
      const output = [answer(2, "two"), answer(1, "one"), answer(3, "three")].map((line) => `${line}\r\n`).join("")
      const lineEnd = answer(2, "two").length
      for (const longestRead of [1, 2, 3, lineEnd - 1, lineEnd, lineEnd + 1, lineEnd + 2]) {
        const { lines: part, tally } = yield* normalized({ output, world: { disk: { longestRead } } })
        assert.deepStrictEqual(says(part), answered)
        assert.strictEqual(tally.malformedLines, 0)
      }
    }))

  it.effect("with NaN and Infinity, which are no JSON, cost their own row", () =>
    Effect.gen(function*() {
      const nan = answer(2, "two", { score: 0 }).replace("\"score\":0", "\"score\":NaN")
      const infinite = answer(3, "three", { score: 0 }).replace("\"score\":0", "\"score\":-Infinity")
      const { lines: part, tally } = yield* normalized({ output: lines(nan, answer(1, "one"), infinite) })
      assert.deepStrictEqual(says(part), [
        [1, "succeeded", "one"],
        [2, "missing", "malformed_result"],
        [3, "missing", "malformed_result"]
      ])
      assert.strictEqual(tally.malformedLines, 2)
    }))

  it.effect("with duplicate keys are of the row that they name last, as every reader of JSON takes them", () =>
    Effect.gen(function*() {
      const twice = answer(2, "two").replace("{", "{\"custom_id\":\"tag-1\",\"text\":\"one?\",")
      const { lines: part, tally } = yield* normalized({
        output: lines(twice, answer(1, "one"), answer(3, "three"))
      })
      assert.deepStrictEqual(says(part), answered)
      assert.deepStrictEqual([tally.duplicateLines, tally.conflictingLines], [0, 0])
    }))

  it.effect("with lone surrogates lose those, and nothing else", () =>
    Effect.gen(function*() {
      const { text } = yield* normalized({
        output: lines(answer(1, "o\ud800ne"), answer(2, "two"), failed(3, "errored", "c\udfffode")),
        world: {
          wrap: (provider) => ({
            ...provider,
            decode: (line) =>
              Either.map(provider.decode(line), (decoded) => ({
                ...decoded,
                outcome: decoded.outcome.outcome === "succeeded"
                  ? { ...decoded.outcome, id: "i\ud800d", requestId: "r\udc00eq" }
                  : { ...decoded.outcome, id: "i\ud800d" }
              }))
          })
        }
      })
      const records = text.trimEnd().split("\n").map((line): unknown => JSON.parse(line))
      assert.deepStrictEqual(records.map((record) => at(record, "result", "id")), ["i\ufffdd", "i\ufffdd", "i\ufffdd"])
      assert.strictEqual(at(records[0], "result", "response", "request_id"), "r\ufffdeq")
      assert.strictEqual(
        at(records[0], "result", "response", "body", "choices", "0", "message", "content"),
        "o\ufffdne"
      )
      assert.strictEqual(at(records[2], "result", "error", "code"), "c\ufffdode")
      assert.notMatch(text, /\\u[dD][89a-fA-F]/)
    }))

  it.effect("of 300 MB cost one row, and no more memory than the longest line that is read", () =>
    Effect.gen(function*() {
      const before = process.resourceUsage().maxRSS
      // Members of a gzip file follow each other: 300 of 1 MB each are a few hundred bytes a piece.
      const member = (text: string) => gzipSync(text)
      const { lines: part, tally } = yield* normalized({
        output: Buffer.concat([
          member(`${answer(1, "one")}\n{"custom_id":"tag-2","text":"`),
          ...Array(300).fill(member("x".repeat(1_000_000))),
          member(`"}\n${answer(3, "three")}\n`)
        ])
      })
      assert.deepStrictEqual(says(part), [[1, "succeeded", "one"], [2, "missing", "missing"], [
        3,
        "succeeded",
        "three"
      ]])
      assert.strictEqual(tally.malformedLines, 1)
      assert.isBelow(process.resourceUsage().maxRSS - before, 300_000)
    }))

  it.effect("of more values than memory can take cost one row", () =>
    Effect.gen(function*() {
      const { lines: part, tally } = yield* normalized({
        output: lines(
          answer(1, "one"),
          `{"custom_id":"tag-2","text":[${"{},".repeat(9_000_000)}0]}`,
          answer(3, "three")
        )
      })
      assert.deepStrictEqual(says(part), [[1, "succeeded", "one"], [2, "missing", "missing"], [
        3,
        "succeeded",
        "three"
      ]])
      assert.strictEqual(tally.malformedLines, 1)
    }))

  it.effect("keep an answer larger than any buffer", () =>
    Effect.gen(function*() {
      const long = "ü".repeat(1_500_000)
      const { lines: part } = yield* normalized({
        output: lines(answer(2, long), answer(1, "one"), answer(3, "three"), answer(2, long))
      })
      assert.deepStrictEqual(says(part), [[1, "succeeded", "one"], [2, "succeeded", long], [3, "succeeded", "three"]])
    }))
})

describe("a row that no line speaks of", () => {
  const output = lines(answer(2, "two"))
  const cases: ReadonlyArray<readonly [ending: Ending, outcome: string, code: string, retryable: number]> = [
    ["completed", "missing", "missing", 2],
    ["expired", "expired", "batch_expired", 2],
    ["cancelled", "cancelled", "batch_cancelled", 2],
    ["failed", "errored", "batch_failed", 0]
  ]
  for (const [ending, outcome, code, retryable] of cases) {
    it.effect(`of a batch that is ${ending} is ${outcome}`, () =>
      Effect.gen(function*() {
        const { lines: part, tally } = yield* normalized({ output, ending })
        assert.deepStrictEqual(says(part), [[1, outcome, code], [2, "succeeded", "two"], [3, outcome, code]])
        assert.strictEqual(tally.retryable, retryable)
        assert.strictEqual(
          tally.succeeded + tally.missing + tally.expired + tally.cancelled + tally.errored,
          tally.rows
        )
      }))
  }

  it.effect("is missing when the results are short, however the batch ended", () =>
    Effect.gen(function*() {
      const { lines: part } = yield* normalized({ output, ending: "expired", shortBy: 1 })
      assert.deepStrictEqual(part.map(({ outcome }) => outcome), ["missing", "succeeded", "missing"])
    }))

  it.effect("has the reason why its batch failed, and can be tried again when it only has to wait", () =>
    Effect.gen(function*() {
      const problem = (code: string) => [new BatchProblem({ code, message: "too many tokens are queued", line: null })]
      const waiting = yield* normalized({ ending: "failed", problems: problem("token_limit_exceeded") })
      assert.deepStrictEqual(waiting.lines.map(({ says }) => says), Array(3).fill("token_limit_exceeded"))
      assert.strictEqual(waiting.tally.retryable, 3)
      assert.include(waiting.text, "Batch batch-1 failed as a whole: too many tokens are queued")
      assert.strictEqual((yield* normalized({ ending: "failed", problems: problem("bad_line") })).tally.retryable, 0)
    }))

  it.effect("is every row, where there are no results at all", () =>
    Effect.gen(function*() {
      const { tally } = yield* normalized({ output: "" })
      assert.deepStrictEqual([tally.rows, tally.missing], [3, 3])
    }))
})

describe("the rows of a shard", () => {
  const broken = (change: (text: string) => string) =>
    Effect.gen(function*() {
      const { normalize, world } = yield* prepare({ output: lines(answer(1, "one")) })
      write(world, "/runs/one/rows/0001.jsonl", change(world.read("rows/0001.jsonl")))
      const failure = yield* normalize
      return Either.isLeft(failure) ? failure.left.message : "nothing went wrong"
    })

  it.effect("are those that were built, or it says what is wrong", () =>
    Effect.gen(function*() {
      const start = "/runs/one/rows/0001.jsonl: shard 0001 is not as it was built: "
      const end = ". Restore the file, or start a new run from the input."
      assert.strictEqual(
        yield* broken((text) => text.split("\n").slice(0, 2).join("\n")),
        `${start}it has 2 rows instead of 3${end}`
      )
      assert.strictEqual(
        yield* broken((text) => text + text),
        `${start}line 4 is not the record of a row that belongs there${end}`
      )
      assert.strictEqual(
        yield* broken((text) => text.replace("\"row\":2", "\"row\":1")),
        `${start}line 2 is not the record of a row that belongs there${end}`
      )
      assert.strictEqual(
        yield* broken((text) => text.replace("{\"row\":2", "{row\":2")),
        `${start}line 2 is not the record of a row that belongs there${end}`
      )
    }))
})

describe("the order in which lines come", () => {
  const one = [
    answer(1, "one"),
    answer(2, "two"),
    answer(2, "two"),
    failed(4, "expired", "batch_expired"),
    answer(6, "six é"),
    "{\"custom_id\":\"tag-5\",\"text\":}",
    JSON.stringify({ custom_id: "other-1", text: "?" }),
    ""
  ]
  const ids = ["a", "b", "c", "d", "e", "f"]

  it.effect.prop(
    "and the blocks in which they are read do not matter",
    {
      shuffled: FastCheck.shuffledSubarray(one, { minLength: one.length, maxLength: one.length }),
      longestRead: FastCheck.integer({ min: 1, max: 300 }),
      longestWrite: FastCheck.integer({ min: 1, max: 300 })
    },
    ({ longestRead, longestWrite, shuffled }) =>
      Effect.gen(function*() {
        const expected = yield* normalized({ ids, output: lines(...one) })
        const actual = yield* normalized({
          ids,
          output: lines(...shuffled),
          world: { disk: { longestRead, longestWrite } }
        })
        assert.strictEqual(actual.text, expected.text)
        assert.deepStrictEqual(actual.tally, expected.tally)
        assert.deepStrictEqual(expected.lines.map(({ outcome }) => outcome), [
          "succeeded",
          "succeeded",
          "missing",
          "expired",
          "missing",
          "succeeded"
        ])
      }),
    { fastCheck: { numRuns: 30 } }
  )
})
