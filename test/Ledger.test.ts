import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { BatchSnapshot, EndedBatch, RequestCounts } from "llm-batch/Batch"
import { BuildOptions } from "llm-batch/BuildOptions"
import * as Ledger from "llm-batch/Ledger"
import { Account } from "llm-batch/Provider"
import { RunLocked } from "llm-batch/RunError"
import { Entry, InputDescription, RunDescription, type RunState } from "llm-batch/RunState"
import { Shard } from "llm-batch/Shard"
import * as Tally from "llm-batch/Tally"
import { Disk } from "../src/internal/Disk.js"
import * as MemoryDisk from "../src/internal/MemoryDisk.js"
import { RunLock } from "../src/internal/RunLock.js"

const directory = "/runs/deep/one"

const description = new RunDescription({
  runId: "one",
  runTag: "tag",
  provider: "test",
  input: new InputDescription({ name: "in.jsonl", path: "/in.jsonl", format: "jsonl", columns: null, bytes: 10 }),
  options: new BuildOptions({})
})

const shard = (id: string) =>
  new Shard({
    id,
    directory,
    runTag: "tag",
    provider: "test",
    endpoint: "/v1/chat/completions",
    model: "m",
    betas: [],
    rows: 2,
    bytes: 9,
    sha256: "hash",
    firstRow: 1,
    lastRow: 2,
    attempt: 1,
    parents: []
  })

const snapshot = (more: Partial<BatchSnapshot> = {}) =>
  new BatchSnapshot({
    id: "batch-1",
    status: "in_progress",
    ending: null,
    providerStatus: "in_progress",
    counts: new RequestCounts({ total: 2, succeeded: 0, errored: 0, expired: 0, cancelled: 0 }),
    createdAt: DateTime.unsafeMake(1_000),
    expiresAt: null,
    endedAt: null,
    inputFileId: "file-1",
    files: [],
    problems: [],
    ...more
  })

const account = new Account({ provider: "test", baseUrl: "memory:", scope: null, keyFingerprint: "key" })

const ended = snapshot({ status: "ended", ending: "completed", providerStatus: "completed" })

/** A whole life of a run of one shard. */
const life: ReadonlyArray<Ledger.NewEntry> = [
  { _tag: "ShardBuilt", shard: shard("0001") },
  { _tag: "BuildFinished", rows: 2, notices: ["told once"], input: { bytes: 0, sha256: "" } },
  { _tag: "SubmitIntended", shard: "0001", account },
  { _tag: "InputUploaded", shard: "0001", input: { _tag: "UploadedFile", fileId: "file-1" } },
  { _tag: "CreateFailed", shard: "0001", refused: false, detail: "not sent" },
  { _tag: "InputUploaded", shard: "0001", input: { _tag: "UploadedFile", fileId: "file-1" } },
  { _tag: "CreateUnanswered", shard: "0001", detail: "reset" },
  { _tag: "BatchCreated", shard: "0001", snapshot: snapshot(), adopted: true },
  { _tag: "BatchObserved", shard: "0001", snapshot: snapshot({ status: "finalizing" }) },
  { _tag: "BatchEnded", batch: new EndedBatch({ shard: shard("0001"), snapshot: ended, ending: "completed" }) },
  { _tag: "ResultsFetched", shard: "0001", files: [], rows: 2, shortBy: 0, shortfall: null },
  { _tag: "ShardNormalized", shard: "0001", tally: Tally.empty },
  { _tag: "ProviderCleaned", shard: "0001", deleted: ["file-1"] },
  { _tag: "RunFinished", tally: Tally.empty }
]

const statuses = [
  "built",
  "built",
  "built",
  "uploaded",
  "built",
  "uploaded",
  "unanswered",
  "submitted",
  "submitted",
  "ended",
  "fetched",
  "normalized",
  "normalized",
  "normalized"
]

