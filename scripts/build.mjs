/**
 * Builds `dist/`:
 *
 * - the library: a JavaScript file and its types for each module, but for the command line (tsc),
 * - the executable: `dist/bin.js`, and in `dist/bin/` the parts it loads on demand: a bundle that carries all its
 *   dependencies, so that it starts fast and never meets a second copy of `effect` (esbuild). The program of its threads
 *   lies among the parts, as that of the library's threads lies beside the module that starts them.
 *
 * A build that fails leaves the last good `dist/` where it was.
 */
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { bundle } from "./bundle.mjs"

process.chdir(fileURLToPath(new URL("..", import.meta.url)))
const project = "scripts/tsconfig.build.json"
const staging = `dist.${process.pid}`

/** Leaves the errors to tsc, which has printed them. */
const library = () => {
  const tsc = fileURLToPath(new URL("lib/tsc.js", import.meta.resolve("typescript/package.json")))
  const args = [tsc, "--project", project, "--outDir", staging]
  return spawnSync(process.execPath, args, { stdio: "inherit" }).status === 0
}

/**
 * The licences of the packages in the bundle, which ask to travel with every copy.
 *
 * @param {ReadonlyArray<string>} inputs the files that went into the bundle
 */
const licenses = (inputs) =>
  [...new Set(inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? []))]
    .toSorted()
    .map((folder) => {
      const { license, name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
      const texts = readdirSync(folder).filter((file) => /^licen[cs]e/i.test(file))
      return [`${name} ${version}: ${license}`, ...texts.map((file) => readFileSync(join(folder, file), "utf8"))]
    })
    .map((parts) => parts.join("\n\n"))
    .join(`\n${"-".repeat(80)}\n`)

const executable = async () => {
  const inputs = await bundle({ bin: "src/bin.ts", "bin/NormalizeWorker": "src/internal/NormalizeWorker.ts" }, staging)
  chmodSync(join(staging, "bin.js"), 0o755)
  writeFileSync(join(staging, "LICENSES.txt"), licenses(inputs))
}

try {
  if (library()) {
    await executable()
    if (existsSync("dist")) {
      renameSync("dist", `${staging}.old`)
    }
    renameSync(staging, "dist")
  } else {
    process.exitCode = 1
  }
} finally {
  rmSync(staging, { recursive: true, force: true })
  rmSync(`${staging}.old`, { recursive: true, force: true })
}
