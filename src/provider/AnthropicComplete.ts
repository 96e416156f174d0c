/**
 * Anthropic's Messages API: the same rows, one request each, and the same lines of results as a batch would have. Rows that
 * may have long answers are streamed, since the API demands it.
 *
 * @since 0.1.0
 */
import type { Anthropic as Client } from "@anthropic-ai/sdk"
import { memberText, parse } from "../internal/JsonText.js"
import * as OutputLimit from "../internal/OutputLimit.js"
import type * as ProviderAccess from "../internal/ProviderAccess.js"
import * as RateLimitHeaders from "../internal/RateLimitHeaders.js"
import { ServerSentEvents } from "../internal/ServerSentEvents.js"
import * as SyncCall from "../internal/SyncCall.js"
import type { SyncRow } from "../Provider.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import { AnthropicStream, type Streamed } from "./AnthropicStream.js"

/**
 * Makes `complete`, over a client whose `fetch` is of `SyncCall.fetchFor`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (settings: ProviderAccess.Settings, load: () => Promise<Client>) =>
  SyncCall.make(settings, load, dialect)

/** The most output tokens of a call that is not streamed. */
const mostUnstreamed = 21_333

const paramsOf = ({ text }: SyncRow): string => memberText(text, "params") ?? "{}"

const mostTokens = (row: SyncRow): number => OutputLimit.ofBody(paramsOf(row)) ?? 0

/** Of a member that is there twice, the last one counts. */
const streamed = (params: string): string => `${params.replace(/\}\s*$/, "")},"stream":true}`

const resultLine = ({ wireId }: SyncRow, result: string): string =>
  `{"custom_id":${JSON.stringify(wireId)},"result":${result}}`

const messageLine = (row: SyncRow, message: string): string =>
  resultLine(row, `{"type":"succeeded","message":${message}}`)

const errorLine = (row: SyncRow, error: string): string => resultLine(row, `{"type":"errored","error":${error}}`)

const countOf = (value: unknown): number => typeof value === "number" && value > 0 ? value : 0

/** What is read from a cache is free of the limits. */
const tokensOf = ({ usage }: JsonObject): number =>
  isJsonObject(usage)
    ? countOf(usage.input_tokens) + countOf(usage.cache_creation_input_tokens) + countOf(usage.output_tokens)
    : 0

/** Types of errors by HTTP status, for answers that are not of the API itself. */
const types: ReadonlyMap<number, string> = new Map([
  [408, "timeout_error"],
  [413, "request_too_large"],
  [429, "rate_limit_error"],
  [504, "timeout_error"],
  [529, "overloaded_error"]
])

const passing: ReadonlySet<unknown> = new Set([
  "rate_limit_error",
  "timeout_error",
  "api_error",
  "overloaded_error"
])

const errorTypeOf = (error: string): unknown => {
  const body = parse(error)
  return isJsonObject(body) && isJsonObject(body.error) ? body.error.type : undefined
}

const readStream = async (body: ReadableStream<Uint8Array>): Promise<Streamed | undefined> => {
  const stream = new AnthropicStream()
  const events = new ServerSentEvents((name, data) => stream.take(name, data))
  for await (const block of body) events.push(block)
  return stream.result()
}

const dialect: SyncCall.Dialect<Client> = {
  send: (client, row, signal, timeout) => {
    const params = paramsOf(row)
    return client.post(row.endpoint, {
      body: Buffer.from(mostTokens(row) > mostUnstreamed ? streamed(params) : params),
      signal,
      timeout,
      headers: {
        "content-type": "application/json",
        ...(row.betas.length === 0 ? {} : { "anthropic-beta": row.betas.join(",") })
      }
    }).asResponse()
  },
  read: async (row, response) => {
    if (response.headers.get("content-type")?.startsWith("text/event-stream") === true && response.body !== null) {
      const result = await readStream(response.body)
      if (result === undefined) return undefined
      return result._tag === "Message"
        ? { line: messageLine(row, result.text), tokens: tokensOf(result.message), mayPass: false }
        : { line: errorLine(row, result.text), tokens: 0, mayPass: passing.has(errorTypeOf(result.text)) }
    }
    const text = await response.text()
    const message = parse(text)
    if (!isJsonObject(message)) return undefined
    return { line: messageLine(row, SyncCall.oneLine(text)), tokens: tokensOf(message), mayPass: false }
  },
  errorLine: (row, _status, _headers, text) => errorLine(row, text),
  errorText: (status, message) =>
    JSON.stringify({
      type: "error",
      error: {
        type: types.get(status) ?? (status < 500 ? "invalid_request_error" : "api_error"),
        message: `HTTP ${status}: ${message}`
      }
    }),
  isError: (body) => isJsonObject(body.error) && typeof body.error.type === "string",
  lacksNamed: ({ message, type }) =>
    type === "not_found_error" && typeof message === "string" && /\bmodel\b|\b(?:file|container)_\w/i.test(message),
  limits: RateLimitHeaders.anthropic,
  mostTokens
}
