/**
 * The help of the command line as a whole, and how help is laid out, on lines that a terminal can hold.
 */

/** Something with a name and what is to be said of it. */
export type Item = readonly [name: string, description: string]

const width = 100

/** A text in lines of at most so many characters. */
const wrap = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === "" ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}

const list = (rows: ReadonlyArray<Item>): ReadonlyArray<string> => {
  const indent = Math.min(32, Math.max(...rows.map(([name]) => name.length)) + 4)
  return rows.flatMap(([name, about]) => {
    const [first = "", ...rest] = wrap(about, width - indent)
    const head = `  ${name}`
    const lines = head.length + 2 > indent
      ? [head, `${" ".repeat(indent)}${first}`]
      : [`${head.padEnd(indent)}${first}`]
    return [...lines, ...rest.map((line) => `${" ".repeat(indent)}${line}`)]
  })
}

/** Items below a title; nothing where there are none. */
export const section = (title: string, rows: ReadonlyArray<Item>, color: boolean): ReadonlyArray<string> =>
  rows.length === 0 ? [] : ["", color ? `\u001b[1m${title}\u001b[0m` : title, ...list(rows)]

const exitCodes: ReadonlyArray<Item> = [
  ["0", "Every row is answered, or what was asked for is done"],
  ["1", "It failed"],
  ["2", "The usage, the input or the configuration is wrong; nothing was sent"],
  ["3", "The run is finished, and some rows have no answer: failures.jsonl says why"],
  ["4", "Batches are still running"],
  ["130", "Interrupted: what still runs was told, and how to go on"]
]

const variables: ReadonlyArray<Item> = [
  ["OPENAI_API_KEY, ANTHROPIC_API_KEY", "Keys; from .env in the working directory, too"],
  ["OPENAI_BASE_URL, ANTHROPIC_BASE_URL", "Other servers that speak the same API"],
  ["HTTPS_PROXY, NO_PROXY", "The way through a proxy"],
  ["NO_COLOR", "No colours"]
]

/** The help of the whole command line. */
export const text = (
  commands: ReadonlyArray<{ readonly name: string; readonly description: string }>,
  color: boolean
): string =>
  [
    "llm-batch: sends many prompts through a provider's half-price batch API, and brings every answer back.",
    "",
    "  llm-batch run prompts.jsonl --model gpt-5-mini",
    "  llm-batch run messages.csv --model claude-haiku-4-5 --prompt 'Is this spam? {{text}}' --output answers.csv",
    ...section("Commands", commands.map(({ description, name }) => [name, description]), color),
    ...section("Environment", variables, color),
    ...section("Exit codes", exitCodes, color),
    "",
    "llm-batch COMMAND --help tells the flags of a command."
  ].join("\n")
