/**
 * Goes on with a run that is built: asks before anything is sent, shows what happens, tells where the run stands in the
 * end, and what is still running when it is interrupted.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as NodePath from "node:path"
import * as Answers from "../Answers.js"
import * as CancelMark from "../internal/CancelMark.js"
import type { JobOfRun } from "../job/Job.js"
import * as Ledger from "../Ledger.js"
import * as Manifest from "../Manifest.js"
import { Pipeline, type PipelineError, type RunReport } from "../Pipeline.js"
import type { RunConfig } from "../RunConfig.js"
import * as RunDirectory from "../RunDirectory.js"
import { Progress } from "../RunEvent.js"
import type { RunState } from "../RunState.js"
import * as Step from "../Step.js"
import * as Concluding from "./Concluding.js"
import * as Display from "./Display.js"
import { Ending } from "./Ending.js"
import * as Estimating from "./Estimating.js"
import { exitCode } from "./ExitCode.js"
import * as Failure from "./Failure.js"
import { Output } from "./Output.js"
import * as Report from "./Report.js"
import * as Settings from "./Settings.js"
import * as Summary from "./Summary.js"
import * as Tried from "./Tried.js"

/** Shows what happens in a run while it happens. */
export const displayed = <A, E, R>(effect: Effect.Effect<A, E, R>, json: boolean, run?: RunState) =>
  Effect.scoped(
    Effect.gen(function*() {
      const { color, live } = yield* Output
      const listener = yield* Display.make({ live, color, json, run })
      return yield* Effect.provideService(effect, Progress, listener)
    })
  )

/** Whether nobody is to be asked before something is paid for, or nobody is there. */
const isSilent = Effect.fn(function*({ json, replay_dir, yes }: RunConfig) {
  const { interactive } = yield* Output
  return !interactive || yes === true || json === true || replay_dir !== undefined
})

/** Tells what is about to be sent, and what it will cost. A disk that cannot be read keeps nothing from being sent. */
const tellCost = Effect.fn(function*(state: RunState, settings: RunConfig, inOneLine: boolean) {
  const { say } = yield* Output
  if (!inOneLine) yield* say(Report.summary(state))
  const forecast = yield* Estimating.ofShards(Report.unsent(state).map(({ shard }) => shard), settings).pipe(
    Effect.catchTag("DiskError", ({ message }) => Effect.as(say(`note: the cost is not estimated: ${message}`), null))
  )
  if (forecast === null) return
  yield* say(inOneLine ? `Estimate: ${Estimating.sentence(forecast)}` : Estimating.table(forecast))
  const notSent = Report.reused(Report.toBeReused(state).map(({ shard }) => shard))
  if (inOneLine && notSent !== undefined) {
    yield* say(`Not sent: ${Report.count(notSent.rows, "row")} (${notSent.why})`)
  }
  for (const warning of forecast.warnings) yield* say(`warning: ${warning}`)
})

/** Tells what it will cost, and asks, before batches are made of what was built. */
const confirmSending = Effect.fn(function*(state: RunState, settings: RunConfig, steps: Step.Steps) {
  const { confirm, say } = yield* Output
  // Who does not wait for answers has no row asked for one by one.
  const unsent = Report.unsent(state).filter(({ shard }) => shard.mode === "batch" || Step.includes(steps, "fetch"))
  if (unsent.length === 0 || !Step.includes(steps, "submit") || settings.replay_dir !== undefined) return
  if (yield* CancelMark.isSet(state.directory)) return
  const silent = yield* isSilent(settings)
  if (settings.json !== true) yield* tellCost(state, settings, silent)
  if (silent) return
  const first = unsent.filter((shard) => Tried.shards(state).includes(shard))
  const what = first.length === 0 ? Report.sendings(unsent) : `${Report.sendings(first)} first`
  if (yield* confirm(`Send ${what} to ${state.run.provider}?`)) return
  const later = Report.command("resume", state.directory)
  yield* say(
    Manifest.runStatus(state) === "built"
      ? `Nothing was sent. Send it later: ${later}\n`
        + `Or remove the directory: rm -r ${Report.quoted(Report.path(state.directory))}`
      : `Nothing more was sent. Go on later: ${later}`
  )
  return yield* new Ending({ code: exitCode.failed })
})

