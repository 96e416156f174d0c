/**
 * `llm-batch emulator`: a local server that speaks the providers' batch APIs, for as long as it is let.
 */
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Record from "effect/Record"
import * as Schema from "effect/Schema"
import { InputError } from "../../InputError.js"
import * as Disk from "../../internal/Disk.js"
import { describe } from "../../internal/RowErrors.js"
import { Output } from "../Output.js"

const numeric = (name: string, value: string, least: number, most: number, whole: boolean, description: string) =>
  Options.text(name).pipe(
    Options.withPseudoName(value),
    Options.withDescription(description),
    Options.mapEffect((text) => {
      const number = /^[+-]?(?:\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN
      if (number >= least && number <= most && (!whole || Number.isInteger(number))) return Either.right(number)
      const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
      return Either.left(
        ValidationError.invalidValue(
          HelpDoc.p(`--${name}: found ${describe(text)}. It must be a ${whole ? "whole number" : "number"} ${range}.`)
        )
      )
    })
  )

const share = (name: string, description: string) =>
  numeric(name, "SHARE", 0, 1, false, description).pipe(Options.withDefault(0))

const port = numeric("port", "PORT", 0, 65_535, true, "The port to listen on; a free one by default").pipe(
  Options.withDefault(0)
)

const timeScale = numeric(
  "time-scale",
  "FACTOR",
  0,
  Number.MAX_SAFE_INTEGER,
  false,
  "Emulated seconds in a real one; 60 by default, so that a batch ends after about two seconds"
).pipe(Options.withDefault(60))

const seed = numeric(
  "seed",
  "NUMBER",
  Number.MIN_SAFE_INTEGER,
  Number.MAX_SAFE_INTEGER,
  true,
  "Answers and faults follow from this number and the rows; 1 by default"
).pipe(Options.withDefault(1))

const answers = Options.text("answers").pipe(
  Options.withPseudoName("FILE"),
  Options.withDescription("A JSONL file of answers to give: {\"prompt\" or \"match\": TEXT, \"answer\": TEXT} a line"),
  Options.optional
)

const answerErrorRate = share(
  "answer-error-rate",
  "The share of requests that get one of the \"wrong\" answers of their line, which is a list beside \"answer\""
)

const atLeastOne = (name: string, value: string, description: string) =>
  numeric(name, value, 1, Number.MAX_SAFE_INTEGER, true, description).pipe(Options.optional)

const limitFlags = {
  openAiEnqueuedTokens: atLeastOne(
    "openai-enqueued-tokens",
    "TOKENS",
    "The tokens that the batches of one model may have in OpenAI's queue; no limit by default"
  ),
  openAiBatchesPerHour: atLeastOne(
    "openai-batches-per-hour",
    "COUNT",
    "The batches that may be made in an emulated hour with OpenAI; 2,000 by default"
  ),
  anthropicQueuedRequests: atLeastOne(
    "anthropic-queued-requests",
    "COUNT",
    "The requests that may be in Anthropic's queue; no limit by default"
  )
}

const faultsFile = Options.text("faults").pipe(
  Options.withPseudoName("FILE"),
  Options.withDescription("A JSON file with a whole plan of faults, in place of the flags for single ones"),
  Options.optional
)

const faultFlags = {
  expireRows: share("expire-rows", "The share of rows that expire, from 0 to 1"),
  errorRows: share("error-rows", "The share of rows that end in an error"),
  cancelRows: share("cancel-rows", "The share of rows that are cancelled"),
  dropRows: share("drop-rows", "The share of rows that are absent from the results"),
  duplicateRows: share("duplicate-rows", "The share of rows that are in the results twice"),
  malformedRows: share("malformed-rows", "The share of rows whose line of results is broken"),
  failBatches: share("fail-batches", "The share of batches that fail validation"),
  expireBatches: share("expire-batches", "The share of batches that expire with half of their rows answered"),
  rateLimitCalls: share("rate-limit-calls", "The share of calls that are answered with HTTP 429"),
  serverErrorCalls: share("server-error-calls", "The share of calls that are answered with HTTP 500, 502 or 503"),
  resetCalls: share("reset-calls", "The share of calls whose connection is reset"),
  cutCalls: share("cut-calls", "The share of calls whose answer is cut short"),
  loseCreates: numeric(
    "lose-creates",
    "COUNT",
    0,
    Number.MAX_SAFE_INTEGER,
    true,
    "How many batches are made without an answer reaching the client"
  ).pipe(Options.withDefault(0)),
  results: Options.text("results").pipe(
    Options.withPseudoName("HOW"),
    Options.withDescription("How files of results are packed: plain, gzip or zip"),
    Options.mapEffect((text) =>
      Either.mapLeft(
        Schema.decodeUnknownEither(Schema.Literal("plain", "gzip", "zip"))(text),
        () =>
          ValidationError.invalidValue(HelpDoc.p(`--results: found ${describe(text)}. It must be plain, gzip or zip.`))
      )
    ),
    Options.withDefault("plain" as const)
  )
}

const json = Options.boolean("json").pipe(Options.withDescription("Prints the addresses as one JSON object"))

const readPlan = Effect.fn(function*(path: string) {
  const { FaultPlan } = yield* Effect.promise(() => import("../../emulator/FaultPlan.js"))
  const refuse = (problem: string) =>
    new InputError({
      source: path,
      problem,
      remedy: "The file must hold a plan of faults: {\"expireRows\": 0.05, ...}."
    })
  const text = yield* Effect.mapError(Disk.readText(path), (error) => refuse(`it cannot be read: ${error.detail}`))
  return yield* Effect.mapError(
    Schema.decode(Schema.parseJson(FaultPlan), { onExcessProperty: "error" })(text),
    (error) => {
      const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
      const field = issue === undefined || issue.path.length === 0 ? "" : `${issue.path.join(".")}: `
      return refuse(`${field}${issue?.message ?? "it is no plan"}`)
    }
  )
})

/** `llm-batch emulator` */
export const emulator = Command.make(
  "emulator",
  {
    port,
    timeScale,
    seed,
    answers,
    answerErrorRate,
    faultsFile,
    json,
    limits: Options.all(limitFlags),
    flags: Options.all(faultFlags)
  },
  ({ answerErrorRate, answers, faultsFile, flags, json, limits, port, seed, timeScale }) =>
    Effect.gen(function*() {
      const output = yield* Output
      const Emulator = yield* Effect.promise(() => import("../../emulator/Emulator.js"))
      const { FaultPlan } = yield* Effect.promise(() => import("../../emulator/FaultPlan.js"))
      const server = yield* Emulator.make({
        port,
        timeScale,
        seed,
        answersFile: Option.getOrUndefined(answers),
        answerErrorRate,
        ...Record.getSomes(limits),
        faults: faultsFile._tag === "Some" ? yield* readPlan(faultsFile.value) : new FaultPlan(flags)
      })
      if (json) {
        yield* output.json({
          url: server.url,
          openai_base_url: server.openAiBaseUrl,
          anthropic_base_url: server.anthropicBaseUrl
        })
      } else {
        yield* output.say(
          `The emulator listens on ${server.url}. It takes any key, and nothing is charged. In another terminal:`
        )
        yield* output.data([
          `export OPENAI_BASE_URL=${server.openAiBaseUrl} OPENAI_API_KEY=emulator`,
          `export ANTHROPIC_BASE_URL=${server.anthropicBaseUrl} ANTHROPIC_API_KEY=emulator`
        ].join("\n"))
        yield* output.say("It serves until it is interrupted.")
      }
      return yield* Effect.never
    }).pipe(Effect.scoped)
)
