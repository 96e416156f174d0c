/**
 * A job taken through a run against an emulator, over real sockets: what a user of the library does.
 *
 * These tests run live, since sockets have no test clock. They wait for batches that end at the first or second look.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { InputError } from "llm-batch/InputError"
import * as Job from "llm-batch/job/Job"
import * as Pipeline from "llm-batch/Pipeline"
import * as Anthropic from "llm-batch/provider/Anthropic"
import * as OpenAi from "llm-batch/provider/OpenAi"
import { RequestDefaults } from "llm-batch/Request"
import * as Poll from "llm-batch/stage/Poll"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Emulator from "../../src/emulator/Emulator.js"

/** An empty directory for the length of the scope. */
export const workspace = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "llm-batch-job-"))),
  (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
)

const hurried = Pipeline.layerComposed.pipe(
  Layer.provide(Poll.layerWith({ schedule: Poll.every("20 millis") })),
  Layer.provide(Pipeline.layerStages)
)

const apiKey = Redacted.make("any-key")

const providers = {
  openai: {
    model: "gpt-4.1-mini",
    layer: ({ openAiBaseUrl: baseUrl }: Emulator.Service) => Layer.provide(hurried, OpenAi.layer({ apiKey, baseUrl }))
  },
  anthropic: {
    model: "claude-haiku-4-5",
    layer: ({ anthropicBaseUrl: baseUrl }: Emulator.Service) =>
      Layer.provide(hurried, Anthropic.layer({ apiKey, baseUrl }))
  }
}

export interface Running extends Pick<Pipeline.RunOptions, "mode" | "repair"> {
  readonly provider: keyof typeof providers
  readonly directory: string
}

/** Takes a job through a run against the emulator. */
export const run = (emulator: Emulator.Service, job: Job.Job, { provider, ...options }: Running) =>
  Job.run(job, { ...options, defaults: new RequestDefaults({ model: providers[provider].model, maxTokens: 4000 }) })
    .pipe(
      Effect.provide(providers[provider].layer(emulator))
    )

/** A running emulator. */
export type Emulated = Emulator.Service

/** An emulator whose batches end at once. */
export const emulator = (settings: Emulator.Settings = {}) => Emulator.make({ timeScale: 100_000, ...settings })

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

/** The texts of the user's messages in the body of a request, of either provider. */
export const userTexts = (body: unknown): ReadonlyArray<string> => {
  if (!isRecord(body)) return []
  const messages: unknown = body["messages"] ?? body["input"]
  if (typeof messages === "string") return [messages]
  if (!Array.isArray(messages)) return []
  return messages.filter(isRecord).filter(({ role }) => role === "user").map(({ content }) => {
    if (typeof content === "string") return content
    return Array.isArray(content)
      ? content.filter(isRecord).map(({ text }) => typeof text === "string" ? text : "").join("")
      : ""
  })
}

/** The rows that a job asks for. */
export const rowsOf = (job: Job.Job): Effect.Effect<ReadonlyArray<Record<string, unknown>>, InputError> =>
  Effect.map(
    Stream.runCollect(job.source.blocks),
    (blocks) =>
      Buffer.concat([...blocks]).toString().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line))
  )

/** The keys of the texts that a row asks for. */
export const keys = (row: Record<string, unknown> | undefined): ReadonlyArray<unknown> => {
  const items: unknown = row?.["items"]
  return Array.isArray(items) ? items.filter(isRecord).map(({ key }) => key) : []
}
