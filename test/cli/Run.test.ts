/**
 * `run` and `build` as processes against the emulator; they run live, as Processes.ts says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { FaultPlan } from "../../src/emulator/FaultPlan.js"
import { lines, llmBatch, questions, runOf, start, workspace } from "./Processes.js"

const quick = ["--poll-interval", "50ms"]

describe("run", () => {
  it.scopedLive("answers every row by OpenAI and prints the path of the results alone", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start()
      write("in.jsonl", questions(20))
      const ended = yield* run(["run", "in.jsonl", "--provider", "openai", "--model", "gpt-5-mini", ...quick])
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.match(ended.stdout, /^\/.+\/experiments\/run_[^/\n]+\/results\.jsonl\n$/)
      const results = lines(readFileSync(ended.stdout.trim(), "utf8"))
      assert.deepStrictEqual(
        results.map((line) => line.custom_id),
        Array.from({ length: 20 }, (_, at) => `q${at + 1}`)
      )
      assert.strictEqual(results[0].response.body.object, "chat.completion")
      assert.strictEqual(readFileSync(join(runOf(ended), "failures.jsonl"), "utf8"), "")
      const { totals } = yield* emulator.books
      assert.strictEqual(totals.batches, 1)
      assert.strictEqual(totals.billed, 20)
      for (const name of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
        const path = join(directory, name)
        if (/\.(jsonl|json|yaml)$/.test(name)) assert.notInclude(readFileSync(path, "utf8"), "sk-canary")
      }
    }))

  it.scopedLive("answers every row by Anthropic, from standard input, with options on both sides", () =>
    Effect.gen(function*() {
      const { run } = yield* start()
      const ended = yield* run(["run", "--max-tokens", "50", "-", "--model=claude-haiku-4-5", ...quick], {
        stdin: questions(3)
      })
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.include(ended.stderr, "The model claude-haiku-4-5 is Anthropic's: --provider anthropic\n")
      assert.deepStrictEqual(
        lines(readFileSync(ended.stdout.trim(), "utf8")).map((line) => line.custom_id),
        ["q1", "q2", "q3"]
      )
      const [sent] = lines(readFileSync(join(runOf(ended), "batch_inputs/anthropic/0001.jsonl"), "utf8"))
      assert.strictEqual(sent.params.max_tokens, 50)
    }))

  it.scopedLive("ends with 3 when rows have no answer, and keeps every one that has", () =>
    Effect.gen(function*() {
      const { read, run, write } = yield* start({ faults: new FaultPlan({ expireRows: 0.3 }) })
      write("in.jsonl", questions(60))
      const ended = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "-o", "answers.csv", "--json", ...quick])
      assert.strictEqual(ended.code, 3, ended.stderr)
      const report = JSON.parse(ended.stdout)
      assert.strictEqual(report.status, "finished")
      assert.isAbove(report.tally.succeeded, 0)
      assert.isAbove(report.tally.expired, 0)
      assert.strictEqual(report.tally.succeeded + report.tally.expired, 60)
      const failures = lines(readFileSync(report.failures, "utf8")).map((line) => line.custom_id)
      const unanswered = lines(readFileSync(report.results, "utf8"))
        .flatMap((line) => line.error === null ? [] : [line.custom_id])
      assert.deepStrictEqual(failures, unanswered)
      assert.lengthOf(failures, report.tally.expired)
      assert.lengthOf(read("answers.csv").trimEnd().split("\n"), 61)
    }))

  it.scopedLive("finishes an empty input with no rows, and sends nothing", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start()
      write("in.jsonl", "")
      const { code, stderr, stdout } = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini"])
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(readFileSync(stdout.trim(), "utf8"), "")
      assert.strictEqual((yield* emulator.books).totals.batches, 0)
    }))

  it.scopedLive("takes a row's value before a flag's, and a flag's before the file's", () =>
    Effect.gen(function*() {
      const { run, write } = yield* start()
      write(
        "in.jsonl",
        "{\"id\":\"own\",\"prompt\":\"x\",\"model\":\"gpt-4.1-nano\",\"temperature\":0.1}\n{\"id\":\"none\",\"prompt\":\"x\"}\n"
      )
      write("run.yaml", "input: in.jsonl\nprovider: openai\nmodel: gpt-4o\ntemperature: 0.9\ntop_p: 0.5\n")
      const { code, stderr, stdout } = yield* run(["build", "--config", "run.yaml", "--temperature", "0.7"])
      assert.strictEqual(code, 0, stderr)
      const bodies = ["0001", "0002"].flatMap((shard) =>
        lines(readFileSync(join(stdout.trim(), `batch_inputs/openai/${shard}.jsonl`), "utf8"))
      ).map(({ body: { model, temperature, top_p } }) => ({ model, temperature, top_p }))
      assert.deepStrictEqual(bodies, [
        { model: "gpt-4.1-nano", temperature: 0.1, top_p: 0.5 },
        { model: "gpt-4o", temperature: 0.7, top_p: 0.5 }
      ])
    }))

  it.scopedLive("reads a key from .env", () =>
    Effect.gen(function*() {
      const { env, run, write } = yield* start()
      write("in.jsonl", questions(1))
      write(".env", "OPENAI_API_KEY=sk-canary-file\n")
      const { code, stderr } = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", ...quick], {
        env: { OPENAI_BASE_URL: env.OPENAI_BASE_URL }
      })
      assert.strictEqual(code, 0, stderr)
    }))

  it.scopedLive("makes the same run again from the configuration that it kept", () =>
    Effect.gen(function*() {
      const { run, write } = yield* start()
      write("in.csv", "name,text\na,hello\nb,\"good, bye\"\n")
      const flags = [
        "-m",
        "gpt-5-mini",
        "--prompt",
        "{{greeting}} {{text}}",
        "--var",
        "greeting=Say",
        "--id-column",
        "name"
      ]
      const first = (yield* run(["build", "in.csv", ...flags])).stdout.trim()
      const again = yield* run(["build", "--config", join(first, "config.yaml")])
      assert.strictEqual(again.code, 0, again.stderr)
      const bodies = (directory: string) =>
        lines(readFileSync(join(directory, "batch_inputs/openai/0001.jsonl"), "utf8")).map((line) => line.body)
      assert.deepStrictEqual(bodies(again.stdout.trim()), bodies(first))
    }))
})

describe("a dry run", () => {
  it.scopedLive("writes payloads and the manifest without a key and without the network", () =>
    Effect.gen(function*() {
      const cwd = yield* workspace
      cpSync(fileURLToPath(new URL("../../config", import.meta.url)), join(cwd, "config"), { recursive: true })
      const flags = ["--dry-run", "--skip-prepare", "--skip-build", "--limit-items", "2"]
      const { code, stderr, stdout } = yield* llmBatch(
        ["run", "--backend", "openai", "--config", "config/eval.yaml", ...flags],
        // Nobody listens there: a connection would fail.
        { cwd, env: { OPENAI_BASE_URL: "http://127.0.0.1:9/v1", HTTPS_PROXY: "http://127.0.0.1:9" } }
      )
      assert.strictEqual(code, 0, stderr)
      const [name = ""] = readdirSync(join(cwd, "experiments"))
      assert.match(name, /^run_/)
      const payloads = lines(readFileSync(join(cwd, "experiments", name, "batch_inputs/openai/0001.jsonl"), "utf8"))
      assert.lengthOf(payloads, 2)
      assert.strictEqual(payloads[0].url, "/v1/responses")
      const manifest = JSON.parse(readFileSync(join(stdout.trim(), "manifest.json"), "utf8"))
      assert.strictEqual(manifest.status, "built")
      assert.strictEqual(manifest.rows, 2)
      assert.isFalse(existsSync(join(stdout.trim(), "results.jsonl")))
    }))

  it.scopedLive("is sent later by run with --skip-build and its directory", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start()
      write("in.jsonl", questions(4))
      yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--dry-run", "--run-dir", "here"])
      assert.strictEqual((yield* emulator.books).totals.batches, 0)
      write("in.jsonl", "this is not needed any more")
      const { code, stderr } = yield* run(["run", "in.jsonl", "--skip-build", "--run-dir", "here", ...quick])
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual((yield* emulator.books).totals.billed, 4)
      const other = yield* run(["run", "--provider", "anthropic", "--skip-build", "--run-dir", "here"])
      assert.strictEqual(other.code, 2)
      assert.include(other.stderr, "--provider: the run in here is one of openai, and goes on with openai only.")
      const again = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here"])
      assert.strictEqual(again.code, 2)
      assert.include(again.stderr, "there is a run here already")
    }))
})
