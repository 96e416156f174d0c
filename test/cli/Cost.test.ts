/** `cost` as a process, and what `run` says of it; they run live, as Processes.ts says. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import Papa from "papaparse"
import { decimal } from "../BillingBooks.js"
import { lines, questions, start } from "./Processes.js"

/** Each token that is read costs 100 microdollars, each that is written 1,000; half of that in batches. */
const models = "models:\n  round:\n    like: gpt-4.1-mini\n    prices: { input: 100, output: 1000 }\n"
  + "  claude-haiku-4-5:\n    prices: { input: 100, output: 1000 }\n"

const priced = ["--models-file", "models.yaml"]

/** Amounts, as `--json` tells them. */
interface ToldAmounts {
  readonly charged_usd: string | null
  readonly without_batches_usd: string | null
  readonly saved_usd: string | null
}

interface ToldRun extends ToldAmounts {
  readonly attempts: ReadonlyArray<{ readonly mode: string; readonly rows: number }>
}

interface Told {
  readonly runs: readonly [ToldRun, ToldRun]
  readonly total: ToldAmounts
}

const world = Effect.gen(function*() {
  const here = yield* start()
  here.write("in.jsonl", questions(12))
  here.write("models.yaml", models)
  const keyless = (...args: ReadonlyArray<string>) => here.run(args, { env: {} })
  return { ...here, keyless }
})

/** What the answers of a run used, as its results say. */
const used = (results: string) => {
  const usages = lines(results).map(({ response }) => response.body.usage)
  const sum = (name: string): number => usages.reduce((sum, usage) => sum + usage[name], 0)
  return { input: sum("prompt_tokens"), output: sum("completion_tokens") }
}

/** Picodollars at the full price. */
const fullPrice = ({ input, output }: ReturnType<typeof used>): bigint =>
  BigInt(input) * 100_000_000n + BigInt(output) * 1_000_000_000n

