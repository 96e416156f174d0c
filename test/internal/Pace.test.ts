import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type { Completion, RateLimit } from "llm-batch/Provider"
import { Progress, type RunEvent } from "llm-batch/RunEvent"
import * as Pace from "../../src/internal/Pace.js"
import * as SimulatedClock from "../SimulatedClock.js"

const free: Pace.Caps = { requestsPerMinute: null, tokensPerMinute: null }

const completion = (tokens: number, limits: ReadonlyArray<RateLimit> = [], afterMillis?: number): Completion => ({
  line: "{}",
  again: afterMillis === undefined ? null : { afterMillis },
  limits,
  tokens
})

const sized = (characters: number, mostAnswered?: number): Pace.Size => ({ characters, mostAnswered })

/** When turns are given that are asked for one after another, each answered at once. */
const turnsOf = (caps: Pace.Caps, answers: ReadonlyArray<Completion>, size = sized(400)) =>
  Effect.gen(function*() {
    const pace = yield* Pace.make(caps)
    return yield* Effect.forEach(answers, (answer) =>
      Effect.gen(function*() {
        const turn = yield* pace.turn(size)
        yield* pace.learn(turn, answer)
        return turn.at
      }))
  }).pipe(Effect.withClock(SimulatedClock.make()))

const times = <A>(count: number, value: A) => Array.from({ length: count }, () => value)

