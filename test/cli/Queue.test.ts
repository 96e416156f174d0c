/**
 * `run` with more input than the provider's queue takes, as a process against the emulator; live, as Processes.ts says.
 *
 * The emulator's time stands still while the process is at work, and goes on when it does nothing but look at its
 * batches: so how full the queue is does not depend on how fast the machine is.
 */
import Anthropic from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import OpenAI from "openai"
import type * as Emulator from "../../src/emulator/Emulator.js"
import * as H from "../emulator/Harness.js"
import { meanTokens } from "../emulator/QueueFill.js"
import { lines, start, workspace } from "./Processes.js"

const executable = fileURLToPath(new URL("../../dist/bin.js", import.meta.url))

/** How many looks in a row tell that a process waits. */
const looksOfOneWhoWaits = 3

/** An emulator whose batches take ten minutes, and whose time goes on by two when the process waits. */
const startQueue = (settings: Emulator.Settings) =>
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime<never>()
    let looks = 0
    let advance = Effect.void
    const started = yield* start({
      ...settings,
      timeScale: 0,
      validating: 60,
      processing: 480,
      finalizing: 60,
      onCall: (route) => {
        looks = route.startsWith("GET /v1/batches") ? looks + 1 : 0
        if (looks < looksOfOneWhoWaits) return
        looks = 0
        Runtime.runSync(runtime)(advance)
      }
    })
    advance = started.emulator.advance("2 minutes")
    return started
  })

const limit = 5_000

/**
 * From 459 to 479 words, each of them a token, and seven around them: 476 tokens on average, and 20 times the limit in all.
 * Ten such rows fill the queue to 95 %: few and large ones, since each is a batch of its own in the end.
 */
const words = (row: number) => 459 + (row * 8) % 21
const rows = Array.from({ length: 210 }, (_, row) => ({ id: `row-${row}`, prompt: "word ".repeat(words(row)).trim() }))

const quick = ["--provider", "openai", "--model", "gpt-4.1-mini", "--poll-interval", "20ms", "--settle-time", "100ms"]

/** Two of the 42 shards of five rows fit into the queue. */
const shardRows = ["--shard-rows", "5"]

/** A run of some hundred batches takes a quarter of a minute, and more when the machine has other things to do. */
const patience = 600_000

describe("a queue of OpenAI with room for a twentieth of the input", () => {
  it("is what the input is made for", () => {
    const tokens = rows.reduce((sum, _, row) => sum + words(row) + 7, 0)
    assert.approximately(tokens, 20 * limit, 200)
  })

  /** Runs to the end, where every row is answered once, and tells of the queue what is in the emulator's books. */
  const passed = (args: ReadonlyArray<string>, asked = rows) =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* startQueue({ openAiEnqueuedTokens: limit })
      write("in.jsonl", asked.map((row) => `${JSON.stringify(row)}\n`).join(""))
      const ended = yield* run(["run", "in.jsonl", ...quick, ...args])
      assert.strictEqual(ended.code, 0, ended.stderr)
      const results = lines(readFileSync(ended.stdout.trim(), "utf8"))
      assert.deepStrictEqual(results.map((line) => line.custom_id), asked.map(({ id }) => id))
      assert.isTrue(results.every((line) => line.error === null))
      const books = yield* emulator.books
      assert.strictEqual(books.totals.billed, asked.length)
      assert.deepStrictEqual(books.duplicates, [])
      const [queue] = books.queues
      return queue === undefined
        ? assert.fail("there is no queue")
        : { declined: queue.declined, peak: queue.peak, fill: meanTokens(books, queue) / limit }
    })

  it.scopedLive("is kept full, and never asked for more, when the limit is told", () =>
    Effect.gen(function*() {
      const { declined, fill, peak } = yield* passed(
        ["--max-enqueued-tokens", String(limit), ...shardRows],
        // A third of them takes a third of the time; the whole is for the harder case.
        rows.slice(0, 70)
      )
      assert.strictEqual(declined, 0)
      assert.isAtMost(peak, limit)
      assert.isAtLeast(fill, 0.9)
    }), patience)

  it.scopedLive(
    "is kept full when the limit is learned from the batches that were declined, once each",
    () =>
      Effect.gen(function*() {
        const { declined, fill, peak } = yield* passed(shardRows)
        assert.isAtLeast(declined, 1)
        assert.isAtMost(declined, 42)
        assert.isAtMost(peak, limit)
        assert.isAtLeast(fill, 0.9)
      }),
    patience
  )
})

describe("the emulator", () => {
  it.scopedLive("takes its limits as flags", () =>
    Effect.gen(function*() {
      const directory = yield* workspace
      const child = spawn(process.execPath, [
        executable,
        "emulator",
        "--json",
        "--time-scale=0",
        "--openai-enqueued-tokens=8",
        "--openai-batches-per-hour=1",
        "--anthropic-queued-requests=1"
      ], { cwd: directory, stdio: ["ignore", "pipe", "ignore"] })
      yield* Effect.addFinalizer(() => Effect.sync(() => child.kill()))
      const [printed] = yield* Effect.promise(() => once(child.stdout, "data"))
      const { anthropic_base_url: anthropicUrl, openai_base_url: openAiUrl } = JSON.parse(String(printed))
      const openai = new OpenAI({ apiKey: "k", baseURL: openAiUrl, maxRetries: 0 })
      const file = yield* H.call(() =>
        openai.files.create({ file: new File([H.jsonl([H.chatRow("a", "Hello!")])], "in.jsonl"), purpose: "batch" })
      )
      const create = () =>
        openai.batches.create({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" })
      yield* H.call(create)
      assert.strictEqual((yield* H.failure(create)).status, 429)
      const advance = { method: "POST", body: "{\"seconds\":60}", headers: { "content-type": "application/json" } }
      yield* H.call(() => fetch(new URL("/_emulator/advance", openAiUrl), advance))
      const [batch] = (yield* H.call(() => openai.batches.list())).data
      assert.strictEqual(batch?.errors?.data?.[0]?.code, "token_limit_exceeded")

      const anthropic = new Anthropic({ apiKey: "k", baseURL: anthropicUrl, maxRetries: 0 })
      const refused = yield* H.failure(() => anthropic.messages.batches.create({ requests: H.messages(2) }))
      assert.strictEqual(refused.status, 429)
    }))
})
