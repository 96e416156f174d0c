/**
 * A local server that speaks the batch APIs of OpenAI and Anthropic, so that nobody needs a key or money to try, test or
 * show anything. The official SDKs work against it unchanged.
 *
 * - `layer` starts one on a free loopback port, in the scope of the layer; several can run at once;
 * - time is the clock of the context times `timeScale`, and `advance` moves it on by hand;
 * - `FaultPlan` says what shall go wrong, and `books` tells what happened.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { Emulator, layer } from "llm-batch/emulator/Emulator"
 *
 * const program = Effect.gen(function*() {
 *   const emulator = yield* Emulator
 *   // ... let a client with the base URL `emulator.openAiBaseUrl` make a batch
 *   yield* emulator.advance("24 hours")
 *   return (yield* emulator.books).totals
 * }).pipe(Effect.provide(layer({ seed: 7 })))
 * ```
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Os from "node:os"
import * as Path from "node:path"
import type * as Answer from "./Answer.js"
import * as AnthropicRoutes from "./AnthropicRoutes.js"
import * as Books from "./Books.js"
import * as Control from "./Control.js"
import * as EmulatedTime from "./EmulatedTime.js"
import * as Endpoint from "./Endpoint.js"
import type { FaultPlan } from "./FaultPlan.js"
import * as Fingerprint from "./Fingerprint.js"
import * as OpenAiRoutes from "./OpenAiRoutes.js"
import { Options } from "./Options.js"
import * as RateLimits from "./RateLimits.js"
import * as Refused from "./Refused.js"
import * as Script from "./Script.js"
import type { State } from "./State.js"

/**
 * @since 0.1.0
 * @category tags
 */
export class Emulator extends Context.Tag("llm-batch/Emulator")<Emulator, Service>() {}

/**
 * A running emulator.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Where it listens, without a slash at the end: `http://127.0.0.1:40123`. */
  readonly url: string
  /** The base URL to give to a client of OpenAI. */
  readonly openAiBaseUrl: string
  /** The base URL to give to a client of Anthropic. */
  readonly anthropicBaseUrl: string
  /** What was made and what it cost, as of now. */
  readonly books: Effect.Effect<Books.Books>
  /** Replaces the plan. Faults of rows and results concern batches made from now on; faults of calls all calls. */
  readonly setFaults: (faults: FaultPlan) => Effect.Effect<void>
  /** Moves the emulated time on. */
  readonly advance: (duration: Duration.DurationInput) => Effect.Effect<void>
}

/**
 * An emulator that cannot be started.
 *
 * @since 0.1.0
 * @category errors
 */
export class EmulatorError extends Schema.TaggedError<EmulatorError>("llm-batch/EmulatorError")("EmulatorError", {
  reason: Schema.Literal("listen", "answers"),
  /** The address, or the file of answers. */
  subject: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return this.reason === "listen"
      ? `The emulator cannot listen on ${this.subject}: ${this.detail}. Choose another port, or 0 for a free one.`
      : `The answers in ${this.subject} cannot be used: ${this.detail}. Give a file with one {"prompt" or "match", "answer"} object a line.`
  }
}

/**
 * Options, each of which may be left out, and what only code can give.
 *
 * @since 0.1.0
 * @category models
 */
export type Settings = ConstructorParameters<typeof Options>[0] & {
  /** Gives the answer to a request, or `undefined` to have one made up. It goes before the file of answers. */
  readonly answer?: ((request: Answer.AnswerRequest) => string | undefined) | undefined
  /** Is told of each call to a provider when it is answered, by its route as the books name it. */
  readonly onCall?: ((route: string) => void) | undefined
}

const readAnswers = ({ answerErrorRate: errorRate, answersFile: path, seed }: Options) =>
  Effect.gen(function*() {
    if (path === undefined) return () => undefined
    const failed = (detail: string) => new EmulatorError({ reason: "answers", subject: path, detail })
    const content = yield* Effect.try({
      try: () => Fs.readFileSync(path, "utf8"),
      catch: (cause) => failed(String(cause))
    })
    const read = Script.read(content, { seed, errorRate })
    if ("problem" in read) return yield* failed(read.problem)
    return read.answer
  })

