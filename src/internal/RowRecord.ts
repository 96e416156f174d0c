/**
 * A line of `rows/<shard>.jsonl`: what retry, repair and restoring the user's ids need to know of a row.
 *
 * The row's number, line and id come first, so that they can be read without parsing the request behind them.
 */
import * as Schema from "effect/Schema"
import { isJsonObject, type JsonObject, NativeTarget, type Request } from "../Request.js"
import { AlikeBodies, type Frame, frameOf } from "./AlikeBodies.js"
import * as ContentKey from "./ContentKey.js"
import { memberText, quoted } from "./JsonText.js"

const isTarget = Schema.is(NativeTarget)

/** The part of a record that every join needs. */
export interface RowHead {
  readonly row: number
  readonly line: number
  readonly customId: string
}

/** Inside a JSON string every quote is escaped, so these bytes can only be where the head ends. */
const headEnd = ",\"kind\":"
const headEndBytes = Buffer.from(headEnd)

/** A record with a key is the only one that ends in a string: others end in an object. */
const keyStart = ",\"key\":\""
const keyEnd = "\"}"

/**
 * The record of a request, without a newline; with the key under which its answer is kept, where it is. `messages` is the
 * JSON text of a chat's messages, where it is there already.
 */
export const encode = (request: Request, key?: Buffer, messages?: string): string => {
  const record = encodeRequest(request, messages)
  return key === undefined ? record : `${record.slice(0, -1)}${keyStart}${key.toString("hex")}${keyEnd}`
}

/** The key under which the answer to a record is kept; `undefined` where it is not. */
export const keyOf = (line: Buffer): Buffer | undefined => {
  const end = line.length - keyEnd.length
  const start = end - ContentKey.bytes * 2
  if (start < keyStart.length || line.toString("latin1", end) !== keyEnd) return undefined
  if (line.toString("latin1", start - keyStart.length, start) !== keyStart) return undefined
  return Buffer.from(line.toString("latin1", start, end), "hex")
}

const chats = new AlikeBodies<Frame>("messages")

const chatText = (body: JsonObject, messages: string): string => {
  const { head, tail } = chats.find(body) ?? chats.keep(body, frameOf(body, "messages"))
  return head + messages + tail
}

const encodeRequest = (request: Request, messages: string | undefined): string => {
  const head = `{"row":${request.row},"line":${request.line},"id":${quoted(request.customId)}${headEnd}`
  if (request.kind === "native") {
    return `${head}"native","target":${JSON.stringify(request.target)},"body":${request.text}}`
  }
  const columns = request.columns === undefined ? "" : `,"columns":${JSON.stringify(request.columns)}`
  const body = messages === undefined ? JSON.stringify(request.body) : chatText(request.body, messages)
  return `${head}"${request.kind}","body":${body}${columns}}`
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The head of a record; `undefined` when the line is no record. */
export const decodeHead = (line: Buffer): RowHead | undefined => {
  const end = line.indexOf(headEndBytes)
  if (end === -1) return undefined
  const head = parse(`${line.toString("utf8", 0, end)}}`)
  if (!isJsonObject(head)) return undefined
  const { row, line: lineNumber, id } = head
  return typeof row === "number" && typeof lineNumber === "number" && typeof id === "string"
    ? { row, line: lineNumber, customId: id }
    : undefined
}

/** The request of a record; `undefined` when the line is no record. */
export const decode = (line: Buffer): Request | undefined => {
  const text = line.toString()
  const record = parse(text)
  const head = decodeHead(line)
  if (head === undefined || !isJsonObject(record) || !isJsonObject(record.body)) return undefined
  const { body, columns, kind, target } = record
  if (kind === "chat" || kind === "embedding") {
    return { kind, ...head, body, ...(isJsonObject(columns) ? { columns } : undefined) }
  }
  const bodyText = memberText(text, "body")
  return kind === "native" && isTarget(target) && bodyText !== undefined
    ? { kind, ...head, target, body, text: bodyText }
    : undefined
}

/** What the record keeps of the input beside the request. */
export const decodeColumns = (line: Buffer): { readonly [name: string]: unknown } => {
  const record = parse(line.toString())
  return isJsonObject(record) && isJsonObject(record["columns"]) ? record["columns"] : {}
}
