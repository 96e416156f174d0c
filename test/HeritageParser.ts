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

/** A float as Python prints it. */
const float = (text: string): string => {
  const value = Number.parseFloat(text)
  return Number.isInteger(value) ? `${value}.0` : String(value)
}

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
      temp: float(cell(temp)),
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

/** The fields of each record of a CSV text: quotes around a field, and doubled inside it. */
const records = (csv: string): ReadonlyArray<ReadonlyArray<string>> => {
  const found: Array<Array<string>> = [[]]
  let at = 0
  while (at < csv.length) {
    const record = found.at(-1) ?? []
    if (csv[at] === "\"") {
      let field = ""
      for (at++;; at++) {
        if (at >= csv.length) throw new Error("a quoted field has no end")
        if (csv[at] !== "\"") field += csv[at]
        else if (csv[at + 1] === "\"") field += csv[at++]
        else break
      }
      record.push(field)
      at++
    } else {
      const end = csv.slice(at).search(/[,\n]/)
      const field = csv.slice(at, end === -1 ? undefined : at + end)
      if (/["\r]/.test(field)) throw new Error(`a field is not quoted as it should be: ${field}`)
      record.push(field)
      at += field.length
    }
    const mark = csv[at++]
    if (mark === "\n") found.push([])
    else if (mark !== ",") throw new Error(`after a field stands ${mark ?? "nothing"}`)
  }
  if (found.at(-1)?.length !== 0) throw new Error("the last line has no end")
  return found.slice(0, -1)
}

/** Reads a CSV of predictions. Throws where it is not one: other columns, a float or an int that is none, an id twice. */
export const readCsv = (csv: string): ReadonlyArray<Row> => {
  if (!csv.isWellFormed()) throw new Error("it cannot be written as UTF-8")
  const [header, ...lines] = records(csv)
  if (header?.join(",") !== columns.join(",")) throw new Error(`other columns: ${header?.join(",") ?? ""}`)
  const seen = new Set<string>()
  return lines.map((fields) => {
    if (fields.length !== columns.length) throw new Error(`${fields.length} fields: ${fields.join(",")}`)
    const field = (name: (typeof columns)[number]) => fields[columns.indexOf(name)] ?? ""
    const row: Row = {
      custom_id: field("custom_id"),
      dataset: field("dataset"),
      item_id: field("item_id"),
      condition: field("condition"),
      temp: field("temp"),
      sample_index: field("sample_index"),
      type: field("type"),
      request_id: field("request_id"),
      finish_reason: field("finish_reason"),
      response_text: field("response_text"),
      prompt_tokens: field("prompt_tokens"),
      completion_tokens: field("completion_tokens"),
      total_tokens: field("total_tokens")
    }
    if (seen.has(row.custom_id)) throw new Error(`custom_id twice: ${row.custom_id}`)
    seen.add(row.custom_id)
    const parts = row.custom_id.split("|")
    const own = [row.dataset, row.item_id, row.condition, parts[3] ?? "", row.sample_index, row.type]
    if (parts.length !== 6 || parts.join("|") !== own.join("|"))
      throw new Error(`columns are not the id's parts: ${parts.join("|")}`)
    if (row.temp !== float(parts[3] ?? "")) throw new Error(`temp is not the id's: ${row.temp}`)
    for (const count of [row.sample_index, row.prompt_tokens, row.completion_tokens, row.total_tokens]) {
      if (!/^\d*$/.test(count)) throw new Error(`not an int: ${count}`)
    }
    return row
  })
}
