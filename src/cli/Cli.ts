/**
 * The command line: its commands, and how one of them is run, from the arguments to the exit code.
 */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as CommandDescriptor from "@effect/cli/CommandDescriptor"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as PlatformConfigProvider from "@effect/platform/PlatformConfigProvider"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import packageJson from "../../package.json" with { type: "json" }
import * as Arguments from "./Arguments.js"
import { build } from "./command/Build.js"
import { cancel } from "./command/Cancel.js"
import { clean } from "./command/Clean.js"
import { demo } from "./command/Demo.js"
import { emulator } from "./command/Emulator.js"
import { estimate } from "./command/Estimate.js"
import { list } from "./command/List.js"
import { models } from "./command/Models.js"
import { reconcile } from "./command/Reconcile.js"
import { results } from "./command/Results.js"
import { resume } from "./command/Resume.js"
import { retry } from "./command/Retry.js"
import { run } from "./command/Run.js"
import { fetch, normalize, poll, submit } from "./command/Stages.js"
import { status } from "./command/Status.js"
import { exitCode } from "./Ending.js"
import * as Failure from "./Failure.js"
import * as Help from "./Help.js"
import * as Output from "./Output.js"

const name = "llm-batch"

const commands = [
  run,
  estimate,
  resume,
  retry,
  status,
  results,
  list,
  models,
  cancel,
  reconcile,
  clean,
  build,
  submit,
  poll,
  fetch,
  normalize,
  emulator,
  demo
] as const

/** Commands that help does not list: they work in a checkout only. */
const hidden: ReadonlySet<string> = new Set(["demo"])

const root = Command.make(name).pipe(
  Command.withDescription("Sends many prompts through a provider's half-price batch API, and brings every answer back"),
  Command.withSubcommands(commands)
)

/** The commands by name, as help lists them. */
const byName: ReadonlyMap<string, CommandDescriptor.Command<unknown>> = new Map(
  commands.map(({ descriptor }): CommandDescriptor.Command<unknown> => descriptor).flatMap((descriptor) =>
    [...CommandDescriptor.getNames(descriptor)].map((name) => [name, descriptor] as const)
  )
)

const listed = [...byName].filter(([name]) => !hidden.has(name))

const syntax = new Map(
  [...byName].map(([name, command]) => [name, Arguments.syntaxOf(CommandDescriptor.getUsage(command))])
)

const parse = Command.run(root, { name, version: packageJson.version })

/** What @effect/cli says of a command line that it cannot parse is told by `Failure`, once. */
const silent = (console: Console.Console): Console.Console => ({ ...console, error: () => Effect.void })

/** Runs a command whose arguments are in order. */
const runCommand = Effect.fn(function*(args: ReadonlyArray<string>) {
  const { data, dataColor } = yield* Output.Output
  const [first, second] = args
  if (first === "--version") return yield* data(packageJson.version)
  if (first === "--help") return yield* data(Help.all(name, root.descriptor, listed, dataColor))
  const asked = first === undefined || second !== "--help" ? undefined : byName.get(first)
  if (asked !== undefined) return yield* data(Help.one(`${name} ${first}`, asked, dataColor))
  return yield* parse(["", "", ...args])
})

/** Tells a failure, and gives its exit code. */
const tell = Effect.fn(function*(cause: Cause.Cause<unknown>, json: boolean) {
  const output = yield* Output.Output
  const { code, message, type } = Failure.make(cause)
  yield* output.say(`error: ${message}`)
  if (json) yield* output.json({ error: { type, message } })
  return code
})

/** Runs the command that the arguments name, and gives its exit code; interrupted, it fails as interrupted. */
export const main = Effect.fn("cli.main")(function*(given: ReadonlyArray<string>) {
  const console = yield* Effect.console
  const flags = given.includes("--") ? given.slice(0, given.indexOf("--")) : given
  return yield* Arguments.normalize(given, syntax).pipe(
    Effect.flatMap(runCommand),
    Effect.withConsole(silent(console)),
    Effect.as(given.length === 0 ? exitCode.badInput : exitCode.answered),
    Effect.catchTag("Ending", ({ code }) => Effect.succeed(code)),
    Effect.catchAllCause((cause) =>
      Cause.isInterruptedOnly(cause) ? Effect.interrupt : tell(cause, flags.includes("--json"))
    )
  )
})

/** What the commands stand on. Keys may come from a `.env` file in the working directory, too. */
export const layer = Layer.mergeAll(
  Output.layer,
  CliConfig.layer({ isCaseSensitive: true, autoCorrectLimit: 0, showBuiltIns: false })
).pipe(
  Layer.provideMerge(PlatformConfigProvider.layerDotEnvAdd(".env")),
  Layer.provideMerge(NodeContext.layer)
)
