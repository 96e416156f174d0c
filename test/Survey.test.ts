import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { BuildOptions } from "llm-batch/BuildOptions"
import * as Model from "llm-batch/Model"
import * as Provider from "llm-batch/Provider"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as Build from "llm-batch/stage/Build"
import * as Survey from "llm-batch/Survey"
import * as TestProvider from "llm-batch/TestProvider"
import { Disk } from "../src/internal/Disk.js"
import * as MemoryDisk from "../src/internal/MemoryDisk.js"
import * as AnthropicEncode from "../src/provider/AnthropicEncode.js"
import * as OpenAiEncode from "../src/provider/OpenAiEncode.js"
import * as World from "./World.js"

const openAi = (provider: Provider.Service): Provider.Service => ({
  ...provider,
  name: "openai",
  limits: { ...provider.limits, rows: 50, bytes: 20_000, oneModelPerBatch: true },
  endpoints: OpenAiEncode.endpoints,
  encode: OpenAiEncode.encode
})

const anthropic = (provider: Provider.Service): Provider.Service => ({
  ...provider,
  name: "anthropic",
  limits: { ...provider.limits, rows: 50, bytes: 20_000, oneModelPerBatch: false },
  capabilities: { ...provider.capabilities, tags: false },
  endpoints: [AnthropicEncode.endpoint],
  encode: AnthropicEncode.encode
})

type Wrap = typeof openAi

/** What a build leaves on a disk, and the survey of it. */
const built = (wrap: Wrap, source: Source.Source, options: BuildOptions) =>
  Effect.gen(function*() {
    const world = yield* World.make({ wrap })
    world.memory.disk.makeDirectory(World.directory)
    return yield* world.simulate(
      Effect.gen(function*() {
        const stage = yield* Build.Build
        const location = new Build.RunLocation({ directory: World.directory, runTag: "k3f9a2x7qd" })
        const made = yield* stage.build(source, location, options)
        const survey = yield* Survey.ofShards(made.shards)
        return { made, survey }
      }).pipe(Effect.provide(Model.layerBuiltIn))
    )
  })

/** The survey of an input, and all that is on the disk after it. */
const surveyed = (wrap: Wrap, source: Source.Source, options: BuildOptions) =>
  Effect.gen(function*() {
    const { provider } = yield* TestProvider.make()
    const memory = MemoryDisk.make()
    const survey = yield* Survey.ofSource(source, options).pipe(
      Effect.provideService(Provider.Provider, wrap(provider)),
      Effect.provideService(Disk, memory.disk),
      Effect.provide(Model.layerBuiltIn)
    )
    return { survey, files: [...memory.files().keys()] }
  })

const names = {
  openai: ["gpt-5-mini", "gpt-4.1-mini-2025-04-14", "gpt-4.1-mini", "gpt-3.5-turbo", "somebody-elses"],
  anthropic: ["claude-haiku-4-5", "claude-opus-4-7", "claude-3-haiku-20240307", "somebody-elses"]
}

const rowsOf = (models: ReadonlyArray<string>) =>
  FastCheck.array(
    FastCheck.record({
      model: FastCheck.constantFrom(...models),
      prompt: FastCheck.string({ minLength: 1, maxLength: 400, unit: "grapheme" }),
      max_tokens: FastCheck.option(FastCheck.integer({ min: 1, max: 4_000 }), { nil: undefined })
    }, { requiredKeys: ["model", "prompt"] }),
    { minLength: 1, maxLength: 120 }
  )

const optionsOf = FastCheck.record({
  shardRows: FastCheck.integer({ min: 1, max: 60 }),
  shardBytes: FastCheck.integer({ min: 4_000, max: 30_000 }),
  limitItems: FastCheck.integer({ min: 1, max: 150 }),
  tryRows: FastCheck.integer({ min: 1, max: 10 })
}, { requiredKeys: [] })

const sizes = (shards: Survey.Survey["shards"]) =>
  shards.map(({ betas, bytes, endpoint, firstRow, id, lastRow, mode, model, rows }) => ({
    id,
    endpoint,
    model,
    betas,
    rows,
    bytes,
    firstRow,
    lastRow,
    mode
  }))

