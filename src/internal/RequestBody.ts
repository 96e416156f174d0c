/**
 * A stream of ours as the body of a request: read only as fast as the network takes it, and closed with the scope it
 * was made in, whatever became of the request.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** The body, and why it broke off, if it did. */
export interface RequestBody<E> {
  readonly stream: ReadableStream<Uint8Array>
  readonly failure: () => E | undefined
}

/** Makes the body of a request. It can be read once. */
export const make = <E>(bytes: Stream.Stream<Uint8Array, E>): Effect.Effect<RequestBody<E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const pull = yield* Stream.toPull(Stream.filter(bytes, (block) => block.length > 0))
    const run = Runtime.runPromiseExit(yield* Effect.runtime())
    let failure: E | undefined
    const stream = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const exit = await run(Effect.either(pull))
        if (Exit.isFailure(exit)) {
          controller.error(new TypeError("the body of the request broke off"))
        } else if (exit.value._tag === "Right") {
          for (const block of exit.value.right) controller.enqueue(block)
        } else if (Option.isNone(exit.value.left)) {
          controller.close()
        } else {
          failure = exit.value.left.value
          controller.error(new TypeError("the body of the request broke off"))
        }
      }
    }, { highWaterMark: 0 })
    return { stream, failure: () => failure }
  })
