/**
 * The body of a response that ought to be short: read within a time and a size. The time limits of the SDKs end with the
 * headers, and a server that sends a byte now and then, or never stops, is not idle either.
 */

/** How much of a body is waited for. */
export interface Bounds {
  readonly bytes: number
  readonly millis: number
}

/** What was read. */
export interface ShortBody {
  readonly bytes: Buffer
  /** Why that is not all; `null` when it is. */
  readonly missing: Missing | null
}

/** Why a body was not read to its end: it took too long, it went on too long, or the reading failed. */
type Missing = { readonly _tag: "Late" } | { readonly _tag: "Long" } | {
  readonly _tag: "Broken"
  readonly error: unknown
}

/** Reads a body. Never rejects: what came is given in any case. */
export const read = async (body: ReadableStream<Uint8Array>, bounds: Bounds): Promise<ShortBody> => {
  const reader = body.getReader()
  const chunks: Array<Uint8Array> = []
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), bounds.millis)
  })
  const cutBy = (missing: Missing | null): ShortBody => {
    clearTimeout(timer)
    if (missing !== null) reader.cancel().catch(() => {})
    return { bytes: Buffer.concat(chunks), missing }
  }
  try {
    for (let size = 0;;) {
      const next = await Promise.race([reader.read(), late])
      if (next === "late") return cutBy({ _tag: "Late" })
      if (next.done) return cutBy(null)
      size += next.value.length
      if (size > bounds.bytes) return cutBy({ _tag: "Long" })
      chunks.push(next.value)
    }
  } catch (error) {
    return cutBy({ _tag: "Broken", error })
  }
}
