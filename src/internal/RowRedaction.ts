/**
 * Keeps a key that a careless server repeats in the error of a row out of all that is written of the row. Answers stay
 * as they came: they are paid for, and a word of one may well look like the key of a test server. So does `raw/`.
 */
import * as Either from "effect/Either"
import type * as Redacted from "effect/Redacted"
import type { Failed } from "../Outcome.js"
import type * as Provider from "../Provider.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import { secretOf } from "./ProviderAccess.js"

/** Shorter ones are none, and would be found in any text. */
const shortestSecret = 6

/** The same decoding, but without this key in rows that failed. */
export const withoutKey = (
  decode: Provider.Service["decode"],
  key: Redacted.Redacted | undefined
): Provider.Service["decode"] => withoutSecret(decode, key === undefined ? "" : secretOf(key))

/** The same decoding, but without this text in rows that failed. */
export const withoutSecret = (
  decode: Provider.Service["decode"],
  secret: string
): Provider.Service["decode"] => {
  if (secret.length < shortestSecret) return decode
  return (line) => {
    const decoded = decode(line)
    if (Either.isLeft(decoded)) return decoded
    const { outcome } = decoded.right
    if (outcome.outcome === "succeeded") return decoded
    return Either.right({ ...decoded.right, outcome: cleanRow(outcome, secret) })
  }
}

const clean = (text: string, secret: string): string => text.replaceAll(secret, "***")

const cleanRow = (failed: Failed, secret: string): Failed => ({
  ...failed,
  id: failed.id === null ? null : clean(failed.id, secret),
  code: clean(failed.code, secret),
  message: clean(failed.message, secret),
  response: failed.response === null ? null : {
    ...failed.response,
    requestId: failed.response.requestId === null ? null : clean(failed.response.requestId, secret),
    body: cleanBody(failed.response.body, secret)
  }
})

const cleanBody = (body: JsonObject, secret: string): JsonObject => {
  try {
    if (!JSON.stringify(body).includes(JSON.stringify(secret).slice(1, -1))) return body
    const cleaned = cleanValue(body, secret)
    return isJsonObject(cleaned) ? cleaned : {}
  } catch {
    // Nested more deeply than it can be looked through.
    return {}
  }
}

const cleanValue = (value: unknown, secret: string): unknown => {
  if (typeof value === "string") return clean(value, secret)
  if (Array.isArray(value)) return value.map((item) => cleanValue(item, secret))
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [clean(name, secret), cleanValue(member, secret)])
  )
}
