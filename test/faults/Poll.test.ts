import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import { FaultPlan } from "../../src/emulator/FaultPlan.js"
import * as Server from "./Server.js"

/** What each of the first looks at a batch is answered. */
const transient = [
  ["429 with Retry-After in seconds", { kind: "status", status: 429, retryAfter: 1 }],
  ["429 with Retry-After as a date", { kind: "status", status: 429, retryAfter: 1, retryAfterForm: "date" }],
  ["429 without Retry-After", { kind: "status", status: 429, retryAfterForm: "absent" }],
  ["408", { kind: "status", status: 408 }],
  ["500", { kind: "status", status: 500 }],
  ["503", { kind: "status", status: 503, retryAfter: 0 }],
  ["529", { kind: "status", status: 529, retryAfter: 0 }],
  ["an HTML error page", { kind: "status", status: 502, html: true }],
  ["a reset", { kind: "reset" }],
  ["half an answer", { kind: "cut" }]
] as const

const messageOf = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.either(effect), (either) => Either.isLeft(either) ? either.left.message : "it went well")

for (const name of Server.names) {
  const { create, look } = Server.routes[name]

  describe(`a poll at ${name}`, () => {
    it.scopedLive(`is not ended by ${transient.map(([what]) => what).join(", ")}, nor is a second batch made`, () =>
      Effect.gen(function*() {
        const { emulator, outcomes, resume, run } = yield* Server.start(name, undefined, { timeScale: 0 })
        yield* run(3, "submit")
        yield* emulator.advance("1 hour")
        yield* emulator.setFaults(
          Server.calls(...transient.map(([, fault]) => ({ route: look, first: 1, ...fault })))
        )
        yield* resume
        assert.deepStrictEqual(yield* outcomes, Server.succeeded(3))
        yield* Server.assertPaidOnce(emulator, 3)
        const { calls } = yield* emulator.books
        assert.deepStrictEqual(calls[create], { "200": 1 })
        const struck = Object.entries(calls).filter(([route]) => route.startsWith(look.slice(0, -1)))
          .flatMap(([, answers]) => Object.entries(answers)).filter(([answer]) => answer !== "200")
        assert.strictEqual(struck.reduce((sum, [, count]) => sum + count, 0), transient.length)
      }))

    it.scopedLive("counts what was used once, however often it looks and the run is taken up", () =>
      Effect.gen(function*() {
        const { emulator, resume, run } = yield* Server.start(name, undefined, { timeScale: 0 })
        yield* run(3, "submit")
        yield* emulator.advance("1 hour")
        yield* emulator.setFaults(Server.calls({ route: look, kind: "status", retryAfter: 0, first: 3 }))
        yield* resume
        yield* resume
        const { state } = yield* resume
        const { totals } = yield* emulator.books
        assert.deepInclude(state.tally?.tokens, { prompt: totals.inputTokens, completion: totals.outputTokens })
        yield* Server.assertPaidOnce(emulator, 3)
      }))

    it.scopedLive("that a 401 meets stops, tells, and keeps everything", () =>
      Effect.gen(function*() {
        const { emulator, outcomes, read, resume, run } = yield* Server.start(name, undefined, { timeScale: 0 })
        yield* run(3, "submit")
        yield* emulator.advance("1 hour")
        yield* emulator.setFaults(Server.calls({ route: look, kind: "status", status: 401 }))
        const message = yield* messageOf(resume)
        assert.include(message, "(HTTP 401). Check the API key and what it may do; nothing is lost")
        const [batch] = (yield* emulator.books).batches
        assert.include(read("journal.jsonl"), `"${batch?.id}"`)
        yield* emulator.setFaults(new FaultPlan())
        yield* resume
        assert.deepStrictEqual(yield* outcomes, Server.succeeded(3))
        yield* Server.assertPaidOnce(emulator, 3)
      }))

    it.scopedLive("of a known batch that is 404 stops only when it stays so, and keeps everything", () =>
      Effect.gen(function*() {
        const { emulator, outcomes, read, resume, run } = yield* Server.start(name, undefined, { timeScale: 0 })
        yield* run(3, "submit")
        yield* emulator.advance("1 hour")
        const [batch] = (yield* emulator.books).batches
        yield* emulator.setFaults(Server.calls({ route: look, kind: "status", status: 404 }))
        assert.include(yield* messageOf(resume), `retrieve ${batch?.id}: `)
        assert.include(read("journal.jsonl"), `"${batch?.id}"`)
        yield* emulator.setFaults(Server.calls({ route: look, kind: "status", status: 404, first: 3 }))
        yield* resume
        assert.deepStrictEqual(yield* outcomes, Server.succeeded(3))
        yield* Server.assertPaidOnce(emulator, 3)
      }))

    it.scopedLive("waits on while the status is unknown to us", () =>
      Effect.gen(function*() {
        const plan = new FaultPlan({ strangeStatus: "Pondering" })
        const { emulator, outcomes, run } = yield* Server.start(name, plan, { timeScale: 0 })
        const running = yield* Effect.fork(run(3))
        const looks = Effect.map(
          Effect.promise(() => fetch(`${emulator.url}/_emulator/books`).then((answer) => answer.text())),
          (books) => Number(/"GET [^"]*batches\/:id":\{"200":(\d+)\}/.exec(books)?.[1] ?? 0)
        )
        yield* Effect.repeat(looks, { until: (count) => count > 0 })
        yield* emulator.advance("30 seconds")
        const before = yield* looks
        yield* Effect.repeat(looks, { until: (count) => count > before + 1 })
        yield* emulator.advance("1 hour")
        yield* Fiber.join(running)
        assert.deepStrictEqual(yield* outcomes, Server.succeeded(3))
      }))
  })
}

