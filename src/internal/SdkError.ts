/**
 * The border at which what an official SDK throws becomes an error of ours. Both SDKs throw errors of one shape: an
 * HTTP `status` with `headers` and the answer's `error`, or no status and a `cause`. Past this module nothing sees an
 * SDK type, a header or a key.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { ProviderError, type ProviderErrorReason } from "../ProviderError.js"
import { NotSent, Refused, Unknown } from "../SubmitError.js"
import { HttpTransportError, neverSent } from "./HttpTransport.js"
import * as ShortBody from "./ShortBody.js"

/** A call to a provider, as errors name it. */
export interface Call {
  readonly provider: string
  /** What is tried, in the words of `ProviderError.operation`. */
  readonly operation: string
  /** The key that the call carries: a server may echo it. */
  readonly key: Redacted.Redacted | undefined
}

/** An answer that came with a status of success and cannot be understood. Thrown inside a call, like an SDK's error. */
export class Unreadable extends Error {
  override readonly name = "Unreadable"
  readonly status: number

  constructor(status: number, problem: string) {
    super(problem)
    this.status = status
  }
}

/** Far more than a page of batches takes, and far longer. */
const answerBounds: ShortBody.Bounds = { bytes: 1 << 26, millis: 60_000 }

/** The text of an answer. One that does not come to its end is given up: what the call did is not known then. */
export const readText = async (response: Response, bounds: ShortBody.Bounds = answerBounds): Promise<string> => {
  if (response.body === null) return ""
  const { bytes, missing } = await ShortBody.read(response.body, bounds)
  switch (missing?._tag) {
    case undefined:
      return bytes.toString()
    case "Late":
      throw new Error(`the answer did not come to its end within ${bounds.millis / 1000} seconds`)
    case "Long":
      throw new Unreadable(response.status, `the answer is longer than ${bounds.bytes} bytes`)
    case "Broken":
      throw missing?.error
  }
}

/** The JSON value of an answer, whatever its content type says; throws `Unreadable`. */
export const readJson = async (response: Response, bounds?: ShortBody.Bounds): Promise<unknown> => {
  const text = await readText(response, bounds)
  try {
    return JSON.parse(text)
  } catch {
    throw new Unreadable(response.status, text.trim() === "" ? "an empty answer" : `not JSON: ${text}`)
  }
}

/** A call that can be repeated without harm. The signal is aborted when the effect is interrupted. */
export const reading = <A>(
  call: Call,
  run: (signal: AbortSignal) => PromiseLike<A>
): Effect.Effect<A, ProviderError> => calling(call, run, toProviderError)

/** A call that brings or makes something: its failure says whether anything may have happened. */
export const submitting = <A>(
  call: Call,
  run: (signal: AbortSignal) => PromiseLike<A>
): Effect.Effect<A, NotSent | Refused | Unknown> => calling(call, run, toSubmitError)

const calling = <A, E>(
  call: Call,
  run: (signal: AbortSignal) => PromiseLike<A>,
  translate: (call: Call, now: number) => (error: unknown) => E
): Effect.Effect<A, E> =>
  Effect.tryPromise({ try: run, catch: (error) => ({ error }) }).pipe(
    Effect.catchAll(({ error }) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => Effect.fail(translate(call, now)(error)))
    )
  )

/** What went wrong in a call that can be repeated without harm. `now` is in Unix milliseconds. */
export const toProviderError = (call: Call, now: number) => (error: unknown): ProviderError => {
  const status = statusOf(error)
  return new ProviderError({
    provider: call.provider,
    operation: call.operation,
    reason: reasonOf(error, status),
    status,
    retryAfterMillis: retryAfterMillis(error, now),
    detail: detailOf(error, call.key)
  })
}

/**
 * What the failure of an upload or create means for the money. Only what certainly never left, or was certainly
 * declined, is not `Unknown`. `now` is in Unix milliseconds.
 */
export const toSubmitError = (call: Call, now: number) => (error: unknown): NotSent | Refused | Unknown => {
  const { operation, provider } = call
  const status = statusOf(error)
  const detail = detailOf(error, call.key)
  if (status === null && neverSent(error)) return new NotSent({ provider, operation, detail })
  if (status !== null && isRefusal(status)) return new Refused({ provider, operation, status, detail })
  return new Unknown({ provider, operation, status, retryAfterMillis: retryAfterMillis(error, now), detail })
}

