import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { OpenAi, Pipeline, Request, Source } from "llm-batch"

const program = Effect.gen(function*() {
  const pipeline = yield* Pipeline.Pipeline
  const defaults = new Request.RequestDefaults({ model: "gpt-5-mini" })
  const report = yield* pipeline.run(Source.file("prompts.jsonl"), { defaults })
  yield* Console.log(`${report.tally?.succeeded} of ${report.tally?.rows} rows answered: ${report.results}`)
})

program.pipe(Effect.provide(Layer.provide(Pipeline.layer, OpenAi.layerConfig())), NodeRuntime.runMain)
