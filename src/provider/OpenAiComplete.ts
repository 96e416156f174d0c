/**
 * OpenAI's synchronous API: the same rows, one request each, and the same lines of results as a batch would have.
 *
 * @since 0.1.0
 */
import type { OpenAI as Client } from "openai"
import { memberText, parse } from "../internal/JsonText.js"
import * as OutputLimit from "../internal/OutputLimit.js"
import type * as ProviderAccess from "../internal/ProviderAccess.js"
import * as RateLimitHeaders from "../internal/RateLimitHeaders.js"
import * as SyncCall from "../internal/SyncCall.js"
import type { SyncRow } from "../Provider.js"
import { isJsonObject, type JsonObject } from "../Request.js"

/**
 * Makes `complete`, over a client whose `fetch` is of `SyncCall.fetchFor`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (settings: ProviderAccess.Settings, load: () => Promise<Client>) =>
  SyncCall.make(settings, load, dialect)

const bodyOf = ({ text }: SyncRow): string => memberText(text, "body") ?? "{}"

const line = ({ wireId }: SyncRow, status: number, headers: Headers, body: string): string => {
  const requestId = JSON.stringify(headers.get("x-request-id"))
  return `{"id":${requestId},"custom_id":${
    JSON.stringify(wireId)
  },"response":{"status_code":${status},"request_id":${requestId},"body":${body}},"error":null}`
}

const countOf = (value: unknown): number => typeof value === "number" && value > 0 ? value : 0

const tokensOf = ({ usage }: JsonObject): number => {
  if (!isJsonObject(usage)) return 0
  return countOf(usage.total_tokens) || countOf(usage.input_tokens) + countOf(usage.output_tokens)
}

const dialect: SyncCall.Dialect<Client> = {
  // The base URL has the version in it.
  send: (client, row, signal, timeout) =>
    client.post(row.endpoint.replace(/^\/v1(?=\/)/, ""), {
      body: Buffer.from(bodyOf(row)),
      signal,
      timeout,
      headers: { "content-type": "application/json" }
    }).asResponse(),
  read: async (row, response) => {
    const text = await response.text()
    const body = parse(text)
    if (!isJsonObject(body)) return undefined
    return {
      line: line(row, response.status, response.headers, SyncCall.oneLine(text)),
      tokens: tokensOf(body),
      mayPass: false
    }
  },
  errorLine: line,
  errorText: (status, message) =>
    JSON.stringify({
      error: {
        message,
        type: status < 500 ? "invalid_request_error" : "server_error",
        param: null,
        code: `http_${status}`
      }
    }),
  isError: (body) => body.error !== undefined && body.error !== null,
  // `model_not_found` and its kin; other servers of this API say in words that there is no such model.
  lacksNamed: ({ code, message, param }) =>
    (typeof code === "string" && code.endsWith("_not_found")) || typeof param === "string"
    || (typeof message === "string" && /\bmodel\b/i.test(message)),
  limits: RateLimitHeaders.openAi,
  mostTokens: (row) => OutputLimit.ofBody(bodyOf(row)) ?? 0
}
