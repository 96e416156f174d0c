/**
 * What a run will cost, as the command line tells it: `estimate` as a process that sees neither a key nor a network (they
 * run live, as Processes.ts says), and `run` before it sends.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Pipeline } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { advance } from "../../src/cli/Advance.js"
import { Output } from "../../src/cli/Output.js"
import * as World from "../World.js"
import { llmBatch, questions, start, workspace } from "./Processes.js"

const root = resolve(import.meta.dirname, "..", "..")

/** A place with an input and a file of models, where each million of tokens costs 1 dollar to read and 10 to write. */
const place = Effect.gen(function*() {
  const cwd = yield* workspace
  const write = (name: string, text: string) => writeFileSync(join(cwd, name), text)
  write("in.jsonl", "{\"prompt\":\"hello world\"}\n".repeat(100))
  write(
    "models.yaml",
    "models:\n  round:\n    like: gpt-4.1-mini\n    prices: { input: 1, output: 10 }\n"
      + "  old:\n    like: gpt-4.1-mini\n    retires: 2020-01-01\n"
  )
  return { cwd, write, run: (...args: ReadonlyArray<string>) => llmBatch(args, { cwd }) }
})

/** The names and rows of the models in an estimate as JSON. */
const modelsIn = (models: ReadonlyArray<{ readonly model: string; readonly rows: number }>) =>
  models.map(({ model, rows }) => [model, rows] as const)

const round = ["--provider", "openai", "--model", "round", "--models-file", "models.yaml"]

