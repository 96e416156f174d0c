import { assert, describe, it } from "@effect/vitest"
import { join } from "node:path"
import * as Report from "../../src/cli/Report.js"

const here = process.cwd()

describe("Report.local", () => {
  it("writes paths as one would type them here", () => {
    assert.strictEqual(Report.local(`${here}/runs/one/journal.jsonl:3: damaged`), "runs/one/journal.jsonl:3: damaged")
    assert.strictEqual(Report.local(`see "${here}/a" (${here}/b)`), "see \"a\" (b)")
  })

  it("leaves what is elsewhere as it is", () => {
    for (const text of [`/elsewhere${here}/a`, "https://example.com/v1", `${here}-not/a`, ""]) {
      assert.strictEqual(Report.local(text), text)
    }
    assert.strictEqual(
      Report.local("/far: gone. Try: llm-batch resume /far", "/far"),
      "/far: gone. Try: llm-batch resume /far"
    )
  })

  it("writes the commands that it names as a shell takes them", () => {
    const directory = join(here, "two words")
    assert.strictEqual(
      Report.local(`${directory}: in use. Watch it with: llm-batch status ${directory}`, directory),
      "two words: in use. Watch it with: llm-batch status 'two words'"
    )
  })

  it("has no shorter name for the working directory itself", () => {
    assert.strictEqual(Report.local(`${here}: not empty`, here), `${here}: not empty`)
  })
})
