import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Server from "./Server.js"

const lost = [
  ["is lost in a reset after success", { kind: "reset" }],
  ["is 500 after success", { kind: "status", status: 500 }],
  ["is 409 after success", { kind: "status", status: 409 }],
  ["is 429 after success", { kind: "status", status: 429, retryAfter: 0 }],
  ["is 408 after success", { kind: "status", status: 408 }],
  ["is a 502 with an HTML page after success", { kind: "status", status: 502, html: true }]
] as const

for (const name of Server.names) {
  const { create } = Server.routes[name]

  describe(`a create at ${name}`, () => {
    for (const [what, fault] of lost) {
      it.scopedLive(`whose answer ${what} is paid once`, () =>
        Effect.gen(function*() {
          const plan = Server.calls({ route: create, afterSuccess: true, first: 1, ...fault })
          const { emulator, outcomes, run } = yield* Server.start(name, plan)
          yield* run(3)
          assert.deepStrictEqual(yield* outcomes, Server.succeeded(3))
          yield* Server.assertPaidOnce(emulator, 3)
        }))
    }

    it.scopedLive("that a 503 refuses is one POST, and made again only when there certainly is no batch", () =>
      Effect.gen(function*() {
        const plan = Server.calls({ route: create, kind: "status", status: 503, retryAfter: 0, first: 1 })
        const { emulator, outcomes, run } = yield* Server.start(name, plan)
        yield* run(3)
        assert.deepStrictEqual(yield* outcomes, Server.succeeded(3))
        yield* Server.assertPaidOnce(emulator, 3)
        assert.deepStrictEqual((yield* emulator.books).calls[create], { "200": 1, "503": 1 })
      }))

    it.scopedLive("whose upload is reset in its middle is paid once", () =>
      Effect.gen(function*() {
        const upload = name === "openai" ? "POST /v1/files" : create
        const plan = Server.calls({ route: upload, kind: "reset", first: 1 })
        const { emulator, outcomes, run } = yield* Server.start(name, plan)
        // More than the system's buffers hold: the server has read its head only.
        yield* run(20, "normalize", "x".repeat(500_000))
        assert.deepStrictEqual(yield* outcomes, Server.succeeded(20))
        yield* Server.assertPaidOnce(emulator, 20)
      }))
  })
}

describe("a file that is uploaded", () => {
  it.scopedLive("but no batch made of it is used when the batch is made", () =>
    Effect.gen(function*() {
      const plan = Server.calls({ route: "POST /v1/batches", kind: "reset", first: 1 })
      const { emulator, outcomes, run } = yield* Server.start("openai", plan)
      yield* run(3)
      assert.deepStrictEqual(yield* outcomes, Server.succeeded(3))
      yield* Server.assertPaidOnce(emulator, 3)
      assert.deepStrictEqual((yield* emulator.books).calls["POST /v1/files"], { "200": 1 })
    }))
})
