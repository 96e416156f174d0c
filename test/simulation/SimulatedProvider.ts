/**
 * A provider for simulations, which keeps books of its own. Calls take time to arrive and to be answered; they are lost,
 * refused, answered wrongly or late as the plan and a seed have it. What becomes of a row is a function of the row and the
 * attempt alone, so that two runs of one plan end in the same bytes, whatever happened to them on the way.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import { BatchSnapshot, type Ending, type InputReference, RequestCounts, type ResultFile } from "llm-batch/Batch"
import * as Provider from "llm-batch/Provider"
import { ProviderError, type ProviderErrorReason } from "llm-batch/ProviderError"
import { Shard } from "llm-batch/Shard"
import { NotSent, Refused, Unknown } from "llm-batch/SubmitError"
import type { RowOutcome } from "llm-batch/TestProvider"
import * as TestBatch from "../../src/internal/TestBatch.js"
import { TestQueue } from "../../src/internal/TestQueue.js"
import * as TestWire from "../../src/internal/TestWire.js"
import type { Dice } from "./Dice.js"
import type { Machine, Process } from "./Machine.js"
import { Killed } from "./ProcessDisk.js"

export type CallName =
  | "upload"
  | "create"
  | "find"
  | "retrieve"
  | "list"
  | "cancel"
  | "delete"
  | "download"
  | "complete"

/** What becomes of the batch of a shard. */
export interface Fate {
  /** The text of each answer. */
  readonly answer: (row: number) => string
  readonly outcome: (row: number) => RowOutcome
  /** In milliseconds after the batch was made. */
  readonly answeredAfter: (row: number) => number
  /** How and when the batch ends by itself, before its rows are all answered; `null` for not at all. */
  readonly ending: { readonly after: number; readonly ending: Ending } | null
  /** Whether its results can never be had. */
  readonly lost: boolean
}

/** The tokens of a prompt in the queue: more than we believe that it has, so that what it takes is never given up by us. */
export const tokensOf = (prompt: string): number => 10 * TestWire.words(prompt)

/** How a provider behaves. */
export interface Behaviour {
  /** Batches carry our tag: OpenAI's do, Anthropic's do not. */
  readonly tags: boolean
  readonly upload: boolean
  readonly oneModelPerBatch: boolean
  readonly listPage: number
  readonly fate: (shard: Pick<Shard, "id" | "attempt">) => Fate
  /** How likely it is that something goes wrong with a call. */
  readonly faultRate: number
  /** How much may go wrong in all. */
  readonly faults: number
  /** Which creates, counted from 1, make a batch and are not answered, whatever else goes wrong. */
  readonly lostCreates: ReadonlyArray<number>
  /** How long, in milliseconds, a batch is not in the list yet, and a lost call may take to have its effect, together. */
  readonly lag: number
  /** The longest time that a call takes one way, in milliseconds. */
  readonly latency: number
  /** Whether calls are now and then answered from a state that is some minutes old. */
  readonly stale: boolean
  /** Whether batches that do not end yet give no counts. */
  readonly countless: boolean
  /** Whether a file is cut as often as it pleases, so that rows may be missing for good. */
  readonly hardCuts: boolean
  /** Whether others make batches of as many rows under the same account. */
  readonly neighbours: boolean
  /**
   * How many words of prompts may be enqueued for a model, those of others included; `null` for no limit. A batch without
   * room fails soon, in OpenAI's way; in Anthropic's, its create is answered with HTTP 429.
   */
  readonly tokenLimit: number | null
}

/** A batch in the books. */
export interface Booked {
  readonly id: string
  readonly shard: string
  readonly attempt: number
  readonly runTag: string
  readonly rows: ReadonlyArray<number>
  /** The process that was told of it, and when, if one was. */
  told: { readonly process: Process; readonly at: number } | undefined
  /** Whether a process has gone on to wait for it. */
  isReliedOn: boolean
  readonly batch: TestBatch.TestBatch
  readonly fate: Fate
  readonly listedFrom: number
  /** There was no room for it in the queue. */
  readonly isDeclined: boolean
  cuts: number
}

