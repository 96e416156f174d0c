/**
 * Events out of the bytes of a `text/event-stream`. Their data stays text: whoever understands it parses it.
 */
import { LineSplitter } from "./Lines.js"

/** Takes one event; one without a name is a `message`. */
type OnEvent = (name: string, data: string) => void

/** A line longer than this is no part of any model's answer. */
const longestLine = 1 << 28

/** Splits blocks into events. One that has not ended with an empty line did not come whole, and is passed over. */
export class ServerSentEvents {
  private name = ""
  private data: Array<string> = []
  private readonly lines = new LineSplitter(longestLine, (line) => this.take(line.toString("utf8")), () => {
    throw new TypeError("a line of the event stream is too long")
  })

  constructor(private readonly onEvent: OnEvent) {}

  /** Takes the next block. */
  push(block: Uint8Array): void {
    this.lines.push(block)
  }

  private take(line: string): void {
    if (line === "") {
      const { data, name } = this
      this.name = ""
      this.data = []
      if (data.length > 0) this.onEvent(name === "" ? "message" : name, data.join("\n"))
      return
    }
    const colon = line.indexOf(":")
    const field = colon === -1 ? line : line.slice(0, colon)
    const rest = colon === -1 ? "" : line.slice(colon + 1)
    const value = rest.startsWith(" ") ? rest.slice(1) : rest
    if (field === "event") this.name = value
    else if (field === "data") this.data.push(value)
  }
}
