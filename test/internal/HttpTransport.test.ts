import Anthropic from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import * as crypto from "node:crypto"
import { EventEmitter, getEventListeners, once } from "node:events"
import * as fs from "node:fs"
import * as http from "node:http"
import * as https from "node:https"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { inspect } from "node:util"
import * as zlib from "node:zlib"
import OpenAI from "openai"
import { afterEach, onTestFinished, vi } from "vitest"
import * as HttpTransport from "../../src/internal/HttpTransport.js"

// Real sockets throughout: what happens on them is what this module is about.

const portOf = (server: net.Server): number => {
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("not listening")
  return address.port
}

const listening = async <S extends net.Server>(server: S): Promise<S> => {
  const sockets = new Set<net.Socket>()
  server.on("connection", (socket: net.Socket) => sockets.add(socket))
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return server
}

const serve = async (handler: http.RequestListener): Promise<string> =>
  `http://127.0.0.1:${portOf(await listening(http.createServer(handler)))}`

/** A server that reads a request's bytes as they are, and answers with the bytes it is given. */
const serveRaw = async (onData: (socket: net.Socket, received: string) => void): Promise<string> => {
  const server = await listening(net.createServer((socket) => {
    let received = ""
    socket.on("error", () => {})
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1")
      onData(socket, received)
    })
  }))
  return `http://127.0.0.1:${portOf(server)}`
}

const textOf = async (request: http.IncomingMessage): Promise<string> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString("utf8")
}

interface Seen {
  readonly method: string | undefined
  readonly url: string | undefined
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
}

/** A server that answers every request with what it saw. */
const serveEcho = () =>
  serve(async (request, response) => {
    const seen: Seen = {
      method: request.method,
      url: request.url,
      headers: request.headers,
      text: await textOf(request)
    }
    response.setHeader("content-type", "application/json")
    response.end(JSON.stringify(seen))
  })

const seenBy = async (response: Response): Promise<Seen> => JSON.parse(await response.text())

const failureOf = async (promise: Promise<unknown>): Promise<HttpTransport.HttpTransportError> => {
  const error = await promise.then(() => undefined, (error: unknown) => error)
  assert.instanceOf(error, HttpTransport.HttpTransportError)
  return error
}

/** A port on which nothing listens. */
const closedPort = async (): Promise<number> => {
  const server = net.createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const port = portOf(server)
  server.close()
  await once(server, "close")
  return port
}

const temporaryFile = (content: string): string => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "llm-batch-test-"))
  onTestFinished(() => fs.rmSync(directory, { recursive: true }))
  const file = path.join(directory, "file")
  fs.writeFileSync(file, content)
  return file
}

