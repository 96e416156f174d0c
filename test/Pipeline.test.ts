import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Pipeline from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import * as World from "./World.js"

const defaults = new RequestDefaults({ model: "any" })

const run = (source: Source.Source, options: Pipeline.RunOptions = {}) =>
  Effect.flatMap(Pipeline.Pipeline, (pipeline) =>
    pipeline.run(source, { defaults, directory: World.directory, ...options }))

const numbered = (count: number) =>
  Source.fromRows(Array.from({ length: count }, (_, index) => ({ id: `id ${index + 1}`, prompt: `row ${index + 1}` })))

describe("a run", () => {
  for (let n = 0; n < 50; n++) {
  it.effect("goes through 100 shards " + n, () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      const report = yield* world.inProcess(run(numbered(100), { shardRows: 1 }), "2 hours")
      assert.strictEqual(report.tally?.succeeded, 100)
    }))
  }
})
