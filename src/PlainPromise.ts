/**
 * `batch` for programs without Effect: a promise of typed answers, in the order of the prompts.
 *
 * Keys and addresses come from the environment, or from a `.env` file in the working directory: `OPENAI_API_KEY`,
 * `ANTHROPIC_API_KEY`. The promise is rejected with the errors of `Pipeline`, which are errors with a `_tag` and a
 * `message` that says what to do.
 *
 * @example
 * ```ts
 * import * as Schema from "effect/Schema"
 * import { batch } from "llm-batch/PlainPromise"
 *
 * const main = async () => {
 *   const verdicts = await batch({
 *     provider: "openai",
 *     model: "gpt-5-mini",
 *     system: "Is this message spam?",
 *     prompts: ["WINNER!! Call now", "See you at six?"],
 *     schema: Schema.Struct({ label: Schema.Literal("spam", "ham") })
 *   })
 *   for (const verdict of verdicts) console.log(verdict.ok ? verdict.answer.label : verdict.error.message)
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import { parseEnv } from "node:util"
import { InputError } from "./InputError.js"
import * as Disk from "./internal/Disk.js"
import * as Model from "./Model.js"
import * as OneCall from "./OneCall.js"
import * as Pipeline from "./Pipeline.js"
import type { Provider } from "./Provider.js"
import * as Anthropic from "./provider/Anthropic.js"
import * as OpenAi from "./provider/OpenAi.js"
import type { RowError } from "./RowError.js"

/**
 * What came of one prompt.
 *
 * @since 0.1.0
 * @category models
 */
export type Result<A> =
  | { readonly ok: true; readonly answer: A }
  | { readonly ok: false; readonly error: RowError }

/**
 * Whom to ask, and how to stop asking.
 *
 * @since 0.1.0
 * @category models
 */
export interface PromiseOptions {
  /** A provider's name, or its layer; the provider of the model, where that is a known one, by default. */
  readonly provider?: "openai" | "anthropic" | Layer.Layer<Provider> | undefined
  /** Stops waiting when it is aborted. Batches that run are not stopped: the same call with `directory` goes on. */
  readonly signal?: AbortSignal | undefined
}

/** What `.env` says, behind what the environment says: read by Node itself, since Effect's platform is an optional peer. */
const configuration = Effect.map(Effect.orElseSucceed(Disk.readText(".env"), () => ""), (text) => {
  const entries = Object.entries(parseEnv(text)).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const]
  )
  return ConfigProvider.orElse(ConfigProvider.fromEnv(), () => ConfigProvider.fromMap(new Map(entries)))
})

const layers = { openai: () => OpenAi.layerConfig(), anthropic: () => Anthropic.layerConfig() }

const layerOf = (
  provider: PromiseOptions["provider"],
  model: string
): Layer.Layer<Provider, ConfigError.ConfigError | InputError> => {
  if (typeof provider === "object") return provider
  if (provider !== undefined && Object.hasOwn(layers, provider)) return layers[provider]()
  const found = Model.builtIn.find(model)
  const known = found._tag === "Known" ? found.model.provider : undefined
  if (known === "openai" || known === "anthropic") return layers[known]()
  return Layer.fail(
    new InputError({
      source: "the options of the call",
      field: "provider",
      problem: provider === undefined
        ? `none is named, and the model ${JSON.stringify(model)} does not tell it`
        : `there is none called ${JSON.stringify(provider)}`,
      remedy: found._tag === "Near"
        ? `Did you mean ${found.suggestion}?`
        : "Name it: provider: \"openai\" or provider: \"anthropic\"."
    })
  )
}

/**
 * Asks for all prompts, and gives their answers in the same order: decoded by the schema where one is given, text where
 * none is.
 *
 * @since 0.1.0
 * @category constructors
 */
export function batch<A, I>(
  options: OneCall.CallOptions & OneCall.Prompts & PromiseOptions & { readonly schema: Schema.Schema<A, I> }
): Promise<ReadonlyArray<Result<A>>>
export function batch(
  options: OneCall.CallOptions & OneCall.Prompts & PromiseOptions & { readonly schema?: undefined }
): Promise<ReadonlyArray<Result<string>>>
export async function batch<A, I>(
  { provider, signal, ...options }:
    & OneCall.CallOptions
    & OneCall.Prompts
    & PromiseOptions
    & { readonly schema?: Schema.Schema<A, I> | undefined }
): Promise<ReadonlyArray<Result<unknown>>> {
  const { schema, ...call } = options
  const asked: Effect.Effect<
    ReadonlyArray<Either.Either<unknown, RowError>>,
    Pipeline.PipelineError,
    Pipeline.Pipeline
  > = schema === undefined ? OneCall.batch(call) : OneCall.batch({ ...call, schema })
  const program = Effect.flatMap(configuration, (environment) =>
    asked.pipe(
      Effect.provide(Layer.provide(Pipeline.layer, layerOf(provider, call.model))),
      Effect.withConfigProvider(environment)
    ))
  // The border to programs without Effect: here, and only here, an effect of the library is run by the library.
  const exit = await Effect.runPromiseExit(program, signal === undefined ? {} : { signal })
  if (Exit.isFailure(exit)) {
    const reason: unknown = signal?.reason
    throw Cause.isInterruptedOnly(exit.cause) && reason instanceof Error ? reason : Cause.squash(exit.cause)
  }
  return exit.value.map(
    Either.match({ onLeft: (error) => ({ ok: false, error }), onRight: (answer) => ({ ok: true, answer }) })
  )
}
