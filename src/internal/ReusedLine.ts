/**
 * Lines of results of rows that were not sent: the line of another row under the row's own wire id, or, where that one has
 * no line, what became of it.
 */
import * as Either from "effect/Either"
import type { Failed } from "../Outcome.js"
import type * as Provider from "../Provider.js"
import { isJsonObject } from "../Request.js"
import type { WireId } from "../WireId.js"
import { parse } from "./JsonText.js"

/** No provider's line begins like this. */
const head = "{\"reused\":"

/** The line of a row that no line of results speaks of. */
export const absent = (wireId: WireId, { code, message, outcome, retryable }: Failed): string =>
  `${head}${JSON.stringify({ wire_id: wireId, outcome, code, message, retryable })}}`

const outcomes: Readonly<Record<string, Failed["outcome"]>> = {
  errored: "errored",
  expired: "expired",
  cancelled: "cancelled",
  missing: "missing"
}

/** Reads these lines: those of a provider, and ours. */
export const decodeWith = (decode: Provider.Service["decode"]): Provider.Service["decode"] => (text) => {
  if (!text.startsWith(head)) return decode(text)
  const line = parse(text)
  const reused = isJsonObject(line) ? line.reused : undefined
  if (!isJsonObject(reused)) return bad
  const { code, message, outcome: name, retryable, wire_id: wireId } = reused
  const outcome = typeof name === "string" ? outcomes[name] : undefined
  if (outcome === undefined || typeof wireId !== "string" || typeof code !== "string" || typeof message !== "string") {
    return bad
  }
  return Either.right({
    wireId,
    outcome: { outcome, id: null, code, message, retryable: retryable === true, response: null }
  })
}

const bad = Either.left({ wireId: null, problem: "it does not tell what became of a row" })

const quote = 34

/** Where the first wire id of a run stands in a line, without its quotes; `undefined` when there is none. */
export const wireIdSpan = (
  runTag: string,
  line: Buffer
): { readonly start: number; readonly end: number } | undefined => {
  const start = line.indexOf(`"${runTag}-`)
  const end = start === -1 ? -1 : line.indexOf(quote, start + 1)
  return end === -1 ? undefined : { start: start + 1, end }
}
