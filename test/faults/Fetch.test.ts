import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Http from "node:http"
import { FaultPlan } from "../../src/emulator/FaultPlan.js"
import * as HttpTransport from "../../src/internal/HttpTransport.js"
import * as Server from "./Server.js"

const framings = { length: "with Content-Length", chunked: "in chunks", close: "with neither" } as const

/** Requests over `node:http`, whose answers lose their `content-type` on the way. */
const withoutContentType = (): HttpTransport.Fetch => {
  const direct = HttpTransport.make()
  return async (input, init) => {
    const response = await direct(input, init)
    const headers = new Headers(response.headers)
    headers.delete("content-type")
    return new Response(response.body, { status: response.status, headers })
  }
}

/** A server of somebody else, and the requests that it got. */
const stranger = Effect.acquireRelease(
  Effect.async<{ readonly server: Http.Server; readonly origin: string; readonly requests: Array<string> }>(
    (resume) => {
      const requests: Array<string> = []
      const server = Http.createServer((request, response) => {
        requests.push(`${request.url}`)
        response.end("{}\n")
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" ? address?.port : undefined
        resume(Effect.succeed({ server, origin: `http://127.0.0.1:${port}`, requests }))
      })
    }
  ),
  ({ server }) => Effect.sync(() => server.close())
)

for (const name of Server.names) {
  const { results } = Server.routes[name]

  describe(`a download from ${name}`, () => {
    for (const framing of ["length", "chunked", "close"] as const) {
      it.scopedLive(`that is cut short ${framings[framing]} is made again`, () =>
        Effect.gen(function*() {
          // Cut at the same place again, it would be believed to be that short.
          const first = framing === "close" ? 1 : 2
          const plan = Server.calls({ route: results, kind: "cut", framing, first })
          const { emulator, outcomes, run } = yield* Server.start(name, plan)
          yield* run(5)
          assert.deepStrictEqual(yield* outcomes, Server.succeeded(5))
          assert.deepStrictEqual((yield* emulator.books).calls[results], { cut: first, "200": 1 })
        }))
    }

    it.scopedLive("that is gzip cut short is made again", () =>
      Effect.gen(function*() {
        const cut = Server.calls({ route: results, kind: "cut", framing: "close", cutAt: 100, first: 1 })
        const { emulator, outcomes, run } = yield* Server.start(name, new FaultPlan({ ...cut, results: "gzip" }))
        yield* run(5)
        assert.deepStrictEqual(yield* outcomes, Server.succeeded(5))
        assert.deepStrictEqual((yield* emulator.books).calls[results], { cut: 1, "200": 1 })
      }))

    for (const packing of ["plain", "gzip", "zip"] as const) {
      it.scopedLive(`without a Content-Type is told to be ${packing} by its content`, () =>
        Effect.gen(function*() {
          const plan = new FaultPlan({ results: packing })
          const { outcomes, run } = yield* Server.start(name, plan, { fetch: withoutContentType() })
          yield* run(5)
          assert.deepStrictEqual(yield* outcomes, Server.succeeded(5))
        }))
    }

    it.scopedLive("whose file is 404 leaves missing rows, and says that they may have been charged", () =>
      Effect.gen(function*() {
        const plan = Server.calls({ route: results, kind: "status", status: 404 })
        const { outcomes, read, run } = yield* Server.start(name, plan)
        yield* run(2)
        assert.deepStrictEqual(yield* outcomes, ["missing", "missing"])
        assert.include(read("failures.jsonl"), "It may have been charged.")
      }))

    it.scopedLive("with one row in a hundred absent says which", () =>
      Effect.gen(function*() {
        const { emulator, outcomes, run } = yield* Server.start(name, new FaultPlan({ dropRows: 0.01 }))
        const { tally } = yield* run(300)
        const missing = (yield* outcomes).filter((outcome) => outcome === "missing").length
        assert.isAbove(missing, 0)
        assert.isBelow(missing, 10)
        assert.deepStrictEqual([tally?.rows, tally?.missing, tally?.succeeded], [300, missing, 300 - missing])
        assert.strictEqual((yield* emulator.books).totals.billed, 300)
      }))
  })
}

describe("a results_url on another host", () => {
  it.scopedLive("is never asked for anything", () =>
    Effect.gen(function*() {
      const { origin, requests } = yield* stranger
      const { outcomes, run } = yield* Server.start("anthropic", new FaultPlan({ resultsOrigin: origin }))
      yield* run(3)
      assert.deepStrictEqual(yield* outcomes, Server.succeeded(3))
      assert.deepStrictEqual(requests, [])
    }))
})
