/**
 * `node normalise.mjs RUN_DIR OUTPUT`: raw results to results in input order, by hand. For each shard one pass finds
 * where the line of each row is, and a second takes the rows in order: read, parse, normalise, stringify, write.
 */
import { closeSync, openSync, readdirSync, readSync } from "node:fs"
import { join } from "node:path"
import { forEachLine, Output } from "./blocks.mjs"

const [directory = "", output = ""] = process.argv.slice(2)
const results = new Output(output)

const quote = 34
const dash = 45
const idStart = Buffer.from("\"custom_id\":\"")
const rowEnd = Buffer.from(",\"kind\":")

/** The number at the end of a row's wire id. @param {Buffer} bytes @param {number} start */
const rowOf = (bytes, start) => {
  let at = bytes.indexOf(dash, bytes.indexOf(idStart, start) + idStart.length) + 1
  let row = 0
  for (let byte = bytes[at]; byte !== undefined && byte !== quote; byte = bytes[++at]) row = row * 10 + byte - 48
  return row
}

/** @typedef {Readonly<Record<string, any>>} Json */

/** @param {Json} body */
const fromResponse = (body) => {
  let text = ""
  let refusal = ""
  let reasoning = ""
  const calls = []
  for (const item of body.output) {
    if (item.type === "message") {
      text = ""
      refusal = ""
      for (const part of item.content) {
        if (part.type === "refusal") refusal += part.refusal
        else text += part.text
      }
    } else if (item.type === "reasoning") {
      for (const part of item.summary) reasoning += part.text
    } else if (item.type === "function_call") {
      calls.push({ id: item.call_id, type: "function", function: { name: item.name, arguments: item.arguments } })
    }
  }
  const { usage } = body
  return {
    id: body.id,
    object: "chat.completion",
    created: body.created_at,
    model: body.model,
    choices: [{
      index: 0,
      message: {
        role: "assistant",
        content: text.toWellFormed(),
        ...reasoning === "" ? undefined : { reasoning_content: reasoning.toWellFormed() },
        refusal: refusal === "" ? null : refusal.toWellFormed(),
        ...calls.length === 0 ? undefined : { tool_calls: calls }
      },
      logprobs: null,
      finish_reason: body.status === "incomplete" ? "length" : calls.length === 0 ? "stop" : "tool_calls"
    }],
    usage: {
      prompt_tokens: usage.input_tokens,
      completion_tokens: usage.output_tokens,
      total_tokens: usage.input_tokens + usage.output_tokens,
      prompt_tokens_details: { cached_tokens: usage.input_tokens_details.cached_tokens },
      completion_tokens_details: { reasoning_tokens: usage.output_tokens_details.reasoning_tokens }
    },
    provider_usage: usage
  }
}

/** The line of a row. @param {string} text @param {string} id */
const normalise = (text, id) => {
  const line = JSON.parse(text)
  const { response } = line
  if (response.status_code !== 200 || line.error !== null) throw new Error(`not an answer: ${text}`)
  const { body } = response
  return `${
    JSON.stringify({
      id: line.id,
      custom_id: id,
      response: {
        status_code: response.status_code,
        request_id: response.request_id,
        body: Array.isArray(body.output) ? fromResponse(body) : body
      },
      error: null
    })
  }\n`
}

let line = Buffer.allocUnsafe(1 << 16)

for (const name of readdirSync(join(directory, "rows")).toSorted()) {
  const raw = join(directory, "raw/openai", name)
  /** Where the lines are, by row. @type {Array<number>} */
  const starts = []
  /** @type {Array<number>} */
  const lengths = []
  let first = 0
  forEachLine(join(directory, "rows", name), (bytes, start, end) => {
    if (starts.length === 0) first = JSON.parse(bytes.toString("utf8", start, end)).row
    starts.push(0)
    lengths.push(0)
  })
  forEachLine(raw, (bytes, start, end, position) => {
    const at = rowOf(bytes, start) - first
    starts[at] = position
    lengths[at] = end - start
  })
  const fd = openSync(raw, "r")
  let at = 0
  forEachLine(join(directory, "rows", name), (bytes, start) => {
    const { id } = JSON.parse(`${bytes.toString("utf8", start, bytes.indexOf(rowEnd, start))}}`)
    const length = lengths[at] ?? 0
    if (length > line.length) line = Buffer.allocUnsafe(2 * length)
    readSync(fd, line, 0, length, starts[at] ?? 0)
    results.write(normalise(line.toString("utf8", 0, length), id))
    at++
  })
  closeSync(fd)
}
results.close()
