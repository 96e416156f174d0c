/**
 * What holds the thread, as no interrupt is heard meanwhile: on a disk that can sync while others go on, no file that may be
 * large is synced in any other way.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Pipeline, type RunOptions } from "llm-batch/Pipeline"
import { RequestDefaults } from "llm-batch/Request"
import * as Source from "llm-batch/Source"
import type { Service } from "../../src/internal/Disk.js"
import * as World from "../World.js"

const defaults = new RequestDefaults({ model: "m" })

/** A disk that syncs files while others go on, and notes which it had to sync at once, and which beside. */
const noting = () => {
  const atOnce = new Set<string>()
  const beside = new Set<string>()
  const wrapDisk = (disk: Service): Service => ({
    ...disk,
    open: (path, mode) => {
      const handle = disk.open(path, mode)
      return {
        ...handle,
        sync: () => {
          atOnce.add(path)
          handle.sync()
        },
        syncBeside: (done) => {
          beside.add(path)
          setImmediate(() => {
            handle.sync()
            done(null)
          })
        }
      }
    }
  })
  return { atOnce, beside, wrapDisk }
}

/** Small, however many rows there are. */
const small = ["config.yaml.tmp", "journal.jsonl", "manifest.json.tmp"].map((name) => `${World.directory}/${name}`)

const rows = Source.fromRows(["one", "two", "one", "three"].map((prompt, at) => ({ id: `q${at}`, prompt })))

const cases: ReadonlyArray<readonly [title: string, options: RunOptions, files: ReadonlyArray<string>]> = [
  ["a batch", { dedupe: true, cacheDirectory: "/answers" }, [
    "batch_inputs/test/0001.jsonl",
    "rows/0001.jsonl",
    "raw/test/0001.jsonl.tmp",
    "raw/test/0002.jsonl.tmp",
    "parts/0001.jsonl.tmp",
    "results.jsonl.tmp",
    "failures.jsonl.tmp"
  ]],
  ["requests of their own", { mode: "sync" }, ["raw/test/0001.jsonl", "results.jsonl.tmp"]]
]

describe("a run", () => {
  for (const [title, options, files] of cases) {
    it.effect(`by ${title} makes what may be large durable beside the thread`, () =>
      Effect.gen(function*() {
        const { atOnce, beside, wrapDisk } = noting()
        const world = yield* World.make({ wrapDisk })
        yield* world.simulate(
          Effect.flatMap(
            Pipeline,
            (pipeline) => pipeline.run(rows, { defaults, directory: World.directory, ...options })
          )
        )
        assert.deepStrictEqual([...atOnce].filter((path) => !small.includes(path)), [])
        for (const file of files) assert.include([...beside], `${World.directory}/${file}`)
        if (options.cacheDirectory !== undefined) {
          assert.lengthOf([...beside].filter((path) => path.startsWith("/answers/")), 1)
        }
      }))
  }
})
