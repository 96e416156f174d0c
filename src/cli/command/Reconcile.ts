/**
 * `llm-batch reconcile RUN_DIR --adopt ID | --resend`: decides of a shard of which it cannot be told whether a batch was
 * made of it.
 */
import * as Command from "@effect/cli/Command"
import * as CliOptions from "@effect/cli/Options"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Decision, Pipeline } from "../../Pipeline.js"
import { displayed } from "../Advance.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Pipelines from "../Pipelines.js"
import * as Report from "../Report.js"
import * as Runs from "../Runs.js"
import { UsageError } from "../UsageError.js"

const adopt = CliOptions.text("adopt").pipe(
  CliOptions.withPseudoName("BATCH_ID"),
  CliOptions.withDescription("This batch at the provider is the shard's"),
  CliOptions.optional
)

const resend = CliOptions.boolean("resend").pipe(
  CliOptions.withDescription("No batch was made of the shard: it is sent again, and paid for twice if there was one")
)

const shard = CliOptions.text("shard").pipe(
  CliOptions.withPseudoName("SHARD"),
  CliOptions.withDescription("The shard that is meant, such as 0001, where there are several"),
  CliOptions.optional
)

/** `llm-batch reconcile RUN_DIR` */
export const reconcile = Command.make(
  "reconcile",
  { directory: Options.runDirectory, adopt, resend, shard, flags: Options.settings(["json", "settle_time"]) },
  ({ adopt, directory, flags, resend, shard }) =>
    Effect.gen(function*() {
      const output = yield* Output
      if (Option.isSome(adopt) === resend) {
        return yield* new UsageError({
          message: resend
            ? "--adopt and --resend are two decisions. Give one of them."
            : "Nothing is decided. Give --adopt BATCH_ID when that batch is the shard's, or --resend when there is none."
        })
      }
      const provider = yield* Runs.providerOf(directory)
      const meant = Option.getOrUndefined(shard)
      const decision = Option.match(adopt, {
        onNone: () => Decision.Resend({ shard: meant }),
        onSome: (batchId) => Decision.Adopt({ batchId, shard: meant })
      })
      const state = yield* displayed(
        Effect.flatMap(Pipeline, ({ reconcile }) => reconcile(directory, decision)),
        flags.json === true
      ).pipe(Effect.provide(Pipelines.layer(provider, flags)))
      if (flags.json === true) return yield* output.json(Report.json(state))
      const uncertain = Report.uncertain(state)
      yield* output.say([
        Option.match(adopt, {
          onNone: () => "The shard counts as not sent.",
          onSome: (batchId) => `Batch ${batchId} is taken up.`
        }),
        ...(uncertain.length === 0 ? [] : [Report.doubt(uncertain.length)]),
        `Go on: ${Report.command("resume", state.directory)}`
      ].join("\n"))
    })
)
