/**
 * The test provider at work: what its calls do, what goes wrong with them, and the books of it.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Provider from "../Provider.js"
import { ProviderError, type ProviderErrorReason } from "../ProviderError.js"
import type { DiskError } from "../RunError.js"
import type { Shard } from "../Shard.js"
import { NotSent, Refused, Unknown } from "../SubmitError.js"
import type { Call, Faults, MadeBatch, Script, Service } from "../TestProvider.js"
import * as TestBatch from "./TestBatch.js"
import { TestQueue } from "./TestQueue.js"
import * as TestWire from "./TestWire.js"

const defaultLimits: Provider.Limits = {
  rows: 50_000,
  bytes: 200_000_000,
  overheadBytes: 0,
  oneModelPerBatch: false,
  embeddingInputs: null,
  windowHours: 24,
  retentionDays: 30,
  listPage: 100
}

/** Takes the faults of each kind of call, one after the other. */
const makeFaults = (faults: Faults) => {
  const used = new Map<keyof Faults, number>()
  return <K extends keyof Faults>(operation: K): NonNullable<Faults[K]>[number] | undefined => {
    const index = used.get(operation) ?? 0
    used.set(operation, index + 1)
    return faults[operation]?.[index]
  }
}

const toMillis = (duration: Duration.DurationInput | undefined): number | null =>
  duration === undefined ? null : Duration.toMillis(duration)

