/**
 * The first stage: rows of a source become shards on disk, each the exact bytes of one batch.
 *
 * Every problem of the input is found here, before anything is sent.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { BuildOptions } from "../BuildOptions.js"
import { InputError } from "../InputError.js"
import { blockLoop } from "../internal/BlockLoop.js"
import * as Disk from "../internal/Disk.js"
import * as DuplicateIds from "../internal/DuplicateIds.js"
import { ShardBuilder } from "../internal/ShardBuilder.js"
import * as ProviderContract from "../Provider.js"
import * as RowReader from "../RowReader.js"
import type { DiskError } from "../RunError.js"
import { Progress } from "../RunEvent.js"
import { Shard } from "../Shard.js"
import type { Source } from "../Source.js"

/**
 * Where a run lives and what marks it on the wire.
 *
 * @since 0.1.0
 * @category models
 */
export class RunLocation extends Schema.Class<RunLocation>("llm-batch/RunLocation")({
  /** The run directory, absolute. */
  directory: Schema.String,
  runTag: Schema.String
}) {}

/**
 * What was built.
 *
 * @since 0.1.0
 * @category models
 */
export class Built extends Schema.Class<Built>("llm-batch/Built")({
  shards: Schema.Array(Shard),
  rows: Schema.Int,
  /** What the user should be told once. */
  notices: Schema.Array(Schema.String)
}) {}

/**
 * The interface of the stage.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Builds the shards of a source. The directory must exist. A failed build leaves files behind; they are not a run.
   */
  readonly build: (
    source: Source,
    location: RunLocation,
    options: BuildOptions
  ) => Effect.Effect<Built, InputError | DiskError>
}

/**
 * The stage that makes shards of rows.
 *
 * @since 0.1.0
 * @category tags
 */
export class Build extends Context.Tag("llm-batch/stage/Build")<Build, Service>() {}

/** Thrown by the row path when enough rows are built; never seen outside. */
const enough = new Error("Enough rows are built")

const make = Effect.gen(function*() {
  const disk = yield* Disk.Disk
  const provider = yield* ProviderContract.Provider

  const build = Effect.fn("Build.build")(function*(source: Source, location: RunLocation, options: BuildOptions) {
    const { tell } = yield* Progress
    const { directory, runTag } = location
    const endpoint = options.endpoint ?? provider.endpoints[0]
    const limit = options.limitItems ?? Number.POSITIVE_INFINITY

    /** Names what the row path throws; anything else is a bug, and dies. */
    const attempt = <A>(work: () => A): Effect.Effect<A, InputError | DiskError> =>
      Effect.try({
        try: work,
        catch: (error) => error instanceof InputError ? error : Disk.toDiskError("build shards", directory, error)
      })

    const builder = yield* Effect.acquireRelease(
      attempt(() =>
        new ShardBuilder({
          disk,
          provider,
          tell,
          source: source.name,
          directory,
          runTag,
          endpoint,
          onlyEndpoint: options.endpoint !== undefined,
          drop: options.drop,
          shardRows: options.shardRows ?? null,
          shardBytes: options.shardBytes ?? null
        })
      ),
      (builder) => Effect.sync(() => builder.abandon())
    )
    const ids = yield* Effect.acquireRelease(
      attempt(() => DuplicateIds.make(`${directory}/ids.tmp`, disk)),
      (ids) => Effect.sync(() => ids.close())
    )
    const duplicate = (id: string, line: number, firstLine: number) =>
      new InputError({
        source: source.name,
        line,
        field: "custom_id",
        problem: `the id ${JSON.stringify(id)} is that of line ${firstLine} too`,
        remedy: "Give every row an id of its own, or none: rows without one are numbered."
      })
    let rows = 0
    const reader = RowReader.make(
      source,
      {
        defaults: options.defaults,
        prompt: options.prompt ?? null,
        idColumn: options.idColumn ?? null,
        variables: options.variables,
        embedding: endpoint.endsWith("/embeddings")
      },
      (request) => {
        rows++
        const firstLine = ids.add(request.customId, request.line)
        if (firstLine !== undefined) throw duplicate(request.customId, request.line, firstLine)
        builder.add(request)
        // Before the reader looks at the next row: an error behind the limit is nobody's business.
        if (rows === limit) throw enough
      }
    )
    /** Whether there may be more rows to read. */
    const read = (work: () => void) =>
      attempt(() => {
        try {
          work()
          return rows < limit
        } catch (error) {
          if (error === enough) return false
          throw error
        }
      })

    // Not `runForEachWhile`: that one keeps every block until it ends.
    yield* source.blocks.pipe(
      Stream.takeUntilEffect((block) => Effect.map(read(() => reader.push(block)), (more) => !more)),
      Stream.runDrain
    )
    if (rows < limit) yield* read(() => reader.end())
    let found: DuplicateIds.Duplicate | undefined
    const checking = ids.check()
    yield* blockLoop(() => {
      const step = checking.next()
      if (step.done === true) found = step.value
      return step.done !== true
    }, (error) => Disk.toDiskError("check ids", directory, error))
    if (found !== undefined) return yield* duplicate(found.id, found.secondLine, found.firstLine)
    return new Built(yield* attempt(() => builder.finish()))
  }, Effect.scoped)

  return Build.of({ build })
})

/**
 * The stage for the provider that is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Build, never, ProviderContract.Provider> = Layer.effect(Build, make)
