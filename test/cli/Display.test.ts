import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { EndedBatch } from "llm-batch/Batch"
import { BuildOptions } from "llm-batch/BuildOptions"
import type { Listener } from "llm-batch/RunEvent"
import { Fold, InputDescription, RunDescription } from "llm-batch/RunState"
import * as Display from "../../src/cli/Display.js"
import { created, ended, normalized, observed, shard, snapshot, tally } from "./RunEvents.js"

const hide = "\u001b[0m\u001b[?25l"
const show = "\u001b[0m\u001b[?25h"
/** Goes up some lines and clears what is there. */
const up = (lines: number) => `\u001b[0m\u001b[${lines}A\u001b[J`

interface Screen {
  readonly tell: Listener["tell"]
  /** What was written since the last look. */
  readonly look: () => ReadonlyArray<string>
  /** Lets time pass until the next drawing. */
  readonly tick: Effect.Effect<void>
}

const showing = (
  options: Partial<Display.Options>,
  use: (screen: Screen) => Effect.Effect<void>
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.suspend(() => {
    let written: Array<string> = []
    const look = () => {
      const since = written
      written = []
      return since
    }
    return Effect.gen(function*() {
      const { tell } = yield* Display.make({
        live: true,
        color: false,
        json: false,
        write: (text) => written.push(text),
        columns: () => 81,
        ...options
      })
      yield* use({ tell, look, tick: TestClock.adjust("100 millis") })
    }).pipe(Effect.scoped, Effect.map(look))
  })

const times = <A>(count: number, make: (index: number) => A) =>
  Array.from({ length: count }, (_, index) => make(index + 1))

describe("Display on a terminal", () => {
  it.effect("draws a run from its first row to its end", () =>
    Effect.gen(function*() {
      const last = yield* showing({}, ({ look, tell, tick }) =>
        Effect.gen(function*() {
          yield* tick
          assert.deepStrictEqual(look(), [])

          tell({ _tag: "RowsBuilt", rows: 5_000 })
          yield* tick
          assert.deepStrictEqual(look(), [`${hide}building  5,000 rows  0s\n`])

          tell({ _tag: "ShardBuilt", shard: shard(1) })
          tell({ _tag: "ShardBuilt", shard: shard(2) })
          tell({ _tag: "BytesSent", shard: shard(1), bytes: 250_000 })
          yield* tick
          assert.deepStrictEqual(look(), [
            `${up(1)}0001  sending      250.0 kB of 1.0 MB\n`
            + "0002  built        400 rows\n"
            + "[--------------------]   0 %  0 of 800 rows done  0s, end unknown\n"
          ])

          tell(created(shard(1), { expiresAt: 86_400_000 }))
          tell(created(shard(2), { expiresAt: 86_400_000 }))
          tell(observed(shard(1), "in_progress", 0))
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(
            look().at(-1),
            `${up(3)}0001  in progress  0 of 400 rows  batch_1\n`
              + "0002  validating   0 of 400 rows  batch_2\n"
              + "[----------]   0 %  0 of 800 rows done  10s, end unknown (at most 23h 59m)\n"
          )

          tell(observed(shard(1), "in_progress", 200))
          yield* tick
          assert.deepStrictEqual(look(), [
            `${up(3)}0001  in progress  200 of 400 rows  batch_1\n`
            + "0002  validating   0 of 400 rows  batch_2\n"
            + "[#####---------------]  25 %  200 of 800 rows done  10s, about 30s left\n"
          ])

          tell(ended(shard(1), "completed", 400))
          tell(normalized(shard(1)))
          tell(ended(shard(2), "expired", 100))
          yield* tick
          assert.deepStrictEqual(look(), [
            `${up(3)}0001  done         400 of 400 rows  batch_1\n`
            + "0002  expired      400 of 400 rows  batch_2\n"
            + "[####################] 100 %  800 of 800 rows done  11s\n"
          ])
          tell(normalized(shard(2)))
        }))
      assert.deepStrictEqual(last, [
        `${up(3)}0001  done         400 of 400 rows  batch_1\n`
        + "0002  done         400 of 400 rows  batch_2\n"
        + "[####################] 100 %  800 of 800 rows done  11s\n",
        show
      ])
    }))

  it.effect("draws at most ten times a second, and only what has changed", () =>
    showing({}, ({ look, tell, tick }) =>
      Effect.gen(function*() {
        for (let bytes = 0; bytes < 1_000_000; bytes += 1_000) tell({ _tag: "BytesSent", shard: shard(1), bytes })
        assert.deepStrictEqual(look(), [])
        yield* tick
        assert.strictEqual(look().length, 1)
        yield* tick
        assert.strictEqual(look().length, 0)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(look().length, 5)
      })))

  it.effect("tells what it waits for, while it does", () =>
    showing({}, ({ look, tell, tick }) =>
      Effect.gen(function*() {
        tell(created(shard(1)))
        tell({ _tag: "SubmitWaiting", shard: shard(2), waitMillis: 60_000, detail: "create: no clear answer" })
        tell({ _tag: "PollTrouble", detail: "openai: list batches: HTTP 503" })
        yield* tick
        assert.deepStrictEqual(look().join("").split("\n").slice(1), [
          "0002  waiting      0 of 400 rows",
          "[--------------------]   0 %  0 of 800 rows done  0s, end unknown",
          "waiting 1m 00s: shard 0002: create: no clear answer",
          "waiting: openai: list batches: HTTP 503",
          ""
        ])
        tell(observed(shard(1), "in_progress", 1))
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(look().at(-1)?.split("\n").slice(3), [
          "waiting 40s: shard 0002: create: no clear answer",
          ""
        ])
        tell(created(shard(2)))
        yield* tick
        assert.notInclude(look().join(""), "waiting")
      })))

  it.effect("tells what is held back and why, and counts the rows of a shard that was cut once", () =>
    showing({}, ({ look, tell, tick }) =>
      Effect.gen(function*() {
        const whole = shard(1)
        tell(created(whole))
        const declined = new EndedBatch({ shard: whole, snapshot: snapshot(whole, "ended", 0), ending: "failed" })
        tell({ _tag: "BatchDeclined", batch: declined, detail: "the queue is full" })
        const pieces = [shard(2, 200), shard(3, 200)]
        tell({ _tag: "ShardSplit", shard: whole, shards: pieces })
        tell({
          _tag: "SendingHeld",
          shard: shard(3, 200),
          shards: 1,
          waitMillis: null,
          detail: "900 of 1,000 tokens are with the provider"
        })
        tell(observed(shard(2, 200), "in_progress", 100))
        yield* tick
        assert.deepStrictEqual(look().join("").split("\n").slice(1), [
          "0003  built        200 rows",
          "[#####---------------]  25 %  100 of 400 rows done  0s, end unknown",
          "waiting: 1 shard is held back: 900 of 1,000 tokens are with the provider",
          ""
        ])
        tell(created(shard(3, 200)))
        yield* tick
        assert.notInclude(look().join(""), "held back")
      })))

  it.effect("says that a call is tried again, until it is or the batch is made", () =>
    showing({}, ({ look, tell, tick }) =>
      Effect.gen(function*() {
        tell({ _tag: "SubmitWaiting", shard: shard(1), waitMillis: 0, detail: "upload: HTTP 503" })
        yield* tick
        assert.deepStrictEqual(look().join("").split("\n").slice(2), [
          "trying again: shard 0001: upload: HTTP 503",
          ""
        ])
        tell({ _tag: "BytesSent", shard: shard(1), bytes: 1_000 })
        yield* tick
        assert.notInclude(look().join(""), "trying again")
      })))

  it.effect("counts rows that are asked again as not done, and the rows of the run once", () =>
    showing({}, ({ look, tell, tick }) =>
      Effect.gen(function*() {
        tell(created(shard(1)))
        yield* TestClock.adjust("60 seconds")
        tell(ended(shard(1), "completed", 400))
        tell(normalized(shard(1)))
        yield* tick
        assert.include(look().at(-1), "[####################] 100 %  400 of 400 rows done  1m 00s\n")
        tell({ _tag: "ShardBuilt", shard: shard(2, 100, 2) })
        tell({ _tag: "RetryBuilt", attempt: 2, reasons: ["retry"], rows: 100, mayBeBilledTwice: 1 })
        yield* tick
        assert.deepStrictEqual(look(), [
          `${up(2)}asking again for 100 rows (attempt 2); 1 of them was missing and may be charged twice\n`
          + "0001  done         400 of 400 rows  batch_1\n"
          + "0002  built        100 rows\n"
          + "[###############-----]  75 %  300 of 400 rows done  1m 00s, end unknown\n"
        ])
        tell(created(shard(2, 100, 2)))
        tell(ended(shard(2, 100, 2), "completed", 100))
        yield* tick
        assert.include(look().at(-1), " 100 %  400 of 400 rows done  1m 00s\n")
      })))

  it.effect("leaves what stops the only shard to the end of the run", () =>
    showing({}, ({ look, tell, tick }) =>
      Effect.gen(function*() {
        tell({ _tag: "BytesSent", shard: shard(1), bytes: 1_000 })
        tell({ _tag: "ShardFailed", shard: shard(1), detail: "openai refused it" })
        yield* tick
        assert.notInclude(look().join(""), "refused")
      })))

  it.effect("puts notices above the block, on lines of their own", () =>
    showing({}, ({ look, tell, tick }) =>
      Effect.gen(function*() {
        tell(created(shard(1)))
        yield* tick
        look()
        tell({ _tag: "Notice", text: "max_tokens is 4096 where a row says nothing" })
        tell({ _tag: "ShardFailed", shard: shard(2), detail: "openai refused it:\n\u001b[31mno quota" })
        yield* tick
        assert.deepStrictEqual(look(), [
          `${up(2)}note: max_tokens is 4096 where a row says nothing\n`
          + "shard 0002 stopped: openai refused it: [31mno quota\n"
          + "0001  validating   0 of 400 rows  batch_1\n"
          + "0002  stopped      0 of 400 rows\n"
          + "[--------------------]   0 %  0 of 800 rows done  0s, end unknown\n"
        ])
      })))

  it.effect("counts many batches instead of listing them", () =>
    showing({ columns: () => 101 }, ({ look, tell, tick }) =>
      Effect.gen(function*() {
        for (const index of times(120, (index) => index)) tell({ _tag: "ShardBuilt", shard: shard(index) })
        for (const index of times(30, (index) => index)) tell(created(shard(index)))
        for (const index of times(20, (index) => index)) tell(observed(shard(index), "in_progress", 100))
        tell({ _tag: "BytesSent", shard: shard(31), bytes: 500_000 })
        yield* tick
        assert.deepStrictEqual(look(), [
          `${hide}120 shards: 20 in progress, 10 validating, 1 sending (500.0 kB of 1.0 MB), 89 built\n`
          + "[--------------------]   4 %  2,000 of 48,000 rows done  0s, end unknown\n"
        ])
      })))

  it.effect("fits a narrow terminal, also one that became narrower", () =>
    Effect.suspend(() => {
      let columns = 81
      return showing({ columns: () => columns }, ({ look, tell, tick }) =>
        Effect.gen(function*() {
          tell(created(shard(1)))
          yield* tick
          look()
          columns = 25
          yield* tick
          assert.deepStrictEqual(look(), [
            `${up(5)}0001  validating   0 of \n0 %  0 of 400 rows done \n`
          ])
        }))
    }))

  it.effect("uses colours only when they are wanted", () =>
    showing({ color: true }, ({ look, tell, tick }) =>
      Effect.gen(function*() {
        tell(created(shard(1)))
        tell(normalized(shard(1)))
        yield* tick
        assert.deepStrictEqual(look(), [
          `${hide}0001  \u001b[0;32mdone       \u001b[0m  400 of 400 rows\u001b[0;90m  batch_1\u001b[0m\n`
          + "[\u001b[0;32m####################\u001b[0m] 100 %  400 of 400 rows done  0s\n"
        ])
      })))

  it.effect("gives the cursor back when it is interrupted", () =>
    Effect.gen(function*() {
      const written: Array<string> = []
      const fiber = yield* Effect.fork(Effect.scoped(Effect.gen(function*() {
        const { tell } = yield* Display.make({
          live: true,
          color: false,
          json: false,
          write: (text) => written.push(text),
          columns: () => 81
        })
        tell(created(shard(1)))
        return yield* Effect.never
      })))
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(written.at(-1), show)
    }))

  it.effect("knows the rows of a run that is gone on with", () =>
    Effect.gen(function*() {
      const at = DateTime.unsafeMake(0)
      const fold = new Fold("/run")
      fold.step({
        _tag: "RunStarted",
        at,
        run: new RunDescription({
          runId: "1",
          runTag: "k3f9a2x7qd",
          provider: "openai",
          input: new InputDescription({ name: "in.jsonl", path: null, format: "jsonl", columns: null, bytes: null }),
          options: new BuildOptions()
        })
      })
      for (const index of [1, 2, 3, 4]) fold.step({ _tag: "ShardBuilt", at, shard: shard(index) })
      for (const index of [1, 2]) {
        const inProgress = snapshot(shard(index), "in_progress", 100)
        fold.step({ _tag: "BatchCreated", at, shard: `000${index}`, snapshot: inProgress, adopted: false })
      }
      const completed = snapshot(shard(1), "ended", 400, { ending: "completed" })
      const batch = new EndedBatch({ shard: shard(1), snapshot: completed, ending: "completed" })
      fold.step({ _tag: "BatchEnded", at, batch })
      fold.step({ _tag: "ResultsFetched", at, shard: "0001", files: [], rows: 400, shortBy: 0, shortfall: null })
      fold.step({ _tag: "ShardNormalized", at, shard: "0001", tally: tally(400) })
      yield* showing({ run: fold.state }, ({ look, tell, tick }) =>
        Effect.gen(function*() {
          yield* tick
          assert.deepStrictEqual(look(), [
            `${hide}0001  done         400 of 400 rows  batch_1\n`
            + "0002  in progress  100 of 400 rows  batch_2\n"
            + "0003  built        400 rows\n"
            + "0004  built        400 rows\n"
            + "[######--------------]  31 %  500 of 1,600 rows done  0s, end unknown\n"
          ])
          tell(observed(shard(2), "in_progress", 200))
        }))
    }))
})

describe("Display elsewhere", () => {
  it.effect("writes a line for each thing worth one, and moves no cursor", () =>
    Effect.gen(function*() {
      const lines = yield* showing({ live: false }, ({ tell }) =>
        Effect.gen(function*() {
          tell({ _tag: "Notice", text: "max_tokens is 4096" })
          tell({ _tag: "ShardBuilt", shard: shard(1) })
          tell({ _tag: "ShardBuilt", shard: shard(2) })
          tell({ _tag: "RowsBuilt", rows: 800 })
          tell({ _tag: "BytesSent", shard: shard(1), bytes: 500_000 })
          tell(created(shard(1)))
          tell(created(shard(2), { adopted: true }))
          tell(observed(shard(1), "in_progress", 0))
          yield* TestClock.adjust("60 seconds")
          tell(observed(shard(1), "in_progress", 79))
          tell(observed(shard(1), "in_progress", 80))
          tell({ _tag: "PollTrouble", detail: "HTTP 503" })
          tell({ _tag: "PollTrouble", detail: "HTTP 503" })
          yield* TestClock.adjust("60 seconds")
          tell(observed(shard(1), "finalizing", 399))
          tell(ended(shard(1), "completed", 400))
          tell({
            _tag: "SubmitWaiting",
            shard: shard(2),
            waitMillis: 30_000,
            detail: "no clear answer"
          })
          tell({ _tag: "SubmitWaiting", shard: shard(2), waitMillis: 0, detail: "HTTP 503" })
          tell(normalized(shard(1), { succeeded: 398, errored: 2 }))
          tell({ _tag: "ShardFailed", shard: shard(2), detail: "no quota" })
        }))
      assert.deepStrictEqual(lines, [
        "1970-01-01T00:00:00Z note: max_tokens is 4096\n",
        "1970-01-01T00:00:00Z built 800 rows in 2 shards, 2.0 MB\n",
        "1970-01-01T00:00:00Z shard 0001: batch batch_1 made, 400 rows\n",
        "1970-01-01T00:00:00Z shard 0002: its batch batch_2 was made before, and is taken up\n",
        "1970-01-01T00:00:00Z shard 0001: batch batch_1 in progress\n",
        "1970-01-01T00:01:00Z 10 %: 80 of 800 rows done, about 9m 00s left\n",
        "1970-01-01T00:01:00Z waiting: HTTP 503\n",
        "1970-01-01T00:02:00Z shard 0001: batch batch_1 finalizing\n",
        "1970-01-01T00:02:00Z 40 %: 399 of 800 rows done, about 2m 01s left\n",
        "1970-01-01T00:02:00Z shard 0001: batch batch_1 completed\n",
        "1970-01-01T00:02:00Z 50 %: 400 of 800 rows done, about 2m 00s left\n",
        "1970-01-01T00:02:00Z shard 0002: waiting 30s: no clear answer\n",
        "1970-01-01T00:02:00Z shard 0002: trying again: HTTP 503\n",
        "1970-01-01T00:02:00Z shard 0001: 398 of 400 rows answered\n",
        "1970-01-01T00:02:00Z shard 0002 stopped: no quota\n"
      ])
    }))

  it.effect("tells how far rows are that are asked again", () =>
    Effect.gen(function*() {
      const lines = yield* showing({ live: false }, ({ tell }) =>
        Effect.sync(() => {
          tell(created(shard(1)))
          tell(ended(shard(1), "completed", 400))
          tell({ _tag: "ShardBuilt", shard: shard(2, 100, 2) })
          tell({ _tag: "RetryBuilt", attempt: 2, reasons: ["retry"], rows: 100, mayBeBilledTwice: 0 })
          tell(created(shard(2, 100, 2)))
          tell(observed(shard(2, 100, 2), "in_progress", 50))
          tell({ _tag: "ShardFailed", shard: shard(2, 100, 2), detail: "/run/x: gone. Try: llm-batch resume /run" })
        }))
      assert.deepStrictEqual(lines.map((line) => line.slice(21)), [
        "shard 0001: batch batch_1 made, 400 rows\n",
        "shard 0001: batch batch_1 completed\n",
        "100 %: 400 of 400 rows done\n",
        "asking again for 100 rows (attempt 2)\n",
        "shard 0002: batch batch_2 made, 100 rows\n",
        "shard 0002: batch batch_2 in progress\n",
        "80 %: 350 of 400 rows done, end unknown\n",
        "shard 0002 stopped: /run/x: gone. Try: llm-batch resume /run\n"
      ])
    }))

  it.effect("tells what was built when nothing follows, unless the build failed", () =>
    Effect.gen(function*() {
      const dry = yield* showing({ live: false }, ({ tell }) =>
        Effect.sync(() => {
          tell({ _tag: "ShardBuilt", shard: shard(1) })
          tell({ _tag: "RowsBuilt", rows: 400 })
        }))
      assert.deepStrictEqual(dry, ["1970-01-01T00:00:00Z built 400 rows in 1 shard, 1.0 MB\n"])
      const failed = yield* showing({ live: false }, ({ tell }) =>
        Effect.sync(() => {
          tell({ _tag: "ShardBuilt", shard: shard(1) })
          tell({ _tag: "RowsBuilt", rows: 5_000 })
        }))
      assert.deepStrictEqual(failed, [])
    }))

  it.effect("writes nothing where JSON is wanted", () =>
    Effect.gen(function*() {
      const written = yield* showing({ json: true }, ({ tell, tick }) =>
        Effect.gen(function*() {
          tell({ _tag: "Notice", text: "a note" })
          tell(created(shard(1)))
          yield* tick
        }))
      assert.deepStrictEqual(written, [])
    }))
})
