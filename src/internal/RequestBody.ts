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

/**
 * Makes the body of a request. It can be read once. The blocks are only lent, as `HttpTransport` needs no more: one that
 * reads ahead is given `copies`.
 */
export const make = <E>(
  bytes: Stream.Stream<Uint8Array, E>,
  { copies }: { readonly copies: boolean }
): Effect.Effect<RequestBody<E>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const pull = yield* Stream.toPull(bytes)
    const run = Runtime.runPromiseExit(yield* Effect.runtime())
    let failure: E | undefined
    const stream = new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        // Who reads is not asked again for what came to nothing.
        for (let given = 0; given === 0;) {
          const exit = await run(Effect.either(pull))
          if (Exit.isFailure(exit)) return controller.error(new TypeError("the body of the request broke off"))
          if (exit.value._tag === "Left") {
            if (Option.isNone(exit.value.left)) return controller.close()
            failure = exit.value.left.value
            return controller.error(new TypeError("the body of the request broke off"))
          }
          for (const block of exit.value.right) {
            if (block.length === 0) continue
            controller.enqueue(copies ? Uint8Array.from(block) : block)
            given++
          }
        }
      }
    }, { highWaterMark: 0 })
    return { stream, failure: () => failure }
  })