/** Makes a provider of a script. Its batches live as long as the value. */
export const make = (script: Script = {}): Effect.Effect<Service> =>
  Effect.sync(() => {
    const name = script.name ?? "test"
    const limits: Provider.Limits = { ...defaultLimits, ...script.limits }
    const plan = TestBatch.makePlan(script)
    const queue = new TestQueue(script)
    const listedAfter = toMillis(script.listedAfter) ?? 0
    const nextFault = makeFaults(script.faults ?? {})
    const calls: Array<Call> = []
    const uploads = new Map<string, Buffer>()
    const batches: Array<TestBatch.TestBatch> = []
    const completedAfter = script.completedAfter ?? (() => "1 second" as const)
    let rowsCompleted = 0

    /** Notes a call, and gives what goes wrong with it. */
    const begin = <K extends keyof Faults>(operation: K, target: string) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        calls.push({ operation, target, at })
        return { at, fault: nextFault(operation) }
      })

    const failed = (
      operation: string,
      reason: ProviderErrorReason,
      detail: string,
      retryAfterMillis: number | null = null
    ) =>
      new ProviderError({
        provider: name,
        operation,
        reason,
        status: statuses[reason],
        retryAfterMillis,
        detail
      })

    /** A call that only reads, cancels or deletes. */
    const call = <A>(
      operation: Exclude<keyof Faults, "upload" | "create" | "download" | "complete">,
      target: string,
      work: (now: number) => Effect.Effect<A, ProviderError>
    ): Effect.Effect<A, ProviderError> =>
      Effect.flatMap(begin(operation, target), ({ at, fault }) =>
        fault?._tag === "Failing"
          ? Effect.fail(failed(`${operation} ${target}`, fault.reason, scripted, toMillis(fault.retryAfter)))
          : work(at))

    /** An upload or a create. */
    const submit = <A>(
      operation: "upload" | "create",
      shard: Shard,
      bytes: Provider.ShardBytes,
      work: (content: Buffer, now: number) => Effect.Effect<A, Refused | Unknown>
    ): Effect.Effect<A, NotSent | Refused | Unknown | DiskError> =>
      Effect.gen(function*() {
        const { at, fault } = yield* begin(operation, shard.id)
        const what = { provider: name, operation: `${operation} shard ${shard.id}`, detail: scripted }
        const unknown = (status: number | null, retryAfterMillis: number | null) =>
          Effect.fail(new Unknown({ ...what, status, retryAfterMillis }))
        if (fault?._tag === "NotSent") return yield* new NotSent(what)
        if (fault?._tag === "Refused") return yield* new Refused({ ...what, status: fault.status })
        if (fault?._tag === "Unanswered") return yield* unknown(fault.status, toMillis(fault.retryAfter))
        const content = yield* Stream.runCollect(Stream.map(bytes, (block) => Buffer.from(block)))
        const done = yield* work(Buffer.concat([...content]), at)
        if (fault?._tag === "LostAnswer") return yield* unknown(fault.status, null)
        return fault?._tag === "Hanging" ? yield* Effect.never : done
      })

    /** A row that is asked for by itself. */
    const complete = (sent: TestWire.SentRow): Effect.Effect<Provider.Completion, ProviderError> =>
      Effect.gen(function*() {
        const { fault } = yield* begin("complete", String(sent.row.row))
        const operation = `ask for row ${sent.row.row}`
        const lost = (mayBeCharged: boolean) =>
          new ProviderError({
            provider: name,
            operation,
            reason: "unreachable",
            status: null,
            retryAfterMillis: null,
            detail: scripted,
            mayBeCharged
          })
        if (fault?._tag === "NotSent") return yield* lost(false)
        if (fault?._tag === "Failing") {
          return yield* failed(operation, fault.reason, scripted, toMillis(fault.retryAfter))
        }
        yield* Effect.sleep(completedAfter(sent.row))
        if (fault?._tag === "Unanswered") {
          return fault.status === null ? yield* lost(true) : {
            line: TestWire.errorLine(sent, "errored"),
            again: { afterMillis: toMillis(fault.retryAfter) },
            limits: [],
            tokens: 0
          }
        }
        rowsCompleted++
        if (fault?._tag === "LostAnswer") return yield* lost(true)
        if (fault?._tag === "Hanging") return yield* Effect.never
        return TestBatch.complete(script, sent)
      })

    const refuse = (operation: string, status: number, detail: string) =>
      Effect.fail(new Refused({ provider: name, operation, status, detail }))

    const tooMany = ({ id }: Shard, retryAfterMillis: number) =>
      Effect.fail(
        new Unknown({
          provider: name,
          operation: `create shard ${id}`,
          status: 429,
          detail: "no more batches may be made within an hour",
          retryAfterMillis
        })
      )

    const find = (id: string): Effect.Effect<TestBatch.TestBatch, ProviderError> => {
      const found = batches.find((batch) => batch.id === id)
      return found === undefined
        ? Effect.fail(failed(`look for ${id}`, "gone", "there is no such batch"))
        : Effect.succeed(found)
    }

    const isListed = (now: number) => (batch: TestBatch.TestBatch) => batch.createdAt + listedAfter <= now

    const provider: Provider.Service = {
      name,
      limits,
      capabilities: { tags: true, upload: true, embeddings: false },
      endpoints: [TestWire.endpoint],
      account: () =>
        script.account === null
          ? Effect.fail(failed("read the key", "auth", "the script has no account"))
          : Effect.succeed(
            new Provider.Account({
              provider: name,
              baseUrl: "memory:",
              scope: null,
              keyFingerprint: script.account ?? "test"
            })
          ),
      encode: (request, wireId, endpoint, answer) => TestWire.encode(name, request, wireId, endpoint, answer),
      decode: TestWire.decode,
      upload: (shard, bytes) =>
        submit("upload", shard, bytes, (content) => {
          if (content.length > limits.bytes) return refuse("upload", 413, `${content.length} bytes are too many`)
          const fileId = `file-${uploads.size + 1}`
          uploads.set(fileId, content)
          return Effect.succeed({ _tag: "UploadedFile", fileId } as const)
        }),
      create: (shard, input) =>
        submit("create", shard, Stream.empty, (_, now) => {
          const fileId = input._tag === "UploadedFile" ? input.fileId : ""
          const content = uploads.get(fileId)
          if (content === undefined) return refuse("create", 404, `there is no file ${JSON.stringify(fileId)}`)
          const rows = TestWire.readRows(content)
          if (rows.length > limits.rows) return refuse("create", 400, `${rows.length} rows are too many`)
          const wait = queue.millisUntilCreate(batches, now)
          if (wait > 0) return tooMany(shard, wait)
          const batch = plan(`batch-${batches.length + 1}`, shard, fileId, rows, now)
          queue.enter(batch, batches, now)
          batches.push(batch)
          return Effect.succeed(TestBatch.snapshot(batch, now))
        }),
      find: (tag, since, exclude) =>
        call<Provider.Finding>("find", tag.shard, (now) => {
          const candidates = batches.filter((batch) =>
            isListed(now)(batch)
            && batch.createdAt >= DateTime.toEpochMillis(since)
            && !exclude.has(batch.id)
            && batch.runTag === tag.runTag && batch.shard === tag.shard && batch.sha256 === tag.sha256
          ).map((batch) => TestBatch.snapshot(batch, now))
          const [snapshot] = candidates
          if (snapshot === undefined) return Effect.succeed(Provider.Finding.Absent())
          return Effect.succeed(
            candidates.length === 1 ? Provider.Finding.Found({ snapshot }) : Provider.Finding.Ambiguous({ candidates })
          )
        }),
      retrieve: (id) => call("retrieve", id, (now) => Effect.map(find(id), (batch) => TestBatch.snapshot(batch, now))),
      list: (after) =>
        call("list", after ?? "", (now) => {
          const newestFirst = batches.filter(isListed(now)).toReversed()
          const start = newestFirst.findIndex((batch) => batch.id === after) + 1
          const page = newestFirst.slice(start, start + limits.listPage)
          return Effect.succeed({
            batches: page.map((batch) => TestBatch.snapshot(batch, now)),
            next: start + page.length < newestFirst.length ? (page.at(-1)?.id ?? null) : null
          })
        }),
      cancel: (id) =>
        call("cancel", id, (now) =>
          Effect.map(find(id), (batch) => {
            TestBatch.cancel(batch, now)
            return TestBatch.snapshot(batch, now)
          })),
      delete: ({ files, id, inputFileId }) =>
        call("delete", id, () =>
          Effect.map(find(id), (batch) => {
            batch.deleted = true
            return [...(inputFileId === null ? [] : [inputFileId]), ...files.map((file) => file.reference)]
          })),
      complete: ({ text }) => {
        const [sent] = TestWire.readRows(Buffer.from(text))
        return sent === undefined
          ? Effect.fail(failed("ask for a row", "refused", "it is no row"))
          : complete(sent)
      },
      download: (file) =>
        Stream.unwrap(Effect.gen(function*() {
          const { at, fault } = yield* begin("download", file.reference)
          const operation = `download ${file.reference}`
          if (fault?._tag === "Failing") {
            return yield* failed(operation, fault.reason, scripted, toMillis(fault.retryAfter))
          }
          const batch = batches.find(({ id }) => file.reference === TestBatch.reference(id, file.kind))
          if (batch === undefined || batch.deleted || at < batch.endsAt) {
            return yield* failed(operation, "gone", "there is no such file")
          }
          const content = TestBatch.content(batch, file.kind)
          return Stream.make(fault?._tag === "Cut" ? content.subarray(0, fault.bytes) : content)
        }))
    }

    const made = (now: number) =>
      batches.map((batch): MadeBatch => ({
        shard: batch.shard,
        rows: batch.rows.map(({ row }) => row),
        snapshot: TestBatch.snapshot(batch, now),
        rowsBilled: TestBatch.rowsBilled(batch, now),
        tokens: batch.tokens
      }))

    return {
      provider,
      batches: Effect.map(Clock.currentTimeMillis, made),
      calls: Effect.sync(() => [...calls]),
      rowsBilled: Effect.map(Clock.currentTimeMillis, (now) =>
        made(now).reduce((sum, batch) => sum + batch.rowsBilled, rowsCompleted)),
      peakTokens: Effect.sync(() =>
        new Map(queue.peaks)
      )
    }
  })

const scripted = "the script says so"

const statuses: Record<ProviderErrorReason, number | null> = {
  "auth": 401,
  "rate-limited": 429,
  "unreachable": 503,
  "gone": 404,
  "refused": 400,
  "unexpected": 200
}
