import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { Pipeline } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import type { Step } from "llm-batch/Step"
import * as World from "../World.js"

const run = (to: Step) =>
  Effect.flatMap(
    Pipeline,
    (pipeline) =>
      pipeline.run(Source.fromRows([{ id: "one", prompt: "1" }, { id: "two", prompt: "2" }]), {
        defaults: new RequestDefaults({ model: "m" }),
        directory: World.directory,
        shardRows: 1,
        steps: { from: "build", to }
      })
  )

const resume = Effect.flatMap(Pipeline, (pipeline) => pipeline.resume(World.directory))

const write = ({ memory }: World.World, path: string, text: string) => {
  const handle = memory.disk.open(`${World.directory}/${path}`, "write")
  const bytes = Buffer.from(text)
  handle.write(bytes, 0, bytes.length)
  handle.close()
}

const messageOf = <A, E extends { readonly message: string }>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.either(effect), (either) => Either.isLeft(either) ? either.left.message : "it went well")

/** What a run gives that nothing happens to. */
const undisturbed = Effect.gen(function*() {
  const world = yield* World.make()
  yield* world.simulate(run("normalize"))
  return { results: world.read("results.jsonl"), files: world.files() }
})

describe("a run directory", () => {
  it.effect("with stale .tmp files ends in the same bytes, without them", () =>
    Effect.gen(function*() {
      const expected = yield* undisturbed
      const world = yield* World.make()
      yield* world.simulate(run("submit"))
      for (const name of ["raw", "raw/test", "parts"]) world.memory.disk.makeDirectory(`${World.directory}/${name}`)
      const stale = [
        "manifest.json.tmp",
        "results.jsonl.tmp",
        "failures.jsonl.tmp",
        "raw/test/0001.jsonl.tmp",
        "parts/0001.jsonl.tmp",
        "parts/0001.jsonl.scratch"
      ]
      for (const path of stale) write(world, path, "half of wh")
      yield* world.simulate(resume)
      assert.strictEqual(world.read("results.jsonl"), expected.results)
      assert.deepStrictEqual(world.files(), expected.files)
    }))

  it.effect("with a zero-length manifest ends in the same bytes, with a whole one", () =>
    Effect.gen(function*() {
      const expected = yield* undisturbed
      const world = yield* World.make()
      yield* world.simulate(run("submit"))
      write(world, "manifest.json", "")
      yield* world.simulate(resume)
      assert.strictEqual(world.read("results.jsonl"), expected.results)
      assert.strictEqual(JSON.parse(world.read("manifest.json")).status, "finished")
    }))

  it.effect("with a shard that is missing, or was edited after the submit, keeps its batches and says what is wrong", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      yield* world.simulate(run("build"))
      const shard = world.read("batch_inputs/test/0001.jsonl")
      world.memory.disk.remove(`${World.directory}/batch_inputs/test/0001.jsonl`)
      assert.include(yield* messageOf(world.simulate(resume)), "/runs/one/batch_inputs/test/0001.jsonl")
      write(world, "batch_inputs/test/0001.jsonl", shard.replace("1", "2"))
      assert.include(yield* messageOf(world.simulate(resume)), "shard 0001 is not as it was built: its SHA-256 differs")
      // The other shard was sent meanwhile, once.
      assert.deepStrictEqual((yield* world.test.batches).map((batch) => batch.shard), ["0002"])
      write(world, "batch_inputs/test/0001.jsonl", shard)
      yield* world.simulate(resume)
      assert.deepStrictEqual((yield* world.test.batches).map((batch) => batch.shard), ["0002", "0001"])
      assert.strictEqual(world.read("results.jsonl"), (yield* undisturbed).results)
    }))

  it.effect("whose batch_inputs/ were edited after their batches were made ends in the same bytes: nobody reads them", () =>
    Effect.gen(function*() {
      const world = yield* World.make()
      yield* world.simulate(run("submit"))
      write(world, "batch_inputs/test/0001.jsonl", "{}\n")
      world.memory.disk.remove(`${World.directory}/batch_inputs/test/0002.jsonl`)
      yield* world.simulate(resume)
      assert.strictEqual(world.read("results.jsonl"), (yield* undisturbed).results)
    }))

  for (
    const [what, edit] of [
      ["another id", (text: string) => text.replace("\"one\"", "\"two\"")],
      ["another line", (text: string) => text.replace("\"line\":1", "\"line\":2")],
      ["another request", (text: string) => text.replace("\"m\"", "\"n\"")],
      ["a blank line more", (text: string) => `${text}\n`]
    ] as const
  ) {
    it.effect(`whose rows/ were edited after the submit, to hold ${what}, is refused: no answer gets to a wrong row`, () =>
      Effect.gen(function*() {
        const world = yield* World.make()
        yield* world.simulate(run("submit"))
        const rows = world.read("rows/0001.jsonl")
        write(world, "rows/0001.jsonl", edit(rows))
        const message = yield* messageOf(world.simulate(resume))
        assert.include(message, "/runs/one/rows/0001.jsonl: shard 0001 is not as it was built: ")
        assert.notInclude(world.files(), "results.jsonl")
        write(world, "rows/0001.jsonl", rows)
        yield* world.simulate(resume)
        assert.strictEqual(world.read("results.jsonl"), (yield* undisturbed).results)
        assert.lengthOf(yield* world.test.batches, 2)
      }))
  }
})
