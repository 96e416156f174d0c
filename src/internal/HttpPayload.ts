/**
 * The body of a request, in every form in which `fetch` takes one, as one stream with what is known of it: its length
 * and its content type.
 */
import { randomUUID } from "node:crypto"

/** A request's body. Length and type are known unless it came as a stream. */
export interface HttpPayload {
  readonly stream: ReadableStream<unknown>
  readonly length?: number
  readonly type?: string
}

/** Whatever `fetch` takes as a body; `undefined` for none. Its bytes are read when they are sent. */
export const make = (body: RequestInit["body"]): HttpPayload | undefined => {
  if (body === undefined || body === null) return undefined
  if (typeof body === "string") return bytesPayload(Buffer.from(body), "text/plain;charset=UTF-8")
  if (body instanceof ArrayBuffer) return bytesPayload(new Uint8Array(body))
  if (ArrayBuffer.isView(body)) return bytesPayload(new Uint8Array(body.buffer, body.byteOffset, body.byteLength))
  if (body instanceof URLSearchParams) {
    return bytesPayload(Buffer.from(body.toString()), "application/x-www-form-urlencoded;charset=UTF-8")
  }
  if (body instanceof Blob) return blobPayload(body, body.type)
  if (body instanceof FormData) return formPayload(body)
  return { stream: body instanceof ReadableStream ? body : ReadableStream.from(body) }
}

const bytesPayload = (bytes: Uint8Array, type = ""): HttpPayload => ({
  stream: ReadableStream.from([bytes]),
  length: bytes.length,
  ...(type === "" ? {} : { type })
})

const blobPayload = (blob: Blob, type: string): HttpPayload => ({
  stream: blob.stream(),
  length: blob.size,
  ...(type === "" ? {} : { type })
})

/** A form as multipart/form-data, its files read only when they are sent. */
const formPayload = (form: FormData): HttpPayload => {
  const boundary = `llm-batch-${randomUUID()}`
  const quoted = (text: string) => `"${text.replace(/[\n\r"]/g, encodeURIComponent)}"`
  const parts: Array<string | Blob> = []
  for (const [name, value] of form) {
    parts.push(`--${boundary}\r\nContent-Disposition: form-data; name=${quoted(name)}`)
    if (typeof value === "string") {
      parts.push(`\r\n\r\n${value.replaceAll(/\r\n?|\n/g, "\r\n")}\r\n`)
    } else {
      const type = value.type === "" ? "application/octet-stream" : value.type
      parts.push(`; filename=${quoted(value.name)}\r\nContent-Type: ${type}\r\n\r\n`, value, "\r\n")
    }
  }
  return blobPayload(new Blob([...parts, `--${boundary}--\r\n`]), `multipart/form-data; boundary=${boundary}`)
}
