#!/usr/bin/env node
/**
 * The executable `llm-batch`. What takes no command is answered at once; all the rest is loaded when it is needed, so
 * that the start is short: what is imported here, and what that imports, is light.
 */
import packageJson from "../package.json" with { type: "json" }
import * as Commands from "./cli/Commands.js"
import { exitCode } from "./cli/ExitCode.js"
import * as Help from "./cli/Help.js"
import * as Wish from "./cli/Wish.js"

// Whoever reads may stop early, as `head` does: nobody needs to hear of it.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined)

const args = process.argv.slice(2)
const wish = Wish.of(args)

if (wish === undefined) {
  const { start } = await import("./cli/Main.js")
  await start(args)
} else {
  const color = process.stdout.isTTY && process.stdout.hasColors()
  process.stdout.write(`${wish === "version" ? packageJson.version : Help.text(Commands.listed, color)}\n`)
  process.exitCode = args.length === 0 ? exitCode.badInput : exitCode.answered
}
