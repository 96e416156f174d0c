/**
 * One request to a synchronous API through the client of an official SDK, and whatever comes back: an answer, an error
 * that the provider answered with, or nothing.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { Completion, RateLimit, SyncRow } from "../Provider.js"
import { ProviderError } from "../ProviderError.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import * as HttpTransport from "./HttpTransport.js"
import { parse } from "./JsonText.js"
import * as ProviderAccess from "./ProviderAccess.js"
import * as SdkError from "./SdkError.js"

/** What one provider's synchronous API has of its own. */
export interface Dialect<Client> {
  /** Makes the request and gives its answer, of whatever status. */
  readonly send: (client: Client, row: SyncRow, signal: AbortSignal, timeoutMillis: number) => Promise<Response>
  /** Reads an answer of success. Throws, or gives `undefined`, when it is not whole. */
  readonly read: (row: SyncRow, response: Response) => Promise<Answered | undefined>
  /** The line of an error that the provider answered with; `text` is the JSON text of an error as the provider has it. */
  readonly errorLine: (row: SyncRow, status: number, headers: Headers, text: string) => string
  /** The error of a status whose answer is none of the provider's. */
  readonly errorText: (status: number, message: string) => string
  /** Whether it is an error as this provider has it. */
  readonly isError: (body: JsonObject) => boolean
  /** Of an error of "not found": whether it is something in the row that there is not, rather than the address. */
  readonly lacksNamed: (error: JsonObject) => boolean
  readonly limits: (headers: Headers, now: number) => ReadonlyArray<RateLimit>
  /** The most tokens that the answer may have, where the row says so. */
  readonly mostTokens: (row: SyncRow) => number
}

/** An answer that was read. */
interface Answered {
  readonly line: string
  readonly tokens: number
  /** Whether it is an error that comes with a status of success, and may pass. */
  readonly mayPass: boolean
}

const statusHeader = "x-llm-batch-status"

/**
 * A `fetch` whose answers reach the caller as they came, whatever their status: of an answer that is no success, the SDKs
 * would give what they made of it.
 */
const answersOf = (fetch: HttpTransport.Fetch): HttpTransport.Fetch => async (input, init) => {
  const response = await fetch(input, init)
  if (response.ok) return response
  const headers = new Headers(response.headers)
  headers.set(statusHeader, String(response.status))
  return new Response(response.body, { status: 200, headers })
}

/** The `fetch` of a provider, or one that waits for answers as long as models may think without a word. */
export const fetchFor = (given: HttpTransport.Fetch | undefined): HttpTransport.Fetch =>
  answersOf(given ?? HttpTransport.make({ idleTimeout: longestThought }))

const longestThought = 3_600_000

/** Milliseconds that any answer may take, and each token of it on top: an hour for the longest. */
const timeout = { least: 600_000, token: 28 }

/** JSON text on one line: between its values newlines mean nothing, and in its strings there are none. */
export const oneLine = (json: string): string => json.replace(/[\r\n]+/g, " ").trim()

/** Statuses that may pass. */
const mayPass = (status: number, headers: Headers): boolean => {
  const said = headers.get("x-should-retry")
  if (said === "true" || said === "false") return said === "true"
  return status === 408 || status === 409 || status === 429 || (status >= 500 && status !== 501)
}

/** Statuses of gateways that do not know what became of the request behind them: it may have been carried out. */
const outOfSight: ReadonlySet<number> = new Set([502, 504, 520, 524])

/** That there is no money left comes with various statuses. No other row would be spared it. */
const unpaid = /"(?:code|type)"\s*:\s*"(?:insufficient_quota|billing_[a-z_]+)"|credit balance is too low/

const isUnpaid = (status: number, text: string): boolean => status === 402 || (status < 500 && unpaid.test(text))

/** An error of the shape that the SDKs throw. */
class Declined extends Error {
  constructor(readonly status: number, readonly headers: Headers, readonly error: unknown, text: string) {
    super(text)
  }
}

