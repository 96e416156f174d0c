/**
 * What a provider lets wait in its queue, and what of it this run takes up: by this is known which shard may be sent now.
 * Plain bookkeeping; times are milliseconds of the caller's clock.
 */
import { thousands } from "../internal/Thousands.js"

/** How much of one run may be with a provider at a time. What is absent is not limited. */
export interface QueueLimits {
  /** Batches that have not ended. */
  readonly maxConcurrentJobs?: number | undefined
  /** Prompt tokens of one model in batches that have not ended. */
  readonly maxEnqueuedTokens?: number | undefined
  /** Rows in batches that have not ended. */
  readonly maxQueuedRequests?: number | undefined
  /** Batches made within an hour. */
  readonly maxBatchesPerHour?: number | undefined
}

/** What a shard takes up in a queue. */
export interface Load {
  readonly id: string
  /** Under which name its tokens are counted. */
  readonly name: string
  readonly rows: number
  /** As many as it may have; 0 where nothing limits them. */
  readonly tokens: number
}

/** Why a shard has to wait. */
export interface Obstacle {
  readonly detail: string
  /** When it passes by itself; `null` when a batch has to end first. */
  readonly until: number | null
  /** Into how many shards it is cut to fit better; 1 for not at all. */
  readonly pieces: number
}

const hour = 3_600_000

/**
 * A shard that has to wait is cut until it takes no more than about this part of a limit: then what cannot be filled for
 * want of a shard that fits is no more than that.
 */
const piecesOfLimit = 20

/** How long a provider's word is believed that less fits than its limit says: others may fill it, too. */
const declineLasts = 15 * 60_000

/** The first wait when the queue is full of what is not ours; doubled each time, up to the longest. */
const firstPatience = 60_000
const longestPatience = 10 * 60_000

/** A provider declined a batch: what was in then may be all that fits. */
interface Decline {
  readonly room: number
  /** What did not fit besides; 0 when nobody knows. */
  readonly tokens: number
  readonly until: number
}

/** The part of a provider's queue that is a run's. */
export class Queue {
  private readonly inside = new Map<string, Load>()
  private readonly tokenLimits = new Map<string, number>()
  private readonly declines = new Map<string, Decline>()
  private readonly patience = new Map<string, number>()
  private creations: Array<number> = []

  constructor(private readonly limits: QueueLimits) {}

  /** How many tokens of a name may be in; `undefined` where that is not known. */
  tokenLimit(name: string): number | undefined {
    const { maxEnqueuedTokens: own } = this.limits
    const learned = this.tokenLimits.get(name)
    return own === undefined ? learned : learned === undefined ? own : Math.min(own, learned)
  }

  /** Whether tokens of a name have to be counted. */
  countsTokens(name: string): boolean {
    return this.tokenLimit(name) !== undefined || this.declines.has(name)
  }

  /** The shards that are in, of a name. */
  insideOf(name: string): ReadonlyArray<string> {
    return [...this.inside.values()].flatMap((load) => load.name === name ? [load.id] : [])
  }

  /** A batch was made at this time; it may be one of an earlier process, or by then have ended. */
  created(at: number): void {
    this.creations.push(at)
  }

  /** A shard takes up room from now on. */
  enter(load: Load): void {
    this.inside.set(load.id, load)
  }

  /** So many tokens has a shard that was let in uncounted; one that is not in any more takes up no room. */
  count(id: string, tokens: number): void {
    const load = this.inside.get(id)
    if (load !== undefined) this.inside.set(id, { ...load, tokens })
  }

  /** A shard takes up no room any more: its batch has ended. */
  leave(id: string): void {
    const load = this.inside.get(id)
    if (load === undefined) return
    this.inside.delete(id)
    this.patience.delete(load.name)
  }

  /** The provider says how many tokens of a name may be in. */
  learn(name: string, limit: number): void {
    this.tokenLimits.set(name, limit)
  }

