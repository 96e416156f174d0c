/**
 * Faults of calls: which fault strikes a call, and how it is carried out on the connection.
 *
 * @since 0.1.0
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Http from "node:http"
import * as AnthropicAnswer from "./AnthropicAnswer.js"
import { CallFault, type FaultPlan } from "./FaultPlan.js"
import * as Fingerprint from "./Fingerprint.js"
import * as OpenAiAnswer from "./OpenAiAnswer.js"
import type { State } from "./State.js"

const creates = new Set(["POST /v1/batches", "POST /v1/messages/batches"])

const matches = (fault: CallFault, route: string): boolean =>
  fault.route.endsWith("*") ? route.startsWith(fault.route.slice(0, -1)) : fault.route === route

const strikesOf = (state: State, key: unknown) => {
  const strikes = state.strikes.get(key) ?? { seen: 0, struck: 0 }
  state.strikes.set(key, strikes)
  strikes.seen += 1
  return strikes
}

/** Whether a fault strikes its next matching call; it is counted only when it does. */
const takes = (state: State, key: unknown, fault: CallFault): boolean => {
  const strikes = strikesOf(state, key)
  if (strikes.seen <= fault.skip || (fault.first !== undefined && strikes.struck >= fault.first)) return false
  const drawn = fault.share === 1
    ? 0
    : Fingerprint.make(state.options.seed, `${fault.route} ${fault.kind} ${strikes.seen}`).fraction(0)
  if (drawn >= fault.share) return false
  strikes.struck += 1
  return true
}

const shares = (plan: FaultPlan): ReadonlyArray<readonly [number, CallFault]> => [
  [plan.rateLimitCalls, new CallFault({ kind: "status", status: 429 })],
  [plan.serverErrorCalls, new CallFault({ kind: "status", status: 503 })],
  [plan.resetCalls, new CallFault({ kind: "reset" })],
  [plan.cutCalls, new CallFault({ kind: "cut" })]
]

/**
 * The fault that strikes a call before anything is done, or that strikes its answer.
 *
 * @since 0.1.0
 * @category accessors
 */
export const before = (state: State, route: string): CallFault | undefined => {
  const plan = state.faults
  for (const fault of plan.calls) {
    if (!fault.afterSuccess && matches(fault, route) && takes(state, fault, fault)) return fault
  }
  const print = Fingerprint.make(state.options.seed, `${route} ${strikesOf(state, route).seen}`)
  let upTo = 0
  for (const [share, fault] of shares(plan)) {
    upTo += share
    if (print.fraction(0) < upTo) {
      return fault.kind === "status" && fault.status === 503
        ? new CallFault({
          kind: "status",
          status: [500, 502, 503][print.int(7, 3)] ?? 500,
          html: print.int(6, 2) === 1
        })
        : fault
    }
  }
  return undefined
}

const lostCreate = (first: number): CallFault => new CallFault({ kind: "reset", afterSuccess: true, first })

/**
 * The fault that takes the answer of a call that succeeded.
 *
 * @since 0.1.0
 * @category accessors
 */
export const after = (state: State, route: string): CallFault | undefined => {
  const plan = state.faults
  for (const fault of plan.calls) {
    if (fault.afterSuccess && matches(fault, route) && takes(state, fault, fault)) return fault
  }
  const lost = lostCreate(plan.loseCreates)
  return creates.has(route) && takes(state, "loseCreates", lost) ? lost : undefined
}

const openAiError = (status: number): readonly [message: string, type: string, code: string | null] =>
  status === 429
    ? ["Rate limit reached for requests. Please try again later.", "requests", "rate_limit_exceeded"]
    : status === 408
    ? ["Request timed out.", "timeout", null]
    : status === 409
    ? ["The request conflicts with another one.", "invalid_request_error", null]
    : status < 500
    ? ["The request was refused.", "invalid_request_error", null]
    : ["The server had an error while processing your request. Sorry about that!", "server_error", null]

const anthropicError = (status: number): readonly [type: string, message: string] => {
  switch (status) {
    case 401:
      return ["authentication_error", "invalid x-api-key"]
    case 403:
      return ["permission_error", "Your API key does not have permission to use the specified resource."]
    case 404:
      return ["not_found_error", "Not found"]
    case 408:
    case 504:
      return ["timeout_error", "Request timed out"]
    case 429:
      return ["rate_limit_error", "This request would exceed the rate limit of your organization."]
    case 529:
      return ["overloaded_error", "Overloaded"]
    default:
      return status < 500
        ? ["invalid_request_error", "The request was refused."]
        : ["api_error", "Internal server error"]
  }
}

const retryAfter = (state: State, fault: CallFault): { readonly [name: string]: string } => {
  switch (fault.retryAfterForm) {
    case "absent":
      return {}
    case "seconds":
      return { "retry-after": String(fault.retryAfter) }
    case "millis":
      return { "retry-after-ms": String(fault.retryAfter * 1000) }
    case "date":
      return {
        "retry-after": DateTime.toDateUtc(DateTime.unsafeMake(state.time.real() + fault.retryAfter * 1000))
          .toUTCString()
      }
  }
}