describe("Pace", () => {
  it.effect("waits for nothing while there is no limit", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* turnsOf(free, times(100, completion(5_000))), times(100, 0))
    }))

  it.effect("gives as many turns in a minute as there may be requests", () =>
    Effect.gen(function*() {
      const turns = yield* turnsOf({ ...free, requestsPerMinute: 3 }, times(8, completion(10)))
      assert.deepStrictEqual(turns, [0, 0, 0, 60_000, 60_000, 60_000, 120_000, 120_000])
    }))

  it.effect("reckons tokens by what answers used, and lets a row go that is larger than the limit", () =>
    Effect.gen(function*() {
      const caps = { ...free, tokensPerMinute: 1_000 }
      // Each takes 400, so that two fit.
      assert.deepStrictEqual(yield* turnsOf(caps, times(4, completion(400))), [0, 0, 60_000, 60_000])
      assert.deepStrictEqual(yield* turnsOf(caps, times(3, completion(5_000))), [0, 60_000, 120_000])
    }))

  /** When rows are let go that are all asked for at once, each answered after ten seconds with so many tokens. */
  const startsOf = (size: Pace.Size, rows: number, used: number) =>
    Effect.gen(function*() {
      const pace = yield* Pace.make({ ...free, tokensPerMinute: 3_000 })
      const starts: Array<number> = []
      const row = Effect.gen(function*() {
        const turn = yield* pace.turn(size)
        starts.push(turn.at)
        yield* Effect.sleep("10 seconds")
        yield* pace.learn(turn, completion(used))
      })
      yield* Effect.all(times(rows, row), { concurrency: 16 })
      return starts
    }).pipe(Effect.withClock(SimulatedClock.make()))

  it.effect("had more under way than a minute's tokens before the first answer came", () =>
    Effect.gen(function*() {
      // 200 tokens of text and at most 800 of answer: 1,000 of 3,000 a minute.
      assert.deepStrictEqual(
        yield* startsOf(sized(800, 800), 8, 1_000),
        [0, 0, 0, 60_000, 60_000, 60_000, 120_000, 120_000]
      )
      // What was not used goes to others as soon as that is known.
      assert.deepStrictEqual(
        yield* startsOf(sized(800, 800), 7, 100),
        [0, 0, 0, 10_000, 10_000, 20_000, 20_000]
      )
    }))

  it.effect("lets one row go first where none limits its answer, and learns from it", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* startsOf(sized(40), 7, 1_000),
        [0, 10_000, 10_000, 60_000, 70_000, 70_000, 120_000]
      )
      // A limit beyond what a minute has says little, too.
      assert.deepStrictEqual(yield* startsOf(sized(40, 5_000), 4, 1_500), [0, 10_000, 60_000, 70_000])
    }))

  it.effect("lets the next row go first where the first one had no answer", () =>
    Effect.gen(function*() {
      const pace = yield* Pace.make({ ...free, tokensPerMinute: 3_000 })
      const first = yield* pace.turn(sized(40))
      const second = yield* Effect.fork(pace.turn(sized(40)))
      const third = yield* Effect.fork(pace.turn(sized(40)))
      yield* TestClock.adjust("10 seconds")
      yield* pace.learn(first, undefined)
      assert.strictEqual((yield* Fiber.join(second)).at, 10_000)
      // Nothing is known yet, but for the minute being over.
      yield* TestClock.adjust("59 seconds")
      assert.isNull(yield* Fiber.poll(third).pipe(Effect.map(Option.getOrNull)))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(third)).at, 70_000)
    }))

  it.effect("tells of rests once in five seconds, whichever rows they are of", () =>
    Effect.gen(function*() {
      const events: Array<RunEvent> = []
      const pace = yield* Pace.make(free)
      const rest = (start: number, millis: number) => Effect.delay(pace.rest(millis, "no route"), start)
      yield* Effect.all(
        [rest(0, 1_000), rest(100, 2_000), rest(4_900, 9_000), rest(5_100, 7_000), rest(6_000, 9_000)],
        {
          concurrency: "unbounded"
        }
      ).pipe(
        Effect.provideService(Progress, { tell: (event) => events.push(event) }),
        Effect.withClock(SimulatedClock.make())
      )
      assert.deepStrictEqual(events, [
        { _tag: "AskWaiting", waitMillis: 1_000, detail: "no route" },
        { _tag: "AskWaiting", waitMillis: 7_000, detail: "no route" }
      ])
    }))

  it.effect("believes what the provider says is left, and reckons with what grows back", () =>
    Effect.gen(function*() {
      const left = (remaining: number): RateLimit => ({ kind: "requests", limit: 10, remaining, resetMillis: 50_000 })
      assert.deepStrictEqual(yield* turnsOf(free, [completion(1, [left(1)]), completion(1), completion(1)]), [
        0,
        0,
        // 9 are missing, and one of them is back after a ninth of the time.
        Math.ceil(50_000 / 9)
      ])
      const unclear: RateLimit = { kind: "tokens", limit: null, remaining: 0, resetMillis: 7_000 }
      assert.deepStrictEqual(yield* turnsOf(free, [completion(1, [unclear]), completion(1)]), [0, 7_000])
      const daily: RateLimit = { kind: "requests", limit: 1, remaining: 0, resetMillis: 86_400_000 }
      assert.deepStrictEqual(yield* turnsOf(free, [completion(1, [daily]), completion(1)]), [0, 600_000])
    }))

  it.effect("lets nobody go while the provider asks to wait, and tells it once", () =>
    Effect.gen(function*() {
      const events: Array<RunEvent> = []
      const turns = yield* Effect.provideService(
        turnsOf(free, [completion(1, [], 20_000), completion(1), completion(1)]),
        Progress,
        { tell: (event) => events.push(event) }
      )
      assert.deepStrictEqual(turns, [0, 20_000, 20_000])
      assert.deepStrictEqual(events, [
        { _tag: "AskWaiting", waitMillis: 20_000, detail: "the provider asks to wait" }
      ])
    }))

  it.effect("gives a turn up when it is interrupted, and not those behind it", () =>
    Effect.gen(function*() {
      const pace = yield* Pace.make({ ...free, requestsPerMinute: 1 })
      yield* pace.turn(sized(1))
      yield* Effect.timeoutOption(pace.turn(sized(1)), "10 seconds")
      yield* pace.turn(sized(1))
      assert.strictEqual(yield* Clock.currentTimeMillis, 60_000)
    }).pipe(Effect.withClock(SimulatedClock.make())))

  it.effect.prop(
    "keeps every minute within both limits, whatever answers use",
    [
      FastCheck.integer({ min: 1, max: 6 }),
      FastCheck.integer({ min: 100, max: 1_000 }),
      FastCheck.array(FastCheck.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 25 })
    ],
    ([requestsPerMinute, tokensPerMinute, uses]) =>
      Effect.gen(function*() {
        const turns = yield* turnsOf({ requestsPerMinute, tokensPerMinute }, uses.map((used) => completion(used)))
        for (const start of turns) {
          const within = uses.filter((_, index) => {
            const at = turns[index] ?? 0
            return at >= start && at < start + 60_000
          })
          assert.isAtMost(within.length, requestsPerMinute)
          // What a row will use is known only afterwards: the last one may go over by what it uses itself.
          assert.isAtMost(within.reduce((sum, used) => sum + used, 0), tokensPerMinute + 100)
        }
      }),
    { fastCheck: { numRuns: 30 } }
  )
})
