import * as Command from "@effect/cli/Command"
import * as CliOptions from "@effect/cli/Options"
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { normalize, type Syntax, syntaxOf } from "../../src/cli/Arguments.js"
import * as Options from "../../src/cli/Options.js"

const run: Syntax = {
  flags: [
    { names: ["--provider", "--backend", "-p"], takesValue: true, repeatable: false },
    { names: ["--model", "-m"], takesValue: true, repeatable: false },
    { names: ["--stop"], takesValue: true, repeatable: true },
    { names: ["--json"], takesValue: false, repeatable: false },
    { names: ["--no-wait"], takesValue: false, repeatable: false }
  ],
  operands: [{ name: "INPUT", optional: true }]
}

const status: Syntax = {
  flags: [{ names: ["--json"], takesValue: false, repeatable: false }],
  operands: [{ name: "RUN_DIR", optional: false }]
}

const commands = new Map([["run", run], ["status", status]])

const ordered = (...given: ReadonlyArray<string>) => Either.getOrThrow(normalize(given, commands))
const refused = (...given: ReadonlyArray<string>) => Either.getOrThrow(Either.flip(normalize(given, commands))).message

describe("Arguments", () => {
  it("puts flags first and the input last, wherever they stood", () => {
    const expected = ["run", "--model", "m", "--json", "--", "in.jsonl"]
    assert.deepStrictEqual(ordered("run", "in.jsonl", "--model", "m", "--json"), expected)
    assert.deepStrictEqual(ordered("run", "--model", "m", "in.jsonl", "--json"), expected)
    assert.deepStrictEqual(ordered("run", "--model", "m", "--json", "in.jsonl"), expected)
  })

  it("takes - as an input anywhere", () => {
    assert.deepStrictEqual(ordered("run", "-", "--model", "m"), ["run", "--model", "m", "--", "-"])
    assert.deepStrictEqual(ordered("run", "--json", "-"), ["run", "--json", "--", "-"])
  })

  it("takes values after = and by aliases", () => {
    assert.deepStrictEqual(ordered("run", "--backend=openai", "-m=x"), [
      "run",
      "--provider",
      "openai",
      "--model",
      "x",
      "--"
    ])
    assert.deepStrictEqual(ordered("run", "--model=a=b", "--stop="), ["run", "--model", "a=b", "--stop", "", "--"])
  })

  it("takes values that begin with a dash, but for flags", () => {
    assert.deepStrictEqual(ordered("run", "--stop", "-1", "--stop", "--- end"), [
      "run",
      "--stop",
      "-1",
      "--stop",
      "--- end",
      "--"
    ])
    assert.deepStrictEqual(ordered("run", "--stop=--json"), ["run", "--stop", "--json", "--"])
    assert.deepStrictEqual(ordered("run", "--stop=--"), ["run", "--stop=--", "--"])
    assert.strictEqual(
      refused("run", "--model", "--json"),
      "--model needs a value: write --model=VALUE when it begins with a dash."
    )
    assert.strictEqual(refused("run", "--model"), "--model needs a value.")
  })

  it("repeats only what may be repeated", () => {
    assert.deepStrictEqual(ordered("run", "--stop", "a", "--stop", "b"), ["run", "--stop", "a", "--stop", "b", "--"])
    assert.strictEqual(
      refused("run", "--backend", "a", "-p", "b"),
      "-p is given twice, and takes one value. Give it once."
    )
  })

  it("takes no value for a switch but true and false", () => {
    assert.deepStrictEqual(ordered("run", "--json=true", "--no-wait=false"), ["run", "--json", "--"])
    assert.strictEqual(refused("run", "--json=maybe"), "--json takes no value, and was given \"maybe\".")
  })

  it("takes everything after -- as it is", () => {
    assert.deepStrictEqual(ordered("run", "--json", "--", "--model"), ["run", "--json", "--", "--model"])
  })

  it("names what was probably meant", () => {
    assert.strictEqual(refused("rum"), "There is no command \"rum\". Did you mean run?")
    assert.strictEqual(refused("frobnicate"), "There is no command \"frobnicate\". See llm-batch --help.")
    assert.strictEqual(refused("run", "--modle", "x"), "llm-batch run has no flag --modle. Did you mean --model?")
    assert.strictEqual(refused("run", "--frob"), "llm-batch run has no flag --frob. See llm-batch run --help.")
    assert.strictEqual(
      refused("status", "d", "--provider", "x"),
      "llm-batch status has no --provider: that is a flag of llm-batch run."
    )
    assert.strictEqual(
      refused("--model", "x", "run"),
      "The command comes first: llm-batch run --model ... See llm-batch --help."
    )
  })

  it("counts what is no flag", () => {
    assert.strictEqual(refused("status"), "llm-batch status needs RUN_DIR. See llm-batch status --help.")
    assert.strictEqual(
      refused("run", "what", "is"),
      "\"is\" is one too many: llm-batch run takes INPUT. Put quotes around what has spaces."
    )
    assert.strictEqual(refused("run", ""), "INPUT is empty.")
  })

  it("finds the wish for help or the version", () => {
    for (const given of [[], ["--help"], ["-h"], ["help"]]) assert.deepStrictEqual(ordered(...given), ["--help"])
    assert.deepStrictEqual(ordered("run", "in.jsonl", "--help"), ["run", "--help"])
    assert.deepStrictEqual(ordered("help", "run"), ["run", "--help"])
    assert.deepStrictEqual(ordered("--version"), ["--version"])
  })

  it("knows the flags of a command from its usage", () => {
    const command = Command.make("run", {
      directory: Options.runDirectory,
      input: Options.input,
      flags: Options.settings(["provider", "stop", "no_wait"]),
      format: CliOptions.choice("format", ["csv", "tsv"])
    })
    assert.deepStrictEqual(syntaxOf(Command.getUsage(command)), {
      flags: [
        { names: ["--provider", "--backend", "-p"], takesValue: true, repeatable: false },
        { names: ["--stop"], takesValue: true, repeatable: true },
        { names: ["--no-wait"], takesValue: false, repeatable: false },
        { names: ["--format"], takesValue: true, repeatable: false }
      ],
      operands: [{ name: "RUN_DIR", optional: false }, { name: "INPUT", optional: true }]
    })
  })
})
