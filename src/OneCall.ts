/**
 * Many prompts in, typed answers out, in one call and in their order.
 *
 * `batch` is for what fits into memory, `batchStream` for what does not. Both are a run of the pipeline like any other,
 * with its run directory: name it with `directory`, and the same call goes on after a crash where it stopped, without
 * paying again.
 *
 * @example
 * ```ts
 * import * as Console from "effect/Console"
 * import * as Effect from "effect/Effect"
 * import * as Either from "effect/Either"
 * import * as Schema from "effect/Schema"
 * import { batch } from "llm-batch/OneCall"
 *
 * const Verdict = Schema.Struct({ label: Schema.Literal("spam", "ham") })
 *
 * const program = Effect.gen(function*() {
 *   const verdicts = yield* batch({
 *     model: "gpt-5-mini",
 *     system: "Is this message spam?",
 *     prompts: ["WINNER!! Call now", "See you at six?"],
 *     schema: Verdict
 *   })
 *   for (const verdict of verdicts) {
 *     yield* Console.log(Either.isRight(verdict) ? verdict.right.label : verdict.left.message)
 *   }
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Struct from "effect/Struct"
import * as Answers from "./Answers.js"
import * as AnswerSchema from "./AnswerSchema.js"
import { InputError } from "./InputError.js"
import { describe } from "./internal/RowErrors.js"
import * as Pipeline from "./Pipeline.js"
import { type JsonObject, RequestDefaults } from "./Request.js"
import { type RowError, RowInvalid } from "./RowError.js"
import * as Source from "./Source.js"

/**
 * A message of a conversation, as Chat Completions has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  readonly role: "system" | "developer" | "user" | "assistant" | "tool"
  readonly content: string | ReadonlyArray<JsonObject>
}

/** What is asked besides the prompts. */
type Defaults = Omit<RequestDefaults, "model" | "responseFormat" | "dimensions">

/**
 * How to ask, whatever is asked.
 *
 * `repair` sends an answer that does not fit its schema back, so many times; `mode: "sync"` asks at once instead of
 * through the batch API, and `directory` names the run directory.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions extends
  Defaults,
  Pick<
    Pipeline.RunOptions,
    | "batchThreshold"
    | "check"
    | "directory"
    | "endpoint"
    | "finish"
    | "maxConcurrentJobs"
    | "mode"
    | "repair"
    | "retries"
    | "runId"
  >
{
  /** The model that answers. */
  readonly model: string
}

/**
 * The prompts of a call: questions, or whole conversations.
 *
 * @since 0.1.0
 * @category models
 */
export type Prompts =
  // A string is an iterable of its characters: each of them would be a paid call.
  | { readonly prompts: Iterable<string> & object; readonly messages?: undefined }
  | { readonly messages: Iterable<ReadonlyArray<Message>> & object; readonly prompts?: undefined }

/**
 * The prompts of a call, as a stream.
 *
 * @since 0.1.0
 * @category models
 */
export type PromptStream<E = never, R = never> =
  | { readonly prompts: Stream.Stream<string, E, R>; readonly messages?: undefined }
  | { readonly messages: Stream.Stream<ReadonlyArray<Message>, E, R>; readonly prompts?: undefined }

/** The form of the answers: text, unless a schema is given. */
interface Typed<A, I> {
  readonly schema: Schema.Schema<A, I>
}

interface Untyped {
  readonly schema?: undefined
}

/** Names what `RequestDefaults` finds wrong with an option. */
const wrongOption = (error: ParseResult.ParseError): InputError => {
  const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
  return new InputError({
    source: "the options of the call",
    ...(issue === undefined || issue.path.length === 0 ? {} : { field: issue.path.join(".") }),
    problem: issue?.message ?? "they are not right",
    remedy: "Correct the option."
  })
}

const decodeDefaults = Schema.decodeUnknownEither(RequestDefaults)

/** How an answer is taken out of what came of a row. */
type Take<A> = (answer: Answers.Answer) => Either.Either<A, RowError>

const takeText: Take<string> = ({ answer, error }) => error === null ? Either.right(answer) : Either.left(error)

const takeDecoded = <A>(form: AnswerSchema.AnswerSchema<A>): Take<A> => ({ answer, error, request }) =>
  error !== null ?
    Either.left(error) :
    Either.mapLeft(form.decode(answer), ({ code, path, problem }) =>
      new RowInvalid({
        row: request.row,
        customId: request.customId,
        code,
        detail: `${path}: ${problem}`,
        retryable: false
      }))

/** The options that are those of each row. */
const rowOptions = [
  "model",
  "system",
  "temperature",
  "topP",
  "maxTokens",
  "stop",
  "reasoningEffort",
  "thinking",
  "tools"
] as const satisfies ReadonlyArray<keyof CallOptions & keyof RequestDefaults>

/** What the pipeline is told. */
const runOptions = (options: CallOptions): Either.Either<Pipeline.RunOptions, InputError> => {
  const { model } = options
  if (typeof model !== "string" || model.trim() === "") {
    return Either.left(
      new InputError({
        source: "the options of the call",
        field: "model",
        problem: "no model is named",
        remedy: "Name one, such as model: \"gpt-5-mini\"."
      })
    )
  }
  const given = Object.entries(Struct.pick(options, ...rowOptions)).filter(([, value]) => value !== undefined)
  return Either.mapBoth(decodeDefaults(Object.fromEntries(given)), {
    onLeft: wrongOption,
    onRight: (defaults) => ({ ...Struct.omit(options, ...rowOptions), defaults })
  })
}

