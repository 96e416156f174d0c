/**
 * Chat Completions messages as Anthropic's Messages: system messages become text blocks of their own, tool calls and
 * their results become blocks of turns, images and PDFs become sources.
 *
 * Content blocks that are already in Anthropic's form (`image`, `document`, `thinking`, `tool_result`, ...) go through
 * as they are.
 *
 * @since 0.1.0
 */
import { parse } from "../internal/JsonText.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import { checkMembers, found, isAbsent, unsupported } from "./AnthropicField.js"

/**
 * A conversation in Anthropic's form.
 *
 * @since 0.1.0
 * @category models
 */
export interface Conversation {
  /** Text blocks of the system prompt; empty for none. */
  readonly system: ReadonlyArray<JsonObject>
  readonly messages: ReadonlyArray<JsonObject>
}

/**
 * Translates messages. Throws `UnsupportedField` with the path of what Anthropic cannot take.
 *
 * @since 0.1.0
 * @category conversions
 */
export const translate = (messages: unknown): Conversation => {
  if (!Array.isArray(messages)) throw unsupported("messages", `it is ${found(messages)}, not a list`, null)
  const system: Array<JsonObject> = []
  const turns: Array<JsonObject> = []
  /** The blocks of the user turn that holds the tool results just before. */
  let results: Array<JsonObject> | undefined
  messages.forEach((message: unknown, index) => {
    const path = `messages[${index}]`
    if (!isJsonObject(message)) throw unsupported(path, `it is ${found(message)}, not a message`, null)
    if (message.role === "tool") {
      const result = toolResult(message, path)
      if (results === undefined) {
        results = [result]
        turns.push({ role: "user", content: results })
      } else {
        results.push(result)
      }
      return
    }
    results = undefined
    switch (message.role) {
      case "system":
      case "developer": {
        if (turns.length > 0) {
          throw unsupported(
            `${path}.role`,
            "Anthropic takes system messages before all others only",
            "Move it to the front, or give it the role user"
          )
        }
        checkMembers(message, systemMembers, path)
        system.push(...systemBlocks(message, path))
        return
      }
      case "user": {
        checkMembers(message, userMembers, path)
        turns.push({ role: "user", content: contentOf(message, path) })
        return
      }
      case "assistant": {
        checkMembers(message, assistantMembers, path)
        turns.push({ role: "assistant", content: assistantContent(message, path) })
        return
      }
      default:
        throw unsupported(
          `${path}.role`,
          `it is ${found(message.role)}`,
          "The roles are system, developer, user, assistant and tool"
        )
    }
  })
  return { system, messages: turns }
}

const systemMembers = new Set(["role", "content", "cache_control"])
const userMembers = new Set(["role", "content", "cache_control"])
const assistantMembers = new Set(["role", "content", "cache_control", "tool_calls", "refusal"])
const toolMembers = new Set(["role", "content", "cache_control", "tool_call_id", "is_error"])

/** Blocks of Anthropic's own that a chat body may hold. */
const nativeBlocks = new Set([
  "image",
  "document",
  "search_result",
  "container_upload",
  "thinking",
  "redacted_thinking",
  "tool_use",
  "tool_result",
  "server_tool_use",
  "web_search_tool_result",
  "web_fetch_tool_result",
  "code_execution_tool_result"
])

const cacheControl = (value: JsonObject): JsonObject =>
  isAbsent(value.cache_control) ? {} : { cache_control: value.cache_control }

/** Text where there is nothing but text, blocks otherwise. */
const contentOf = (message: JsonObject, path: string): string | ReadonlyArray<JsonObject> => {
  const content = message.content
  if (typeof content === "string" && isAbsent(message.cache_control)) return content
  return markLast(blocksOf(content, `${path}.content`), message, path)
}

const blocksOf = (content: unknown, path: string): ReadonlyArray<JsonObject> => {
  if (typeof content === "string") return [{ type: "text", text: content }]
  if (!Array.isArray(content)) throw unsupported(path, `it is ${found(content)}, not text or a list of parts`, null)
  return content.map((part: unknown, index) => block(part, `${path}[${index}]`))
}

