/**
 * What the command line says to what it cannot use. Each case is a process of its own that sees no emulator and no key:
 * nothing of this may need either.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { llmBatch, workspace } from "./Processes.js"

const model = ["--model", "gpt-5-mini"]

/** What is given, and what standard error must hold. */
const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, message: string]> = [
  [["rum", "in.jsonl"], "error: There is no command \"rum\". Did you mean run?\n"],
  [["run", "in.jsonl", "--modle", "x"], "error: llm-batch run has no flag --modle. Did you mean --model?\n"],
  [["run", "in.jsonl", "--wizard"], "error: llm-batch run has no flag --wizard. See llm-batch run --help.\n"],
  [["status"], "error: llm-batch status needs RUN_DIR. See llm-batch status --help.\n"],
  [
    ["run", ...model],
    "error: No input is named. Give a file, - for standard input, or name it as input: in the file of --config.\n"
  ],
  [["run", "in.jsonl"], "error: No provider is named. Name it: --provider openai or --provider anthropic.\n"],
  [["run", "in.jsonl", "--provider", "opnai"], "error: There is no provider \"opnai\". Did you mean openai?\n"],
  [["run", "in.jsonl", "--temperature", "-1"], "--temperature: found the number -1. It must be a number from 0 to 2."],
  [["run", "in.jsonl", "--max-tokens", "1e400"], "--max-tokens: found the number Infinity. It must be a whole number"],
  [["run", "in.jsonl", "--limit-items", "0"], "--limit-items: found the number 0. It must be a whole number above 0."],
  [["run", "in.jsonl", "--max-tokens", "many"], "--max-tokens: found the string \"many\". It must be a whole number"],
  [["run", "in.jsonl", "--model", ""], "--model: found an empty string. It must be a text that is not empty."],
  [
    ["run", "in.jsonl", "--poll-interval", "60"],
    "--poll-interval: found the string \"60\". It must be a time with its"
  ],
  [["run", "in.jsonl", "--mode", "soon"], "--mode: found the string \"soon\". It must be one of batch, sync, auto."],
  [["run", "in.jsonl", "--var", "x"], "--var: found the string \"x\". It must be NAME=TEXT."],
  [["run", "in.jsonl", ...model, "--endpoint", "chta"], "There is no endpoint \"chta\". Did you mean chat?"],
  [["run", "in.jsonl", ...model, "--endpoint", "messages"], "--endpoint: OpenAI makes no batches for /v1/messages."],
  [["run", "in.jsonl", ...model, "--output", "o.xls"], "o.xls: the ending .xls tells no format."],
  [["run", "in.jsonl", ...model, "--output", "no/o.csv"], "--output: there is no directory "],
  [["run", "in.jsonl", ...model, "--output", "in.jsonl"], "--output: in.jsonl is the input, which would be lost. Name"],
  [["run", "in.jsonl", ...model, "--output", "folder.csv"], "--output: folder.csv is a directory. Name a file.\n"],
  [
    ["run", "in.jsonl", ...model, "--run-dir", "full", "--output", "full/results.jsonl"],
    "--output: full/results.jsonl belongs to the run itself. Name another file.\n"
  ],
  [
    ["build", "in.jsonl", ...model, "--run-dir", "full"],
    "\nerror: full: the directory is not empty, and holds no run. Name a new or empty directory with --run-dir.\n"
  ],
  [["build", "in.jsonl", ...model, "--run-dir", "in.csv"], "\nerror: in.csv: this is a file. Name a new or empty"],
  [
    ["run", "in.jsonl", ...model, "--retries", "11"],
    "--retries: found the number 11. It must be a whole number from 0"
  ],
  [["reconcile", "nowhere"], "error: Nothing is decided. Give --adopt BATCH_ID when that batch is the shard's, or"],
  [["reconcile", "x", "--adopt", "y", "--resend"], "error: --adopt and --resend are two decisions. Give one of them."],
  [["retry", "nowhere"], "There is no directory nowhere. Name a run directory: llm-batch list shows them."],
  [["run", "in.jsonl", ...model, "--config", "no.yaml"], "error: no.yaml: there is no such file. Check the path.\n"],
  [
    ["run", "in.jsonl", "--config", "bad.yaml"],
    "error: bad.yaml:2:1: there is no setting \"temprature\". Did you mean temperature?\n"
  ],
  [["run", "in.jsonl", "--config", "two.yaml"], "error: two.yaml:2:1: a second YAML document begins here. Write one"],
  [["run", "in.jsonl", ...model, "--tools", "in.jsonl"], "error: in.jsonl: this is not JSON: "],
  [["run", "in.jsonl", ...model, "--only-step", "fetch"], "Nothing is built yet that the step fetch could go on with."],
  [["run", "in.jsonl", ...model, "--dry-run", "--to-step", "poll"], "--dry-run ends after the step build."],
  [["run", "in.jsonl", ...model], "there is no API key: set OPENAI_API_KEY"],
  [["run", "in.jsonl", "--model", "claude-haiku-4-5"], "there is no API key: set ANTHROPIC_API_KEY"],
  [["build", "no.jsonl", ...model], "error: no.jsonl: there is no such file. Check the path.\n"],
  [["build", "broken.jsonl", ...model], "error: broken.jsonl:2:15: "],
  [["build", "twice.jsonl", ...model], "error: twice.jsonl:2: custom_id: the id \"a\" is that of line 1 too."],
  [["build", "in.jsonl", "--provider", "openai"], "error: in.jsonl:1: model: no model is named."],
  [["build", "in.csv", ...model, "--prompt", "Is {{txt}} spam?"], "Perhaps {{text}} is meant."],
  [["resume", "nowhere"], "There is no directory nowhere. Name a run directory: llm-batch list shows them."],
  [["status", "in.jsonl"], "in.jsonl is a file. Name the run directory: llm-batch list shows them."],
  [["results", "in.jsonl"], "in.jsonl is a file. Name the run directory: llm-batch list shows them."],
  [["list", "nowhere"], "There is no directory nowhere."],
  [["emulator", "--results", "tar"], "--results: found the string \"tar\". It must be plain, gzip or zip.\n"],
  [["emulator", "--faults", "faults.json"], "error: faults.json: expireRow: "],
  [["emulator", "--port", "99999"], "--port: found the string \"99999\". It must be a whole number from 0 to 65535."]
]

