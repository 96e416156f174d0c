/**
 * Answers as server-sent events: the events that would have led to a given body.
 *
 * @since 0.1.0
 */
import { arrayAt, isObject, type JsonObject, numberAt, objectAt, stringAt } from "./Json.js"

/**
 * An event; OpenAI's chat events have no name.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event {
  readonly name?: string
  readonly data: JsonObject
}

/** A text in pieces of a few words. */
const pieces = (text: string): ReadonlyArray<string> => text.match(/[^]{1,24}/g) ?? []

/**
 * The events in the form of `text/event-stream`; `end` is what follows the last of them.
 *
 * @since 0.1.0
 * @category formatting
 */
export const format = (events: ReadonlyArray<Event>, end = ""): string =>
  events.map(({ data, name }) => `${name === undefined ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`)
    .join("") + end

/**
 * The chunks of a chat completion, the last with the usage when that was asked for.
 *
 * @since 0.1.0
 * @category constructors
 */
export const chat = (completion: JsonObject, includeUsage: boolean): ReadonlyArray<Event> => {
  const { choices, object: _object, usage, ...rest } = completion
  const chunk = (members: JsonObject): Event => ({
    data: { ...rest, object: "chat.completion.chunk", ...(includeUsage ? { usage: null } : {}), ...members }
  })
  const events = arrayAt({ choices: choices ?? [] }, "choices").flatMap((choice) => {
    const index = numberAt(choice, "index") ?? 0
    const message = objectAt(choice, "message")
    const delta = (value: JsonObject, finish: string | null = null) =>
      chunk({ choices: [{ index, delta: value, logprobs: null, finish_reason: finish }] })
    return [
      delta({ role: "assistant", content: "", refusal: null }),
      ...pieces(stringAt(message, "content") ?? "").map((content) => delta({ content })),
      ...arrayAt(message, "tool_calls").map((call, position) =>
        delta({ tool_calls: [{ index: position, ...(isObject(call) ? call : {}) }] })
      ),
      delta({}, stringAt(choice, "finish_reason") ?? "stop")
    ]
  })
  return includeUsage ? [...events, chunk({ choices: [], usage: usage ?? null })] : events
}

/**
 * The events of a response.
 *
 * @since 0.1.0
 * @category constructors
 */
export const responses = (response: JsonObject): ReadonlyArray<Event> => {
  const events: Array<Event> = []
  const emit = (name: string, members: JsonObject) =>
    events.push({ name, data: { type: name, sequence_number: events.length, ...members } })
  const begun = {
    ...response,
    status: "in_progress",
    output: [],
    usage: null,
    completed_at: null,
    incomplete_details: null
  }
  emit("response.created", { response: begun })
  emit("response.in_progress", { response: begun })
  for (const [index, item] of arrayAt(response, "output").entries()) {
    if (!isObject(item)) continue
    const at = { output_index: index, item_id: stringAt(item, "id") ?? "" }
    const type = stringAt(item, "type")
    const open = type === "message" ? { content: [] } : type === "function_call" ? { arguments: "" } : {}
    emit("response.output_item.added", { output_index: index, item: { ...item, ...open, status: "in_progress" } })
    for (const [contentIndex, part] of arrayAt(item, "content").entries()) {
      const place = { ...at, content_index: contentIndex }
      const text = stringAt(part, "text") ?? ""
      emit("response.content_part.added", { ...place, part: { ...(isObject(part) ? part : {}), text: "" } })
      for (const delta of pieces(text)) emit("response.output_text.delta", { ...place, delta, logprobs: [] })
      emit("response.output_text.done", { ...place, text, logprobs: [] })
      emit("response.content_part.done", { ...place, part })
    }
    const given = stringAt(item, "arguments")
    if (given !== undefined) {
      for (const delta of pieces(given)) emit("response.function_call_arguments.delta", { ...at, delta })
      emit("response.function_call_arguments.done", { ...at, arguments: given, name: stringAt(item, "name") ?? "" })
    }
    emit("response.output_item.done", { output_index: index, item })
  }
  emit(stringAt(response, "status") === "incomplete" ? "response.incomplete" : "response.completed", { response })
  return events
}

/** A block as it begins, and the deltas that fill it. */
const block = (whole: JsonObject): { readonly begun: JsonObject; readonly deltas: ReadonlyArray<JsonObject> } => {
  switch (stringAt(whole, "type") ?? "") {
    case "thinking":
      return {
        begun: { ...whole, thinking: "", signature: "" },
        deltas: [
          ...pieces(stringAt(whole, "thinking") ?? "").map((thinking) => ({ type: "thinking_delta", thinking })),
          { type: "signature_delta", signature: stringAt(whole, "signature") ?? "" }
        ]
      }
    case "tool_use":
      return {
        begun: { ...whole, input: {} },
        deltas: pieces(JSON.stringify(whole["input"])).map((partial_json) => ({
          type: "input_json_delta",
          partial_json
        }))
      }
    default:
      return {
        begun: { ...whole, text: "" },
        deltas: pieces(stringAt(whole, "text") ?? "").map((text) => ({ type: "text_delta", text }))
      }
  }
}

/**
 * The events of a message. The usage of `message_delta` is cumulative.
 *
 * @since 0.1.0
 * @category constructors
 */
export const message = (whole: JsonObject): ReadonlyArray<Event> => {
  const events: Array<Event> = []
  const emit = (name: string, members: JsonObject) => events.push({ name, data: { type: name, ...members } })
  const usage = objectAt(whole, "usage")
  emit("message_start", {
    message: { ...whole, content: [], stop_reason: null, stop_sequence: null, usage: { ...usage, output_tokens: 1 } }
  })
  for (const [index, part] of arrayAt(whole, "content").filter(isObject).entries()) {
    const { begun, deltas } = block(part)
    emit("content_block_start", { index, content_block: begun })
    for (const delta of deltas) emit("content_block_delta", { index, delta })
    emit("content_block_stop", { index })
  }
  const { stop_details, stop_reason, stop_sequence } = whole
  emit("message_delta", {
    delta: {
      stop_reason: stop_reason ?? null,
      stop_sequence: stop_sequence ?? null,
      stop_details: stop_details ?? null,
      container: null
    },
    usage
  })
  emit("message_stop", {})
  return events
}
