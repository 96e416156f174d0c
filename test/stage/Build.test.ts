import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { BuildOptions } from "llm-batch/BuildOptions"
import { UnsupportedField } from "llm-batch/InputError"
import type * as Provider from "llm-batch/Provider"
import * as Source from "llm-batch/Source"
import * as Build from "llm-batch/stage/Build"
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import { onTestFinished, vi } from "vitest"
import * as World from "../World.js"

interface Built {
  readonly shards: ReadonlyArray<Build.Built["shards"][number]>
  readonly rows: number
  readonly notices: ReadonlyArray<string>
  readonly world: World.World
}

const attempt = (source: Source.Source, options: World.WorldOptions, build: Partial<BuildOptions>) =>
  Effect.gen(function*() {
    const world = yield* World.make(options)
    world.memory.disk.makeDirectory(World.directory)
    const built = yield* world.inProcess(
      Effect.flatMap(Build.Build, (stage) =>
        Effect.either(stage.build(
          source,
          new Build.RunLocation({ directory: World.directory, runTag: "tag" }),
          new BuildOptions(build)
        ))),
      0
    )
    return Either.map(built, ({ notices, rows, shards }): Built => ({ notices, rows, shards, world }))
  })

const build = (source: Source.Source, options: World.WorldOptions = {}, how: Partial<BuildOptions> = {}) =>
  Effect.flatMap(
    attempt(source, options, how),
    (built) => Either.isRight(built) ? Effect.succeed(built.right) : Effect.die(built.left)
  )

/** The message of what goes wrong. */
const failure = (source: Source.Source, options: World.WorldOptions = {}, how: Partial<BuildOptions> = {}) =>
  Effect.map(attempt(source, options, how), (built) => Either.isLeft(built) ? built.left.message : "nothing went wrong")

const chats = (...prompts: ReadonlyArray<string>) => Source.fromRows(prompts.map((prompt) => ({ model: "m", prompt })))

/** The bytes of the wire row of `chats`, with its newline: the expected number comes from the text itself. */
const wireRow = (row: number, prompt: string) =>
  `{"custom_id":"tag-${row}","body":{"model":"m","messages":[{"role":"user","content":"${prompt}"}]}}\n`

/** A provider whose rows say in their body where they belong: `endpoint`, `betas`, `inputs`. */
const steered = (provider: Provider.Service): Provider.Service => ({
  ...provider,
  encode: (request, id, endpoint) =>
    Either.map(provider.encode(request, id, endpoint), (row) => {
      const { columns } = request.kind === "native" ? { columns: undefined } : request
      const text = (name: string) => typeof columns?.[name] === "string" ? columns[name] : undefined
      return {
        ...row,
        endpoint: text("endpoint") ?? row.endpoint,
        betas: text("betas")?.split(",") ?? [],
        inputs: Number(text("inputs") ?? 1),
        notice: text("notice") ?? null
      }
    })
})

