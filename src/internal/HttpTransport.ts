/**
 * The `fetch` that both official SDKs are given. It exists because the built-in one holds whole uploads in memory, hides
 * whether a request was sent, and ignores proxies.
 *
 * - **Memory**: a body is read as the socket takes it, and a response as its reader takes it. A stream is asked for its
 *   next chunk only after the system has copied the last one, so it may give the same buffer, filled anew, every time.
 * - **Money**: a request that can create something gets a connection of its own, since on a kept one that the server has
 *   just closed nobody could tell whether it arrived. `neverSent` says of a failure whether it was certainly harmless.
 *   Only GET and HEAD reuse connections, and are sent once more when a kept one turns out to be closed.
 * - **Secrets**: errors name the method and the origin, never a path, a query, a header or a proxy's credentials.
 *   Redirects of GET and HEAD are followed within one origin; to another only when asked, and without the key.
 *
 * @since 0.1.0
 */
import * as http from "node:http"
import * as https from "node:https"
import * as tls from "node:tls"
import { getProxyForUrl } from "proxy-from-env"
import * as BasicAuth from "./BasicAuth.js"
import * as HttpContent from "./HttpContent.js"
import * as HttpPayload from "./HttpPayload.js"
import * as HttpProxy from "./HttpProxy.js"
import * as HttpUpload from "./HttpUpload.js"
import * as ShortBody from "./ShortBody.js"

/**
 * What the SDKs take as their `fetch` option.
 *
 * @since 0.1.0
 * @category models
 */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/**
 * What can be set; every part has a default.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Milliseconds without a byte in either direction after which a request, or the reading of a response, fails with code
   * `ETIMEDOUT`; noticed up to a quarter later. A reader that pauses is not idle. Five minutes by default. The time that
   * a call may take as a whole is the SDK's business.
   */
  readonly idleTimeout?: number
  /** Called with the number of bytes of a request's body that the system has just taken, to show progress. */
  readonly onSent?: (bytes: number) => void
  /**
   * The URL of the proxy for a URL, or an empty string for none. By default the environment decides, as for curl:
   * `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, and `NO_PROXY` against them (`proxy-from-env` reads it at each request).
   * Loopback addresses are always reached directly.
   */
  readonly proxyFor?: (url: URL) => string
}

/**
 * A request that got no whole response. A `TypeError` with a `cause`, as `fetch` would give it.
 *
 * The words "time" and "out" never meet in its message: on finding them the SDKs throw an error of their own and drop
 * this one, and with it the knowledge whether anything was sent.
 *
 * @since 0.1.0
 * @category errors
 */
export class HttpTransportError extends TypeError {
  override readonly name = "HttpTransportError"
  /** The system's or Node's code (`ECONNREFUSED`, `ECONNRESET`, `ETIMEDOUT`, ...), or one that starts with `ERR_`. */
  readonly code: string
  /** Whether a byte of the request may have reached a server. */
  readonly sent: boolean

  constructor(options: {
    readonly request: string
    readonly problem: string
    readonly code: string
    readonly sent: boolean
    readonly cause?: unknown
  }) {
    const { cause, code, problem, request, sent } = options
    super(`${request}: ${problem}${sent ? "" : " (nothing was sent)"}`, cause === undefined ? undefined : { cause })
    this.code = code
    this.sent = sent
  }
}

const unconnected = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"])

