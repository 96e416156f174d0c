/**
 * What is known of a run from its events: a plain model, which `Display` shows.
 */
import * as DateTime from "effect/DateTime"
import { type BatchSnapshot, isAtProvider } from "../Batch.js"
import type { RunEvent } from "../RunEvent.js"
import { queueName, type RunState } from "../RunState.js"
import type { Shard } from "../Shard.js"

/** What is known of one shard. */
export interface ShardView {
  readonly shard: Shard
  batchId: string | null
  /** A word or two: `built`, `sending`, `waiting`, a status of its batch, how that ended, `done`, `stopped`. */
  phase: string
  /** Bytes sent in this try. */
  sent: number
  /** Rows of which the provider says that they are done with; all of them when the batch has ended. */
  done: number
  expiresAt: number | null
}

/** Something that holds the run up. */
export interface Hindrance {
  readonly what: "waiting" | "trying again"
  readonly text: string
  /** When it is over, or believed to be; in milliseconds. */
  readonly until: number
  /** Whether it ends then for certain. */
  readonly timed: boolean
}

/** Trouble that was not told again for so long has passed. */
const troubleMillis = 90_000

const doneOf = ({ counts, ending }: BatchSnapshot, shard: Shard): number =>
  ending === null
    ? Math.min(shard.rows, counts.succeeded + counts.errored + counts.expired + counts.cancelled)
    : shard.rows

/** Whether the rows of a shard are those of others, asked again. */
const isAskedAgain = (shard: Shard): boolean => shard.attempt > 1

/** A point from which, or up to which, the rate of rows is measured. */
interface Mark {
  readonly at: number
  readonly done: number
}

/** The model of a run. Times are in milliseconds. */
export class RunView {
  readonly shards = new Map<string, ShardView>()
  /** Whether rows are being built, as far as is known. */
  building = false
  rowsBuilt = 0
  /** The run's rows, and those of them that are done: rows that are asked again are not. */
  rows = 0
  done = 0
  private readonly hindrances = new Map<string, Hindrance>()
  private first: Mark | null = null
  private last: Mark | null = null

  constructor(readonly startedAt: number, run: RunState | undefined) {
    for (const { ended, shard, snapshot, status } of run?.shards.values() ?? []) {
      const view = this.at(shard)
      if (snapshot !== null) this.observe(view, snapshot)
      if (ended !== null) view.phase = ended.ending
      if (status === "normalized") this.finish(view)
    }
  }

  /** Takes an event. */
  take(event: RunEvent, now: number): void {
    switch (event._tag) {
      case "RowsBuilt":
        this.building = true
        this.rowsBuilt = event.rows
        return
      case "ShardBuilt":
        if (!isAskedAgain(event.shard)) this.building = true
        this.at(event.shard)
        return
      case "BytesSent": {
        const view = this.submitting(event.shard, "sending")
        view.sent = event.bytes
        if (this.hindrances.get(event.shard.id)?.what === "trying again") this.hindrances.delete(event.shard.id)
        return
      }
      case "SubmitWaiting": {
        this.submitting(event.shard, "waiting")
        const timed = event.waitMillis > 0
        this.hindrances.set(event.shard.id, {
          what: timed ? "waiting" : "trying again",
          text: `shard ${event.shard.id}: ${event.detail}`,
          until: now + (timed ? event.waitMillis : troubleMillis),
          timed
        })
        return
      }
      case "SendingHeld":
        this.hindrances.set(`held ${queueName(event.shard.model)}`, {
          what: "waiting",
          text: `${event.shards === 1 ? "1 shard is" : `${event.shards} shards are`} held back: ${event.detail}`,
          until: event.waitMillis === null ? Number.POSITIVE_INFINITY : now + event.waitMillis,
          timed: event.waitMillis !== null
        })
        return
      case "BatchDeclined": {
        const view = this.submitting(event.batch.shard, "built")
        this.done -= view.done
        view.done = 0
        view.batchId = null
        view.expiresAt = null
        return
      }
      case "ShardSplit":
        this.done -= this.at(event.shard).done
        // As if it had never been there: its pieces are counted like any shard.
        if (isAskedAgain(event.shard)) this.done += event.shard.rows
        else this.rows -= event.shard.rows
        this.shards.delete(event.shard.id)
        for (const shard of event.shards) this.at(shard)
        return
      case "PollTrouble":
        this.hindrances.set("", { what: "waiting", text: event.detail, until: now + troubleMillis, timed: false })
        return
      case "RowsAnswered":
        return this.progress(event.shard, now, (view) => {
          this.done += event.answered - view.done
          view.done = event.answered
          view.phase = "asking"
        })
      case "AskWaiting":
        this.hindrances.set("ask", {
          what: "waiting",
          text: event.detail,
          until: now + event.waitMillis,
          timed: true
        })
        return
      case "BatchCreated":
      case "BatchObserved":
        this.hindrances.delete(event.batch.shard.id)
        if (event._tag === "BatchCreated") this.hindrances.delete(`held ${queueName(event.batch.shard.model)}`)
        if (event._tag === "BatchObserved") this.hindrances.delete("")
        return this.progress(event.batch.shard, now, (view) => this.observe(view, event.batch.snapshot))
      case "BatchEnded":
        return this.progress(event.batch.shard, now, (view) => {
          this.observe(view, event.batch.snapshot)
          view.phase = event.batch.ending
        })
      case "ShardNormalized":
        return this.progress(event.shard, now, (view) => this.finish(view))
      case "ShardFailed":
        this.hindrances.delete(event.shard.id)
        this.at(event.shard).phase = "stopped"
        return
      case "Notice":
      case "BatchExpiring":
      case "DeadlineReached":
      case "DownloadRepeated":
      case "RetryBuilt":
      case "RunFinished":
    }
  }

