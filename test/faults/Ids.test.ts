import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Pipeline } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as TestProvider from "llm-batch/TestProvider"
import * as World from "../World.js"

const kinds: ReadonlyArray<readonly [what: string, ids: ReadonlyArray<string>]> = [
  ["paths", ["../x", "a/b", "/etc/passwd", "..", "C:\\x", "results.jsonl"]],
  ["NUL and other control characters", ["\u0000", "a\u0000b", "\n", "\r\n", "\u2028", "\u007f"]],
  ["names that objects have", ["__proto__", "constructor", "toString", "hasOwnProperty"]],
  ["64 and 65 characters, and far more", ["x".repeat(64), "x".repeat(65), "x".repeat(100_000)]],
  ["bars, spaces and quotes", ["set|item|treatment|0.7|3|closed", " ", "  ", " a", "a ", "\"", "'", "\\"]],
  ["emoji", ["👩‍🔬", "👩🏽‍🔬", "🇫🇷", "é👍"]],
  ["normalisation pairs", ["\u00e9", "e\u0301", "\ufb01", "fi", "\u00c5", "\u212b"]],
  ["other cases and widths", ["a", "A", "ａ", "1", "１", "01"]]
]

describe("ids of the input", () => {
  for (const [what, ids] of kinds) {
    it.effect(`that are ${what} come back as they were, each with its own answer`, () =>
      Effect.gen(function*() {
        const world = yield* World.make()
        yield* world.simulate(Effect.flatMap(Pipeline, (pipeline) =>
          pipeline.run(Source.fromRows(ids.map((id, at) => ({ id, prompt: `row ${at}` }))), {
            defaults: new RequestDefaults({ model: "m" }),
            directory: World.directory
          })))
        const results = yield* world.simulate(
          TestProvider.readResults({ results: `${World.directory}/results.jsonl` })
        )
        assert.deepStrictEqual(
          results.map(({ customId, text }) => [customId, text]),
          ids.map((id, at) => [id, `row ${at}`])
        )
        assert.isTrue([...world.memory.files().keys()].every((path) =>
          path.startsWith(`${World.directory}/`)
        ))
        assert.deepStrictEqual(Object.keys({}), [])
      }))
  }

  it.effect("that are duplicates are refused with the two line numbers, however far apart", () =>
    Effect.gen(function*() {
      const lines = Array.from({ length: 5_000 }, (_, at) => `{"id":"item ${at === 4_321 ? 17 : at}","prompt":"p"}\n`)
      const world = yield* World.make()
      const error = yield* Effect.flip(
        world.simulate(
          Effect.flatMap(Pipeline, (pipeline) =>
            pipeline.run(Source.fromText("in.jsonl", lines.join("")), {
              defaults: new RequestDefaults({ model: "m" }),
              directory: World.directory
            }))
        )
      )
      assert.match(error.message, /^in\.jsonl:4322: .*"item 17".*\b18\b/)
      assert.deepStrictEqual(yield* world.test.calls, [])
    }))
})
