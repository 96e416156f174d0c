/**
 * What a row means: tells the shapes of rows apart and makes each one a request. `RowReader` documents the shapes.
 */
import { isJsonObject, type JsonObject, type Request } from "../Request.js"
import type { RowReaderOptions } from "../RowReader.js"
import * as Template from "../Template.js"
import { memberText } from "./JsonText.js"
import { nearestName } from "./NearestName.js"
import {
  chatMembers,
  checkNativeModel,
  embeddingMembers,
  hasSystem,
  makeChat,
  makeEmbedding,
  type Members,
  messagesIn,
  promptMembers,
  setMember
} from "./RowBody.js"
import { describe, type RowErrors } from "./RowErrors.js"

/** Templates as `RowShape` takes them: read before the first row. */
export interface Templates {
  readonly prompt: Template.Template | null
  /** The default system message, where there is a prompt template too. */
  readonly system: Template.Template | null
}

/**
 * Makes a request of a parsed row. `text` is its JSON text, or `null` for a record of a table, all of whose values are
 * strings and all of whose members are columns.
 */
export type RowShape = (record: JsonObject, row: number, text: string | null) => Request

const textMembers = new Set(["model", "stop", "reasoning_effort"])

const nameList = (names: ReadonlyArray<string>): string =>
  names.length === 0
    ? "The row has none"
    : `The row has: ${names.slice(0, 20).join(", ")}${names.length > 20 ? `, and ${names.length - 20} more` : ""}`

const question = (content: string) => ({ role: "user", content })