/** 408, 409, 429 and 499 are sent by gateways that do not know what became of the request behind them. */
const unclear: ReadonlySet<number> = new Set([408, 409, 429, 499])

const isRefusal = (status: number): boolean => status >= 400 && status < 500 && !unclear.has(status)

const reasonOf = (error: unknown, status: number | null): ProviderErrorReason => {
  if (error instanceof Unreadable || error instanceof SyntaxError) return "unexpected"
  if (status === null) return "unreachable"
  if (status === 401 || status === 403) return "auth"
  if (status === 404 || status === 410) return "gone"
  if (status === 429) return "rate-limited"
  if (status === 501) return "refused"
  if (status >= 500 || unclear.has(status)) return "unreachable"
  return isRefusal(status) ? "refused" : "unexpected"
}

const statusOf = (error: unknown): number | null =>
  Predicate.hasProperty(error, "status") && Number.isInteger(error.status) ? Number(error.status) : null

const headerOf = (error: unknown, name: string): string | null =>
  Predicate.hasProperty(error, "headers") && error.headers instanceof Headers ? error.headers.get(name) : null

/**
 * How long an answer asks to wait, in any form that `Retry-After` has; `null` where it does not say. A date is measured
 * against the server's own clock where it tells it.
 */
export const retryAfterMillis = (error: unknown, now: number): number | null => {
  const millis = headerOf(error, "retry-after-ms")
  if (isDecimal(millis)) return Number(millis)
  const value = headerOf(error, "retry-after")
  if (isDecimal(value)) return Number(value) * 1000
  const until = dateOf(value)
  return until === undefined ? null : Math.max(0, until - (dateOf(headerOf(error, "date")) ?? now))
}

/** A date as HTTP writes it, in Unix milliseconds. Much else would pass for one. */
const dateOf = (value: string | null): number | undefined =>
  value !== null && /^\s*[a-z]{3,9},? /i.test(value) && !Number.isNaN(Date.parse(value)) ? Date.parse(value) : undefined

const isDecimal = (value: string | null): value is string => value !== null && /^\s*\d{1,15}(\.\d+)?\s*$/.test(value)

const longestDetail = 500

const detailOf = (error: unknown, key: Redacted.Redacted | undefined): string => {
  const words = wordsOf(error).replace(/\s+/g, " ").trim()
  const safe = redact(htmlTitle(words) ?? words, key)
  return safe.length > longestDetail ? `${safe.slice(0, longestDetail).toWellFormed()}...` : safe
}

/** The provider's own words where it gave an answer, else those of our transport, which hang on the error's cause. */
const wordsOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  const answer = Predicate.hasProperty(error, "error") ? error.error : undefined
  const inner = Predicate.hasProperty(answer, "error") ? answer.error : answer
  if (Predicate.hasProperty(inner, "message") && typeof inner.message === "string") {
    const name = textMember(inner, "code") ?? textMember(inner, "type")
    return name === undefined ? inner.message : `${inner.message} (${name})`
  }
  if (statusOf(error) === null && error.cause instanceof Error && !(error instanceof HttpTransportError)) {
    return wordsOf(error.cause)
  }
  return error.message.replace(/^\d{3} /, "").replace(/^status code \(no body\)$/, "the server gives no reason")
}

const textMember = (value: object, name: "code" | "type"): string | undefined =>
  Predicate.hasProperty(value, name) && typeof value[name] === "string" && value[name] !== "" ? value[name] : undefined

const htmlTitle = (words: string): string | undefined => {
  if (!/<(!doctype html|html|head|body)\b/i.test(words)) return undefined
  const title = /<title[^>]*>([^<]*)/i.exec(words)?.[1]?.trim()
  return title === undefined || title === "" ? "an HTML page" : `an HTML page: ${title}`
}

/** Takes out the key, whatever looks like one, and what URLs can hide: user names, passwords and signatures. */
export const redact = (text: string, key: Redacted.Redacted | undefined): string => {
  const secret = key === undefined ? "" : Redacted.value(key).trim()
  const known = secret.length < 6 ? text : text.replaceAll(secret, "***")
  return known
    .replace(/\bBearer\s+[^\s"',]+/gi, "Bearer ***")
    .replace(/\bsk-[\w*-]{4,}/g, "sk-***")
    .replace(/(https?:\/\/)[^\s/@"']+@/gi, "$1***@")
    .replace(/(https?:\/\/[^\s?#"']+)[?#][^\s"']*/gi, "$1")
}
