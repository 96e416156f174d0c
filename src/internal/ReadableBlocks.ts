/** The blocks of a Node stream, taken when they are asked for; a wait for the next one can be interrupted. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** What a stream gives, until its end. What goes wrong is for `onError` to name. */
export const make = <E>(
  readable: NodeJS.ReadableStream,
  onError: (error: unknown) => E
): Stream.Stream<Uint8Array, E> =>
  Stream.unwrapScoped(Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new Listening(readable)),
      (listening) => Effect.sync(() => listening.end())
    ),
    (listening) =>
      Stream.repeatEffectOption(
        Effect.async<Uint8Array, Option.Option<E>>((resume) => {
          const look = () => {
            const found = listening.take()
            if (found === undefined) return
            listening.onChange = () => undefined
            if (found instanceof Uint8Array) resume(Effect.succeed(found))
            else resume(Effect.fail(Option.map(found, onError)))
          }
          listening.onChange = look
          look()
          return Effect.sync(() => {
            listening.onChange = () => undefined
          })
        })
      )
  ))

/** Listens to a stream from the first wait to the last, so that no event falls between two of them. */
class Listening {
  onChange: () => void = () => undefined
  /** `none` is the regular end. */
  private over: Option.Option<unknown> | undefined

  constructor(private readonly readable: NodeJS.ReadableStream) {
    readable.on("readable", this.change).on("end", this.ended).on("error", this.failed).on("close", this.closed)
  }

  /** The next block, or how it ended; `undefined` when there is neither yet. */
  take(): Uint8Array | Option.Option<unknown> | undefined {
    if (this.over !== undefined) return this.over
    const block: unknown = this.readable.read()
    if (typeof block === "string") return Buffer.from(block)
    return block instanceof Uint8Array ? block : this.over
  }

  end(): void {
    this.readable.off("readable", this.change).off("end", this.ended).off("error", this.failed).off(
      "close",
      this.closed
    )
  }

  private readonly change = () => this.onChange()

  private finish(over: Option.Option<unknown>): void {
    this.over ??= over
    this.onChange()
  }

  private readonly ended = () => this.finish(Option.none())
  private readonly failed = (error: unknown) => this.finish(Option.some(error))
  /** After an end or an error, this comes too late to matter; alone, the stream was taken away. */
  private readonly closed = () => this.finish(Option.some(new Error("it was closed before its end")))
}
