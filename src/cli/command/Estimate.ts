/**
 * `llm-batch estimate INPUT`: what a run would cost, before anything is built or sent. Needs no key and no network.
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { BuildOptions } from "../../BuildOptions.js"
import { Estimate } from "../../Estimate.js"
import * as Mode from "../../Mode.js"
import * as Model from "../../Model.js"
import { Provider } from "../../Provider.js"
import type { RunConfig } from "../../RunConfig.js"
import { reusedRows } from "../../Shard.js"
import * as Survey from "../../Survey.js"
import * as Estimating from "../Estimating.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Report from "../Report.js"
import * as Settings from "../Settings.js"
import { checkEndpoint, prepare } from "./Run.js"

const encode = Schema.encodeSync(Estimate)

/** Looks through the input, and tells what it would cost. */
const start = Effect.fn("cli.estimate")(
  function*(flags: RunConfig, input: Option.Option<string>, config: Option.Option<string>) {
    const settings = yield* Settings.merge(flags, input, config)
    const { entry, options, source } = yield* prepare(settings)
    const models = yield* Estimating.catalogue(settings)
    const { data, json, say } = yield* Output
    const program = Effect.gen(function*() {
      const { limits } = yield* Provider
      yield* checkEndpoint(entry, options)
      const survey = yield* Survey.ofSource(
        source,
        new BuildOptions(Struct.pick(options, ...Struct.keys(BuildOptions.fields)))
      )
      const mode = Mode.forRows(options.mode ?? "batch", options.batchThreshold ?? Mode.defaultThreshold, survey.rows)
      const forecast = yield* Estimating.ofSurvey(survey, models, mode === "batch")
      for (const notice of survey.notices) yield* say(`note: ${notice}`)
      for (const warning of forecast.warnings) yield* say(`warning: ${warning}`)
      if (settings.json === true) {
        return yield* json({
          provider: entry.id,
          mode,
          shards: survey.shards.filter(({ mode }) => mode !== "reused").length,
          bytes: survey.bytes,
          ...encode(Survey.estimate(survey)),
          reused: reusedRows(survey.shards),
          warnings: forecast.warnings
        })
      }
      const reused = Report.reused(survey.shards)
      const notSent = reused === undefined ? "" : `${Report.count(reused.rows, "row")} (${reused.why})`
      if (survey.rows === 0) {
        return yield* data(
          reused === undefined
            ? "There are no rows: nothing is asked, and nothing costs anything."
            : `Nothing is sent, and nothing costs anything. Not sent: ${notSent}.`
        )
      }
      const [rows, ...rest] = Estimating.lines(forecast)
      const most = `${Report.number(limits.rows)} rows and ${Report.bytes(limits.bytes)}`
      yield* data(
        Report.table([
          rows ?? [],
          ...(reused === undefined ? [] : [["not sent", notSent]]),
          ["size", `${Report.bytes(survey.bytes)}${mode === "batch" ? `; a batch takes up to ${most}` : ""}`],
          ...rest
        ]).join("\n")
      )
    })
    return yield* program.pipe(Effect.provide(entry.layer), Effect.provideService(Model.Catalogue, models))
  }
)

/** `llm-batch estimate INPUT` */
export const estimate = Command.make(
  "estimate",
  {
    input: Options.input,
    config: Options.config,
    flags: Options.settings([...Options.building, ...Options.jobs, "models_file", "json"])
  },
  ({ config, flags, input }) => start(flags, input, config)
)
