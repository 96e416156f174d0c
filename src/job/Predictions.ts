/**
 * Lines of `predictions.csv`, as readers of evaluations expect them: what they find in a line of `results.jsonl`, in
 * their columns and their order.
 */
import type { Answer } from "../Answers.js"
import { csvLine } from "../internal/CsvLine.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import * as SixPartId from "./SixPartId.js"

/** The first line. */
export const header = csvLine([
  "custom_id",
  ...SixPartId.columns,
  "request_id",
  "finish_reason",
  "response_text",
  "prompt_tokens",
  "completion_tokens",
  "total_tokens"
])

const nothing: JsonObject = {}

/** The text of the answer, and nothing in its place: neither tool calls nor the words of a refusal. */
export const responseText = ({ body }: Pick<Answer, "body">): string => {
  const choice: unknown = Array.isArray(body?.choices) ? body.choices[0] : undefined
  if (!isJsonObject(choice) || !isJsonObject(choice.message)) return ""
  return typeof choice.message.content === "string" ? choice.message.content : ""
}

const count = (value: unknown): string => typeof value === "number" ? String(value) : ""

/** The line of a row. */
export const line = (answer: Answer, id: SixPartId.SixPartId): string => {
  const usage = isJsonObject(answer.body?.usage) ? answer.body.usage : nothing
  return csvLine([
    answer.request.customId,
    ...SixPartId.cells(id),
    answer.requestId ?? "",
    answer.finishReason ?? "",
    responseText(answer),
    count(usage.prompt_tokens),
    count(usage.completion_tokens),
    count(usage.total_tokens)
  ])
}
