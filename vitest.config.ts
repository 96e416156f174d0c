import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { DefaultReporter } from "vitest/reporters"

/** Ends the output with one plain line that a script can read; a file that could not be loaded counts as a failure. */
class Totals extends DefaultReporter {
  override onFinished(...run: Parameters<DefaultReporter["onFinished"]>): void {
    super.onFinished(...run)
    const modules = this.ctx.state.getTestModules()
    const count = (state: "passed" | "failed") =>
      modules.flatMap((module) => [...module.children.allTests(state)]).length
    const broken = modules.filter((module) => module.errors().length > 0).length + (run[1]?.length ?? 0)
    process.stdout.write(`${count("passed")} passed, ${count("failed") + broken} failed\n`)
  }
}

export default defineConfig({
  resolve: {
    alias: [
      { find: /^llm-batch$/, replacement: fileURLToPath(new URL("src/index.ts", import.meta.url)) },
      { find: /^llm-batch\/(.+)$/, replacement: fileURLToPath(new URL("src/$1.ts", import.meta.url)) }
    ]
  },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    // No test changes anything that another one sees, and to load all modules anew for each file takes a quarter of the time.
    isolate: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    maxWorkers: availableParallelism(),
    reporters: [new Totals()]
  }
})
