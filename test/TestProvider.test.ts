import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { BatchSnapshot } from "llm-batch/Batch"
import { Pipeline, type RunOptions } from "llm-batch/Pipeline"
import { Provider } from "llm-batch/Provider"
import { RequestDefaults } from "llm-batch/Request"
import { Shard, submitTag } from "llm-batch/Shard"
import * as Source from "llm-batch/Source"
import * as TestProvider from "llm-batch/TestProvider"

const { Cut, Failing, Hanging, LostAnswer, None, NotSent, Refused, Unanswered } = TestProvider.Fault

const defaults = new RequestDefaults({ model: "any" })

/** A run of these prompts from beginning to end, with a clock that goes on for so long. */
const runOf = (
  prompts: ReadonlyArray<string>,
  duration: Duration.DurationInput = "25 hours",
  options: RunOptions = {}
) =>
  Effect.gen(function*() {
    const pipeline = yield* Pipeline
    const running = yield* Effect.fork(
      pipeline.run(Source.fromRows(prompts.map((prompt) => ({ prompt }))), { defaults, ...options })
    )
    yield* TestClock.adjust(duration)
    return yield* Fiber.join(running)
  })

const shard = new Shard({
  id: "0001",
  directory: "/runs/one",
  runTag: "tag",
  provider: "test",
  endpoint: "/v1/chat/completions",
  model: "any",
  betas: [],
  rows: 2,
  bytes: 1,
  sha256: "hash",
  firstRow: 1,
  lastRow: 2,
  attempt: 1,
  parents: []
})

const bytes = Stream.make(Buffer.from(
  "{\"custom_id\":\"tag-1\",\"body\":{\"messages\":[{\"role\":\"user\",\"content\":\"one\"}]}}\n"
    + "{\"custom_id\":\"tag-2\",\"body\":{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"two\"}]}]}}\n"
))

/** Makes a batch of two rows without a pipeline. */
const makeBatch = ({ provider }: TestProvider.Service) =>
  Effect.flatMap(provider.upload(shard, bytes), (input) => provider.create(shard, input, bytes))

const says = ({ counts, ending, providerStatus, status }: BatchSnapshot) => [
  status,
  ending,
  providerStatus,
  counts.succeeded + counts.errored + counts.expired + counts.cancelled
]

/** What the provider says of the batch after each of these times. */
const saysAfter = (script: TestProvider.Script, ...times: ReadonlyArray<Duration.DurationInput>) =>
  Effect.gen(function*() {
    const test = yield* TestProvider.make(script)
    const { id } = yield* makeBatch(test)
    return yield* Effect.forEach(times, (time) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Duration.toMillis(time))
        return says(yield* test.provider.retrieve(id))
      }))
  })

const messageOf = <A, E extends { readonly message: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.either(effect), (either) => Either.isLeft(either) ? either.left.message : "it went well")