/** A `cache_control` of the message is one of its last block. */
const markLast = (blocks: ReadonlyArray<JsonObject>, message: JsonObject, path: string): ReadonlyArray<JsonObject> => {
  if (isAbsent(message.cache_control)) return blocks
  if (blocks.length === 0) throw unsupported(`${path}.cache_control`, "the message is empty", "Leave it out")
  return blocks.map((item, index) => index === blocks.length - 1 ? { ...item, ...cacheControl(message) } : item)
}

const systemBlocks = (message: JsonObject, path: string): ReadonlyArray<JsonObject> => {
  const blocks = blocksOf(message.content, `${path}.content`)
  blocks.forEach((item, index) => {
    if (item.type !== "text") {
      throw unsupported(`${path}.content[${index}].type`, `it is ${found(item.type)}`, "System messages are text")
    }
  })
  return markLast(blocks.filter((item) => item.text !== "" || !isAbsent(item.cache_control)), message, path)
}

const assistantContent = (message: JsonObject, path: string): string | ReadonlyArray<JsonObject> => {
  const calls = message.tool_calls
  const refusal = message.refusal
  const hasCalls = Array.isArray(calls) && calls.length > 0
  if (!isAbsent(calls) && !Array.isArray(calls)) {
    throw unsupported(`${path}.tool_calls`, `it is ${found(calls)}, not a list`, null)
  }
  if (!hasCalls && isAbsent(refusal)) return contentOf(message, path)
  const content = message.content
  const spoken = isAbsent(content) || content === "" ? [] : blocksOf(content, `${path}.content`)
  const refused = isAbsent(refusal) || refusal === "" ? [] : [textBlock(refusal, `${path}.refusal`)]
  const used = hasCalls ? calls.map((call: unknown, index) => toolUse(call, `${path}.tool_calls[${index}]`)) : []
  return markLast([...spoken, ...refused, ...used], message, path)
}

const textBlock = (text: unknown, path: string): JsonObject => {
  if (typeof text !== "string") throw unsupported(path, `it is ${found(text)}, not text`, null)
  return { type: "text", text }
}

const toolUse = (call: unknown, path: string): JsonObject => {
  if (!isJsonObject(call)) throw unsupported(path, `it is ${found(call)}, not a tool call`, null)
  const { function: called, id, type } = call
  if (!isAbsent(type) && type !== "function") {
    throw unsupported(`${path}.type`, `it is ${found(type)}`, "Only function calls can be sent")
  }
  if (typeof id !== "string") throw unsupported(`${path}.id`, `it is ${found(id)}, not text`, null)
  if (!isJsonObject(called) || typeof called.name !== "string") {
    throw unsupported(`${path}.function`, "it does not name a function", null)
  }
  checkMembers(call, callMembers, path)
  checkMembers(called, calledMembers, `${path}.function`)
  return { type: "tool_use", id, name: called.name, input: argumentsOf(called.arguments, path) }
}

const argumentsOf = (text: unknown, path: string): JsonObject => {
  if (isAbsent(text) || text === "") return {}
  const value = typeof text === "string" ? parse(text) : text
  if (isJsonObject(value)) return value
  throw unsupported(`${path}.function.arguments`, "it is not the JSON text of an object", null)
}

const toolResult = (message: JsonObject, path: string): JsonObject => {
  checkMembers(message, toolMembers, path)
  const id = message.tool_call_id
  if (typeof id !== "string") throw unsupported(`${path}.tool_call_id`, `it is ${found(id)}, not text`, null)
  const content = message.content
  return {
    type: "tool_result",
    tool_use_id: id,
    content: typeof content === "string" ? content : blocksOf(content, `${path}.content`),
    ...(isAbsent(message.is_error) ? {} : { is_error: message.is_error }),
    ...cacheControl(message)
  }
}

