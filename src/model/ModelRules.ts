/**
 * Checks a body against what its model takes. Bodies of Chat Completions, Responses and Messages are understood alike:
 * their fields have different names, but no name has two meanings. What is not known of a model is not checked; what is
 * malformed for every model is left to whoever translates the body.
 */
import { nearestName } from "../internal/NearestName.js"
import type { Accepts } from "../Model.js"
import { isJsonObject, type JsonObject } from "../Request.js"

/** What a model does not take. */
export interface Problem {
  /** The field of the body, as a path. */
  readonly field: string
  /** What was found, and the rule that it breaks. */
  readonly rule: string
  /** The way out; `null` where there is none but another model. */
  readonly remedy: string | null
}

/** What the rules need to know of a model. */
export interface Subject {
  readonly provider: string
  readonly maxOutput: number | null
  readonly accepts: Accepts
}

type Report = (field: string, rule: string, remedy: string | null) => void

const isGiven = (value: unknown): boolean => value !== null && value !== undefined

const text = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean"
    ? JSON.stringify(value)
    : Array.isArray(value)
    ? "a list"
    : "an object"

const member = (body: JsonObject, group: string, name: string): unknown => {
  const value = body[group]
  return isJsonObject(value) ? value[name] : undefined
}

/** The level of effort, by whichever of its names. */
const effortOf = (body: JsonObject): readonly [field: string, value: unknown] | undefined => {
  if (isGiven(body.reasoning_effort)) return ["reasoning_effort", body.reasoning_effort]
  for (const group of ["reasoning", "output_config"]) {
    const value = member(body, group, "effort")
    if (isGiven(value)) return [`${group}.effort`, value]
  }
  return undefined
}

const checkEffort = (body: JsonObject, { accepts, provider }: Subject, report: Report): void => {
  const found = effortOf(body)
  if (found === undefined || accepts.efforts === null) return
  const [field, value] = found
  if (typeof value === "string" && accepts.efforts.includes(value)) return
  const anthropic = provider === "anthropic"
  // Anthropic's way of not reasoning is `thinking: disabled`, into which this is translated.
  if (anthropic && field === "reasoning_effort" && value === "none") return
  if (anthropic && value === "minimal") return report(field, "Anthropic has no such level", "Use low")
  if (accepts.efforts.length > 0) {
    const near = typeof value === "string" ? nearestName(value, accepts.efforts) : undefined
    return report(
      field,
      `it is ${text(value)}, and the model takes ${accepts.efforts.join(", ")}`,
      near === undefined ? "Use one of these" : `Did you mean ${near}?`
    )
  }
  if (accepts.reasoning === "never" && !anthropic) return report(field, "it does not reason", "Leave it out")
  report(
    field,
    "the model has no levels of effort",
    accepts.thinking?.includes("enabled") === true
      ? "Use thinking {\"type\": \"enabled\", \"budget_tokens\": 1024} or more"
      : "Leave it out"
  )
}

const maxFields = ["max_tokens", "max_completion_tokens", "max_output_tokens"]

const hasBeta = (body: JsonObject, prefix: string): boolean =>
  Array.isArray(body.betas) && body.betas.some((beta) => typeof beta === "string" && beta.startsWith(prefix))

const checkMaxTokens = (body: JsonObject, { maxOutput }: Subject, report: Report): void => {
  if (maxOutput === null || hasBeta(body, "output-")) return
  for (const field of maxFields) {
    const value = body[field]
    if (typeof value === "number" && value > maxOutput) {
      report(field, `it is ${value}, and ${maxOutput} is the most`, "Ask for less")
    }
  }
}

/** Fields that shape the choice of tokens, with what leaves the choice as it is. */
const neutral: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["temperature", 1],
  ["top_p", 1],
  ["top_k", undefined],
  ["frequency_penalty", 0],
  ["presence_penalty", 0],
  ["logprobs", false],
  ["top_logprobs", 0],
  ["logit_bias", undefined]
])

const onlyNeutral = (field: string): string => {
  const value = neutral.get(field)
  return value === undefined ? "none" : `${JSON.stringify(value)} only`
}

const checkOpenAiSampling = (body: JsonObject, { accepts }: Subject, report: Report): void => {
  const effort = effortOf(body)?.[1] ?? "none"
  const reasons = accepts.reasoning === "always" || (accepts.reasoning === "optional" && effort !== "none")
  const restricted = accepts.sampling === "none" || (accepts.sampling === "without_reasoning" && reasons)
  const why = accepts.reasoning === "always"
    ? "it always reasons, and takes"
    : `with reasoning_effort ${text(effort)} it takes`
  if (restricted) {
    for (const [field, value] of neutral) {
      if (isGiven(body[field]) && body[field] !== value) {
        report(field, `${why} ${onlyNeutral(field)}`, "Leave it out")
      }
    }
  }
  if (!accepts.stop && isGiven(body.stop)) report("stop", `${why} none`, "Leave it out")
}

