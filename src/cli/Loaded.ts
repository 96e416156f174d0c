/**
 * A command that is loaded: what may follow its name, its help, and how it is run.
 */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import type * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import packageJson from "../../package.json" with { type: "json" }
import * as Arguments from "./Arguments.js"
import * as CommandHelp from "./CommandHelp.js"

const layer = Layer.mergeAll(
  CliConfig.layer({ isCaseSensitive: true, autoCorrectLimit: 0, showBuiltIns: false }),
  NodePath.layer,
  NodeTerminal.layer
)

/** What @effect/cli says of a command line that it cannot parse is told by `Failure`, once. */
const silent = (console: Console.Console): Console.Console => ({ ...console, error: () => Effect.void })

/** Makes a command ready to be used. */
export const make = <Name extends string, R, E, A>(
  name: Name,
  description: string,
  command: Command.Command<Name, R, E, A>
) => {
  const run = Command.run(command, { name: "llm-batch", version: packageJson.version })
  return {
    syntax: Arguments.syntaxOf(Command.getUsage(command)),
    help: (color: boolean): string => CommandHelp.text(name, description, command.descriptor, color),
    /** Runs it with the arguments that follow its name, in the order that `Arguments` gives them. */
    run: (args: ReadonlyArray<string>) =>
      Effect.consoleWith((console) =>
        run(["", "", ...args]).pipe(Effect.withConsole(silent(console)), Effect.provide(layer))
      )
  }
}
