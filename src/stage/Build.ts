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
import { createHash } from "node:crypto"
import { crc32 } from "node:zlib"
import * as AnswerSchema from "../AnswerSchema.js"
import type { BuildOptions } from "../BuildOptions.js"
import * as Cost from "../Cost.js"
import { InputError } from "../InputError.js"
import { blockLoop, inPieces } from "../internal/BlockLoop.js"
import * as CachedAnswers from "../internal/CachedAnswers.js"
import * as Disk from "../internal/Disk.js"
import * as DuplicateIds from "../internal/DuplicateIds.js"
import { InputRows } from "../internal/InputRows.js"
import * as RowRecord from "../internal/RowRecord.js"
import { RowReuse } from "../internal/RowReuse.js"
import { ShardBuilder } from "../internal/ShardBuilder.js"
import type { SentMode } from "../Mode.js"
import * as ProviderContract from "../Provider.js"
import type { Request } from "../Request.js"
import * as RowReader from "../RowReader.js"
import * as RunDirectory from "../RunDirectory.js"
import { type DiskError, RunRejected, ShardChanged } from "../RunError.js"
import { type Listener, Progress } from "../RunEvent.js"
import { countByIds, Shard } from "../Shard.js"
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
  notices: Schema.Array(Schema.String),
  /** What was read of the input, decompressed: how much, and its SHA-256 in hex. */
  input: Schema.Struct({ bytes: Schema.Int, sha256: Schema.String })
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
   * Rows that need not be sent (`dedupe`, `cacheDirectory`) are laid into shards of their own.
   */
  readonly build: (
    source: Source,
    location: RunLocation,
    options: BuildOptions
  ) => Effect.Effect<Built, InputError | DiskError>

  /**
   * Builds further shards of rows that were asked before, out of what the run directory keeps of them. The new shards
   * name those that they come from as their parents. No rows give no shards.
   */
  readonly rebuild: (
    again: Rebuild,
    location: RunLocation,
    options: BuildOptions
  ) => Effect.Effect<ReadonlyArray<Shard>, InputError | RunRejected | ShardChanged | DiskError>
}

