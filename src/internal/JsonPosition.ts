/**
 * The place at which a text stops being JSON, and what is wrong there. For the row that `JSON.parse` refuses: its own
 * messages differ from version to version, and say little to those who have not written a parser.
 */

/** What is wrong with a text that is not JSON. */
export interface JsonProblem {
  /** Where, in UTF-16 units from 0. */
  readonly offset: number
  /** What is there. */
  readonly problem: string
  /** What would be right. */
  readonly remedy: string
  /** The text breaks off between two tokens of an object or a list, as the lines of an indented text do. */
  readonly unfinished: boolean
}

type Expected = "value" | "value or ]" | "key" | "key or }" | "colon" | "comma" | "end"

const isSpace = (code: number) => code === 32 || code === 9 || code === 10 || code === 13

const skipSpace = (text: string, from: number): number => {
  let at = from
  while (isSpace(text.charCodeAt(at))) at++
  return at
}

const named = new Map([
  ["\u00a0", "a no-break space"],
  ["\ufeff", "a byte order mark"],
  ["\u201c", "a typographic quote \u201c"],
  ["\u201d", "a typographic quote \u201d"],
  ["\u0000", "a NUL character"]
])

const show = (text: string, at: number): string => {
  const character = String.fromCodePoint(text.codePointAt(at) ?? 0)
  const name = named.get(character)
  if (name !== undefined) return name
  return character < " " || (character >= "\u007f" && character < "\u00a0")
    ? `a control character (U+${character.charCodeAt(0).toString(16).padStart(4, "0")})`
    : `unexpected character ${character}`
}

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const word = /[A-Za-z_$][\w$]*/y
const wordsOfOthers = new Set(["NaN", "Infinity", "undefined", "None", "True", "False", "nan", "inf", "nil"])

const matchAt = (pattern: RegExp, text: string, at: number): string | undefined => {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0]
}

const problemAt = (offset: number, problem: string, remedy: string): JsonProblem => ({
  offset,
  problem,
  remedy,
  unfinished: false
})

const insideString = "inside a string"

const breaksOff = (text: string, where: string): JsonProblem => ({
  offset: text.length,
  problem: `the line ends ${where}`,
  remedy: "Write each JSON object whole, on one line of its own.",
  unfinished: where !== insideString
})

/** The end of the string whose opening quote is at `from`, past its closing quote; or what is wrong with it. */
const scanString = (text: string, from: number): number | JsonProblem => {
  for (let at = from + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 34) return at + 1
    if (code < 32) {
      const escape = code === 9 ? "\\t" : `\\u${code.toString(16).padStart(4, "0")}`
      return problemAt(at, `${show(text, at)} inside a string`, `Write it as ${escape}.`)
    }
    if (code === 92) {
      at++
      if (at === text.length) break
      const escape = text.charAt(at)
      if (escape === "u") {
        if (!/^[\da-fA-F]{4}$/.test(text.slice(at + 1, at + 5))) {
          if (at + 5 > text.length) break
          return problemAt(at - 1, "\\u without four hexadecimal digits", "Write a backslash itself as \\\\.")
        }
        at += 4
      } else if (!"\"\\/bfnrt".includes(escape)) {
        return problemAt(at - 1, `the unknown escape \\${escape}`, "Write a backslash itself as \\\\.")
      }
    }
  }
  return breaksOff(text, insideString)
}

const wrongStart = (text: string, at: number, expected: Expected): JsonProblem => {
  const found = show(text, at)
  const character = text.charAt(at)
  if (character === "'" || character === "`" || named.get(character)?.startsWith("a typographic") === true) {
    return problemAt(at, found, "JSON strings take double quotes: \".")
  }
  if ((expected === "key" && character === "}") || (expected === "value" && character === "]")) {
    return problemAt(at, `${found} after a comma`, `Take away the comma before ${character}.`)
  }
  if (expected === "comma" || expected === "end") {
    return problemAt(
      at,
      `${found} after a complete value`,
      expected === "comma" ? "Put a comma between two members." : "Write one JSON object a line, and nothing after it."
    )
  }
  if (expected === "colon")
    return problemAt(at, `${found} where a colon should be`, "Write members as \"name\": value.")
  const name = matchAt(word, text, at)
  if (expected === "value" || expected === "value or ]") {
    return name === undefined
      ? problemAt(
        at,
        found,
        "A value is a string in double quotes, a number, true, false, null, an object or an array."
      )
      : problemAt(
        at,
        `the word ${name.slice(0, 40)}`,
        wordsOfOthers.has(name) ?
          "JSON has no such value: write null, true, false or a plain number."
          : "Put text in double quotes."
      )
  }
  return problemAt(at, name === undefined ? found : `the word ${name.slice(0, 40)}`, "Put names in double quotes.")
}

const insideOf = (stack: ReadonlyArray<string>): string =>
  stack.length === 0 ? "before a value" : stack[stack.length - 1] === "{" ? "inside an object" : "inside a list"

/** The first place at which a text is not JSON, or `undefined` where it is JSON, of whatever depth. */
export const locateProblem = (text: string): JsonProblem | undefined => {
  const open: Array<string> = []
  let expected: Expected = "value"
  let at = 0
  const afterValue = (): Expected => open.length === 0 ? "end" : "comma"
  for (;;) {
    at = skipSpace(text, at)
    if (at >= text.length) return expected === "end" ? undefined : breaksOff(text, insideOf(open))
    const character = text.charAt(at)
    if (expected === "value" || expected === "value or ]") {
      if (character === "\"") {
        const end = scanString(text, at)
        if (typeof end !== "number") return end
        at = end
        expected = afterValue()
      } else if (character === "{" || character === "[") {
        open.push(character)
        expected = character === "{" ? "key or }" : "value or ]"
        at++
      } else if (character === "]" && expected === "value or ]") {
        open.pop()
        expected = afterValue()
        at++
      } else {
        const literal = matchAt(number, text, at) ?? matchAt(word, text, at)
        if (literal === undefined || (/^[^-\d]/.test(literal) && !["true", "false", "null"].includes(literal))) {
          const rest = text.slice(at)
          return rest.length < 5 && ["true", "false", "null"].some((whole) => whole.startsWith(rest.trimEnd()))
            ? breaksOff(text, insideOf(open))
            : wrongStart(text, at, expected)
        }
        at += literal.length
        expected = afterValue()
      }
    } else if (expected === "key" || expected === "key or }") {
      if (character === "\"") {
        const end = scanString(text, at)
        if (typeof end !== "number") return end
        at = end
        expected = "colon"
      } else if (character === "}" && expected === "key or }") {
        open.pop()
        expected = afterValue()
        at++
      } else {
        return wrongStart(text, at, expected)
      }
    } else if (expected === "colon" && character === ":") {
      expected = "value"
      at++
    } else if (expected === "comma" && character === ",") {
      expected = open[open.length - 1] === "{" ? "key" : "value"
      at++
    } else if (expected === "comma" && character === (open[open.length - 1] === "{" ? "}" : "]")) {
      open.pop()
      expected = afterValue()
      at++
    } else {
      return wrongStart(text, at, expected)
    }
  }
}
