import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, FastCheck, Schema, TestClock } from "effect"
import { readFileSync } from "node:fs"
import * as Disk from "../src/internal/Disk.js"
import * as MemoryDisk from "../src/internal/MemoryDisk.js"
import * as Model from "../src/Model.js"

const { find } = Model.builtIn

/** `= name` for a model, `? name` for a suggestion, `-` for none. */
const found = (name: string, catalogue: Model.Service = Model.builtIn): string => {
  const lookup = catalogue.find(name)
  switch (lookup._tag) {
    case "Known":
      return `= ${lookup.model.name}`
    case "Near":
      return `? ${lookup.suggestion}`
    case "Unknown":
      return "-"
  }
}

const november = Date.UTC(2026, 10, 20)

/** The catalogue as it is on the 20th of November 2026. */
const loaded = Effect.zipRight(TestClock.setTime(november), Model.load)

const known = (catalogue: Model.Service, name: string): Model.Model => {
  const lookup = catalogue.find(name)
  assert(lookup._tag === "Known", name)
  return lookup.model
}

describe("find", () => {
  const names: ReadonlyArray<readonly [name: string, answer: string]> = [
    ["gpt-5-mini", "= gpt-5-mini"],
    ["gpt-5-mini-2025-08-07", "= gpt-5-mini"],
    ["gpt-4.1-mini-2025-04-14", "= gpt-4.1-mini"],
    ["gpt-4o-2024-11-20", "= gpt-4o"],
    ["gpt-4o-2024-05-13", "= gpt-4o-2024-05-13"],
    ["gpt-5.6", "= gpt-5.6-sol"],
    ["claude-haiku-4-5", "= claude-haiku-4-5"],
    ["claude-haiku-4-5-20251001", "= claude-haiku-4-5"],
    ["claude-opus-4-5@20251101", "= claude-opus-4-5"],
    ["claude-3-5-haiku-latest", "= claude-3-5-haiku"],
    ["claude-opus-4-20250514", "= claude-opus-4-0"],
    ["claude-sonnet-5", "= claude-sonnet-5"],
    ["claude-sonnet-5-5", "= claude-sonnet-5-5"],
    ["openai/gpt-5-mini", "= openai/gpt-5-mini"],
    ["ft:gpt-4.1-mini-2025-04-14:my-org::AbC123", "= ft:gpt-4.1-mini-2025-04-14:my-org::AbC123"],

    ["gpt-5-mni", "? gpt-5-mini"],
    ["gpt-5-minni", "? gpt-5-mini"],
    ["gtp-5-mini", "? gpt-5-mini"],
    ["gpt5-mini", "? gpt-5-mini"],
    ["gpt-41-mini", "? gpt-4.1-mini"],
    ["gpt-5-2", "? gpt-5.2"],
    ["GPT-4o", "? gpt-4o"],
    ["gpt-4.1-mni-2025-04-14", "? gpt-4.1-mini-2025-04-14"],
    ["ft:gpt-4.1-mni:org::id", "? ft:gpt-4.1-mini:org::id"],
    ["claude-haiku-45", "? claude-haiku-4-5"],
    ["claude-haiku-4.5", "? claude-haiku-4-5"],
    ["claude-hiaku-4-5", "? claude-haiku-4-5"],
    ["claude-4-5-haiku", "? claude-haiku-4-5"],
    ["claude-sonet-5-5", "? claude-sonnet-5-5"],

    ["gpt-6-mini", "-"],
    ["gpt-5.7", "-"],
    ["gpt-5-max", "-"],
    ["gpt-5-mini-high", "-"],
    ["o5-mini", "-"],
    ["claude-opus-6", "-"],
    ["claude-haiku-5", "-"],
    ["claude-sonnet-5-6", "-"],
    ["ft:gpt-7:org::id", "-"],
    ["my-org/llama-3", "-"],
    ["my-org/gpt-5-mini", "-"],
    ["llama-3.3-70b-versatile", "-"],
    ["gemini-3-pro", "-"],
    ["my-deployment", "-"],
    ["", "-"]
  ]
  for (const [name, answer] of names) {
    it(`${name} ${answer}`, () => assert.strictEqual(found(name), answer))
  }

  it("finds every name that the official SDKs list", () => {
    const openAi = readFileSync("node_modules/openai/resources/shared.d.ts", "utf8")
    const anthropic = readFileSync("node_modules/@anthropic-ai/sdk/resources/messages/messages.d.ts", "utf8")
    const declared = [/type ChatModel = (.*);/.exec(openAi)?.[1], /type Model = (.*);/.exec(anthropic)?.[1]].join()
    const names = [...declared.matchAll(/'([^']+)'/g)].map(([, name]) => name ?? "")
    assert.isAbove(names.length, 80)
    assert.deepStrictEqual(
      names.filter((name) => find(name)._tag !== "Known"),
      // Of no page of a model, and without a price list's entry of its own.
      ["gpt-5.1-mini", "gpt-4-vision-preview", "gpt-3.5-turbo-0301"]
    )
  })

  it.prop(
    "never takes one version for another",
    [FastCheck.constantFrom(...Model.builtIn.models), FastCheck.nat(99)],
    ([
      model,
      version
    ]) => {
      const other = model.name.replace(/\d+/, String(version))
      const lookup = find(other)
      assert.isTrue(lookup._tag !== "Known" || [lookup.model.name, ...lookup.model.aliases].includes(other))
      if (lookup._tag === "Near") {
        assert.strictEqual(lookup.suggestion.replace(/\D/g, ""), other.replace(/\D/g, ""))
      }
    }
  )

  it.effect("gives fine-tuned models the rules of their base, and no price", () =>
    Effect.gen(function*() {
      const catalogue = yield* loaded
      const tuned = known(catalogue, "ft:gpt-4.1-mini:org::id")
      assert.strictEqual(tuned.maxOutput, 32_768)
      assert.isNotNull(known(catalogue, "gpt-4.1-mini").prices)
      assert.isNull(tuned.prices)
      assert.isNull(known(catalogue, "openai/gpt-5-mini").prices)
    }))
})

