import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { finalNumber } from "../../src/job/FinalNumber.js"

describe("the final number", () => {
  it.each([
    // after the mark
    ["She keeps 72 - 15 = 57.\n#### 57", "57"],
    ["####57", "57"],
    ["#### $1,234.50", "1234.5"],
    ["#### -3", "-3"],
    ["#### **18** eggs, of 20", "18"],
    ["####\n18", "18"],
    ["#### 18 is what it is, not 20", "18"],
    ["#### 12\nNo:\n#### 13", "13"],
    ["#### 18.", "18"],
    ["#### 18 and \\boxed{3}", "18"],
    // a heading of the fourth level is none
    ["#### 1. Add\n2 + 2 = 4\n#### 2. Answer\nIt is 4.", "4"],
    ["#### Step 3\nThe answer is 9", "9"],
    // in the last box
    ["Of 30, \\boxed{18} remain, after 2 steps", "18"],
    ["\\boxed{3} no, \\boxed{4}, from 5", "4"],
    ["\\boxed{\\text{about } \\$1{,}250.00} of 7", "1250"],
    ["\\boxed{-12\\,000}", "-12000"],
    ["Half: \\boxed{\\frac{1}{2}}", undefined],
    ["\\boxed{none} of 3", undefined],
    ["an open \\boxed{3 and 4", "4"],
    // the last one
    ["First 3, then 4.", "4"],
    ["It costs $1,234.", "1234"],
    ["It costs -$5.50", "-5.5"],
    ["It costs $-5.50", "-5.5"],
    ["It fell to \u221240 degrees", "-40"],
    ["That is 10-4", "4"],
    ["(2)-3", "3"],
    ["x = -3", "-3"],
    ["80%", "80"],
    ["12, 15, 18", "18"],
    ["1,234,567.0100 euros", "1234567.01"],
    ["1,23", "23"],
    ["007", "7"],
    ["-0.00", "0"],
    ["0.50", "0.5"],
    [".5 litres", "0.5"],
    ["1.5e3", "1500"],
    ["2.5E-3 grams", "0.0025"],
    ["1e+21", "1000000000000000000000"],
    ["12345678901234567890.10", "12345678901234567890.1"],
    ["\u20ac 7", "7"],
    ["I do not know.", undefined],
    ["", undefined]
  ])("of %j is %s", (answer, expected) => {
    assert.strictEqual(finalNumber(answer), expected)
  })

  it("is the same for every way to write a decimal", () => {
    const whole = FastCheck.bigInt(0n, 10n ** 20n)
    const fraction = FastCheck.stringMatching(/^\d{0,6}$/)
    FastCheck.assert(
      FastCheck.property(whole, fraction, FastCheck.boolean(), (whole, fraction, negative) => {
        const decimals = fraction === "" ? "" : `.${fraction}`
        const plain = `${negative ? "-" : ""}${whole}${decimals}`
        const grouped = `${negative ? "-" : ""}$${whole.toLocaleString("en")}${decimals}${fraction === "" ? "" : "00"}`
        const found = finalNumber(`It is ${plain}`)
        assert.strictEqual(found, finalNumber(`#### ${grouped}`))
        assert.strictEqual(Number(found), Number(plain) + 0)
        assert.strictEqual(finalNumber(found ?? ""), found)
      })
    )
  })
})