describe("a pipeline over a script", () => {
  it.effect("keeps what was answered before the batch expired", () =>
    Effect.gen(function*() {
      const report = yield* runOf(["2 + 2", "P = NP?"])
      const results = yield* TestProvider.readResults(report)
      assert.deepStrictEqual(results.map(({ customId, outcome, text }) => [customId, outcome, text]), [
        ["1", "succeeded", "2 + 2"],
        ["2", "expired", null]
      ])
    }).pipe(Effect.provide(TestProvider.layerPipeline({
      answeredAfter: ({ prompt }) => prompt === "2 + 2" ? "1 hour" : "3 days"
    }))))

  it.effect("goes through at the first step of the clock, time after time", () =>
    Effect.gen(function*() {
      for (let time = 0; time < 50; time++) {
        const report = yield* runOf(["one", "two", "three"], "2 hours", { shardRows: 1 }).pipe(
          Effect.provide(TestProvider.layerPipeline())
        )
        assert.strictEqual(report.tally?.succeeded, 3)
      }
    }))

  it.effect("has every outcome that a row may have", () =>
    Effect.gen(function*() {
      const outcomes = [
        "succeeded",
        "refused",
        "truncated",
        "errored",
        "expired",
        "cancelled",
        "malformed",
        "duplicate",
        "conflicting"
      ]
      const report = yield* runOf(outcomes)
      const results = yield* TestProvider.readResults(report)
      assert.deepStrictEqual(results.map(({ outcome, text }) => [outcome, text]), [
        ["succeeded", "SUCCEEDED"],
        ["succeeded", ""],
        ["succeeded", "TRUNCATED"],
        ["errored", null],
        ["expired", null],
        ["cancelled", null],
        ["missing", null],
        ["succeeded", "DUPLICATE"],
        ["succeeded", "CONFLICTING"]
      ])
      const { conflictingLines, duplicateLines, malformedLines, refused, truncated } = report.tally ??
        assert.fail("no tally")
      assert.deepStrictEqual({ conflictingLines, duplicateLines, malformedLines, refused, truncated }, {
        conflictingLines: 1,
        duplicateLines: 1,
        malformedLines: 1,
        refused: 1,
        truncated: 1
      })
      const test = yield* TestProvider.TestProvider
      assert.strictEqual(yield* test.rowsBilled, 6)
    }).pipe(Effect.provide(TestProvider.layerPipeline({
      outcome: ({ prompt }) => Object.hasOwn(named, prompt) ? named[prompt] ?? "succeeded" : "succeeded",
      answer: ({ prompt }) => prompt.toUpperCase()
    }))))

  it.effect("has rows that are missing", () =>
    Effect.gen(function*() {
      const report = yield* runOf(["here", "gone", "here"])
      const results = yield* TestProvider.readResults(report)
      assert.deepStrictEqual(results.map(({ outcome }) => outcome), ["succeeded", "missing", "succeeded"])
    }).pipe(Effect.provide(TestProvider.layerPipeline({
      outcome: ({ prompt }) => prompt === "gone" ? "missing" : "succeeded"
    }))))

  it.effect("keeps books", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.TestProvider
      yield* runOf(["one", "two", "three"], "2 hours", { shardRows: 2 })
      const batches = yield* test.batches
      assert.deepStrictEqual(
        batches.map(({ rows, rowsBilled, shard, snapshot }) => [
          shard,
          snapshot.id,
          rowsBilled,
          rows.map(({ prompt }) => prompt)
        ]),
        [["0001", "batch-1", 2, ["one", "two"]], ["0002", "batch-2", 1, ["three"]]]
      )
      assert.deepStrictEqual(batches[1]?.rows[0], {
        row: 3,
        prompt: "three",
        body: { model: "any", messages: [{ role: "user", content: "three" }] }
      })
      assert.strictEqual(yield* test.rowsBilled, 3)
      const calls = yield* test.calls
      assert.deepStrictEqual(calls.filter(({ target }) => target === "0001"), [
        { operation: "upload", target: "0001", at: 0 },
        { operation: "create", target: "0001", at: 0 }
      ])
      const downloads = calls.filter(({ operation }) => operation === "download").map(({ target }) => target)
      assert.deepStrictEqual(downloads.toSorted(), ["batch-1/output", "batch-2/output"])
    }).pipe(Effect.provide(TestProvider.layerPipeline())))

  it.effect("touches no file", () =>
    Effect.gen(function*() {
      const report = yield* runOf(["one"], "2 hours", { directory: "/nowhere/at/all" })
      assert.strictEqual(report.tally?.succeeded, 1)
      assert.strictEqual(report.results, "/nowhere/at/all/results.jsonl")
    }).pipe(Effect.provide(TestProvider.layerPipeline())))
})

const named: Record<string, TestProvider.RowOutcome> = {
  refused: "refused",
  truncated: "truncated",
  errored: "errored",
  expired: "expired",
  cancelled: "cancelled",
  malformed: "malformed",
  duplicate: "duplicate",
  conflicting: "conflicting"
}

