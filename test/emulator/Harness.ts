/**
 * What the tests of the emulator have in common: one that runs on frozen time, and clients of it.
 *
 * These tests use real sockets on the loopback, since what they show is that the official SDKs work; so they run live.
 * Nothing in them waits: time stands still, and moves by `advance` only.
 */
import Anthropic from "@anthropic-ai/sdk"
import * as Effect from "effect/Effect"
import OpenAI from "openai"
import * as Emulator from "../../src/emulator/Emulator.js"

export const start = (settings: Emulator.Settings = {}) =>
  Effect.map(Emulator.make({ timeScale: 0, ...settings }), (emulator) => ({
    ...emulator,
    openai: new OpenAI({ apiKey: "sk-test", baseURL: emulator.openAiBaseUrl, maxRetries: 0, logLevel: "off" }),
    anthropic: new Anthropic({ apiKey: "sk-test", baseURL: emulator.anthropicBaseUrl, maxRetries: 0, logLevel: "off" })
  }))

export type Started = Effect.Effect.Success<ReturnType<typeof start>>

/** A call that is expected to succeed. */
export const call = <A>(run: () => PromiseLike<A>): Effect.Effect<A> => Effect.promise(async () => await run())

/** What is known of a call that fails: its status, and the body of the error. */
export interface Failure {
  readonly status: number | undefined
  readonly error: unknown
  readonly headers: Headers | undefined
  readonly message: string
}

/** A call that is expected to fail. */
export const failure = (run: () => PromiseLike<unknown>): Effect.Effect<Failure> =>
  Effect.promise(async () => {
    try {
      await run()
    } catch (cause) {
      if (cause instanceof OpenAI.APIError || cause instanceof Anthropic.APIError) {
        return { status: cause.status, error: cause.error, headers: cause.headers, message: cause.message }
      }
      return { status: undefined, error: undefined, headers: undefined, message: String(cause) }
    }
    throw new Error("the call was expected to fail, and did not")
  })

export const chatRow = (customId: string, prompt: string, body: object = {}) => ({
  custom_id: customId,
  method: "POST",
  url: "/v1/chat/completions",
  body: { model: "gpt-4.1-mini", messages: [{ role: "user", content: prompt }], ...body }
})

export const chatRows = (count: number, prefix = "row") =>
  Array.from({ length: count }, (_, i) => chatRow(`${prefix}-${i}`, `Say the number ${i}`))

export const upload = ({ openai }: Started, text: string) =>
  call(() => openai.files.create({ file: new File([text], "input.jsonl"), purpose: "batch" }))

export const jsonl = (rows: ReadonlyArray<object>): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("")

/** Uploads text and makes a chat batch of it. */
export const submitText = (
  emulator: Started,
  text: string,
  endpoint: OpenAI.BatchCreateParams["endpoint"] = "/v1/chat/completions"
) =>
  Effect.flatMap(
    upload(emulator, text),
    (file) => call(() => emulator.openai.batches.create({ input_file_id: file.id, endpoint, completion_window: "24h" }))
  )

export const submit = (
  emulator: Started,
  rows: ReadonlyArray<object>,
  endpoint?: OpenAI.BatchCreateParams["endpoint"]
) => submitText(emulator, jsonl(rows), endpoint)

/** Makes a batch and moves time on until it has ended. */
export const finished = (
  emulator: Started,
  rows: ReadonlyArray<object>,
  endpoint?: OpenAI.BatchCreateParams["endpoint"]
) =>
  Effect.gen(function*() {
    const batch = yield* submit(emulator, rows, endpoint)
    yield* emulator.advance("1 hour")
    return yield* call(() => emulator.openai.batches.retrieve(batch.id))
  })

export const content = ({ openai }: Started, id: string | null | undefined) =>
  call(async () => Buffer.from(await (await openai.files.content(id ?? "none")).arrayBuffer()))

export const lines = (bytes: Buffer): ReadonlyArray<string> =>
  bytes.toString("utf8").split("\n").filter((line) => line !== "")

interface OutputLine {
  readonly custom_id: string
  readonly response: {
    readonly status_code: number
    readonly request_id: string
    readonly body: Record<string, unknown>
  } | null
  readonly error: { readonly code: string; readonly message: string } | null
}

export const outputLines = (bytes: Buffer): ReadonlyArray<OutputLine> => lines(bytes).map((line) => JSON.parse(line))

export const message = (customId: string, prompt: string, params: object = {}) => ({
  custom_id: customId,
  params: {
    model: "claude-haiku-4-5",
    max_tokens: 1000,
    messages: [{ role: "user" as const, content: prompt }],
    ...params
  }
})

export const messages = (count: number) =>
  Array.from({ length: count }, (_, i) => message(`row-${i}`, `Say the number ${i}`))

export const submitMessages = (
  { anthropic }: Started,
  requests: ReadonlyArray<Anthropic.Messages.BatchCreateParams.Request>
) => call(() => anthropic.messages.batches.create({ requests: [...requests] }))

/** Makes a batch, moves time on until it has ended, and reads its results. */
export const results = (emulator: Started, requests: ReadonlyArray<Anthropic.Messages.BatchCreateParams.Request>) =>
  Effect.gen(function*() {
    const batch = yield* submitMessages(emulator, requests)
    yield* emulator.advance("1 hour")
    return yield* call(async () => {
      const all: Array<Anthropic.Messages.MessageBatchIndividualResponse> = []
      for await (const result of await emulator.anthropic.messages.batches.results(batch.id)) all.push(result)
      return all
    })
  })

export const sorted = <A extends { readonly custom_id: string }>(rows: ReadonlyArray<A>): ReadonlyArray<A> =>
  rows.toSorted((a, b) => a.custom_id < b.custom_id ? -1 : 1)
