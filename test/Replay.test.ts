import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { BatchSnapshot, RequestCounts } from "llm-batch/Batch"
import * as Ledger from "llm-batch/Ledger"
import * as Pipeline from "llm-batch/Pipeline"
import * as OpenAi from "llm-batch/provider/OpenAi"
import * as Replay from "llm-batch/Replay"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as Build from "llm-batch/stage/Build"
import * as Normalize from "llm-batch/stage/Normalize"
import { gzipSync } from "node:zlib"
import * as Disk from "../src/internal/Disk.js"
import * as MemoryDisk from "../src/internal/MemoryDisk.js"

const answer = (id: string, text: string) =>
  `{"id":"r1","custom_id":${JSON.stringify(id)},"response":{"status_code":200,"request_id":"q1","body":`
  + `{"id":"c1","object":"chat.completion","created":1,"model":"gpt-4.1-mini","choices":[{"index":0,"message":`
  + `{"role":"assistant","content":${JSON.stringify(text)}},"finish_reason":"stop"}],"usage":`
  + `{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3}}},"error":null}`

interface Saved {
  readonly [path: string]: string | Uint8Array
}

const defaults = new RequestDefaults({ model: "gpt-4.1-mini" })

/** A pipeline that replays `/saved`, on a disk with these files. No key is given, and there is no network to use. */
const replaying = <A, E>(
  saved: Saved,
  use: (
    pipeline: Pipeline.Service,
    files: () => ReadonlyMap<string, Buffer>,
    disk: Disk.Service
  ) => Effect.Effect<A, E, Ledger.Ledger>
) => {
  const memory = MemoryDisk.make()
  memory.disk.makeDirectory("/run")
  for (const [path, content] of Object.entries(saved)) {
    memory.disk.makeDirectory(path.slice(0, path.lastIndexOf("/")))
    const handle = memory.disk.open(path, "write")
    Disk.writeAll(handle, Buffer.from(content))
    handle.close()
  }
  const layer = Pipeline.layerComposed.pipe(
    Layer.provide([Build.layer, Normalize.layer, Replay.layer("/saved")]),
    Layer.provide(OpenAi.layer()),
    Layer.provideMerge(Ledger.layerMemory)
  )
  return Effect.flatMap(Pipeline.Pipeline, (pipeline) => use(pipeline, memory.files, memory.disk)).pipe(
    Effect.provide(layer),
    Effect.provideService(Disk.Disk, memory.disk)
  )
}

/** The id, the outcome and the text of each line of results. */
const resultsOf = (files: ReadonlyMap<string, Buffer>) =>
  String(files.get("/run/results.jsonl")).split("\n").filter((line) => line !== "").map((text) => {
    const line = JSON.parse(text)
    return [
      line.custom_id,
      line.error?.outcome ?? "succeeded",
      line.response?.body?.choices?.[0]?.message.content ?? ""
    ]
      .join(" | ")
  })

const prompts = (...ids: ReadonlyArray<string | null>) =>
  Source.fromRows(ids.map((id, index) => ({ ...(id === null ? {} : { id }), prompt: `question ${index + 1}` })))

const run = (source: Source.Source, saved: Saved, shardRows = 10, mode: "batch" | "sync" = "batch") =>
  replaying(saved, (pipeline, files) =>
    Effect.map(
      pipeline.run(source, { directory: "/run", defaults, endpoint: "/v1/chat/completions", shardRows, mode }),
      ({ state }) => ({ state, files: files() })
    ))

