/**
 * The lines that one row of a batch has in its result files.
 *
 * @since 0.1.0
 */
import type { Context, Reply, Usage } from "./Answer.js"
import { noUsage } from "./Answer.js"
import * as AnthropicAnswer from "./AnthropicAnswer.js"
import type { FaultPlan } from "./FaultPlan.js"
import * as Fingerprint from "./Fingerprint.js"
import { isObject, type JsonObject, objectAt, parse, stringAt } from "./Json.js"
import * as OpenAiAnswer from "./OpenAiAnswer.js"
import type { StoredBatch } from "./State.js"

/**
 * What the plan wants with a row, as it is kept with the row.
 *
 * @since 0.1.0
 * @category models
 */
export const Fate = { answer: 0, expire: 1, error: 2, cancel: 3, drop: 4 } as const

/**
 * How the work on the batch ended: the share of rows that were reached, and what became of the others.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stop {
  readonly progress: number
  readonly by: "expired" | "cancelled" | undefined
}

/**
 * What became of a row, and its lines.
 *
 * @since 0.1.0
 * @category models
 */
export interface RowResult {
  readonly outcome: "succeeded" | "errored" | "expired" | "cancelled"
  readonly usage: Usage
  readonly output: ReadonlyArray<string>
  readonly error: ReadonlyArray<string>
}

/** What is drawn for a row is drawn from its body alone, apart from what the answer is made of. */
const printOf = (seed: number, body: JsonObject) => Fingerprint.make(seed, `row\n${JSON.stringify(body)}`)

/**
 * The fate of a row under a plan.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fate = (plan: FaultPlan, seed: number, body: JsonObject): number => {
  const shares = [plan.expireRows, plan.errorRows, plan.cancelRows, plan.dropRows]
  if (shares.every((share) => share === 0)) return Fate.answer
  const drawn = printOf(seed, body).fraction(0)
  let upTo = 0
  for (const [index, share] of shares.entries()) {
    upTo += share
    if (drawn < upTo) return index + 1
  }
  return Fate.answer
}

const openAiErrors = {
  invalid_request: [400, "Your request was malformed.", "invalid_request_error", "invalid_request"],
  rate_limit: [429, "Rate limit reached. Please try again later.", "requests", "rate_limit_exceeded"],
  server_error: [500, "The server had an error while processing your request.", "server_error", "server_error"]
} as const

const anthropicErrors = {
  invalid_request: ["invalid_request_error", "Your request was malformed."],
  rate_limit: ["rate_limit_error", "This request would exceed the rate limit of your organization."],
  server_error: ["api_error", "Internal server error"]
} as const

const stops = {
  expired: ["batch_expired", "This request could not be executed before the completion window expired."],
  cancelled: ["batch_cancelled", "This request was not executed because the batch was cancelled."]
} as const

const broken = (line: string): string => line.slice(0, Math.floor(line.length / 2))

/** Rows that come twice, in both files or broken are drawn among those that are answered. */
const arrange = (
  plan: FaultPlan,
  print: () => Fingerprint.Fingerprint,
  line: string,
  second: () => string
): { readonly output: ReadonlyArray<string>; readonly both: boolean } => {
  if (plan.duplicateRows + plan.bothFilesRows + plan.malformedRows === 0) return { output: [line], both: false }
  const drawn = print().fraction(2)
  if (drawn < plan.duplicateRows) return { output: [line, plan.duplicateConflicts ? second() : line], both: false }
  if (drawn < plan.duplicateRows + plan.bothFilesRows) return { output: [line], both: true }
  return drawn < plan.duplicateRows + plan.bothFilesRows + plan.malformedRows
    ? { output: [broken(line)], both: false }
    : { output: [line], both: false }
}

const openAiLine = (customId: string, reply: Reply): string =>
  JSON.stringify({
    id: `batch_${reply.requestId}`,
    custom_id: customId,
    response: { status_code: reply.status, request_id: reply.requestId, body: reply.body },
    error: null
  })

