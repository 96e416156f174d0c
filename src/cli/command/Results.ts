/**
 * `llm-batch results RUN_DIR`: the answers of a finished run beside the input's own columns.
 */
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as CliOptions from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as NodePath from "node:path"
import * as Answers from "../../Answers.js"
import { describe } from "../../internal/RowErrors.js"
import * as Ledger from "../../Ledger.js"
import { DiskError } from "../../RunError.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Runs from "../Runs.js"
import * as Settings from "../Settings.js"

const format = CliOptions.text("format").pipe(
  CliOptions.withPseudoName("FORMAT"),
  CliOptions.withDescription(
    "jsonl, csv, tsv or text; told by the ending of --output, and text for standard output, when it is not given"
  ),
  CliOptions.mapEffect((text) =>
    Either.mapLeft(Schema.decodeUnknownEither(Answers.Format)(text), () =>
      ValidationError.invalidValue(
        HelpDoc.p(`--format: found ${describe(text)}. It must be one of ${Answers.Format.literals.join(", ")}.`)
      ))
  ),
  CliOptions.optional
)

/** Writes a block to standard output, and waits until it is taken; `true` when nobody reads any more. */
export const print = (block: Uint8Array): Effect.Effect<boolean, DiskError> =>
  Effect.async<boolean, DiskError>((resume) => {
    process.stdout.write(block, (error) => {
      if (!Predicate.isError(error)) return resume(Effect.succeed(false))
      const code = Predicate.hasProperty(error, "code") ? String(error.code) : "unknown"
      resume(
        code === "EPIPE"
          ? Effect.succeed(true)
          : Effect.fail(
            new DiskError({ operation: "write", path: "standard output", code, detail: error.message })
          )
      )
    })
  })

/** `llm-batch results RUN_DIR` */
export const results = Command.make(
  "results",
  { directory: Options.runDirectory, format, flags: Options.settings(["output"]) },
  ({ directory, flags: { output }, format }) =>
    Effect.gen(function*() {
      const { input } = yield* Runs.describe(directory)
      if (output === undefined) {
        const blocks = Answers.stream(directory, Option.getOrElse(format, () => "text" as const))
        // Not runForEachWhile, which holds on to every block until the end.
        return yield* Stream.runDrain(Stream.takeUntilEffect(blocks, print))
      }
      const { say } = yield* Output
      const wanted = Option.isSome(format) ? format.value : yield* Answers.formatOf(output)
      yield* Settings.checkOutput(output, { input: input.path, directory })
      yield* Answers.write(directory, wanted, output)
      yield* say(`Answers: ${NodePath.normalize(output)}`)
    }).pipe(Effect.provide(Ledger.layer))
)
