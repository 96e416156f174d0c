/**
 * The `fetch` that both official SDKs are given. It exists because the built-in one holds whole uploads in memory, hides
 * whether a request was sent, and ignores proxies.
 *
 * - **Memory**: a body is read as the socket takes it, in pieces of 64 KiB; a response is read as its reader takes it.
 * - **Money**: a request that can create something gets a connection of its own, since on a kept one that the server has
 *   just closed nobody could tell whether it arrived. `neverSent` says of a failure whether it was certainly harmless.
 *   Only GET and HEAD reuse connections, and are sent once more when a kept one turns out to be closed.
 * - **Secrets**: errors name the method and the origin, never a path, a query, a header or a proxy's credentials.
 *   Redirects are followed for GET and HEAD within one origin; elsewhere they would carry the key along.
 *
 * @since 0.1.0
 */
import { randomUUID } from "node:crypto"
import * as http from "node:http"
import * as https from "node:https"
import { finished, pipeline, type Readable } from "node:stream"
import * as tls from "node:tls"
import * as zlib from "node:zlib"
import { HttpProxyAgent } from "http-proxy-agent"
import { HttpsProxyAgent } from "https-proxy-agent"
import { getProxyForUrl } from "proxy-from-env"

/**
 * What the SDKs take as their `fetch` option.
 *
 * @since 0.1.0
 * @category models
 */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/**
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
 * and must be right; a redirect to another origin fails, and one of a POST is returned as it is; bodies are asked for
 * uncompressed unless the caller says otherwise, and what comes compressed is decoded and loses its `content-encoding`
 * and `content-length`. An answer of 400 or above that comes before the upload has ended, ends it.
 *
 * A response with neither length nor chunks ends where the connection closes: whether it is whole cannot be known here.
 *
 * @example
 * ```ts
 * import OpenAI from "openai"
 *
 * const client = new OpenAI({ fetch: HttpTransport.make({ idleTimeout: 60_000 }), maxRetries: 0, logLevel: "off" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Fetch => {
  const kept: Agents = { http: new http.Agent({ keepAlive: true }), https: new https.Agent({ keepAlive: true }) }
  const settings: Settings = {
    idleTimeout: options.idleTimeout ?? 300_000,
    onSent: options.onSent ?? (() => {}),
    proxyFor: options.proxyFor ?? ((url) => getProxyForUrl(url.href)),
    kept
  }
  return async (input, init = {}) => {
    const base = input instanceof Request ? input : undefined
    const method = (init.method ?? base?.method ?? "GET").toUpperCase()
    const safe = method === "GET" || method === "HEAD"
    const signal = init.signal ?? base?.signal ?? undefined
    const redirect = init.redirect ?? base?.redirect ?? "follow"
    let url = urlOf(base?.url ?? String(input), method)
    const fail = (problem: string, code: string, sent: boolean) =>
      new HttpTransportError({ request: `${method} ${url.origin}`, problem, code, sent })

    const body = payloadOf(init.body ?? base?.body ?? undefined)
    const headers = new Headers(init.headers ?? base?.headers)
    if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity")
    if (body?.type !== undefined && !headers.has("content-type")) headers.set("content-type", body.type)
    if (body?.length !== undefined) headers.set("content-length", String(body.length))

    for (let redirects = 0;; redirects++) {
      const response = await exchange(settings, { method, url, headers, body, signal, reuse: safe })
      const location = isRedirect(response.status) ? response.headers.get("location") : null
      if (location === null || redirect === "manual" || !safe) return response
      await response.body?.cancel()
      if (redirect === "error") throw fail("unexpected redirect", "ERR_REDIRECT", true)
      if (redirects === 5) throw fail("more than 5 redirects", "ERR_REDIRECT", true)
      const target = URL.canParse(location, url) ? new URL(location, url) : undefined
      if (target?.origin !== url.origin) {
        throw fail(
          `redirects to ${target?.origin ?? "an invalid URL"}, which is not followed because it would get the key`,
          "ERR_REDIRECT",
          true
        )
      }
      url = target
    }
  }
}

interface Agents {
  readonly http: http.Agent
  readonly https: https.Agent
}

interface Settings extends Required<Options> {
  /** The agents that keep connections. */
  readonly kept: Agents
}

interface Call {
  readonly method: string
  readonly url: URL
  readonly headers: Headers
  readonly body: Payload | undefined
  readonly signal: AbortSignal | undefined
  /** Whether a kept connection may be used, and this one be kept. */
  readonly reuse: boolean
}

const codeOf = (error: Error): string => "code" in error && typeof error.code === "string" ? error.code : "ERR_HTTP"

const isRedirect = (status: number): boolean => [301, 302, 303, 307, 308].includes(status)

const urlOf = (input: string, method: string): URL => {
  const url = URL.canParse(input) ? new URL(input) : undefined
  if (url !== undefined && (url.protocol === "http:" || url.protocol === "https:")) return url
  throw new HttpTransportError({
    request: method,
    problem: "the URL is not an http or https URL",
    code: "ERR_INVALID_URL",
    sent: false
  })
}