/**
 * Whether no byte of the failed request can have reached a server, so that it may be made again without a look: the
 * connection was refused or timed out, the name has no address, the certificate was rejected, the proxy refused the
 * tunnel. An SDK's error is looked through by its `cause`. Whatever is not known to be harmless is `false`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const neverSent = (error: unknown): boolean => {
  let current = error
  for (let depth = 0; depth < 8 && current instanceof Error; depth++) {
    if (current instanceof HttpTransportError) return !current.sent
    if (unconnected.has(codeOf(current))) return true
    current = current.cause
  }
  return false
}

/**
 * Makes a `fetch` over `node:http` and `node:https`. As `fetch` does, it rejects with the signal's reason (an
 * `AbortError` as a rule) when the signal is aborted, and with a `TypeError` (here always an `HttpTransportError`) when
 * there is no response; a body that is cut short fails in its reader.
 *
 * Different from `fetch`: a `content-length` header that comes with a stream is kept, so that the stream is not chunked,
 * and must be right; a redirect to another origin fails unless `redirect: "follow"` is given, when it is followed without
 * whatever says who asks, and one of a POST is returned as it is; bodies are asked for uncompressed unless the caller says
 * otherwise, and what comes compressed is decoded and loses its `content-encoding` and `content-length`. An answer that
 * comes before the whole body was sent ends the upload: at once when its status is 400 or above, else when it has been
 * read.
 *
 * The body of an error, from 400 on, is read before the response is given: a megabyte of it, and for ten seconds.
 *
 * A response with neither length nor chunks ends where the connection closes: whether it is whole cannot be known here.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Fetch => {
  const settings: Settings = {
    idleTimeout: options.idleTimeout ?? 300_000,
    onSent: options.onSent ?? (() => {}),
    proxyFor: options.proxyFor ?? ((url) => getProxyForUrl(url.href)),
    kept: { http: new http.Agent({ keepAlive: true }), https: new https.Agent({ keepAlive: true }) }
  }
  return async (input, init = {}) => {
    const base = input instanceof Request ? input : undefined
    const method = (init.method ?? base?.method ?? "GET").toUpperCase()
    const safe = method === "GET" || method === "HEAD"
    const signal = init.signal ?? base?.signal
    const { redirect } = init
    let url = urlOf(typeof input === "string" ? input : "href" in input ? input.href : input.url, method)
    const failure = (problem: string, code: string, sent: boolean) =>
      new HttpTransportError({ request: `${method} ${url.origin}`, problem, code, sent })

    const body = HttpPayload.make(init.body ?? base?.body)
    if (body?.stream.locked === true || (body !== undefined && safe)) {
      throw failure(safe ? "cannot have a body" : "the body is being read by someone else", "ERR_REQUEST_BODY", false)
    }
    let headers = headersFrom(init.headers ?? base?.headers)
    if (headers === undefined)
      throw failure("a header has a name or a value that no header can have", "ERR_HEADER", false)
    if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity")
    if (body?.type !== undefined && !headers.has("content-type")) headers.set("content-type", body.type)
    if (body?.length !== undefined) headers.set("content-length", String(body.length))

    for (let redirects = 0;; redirects++) {
      const response = await exchange(settings, { method, url, headers, body, signal, reuse: safe })
      const location = redirectStatuses.has(response.status) ? response.headers.get("location") : null
      if (response.status >= 400) return explained(response, signal)
      if (location === null || !safe || redirect === "manual") return response
      await response.body?.cancel()
      if (redirect === "error" || redirects === 5) throw failure("too many redirects", "ERR_REDIRECT", true)
      const target = URL.canParse(location, url.href) ? new URL(location, url) : undefined
      if (target?.origin !== url.origin) {
        const where = target?.origin ?? "an invalid URL"
        if (redirect !== "follow") {
          throw failure(`redirects to ${where}, which would be given the key: not followed`, "ERR_REDIRECT", true)
        }
        if (target === undefined || !isAsSafe(target, url)) {
          throw failure(`redirects to ${where}: not followed`, "ERR_REDIRECT", true)
        }
        headers = anonymous(headers)
      }
      url = target
    }
  }
}

interface Settings extends Required<Options> {
  /** The agents that keep connections. */
  readonly kept: { readonly http: http.Agent; readonly https: https.Agent }
}

interface Call {
  readonly method: string
  readonly url: URL
  readonly headers: Headers
  readonly body: HttpPayload.HttpPayload | undefined
  readonly signal: AbortSignal | null | undefined
  /** Whether a kept connection may be used, and this one be kept. */
  readonly reuse: boolean
}

