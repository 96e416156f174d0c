/**
 * How fast rows may be asked for: as many requests and tokens a minute as the user allows, as many as the provider says
 * are left, and none at all while it asks to wait. One pace is kept for all shards of a provider.
 *
 * What the provider says is believed until it says more; between two answers, what is left of a limit is reckoned to grow
 * back evenly up to the time at which the provider says that it is whole again.
 *
 * What a row uses of the tokens that the user allows is known only when it is answered. Until then it is reckoned with the
 * most that it can come to, its text and the limit that it sets for its answer, so that no minute has more than is allowed.
 * A row that sets no limit, or one larger than what is allowed for a whole minute, is reckoned with the mean of the answers
 * so far; where there are none yet, one such row goes first, and the others wait for what it shows.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Completion, RateLimit } from "../Provider.js"
import { Progress } from "../RunEvent.js"

/** What the user allows; `null` for no limit of their own. */
export interface Caps {
  readonly requestsPerMinute: number | null
  readonly tokensPerMinute: number | null
}

const minute = 60_000

/** However long a provider asks to wait, it is at most this: some servers send nonsense. */
export const longestWait = 10 * minute

/** Why rows rest while the provider does not want to be asked. */
export const askedToWait = "the provider asks to wait"

/** A request that was let go, and what it was reckoned to use; what it used, once that is known. */
interface Turn {
  readonly at: number
  tokens: number
}

/** The requests of the last minute. No minute that begins anywhere sees more of them than the user allows. */
class LastMinute {
  private turns: Array<Turn> = []
  private gone = 0
  private tokens = 0

  constructor(private readonly caps: Caps) {}

  /** When a request that is reckoned to use so many tokens may go. */
  readyAt(tokens: number, now: number): number {
    this.forget(now)
    const { requestsPerMinute, tokensPerMinute } = this.caps
    const count = this.turns.length - this.gone
    let readyAt = now
    if (requestsPerMinute !== null && count >= requestsPerMinute) {
      readyAt = this.goneAt(this.gone + count - requestsPerMinute)
    }
    if (tokensPerMinute !== null) {
      // A row that is larger than the limit goes when it has the whole of it to itself.
      let used = this.tokens
      for (let index = this.gone; index < this.turns.length && used + tokens > tokensPerMinute; index++) {
        used -= this.turns[index]?.tokens ?? 0
        readyAt = Math.max(readyAt, this.goneAt(index))
      }
    }
    return readyAt
  }

  add(turn: Turn): void {
    if (this.caps.requestsPerMinute === null && this.caps.tokensPerMinute === null) return
    this.turns.push(turn)
    this.tokens += turn.tokens
  }

  /** Puts what a request used in the place of what it was reckoned to use. */
  settle(turn: Turn, tokens: number, now: number): void {
    this.forget(now)
    if (turn.at + minute > now) this.tokens += tokens - turn.tokens
    turn.tokens = tokens
  }

  private goneAt(index: number): number {
    return (this.turns[index]?.at ?? -minute) + minute
  }

  private forget(now: number): void {
    while (this.gone < this.turns.length && this.goneAt(this.gone) <= now) {
      this.tokens -= this.turns[this.gone]?.tokens ?? 0
      this.gone++
    }
    if (this.gone < 1_024 && this.gone < this.turns.length) return
    this.turns = this.turns.slice(this.gone)
    this.gone = 0
  }
}

/** One limit, as the provider last told of it. */
class Learned {
  private told: RateLimit | undefined
  private at = 0
  /** What was let go since. */
  private used = 0

  constructor(private readonly isTokens: boolean) {}

  learn(limit: RateLimit, now: number): void {
    this.told = limit
    this.at = now
    this.used = 0
  }

  use(tokens: number): void {
    this.used += this.isTokens ? tokens : 1
  }

  readyAt(tokens: number, now: number): number {
    if (this.told === undefined || this.told.remaining === null) return now
    const { limit, remaining, resetMillis } = this.told
    const reset = resetMillis ?? minute
    if (now >= this.at + reset) return now
    const wanted = Math.min(this.isTokens ? tokens : 1, limit ?? Infinity)
    const short = this.used + wanted - remaining
    if (short <= 0) return now
    const used = limit === null ? 0 : limit - remaining
    // Nothing grows back that is not missing: more was let go than the provider knew of.
    const wait = used <= 0 || short > used ? reset : reset * short / used
    return Math.max(now, this.at + Math.min(wait, longestWait))
  }
}

/** What is known of a row before it is asked. */
export interface Size {
  /** The length of its text. */
  readonly characters: number
  /** The most tokens that its answer may have; `undefined` where it sets no limit. */
  readonly mostAnswered: number | undefined
}

/** How much of the mean the newest answer makes. */
const newest = 0.1

