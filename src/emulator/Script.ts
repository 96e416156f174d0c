/**
 * Answers from a file, a JSON object a line, so that what the emulated model says can be right, or wrong in a known way:
 *
 * ```json
 * {"prompt": "Is this spam?\nWIN a prize", "answer": "{\"label\":\"spam\"}", "wrong": ["{\"label\":\"ham\"}"]}
 * {"match": "2 + 2", "answer": "4", "wrong": ["5", "four or so"], "repair": ["I mean 4"]}
 * {"answer": "I do not know."}
 * ```
 *
 * - `prompt` is the whole text of a user message; `match` is a part of one; a line with neither answers anything.
 * - `answer` is the right answer, and `wrong` are others, of which one is given in its place at the rate that
 *   `answerErrorRate` says. Which requests are answered wrong follows from the seed and the request's body.
 * - `repair` are the answers to what the client says after that: the first of them where it quotes any other answer of
 *   the model, each next one where it quotes the one before, the last of them in the end. Without it, every further round
 *   draws between `answer` and `wrong` anew.
 *
 * User messages are looked at from the last to the first, so that a request that quotes an earlier exchange is a further
 * round of it. Lines with a `prompt` come before those with a `match`, and are found at once however many there are; of
 * the others, the first in the file that matches counts. Lines with neither come last, and answer the first message.
 *
 * @since 0.1.0
 */
import * as Answer from "./Answer.js"
import * as Fingerprint from "./Fingerprint.js"
import { arrayAt, isArray, isObject, type Json, type JsonObject, parse, stringAt } from "./Json.js"

/**
 * Gives the scripted answer to a request; `undefined` where the script has none.
 *
 * @since 0.1.0
 * @category models
 */
export type Script = (request: Answer.AnswerRequest) => string | undefined

/**
 * How much of it is answered wrong.
 *
 * @since 0.1.0
 * @category models
 */
export interface ScriptOptions {
  readonly seed: number
  /** The share of requests that get a wrong answer, of those whose line has one; from 0 to 1. */
  readonly errorRate: number
}

interface Line {
  /** A line is found by its prompt, else by its match; by neither, it is for whatever no other line is for. */
  readonly prompt: string | undefined
  readonly match: string
  readonly answer: string
  readonly wrong: ReadonlyArray<string>
  readonly repair: ReadonlyArray<string>
}

/** A member that is a list of strings, empty where there is none; `undefined` for anything else. */
const stringsAt = (value: JsonObject, name: string): ReadonlyArray<string> | undefined => {
  const list = value[name] ?? []
  return isArray(list) && list.every((each) => typeof each === "string") ? list : undefined
}

const lineForm =
  "{\"prompt\"?: string, \"match\"?: string, \"answer\": string, \"wrong\"?: [string], \"repair\"?: [string]}"

const lineMembers = new Set(["prompt", "match", "answer", "wrong", "repair"])

const lineOf = (value: Json | undefined): Line | undefined => {
  if (!isObject(value) || !Object.keys(value).every((name) => lineMembers.has(name))) return undefined
  const { answer, match = "", prompt } = value
  const [wrong, repair] = [stringsAt(value, "wrong"), stringsAt(value, "repair")]
  return typeof answer === "string" && typeof match === "string" && wrong !== undefined && repair !== undefined
      && (prompt === undefined || typeof prompt === "string")
    ? { prompt, match, answer, wrong, repair }
    : undefined
}

/** The texts of what one side said, in a body of either provider, in order. */
const textsOf = (body: JsonObject, role: "user" | "assistant"): ReadonlyArray<string> => {
  if (typeof body["input"] === "string") return role === "user" ? [body["input"]] : []
  return [...arrayAt(body, "messages"), ...arrayAt(body, "input")]
    .filter((message) => stringAt(message, "role") === role)
    .map((message) => isObject(message) ? Answer.contentText(message["content"]) : "")
}

/** What an answer depends on: streaming changes how a body is answered, not what. */
const withoutStreaming = ({ stream: _stream, stream_options: _options, ...body }: JsonObject): JsonObject => body

const draw = ({ errorRate, seed }: ScriptOptions, line: Line, request: Answer.AnswerRequest): string => {
  if (line.wrong.length === 0 || errorRate === 0) return line.answer
  const print = Fingerprint.make(seed, `wrong ${JSON.stringify(withoutStreaming(request.body))}`)
  return print.fraction(0) < errorRate ? line.wrong[print.int(2, line.wrong.length)] ?? line.answer : line.answer
}

/** A line for a request, and whether more was said after the message that it answers. */
interface Found {
  readonly line: Line
  readonly further: boolean
}

const finder = (lines: ReadonlyArray<Line>) => {
  const exact = new Map<string, Line>()
  for (const line of lines) {
    if (line.prompt !== undefined && !exact.has(line.prompt)) exact.set(line.prompt, line)
  }
  const partial = lines.filter(({ match, prompt }) => prompt === undefined && match !== "")
  const other = lines.find(({ match, prompt }) => prompt === undefined && match === "")
  const lookups = [
    (text: string) => exact.get(text),
    (text: string) => partial.find(({ match }) => text.includes(match))
  ]
  return (texts: ReadonlyArray<string>): Found | undefined => {
    const newestFirst = texts.toReversed()
    for (const lookUp of lookups) {
      for (const [after, text] of newestFirst.entries()) {
        const line = lookUp(text)
        if (line !== undefined) return { line, further: after > 0 }
      }
    }
    return other === undefined ? undefined : { line: other, further: texts.length > 1 }
  }
}

/** The answer in a further round: the one after that which the client quotes. */
const repaired = ({ repair }: Line, body: JsonObject): string | undefined =>
  repair[repair.indexOf(textsOf(body, "assistant").at(-1) ?? "") + 1] ?? repair.at(-1)

/**
 * Reads a script; a message when one of its lines is none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const read = (
  content: string,
  options: ScriptOptions
): { readonly answer: Script } | { readonly problem: string } => {
  const lines: Array<Line> = []
  for (const [index, text] of content.split("\n").entries()) {
    if (text.trim() === "") continue
    const line = lineOf(parse(text))
    if (line === undefined) return { problem: `line ${index + 1} is not ${lineForm}` }
    lines.push(line)
  }
  const find = finder(lines)
  return {
    answer: (request) => {
      const { body } = request
      const found = find(textsOf(body, "user"))
      if (found === undefined) return undefined
      const { further, line } = found
      return (further ? repaired(line, body) : undefined) ?? draw(options, line, request)
    }
  }
}