/** What the pipeline is told, and how an answer is taken. */
const plan = <A, I>(
  { schema, ...options }: CallOptions & (Typed<A, I> | Untyped)
): Either.Either<{ readonly run: Pipeline.RunOptions; readonly take: Take<unknown> }, InputError> =>
  Either.gen(function*() {
    const run = yield* runOptions(options)
    if (schema === undefined) return { run, take: takeText }
    const form = yield* AnswerSchema.fromSchema(schema)
    return {
      run: { ...run, answerSchema: form.jsonSchema, answerName: form.format.name, check: form.check },
      take: takeDecoded(form)
    }
  })

/** What is asked, or what is wrong with it: callers without types can give anything. */
const asked = <A>({ messages, prompts }: { readonly messages?: A | undefined; readonly prompts?: A | undefined }) => {
  const wrong = (problem: string) =>
    Either.left(
      new InputError({
        source: "the options of the call",
        field: "prompts",
        problem,
        remedy: "Give prompts, a list of texts, or messages, a list of conversations."
      })
    )
  if (messages !== undefined && prompts !== undefined) return wrong("there are messages besides")
  const given = prompts ?? messages
  if (given === undefined || given === null) return wrong("there are none, and no messages either")
  return typeof given === "object" ? Either.right(given) : wrong(`found ${describe(given)}`)
}

const toRow = (prompt: string | ReadonlyArray<Message>): JsonObject =>
  typeof prompt === "string" ? { prompt } : { messages: prompt }

/**
 * Asks for all prompts, and gives their answers in the same order: each the answer, decoded by the schema where one is
 * given, or the typed error of its row. No prompts give no answers, without any call.
 *
 * Fails before any call when the model, the key or another option is missing or wrong.
 *
 * @since 0.1.0
 * @category constructors
 */
export function batch<A, I>(
  options: CallOptions & Prompts & Typed<A, I>
): Effect.Effect<ReadonlyArray<Either.Either<A, RowError>>, Pipeline.PipelineError, Pipeline.Pipeline>
export function batch(
  options: CallOptions & Prompts & Untyped
): Effect.Effect<ReadonlyArray<Either.Either<string, RowError>>, Pipeline.PipelineError, Pipeline.Pipeline>
export function batch<A, I>(
  { messages, prompts, ...options }: CallOptions & Prompts & (Typed<A, I> | Untyped)
): Effect.Effect<ReadonlyArray<Either.Either<unknown, RowError>>, Pipeline.PipelineError, Pipeline.Pipeline> {
  return Effect.gen(function*() {
    const pipeline = yield* Pipeline.Pipeline
    const { run, take } = yield* plan(options)
    const given = yield* asked<Iterable<string | ReadonlyArray<Message>>>({ messages, prompts })
    const rows = Array.from(given, toRow)
    if (rows.length === 0) return []
    const report = yield* pipeline.run(Source.fromRows(rows), run)
    return Chunk.toReadonlyArray(yield* Stream.runCollect(Stream.map(Answers.rows(report), take)))
  }).pipe(Effect.withSpan("OneCall.batch"))
}

/**
 * As `batch`, for more prompts than fit into memory: they are taken from a stream, and the answers come as one when all
 * of them are there.
 *
 * @since 0.1.0
 * @category constructors
 */
export function batchStream<A, I, E = never, R = never>(
  options: CallOptions & PromptStream<E, R> & Typed<A, I>
): Stream.Stream<Either.Either<A, RowError>, E | Pipeline.PipelineError, R | Pipeline.Pipeline>
export function batchStream<E = never, R = never>(
  options: CallOptions & PromptStream<E, R> & Untyped
): Stream.Stream<Either.Either<string, RowError>, E | Pipeline.PipelineError, R | Pipeline.Pipeline>
export function batchStream<A, I, E, R>(
  { messages, prompts, ...options }: CallOptions & PromptStream<E, R> & (Typed<A, I> | Untyped)
): Stream.Stream<Either.Either<unknown, RowError>, E | Pipeline.PipelineError, R | Pipeline.Pipeline> {
  return Stream.unwrapScoped(Effect.gen(function*() {
    const pipeline = yield* Pipeline.Pipeline
    const { run, take } = yield* plan(options)
    const context = yield* Effect.context<R>()
    const given = yield* asked<Stream.Stream<string | ReadonlyArray<Message>, E, R>>({ messages, prompts })
    const pull = yield* Stream.toPull(Stream.provideContext(Stream.map(given, toRow), context))
    const first = yield* Effect.repeat(pull, { until: Chunk.isNonEmpty }).pipe(
      Effect.catchAll(Option.match({ onNone: () => Effect.succeed(Chunk.empty<JsonObject>()), onSome: Effect.fail }))
    )
    if (Chunk.isEmpty(first)) return Stream.empty
    let failure: Option.Option<E> = Option.none()
    const all = Stream.concat(Stream.fromChunk(first), Stream.repeatEffectChunkOption(pull))
    const rows = Stream.mapError(all, (error) => {
      failure = Option.some(error)
      return new InputError({
        source: "prompts",
        problem: "the stream of prompts failed",
        remedy: "Nothing was sent: put right what it says."
      })
    })
    const report = yield* Effect.mapError(
      pipeline.run(Source.fromStream(rows, { name: "prompts" }), run),
      (error): E | Pipeline.PipelineError => Option.isSome(failure) ? failure.value : error
    )
    return Stream.map(Answers.rows(report), take)
  }))
}