describe("prices", () => {
  /** Published, US dollars for a million tokens: input, output, cache reads, 5 minute writes, 1 hour writes. */
  const published: ReadonlyArray<readonly [name: string, ...rates: ReadonlyArray<number | null>]> = [
    ["claude-opus-5-5", 4, 20, 0.2, 5, 8],
    ["claude-opus-5", 5, 25, 0.5, 6.25, 10],
    ["claude-opus-4-5", 5, 25, 0.5, 6.25, 10],
    ["claude-sonnet-5-5", 2, 10, 0.1, 2.5, 4],
    ["claude-sonnet-5", 2, 10, 0.2, 2.5, 4],
    ["claude-sonnet-4-6", 3, 15, 0.3, 3.75, 6],
    ["claude-haiku-5-5", 0.1, 0.5, 0.01, 0.125, 0.2],
    ["claude-haiku-4-5", 1, 5, 0.1, 1.25, 2],
    ["claude-3-haiku", 0.25, 1.25, 0.03, 0.3, 0.5],
    ["gpt-5.5", 5, 30, 0.5, null, null],
    ["gpt-5.4-mini", 0.75, 4.5, 0.075, null, null],
    ["gpt-5.2", 1.75, 14, 0.175, null, null],
    ["gpt-5-mini", 0.25, 2, 0.025, null, null],
    ["gpt-5-nano", 0.05, 0.4, 0.005, null, null],
    ["gpt-4.1", 2, 8, 0.5, null, null],
    ["gpt-4o-mini", 0.15, 0.6, 0.075, null, null],
    ["gpt-4o-2024-05-13", 5, 15, null, null, null],
    ["o3", 2, 8, 0.5, null, null],
    ["o4-mini", 1.1, 4.4, 0.275, null, null],
    ["text-embedding-3-small", 0.02, null, null, null, null]
  ]

  it.effect("are the published ones, of the day", () =>
    Effect.gen(function*() {
      const catalogue = yield* loaded
      for (const [name, ...rates] of published) {
        const { prices } = known(catalogue, name)
        assert.isNotNull(prices, name)
        assert.deepStrictEqual(
          [prices?.input, prices?.output, prices?.cacheRead, prices?.cacheWrite5m, prices?.cacheWrite1h],
          rates,
          name
        )
        assert.strictEqual(prices?.batchFactor, 0.5)
      }
    }))

  it.effect("know those of long prompts, and of another day", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.UTC(2026, 6, 1))
      const july = yield* Model.load
      yield* TestClock.setTime(november)
      const now = yield* Model.load
      assert.strictEqual(known(july, "gpt-5.6-luna").prices?.input, 1)
      assert.strictEqual(known(now, "gpt-5.6-luna").prices?.input, 0.2)
      assert.deepInclude(known(now, "gpt-5.4").prices?.long, { above: 271_999, input: 5, output: 22.5 })
      assert.deepInclude(known(now, "claude-haiku-5-5").prices?.long, { above: 100_000, input: 0.5, cacheWrite1h: 1 })
    }))

  it.effect("tell where they are from, and stay unknown where nobody says", () =>
    Effect.gen(function*() {
      const catalogue = yield* loaded
      assert.strictEqual(known(catalogue, "gpt-5-mini").prices?.source, "genai-prices")
      assert.strictEqual(known(catalogue, "claude-sonnet-5-5").prices?.source, "config/models.yaml, 2026-11-20")
      assert.isNull(known(catalogue, "claude-mythos-5-2").prices)
    }))

  it.effect("come with dates of retirement", () =>
    Effect.gen(function*() {
      const sonnet = known(yield* loaded, "claude-sonnet-4-5-20250929")
      assert.strictEqual(sonnet.retires, "2026-11-30")
      assert.isFalse(Model.isRetired(sonnet, "2026-11-29"))
      assert.isTrue(Model.isRetired(sonnet, "2026-11-30"))
    }))

  it.effect("serialise", () =>
    Effect.gen(function*() {
      const catalogue = yield* loaded
      for (const model of catalogue.models) {
        const json: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(Model.Model)(model)))
        assert.deepStrictEqual(Schema.decodeUnknownSync(Model.Model)(json), model)
      }
    }))
})

