/**
 * What all calls have in common: the key, the headers, the form of an error, the faults, the books.
 *
 * @since 0.1.0
 */
import type * as HttpMethod from "@effect/platform/HttpMethod"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Effect from "effect/Effect"
import * as Crypto from "node:crypto"
import * as AnthropicAnswer from "./AnthropicAnswer.js"
import type { Caller } from "./Batches.js"
import * as CallFaults from "./CallFaults.js"
import { isObject, type JsonObject, parse } from "./Json.js"
import * as OpenAiAnswer from "./OpenAiAnswer.js"
import * as Refused from "./Refused.js"
import type { State } from "./State.js"

/**
 * @since 0.1.0
 * @category models
 */
export type Provider = "openai" | "anthropic"

/**
 * A call, as a handler sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly request: HttpServerRequest.HttpServerRequest
  readonly caller: Caller
  readonly requestId: string
  /** A part of the path. */
  readonly param: (name: string) => string
  readonly query: URLSearchParams
  /** Where the caller reached the emulator. */
  readonly origin: string
}

/**
 * @since 0.1.0
 * @category models
 */
export type Handler = (call: Call) => Effect.Effect<HttpServerResponse.HttpServerResponse, Refused.Refused>

/**
 * @since 0.1.0
 * @category models
 */
export type Route = HttpRouter.Route<never, HttpServerRequest.HttpServerRequest>

/**
 * An answer with a JSON body.
 *
 * @since 0.1.0
 * @category responses
 */
export const json = (body: JsonObject, status = 200): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.unsafeJson(body, { status })

/**
 * An answer of server-sent events.
 *
 * @since 0.1.0
 * @category responses
 */
