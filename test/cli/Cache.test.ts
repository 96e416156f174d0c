/** `--dedupe`, `--cache` and `cache`, as processes; they run live, as Processes.ts says. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { lines, llmBatch, questions, start, workspace } from "./Processes.js"

const model = ["--model", "gpt-4.1-nano", "--provider", "openai"]

/** The rows of all batches that the emulator was given. */
const rowsSent = (emulator: Effect.Effect.Success<ReturnType<typeof start>>["emulator"]) =>
  Effect.map(emulator.books, ({ batches }) => batches.reduce((sum, { rows }) => sum + rows, 0))

describe("run --dedupe", () => {
  it.scopedLive("sends each question once, says so, and answers every row", () =>
    Effect.gen(function*() {
      const { directory, emulator, read, run, write } = yield* start()
      write("in.jsonl", ["a", "b", "a", "a"].map((prompt) => `${JSON.stringify({ prompt })}\n`).join(""))
      const dry = yield* run(["run", "in.jsonl", ...model, "--dedupe", "--dry-run", "--run-dir", "dry"])
      assert.strictEqual(dry.code, 0, dry.stderr)
      assert.strictEqual(lines(read("dry/batch_inputs/openai/0001.jsonl")).length, 2)
      const estimate = yield* run(["estimate", "in.jsonl", ...model, "--dedupe"])
      assert.match(estimate.stdout, /^rows +2 in 1 batch$/mu)
      assert.match(estimate.stdout, /^not sent +2 rows \(2 ask the same as others\)$/mu)
      const once = yield* run(["run", "in.jsonl", ...model, "--dedupe", "--yes", "--run-dir", "once"])
      assert.strictEqual(once.code, 0, once.stderr)
      assert.match(once.stderr, /Not sent +2 rows \(2 ask the same as others\)|Estimate: 2 rows/u)
      assert.match(once.stderr, /^ +not sent +2 +2 ask the same as others; their answers cost /mu)
      assert.strictEqual(yield* rowsSent(emulator), 2)
      const all = yield* run(["run", "in.jsonl", ...model, "--yes", "--run-dir", "all"])
      assert.strictEqual(all.code, 0, all.stderr)
      const texts = (name: string) =>
        lines(readFileSync(join(directory, name, "results.jsonl"), "utf8"))
          .map(({ custom_id, response }) => [custom_id, response.body.choices])
      assert.deepStrictEqual(texts("once"), texts("all"))
    }))
})

describe("rows of every kind", () => {
  const body = { model: "gpt-4.1-nano", messages: [{ role: "user", content: "a" }] }
  const native = ["x", "y", "z"].map((id) =>
    `${JSON.stringify({ custom_id: id, method: "POST", url: "/v1/chat/completions", body })}\n`
  )
  const message = { model: "claude-haiku-4-5", max_tokens: 20, messages: [{ role: "user", content: "a" }] }

  it.scopedLive.each(
    [
      ["CSV", "in.csv", "key,text\n1,a\n2,a\n3,b\n", ["--prompt", "{{text}}", "--id-column", "key", ...model], 2],
      ["a batch of OpenAI's", "in.jsonl", native.join(""), ["--provider", "openai"], 1],
      [
        "a batch of Anthropic's",
        "in.jsonl",
        ["x", "y", "z"].map((id) => `${JSON.stringify({ custom_id: id, params: message })}\n`).join(""),
        ["--provider", "anthropic"],
        1
      ],
      [
        "embeddings",
        "in.jsonl",
        ["a", "b", "a"].map((input) => `${JSON.stringify({ input })}\n`).join(""),
        ["--provider", "openai", "--model", "text-embedding-3-small", "--endpoint", "embeddings"],
        2
      ]
    ] as const
  )("are sent once and kept: %s", ([_, name, text, flags, distinct]) =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start()
      write(name, text)
      for (const directory of ["first", "second"]) {
        const ended = yield* run(
          ["run", name, ...flags, "--dedupe", "--cache", "answers", "--yes", "--json", "--run-dir", directory]
        )
        assert.strictEqual(ended.code, 0, ended.stderr)
        assert.deepStrictEqual(JSON.parse(ended.stdout).tally.succeeded, 3)
        assert.strictEqual(yield* rowsSent(emulator), distinct)
      }
    }))
})