describe("extend", () => {
  const extended = (text: string) => Model.extend(Model.builtIn, text, "mine.yaml")
  const wrong = (text: string): string => {
    const result = extended(text)
    return Either.isLeft(result) ? result.left.message : "right"
  }

  it("changes what an entry says, and nothing else", () => {
    const catalogue = Either.getOrThrow(extended(`
models:
  gpt-5-mini:
    prices: { input: 0.3, output: 2.5, cache_read: 0.03 }
    accepts: { efforts: [low] }
    as_of: 2027-01-15
`))
    const before = known(Model.builtIn, "gpt-5-mini")
    const model = known(catalogue, "gpt-5-mini-2025-08-07")
    assert.strictEqual(model.maxOutput, before.maxOutput)
    assert.deepStrictEqual(model.accepts, { ...before.accepts, efforts: ["low"] })
    assert.deepInclude(model.prices, { input: 0.3, output: 2.5, cacheRead: 0.03, cacheWrite5m: null, batchFactor: 0.5 })
    assert.strictEqual(model.prices?.source, "mine.yaml, 2027-01-15")
    assert.strictEqual(found("gpt-5-mni", catalogue), "? gpt-5-mini")
  })

  it("adds models, by themselves or like others", () => {
    const catalogue = Either.getOrThrow(extended(`
models:
  my-org/llama-3:
    provider: openai
    context: 131072
    max_output: 8192
    aliases: [llama]
    prices: { input: 0.2, output: 0.6, batch_factor: 1, long: { above: 1000, input: 0.4, output: 1.2 } }
  gpt-7-mini:
    like: gpt-5.6-luna
    retires: 2030-01-01
`))
    assert.strictEqual(found("llama", catalogue), "= my-org/llama-3")
    const llama = known(catalogue, "my-org/llama-3")
    assert.deepInclude(llama, { provider: "openai", context: 131_072, tokenizer: null })
    assert.deepInclude(llama.prices, { batchFactor: 1 })
    assert.deepInclude(llama.prices?.long, { above: 1_000, input: 0.4 })
    const mini = known(catalogue, "gpt-7-mini")
    assert.deepStrictEqual(mini.accepts, known(catalogue, "gpt-5.6-luna").accepts)
    assert.deepInclude(mini, { prices: null, retires: "2030-01-01", tokenizer: "o200k_base" })
    assert.strictEqual(found("gpt-7-mni", catalogue), "? gpt-7-mini")
  })

  it("takes an empty file for nothing", () => {
    for (const text of ["", "# nothing\n"]) {
      assert.strictEqual(Either.getOrThrow(extended(text)).models.length, Model.builtIn.models.length)
    }
  })

  const faults: ReadonlyArray<readonly [text: string, message: string]> = [
    [
      "models:\n  gpt-5-mini:\n    prices: { input: cheap, output: 2 }\n",
      "mine.yaml:3:15: gpt-5-mini.prices.input: found the string \"cheap\". It must be US dollars for a million tokens, from 0."
    ],
    [
      "models:\n  gpt-5-mini:\n    context: 4e5\n    contxt: 3\n",
      "mine.yaml:4:5: gpt-5-mini.contxt: there is no such field. Did you mean context?"
    ],
    [
      "models:\n  gpt-5-mini:\n    retires: soon\n",
      "mine.yaml:3:5: gpt-5-mini.retires: found the string \"soon\". It must be a day, such as 2026-11-30."
    ],
    [
      "models:\n  gpt-5-mini:\n    prices:\n      output: 2\n",
      "mine.yaml:3:5: gpt-5-mini.prices.input: it is missing. See config/models.yaml of this package for the fields and what they take."
    ],
    [
      "models:\n  gpt-5-mini:\n    accepts:\n      sampling: all\n",
      "mine.yaml:4:7: gpt-5-mini.accepts.sampling: found the string \"all\". It must be one of any, one, without_reasoning, none."
    ],
    [
      "models:\n  mine:\n    context: 5\n",
      "mine.yaml:2:3: mine: no model of this name is known. "
      + "Add \"provider: openai\" or \"provider: anthropic\", or \"like:\" a model that is known."
    ],
    [
      "models:\n  mine:\n    like: gpt-99\n",
      "mine.yaml:3:5: mine.like: no model \"gpt-99\" is known. Name one that stands further up, or in llm-batch models."
    ],
    [
      "modls: {}\n",
      "mine.yaml:1:1: there is no field \"modls\". Write \"models:\", and below it one name a line with its fields below."
    ],
    ["models:\n  mine: 3\n", "mine.yaml:2:3: mine: it has no fields. Write its fields below, further in."]
  ]
  for (const [text, message] of faults) {
    it(message, () => assert.strictEqual(wrong(text), message))
  }

  it("says where a file is not YAML", () =>
    assert.match(wrong("models:\n  a: [1\n"), /^mine\.yaml:\d+:\d+: this is not YAML: /))

  it.effect("reads a file of the user's over all", () => {
    const { disk } = MemoryDisk.make()
    const handle = disk.open("/mine.yaml", "write")
    const bytes = Buffer.from("models:\n  gpt-5-mini:\n    prices: null\n")
    handle.write(bytes, 0, bytes.length)
    handle.close()
    return Effect.gen(function*() {
      const catalogue = yield* Model.Catalogue
      assert.isNull(known(catalogue, "gpt-5-mini").prices)
      assert.isNotNull(known(catalogue, "gpt-5-nano").prices)
    }).pipe(Effect.provide(Model.layerFile("/mine.yaml")), Effect.provideService(Disk.Disk, disk))
  })
})

