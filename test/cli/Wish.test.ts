import { assert, describe, it } from "@effect/vitest"
import * as Wish from "../../src/cli/Wish.js"

describe("Wish", () => {
  it("is help, however it is asked for without a command", () => {
    for (const given of [[], ["--help"], ["-h"], ["help"], ["help", "help"], ["help", "-h"], ["--help", "run"]]) {
      assert.strictEqual(Wish.of(given), "help", given.join(" "))
    }
  })

  it("is the version", () => {
    for (const given of [["--version"], ["-V"], ["--version", "run"], ["help", "--version"]]) {
      assert.strictEqual(Wish.of(given), "version", given.join(" "))
    }
  })

  it("is none where a command is named, or something that is none", () => {
    for (const given of [["run", "--help"], ["help", "run"], ["help", "rum"], ["rum"], ["--json"], [""], ["--"]]) {
      assert.isUndefined(Wish.of(given), given.join(" "))
    }
  })
})