/** Asks the rows that are tried first, shows their answers, and asks whether to go on; gives where the run stands then. */
const tryFirst = Effect.fn(function*(
  state: RunState,
  settings: RunConfig,
  going: Effect.Effect<RunReport, PipelineError>
) {
  const { confirm, say } = yield* Output
  if (Tried.shards(state).every(({ status }) => status === "normalized")) return state
  const { state: tried } = yield* displayed(going, settings.json === true, state)
  const others = Tried.others(tried)
  if (others === 0) return tried
  yield* say(yield* Tried.answers(tried))
  if (yield* isSilent(settings)) {
    if (Tried.hasUsable(tried)) return tried
    yield* say(
      "None of these rows has a usable answer, so the rest was not sent. "
        + `Send it all the same: ${Report.command("resume", state.directory)}`
    )
    return yield* new Ending({ code: exitCode.failed })
  }
  if (yield* confirm(`Send the other ${Report.count(others, "row")}?`)) return tried
  yield* say(`Nothing more was sent. Go on later: ${Report.command("resume", state.directory)}`)
  return yield* new Ending({ code: exitCode.failed })
})

/** Asks before rows are asked again. */
const confirmRetry = Effect.fn(function*(state: RunState, settings: RunConfig) {
  const { directory, run, tally } = state
  const { confirm, say } = yield* Output
  // What is not finished is refused by the pipeline, which says so.
  if (tally === null) return
  if (tally.retryable === 0) {
    return yield* say(
      tally.complete
        ? "Every row is answered: there is nothing to ask again."
        : `Asking again helps none of the rows without an answer: ${Report.path(RunDirectory.failures(directory))}`
    )
  }
  if (yield* isSilent(settings)) return
  const question = `Ask ${run.provider} again for ${Report.count(tally.retryable, "row")}?`
  const twice = Report.billedTwice(state)
  if (yield* confirm(twice === undefined ? question : `${question} ${twice}`)) return
  yield* say("Nothing was sent.")
  return yield* new Ending({ code: exitCode.failed })
})

/** Tells what still runs, and how to go on. */
const tellInterrupted = Effect.fn(function*(directory: string, json: boolean) {
  const output = yield* Output
  const state = yield* Effect.orElseSucceed((yield* Ledger.Ledger).state(directory), () => null)
  if (state === null) return yield* output.say("\nInterrupted.")
  const live = Report.live(state)
  const uncertain = Report.uncertain(state)
  const provider = state.run.provider
  const message = live.length === 0
    ? `Interrupted. No batch is known to be running at ${provider}`
    : `Interrupted. ${
      Report.count(live.length, "batch is", "batches are")
    } still running at ${provider}, and still paid for`
  const lines = [
    `${message}${live.length === 0 ? "." : ":"}`,
    ...live.slice(0, 20).map(({ shard, snapshot }) =>
      `  ${snapshot?.id ?? ""} (shard ${shard.id}, ${Report.count(shard.rows, "row")})`
    ),
    ...(live.length > 20
      ? [`  and ${Report.number(live.length - 20)} more: ${Report.command("status", directory)}`]
      : []),
    ...(uncertain.length === 0 ? [] : [Report.doubt(uncertain.length)]),
    ...(Report.asking(state).length === 0
      ? []
      : ["Answers that have come are kept. Requests under way may be charged, and are made again."]),
    `Go on:   ${Report.command("resume", directory)}`,
    ...(live.length + uncertain.length === 0 ? [] : [`Cancel:  ${Report.command("cancel", directory)}`])
  ]
  yield* output.say(`\n${lines.join("\n")}`)
  if (json) {
    yield* output.json({ error: { type: "Interrupted", message: `${message}.` }, ...Report.json(state) })
  }
})

