/**
 * A Chat Completions body as a Responses body. What the Responses API has no place for is an error that names the
 * field, never dropped.
 *
 * @since 0.1.0
 */
import { UnsupportedField } from "../InputError.js"
import { isJsonObject, type JsonObject } from "../Request.js"

const responses = "/v1/responses"

const useChat = "Use --endpoint /v1/chat/completions"

const writeNative = `Write the row as an OpenAI batch line for ${responses} to send it as it is`

/** Fields that both APIs have under one name and with one meaning, in the order in which they are written. */
const shared = [
  "parallel_tool_calls",
  "top_logprobs",
  "metadata",
  "user",
  "safety_identifier",
  "prompt_cache_key",
  "prompt_cache_options",
  "prompt_cache_retention",
  "service_tier",
  "store",
  "moderation"
] as const

/** Fields that are translated by name below. */
const translated = [
  "model",
  "messages",
  "temperature",
  "top_p",
  "max_tokens",
  "max_completion_tokens",
  "tools",
  "tool_choice",
  "response_format",
  "verbosity",
  "reasoning_effort",
  "logprobs"
]

/** Fields of Chat Completions alone, with the value that says the same as leaving the field out, as JSON. */
const chatOnly: ReadonlyMap<string, string | undefined> = new Map([
  ["stop", "[]"],
  ["n", "1"],
  ["seed", undefined],
  ["frequency_penalty", "0"],
  ["presence_penalty", "0"],
  ["logit_bias", "{}"],
  ["modalities", "[\"text\"]"],
  ["audio", undefined],
  ["prediction", undefined],
  ["functions", "[]"],
  ["function_call", undefined],
  ["web_search_options", undefined],
  ["stream", "false"],
  ["stream_options", undefined]
])

const taken: ReadonlySet<string> = new Set([...shared, ...translated])

/**
 * Translates a body. Its fields are always written in the same order; fields that are `null` count as absent.
 *
 * Throws an `UnsupportedField` for the first field that has no place.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromChat = (body: JsonObject): JsonObject => {
  for (const field of Object.keys(body)) {
    if (!taken.has(field) && !isAbsent(body[field])) checkPlaceless(field, body[field])
  }
  const translation: Record<string, unknown> = {
    model: body.model,
    temperature: body.temperature,
    top_p: body.top_p,
    max_output_tokens: body.max_completion_tokens ?? body.max_tokens,
    input: inputOf(body.messages),
    text: textOf(body),
    reasoning: isAbsent(body.reasoning_effort) ? undefined : { effort: body.reasoning_effort },
    tools: isAbsent(body.tools) ? undefined : toolsOf(body.tools),
    tool_choice: isAbsent(body.tool_choice) ? undefined : toolChoiceOf(body.tool_choice, "tool_choice"),
    include: isAskedFor(body.logprobs) ? ["message.output_text.logprobs"] : undefined
  }
  for (const field of shared) translation[field] = body[field]
  return compact(translation)
}

const isAskedFor = (logprobs: unknown): boolean => {
  if (isAbsent(logprobs) || typeof logprobs === "boolean") return logprobs === true
  throw unsupported("logprobs", "it is neither true nor false", useChat)
}

const isAbsent = (value: unknown): value is null | undefined => value === null || value === undefined

/** For objects whose members are named here, not by a row. */
const compact = (object: JsonObject): JsonObject => {
  const kept: Record<string, unknown> = {}
  for (const name of Object.keys(object)) {
    if (!isAbsent(object[name])) kept[name] = object[name]
  }
  return kept
}

const unsupported = (field: string, reason: string, remedy: string | null) =>
  new UnsupportedField({ field, target: responses, reason, remedy })

const checkPlaceless = (field: string, value: unknown): void => {
  if (!chatOnly.has(field)) {
    throw unsupported(
      field,
      "it is not a field of Chat Completions",
      `${useChat}, which passes it on, or: ${writeNative}`
    )
  }
  if (JSON.stringify(value) !== chatOnly.get(field)) {
    throw unsupported(field, "only Chat Completions has it", useChat)
  }
}

/** Refuses what an object holds besides the members that are translated. */
const checkMembers = (object: JsonObject, path: string, known: ReadonlyArray<string>, remedy: string): void => {
  for (const [name, value] of Object.entries(object)) {
    if (!isAbsent(value) && !known.includes(name)) {
      throw unsupported(`${path}.${name}`, "there is no place for it", remedy)
    }
  }
}

const objectOf = (value: unknown, path: string): JsonObject => {
  if (isJsonObject(value)) return value
  throw unsupported(path, "it is not an object", writeNative)
}

const listOf = (value: unknown, path: string): ReadonlyArray<unknown> => {
  if (Array.isArray(value)) return value
  throw unsupported(path, "it is not a list", writeNative)
}

