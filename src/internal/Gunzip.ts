/**
 * Decompression of streams that turn out to be gzip: told by content, in flat memory.
 */
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as NodeZlib from "node:zlib"

const isGzip = (bytes: Uint8Array) => bytes[0] === 0x1f && bytes[1] === 0x8b

/** A decompressor that is fed and drained by turns, so that neither side runs ahead of the other. */
class Decompressor {
  private readonly gunzip = NodeZlib.createGunzip({ chunkSize: 1 << 20 })
  private fed = 0
  private failure: string | undefined
  private idle = true
  private finished = false
  private wake = () => {}

  constructor() {
    this.gunzip.on("readable", () => this.wake())
    this.gunzip.on("end", () => {
      this.finished = true
      this.wake()
    })
    this.gunzip.on("error", (error) => {
      this.failure = error.message
      this.wake()
    })
  }

  /** Gives a block to decompress; `drain` gives what comes of it. */
  feed(block: Uint8Array): void {
    this.fed += block.length
    this.idle = false
    this.gunzip.write(block, () => {
      this.idle = true
      this.wake()
    })
  }

  /** Ends the input; `drain` gives what is left. */
  end(): void {
    this.idle = false
    this.gunzip.end()
  }

  /** The next decompressed block; none when everything that was fed is decompressed. Fails with what is wrong. */
  readonly drain: Effect.Effect<Option.Option<Uint8Array>, string> = Effect.async((resume) => {
    const look = () => {
      const block: unknown = this.failure === undefined ? this.gunzip.read() : null
      if (block instanceof Uint8Array) settle(Effect.succeed(Option.some(block)))
      else if (this.failure !== undefined) settle(Effect.fail(this.failure))
      else if (this.finished && this.gunzip.bytesWritten < this.fed) settle(Effect.fail("other data follows its end"))
      else if (this.idle || this.finished) settle(Effect.succeed(Option.none()))
    }
    const settle = (result: Effect.Effect<Option.Option<Uint8Array>, string>) => {
      this.wake = () => {}
      resume(result)
    }
    this.wake = look
    look()
    return Effect.sync(() => {
      this.wake = () => {}
    })
  })

  close(): void {
    this.gunzip.destroy()
  }
}

const decompress = <E, R>(
  compressed: Stream.Stream<Uint8Array, E, R>,
  onCorrupt: (problem: string) => E
): Stream.Stream<Uint8Array, E, R> =>
  Stream.unwrapScoped(
    Effect.map(
      Effect.acquireRelease(Effect.sync(() => new Decompressor()), (open) => Effect.sync(() => open.close())),
      (decompressor) => {
        const drained = Stream.repeatEffectOption(
          Effect.flatMap(Effect.mapError(decompressor.drain, (problem) => Option.some(onCorrupt(problem))), (block) =>
            Option.isSome(block) ? Effect.succeed(block.value) : Effect.fail(Option.none()))
        )
        const after = (step: () => void) =>
          Stream.concat(Stream.execute(Effect.sync(step)), drained)
        return Stream.concat(
          Stream.flatMap(compressed, (block) => after(() => decompressor.feed(block))),
          after(() => decompressor.end())
        )
      }
    )
  )

type Pull<E, R> = Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<E>, R>

/** As many blocks as it takes to have two bytes; fewer when the stream ends. */
const readHead = <E, R>(pull: Pull<E, R>, head: Uint8Array): Effect.Effect<Uint8Array, E, R> =>
  Effect.matchEffect(pull, {
    onFailure: Option.match({ onNone: () => Effect.succeed(head), onSome: (error) => Effect.fail(error) }),
    onSuccess: (blocks) => {
      const bytes = Buffer.concat([head, ...blocks])
      return bytes.length < 2 ? readHead(pull, bytes) : Effect.succeed(bytes)
    }
  })

/**
 * The bytes of a stream, decompressed where it begins as gzip does. Several members that follow one another are one
 * content; a stream that is cut short, or followed by anything else, fails.
 */
export const whereGzip = <E, R>(
  blocks: Stream.Stream<Uint8Array, E, R>,
  onCorrupt: (problem: string) => E
): Stream.Stream<Uint8Array, E, R> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const pull = yield* Stream.toPull(blocks)
    const head = yield* readHead(pull, Buffer.alloc(0))
    const all = Stream.concat(Stream.make(head), Stream.repeatEffectChunkOption(pull))
    return isGzip(head) ? decompress(all, onCorrupt) : all
  }))
