/**
 * Sockets that hang, or bring one byte a second, while a batch is waited for. The sockets are real, and the time is the
 * test's: also that of the server, which sends its bytes by it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as Server from "./Server.js"

describe("a socket", () => {
  for (const name of Server.names) {
    for (const [kind, what] of [["hang", "hangs"], ["trickle", "brings one byte a second"]] as const) {
      it.scoped(`that ${what} while polling at ${name} is given up, and the look made again`, () =>
        Effect.gen(function*() {
          const { look } = Server.routes[name]
          const { emulator, events, outcomes, resume, run } = yield* Server.start(name, undefined, { timeScale: 1 })
          /** Lets the test's time go on for as long as the sockets take to get there. */
          const until = (done: () => boolean) =>
            Effect.promise(() => fetch(`${emulator.url}/_emulator/books`).then((answer) => answer.text())).pipe(
              Effect.zipRight(TestClock.adjust("100 millis")),
              Effect.repeat({ until: done })
            )
          const submitting = yield* Effect.fork(run(3, "submit"))
          yield* until(() => events.some(({ _tag }) => _tag === "BatchCreated"))
          yield* Fiber.join(submitting)
          yield* emulator.setFaults(Server.calls({ route: look, kind, first: 2 }))
          const running = yield* Effect.fork(resume)
          yield* until(() => events.filter(({ _tag }) => _tag === "PollTrouble").length === 2)
          yield* emulator.advance("10 minutes")
          yield* until(() => events.some(({ _tag }) => _tag === "RunFinished"))
          yield* Fiber.join(running)
          assert.deepStrictEqual(yield* outcomes, Server.succeeded(3))
          const trouble = events.flatMap((event) => event._tag === "PollTrouble" ? [event.detail] : [])
          for (const detail of trouble) assert.include(detail, "no whole answer within 2m")
          yield* Server.assertPaidOnce(emulator, 3)
        }))
    }
  }
})
