/** Plain promises, over real sockets: that is what a program without Effect has. */
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Emulator, layer } from "llm-batch/emulator/Emulator"
import { batch, type Result } from "llm-batch/PlainPromise"
import * as OpenAi from "llm-batch/provider/OpenAi"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const temporary = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "llm-batch-promise-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true }))
)

const Sum = Schema.Struct({ sum: Schema.Number })

describe("batch as a promise", () => {
  it.scopedLive("gives typed answers, and goes on with the same directory without asking again", () =>
    Effect.gen(function*() {
      const { books, openAiBaseUrl } = yield* Emulator
      const directory = Path.join(yield* temporary, "run")
      const provider = OpenAi.layer({ apiKey: Redacted.make("key"), baseUrl: openAiBaseUrl })
      const ask = () =>
        batch({
          provider,
          model: "gpt-5-mini",
          prompts: ["1 + 1", "2 + 2"],
          schema: Sum,
          directory,
          mode: "sync"
        })
      const answers = yield* Effect.promise(ask)
      expectTypeOf(answers).toEqualTypeOf<ReadonlyArray<Result<{ readonly sum: number }>>>()
      assert.strictEqual(answers.filter(({ ok }) => ok).length, 2)
      const asked = (yield* books).calls.length
      assert.deepStrictEqual(yield* Effect.promise(ask), answers)
      assert.strictEqual((yield* books).calls.length, asked)
    }).pipe(Effect.provide(layer({ timeScale: 3600 }))))

  it.live("is rejected with an error that says what to do", () =>
    Effect.gen(function*() {
      const message = yield* Effect.promise(() =>
        batch({ provider: OpenAi.layer(), model: "gpt-5-mini", prompts: ["1 + 1"] }).then(
          () => "it was answered",
          (error: unknown) => error instanceof Error ? error.message : "it is no error"
        )
      )
      assert.include(message, "OPENAI_API_KEY")
      const unknown = yield* Effect.promise(() =>
        batch({ model: "my-own-model", prompts: ["1 + 1"] }).catch((error: unknown) => String(error))
      )
      assert.include(unknown, "none is named, and the model \"my-own-model\" does not tell it")
    }))
})