describe("rows become shards", () => {
  it.effect("with the exact bytes to be sent, and a record for each row", () =>
    Effect.gen(function*() {
      const { rows, shards, world } = yield* build(
        Source.fromText(
          "in.jsonl",
          "{\"id\":\"é|1\",\"model\":\"m\",\"prompt\":\"2 + 2\",\"label\":7}\n\n{\"model\":\"m\",\"prompt\":\"x\"}\n"
        )
      )
      assert.strictEqual(rows, 2)
      const wire = wireRow(1, "2 + 2") + wireRow(2, "x")
      assert.strictEqual(world.read("batch_inputs/test/0001.jsonl"), wire)
      assert.strictEqual(
        world.read("rows/0001.jsonl"),
        "{\"row\":1,\"line\":1,\"id\":\"é|1\",\"kind\":\"chat\",\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
          + "\"content\":\"2 + 2\"}]},\"columns\":{\"label\":7}}\n"
          + "{\"row\":2,\"line\":3,\"id\":\"2\",\"kind\":\"chat\",\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
          + "\"content\":\"x\"}]}}\n"
      )
      assert.deepStrictEqual({ ...shards[0] }, {
        id: "0001",
        directory: "/runs/one",
        runTag: "tag",
        provider: "test",
        endpoint: "/v1/chat/completions",
        model: "m",
        betas: [],
        rows: 2,
        bytes: Buffer.byteLength(wire),
        sha256: createHash("sha256").update(wire).digest("hex"),
        rowsCrc32: crc32(world.read("rows/0001.jsonl")),
        firstRow: 1,
        lastRow: 2,
        attempt: 1,
        mode: "batch",
        parents: []
      })
      assert.deepStrictEqual(world.files(), ["batch_inputs/test/0001.jsonl", "rows/0001.jsonl"])
    }))

  it.effect("in slices, between which others work, though all rows come at once", () =>
    Effect.gen(function*() {
      let now = 0
      const looking = vi.spyOn(performance, "now").mockImplementation(() => now += 1_000)
      let others = 0
      const other = () => {
        others++
        handle = setImmediate(other)
      }
      let handle = setImmediate(other)
      onTestFinished(() => {
        looking.mockRestore()
        clearImmediate(handle)
      })
      const text = "{\"model\":\"m\",\"prompt\":\"How much is it?\"}\n".repeat(10_000)
      const seen = new Set<number>()
      const watched = (provider: Provider.Service): Provider.Service => ({
        ...provider,
        encode: (...row) => {
          seen.add(others)
          return provider.encode(...row)
        }
      })
      const { rows } = yield* build(Source.fromText("in.jsonl", text), { wrap: watched })
      assert.strictEqual(rows, 10_000)
      // At least once for each 2,000 rows.
      assert.isAbove(seen.size, 5)
    }))

  it.effect("none of no rows", () =>
    Effect.gen(function*() {
      const { rows, shards } = yield* build(Source.fromText("empty.jsonl", ""))
      assert.strictEqual(rows, 0)
      assert.deepStrictEqual(shards, [])
    }))

  it.effect("with a hash that is that of the file, however large it is", () =>
    Effect.gen(function*() {
      const { shards, world } = yield* build(chats("a", "x".repeat(700_000), "ü".repeat(100_000), "b"))
      const bytes = world.memory.files().get("/runs/one/batch_inputs/test/0001.jsonl") ?? Buffer.alloc(0)
      assert.strictEqual(shards[0]?.sha256, createHash("sha256").update(bytes).digest("hex"))
      assert.strictEqual(shards[0]?.bytes, bytes.length)
    }))
})

