/** How long the answer to a row may become, as the row itself says. */
import type { SyncRow } from "../Provider.js"
import { memberText } from "./JsonText.js"

const names = ["max_output_tokens", "max_completion_tokens", "max_tokens"]

const numberIn = (body: string, name: string): number | undefined => {
  const value = Number(memberText(body, name) ?? NaN)
  return Number.isFinite(value) && value > 0 ? value : undefined
}

/** The most tokens of one answer that the body of a row asks for; `undefined` where it sets no limit. */
export const ofBody = (body: string): number | undefined => {
  const limits = names.flatMap((name) => numberIn(body, name) ?? [])
  return limits.length === 0 ? undefined : Math.max(...limits)
}

/** The most tokens that all answers to a wire row may have; `undefined` where nothing limits them. */
export const ofRow = ({ endpoint, text }: SyncRow): number | undefined => {
  if (endpoint.endsWith("/embeddings")) return 0
  const body = memberText(text, "body") ?? memberText(text, "params") ?? "{}"
  const limit = ofBody(body)
  return limit === undefined ? undefined : limit * Math.max(1, numberIn(body, "n") ?? 1)
}