describe("run --cache", () => {
  it.scopedLive("takes from it what was answered before, for either provider, and keeps the rest in it", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start()
      write("in.jsonl", questions(3))
      write("more.jsonl", questions(5))
      for (const name of [["gpt-4.1-nano", "openai"], ["claude-haiku-4-5", "anthropic"]] as const) {
        const flags = ["--model", name[0], "--provider", name[1], "--max-tokens", "50", "--cache", "answers", "--yes"]
        const before = yield* rowsSent(emulator)
        const first = yield* run(["run", "in.jsonl", ...flags])
        assert.strictEqual(first.code, 0, first.stderr)
        const second = yield* run(["run", "more.jsonl", ...flags, "--json"])
        assert.strictEqual(second.code, 0, second.stderr)
        const { batches, tally } = JSON.parse(second.stdout)
        assert.deepStrictEqual([tally.rows, tally.succeeded], [5, 5])
        const shards: ReadonlyArray<{ readonly mode: string; readonly request_count: number }> = batches
        assert.deepStrictEqual(shards.map(({ mode, request_count: rows }) => [mode, rows]), [["reused", 3], [
          "batch",
          2
        ]])
        assert.strictEqual((yield* rowsSent(emulator)) - before, 5)
        const results = lines(readFileSync(JSON.parse(second.stdout).results, "utf8"))
        assert.deepStrictEqual(results.map(({ custom_id }) => custom_id), ["q1", "q2", "q3", "q4", "q5"])
      }
      const modes = readdirSync(join(directory, "answers")).map((name) =>
        statSync(join(directory, "answers", name)).mode & 0o777
      )
      assert.deepStrictEqual(modes, [0o600, 0o600, 0o600, 0o600])
    }))

  it.scopedLive("sends nothing where all is there, and asks nobody", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start()
      write("in.jsonl", questions(2))
      write("run.yaml", "input: in.jsonl\ncache: answers\nmodel: gpt-4.1-nano\nprovider: openai\n")
      yield* run(["run", "--config", "run.yaml", "--yes"])
      const again = yield* run(["run", "--config", "run.yaml", "--yes"])
      assert.strictEqual(again.code, 0, again.stderr)
      assert.match(again.stderr, /^ +not sent +2 +2 from the cache; their answers cost /mu)
      assert.match(again.stderr, /^ +tokens read +0$/mu)
      assert.strictEqual(yield* rowsSent(emulator), 2)
      const estimate = yield* run(["estimate", "--config", "run.yaml"])
      assert.strictEqual(
        estimate.stdout,
        "Nothing is sent, and nothing costs anything. Not sent: 2 rows (2 from the cache).\n"
      )
    }))

  it.scopedLive("serves several processes at once", () =>
    Effect.gen(function*() {
      const { directory, run, write } = yield* start()
      write("in.jsonl", questions(40))
      const one = (number: number) =>
        run([
          "run",
          "in.jsonl",
          ...model,
          "--cache",
          "answers",
          "--yes",
          "--shard-rows",
          "7",
          "--run-dir",
          `run${number}`
        ])
      const prune = run(["cache", "answers", "--prune", "--max-size", "4kB"])
      const ended = yield* Effect.all([one(1), one(2), Effect.zipRight(one(3), prune), one(4)], {
        concurrency: "unbounded"
      })
      for (const { code, stderr } of ended) assert.strictEqual(code, 0, stderr)
      const last = yield* one(5)
      assert.strictEqual(last.code, 0, last.stderr)
      const answers = (number: number) =>
        lines(readFileSync(join(directory, `run${number}`, "results.jsonl"), "utf8"))
          .map(({ custom_id, response }) => [custom_id, response.body.choices])
      for (const number of [2, 3, 4, 5]) assert.deepStrictEqual(answers(number), answers(1))
      const held = yield* run(["cache", "answers", "--json"])
      const { files, others } = JSON.parse(held.stdout)
      assert.deepStrictEqual(others, [])
      assert.strictEqual(files.length, readdirSync(join(directory, "answers")).length)
    }))
})

describe("cache", () => {
  it.scopedLive("tells what there is, by model, and removes what is too much or too old", () =>
    Effect.gen(function*() {
      const { run, write } = yield* start()
      write("in.jsonl", questions(3))
      yield* run(["run", "in.jsonl", ...model, "--cache", "answers", "--yes"])
      yield* run(["run", "in.jsonl", "--model", "gpt-4.1-mini", "--provider", "openai", "--cache", "answers", "--yes"])
      const told = yield* run(["cache", "answers"])
      assert.strictEqual(told.code, 0, told.stderr)
      assert.match(told.stdout, /^holds +6 answers, \d+\.\d kB in 2 files$/mu)
      assert.match(told.stdout, /^oldest +\d+s ago$/mu)
      assert.match(told.stdout, /^MODEL +PROVIDER +ANSWERS$/mu)
      assert.match(told.stdout, /^gpt-4\.1-nano\S* +openai +3$/mu)
      const kept = yield* run(["cache", "answers", "--prune", "--older-than", "1d", "--max-size", "1GB"])
      assert.strictEqual(kept.stderr, "Nothing is removed.\n")
      const pruned = yield* run(["cache", "answers", "--prune", "--max-size", "0", "--json"])
      const { answers, bytes, removed } = JSON.parse(pruned.stdout)
      assert.deepStrictEqual([answers, bytes, removed.length], [0, 0, 2])
      const empty = yield* run(["cache", "answers"])
      assert.strictEqual(empty.stdout, "holds  0 answers, 0 bytes in 0 files\n")
    }))

  it.scopedLive("says what is wrong with how it is used", () =>
    Effect.gen(function*() {
      const cwd = yield* workspace
      writeFileSync(join(cwd, "file"), "")
      const said = (...args: ReadonlyArray<string>) =>
        Effect.map(llmBatch(["cache", ...args], { cwd }), ({ code, stderr }) => [code, stderr])
      assert.deepStrictEqual(yield* said("file"), [
        2,
        "error: There is no directory file. Name the one that --cache named.\n"
      ])
      assert.deepStrictEqual(yield* said(".", "--prune"), [
        2,
        "error: --prune removes what --max-size or --older-than says. Give one of them, or both.\n"
      ])
      assert.deepStrictEqual(yield* said(".", "--max-size", "1GB"), [
        2,
        "error: --max-size and --older-than say what --prune removes. Give it with them.\n"
      ])
      assert.deepStrictEqual(yield* said(".", "--prune", "--max-size", "big"), [
        2,
        "error: --max-size: found the string \"big\". It must be a size with its unit, such as 500MB or 2GB.\n"
      ])
    }))
})
