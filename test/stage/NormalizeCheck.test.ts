import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { AnswerCheck } from "llm-batch/AnswerCheck"
import * as AnswerSchema from "llm-batch/AnswerSchema"
import { BatchSnapshot, EndedBatch, RequestCounts, ResultFile } from "llm-batch/Batch"
import { BuildOptions } from "llm-batch/BuildOptions"
import { RawFile, RawResults } from "llm-batch/RawResults"
import { isJsonObject, type Request } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as Build from "llm-batch/stage/Build"
import { Normalize } from "llm-batch/stage/Normalize"
import * as World from "../World.js"

/** What the model says to each of three rows. */
interface Answer {
  readonly text: string
  readonly refusal?: string
  readonly finish_reason?: string
}

const line = (row: number, { finish_reason = "stop", refusal, text }: Answer) =>
  JSON.stringify({ custom_id: `tag-${row}`, model: "m", text, refusal: refusal ?? null, finish_reason })

const at = (value: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>(
    (inner, key) => Array.isArray(inner) ? inner[Number(key)] : isJsonObject(inner) ? inner[key] : undefined,
    value
  )

const write = (world: World.World, path: string, content: string) => {
  const bytes = Buffer.from(content)
  const handle = world.memory.disk.open(path, "write")
  for (let written = 0; written < bytes.length;) written += handle.write(bytes, written, bytes.length - written)
  handle.close()
}

const prepare = (answers: ReadonlyArray<Answer>) =>
  Effect.gen(function*() {
    const world = yield* World.make({})
    const rows = answers.map((_, index) => ({ id: `id ${index + 1}`, model: "m", prompt: `p${index + 1}` }))
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
    world.memory.disk.makeDirectory(`${World.directory}/raw/test`)
    write(
      world,
      `${World.directory}/raw/test/0001.jsonl`,
      answers.map((answer, index) => `${line(index + 1, answer)}\n`).toReversed().join("")
    )
    const snapshot = new BatchSnapshot({
      id: "batch-1",
      status: "ended",
      ending: "completed",
      providerStatus: "completed",
      counts: new RequestCounts({ total: answers.length, succeeded: 0, errored: 0, expired: 0, cancelled: 0 }),
      createdAt: DateTime.unsafeMake(0),
      expiresAt: null,
      endedAt: null,
      inputFileId: null,
      files: [],
      problems: []
    })
    const raw = new RawResults({
      batch: new EndedBatch({ shard, snapshot, ending: "completed" }),
      files: [
        new RawFile({
          file: new ResultFile({ kind: "output", reference: "0001.jsonl" }),
          name: "0001.jsonl",
          bytes: 0,
          sha256: "",
          packing: "plain"
        })
      ],
      rows: 0,
      shortBy: 0
    })
    /** The part that comes of it, and its lines. */
    const normalize = (check?: AnswerCheck) =>
      Effect.map(
        world.inProcess(Effect.flatMap(Normalize, (stage) => stage.normalize(raw, check)), 0),
        ({ tally }) => ({
          tally,
          lines: (world.memory.files().get(`${World.directory}/parts/0001.jsonl`) ?? "").toString().trimEnd().split(
            "\n"
          )
        })
      )
    return { world, normalize }
  })

const labels = Either.getOrThrow(
  AnswerSchema.fromSchema(
    Schema.Struct({ label: Schema.Literal("spam", "ham"), score: Schema.optional(Schema.Number) })
  )
)

describe("results that are normalised with a check", () => {
  it.scoped("say of each answer that does not fit why, and keep it byte for byte", () =>
    Effect.gen(function*() {
      const { normalize } = yield* prepare([
        { text: "{\"label\":\"spam\",\"score\":null}" },
        { text: "I think: {\"label\":\"egg\"}" },
        { text: "no idea" },
        { text: "I will not.", refusal: "I will not." },
        { text: "{\"label\":\"sp", finish_reason: "length" }
      ])
      const plain = yield* normalize()
      const checked = yield* normalize(labels.check)
      assert.deepStrictEqual(
        checked.lines.map((text) => {
          const record: unknown = JSON.parse(text)
          return [at(record, "outcome"), at(record, "result", "error")]
        }),
        [
          ["succeeded", null],
          ["invalid", {
            code: "invalid_answer",
            message: "$.label: Expected \"spam\" | \"ham\", actual \"egg\"",
            outcome: "invalid",
            retryable: false,
            repairable: true
          }],
          ["invalid", {
            code: "invalid_json",
            message: "$: there is no JSON in it that can be read",
            outcome: "invalid",
            retryable: false,
            repairable: true
          }],
          ["invalid", {
            code: "refused",
            message: "$: the model declined to answer",
            outcome: "invalid",
            retryable: false
          }],
          ["invalid", {
            code: "truncated",
            message: "$: the answer stopped at the token limit (--max-tokens)",
            outcome: "invalid",
            retryable: false
          }]
        ]
      )
      const kept = (text: string) => text.slice(text.indexOf("\"result\""), text.lastIndexOf(",\"error\":"))
      assert.deepStrictEqual(checked.lines.map(kept), plain.lines.map(kept))
      assert.deepStrictEqual(
        [plain.tally, checked.tally].map((tally) => [
          tally.rows,
          tally.succeeded,
          tally.invalid,
          tally.repairable,
          tally.refused,
          tally.truncated
        ]),
        [[5, 5, 0, 0, 1, 1], [5, 1, 4, 2, 1, 1]]
      )
      assert.deepStrictEqual((yield* normalize(labels.check)).lines, checked.lines)
    }))

  it.scoped("ask about each answer together with the row that it answers", () =>
    Effect.gen(function*() {
      const { normalize } = yield* prepare([{ text: "a1" }, { text: "a2" }, { text: "", refusal: "no" }])
      const asked: Array<readonly [string, Request]> = []
      yield* normalize((answer, request) => {
        asked.push([answer, request])
        return undefined
      })
      assert.deepStrictEqual(
        asked,
        [1, 2].map((row) => [
          `a${row}`,
          {
            kind: "chat",
            row,
            line: row,
            customId: `id ${row}`,
            body: { model: "m", messages: [{ role: "user", content: `p${row}` }] }
          }
        ])
      )
    }))

  it.scoped("die of a check that throws, whatever it throws", () =>
    Effect.gen(function*() {
      const { normalize } = yield* prepare([{ text: "a" }, { text: "b" }])
      const missing = Object.assign(new Error("no such file"), { code: "ENOENT", syscall: "open" })
      for (
        const [thrown, message] of [
          [new TypeError("label is undefined"), "The check of answers failed at row 1: label is undefined"],
          [missing, "The check of answers failed at row 1: no such file"]
        ] as const
      ) {
        const exit = yield* Effect.sandbox(normalize(() => {
          throw thrown
        })).pipe(Effect.flip)
        assert.isTrue(Cause.isDie(exit))
        assert.include(Cause.pretty(exit), message)
      }
    }))

  it.scoped("need the records of their rows as they were built", () =>
    Effect.gen(function*() {
      const { normalize, world } = yield* prepare([{ text: "a" }, { text: "b" }])
      const rows = `${World.directory}/rows/0001.jsonl`
      const text = (world.memory.files().get(rows) ?? "").toString()
      write(world, rows, text.replace("\"p2\"", "\"p2"))
      const error = yield* Effect.flip(normalize(() => undefined))
      assert.include(error.message, "rows/0001.jsonl: shard 0001")
      assert.include(error.message, "its checksum differs")
    }))
})
