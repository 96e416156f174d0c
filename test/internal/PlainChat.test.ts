import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as PlainChat from "../../src/internal/PlainChat.js"

const text = FastCheck.oneof(
  FastCheck.string(),
  FastCheck.array(FastCheck.nat(0xffff)).map((units) => String.fromCharCode(...units)),
  FastCheck.constantFrom("a \"quoted\" text", "x".repeat(100), "\ud800")
)
const message = FastCheck.record({
  role: FastCheck.constantFrom("system", "developer", "user", "assistant"),
  content: text
}).map(({ content, role }) => ({ role, content }))

describe("PlainChat", () => {
  it.prop("writes messages as JSON.stringify does", [FastCheck.array(message)], ([messages]) => {
    const plain = PlainChat.read(messages)
    assert.strictEqual(plain?.text, JSON.stringify(messages))
    const isSystem = ({ role }: { readonly role: string }) => role === "system" || role === "developer"
    const front = messages.findIndex((message) => !isSystem(message))
    const [system, turns] = front === -1 ? [messages, []] : [messages.slice(0, front), messages.slice(front)]
    assert.deepStrictEqual(plain?.system, system.map(({ content }) => JSON.stringify(content)))
    assert.strictEqual(`[${plain?.turns}]`, JSON.stringify(turns))
    assert.strictEqual(plain?.systemLater, turns.some(isSystem))
  })

  it("leaves all others alone", () => {
    const user = { role: "user", content: "a" }
    const others: ReadonlyArray<unknown> = [
      { content: "a", role: "user" },
      { role: "user", content: "a", name: "b" },
      { role: "user" },
      { role: "user", content: null },
      { role: "user", content: [{ type: "text", text: "a" }] },
      { role: "tool", content: "a" },
      { role: "assistant", content: "a", tool_calls: [] },
      null,
      "text",
      [user]
    ]
    for (const other of others) assert.isUndefined(PlainChat.read([user, other]))
    for (const none of [undefined, null, "text", user]) assert.isUndefined(PlainChat.read(none))
  })
})
