/**
 * Brings the command line into the one order that @effect/cli takes without surprises: the command, its flags in their
 * long form, each followed by its value, then `--` and what is no flag. What cannot be understood is refused here, with
 * the name that was probably meant.
 *
 * Which flags a command has is told by its usage, so that there is one description of them.
 */
import type * as Usage from "@effect/cli/Usage"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { nearestName } from "../internal/NearestName.js"
import { UsageError } from "./UsageError.js"
import * as Wish from "./Wish.js"

/** A flag of a command. */
interface Flag {
  /** The long name first: `--provider`, `--backend`. */
  readonly names: ReadonlyArray<string>
  /** Whether a value follows it. */
  readonly takesValue: boolean
  readonly repeatable: boolean
}

/** What may follow the name of a command. */
export interface Syntax {
  readonly flags: ReadonlyArray<Flag>
  /** The names of what is no flag: `RUN_DIR`. */
  readonly operands: ReadonlyArray<{
    readonly name: string
    readonly optional: boolean
    /** There may be more of the last one. */
    readonly repeatable?: boolean
  }>
}

/** The syntax of a command, from its usage. */
export const syntaxOf = (usage: Usage.Usage): Syntax => {
  const flags: Array<Flag> = []
  const operands: Array<Syntax["operands"][number]> = []
  const walk = (usage: Usage.Usage, optional: boolean, repeatable: boolean): void => {
    switch (usage._tag) {
      case "Named": {
        const names = usage.names.toSorted((one, other) =>
          Number(other.startsWith("--")) - Number(one.startsWith("--"))
        )
        const [name] = names
        if (name?.startsWith("-") === true) {
          flags.push({ names, takesValue: Option.isSome(usage.acceptedValues), repeatable })
        } else if (name?.startsWith("<") === true) {
          operands.push({ name: name.slice(1, -1), optional, ...(repeatable ? { repeatable } : undefined) })
        }
        return
      }
      case "Optional":
        return walk(usage.usage, true, repeatable)
      case "Repeated":
        return walk(usage.usage, optional, true)
      case "Alternation":
      case "Concat":
        walk(usage.left, optional, repeatable)
        return walk(usage.right, optional, repeatable)
      case "Empty":
      case "Mixed":
    }
  }
  walk(usage, false, false)
  return { flags, operands }
}

const refuse = (message: string) => Either.left(new UsageError({ message }))

const meant = (name: string, candidates: Iterable<string>): string => {
  const near = nearestName(name, candidates)
  return near === undefined ? "" : ` Did you mean ${near}?`
}

/** Whether what stands where a value is expected is a flag, the value having been forgotten. */
const isFlag = (text: string, syntax: Syntax): boolean => {
  const [name = ""] = text.split("=", 1)
  return Wish.help.includes(name) || syntax.flags.some((flag) => flag.names.includes(name))
}

/** Puts the arguments that follow a command's name in order. */
const arrange = (
  command: string,
  given: ReadonlyArray<string>,
  syntax: Syntax,
  commands: ReadonlyMap<string, Syntax>
): Either.Either<ReadonlyArray<string>, UsageError> => {
  const flags: Array<string> = []
  const operands: Array<string> = []
  const seen = new Set<Flag>()

  const unknown = (name: string) => {
    const near = meant(name, syntax.flags.flatMap((flag) => flag.names))
    const owner = [...commands].find(([, other]) => other.flags.some((flag) => flag.names.includes(name)))?.[0]
    if (near === "" && owner !== undefined) {
      return refuse(`llm-batch ${command} has no ${name}: that is a flag of llm-batch ${owner}.`)
    }
    return refuse(
      `llm-batch ${command} has no flag ${name}.${near === "" ? ` See llm-batch ${command} --help.` : near}`
    )
  }

  for (let at = 0; at < given.length; at++) {
    const argument = given[at] ?? ""
    if (argument === "--") {
      operands.push(...given.slice(at + 1))
      break
    }
    if (!argument.startsWith("-") || argument === "-") {
      operands.push(argument)
      continue
    }
    if (Wish.help.includes(argument)) return Either.right([command, "--help"])
    const equals = argument.indexOf("=")
    const written = equals === -1 ? argument : argument.slice(0, equals)
    const flag = syntax.flags.find(({ names }) => names.includes(written))
    if (flag === undefined) return unknown(written)
    if (seen.has(flag) && !flag.repeatable) {
      return refuse(`${written} is given twice, and takes one value. Give it once.`)
    }
    seen.add(flag)
    const name = flag.names[0] ?? written
    let value = equals === -1 ? undefined : argument.slice(equals + 1)
    if (!flag.takesValue) {
      if (value !== undefined && value !== "true" && value !== "false") {
        return refuse(`${written} takes no value, and was given ${JSON.stringify(value)}.`)
      }
      if (value !== "false") flags.push(name)
      continue
    }
    if (value === undefined) {
      const next = given[at + 1]
      if (next === undefined || next === "--" || isFlag(next, syntax)) {
        return refuse(
          `${written} needs a value${next === undefined ? "." : `: write ${written}=VALUE when it begins with a dash.`}`
        )
      }
      value = next
      at++
    }
    // A lone "--" would end the flags.
    flags.push(...(value === "--" ? [`${name}=--`] : [name, value]))
  }

  const missing = syntax.operands.slice(operands.length).find((operand) => !operand.optional)
  if (missing !== undefined) {
    return refuse(`llm-batch ${command} needs ${missing.name}. See llm-batch ${command} --help.`)
  }
  const excess = operands[syntax.operands.length]
  if (excess !== undefined && syntax.operands.at(-1)?.repeatable !== true) {
    const names = syntax.operands.map((operand) => operand.name).join(" ")
    return refuse(
      `${JSON.stringify(excess)} is one too many: llm-batch ${command} takes ${names === "" ? "flags only" : names}. `
        + "Put quotes around what has spaces."
    )
  }
  const empty = operands.indexOf("")
  if (empty !== -1) return refuse(`${syntax.operands[empty]?.name ?? "An argument"} is empty.`)
  return Either.right([command, ...flags, "--", ...operands])
}

/**
 * The arguments in order. `given` is what follows the executable's name; the result begins with a command, or is
 * `--help` or `--version` alone.
 */
export const normalize = (
  given: ReadonlyArray<string>,
  commands: ReadonlyMap<string, Syntax>
): Either.Either<ReadonlyArray<string>, UsageError> => {
  const wish = Wish.of(given)
  if (wish !== undefined) return Either.right([`--${wish}`])
  const [first = "", ...rest] = given
  if (first === "help") return normalize([...rest.slice(0, 1), "--help"], commands)
  const syntax = commands.get(first)
  if (syntax !== undefined) return arrange(first, rest, syntax, commands)
  if (first.startsWith("-")) {
    const command = rest.find((argument) => commands.has(argument)) ?? "run"
    return refuse(`The command comes first: llm-batch ${command} ${first} ... See llm-batch --help.`)
  }
  const near = meant(first, commands.keys())
  return refuse(`There is no command ${JSON.stringify(first)}.${near === "" ? " See llm-batch --help." : near}`)
}
