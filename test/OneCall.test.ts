import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { batch, batchStream } from "llm-batch/OneCall"
import * as Pipeline from "llm-batch/Pipeline"
import * as OpenAi from "llm-batch/provider/OpenAi"
import type { RowError } from "llm-batch/RowError"
import * as TestProvider from "llm-batch/TestProvider"

const Verdict = Schema.Struct({ label: Schema.Literal("spam", "ham"), score: Schema.NumberFromString })

/** Runs a call for as long as its batches take. */
const within = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const running = yield* Effect.fork(call)
    yield* TestClock.adjust("3 days")
    return yield* Fiber.join(running)
  })

const answering = (answers: Readonly<Record<string, string>>, more: TestProvider.Script = {}) =>
  TestProvider.layerPipeline({ ...more, answer: ({ prompt }) => answers[prompt] ?? `re: ${prompt}` })

/** A provider that was given no key. */
const keyless = Layer.provide(Pipeline.layer, OpenAi.layer())

const shown = (results: ReadonlyArray<Either.Either<unknown, RowError>>) =>
  results.map(Either.match({ onLeft: (error) => `${error._tag} ${error.code}`, onRight: (answer) => answer }))

describe("batch", () => {
  it.effect("gives texts in the order of the prompts", () =>
    Effect.gen(function*() {
      const results = yield* within(batch({ model: "any", prompts: ["one", "two", "three"] }))
      assert.deepStrictEqual(shown(results), ["re: one", "re: two", "re: three"])
    }).pipe(Effect.provide(answering({}))))

  it.effect("decodes answers by their schema, JSON in prose too", () =>
    Effect.gen(function*() {
      const results = yield* within(batch({ model: "any", prompts: ["a", "b"], schema: Verdict }))
      assert.deepStrictEqual(results.map(Either.getOrThrow), [
        { label: "spam", score: 0.9 },
        { label: "ham", score: 1 }
      ])
    }).pipe(Effect.provide(answering({
      a: "{\"label\": \"spam\", \"score\": \"0.9\"}",
      b: "Sure:\n```json\n{\"label\": \"ham\", \"score\": \"1\"}\n```"
    }))))

  it.effect("takes conversations, and a schema that is no object", () =>
    Effect.gen(function*() {
      const results = yield* within(batch({
        model: "any",
        messages: [[{ role: "system", content: "Yes or no." }, { role: "user", content: "Is it?" }]],
        schema: Schema.Literal("yes", "no")
      }))
      assert.deepStrictEqual(results.map(Either.getOrThrow), ["yes"])
    }).pipe(Effect.provide(answering({ "Is it?": "{\"answer\": \"yes\"}" }))))

  it.effect("says of each row without an answer why it has none", () =>
    Effect.gen(function*() {
      const prompts = ["good", "wrong", "late", "bad", "gone", "stopped"]
      const results = yield* within(batch({ model: "any", prompts, schema: Verdict }))
      assert.deepStrictEqual(shown(results), [
        { label: "ham", score: 2 },
        "RowInvalid invalid_answer",
        "RowExpired batch_expired",
        "RowErrored server_error",
        "RowMissing missing",
        "RowCancelled batch_cancelled"
      ])
      const wrong = results[1]
      assert.isTrue(wrong !== undefined && Either.isLeft(wrong) && wrong.left.message.includes("$.label"))
    }).pipe(Effect.provide(answering(
      { good: "{\"label\": \"ham\", \"score\": \"2\"}", wrong: "{\"label\": \"eggs\", \"score\": \"2\"}" },
      {
        outcome: ({ prompt }) =>
          prompt === "late"
            ? "expired"
            : prompt === "bad"
            ? "errored"
            : prompt === "gone"
            ? "missing"
            : prompt === "stopped"
            ? "cancelled"
            : "succeeded"
      }
    ))))

  it.effect("makes no call for no prompts, and needs no key", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* batch({ model: "any", prompts: [] }), [])
      assert.deepStrictEqual([...(yield* Stream.runCollect(batchStream({ model: "any", prompts: Stream.empty })))], [])
    }).pipe(Effect.provide(keyless)))

  it.effect("fails before any call without a key, without a model, and with a wrong option", () =>
    Effect.gen(function*() {
      const noModel = yield* Effect.flip(batch({ model: " ", prompts: ["a"] }))
      assert.strictEqual(
        noModel.message,
        "the options of the call: model: no model is named. Name one, such as model: \"gpt-5-mini\"."
      )
      const hot = yield* Effect.flip(batch({ model: "any", prompts: ["a"], temperature: 3 }))
      assert.match(hot.message, /^the options of the call: temperature: .*between 0 and 2|^.*temperature.*0.*2/)
      const slip = yield* Effect.flip(
        batch({ model: "gpt-5-mni", prompts: ["a"] }).pipe(Effect.provide(answering({})))
      )
      assert.strictEqual(
        slip.message,
        "rows:1: model: row 1 (\"1\") names the model gpt-5-mni, which is not known. Did you mean gpt-5-mini? "
          + "If gpt-5-mni is right, say so with --allow-unknown-model (in code: allowUnknownModel)."
      )
      const noKey = yield* Effect.flip(batch({ model: "any", prompts: ["a"] }))
      assert.strictEqual(noKey._tag, "ProviderError")
    }).pipe(Effect.provide(keyless)))

  it.effect("puts a wrong answer right, when it is told to repair", () =>
    Effect.gen(function*() {
      const results = yield* within(batch({ model: "any", prompts: ["q"], schema: Verdict, repair: 1 }))
      assert.deepStrictEqual(results.map(Either.getOrThrow), [{ label: "ham", score: 3 }])
    }).pipe(Effect.provide(TestProvider.layerPipeline({
      answer: ({ body, prompt }) =>
        prompt === "q"
          ? "I would say ham."
          : JSON.stringify(body).includes("I would say ham.")
          ? "{\"label\": \"ham\", \"score\": \"3\"}"
          : "lost"
    }))))

  it.effect("asks at once in synchronous mode", () =>
    Effect.gen(function*() {
      const results = yield* within(batch({ model: "any", prompts: ["one", "two"], mode: "sync" }))
      assert.deepStrictEqual(shown(results), ["re: one", "re: two"])
    }).pipe(Effect.provide(answering({}))))

  it("has types that follow the schema", () => {
    const typed = batch({ model: "any", prompts: [], schema: Verdict })
    expectTypeOf(typed).toEqualTypeOf<
      Effect.Effect<
        ReadonlyArray<Either.Either<{ readonly label: "spam" | "ham"; readonly score: number }, RowError>>,
        Pipeline.PipelineError,
        Pipeline.Pipeline
      >
    >()
    const untyped = batch({ model: "any", prompts: [] })
    expectTypeOf(untyped).toEqualTypeOf<
      Effect.Effect<ReadonlyArray<Either.Either<string, RowError>>, Pipeline.PipelineError, Pipeline.Pipeline>
    >()
    const wrong = [
      // @ts-expect-error one text would be asked letter by letter
      () => batch({ model: "any", prompts: "hello" }),
      // @ts-expect-error a schema that needs a service cannot be decoded here
      () => batch({ model: "any", prompts: [], schema: needsService }),
      // @ts-expect-error a field that does not exist
      () => batch({ model: "any", prompts: [], temprature: 1 }),
      // @ts-expect-error prompts and messages at once
      () => batch({ model: "any", prompts: [], messages: [] }),
      // @ts-expect-error neither prompts nor messages
      () => batch({ model: "any" }),
      // @ts-expect-error no model
      () => batch({ prompts: [] })
    ]
    assert.strictEqual(wrong.length, 6)
  })
})

class Dictionary extends Effect.Tag("Dictionary")<Dictionary, { readonly words: ReadonlyArray<string> }>() {}

const needsService = Schema.transformOrFail(Schema.String, Schema.String, {
  strict: true,
  decode: (text) => Effect.as(Dictionary, text),
  encode: (text) => Effect.as(Dictionary, text)
})

describe("batchStream", () => {
  it.effect("takes prompts from a stream, and gives answers as one", () =>
    Effect.gen(function*() {
      const prompts = Stream.fromIterable(["one", "two", "three"])
      const results = yield* within(Stream.runCollect(batchStream({ model: "any", prompts })))
      assert.deepStrictEqual(shown([...results]), ["re: one", "re: two", "re: three"])
    }).pipe(Effect.provide(answering({}))))

  it.effect("fails with the error of the stream, and sends nothing then", () =>
    Effect.gen(function*() {
      const prompts = Stream.concat(Stream.make("one"), Stream.fail("no more" as const))
      const error = yield* Effect.flip(Stream.runCollect(batchStream({ model: "any", prompts })))
      expectTypeOf(error).toEqualTypeOf<"no more" | Pipeline.PipelineError>()
      assert.strictEqual(error, "no more")
    }).pipe(Effect.provide(answering({}))))
})