/** A key and a certificate for api.example.com that signs itself: DER by hand, so that no key lies in the repository. */
const selfSigned = (): { readonly key: string; readonly cert: string } => {
  const der = (tag: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
    const content = Buffer.concat(parts)
    const length = content.length < 128
      ? Buffer.from([content.length])
      : Buffer.from([0x82, content.length >> 8, content.length & 255])
    return Buffer.concat([Buffer.from([tag]), length, content])
  }
  const ecdsaSha256 = der(0x30, der(0x06, Buffer.from("2a8648ce3d040302", "hex")))
  const commonName = der(0x30, der(0x06, Buffer.from("550403", "hex")), der(0x0c, Buffer.from("api.example.com")))
  const name = der(0x30, der(0x31, commonName))
  const validity = der(0x30, der(0x17, Buffer.from("200101000000Z")), der(0x17, Buffer.from("490101000000Z")))
  const keys = crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
  const version = der(0xa0, der(0x02, Buffer.from([2])))
  const serial = der(0x02, Buffer.from([1]))
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" })
  const body = der(0x30, version, serial, ecdsaSha256, name, validity, name, publicKey)
  const signature = der(0x03, Buffer.from([0]), crypto.sign("sha256", body, keys.privateKey))
  const certificate = der(0x30, body, ecdsaSha256, signature).toString("base64")
  return {
    key: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${certificate}\n-----END CERTIFICATE-----\n`
  }
}

/** A proxy that notes each CONNECT and leads all of them to one port, or refuses them with a status. */
const serveProxy = async (
  options: { readonly port?: number; readonly status?: number; readonly certificate?: ReturnType<typeof selfSigned> }
) => {
  const seen: Array<{ readonly target: string | undefined; readonly authorization: string | undefined }> = []
  const answer: http.RequestListener = (request, response) => response.end(`proxied ${request.url}`)
  const server = await listening(
    options.certificate === undefined ? http.createServer(answer) : https.createServer(options.certificate, answer)
  )
  server.on("connect", (request: http.IncomingMessage, socket: net.Socket) => {
    seen.push({ target: request.url, authorization: request.headers["proxy-authorization"] })
    socket.on("error", () => {})
    if (options.port === undefined) {
      socket.end(`HTTP/1.1 ${options.status} No\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n`)
      return
    }
    const onward = net.connect(options.port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n")
      socket.pipe(onward).pipe(socket)
    })
    onward.on("error", () => socket.destroy())
  })
  return { port: portOf(server), seen }
}

const direct = HttpTransport.make({ proxyFor: () => "" })

afterEach(() => {
  vi.unstubAllEnvs()
})

describe("HttpTransport", () => {
  describe("request bodies", () => {
    const sent = async (body: NonNullable<RequestInit["body"]> | null, headers: Record<string, string> = {}) =>
      seenBy(await direct(await serveEcho(), { method: "POST", body, headers, duplex: "half" }))

    it("text, bytes and parameters have a length and a type", async () => {
      const text = await sent("héllo")
      assert.strictEqual(text.text, "héllo")
      assert.strictEqual(text.headers["content-length"], "6")
      assert.strictEqual(text.headers["content-type"], "text/plain;charset=UTF-8")

      const view = await sent(new Uint8Array([120, 97, 98, 120]).subarray(1, 3), { "content-type": "application/x" })
      assert.strictEqual(view.text, "ab")
      assert.strictEqual(view.headers["content-length"], "2")
      assert.strictEqual(view.headers["content-type"], "application/x")

      assert.strictEqual((await sent(new Uint8Array([97, 98]).buffer)).text, "ab")
      assert.strictEqual((await sent(new Blob(["ab"], { type: "text/x" }))).headers["content-type"], "text/x")

      const parameters = await sent(new URLSearchParams({ a: "1 2" }))
      assert.strictEqual(parameters.text, "a=1+2")
      assert.strictEqual(parameters.headers["content-type"], "application/x-www-form-urlencoded;charset=UTF-8")
    })

    it("a POST without a body has the length 0", async () => {
      const seen = await sent(null)
      assert.strictEqual(seen.method, "POST")
      assert.strictEqual(seen.headers["content-length"], "0")
    })

    it("a stream is chunked, unless its length is given", async () => {
      const chunks = function*() {
        yield Buffer.from("ab")
        yield Buffer.from("c")
      }
      const chunked = await sent(ReadableStream.from(chunks()))
      assert.strictEqual(chunked.text, "abc")
      assert.strictEqual(chunked.headers["transfer-encoding"], "chunked")
      assert.isUndefined(chunked.headers["content-length"])

      const plain = await sent(ReadableStream.from(chunks()), { "content-length": "3" })
      assert.strictEqual(plain.text, "abc")
      assert.strictEqual(plain.headers["content-length"], "3")
      assert.isUndefined(plain.headers["transfer-encoding"])
    })

    it("a source may fill the same memory anew for each chunk", async () => {
      const hash = crypto.createHash("sha256")
      const url = await serve((request, response) => {
        request.on("data", (piece: Buffer) => hash.update(piece)).on("end", () => response.end())
      })
      const expected = crypto.createHash("sha256")
      const body = (function*() {
        const room = Buffer.alloc(300_000)
        for (let chunk = 0; chunk < 40; chunk++) {
          expected.update(room.fill(chunk))
          yield room
        }
      })()
      await (await direct(url, { method: "POST", body: ReadableStream.from(body), duplex: "half" })).text()
      assert.strictEqual(hash.digest("hex"), expected.digest("hex"))
    })

    it("an async iterable is a stream", async () => {
      const seen = await sent((async function*() {
        yield Buffer.from("ab")
        yield Buffer.from("c")
      })())
      assert.strictEqual(seen.text, "abc")
    })

    it("a form has a boundary and a length, and reads its file when it is sent", async () => {
      const form = new FormData()
      form.append("purpose", "batch\nline")
      form.append("file", new File([await fs.openAsBlob(temporaryFile("{\"a\":1}\n"))], "a\"b.jsonl"))
      const seen = await sent(form)
      const boundary = /^multipart\/form-data; boundary=(\S+)$/.exec(seen.headers["content-type"] ?? "")?.[1]
      assert.isDefined(boundary)
      assert.strictEqual(
        seen.text,
        `--${boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\nline\r\n`
          + `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a%22b.jsonl"\r\n`
          + `Content-Type: application/octet-stream\r\n\r\n{"a":1}\n\r\n--${boundary}--\r\n`
      )
      assert.strictEqual(seen.headers["content-length"], String(seen.text.length))
      assert.isUndefined(seen.headers["transfer-encoding"])
    })

    it("a Request gives its method, headers and body", async () => {
      const request = new Request(`${await serveEcho()}/x?y=1`, {
        method: "PUT",
        headers: { "x-test": "1" },
        body: "ab"
      })
      const seen = await seenBy(await direct(request))
      assert.deepStrictEqual([seen.method, seen.url, seen.text, seen.headers["x-test"]], ["PUT", "/x?y=1", "ab", "1"])
    })

    it("nothing secret is among what Node prints of a connection with NODE_DEBUG=http", async () => {
      const connecting = vi.spyOn(http.Agent.prototype, "createConnection")
      onTestFinished(() => connecting.mockRestore())
      const url = (await serveEcho()).replace("//", "//some%20one:pass%2Fword@")
      const headers = { "x-api-key": "canary" }
      for (const method of ["GET", "POST"]) {
        const seen = await seenBy(await direct(url, { method, headers }))
        assert.strictEqual(seen.headers["x-api-key"], "canary")
        assert.strictEqual(seen.headers.authorization, `Basic ${btoa("some one:pass/word")}`)
      }
      const seen = await seenBy(await direct(url, { headers: { authorization: "Bearer canary" } }))
      assert.strictEqual(seen.headers.authorization, "Bearer canary")
      const given = inspect(connecting.mock.calls.map(([options]) => options), { depth: 3 })
      assert.include(given, "127.0.0.1")
      assert.notMatch(given, /canary|pass|c29tZSBvbmU/)
    })

    it("bodies are asked for uncompressed, unless the caller says otherwise", async () => {
      const url = new URL(await serveEcho())
      assert.strictEqual((await seenBy(await direct(url))).headers["accept-encoding"], "identity")
      const seen = await seenBy(await direct(url, { headers: { "Accept-Encoding": "br" } }))
      assert.strictEqual(seen.headers["accept-encoding"], "br")
    })

    it("reports the bytes that the system took", async () => {
      let total = 0
      const fetch = HttpTransport.make({
        onSent: (bytes) => {
          total += bytes
        }
      })
      const response = await fetch(await serveEcho(), { method: "POST", body: new Uint8Array(200_000) })
      await response.text()
      assert.strictEqual(total, 200_000)
    })

    it("a length that is not the body's fails the request", async () => {
      for (const length of ["2", "4"]) {
        const bytes = ReadableStream.from([Buffer.from("abc")])
        const url = await serve((request) => request.resume())
        const error = await failureOf(
          direct(url, { method: "POST", body: bytes, duplex: "half", headers: { "content-length": length } })
        )
        assert.strictEqual(error.code, "ERR_REQUEST_BODY")
      }
    })

    it("a source that fails ends the request, and is the cause", async () => {
      const broken = new Error("disk")
      const body = (async function*() {
        yield Buffer.from("abc")
        throw broken
      })()
      const url = await serve((request) => request.on("error", () => {}).resume())
      const error = await failureOf(direct(url, { method: "POST", body, duplex: "half" }))
      assert.strictEqual(error.code, "ERR_REQUEST_BODY")
      assert.strictEqual(error.cause, broken)
      assert.isFalse(HttpTransport.neverSent(error))
    })

    it("a server that does not read stops the source", async () => {
      const url = await serveRaw((socket) => socket.pause())
      let produced = 0
      let released = false
      const body = (async function*() {
        try {
          for (; produced < 256; produced++) yield Buffer.alloc(1_048_576)
        } finally {
          released = true
        }
      })()
      // The idle time is how the test learns that nothing moves any more.
      const fetch = HttpTransport.make({ idleTimeout: 200 })
      const error = await failureOf(
        fetch(url, { method: "POST", body, duplex: "half", headers: { "content-length": String(256 * 1_048_576) } })
      )
      assert.strictEqual(error.code, "ETIMEDOUT")
      assert.isBelow(produced, 32)
      assert.isTrue(released)
    })
  })

  describe("responses", () => {
    it("status, its text, and headers with several values", async () => {
      const url = await serve((_, response) => {
        response.writeHead(
          418,
          "Tea pot",
          [["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-a", "1"], ["x-a", "2"]]
            .flat()
        )
        response.end("tea")
      })
      const response = await direct(url)
      assert.instanceOf(response, Response)
      assert.deepStrictEqual([response.status, response.statusText, response.ok], [418, "Tea pot", false])
      assert.deepStrictEqual(response.headers.getSetCookie(), ["a=1", "b=2"])
      assert.strictEqual(response.headers.get("x-a"), "1, 2")
      assert.strictEqual(await response.text(), "tea")
    })

    it("no body where there can be none", async () => {
      const url = await serve((request, response) => {
        response.writeHead(Number(request.url?.slice(1)), { "content-encoding": "gzip" })
        response.end()
      })
      for (const status of [204, 205, 304]) {
        const response = await direct(`${url}/${status}`)
        assert.deepStrictEqual([response.status, response.body], [status, null])
      }
      const head = await direct(`${url}/200`, { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.body], [200, null])
    })

    it("a reader that pauses stops the server, and is not idle", async () => {
      const size = 128 * 1_048_576
      let queued = 0
      const stalled = new EventEmitter()
      const url = await serve((_, response) => {
        response.writeHead(200, { "content-length": String(size) })
        const write = () => {
          while (queued < size) {
            queued += 1_048_576
            if (!response.write(Buffer.alloc(1_048_576))) return
          }
          response.end()
        }
        response.on("drain", write)
        response.setTimeout(500, () => stalled.emit("stalled"))
        write()
      })
      const fetch = HttpTransport.make({ idleTimeout: 200 })
      const [response] = await Promise.all([fetch(url), once(stalled, "stalled")])
      assert.isBelow(queued, size / 4)
      let received = 0
      for await (const chunk of response.body ?? []) received += chunk.length
      assert.strictEqual(received, size)
    })

    it("decodes what comes encoded", async () => {
      const text = "line\n".repeat(100_000)
      const encoded = new Map([
        ["gzip", zlib.gzipSync(text)],
        ["br", zlib.brotliCompressSync(text)],
        ["deflate", zlib.deflateSync(text)]
      ])
      const url = await serve((request, response) => {
        const encoding = request.url?.slice(1) ?? ""
        response.writeHead(200, {
          "content-encoding": encoding,
          "content-length": String(encoded.get(encoding)?.length)
        })
        response.end(encoded.get(encoding))
      })
      for (const encoding of encoded.keys()) {
        const response = await direct(`${url}/${encoding}`)
        assert.isNull(response.headers.get("content-length"))
        assert.isNull(response.headers.get("content-encoding"))
        assert.strictEqual(await response.text(), text)
      }
    })

    it("takes a body for what it is where its content encoding lies", async () => {
      const text = "line\n".repeat(100_000)
      const bodies = new Map([
        ["/plain", { encoding: "gzip", body: Buffer.from(text), expected: text }],
        ["/empty", { encoding: "gzip", body: Buffer.alloc(0), expected: "" }],
        ["/raw", { encoding: "deflate", body: zlib.deflateRawSync(text), expected: text }]
      ])
      const url = await serve((request, response) => {
        const sent = bodies.get(request.url ?? "")
        response.writeHead(200, { "content-encoding": sent?.encoding ?? "" })
        response.end(sent?.body)
      })
      for (const [path, { expected }] of bodies) {
        assert.strictEqual(await (await direct(url + path)).text(), expected, path)
      }
    })

    it("a body cut short fails in its reader", async () => {
      const gzip = zlib.gzipSync("line\n".repeat(100_000))
      const cut = gzip.subarray(0, gzip.length - 20)
      const heads = [
        "content-length: 100\r\n\r\nline\n",
        "transfer-encoding: chunked\r\n\r\n5\r\nline\n\r\n",
        `content-encoding: gzip\r\ncontent-length: ${cut.length}\r\n\r\n${cut.toString("latin1")}`,
        `content-encoding: gzip\r\nconnection: close\r\n\r\n${cut.toString("latin1")}`
      ]
      for (const head of heads) {
        const url = await serveRaw((socket) => socket.end(`HTTP/1.1 200 OK\r\n${head}`, "latin1"))
        const response = await direct(url)
        const error = await failureOf(response.text())
        assert.include(["ECONNRESET", "Z_BUF_ERROR"], error.code)
        assert.isFalse(HttpTransport.neverSent(error))
      }
    })

    it("without length or chunks the end of the connection is the end", async () => {
      const url = await serveRaw((socket) => socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nline\n"))
      assert.strictEqual(await (await direct(url)).text(), "line\n")
    })

    it("an answer that is not HTTP is an error that does not repeat it", async () => {
      const url = await serveRaw((socket) => socket.end("sk-canary\r\n\r\n"))
      const error = await failureOf(direct(url))
      assert.match(error.code, /^HPE_/)
      assert.notInclude(inspect(error, { depth: 9, showHidden: true }), "sk-canary")
      const status = await serveRaw((socket) => socket.end("HTTP/1.1 999 No\r\ncontent-length: 0\r\n\r\n"))
      assert.isFalse(HttpTransport.neverSent(await failureOf(direct(status))))
    })

    it("a cancelled body closes the connection", async () => {
      const closed = new EventEmitter()
      const url = await serve((_, response) => {
        response.on("close", () => closed.emit("closed"))
        response.write("a")
      })
      const waiting = once(closed, "closed")
      const response = await direct(url)
      await response.body?.cancel()
      await waiting
    })

    it("an early refusal arrives though the upload is cut", async () => {
      const url = await serveRaw((socket, received) => {
        if (received.length > 100_000) {
          socket.pause()
          socket.end("HTTP/1.1 413 Too large\r\ncontent-length: 9\r\nconnection: close\r\n\r\ntoo large")
          socket.destroySoon()
        }
      })
      for (let round = 0; round < 20; round++) {
        let released = false
        const body = (async function*() {
          try {
            for (let i = 0; i < 64; i++) yield Buffer.alloc(1_048_576)
          } finally {
            released = true
          }
        })()
        const response = await direct(url, { method: "POST", body, duplex: "half" })
        assert.strictEqual(response.status, 413)
        assert.strictEqual(await response.text(), "too large")
        assert.isTrue(released)
      }
    })
  })

  describe("connections", () => {
    it("GET keeps its connection, POST never does", async () => {
      const sockets = new Map<net.Socket, Array<string | undefined>>()
      const url = await serve((request, response) => {
        sockets.set(request.socket, [...(sockets.get(request.socket) ?? []), request.method])
        request.resume().on("end", () => response.end("ok"))
      })
      const fetch = HttpTransport.make()
      for (const method of ["GET", "GET", "POST", "POST", "GET"]) {
        await (await fetch(url, { method })).text()
      }
      assert.deepStrictEqual([...sockets.values()], [["GET", "GET", "GET"], ["POST"], ["POST"]])
    })

    it("a GET on a kept connection that proves closed is sent again", async () => {
      let requests = 0
      const url = await serve((request, response) => {
        requests++
        if (requests === 2) request.socket.destroy()
        else response.end(`answer ${requests}`)
      })
      const fetch = HttpTransport.make()
      assert.strictEqual(await (await fetch(url)).text(), "answer 1")
      assert.strictEqual(await (await fetch(url)).text(), "answer 3")
    })

    it("a POST without an answer is made once, and nobody knows what became of it", async () => {
      let requests = 0
      const url = await serve((request) => {
        requests++
        request.resume().on("end", () => request.socket.destroy())
      })
      const error = await failureOf(direct(url, { method: "POST", body: "{}" }))
      assert.strictEqual(error.code, "ECONNRESET")
      assert.isFalse(HttpTransport.neverSent(error))
      assert.strictEqual(requests, 1)
    })

    it("a server that dies during an upload leaves the outcome unknown", async () => {
      const url = await serveRaw((socket, received) => {
        if (received.length > 100_000) socket.resetAndDestroy()
      })
      const body = (async function*() {
        for (let i = 0; i < 64; i++) yield Buffer.alloc(1_048_576)
      })()
      const error = await failureOf(direct(url, { method: "POST", body, duplex: "half" }))
      assert.strictEqual(error.code, "ECONNRESET")
      assert.isFalse(HttpTransport.neverSent(error))
    })

    it("a refused connection sent nothing", async () => {
      const port = await closedPort()
      const error = await failureOf(direct(`http://127.0.0.1:${port}/v1/x?key=canary`, { method: "POST", body: "{}" }))
      assert.instanceOf(error, TypeError)
      assert.strictEqual(error.code, "ECONNREFUSED")
      assert.strictEqual(
        error.message,
        `POST http://127.0.0.1:${port}: connect ECONNREFUSED 127.0.0.1:${port} (nothing was sent)`
      )
      assert.instanceOf(error.cause, Error)
      assert.propertyVal(error.cause, "code", "ECONNREFUSED")
      assert.isTrue(HttpTransport.neverSent(error))
    })

    it("a rejected certificate sent nothing", async () => {
      let requests = 0
      const server = await listening(https.createServer(selfSigned(), () => {
        requests++
      }))
      const error = await failureOf(direct(`https://127.0.0.1:${portOf(server)}`, { method: "POST", body: "{}" }))
      assert.strictEqual(error.code, "DEPTH_ZERO_SELF_SIGNED_CERT")
      assert.isTrue(HttpTransport.neverSent(error))
      assert.strictEqual(requests, 0)
    })

    it("a handshake that breaks sent nothing", async () => {
      const url = await serveRaw((socket) => socket.destroy())
      const error = await failureOf(direct(url.replace("http:", "https:"), { method: "POST", body: "{}" }))
      assert.isTrue(HttpTransport.neverSent(error))
    })

    it("a URL that is none is named no further", async () => {
      const error = await failureOf(direct("https://user:canary@[broken"))
      assert.notInclude(inspect(error, { depth: 9 }), "canary")
      assert.isTrue(HttpTransport.neverSent(error))
      assert.strictEqual((await failureOf(direct("file:///etc/hosts"))).code, "ERR_INVALID_URL")
    })

    it("no secret in an error", async () => {
      const url = await serveRaw((socket) => socket.destroy())
      const secret = "sk-canary"
      const errors = [
        await failureOf(direct(url, { headers: { authorization: `${secret}\n${secret}` } })),
        await failureOf(direct(`${url}/${secret}?key=${secret}`, { headers: { authorization: secret } })),
        await failureOf(direct(url, { method: "POST", body: secret, headers: { "x-api-key": secret } }))
      ]
      for (const error of errors) assert.notInclude(inspect(error, { depth: 9, showHidden: true }), secret)
    })
  })

  describe("idle", () => {
    it("a server that says nothing", async () => {
      const fetch = HttpTransport.make({ idleTimeout: 100 })
      const error = await failureOf(fetch(await serve(() => {}), { method: "POST", body: "{}" }))
      assert.strictEqual(error.code, "ETIMEDOUT")
      assert.match(error.message, /: no byte went either way for 100 ms$/)
      assert.isFalse(HttpTransport.neverSent(error))
    })

    it("an error whose explanation does not end comes with what came of it", async () => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
      onTestFinished(() => void vi.useRealTimers())
      const closed = new EventEmitter()
      const url = await serve((_, response) => {
        response.on("close", () => closed.emit("closed"))
        response.writeHead(500).write("overloaded")
      })
      const closing = once(closed, "closed")
      const answers: Array<Response> = []
      const asking = async () => answers.push(await direct(url, { method: "POST", body: "{}" }))
      const asked = asking()
      await vi.waitFor(async () => {
        await vi.advanceTimersByTimeAsync(10_000)
        assert.lengthOf(answers, 1)
      })
      await asked
      assert.deepStrictEqual([answers[0]?.status, await answers[0]?.text()], [500, "overloaded"])
      await closing
    })

    it("a server that falls silent in the body", async () => {
      const fetch = HttpTransport.make({ idleTimeout: 100 })
      const response = await fetch(await serve((_, response) => response.write("a")))
      assert.strictEqual((await failureOf(response.text())).code, "ETIMEDOUT")
    })
  })

  describe("abort", () => {
    const rejection = (promise: Promise<unknown>) => promise.then(() => undefined, (error: unknown) => error)

    const assertAborted = (error: unknown) => {
      assert.instanceOf(error, DOMException)
      assert.strictEqual(error.name, "AbortError")
    }

    it("before it begins", async () => {
      let released = false
      const body = new ReadableStream({
        cancel: () => {
          released = true
        }
      })
      const controller = new AbortController()
      controller.abort()
      const init = { method: "POST", body, duplex: "half", signal: controller.signal } as const
      assertAborted(await rejection(direct("http://127.0.0.1:1", init)))
      assert.isTrue(released)
    })

    it("while waiting, with an upload that waits too", async () => {
      const controller = new AbortController()
      let released = false
      const body = new ReadableStream({
        start: (source) => source.enqueue(Buffer.from("a")),
        cancel: () => {
          released = true
        }
      })
      const closed = new EventEmitter()
      const url = await serve((request) => {
        request.on("error", () => {})
        request.on("close", () => closed.emit("closed"))
        controller.abort()
      })
      const waiting = once(closed, "closed")
      const init = { method: "POST", body, duplex: "half", signal: controller.signal } as const
      assertAborted(await rejection(direct(url, { ...init, headers: { "content-length": "10" } })))
      await waiting
      assert.isTrue(released)
      assert.lengthOf(getEventListeners(controller.signal, "abort"), 0)
    })

    it("while the body is read", async () => {
      const controller = new AbortController()
      const url = await serve((_, response) => response.write("a"))
      const response = await direct(url, { signal: controller.signal })
      const reading = rejection(response.text())
      controller.abort()
      assertAborted(await reading)
      assert.lengthOf(getEventListeners(controller.signal, "abort"), 0)
    })

    it("leaves no listener on a signal that never fires", async () => {
      const { signal } = new AbortController()
      const url = await serve((_, response) => response.end("ok"))
      await (await direct(url, { signal })).text()
      await failureOf(direct(`http://127.0.0.1:${await closedPort()}`, { signal }))
      assert.lengthOf(getEventListeners(signal, "abort"), 0)
    })
  })

  describe("redirects", () => {
    it("a GET follows them within its origin, five at most", async () => {
      const url = await serve((request, response) => {
        const left = Number(request.url?.slice(1))
        if (left > 0) response.writeHead(302, { location: `/${left - 1}` })
        response.end(request.headers.authorization)
      })
      const headers = { authorization: "Bearer k" }
      assert.strictEqual(await (await direct(`${url}/5`, { headers })).text(), "Bearer k")
      assert.strictEqual((await failureOf(direct(`${url}/6`, { headers }))).code, "ERR_REDIRECT")
      assert.strictEqual((await direct(`${url}/1`, { headers, redirect: "manual" })).status, 302)
      assert.strictEqual((await failureOf(direct(`${url}/1`, { redirect: "error" }))).code, "ERR_REDIRECT")
    })

    it("never to another origin by itself", async () => {
      let stolen = 0
      const other = await serve((_, response) => {
        stolen++
        response.end()
      })
      const url = await serve((_, response) => response.writeHead(307, { location: `${other}/?signed=canary` }).end())
      const error = await failureOf(direct(url, { headers: { authorization: "Bearer k" } }))
      assert.strictEqual(error.code, "ERR_REDIRECT")
      assert.include(error.message, other)
      assert.notInclude(error.message, "canary")
      assert.isFalse(HttpTransport.neverSent(error))
      assert.strictEqual(stolen, 0)
    })

    it("to another origin when asked, without what says who asks", async () => {
      const seen: Array<unknown> = []
      const other = await serve((request, response) => {
        seen.push(request.url, request.headers.accept, Object.values(request.headers).join(" ").includes("canary"))
        response.end("signed")
      })
      const url = await serve((_, response) => response.writeHead(302, { location: `${other}/blob?signed=1` }).end())
      const headers = {
        accept: "application/binary",
        authorization: "Bearer canary",
        "x-api-key": "canary",
        "openai-organization": "canary",
        cookie: "canary"
      }
      assert.strictEqual(await (await direct(url, { headers, redirect: "follow" })).text(), "signed")
      assert.deepStrictEqual(seen, ["/blob?signed=1", "application/binary", false])
      const odd = await serve((_, response) => response.writeHead(302, { location: "file:///etc/passwd" }).end())
      assert.strictEqual((await failureOf(direct(odd, { redirect: "follow" }))).code, "ERR_REDIRECT")
    })

    it("one of a POST is the answer", async () => {
      const url = await serve((_, response) => response.writeHead(307, { location: "/other" }).end("moved"))
      const response = await direct(url, { method: "POST", body: "{}" })
      assert.deepStrictEqual([response.status, await response.text()], [307, "moved"])
    })
  })

  describe("proxies", () => {
    const credentials = "user:p%40canary"
    const basic = `Basic ${Buffer.from("user:p@canary").toString("base64")}`

    it("plain requests go to the proxy as they are, streams too", async () => {
      const seen: Array<unknown> = []
      const proxy = await listening(http.createServer(async (request, response) => {
        seen.push(request.method, request.url, request.headers["proxy-authorization"], request.headers.host)
        response.end(await textOf(request))
      }))
      const fetch = HttpTransport.make({ proxyFor: () => `http://${credentials}@127.0.0.1:${portOf(proxy)}` })
      const body = ReadableStream.from([Buffer.from("ab"), Buffer.alloc(300_000, "c")])
      const response = await fetch("http://api.example.com/v1/files?x=1", {
        method: "POST",
        body,
        duplex: "half",
        headers: { "content-length": "300002" }
      })
      assert.strictEqual(await response.text(), `ab${"c".repeat(300_000)}`)
      assert.deepStrictEqual(seen, ["POST", "http://api.example.com/v1/files?x=1", basic, "api.example.com"])
    })

    it("secure ones go through a tunnel", async () => {
      vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0")
      const server = await listening(https.createServer(selfSigned(), async (request, response) => {
        response.end(`${request.headers.host} ${await textOf(request)}`)
      }))
      const proxy = await serveProxy({ port: portOf(server) })
      const fetch = HttpTransport.make({ proxyFor: () => `http://${credentials}@127.0.0.1:${proxy.port}` })
      const response = await fetch("https://api.example.com/v1", { method: "POST", body: "{}" })
      assert.strictEqual(await response.text(), "api.example.com {}")
      assert.deepStrictEqual(proxy.seen, [{ target: "api.example.com:443", authorization: basic }])
    })

    it("that are reached over TLS themselves take both", async () => {
      vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0")
      const certificate = selfSigned()
      const server = await listening(https.createServer(certificate, (request, response) => {
        response.end(request.headers.host)
      }))
      const proxy = await serveProxy({ port: portOf(server), certificate })
      const fetch = HttpTransport.make({ proxyFor: () => `https://${credentials}@127.0.0.1:${proxy.port}` })
      assert.strictEqual(await (await fetch("https://api.example.com:444/x")).text(), "api.example.com:444")
      assert.strictEqual(await (await fetch("http://api.example.com/x")).text(), "proxied http://api.example.com/x")
      assert.deepStrictEqual(proxy.seen, [{ target: "api.example.com:444", authorization: basic }])
    })

    it("a tunnel that stands is still checked for its certificate", async () => {
      let requests = 0
      const server = await listening(https.createServer(selfSigned(), () => {
        requests++
      }))
      const proxy = await serveProxy({ port: portOf(server) })
      const fetch = HttpTransport.make({ proxyFor: () => `http://127.0.0.1:${proxy.port}` })
      const error = await failureOf(fetch("https://api.example.com", { method: "POST", body: "{}" }))
      assert.strictEqual(error.code, "DEPTH_ZERO_SELF_SIGNED_CERT")
      assert.isTrue(HttpTransport.neverSent(error))
      assert.strictEqual(requests, 0)
    })

    it("a refused tunnel sent nothing, and names no credentials", async () => {
      for (const status of [403, 407, 502]) {
        const proxy = await serveProxy({ status })
        const fetch = HttpTransport.make({ proxyFor: () => `http://${credentials}@127.0.0.1:${proxy.port}` })
        const error = await failureOf(fetch("https://api.example.com", { method: "POST", body: "{}" }))
        assert.strictEqual(error.code, "ERR_PROXY")
        assert.include(error.message, String(status))
        assert.isTrue(HttpTransport.neverSent(error))
        assert.notInclude(inspect(error, { depth: 9, showHidden: true }), "canary")
      }
    })

    it("nor did a proxy that is not there, or whose URL is none", async () => {
      const port = await closedPort()
      for (
        const proxy of [`http://${credentials}@127.0.0.1:${port}`, `http://${credentials}@[x`, "socks5://canary:1"]
      ) {
        for (const url of ["http://api.example.com", "https://api.example.com"]) {
          const error = await failureOf(
            HttpTransport.make({ proxyFor: () => proxy })(url, { method: "POST", body: "{}" })
          )
          assert.isTrue(HttpTransport.neverSent(error))
          assert.notInclude(inspect(error, { depth: 9, showHidden: true }), "canary")
        }
      }
    })

    it("a proxy that says nothing is let go", async () => {
      const closed = new EventEmitter()
      const server = await listening(net.createServer((socket) => {
        socket.on("close", () => closed.emit("closed")).on("error", () => {}).resume()
      }))
      const waiting = once(closed, "closed")
      const fetch = HttpTransport.make({ idleTimeout: 100, proxyFor: () => `http://127.0.0.1:${portOf(server)}` })
      const error = await failureOf(fetch("https://api.example.com", { method: "POST", body: "{}" }))
      assert.strictEqual(error.code, "ETIMEDOUT")
      assert.isTrue(HttpTransport.neverSent(error))
      await waiting
    })

    it("the environment decides, but for loopback", async () => {
      const proxy = await serveProxy({ status: 403 })
      const address = `http://127.0.0.1:${proxy.port}`
      vi.stubEnv("HTTPS_PROXY", address)
      vi.stubEnv("https_proxy", address)
      vi.stubEnv("HTTP_PROXY", address)
      vi.stubEnv("http_proxy", address)
      vi.stubEnv("NO_PROXY", "")
      vi.stubEnv("no_proxy", "")
      const fetch = HttpTransport.make()
      assert.strictEqual((await failureOf(fetch("https://api.example.com"))).code, "ERR_PROXY")
      assert.strictEqual(await (await fetch("http://api.example.com/x")).text(), "proxied http://api.example.com/x")

      const url = await serve((_, response) => response.end("direct"))
      assert.strictEqual(await (await fetch(url)).text(), "direct")
      assert.strictEqual(await (await fetch(url.replace("127.0.0.1", "localhost"))).text(), "direct")

      // An address that no machine has answers at once on Linux; any failure but the proxy's shows that it was not asked.
      vi.stubEnv("NO_PROXY", "0.0.0.0")
      vi.stubEnv("no_proxy", "0.0.0.0")
      const port = await closedPort()
      assert.strictEqual((await failureOf(fetch(`https://0.0.0.0:${port}`))).code, "ECONNREFUSED")
    })
  })

  describe("neverSent", () => {
    it("knows the codes of other clients, through their causes", () => {
      const coded = (code: string) => Object.assign(new Error(code), { code })
      for (const code of ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN"]) {
        assert.isTrue(
          HttpTransport.neverSent(new Error("outer", { cause: new TypeError("x", { cause: coded(code) }) }))
        )
      }
      for (const code of ["ECONNRESET", "ETIMEDOUT", "EPIPE", "EHOSTUNREACH", "UND_ERR_SOCKET"]) {
        assert.isFalse(HttpTransport.neverSent(new Error("outer", { cause: coded(code) })))
      }
      for (const other of [undefined, null, "ECONNREFUSED", {}, new Error("ECONNREFUSED"), new DOMException()]) {
        assert.isFalse(HttpTransport.neverSent(other))
      }
    })
  })

  describe("the SDKs", () => {
    const options = { apiKey: "sk-canary", maxRetries: 0, logLevel: "off", fetch: direct } as const

    const rows = () =>
      ReadableStream.from((function*() {
        yield Buffer.from("{\"row\":1}\n")
        yield Buffer.from("{\"row\":2}\n")
      })())

    it("OpenAI sends a prepared body as it is", async () => {
      const client = new OpenAI({ ...options, baseURL: `${await serveEcho()}/v1` })
      const seen = await client.post<Seen>("/files", {
        body: rows(),
        headers: { "content-type": "multipart/form-data; boundary=b", "content-length": "20" }
      })
      assert.deepStrictEqual([seen.method, seen.url], ["POST", "/v1/files"])
      assert.strictEqual(seen.text, "{\"row\":1}\n{\"row\":2}\n")
      assert.strictEqual(seen.headers["content-length"], "20")
      assert.strictEqual(seen.headers["content-type"], "multipart/form-data; boundary=b")
      assert.isUndefined(seen.headers["transfer-encoding"])
      assert.strictEqual(seen.headers.authorization, "Bearer sk-canary")
    })

    it("Anthropic sends a prepared body as it is", async () => {
      const client = new Anthropic({ ...options, baseURL: await serveEcho() })
      const seen = await client.post<Seen>("/v1/messages/batches", {
        body: rows(),
        headers: { "content-type": "application/json", "content-length": "20" }
      })
      assert.deepStrictEqual([seen.method, seen.url], ["POST", "/v1/messages/batches"])
      assert.strictEqual(seen.text, "{\"row\":1}\n{\"row\":2}\n")
      assert.strictEqual(seen.headers["content-length"], "20")
      assert.isUndefined(seen.headers["transfer-encoding"])
    })

    it("their own calls work: a form, JSON, a download", async () => {
      const url = await serve(async (request, response) => {
        const text = await textOf(request)
        if (request.url === "/v1/files/f/content") {
          response.end("{}\n")
          return
        }
        response.setHeader("content-type", "application/json")
        response.end(JSON.stringify({ id: "x", bytes: text.length, length: request.headers["content-length"] }))
      })
      const client = new OpenAI({ ...options, baseURL: `${url}/v1` })
      const file = await client.files.create({
        file: new File([await fs.openAsBlob(temporaryFile("{}\n"))], "rows.jsonl"),
        purpose: "batch"
      })
      assert.propertyVal(file, "length", String(file.bytes))
      assert.strictEqual((await client.batches.retrieve("x")).id, "x")
      assert.strictEqual(await (await client.files.content("f")).text(), "{}\n")
    })

    it("their errors keep ours as the cause", async () => {
      const baseURL = `http://127.0.0.1:${await closedPort()}`
      const url = await serve((request) => request.resume().on("end", () => request.socket.destroy()))
      const idle = { fetch: HttpTransport.make({ idleTimeout: 100 }), baseURL: await serve(() => {}) }
      const failure = (promise: Promise<unknown>) => promise.then(() => undefined, (error: unknown) => error)
      const body = { requests: [] }
      for (
        const [make, connectionError] of [
          [(more: object) => new OpenAI({ ...options, ...more }), OpenAI.APIConnectionError],
          [(more: object) => new Anthropic({ ...options, ...more }), Anthropic.APIConnectionError]
        ] as const
      ) {
        const refused = await failure(make({ baseURL }).post("/x", { body }))
        assert.isTrue(refused instanceof connectionError)
        assert.isTrue(HttpTransport.neverSent(refused))
        const reset = await failure(make({ baseURL: url }).post("/x", { body }))
        assert.isTrue(reset instanceof connectionError)
        assert.isFalse(HttpTransport.neverSent(reset))
        const silent = await failure(make(idle).post("/x", { body }))
        assert.isTrue(silent instanceof connectionError)
        assert.strictEqual(silent instanceof Error && inspect(silent.cause).includes("code: 'ETIMEDOUT'"), true)
        for (const error of [refused, reset, silent]) assert.notInclude(inspect(error, { depth: 9 }), "sk-canary")
      }
    })

    it("their time limit aborts the request", async () => {
      const closed = new EventEmitter()
      const url = await serve((request) => request.on("close", () => closed.emit("closed")).resume())
      const waiting = once(closed, "closed")
      const client = new OpenAI({ ...options, baseURL: url })
      const error = await client.post("/x", { body: {}, timeout: 100 }).then(() => undefined, (error: unknown) => error)
      assert.instanceOf(error, OpenAI.APIConnectionTimeoutError)
      await waiting
    })
  })
})
