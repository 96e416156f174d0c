import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import { BatchSnapshot, type EndedBatch, RequestCounts } from "llm-batch/Batch"
import { Pipeline } from "llm-batch/Pipeline"
import type * as Provider from "llm-batch/Provider"
import type { RawResults } from "llm-batch/RawResults"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import { Fetch } from "llm-batch/stage/Fetch"
import { Normalize } from "llm-batch/stage/Normalize"
import * as Tally from "llm-batch/Tally"
import { Fault, type Script } from "llm-batch/TestProvider"
import { createHash } from "node:crypto"
import { gzipSync } from "node:zlib"
import * as World from "../World.js"

const { Cut, Failing, None } = Fault

/** A batch that has ended, of which nothing is fetched yet. */
const ended = (options: World.WorldOptions = {}, rows = 4) =>
  Effect.gen(function*() {
    const world = yield* World.make(options)
    const { state } = yield* world.simulate(Effect.flatMap(Pipeline, (pipeline) =>
      pipeline.run(Source.fromRows(Array.from({ length: rows }, (_, index) => ({ prompt: `row ${index + 1}` }))), {
        defaults: new RequestDefaults({ model: "m" }),
        directory: World.directory,
        steps: { from: "build", to: "poll" }
      })))
    const batch = state.shards.get("0001")?.ended
    return batch === undefined || batch === null
      ? yield* Effect.dieMessage("the batch has not ended")
      : { world, batch, tag: state.run.runTag }
  })

const fetchEither = (world: World.World, batch: EndedBatch) =>
  // Not under a clock that is adjusted: gzip is unpacked by threads, which no test clock waits for.
  world.simulate(Effect.flatMap(Fetch, (stage) => Effect.either(stage.fetch(batch))))

const fetch = (world: World.World, batch: EndedBatch) =>
  Effect.flatMap(
    fetchEither(world, batch),
    (raw) => Either.isRight(raw) ? Effect.succeed(raw.right) : Effect.die(raw.left)
  )

const failure = (world: World.World, batch: EndedBatch) =>
  Effect.map(fetchEither(world, batch), (raw) => Either.isLeft(raw) ? raw.left : assert.fail("it went well"))

/** The rows in a raw file, in the order of their lines. */
const rowsIn = (world: World.World, name: string) =>
  [...world.read(`raw/test/${name}`).matchAll(/"custom_id":"[a-z0-9]+-(\d+)"/gu)].map((match) => Number(match[1]))

const downloads = (world: World.World) =>
  Effect.map(world.test.calls, (calls) => calls.filter(({ operation }) => operation === "download"))

const withDownload = (
  change: (bytes: Buffer, kind: string) => ReadonlyArray<Uint8Array>
) =>
(provider: Provider.Service): Provider.Service => ({
  ...provider,
  download: (file) =>
    Stream.unwrap(
      Effect.map(Stream.runCollect(provider.download(file)), (chunks) =>
        Stream.fromIterable(change(Buffer.concat([...chunks]), file.kind)))
    )
})

/** Some lines of a file, by their number from 0; all when none are named. */
const linesOf = (bytes: Buffer, numbers: ReadonlyArray<number> | undefined): Buffer => {
  const lines = bytes.toString().split(/(?<=\n)/u)
  return Buffer.from((numbers ?? [...lines.keys()]).map((number) => lines[number]).join(""))
}

const withFaults = (download: NonNullable<Script["faults"]>["download"], more: Script = {}): World.WorldOptions => ({
  script: { ...more, faults: { download } }
})

/** The bytes of an answer's line, so that a file can be cut at it: all lines of these tests are as long. */
const lineLength = (world: World.World) => world.read("raw/test/0001.jsonl").indexOf("\n") + 1

