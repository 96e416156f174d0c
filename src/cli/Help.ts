/**
 * The help of the command line: what @effect/cli knows of the commands, on lines that a terminal can hold.
 */
import * as CliConfig from "@effect/cli/CliConfig"
import type * as CommandDescriptor from "@effect/cli/CommandDescriptor"
import * as Descriptor from "@effect/cli/CommandDescriptor"
import * as HelpDoc from "@effect/cli/HelpDoc"
import { syntaxOf } from "./Arguments.js"
import { withoutColor } from "./Failure.js"

type Command = CommandDescriptor.Command<unknown>

/** Something with a name and what is to be said of it. */
type Item = readonly [name: string, description: string]

const textOf = (document: HelpDoc.HelpDoc): string => withoutColor(HelpDoc.toAnsiText(document)).trim()

const paragraphs = (document: HelpDoc.HelpDoc): ReadonlyArray<string> => {
  switch (document._tag) {
    case "Sequence":
      return [...paragraphs(document.left), ...paragraphs(document.right)]
    case "Paragraph":
      return [textOf(document)]
    default:
      return []
  }
}

/** Of the paragraphs about a flag, the first tells its type, the second is its description. */
const items = (document: HelpDoc.HelpDoc): ReadonlyArray<Item> => {
  switch (document._tag) {
    case "Sequence":
      return [...items(document.left), ...items(document.right)]
    case "DescriptionList":
      return document.definitions.map(([name, about]) => [
        textOf(HelpDoc.p(name)).replaceAll(/^\(|\)$|[<>]|\.\.\.$/gu, ""),
        paragraphs(about)[1] ?? ""
      ])
    default:
      return []
  }
}

const descriptionOf = (document: HelpDoc.HelpDoc): string => paragraphs(document)[0] ?? ""

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

const section = (title: string, rows: ReadonlyArray<Item>, color: boolean): ReadonlyArray<string> =>
  rows.length === 0 ? [] : ["", color ? `\u001b[1m${title}\u001b[0m` : title, ...list(rows)]

const help: Item = ["-h, --help", "Shows this"]

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
export const all = (name: string, root: Command, commands: Iterable<readonly [string, Command]>, color: boolean) =>
  [
    `${name}: ${descriptionOf(Descriptor.getHelp(root, config)).replace(/^./u, (first) => first.toLowerCase())}.`,
    "",
    `  ${name} run prompts.jsonl --model gpt-5-mini`,
    `  ${name} run messages.csv --model claude-haiku-4-5 --prompt 'Is this spam? {{text}}' --output answers.csv`,
    ...section(
      "Commands",
      [...commands].map(([name, command]) => [name, descriptionOf(Descriptor.getHelp(command, config))]),
      color
    ),
    ...section("Environment", variables, color),
    ...section("Exit codes", exitCodes, color),
    "",
    `${name} COMMAND --help tells the flags of a command.`
  ].join("\n")

/** The help of one command. */
export const one = (name: string, command: Command, color: boolean): string => {
  const document = Descriptor.getHelp(command, config)
  const rows = items(document)
  const operands = rows.filter(([name]) => !name.startsWith("-"))
  const usage = syntaxOf(Descriptor.getUsage(command)).operands.map(({ name, optional }) =>
    optional ? `[${name}]` : name
  )
  return [
    `Usage: ${[name, ...usage].join(" ")} [FLAGS]`,
    "",
    `${descriptionOf(document)}.`,
    ...section("Arguments", operands, color),
    ...section("Flags", [...rows.filter(([name]) => name.startsWith("-")), help], color)
  ].join("\n")
}

const config = CliConfig.make({ showBuiltIns: false, showTypes: false })
