/**
 * Long synchronous work in slices, so that a server in the same process keeps answering and interrupts get through.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/**
 * Lets timers and I/O have their turn.
 *
 * @since 0.1.0
 * @category running
 */
export const macrotask: Effect.Effect<void> = Effect.async<void>((resume) => {
  const handle = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(handle))
})

/**
 * Runs `step` until it says that it is done, with a macrotask after each time. A step should take a few milliseconds.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (step: () => boolean): Effect.Effect<void> =>
  Effect.zipLeft(Effect.sync(step), macrotask).pipe(Effect.repeat({ until: (done) => done }), Effect.asVoid)
