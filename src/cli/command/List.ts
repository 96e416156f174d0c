/**
 * `llm-batch list [PARENT]`: the runs below a directory, newest first.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as NodePath from "node:path"
import * as Disk from "../../internal/Disk.js"
import * as Ledger from "../../Ledger.js"
import * as Manifest from "../../Manifest.js"
import * as RunDirectory from "../../RunDirectory.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Report from "../Report.js"
import { UsageError } from "../UsageError.js"

/** The directories below a parent that hold a run. */
const runsBelow = Effect.fn(function*(parent: string, isDefault: boolean) {
  const disk = yield* Disk.Disk
  const absolute = NodePath.resolve(parent)
  const found = yield* Disk.attempt(
    "look through",
    parent,
    () =>
      disk.stat(absolute)?.kind !== "directory" ? undefined : disk.list(absolute)
        .map((name) => `${absolute}/${name}`)
        .filter((directory) =>
          disk.stat(directory)?.kind === "directory" && disk.stat(RunDirectory.journal(directory)) !== undefined
        )
  )
  if (found === undefined && !isDefault) {
    return yield* new UsageError({
      message: `There is no directory ${parent}. Name the one that holds run directories.`
    })
  }
  return found ?? []
})

const read = (directory: string) =>
  Effect.flatMap(Ledger.Ledger, (ledger) => ledger.state(directory)).pipe(
    Effect.either,
    Effect.map((state) => ({ directory, state }))
  )

/** `llm-batch list [PARENT]` */
export const list = Command.make(
  "list",
  {
    parent: Args.text({ name: "PARENT" }).pipe(
      Args.withDescription(`The directory that holds run directories; ${RunDirectory.defaultParent} by default`),
      Args.withDefault(RunDirectory.defaultParent)
    ),
    flags: Options.settings(["json"])
  },
  ({ flags, parent }) =>
    Effect.gen(function*() {
      const output = yield* Output
      const now = yield* DateTime.now
      const runs = yield* Effect.forEach(
        yield* runsBelow(parent, parent === RunDirectory.defaultParent),
        read
      )
      const newest = runs.toSorted((one, other) => begun(other) - begun(one))
      if (flags.json === true) {
        return yield* output.json(newest.map(({ directory, state }) =>
          Either.isRight(state)
            ? Report.json(state.right)
            : { directory, status: "damaged", error: { type: state.left._tag, message: state.left.message } }
        ))
      }
      if (newest.length === 0) {
        return yield* output.say(`There is no run in ${parent}. Begin one: llm-batch run INPUT --model MODEL`)
      }
      yield* output.data(
        Report.table([
          ["RUN", "STATUS", "ROWS", "PROVIDER", "MODEL", "BEGUN"],
          ...newest.map(({ directory, state }) =>
            Either.isLeft(state) ? [Report.path(directory), "damaged", "-", "-", "-", state.left._tag] : [
              Report.path(directory),
              Manifest.runStatus(state.right),
              state.right.rows === null ? "-" : Report.number(state.right.rows),
              state.right.run.provider,
              Report.models(state.right) || "-",
              `${Report.elapsed(DateTime.distance(state.right.startedAt, now))} ago`
            ]
          )
        ]).join("\n")
      )
    }).pipe(Effect.provide(Ledger.layer))
)

/** When a run began; damaged ones stand last. */
const begun = ({ state }: Effect.Effect.Success<ReturnType<typeof read>>): number =>
  Either.isRight(state) ? DateTime.toEpochMillis(state.right.startedAt) : Number.NEGATIVE_INFINITY
