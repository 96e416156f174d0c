/**
 * Requests through an HTTP proxy: one for http goes to the proxy as it is, one for https through a tunnel to the server.
 *
 * Neither the request's headers nor the proxy's password are among the options of Node's functions: Node prints those
 * where `NODE_DEBUG` asks for it. The packages that do this print both, where `DEBUG` does.
 */
import * as http from "node:http"
import * as https from "node:https"
import * as net from "node:net"
import type { Duplex } from "node:stream"
import * as tls from "node:tls"
import * as BasicAuth from "./BasicAuth.js"

/** What is asked of a server, without its headers. */
export interface Target {
  readonly url: URL
  readonly method: string
  /** Ends the way to the server: a request cannot do that itself before it has a connection. */
  readonly signal: AbortSignal
}

/** The proxy makes no connection. */
class ProxyError extends Error {
  readonly code = "ERR_PROXY"
}

/**
 * A request that goes through the proxy at this address, on a connection of its own. What goes wrong before the
 * connection stands is an `error` of the request. Throws when the address is none.
 */
export const request = (proxy: string, target: Target): http.ClientRequest => {
  const address = URL.canParse(proxy) ? new URL(proxy) : undefined
  if (address === undefined || !/^https?:$/.test(address.protocol)) {
    throw new Error("the proxy's URL is not an http or https URL, see HTTPS_PROXY, HTTP_PROXY and ALL_PROXY")
  }
  const authorization = BasicAuth.authorizationOf(address)
  return target.url.protocol === "https:"
    ? tunnelled(address, authorization, target)
    : forwarded(address, authorization, target)
}

const forwarded = (proxy: URL, authorization: string | undefined, { method, url }: Target): http.ClientRequest => {
  const request = toProxy(proxy, { method, path: BasicAuth.withoutPassword(url).href })
  request.setHeader("host", url.host)
  if (authorization !== undefined) request.setHeader("proxy-authorization", authorization)
  return request
}

const tunnelled = (
  proxy: URL,
  authorization: string | undefined,
  { method, signal, url }: Target
): http.ClientRequest =>
  https.request(BasicAuth.withoutPassword(url), {
    defaultPort: 443,
    method,
    createConnection: (_options, onConnection) => {
      const path = `${url.hostname}:${url.port === "" ? 443 : url.port}`
      const connect = toProxy(proxy, { method: "CONNECT", path, signal })
      connect.setHeader("host", path)
      if (authorization !== undefined) connect.setHeader("proxy-authorization", authorization)
      // Whoever waits for a connection gets one in any case: this one was never made.
      const fail = (error: Error) => onConnection(error, new net.Socket())
      connect.on("error", fail)
      connect.once("response", (answer) => {
        connect.destroy()
        fail(new ProxyError(`the proxy answered with HTTP ${answer.statusCode} instead of a connection`))
      })
      connect.once("connect", (answer: http.IncomingMessage, socket: Duplex, head: Buffer) => {
        if (answer.statusCode !== 200) {
          socket.destroy()
          fail(new ProxyError(`the proxy refused the connection with HTTP ${answer.statusCode}`))
          return
        }
        if (head.length > 0) socket.unshift(head)
        onConnection(null, tls.connect({ socket, ...namesOf(url), ALPNProtocols: ["http/1.1"] }))
      })
      connect.end()
      return undefined
    }
  })

const toProxy = (
  proxy: URL,
  options: { readonly method: string; readonly path: string; readonly signal?: AbortSignal }
): http.ClientRequest => {
  const { host, servername } = namesOf(proxy)
  return proxy.protocol === "https:"
    ? https.request({ ...options, host, servername, port: proxy.port === "" ? 443 : proxy.port, agent: false })
    : http.request({ ...options, host, port: proxy.port === "" ? 80 : proxy.port, agent: false })
}

/** A server's host, and what its certificate must be for: no name is sent for a number, but the certificate is checked. */
const namesOf = ({ hostname }: URL): { readonly host: string; readonly servername: string } => {
  const host = hostname.replace(/^\[|\]$/g, "")
  return { host, servername: net.isIP(host) === 0 ? host : "" }
}
