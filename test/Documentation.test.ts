/** The examples of the documentation are programs: they are the files under `examples/`, or at least they compile. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

const root = Path.resolve(import.meta.dirname, "..")
const readme = Fs.readFileSync(Path.join(root, "README.md"), "utf8")

/** Fenced TypeScript in a Markdown text. */
const fenced = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/```ts\n([\s\S]*?)```/gu)].map((match) => match[1] ?? "")

/** Comment blocks of a source file, without their stars. */
const comments = (source: string): ReadonlyArray<string> =>
  [...source.matchAll(/\/\*\*([\s\S]*?)\*\//gu)].map((match) => (match[1] ?? "").replaceAll(/^[ \t]*\* ?/gmu, ""))

const sources = Fs.readdirSync(Path.join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .toSorted()

describe("the README's programs", () => {
  for (const name of ["pipeline.ts", "wrapped-stage.ts", "batch.ts", "promise.ts", "steps.ts", "expiry.test.ts"]) {
    it(`shows examples/${name} as it is`, () => {
      const program = Fs.readFileSync(Path.join(root, "examples", name), "utf8")
      assert.include(fenced(readme), program)
    })
  }
})

describe("examples in comments and in the README", () => {
  // Beside the project's own packages, so that they are found; never in the repository.
  const directory = Path.join(root, "node_modules", ".cache", "llm-batch-examples")
  afterAll(() => Fs.rmSync(directory, { recursive: true, force: true }))

  it("compile", { timeout: 120_000 }, () => {
    Fs.rmSync(directory, { recursive: true, force: true })
    Fs.mkdirSync(directory, { recursive: true })
    let count = 0
    const keep = (name: string, examples: ReadonlyArray<string>) => {
      for (const [index, example] of examples.entries()) {
        count++
        // Each is a module of its own, even one that imports nothing.
        Fs.writeFileSync(
          Path.join(directory, `${name.replaceAll(/[/.]/gu, "-")}-${index + 1}.ts`),
          `${example}\nexport {}\n`
        )
      }
    }
    for (const name of sources) {
      const texts = comments(Fs.readFileSync(Path.join(root, "src", name), "utf8"))
      for (const text of texts) {
        assert.isFalse(/@example\n(?!```ts\n)/u.test(text), `src/${name}: an example needs a fence: \`\`\`ts`)
      }
      keep(name, texts.flatMap(fenced))
    }
    keep("README.md", fenced(readme))
    assert.isAbove(count, 10)

    Fs.writeFileSync(
      Path.join(directory, "tsconfig.json"),
      JSON.stringify({
        extends: "../../../tsconfig.json",
        compilerOptions: {
          noUnusedLocals: false,
          plugins: [],
          paths: { "llm-batch": ["../../../src/index.ts"], "llm-batch/*": ["../../../src/*.ts"] }
        },
        include: ["*.ts"]
      })
    )
    const tsc = Path.join(root, "node_modules", "typescript", "bin", "tsc")
    try {
      execFileSync(process.execPath, [tsc, "-p", directory], { cwd: root, encoding: "utf8" })
    } catch (error) {
      assert.fail(error instanceof Error && "stdout" in error ? String(error.stdout) : String(error))
    }
  })
})
