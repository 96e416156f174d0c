import { assert, describe, it } from "@effect/vitest"
import * as RateLimitHeaders from "../../src/internal/RateLimitHeaders.js"

const resetOf = (text: string) =>
  RateLimitHeaders.openAi(new Headers({ "x-ratelimit-limit-tokens": "10", "x-ratelimit-reset-tokens": text }))
    .map(({ resetMillis }) => resetMillis)

describe("RateLimitHeaders", () => {
  it("reads durations in every form that servers give them", () => {
    const forms: ReadonlyArray<readonly [string, number | null]> = [
      ["20ms", 20],
      ["1s", 1_000],
      ["8.64s", 8_640],
      ["6m0s", 360_000],
      ["1h2m3.5s", 3_723_500],
      ["1d", 86_400_000],
      ["17", 17_000],
      [" 0s ", 0],
      ["", null],
      ["soon", null],
      ["1x", null],
      ["-5s", null]
    ]
    for (const [text, millis] of forms) assert.deepStrictEqual(resetOf(text), [millis], text)
  })

  it("passes over what says nothing", () => {
    assert.deepStrictEqual(RateLimitHeaders.openAi(new Headers({ "x-ratelimit-reset-tokens": "1s" })), [])
    assert.deepStrictEqual(
      RateLimitHeaders.openAi(
        new Headers({ "x-ratelimit-remaining-requests": "none", "x-ratelimit-limit-requests": "" })
      ),
      []
    )
    assert.deepStrictEqual(RateLimitHeaders.anthropic(new Headers(), 0), [])
  })

  it("measures a time against the server's clock, and against ours where it tells none", () => {
    const headers = {
      "anthropic-ratelimit-tokens-limit": "80000",
      "anthropic-ratelimit-tokens-remaining": "79000",
      "anthropic-ratelimit-tokens-reset": "2026-11-20T13:00:30Z"
    }
    const told = (date: Record<string, string>, now: string) =>
      RateLimitHeaders.anthropic(new Headers({ ...headers, ...date }), Date.parse(now))
    const limit = { kind: "tokens" as const, limit: 80_000, remaining: 79_000 }
    assert.deepStrictEqual(told({ date: "Fri, 20 Nov 2026 13:00:00 GMT" }, "2020-01-01T00:00:00Z"), [
      { ...limit, resetMillis: 30_000 }
    ])
    assert.deepStrictEqual(told({}, "2026-11-20T13:00:20Z"), [{ ...limit, resetMillis: 10_000 }])
    assert.deepStrictEqual(told({}, "2026-11-20T14:00:00Z"), [{ ...limit, resetMillis: 0 }])
    assert.deepStrictEqual(told({ "anthropic-ratelimit-tokens-reset": "later" }, "2026-11-20T14:00:00Z"), [
      { ...limit, resetMillis: null }
    ])
  })
})
