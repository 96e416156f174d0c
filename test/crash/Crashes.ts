/**
 * Runs of the command line that are killed at a point of their own choosing and taken up again, and what must hold
 * afterwards. What was paid for is read from the emulator's own books, and never from what the program says of it.
 *
 * These run live, as `cli/Processes.ts` says.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import type { BatchEntry } from "../../src/emulator/Books.js"
import type { Settings } from "../../src/emulator/Emulator.js"
import { FaultPlan } from "../../src/emulator/FaultPlan.js"
import { questions, start, workspace } from "../cli/Processes.js"

/** The providers, each with the flags of a run there. */
export const providers = {
  openai: ["--model", "gpt-5-mini"],
  anthropic: ["--model", "claude-haiku-4-5", "--max-tokens", "100"]
} as const

/** The name of a provider. */
export type Provider = keyof typeof providers

/**
 * Where a process is killed: before its Nth point, after the Nth one of a call, within its Nth append to the journal.
 */
export interface Crash {
  readonly at: number
  readonly side: "before" | "after" | "within"
}

/** How a run ended that was killed now and then. */
interface Survival {
  readonly results: string
  readonly batches: number
  /** Where the first process was killed; `null` when it came to its end before that. */
  readonly killed: string | null
  /** How many points of each kind the first process passed, when it came to its end. */
  readonly points: { readonly [Side in Crash["side"]]: number }
  readonly kills: number
  readonly resumes: number
  /** The first process died before there was anything to go on with. */
  readonly begunAnew: boolean
}

const rows = 12

/** Three shards, rows that fail once and are asked again, and a first create whose answer is lost. */
const settings: Settings = {
  faults: new FaultPlan({ errorRows: 0.4, errorKind: "server_error", rowFaultAttempts: 1, loseCreates: 1 })
}

const patience = ["--poll-interval", "20ms", "--settle-time", "100ms"]

const preload = new URL("preload.mjs", import.meta.url).href

/** How often a run may be taken up until it must have come to its end. */
const resumesAtMost = 6

/** The paths of all files below a directory. */
export const filesBelow = (directory: string): ReadonlyArray<string> =>
  readdirSync(directory, { recursive: true, encoding: "utf8" })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())

/** The shards that a batch of OpenAI says it is of; Anthropic's say nothing. */
const marks = ({ metadata }: BatchEntry): string => JSON.stringify(metadata)

/**
 * Runs three shards and a retry round to their end: the first process is killed at `first`, the one that resumes at
 * `second`, and as many more as it takes are left alone. Every invariant is checked in the end.
 */
export const survive = (provider: Provider, first?: Crash, second?: Crash) =>
  Effect.gen(function*() {
    const { directory, emulator, env, run, write } = yield* start(settings)
    const report = join(yield* workspace, "report.json")
    write("in.jsonl", questions(rows))
    let kills = 0

    /** Runs a process; tells how it ended, and where it was killed if it was. */
    const attempt = (args: ReadonlyArray<string>, crash?: Crash) =>
      Effect.gen(function*() {
        const plan = JSON.stringify({ report, ...crash })
        const ended = yield* run(args, { env: { ...env, NODE_OPTIONS: `--import=${preload}`, LLM_BATCH_CRASH: plan } })
        const { killed, points }: { killed: string | null; points: ReadonlyArray<string> } = JSON.parse(
          readFileSync(report, "utf8")
        )
        assert.strictEqual(ended.signal, killed === null ? null : "SIGKILL", ended.stderr)
        if (killed !== null) kills++
        const calls = points.filter((label) => /^(?:send|sent|answered)/.test(label))
        const appends = points.filter((label) => label === "append")
        return {
          ...ended,
          killed,
          points: { before: points.length, after: calls.length, within: appends.length }
        }
      })

    const flags = ["--run-dir", "here", "--shard-rows", "5", "--retries", "1", ...patience]
    const beginning = ["run", "in.jsonl", ...providers[provider], ...flags]
    const begun = yield* attempt(beginning, first)
    let last = begun
    let resumes = 0
    let begunAnew = false
    while (last.code !== 0) {
      const story = `${provider}, ${begun.killed ?? "not killed"}, then ${last.killed ?? last.code}: ${last.stderr}`
      assert.isBelow(resumes, resumesAtMost, story)
      // Killed, or told that batches are still running: anything else is no reason to try again.
      assert.isTrue(last.killed !== null || last.code === 4, story)
      const resumed = yield* attempt(["resume", "here", ...patience], resumes === 0 ? second : undefined)
      resumes++
      last = resumed
      if (resumed.code === 2) {
        // It died while it was building: it says so, nothing was sent, and the same command begins it anew.
        assert.match(resumed.stderr, /no directory|no run here|never built|before it began/, story)
        assert.lengthOf((yield* emulator.books).batches, 0, story)
        last = yield* attempt(beginning, begunAnew ? undefined : second)
        begunAnew = true
      }
    }

    const story = `${provider}, ${begun.killed ?? "not killed"}: ${last.stderr}`
    const { batches, duplicates, totals } = yield* emulator.books
    assert.deepStrictEqual(duplicates, [], story)
    assert.strictEqual(totals.billed, rows, story)
    if (provider === "openai") assert.lengthOf(new Set(batches.map(marks)), batches.length, story)
    const journal = readFileSync(join(directory, "here", "journal.jsonl"), "utf8")
    for (const { id } of batches) assert.include(journal, `"${id}"`, story)
    for (const path of filesBelow(directory)) {
      assert.notMatch(readFileSync(path, "latin1"), /sk-canary/, `${path}, ${story}`)
      assert.notMatch(path, /\.(?:tmp|scratch)$/, story)
    }
    assert.isTrue(existsSync(last.stdout.trim()), story)
    return {
      results: readFileSync(last.stdout.trim(), "utf8"),
      batches: batches.length,
      killed: begun.killed,
      points: begun.points,
      kills,
      resumes,
      begunAnew
    } satisfies Survival
  }).pipe(Effect.scoped)

/** What a run gives that nothing happened to, which is what every other one must give, and how many points it has. */
export const undisturbed = (provider: Provider) =>
  Effect.tap(survive(provider), ({ batches, results }) =>
    Effect.sync(() => {
      assert.lengthOf(results.trimEnd().split("\n"), rows)
      // Three shards, and one at least of rows that were asked again.
      assert.isAbove(batches, 3)
    }))
