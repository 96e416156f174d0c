/** `models` as a process, without a key or a network; they run live, as Processes.ts says. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { llmBatch, workspace } from "./Processes.js"

const models = (...args: ReadonlyArray<string>) =>
  Effect.flatMap(workspace, (cwd) => {
    writeFileSync(
      join(cwd, "models.yaml"),
      "models:\n  my-org/llama-3:\n    provider: openai\n    context: 131072\n    max_output: 8192\n"
        + "    accepts: { reasoning: never, efforts: [], structured_output: false }\n"
        + "    prices: { input: 0.2, output: 0.6, cache_read: 0.05, batch_factor: 0.5 }\n    as_of: 2026-11-20\n"
    )
    return llmBatch(["models", ...args], { cwd })
  })

const ours = ["--models-file", "models.yaml"]

describe("models", () => {
  it.scopedLive("lists each model on a line, in columns", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* models(...ours)
      assert.deepStrictEqual([code, stderr], [0, ""])
      const [head = "", ...rows] = stdout.trimEnd().split("\n")
      assert.deepStrictEqual(head.split(/ {2,}/u), [
        "MODEL",
        "PROVIDER",
        "CONTEXT",
        "OUTPUT",
        "IN / OUT",
        "IN BATCHES",
        "RETIRES",
        "TAKES"
      ])
      const cells = (name: string) => rows.find((row) => row.startsWith(`${name} `))?.split(/ {2,}/u)
      assert.deepStrictEqual(cells("my-org/llama-3"), [
        "my-org/llama-3",
        "openai",
        "131,072",
        "8,192",
        "$0.2 / $0.6",
        "$0.1 / $0.3",
        "-"
      ])
      assert.deepStrictEqual(cells("claude-sonnet-4-5")?.slice(0, 4), [
        "claude-sonnet-4-5",
        "anthropic",
        "200,000",
        "64,000"
      ])
      assert.strictEqual(cells("claude-sonnet-4-5")?.[6], "2026-11-30")
      const at = head.indexOf("PROVIDER")
      assert.isTrue(rows.every((row) => /^ {2}(?:openai|anthropic) /u.test(row.slice(at - 2))))
    }))

  it.scopedLive("explains one: what it takes, and every price", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* models("my-org/llama-3", ...ours)
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.strictEqual(
        stdout,
        [
          "my-org/llama-3",
          "  provider      openai",
          "  context       131,072 tokens",
          "  output        8,192 tokens at most",
          "  tokenizer     not known",
          "  batches       not known",
          "  reasons       never",
          "  effort        no levels",
          "  sampling      not known",
          "  stop          yes",
          "  JSON schemas  no",
          "",
          "  $ for a million tokens  one by one  in batches",
          "    input                 $0.2        $0.1",
          "    output                $0.6        $0.3",
          "    cache read            $0.05       $0.025",
          "    cache write           $0.2        $0.1",
          "  from models.yaml, 2026-11-20",
          ""
        ].join("\n")
      )
    }))

  it.scopedLive("knows a model by its other names", () =>
    Effect.gen(function*() {
      const { stdout } = yield* models("claude-opus-4-20250514")
      assert.match(stdout, /^claude-opus-4-20250514: claude-opus-4-0\n/u)
      assert.match(stdout, /^ {2}also called +claude-opus-4, claude-opus-4-20250514$/mu)
      assert.match(stdout, /^ {2}cache write, 1 hour|^ {4}cache write, 1 hour/mu)
    }))

  it.scopedLive("gives JSON, with unknown prices as null", () =>
    Effect.gen(function*() {
      const one = JSON.parse((yield* models("my-org/llama-3", ...ours, "--json")).stdout)
      assert.deepInclude(one, { name: "my-org/llama-3", provider: "openai", context: 131_072, tokenizer: null })
      assert.deepInclude(one.prices, { input: 0.2, output: 0.6, batchFactor: 0.5 })
      const tuned = JSON.parse((yield* models("ft:gpt-4.1-mini:my-org::id", "--json")).stdout)
      assert.isNull(tuned.prices)
      const all: ReadonlyArray<{ readonly name: string }> = JSON.parse((yield* models("--json")).stdout)
      assert.include(all.map(({ name }) => name), "gpt-5-mini")
    }))

  it.scopedLive("suggests the name that was meant", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* models("gpt-5-mni"), {
        code: 2,
        stdout: "",
        stderr: "error: There is no model gpt-5-mni. Did you mean gpt-5-mini?\n"
      })
      assert.deepInclude(yield* models("llama"), {
        code: 2,
        stdout: "",
        stderr:
          "error: The model llama is not in the catalogue: llm-batch models lists what is, and --models-file adds "
          + "to it.\n"
      })
    }))
})
