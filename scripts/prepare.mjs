/**
 * Runs after `npm install` in a checkout and before `npm pack`; never where the packed package is installed.
 *
 * - Teaches `tsc` Effect's own diagnostics: floating effects, missing services and the like.
 * - Builds `dist/`.
 * - Links the executable, so that `npx llm-batch` works in the checkout: npm does this only for dependencies.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const teachDiagnostics = () => {
  const patch = ["node_modules/@effect/tsgo/dist/effect-tsgo.cjs", "patch", "--typescript"]
  const { status, stderr } = spawnSync(process.execPath, patch, { encoding: "utf8" })
  if (status !== 0) {
    console.warn(`prepare: tsc has no Effect diagnostics here, so npm test will fail: ${stderr.trim()}`)
  }
}

const link = () => {
  const path = "node_modules/.bin/llm-batch"
  mkdirSync("node_modules/.bin", { recursive: true })
  if (process.platform === "win32") {
    writeFileSync(`${path}.cmd`, `@node "%~dp0\\..\\..\\dist\\bin.js" %*\r\n`)
  } else {
    rmSync(path, { force: true })
    symlinkSync("../../dist/bin.js", path)
  }
}

process.chdir(fileURLToPath(new URL("..", import.meta.url)))
if (existsSync("node_modules/esbuild")) {
  teachDiagnostics()
  await import("./build.mjs")
  link()
} else {
  console.warn("prepare: nothing is built, because the development dependencies are not installed")
}
