/**
 * Answers that have to satisfy a JSON Schema, as processes against the emulator; they run live, as Processes.ts says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import type { AnswerRequest } from "../../src/emulator/Answer.js"
import { lines, llmBatch, questions, start } from "./Processes.js"

const quick = ["--poll-interval", "50ms"]

const schema = {
  type: "object",
  properties: { label: { enum: ["odd", "even"] }, sum: { type: "integer" } },
  required: ["label", "sum"],
  additionalProperties: false
}

const member = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

/** The texts that were said by either side before and with the question. */
const conversation = (body: unknown): ReadonlyArray<string> => {
  const messages: unknown = member(body, "input") ?? member(body, "messages")
  if (typeof messages === "string") return [messages]
  if (!Array.isArray(messages)) return []
  return messages.filter((message) => member(message, "role") !== "system").map((message) => {
    const content = member(message, "content")
    return Array.isArray(content) ? content.map((part) => String(member(part, "text"))).join("") : String(content)
  })
}

const right = (sum: number) => JSON.stringify({ label: sum % 2 === 0 ? "even" : "odd", sum })

/**
 * The second question is answered with a wrong label until that is sent back, the third always, the fourth in a fence, the
 * fifth in prose, the sixth never as JSON until it is sent back twice.
 */
const model = (seen: Array<ReadonlyArray<string>>) => ({ body }: AnswerRequest): string => {
  const said = conversation(body)
  seen.push(said)
  const sum = Number(/What is (\d+)/u.exec(said[0] ?? "")?.[1]) + 1
  const rounds = (said.length - 1) / 2
  switch (sum) {
    case 3:
      return rounds === 0 ? "{\"label\":\"strange\",\"sum\":3}" : right(3)
    case 4:
      return "{\"label\":\"even\",\"sum\":\"four\"}"
    case 5:
      return `\`\`\`json\n${right(5)}\n\`\`\``
    case 6:
      return `Gladly: ${right(6)} is the answer.`
    case 7:
      return said.some((text) => text.includes("still no idea")) ? right(7) : rounds === 0 ? "no idea" : "still no idea"
    default:
      return right(sum)
  }
}

const outcomesIn = (directory: string) =>
  lines(readFileSync(join(directory, "here/results.jsonl"), "utf8")).map(({ error }) => error?.outcome ?? "succeeded")

interface Status {
  readonly batches: ReadonlyArray<Record<string, unknown>>
  readonly tally: Record<string, unknown>
}