describe("cost", () => {
  it.scopedLive("tells what runs of both providers cost, by themselves and together, without a key", () =>
    Effect.gen(function*() {
      const { keyless, read, run } = yield* world
      yield* run(["run", "in.jsonl", "--model", "round", "--provider", "openai", "--run-dir", "a", ...priced])
      const second = yield* run(
        [
          "run",
          "in.jsonl",
          "--model",
          "claude-haiku-4-5",
          "--provider",
          "anthropic",
          "--run-dir",
          "b",
          "--try",
          "2",
          ...priced
        ]
      )
      assert.strictEqual(second.code, 0, second.stderr)
      assert.match(second.stderr, /^ {2}cost +\S+ {2}\S+ without batches$/mu)
      const [a, b] = [fullPrice(used(read("a/results.jsonl"))), fullPrice(used(read("b/results.jsonl")))]
      const tried = lines(read("b/results.jsonl")).slice(0, 2).map((line) => JSON.stringify(line)).join("\n")
      const chargedB = (b + fullPrice(used(tried))) / 2n

      const told: Told = JSON.parse((yield* keyless("cost", "a", "b", "--json")).stdout)
      const amounts = ({ charged_usd, saved_usd, without_batches_usd }: ToldAmounts) => [
        charged_usd,
        without_batches_usd,
        saved_usd
      ]
      assert.deepStrictEqual(amounts(told.runs[0]), [decimal(a / 2n), decimal(a), decimal(a / 2n)])
      assert.deepStrictEqual(amounts(told.runs[1]), [decimal(chargedB), decimal(b), decimal(b - chargedB)])
      assert.deepStrictEqual(amounts(told.total), [
        decimal(a / 2n + chargedB),
        decimal(a + b),
        decimal(a / 2n + b - chargedB)
      ])
      assert.deepStrictEqual(
        told.runs[1].attempts.map(({ mode, rows }) => [mode, rows]),
        [
          ["sync", 2],
          ["batch", 10]
        ]
      )
      assert.deepStrictEqual(JSON.parse(read("a/manifest.json")).bill.charged_usd, decimal(a / 2n))

      const one = yield* keyless("cost", "a")
      assert.deepStrictEqual([one.code, one.stderr], [0, ""])
      const [head = "", , names = "", cells = "", ...rest] = one.stdout.trimEnd().split("\n")
      assert.strictEqual(head, "a: finished, 12 rows, openai")
      assert.deepStrictEqual(names.split(/ {2,}/u), [
        "MODEL",
        "ANSWERS",
        "INPUT",
        "OUTPUT",
        "CHARGED",
        "ONE BY ONE",
        "SAVED"
      ])
      const { input, output } = used(read("a/results.jsonl"))
      assert.deepStrictEqual(cells.split(/ {2,}/u).slice(0, 4), ["round", "12", String(input), String(output)])
      assert.deepStrictEqual(rest, [])

      const both = (yield* keyless("cost", "a", "b")).stdout.trimEnd().split("\n").map((line) => line.split(/ {2,}/u))
      assert.deepStrictEqual(both.map(([name]) => name), ["RUN", "a", "b", "total"])
    }))

  it.scopedLive("tells what each row cost, as CSV", () =>
    Effect.gen(function*() {
      const { keyless, read, run, write } = yield* world
      write("two.jsonl", "{\"id\":\"one, \\\"two\\\"\",\"prompt\":\"p\"}\n{\"id\":\"b\",\"prompt\":\"p\"}\n")
      yield* run(["run", "two.jsonl", "--model", "round", "--provider", "openai", "--run-dir", "a", ...priced])
      const { code, stderr, stdout } = yield* keyless("cost", "a", "--rows")
      assert.deepStrictEqual([code, stderr], [0, ""])
      const usages = lines(read("a/results.jsonl")).map((line) => used(JSON.stringify(line)))
      assert.deepStrictEqual(Papa.parse(stdout.trimEnd()).data, [
        [
          "custom_id",
          "row",
          "attempt",
          "shard",
          "outcome",
          "model",
          "input",
          "cache_read",
          "cache_write_5m",
          "cache_write_1h",
          "output",
          "usd"
        ],
        ...usages.map((usage, at) => [
          ["one, \"two\"", "b"][at],
          String(at + 1),
          "1",
          "0001",
          "succeeded",
          "round",
          String(usage.input),
          "0",
          "0",
          "0",
          String(usage.output),
          decimal(fullPrice(usage) / 2n)
        ])
      ])
      assert.deepInclude(yield* keyless("cost", "a", "--rows", "--json"), { code: 2 })
      assert.deepInclude(yield* keyless("cost", "a", "a"), {
        code: 2,
        stderr: "error: a is named twice, and would be counted twice.\n"
      })
      assert.deepInclude(yield* keyless("cost", "nothing"), { code: 2, stdout: "" })
      assert.deepInclude(yield* keyless("cost"), { code: 2, stdout: "" })
    }))

  it.scopedLive("says what is not known: unknown prices, rows that are under way, runs of older versions", () =>
    Effect.gen(function*() {
      const { keyless, read, run, write } = yield* world
      yield* run(["run", "in.jsonl", "--model", "my-own", "--provider", "openai", "--mode", "sync", "--run-dir", "a"])
      const unknown = yield* keyless("cost", "a")
      assert.match(unknown.stdout, /^my-own +12 +\d+ +\d+ +unknown +unknown +unknown$/mu)
      assert.match(
        unknown.stdout,
        /^12 answers of unknown price, in no sum\. .*llm-batch normalize a --models-file FILE$/mu
      )
      assert.isNull(JSON.parse((yield* keyless("cost", "a", "--json")).stdout).total.charged_usd)
      const [, row = ""] = (yield* keyless("cost", "a", "--rows")).stdout.split("\n")
      assert.match(row, /^q1,1,1,0001,succeeded,my-own,\d+,0,0,0,\d+,$/u)

      // With a price it is normalised again, and has one.
      write("models.yaml", models.replace("round", "my-own"))
      yield* run(["normalize", "a", ...priced])
      const full = decimal(fullPrice(used(read("a/results.jsonl"))))
      const costOf = (name: string) =>
        Effect.map(keyless("cost", name, "--json"), ({ stdout }) => JSON.parse(stdout).runs[0])
      assert.deepInclude(yield* costOf("a"), { charged_usd: full, without_batches_usd: full, saved_usd: "0" })

      // Older versions kept no bill.
      const journal = lines(read("a/journal.jsonl"))
      const withoutBill = (name: string, value: unknown) => name === "bill" ? undefined : value
      write("a/journal.jsonl", journal.map((entry) => `${JSON.stringify(entry, withoutBill)}\n`).join(""))
      assert.deepInclude(yield* costOf("a"), { charged_usd: null, rows_without_a_bill: 12 })
      assert.include(
        (yield* keyless("cost", "a")).stdout,
        "12 rows were normalised by an older version, which kept no bill. Make one: llm-batch normalize a\n"
      )
      yield* run(["normalize", "a", ...priced])
      assert.deepInclude(yield* costOf("a"), { charged_usd: full, rows_without_a_bill: 0 })

      yield* run(["run", "in.jsonl", "--model", "gpt-5-mini", "--run-dir", "c", "--no-wait"])
      assert.deepInclude(yield* costOf("c"), { charged_usd: null, rows_not_known_yet: 12, rows_not_sent: 0 })
      yield* run(["build", "in.jsonl", "--model", "gpt-5-mini", "--run-dir", "d"])
      assert.deepInclude(yield* costOf("d"), { charged_usd: "0", rows_not_known_yet: 0, rows_not_sent: 12 })
      const { code, stdout } = yield* keyless("cost", "c", "d")
      assert.strictEqual(code, 0)
      assert.match(stdout, /^c: What 12 sent rows cost is not known yet\.\nd: 12 rows were not sent yet\.$/mu)
    }))
})