describe("results", () => {
  it.effect("come to disk as they were sent, output and errors apart", () =>
    Effect.gen(function*() {
      const sent = new Map<string, string>()
      const { batch, world } = yield* ended({
        script: { outcome: ({ row }) => row === 2 ? "errored" : row === 3 ? "expired" : "succeeded" },
        wrap: withDownload((bytes, kind) => {
          sent.set(kind, bytes.toString())
          return Array.from(bytes, (byte) => Uint8Array.of(byte))
        })
      })
      const raw = yield* fetch(world, batch)
      assert.strictEqual(world.read("raw/test/0001.jsonl"), sent.get("output"))
      assert.strictEqual(world.read("raw/test/0001.errors.jsonl"), sent.get("error"))
      assert.deepStrictEqual(rowsIn(world, "0001.jsonl"), [4, 1])
      assert.deepStrictEqual(rowsIn(world, "0001.errors.jsonl"), [3, 2])
      assert.deepStrictEqual(
        raw.files.map(({ bytes, file, name, packing, sha256 }) => [file.kind, name, bytes, packing, sha256]),
        (["output", "error"] as const).map((kind) => {
          const bytes = sent.get(kind) ?? ""
          const name = kind === "output" ? "0001.jsonl" : "0001.errors.jsonl"
          return [kind, name, bytes.length, "plain", createHash("sha256").update(bytes).digest("hex")]
        })
      )
      assert.strictEqual(raw.rows, 4)
      assert.strictEqual(raw.shortBy, 0)
      assert.notInclude(world.files().join(), ".tmp")
    }))

  it.effect("that are packed are counted by their content, and kept as they came", () =>
    Effect.gen(function*() {
      let packed = Buffer.alloc(0)
      const { batch, world } = yield* ended({
        wrap: withDownload((bytes) => [packed = gzipSync(bytes)])
      })
      const raw = yield* fetch(world, batch)
      assert.strictEqual(raw.rows, 4)
      assert.strictEqual(raw.files[0]?.packing, "gzip")
      assert.isTrue(world.memory.files().get("/runs/one/raw/test/0001.jsonl")?.equals(packed))
    }))

  it.effect("of a batch without any are none", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended({
        script: { timeline: [{ after: "1 hour", status: "ended", ending: "failed" }] }
      })
      const raw = yield* fetch(world, batch)
      assert.deepStrictEqual(raw.files, [])
      assert.strictEqual(raw.rows, 0)
      assert.deepStrictEqual(yield* downloads(world), [])
    }))

  it.effect("of an expired batch are those that the provider counts", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended({
        script: { answeredAfter: ({ row }) => row === 3 ? "1 hour" : "3 days" },
        wrap: (provider) => ({
          ...provider,
          // Counts and names only what was answered.
          retrieve: (id) =>
            Effect.map(provider.retrieve(id), (snapshot) =>
              new BatchSnapshot({
                ...snapshot,
                counts: new RequestCounts({ ...snapshot.counts, expired: 0 }),
                files: snapshot.files.filter(({ kind }) => kind === "output")
              }))
        })
      })
      assert.strictEqual(batch.ending, "expired")
      const raw = yield* fetch(world, batch)
      assert.strictEqual(raw.rows, 1)
      assert.deepStrictEqual(rowsIn(world, "0001.jsonl"), [3])
    }))

  it.effect("can be fetched again", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended()
      const first = yield* fetch(world, batch)
      const second = yield* fetch(world, batch)
      assert.deepStrictEqual(second.files.map(({ sha256 }) => sha256), first.files.map(({ sha256 }) => sha256))
    }))
})