describe("run --schema", () => {
  for (
    const [name, modelName, mode] of [
      ["openai", "gpt-5-mini", "batch"],
      ["anthropic", "claude-haiku-4-5", "batch"],
      ["openai", "gpt-5-mini", "sync"]
    ] as const
  ) {
    it.scopedLive(
      `counts answers of ${name} that do not fit, and has them put right (${mode})`,
      () =>
        Effect.gen(function*() {
          const seen: Array<ReadonlyArray<string>> = []
          const { directory, run, write } = yield* start({ answer: model(seen) })
          write("in.jsonl", questions(6))
          write("answer.schema.json", JSON.stringify(schema))
          const flags = ["-m", modelName, "--mode", mode, "--max-tokens", "500", "--run-dir", "here", ...quick]
          const first = yield* run(["run", "in.jsonl", ...flags, "--schema", "answer.schema.json"])
          assert.strictEqual(first.code, 3, first.stderr)
          assert.deepStrictEqual(outcomesIn(directory), [
            "succeeded",
            "invalid",
            "invalid",
            "succeeded",
            "succeeded",
            "invalid"
          ])
          assert.match(first.stderr, /\n {2}invalid +3 {2}their answers do not fit\n/)
          assert.include(
            first.stderr,
            "\nSend 3 answers back to be put right: llm-batch resume here --repair 1\n"
          )
          const failures = lines(readFileSync(join(directory, "here/failures.jsonl"), "utf8"))
          assert.deepStrictEqual(failures.map(({ code, custom_id, outcome }) => [custom_id, outcome, code]), [
            ["q2", "invalid", "invalid_answer"],
            ["q3", "invalid", "invalid_answer"],
            ["q6", "invalid", "invalid_json"]
          ])
          assert.match(failures[0].message, /^\$\.label: .*"strange"/)
          assert.match(failures[1].message, /^\$\.sum: /)
          const [, , kept] = lines(readFileSync(join(directory, "here/results.jsonl"), "utf8"))
          // The answer is paid for, and is kept.
          assert.strictEqual(kept.response.body.choices[0].message.content, "{\"label\":\"even\",\"sum\":\"four\"}")

          const repaired = yield* run(["resume", "here", "--repair", "1", ...quick])
          assert.strictEqual(repaired.code, 3, repaired.stderr)
          assert.include(repaired.stderr, "Z sending answers back to be put right: 3 rows (attempt 2)\n")
          assert.deepStrictEqual(outcomesIn(directory), [
            "succeeded",
            "succeeded",
            "invalid",
            "succeeded",
            "succeeded",
            "invalid"
          ])
          const [, answer = "", correction = ""] = seen.find((said) =>
            said.length > 1 && said[0] === "What is 2 + 1?"
          ) ?? []
          assert.strictEqual(answer, "{\"label\":\"strange\",\"sum\":3}")
          assert.match(correction, /^Your answer cannot be used\. \$\.label: /)

          const twice = yield* run(["resume", "here", "--repair", "2", "--json", ...quick])
          assert.strictEqual(twice.code, 3, twice.stderr)
          const { batches, tally }: Status = JSON.parse(twice.stdout)
          assert.deepInclude(tally, { rows: 6, succeeded: 5, invalid: 1, repairable: 1, retryable: 0 })
          assert.deepStrictEqual(batches.map((shard) => [shard["mode"], shard["request_count"]]), [
            [mode, 6],
            [mode, 3],
            [mode, 2]
          ])
          // The last answer alone is sent back, behind what was asked at first.
          const last = seen.findLast((said) => said[0] === "What is 6 + 1?") ?? []
          assert.deepStrictEqual(last.slice(0, 2), ["What is 6 + 1?", "still no idea"])
          const csv = yield* run(["results", "here", "--format", "csv"])
          assert.match(csv.stdout, /\nq3,.*,invalid,.*\$\.sum: /)
        }),
      60_000
    )
  }

  it.scopedLive(
    "--repair sends answers back by itself, and the run's configuration keeps both",
    () =>
      Effect.gen(function*() {
        const { directory, emulator, run, write } = yield* start({ answer: model([]) })
        write("in.jsonl", questions(2))
        write("answer.schema.json", JSON.stringify(schema))
        const flags = ["-m", "gpt-5-mini", "--schema", "answer.schema.json", "--repair", "2", ...quick]
        const first = yield* run(["run", "in.jsonl", ...flags, "--run-dir", "here"])
        assert.strictEqual(first.code, 0, first.stderr)
        assert.deepStrictEqual(outcomesIn(directory), ["succeeded", "succeeded"])
        assert.deepInclude((yield* emulator.books).totals, { batches: 2, rows: 3 })
        const again = yield* run(["run", "--config", "here/config.yaml", "--run-dir", "there", ...quick])
        assert.strictEqual(again.code, 0, again.stderr)
        const read = (path: string) => readFileSync(join(directory, path), "utf8")
        const withoutTags = (text: string) => lines(text).map(({ body }) => body)
        for (const shard of ["0001", "0002"]) {
          const path = `batch_inputs/openai/${shard}.jsonl`
          assert.deepStrictEqual(withoutTags(read(`there/${path}`)), withoutTags(read(`here/${path}`)))
        }
      }),
    60_000
  )

  it.scopedLive(
    "refuses a file that holds no schema, or one that the provider cannot take, before anything is sent",
    () =>
      Effect.gen(function*() {
        const { directory, write } = yield* start()
        write("in.jsonl", questions(1))
        write("broken.json", "{\"type\":")
        write("list.json", "[]")
        write("typo.json", "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"strnig\"}}}")
        write("lost.json", "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/b\"}}}")
        write(
          "beyond.json",
          "{\"type\":\"object\",\"not\":{\"required\":[\"a\"]},\"properties\":{\"a\":{\"type\":\"string\"}}}"
        )
        write("good.json", JSON.stringify(schema))
        for (
          const [flags, message] of [
            [["--schema", "none.json"], /^error: none\.json: there is no such file\. Check the path\.\n$/],
            [
              ["--schema", "broken.json"],
              /^error: broken\.json: this is not JSON: .* The file must hold a JSON Schema, /
            ],
            [["--schema", "list.json"], /^error: list\.json: found .*\. The file must hold a JSON Schema, /],
            [["--schema", "typo.json"], /error: typo\.json: .*strnig.* Give a JSON Schema of draft 2020-12/],
            [["--schema", "lost.json"], /error: lost\.json: .*#\/\$defs\/b.* Give a JSON Schema of draft 2020-12/],
            [["--schema", "beyond.json"], /error: .*\bnot\b.*/],
            [
              ["--schema", "good.json", "--response-format", "json_object"],
              /--schema makes the response format\. Leave out/
            ],
            [
              ["--schema", "good.json", "--repair", "11"],
              /--repair: found the number 11\. It must be a whole number from 0/
            ]
          ] as const
        ) {
          const { code, stderr, stdout } = yield* llmBatch([
            "run",
            "in.jsonl",
            "-m",
            "gpt-5-mini",
            "--dry-run",
            ...flags
          ], {
            cwd: directory
          })
          assert.match(stderr, message)
          assert.deepStrictEqual([code, stdout], [2, ""], stderr)
        }
        assert.strictEqual((yield* llmBatch(["list", "--json"], { cwd: directory })).stdout, "[]\n")
      }),
    60_000
  )
})