/** What becomes of a call to a process, or the process itself. */
export interface Hooks {
  /** Called when a call is made, and when it has arrived and was carried out. */
  readonly onCall: (process: Process, name: CallName, when: "made" | "done") => void
  readonly trace: (text: string) => void
}

/** How long a process may take to write down what it was told, in milliseconds. */
const moment = 1_000

const name = "test"

const minute = 60_000

/** What goes wrong with an upload or a create. */
type SubmitFault = "not-sent" | "refused" | "unanswered" | "lost" | "late" | "slow"

const statuses: Record<ProviderErrorReason, number | null> = {
  "auth": 401,
  "rate-limited": 429,
  "unreachable": 503,
  "gone": 404,
  "refused": 400,
  "unexpected": 200
}

type Answer<A, E> = Either.Either<A, E>

export class SimulatedProvider {
  readonly books: Array<Booked> = []
  calls = 0
  /** Until when, in the machine's time, every call is refused for its key. */
  lockedOutUntil = 0
  private readonly uploads = new Map<string, Buffer>()
  private readonly queue: TestQueue
  private faultsLeft: number
  private creates = 0

  constructor(
    private readonly machine: Machine,
    private readonly behaviour: Behaviour,
    private readonly dice: Dice,
    private readonly hooks: Hooks
  ) {
    this.faultsLeft = behaviour.faults
    this.queue = new TestQueue({
      enqueuedTokens: behaviour.tokenLimit ?? undefined,
      tokensOf: ({ prompt }) => tokensOf(prompt)
    })
  }

  /** From now on nothing goes wrong any more. */
  calm(): void {
    this.faultsLeft = 0
    this.lockedOutUntil = 0
  }

  /** What a process can call. */
  connect(process: Process): Provider.Service {
    const { behaviour } = this
    return {
      name,
      limits: {
        rows: 50_000,
        bytes: 200_000_000,
        overheadBytes: 0,
        oneModelPerBatch: behaviour.oneModelPerBatch,
        embeddingInputs: null,
        windowHours: 24,
        retentionDays: 30,
        listPage: behaviour.listPage
      },
      capabilities: { tags: behaviour.tags, upload: behaviour.upload, embeddings: false },
      endpoints: [TestWire.endpoint],
      account: () =>
        Effect.succeed(
          new Provider.Account({ provider: name, baseUrl: "memory:", scope: null, keyFingerprint: "key" })
        ),
      encode: (request, wireId, endpoint) => TestWire.encode(name, request, wireId, endpoint),
      decode: TestWire.decode,
      upload: (shard, bytes) =>
        behaviour.upload
          ? this.submit(process, "upload", shard, bytes, (content): Answer<InputReference, Refused> => {
            const fileId = `file-${this.uploads.size + 1}`
            this.uploads.set(fileId, content)
            return Either.right({ _tag: "UploadedFile", fileId })
          })
          : Effect.succeed({ _tag: "InCreate" }),
      create: (shard, input, bytes) =>
        this.submit(process, "create", shard, input._tag === "InCreate" ? bytes : Stream.empty, (sent, late) => {
          const content = input._tag === "UploadedFile" ? this.uploads.get(input.fileId) : sent
          if (content === undefined) return Either.left(this.refused("create", 404))
          return this.make(shard, input, content, late)
        }).pipe(Effect.map(({ booked, snapshot }) => {
          booked.told = { process, at: this.machine.now }
          return snapshot
        })),
      find: (tag, since, exclude) =>
        this.call(
          process,
          "find",
          tag.shard,
          (now) => Either.right(this.find(tag.runTag, tag.shard, tag.rows, DateTime.toEpochMillis(since), exclude, now))
        ),
      retrieve: (id) =>
        this.call(process, "retrieve", id, (now) =>
          Either.map(this.booked("retrieve", id), (booked) => {
            this.relyOnTold(process)
            return this.snapshotOf(booked, now)
          })),
      list: (after) =>
        this.call(process, "list", after ?? "", (now) => {
          this.relyOnTold(process)
          const listed = this.books.filter((booked) => booked.listedFrom <= now).toReversed()
          const start = listed.findIndex(({ id }) => id === after) + 1
          const page = listed.slice(start, start + behaviour.listPage)
          return Either.right({
            batches: page.map((booked) => this.snapshotOf(booked, now)),
            next: start + page.length < listed.length ? page.at(-1)?.id ?? null : null
          })
        }),
      cancel: (id) =>
        this.call(process, "cancel", id, () =>
          Either.map(this.booked("cancel", id), (booked) => {
            TestBatch.cancel(booked.batch, this.machine.now)
            return TestBatch.snapshot(booked.batch, this.machine.now)
          })),
      delete: (batch) =>
        this.call(process, "delete", batch.id, () =>
          Either.map(this.booked("delete", batch.id), (booked) => {
            booked.batch.deleted = true
            return batch.files.map((file) => file.reference)
          })),
      complete: ({ text, wireId }) =>
        this.call(process, "complete", wireId, () => {
          const [sent] = TestWire.readRows(Buffer.from(text))
          return sent === undefined
            ? Either.left(this.failed(`ask for ${wireId}`, "refused"))
            : Either.right(TestBatch.complete({}, sent))
        }),
      download: (file) =>
        Stream.unwrap(Effect.map(
          this.call(process, "download", file.reference, () => this.download(file)),
          (content) => Stream.make(content)
        ))
    }
  }