  /** What holds the run up now. */
  waits(now: number): ReadonlyArray<Hindrance> {
    return [...this.hindrances.values()].filter(({ until }) => until > now)
  }

  /** The rows that can still be waited for: those of shards that stopped are left. */
  get rest(): number {
    let rest = 0
    for (const { done, phase, shard } of this.shards.values()) if (phase !== "stopped") rest += shard.rows - done
    return rest
  }

  /** How long the rest will take at the rate so far; `null` while there is none. */
  remaining(now: number): number | null {
    const { first, last } = this
    if (first === null || last === null || last.at <= first.at || last.done <= first.done) return null
    const millisPerRow = (last.at - first.at) / (last.done - first.done)
    return Math.max(0, last.at + this.rest * millisPerRow - now)
  }

  /** How long it takes at most until every batch with the provider has ended; `null` when it is not known. */
  longest(now: number): number | null {
    const times = [...this.shards.values()].flatMap(({ done, expiresAt, phase, shard }) =>
      expiresAt === null || done === shard.rows || phase === "stopped" ? [] : [expiresAt - now]
    )
    return times.length === 0 ? null : Math.max(0, ...times)
  }

  private at(shard: Shard): ShardView {
    const known = this.shards.get(shard.id)
    if (known !== undefined) return known
    const view: ShardView = { shard, batchId: null, phase: "built", sent: 0, done: 0, expiresAt: null }
    this.shards.set(shard.id, view)
    if (isAskedAgain(shard)) {
      this.done -= shard.rows
      this.first = null
      this.last = null
    } else {
      this.rows += shard.rows
    }
    return view
  }

  private submitting(shard: Shard, phase: string): ShardView {
    this.building = false
    const view = this.at(shard)
    view.phase = phase
    return view
  }

  private observe(view: ShardView, snapshot: BatchSnapshot): void {
    const done = doneOf(snapshot, view.shard)
    this.done += done - view.done
    view.done = done
    view.batchId = isAtProvider(snapshot) ? snapshot.id : null
    view.phase = snapshot.ending ?? snapshot.status.replaceAll("_", " ")
    view.expiresAt = snapshot.expiresAt === null ? null : DateTime.toEpochMillis(snapshot.expiresAt)
  }

  private finish(view: ShardView): void {
    this.done += view.shard.rows - view.done
    view.done = view.shard.rows
    view.phase = "done"
  }

  /** Changes a shard, and marks the time when that brings rows on. */
  private progress(shard: Shard, now: number, change: (view: ShardView) => void): void {
    this.building = false
    const view = this.at(shard)
    this.first ??= { at: now, done: this.done }
    const before = this.done
    change(view)
    if (this.done > before) this.last = { at: now, done: this.done }
  }
}
