/**
 * Runs seeded simulations: `npm run simulate -- --seeds 100000`. With `--seed S` it begins there, and runs that one only
 * unless `--seeds` says how many; `--trace` tells everything that happens. `--points` tries every point of the fixed
 * scenarios instead: a death and a fault at each operation and call, and each sync left out in turn. Ends with code 1
 * when something that must hold does not, and says how to see it again.
 */
import { build } from "esbuild"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const root = fileURLToPath(new URL("..", import.meta.url))

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    points: { type: "boolean", default: false }
  }
})
/**
 * @param {string} name
 * @param {string} text
 */
const whole = (name, text) => {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number >= 0) return number
  throw new Error(`--${name} is a whole number, such as 1000`)
}
const first = whole("seed", values.seed ?? "1")
const count = whole("seeds", values.seeds ?? (values.seed === undefined ? "1000" : "1"))

const workers = availableParallelism()

/** How many seeds a worker takes before another one takes its place: it needs some hundreds to come up to its speed. */
const portion = Math.max(1, Math.min(5_000, Math.ceil(count / workers)))

const folder = mkdtempSync(join(tmpdir(), "llm-batch-simulate-"))
const bundle = join(folder, "command.mjs")
const began = performance.now()
const totals = { runs: 0, compared: 0, processes: 0, operations: 0, calls: 0, days: 0 }
/** @type {Array<string>} */
const violations = []
let next = first

const say = () => {
  const seconds = (performance.now() - began) / 1_000
  const days = Math.round(totals.days).toLocaleString("en")
  console.log(
    `${totals.runs} simulations (${
      (totals.runs / seconds).toFixed(0)
    } a second), ${totals.compared} of them compared with `
      + `an undisturbed run; ${totals.processes} processes, ${totals.operations} disk operations, ${totals.calls} calls, `
      + `${days} simulated days; ${violations.length} violations`
  )
}

/** @param {ReadonlyArray<string>} args */
const start = (args) =>
  spawn(process.execPath, ["--enable-source-maps", "--max-semi-space-size=32", bundle, ...args], {
    stdio: ["ignore", "pipe", "inherit"]
  })

/**
 * @param {import("node:child_process").ChildProcess} child
 * @returns {Promise<number | null>}
 */
const endOf = (child) => new Promise((resolve) => child.on("exit", resolve))

/** Lets one process after the other take a portion of the seeds. */
const work = async () => {
  while (next < first + count) {
    const from = next
    const size = Math.min(portion, first + count - from)
    next += size
    const child = start([String(from), String(size), ...(values.trace ? ["--trace"] : [])])
    const ended = endOf(child)
    for await (const line of createInterface({ input: child.stdout })) {
      if (!line.startsWith("{\"run\":")) {
        console.log(line)
        continue
      }
      const { compared, run, violation } = JSON.parse(line)
      if (violation !== undefined) {
        violations.push(violation)
        console.error(violation)
        continue
      }
      totals.runs++
      if (compared) totals.compared++
      totals.processes += run.processes
      totals.operations += run.operations
      totals.calls += run.calls
      totals.days += run.took / 86_400_000
    }
    const code = await ended
    if (code !== 0) throw new Error(`A worker ended with code ${code}`)
  }
}

/**
 * Points tried, by what they are.
 *
 * @type {Map<string, number>}
 */
const points = new Map()

/**
 * Lets a process try one part of all points.
 *
 * @param {number} part
 */
const tryPoints = async (part) => {
  const child = start(["points", String(part), String(workers)])
  const ended = endOf(child)
  for await (const line of createInterface({ input: child.stdout })) {
    const { problems, tried, what } = JSON.parse(line).points
    points.set(what, (points.get(what) ?? 0) + tried)
    for (const problem of problems) {
      violations.push(problem)
      console.error(`${what}: ${problem}`)
    }
  }
  const code = await ended
  if (code !== 0) throw new Error(`A worker ended with code ${code}`)
}

try {
  await build({
    entryPoints: [join(root, "test/simulation/Command.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    outfile: bundle,
    sourcemap: true,
    logLevel: "warning",
    alias: { "llm-batch": join(root, "src") },
    banner: {
      js: "import { createRequire } from \"node:module\"; const require = createRequire(import.meta.url);"
    }
  })
  if (values.points) {
    await Promise.all(Array.from({ length: workers }, (_, part) => tryPoints(part)))
    const tried = [...points.values()].reduce((sum, one) => sum + one, 0)
    for (const [what, count] of points) console.log(`${what}: ${count}`)
    const seconds = ((performance.now() - began) / 1_000).toFixed(0)
    console.log(`${tried} points in ${seconds} s; ${violations.length} violations`)
    process.exitCode = violations.length > 0 ? 1 : 0
  } else {
    const progress = setInterval(say, 10_000)
    await Promise.all(Array.from({ length: Math.min(workers, Math.ceil(count / portion)) }, work))
    clearInterval(progress)
    say()
    process.exitCode = violations.length > 0 ? 1 : 0
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