const stringOf = (value: unknown, path: string): string => {
  if (typeof value === "string") return value
  throw unsupported(path, "it is not a string", writeNative)
}

const inputOf = (messages: unknown): ReadonlyArray<JsonObject> =>
  listOf(messages, "messages").flatMap((message, index) => {
    const path = `messages[${index}]`
    return itemsOf(objectOf(message, path), path)
  })

const itemsOf = (message: JsonObject, path: string): ReadonlyArray<JsonObject> => {
  switch (message.role) {
    case "system":
    case "developer":
    case "user": {
      checkMembers(message, path, ["role", "content"], useChat)
      return [{ role: message.role, content: contentOf(message.content, `${path}.content`) }]
    }
    case "assistant": {
      return assistantItems(message, path)
    }
    case "tool": {
      checkMembers(message, path, ["role", "content", "tool_call_id"], useChat)
      return [{
        type: "function_call_output",
        call_id: stringOf(message.tool_call_id, `${path}.tool_call_id`),
        output: contentOf(message.content, `${path}.content`)
      }]
    }
    default: {
      throw unsupported(
        `${path}.role`,
        `${JSON.stringify(message.role) ?? "none"} is no role of its messages`,
        message.role === "function" ? useChat : "Use one of system, developer, user, assistant, tool"
      )
    }
  }
}

const contentOf = (content: unknown, path: string): string | ReadonlyArray<JsonObject> => {
  if (typeof content === "string") return content
  if (!Array.isArray(content)) throw unsupported(path, "it is neither a string nor a list of parts", null)
  return content.map((part: unknown, index) => partOf(objectOf(part, `${path}[${index}]`), `${path}[${index}]`))
}

const partOf = (part: JsonObject, path: string): JsonObject => {
  const breakpoint = part.prompt_cache_breakpoint
  switch (part.type) {
    case "text": {
      checkMembers(part, path, ["type", "text", "prompt_cache_breakpoint"], useChat)
      return compact({
        type: "input_text",
        text: stringOf(part.text, `${path}.text`),
        prompt_cache_breakpoint: breakpoint
      })
    }
    case "image_url": {
      checkMembers(part, path, ["type", "image_url", "prompt_cache_breakpoint"], useChat)
      const image = objectOf(part.image_url, `${path}.image_url`)
      checkMembers(image, `${path}.image_url`, ["url", "detail"], useChat)
      return compact({
        type: "input_image",
        image_url: stringOf(image.url, `${path}.image_url.url`),
        detail: image.detail ?? "auto",
        prompt_cache_breakpoint: breakpoint
      })
    }
    case "file": {
      checkMembers(part, path, ["type", "file", "prompt_cache_breakpoint"], useChat)
      const file = objectOf(part.file, `${path}.file`)
      checkMembers(file, `${path}.file`, ["file_id", "file_data", "filename"], useChat)
      return compact({
        type: "input_file",
        file_id: file.file_id,
        filename: file.filename,
        file_data: file.file_data,
        prompt_cache_breakpoint: breakpoint
      })
    }
    default: {
      throw unsupported(
        `${path}.type`,
        `it takes no part of type ${JSON.stringify(part.type) ?? "none"} from a chat`,
        part.type === "input_audio" ? useChat : "Use one of text, image_url, file"
      )
    }
  }
}

/** What the model said before: its message, if it said anything, then the calls it made. */
const assistantItems = (message: JsonObject, path: string): ReadonlyArray<JsonObject> => {
  const annotations = message.annotations
  const known = ["role", "content", "refusal", "tool_calls"]
  checkMembers(
    message,
    path,
    Array.isArray(annotations) && annotations.length === 0 ? [...known, "annotations"] : known,
    useChat
  )
  const calls = isAbsent(message.tool_calls) ? [] : listOf(message.tool_calls, `${path}.tool_calls`).map(
    (call, index) => callOf(objectOf(call, `${path}.tool_calls[${index}]`), `${path}.tool_calls[${index}]`)
  )
  const { refusal, text } = saidOf(message, path)
  // The parts of its own messages, refusals among them, are taken only with the ids that the API gave them.
  const said = [text, refusal].filter((words) => words !== "").map((content) => ({ role: "assistant", content }))
  return said.length === 0 && calls.length === 0 ? [{ role: "assistant", content: "" }] : [...said, ...calls]
}