const statusResponse = (
  state: State,
  fault: CallFault,
  provider: "openai" | "anthropic",
  requestId: string,
  keys: string
): HttpServerResponse.HttpServerResponse => {
  const headers = fault.status === 429 || fault.status === 503 || fault.status === 529 ? retryAfter(state, fault) : {}
  if (fault.html) {
    return HttpServerResponse.text(
      `<html>\r\n<head><title>${fault.status}</title></head>\r\n<body><center><h1>${fault.status}</h1></center></body>\r\n</html>\r\n`,
      { status: fault.status, headers, contentType: "text/html" }
    )
  }
  const echo = fault.echoKey ? ` (${keys})` : ""
  const ofOpenAi = () => {
    const [message, type, code] = openAiError(fault.status)
    return OpenAiAnswer.errorBody(message + echo, type, null, code)
  }
  const ofAnthropic = () => {
    const [type, message] = anthropicError(fault.status)
    return AnthropicAnswer.errorBody(type, message + echo, requestId)
  }
  return HttpServerResponse.unsafeJson(provider === "openai" ? ofOpenAi() : ofAnthropic(), {
    status: fault.status,
    headers
  })
}

const keysIn = (request: HttpServerRequest.HttpServerRequest): string =>
  [request.headers["authorization"], request.headers["x-api-key"]].filter((each) => each !== undefined).join(" ")

/** Breaks the connection. The response counts as ended then, so that nothing more is written to it. */
const reset = (response: Http.ServerResponse): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.sync(() => {
    response.socket?.resetAndDestroy()
    response.end()
    return HttpServerResponse.empty()
  })

const write = (response: Http.ServerResponse, bytes: Uint8Array): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    response.write(bytes, () => resume(Effect.void))
  })

/** Sends the head of an answer; gives its body, and how long that is where it is known. */
const sendHead = (answer: HttpServerResponse.HttpServerResponse, fault: CallFault, response: Http.ServerResponse) =>
  Effect.sync(() => {
    const body = answer.body
    const bytes = body._tag === "Uint8Array"
      ? Stream.make(body.body)
      : body._tag === "Stream"
      ? Stream.orDie(body.stream)
      : Stream.empty
    const whole = body._tag === "Uint8Array" || body._tag === "Stream" ? body.contentLength : 0
    const headers: Record<string, string> = { ...answer.headers }
    if (body.contentType !== undefined) headers["content-type"] = body.contentType
    if (fault.framing === "length") headers["content-length"] = String(whole ?? Number.MAX_SAFE_INTEGER)
    else delete headers["content-length"]
    if (fault.framing === "close") {
      response.useChunkedEncodingByDefault = false
      headers["connection"] = "close"
    }
    response.writeHead(answer.status, headers)
    response.flushHeaders()
    return { bytes, whole }
  })

/** Sends the first bytes of an answer, and no more. */
const cut = (
  answer: HttpServerResponse.HttpServerResponse,
  fault: CallFault,
  response: Http.ServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.gen(function*() {
    const { bytes, whole } = yield* sendHead(answer, fault, response)
    let rest = fault.cutAt > 0 ? fault.cutAt : whole === undefined ? 1000 : Math.floor(whole / 2)
    // Not `runForEachWhile`: that one keeps every chunk until it ends.
    yield* bytes.pipe(
      Stream.takeUntilEffect((chunk) =>
        Effect.suspend(() => {
          const part = chunk.subarray(0, rest)
          rest -= part.length
          return Effect.as(part.length === 0 ? Effect.void : write(response, part), rest <= 0)
        })
      ),
      Stream.runDrain
    )
    if (fault.framing !== "close") response.socket?.destroy()
    response.end()
    return HttpServerResponse.empty()
  })

/** Sends an answer one byte a second. */
const trickle = (
  answer: HttpServerResponse.HttpServerResponse,
  fault: CallFault,
  response: Http.ServerResponse
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.gen(function*() {
    const { bytes } = yield* sendHead(answer, fault, response)
    yield* Stream.runForEach(bytes, (chunk) =>
      Effect.forEach(
        chunk,
        (byte) => Effect.zipRight(write(response, Uint8Array.of(byte)), Effect.sleep("1 second")),
        { discard: true }
      ))
    response.end()
    return HttpServerResponse.empty()
  })

/**
 * Whether a fault strikes the answer of a call, so that what was asked for is done all the same.
 *
 * @since 0.1.0
 * @category predicates
 */
export const strikesAnswer = ({ kind }: CallFault): boolean => kind === "cut" || kind === "trickle"

/**
 * Carries a fault out. `answer` is the answer that the call would have had, where there is one to be struck.
 *
 * @since 0.1.0
 * @category running
 */
export const strike = (
  state: State,
  fault: CallFault,
  provider: "openai" | "anthropic",
  requestId: string,
  answer: HttpServerResponse.HttpServerResponse | undefined
): Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest> =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const response = NodeHttpServerRequest.toServerResponse(request)
    switch (fault.kind) {
      case "status":
        return Effect.succeed(statusResponse(state, fault, provider, requestId, keysIn(request)))
      case "reset":
        return reset(response)
      case "hang":
        return Effect.never
      case "cut":
        return answer === undefined ? reset(response) : cut(answer, fault, response)
      case "trickle":
        return answer === undefined ? reset(response) : trickle(answer, fault, response)
    }
  })
