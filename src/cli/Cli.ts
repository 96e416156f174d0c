/**
 * The command line, where it takes a command: how one is run, from the arguments to the exit code.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as PlatformConfigProvider from "@effect/platform/PlatformConfigProvider"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Arguments from "./Arguments.js"
import * as Commands from "./Commands.js"
import { exitCode } from "./ExitCode.js"
import * as Failure from "./Failure.js"
import * as Output from "./Output.js"

type Command = (typeof Commands.all)[number]

type Loaded = Awaited<ReturnType<Command["load"]>>

const load = (command: Command) => Effect.promise((): Promise<Loaded> => command.load())

/** Says what is wrong. That takes all commands: what is none may be nearly one, and a flag may be that of another. */
const refuse = Effect.fn(function*(given: ReadonlyArray<string>) {
  const commands = new Map<string, Arguments.Syntax>()
  for (const command of Commands.all) commands.set(command.name, (yield* load(command)).syntax)
  yield* Arguments.normalize(given, commands)
})

/** Runs the command that the arguments name. */
const run = Effect.fn(function*(given: ReadonlyArray<string>) {
  const named = Commands.named(given)
  if (named === undefined) return yield* refuse(given)
  const command = yield* load(named)
  const ordered = Arguments.normalize(given, new Map([[named.name, command.syntax]]))
  if (Either.isLeft(ordered)) return yield* refuse(given)
  const [, ...args] = ordered.right
  const { data, dataColor } = yield* Output.Output
  return yield* args[0] === "--help" ? data(command.help(dataColor)) : command.run(args)
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
  const flags = given.includes("--") ? given.slice(0, given.indexOf("--")) : given
  return yield* run(given).pipe(
    Effect.as(exitCode.answered),
    Effect.catchTag("Ending", ({ code }) => Effect.succeed(code)),
    Effect.catchAllCause((cause) =>
      Cause.isInterruptedOnly(cause) ? Effect.interrupt : tell(cause, flags.includes("--json"))
    )
  )
})

/** What the commands stand on. Keys may come from a `.env` file in the working directory, too. */
export const layer = Output.layer.pipe(
  Layer.provideMerge(PlatformConfigProvider.layerDotEnvAdd(".env")),
  Layer.provideMerge(NodeFileSystem.layer)
)