const saidOf = (message: JsonObject, path: string): { readonly text: string; readonly refusal: string } => {
  const { content } = message
  const refusal = isAbsent(message.refusal) ? "" : stringOf(message.refusal, `${path}.refusal`)
  if (typeof content === "string") return { text: content, refusal }
  if (isAbsent(content)) {
    if (isAbsent(message.tool_calls) && refusal === "") {
      throw unsupported(`${path}.content`, "the message says nothing and calls nothing", null)
    }
    return { text: "", refusal }
  }
  let text = ""
  let refused = refusal
  for (const [index, value] of listOf(content, `${path}.content`).entries()) {
    const at = `${path}.content[${index}]`
    const part = objectOf(value, at)
    if (part.type === "text") {
      checkMembers(part, at, ["type", "text"], useChat)
      text += stringOf(part.text, `${at}.text`)
    } else if (part.type === "refusal") {
      checkMembers(part, at, ["type", "refusal"], useChat)
      refused += stringOf(part.refusal, `${at}.refusal`)
    } else {
      throw unsupported(
        `${at}.type`,
        `an assistant's message has no part of type ${JSON.stringify(part.type) ?? "none"}`,
        "Use one of text, refusal"
      )
    }
  }
  return { text, refusal: refused }
}

const callOf = (call: JsonObject, path: string): JsonObject => {
  if (call.type !== "function") throw unsupported(`${path}.type`, "only function calls are translated", useChat)
  checkMembers(call, path, ["id", "type", "function"], useChat)
  const definition = objectOf(call.function, `${path}.function`)
  checkMembers(definition, `${path}.function`, ["name", "arguments"], useChat)
  return {
    type: "function_call",
    call_id: stringOf(call.id, `${path}.id`),
    name: stringOf(definition.name, `${path}.function.name`),
    arguments: stringOf(definition.arguments, `${path}.function.arguments`)
  }
}

const toolsOf = (tools: unknown): ReadonlyArray<JsonObject> =>
  listOf(tools, "tools").map((tool, index) => toolOf(tool, `tools[${index}]`))

/** `strict` is written out because it is off by default in Chat Completions and on in Responses. */
const toolOf = (value: unknown, path: string): JsonObject => {
  const tool = objectOf(value, path)
  if (tool.type !== "function") {
    throw unsupported(
      `${path}.type`,
      `only tools of type "function" are translated`,
      tool.type === "custom" ? useChat : writeNative
    )
  }
  checkMembers(tool, path, ["type", "function"], useChat)
  const definition = objectOf(tool.function, `${path}.function`)
  checkMembers(definition, `${path}.function`, ["name", "description", "parameters", "strict"], useChat)
  return {
    type: "function",
    name: stringOf(definition.name, `${path}.function.name`),
    ...compact({ description: definition.description }),
    parameters: definition.parameters ?? null,
    strict: definition.strict ?? false
  }
}

const toolChoiceOf = (value: unknown, path: string): unknown => {
  if (value === "none" || value === "auto" || value === "required") return value
  const choice = objectOf(value, path)
  if (choice.type === "function") {
    checkMembers(choice, path, ["type", "function"], useChat)
    const chosen = objectOf(choice.function, `${path}.function`)
    checkMembers(chosen, `${path}.function`, ["name"], useChat)
    return { type: "function", name: stringOf(chosen.name, `${path}.function.name`) }
  }
  if (choice.type === "allowed_tools") {
    checkMembers(choice, path, ["type", "allowed_tools"], useChat)
    const allowed = objectOf(choice.allowed_tools, `${path}.allowed_tools`)
    checkMembers(allowed, `${path}.allowed_tools`, ["mode", "tools"], useChat)
    return {
      type: "allowed_tools",
      mode: allowed.mode,
      tools: listOf(allowed.tools, `${path}.allowed_tools.tools`).map((tool, index) =>
        toolChoiceOf(tool, `${path}.allowed_tools.tools[${index}]`)
      )
    }
  }
  throw unsupported(`${path}.type`, `${JSON.stringify(choice.type) ?? "none"} is no choice that is translated`, useChat)
}

const textOf = (body: JsonObject): JsonObject | undefined => {
  const text = compact({
    format: isAbsent(body.response_format) ? undefined : formatOf(body.response_format),
    verbosity: body.verbosity
  })
  return Object.keys(text).length === 0 ? undefined : text
}

const formatOf = (value: unknown): JsonObject => {
  const format = objectOf(value, "response_format")
  if (format.type === "text" || format.type === "json_object") {
    checkMembers(format, "response_format", ["type"], useChat)
    return { type: format.type }
  }
  if (format.type !== "json_schema") {
    throw unsupported("response_format.type", "it is none of text, json_object, json_schema", null)
  }
  checkMembers(format, "response_format", ["type", "json_schema"], useChat)
  const path = "response_format.json_schema"
  const definition = objectOf(format.json_schema, path)
  checkMembers(definition, path, ["name", "description", "schema", "strict"], useChat)
  return compact({
    type: "json_schema",
    name: stringOf(definition.name, `${path}.name`),
    description: definition.description,
    schema: objectOf(definition.schema, `${path}.schema`),
    strict: definition.strict
  })
}