  /** A way there and a way back, each of which takes its time; whoever asks may be gone by then. */
  private exchange<A, E>(
    process: Process,
    operation: CallName,
    target: string,
    carryOut: () => Answer<A, E>,
    slow = 0
  ): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      if (!process.isAlive) throw new Killed()
      this.calls++
      this.hooks.trace(`${this.machine.now} ${operation} ${target}`)
      this.hooks.onCall(process, operation, "made")
      if (!process.isAlive) throw new Killed()
      return Effect.async<A, E>((resume) => {
        let listening = true
        this.machine.after(this.dice.below(this.behaviour.latency), () => {
          const answer = carryOut()
          if (listening && process.isAlive) this.hooks.onCall(process, operation, "done")
          this.machine.after(slow + this.dice.below(this.behaviour.latency), () => {
            if (listening && process.isAlive) resume(answer)
          })
        })
        return Effect.sync(() => {
          listening = false
        })
      })
    })
  }

  private strikes(): boolean {
    if (this.faultsLeft === 0 || !this.dice.happens(this.behaviour.faultRate)) return false
    this.faultsLeft--
    return true
  }

  private retryAfter(): number | null {
    return this.dice.of([null, null, 0, 1_000, 30_000, 3_600_000, 1e12, -5_000])
  }

  private failed(operation: string, reason: ProviderErrorReason): ProviderError {
    return new ProviderError({
      provider: name,
      operation,
      reason,
      status: statuses[reason],
      retryAfterMillis: reason === "rate-limited" || reason === "unreachable" ? this.retryAfter() : null,
      detail: "the plan has it so"
    })
  }

  private refused(operation: string, status: number): Refused {
    return new Refused({ provider: name, operation, status, detail: "the plan has it so" })
  }

  /** A call that only reads, cancels or deletes. */
  private call<A>(
    process: Process,
    operation: Exclude<CallName, "upload" | "create">,
    target: string,
    carryOut: (now: number) => Answer<A, ProviderError>
  ): Effect.Effect<A, ProviderError> {
    return Effect.suspend(() => {
      const reason = this.strikes()
        ? this.dice.weighted<ProviderErrorReason>([
          [4, "rate-limited"],
          [4, "unreachable"],
          [2, "unexpected"],
          [operation === "retrieve" ? 2 : 0, "gone"],
          [0.3, "auth"],
          [operation === "download" ? 0 : 0.3, "refused"]
        ], "unreachable")
        : undefined
      const old = this.behaviour.stale && this.dice.happens(0.1) ? this.dice.between(1, 20) * minute : 0
      return this.exchange(process, operation, target, () => {
        const { now } = this.machine
        if (reason !== undefined) return Either.left(this.failed(`${operation} ${target}`, reason))
        if (now < this.lockedOutUntil) return Either.left(this.failed(`${operation} ${target}`, "auth"))
        // What is looked for to settle a create is never older than the plan's lag, which `listedFrom` has.
        return carryOut(operation === "find" ? now : now - old)
      })
    })
  }

  /** An upload or a create. */
  private submit<A>(
    process: Process,
    operation: "upload" | "create",
    shard: Shard,
    bytes: Provider.ShardBytes,
    carryOut: (content: Buffer, late: number) => Answer<A, Refused | Unknown>
  ) {
    return Effect.flatMap(Stream.runCollect(Stream.map(bytes, (block) => Buffer.from(block))), (blocks) => {
      const content = Buffer.concat([...blocks])
      const what = { provider: name, operation: `${operation} shard ${shard.id}`, detail: "the plan has it so" }
      if (operation === "create") this.creates++
      const isLost = operation === "create" && this.behaviour.lostCreates.includes(this.creates)
      const fault = isLost ? "lost" : this.strikes()
        ? this.dice.weighted<SubmitFault>([
          [1, "not-sent"],
          [0.5, "refused"],
          [2, "unanswered"],
          [3, "lost"],
          [2, "late"],
          [1, "slow"]
        ], "lost")
        : undefined
      const unknown = () =>
        Either.left(
          new Unknown({
            ...what,
            status: this.dice.of([null, 408, 409, 429, 500, 502, 503, 504]),
            retryAfterMillis: this.retryAfter()
          })
        )
      return this.exchange<A, NotSent | Refused | Unknown>(process, operation, shard.id, () => {
        if (fault === "not-sent") return Either.left(new NotSent(what))
        if (fault === "refused") return Either.left(this.refused(what.operation, this.dice.of([400, 401, 403, 413])))
        if (this.machine.now < this.lockedOutUntil) return Either.left(this.refused(what.operation, 401))
        if (fault === "unanswered") return unknown()
        if (fault === "late") {
          // The answer that the call got is that of a gateway: the provider itself is still at it.
          const late = this.dice.below(this.behaviour.lag)
          this.machine.after(late, () => carryOut(content, late))
          return unknown()
        }
        const done = carryOut(content, 0)
        return fault === "lost" && Either.isRight(done) ? unknown() : done
      }, fault === "slow" ? this.dice.below(5 * minute) : 0)
    })
  }

  /** Makes a batch. `late` is how much of the lag is used up. */
  private make(
    shard: Shard,
    input: InputReference,
    content: Buffer,
    late: number
  ): Answer<{ readonly booked: Booked; readonly snapshot: BatchSnapshot }, Unknown> {
    const { now } = this.machine
    const before = this.books.filter((booked) => booked.shard === shard.id && booked.runTag === shard.runTag).length
    const id = `batch-${shard.id}${before === 0 ? "" : `-again-${before}`}`
    const booked = this.book(id, shard, input, TestWire.readRows(content), late)
    if (booked.isDeclined && !this.behaviour.tags) {
      this.hooks.trace(`${now} declined ${id}`)
      return Either.left(
        new Unknown({
          provider: name,
          operation: `create shard ${shard.id}`,
          detail: "the queue is full",
          status: 429,
          retryAfterMillis: this.retryAfter()
        })
      )
    }
    this.books.push(booked)
    if (this.behaviour.neighbours && this.dice.happens(0.5)) {
      const theirs = new Shard({ ...shard, id: `neighbour-${this.books.length}`, runTag: "neighbour1" })
      this.books.push(this.book(theirs.id, theirs, input, TestWire.readRows(content), 0))
    }
    this.hooks.trace(`${now} made ${id}`)
    return Either.right({ booked, snapshot: this.snapshotOf(booked, now) })
  }

  /**
   * A process that looks at batches goes on from all that it was told before; but for what came a moment ago, while
   * another shard's batch was looked at: that is being written down.
   */
  private relyOnTold(process: Process): void {
    for (const booked of this.books) {
      if (booked.told?.process === process && booked.told.at < this.machine.now - moment) booked.isReliedOn = true
    }
  }

  private book(
    id: string,
    shard: Shard,
    input: InputReference,
    sent: ReadonlyArray<TestWire.SentRow>,
    late: number
  ): Booked {
    const { now } = this.machine
    const fate = this.behaviour.fate(shard)
    const plan = TestBatch.makePlan({
      answer: ({ row }) => fate.answer(row),
      outcome: ({ row }) => fate.outcome(row),
      answeredAfter: ({ row }) => Duration.millis(fate.answeredAfter(row)),
      cancelTakes: Duration.minutes(2),
      timeline: [
        { after: 0, status: "validating" },
        { after: Duration.minutes(1), status: "in_progress" },
        ...(fate.ending === null
          ? []
          : [{ after: Duration.millis(fate.ending.after), status: "ended", ending: fate.ending.ending } as const])
      ]
    })
    const batch = plan(id, shard, input._tag === "UploadedFile" ? input.fileId : "", sent, now)
    return {
      id,
      shard: shard.id,
      attempt: shard.attempt,
      runTag: shard.runTag,
      rows: sent.map(({ row }) => row.row),
      told: undefined,
      isReliedOn: false,
      batch,
      fate,
      listedFrom: now + this.dice.below(Math.max(1, this.behaviour.lag - late)),
      isDeclined: !this.queue.enter(batch, this.books.map((booked) => booked.batch), now),
      cuts: 0
    }
  }

  private snapshotOf({ batch }: Booked, now: number): BatchSnapshot {
    const snapshot = TestBatch.snapshot(batch, Math.max(now, batch.createdAt))
    if (!this.behaviour.countless || snapshot.ending !== null) return snapshot
    return new BatchSnapshot({
      ...snapshot,
      counts: new RequestCounts({ total: 0, succeeded: 0, errored: 0, expired: 0, cancelled: 0 })
    })
  }

  private booked(operation: string, id: string): Either.Either<Booked, ProviderError> {
    const found = this.books.find((booked) => booked.id === id)
    return found === undefined ? Either.left(this.failed(`${operation} ${id}`, "gone")) : Either.right(found)
  }

  /** By tag; without tags by time and number of rows, and what has ended by the rows in its results. */
  private find(
    runTag: string,
    shard: string,
    rows: number,
    since: number,
    exclude: ReadonlySet<string>,
    now: number
  ): Provider.Finding {
    const possible = this.books.filter((booked) =>
      booked.listedFrom <= now && booked.batch.createdAt >= since && !exclude.has(booked.id)
    )
    const isOurs = (booked: Booked) => booked.runTag === runTag && booked.shard === shard
    const certain = possible.filter((booked) => isOurs(booked) && (this.behaviour.tags || booked.batch.endsAt <= now))
    const others = this.behaviour.tags
      ? []
      : possible.filter((booked) => booked.rows.length === rows && booked.batch.endsAt > now)
    const candidates = [...certain, ...others].map((booked) => this.snapshotOf(booked, now))
    const [snapshot] = candidates
    if (snapshot === undefined) return Provider.Finding.Absent()
    return certain.length === 1 && others.length === 0
      ? Provider.Finding.Found({ snapshot })
      : Provider.Finding.Ambiguous({ candidates })
  }

  private download({ kind, reference }: ResultFile): Answer<Buffer, ProviderError> {
    const booked = this.books.find(({ id }) => reference === TestBatch.reference(id, kind))
    if (booked === undefined || booked.fate.lost || booked.batch.deleted || this.machine.now < booked.batch.endsAt) {
      return Either.left(this.failed(`download ${reference}`, "gone"))
    }
    const content = TestBatch.content(booked.batch, kind)
    // A second cut might be at the same place, and then the file is believed to be that short.
    if ((!this.behaviour.hardCuts && booked.cuts > 0) || !this.strikes()) return Either.right(content)
    booked.cuts++
    const lines = content.toString().split("\n")
    return Either.right(
      this.dice.happens(0.5)
        ? content.subarray(0, this.dice.below(content.length))
        : Buffer.from(lines.slice(0, this.dice.below(lines.length)).map((line) => `${line}\n`).join(""))
    )
  }
}
