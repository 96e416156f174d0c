/**
 * The pipeline as the command line runs it: with the provider that was chosen, as patient as was asked for.
 */
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Cost from "../Cost.js"
import type { Ledger } from "../Ledger.js"
import * as Model from "../Model.js"
import * as Pipeline from "../Pipeline.js"
import type { Provider } from "../Provider.js"
import type { RunConfig } from "../RunConfig.js"
import * as Ask from "../stage/Ask.js"
import * as Normalize from "../stage/Normalize.js"
import * as Poll from "../stage/Poll.js"
import * as Submit from "../stage/Submit.js"
import type { Entry } from "./Providers.js"

const replaying = (directory: string) =>
  Layer.unwrapEffect(Effect.map(Effect.promise(() => import("../Replay.js")), (Replay) => Replay.layer(directory)))

/** The prices with a file of the user's own laid over them. */
const prices = (file: string) => Layer.succeed(Cost.PriceSource, { load: Model.loadFile(file) })

/** The pipeline for a provider, with what it stands on. */
export const layer = (
  provider: Entry,
  {
    max_concurrent_requests,
    max_wait,
    models_file,
    poll_interval,
    replay_dir,
    requests_per_minute,
    settle_time,
    tokens_per_minute,
    workers
  }: RunConfig
): Layer.Layer<Pipeline.Pipeline | Ledger | Provider | Submit.Submit, ConfigError.ConfigError> => {
  const asked = Layer.mergeAll(
    Ask.layerWith({
      concurrency: max_concurrent_requests,
      requestsPerMinute: requests_per_minute,
      tokensPerMinute: tokens_per_minute
    }),
    Poll.layerWith({
      maxWait: max_wait,
      schedule: poll_interval === undefined ? undefined : Poll.every(poll_interval)
    }),
    Submit.layerWith({ settleTime: settle_time }),
    Normalize.layerWith({ workers })
  )
  const stages = Layer.provideMerge(asked, Pipeline.layerStages)
  return Pipeline.layerComposed.pipe(
    Layer.provideMerge(replay_dir === undefined ? stages : Layer.provideMerge(replaying(replay_dir), stages)),
    Layer.provideMerge(models_file === undefined ? provider.layer : Layer.merge(provider.layer, prices(models_file)))
  )
}
