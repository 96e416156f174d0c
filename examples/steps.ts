import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schema } from "effect"
import { Answers, AnswerSchema, OpenAi, Pipeline, Request, Source } from "llm-batch"

const Verdict = Schema.Struct({ verdict: Schema.Literal("good", "bad"), reason: Schema.String })

/** Three runs, each of which feeds on the answers of the one before. Started again, the program goes on where it stopped. */
const program = Effect.gen(function*() {
  const pipeline = yield* Pipeline.Pipeline
  const defaults = new Request.RequestDefaults({ model: "gpt-5-mini" })
  const judgement = yield* AnswerSchema.fromSchema(Verdict)

  const drafts = yield* pipeline.run(Source.file("prompts.jsonl"), { defaults, directory: "experiments/drafts" })

  const verdicts = yield* pipeline.run(
    Answers.source(drafts, ({ answer, error, request }) =>
      error === null
        ? { id: request.customId, prompt: `Is this a good answer?\n\n${answer}`, draft: answer }
        : undefined),
    {
      defaults,
      directory: "experiments/verdicts",
      answerSchema: judgement.jsonSchema,
      check: judgement.check,
      repair: 2
    }
  )

  const better = yield* pipeline.run(
    Answers.source(verdicts, ({ answer, error, request }) =>
      error === null && answer.includes("bad")
        ? { id: request.customId, prompt: `Write it better.\n\n${JSON.stringify(request)}\n\nThe judge: ${answer}` }
        : undefined),
    { defaults, directory: "experiments/better" }
  )
  yield* Console.log(`${verdicts.tally?.succeeded} judged, ${better.tally?.rows} written anew`)
})

program.pipe(Effect.provide(Layer.provide(Pipeline.layer, OpenAi.layerConfig())), NodeRuntime.runMain)
