/**
 * `llm-batch cache DIR`: what a cache of answers holds, and how it is kept small.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as CliOptions from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as AnswerCache from "../../AnswerCache.js"
import * as Disk from "../../internal/Disk.js"
import { describe } from "../../internal/RowErrors.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Report from "../Report.js"
import { UsageError } from "../UsageError.js"

/** A number with a unit, in what the first unit is. */
const measure = (text: string, units: Readonly<Record<string, number>>): number | undefined => {
  const [, amount = "", unit = ""] = /^(\d{1,12}(?:\.\d{1,6})?) ?([a-z]*)$/i.exec(text) ?? []
  const factor = Object.entries(units).find(([name]) => name.toLowerCase() === unit.toLowerCase())?.[1]
  return amount === "" || factor === undefined ? undefined : Math.round(Number(amount) * factor)
}

const measured = (
  name: string,
  value: string,
  units: Readonly<Record<string, number>>,
  takes: string,
  description: string
) =>
  CliOptions.text(name).pipe(
    CliOptions.withPseudoName(value),
    CliOptions.withDescription(description),
    CliOptions.mapEffect((text) => {
      const found = measure(text, units)
      return found === undefined
        ? Either.left(
          ValidationError.invalidValue(HelpDoc.p(`--${name}: found ${describe(text)}. It must be ${takes}.`))
        )
        : Either.right(found)
    }),
    CliOptions.optional
  )

const maxSize = measured(
  "max-size",
  "SIZE",
  { "": 1, B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 },
  "a size with its unit, such as 500MB or 2GB",
  "With --prune, removes the oldest answers until the rest is no larger, as in 1GB"
)

const olderThan = measured(
  "older-than",
  "TIME",
  { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 },
  "a time with its unit, such as 12h or 30d",
  "With --prune, removes answers that are older, as in 30d"
)

/** How many answers there are of each model of a provider, the most first. */
const byModel = (segments: ReadonlyArray<AnswerCache.Segment>) => {
  const counts = new Map<string, { readonly provider: string; readonly model: string; answers: number }>()
  for (const { models, provider } of segments) {
    for (const [model, answers] of Object.entries(models)) {
      const name = JSON.stringify([provider, model])
      const count = counts.get(name) ?? { provider, model, answers: 0 }
      counts.set(name, { ...count, answers: count.answers + answers })
    }
  }
  return [...counts.values()].toSorted((one, other) => other.answers - one.answers)
}

const sizeOf = ({ bytes, entries, segments }: Pick<AnswerCache.Contents, "bytes" | "entries" | "segments">): string =>
  `${Report.count(entries, "answer")}, ${Report.bytes(bytes)} in ${Report.count(segments.length, "file")}`

const text = (contents: AnswerCache.Contents, now: DateTime.Utc): string => {
  const { others, segments } = contents
  const ago = (segment: AnswerCache.Segment | undefined) =>
    segment === undefined ? [] : [`${Report.elapsed(DateTime.distance(segment.created, now))} ago`]
  return [
    ...Report.table([
      ["holds", sizeOf(contents)],
      ...(segments.length === 0 ? [] : [["oldest", ...ago(segments[0])], ["newest", ...ago(segments.at(-1))]]),
      ...(others.length === 0 ? [] : [
        [
          "besides",
          `${Report.count(others.length, "file")} that cannot be read, or hold no answers: ${others[0]}${
            others.length === 1 ? "" : ", ..."
          }`
        ]
      ])
    ]),
    ...(segments.length === 0 ? [] : [
      "",
      ...Report.table([
        ["MODEL", "PROVIDER", "ANSWERS"],
        ...byModel(segments).map(({ answers, model, provider }) => [model, provider, Report.number(answers)])
      ])
    ])
  ].join("\n")
}

const encode = Schema.encodeSync(Schema.Array(AnswerCache.Segment))

const sum = (segments: ReadonlyArray<AnswerCache.Segment>) => new AnswerCache.Contents({ segments, others: [] })

/** `llm-batch cache DIR` */
export const cache = Command.make(
  "cache",
  {
    directory: Args.text({ name: "DIR" }).pipe(Args.withDescription("The directory that --cache named")),
    prune: CliOptions.boolean("prune").pipe(
      CliOptions.withDescription("Removes answers, as --max-size and --older-than say")
    ),
    maxSize,
    olderThan,
    flags: Options.settings(["json"])
  },
  ({ directory, flags, maxSize, olderThan, prune }) =>
    Effect.gen(function*() {
      const { data, json, say } = yield* Output
      const disk = yield* Disk.Disk
      const limits = Option.isSome(maxSize) || Option.isSome(olderThan)
      if (prune !== limits) {
        return yield* new UsageError({
          message: prune
            ? "--prune removes what --max-size or --older-than says. Give one of them, or both."
            : "--max-size and --older-than say what --prune removes. Give it with them."
        })
      }
      const stat = yield* Disk.attempt("look for", directory, () => disk.stat(directory))
      if (stat?.kind !== "directory") {
        return yield* new UsageError({
          message: `There is no directory ${directory}. Name the one that --cache named.`
        })
      }
      const removed = prune
        ? yield* AnswerCache.prune(directory, {
          maxBytes: Option.getOrUndefined(maxSize),
          olderThan: Option.getOrUndefined(Option.map(olderThan, Duration.millis))
        })
        : []
      const contents = yield* AnswerCache.contents(directory)
      if (flags.json === true) {
        return yield* json({
          directory,
          answers: contents.entries,
          bytes: contents.bytes,
          models: byModel(contents.segments),
          files: encode(contents.segments),
          others: contents.others,
          ...(prune ? { removed: encode(removed) } : {})
        })
      }
      if (prune) yield* say(removed.length === 0 ? "Nothing is removed." : `Removed: ${sizeOf(sum(removed))}.`)
      yield* data(text(contents, yield* DateTime.now))
    })
)
