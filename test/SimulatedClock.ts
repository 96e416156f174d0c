import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/**
 * A clock that goes on to the next sleeper by itself, as soon as nothing else is left to do: a thousand simulated days
 * take about as long as one does under a clock that is adjusted.
 */
export const make = (): Clock.Clock => {
  let now = 0
  let sleepers: ReadonlyArray<Sleeper> = []
  let waiting = false
  const goOn = () => {
    waiting = false
    const next = sleepers.reduce<Sleeper | undefined>(
      (first, one) => first === undefined || one.at < first.at ? one : first,
      undefined
    )
    if (next === undefined) return
    sleepers = sleepers.filter((one) => one !== next)
    now = next.at
    next.wake()
    waitIdle()
  }
  const waitIdle = () => {
    if (waiting || sleepers.length === 0) return
    waiting = true
    setImmediate(goOn)
  }
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: () => now,
    unsafeCurrentTimeNanos: () => BigInt(now) * 1_000_000n,
    currentTimeMillis: Effect.sync(() => now),
    currentTimeNanos: Effect.sync(() => BigInt(now) * 1_000_000n),
    sleep: (duration) =>
      Effect.async<void>((resume) => {
        const sleeper: Sleeper = { at: Math.ceil(now + Duration.toMillis(duration)), wake: () => resume(Effect.void) }
        sleepers = [...sleepers, sleeper]
        waitIdle()
        return Effect.sync(() => {
          sleepers = sleepers.filter((one) => one !== sleeper)
        })
      })
  }
}