describe("a survey of an input", () => {
  for (const [name, wrap] of [["openai", openAi], ["anthropic", anthropic]] as const) {
    it.effect.prop(
      `sees what a build for ${name} makes, and writes nothing`,
      { rows: rowsOf(names[name]), how: optionsOf },
      ({ how, rows }) =>
        Effect.gen(function*() {
          const source = Source.fromRows(rows)
          const options = new BuildOptions(how)
          const { made, survey: after } = yield* built(wrap, source, options)
          const { files, survey } = yield* surveyed(wrap, source, options)
          assert.deepStrictEqual(sizes(survey.shards), sizes(made.shards))
          assert.strictEqual(survey.rows, made.rows)
          assert.strictEqual(survey.bytes, made.shards.reduce((sum, { bytes }) => sum + bytes, 0))
          assert.deepStrictEqual(survey.notices, made.notices)
          assert.deepStrictEqual(files, [])
          // The rows of several open shards may be in another order on the disk.
          const byName = (samples: Survey.Survey["samples"]) =>
            samples.toSorted((one, other) => one.model.name < other.model.name ? -1 : 1)
          assert.deepStrictEqual(byName(after.samples), byName(survey.samples))
        }),
      { fastCheck: { numRuns: 25 } }
    )
  }

  it.effect("sees whether prompts are cached", () =>
    Effect.gen(function*() {
      const cached = (ttl: object) => ({ cache_control: { type: "ephemeral", ...ttl } })
      const row = (part: object) => ({
        messages: [{ role: "user", content: [{ type: "text", text: "hello", ...part }] }]
      })
      const cachings = (wrap: Wrap, model: string, ...parts: ReadonlyArray<object>) =>
        Effect.map(
          surveyed(
            wrap,
            Source.fromRows(parts.map(row)),
            new BuildOptions({ defaults: new RequestDefaults({ model, maxTokens: 9 }) })
          ),
          ({ survey }) => survey.samples.map(({ caching }) => caching)
        )
      const claude = "claude-haiku-4-5"
      assert.deepStrictEqual(yield* cachings(openAi, "gpt-5-mini", {}), ["automatic"])
      assert.deepStrictEqual(yield* cachings(anthropic, claude, { text: "\"cache_control\" is a name" }), ["none"])
      assert.deepStrictEqual(yield* cachings(anthropic, claude, {}, cached({}), {}), ["5m"])
      assert.deepStrictEqual(yield* cachings(anthropic, claude, cached({ ttl: "1h" }), cached({ ttl: "5m" })), ["1h"])
    }))

  it.effect("counts the tokens of what is sent", () =>
    Effect.gen(function*() {
      const rows = [{ prompt: "hello world" }, { prompt: "hello", max_tokens: 7 }]
      const defaults = new RequestDefaults({ model: "gpt-4.1-mini" })
      const { survey } = yield* surveyed(openAi, Source.fromRows(rows), new BuildOptions({ defaults }))
      const [sample] = survey.samples
      assert.strictEqual(survey.samples.length, 1)
      assert(sample !== undefined)
      assert.strictEqual(sample.model.name, "gpt-4.1-mini")
      // A user's message has 4 tokens around its text, the conversation 3: (2 + 7) + (1 + 7).
      assert.deepStrictEqual({ ...sample.input }, { tokens: 17, low: 17, high: 17, exact: true })
      assert.deepStrictEqual([sample.rows, sample.cappedRows, sample.cappedTokens], [2, 1, 7])
      assert.strictEqual(sample.bytes, survey.bytes)
    }))

  it.effect("takes names of one model together, and keeps what is not known apart", () =>
    Effect.gen(function*() {
      const source = Source.fromRows([
        { model: "gpt-4.1-mini", prompt: "a" },
        { model: "gpt-4.1-mini-2025-04-14", prompt: "b" },
        { model: "my-org/llama", prompt: "c" }
      ])
      const { survey } = yield* surveyed(openAi, source, new BuildOptions({}))
      assert.deepStrictEqual(
        survey.samples.map(({ input, model, rows }) => [model.name, rows, input.exact]),
        [["gpt-4.1-mini", 2, true], ["my-org/llama", 1, false]]
      )
      assert.deepStrictEqual(Survey.estimate(survey).unpriced, ["gpt-4.1-mini", "my-org/llama"])
      assert.isNull(Survey.estimate(survey).batch)
    }))

  it.effect("of several answers a row takes the limit so many times", () =>
    Effect.gen(function*() {
      const body = { model: "gpt-4.1-mini", messages: [{ role: "user", content: "a" }], n: 3 }
      const source = Source.fromRows([{ custom_id: "a", body: { ...body, max_tokens: 10 } }, { custom_id: "b", body }])
      const { survey } = yield* surveyed(openAi, source, new BuildOptions({ endpoint: "/v1/chat/completions" }))
      assert.deepStrictEqual(
        survey.samples.map(({ cappedRows, cappedTokens }) => [cappedRows, cappedTokens]),
        [[2, 30 + 3 * 32_768]]
      )
    }))

  it.effect("sees that embeddings write nothing", () =>
    Effect.gen(function*() {
      const defaults = new RequestDefaults({ model: "text-embedding-3-small" })
      const options = new BuildOptions({ defaults, endpoint: "/v1/embeddings" })
      const { survey } = yield* surveyed(openAi, Source.fromRows([{ text: "hello world" }]), options)
      assert.deepStrictEqual(survey.samples.map(({ embeddings, input }) => [embeddings, input.tokens]), [[true, 2]])
      assert.deepStrictEqual({ ...Survey.estimate(survey).output }, { low: 0, high: 0, atMost: 0 })
    }))

  it.effect("fails where a build fails", () =>
    Effect.gen(function*() {
      const twice = Source.fromRows([{ id: "a", model: "m", prompt: "x" }, { id: "a", model: "m", prompt: "y" }])
      const error = yield* Effect.flip(surveyed(openAi, twice, new BuildOptions({})))
      assert.include(error.message, "the id \"a\" is that of line 1 too")
      const slip = Source.fromRows([{ model: "gpt-5-mni", prompt: "x" }])
      assert.include((yield* Effect.flip(surveyed(openAi, slip, new BuildOptions({})))).message, "gpt-5-mini?")
    }))

  it.effect("counts batches as they are sent, and not what is tried first", () =>
    Effect.gen(function*() {
      const rows = Array.from({ length: 10 }, () => ({ model: "gpt-5-mini", prompt: "x" }))
      const { survey } = yield* surveyed(openAi, Source.fromRows(rows), new BuildOptions({ tryRows: 2, shardRows: 4 }))
      assert.deepStrictEqual(survey.shards.map(({ mode, rows }) => [mode, rows]), [["sync", 2], ["batch", 4], [
        "batch",
        4
      ]])
      assert.strictEqual(Survey.estimate(survey).batches, 2)
    }))

  it.effect("of no rows is empty", () =>
    Effect.gen(function*() {
      const { survey } = yield* surveyed(openAi, Source.fromRows([]), new BuildOptions({}))
      assert.deepStrictEqual(survey, { shards: [], rows: 0, bytes: 0, samples: [], notices: [] })
    }))
})
