import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { questions, start } from "./Processes.js"

describe("status", () => {
  it.scopedLive(
    "warns of results that are not fetched yet before the provider deletes them",
    () =>
      Effect.gen(function*() {
        const { run, write } = yield* start()
        write("in.jsonl", questions(3))
        for (const [provider, model] of [["openai", "gpt-5-mini"], ["anthropic", "claude-haiku-4-5"]] as const) {
          const polled = yield* run(["run", "in.jsonl", "--model", model, "--run-dir", provider, "--to-step", "poll"])
          assert.strictEqual(polled.code, 0, polled.stderr)
          const before = yield* run(["status", provider])
          assert.match(
            before.stdout,
            new RegExp(
              `^${provider} deletes results from \\d{4}-\\d\\d-\\d\\d on \\(in (?:28|29|30)d \\d+h\\): fetch them`,
              "mu"
            )
          )
          assert.strictEqual((yield* run(["resume", provider])).code, 0)
          const after = yield* run(["status", provider])
          assert.notInclude(after.stdout, "deletes results")
        }
      }),
    30_000
  )
})