/** A key that a careless server repeats does not come to disk. */
const withoutKey = (text: string, key: Redacted.Redacted | undefined): string => {
  const secret = key === undefined ? "" : ProviderAccess.secretOf(key)
  return secret.length < 6 ? text : text.replaceAll(secret, "***")
}

/** Makes `complete`. Nothing is loaded or called before the first effect runs. */
export const make = <Client>(
  settings: ProviderAccess.Settings,
  load: () => Promise<Client>,
  dialect: Dialect<Client>
) => {
  const { baseUrlVariable, key, provider } = settings
  const misconfigured = ProviderAccess.misconfiguration(settings)
  let loading: Promise<Client> | undefined

  return (row: SyncRow): Effect.Effect<Completion, ProviderError> => {
    const operation = `ask for ${row.wireId}`
    if (misconfigured !== undefined) return ProviderAccess.unusable(provider, operation, misconfigured)
    const call: SdkError.Call = { provider, operation, key }
    const timeoutMillis = timeout.least + timeout.token * dialect.mostTokens(row)

    const lost = (detail: string, mayBeCharged: boolean) =>
      new ProviderError({
        provider,
        operation,
        reason: "unreachable",
        status: null,
        retryAfterMillis: null,
        detail,
        mayBeCharged
      })

    const declined = (status: number, headers: Headers, text: string, now: number): Completion | ProviderError => {
      const body = parse(text)
      const own = isJsonObject(body) && dialect.isError(body)
      const error = new Declined(status, headers, body, text === "" ? `status code (no body)` : text)
      const told = SdkError.toProviderError(call, now)(error)
      if (status === 401 || status === 403) return told
      if (isUnpaid(status, text)) return new ProviderError({ ...told, reason: "refused" })
      if (!own && status < 400) return new ProviderError({ ...told, reason: "unexpected" })
      if (status === 405 || (status === 404 && !(own && isJsonObject(body.error) && dialect.lacksNamed(body.error)))) {
        const detail = `there is no ${row.endpoint} at the base URL: check ${baseUrlVariable}. `
          + `The server says: ${told.detail}`
        return new ProviderError({ ...told, reason: "unexpected", detail })
      }
      if (!own && outOfSight.has(status) && mayPass(status, headers)) {
        return new ProviderError({ ...told, reason: "unreachable", mayBeCharged: true })
      }
      const words = withoutKey(own ? oneLine(text) : dialect.errorText(status, told.detail), key)
      return {
        line: dialect.errorLine(row, status, headers, words),
        again: mayPass(status, headers) ? { afterMillis: SdkError.retryAfterMillis(error, now) } : null,
        limits: dialect.limits(headers, now),
        tokens: 0
      }
    }

    const exchange = async (signal: AbortSignal, clock: Clock.Clock): Promise<Completion | ProviderError> => {
      const client = await (loading ??= load())
      const response = await dialect.send(client, row, signal, timeoutMillis)
      const { headers } = response
      const declinedWith = headers.get(statusHeader)
      if (declinedWith !== null) {
        const text = await response.text()
        return declined(Number(declinedWith), headers, text, clock.unsafeCurrentTimeMillis())
      }
      const answered = await dialect.read(row, response)
      if (answered === undefined) return lost("the answer was cut short, or is none of the provider's", true)
      const { line, mayPass, tokens } = answered
      const now = clock.unsafeCurrentTimeMillis()
      return { line, tokens, again: mayPass ? { afterMillis: null } : null, limits: dialect.limits(headers, now) }
    }

    return Clock.clockWith((clock) =>
      Effect.tryPromise({
        try: (signal) => exchange(signal, clock),
        catch: (error) => {
          const told = SdkError.toProviderError(call, clock.unsafeCurrentTimeMillis())(error)
          return lost(told.detail, !HttpTransport.neverSent(error))
        }
      })
    ).pipe(
      Effect.flatMap((result) => result instanceof ProviderError ? Effect.fail(result) : Effect.succeed(result)),
      Effect.timeoutFail({
        duration: timeoutMillis,
        onTimeout: () => lost(`no whole answer within ${Duration.format(Duration.millis(timeoutMillis))}`, true)
      })
    )
  }
}