/** A fresh connection is Node's `false`; a proxied one is always fresh. `closing` ends what the request cannot reach. */
const agentFor = (settings: Settings, call: Call, closing: AbortSignal): http.Agent | false => {
  const secure = call.url.protocol === "https:"
  const proxy = isLoopback(call.url.hostname) ? "" : settings.proxyFor(call.url)
  if (proxy === "") {
    if (!call.reuse) return false
    return secure ? settings.kept.https : settings.kept.http
  }
  if (!URL.canParse(proxy) || !/^https?:$/.test(new URL(proxy).protocol)) {
    throw new Error("the proxy's URL is not an http or https URL, see HTTPS_PROXY and HTTP_PROXY")
  }
  return secure ? new HttpsProxyAgent(proxy, { signal: closing }) : new HttpProxyAgent(proxy, { signal: closing })
}

const isLoopback = (hostname: string): boolean =>
  hostname === "localhost" || hostname.endsWith(".localhost") || hostname === "[::1]" || hostname.startsWith("127.")

/** One request on one connection, until its response has been read. */
const exchange = (settings: Settings, call: Call): Promise<Response> =>
  new Promise((resolve, reject) => {
    const { body, headers, method, signal, url } = call
    if (signal?.aborted === true) {
      reject(signal.reason)
      return
    }

    let over = false
    let connected = false
    let message: http.IncomingMessage | undefined
    let failReader: ((error: unknown) => void) | undefined

    const closing = new AbortController()
    const failure = (problem: string, code: string, cause?: unknown) =>
      new HttpTransportError({ request: `${method} ${url.origin}`, problem, code, sent: connected, cause })

    /** What Node reports, without what hangs on it: certificates, raw packets, URLs. */
    const translated = (error: Error) => {
      const code = codeOf(error)
      const words = error instanceof AggregateError && error.message === ""
        ? error.errors.map((inner) => inner instanceof Error ? inner.message : "").join(", ")
        : error.message
      const problem = message !== undefined && !message.complete
        ? "the response was cut short"
        : /timed? ?out/i.test(words)
        ? "no answer from the network"
        : words
      const syscall = "syscall" in error && typeof error.syscall === "string" ? { syscall: error.syscall } : {}
      return failure(problem, code, Object.assign(new Error(problem), { code }, syscall))
    }

    const end = () => {
      over = true
      clearInterval(watch)
      signal?.removeEventListener("abort", onAbort)
      upload?.stop()
    }
    const fail = (error: unknown) => {
      if (over) return
      end()
      closing.abort()
      request.destroy()
      if (failReader === undefined) reject(error)
      else failReader(error)
    }
    const succeed = () => {
      if (over) return
      const uploaded = upload?.done() ?? true
      end()
      if (!uploaded) request.destroy()
    }
    const onAbort = () => fail(signal?.reason)

    let request: http.ClientRequest
    try {
      const agent = agentFor(settings, call, closing.signal)
      request = (url.protocol === "https:" ? https : http).request(url, {
        method,
        headers: Object.fromEntries(headers),
        agent
      })
    } catch (error) {
      reject(error instanceof Error ? translated(error) : error)
      return
    }

    const upload = body === undefined ? undefined : makeUpload(request, body.stream, {
      expected: headers.has("content-length") ? Number(headers.get("content-length")) : undefined,
      onSent: settings.onSent,
      onError: (problem, cause) => fail(failure(problem, "ERR_REQUEST_BODY", cause))
    })
    if (upload === undefined) request.end()

    request.on("socket", (socket) => {
      const connect = () => {
        connected = true
      }
      if (socket instanceof tls.TLSSocket && !request.reusedSocket) socket.once("secureConnect", connect)
      else if (socket.connecting) socket.once("connect", connect)
      else connect()
    })
    request.on("proxyConnect", (answer: { readonly statusCode?: number }) => {
      if (answer.statusCode !== undefined && answer.statusCode !== 200) {
        fail(failure(`the proxy refused the connection with HTTP ${answer.statusCode}`, "ERR_PROXY"))
      }
    })
    request.on("error", (error) => {
      if (over) return
      if (request.reusedSocket && message === undefined) {
        end()
        resolve(exchange(settings, { ...call, reuse: false }))
      } else if (message === undefined) {
        fail(translated(error))
      }
    })
    request.on("response", (incoming) => {
      if (over) return
      message = incoming
      if ((incoming.statusCode ?? 0) >= 400) upload?.stop()
      try {
        resolve(makeResponse(incoming, method, {
          onStart: (failBody) => {
            failReader = failBody
          },
          onEnd: succeed,
          onError: (error) => fail(translated(error)),
          onCancel: () => fail(undefined)
        }))
      } catch (error) {
        fail(error instanceof Error ? translated(error) : error)
      }
    })
    signal?.addEventListener("abort", onAbort, { once: true })

    let seen = -1
    let quiet = 0
    const watch = setInterval(() => {
      const moved = (request.socket?.bytesRead ?? 0) + (upload?.sent() ?? 0)
      quiet = moved === seen && message?.isPaused() !== true ? quiet + 1 : 0
      seen = moved
      if (quiet === 4) {
        const cause = Object.assign(new Error("idle"), { code: "ETIMEDOUT" })
        fail(failure(`no byte went either way for ${settings.idleTimeout} ms`, "ETIMEDOUT", cause))
      }
    }, settings.idleTimeout / 4)
    watch.unref()
  })
