/**
 * The body of a request on its way to the server: a stream of which never more than one chunk is held.
 */
import type * as http from "node:http"
import type * as net from "node:net"

/**
 * Lets the reading side tell what became of a connection whose server has stopped listening. It may hold an answer that
 * came before; the writing side's error would destroy the socket, and the answer with it.
 */
export const ignoreBrokenPipe = (socket: net.Socket): void => {
  const lenient = (callback: (error?: Error | null) => void) => (error?: Error | null) =>
    callback(error && "code" in error && (error.code === "EPIPE" || error.code === "ECONNRESET") ? null : error)
  const write = socket._write.bind(socket)
  socket._write = (chunk, encoding, callback) => write(chunk, encoding, lenient(callback))
  const writeMany = socket._writev?.bind(socket)
  if (writeMany !== undefined) socket._writev = (chunks, callback) => writeMany(chunks, lenient(callback))
}

/** The body of a request on its way. */
export interface HttpUpload {
  /** How many bytes the system has taken. */
  readonly sent: () => number
  /** Whether everything has been sent. */
  readonly ended: () => boolean
  /** Sends nothing more and lets go of the source. */
  readonly stop: () => void
}

const pieceBytes = 65_536

/** Sends a stream, never holding more than one of its chunks, and reading the next only when the system took it. */
export const start = (
  request: http.ClientRequest,
  stream: ReadableStream<unknown>,
  options: {
    readonly length: number | undefined
    readonly onSent: (bytes: number) => void
    readonly onError: (problem: string, cause?: unknown) => void
  }
): HttpUpload => {
  const { length, onError, onSent } = options
  const source = stream.getReader()
  let sent = 0
  let ended = false
  let stopped = false
  let wake = () => {}

  // The event loop goes round before each write, so that an answer is seen though the system takes all that is written.
  const write = (piece: Uint8Array) =>
    new Promise<void>((resolve) => {
      wake = resolve
      setImmediate(() => {
        if (stopped) return
        request.write(piece, (error) => {
          if (error) stopped = true
          resolve()
        })
      })
    })
  const pump = async () => {
    for (;;) {
      const next = await source.read()
      if (stopped) return
      if (next.done) break
      const chunk = bytesOf(next.value)
      if (length !== undefined && sent + chunk.length > length) {
        return onError(`the body is longer than its content-length of ${length}`)
      }
      for (let start = 0; start < chunk.length; start += pieceBytes) {
        const piece = chunk.subarray(start, start + pieceBytes)
        await write(piece)
        if (stopped) return
        sent += piece.length
        onSent(piece.length)
      }
    }
    if (length !== undefined && sent !== length) {
      return onError(`the body ended after ${sent} bytes, its content-length is ${length}`)
    }
    ended = true
    request.end()
  }
  pump().catch((error: unknown) => {
    if (!stopped) onError("the body could not be read", error)
  })

  return {
    sent: () => sent,
    ended: () => ended,
    stop: () => {
      stopped = true
      wake()
      source.cancel().catch(() => {})
    }
  }
}

const bytesOf = (chunk: unknown): Uint8Array => {
  if (chunk instanceof Uint8Array) return chunk
  if (typeof chunk === "string") return Buffer.from(chunk)
  throw new TypeError("a chunk of a request's body is neither bytes nor text")
}
