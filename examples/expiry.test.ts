import { assert, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import { Pipeline, Request, Source } from "llm-batch"
import * as TestProvider from "llm-batch/TestProvider"

it.effect("keeps what was answered before the batch expired", () =>
  Effect.gen(function*() {
    const pipeline = yield* Pipeline.Pipeline
    const rows = Source.fromRows([{ id: "quick", prompt: "2 + 2" }, { id: "slow", prompt: "P = NP?" }])
    const defaults = new Request.RequestDefaults({ model: "any" })

    const running = yield* Effect.fork(pipeline.run(rows, { defaults }))
    yield* TestClock.adjust("25 hours")
    const report = yield* Fiber.join(running)

    const results = yield* TestProvider.readResults(report)
    assert.deepStrictEqual(results.map(({ customId, outcome }) => [customId, outcome]), [
      ["quick", "succeeded"],
      ["slow", "expired"]
    ])
  }).pipe(Effect.provide(TestProvider.layerPipeline({
    answeredAfter: ({ prompt }) => prompt === "2 + 2" ? "1 hour" : "3 days"
  }))))