/** Anthropic's models differ in which of the three they take, and take fewer while they think. */
const checkAnthropicSampling = (body: JsonObject, { accepts }: Subject, report: Report): void => {
  const { temperature, top_k: topK, top_p: topP } = body
  const changed = (field: string) => isGiven(body[field]) && body[field] !== neutral.get(field)
  if (accepts.sampling === "none") {
    for (const field of ["temperature", "top_p", "top_k"]) {
      if (changed(field)) report(field, "the model chooses its own sampling", "Leave it out")
    }
    return
  }
  if (isThinking(body) && accepts.thinking !== null) {
    if (changed("temperature")) {
      report("temperature", `it is ${text(temperature)}, and only 1 is taken with thinking`, "Switch thinking off")
    }
    if (isGiven(topK)) report("top_k", "it is not taken together with thinking", "Switch thinking off")
    if (typeof topP === "number" && (topP < 0.95 || topP > 1)) {
      report("top_p", `it is ${topP}, and 0.95 to 1 is taken with thinking`, "Switch thinking off")
    }
  }
  if (accepts.sampling === "one" && changed("temperature") && changed("top_p")) {
    report("top_p", "the model takes temperature or top_p, not both", "Keep one of the two")
  }
}

const isThinking = (body: JsonObject): boolean => {
  const type = member(body, "thinking", "type")
  return type === "enabled" || type === "adaptive"
}

const leastBudget = 1_024

const checkThinking = (body: JsonObject, { accepts }: Subject, report: Report): void => {
  const type = member(body, "thinking", "type")
  if (typeof type !== "string" || type === "disabled" || accepts.thinking === null) return
  if (!accepts.thinking.includes(type)) {
    return accepts.thinking.length === 0
      ? report("thinking", "the model does not think before it answers", "Leave it out")
      : report(
        "thinking",
        `its type is ${text(type)}, and the model takes ${accepts.thinking.join(", ")}`,
        accepts.thinking.includes("adaptive")
          ? "Use {\"type\": \"adaptive\"}, and reasoning_effort to say how much"
          : "Use {\"type\": \"enabled\", \"budget_tokens\": 1024} or more"
      )
  }
  if (type === "enabled") checkBudget(body, report)
}

const checkBudget = (body: JsonObject, report: Report): void => {
  const field = "thinking.budget_tokens"
  const budget = member(body, "thinking", "budget_tokens")
  if (typeof budget !== "number" || budget < leastBudget) {
    return report(
      field,
      `it is ${isGiven(budget) ? text(budget) : "missing"}, and 1024 is the least`,
      "Raise it, or leave thinking out"
    )
  }
  const most = maxFields.map((name) => body[name]).find((value) => typeof value === "number")
  // Thinking between tool calls may use more than one answer's tokens.
  if (typeof most === "number" && budget >= most && !hasBeta(body, "interleaved-thinking-")) {
    report(field, `it is ${budget}, not less than max_tokens (${most})`, "Raise max_tokens above it")
  }
}

const formats: ReadonlyArray<readonly [field: string, read: (body: JsonObject) => unknown]> = [
  ["response_format", (body) => body.response_format],
  ["text.format", (body) => member(body, "text", "format")],
  ["output_config.format", (body) => member(body, "output_config", "format")]
]

const checkFormat = (body: JsonObject, { accepts }: Subject, report: Report): void => {
  if (accepts.structuredOutput) return
  for (const [field, read] of formats) {
    const format = read(body)
    if (isJsonObject(format) && format.type === "json_schema") {
      report(field, "the model cannot be held to a schema", "Describe the format in the prompt")
    }
  }
}

/** Everything in a body that its model does not take, in no particular order. */
export const problems = (subject: Subject, body: JsonObject): ReadonlyArray<Problem> => {
  const found: Array<Problem> = []
  const report: Report = (field, rule, remedy) => {
    found.push({ field, rule, remedy })
  }
  checkEffort(body, subject, report)
  checkMaxTokens(body, subject, report)
  checkFormat(body, subject, report)
  if (subject.provider === "anthropic") {
    checkThinking(body, subject, report)
    checkAnthropicSampling(body, subject, report)
  } else {
    checkOpenAiSampling(body, subject, report)
  }
  return found
}