describe("a download", () => {
  it.effect("that is cut short inside a line is made again", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended(withFaults([Cut({ bytes: 250 })]))
      const raw = yield* fetch(world, batch)
      assert.strictEqual(raw.rows, 4)
      assert.deepStrictEqual(rowsIn(world, "0001.jsonl"), [4, 3, 2, 1])
      assert.strictEqual((yield* downloads(world)).length, 2)
      assert.deepStrictEqual(
        world.events.flatMap((event) => event._tag === "DownloadRepeated" ? [event.shortBy] : []),
        [3]
      )
    }))

  it.effect("that is cut exactly on a newline is made again", () =>
    Effect.gen(function*() {
      const plain = yield* ended()
      yield* fetch(plain.world, plain.batch)
      const { batch, world } = yield* ended(withFaults([Cut({ bytes: 2 * lineLength(plain.world) })]))
      const raw = yield* fetch(world, batch)
      assert.strictEqual(raw.rows, 4)
      assert.deepStrictEqual(rowsIn(world, "0001.jsonl"), [4, 3, 2, 1])
    }))

  it.effect("of the same file that is served with different bytes each time is one of them as a whole", () =>
    Effect.gen(function*() {
      let count = 0
      const { batch, world } = yield* ended({
        wrap: withDownload((bytes) => {
          count++
          const changed = Buffer.from(bytes.toString().replaceAll("row ", `answer ${count} to `))
          return [count === 1 ? changed.subarray(0, 250) : changed]
        })
      })
      const answers = () =>
        [...world.read("raw/test/0001.jsonl").matchAll(/answer (\d) to \d/gu)].map(([, time]) => time)
      for (const time of ["2", "3"]) {
        const raw = yield* fetch(world, batch)
        assert.strictEqual(raw.rows, 4)
        assert.deepStrictEqual(answers(), [time, time, time, time])
        const sha256 = createHash("sha256").update(world.read("raw/test/0001.jsonl")).digest("hex")
        assert.strictEqual(raw.files[0]?.sha256, sha256)
      }
    }))

  it.effect("is kept when it holds more than the next one", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended(withFaults([Cut({ bytes: 400 }), Cut({ bytes: 0 }), Cut({ bytes: 250 })]))
      const error = yield* failure(world, batch)
      assert.strictEqual(error._tag, "ResultsIncomplete")
      assert.strictEqual(error._tag === "ResultsIncomplete" ? error.raw.rows : 0, 2)
      assert.deepStrictEqual(rowsIn(world, "0001.jsonl").slice(0, 2), [4, 3])
      assert.strictEqual(world.read("raw/test/0001.jsonl").length, 400)
      assert.notInclude(world.files().join(), ".tmp")
    }))

  it.effect("that is short is kept beside another one that is, when each holds rows of its own", () =>
    Effect.gen(function*() {
      let count = 0
      const { batch, world } = yield* ended({
        wrap: withDownload((bytes) => [linesOf(bytes, [[0, 1], [1, 2], [1, 2]][count++])])
      })
      const error = yield* failure(world, batch)
      assert.deepStrictEqual(error._tag === "ResultsIncomplete" ? [error.raw.rows, error.raw.shortBy] : error._tag, [
        3,
        1
      ])
      assert.deepStrictEqual(error._tag === "ResultsIncomplete" ? error.raw.files.map(({ name }) => name) : [], [
        "0001.jsonl",
        "0001.2.jsonl"
      ])
      assert.deepStrictEqual([rowsIn(world, "0001.jsonl"), rowsIn(world, "0001.2.jsonl")], [[4, 3], [3, 2]])
      assert.notInclude(world.files().join(), ".tmp")
    }))

  it.effect("that is short completes another one, though neither is whole, and every row is answered once", () =>
    Effect.gen(function*() {
      let count = 0
      const { batch, world } = yield* ended({
        wrap: withDownload((bytes) => [linesOf(bytes, [[0, 1], [1, 2], [2, 3]][count++])])
      })
      const raw = yield* fetch(world, batch)
      assert.deepStrictEqual([raw.rows, raw.shortBy], [4, 0])
      assert.strictEqual((yield* downloads(world)).length, 3)
      const { tally } = yield* world.simulate(Effect.flatMap(Normalize, (stage) => Effect.orDie(stage.normalize(raw))))
      assert.strictEqual(tally.succeeded, 4)
      assert.isFalse(Tally.hasAnomalies(tally))
    }))

  it.effect("that is short is kept beside what came before, and a whole one in place of all", () =>
    Effect.gen(function*() {
      const parts = [[0], [0], [1], [1], [0, 1, 2, 3]]
      let count = 0
      const { batch, world } = yield* ended({ wrap: withDownload((bytes) => [linesOf(bytes, parts[count++])]) })
      const again = (before?: RawResults) =>
        world.simulate(
          Effect.flatMap(Fetch, (stage) =>
            Effect.catchTag(stage.fetch(batch, before), "ResultsIncomplete", ({ raw }) => Effect.succeed(raw))).pipe(
              Effect.orDie
            )
        )
      const first = yield* again()
      const second = yield* again(first)
      assert.deepStrictEqual([first.rows, second.rows, second.shortBy], [1, 2, 2])
      assert.deepStrictEqual(second.files.map(({ name }) => name), ["0001.jsonl", "0001.2.jsonl"])
      const third = yield* again(second)
      assert.deepStrictEqual(third.files.map(({ name }) => name), ["0001.jsonl"])
      assert.deepStrictEqual(rowsIn(world, "0001.jsonl"), [4, 3, 2, 1])
    }))

  it.effect("that is short replaces what came before and was changed since", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended({ wrap: withDownload((bytes) => [linesOf(bytes, [0, 1])]) })
      const error = yield* failure(world, batch)
      const before = error._tag === "ResultsIncomplete" ? error.raw : assert.fail(error._tag)
      world.memory.disk.remove("/runs/one/raw/test/0001.jsonl")
      const again = yield* world.simulate(
        Effect.flatMap(Fetch, (stage) => Effect.flip(stage.fetch(batch, before)))
      )
      assert.strictEqual(again._tag, "ResultsIncomplete")
      assert.deepStrictEqual(rowsIn(world, "0001.jsonl"), [4, 3])
    }))

  it.effect("that is cut behind a brace inside of its last line is made again", () =>
    Effect.gen(function*() {
      let count = 0
      const { batch, world } = yield* ended({
        wrap: withDownload((bytes) => [
          count++ === 0 ? bytes.subarray(0, bytes.lastIndexOf("}", bytes.lastIndexOf("}") - 1) + 1) : bytes
        ])
      })
      const raw = yield* fetch(world, batch)
      assert.deepStrictEqual([raw.rows, (yield* downloads(world)).length], [4, 2])
      assert.isTrue(world.read("raw/test/0001.jsonl").endsWith("\n"))
    }))

  it.effect("that stays short is given up after three, with what came", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended(withFaults([Cut({ bytes: 10 }), Cut({ bytes: 250 }), Cut({ bytes: 400 })]))
      const error = yield* failure(world, batch)
      assert.strictEqual(
        error.message,
        "Batch batch-1 (shard 0001, test): its results hold 2 of 4 rows, 2 fewer than the provider counts. "
          + "The rest is reported as missing."
      )
      assert.strictEqual((yield* downloads(world)).length, 3)
      assert.strictEqual(error._tag === "ResultsIncomplete" ? error.raw.shortBy : 0, 2)
    }))

  it.effect("that is short twice in the same way is not made a third time", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended({ script: { outcome: ({ row }) => row === 2 ? "missing" : "succeeded" } })
      const error = yield* failure(world, batch)
      assert.strictEqual(error._tag, "ResultsIncomplete")
      assert.deepStrictEqual(rowsIn(world, "0001.jsonl"), [4, 3, 1])
      assert.strictEqual((yield* downloads(world)).length, 2)
    }))

  it.effect("is made again when errors are as many as the answers that are absent", () =>
    Effect.gen(function*() {
      // The provider counts 4 answers and has 4 lines, of which one is an error for an answered row.
      const { batch, world } = yield* ended({
        wrap: (provider): Provider.Service => ({
          ...provider,
          retrieve: (id) =>
            Effect.map(provider.retrieve(id), (snapshot) =>
              new BatchSnapshot({
                ...snapshot,
                counts: new RequestCounts({
                  ...snapshot.counts,
                  succeeded: snapshot.ending === null ? 0 : 4,
                  errored: 0
                })
              }))
        }),
        script: { outcome: ({ row }) => row === 2 ? "errored" : "succeeded" }
      })
      const error = yield* failure(world, batch)
      assert.strictEqual(error._tag === "ResultsIncomplete" ? error.raw.shortBy : 0, 1)
    }))

  it.effect("whose failure may pass is made again, as the provider asks", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended(withFaults([
        Failing({ reason: "unreachable" }),
        Failing({ reason: "rate-limited", retryAfter: "2 minutes" }),
        Failing({ reason: "unexpected" })
      ]))
      const raw = yield* fetch(world, batch)
      assert.strictEqual(raw.rows, 4)
      const times = (yield* downloads(world)).map(({ at }) => at)
      assert.strictEqual(times.length, 4)
      assert.isAtLeast((times[2] ?? 0) - (times[1] ?? 0), 120_000)
    }))

  it.effect("that breaks in the middle is begun anew", () =>
    Effect.gen(function*() {
      let broken = false
      const { batch, world } = yield* ended({
        wrap: (provider) => ({
          ...provider,
          download: (file) => {
            const whole = provider.download(file)
            if (broken) return whole
            broken = true
            return Stream.concat(
              Stream.map(whole, (bytes) => bytes.subarray(0, 300)),
              Stream.drain(Stream.fromEffect(provider.retrieve("nobody"))).pipe(
                Stream.mapError((error) => Object.assign(error, { reason: "unreachable" as const }))
              )
            )
          }
        })
      })
      const raw = yield* fetch(world, batch)
      assert.strictEqual(raw.rows, 4)
      assert.strictEqual(raw.files[0]?.bytes, world.read("raw/test/0001.jsonl").length)
      assert.deepStrictEqual(rowsIn(world, "0001.jsonl"), [4, 3, 2, 1])
    }))

  it.effect("that the key is not good for ends the fetch", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended(withFaults([Failing({ reason: "auth" })]))
      const error = yield* failure(world, batch)
      assert.strictEqual(error._tag === "ProviderError" ? error.reason : error._tag, "auth")
      const raw = yield* fetch(world, batch)
      assert.strictEqual(raw.rows, 4)
    }))
})