describe("Replay", () => {
  it.effect("gives rows that are asked one by one their saved answers", () =>
    Effect.gen(function*() {
      const asked = run(
        prompts("a", "b", "c"),
        {
          "/saved/out.jsonl": `${answer("a", "one")}\n${answer("b", "two")}\n`
        },
        10,
        "sync"
      )
      const { files, state } = yield* asked
      assert.deepStrictEqual(resultsOf(files), ["a | succeeded | one", "b | succeeded | two", "c | missing | "])
      assert.strictEqual(state.shards.get("0001")?.shard.mode, "sync")
    }))

  it.effect("keeps an answer that was asked for and paid for before, and no torn one", () =>
    Effect.gen(function*() {
      const saved = { "/saved/out.jsonl": `${answer("a", "one")}\n${answer("b", "two")}\n${answer("c", "three")}\n` }
      const files = yield* replaying(saved, (pipeline, files, disk) =>
        Effect.gen(function*() {
          const steps = { from: "build", to: "build" } as const
          const options = { directory: "/run", defaults, endpoint: "/v1/chat/completions", mode: "sync" } as const
          const { state } = yield* pipeline.run(prompts("a", "b", "c"), { ...options, steps })
          disk.makeDirectory("/run/raw/openai")
          const handle = disk.open("/run/raw/openai/0001.jsonl", "write")
          const paid = answer(`${state.run.runTag}-2`, "paid for")
          Disk.writeAll(handle, Buffer.from(`${paid}\n${answer(`${state.run.runTag}-3`, "torn")}`))
          handle.close()
          yield* pipeline.resume("/run")
          return files()
        }))
      assert.deepStrictEqual(resultsOf(files), [
        "a | succeeded | one",
        "b | succeeded | paid for",
        "c | succeeded | three"
      ])
    }))

  it.effect("finds rows by the user's ids, in every file, in any order, whatever they are packed in", () =>
    Effect.gen(function*() {
      const { files, state } = yield* run(prompts("a|1", "b|2", "c|3", "d|4"), {
        "/saved/out.jsonl": `${answer("c|3", "three")}\n${answer("someone else's", "?")}\n${answer("a|1", "one")}`,
        "/saved/more/errors.bin": gzipSync(
          "{\"id\":\"r9\",\"custom_id\":\"b|2\",\"response\":{\"status_code\":400,\"request_id\":\"q\",\"body\":"
            + "{\"error\":{\"message\":\"too long\",\"code\":\"invalid_value\"}}},\"error\":null}\n"
        ),
        "/saved/notes.txt": "these are results\n"
      }, 2)
      assert.deepStrictEqual(resultsOf(files), [
        "a|1 | succeeded | one",
        "b|2 | errored | ",
        "c|3 | succeeded | three",
        "d|4 | missing | "
      ])
      assert.deepStrictEqual([...state.shards.values()].map(({ snapshot }) => snapshot?.id), [
        "replay_0001",
        "replay_0002"
      ])
      assert.strictEqual(state.tally?.unexpectedLines, 0)
    }))

  it.effect("finds rows by the wire ids of an earlier run, whose row numbers are the same", () =>
    Effect.gen(function*() {
      const { files } = yield* run(prompts("x", null, "z"), {
        "/saved/0001.jsonl": [3, 1, 2].map((row) => answer(`k3f9a2x7qd-${row}`, `answer ${row}`)).join("\n")
      }, 2)
      assert.deepStrictEqual(resultsOf(files), [
        "x | succeeded | answer 1",
        "2 | succeeded | answer 2",
        "z | succeeded | answer 3"
      ])
    }))

  it.effect("takes the user's id where it could be a wire id too", () =>
    Effect.gen(function*() {
      const { files, state } = yield* run(prompts("evaluation-3", "evaluation-2", "evaluation-1"), {
        "/saved/a.jsonl": [1, 2, 3].map((row) => answer(`evaluation-${row}`, `of ${row}`)).join("\n")
      }, 1)
      assert.deepStrictEqual(resultsOf(files), [
        "evaluation-3 | succeeded | of 3",
        "evaluation-2 | succeeded | of 2",
        "evaluation-1 | succeeded | of 1"
      ])
      assert.strictEqual(state.tally?.duplicateLines, 0)
    }))

  it.effect("changes the id and not one other byte", () =>
    Effect.gen(function*() {
      const line = (id: string) =>
        Buffer.concat([
          Buffer.from(
            `{ "nested": {"custom_id" : "a"}, "note": "\\"custom_id\\": \\"a\\"", "n": 12345678901234567890, "x": 1.0, `
              + `"custom_id" :  "${id}" , "response": {"custom_id":"a"}, "bytes": "`
          ),
          Buffer.from([0xff, 0xc3, 0xa9]),
          Buffer.from("\" }")
        ])
      const { files, state } = yield* run(prompts("a"), { "/saved/a.jsonl": line("a") })
      const expected = Buffer.concat([line(`${state.run.runTag}-1`), Buffer.from("\n")])
      assert.deepStrictEqual(files.get("/run/raw/openai/0001.jsonl"), expected)
    }))

  it.effect("takes what a run directory received, and not what it sent or made of it", () =>
    Effect.gen(function*() {
      const { files, state } = yield* run(prompts("a"), {
        "/saved/earlier/journal.jsonl": "",
        "/saved/earlier/results.jsonl": answer("a", "as normalised"),
        "/saved/earlier/raw/anthropic/0001.jsonl": answer("a", "from elsewhere"),
        "/saved/earlier/raw/openai/0001.jsonl": answer("k3f9a2x7qd-1", "as received"),
        "/saved/input.jsonl": "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/responses\",\"body\":{}}"
      })
      assert.deepStrictEqual(resultsOf(files), ["a | succeeded | as received"])
      assert.strictEqual(state.tally?.malformedLines, 0)
      assert.strictEqual(state.tally?.conflictingLines, 0)
    }))

  it.effect("says so when there are no saved results, before anything is built", () =>
    Effect.gen(function*() {
      const { files, message } = yield* replaying({ "/saved/.hidden": "" }, (pipeline, files) =>
        Effect.map(
          Effect.flip(pipeline.run(prompts("a"), { directory: "/run", defaults })),
          (error) => ({ files: files(), message: error.message })
        ))
      assert.include(message, "look for saved results: there are none in /saved")
      assert.deepStrictEqual([...files.keys()], ["/saved/.hidden"])
    }))

  it.effect("refuses saved results of which none is of a row of the run, and can be given the right ones then", () =>
    Effect.gen(function*() {
      const saved = {
        "/saved/out.jsonl": `${answer("other|1", "one")}\n${answer("other|2", "two")}\n`,
        "/saved/in.jsonl": "{\"custom_id\":\"a\",\"body\":{}}\n"
      }
      yield* replaying(saved, (pipeline) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(
            pipeline.run(prompts("a", "b", "c"), {
              directory: "/run",
              defaults,
              endpoint: "/v1/chat/completions",
              shardRows: 2
            })
          )
          assert.strictEqual(error._tag, "RunRejected")
          assert.strictEqual(
            error.message,
            "/saved: of the saved results here, in 2 files, none is of a row of /run: no custom_id is the same. "
              + "Name the results of this input with --replay-dir."
          )
          const { shards } = yield* (yield* Ledger.Ledger).state("/run")
          assert.deepStrictEqual([...shards.values()].map(({ status }) => status), ["built", "built"])
        }))
    }))

  it.effect("takes saved results that have a row of a later shard only", () =>
    Effect.gen(function*() {
      const { files } = yield* run(prompts("a", "b", "c"), { "/saved/out.jsonl": answer("c", "three") }, 1)
      assert.deepStrictEqual(resultsOf(files), ["a | missing | ", "b | missing | ", "c | succeeded | three"])
    }))

  it.effect("does not touch a run that may have batches at the provider", () =>
    replaying({ "/saved/a.jsonl": answer("a", "one") }, (pipeline) =>
      Effect.gen(function*() {
        const ledger = yield* Ledger.Ledger
        yield* pipeline.run(prompts("a"), { directory: "/run", defaults, steps: { from: "build", to: "build" } })
        const append = (entry: Ledger.NewEntry) =>
          Effect.scoped(Effect.zipRight(ledger.open("/run"), ledger.append("/run", entry)))
        yield* append({ _tag: "CreateUnanswered", shard: "0001", detail: "reset" })
        const unanswered = yield* Effect.flip(pipeline.resume("/run"))
        assert.include(unanswered.message, "a batch may have been made of shard 0001 before")
        yield* append({
          _tag: "BatchCreated",
          shard: "0001",
          adopted: true,
          snapshot: new BatchSnapshot({
            id: "batch_1",
            status: "in_progress",
            ending: null,
            providerStatus: "in_progress",
            counts: new RequestCounts({ total: 1, succeeded: 0, errored: 0, expired: 0, cancelled: 0 }),
            createdAt: DateTime.unsafeMake(0),
            expiresAt: null,
            endedAt: null,
            inputFileId: null,
            files: [],
            problems: []
          })
        })
        const running = yield* Effect.flip(pipeline.resume("/run"))
        assert.include(running.message, "this batch is at the provider")
      })))
})
