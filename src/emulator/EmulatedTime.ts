/**
 * The emulator's own time: the clock of the context it was built in, scaled, and moved on by hand.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"

/**
 * All times are milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface EmulatedTime {
  /** The emulated time, which is on the wire. */
  readonly now: () => number
  /** The time of the clock, for headers that speak of real waiting. */
  readonly real: () => number
  /** How long a span of emulated time takes in real time; where time stands still, as long as it is. */
  readonly toReal: (millis: number) => number
  /** Moves the emulated time on. */
  readonly advance: (millis: number) => void
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (clock: Clock.Clock, timeScale: number): EmulatedTime => {
  const start = clock.unsafeCurrentTimeMillis()
  let moved = 0
  const real = () => clock.unsafeCurrentTimeMillis()
  return {
    now: () => Math.floor(start + (real() - start) * timeScale + moved),
    real,
    toReal: (millis) => timeScale === 0 ? millis : millis / timeScale,
    advance: (millis) => {
      moved += millis
    }
  }
}