  /** The provider had no room for a shard besides those that are in: it takes up none. */
  decline({ id, name, rows, tokens }: Load, limit: number | null, now: number): void {
    this.inside.delete(id)
    if (limit !== null) this.learn(name, limit)
    const room = this.tokensOf(name)
    const known = this.tokenLimit(name)
    // What is known now would have told; but of what cannot be cut, and is alone, it tells nothing.
    if (known !== undefined && room + tokens > known && (room > 0 || piecesOf(tokens, known, rows) > 1)) return
    if (room > 0) {
      this.declines.set(name, { room, tokens, until: now + declineLasts })
      return
    }
    // Nothing of ours is in: what fills it ends when it ends.
    const patience = this.patience.get(name) ?? firstPatience
    this.patience.set(name, Math.min(longestPatience, patience * 2))
    this.declines.set(name, { room: 0, tokens, until: now + patience })
  }

  /** Why a shard must not be sent now; `undefined` when it may. */
  obstacle(load: Load, now: number): Obstacle | undefined {
    const { maxConcurrentJobs, maxQueuedRequests } = this.limits
    const inside = this.inside.size
    if (maxConcurrentJobs !== undefined && inside >= maxConcurrentJobs) {
      return {
        detail: `${thousands(inside)} batches are with the provider, and no more may be`,
        until: null,
        pieces: 1
      }
    }
    return this.tooSoon(now)
      ?? this.tooManyTokens(load, now)
      ?? (maxQueuedRequests === undefined ? undefined : tooMany({
        what: "requests",
        used: this.rowsInside(),
        wanted: load.rows,
        limit: maxQueuedRequests,
        rows: load.rows
      }))
  }

  private tooSoon(now: number): Obstacle | undefined {
    const { maxBatchesPerHour } = this.limits
    if (maxBatchesPerHour === undefined) return undefined
    this.creations = this.creations.filter((at) => at > now - hour)
    const [oldest] = this.creations
    if (oldest === undefined || this.creations.length < maxBatchesPerHour) return undefined
    const detail = `${thousands(maxBatchesPerHour)} batches were made within an hour, and no more may be`
    return { detail, until: oldest + hour, pieces: 1 }
  }

  private tooManyTokens(load: Load, now: number): Obstacle | undefined {
    const { name, rows, tokens } = load
    const limit = this.tokenLimit(name)
    const used = this.tokensOf(name)
    const decline = this.declines.get(name)
    if (decline !== undefined && now >= decline.until) this.declines.delete(name)
    else if (decline !== undefined && used + tokens > decline.room) {
      // What is known to be too large is cut at once. Where no limit is told, only what was declined alone is known to be:
      // it is halved, and what is smaller waits.
      const isTooLarge = decline.room === 0 && decline.tokens > 0 && tokens >= decline.tokens
      const pieces = limit !== undefined ? piecesOf(tokens, limit, rows) : isTooLarge ? Math.min(2, rows) : 1
      const detail = `the provider's queue for ${name} is full`
      return { detail, until: decline.until, pieces }
    }
    return limit === undefined ? undefined : tooMany({ what: `tokens of ${name}`, used, wanted: tokens, limit, rows })
  }

  private rowsInside(): number {
    let sum = 0
    for (const { rows } of this.inside.values()) sum += rows
    return sum
  }

  private tokensOf(name: string): number {
    let sum = 0
    for (const load of this.inside.values()) if (load.name === name) sum += load.tokens
    return sum
  }
}

const piecesOf = (wanted: number, limit: number, rows: number): number => {
  // Rounded, so that pieces that turn out a little larger than others are not cut again.
  const pieces = Math.round(wanted / (limit / piecesOfLimit))
  return Math.max(1, Math.min(pieces, rows))
}

const tooMany = ({ limit, rows, used, wanted, what }: {
  readonly what: string
  readonly used: number
  readonly wanted: number
  readonly limit: number
  readonly rows: number
}): Obstacle | undefined => {
  if (used + wanted <= limit) return undefined
  const pieces = piecesOf(wanted, limit, rows)
  // A single row that is larger than all that may be in: only the provider can tell what to do with it.
  if (pieces === 1 && used === 0) return undefined
  return { detail: `${thousands(used)} of ${thousands(limit)} ${what} are with the provider`, until: null, pieces }
}