describe("splitting", () => {
  const byRows: ReadonlyArray<[limit: number, sizes: Array<number>]> = [
    [1, [1, 1, 1, 1]],
    [2, [2, 2]],
    [3, [3, 1]],
    [4, [4]],
    [5, [4]]
  ]
  for (const [limit, sizes] of byRows) {
    it.effect(`puts at most ${limit} of 4 rows into a shard`, () =>
      Effect.gen(function*() {
        const { shards } = yield* build(chats("a", "b", "c", "d"), { script: { limits: { rows: limit } } })
        assert.deepStrictEqual(shards.map((shard) => shard.rows), sizes)
        const lower = yield* build(chats("a", "b", "c", "d"), {}, { shardRows: limit })
        assert.deepStrictEqual(lower.shards.map((shard) => shard.rows), sizes)
      }))
  }

  const two = Buffer.byteLength(wireRow(1, "é") + wireRow(2, "b"))
  const byBytes: ReadonlyArray<[off: number, sizes: Array<number>]> = [[-1, [1, 1]], [0, [2]], [1, [2]]]
  for (const [off, sizes] of byBytes) {
    it.effect(`fills a shard to the byte, with ${off} of room`, () =>
      Effect.gen(function*() {
        const { shards } = yield* build(chats("é", "b"), { script: { limits: { bytes: two + off } } })
        assert.deepStrictEqual(shards.map((shard) => shard.rows), sizes)
        assert.isTrue(shards.every((shard) => shard.bytes <= two + off))
        const lower = yield* build(chats("é", "b"), {}, { shardBytes: two + off })
        assert.deepStrictEqual(lower.shards.map((shard) => shard.rows), sizes)
      }))
  }

  it.effect("leaves room for what the provider counts besides the rows", () =>
    Effect.gen(function*() {
      const exact = yield* build(chats("é", "b"), { script: { limits: { bytes: two + 10, overheadBytes: 10 } } })
      assert.deepStrictEqual(exact.shards.map((shard) => shard.rows), [2])
      const over = yield* build(chats("é", "b"), { script: { limits: { bytes: two + 9, overheadBytes: 10 } } })
      assert.deepStrictEqual(over.shards.map((shard) => shard.rows), [1, 1])
    }))

  it.effect("takes a row that fills a shard alone, and names one that is a byte too large", () =>
    Effect.gen(function*() {
      const bytes = Buffer.byteLength(wireRow(2, "four"))
      const { shards } = yield* build(chats("a", "four", "b"), { script: { limits: { bytes } } })
      assert.deepStrictEqual(shards.map((shard) => shard.rows), [1, 1, 1])
      assert.strictEqual(
        yield* failure(chats("a", "four"), { script: { limits: { bytes: bytes - 1 } } }),
        `rows:2: row 2 ("2") takes ${bytes} bytes as a test batch row, and a whole batch allows ${bytes - 1}. `
          + "Shorten the row, or split it."
      )
      assert.strictEqual(
        yield* failure(chats("a", "four"), {}, { shardBytes: bytes - 1 }),
        `rows:2: row 2 ("2") takes ${bytes} bytes as a test batch row, and --shard-bytes allows ${bytes - 1}. `
          + "Raise --shard-bytes, or shorten the row."
      )
    }))

  const models = Source.fromRows(["a", "b", "a", "c", "b"].map((model) => ({ model, prompt: "x" })))

  it.effect("gives each model its own shard where the provider wants that", () =>
    Effect.gen(function*() {
      const { shards } = yield* build(models, { script: { limits: { oneModelPerBatch: true } } })
      assert.deepStrictEqual(
        shards.map(({ firstRow, id, lastRow, model, rows }) => [id, model, rows, firstRow, lastRow]),
        [
          ["0001", "a", 2, 1, 3],
          ["0002", "b", 2, 2, 5],
          ["0003", "c", 1, 4, 4]
        ]
      )
    }))

  it.effect("mixes models where it may, and then names none", () =>
    Effect.gen(function*() {
      const { shards } = yield* build(models)
      assert.deepStrictEqual(shards.map(({ model, rows }) => [model, rows]), [[null, 5]])
    }))

  it.effect("separates endpoints and beta headers", () =>
    Effect.gen(function*() {
      const rows = [{}, { betas: "x" }, { endpoint: "/v1/other" }, { betas: "x" }, { betas: "x,y" }, {}]
      const { shards } = yield* build(
        Source.fromRows(rows.map((row) => ({ ...row, model: "m", prompt: "p" }))),
        { wrap: steered }
      )
      assert.deepStrictEqual(shards.map(({ betas, endpoint, rows }) => [endpoint, betas, rows]), [
        ["/v1/chat/completions", [], 2],
        ["/v1/chat/completions", ["x"], 2],
        ["/v1/other", [], 1],
        ["/v1/chat/completions", ["x", "y"], 1]
      ])
    }))

  it.effect("counts the inputs of embeddings, and names a row that has too many by itself", () =>
    Effect.gen(function*() {
      const rows = (...inputs: ReadonlyArray<string>) =>
        Source.fromRows(inputs.map((count) => ({ model: "m", prompt: "p", inputs: count })))
      const options = { wrap: steered, script: { limits: { embeddingInputs: 10 } } }
      const { shards } = yield* build(rows("4", "6", "1", "10", "9", "2"), options)
      assert.deepStrictEqual(shards.map((shard) => shard.rows), [2, 1, 1, 1, 1])
      assert.strictEqual(
        yield* failure(rows("1", "11"), options),
        "rows:2: row 2 (\"2\") has 11 inputs, and a whole batch of test allows 10. Split the row."
      )
    }))
})