const redirectStatuses = new Set([301, 302, 303, 307, 308])

const bodilessStatuses = new Set([204, 205, 304])

const codeOf = (error: Error): string => "code" in error && typeof error.code === "string" ? error.code : "ERR_HTTP"

const urlOf = (input: string, method: string): URL => {
  const url = URL.canParse(input) ? new URL(input) : undefined
  if (url?.protocol === "http:" || url?.protocol === "https:") return url
  throw new HttpTransportError({
    request: method,
    problem: "the URL is not an http or https URL",
    code: "ERR_INVALID_URL",
    sent: false
  })
}

/** Whether what is asked for there is as safe from others as it is here. */
const isAsSafe = (there: URL, here: URL): boolean =>
  there.protocol === "https:" || (there.protocol === "http:" && here.protocol === "http:")

/** What of a request's headers says nothing about who asks. */
const anonymous = (headers: Headers): Headers => {
  const kept = ["accept", "accept-encoding", "range"].flatMap((name): ReadonlyArray<[string, string]> => {
    const value = headers.get(name)
    return value === null ? [] : [[name, value]]
  })
  return new Headers(kept)
}

/** `undefined` for one that is none: the error of `Headers` would repeat the value, which may be the key. */
const headersFrom = (init: RequestInit["headers"]): Headers | undefined => {
  try {
    return new Headers(init)
  } catch {
    return undefined
  }
}

const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || hostname.startsWith("127.")

/** The request, without its headers. One that may not use a kept connection, or goes through a proxy, has one of its own. */
const open = (settings: Settings, { method, reuse, url }: Call, signal: AbortSignal): http.ClientRequest => {
  const proxy = isLoopback(url.hostname) ? "" : settings.proxyFor(url)
  if (proxy !== "") return HttpProxy.request(proxy, { url, method, signal })
  const address = BasicAuth.withoutPassword(url)
  return url.protocol === "https:"
    ? https.request(address, { method, agent: reuse && settings.kept.https })
    : http.request(address, { method, agent: reuse && settings.kept.http })
}

/** What is read of the explanation of an error, and how long it is waited for. */
const explanationBounds: ShortBody.Bounds = { bytes: 1 << 20, millis: 10_000 }

/** An error with its explanation, as much of it as came: the SDKs would wait for the rest of it without end. */
const explained = async (response: Response, signal: AbortSignal | null | undefined): Promise<Response> => {
  if (response.body === null) return response
  const { status, statusText, headers } = response
  const { bytes } = await ShortBody.read(response.body, explanationBounds)
  if (signal?.aborted === true) throw signal.reason
  return new Response(Uint8Array.from(bytes), { status, statusText, headers })
}

