import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Either, Layer, Schema } from "effect"
import { batch, OpenAi, Pipeline } from "llm-batch"

const Verdict = Schema.Struct({ label: Schema.Literal("spam", "ham"), reason: Schema.String })

const program = Effect.gen(function*() {
  const verdicts = yield* batch({
    model: "gpt-5-mini",
    system: "Is this message spam?",
    prompts: ["WINNER!! Call 0900 now", "See you at six?"],
    schema: Verdict,
    repair: 2
  })
  for (const verdict of verdicts) {
    yield* Console.log(Either.isRight(verdict) ? verdict.right.label : verdict.left.message)
  }
})

program.pipe(Effect.provide(Layer.provide(Pipeline.layer, OpenAi.layerConfig())), NodeRuntime.runMain)
