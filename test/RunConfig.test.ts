import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { BuildOptions } from "../src/BuildOptions.js"
import { RequestDefaults } from "../src/Request.js"
import * as RunConfig from "../src/RunConfig.js"
import { InputDescription, RunDescription } from "../src/RunState.js"

const decoded = (text: string) => Either.getOrThrow(RunConfig.decode(text, "eval.yaml"))
const refused = (text: string) => Either.getOrThrow(Either.flip(RunConfig.decode(text, "eval.yaml"))).message

describe("RunConfig.decode", () => {
  it("reads settings under the names of the flags, with either dash", () => {
    assert.deepStrictEqual(
      decoded("input: items.jsonl\nbackend: openai\ntop-p: 0.9\nmax_tokens: 400\nstop: END\nno-wait: true\n"),
      { input: "items.jsonl", provider: "openai", top_p: 0.9, max_tokens: 400, stop: ["END"], no_wait: true }
    )
    assert.deepStrictEqual(decoded("stop: [a, b]\ncolumns: label, text\nvar: {name: Ada, year: 1843, born: true}"), {
      stop: ["a", "b"],
      columns: ["label", "text"],
      var: { name: "Ada", year: "1843", born: "true" }
    })
  })

  it("takes an empty file, and settings without a value, for nothing said", () => {
    assert.deepStrictEqual(decoded(""), {})
    assert.deepStrictEqual(decoded("# nothing\n"), {})
    assert.deepStrictEqual(decoded("model:\n"), {})
  })

  it.each([
    ["200ms", 200],
    ["60s", 60_000],
    ["1.5s", 1_500],
    ["10m", 600_000],
    ["24h", 86_400_000],
    ["2d", 172_800_000]
  ])("reads the time %s", (text, millis) => {
    assert.strictEqual(Duration.toMillis(decoded(`max_wait: ${text}`).max_wait ?? Duration.zero), millis)
  })

  const time = "It must be a time with its unit, such as 200ms, 60s, 10m or 24h, and at most 30d."

  it.each([
    ["model: x\nmodle: y\n", "eval.yaml:2:1: there is no setting \"modle\". Did you mean model?"],
    [
      "frobnicate: 1",
      "eval.yaml:1:1: there is no setting \"frobnicate\". Its settings are the flags of llm-batch run: "
      + "llm-batch run --help"
    ],
    ["\ntemperature: hot", "eval.yaml:2:1: temperature: found the string \"hot\". It must be a number from 0 to 2."],
    ["temperature: 3", "eval.yaml:1:1: temperature: found the number 3. It must be a number from 0 to 2."],
    ["model: 5", "eval.yaml:1:1: model: found the number 5. It must be a text that is not empty."],
    ["limit-items: -2", "eval.yaml:1:1: limit-items: found the number -2. It must be a whole number above 0."],
    ["poll_interval: 60", `eval.yaml:1:1: poll_interval: found the number 60. ${time}`],
    ["poll_interval: 60 s", `eval.yaml:1:1: poll_interval: found the string "60 s". ${time}`],
    ["poll_interval: 0s", `eval.yaml:1:1: poll_interval: found the string "0s". ${time}`],
    ["max_wait: 31d", `eval.yaml:1:1: max_wait: found the string "31d". ${time}`],
    ["retries: 11", "eval.yaml:1:1: retries: found the number 11. It must be a whole number from 0 to 10."],
    ["retries: 0.5", "eval.yaml:1:1: retries: found the number 0.5. It must be a whole number from 0 to 10."],
    ["mode: soon", "eval.yaml:1:1: mode: found the string \"soon\". It must be one of batch, sync, auto."],
    ["dry_run: maybe", "eval.yaml:1:1: dry_run: found the string \"maybe\". It must be true or false."],
    [
      "run_id: ../x",
      "eval.yaml:1:1: run_id: found the string \"../x\". It must be up to 100 letters, digits, dots, dashes and "
      + "underscores, a letter or digit first."
    ],
    ["top_p: 1\ntop-p: 1", "eval.yaml:2:1: top_p is set a second time. Keep one of the two."],
    [
      "model: x\nmodel: y",
      "eval.yaml:2:1: this is not YAML: Map keys must be unique. Write one \"key: value\" a line, such as "
      + "model: gpt-5-mini"
    ],
    [
      "just words",
      "eval.yaml:1:1: the file holds no settings. Write one \"key: value\" a line, such as model: gpt-5-mini"
    ]
  ])("refuses %j", (text, message) => {
    assert.strictEqual(refused(text), message)
  })
})

describe("RunConfig.format", () => {
  const description = (options: BuildOptions, retries = 0) =>
    new RunDescription({
      runId: "r1",
      runTag: "abcdefghij",
      provider: "anthropic",
      input: new InputDescription({
        name: "in.csv",
        path: "/data/in.csv",
        format: "csv",
        columns: ["a", "b"],
        bytes: 9
      }),
      options,
      retries
    })

  it("writes what makes the same run again", () => {
    const text = RunConfig.format(description(
      new BuildOptions({
        endpoint: "/v1/messages",
        defaults: new RequestDefaults({
          model: "claude-haiku-4-5",
          system: "Be brief.\nBe kind: always.",
          maxTokens: 100,
          stop: ["--", "# no comment"],
          thinking: { type: "enabled", budget_tokens: 2_000 },
          responseFormat: { type: "json_object" },
          tools: [{ type: "function", function: { name: "f" } }]
        }),
        prompt: "{{a}}?",
        idColumn: "b",
        variables: { x: "1" },
        drop: ["top_k"],
        limitItems: 3,
        shardRows: 2
      }),
      3
    ))
    assert.deepStrictEqual(decoded(text), {
      input: "/data/in.csv",
      input_format: "csv",
      columns: ["a", "b"],
      provider: "anthropic",
      endpoint: "/v1/messages",
      model: "claude-haiku-4-5",
      system: "Be brief.\nBe kind: always.",
      max_tokens: 100,
      stop: ["--", "# no comment"],
      thinking: 2_000,
      response_format: { type: "json_object" },
      tools: [{ type: "function", function: { name: "f" } }],
      prompt: "{{a}}?",
      id_column: "b",
      var: { x: "1" },
      drop: ["top_k"],
      limit_items: 3,
      shard_rows: 2,
      retries: 3
    })
  })

  it("says of a job what it would take otherwise, since a job has defaults of its own", () => {
    const job = { name: "translate", options: { input: "/data/en.json", targetLanguage: "fr", batchSize: 10 } }
    const made = (mode: "auto" | "batch", rounds: number) =>
      decoded(RunConfig.format(
        new RunDescription({ ...description(new BuildOptions({})), mode, retries: rounds, repair: rounds, job })
      ))
    assert.deepStrictEqual(made("batch", 0), {
      provider: "anthropic",
      mode: "batch",
      retries: 0,
      repair: 0,
      job: "translate",
      input: "/data/en.json",
      target_lang: "fr",
      batch_size: 10
    })
    const auto = made("auto", 2)
    assert.deepStrictEqual([auto.mode, auto.batch_threshold, auto.retries, auto.repair], ["auto", 100, 2, 2])
  })

  it("leaves out what nobody set", () => {
    assert.deepStrictEqual(decoded(RunConfig.format(description(new BuildOptions({})))), {
      input: "/data/in.csv",
      input_format: "csv",
      columns: ["a", "b"],
      provider: "anthropic"
    })
  })
})