const openAi = (context: Context, batch: StoredBatch, row: JsonObject, fated: number, stop: Stop): RowResult => {
  const customId = stringAt(row, "custom_id") ?? ""
  const body = objectAt(row, "body")
  const print = () => printOf(context.seed, body)
  const stopped = stoppedBy(print, fated, stop)
  if (stopped !== undefined) {
    const [code, message] = stops[stopped]
    const id = `batch_req_${print().hex(32)}`
    const line = JSON.stringify({ id, custom_id: customId, response: null, error: { code, message } })
    return { outcome: stopped, usage: noUsage, output: [], error: [line] }
  }
  const reply = (variant: string): Reply => {
    if (body["stream"] !== true) return OpenAiAnswer.reply(context, batch.endpoint, body, variant)
    const message = "Streaming is not supported in batches."
    const requestId = `req_${print().hex(32)}`
    const refusal = OpenAiAnswer.errorBody(message, "invalid_request_error", "stream", "unsupported_value")
    return { status: 400, requestId, body: refusal, usage: noUsage }
  }
  const first = reply("")
  if (first.status !== 200)
    return { outcome: "errored", usage: noUsage, output: [], error: [openAiLine(customId, first)] }
  if (fated === Fate.error) {
    const [status, message, type, code] = openAiErrors[batch.plan.errorKind]
    const failed = {
      ...first,
      status,
      body: OpenAiAnswer.errorBody(batch.plan.errorMessage ?? message, type, null, code)
    }
    return { outcome: "errored", usage: noUsage, output: [], error: [openAiLine(customId, failed)] }
  }
  if (fated === Fate.drop) return { outcome: "succeeded", usage: first.usage, output: [], error: [] }
  const line = openAiLine(customId, first)
  const { both, output } = arrange(batch.plan, print, line, () => openAiLine(customId, reply(" (again)")))
  const failure = {
    ...first,
    status: 500,
    body: OpenAiAnswer.errorBody(openAiErrors.server_error[1], "server_error", null, null)
  }
  return { outcome: "succeeded", usage: first.usage, output, error: both ? [openAiLine(customId, failure)] : [] }
}

const anthropicLine = (customId: string, result: JsonObject): string => JSON.stringify({ custom_id: customId, result })

const anthropic = (context: Context, batch: StoredBatch, row: JsonObject, fated: number, stop: Stop): RowResult => {
  const customId = stringAt(row, "custom_id") ?? ""
  const params = objectAt(row, "params")
  const print = () => printOf(context.seed, params)
  const stopped = stoppedBy(print, fated, stop)
  const line = (result: JsonObject) => anthropicLine(customId, result)
  if (stopped !== undefined) {
    const type = stopped === "expired" ? "expired" : "canceled"
    return { outcome: stopped, usage: noUsage, output: [line({ type })], error: [] }
  }
  const circumstances = { betas: batch.betas, batch: true }
  const first = AnthropicAnswer.reply(context, params, circumstances)
  const errored = (error: JsonObject): RowResult => ({
    outcome: "errored",
    usage: noUsage,
    output: [line({ type: "errored", error })],
    error: []
  })
  if (first.status !== 200) return errored(first.body)
  if (fated === Fate.error) {
    const [type, message] = anthropicErrors[batch.plan.errorKind]
    return errored(AnthropicAnswer.errorBody(type, batch.plan.errorMessage ?? message, first.requestId))
  }
  if (fated === Fate.drop) return { outcome: "succeeded", usage: first.usage, output: [], error: [] }
  const succeeded = (reply: Reply) => line({ type: "succeeded", message: reply.body })
  const again = () => succeeded(AnthropicAnswer.reply(context, params, circumstances, " (again)"))
  const { output } = arrange(batch.plan, print, succeeded(first), again)
  return { outcome: "succeeded", usage: first.usage, output, error: [] }
}

/** Rows are reached in an order of their own, drawn from their bodies. */
const stoppedBy = (
  print: () => Fingerprint.Fingerprint,
  fated: number,
  stop: Stop
): "expired" | "cancelled" | undefined => {
  if (stop.by !== undefined && stop.progress < 1 && print().fraction(1) >= stop.progress) return stop.by
  return fated === Fate.expire ? "expired" : fated === Fate.cancel ? "cancelled" : undefined
}

/**
 * The result of the row that stands in `text`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (context: Context, batch: StoredBatch, text: string, fated: number, stop: Stop): RowResult => {
  const row = parse(text)
  const known = isObject(row) ? row : {}
  return batch.provider === "openai"
    ? openAi(context, batch, known, fated, stop)
    : anthropic(context, batch, known, fated, stop)
}

/**
 * A line with a custom_id that was never sent.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unknown = (batch: StoredBatch, index: number): string =>
  batch.provider === "openai"
    ? JSON.stringify({
      id: `batch_req_unknown_${index}`,
      custom_id: `unknown-${index}`,
      response: { status_code: 200, request_id: `req_unknown_${index}`, body: {} },
      error: null
    })
    : anthropicLine(`unknown-${index}`, { type: "expired" })