describe("problems", () => {
  const problems = (name: string, body: { readonly [field: string]: unknown }) =>
    Model.problems(known(Model.builtIn, name), body).map(({ field, remedy, rule }) =>
      `${field}: ${rule}. ${remedy ?? ""}`
    )

  const refused: ReadonlyArray<readonly [name: string, body: { readonly [field: string]: unknown }, problem: string]> =
    [
      [
        "gpt-5-mini",
        { reasoning_effort: "hgih" },
        "reasoning_effort: it is \"hgih\", and the model takes minimal, low, medium, high. Did you mean high?"
      ],
      [
        "gpt-5.1",
        { reasoning: { effort: "minimal" } },
        "reasoning.effort: it is \"minimal\", and the model takes none, low, medium, high. Use one of these"
      ],
      [
        "gpt-5-pro",
        { reasoning_effort: "low" },
        "reasoning_effort: it is \"low\", and the model takes high. Use one of these"
      ],
      ["gpt-4.1", { reasoning_effort: "low" }, "reasoning_effort: it does not reason. Leave it out"],
      ["gpt-5-mini", { temperature: 0.2 }, "temperature: it always reasons, and takes 1 only. Leave it out"],
      [
        "gpt-5.2",
        { top_p: 0.2, reasoning: { effort: "low" } },
        "top_p: with reasoning_effort \"low\" it takes 1 only. Leave it out"
      ],
      ["o3", { stop: "END" }, "stop: it always reasons, and takes none. Leave it out"],
      ["gpt-4o", { max_tokens: 16_385 }, "max_tokens: it is 16385, and 16384 is the most. Ask for less"],
      [
        "gpt-4.1-mini",
        { max_output_tokens: 40_000 },
        "max_output_tokens: it is 40000, and 32768 is the most. Ask for less"
      ],
      [
        "gpt-4-turbo",
        { response_format: { type: "json_schema", json_schema: {} } },
        "response_format: the model cannot be held to a schema. Describe the format in the prompt"
      ],
      [
        "claude-3-haiku-20240307",
        { max_tokens: 5_000 },
        "max_tokens: it is 5000, and 4096 is the most. Ask for less"
      ],
      [
        "claude-3-haiku-20240307",
        { max_tokens: 4_096, thinking: { type: "enabled", budget_tokens: 2_000 } },
        "thinking: the model does not think before it answers. Leave it out"
      ],
      [
        "claude-opus-4-6",
        { thinking: { type: "enabled", budget_tokens: 2_000 } },
        "thinking: its type is \"enabled\", and the model takes adaptive. "
        + "Use {\"type\": \"adaptive\"}, and reasoning_effort to say how much"
      ],
      [
        "claude-haiku-4-5",
        { max_tokens: 2_000, thinking: { type: "enabled", budget_tokens: 2_000 } },
        "thinking.budget_tokens: it is 2000, not less than max_tokens (2000). Raise max_tokens above it"
      ],
      [
        "claude-haiku-4-5",
        { max_tokens: 2_000, thinking: { type: "enabled", budget_tokens: 1_000 } },
        "thinking.budget_tokens: it is 1000, and 1024 is the least. Raise it, or leave thinking out"
      ],
      [
        "claude-haiku-4-5",
        { max_tokens: 4_096, thinking: { type: "enabled", budget_tokens: 2_000 }, temperature: 0.5 },
        "temperature: it is 0.5, and only 1 is taken with thinking. Switch thinking off"
      ],
      [
        "claude-haiku-4-5",
        { max_tokens: 4_096, thinking: { type: "enabled", budget_tokens: 2_000 }, top_p: 0.9 },
        "top_p: it is 0.9, and 0.95 to 1 is taken with thinking. Switch thinking off"
      ],
      ["claude-opus-4-8", { temperature: 0 }, "temperature: the model chooses its own sampling. Leave it out"],
      [
        "claude-haiku-4-5",
        { temperature: 0.5, top_p: 0.5 },
        "top_p: the model takes temperature or top_p, not both. Keep one of the two"
      ],
      [
        "claude-sonnet-4-5",
        { output_config: { effort: "low" } },
        "output_config.effort: the model has no levels of effort. "
        + "Use thinking {\"type\": \"enabled\", \"budget_tokens\": 1024} or more"
      ],
      [
        "claude-opus-4-6",
        { reasoning_effort: "xhigh" },
        "reasoning_effort: it is \"xhigh\", and the model takes low, medium, high, max. Did you mean high?"
      ],
      ["claude-opus-5-5", { reasoning_effort: "minimal" }, "reasoning_effort: Anthropic has no such level. Use low"]
    ]
  for (const [name, body, problem] of refused) {
    it(`${name} ${problem}`, () => assert.deepStrictEqual(problems(name, body), [problem]))
  }

  const taken: ReadonlyArray<readonly [name: string, body: { readonly [field: string]: unknown }]> = [
    ["gpt-5-mini", { temperature: 1, top_p: 1, reasoning_effort: "minimal", max_completion_tokens: 128_000 }],
    ["gpt-5.2", { temperature: 0.2, stop: "END", reasoning_effort: "none" }],
    ["gpt-5.6-sol", { reasoning: { effort: "max" } }],
    ["gpt-4o", { temperature: 0.2, top_p: 0.3, logprobs: true, max_tokens: 16_384, stop: ["a"] }],
    ["o1", { stop: "END", reasoning_effort: null, temperature: null }],
    ["claude-3-haiku-20240307", { temperature: 0.3, top_p: 0.2, top_k: 5, max_tokens: 4_096 }],
    ["claude-haiku-4-5", { max_tokens: 4_096, thinking: { type: "enabled", budget_tokens: 2_000 }, top_p: 0.95 }],
    ["claude-haiku-4-5", { max_tokens: 2_000, thinking: { type: "disabled" }, temperature: 0 }],
    ["claude-haiku-4-5", { reasoning_effort: "none" }],
    [
      "claude-sonnet-4-5",
      {
        max_tokens: 4_096,
        thinking: { type: "enabled", budget_tokens: 9_000 },
        betas: ["interleaved-thinking-2025-05-14"]
      }
    ],
    ["claude-3-7-sonnet-latest", { max_tokens: 128_000, betas: ["output-128k-2025-02-19"] }],
    ["claude-opus-5-5", { temperature: 1, thinking: { type: "adaptive" }, output_config: { effort: "xhigh" } }]
  ]
  for (const [name, body] of taken) {
    it(`${name} takes ${JSON.stringify(body)}`, () => assert.deepStrictEqual(problems(name, body), []))
  }

  it("finds nothing with a model that it does not know", () =>
    assert.deepStrictEqual(
      Model.problems(Model.unknown("my-org/llama-3", "openai"), {
        temperature: 3,
        reasoning_effort: "huge",
        max_tokens: 1e9,
        stop: "x"
      }),
      []
    ))
})
