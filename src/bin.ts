#!/usr/bin/env node
/**
 * The executable `llm-batch`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cli from "./cli/Cli.js"
import { exitCode } from "./cli/Ending.js"

// Whoever reads may stop early, as `head` does: nobody needs to hear of it.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined)

// The first interrupt lets the run say what it leaves behind; the second does not wait for that.
let interrupts = 0
process.on("SIGINT", () => {
  interrupts++
  if (interrupts > 1) process.exit(exitCode.interrupted)
})

Cli.main(process.argv.slice(2)).pipe(
  Effect.provide(Cli.layer),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit) => {
      const code = Exit.isSuccess(exit) && typeof exit.value === "number" ? exit.value : exitCode.interrupted
      process.stdout.write("", () => process.exit(code))
    }
  })
)