describe("estimate", () => {
  it.scopedLive("tells rows, batches, tokens and both prices, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const { cwd, run } = yield* place
      const { code, stderr, stdout } = yield* run("estimate", "in.jsonl", ...round, "--max-tokens", "50")
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stderr, "")
      // 100 x (2 + 7) tokens are read: $0.0009. 100 x 20 to 100 x 50 are written: $0.02 to $0.05. A batch costs half.
      assert.deepStrictEqual(
        stdout.split("\n").map((line) => line.split(/ {2,}/u)).filter(([label]) => label !== "size"),
        [
          ["rows", "100 in 1 batch"],
          ["input", "900 tokens"],
          ["output", "2,000 to 5,000 tokens"],
          ["cost", "$0.0105 to $0.0255"],
          ["saved", "$0.0105 to $0.0255 against $0.0209 to $0.0509 without batches"],
          [""]
        ]
      )
      assert.match(stdout, /^size +\d+\.\d kB; a batch takes up to 50,000 rows and 200\.0 MB$/mu)
      assert.deepStrictEqual(readdirSync(cwd).toSorted(), ["in.jsonl", "models.yaml"])
    }))

  it.scopedLive("says the same as JSON, with amounts to the last digit", () =>
    Effect.gen(function*() {
      const { run } = yield* place
      const flags = ["--max-tokens", "50", "--shard-rows", "40", "--json"]
      const { code, stderr, stdout } = yield* run("estimate", "in.jsonl", ...round, ...flags)
      assert.strictEqual(code, 0, stderr)
      const { bytes, models, ...rest } = JSON.parse(stdout)
      assert.deepStrictEqual(rest, {
        provider: "openai",
        mode: "batch",
        shards: 3,
        rows: 100,
        batches: 3,
        input: { tokens: 900, low: 900, high: 900, exact: true },
        output: { low: 2_000, high: 5_000, atMost: 5_000 },
        batch: { low: "0.01045", high: "0.02545", atMost: "0.02545" },
        synchronous: { low: "0.0209", high: "0.0509", atMost: "0.0509" },
        saving: { low: "0.01045", high: "0.02545" },
        unpriced: [],
        reused: { cache: 0, input: 0 },
        warnings: []
      })
      assert.deepStrictEqual(modelsIn(models), [["round", 100]])
      assert.isAbove(bytes, 10_000)
    }))

  it.scopedLive("takes the full price first where rows are asked one by one", () =>
    Effect.gen(function*() {
      const { run } = yield* place
      const flags = ["--max-tokens", "50", "--mode", "auto"]
      const { stdout } = yield* run("estimate", "in.jsonl", ...round, ...flags)
      assert.match(stdout, /^rows +100, asked one by one$/mu)
      assert.match(stdout, /^cost +\$0\.0209 to \$0\.0509$/mu)
      assert.match(stdout, /^instead +\$0\.0105 to \$0\.0255 in batches$/mu)
    }))

  it.scopedLive("never takes an unknown cost for nothing", () =>
    Effect.gen(function*() {
      const { run } = yield* place
      const { code, stderr, stdout } = yield* run("estimate", "in.jsonl", "--provider", "openai", "--model", "gpt-7")
      assert.strictEqual(code, 0, stderr)
      assert.match(stdout, /^cost +unknown$/mu)
      assert.notInclude(stdout, "$")
      assert.match(stderr, /^warning: gpt-7: not in the catalogue of models\. /u)
    }))

  it.scopedLive("warns of models that are retired, or have no known price", () =>
    Effect.gen(function*() {
      const { run } = yield* place
      const flags = ["--provider", "openai", "--model", "old", "--models-file", "models.yaml"]
      const { code, stderr } = yield* run("estimate", "in.jsonl", ...flags)
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(
        stderr,
        "warning: old: the price is not known, and neither is the cost; --models-file can tell it.\n"
          + "warning: old: retired on 2020-01-01. Its rows will most likely fail.\n"
      )
    }))

  it.scopedLive("reads standard input, and says what is wrong with rows as a build does", () =>
    Effect.gen(function*() {
      const { cwd, run, write } = yield* place
      const piped = yield* llmBatch(["estimate", "-", "--model", "gpt-5-mini"], { cwd, stdin: questions(3) })
      assert.match(piped.stdout, /^rows +3 in 1 batch$/mu, piped.stderr)
      const slip = yield* run("estimate", "in.jsonl", "--model", "gpt-5-mni")
      assert.deepStrictEqual([slip.code, slip.stdout], [2, ""])
      assert.include(slip.stderr, "Did you mean gpt-5-mini?")
      write("own.yaml", "models:\n  gpt-5-mni:\n    provider: openai\n    prices: { input: 1, output: 2 }\n")
      const flags = ["--provider", "openai", "--model", "gpt-5-mni", "--models-file", "own.yaml"]
      const own = yield* run("estimate", "in.jsonl", ...flags)
      assert.deepStrictEqual([own.code, own.stderr], [0, ""])
      const refused = yield* run("estimate", "in.jsonl", "--model", "gpt-5-mini", "--temperature", "0.5")
      assert.strictEqual(refused.code, 2)
      assert.include(
        refused.stderr,
        "cannot be sent to gpt-5-mini: it always reasons, and takes 1 only. Leave it out of"
      )
      write("empty.jsonl", "")
      const empty = yield* run("estimate", "empty.jsonl", "--model", "gpt-5-mini")
      assert.deepStrictEqual(
        [empty.code, empty.stdout],
        [0, "There are no rows: nothing is asked, and nothing costs anything.\n"]
      )
    }))

  it.scopedLive("says what is wrong with a file of models", () =>
    Effect.gen(function*() {
      const { cwd, run, write } = yield* place
      write("bad.yaml", "models:\n  round:\n    pricse: null\n")
      for (
        const [file, message] of [
          ["no.yaml", "error: --models-file: there is no file no.yaml. Check the path.\n"],
          ["bad.yaml", "error: bad.yaml:3:5: round.pricse: there is no such field. Did you mean prices?\n"]
        ] as const
      ) {
        for (const command of ["estimate", "build"]) {
          const flags = command === "build" ? ["run", "in.jsonl", "--dry-run"] : ["estimate", "in.jsonl"]
          const { code, stderr } = yield* run(...flags, "--model", "gpt-5-mini", "--models-file", file)
          assert.strictEqual(code, 2, stderr)
          assert.include(stderr, message)
        }
      }
      assert.notInclude(readdirSync(cwd), "experiments")
    }))

  it.scopedLive("estimates jobs, by flags and by configuration files", () =>
    Effect.gen(function*() {
      const { cwd, run } = yield* place
      for (const folder of ["config", "examples"]) cpSync(join(root, folder), join(cwd, folder), { recursive: true })
      const translate = yield* run(
        "estimate",
        "examples/translate/en.json",
        "--config",
        "config/translate.yaml",
        "--target-lang",
        "fr",
        "--json"
      )
      assert.strictEqual(translate.code, 0, translate.stderr)
      const { batch, rows } = JSON.parse(translate.stdout)
      assert.isAbove(rows, 0)
      assert.isNotNull(batch)
      const models = "gpt-4.1-mini,gpt-4.1-nano"
      const evaluate = yield* run(
        "estimate",
        "examples/gsm8k/test.jsonl",
        "--config",
        "config/eval.yaml",
        "--models",
        models,
        "--json"
      )
      assert.strictEqual(evaluate.code, 0, evaluate.stderr)
      const estimated = JSON.parse(evaluate.stdout)
      assert.deepStrictEqual(
        modelsIn(estimated.models).map(([model, rows]) => [model, rows % 1_319]),
        [["gpt-4.1-mini", 0], ["gpt-4.1-nano", 0]]
      )
      assert.deepStrictEqual(readdirSync(join(cwd, "examples/translate")).toSorted(), [
        "LICENSE",
        "README.md",
        "en.json"
      ])
      assert.notInclude(readdirSync(cwd), "experiments")
    }))
})