/** Makes the reader of parsed rows. */
export const make = (errors: RowErrors, options: RowReaderOptions, templates: Templates): RowShape => {
  const { defaults, embedding, idColumn, variables } = options
  const chatBody = makeChat(errors, defaults)
  const embeddingBody = makeEmbedding(errors, defaults)
  const ownMembers = embedding ? embeddingMembers : promptMembers

  const idMember = (record: JsonObject): string | null => {
    if (idColumn !== null) return idColumn
    return record.custom_id !== undefined ? "custom_id" : record.id !== undefined ? "id" : null
  }

  const idOf = (record: JsonObject, member: string | null, row: number, text: string | null): string => {
    if (member === null) return String(row)
    if (!Object.hasOwn(record, member)) {
      const near = nearestName(member, Object.keys(record))
      throw errors.make({
        field: member,
        problem: "the row has no such column, and it was to hold the id",
        remedy: `${nameList(Object.keys(record))}. Name ${near === undefined ? "one of them" : near} with --id-column.`
      })
    }
    const id = record[member]
    if (typeof id === "string" && id !== "") return id
    if (typeof id === "number") {
      // A number too large for a double is told by its own digits, so that two of them stay two.
      return Number.isSafeInteger(id) || text === null ? String(id) : memberText(text, member) ?? String(id)
    }
    throw errors.make({
      field: member,
      problem: `found ${describe(id)}`,
      remedy: "An id is a string or a number, and not empty. Leave it out to have the row number, "
        + "or name another column with --id-column."
    })
  }

  const onMissing = (record: JsonObject) => (variable: string): never => {
    const names = Object.keys(record)
    const near = nearestName(variable, [...names, ...Object.keys(variables)])
    throw errors.make({
      field: variable,
      problem: `the template has {{${variable}}}, and the row has no such column`,
      remedy: `${nameList(names)}. ${near === undefined ? "" : `Perhaps {{${near}}} is meant. `}`
        + `A value for all rows is given with --var ${variable}=VALUE.`
    })
  }

  const render = (template: Template.Template, record: JsonObject): string =>
    Template.render(template, record, variables, onMissing(record))

  const defaultSystem = (record: JsonObject): string | undefined =>
    templates.system === null ? defaults.system : render(templates.system, record)

  /** Messages with a system message before them: the row's own, of which an empty one means none, or the default. */
  const withSystem = (record: JsonObject, own: unknown, messages: ReadonlyArray<unknown>): ReadonlyArray<unknown> => {
    const content = own ?? defaultSystem(record)
    if (content === undefined || content === "") return messages
    if (typeof content === "string") return [{ role: "system", content }, ...messages]
    throw errors.make({ field: "system", problem: `found ${describe(content)}`, remedy: "It must be a string." })
  }

  const messagesOf = (record: JsonObject, own: unknown, value: unknown, path: string): ReadonlyArray<unknown> => {
    const messages = messagesIn(errors, value, path)
    if (!hasSystem(errors, messages, path)) return withSystem(record, own, messages)
    if (own === undefined || own === null) return messages
    throw errors.make({
      field: "system",
      problem: "the row has a system message among its messages too",
      remedy: "Keep one of them."
    })
  }

  const request = (
    kind: "chat" | "embedding",
    row: number,
    customId: string,
    body: JsonObject,
    columns: JsonObject | undefined
  ): Request =>
    columns === undefined
      ? { kind, row, line: errors.line, customId, body }
      : { kind, row, line: errors.line, customId, body, columns }

  const native = (
    record: JsonObject,
    row: number,
    text: string | null,
    member: "body" | "params",
    body: JsonObject,
    target: { readonly provider: string; readonly endpoint: string }
  ): Request => {
    checkNativeModel(errors, body, `${member}.`)
    return {
      kind: "native",
      row,
      line: errors.line,
      customId: idOf(record, idMember(record), row, text),
      target,
      body,
      text: (text === null ? undefined : memberText(text, member)) ?? JSON.stringify(body)
    }
  }

  /** The row's members but for those that made the request; `undefined` when there are none. */
  const columnsWithout = (record: JsonObject, used: (name: string) => boolean): Members | undefined => {
    let columns: Members | undefined
    for (const name in record) {
      if (!used(name)) setMember(columns ??= {}, name, record[name])
    }
    return columns
  }

  const bodyOf = (record: JsonObject, member: "body" | "params"): JsonObject => {
    const body = record[member]
    if (isJsonObject(body)) return body
    throw errors.make({ field: member, problem: `found ${describe(body)}`, remedy: "It must be an object." })
  }

  const batchLine = (record: JsonObject, row: number, text: string | null, body: JsonObject): Request => {
    const { method, url } = record
    if (typeof url !== "string" || !url.startsWith("/")) {
      throw errors.make({
        field: "url",
        problem: `found ${describe(url)}`,
        remedy: "An OpenAI batch line has the path of an endpoint here, such as /v1/responses."
      })
    }
    if (method !== undefined && method !== "POST") {
      throw errors.make({ field: "method", problem: `found ${describe(method)}`, remedy: "Batches only POST." })
    }
    return native(record, row, text, "body", body, { provider: "openai", endpoint: url })
  }

  const fromBody = (record: JsonObject, row: number, text: string | null): Request => {
    const body = bodyOf(record, "body")
    if (record.url !== undefined || record.method !== undefined) return batchLine(record, row, text, body)
    if (!embedding && body.messages === undefined && body.input !== undefined) {
      return native(record, row, text, "body", body, { provider: "openai", endpoint: "/v1/responses" })
    }
    const id = idMember(record)
    const made = embedding
      ? embeddingBody(body, "body.", body.input, "body.input")
      : chatBody(body, "body.", messagesOf(record, undefined, body.messages, "body."))
    const columns = columnsWithout(record, (name) => name === "body" || name === id)
    return request(embedding ? "embedding" : "chat", row, idOf(record, id, row, text), made, columns)
  }

  const fromTemplate = (template: Template.Template, record: JsonObject, row: number, text: string | null): Request => {
    const prompt = render(template, record)
    if (prompt === "") {
      throw errors.make({
        problem: "the prompt of this row is empty",
        remedy: "Every column that the template names is empty here: fill one in, or take the row out."
      })
    }
    const id = idOf(record, idMember(record), row, text)
    return embedding
      ? request("embedding", row, id, embeddingBody({}, "", prompt, "prompt"), record)
      : request("chat", row, id, chatBody({}, "", withSystem(record, undefined, [question(prompt)])), record)
  }

  const fromMessages = (record: JsonObject, row: number, text: string | null): Request => {
    const id = idMember(record)
    const own: Members = {}
    const columns = columnsWithout(record, (name) => {
      if (name === id || name === "messages" || name === "system") return true
      if (!chatMembers.has(name)) return false
      own[name] = record[name]
      return true
    })
    const body = chatBody(own, "", messagesOf(record, record.system, record.messages, ""))
    return request("chat", row, idOf(record, id, row, text), body, columns)
  }

  /** A cell of a table holds text: what is no string in a body is read as JSON, and an empty cell says nothing. */
  const fromCell = (name: string, value: unknown): unknown => {
    if (typeof value !== "string" || textMembers.has(name)) return value === "" ? undefined : value
    if (value.trim() === "") return undefined
    try {
      return JSON.parse(value)
    } catch {
      return value
    }
  }

  const fromPrompt = (member: string, record: JsonObject, row: number, text: string | null): Request => {
    const id = idMember(record)
    const own: Members = {}
    const rest = columnsWithout(record, (name) => {
      if (name === id || name === member || (name === "system" && !embedding)) return true
      if (!ownMembers.has(name)) return false
      own[name] = text === null ? fromCell(name, record[name]) : record[name]
      return true
    })
    const columns = text === null ? record : rest
    const customId = idOf(record, id, row, text)
    const prompt = record[member]
    if (embedding) return request("embedding", row, customId, embeddingBody(own, "", prompt, member), columns)
    if (typeof prompt !== "string" || prompt === "") {
      throw errors.make({
        field: member,
        problem: `found ${describe(prompt)}`,
        remedy: "It must be a string, and not empty. A list of messages goes into \"messages\"."
      })
    }
    const system = text === null && record.system === "" ? undefined : record.system
    return request("chat", row, customId, chatBody(own, "", withSystem(record, system, [question(prompt)])), columns)
  }

  const promptMember = (record: JsonObject): string | undefined => {
    if (record.prompt !== undefined) return "prompt"
    if (!embedding) return undefined
    return record.input !== undefined ? "input" : record.text !== undefined ? "text" : undefined
  }

  const noPrompt = (names: ReadonlyArray<string>) => {
    const members = embedding ? ["input", "text", "prompt"] : ["prompt", "messages", "body"]
    const slip = names.find((name) => nearestName(name, members) !== undefined)
    const list = members.map((member) => `"${member}"`).join(" or ")
    return errors.make({
      problem: "the row has no prompt",
      remedy: `${nameList(names)}. ${
        slip === undefined ? "" : `Perhaps "${slip}" should be "${nearestName(slip, members)}". `
      }Give it ${list}, or say with --prompt what to make of it: --prompt 'Is this spam? {{text}}'.`
    })
  }

  const holdsRequest = (member: unknown): boolean =>
    templates.prompt === null ? member !== undefined : isJsonObject(member)

  return (record, row, text) => {
    // A column may be called body or params: in a table always, and where there is a template to use it.
    if (text !== null) {
      if (holdsRequest(record.body)) return fromBody(record, row, text)
      if (holdsRequest(record.params)) {
        return native(record, row, text, "params", bodyOf(record, "params"), {
          provider: "anthropic",
          endpoint: "/v1/messages"
        })
      }
    }
    if (templates.prompt !== null) return fromTemplate(templates.prompt, record, row, text)
    if (text !== null && !embedding && record.messages !== undefined) return fromMessages(record, row, text)
    const member = promptMember(record)
    if (member !== undefined) return fromPrompt(member, record, row, text)
    throw noPrompt(Object.keys(record))
  }
}
