/**
 * Reads results the way the evaluation runner of the ancestors does, from its description alone: strict about ids and
 * lines, and silent about answers that are not where it looks for them.
 */

/** The columns of its CSV, in order. */
const columns = [
  "custom_id",
  "dataset",
  "item_id",
  "condition",
  "temp",
  "sample_index",
  "type",
  "request_id",
  "finish_reason",
  "response_text",
  "prompt_tokens",
  "completion_tokens",
  "total_tokens"
] as const

export type Row = Record<(typeof columns)[number], string>

const member = (value: unknown, name: string | number): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

const at = (value: unknown, ...path: ReadonlyArray<string | number>): unknown => path.reduce<unknown>(member, value)

const cell = (value: unknown): string => typeof value === "string" || typeof value === "number" ? String(value) : ""

/** The rows of a results file. Throws for what was fatal to the runner. */
export const parse = (jsonl: string): ReadonlyArray<Row> => {
  const seen = new Set<string>()
  return jsonl.split("\n").filter((line) => line.trim() !== "").map((line) => {
    const result: unknown = JSON.parse(line)
    const id = at(result, "custom_id")
    if (typeof id !== "string") throw new Error(`no custom_id: ${line}`)
    if (seen.has(id)) throw new Error(`custom_id twice: ${id}`)
    seen.add(id)
    const parts = id.split("|")
    if (parts.length !== 6) throw new Error(`custom_id is not of six parts: ${id}`)
    const [dataset, itemId, condition, temp, sampleIndex, type] = parts
    if (Number.isNaN(Number.parseFloat(temp ?? ""))) throw new Error(`temp is not a float: ${id}`)
    if (!/^\d+$/.test(sampleIndex ?? "")) throw new Error(`sample_index is not an int: ${id}`)

    const body = at(result, "response", "body")
    const usage = at(result, "response", "usage") ?? at(body, "usage")
    const text = at(body, "choices", 0, "message", "content")
    const row: Row = {
      custom_id: id,
      dataset: cell(dataset),
      item_id: cell(itemId),
      condition: cell(condition),
      temp: String(Number.parseFloat(cell(temp))),
      sample_index: String(Number.parseInt(cell(sampleIndex), 10)),
      type: cell(type),
      request_id: cell(at(result, "response", "request_id")),
      finish_reason: cell(at(body, "choices", 0, "finish_reason")),
      response_text: typeof text === "string" ? text : "",
      prompt_tokens: cell(at(usage, "prompt_tokens")),
      completion_tokens: cell(at(usage, "completion_tokens")),
      total_tokens: cell(at(usage, "total_tokens"))
    }
    for (const value of Object.values(row)) {
      if (!value.isWellFormed()) throw new Error(`cannot be written as UTF-8: ${id}`)
    }
    return row
  })
}

const quoted = (value: string): string => /[",\r\n]/.test(value) ? `"${value.replaceAll("\"", "\"\"")}"` : value

/** The rows as CSV text, with a header line. */
export const toCsv = (rows: ReadonlyArray<Row>): string =>
  [columns.join(","), ...rows.map((row) => columns.map((column) => quoted(row[column])).join(","))]
    .map((line) => `${line}\n`)
    .join("")