describe("a batch that is completed", () => {
  it.scopedLive("with counts that are null has all its rows", () =>
    Effect.gen(function*() {
      const { outcomes, run } = yield* Server.start("openai", new FaultPlan({ nullCounts: true }))
      yield* run(3)
      assert.deepStrictEqual(yield* outcomes, Server.succeeded(3))
    }))

  for (const emptyFileIds of [false, true]) {
    const none = emptyFileIds ? "\"\"" : "null"

    it.scopedLive(`with an output_file_id of ${none}, as every row failed, has the errors`, () =>
      Effect.gen(function*() {
        const plan = new FaultPlan({ errorRows: 1, errorKind: "invalid_request", emptyFileIds })
        const { outcomes, run } = yield* Server.start("openai", plan)
        yield* run(3)
        assert.deepStrictEqual(yield* outcomes, ["errored", "errored", "errored"])
      }))

    it.scopedLive(`with an error_file_id of ${none} has the answers`, () =>
      Effect.gen(function*() {
        const { outcomes, run } = yield* Server.start("openai", new FaultPlan({ emptyFileIds }))
        yield* run(3)
        assert.deepStrictEqual(yield* outcomes, Server.succeeded(3))
      }))
  }
})

describe("a batch that is expired", () => {
  for (const name of Server.names) {
    it.scopedLive(`has its partial results at ${name}, also where the expired rows are not counted as failed`, () =>
      Effect.gen(function*() {
        const { emulator, outcomes, run } = yield* Server.start(name, new FaultPlan({ expireRows: 0.5 }))
        yield* run(20)
        const ended = yield* outcomes
        const [batch] = (yield* emulator.books).batches
        assert.strictEqual(ended.filter((outcome) => outcome === "expired").length, batch?.expired)
        assert.strictEqual(ended.filter((outcome) => outcome === "succeeded").length, batch?.billed)
        assert.isAbove(batch?.expired ?? 0, 0)
        assert.isAbove(batch?.billed ?? 0, 0)
        assert.lengthOf(ended, 20)
      }))
  }
})