describe("results that are expired or gone, with 404,", () => {
  it.effect("are said to be so", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended()
      yield* Effect.orDie(world.test.provider.delete(batch.snapshot))
      const error = yield* failure(world, batch)
      assert.strictEqual(error._tag, "ResultsGone")
      assert.include(error.message, "Batch batch-1 (shard 0001, test): its results are gone: ")
    }))

  it.effect("in part leave the other part", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended(
        withFaults([None(), Failing({ reason: "gone" }), None(), Failing({ reason: "gone" })], {
          outcome: ({ row }) => row === 2 ? "errored" : "succeeded"
        })
      )
      const error = yield* failure(world, batch)
      assert.strictEqual(error._tag, "ResultsIncomplete")
      assert.deepStrictEqual(rowsIn(world, "0001.jsonl"), [4, 3, 1])
      assert.strictEqual(error._tag === "ResultsIncomplete" ? error.raw.files.length : 0, 1)
    }))

  it.effect("after a short download leave what came", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended(
        withFaults([Cut({ bytes: 400 }), Failing({ reason: "gone" }), Failing({ reason: "gone" })])
      )
      const error = yield* failure(world, batch)
      assert.strictEqual(error._tag, "ResultsIncomplete")
      assert.strictEqual(error._tag === "ResultsIncomplete" ? error.raw.rows : 0, 2)
      assert.strictEqual(world.read("raw/test/0001.jsonl").length, 400)
    }))
})

describe("an archive", () => {
  it.effect("that cannot be opened is made again, then kept as it came and named", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended({ wrap: withDownload((bytes) => [gzipSync(bytes).subarray(0, 40)]) })
      const error = yield* failure(world, batch)
      assert.strictEqual(error._tag, "ArchiveRejected")
      assert.include(
        error.message,
        "/runs/one/raw/test/0001.jsonl: the archive cannot be opened: its gzip data ends early."
      )
      assert.include(world.files(), "raw/test/0001.jsonl")
    }))
})

describe("a disk that fails", () => {
  it.effect("is named by the error, and the fetch can be made again", () =>
    Effect.gen(function*() {
      const { batch, world } = yield* ended()
      world.memory.failOnce({ operation: "write", count: 1, code: "ENOSPC" })
      const error = yield* failure(world, batch)
      assert.strictEqual(error._tag === "DiskError" ? error.code : error._tag, "ENOSPC")
      assert.strictEqual((yield* fetch(world, batch)).rows, 4)
      world.memory.crash()
      assert.deepStrictEqual(rowsIn(world, "0001.jsonl"), [4, 3, 2, 1])
    }))
})