describe("a batch", () => {
  it.effect("of an empty script ends after ten minutes", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* saysAfter({}, 0, "1 minute", "599 seconds", "10 minutes"), [
        ["validating", null, "validating", 0],
        ["in_progress", null, "in_progress", 0],
        ["in_progress", null, "in_progress", 0],
        ["ended", "completed", "completed", 2]
      ])
    }))

  it.effect("counts rows as they are answered, and expires with those that are not", () =>
    Effect.gen(function*() {
      const script: TestProvider.Script = { answeredAfter: ({ row }) => row === 1 ? "1 hour" : "2 days" }
      assert.deepStrictEqual(yield* saysAfter(script, "59 minutes", "1 hour", "23 hours", "24 hours"), [
        ["in_progress", null, "in_progress", 0],
        ["in_progress", null, "in_progress", 1],
        ["in_progress", null, "in_progress", 1],
        ["ended", "expired", "expired", 2]
      ])
    }))

  it.effect("follows its timeline, backwards too", () =>
    Effect.gen(function*() {
      const script: TestProvider.Script = {
        timeline: [
          { after: 0, status: "in_progress" },
          { after: "1 hour", status: "validating" },
          { after: "2 hours", status: "finalizing" },
          { after: "3 hours", status: "ended", ending: "failed" }
        ]
      }
      assert.deepStrictEqual(
        (yield* saysAfter(script, 0, "1 hour", "2 hours", "3 hours")).map(([status, ending]) => [status, ending]),
        [["in_progress", null], ["validating", null], ["finalizing", null], ["ended", "failed"]]
      )
    }))

  it.effect("that is cancelled ends a minute later, with what was answered", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ answeredAfter: ({ row }) => row === 1 ? "1 hour" : "2 hours" })
      const { id } = yield* makeBatch(test)
      yield* TestClock.adjust("90 minutes")
      assert.deepStrictEqual(says(yield* test.provider.cancel(id)), ["cancelling", null, "cancelling", 1])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(says(yield* test.provider.cancel(id)), ["ended", "cancelled", "cancelled", 2])
      assert.strictEqual(yield* test.rowsBilled, 1)
    }))

  it.effect("shows up in lists when the script says so", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ listedAfter: "30 seconds", limits: { listPage: 2 } })
      for (let count = 0; count < 3; count++) yield* makeBatch(test)
      assert.deepStrictEqual(yield* test.provider.list(null), { batches: [], next: null })
      yield* TestClock.adjust("30 seconds")
      const first = yield* test.provider.list(null)
      assert.deepStrictEqual([first.batches.map(({ id }) => id), first.next], [["batch-3", "batch-2"], "batch-2"])
      const second = yield* test.provider.list(first.next)
      assert.deepStrictEqual([second.batches.map(({ id }) => id), second.next], [["batch-1"], null])
      const since = first.batches[0]?.createdAt ?? assert.fail("no batch")
      const find = (exclude: ReadonlyArray<string>) =>
        test.provider.find(submitTag(shard), since, new Set(exclude), () => true)
      assert.strictEqual((yield* find([]))._tag, "Ambiguous")
      assert.strictEqual((yield* find(["batch-1", "batch-2"]))._tag, "Found")
      assert.strictEqual((yield* find(["batch-1", "batch-2", "batch-3"]))._tag, "Absent")
    }))

  it.effect("is refused when it is larger than its limits", () =>
    Effect.gen(function*() {
      const rows = yield* TestProvider.make({ limits: { rows: 1 } })
      assert.include(yield* messageOf(makeBatch(rows)), "refused with HTTP 400: 2 rows are too many")
      const size = yield* TestProvider.make({ limits: { bytes: 100 } })
      assert.include(yield* messageOf(makeBatch(size)), "refused with HTTP 413")
    }))

  it.effect("has results from its end until they are deleted", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ outcome: ({ row }) => row === 1 ? "succeeded" : "errored" })
      const { id } = yield* makeBatch(test)
      yield* TestClock.adjust("10 minutes")
      const ended = yield* test.provider.retrieve(id)
      const read = Effect.forEach(ended.files, (file) =>
        Effect.map(Stream.runCollect(test.provider.download(file)), (chunks) =>
          Buffer.concat([...chunks]).toString()))
      assert.deepStrictEqual(yield* read, [
        "{\"custom_id\":\"tag-1\",\"model\":\"test\",\"text\":\"one\",\"refusal\":null,\"finish_reason\":\"stop\","
        + "\"prompt_tokens\":1,\"completion_tokens\":1}\n",
        "{\"custom_id\":\"tag-2\",\"error\":{\"outcome\":\"errored\",\"code\":\"server_error\","
        + "\"message\":\"The script lets this row fail.\",\"retryable\":true}}\n"
      ])
      assert.deepStrictEqual(yield* test.provider.delete(ended), ["file-1", "batch-1/output", "batch-1/error"])
      assert.include(yield* messageOf(read), "there is no such file")
    }))
})

