/**
 * The fifth stage: raw results become a part file, one record for each row of the shard, in row order, in one form
 * whichever provider they came from.
 *
 * Every row gets exactly one outcome. A line that cannot be read costs its own row and no other.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as NodePath from "node:path"
import type { AnswerCheck } from "../AnswerCheck.js"
import type { ArchiveRejected } from "../BatchError.js"
import * as Cost from "../Cost.js"
import type { InputError } from "../InputError.js"
import * as Disk from "../internal/Disk.js"
import { DurableDirectories } from "../internal/DurableDirectories.js"
import * as NormalizeWorkers from "../internal/NormalizeWorkers.js"
import * as PartWriter from "../internal/PartWriter.js"
import type * as Model from "../Model.js"
import { Provider } from "../Provider.js"
import type { RawResults } from "../RawResults.js"
import * as RunDirectory from "../RunDirectory.js"
import type { DiskError, ShardChanged } from "../RunError.js"
import { Progress } from "../RunEvent.js"
import { Shard } from "../Shard.js"
import * as Tally from "../Tally.js"

/**
 * The normalised results of one shard: a part file, how its rows ended, and what they cost.
 *
 * @since 0.1.0
 * @category models
 */
export class Part extends Schema.Class<Part>("llm-batch/Part")({
  shard: Shard,
  tally: Tally.Tally,
  /** What they cost. Refused, cut and invalid answers are in it, and failures that were charged. */
  bill: Cost.ShardBill
}) {}

/**
 * What can go wrong when results are normalised. A bad line is none of it: it is a row's outcome.
 *
 * @since 0.1.0
 * @category errors
 */
export type NormalizeError = ArchiveRejected | ShardChanged | DiskError

/**
 * The interface of the stage.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Writes `parts/<shard>.jsonl`. Safe to call again: equal raw results and an equal check give equal bytes.
   *
   * With a check, a row whose answer fails is `invalid`: its line keeps the answer, and says what is wrong with it. So
   * are rows whose answer was refused or cut short. Tool calls are not checked.
   *
   * The bill has the prices of `Cost.PriceSource`. Where they cannot be loaded, everything is of unknown price, and a
   * `Notice` says why.
   */
  readonly normalize: (raw: RawResults, check?: AnswerCheck) => Effect.Effect<Part, NormalizeError>

  /** How many shards are worth being normalised at a time; one where it is not said. */
  readonly atATime?: number
}

/**
 * The stage that normalises results.
 *
 * @since 0.1.0
 * @category tags
 */
export class Normalize extends Context.Tag("llm-batch/stage/Normalize")<Normalize, Service>() {}

/** A catalogue that knows no price. */
const unpriced: Model.Service = { models: [], find: () => ({ _tag: "Unknown" }) }

const tellUnpriced = (cause: Cause.Cause<InputError | DiskError>) =>
  Effect.map(Progress, ({ tell }) => {
    const why = Cause.prettyErrors(cause).map(({ message }) => message).join(" ")
    tell({
      _tag: "Notice",
      text: `What this costs is not known, since the prices of models could not be loaded: ${why}`
    })
    return unpriced
  })

/** In fewer bytes than these are results that one thread has read before another is ready. */
const worthAThread = 16 * (1 << 20)

const make = ({ workers: most = 0 }: Options) =>
  Effect.gen(function*() {
    const disk = yield* Disk.Disk
    const { decode } = yield* Provider
    const { load } = yield* Cost.PriceSource
    const directories = new DurableDirectories(disk)
    // Once for all shards. An interrupt must not be what is kept of it.
    const catalogue = yield* Effect.cached(Effect.uninterruptible(Effect.catchAllCause(load, tellUnpriced)))
    const workers = yield* NormalizeWorkers.make(decode, most)
    // It keeps one core busy, and needs its buffers: two at a time would only take turns.
    const here = yield* Effect.makeSemaphore(1)

    const write = Effect.fn(function*(raw: RawResults, check: AnswerCheck | undefined) {
      const { find } = yield* catalogue
      const inThisThread = PartWriter.write(raw, { decode, find }, check)
      // A check is a function of the caller's, which stays in its thread.
      const large = raw.files.reduce((sum, { bytes }) => sum + bytes, 0) >= worthAThread
      if (workers.count === 0 || check !== undefined || !large) return yield* here.withPermits(1)(inThisThread)
      const done = yield* here.withPermitsIfAvailable(1)(inThisThread)
      return Option.isSome(done) ? done.value : yield* workers.write(raw, find)
    })

    const normalize = Effect.fn("Normalize.normalize")(function*(raw: RawResults, check?: AnswerCheck) {
      const { shard } = raw.batch
      const path = RunDirectory.part(shard)
      const parts = NodePath.dirname(path)
      yield* Disk.attempt("make", parts, () => directories.make(parts, shard.directory))
      const { bill, tally } = yield* write(raw, check)
      yield* Disk.attempt("keep", path, () => {
        // Without any, its file goes away.
        if (!Tally.hasAnomalies(tally)) disk.remove(RunDirectory.partAnomalies(shard))
        disk.rename(PartWriter.partial(shard), path)
      })
      yield* Disk.syncDirectory(parts)
      return new Part({ shard, tally, bill })
    }, Effect.provideService(Disk.Disk, disk))

    return Normalize.of({ normalize, atATime: 1 + workers.count })
  })

/**
 * How shards are normalised.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * How many threads beside this one normalise large shards, which takes some 50 MB for each. None by default: memory is
   * to stay small.
   */
  readonly workers?: number | undefined
}

/**
 * The stage for the provider that is provided, with as many threads as are given.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<Normalize, never, Provider> =>
  Layer.scoped(Normalize, make(options))

/**
 * The stage for the provider that is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Normalize, never, Provider> = layerWith({})