describe("what is wrong with the input", () => {
  it.effect("is a second row with the same id, with both lines", () =>
    Effect.gen(function*() {
      const source = Source.fromText(
        "in.jsonl",
        "{\"id\":\"a\",\"model\":\"m\",\"prompt\":\"1\"}\n\n{\"id\":\"b\",\"model\":\"m\",\"prompt\":\"2\"}\n{\"id\":\"a\",\"model\":\"m\",\"prompt\":\"3\"}\n"
      )
      assert.strictEqual(
        yield* failure(source),
        "in.jsonl:4: custom_id: the id \"a\" is that of line 1 too. "
          + "Give every row an id of its own, or none: rows without one are numbered."
      )
    }))

  it.effect("is not seen behind the last row that is wanted", () =>
    Effect.gen(function*() {
      const source = Source.fromText(
        "in.jsonl",
        "{\"model\":\"m\",\"prompt\":\"1\"}\n{\"model\":\"m\",\"prompt\":\"2\"}\nthis is no row\n"
      )
      const { rows, shards } = yield* build(source, {}, { limitItems: 2 })
      assert.strictEqual(rows, 2)
      assert.deepStrictEqual(shards.map((shard) => shard.rows), [2])
      assert.include(yield* failure(source, {}, { limitItems: 3 }), "in.jsonl:3:1:")
    }))

  it.effect("is a field that the provider cannot take, with the way out", () =>
    Effect.gen(function*() {
      const picky = (provider: Provider.Service): Provider.Service => ({
        ...provider,
        encode: (request, id, endpoint) =>
          request.body["stop"] === undefined
            ? provider.encode(request, id, endpoint)
            : Either.left(
              new UnsupportedField({
                field: "stop",
                target: "test",
                reason: "it has no such field",
                remedy: "use /v1/other"
              })
            )
      })
      const source = Source.fromRows([
        { id: "one", model: "m", prompt: "p" },
        { id: "two", model: "m", prompt: "p", stop: ["."] },
        { id: "three", model: "m", prompt: "p", stop: ["!"] }
      ])
      assert.strictEqual(
        yield* failure(source, { wrap: picky }),
        "rows:2: stop: row 2 (\"two\") cannot be sent to test: it has no such field. "
          + "Use /v1/other, or leave it out of every row with --drop stop."
      )
      const { notices, world } = yield* build(source, { wrap: picky }, { drop: ["stop"] })
      assert.deepStrictEqual(notices, ["stop is left out of 2 rows (--drop stop)"])
      assert.notInclude(world.read("batch_inputs/test/0001.jsonl"), "stop")
      assert.notInclude(world.read("rows/0001.jsonl"), "stop")
    }))
})

describe("what the user should know", () => {
  it.effect("is told once", () =>
    Effect.gen(function*() {
      const rows = ["max_tokens is 4096", "max_tokens is 4096", "another"]
      const { notices, world } = yield* build(
        Source.fromRows(rows.map((notice) => ({ model: "m", prompt: "p", notice }))),
        { wrap: steered }
      )
      assert.deepStrictEqual(notices, ["max_tokens is 4096", "another"])
      assert.deepStrictEqual(world.events.flatMap((event) => event._tag === "Notice" ? [event.text] : []), notices)
    }))
})

describe("a disk that fails", () => {
  it.effect("is named by the error, at whichever operation it fails", () =>
    Effect.gen(function*() {
      let reached = true
      for (let count = 1; reached; count++) {
        const world = yield* World.make()
        world.memory.disk.makeDirectory(World.directory)
        world.memory.failOnce({ count, code: "EIO" })
        const before = world.memory.operations
        const exit = yield* world.inProcess(
          Effect.flatMap(Build.Build, (stage) =>
            Effect.either(stage.build(
              chats("a", "b"),
              new Build.RunLocation({ directory: World.directory, runTag: "tag" }),
              new BuildOptions({ shardRows: 1 })
            ))),
          0
        )
        reached = world.memory.operations - before >= count
        if (reached)
          assert.strictEqual(Either.isLeft(exit) ? exit.left._tag : "no error", "DiskError", `operation ${count}`)
      }
    }))
})
