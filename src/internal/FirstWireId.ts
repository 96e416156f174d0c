/**
 * Whose results are these? The first wire id that they name tells, and the rest need not be downloaded for that.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Service } from "../Provider.js"
import type { WireId } from "../WireId.js"
import { LineSplitter } from "./Lines.js"

/** The longest line that is read for it. */
const longestLine = 1 << 24

/** The first wire id in some results, or nothing when no line can be understood. */
export const firstWireId = <E>(
  bytes: Stream.Stream<Uint8Array, E>,
  decode: Service["decode"]
): Effect.Effect<WireId | undefined, E> =>
  Effect.suspend(() => {
    let wireId: WireId | undefined
    const lines = new LineSplitter(
      longestLine,
      (line) => {
        if (wireId !== undefined) return
        const decoded = decode(line.toString())
        wireId = decoded._tag === "Right" ? decoded.right.wireId : decoded.left.wireId ?? undefined
      },
      () => undefined
    )
    return bytes.pipe(
      Stream.takeUntil((block) => {
        lines.push(block)
        return wireId !== undefined
      }),
      Stream.runDrain,
      Effect.map(() => {
        lines.end()
        return wireId
      })
    )
  })