/** One request on one connection, until its response has been read. */
const exchange = (settings: Settings, call: Call): Promise<Response> =>
  new Promise((resolve, reject) => {
    const { body, headers, method, signal, url } = call
    const closing = new AbortController()
    let request: http.ClientRequest
    let upload: HttpUpload.HttpUpload | undefined
    let message: http.IncomingMessage | undefined
    let reader: HttpContent.HttpContent | undefined
    let connected = false
    let over = false

    const failure = (problem: string, code: string, cause?: unknown) =>
      new HttpTransportError({
        request: `${method} ${url.origin}`,
        problem,
        code,
        sent: connected || (upload?.sent() ?? 0) > 0,
        cause
      })

    /** What Node reports, without what it hangs on it: certificates, raw packets, URLs. */
    const translated = (error: unknown) => {
      if (!(error instanceof Error)) return failure("failed", "ERR_HTTP")
      const code = codeOf(error)
      const words = error instanceof AggregateError
        ? error.errors.map((inner) => inner instanceof Error ? inner.message : "").join(", ")
        : error.message
      const problem = message !== undefined && ["ECONNRESET", "ERR_STREAM_PREMATURE_CLOSE"].includes(code)
        ? "the response was cut short"
        : /timed? ?out/i.test(words)
        ? "no answer from the network"
        : words
      return failure(problem, code, Object.assign(new Error(problem), { code }))
    }

    const end = () => {
      over = true
      clearInterval(watch)
      signal?.removeEventListener("abort", onAbort)
      upload?.stop()
    }
    const close = () => {
      end()
      closing.abort()
      request.destroy()
    }
    const fail = (error: unknown) => {
      if (over) return
      close()
      if (reader === undefined) reject(error)
      else reader.fail(error)
    }
    const onAbort = () => fail(signal?.reason)

    if (signal?.aborted === true) {
      void body?.stream.cancel(signal.reason).catch(() => {})
      reject(signal.reason)
      return
    }
    try {
      request = open(settings, call, closing.signal)
      // Nothing secret is among the options: Node prints those where NODE_DEBUG has "http".
      const authorization = BasicAuth.authorizationOf(url)
      if (authorization !== undefined) request.setHeader("authorization", authorization)
      for (const [name, value] of headers) request.setHeader(name, value)
    } catch (error) {
      void body?.stream.cancel(error).catch(() => {})
      reject(translated(error))
      return
    }

    let moved = 0
    let quiet = 0
    const watch = setInterval(() => {
      const bytes = (request.socket?.bytesRead ?? 0) + (upload?.sent() ?? 0)
      quiet = bytes === moved && message?.isPaused() !== true ? quiet + 1 : 0
      moved = bytes
      if (quiet < 4) return
      const problem = `no byte went either way for ${settings.idleTimeout} ms`
      fail(failure(problem, "ETIMEDOUT", Object.assign(new Error(problem), { code: "ETIMEDOUT" })))
    }, settings.idleTimeout / 4)
    watch.unref()

    signal?.addEventListener("abort", onAbort, { once: true })
    request.on("socket", (socket) => {
      if (body !== undefined) HttpUpload.ignoreBrokenPipe(socket)
      const connect = () => {
        connected = true
      }
      if (request.reusedSocket) connect()
      else if (socket instanceof tls.TLSSocket) socket.once("secureConnect", connect)
      else if (socket.connecting) socket.once("connect", connect)
      else connect()
    })
    request.on("error", (error) => {
      // After the response has begun, its own end tells: an upload that is no longer wanted may well break.
      if (over || message !== undefined) return
      if (request.reusedSocket) {
        end()
        resolve(exchange(settings, { ...call, reuse: false }))
      } else {
        fail(translated(error))
      }
    })
    request.on("response", (incoming) => {
      if (over) {
        incoming.destroy()
        return
      }
      message = incoming
      const status = incoming.statusCode ?? 0
      if (status >= 400) upload?.stop()
      try {
        const responseHeaders = headersOf(incoming)
        const bodiless = method === "HEAD" || bodilessStatuses.has(status)
        reader = HttpContent.make(bodiless ? incoming : HttpContent.decoded(incoming, responseHeaders), {
          onEnd: () => {
            if (over) return
            if (upload?.ended() === false) close()
            else end()
          },
          onError: (error) => fail(translated(error)),
          onCancel: () => {
            if (!over) close()
          }
        })
        resolve(
          new Response(bodiless ? null : reader.stream, {
            status,
            statusText: incoming.statusMessage ?? "",
            headers: responseHeaders
          })
        )
      } catch (error) {
        close()
        reject(translated(error))
      }
    })

    if (body === undefined) {
      request.end()
    } else {
      const length = headers.get("content-length")
      upload = HttpUpload.start(request, body.stream, {
        length: length === null ? undefined : Number(length),
        onSent: settings.onSent,
        onError: (problem, cause) => fail(failure(problem, "ERR_REQUEST_BODY", cause))
      })
    }
  })

const headersOf = (message: http.IncomingMessage): Headers => {
  const headers = new Headers()
  const raw = message.rawHeaders
  for (let i = 0; i < raw.length; i += 2) headers.append(raw[i] ?? "", raw[i + 1] ?? "")
  return headers
}
