import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { OpenAi, Pipeline, Poll, Request, Source } from "llm-batch"

/** `Poll` as it is, but for batches that expire: somebody is told, and the pipeline salvages what was answered. */
const PollAndTell = Layer.effect(
  Poll.Poll,
  Effect.map(Poll.Poll, (inner) =>
    Poll.Poll.of({
      ...inner,
      poll: (batch) =>
        inner.poll(batch).pipe(
          Effect.catchTag("BatchExpired", (expired) =>
            Effect.as(
              Console.log(`${expired.batch.id} expired: ${expired.batch.snapshot.counts.succeeded} rows answered`),
              expired.batch
            ))
        )
    }))
).pipe(Layer.provide(Poll.layer))

/** One layer is provided before the usual stages, and takes the place of its stage. */
const MyPipeline = Pipeline.layerComposed.pipe(
  Layer.provide(PollAndTell),
  Layer.provide(Pipeline.layerStages),
  Layer.provide(OpenAi.layerConfig())
)

const program = Effect.gen(function*() {
  const pipeline = yield* Pipeline.Pipeline
  const defaults = new Request.RequestDefaults({ model: "gpt-5-mini" })
  const report = yield* pipeline.run(Source.file("prompts.jsonl"), { defaults })
  yield* Console.log(`${report.tally?.succeeded} of ${report.tally?.rows} rows answered: ${report.results}`)
})

program.pipe(Effect.provide(MyPipeline), NodeRuntime.runMain)