const textMembers = new Set(["type", "text", "cache_control", "citations"])
const refusalMembers = new Set(["type", "refusal", "cache_control"])
const imagePartMembers = new Set(["type", "image_url", "cache_control"])
const imageMembers = new Set(["url", "detail"])
const filePartMembers = new Set(["type", "file", "cache_control"])
const fileMembers = new Set(["file_data", "file_id", "filename"])
const callMembers = new Set(["id", "type", "function"])
const calledMembers = new Set(["name", "arguments"])

/** A content part as a content block. */
const block = (part: unknown, path: string): JsonObject => {
  if (!isJsonObject(part)) throw unsupported(path, `it is ${found(part)}, not a part`, null)
  const type = part.type
  switch (type) {
    case "text": {
      checkMembers(part, textMembers, path)
      return {
        ...textBlock(part.text, `${path}.text`),
        ...(isAbsent(part.citations) ? {} : { citations: part.citations }),
        ...cacheControl(part)
      }
    }
    case "refusal": {
      checkMembers(part, refusalMembers, path)
      return { ...textBlock(part.refusal, `${path}.refusal`), ...cacheControl(part) }
    }
    case "image_url": {
      checkMembers(part, imagePartMembers, path)
      return { type: "image", source: imageSource(part.image_url, `${path}.image_url`), ...cacheControl(part) }
    }
    case "file": {
      checkMembers(part, filePartMembers, path)
      return { ...document(part.file, `${path}.file`), ...cacheControl(part) }
    }
    default:
      if (typeof type === "string" && nativeBlocks.has(type)) return part
      throw unsupported(`${path}.type`, `it is ${found(type)}`, "Anthropic reads text, images and PDF files")
  }
}

const imageTypes = ["image/jpeg", "image/png", "image/gif", "image/webp"]
const base64Url = /^data:([^;,]*);base64,/i

const imageSource = (image: unknown, path: string): JsonObject => {
  if (isJsonObject(image)) checkMembers(image, imageMembers, path)
  const { detail, url } = isJsonObject(image) ? image : { detail: null, url: image }
  if (!isAbsent(detail) && detail !== "auto") {
    throw unsupported(`${path}.detail`, "Anthropic sees images in full", "Leave it out, or scale the image")
  }
  if (typeof url !== "string") throw unsupported(path, "it has no url", null)
  if (/^https?:/i.test(url)) return { type: "url", url }
  const header = base64Url.exec(url)
  const mediaType = header?.[1]?.toLowerCase()
  if (header === null || mediaType === undefined || !imageTypes.includes(mediaType)) {
    throw unsupported(
      `${path}.url`,
      `it begins with ${found(url.slice(0, 30))}`,
      `Give an http(s) address or a base64 data: URL of ${imageTypes.join(", ")}`
    )
  }
  return { type: "base64", media_type: mediaType, data: url.slice(header[0].length) }
}

/** How a PDF begins, in base64. */
const pdfStart = "JVBERi0"

const document = (file: unknown, path: string): JsonObject => {
  if (!isJsonObject(file)) throw unsupported(path, `it is ${found(file)}, not a file`, null)
  checkMembers(file, fileMembers, path)
  const { file_data: data, file_id: id, filename } = file
  if (!isAbsent(id)) {
    throw unsupported(`${path}.file_id`, "the file lies at another provider", "Put its content into file_data")
  }
  const header = typeof data === "string" ? base64Url.exec(data) : null
  const isPdf = header === null ? false : header[1]?.toLowerCase() === "application/pdf"
  if (typeof data !== "string" || !(isPdf || data.startsWith(pdfStart))) {
    throw unsupported(`${path}.file_data`, "it is not a PDF file in base64", "Anthropic reads PDF files and text")
  }
  return {
    type: "document",
    source: { type: "base64", media_type: "application/pdf", data: data.slice(header === null ? 0 : header[0].length) },
    ...(isAbsent(filename) ? {} : { title: filename })
  }
}