describe("the README", () => {
  it.scopedLive("shows what estimate prints", () =>
    Effect.gen(function*() {
      const readme = readFileSync(join(root, "README.md"), "utf8")
      const section = readme.slice(readme.indexOf("### What will it cost?\n"))
      const [, command = "", shown = ""] = /```sh\nnpx llm-batch (.*)\n```\n\n```text\n([^`]*)```/u.exec(section) ?? []
      const { code, stderr, stdout } = yield* llmBatch(command.replaceAll("'", "").split(" "), { cwd: root })
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stdout, shown)
    }))
})

describe("run", () => {
  it.scopedLive(
    "tells the cost in a line where nobody can be asked, for standard input too",
    () =>
      Effect.gen(function*() {
        const { directory, run, write } = yield* start()
        write("models.yaml", "models:\n  round:\n    like: gpt-4.1-mini\n    prices: { input: 1, output: 10 }\n")
        const flags = [...round, "--max-tokens", "50", "--poll-interval", "50ms"]
        const ended = yield* run(["run", "-", ...flags, "--run-dir", "here"], {
          stdin: "{\"prompt\":\"hello world\"}\n".repeat(100)
        })
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.include(
          ended.stderr,
          "\nEstimate: 100 rows with 900 tokens in 1 batch for $0.0105 to $0.0255 ($0.0209 to $0.0509 without batches)\n"
        )
        assert.isBelow(ended.stderr.indexOf("Estimate: "), ended.stderr.indexOf(" made, 100 rows"))
        const resumed = yield* run(["resume", "here"])
        assert.notInclude(resumed.stderr, "Estimate: ")
        const json = yield* run(["run", "in.jsonl", "--run-dir", join(directory, "here"), "--json", ...flags], {
          stdin: ""
        })
        assert.notInclude(json.stderr, "Estimate: ")
      }),
    20_000
  )

  it.effect("shows it to somebody who is asked", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      world.memory.disk.makeDirectory("/")
      const rows = Source.fromRows(Array.from({ length: 100 }, () => ({ prompt: "hello world", max_tokens: 50 })))
      const said: Array<string> = []
      const output = Output.of({
        data: () => Effect.void,
        json: () => Effect.void,
        say: (text) => Effect.sync(() => void said.push(text)),
        confirm: (question) => Effect.sync(() => said.push(question) < 0),
        interactive: true,
        live: false,
        color: false,
        dataColor: false
      })
      const models = world.memory.disk.open("/models.yaml", "write")
      const text = Buffer.from("models:\n  m:\n    like: gpt-4.1-mini\n    prices: { input: 1, output: 10 }\n")
      models.write(text, 0, text.length)
      models.close()
      const going = Effect.gen(function*() {
        const pipeline = yield* Pipeline
        const steps = { from: "build", to: "build" } as const
        yield* pipeline.run(rows, { defaults: new RequestDefaults({ model: "m" }), directory: World.directory, steps })
        return yield* Effect.exit(
          advance(World.directory, {
            settings: { models_file: "/models.yaml" },
            steps: { from: "build", to: "normalize" }
          })
        )
      })
      yield* world.simulate(Effect.provideService(going, Output, output))
      assert.deepStrictEqual(said.slice(1, 3), [
        [
          "  Reads      900 tokens",
          "  Writes     2,000 to 5,000 tokens",
          "  Cost       $0.0105 to $0.0255",
          "  Saved      $0.0105 to $0.0255 against $0.0209 to $0.0509 without batches"
        ].join("\n"),
        "Send 1 batch to test?"
      ])
    }))
})