describe("the queue", () => {
  it.effect("has room for so many tokens of a model; a batch without room fails a minute later", () =>
    Effect.gen(function*() {
      // A batch has two rows.
      const test = yield* TestProvider.make({ enqueuedTokens: 5_000, tokensOf: () => 1_250 })
      yield* makeBatch(test)
      yield* TestClock.adjust("5 minutes")
      yield* makeBatch(test)
      const declined = yield* makeBatch(test)
      assert.strictEqual(declined.status, "validating")
      yield* TestClock.adjust("1 minute")
      const ended = yield* test.provider.retrieve(declined.id)
      assert.deepStrictEqual([ended.status, ended.ending, ended.files], ["ended", "failed", []])
      assert.deepStrictEqual(ended.problems.map(({ code, line, message }) => [code, line, message]), [[
        "token_limit_exceeded",
        null,
        "Enqueued token limit reached for test in organization org-test. Limit: 5,000 enqueued tokens. "
        + "Please try again once some in_progress batches have been completed."
      ]])
      yield* TestClock.adjust("4 minutes")
      yield* makeBatch(test)
      const batches = yield* test.batches
      assert.deepStrictEqual(
        batches.map(({ rowsBilled, snapshot, tokens }) => [
          snapshot.ending,
          rowsBilled,
          tokens.get("test")
        ]),
        [
          ["completed", 2, 2_500],
          [null, 0, 2_500],
          ["failed", 0, undefined],
          [null, 0, 2_500]
        ]
      )
      assert.deepStrictEqual([...yield* test.peakTokens], [["test", 5_000]])
    }))

  it.effect("counts words when nobody says how, and has no limit unless it is given one", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make()
      yield* Effect.replicateEffect(makeBatch(test), 3)
      assert.deepStrictEqual([...yield* test.peakTokens], [["test", 6]])
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual((yield* test.batches).map(({ snapshot }) => snapshot.ending), Array(3).fill("completed"))
    }))

  it.effect("is one for each model", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ enqueuedTokens: 3 })
      const of = (models: ReadonlyArray<string>) =>
        Stream.make(Buffer.from(
          models.map((model) => `{"custom_id":"tag-1","body":{"model":"${model}","messages":[{"content":"a b"}]}}\n`)
            .join("")
        ))
      const submit = (content: ReturnType<typeof of>) =>
        Effect.flatMap(test.provider.upload(shard, content), (input) => test.provider.create(shard, input, content))
      yield* submit(of(["red", "green"]))
      yield* submit(of(["blue"]))
      yield* submit(of(["blue", "white"]))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual((yield* test.batches).map(({ snapshot }) => snapshot.ending), [null, null, "failed"])
      assert.deepStrictEqual([...yield* test.peakTokens], [["red", 2], ["green", 2], ["blue", 2]])
    }))

  it.effect("takes so many creates within an hour, and says when to come again", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ createsPerHour: 2 })
      yield* makeBatch(test)
      yield* TestClock.adjust("20 minutes")
      yield* makeBatch(test)
      yield* TestClock.adjust("10 minutes")
      const refused = yield* Effect.flip(makeBatch(test))
      assert.deepInclude(refused, { _tag: "Unknown", status: 429, retryAfterMillis: 30 * 60_000 })
      assert.lengthOf(yield* test.batches, 2)
      yield* TestClock.adjust("30 minutes")
      yield* makeBatch(test)
    }))
})

