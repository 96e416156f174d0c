/**
 * The body of a response: without its content encoding, as a web stream that is read from the socket as its reader reads.
 */
import type * as http from "node:http"
import { finished, PassThrough, pipeline, type Readable, type Transform } from "node:stream"
import * as zlib from "node:zlib"

const gunzip = (first: number): Transform | undefined => first === 0x1f ? zlib.createGunzip() : undefined

/**
 * What undoes the content encodings, told by the first byte of a body too: proxies that have decoded one may pass on the
 * header that says it is encoded, and `deflate` means two things.
 */
const decoders: ReadonlyMap<string, (first: number) => Transform | undefined> = new Map([
  ["gzip", gunzip],
  ["x-gzip", gunzip],
  ["deflate", (first: number) => (first & 0x0f) === 8 ? zlib.createInflate() : zlib.createInflateRaw()],
  ["br", () => zlib.createBrotliDecompress()]
])

/** The body without its content encoding, which then leaves the headers too. */
export const decoded = (message: http.IncomingMessage, headers: Headers): Readable => {
  const decoderFor = decoders.get(headers.get("content-encoding")?.trim().toLowerCase() ?? "")
  if (decoderFor === undefined) return message
  headers.delete("content-encoding")
  headers.delete("content-length")
  const body = new PassThrough()
  finished(message, (error) => {
    if (error) body.destroy(error)
  })
  message.once("readable", () => {
    const start: unknown = message.read()
    if (start instanceof Uint8Array) message.unshift(start)
    const first = start instanceof Uint8Array ? start[0] : undefined
    const decoder = first === undefined ? undefined : decoderFor(first)
    if (decoder === undefined) pipeline(message, body, () => {})
    else pipeline(message, decoder, body, () => {})
  })
  return body
}

/** A body as its reader gets it. */
export interface HttpContent {
  readonly stream: ReadableStream<Uint8Array>
  readonly fail: (error: unknown) => void
}

const bufferedBytes = 65_536

/**
 * A web stream that reads from the socket as it is read. (`Readable.toWeb` counts chunks where it should count bytes, and
 * so takes in a gigabyte before it pauses.)
 */
export const make = (
  source: Readable,
  on: { readonly onEnd: () => void; readonly onError: (error: Error) => void; readonly onCancel: () => void }
): HttpContent => {
  let open = true
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const stream = new ReadableStream<Uint8Array>({
    start: (started) => {
      controller = started
      source.on("data", (chunk: Uint8Array) => {
        if (!open) return
        started.enqueue(chunk)
        if ((started.desiredSize ?? 0) <= 0) source.pause()
      })
      finished(source, { writable: false }, (error) => {
        if (!open) return
        if (error) return on.onError(error)
        open = false
        started.close()
        on.onEnd()
      })
    },
    pull: () => {
      source.resume()
    },
    cancel: () => {
      open = false
      source.destroy()
      on.onCancel()
    }
  }, new ByteLengthQueuingStrategy({ highWaterMark: bufferedBytes }))
  return {
    stream,
    fail: (error) => {
      open = false
      source.destroy()
      controller?.error(error)
    }
  }
}
