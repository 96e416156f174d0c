/**
 * The type check is taught Effect's own diagnostics by a patch that `npm install` applies. Nothing would be seen if it
 * did not: so this asks `tsc`, with this project's settings, about a file that is wrong in ways only they can see.
 */
import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

const wrong = `
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

class Service extends Context.Tag("Service")<Service, { readonly id: string }>() {}

export const program = Effect.gen(function*() {
  Effect.log("forgotten")
  yield* Effect.fail("no return")
})
export const infallible: Effect.Effect<unknown> = Effect.fail("unseen")
export const complete: Effect.Effect<unknown> = Service.pipe(Effect.asVoid)
`

const check = (source: string) => {
  const folder = Fs.realpathSync(Fs.mkdtempSync(Path.join(tmpdir(), "llm-batch-diagnostics-")))
  try {
    Fs.symlinkSync(Path.join(root, "node_modules"), Path.join(folder, "node_modules"), "junction")
    Fs.writeFileSync(Path.join(folder, "index.ts"), source)
    Fs.writeFileSync(
      Path.join(folder, "tsconfig.json"),
      JSON.stringify({ extends: Path.join(root, "tsconfig.json"), include: ["index.ts"] })
    )
    const tsc = Path.join(root, "node_modules", "typescript", "lib", "tsc.js")
    const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", folder], { cwd: folder, encoding: "utf8" })
    return { passed: status === 0, rules: [...stdout.matchAll(/effect\((\w+)\)/g)].map(([, rule]) => rule) }
  } finally {
    Fs.rmSync(folder, { recursive: true, force: true })
  }
}

it("tsc fails on what is wrong with an effect (if not: npm run prepare)", () => {
  assert.deepStrictEqual(check(wrong), {
    passed: false,
    rules: ["floatingEffect", "missingReturnYieldStar", "missingEffectError", "missingEffectContext"]
  })
})

it("and passes what is right", () => {
  assert.deepStrictEqual(check("export {}"), { passed: true, rules: [] })
})
