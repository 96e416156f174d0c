/**
 * Runs that are left and taken up again, as processes against the emulator; they run live, as Processes.ts says.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { appendFileSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { lines, llmBatch, questions, start } from "./Processes.js"

const quick = ["--poll-interval", "50ms"]

/** An emulator in which no time passes but by `advance`, with a run that is submitted there. */
const submitted = Effect.gen(function*() {
  const started = yield* start({ timeScale: 0 })
  started.write("in.jsonl", questions(5))
  const flags = ["-m", "gpt-5-mini", "--run-dir", "here", "--shard-rows", "3", "--no-wait"]
  return { ...started, left: yield* started.run(["run", "in.jsonl", ...flags]) }
})

describe("a run that is left", () => {
  it.scopedLive("ends with 4, is told by status and list, and is finished by resume", () =>
    Effect.gen(function*() {
      const { directory, emulator, left, run } = yield* submitted
      assert.strictEqual(left.code, 4, left.stderr)
      assert.strictEqual(left.stdout, `${join(directory, "here")}\n`)
      assert.include(left.stderr, "llm-batch resume here")

      const status = yield* llmBatch(["status", "here"], { cwd: directory })
      assert.strictEqual(status.code, 0)
      assert.match(status.stdout, /\n {2}0001 {2}batch_\w+ {2}validating +3 rows +sent \d+s ago, expires in /)
      assert.match(status.stdout, /\n {2}0002 {2}batch_\w+ {2}validating +2 rows/)
      const json = yield* llmBatch(["status", "here", "--json"], { cwd: directory })
      assert.deepInclude(JSON.parse(json.stdout), { status: "running", rows: 5, results: null })

      const list = yield* llmBatch(["list", ".", "--json"], { cwd: directory })
      const [one, ...others] = JSON.parse(list.stdout)
      assert.deepInclude(one, { directory: join(directory, "here"), status: "running" })
      assert.lengthOf(others, 0)

      const waited = yield* run(["resume", "here", "--max-wait", "100ms", ...quick])
      assert.strictEqual(waited.code, 4, waited.stderr)
      assert.include(waited.stderr, "The longest wait is over, after 100ms: not every batch has ended.\n")
      assert.include(waited.stderr, "2 batches are running. Wait for the answers: llm-batch resume here\n")
      assert.notInclude(waited.stderr, "stopped")

      yield* emulator.advance("1 hour")
      const resumed = yield* run(["resume", "here", ...quick])
      assert.strictEqual(resumed.code, 0, resumed.stderr)
      assert.lengthOf(lines(readFileSync(resumed.stdout.trim(), "utf8")), 5)
      assert.strictEqual((yield* emulator.books).totals.batches, 2)

      const journal = readFileSync(join(directory, "here/journal.jsonl"), "utf8")
      for (const command of ["resume", "results"]) {
        for (const output of ["here/journal.jsonl", "here/rows/0001.jsonl", "in.jsonl"]) {
          const refused = yield* run([command, "here", "--output", output])
          assert.strictEqual(refused.code, 2, refused.stderr)
          assert.include(refused.stderr, `error: --output: ${output} `)
        }
        assert.strictEqual((yield* run([command, "here", "--output", "here/answers.csv"])).code, 0)
      }
      assert.isTrue(readFileSync(join(directory, "here/journal.jsonl"), "utf8").startsWith(journal))
      assert.lengthOf(readFileSync(join(directory, "here/answers.csv"), "utf8").trimEnd().split("\n"), 6)

      const again = yield* run(["resume", "here"])
      assert.strictEqual(again.code, 0)
      assert.strictEqual(again.stdout, resumed.stdout)
    }))

  it.scopedLive("says what still runs when it is interrupted, with exit code 130", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start({ timeScale: 0 })
      write("in.jsonl", questions(2))
      const { code, stderr, stdout } = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here"], {
        onStderr: (text, child) => {
          if (/batch_\w+ made/.test(text) && !child.killed) child.kill("SIGINT")
        }
      })
      assert.strictEqual(code, 130, stderr)
      assert.strictEqual(stdout, "")
      assert.match(stderr, /^Stopping \.\.\.\n[^]*^Interrupted\. /m)
      const [{ id } = { id: "" }] = (yield* emulator.books).batches
      assert.include(
        stderr,
        "Interrupted. 1 batch is still running at openai, and still paid for:\n"
          + `  ${id} (shard 0001, 2 rows)\n`
          + "Go on:   llm-batch resume here\n"
          + "Cancel:  llm-batch cancel here\n"
      )
    }))

  it.scopedLive("is finished after two interrupts, with the same bytes as one that nobody interrupted", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start({ timeScale: 0 })
      const flags = ["-m", "gpt-5-mini", "--run-dir", "here", "--shard-rows", "3", ...quick]
      write("in.jsonl", questions(5))
      let interrupts = 0
      const { code, stderr } = yield* run(["run", "in.jsonl", ...flags], {
        onStderr: (text, child) => {
          const seen = text.includes("Interrupted.") ? 2 : text.includes("made, 2 rows") ? 1 : 0
          for (; interrupts < seen; interrupts++) child.kill("SIGINT")
        }
      })
      assert.strictEqual(code, 130, stderr)
      assert.strictEqual(interrupts, 2)
      yield* emulator.advance("1 hour")
      const resumed = yield* run(["resume", "here", ...quick])
      assert.strictEqual(resumed.code, 0, resumed.stderr)
      assert.deepStrictEqual((yield* emulator.books).duplicates, [])

      const calm = yield* start()
      calm.write("in.jsonl", questions(5))
      const whole = yield* calm.run(["run", "in.jsonl", ...flags])
      assert.strictEqual(
        readFileSync(join(directory, "here/results.jsonl"), "utf8"),
        readFileSync(whole.stdout.trim(), "utf8")
      )
    }))

  it.scopedLive("is taken up by run with the same input, and by no other", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* submitted
      const same = ["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", "--shard-rows", "3", ...quick]
      write("other.jsonl", questions(4))
      for (
        const other of [
          same.map((one) => one === "in.jsonl" ? "other.jsonl" : one),
          same.map((one) => one === "gpt-5-mini" ? "gpt-5-nano" : one)
        ]
      ) {
        const { code, stderr } = yield* run(other)
        assert.strictEqual(code, 2)
        assert.match(stderr, /\nerror: here: there is a run here already, of .* llm-batch resume here, or name another/)
      }
      yield* emulator.advance("1 hour")
      const { code, stderr } = yield* run(same)
      assert.strictEqual(code, 0, stderr)
      assert.include(stderr, "There is a run of this input in here already: going on with it.\n")
      assert.strictEqual((yield* emulator.books).totals.batches, 2)
    }))

  it.scopedLive("is taken up by run with the same --run-id", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start()
      write("in.jsonl", questions(2))
      const same = ["run", "in.jsonl", "-m", "gpt-5-mini", "--run-id", "mine", ...quick]
      yield* run([...same, "--no-wait"])
      const { code, stderr, stdout } = yield* run(same)
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stdout, `${join(directory, "experiments/run_mine/results.jsonl")}\n`)
      assert.strictEqual((yield* emulator.books).totals.batches, 1)
    }))

  it.scopedLive("is taken up with another key only when somebody says that it is of the same account", () =>
    Effect.gen(function*() {
      const { emulator, env, run } = yield* submitted
      yield* emulator.advance("1 hour")
      const other = { env: { ...env, OPENAI_API_KEY: "sk-another" } }
      for (const command of ["resume", "poll"]) {
        const { code, stderr } = yield* run([command, "here"], other)
        assert.strictEqual(code, 2)
        assert.match(stderr, /^error: here: its batches were made with another API key, .* --accept-new-key /)
      }
      const accepted = yield* run(["resume", "here", "--accept-new-key", ...quick], other)
      assert.strictEqual(accepted.code, 0, accepted.stderr)
    }))

  it.scopedLive("is cancelled, and what was answered by then is brought", () =>
    Effect.gen(function*() {
      const { emulator, run } = yield* submitted
      const asked = yield* run(["cancel", "here", "--no-wait"])
      assert.strictEqual(asked.code, 4, asked.stderr)
      assert.match(asked.stderr, /batch_\w+: cancelling\n/)
      yield* emulator.advance("1 hour")
      const { code, stderr, stdout } = yield* run(["cancel", "here", "--json", ...quick])
      assert.strictEqual(code, 3, stderr)
      const report = JSON.parse(stdout)
      assert.strictEqual(report.tally.succeeded + report.tally.cancelled, 5)
      const nothing = yield* run(["cancel", "here"])
      assert.strictEqual(nothing.code, 0)
      assert.include(nothing.stderr, "there is nothing to cancel")
    }))

  it.scopedLive("is cancelled beside the process that runs it, which brings the answers", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start({ timeScale: 0 })
      write("in.jsonl", questions(3))
      const made = yield* Deferred.make<void>()
      const running = yield* Effect.fork(
        run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", ...quick], {
          onStderr: (text) => {
            if (/batch_\w+ made/.test(text)) Deferred.unsafeDone(made, Effect.void)
          }
        })
      )
      yield* Deferred.await(made)
      const cancelled = yield* run(["cancel", "here"])
      assert.strictEqual(cancelled.code, 0, cancelled.stderr)
      assert.include(
        cancelled.stderr,
        "Another process holds this run: it sends nothing more, and fetches what was answered.\n"
      )
      yield* emulator.advance("1 hour")
      assert.strictEqual((yield* Fiber.join(running)).code, 3)
    }))

  it.scopedLive("sends nothing more when it is cancelled, by whichever process", () =>
    Effect.gen(function*() {
      const { directory, emulator, run, write } = yield* start({ timeScale: 0 })
      write("in.jsonl", questions(5))
      const flags = ["--shard-rows", "2", "--max-concurrent-jobs", "1", "--retries", "2", ...quick]
      const made = yield* Deferred.make<void>()
      const running = yield* Effect.fork(
        run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", ...flags], {
          onStderr: (text) => {
            if (/batch_\w+ made/.test(text)) Deferred.unsafeDone(made, Effect.void)
          }
        })
      )
      yield* Deferred.await(made)
      const cancelled = yield* run(["cancel", "here"])
      assert.strictEqual(cancelled.code, 0, cancelled.stderr)
      const status = yield* run(["status", "here"])
      assert.include(status.stdout, "\nIt was cancelled: nothing more is sent.\n")
      yield* emulator.advance("1 hour")
      const ended = yield* Fiber.join(running)
      assert.strictEqual(ended.code, 3, ended.stderr)
      assert.match(ended.stderr, /openai, gpt-5-mini: finished, 1 batch and 2 never sent, in /)
      assert.deepStrictEqual(
        lines(readFileSync(join(directory, "here/results.jsonl"), "utf8")).slice(2).map(({ custom_id, error }) => [
          custom_id,
          error.outcome,
          error.retryable
        ]),
        [["q3", "cancelled", true], ["q4", "cancelled", true], ["q5", "cancelled", true]]
      )
      assert.strictEqual((yield* emulator.books).totals.batches, 1)
    }))

  it.scopedLive("stays cancelled when it is left, until retry sends it", () =>
    Effect.gen(function*() {
      const { emulator, run, write } = yield* start({ timeScale: 0 })
      write("in.jsonl", questions(5))
      const flags = ["--run-dir", "here", "--shard-rows", "2", "--max-concurrent-jobs", "1"]
      yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", ...flags, ...quick], {
        onStderr: (text, child) => {
          if (/batch_\w+ made/.test(text) && !child.killed) child.kill("SIGINT")
        }
      })
      assert.strictEqual((yield* run(["cancel", "here", "--no-wait"])).code, 4)
      yield* emulator.advance("1 hour")
      const resumed = yield* run(["resume", "here", ...quick])
      assert.strictEqual(resumed.code, 3, resumed.stderr)
      assert.strictEqual((yield* emulator.books).totals.batches, 1)
      const retried = yield* run(["retry", "here", "--no-wait"])
      assert.strictEqual(retried.code, 4, retried.stderr)
      assert.isAbove((yield* emulator.books).totals.batches, 1)
    }))

  it.scopedLive("is cancelled without a key when nothing was sent", () =>
    Effect.gen(function*() {
      const { directory, run, write } = yield* start()
      write("in.jsonl", questions(2))
      yield* run(["build", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here"])
      const { code, stderr } = yield* llmBatch(["cancel", "here"], { cwd: directory })
      assert.strictEqual(code, 3, stderr)
      assert.match(stderr, /finished, 0 batches and 1 never sent, in \d+s\n/)
      assert.match(stderr, /\n {2}cancelled +2\n/)
    }))

  it.scopedLive("is not called free of batches when one may have been made", () =>
    Effect.gen(function*() {
      const { directory, run, write } = yield* start()
      write("in.jsonl", questions(2))
      yield* run(["build", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here"])
      // What a process leaves that is killed inside the call that makes the batch.
      const input = { _tag: "UploadedFile", fileId: "file-1" }
      const entry = { _tag: "InputUploaded", at: "2026-01-02T03:04:05.000Z", shard: "0001", input }
      appendFileSync(join(directory, "here", "journal.jsonl"), `${JSON.stringify(entry)}\n`)
      const { code, stderr } = yield* run(["cancel", "here"])
      assert.strictEqual(code, 1)
      assert.include(
        stderr,
        "Of 1 shard it is not known yet whether a batch was made; resume looks before it sends. "
          + "What it finds is cancelled then: llm-batch resume here\n"
      )
      const status = yield* run(["status", "here"])
      assert.include(status.stdout, "not known whether it was submitted")
    }))

  it.scopedLive("is listed as damaged when its journal is", () =>
    Effect.gen(function*() {
      const { directory, run } = yield* submitted
      appendFileSync(join(directory, "here", "journal.jsonl"), "this is no entry\n{}\n")
      const list = yield* run(["list", "."])
      assert.strictEqual(list.code, 0)
      assert.match(list.stdout, /\nhere +damaged /)
      const status = yield* run(["status", "here"])
      assert.strictEqual(status.code, 1)
      assert.match(status.stderr, /^error: .*journal\.jsonl:\d+: the journal is damaged/)
    }))
})

describe("the steps of a run, a command each", () => {
  it.scopedLive("do the same as run, and clean deletes what the provider keeps", () =>
    Effect.gen(function*() {
      const { directory, run, write } = yield* start()
      write("in.jsonl", questions(4))
      const build = yield* run(["build", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here"])
      assert.strictEqual(build.stdout, `${join(directory, "here")}\n`)
      for (const step of ["submit", "poll", "fetch"]) {
        const { code, stderr } = yield* run([step, "here", ...(step === "poll" ? quick : [])])
        assert.strictEqual(code, 0, `${step}: ${stderr}`)
      }
      const normalize = yield* run(["normalize", "here", "--output", "answers.txt"])
      assert.strictEqual(normalize.code, 0, normalize.stderr)
      assert.lengthOf(lines(readFileSync(normalize.stdout.trim(), "utf8")), 4)
      const clean = yield* run(["clean", "here"])
      assert.match(clean.stdout, /^(?:file-\w+\n){2}$/)
      const again = yield* run(["clean", "here", "--json"])
      assert.deepStrictEqual(JSON.parse(again.stdout), { deleted: [] })
    }))

  it.scopedLive("are replayed from saved results without a key", () =>
    Effect.gen(function*() {
      const { directory, run, write } = yield* start()
      write("in.jsonl", questions(4))
      const first = yield* run(["run", "in.jsonl", "-m", "gpt-5-mini", "--run-dir", "here", ...quick])
      const replayed = yield* llmBatch(
        ["run", "in.jsonl", "-m", "gpt-5-mini", "--replay-dir", "here", "--run-dir", "there"],
        { cwd: directory }
      )
      assert.strictEqual(replayed.code, 0, replayed.stderr)
      assert.strictEqual(
        readFileSync(replayed.stdout.trim(), "utf8"),
        readFileSync(first.stdout.trim(), "utf8")
      )
    }))
})

describe("emulator", () => {
  it.scopedLive("prints its addresses, serves, and ends when it is interrupted", () =>
    Effect.gen(function*() {
      const { directory } = yield* start()
      const { code, stdout } = yield* llmBatch(["emulator", "--port", "0", "--seed", "7"], {
        cwd: directory,
        onStderr: (text, child) => {
          if (text.includes("until it is interrupted") && !child.killed) child.kill("SIGINT")
        }
      })
      assert.strictEqual(code, 130)
      assert.match(
        stdout,
        /^export OPENAI_BASE_URL=http:\/\/127\.0\.0\.1:(\d+)\/v1 OPENAI_API_KEY=emulator\nexport ANTHROPIC_BASE_URL=http:\/\/127\.0\.0\.1:\1 ANTHROPIC_API_KEY=emulator\n$/
      )
    }))
})
