/**
 * What the headers of an answer say of the provider's limits, in either provider's dialect. Headers that make no sense are
 * passed over.
 */
import type { RateLimit } from "../Provider.js"

const count = (value: string | null): number | null =>
  value !== null && /^\s*\d{1,15}(\.\d+)?\s*$/.test(value) ? Number(value) : null

/** Milliseconds of a unit in `6m0s`, `1h2m3.5s` or `20ms`. */
const units: Record<string, number> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 }

const part = /(\d+(?:\.\d+)?)(ms|[dhms])/g

/** A duration as OpenAI writes it; a bare number is of seconds, as some servers have it. */
const durationMillis = (value: string | null): number | null => {
  const text = value?.trim() ?? ""
  const seconds = count(text)
  if (seconds !== null) return seconds * 1_000
  if (text === "" || text.replace(part, "") !== "") return null
  let millis = 0
  for (const [, amount, unit] of text.matchAll(part)) millis += Number(amount) * (units[unit ?? ""] ?? 0)
  return millis
}

const known = (limits: ReadonlyArray<RateLimit>): ReadonlyArray<RateLimit> =>
  limits.filter(({ limit, remaining }) => limit !== null || remaining !== null)

/** `x-ratelimit-limit-requests` and its kin. */
export const openAi = (headers: Headers): ReadonlyArray<RateLimit> =>
  known((["requests", "tokens"] as const).map((kind) => ({
    kind,
    limit: count(headers.get(`x-ratelimit-limit-${kind}`)),
    remaining: count(headers.get(`x-ratelimit-remaining-${kind}`)),
    resetMillis: durationMillis(headers.get(`x-ratelimit-reset-${kind}`))
  })))

const untilMillis = (value: string | null, now: number): number | null => {
  const time = value === null ? NaN : Date.parse(value)
  return Number.isNaN(time) ? null : Math.max(0, time - now)
}

/**
 * `anthropic-ratelimit-requests-limit` and its kin. Their times are measured against the server's own clock where it tells
 * it; `now` is ours, in Unix milliseconds.
 */
export const anthropic = (headers: Headers, now: number): ReadonlyArray<RateLimit> => {
  const date = headers.get("date")
  const served = date === null ? NaN : Date.parse(date)
  const from = Number.isNaN(served) ? now : served
  return known((["requests", "tokens", "input-tokens", "output-tokens"] as const).map((kind) => ({
    kind,
    limit: count(headers.get(`anthropic-ratelimit-${kind}-limit`)),
    remaining: count(headers.get(`anthropic-ratelimit-${kind}-remaining`)),
    resetMillis: untilMillis(headers.get(`anthropic-ratelimit-${kind}-reset`), from)
  })))
}