/** Says when rows may be asked for. */
export interface Pace {
  /** Waits for the turn of a row, saying so. Turns are taken in the order of asking. */
  readonly turn: (size: Size) => Effect.Effect<Turn>
  /** Takes what came of it; `undefined` where no answer came. */
  readonly learn: (turn: Turn, completion: Completion | undefined) => Effect.Effect<void>
  /** Lets a row rest before it is asked again, saying why. */
  readonly rest: (millis: number, why: string) => Effect.Effect<void>
}

/** Waits that are shorter are not worth telling. */
const shortestTold = 500

/** Of all rows together, waits are told at most this often. */
const tellEvery = 5_000

/** What is learned while a turn is waited for is seen this often. */
const longestSleep = 5_000

/** Makes a pace. */
export const make = (caps: Caps): Effect.Effect<Pace> =>
  Effect.map(Effect.makeSemaphore(1), (inLine) => {
    const lastMinute = new LastMinute(caps)
    const learned = {
      "requests": new Learned(false),
      "tokens": new Learned(true),
      "input-tokens": new Learned(true),
      "output-tokens": new Learned(true)
    }
    let pausedUntil = 0
    let meanTokens: number | undefined
    /** The row that goes first, to show how many tokens a row takes. */
    let scout: Turn | undefined
    /** Releases whoever waits: what they wait for may have changed. */
    const news = Effect.unsafeMakeLatch()
    const told = { at: -Infinity, until: -Infinity, why: "" }

    const tellWaiting = (now: number, until: number, why: string) =>
      Effect.map(Progress, ({ tell }) => {
        const isNew = why !== told.why || until >= told.until + shortestTold
        if (!isNew || until - now < shortestTold || now < told.at + tellEvery) return
        Object.assign(told, { at: now, until, why })
        tell({ _tag: "AskWaiting", waitMillis: until - now, detail: why })
      })

    /** What a row is reckoned to use of what the user allows. */
    const reckon = (text: number, mostAnswered: number | undefined): number => {
      if (mostAnswered === undefined) return meanTokens ?? text
      const most = text + mostAnswered
      return meanTokens !== undefined && most > (caps.tokensPerMinute ?? 0) ? meanTokens : most
    }

    /** When a row may be asked for, and what it waits for. */
    const readyAt = (reckoned: number, tokens: number, now: number): readonly [at: number, why: string] => {
      const reasons: Array<readonly [at: number, why: string]> = [
        [pausedUntil, askedToWait],
        [lastMinute.readyAt(reckoned, now), "as many requests or tokens as are allowed were used in this minute"],
        ...Object.values(learned).map((limit) =>
          [limit.readyAt(tokens, now), "the provider's limit is used up"] as const
        )
      ]
      return reasons.reduce((latest, one) => one[0] > latest[0] ? one : latest)
    }

    const sleep = (millis: number) =>
      Effect.raceFirst(Effect.sleep(Math.min(Math.ceil(millis), longestSleep)), news.await)

    const turn = Effect.fnUntraced(function*({ characters, mostAnswered }: Size) {
      // Four characters are about a token.
      const text = Math.ceil(characters / 4)
      for (;;) {
        const now = yield* Clock.currentTimeMillis
        const isUnknown = caps.tokensPerMinute !== null && mostAnswered === undefined && meanTokens === undefined
        // After a minute, what it uses is none of this minute's.
        if (isUnknown && scout !== undefined && now < scout.at + minute) {
          yield* sleep(scout.at + minute - now)
          continue
        }
        // How providers reckon is theirs: what they say is left is compared with what rows take in truth.
        const tokens = meanTokens ?? text
        const reckoned = reckon(text, mostAnswered)
        const [at, why] = readyAt(reckoned, tokens, now)
        if (at <= now) {
          const taken: Turn = { at: now, tokens: reckoned }
          lastMinute.add(taken)
          for (const limit of Object.values(learned)) limit.use(tokens)
          if (isUnknown) scout = taken
          return taken
        }
        yield* tellWaiting(now, at, why)
        yield* sleep(at - now)
      }
    })

    const learn = (taken: Turn, completion: Completion | undefined) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        if (scout === taken) scout = undefined
        // What was lost on the way may have used what it was reckoned to use.
        if (completion === undefined) return
        const { again, limits, tokens } = completion
        lastMinute.settle(taken, tokens, now)
        if (tokens > 0) meanTokens = meanTokens === undefined ? tokens : meanTokens + (tokens - meanTokens) * newest
        for (const limit of limits) learned[limit.kind].learn(limit, now)
        const pause = again?.afterMillis ?? 0
        pausedUntil = Math.max(pausedUntil, now + Math.min(Math.max(0, pause), longestWait))
      }).pipe(Effect.zipLeft(news.release))

    const rest = (millis: number, why: string) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => tellWaiting(now, now + millis, why)).pipe(
        Effect.zipRight(Effect.sleep(millis))
      )

    return { turn: (size) => inLine.withPermits(1)(turn(size)), learn, rest }
  })
