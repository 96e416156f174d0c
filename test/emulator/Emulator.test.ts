import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
import * as TestClock from "effect/TestClock"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Emulator, layer } from "../../src/emulator/Emulator.js"
import * as H from "./Harness.js"

const withoutId = (line: string): string => line.replace(/"custom_id":"[^"]*"/, "")

describe("emulator", () => {
  it.scopedLive("gives the same bytes for the same seed and bodies, whatever the ids, the batch and the time", () =>
    Effect.gen(function*() {
      const one = yield* H.start({ seed: 5 })
      const two = yield* H.start({ seed: 5, processing: 1000 })
      const other = yield* H.start({ seed: 6 })
      yield* two.advance("100 days")
      const output = (emulator: H.Started, prefix: string) =>
        Effect.gen(function*() {
          const batch = yield* H.finished(emulator, H.chatRows(200, prefix))
          return H.lines(yield* H.content(emulator, batch.output_file_id)).map(withoutId).toSorted()
        })
      const first = yield* output(one, "first")
      assert.strictEqual(first.length, 200)
      assert.deepStrictEqual(yield* output(one, "again"), first)
      assert.deepStrictEqual(yield* output(two, "elsewhere"), first)
      assert.notDeepEqual(yield* output(other, "first"), first)
      const results = (emulator: H.Started) => Effect.map(H.results(emulator, H.messages(50)), H.sorted)
      assert.deepStrictEqual(yield* results(two), yield* results(one))
    }))

  it.scopedLive("serves the same bytes every time a file is read", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const batch = yield* H.finished(emulator, H.chatRows(100))
      const read = H.content(emulator, batch.output_file_id)
      const file = yield* H.call(() => emulator.openai.files.retrieve(batch.output_file_id ?? ""))
      const first = yield* read
      assert.strictEqual(first.length, file.bytes)
      yield* emulator.advance("1 day")
      assert.isTrue((yield* read).equals(first))
    }))

  it.scopedLive("keeps books: batches, what they cost, calls, files; and no key", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const rows = H.chatRows(3)
      const batch = yield* H.finished(emulator, rows)
      const again = yield* H.submit(emulator, rows)
      yield* H.results(emulator, H.messages(2))
      const books = yield* emulator.books
      const sha256 = Crypto.createHash("sha256").update(H.jsonl(rows)).digest("hex")
      const [entry] = books.batches
      assert.deepStrictEqual(
        entry === undefined
          ? {}
          : {
            ...Struct.omit(
              entry,
              "metadata",
              "createdAt",
              "endedAt",
              "inputBytes",
              "errored",
              "expired",
              "cancelled",
              "deleted"
            )
          },
        {
          id: batch.id,
          provider: "openai",
          status: "completed",
          problem: null,
          endpoint: "/v1/chat/completions",
          model: "gpt-4.1-mini",
          sha256,
          keyFingerprint: Crypto.createHash("sha256").update("sk-test").digest("hex").slice(0, 12),
          rows: 3,
          succeeded: 3,
          billed: 3,
          inputTokens: batch.usage?.input_tokens ?? 0,
          outputTokens: batch.usage?.output_tokens ?? 0
        }
      )
      assert.deepStrictEqual(books.queues, [])
      assert.deepStrictEqual(books.duplicates, [{ sha256, batches: [batch.id, again.id] }])
      assert.strictEqual(books.totals.batches, 3)
      assert.strictEqual(books.totals.billed, 8)
      assert.deepStrictEqual(books.calls["POST /v1/batches"], { "200": 2 })
      assert.deepStrictEqual(books.calls["POST /v1/messages/batches"], { "200": 1 })
      // Two inputs and the output files of both batches.
      assert.strictEqual(books.filesAlive, 4)
      assert.notInclude(JSON.stringify(books), "sk-test")
    }))

  it.scopedLive("can be looked into and steered over HTTP, without a key", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const fetched = (path: string, body?: object) =>
        H.call(async () => {
          const init = body === undefined
            ? {}
            : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } }
          const response = await fetch(`${emulator.url}/_emulator/${path}`, init)
          const parsed: Record<string, unknown> = JSON.parse(await response.text())
          return [response.status, parsed] as const
        })
      assert.deepStrictEqual(yield* fetched("health"), [200, { status: "ok" }])
      const [strange, problem] = yield* fetched("faults", { expireRow: 1 })
      assert.strictEqual(strange, 400)
      assert.match(JSON.stringify(problem), /expireRow/)
      assert.strictEqual((yield* fetched("faults", { expireRows: 2 }))[0], 400)
      assert.strictEqual(
        (yield* fetched("faults", { expireRows: 1, calls: [{ kind: "hang", route: "GET /v1/files" }] }))[0],
        200
      )
      const batch = yield* H.submit(emulator, H.chatRows(2))
      assert.strictEqual((yield* fetched("advance", { seconds: 3600 }))[0], 200)
      assert.strictEqual((yield* H.call(() => emulator.openai.batches.retrieve(batch.id))).status, "expired")
      const [, books] = yield* fetched("books")
      assert.deepStrictEqual(books, JSON.parse(JSON.stringify(yield* emulator.books)))
    }))

  it.scoped("runs on the clock of its context, scaled", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ timeScale: 60, processing: 3600, validating: 0, finalizing: 0 })
      const batch = yield* H.submit(emulator, H.chatRows(1))
      const status = Effect.map(H.call(() => emulator.openai.batches.retrieve(batch.id)), (batch) => batch.status)
      assert.strictEqual(yield* status, "in_progress")
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* status, "in_progress")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* status, "completed")
    }))

  it.scopedLive("gives scripted answers, from a file or a function", () =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "llm-batch-test-"))),
        (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true }))
      )
      const path = Path.join(directory, "answers.jsonl")
      Fs.writeFileSync(path, "{\"match\":\"sky\",\"answer\":\"blue\"}\n\n{\"answer\":\"no idea\"}\n")
      const emulator = yield* H.start({
        answersFile: path,
        answer: ({ model, prompt, provider }) => prompt === "who" ? `${provider} ${model}` : undefined
      })
      const ask = (content: string) =>
        Effect.map(
          H.call(() =>
            emulator.openai.chat.completions.create({ model: "gpt-4.1", messages: [{ role: "user", content }] })
          ),
          (answer) => answer.choices[0]?.message.content
        )
      assert.deepStrictEqual(yield* Effect.all([ask("the sky?"), ask("the sea?"), ask("who")]), [
        "blue",
        "no idea",
        "openai gpt-4.1"
      ])
      Fs.writeFileSync(path, "{\"match\":\"x\"}\n")
      const failed = yield* Effect.flip(H.start({ answersFile: path }))
      assert.include(failed.message, "line 1")
      const absent = yield* Effect.flip(H.start({ answersFile: `${path}.none` }))
      assert.strictEqual(absent.reason, "answers")
    }))

  it.scopedLive("says so when its port is taken", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const failed = yield* Effect.flip(H.start({ port: Number(new URL(emulator.url).port) }))
      assert.strictEqual(failed.reason, "listen")
      assert.include(failed.message, new URL(emulator.url).port)
    }))

  it.live("leaves nothing behind: no files, no port", () =>
    Effect.gen(function*() {
      const directories = () =>
        new Set(Fs.readdirSync(Os.tmpdir()).filter((name) => name.startsWith("llm-batch-emulator-")))
      const before = directories()
      const scope = yield* Scope.make()
      const emulator = yield* H.start().pipe(Scope.extend(scope))
      const mine = [...directories()].filter((name) => !before.has(name))
      assert.isAbove(mine.length, 0)
      yield* H.finished(emulator, H.chatRows(3))
      yield* Scope.close(scope, Exit.void)
      assert.isUndefined((yield* H.failure(() => emulator.openai.batches.list())).status)
      const left = directories()
      assert.isTrue(mine.some((name) => !left.has(name)))
    }))

  it.live("is a layer", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator
      assert.strictEqual(emulator.openAiBaseUrl, `${emulator.url}/v1`)
      assert.strictEqual(emulator.anthropicBaseUrl, emulator.url)
      assert.strictEqual((yield* emulator.books).totals.batches, 0)
    }).pipe(Effect.provide(layer())))
})