describe("bad usage and bad input", () => {
  it.scopedLive("are told on standard error with exit code 2, and leave nothing behind", () =>
    Effect.gen(function*() {
      const cwd = yield* workspace
      writeFileSync(
        join(cwd, "in.jsonl"),
        "{\"id\":\"a\",\"prompt\":\"Hello?\"}\n{\"id\":\"b\",\"prompt\":\"Hello?\"}\n"
      )
      writeFileSync(join(cwd, "broken.jsonl"), "{\"prompt\":\"x\"}\n{\"prompt\":\"y\",}\n")
      writeFileSync(join(cwd, "twice.jsonl"), "{\"id\":\"a\",\"prompt\":\"x\"}\n{\"id\":\"a\",\"prompt\":\"y\"}\n")
      writeFileSync(join(cwd, "in.csv"), "id,text\n1,hello\n")
      writeFileSync(join(cwd, "bad.yaml"), "model: gpt-5-mini\ntemprature: 1\n")
      writeFileSync(join(cwd, "two.yaml"), "model: gpt-5-mini\n---\nmodel: gpt-5\n")
      writeFileSync(join(cwd, "faults.json"), "{\"expireRow\":0.5}")
      mkdirSync(join(cwd, "folder.csv"))
      mkdirSync(join(cwd, "full"))
      writeFileSync(join(cwd, "full", "mine.txt"), "keep me")
      yield* Effect.forEach(cases, ([args, message]) =>
        Effect.map(llmBatch(args, { cwd }), ({ code, stderr, stdout }) => {
          assert.include(stderr, message)
          assert.strictEqual(code, 2, args.join(" "))
          assert.strictEqual(stdout, "", args.join(" "))
          assert.notInclude(stderr, "    at ")
        }), { concurrency: 2 })
      assert.isTrue(existsSync(join(cwd, "full", "mine.txt")))
      assert.match(readFileSync(join(cwd, "in.jsonl"), "utf8"), /^\{"id":"a"/)
      const { stdout } = yield* llmBatch(["list", "--json"], { cwd })
      assert.strictEqual(stdout, "[]\n")
    }), 120_000)

  it.scopedLive("are one JSON object on standard output with --json", () =>
    Effect.gen(function*() {
      const cwd = yield* workspace
      const { code, stderr, stdout } = yield* llmBatch(["run", "in.jsonl", "--json", "--model", "mistery"], { cwd })
      const message =
        "The model mistery does not tell its provider. Name it: --provider openai or --provider anthropic."
      assert.deepStrictEqual(JSON.parse(stdout), { error: { type: "UsageError", message } })
      assert.strictEqual(stderr, `error: ${message}\n`)
      assert.strictEqual(code, 2)
    }))
})

describe("help", () => {
  it.scopedLive("goes to standard output, without colours where that is no terminal", () =>
    Effect.gen(function*() {
      const cwd = yield* workspace
      for (const args of [["--help"], ["run", "--help"], ["help", "status"]]) {
        const { code, stderr, stdout } = yield* llmBatch(args, { cwd })
        assert.strictEqual(code, 0)
        assert.strictEqual(stderr, "")
        assert.notInclude(stdout, "\u001b")
        assert.match(stdout, /\n\n(?:Commands|Arguments)\n {2}/)
      }
      const all = yield* llmBatch([], { cwd })
      assert.strictEqual(all.code, 2)
      assert.include(all.stdout, "\n  emulator ")
      assert.notInclude(all.stdout, "demo")
    }))

  it.scopedLive("is quiet when nobody reads it", () =>
    Effect.gen(function*() {
      const { code, signal, stderr } = yield* llmBatch(["--help"], { cwd: yield* workspace, unread: true })
      assert.deepStrictEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: "" })
    }))

  it.scopedLive("has the version of the package", () =>
    Effect.gen(function*() {
      const { stdout } = yield* llmBatch(["--version"], { cwd: yield* workspace })
      assert.match(stdout, /^\d+\.\d+\.\d+\n$/)
    }))
})