const appendAll = (entries: ReadonlyArray<Ledger.NewEntry>) =>
  Effect.flatMap(
    Ledger.Ledger,
    (ledger) => Effect.forEach(entries, (entry) => ledger.append(directory, entry), { discard: true })
  )

const create = Effect.flatMap(Ledger.Ledger, (ledger) => ledger.create(directory, description))
const open = Effect.flatMap(Ledger.Ledger, (ledger) => ledger.open(directory))
const state = Effect.flatMap(Ledger.Ledger, (ledger) => ledger.state(directory))

const messageOf = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.either(effect), (either) => Either.isLeft(either) ? either.left.message : "it went well")

/** A disk, and ledgers of several processes on it; the machine's own lock is not touched. */
const onDisk = () => {
  const memory = MemoryDisk.make()
  const locks = new Set<number>()
  const process = () =>
    Layer.fresh(Ledger.layer).pipe(
      Layer.provide(Layer.succeed(Disk, memory.disk)),
      Layer.provide(Layer.succeed(RunLock, {
        acquire: (path, { inode }) =>
          Effect.asVoid(Effect.acquireRelease(
            Effect.suspend(() =>
              locks.has(inode) ? Effect.fail(new RunLocked({ directory: path })) : Effect.sync(() => locks.add(inode))
            ),
            () => Effect.sync(() => locks.delete(inode))
          ))
      }))
    )
  const read = (name: string) => (memory.files().get(`${directory}/${name}`) ?? assert.fail(`no ${name}`)).toString()
  const write = (name: string, text: string) => {
    const handle = memory.disk.open(`${directory}/${name}`, "write")
    handle.write(Buffer.from(text), 0, Buffer.byteLength(text))
    handle.sync()
    handle.close()
  }
  return {
    memory,
    read,
    write,
    layer: process,
    inProcess: <A, E>(program: Effect.Effect<A, E, Ledger.Ledger | Scope.Scope>) =>
      Effect.provide(Effect.scoped(program), process())
  }
}

const noLock = Layer.succeed(RunLock, { acquire: () => Effect.void })

/** A state without what differs between two moments. */
const plain = (one: RunState) => JSON.parse(JSON.stringify({ ...one, shards: [...one.shards] }))

const journalPath = "/runs/deep/one/journal.jsonl"

for (
  const [name, makeLayer] of [
    ["a ledger in the run directory", () => onDisk().layer()],
    ["a ledger in memory", () => Ledger.layerMemory]
  ] as const
) {
  describe(name, () => {
    it.scoped("tells where a run stands after every entry", () =>
      Effect.gen(function*() {
        const first = yield* create
        assert.deepStrictEqual([first.run.runId, first.rows, first.shards.size], ["one", null, 0])
        for (const [index, entry] of life.entries()) {
          yield* TestClock.adjust(10)
          yield* appendAll([entry])
          const now = yield* state
          assert.strictEqual(now.shards.get("0001")?.status, statuses[index], entry._tag)
          assert.strictEqual(DateTime.toEpochMillis(now.updatedAt), 10 * (index + 1))
        }
        const last = yield* state
        assert.strictEqual(last.rows, 2)
        assert.deepStrictEqual(last.notices, ["told once"])
        assert.isNotNull(last.tally)
        assert.deepStrictEqual(last.shards.get("0001")?.cleaned, ["file-1"])
      }).pipe(Effect.provide(makeLayer())))

    it.effect("is taken up again where it was left", () =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.zipRight(create, appendAll(life.slice(0, 7))))
        yield* Effect.scoped(Effect.gen(function*() {
          const found = yield* open
          assert.strictEqual(found.shards.get("0001")?.status, "unanswered")
          yield* appendAll(life.slice(7))
        }))
        assert.strictEqual((yield* state).shards.get("0001")?.status, "normalized")
      }).pipe(Effect.provide(makeLayer())))

    it.scoped("has one writer, and any number of readers", () =>
      Effect.gen(function*() {
        yield* create
        const locked =
          "/runs/deep/one is in use by another llm-batch process. Wait for it, or watch it with: llm-batch status /runs/deep/one"
        assert.strictEqual(yield* messageOf(Effect.scoped(open)), locked)
        assert.strictEqual((yield* state).run.runId, "one")
        yield* appendAll(life.slice(0, 1))
      }).pipe(Effect.provide(makeLayer())))

    it.effect("begins a run once", () =>
      Effect.gen(function*() {
        yield* Effect.scoped(create)
        assert.include(yield* messageOf(Effect.scoped(create)), "/runs/deep/one: there is a run here already.")
      }).pipe(Effect.provide(makeLayer())))

    it.effect("knows no run where none was begun", () =>
      Effect.gen(function*() {
        assert.include(yield* messageOf(Effect.scoped(open)), "/runs/deep/one: ")
        assert.include(yield* messageOf(state), "/runs/deep/one: ")
      }).pipe(Effect.provide(makeLayer())))

    it.effect("takes entries of a run that is held, and of no other", () =>
      Effect.gen(function*() {
        const notHeld = "/runs/deep/one: this process does not hold the run for writing. "
          + "Take it up with Ledger.open, or begin it with Ledger.create."
        assert.strictEqual(yield* messageOf(appendAll(life)), notHeld)
        yield* Effect.scoped(create)
        assert.strictEqual(yield* messageOf(appendAll(life)), notHeld)
      }).pipe(Effect.provide(makeLayer())))
  })
}

