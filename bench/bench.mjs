/**
 * Measures how near the machine's limit the program runs: `npm run bench`. Each figure is a ratio against a yardstick in
 * the same run, beside the goal that it has to reach; yardsticks have no code of the project, and write the same bytes.
 *
 * - `--small` shows within a minute that it works: its figures mean nothing,
 * - `--only NAME` takes one row (several times: several), `--rounds N` another number of rounds than 5,
 * - `--huge` takes ten million rows where memory is measured: half an hour, and 25 GB of disk,
 * - `--folder DIR` puts the data somewhere else than the system's temporary folder.
 *
 * Everything is measured through `dist/`, in processes of their own, in turns with its yardstick.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, cpus, loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { seconds } from "./harness/figures.mjs"
import { executable } from "./harness/programs.mjs"
import { table } from "./harness/table.mjs"
import { build } from "./row/build.mjs"
import { help } from "./row/help.mjs"
import { interrupts } from "./row/interrupt.mjs"
import { journal } from "./row/journal.mjs"
import { looks } from "./row/looks.mjs"
import { memory } from "./row/memory.mjs"
import { normaliseChat, normaliseResponses } from "./row/normalise.mjs"
import { wholeRun } from "./row/run.mjs"
import { uploads } from "./row/upload.mjs"

/** @type {ReadonlyArray<import("./harness/stage.mjs").Row>} */
const rows = [normaliseResponses, normaliseChat, build, wholeRun, memory, uploads, help, looks, journal, interrupts]

const { values } = parseArgs({
  options: {
    small: { type: "boolean", default: false },
    huge: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    rounds: { type: "string" },
    folder: { type: "string", default: tmpdir() }
  }
})

const rounds = Number(values.rounds ?? (values.small ? 1 : 5))
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new Error("--rounds is a whole number above 0, such as 5")
const unknown = values.only.find((name) => rows.every((row) => row.name !== name))
if (unknown !== undefined) {
  throw new Error(`--only ${unknown}: the rows are ${rows.map(({ name }) => name).join(", ")}`)
}
if (!existsSync(executable)) throw new Error("There is no dist/: npm run build")

const folder = mkdtempSync(join(values.folder, "llm-batch-bench-"))
// A program that was just killed may still be writing.
process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }))
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1))

const load = () => loadavg().map((one) => one.toFixed(1)).join(", ")
const stage = { folder, rounds, small: values.small, huge: values.huge }
const before = load()
/** @type {Array<import("./harness/table.mjs").Figure>} */
const figures = []
for (const row of rows) {
  if (values.only.length > 0 && !values.only.includes(row.name)) continue
  const began = performance.now()
  for (const figure of await row.measure(stage)) {
    // What a small measurement gives says nothing about the goal.
    figures.push(stage.small ? { ...figure, met: null } : figure)
    console.error(`${row.name}: ${figure.work}: ${figure.measured} (goal ${figure.goal})`)
  }
  console.error(`${row.name}: measured in ${seconds(performance.now() - began)}`)
}
const processor = cpus()[0]?.model ?? "an unknown processor"
console.log(table(figures))
console.log(
  `\nNode ${process.versions.node}, ${availableParallelism()} of ${processor}; medians of ${rounds}; load ${before} at the`
)
console.log(`beginning, ${load()} at the end.`)
