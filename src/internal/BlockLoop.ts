/**
 * How long synchronous work lives beside fibers: in slices of a few milliseconds, with a macrotask between them.
 * `Effect.yieldNow` is not enough: it lets other fibers run, but neither timers nor signals.
 */
import * as Effect from "effect/Effect"

/** Lets timers, I/O and signals run, and the fiber be interrupted. */
export const macrotask: Effect.Effect<void> = Effect.async<void>((resume) => {
  const handle = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(handle))
})

/** How long synchronous work may hold the thread. */
const sliceMillis = 8

/**
 * Repeats a synchronous step until it gives `false`, in slices. What the step throws is for `onThrow` to name; it must
 * know every error that the step throws.
 */
export const blockLoop = <E>(step: () => boolean, onThrow: (error: unknown) => E): Effect.Effect<void, E> => {
  const slice = Effect.try({
    try: () => {
      const end = performance.now() + sliceMillis
      while (step()) {
        if (performance.now() >= end) return true
      }
      return false
    },
    catch: onThrow
  })
  const loop: Effect.Effect<void, E> = Effect.flatMap(
    slice,
    (more) => more ? Effect.zipRight(macrotask, loop) : Effect.void
  )
  return loop
}

/** How much of a block is taken between two looks at the time: some hundred rows. */
export const pieceSize = 1 << 16

/**
 * Gives a block to synchronous work piece by piece, in slices, until that gives `false`; tells whether it took all. A
 * block of a megabyte may hold thousands of short rows, and they much longer than a slice.
 */
export const inPieces = <E>(
  block: Uint8Array,
  take: (piece: Uint8Array) => boolean | void,
  onThrow: (error: unknown) => E
): Effect.Effect<boolean, E> =>
  Effect.suspend(() => {
    let start = 0
    let goesOn = true
    const loop = blockLoop(() => {
      goesOn = take(block.subarray(start, start + pieceSize)) !== false
      start += pieceSize
      return goesOn && start < block.length
    }, onThrow)
    return Effect.map(loop, () => goesOn)
  })
