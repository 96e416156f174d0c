/**
 * The help of one command: what @effect/cli knows of it, on lines that a terminal can hold.
 */
import * as CliConfig from "@effect/cli/CliConfig"
import * as CommandDescriptor from "@effect/cli/CommandDescriptor"
import * as HelpDoc from "@effect/cli/HelpDoc"
import { syntaxOf } from "./Arguments.js"
import { withoutColor } from "./Failure.js"
import * as Help from "./Help.js"

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
const items = (document: HelpDoc.HelpDoc): ReadonlyArray<Help.Item> => {
  switch (document._tag) {
    case "Sequence":
      return [...items(document.left), ...items(document.right)]
    case "DescriptionList":
      return document.definitions.map(([name, about]) => [
        textOf(HelpDoc.p(name)).replaceAll(/^\(|\)$|[<>]|\.\.\.$| \d\+$/gu, ""),
        paragraphs(about)[1] ?? ""
      ])
    default:
      return []
  }
}

const config = CliConfig.make({ showBuiltIns: false, showTypes: false })

const help: Help.Item = ["-h, --help", "Shows this"]

/** The help of the command of this name. */
export const text = <A>(
  name: string,
  description: string,
  command: CommandDescriptor.Command<A>,
  color: boolean
): string => {
  const rows = items(CommandDescriptor.getHelp(command, config))
  const operands = rows.filter(([name]) => !name.startsWith("-"))
  const usage = syntaxOf(CommandDescriptor.getUsage(command)).operands.map(({ name, optional, repeatable }) =>
    `${optional ? `[${name}]` : name}${repeatable === true ? "..." : ""}`
  )
  return [
    `Usage: ${["llm-batch", name, ...usage].join(" ")} [FLAGS]`,
    "",
    `${description}.`,
    ...Help.section("Arguments", operands, color),
    ...Help.section("Flags", [...rows.filter(([name]) => name.startsWith("-")), help], color)
  ].join("\n")
}