describe("both ledgers", () => {
  it.effect("tell the same of the same run", () =>
    Effect.gen(function*() {
      const told = (layer: Layer.Layer<Ledger.Ledger>) =>
        Effect.scoped(Effect.zipRight(Effect.zipRight(create, appendAll(life)), Effect.map(state, plain))).pipe(
          Effect.provide(layer)
        )
      const disk = onDisk()
      const written = yield* told(disk.layer())
      assert.deepStrictEqual(written, yield* told(Ledger.layerMemory))
      assert.deepStrictEqual(yield* disk.inProcess(Effect.map(open, plain)), written)
    }))
})

describe("the journal", () => {
  // Money may depend on it, or somebody outside of the run.
  const atOnce = new Set([
    "BuildFinished",
    "InputUploaded",
    "CreateFailed",
    "CreateUnanswered",
    "BatchCreated",
    "ProviderCleaned",
    "RunFinished"
  ])

  /** How the run stands when the power was cut after some of its life and what then happened. */
  const afterCrash = <E>(length: number, then: Effect.Effect<void, E, Ledger.Ledger>) => {
    const { inProcess, memory } = onDisk()
    return inProcess(Effect.gen(function*() {
      yield* create
      yield* appendAll(life.slice(0, length))
      yield* then
      memory.crash()
    })).pipe(
      Effect.zipRight(inProcess(open)),
      Effect.map(({ shards }) => shards.get("0001")?.status)
    )
  }

  it.effect("has on disk when append gives back what others rely on, whatever then happens, and all before it", () =>
    Effect.gen(function*() {
      let durable: string | undefined
      for (const [index, entry] of life.entries()) {
        if (atOnce.has(entry._tag)) durable = statuses[index]
        assert.strictEqual(yield* afterCrash(index + 1, Effect.void), durable, entry._tag)
      }
    }))

  it.effect("has every entry on disk when that is asked for, and after a second", () =>
    Effect.gen(function*() {
      const sync = Effect.flatMap(Ledger.Ledger, (ledger) => ledger.sync(directory))
      for (const [index, entry] of life.entries()) {
        assert.strictEqual(yield* afterCrash(index + 1, sync), statuses[index], entry._tag)
        assert.strictEqual(yield* afterCrash(index + 1, TestClock.adjust("1 second")), statuses[index], entry._tag)
      }
    }))

  it.effect("has every entry on disk when the run is let go of", () =>
    Effect.gen(function*() {
      for (const index of life.keys()) {
        const { inProcess, memory } = onDisk()
        yield* inProcess(Effect.zipRight(create, appendAll(life.slice(0, index + 1))))
        memory.crash()
        assert.strictEqual((yield* inProcess(open)).shards.get("0001")?.status, statuses[index])
      }
    }))

  it.effect("has on disk, once it is opened, what waited when a process was killed", () =>
    Effect.gen(function*() {
      const { inProcess, memory, read, write } = onDisk()
      yield* inProcess(Effect.zipRight(create, appendAll(life.slice(0, 11))))
      const journal = read("journal.jsonl")
      write("journal.jsonl", "")
      const handle = memory.disk.open(journalPath, "append")
      handle.write(Buffer.from(journal), 0, Buffer.byteLength(journal))
      handle.close()
      yield* inProcess(Effect.zipRight(open, Effect.sync(() => memory.crash())))
      assert.strictEqual((yield* inProcess(open)).shards.get("0001")?.status, "fetched")
    }))

  it.effect("writes anew what waited when the disk could not keep it", () =>
    Effect.gen(function*() {
      const { inProcess, memory, read } = onDisk()
      yield* inProcess(Effect.gen(function*() {
        yield* create
        yield* appendAll(life.slice(0, 3))
        memory.failOnce({ operation: "sync", count: 1, code: "EIO" })
        assert.include(yield* messageOf(appendAll(life.slice(3, 4))), "EIO")
        yield* appendAll(life.slice(3, 4))
        memory.crash()
      }))
      assert.deepStrictEqual(
        read("journal.jsonl").trimEnd().split("\n").map((line) => JSON.parse(line)._tag),
        ["RunStarted", "ShardBuilt", "BuildFinished", "SubmitIntended", "InputUploaded"]
      )
    }))

  it.effect("loses its torn last line to a crash, and that one only", () =>
    Effect.gen(function*() {
      const { inProcess, read, write } = onDisk()
      yield* inProcess(Effect.zipRight(create, appendAll(life.slice(0, 4))))
      const whole = read("journal.jsonl")
      const lastLine = whole.trimEnd().lastIndexOf("\n") + 1
      for (let length = lastLine; length < whole.length; length++) {
        write("journal.jsonl", whole.slice(0, length))
        assert.strictEqual((yield* inProcess(state)).shards.get("0001")?.status, "built")
        yield* inProcess(Effect.zipRight(open, appendAll(life.slice(3, 4))))
        assert.strictEqual(read("journal.jsonl").replace(/\{"_tag":"RunOpened".*\n/u, ""), whole)
      }
    }))

  it.effect("that is damaged anywhere else is named, with the line", () =>
    Effect.gen(function*() {
      const { inProcess, read, write } = onDisk()
      yield* inProcess(Effect.zipRight(create, appendAll(life.slice(0, 4))))
      const lines = read("journal.jsonl").trimEnd().split("\n")
      const damaged = (line: number, text: string) => {
        write("journal.jsonl", lines.map((whole, index) => `${index === line - 1 ? text : whole}\n`).join(""))
        return messageOf(inProcess(open))
      }
      assert.match(
        yield* damaged(3, "{\"_tag\":\"BuildFin"),
        /^\/runs\/deep\/one\/journal\.jsonl:3: the journal is damaged: /u
      )
      assert.match(yield* damaged(5, "{}"), /^\/runs\/deep\/one\/journal\.jsonl:5: the journal is damaged: /u)
      assert.include(
        yield* damaged(1, lines[1] ?? ""),
        `${journalPath}:1: the journal is damaged: it does not begin with the start of a run.`
      )
      assert.include(
        yield* damaged(3, lines[0] ?? ""),
        `${journalPath}:3: the journal is damaged: a second run begins in it.`
      )
      assert.include(
        yield* damaged(3, lines[1] ?? ""),
        `${journalPath}:3: the journal is damaged: shard 0001 is built twice.`
      )
      assert.include(
        yield* damaged(2, lines[2] ?? ""),
        `${journalPath}:4: the journal is damaged: it speaks of shard 0001, which was never built.`
      )
      assert.include(yield* damaged(2, ""), `${journalPath}:2: the journal is damaged: `)
    }))

  for (
    const [what, order, problem] of [
      [
        "results before the end of their batch",
        [0, 1, 2, 3, 7, 10],
        "results of shard 0001 come before its batch ended"
      ],
      ["answers before results", [0, 1, 2, 3, 7, 9, 11], "shard 0001 is normalised before its results came"],
      ["an end before a batch", [0, 1, 2, 3, 9], "batch batch-1 was not made of shard 0001"],
      ["a look before a batch", [0, 1, 2, 3, 8], "batch batch-1 was not made of shard 0001"],
      ["a create after the batch", [0, 1, 2, 3, 7, 3], "shard 0001 is sent again, and batch batch-1 was made of it"],
      ["files deleted before the end", [0, 1, 2, 3, 7, 12], "files of shard 0001 are deleted before its batch ended"],
      ["an end before the build", [0, 13], "the run is finished before it was built"]
    ] as const
  ) {
    it.effect(`that tells of ${what} is named, with the line`, () =>
      Effect.gen(function*() {
        const { inProcess, read, write } = onDisk()
        yield* inProcess(Effect.zipRight(create, appendAll(life)))
        const [first, ...lines] = read("journal.jsonl").trimEnd().split("\n")
        write("journal.jsonl", [first, ...order.map((index) => lines[index])].map((line) => `${line}\n`).join(""))
        assert.include(
          yield* messageOf(inProcess(open)),
          `${journalPath}:${order.length + 1}: the journal is damaged: ${problem}.`
        )
      }))
  }

  it.effect("that tells of a second batch of a shard is named, with the line", () =>
    Effect.gen(function*() {
      const { inProcess, read, write } = onDisk()
      yield* inProcess(Effect.zipRight(create, appendAll(life.slice(0, 8))))
      const text = read("journal.jsonl")
      write("journal.jsonl", text + text.trimEnd().split("\n").at(-1)?.replace("batch-1", "batch-2") + "\n")
      assert.include(
        yield* messageOf(inProcess(open)),
        `${journalPath}:10: the journal is damaged: a second batch batch-2 is made of shard 0001, after batch-1.`
      )
    }))

  it.effect("puts a shard back whose batch was declined, and knows that batch from then on", () =>
    Effect.gen(function*() {
      const { inProcess, read, write } = onDisk()
      const declined = { _tag: "BatchDeclined", shard: "0001", batch: "batch-1", tokenLimit: 900, detail: "" } as const
      yield* inProcess(Effect.zipRight(create, appendAll([...life.slice(0, 8), declined])))
      const found = yield* inProcess(open)
      const shard = found.shards.get("0001")
      assert.deepStrictEqual([shard?.status, shard?.snapshot, shard?.declined], ["built", null, ["batch-1"]])
      assert.deepStrictEqual([...found.tokenLimits.values()], [900])
      const lines = read("journal.jsonl").trimEnd().split("\n")
      write("journal.jsonl", [...lines, lines[8]].map((line) => `${line}\n`).join(""))
      assert.include(yield* messageOf(inProcess(open)), "shard 0001 has batch batch-1, which was declined.")
      write("journal.jsonl", [...lines, lines[9]].map((line) => `${line}\n`).join(""))
      assert.include(yield* messageOf(inProcess(open)), "batch batch-1 was not made of shard 0001.")
    }))

  it.effect("has the shards that one was cut into in its place, and none but with its rows", () =>
    Effect.gen(function*() {
      const { inProcess, read, write } = onDisk()
      yield* inProcess(Effect.zipRight(create, appendAll(life.slice(0, 3))))
      const whole = (yield* inProcess(open)).shards.get("0001")?.shard
      if (whole === undefined) return assert.fail("there is no shard")
      const piece = (id: string, rows: number) => new Shard({ ...whole, id, rows })
      const split = (rows: number) => ({
        _tag: "ShardSplit" as const,
        shard: "0001",
        shards: [piece("0002", 1), piece("0003", rows)]
      })
      yield* inProcess(Effect.zipRight(open, appendAll([split(whole.rows - 1)])))
      const found = yield* inProcess(open)
      assert.deepStrictEqual([...found.shards.keys()], ["0002", "0003"])
      const text = read("journal.jsonl")
      const wrong = text.replace(/(ShardSplit.*"id":"0003".*?"rows":)\d+/u, "$17")
      write("journal.jsonl", wrong)
      assert.include(yield* messageOf(inProcess(open)), "shard 0001 is cut into others that have not its rows.")
    }))

  it.effect("knows the batches of a shard that were declined from the shards that it was cut into, too", () =>
    Effect.gen(function*() {
      const { inProcess } = onDisk()
      const declined = { _tag: "BatchDeclined", shard: "0001", batch: "batch-1", tokenLimit: 900, detail: "" } as const
      yield* inProcess(Effect.zipRight(create, appendAll([...life.slice(0, 8), declined])))
      const whole = (yield* inProcess(open)).shards.get("0001")?.shard
      if (whole === undefined) return assert.fail("there is no shard")
      const shards = [
        new Shard({ ...whole, id: "0002", rows: 1 }),
        new Shard({ ...whole, id: "0003", rows: whole.rows - 1 })
      ]
      yield* inProcess(Effect.zipRight(open, appendAll([{ _tag: "ShardSplit", shard: "0001", shards }])))
      const found = yield* inProcess(open)
      assert.deepStrictEqual(
        [...found.shards.values()].map(({ declined, shard }) => [shard.id, declined]),
        [["0002", ["batch-1"]], ["0003", ["batch-1"]]]
      )
    }))

  it.effect("in which a byte of a text broke is named too, and not taken for one that another process has written to", () =>
    Effect.gen(function*() {
      const { inProcess, memory, read } = onDisk()
      yield* inProcess(Effect.zipRight(create, appendAll(life.slice(0, 6))))
      const bytes = Buffer.from(read("journal.jsonl"))
      const broken = bytes.indexOf("file-1")
      bytes[broken] = 0xff
      const handle = memory.disk.open(journalPath, "write")
      handle.write(bytes, 0, bytes.length)
      handle.close()
      const line = bytes.subarray(0, broken).toString().split("\n").length
      assert.include(
        yield* messageOf(inProcess(open)),
        `${journalPath}:${line}: the journal is damaged: the line is not UTF-8.`
      )
    }))

  it.effect("cannot be where no directory can be", () =>
    Effect.gen(function*() {
      const { inProcess, memory, write } = onDisk()
      memory.disk.makeDirectory(directory)
      write("file", "text")
      const below = `${directory}/file/run`
      const begin = Effect.flatMap(Ledger.Ledger, (ledger) => ledger.create(below, description))
      const error = yield* Effect.flip(inProcess(begin))
      assert.strictEqual(error._tag, "RunRejected")
      assert.include(error.message, `${below}: there can be no directory here: not a directory`)
      assert.include(error.message, "Name another one with --run-dir.")
      const opening = Effect.flatMap(Ledger.Ledger, (ledger) => ledger.open(below))
      assert.include(yield* messageOf(inProcess(opening)), `${below}: there is no run here`)
    }))

  it.effect("has its name on disk before the run has any other file: of those, a power failure may keep any", () =>
    Effect.gen(function*() {
      const { disk } = MemoryDisk.make()
      const done: Array<string> = []
      const watched = Layer.succeed(Disk, {
        ...disk,
        open: (path, mode) => {
          done.push(`open ${path}`)
          return disk.open(path, mode)
        },
        syncDirectory: (path) => {
          done.push(`sync ${path}`)
          disk.syncDirectory(path)
        }
      })
      yield* Effect.provide(
        Effect.scoped(create),
        Layer.fresh(Ledger.layer).pipe(Layer.provide(watched), Layer.provide(noLock))
      )
      assert.deepStrictEqual(done.slice(0, 4), [
        `open ${journalPath}`,
        "sync /runs/deep/one",
        "sync /runs/deep",
        "sync /runs"
      ])
      assert.include(done.slice(4), `open ${directory}/manifest.json.tmp`)
    }))

  it.effect("of nothing is a run that never began", () =>
    Effect.gen(function*() {
      const { inProcess, memory, write } = onDisk()
      memory.disk.makeDirectory(directory)
      for (const text of ["", "{\"_tag\":\"RunSt"]) {
        write("journal.jsonl", text)
        assert.include(yield* messageOf(inProcess(open)), "the run here ended before it began: its journal is empty")
      }
    }))

  it.effect("stays whole when the disk fails in the middle of an entry", () =>
    Effect.gen(function*() {
      const { inProcess, memory, read } = onDisk()
      yield* inProcess(Effect.gen(function*() {
        yield* create
        yield* appendAll(life.slice(0, 3))
        const before = read("journal.jsonl")
        for (const operation of ["write", "sync"] as const) {
          memory.failOnce({ operation, count: 1, code: "ENOSPC" })
          assert.include(yield* messageOf(appendAll(life.slice(3, 4))), "ENOSPC")
        }
        yield* appendAll(life.slice(3, 4))
        assert.strictEqual(read("journal.jsonl").split("\n").length, before.split("\n").length + 1)
      }))
      assert.deepStrictEqual((yield* inProcess(open)).shards.get("0001")?.intent?.account, account)
    }))

  it.effect("stays whole when a write is cut short by a full disk", () =>
    Effect.gen(function*() {
      const memory = MemoryDisk.make({ longestWrite: 20 })
      const layer = Layer.fresh(Ledger.layer).pipe(
        Layer.provide(Layer.succeed(Disk, memory.disk)),
        Layer.provide(noLock)
      )
      yield* Effect.scoped(Effect.gen(function*() {
        yield* create
        yield* appendAll(life.slice(0, 2))
        memory.failOnce({ operation: "write", count: 3, code: "ENOSPC" })
        assert.include(yield* messageOf(appendAll(life.slice(2, 3))), "ENOSPC")
        yield* appendAll(life.slice(2, 4))
      })).pipe(Effect.provide(layer))
      const found = yield* Effect.scoped(open).pipe(
        Effect.provide(
          Layer.fresh(Ledger.layer).pipe(Layer.provide(Layer.succeed(Disk, memory.disk)), Layer.provide(noLock))
        )
      )
      assert.strictEqual(found.shards.get("0001")?.status, "uploaded")
    }))

  it.effect("moves with its directory", () =>
    Effect.gen(function*() {
      const { inProcess, memory } = onDisk()
      yield* inProcess(Effect.zipRight(create, appendAll(life)))
      memory.disk.rename(directory, "/runs/moved")
      const found = yield* inProcess(Effect.flatMap(Ledger.Ledger, (ledger) => ledger.open("/runs/moved")))
      const one = found.shards.get("0001")
      assert.strictEqual(found.directory, "/runs/moved")
      assert.strictEqual(one?.shard.directory, "/runs/moved")
      assert.strictEqual(one?.ended?.shard.directory, "/runs/moved")
      assert.strictEqual(one?.raw?.batch.shard.directory, "/runs/moved")
    }))

  it.prop("reads back every entry that it writes", [Entry], ([entry]) => {
    const codec = Schema.parseJson(Entry)
    const text = Schema.encodeSync(codec)(entry)
    assert.notInclude(text, "\n")
    assert.strictEqual(Schema.encodeSync(codec)(Schema.decodeSync(codec)(text)), text)
  }, { fastCheck: { numRuns: 50 } })
})

describe("the manifest", () => {
  it.effect("is derived from the journal", () =>
    Effect.gen(function*() {
      const { inProcess, read } = onDisk()
      yield* inProcess(Effect.gen(function*() {
        yield* create
        for (const entry of life) {
          yield* TestClock.adjust("1 hour")
          yield* appendAll([entry])
        }
      }))
      const manifest: { readonly batches: ReadonlyArray<Record<string, unknown>>; readonly [key: string]: unknown } =
        JSON.parse(
          read("manifest.json")
        )
      assert.deepStrictEqual(
        [
          manifest["run_id"],
          manifest["status"],
          manifest["provider"],
          manifest["rows"],
          manifest["notices"],
          manifest["started_at"],
          manifest["updated_at"]
        ],
        ["one", "finished", "test", 2, ["told once"], "1970-01-01T00:00:00.000Z", "1970-01-01T14:00:00.000Z"]
      )
      const { batch_id, created_at, deleted_at_provider, ending, input_file_id, request_count, stage, status } =
        manifest.batches[0] ?? {}
      assert.deepStrictEqual({
        batch_id,
        created_at,
        deleted_at_provider,
        ending,
        input_file_id,
        request_count,
        stage,
        status
      }, {
        batch_id: "batch-1",
        created_at: "1970-01-01T00:00:01.000Z",
        deleted_at_provider: ["file-1"],
        ending: "completed",
        input_file_id: "file-1",
        request_count: 2,
        stage: "normalized",
        status: "completed"
      })
    }))

  it.effect("is written now and then while entries come, and at the end", () =>
    Effect.gen(function*() {
      const { inProcess, memory, read } = onDisk()
      yield* inProcess(Effect.gen(function*() {
        yield* create
        yield* TestClock.adjust("2 seconds")
        yield* appendAll(life.slice(0, 1))
        const before = memory.operations
        yield* appendAll(life.slice(1))
        const renames = memory.operations - before
        assert.isAtMost(renames, 4 * life.length)
        assert.strictEqual(JSON.parse(read("manifest.json")).status, "building")
      }))
      assert.strictEqual(JSON.parse(read("manifest.json")).status, "finished")
    }))

  it.effect("is written though the clock is set back a day", () =>
    Effect.gen(function*() {
      const { inProcess, read } = onDisk()
      const clock = yield* Effect.clock
      const day = 24 * 60 * 60 * 1000
      const setBack: Clock.Clock = {
        ...clock,
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        sleep: (duration) => clock.sleep(duration),
        currentTimeNanos: clock.currentTimeNanos,
        unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
        unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() - day,
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (millis) => millis - day)
      }
      yield* TestClock.adjust("30 days")
      yield* inProcess(Effect.gen(function*() {
        yield* create
        yield* TestClock.adjust("2 seconds")
        yield* Effect.withClock(appendAll(life.slice(0, 2)), setBack)
        yield* TestClock.adjust("2 seconds")
        yield* Effect.withClock(appendAll(life.slice(2, 3)), setBack)
        assert.strictEqual(JSON.parse(read("manifest.json")).status, "running")
      }))
    }))

  it.effect("can be lost or broken, and the run goes on", () =>
    Effect.gen(function*() {
      for (const text of ["", "{", "[]", null]) {
        const { inProcess, memory, write } = onDisk()
        yield* inProcess(Effect.zipRight(create, appendAll(life.slice(0, 4))))
        if (text === null) memory.disk.remove(`${directory}/manifest.json`)
        else write("manifest.json", text)
        assert.strictEqual((yield* inProcess(open)).shards.get("0001")?.status, "uploaded")
      }
    }))
})
