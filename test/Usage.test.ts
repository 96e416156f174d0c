import { assert, describe, it } from "@effect/vitest"
import * as Usage from "llm-batch/Usage"

describe("the usage of a body", () => {
  it("has the names of Chat Completions, Responses and Messages", () => {
    const all = { prompt: 100, completion: 20, cached: 30, reasoning: 5 }
    const bodies = [
      {
        usage: {
          prompt_tokens: 100,
          completion_tokens: 20,
          prompt_tokens_details: { cached_tokens: 30 },
          completion_tokens_details: { reasoning_tokens: 5 }
        }
      },
      {
        usage: {
          input_tokens: 100,
          output_tokens: 20,
          input_tokens_details: { cached_tokens: 30 },
          output_tokens_details: { reasoning_tokens: 5 }
        }
      },
      {
        usage: {
          input_tokens: 60,
          cache_read_input_tokens: 30,
          cache_creation_input_tokens: 10,
          output_tokens: 20,
          output_tokens_details: { thinking_tokens: 5 }
        }
      }
    ]
    for (const body of bodies) assert.deepStrictEqual(Usage.ofBody(body), all)
  })

  it("is nothing where a body has none", () => {
    const nothing = { prompt: 0, completion: 0, cached: 0, reasoning: 0 }
    for (const body of [{}, { usage: null }, { usage: "much" }, { usage: { completion_tokens: -1 } }]) {
      assert.deepStrictEqual(Usage.ofBody(body), nothing)
    }
  })
})