/**
 * Which rows are asked again, and what is asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rebuild {
  /** All shards that the run has. */
  readonly shards: ReadonlyArray<Shard>
  /** How many rows the run has. */
  readonly rows: number
  /** Whether a row of the input is asked again. Called for each row in turn. */
  readonly selects: (row: number) => boolean
  /** What to ask this time, from what was asked first; `undefined` for nothing. Called for each row that is selected. */
  readonly revise: (request: Request) => Request | undefined
  /** 2 for the first time that rows are asked again. */
  readonly attempt: number
  /** Through which API they are asked. */
  readonly mode: SentMode
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
  // An interrupt must not be what is kept of it.
  const ownModels = yield* Effect.cached(Effect.uninterruptible(Cost.ownCatalogue(yield* Cost.PriceSource)))

  /** Names what the row path throws; anything else is a bug, and dies. */
  const toError = (directory: string) => (error: unknown) =>
    error instanceof InputError ? error : Disk.toDiskError("build shards", directory, error)

  const attempt = <A>(directory: string, work: () => A): Effect.Effect<A, InputError | DiskError> =>
    Effect.try({ try: work, catch: toError(directory) })

  /** The shards, when all of them are durable. */
  const finish = (builder: ShardBuilder, directory: string) =>
    attempt(directory, () => builder.finish()).pipe(
      Effect.zipRight(builder.syncs.wait(directory)),
      Effect.zipRight(attempt(directory, () => builder.keep()))
    )

  /** Where rows go that do not say so themselves. */
  const endpointOf = (options: BuildOptions) => options.endpoint ?? provider.endpoints[0]

  const openBuilder = Effect.fn(function*({ attempt: count, location, mode, name, options, shardsBefore, tell }: {
    readonly name: string
    readonly location: RunLocation
    readonly options: BuildOptions
    readonly attempt: number
    readonly mode: SentMode
    readonly shardsBefore: number
    readonly tell: Listener["tell"]
  }) {
    const { directory, runTag } = location
    const { answerName, answerSchema } = options
    const answer = answerSchema === undefined
      ? undefined
      : yield* AnswerSchema.fromJson(answerSchema, { name: answerName, source: "the schema of answers" })
    const { cacheDirectory, dedupe } = options
    const cache = cacheDirectory === undefined
      ? undefined
      : yield* Effect.catchTag(CachedAnswers.make(cacheDirectory, provider.decode), "DiskError", (error) =>
        // Of a run that has begun the cache is nobody's result: its rows are asked without it.
        count === 1 ? Effect.fail(error) : Effect.map(Progress, ({ tell }) => {
          tell({ _tag: "Notice", text: `the cache is left out: ${error.message}` })
          return undefined
        }))
    const known = yield* ownModels
    const builder = yield* Effect.acquireRelease(
      attempt(directory, () =>
        new ShardBuilder({
          disk,
          provider,
          tell,
          source: name,
          directory,
          runTag,
          endpoint: endpointOf(options),
          onlyEndpoint: options.endpoint !== undefined,
          drop: options.drop,
          allowUnknownModel: options.allowUnknownModel,
          ownModels: known,
          answer: answer?.format,
          reuse: dedupe || cache !== undefined ? new RowReuse(provider, { dedupe, cache }) : undefined,
          shardsBefore,
          attempt: count,
          mode,
          tryRows: count === 1 ? options.tryRows ?? 0 : 0,
          shardRows: options.shardRows ?? null,
          shardBytes: options.shardBytes ?? null
        })),
      (builder) => Effect.sync(() => builder.abandon())
    )
    const [unusable, ...others] = cache?.unusable ?? []
    if (unusable !== undefined) {
      const more = others.length === 0 ? "" : ` (and ${others.length} more)`
      builder.notice(`${cacheDirectory}/${unusable}${more} cannot be read, or holds no answers: it is left out`)
    }
    return builder
  })

  const build = Effect.fn("Build.build")(function*(source: Source, location: RunLocation, options: BuildOptions) {
    const { directory } = location
    const limit = options.limitItems ?? Number.POSITIVE_INFINITY

    const { tell } = yield* Progress
    const builder = yield* openBuilder({
      name: source.name,
      location,
      options,
      attempt: 1,
      mode: "batch",
      shardsBefore: 0,
      tell
    })
    const ids = yield* Effect.acquireRelease(
      attempt(directory, () => DuplicateIds.make(`${directory}/ids.tmp`, disk)),
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
        embedding: endpointOf(options).endsWith("/embeddings")
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
    const read = (work: () => void) => {
      try {
        work()
        return rows < limit
      } catch (error) {
        if (error === enough) return false
        throw error
      }
    }

    const hash = createHash("sha256")
    let bytes = 0
    // Not `runForEachWhile`: that one keeps every block until it ends.
    yield* source.blocks.pipe(
      Stream.tap((block) =>
        Effect.sync(() => {
          hash.update(block)
          bytes += block.length
        })
      ),
      Stream.takeUntilEffect((block) =>
        inPieces(block, (piece) => read(() => reader.push(piece)), toError(directory)).pipe(
          Effect.map((more) => !more),
          Effect.zipLeft(builder.syncs.room)
        )
      ),
      Stream.runDrain
    )
    if (rows < limit) yield* attempt(directory, () => read(() => reader.end()))
    let found: DuplicateIds.Duplicate | undefined
    const checking = ids.check()
    yield* blockLoop(() => {
      const step = checking.next()
      if (step.done === true) found = step.value
      return step.done !== true
    }, (error) => Disk.toDiskError("check ids", directory, error))
    if (found !== undefined) return yield* duplicate(found.id, found.secondLine, found.firstLine)
    const built = yield* finish(builder, directory)
    return new Built({ ...built, input: { bytes, sha256: hash.digest("hex") } })
  }, Effect.scoped)

  /** Fails when the records of a shard are not as they were built. */
  const checkRows = Effect.fn(function*(shard: Shard) {
    if (shard.rowsCrc32 === undefined) return
    const path = RunDirectory.rows(shard)
    let checksum = 0
    yield* Disk.forEachPiece(path, "read", (piece) => {
      checksum = crc32(piece, checksum)
    })
    if (checksum !== shard.rowsCrc32) {
      return yield* new ShardChanged({ path, shard: shard.id, problem: "its checksum differs" })
    }
  })

  const rebuild = Effect.fn("Build.rebuild")(function*(again: Rebuild, location: RunLocation, options: BuildOptions) {
    const { directory } = location
    const { tell } = yield* Progress
    const builder = yield* openBuilder({
      name: `${directory}/rows`,
      location,
      options,
      attempt: again.attempt,
      mode: again.mode,
      shardsBefore: countByIds(again.shards),
      // The rows of the run are as many as before.
      tell: (event) => {
        if (event._tag === "ShardBuilt") tell(event)
      }
    })
    // What is asked again is what was asked first: an edited record would be another question under the same id.
    for (const shard of again.shards) if (shard.attempt === 1) yield* checkRows(shard)
    const input = yield* Effect.acquireRelease(
      Effect.sync(() => new InputRows(disk, directory, again.shards)),
      (input) => Effect.sync(() => input.close())
    )
    let row = 0
    const toError = (error: unknown) =>
      error instanceof InputError || error instanceof ShardChanged || error instanceof RunRejected
        ? error
        : Disk.toDiskError("build shards", directory, error)
    yield* blockLoop(() => {
      if (row === again.rows) return false
      row++
      const { line, shard } = input.next()
      if (!again.selects(row)) return true
      const request = RowRecord.decode(line)
      if (request === undefined) {
        throw new ShardChanged({
          path: RunDirectory.rows(shard),
          shard: shard.id,
          problem: `the record of row ${row} is no request`
        })
      }
      const revised = again.revise(request)
      if (revised !== undefined) {
        // Who is asked something else gives another answer.
        const key = revised === request ? RowRecord.keyOf(line) ?? null : null
        builder.add(revised, shard.id, key)
      }
      return true
    }, toError)
    return (yield* finish(builder, directory)).shards
  }, Effect.scoped)

  return Build.of({ build, rebuild })
})

/**
 * The stage for the provider that is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Build, never, ProviderContract.Provider> = Layer.effect(Build, make)