describe("a fault", () => {
  it.effect("strikes the call whose turn it is", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({
        faults: {
          retrieve: [
            None(),
            Failing({ reason: "rate-limited", retryAfter: "30 seconds" }),
            Failing({ reason: "unreachable" })
          ]
        }
      })
      const { id } = yield* makeBatch(test)
      const looks = yield* Effect.replicateEffect(Effect.either(test.provider.retrieve(id)), 4)
      assert.deepStrictEqual(
        looks.map((look) =>
          Either.isLeft(look) ? [look.left.reason, look.left.status, look.left.retryAfterMillis] : "well"
        ),
        ["well", ["rate-limited", 429, 30_000], ["unreachable", 503, null], "well"]
      )
    }))

  it.effect("of a create happens, or does not", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({
        faults: {
          create: [
            NotSent(),
            Refused({ status: 400 }),
            Unanswered({ status: 503 }),
            LostAnswer({ status: null }),
            Hanging()
          ]
        }
      })
      const made = Effect.map(test.batches, (batches) => batches.length)
      const after = (count: number) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.fork(Effect.either(makeBatch(test)))
          yield* TestClock.adjust(1)
          const exit = yield* fiber.poll
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(yield* made, count)
          if (exit._tag === "None") return "hangs"
          return exit.value._tag === "Success" && Either.isLeft(exit.value.value) ? exit.value.value.left._tag : "well"
        })
      assert.strictEqual(yield* after(0), "NotSent")
      assert.strictEqual(yield* after(0), "Refused")
      assert.strictEqual(yield* after(0), "Unknown")
      assert.strictEqual(yield* after(1), "Unknown")
      assert.strictEqual(yield* after(2), "hangs")
      assert.strictEqual(yield* after(3), "well")
    }))

  it.effect("of a download cuts it", () =>
    Effect.gen(function*() {
      const test = yield* TestProvider.make({ faults: { download: [Cut({ bytes: 7 }), Failing({ reason: "gone" })] } })
      const { id } = yield* makeBatch(test)
      yield* TestClock.adjust("10 minutes")
      const [file] = (yield* test.provider.retrieve(id)).files
      const read = Stream.runCollect(test.provider.download(file ?? assert.fail("no file")))
      assert.strictEqual(Buffer.concat([...yield* read]).toString(), "{\"custo")
      assert.include(yield* messageOf(read), "download batch-1/output")
      assert.strictEqual(Buffer.concat([...yield* read]).toString().split("\n").length, 3)
    }))

  it.effect("is no key", () =>
    Effect.gen(function*() {
      assert.include(
        yield* messageOf(Effect.provide(runOf(["one"], 0), TestProvider.layerPipeline({ account: null }))),
        "Check the API key"
      )
      assert.strictEqual(
        (yield* Effect.flatMap(Provider, ({ account }) => account("salt")).pipe(
          Effect.provide(TestProvider.layer({ account: "mine" }))
        )).keyFingerprint,
        "mine"
      )
    }))
})

describe("a row", () => {
  it.effect("that it cannot take is named", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline
      const error = yield* messageOf(
        pipeline.run(Source.fromRows([{ custom_id: "a", params: { model: "m", max_tokens: 1, messages: [] } }]), {
          defaults
        })
      )
      assert.include(error, "rows:1: body: row 1 (\"a\") cannot be sent to test: the row was written for anthropic")
    }).pipe(Effect.provide(TestProvider.layerPipeline())))

  it.effect("that was written for the provider it stands in for is taken", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline
      const running = yield* Effect.fork(pipeline.run(
        Source.fromRows([{
          custom_id: "a",
          params: { model: "m", max_tokens: 1, messages: [{ role: "user", content: "hello" }] }
        }]),
        { defaults }
      ))
      yield* TestClock.adjust("2 hours")
      const [result] = yield* TestProvider.readResults(yield* Fiber.join(running))
      assert.deepStrictEqual([result?.customId, result?.text], ["a", "hello"])
    }).pipe(Effect.provide(TestProvider.layerPipeline({ name: "anthropic" }))))
})