const makeState = (
  options: Options,
  { answer, onCall }: Pick<Settings, "answer" | "onCall">
): Effect.Effect<State, EmulatorError, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Effect.clock
    const scope = yield* Effect.scope
    const scripted = yield* readAnswers(options)
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "llm-batch-emulator-"))),
      (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
    )
    const time = EmulatedTime.make(clock, options.timeScale)
    // An emulator that is started anew must not give an id again that means something to a client.
    const start = time.real()
    let last = 0
    const next = () => last++
    return {
      options,
      time,
      answers: { seed: options.seed, scripted: (request) => answer?.(request) ?? scripted(request) },
      directory,
      scope,
      files: new Map(),
      batches: new Map(),
      deleted: new Map(),
      calls: new Map(),
      onCall: onCall ?? (() => undefined),
      faulted: new Map(),
      strikes: new Map(),
      rateLimits: RateLimits.make(options, time.real),
      direct: { calls: 0, inputTokens: 0, outputTokens: 0 },
      faults: options.faults,
      next,
      newId: (prefix) => `${prefix}${Fingerprint.make(options.seed, `${start} ${next()}`).hex(24)}`
    }
  })

const isAnthropic = (request: HttpServerRequest.HttpServerRequest): boolean =>
  request.headers["anthropic-version"] !== undefined

const routes = (state: State): ReadonlyArray<Endpoint.Route> => {
  const provider = (request: HttpServerRequest.HttpServerRequest) => isAnthropic(request) ? "anthropic" : "openai"
  return [
    ...OpenAiRoutes.routes(state),
    ...AnthropicRoutes.routes(state),
    Endpoint.route(
      state,
      "GET",
      "/v1/models",
      provider,
      (call) =>
        Effect.map(
          isAnthropic(call.request) ? AnthropicRoutes.models(call) : Effect.succeed(OpenAiRoutes.models()),
          (body) => Endpoint.json(body)
        )
    ),
    Endpoint.route(state, "GET", "/v1/models/:id", provider, (call) =>
      Effect.map(
        isAnthropic(call.request) ? AnthropicRoutes.model(call.param("id")) : OpenAiRoutes.model(call.param("id")),
        (body) => Endpoint.json(body)
      )),
    ...Control.routes(state),
    Endpoint.route(
      state,
      "*",
      "*",
      provider,
      (call) =>
        Refused.invalid(
          `Unknown request URL: ${call.request.method} ${call.request.url}. Please check the URL for typos.`,
          null,
          "unknown_url",
          404
        )
    )
  ]
}

/**
 * Starts an emulator in the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (settings?: Settings) => Effect.Effect<Service, EmulatorError, Scope.Scope> = Effect.fn(
  "Emulator.make"
)(
  function*(settings: Settings = {}) {
    const { answer, onCall, ...given } = settings
    const options = new Options(given)
    const state = yield* makeState(options, { answer, onCall })
    const node = Http.createServer()
    // Nothing here may end a connection on its own account: uploads are long, and hanging is a fault to be ordered.
    node.requestTimeout = 0
    node.keepAliveTimeout = 0
    const server = yield* NodeHttpServer.make(() => node, { host: options.host, port: options.port }).pipe(
      Effect.mapError(({ cause }) =>
        new EmulatorError({ reason: "listen", subject: `${options.host}:${options.port}`, detail: String(cause) })
      )
    )
    yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
    yield* server.serve(
      HttpRouter.fromIterable(routes(state)).pipe(
        HttpRouter.catchAllCause((cause) =>
          Effect.zipRight(
            Effect.logError("A call failed in the emulator", cause),
            Effect.succeed(Endpoint.json({ error: { message: "The emulator has a bug." } }, 500))
          )
        )
      )
    )
    const port = server.address._tag === "TcpAddress" ? server.address.port : options.port
    const url = `http://${options.host.includes(":") ? `[${options.host}]` : options.host}:${port}`
    return {
      url,
      openAiBaseUrl: `${url}/v1`,
      anthropicBaseUrl: url,
      books: Books.make(state),
      setFaults: (faults) => Effect.sync(() => Control.setFaults(state, faults)),
      advance: (duration) => Effect.sync(() => state.time.advance(Duration.toMillis(duration)))
    }
  }
)

/**
 * An emulator for the life of the layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (settings?: Settings): Layer.Layer<Emulator, EmulatorError> =>
  Layer.scoped(Emulator, make(settings))