export const events = (text: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(text, { contentType: "text/event-stream" })

/**
 * The body of a call as a JSON object.
 *
 * @since 0.1.0
 * @category requests
 */
export const body = (call: Call): Effect.Effect<JsonObject, Refused.Refused> =>
  call.request.text.pipe(
    Effect.orElseFail(() => Refused.invalid("The request body could not be read.")),
    Effect.flatMap((text) => {
      const value = parse(text)
      return isObject(value)
        ? Effect.succeed(value)
        : Refused.invalid("We could not parse the JSON body of your request.", null, "invalid_json")
    })
  )

/**
 * A whole number of the query, or `fallback`; one out of range is refused.
 *
 * @since 0.1.0
 * @category requests
 */
export const count = (
  call: Call,
  name: string,
  fallback: number,
  most: number
): Effect.Effect<number, Refused.Refused> => {
  const text = call.query.get(name)
  const value = text === null ? fallback : Number(text)
  return Number.isInteger(value) && value >= 1 && value <= most
    ? Effect.succeed(value)
    : Refused.invalid(
      `Invalid '${name}': expected an integer from 1 to ${most}, but got ${text} instead.`,
      name,
      "invalid_value"
    )
}

const sha256 = (text: string): string => Crypto.createHash("sha256").update(text).digest("hex")

const header = (request: HttpServerRequest.HttpServerRequest, name: string): string => {
  const value: unknown = request.headers[name]
  return typeof value === "string" ? value : ""
}

const keyOf = (request: HttpServerRequest.HttpServerRequest, provider: Provider): string => {
  const bearer = /^Bearer\s+(\S+)/i.exec(header(request, "authorization"))?.[1] ?? ""
  return provider === "anthropic" ? header(request, "x-api-key") || bearer : bearer
}

/** Any key will do, but for none and for those that contain `invalid`. */
const authenticate = (state: State, request: HttpServerRequest.HttpServerRequest, provider: Provider) =>
  Effect.gen(function*() {
    const key = keyOf(request, provider)
    if (provider === "openai") {
      if (key === "") {
        return yield* Refused.invalid(
          "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
          null,
          null,
          401
        )
      }
      if (key.includes("invalid")) {
        return yield* Refused.invalid(
          `Incorrect API key provided: ${key.slice(0, 3)}****.`,
          null,
          "invalid_api_key",
          401
        )
      }
    } else {
      if (key === "") return yield* Refused.make(401, "authentication_error", "x-api-key header is required")
      if (key.includes("invalid")) return yield* Refused.make(401, "authentication_error", "invalid x-api-key")
      const version = header(request, "anthropic-version")
      if (version === "") return yield* Refused.invalid("anthropic-version: header is required")
      if (version !== "2023-06-01" && version !== "2026-10-21") {
        return yield* Refused.invalid(`anthropic-version: "${version}" is not a valid version`)
      }
    }
    const owner = ["openai-organization", "openai-project", "anthropic-workspace-id"].map((name) =>
      header(request, name)
    )
    const caller: Caller = {
      account: [...owner, ...(state.options.isolateKeys ? [sha256(key)] : [])].join("\n"),
      keyFingerprint: sha256(key).slice(0, 12)
    }
    return caller
  })

const headersOf = (state: State, provider: Provider, requestId: string): { readonly [name: string]: string } =>
  provider === "openai"
    ? {
      "x-request-id": requestId,
      "openai-version": "2020-10-01",
      "openai-organization": "org-emulator",
      "openai-processing-ms": "1",
      ...state.rateLimits.headers(provider)
    }
    : {
      "request-id": requestId,
      "anthropic-organization-id": "00000000-0000-4000-8000-000000000000",
      ...state.rateLimits.headers(provider)
    }

const waiting = (provider: Provider, millis: number | null): { readonly [name: string]: string } =>
  millis === null ? {} : {
    "retry-after": String(Math.ceil(millis / 1_000)),
    ...(provider === "openai" ? { "retry-after-ms": String(millis) } : {})
  }

const refusal = (
  provider: Provider,
  refused: Refused.Refused,
  requestId: string
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.unsafeJson(
    provider === "openai"
      ? OpenAiAnswer.errorBody(refused.detail, refused.type, refused.param, refused.code)
      : AnthropicAnswer.errorBody(refused.type, refused.detail, requestId),
    { status: refused.status, headers: waiting(provider, refused.retryAfterMillis) }
  )

const record = (state: State, route: string, status: string): void => {
  const statuses = state.calls.get(route) ?? new Map<string, number>()
  state.calls.set(route, statuses)
  statuses.set(status, (statuses.get(status) ?? 0) + 1)
  state.onCall(route)
}

/** What a call is answered, faults included; what is struck is in the books before it is carried out. */
const answered = (
  state: State,
  provider: Provider,
  route: string,
  requestId: string,
  handled: Effect.Effect<HttpServerResponse.HttpServerResponse, never, HttpServerRequest.HttpServerRequest>
) =>
  Effect.gen(function*() {
    const fault = CallFaults.before(state, route)
    if (fault !== undefined && !CallFaults.strikesAnswer(fault)) {
      record(state, route, fault.kind === "status" ? String(fault.status) : fault.kind)
      return yield* CallFaults.strike(state, fault, provider, requestId, undefined)
    }
    const response = yield* handled
    const lost = fault ?? (response.status < 400 ? CallFaults.after(state, route) : undefined)
    if (lost === undefined) {
      record(state, route, String(response.status))
      return response
    }
    record(state, route, lost.kind === "status" ? String(lost.status) : lost.kind)
    return yield* CallFaults.strike(state, lost, provider, requestId, response)
  })

/**
 * A route of a provider. `provider` may depend on the request, where both providers have the same path.
 *
 * @since 0.1.0
 * @category constructors
 */
export const route = (
  state: State,
  method: HttpMethod.HttpMethod | "*",
  path: HttpRouter.PathInput,
  provider: Provider | ((request: HttpServerRequest.HttpServerRequest) => Provider),
  handler: Handler
): Route => {
  const name = method === "*" ? "unknown" : `${method} ${path}`
  const handle = Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const { params } = yield* HttpRouter.RouteContext
    const whose = typeof provider === "string" ? provider : provider(request)
    const requestId = `req_${sha256(`${state.options.seed} ${state.next()}`).slice(0, 24)}`
    const handled = Effect.gen(function*() {
      const caller = yield* authenticate(state, request, whose)
      const origin = `http://${header(request, "host")}`
      const query = new URL(request.url, origin).searchParams
      return yield* handler({
        request,
        caller,
        requestId,
        param: (name) => params[name] ?? "",
        query,
        origin
      })
    }).pipe(
      Effect.catchAll((refused) => Effect.succeed(refusal(whose, refused, requestId))),
      Effect.catchAllDefect((defect) =>
        Effect.zipRight(
          Effect.logError(`${name} failed in the emulator`, defect),
          Effect.succeed(
            refusal(
              whose,
              Refused.make(500, whose === "openai" ? "server_error" : "api_error", "The emulator has a bug."),
              requestId
            )
          )
        )
      )
    )
    const response = yield* answered(state, whose, name, requestId, handled)
    return HttpServerResponse.setHeaders(response, headersOf(state, whose, requestId))
  })
  return HttpRouter.makeRoute(method, path, handle)
}

/**
 * One page of a list that is sorted, after (or before) the item of an id; refused when there is no such item.
 *
 * @since 0.1.0
 * @category responses
 */
export const page = <A extends { readonly id: string }>(
  items: ReadonlyArray<A>,
  limit: number,
  cursor: { readonly after?: string | null; readonly before?: string | null }
): Effect.Effect<{ readonly items: ReadonlyArray<A>; readonly more: boolean }, Refused.Refused> => {
  const indexOf = (id: string): number => items.findIndex((item) => item.id === id)
  const id = cursor.after ?? cursor.before ?? undefined
  if (id !== undefined && indexOf(id) < 0)
    return Refused.invalid(`No item with the id '${id}' was found.`, "after", "invalid_value")
  if (cursor.before !== undefined && cursor.before !== null) {
    const end = indexOf(cursor.before)
    return Effect.succeed({ items: items.slice(Math.max(0, end - limit), end), more: end > limit })
  }
  const start = id === undefined ? 0 : indexOf(id) + 1
  return Effect.succeed({ items: items.slice(start, start + limit), more: items.length > start + limit })
}
