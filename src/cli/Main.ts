/**
 * The command line as a process: its interrupts, and its end.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cli from "./Cli.js"
import * as Commands from "./Commands.js"
import { exitCode } from "./ExitCode.js"

/** Does what the arguments say, and ends the process. */
export const start = async (args: ReadonlyArray<string>): Promise<void> => {
  // Nobody listens yet, so that an interrupt ends the process at once, and need not wait for modules to be evaluated.
  // What cannot be loaded is told when the command is run.
  await Promise.allSettled([Commands.named(args)?.load()])

  // The first interrupt lets the run say what it leaves behind; the second does not wait for that.
  let interrupts = 0
  process.on("SIGINT", () => {
    interrupts++
    if (interrupts > 1) process.exit(exitCode.interrupted)
    // At once, whatever has to end before the rest can be said. What a terminal shows above may be drawn anew: no line more.
    process.stderr.write(process.stderr.isTTY ? "\rStopping ...\r" : "Stopping ...\n")
  })

  Cli.main(args).pipe(
    Effect.provide(Cli.layer),
    NodeRuntime.runMain({
      disableErrorReporting: true,
      teardown: (exit) => {
        const code = Exit.isSuccess(exit) && typeof exit.value === "number" ? exit.value : exitCode.interrupted
        process.stdout.write("", () => process.exit(code))
      }
    })
  )
}
