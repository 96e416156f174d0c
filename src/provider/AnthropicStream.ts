/**
 * A streamed message, put together again into the message that an unstreamed call would have given.
 *
 * The SDK's own accumulator is not used: it gives what came so far for a whole message when the stream is cut short, reads
 * a tool's input anew (large numbers change), and drops fields and deltas that it does not know.
 *
 * @since 0.1.0
 */
import { parse } from "../internal/JsonText.js"
import { isJsonObject, type JsonObject } from "../Request.js"

interface Members {
  [name: string]: unknown
}

/** A block of content, while it grows. */
interface Block {
  readonly members: Members
  /** The text of a tool's input, which comes in pieces of no meaning of their own. */
  input: string
}

/** What a stream came to. `error` is the provider's own text of it. */
export type Streamed =
  | { readonly _tag: "Message"; readonly text: string; readonly message: JsonObject }
  | { readonly _tag: "Error"; readonly text: string }

/** JSON text of an object with one more member, whose JSON text is given. */
const withMember = (members: Members, name: string, text: string): string => {
  const { [name]: _replaced, ...rest } = members
  const head = JSON.stringify(rest).slice(0, -1)
  return `${head}${head === "{" ? "" : ","}${JSON.stringify(name)}:${text}}`
}

/** An input that was cut off by the limit of tokens is no JSON; what was paid for of it is kept beside. */
const printBlock = ({ input, members }: Block): string => {
  if (input === "") return JSON.stringify(members)
  return parse(input) === undefined
    ? withMember(members, "partial_input", JSON.stringify(input))
    : withMember(members, "input", input)
}

/** Text grows; anything else is replaced. */
const grow = (members: Members, name: string, value: unknown): void => {
  const before = members[name]
  members[name] = typeof before === "string" && typeof value === "string" ? before + value : value
}

const applyDelta = (block: Block, delta: JsonObject): void => {
  switch (delta.type) {
    case "input_json_delta": {
      if (typeof delta.partial_json === "string") block.input += delta.partial_json
      return
    }
    case "citations_delta": {
      const { citations } = block.members
      const before: ReadonlyArray<unknown> = Array.isArray(citations) ? citations : []
      block.members.citations = [...before, delta.citation]
      return
    }
    case "signature_delta": {
      block.members.signature = delta.signature
      return
    }
    default: {
      for (const [name, value] of Object.entries(delta)) if (name !== "type") grow(block.members, name, value)
    }
  }
}

/** Counters that do not apply are left out or `null`; the others are of the whole message, and are never added. */
const replace = (members: Members, values: unknown): void => {
  if (!isJsonObject(values)) return
  for (const [name, value] of Object.entries(values)) {
    if (value !== null || !(name in members)) members[name] = value
  }
}

/** Takes the events of one stream, in order. */
export class AnthropicStream {
  private message: Members | undefined
  private usage: Members = {}
  /** By the index that the stream gives them, in the order in which they began. */
  private readonly blocks = new Map<number, Block>()
  /** What came makes no sense: whatever else comes, a part of the message would be missing from it. */
  private broken = false
  private end: Streamed | undefined

  /** Takes an event; `data` is its JSON text. */
  take(name: string, data: string): void {
    if (this.end !== undefined || name === "ping") return
    const event = parse(data)
    if (name === "error") {
      this.end = { _tag: "Error", text: data }
      return
    }
    if (!isJsonObject(event)) return
    if (event.type === "error") this.end = { _tag: "Error", text: data }
    else this.apply(event)
  }

  /** What it came to; `undefined` while, or if for ever, its end is missing. */
  result(): Streamed | undefined {
    return this.end
  }

  private apply(event: JsonObject): void {
    switch (event.type) {
      case "message_start": {
        if (!isJsonObject(event.message)) return
        this.message = { ...event.message }
        if (isJsonObject(event.message.usage)) this.usage = { ...event.message.usage }
        return
      }
      case "content_block_start": {
        if (!isJsonObject(event.content_block)) return
        const { index } = event
        if (typeof index !== "number" || !Number.isSafeInteger(index) || index < 0 || this.blocks.has(index)) {
          this.broken = true
          return
        }
        this.blocks.set(index, { members: { ...event.content_block }, input: "" })
        return
      }
      case "content_block_delta": {
        const block = typeof event.index === "number" ? this.blocks.get(event.index) : undefined
        if (block === undefined) this.broken = true
        else if (isJsonObject(event.delta)) applyDelta(block, event.delta)
        return
      }
      case "message_delta": {
        if (this.message !== undefined) replace(this.message, event.delta)
        replace(this.usage, event.usage)
        return
      }
      case "message_stop": {
        this.finish()
        return
      }
      default: {
        return
      }
    }
  }

  private finish(): void {
    if (this.message === undefined || this.broken) return
    const content = Array.from(this.blocks.values(), printBlock).join(",")
    const text = withMember({ ...this.message, usage: this.usage }, "content", `[${content}]`)
    const message = parse(text)
    if (isJsonObject(message)) this.end = { _tag: "Message", text, message }
  }
}