/** Prints where a run stands, and ends with the exit code that says the same. */
const conclude = Effect.fn(function*(state: RunState, settings: RunConfig, steps: Step.Steps, stage: boolean) {
  const output = yield* Output
  const { directory, tally } = state
  if (tally !== null && settings.output !== undefined) {
    yield* Answers.write(directory, yield* Answers.formatOf(settings.output), NodePath.resolve(settings.output))
  }
  if (settings.json === true) yield* output.json(Report.json(state))
  else {
    yield* output.say(Summary.summary(Report.reportOf(state)))
    if (tally !== null && settings.output !== undefined) yield* output.say(`Answers: ${settings.output}`)
    yield* output.data(tally === null ? directory : RunDirectory.results(directory))
  }
  if (tally !== null) {
    return tally.complete ? undefined : yield* new Ending({ code: exitCode.rowsUnanswered })
  }
  return Report.live(state).length > 0 && !(stage && steps.to === "submit")
    ? yield* new Ending({ code: exitCode.stillRunning })
    : undefined
})

/** What stopped shards was told when it did: in the end it is only said how many they are. */
const tellStopped = Effect.fn(function*(state: RunState, stopped: number) {
  const { say } = yield* Output
  yield* say(
    `error: ${Report.number(stopped)} of ${Report.count(state.shards.size, "shard")} stopped, as told above. `
      + `When that is put right: ${Report.command("resume", state.directory)}`
  )
})

/** How a run is gone on with. */
export interface Options {
  readonly settings: RunConfig
  readonly steps: Step.Steps
  /** The rows of a finished run that a retry can help are asked again. */
  readonly again?: boolean
  /** One step was asked for by its own command: a batch that runs after `submit` is what was wanted. */
  readonly stage?: boolean
  /** The ready-made job that the run is. */
  readonly job?: JobOfRun | undefined
}

/** Goes on with a run from wherever it stands, as far as the steps say. */
export const advance = Effect.fn("cli.advance")(
  function*(given: string, { again = false, job, settings, stage = false, steps }: Options) {
    const directory = NodePath.resolve(given)
    const json = settings.json === true
    const ledger = yield* Ledger.Ledger
    const pipeline = yield* Pipeline
    const { say } = yield* Output
    const before = yield* ledger.state(directory)
    const check = job?.check ?? undefined
    const options = { ...(yield* Settings.advanceOptions(settings)), steps, check }
    const stopped = new Map<string, string>()
    const going = Effect.flatMap(Progress, ({ tell }) =>
      Effect.provideService(
        again ? pipeline.retry(directory, options) : pipeline.resume(directory, options),
        Progress,
        {
          tell: (event) => {
            if (event._tag === "ShardFailed") stopped.set(event.shard.id, event.detail)
            tell(event)
          }
        }
      ))
    const asksFirst = Step.includes(steps, "fetch") && !again
    const state = yield* (again ? confirmRetry(before, settings) : confirmSending(before, settings, steps)).pipe(
      Effect.zipRight(
        asksFirst
          ? tryFirst(before, settings, pipeline.resume(directory, { ...options, onlyTry: true }))
          : Effect.succeed(before)
      ),
      Effect.flatMap((now) => displayed(going, json, now)),
      Effect.map((report) => report.state),
      Effect.catchTag("PollTimeout", ({ waitedMillis }) =>
        Effect.zipRight(
          say(`The longest wait is over, after ${Duration.format(waitedMillis)}: not every batch has ended.`),
          ledger.state(directory)
        )),
      Effect.catchAll((error) =>
        Effect.gen(function*() {
          if (json || ![...stopped.values()].includes(error.message)) return yield* Effect.fail(error)
          const after = yield* ledger.state(directory)
          if (after.shards.size === 1) return yield* Effect.fail(error)
          yield* tellStopped(after, stopped.size)
          return yield* new Ending({ code: Failure.make(Cause.fail(error)).code })
        })
      ),
      Effect.onInterrupt(() => tellInterrupted(directory, json))
    )
    return yield* job === undefined || state.tally === null
      ? conclude(state, settings, steps, stage)
      : Concluding.conclude(job, state, settings)
  }
)
