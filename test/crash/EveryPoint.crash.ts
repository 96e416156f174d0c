/**
 * The command line killed at every point of its run: before each, after each of a call, and within each append to the
 * journal. Every third process that resumes is killed too, each somewhere else.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { type Crash, type Provider, survive, undisturbed } from "./Crashes.js"

const longest = 30 * 60_000

/** Where the process that resumes is killed, if it is: further on from one time to the next, and round again. */
const secondOf = ({ at, side }: Crash): Crash | undefined =>
  at % 3 === 0 ? { at: 1 + (7 * at) % 97, side: side === "before" && at % 2 === 0 ? "after" : "before" } : undefined

/** Kills at one point after the other, until a run comes to its end before its point is there. */
const killEverywhere = (provider: Provider, side: Crash["side"]) =>
  Effect.gen(function*() {
    const whole = yield* undisturbed(provider)
    const figures = { points: 0, kills: 0, resumes: 0, begunAnew: 0 }
    const failures: Array<string> = []
    let next = 1
    let over = false
    const one = Effect.gen(function*() {
      const first = { at: next++, side }
      const exit = yield* Effect.exit(survive(provider, first, secondOf(first)))
      const failure = Exit.isFailure(exit)
        ? Cause.pretty(exit.cause)
        : exit.value.results === whole.results
        ? undefined
        : `${exit.value.killed ?? "not killed"}: the results differ`
      if (failure !== undefined) {
        failures.push(`point ${first.at}: ${failure}`)
        yield* Effect.logError(`${provider}, ${side}, point ${first.at}: ${failure}`)
      }
      if (Exit.isFailure(exit)) return
      const { begunAnew, killed, kills, resumes } = exit.value
      over ||= killed === null
      figures.points += killed === null ? 0 : 1
      figures.kills += kills
      figures.resumes += resumes
      figures.begunAnew += begunAnew ? 1 : 0
    })
    const onwards = Effect.repeat(one, { until: () => over || failures.length >= 20 })
    yield* Effect.all([onwards, onwards], { concurrency: 2, discard: true })
    yield* Effect.log(
      `${provider}, ${side}: ${figures.points} points, ${figures.kills} kills, ${figures.resumes} resumes, `
        + `${figures.begunAnew} begun anew; ${failures.length} paid twice, lost a row, gave other bytes or kept a key`
    )
    assert.deepStrictEqual(failures, [])
    assert.isAbove(figures.points, 0)
  })

describe("a process that is killed at every point in turn", () => {
  for (const provider of ["openai", "anthropic"] as const) {
    for (const side of ["before", "after", "within"] as const) {
      it.live(
        `is resumed to the same bytes, and nothing is paid twice: ${provider}, ${side}`,
        () => killEverywhere(provider, side),
        longest
      )
    }
  }
})
