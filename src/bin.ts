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
  // V8 lets garbage grow to several times what is in use before it collects it: of a run of 200,000 rows, that is a third
  // of its memory. A young generation that stays small, and a heap that is looked through when it has grown by half, cost
  // some hundredths of its time. Before anything else is loaded, since what has grown stays.
  const { setFlagsFromString } = await import("node:v8")
  for (const flag of ["--semi-space-growth-factor=1", "--heap-growing-percent=50"]) setFlagsFromString(flag)
  const { start } = await import("./cli/Main.js")
  await start(args)
} else {
  const color = process.stdout.isTTY && process.stdout.hasColors()
  process.stdout.write(`${wish === "version" ? packageJson.version : Help.text(Commands.listed, color)}\n`)
  process.exitCode = args.length === 0 ? exitCode.badInput : exitCode.answered
}
