import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import * as Placeholders from "../../src/job/Placeholders.js"

const same: ReadonlyArray<readonly [source: string, translation: string]> = [
  ["Open {{file}} by {name}", "{name} ouvre {{file}}"],
  ["no placeholders", "aucun"],
  ["{{a}}{{a}}", "{{a}} et {{a}}"],
  ["C\\nD\n", "\n\\nC"],
  ["a { b", "une { bé"],
  ["{count, plural, one {# file of {name}} other {# files}}", "{count, plural, one {# fichier} many {de} other {# f}}"],
  ["{{{raw}}}", "{{{raw}}}"]
]

const different: ReadonlyArray<readonly [source: string, translation: string, told: string]> = [
  ["Open {{file}}", "Ouvrir", "{{file}} is in the source once, and here not at all"],
  ["Open {{file}}", "Ouvrir {{fichier}}", "{{file}} is in the source once, and here not at all"],
  ["Open {{file}}", "Ouvrir {file}", "{{file}} is in the source once, and here not at all"],
  ["Open {{file}}", "Ouvrir {{ file }}", "{{file}} is in the source once, and here not at all"],
  ["{n}", "{n} {n} {n}", "{n} is in the source once, and here 3 times"],
  ["a\nb", "ab", "a line break is in the source once, and here not at all"],
  ["a\\nb", "a\nb", "\\n is in the source once, and here not at all"],
  ["Open", "Ouvrir {n}", "{n} is in the source not at all, and here once"],
  ["{n, plural, other {#}}", "{m, plural, other {#}}", "{n, plural} is in the source once, and here not at all"]
]

describe("Placeholders", () => {
  for (const [source, translation] of same) {
    it(`are as they were in ${JSON.stringify(translation)}`, () => {
      assert.strictEqual(Placeholders.difference(source, translation), undefined)
    })
  }
  for (const [source, translation, told] of different) {
    it(`are not as they were in ${JSON.stringify(translation)}`, () => {
      assert.strictEqual(Placeholders.difference(source, translation), told)
    })
  }

  const words = FastCheck.constantFrom("word", " ", "é", "\"")
  const protectedOnes = FastCheck.constantFrom("{{a}}", "{b}", "\\n", "\n")
  const parts = FastCheck.array(FastCheck.oneof(words, protectedOnes), { maxLength: 12 })

  it.prop("may move, and none may be lost", [parts, FastCheck.nat()], ([parts, at]) => {
    const text = parts.join("")
    assert.strictEqual(
      Placeholders.difference(
        text,
        parts.toReversed().join("").toUpperCase().replaceAll("{{A}}", "{{a}}").replaceAll("{B}", "{b}").replaceAll(
          "\\N",
          "\\n"
        )
      ),
      undefined
    )
    const lost = parts.length === 0 ? -1 : at % parts.length
    const isProtected = ["{{a}}", "{b}", "\\n", "\n"].includes(parts[lost] ?? "")
    const without = parts.filter((_, index) => index !== lost).join("")
    assert.strictEqual(Placeholders.difference(text, without) !== undefined, isProtected)
  })
})
