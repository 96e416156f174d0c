/**
 * The real pipeline over a provider's own module, against the emulator on the loopback, on a disk in memory.
 *
 * These tests run live: sockets have no test clock. But pauses pass a hundred times faster than they say, so that
 * nothing waits for a second.
 */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Pipeline from "llm-batch/Pipeline"
import * as Provider from "llm-batch/Provider"
import * as Anthropic from "llm-batch/provider/Anthropic"
import * as OpenAi from "llm-batch/provider/OpenAi"
import { RequestDefaults } from "llm-batch/Request"
import { Progress, type RunEvent } from "llm-batch/RunEvent"
import * as Source from "llm-batch/Source"
import * as Poll from "llm-batch/stage/Poll"
import * as Submit from "llm-batch/stage/Submit"
import type { Step } from "llm-batch/Step"
import * as TestProvider from "llm-batch/TestProvider"
import * as Emulator from "../../src/emulator/Emulator.js"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import { Disk } from "../../src/internal/Disk.js"
import type * as HttpTransport from "../../src/internal/HttpTransport.js"
import * as MemoryDisk from "../../src/internal/MemoryDisk.js"
import { RunLock } from "../../src/internal/RunLock.js"

export const names = ["openai", "anthropic"] as const

/** The routes of each provider's API. */
export const routes = {
  openai: { create: "POST /v1/batches", look: "GET /v1/batches*", results: "GET /v1/files/:id/content" },
  anthropic: {
    create: "POST /v1/messages/batches",
    look: "GET /v1/messages/batches*",
    results: "GET /v1/messages/batches/:id/results"
  }
} as const

const directory = "/runs/one"

const hurried = (clock: Clock.Clock): Clock.Clock => ({
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
  unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
  currentTimeMillis: clock.currentTimeMillis,
  currentTimeNanos: clock.currentTimeNanos,
  sleep: (duration) => clock.sleep(Duration.times(duration, 0.01))
})

/** A plan of faults of calls. */
export const calls = (...faults: ReadonlyArray<ConstructorParameters<typeof CallFault>[0]>) =>
  new FaultPlan({ calls: faults.map((fault) => new CallFault(fault)) })

/** A provider, and a computer from which its batches are made. */
export const start = (
  name: typeof names[number],
  faults: FaultPlan = new FaultPlan(),
  settings: Emulator.Settings & { readonly fetch?: HttpTransport.Fetch } = {}
) =>
  Effect.gen(function*() {
    const { fetch, ...given } = settings
    const emulator = yield* Emulator.make({ timeScale: 20_000, faults, ...given })
    const apiKey = Redacted.make("key")
    const provider = name === "openai"
      ? OpenAi.layer({ apiKey, baseUrl: emulator.openAiBaseUrl, fetch })
      : Anthropic.layer({ apiKey, baseUrl: emulator.anthropicBaseUrl, fetch })
    const memory = MemoryDisk.make()
    const events: Array<RunEvent> = []
    const patience = Layer.merge(
      Poll.layerWith({ schedule: Schedule.spaced("1 second") }),
      Submit.layerWith({ settleTime: "1 second" })
    )
    const layer = Layer.fresh(
      Pipeline.layerComposed.pipe(
        Layer.provide(Layer.provideMerge(patience, Pipeline.layerStages)),
        Layer.provideMerge(provider),
        Layer.provideMerge(Layer.mergeAll(
          Layer.succeed(Disk, memory.disk),
          Layer.succeed(RunLock, { acquire: () => Effect.void }),
          Layer.succeed(Progress, { tell: (event: RunEvent) => events.push(event) })
        ))
      )
    )
    const inProcess = <A, E>(program: Effect.Effect<A, E, Pipeline.Pipeline | Provider.Provider>) =>
      Effect.clockWith((clock) => Effect.withClock(Effect.provide(program, layer), hurried(clock)))
    const withPipeline = <A, E>(use: (pipeline: Pipeline.Service) => Effect.Effect<A, E>) =>
      inProcess(Effect.flatMap(Pipeline.Pipeline, use))
    return {
      emulator,
      memory,
      events,
      /** Takes so many rows through, in a new process. */
      run: (rows: number, to: Step = "normalize", prompt = "What is it?") =>
        withPipeline((pipeline) =>
          pipeline.run(
            Source.fromRows(
              Array.from({ length: rows }, (_, at) => ({ id: `row ${at + 1}`, prompt: `${at} ${prompt}` }))
            ),
            {
              directory,
              defaults: new RequestDefaults({ model: name === "openai" ? "gpt-4.1-mini" : "claude-haiku-4-5" }),
              steps: { from: "build", to }
            }
          )
        ),
      /** Goes on with the run in a new process. */
      resume: withPipeline((pipeline) => pipeline.resume(directory)),
      /** How each row ended. */
      outcomes: Effect.map(
        Effect.provideService(
          TestProvider.readResults({ results: `${directory}/results.jsonl` }),
          Disk,
          memory.disk
        ),
        (results) => results.map(({ outcome }) => outcome)
      ),
      read: (path: string) =>
        memory.files().get(`${directory}/${path}`)?.toString() ?? assert.fail(`there is no ${path}`)
    }
  })

/** What the emulator's books say of one shard that was sent once. */
export const assertPaidOnce = (emulator: Emulator.Service, rows: number) =>
  Effect.map(emulator.books, ({ batches, duplicates, totals }) => {
    assert.lengthOf(batches, 1)
    assert.deepStrictEqual(duplicates, [])
    assert.strictEqual(totals.billed, rows)
  })

/** So many answers, and nothing else. */
export const succeeded = (rows: number): ReadonlyArray<string> => Array.from({ length: rows }, () => "succeeded")
