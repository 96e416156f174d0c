/**
 * Messages that are nothing but text, as most are: their JSON text is written once, for the provider and for what the run
 * keeps, and they need no other look.
 */
import { isJsonObject, type JsonObject } from "../Request.js"
import { quoted } from "./JsonText.js"

/** The JSON text of messages, in the parts that providers put together in their own ways. */
export interface PlainChat {
  /** The texts of the system messages in front, as JSON strings. */
  readonly system: ReadonlyArray<string>
  /** The messages behind them, with commas between. */
  readonly turns: string
  /** Whether there are system messages among those. */
  readonly systemLater: boolean
  /** The list of all messages, as `JSON.stringify` writes it. */
  readonly text: string
}

/** Nearly every row has the system message of the row before. */
let lastSystem = ""
let lastQuoted = "\"\""

const quotedSystem = (content: string): string => {
  if (content !== lastSystem) {
    lastQuoted = quoted(content)
    lastSystem = content
  }
  return lastQuoted
}

/** The content of a message that has no members but these, in this order. */
const textOf = (message: JsonObject): string | undefined => {
  let members = 0
  for (const name in message) {
    if (name !== (members === 0 ? "role" : "content")) return undefined
    members++
  }
  return members === 2 && typeof message.content === "string" ? message.content : undefined
}

const none: ReadonlyArray<string> = []

/** Reads the messages of a body; `undefined` where one is anything but `{ role, content }` with text for its content. */
export const read = (messages: unknown): PlainChat | undefined => {
  if (!Array.isArray(messages)) return undefined
  let system: Array<string> | undefined
  let front = ""
  let turns = ""
  let systemLater = false
  for (let index = 0; index < messages.length; index++) {
    const message: unknown = messages[index]
    if (!isJsonObject(message)) return undefined
    const content = textOf(message)
    if (content === undefined) return undefined
    const { role } = message
    if (role === "user" || role === "assistant") {
      turns += `${turns === "" ? "" : ","}{"role":"${role}","content":${quoted(content)}}`
    } else if (role === "system" || role === "developer") {
      const text = quotedSystem(content)
      const whole = `{"role":"${role}","content":${text}}`
      if (turns === "") {
        front += front === "" ? whole : `,${whole}`
        if (system === undefined) system = [text]
        else system.push(text)
      } else {
        turns += `,${whole}`
        systemLater = true
      }
    } else {
      return undefined
    }
  }
  const text = front === "" || turns === "" ? `[${front}${turns}]` : `[${front},${turns}]`
  return { system: system ?? none, turns, systemLater, text }
}
