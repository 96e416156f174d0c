import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { Pipeline } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as TestProvider from "llm-batch/TestProvider"

it.effect("keeps what was answered before the batch expired", () =>
  Effect.gen(function*() {
    const pipeline = yield* Pipeline
    const questions = Source.fromRows([{ id: "quick", prompt: "2 + 2" }, { id: "slow", prompt: "P = NP?" }])
    const defaults = new RequestDefaults({ model: "any" })
    const running = yield* Effect.fork(pipeline.run(questions, { defaults }))
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
