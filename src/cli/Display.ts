/**
 * Shows a run while it happens, on standard error: as a block of lines that is drawn anew on a terminal, as plain lines
 * anywhere else.
 */
import * as Ansi from "@effect/printer-ansi/Ansi"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { isAtProvider } from "../Batch.js"
import type { Listener, RunEvent } from "../RunEvent.js"
import type { AskAgainReason, RunState } from "../RunState.js"
import * as Report from "./Report.js"
import { RunView, type ShardView } from "./RunView.js"

/** How a run is shown. */
export interface Options {
  /** Standard error is a terminal: the block of lines is drawn over and over. */
  readonly live: boolean
  readonly color: boolean
  /** Nothing is shown: the program that reads the JSON has no use for it. */
  readonly json: boolean
  /** Where the run stands, when one is gone on with: its shards are known from the start then. */
  readonly run?: RunState | undefined
  /** Standard error, unless it is given. */
  readonly write?: ((text: string) => void) | undefined
  /** The columns of the terminal now; those of standard error, unless they are given. */
  readonly columns?: (() => number) | undefined
}

/** Text with a style; cut to the width of a terminal before it is styled. */
type Segment = readonly [text: string, style?: Ansi.Ansi]

type Line = ReadonlyArray<Segment>

/** With more shards than these, only how many are in which phase is shown. */
const shardLines = 8

/** No more than so many things that hold the run up are shown. */
const waitLines = 3

/** Errors quote what a server sent: whatever would move the cursor or change colours becomes a space. */
const oneLine = (text: string): string => text.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, " ")

/** Most characters beyond these scripts are two columns wide; to count one of them twice does no harm. */
const widthOf = (character: string): number => (character.codePointAt(0) ?? 0) < 0x1100 ? 1 : 2

/** As much of a line as fits, without colours when there shall be none. */
const render = (line: Line, columns: number, color: boolean): { readonly text: string; readonly width: number } => {
  let width = 0
  let text = ""
  for (const [content, style] of line) {
    let shown = ""
    for (const character of oneLine(content)) {
      const wide = widthOf(character)
      if (width + wide > columns) break
      width += wide
      shown += character
    }
    text += color && style !== undefined && shown !== "" ? `${Ansi.stringify(style)}${shown}${plainStyle}` : shown
  }
  return { text, width }
}

const plainStyle = "\u001b[0m"

const phaseStyle: Record<string, Ansi.Ansi> = {
  done: Ansi.green,
  completed: Ansi.green,
  waiting: Ansi.yellow,
  expired: Ansi.yellow,
  cancelled: Ansi.yellow,
  cancelling: Ansi.yellow,
  failed: Ansi.red,
  stopped: Ansi.red
}

const styled = (text: string, phase: string): Segment => {
  const style = phaseStyle[phase]
  return style === undefined ? [text] : [text, style]
}

/** `1.2 of 4.5 MB` */
const part = (value: number, all: number): string => `${Report.bytes(value)} of ${Report.bytes(all)}`

const shardLine = ({ batchId, done, phase, sent, shard }: ShardView): Line => {
  const detail = phase === "sending"
    ? part(sent, shard.bytes)
    : phase === "built"
    ? Report.count(shard.rows, "row")
    : `${Report.number(done)} of ${Report.count(shard.rows, "row")}`
  return [
    [`${shard.id}  `],
    styled(phase.padEnd(11), phase),
    [`  ${detail}`],
    ...(batchId === null ? [] : [[`  ${batchId}`, Ansi.blackBright]] satisfies Line)
  ]
}

const phaseLine = (shards: Iterable<ShardView>): Line => {
  const phases = new Map<string, number>()
  let sent = 0
  let toSend = 0
  let total = 0
  for (const view of shards) {
    total++
    phases.set(view.phase, (phases.get(view.phase) ?? 0) + 1)
    if (view.phase !== "sending") continue
    sent += view.sent
    toSend += view.shard.bytes
  }
  return [
    [`${Report.count(total, "shard")}: `],
    ...[...phases].flatMap(([phase, count], index): Line => [
      ...(index === 0 ? [] : [[", "]] satisfies Line),
      styled(`${Report.number(count)} ${phase}${phase === "sending" ? ` (${part(sent, toSend)})` : ""}`, phase)
    ])
  ]
}

/** What is left to wait, as honestly as it can be told. */
const leftOf = (view: RunView, now: number): string => {
  if (view.rest === 0) return ""
  const remaining = view.remaining(now)
  if (remaining !== null) return remaining < 1_000 ? ", any moment now" : `, about ${Report.elapsed(remaining)} left`
  const longest = view.longest(now)
  return `, end unknown${longest === null ? "" : ` (at most ${Report.elapsed(longest)})`}`
}

/** A bar keeps its length while the figures beside it change. */
const barLengths = [20, 10]

const percent = (view: RunView): number => view.rows === 0 ? 0 : Math.floor(view.done * 100 / view.rows)

const barLine = (view: RunView, now: number, columns: number): Line => {
  const figures = `${String(percent(view)).padStart(3)} %  ${Report.number(view.done)} of ${
    Report.count(view.rows, "row")
  } done  ${Report.elapsed(now - view.startedAt)}${leftOf(view, now)}`
  const length = barLengths.find((length) => length + figures.length + 3 <= columns)
  if (length === undefined) return [[figures.trimStart()]]
  const filled = view.rows === 0 ? 0 : Math.floor(view.done * length / view.rows)
  return [["["], ["#".repeat(filled), Ansi.green], [`${"-".repeat(length - filled)}] ${figures}`]]
}

/** The block as it should look now. */
const blockOf = (view: RunView, now: number, columns: number): ReadonlyArray<Line> => {
  if (view.building) {
    return [[[`building  ${Report.count(view.rowsBuilt, "row")}  ${Report.elapsed(now - view.startedAt)}`]]]
  }
  if (view.shards.size === 0) return []
  return [
    ...(view.shards.size > shardLines ? [phaseLine(view.shards.values())] : [...view.shards.values()].map(shardLine)),
    barLine(view, now, columns),
    ...view.waits(now).slice(0, waitLines).map(({ text, timed, until, what }): Line => [
      [`${what}${timed ? ` ${Report.elapsed(until - now)}` : ""}: ${text}`, Ansi.yellow]
    ])
  ]
}

const verbs = {
  retry: "asking again for",
  repair: "sending answers back to be put right:",
  finish: "asking one by one for"
}

/** Why rows are asked again; where there are several reasons, simply that they are. */
const reasonsOf = ([reason, ...others]: ReadonlyArray<AskAgainReason>): string =>
  verbs[reason === undefined || others.length > 0 ? "retry" : reason]

/**
 * What stays to be read above the block, or between plain lines. What stops the only shard of a run is told when the
 * run ends, which is now.
 */
const noticeOf = (event: RunEvent, alone: boolean): Segment | undefined => {
  switch (event._tag) {
    case "Notice":
      return [`note: ${event.text}`]
    case "BatchCreated":
      return event.adopted
        ? [`shard ${event.batch.shard.id}: its batch ${event.batch.id} was made before, and is taken up`, Ansi.yellow]
        : undefined
    case "DownloadRepeated":
      return [
        `shard ${event.batch.shard.id}: the results are ${
          Report.count(event.shortBy, "row")
        } short, fetching them again`,
        Ansi.yellow
      ]
    case "ShardFailed":
      return alone
        ? undefined
        : [`shard ${event.shard.id} stopped: ${Report.local(event.detail, event.shard.directory)}`, Ansi.red]
    case "BatchExpiring":
      return [
        `batch ${event.batch.id} (shard ${event.batch.shard.id}) expires at ${
          DateTime.formatIso(event.expiresAt)
        }: what `
        + "is not answered by then can be asked again, at once by resume with --finish sync",
        Ansi.yellow
      ]
    case "DeadlineReached":
      return [
        `batch ${event.batch.id} (shard ${event.batch.shard.id}) has not ended in time and is cancelled: what it has `
        + "answered is kept, the rest is asked one by one",
        Ansi.yellow
      ]
    case "RetryBuilt":
      return [
        `${reasonsOf(event.reasons)} ${Report.count(event.rows, "row")} (attempt ${event.attempt})${
          event.mayBeBilledTwice === 0
            ? ""
            : `; ${Report.number(event.mayBeBilledTwice)} of them ${
              event.mayBeBilledTwice === 1 ? "was" : "were"
            } missing and may be charged twice`
        }`,
        Ansi.yellow
      ]
    default:
      return undefined
  }
}

/** Draws the block, over and over. */
class Terminal {
  private above: Array<Segment> = []
  private shown = ""
  /** The widths of the lines that the cursor stands below. */
  private widths: ReadonlyArray<number> = []
  private hidden = false

  constructor(
    private readonly view: RunView,
    private readonly color: boolean,
    private readonly write: (text: string) => void,
    private readonly columns: () => number
  ) {}

  notice(notice: Segment): void {
    this.above.push(notice)
  }

  /** Brings the terminal up to date, in one write. */
  draw(now: number): void {
    // The last column stays free: some terminals break the line when it is filled.
    const columns = Math.max(1, this.columns() - 1)
    const lines = blockOf(this.view, now, columns).map((line) => render(line, columns, this.color))
    const block = lines.map(({ text }) => `${text}\n`).join("")
    if (this.above.length === 0 && block === this.shown) return
    const above = this.above.map((notice) => `${render([notice], Infinity, this.color).text}\n`).join("")
    // A terminal that became narrower has broken the lines that were drawn.
    const height = this.widths.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / (columns + 1))), 0)
    const hide = this.hidden ? "" : Ansi.stringify(Ansi.cursorHide)
    const erase = height === 0 ? "" : Ansi.stringify(Ansi.combine(Ansi.cursorUp(height), Ansi.eraseDown))
    this.hidden = true
    this.above = []
    this.shown = block
    this.widths = lines.map(({ width }) => width)
    this.write(hide + erase + above + block)
  }

  /** Draws the last block, and gives the cursor back. */
  end(now: number): void {
    this.draw(now)
    if (this.hidden) this.write(Ansi.stringify(Ansi.cursorShow))
  }
}

/** Many rows take long to build, and a log should show that they are. */
const builtRowsPerLine = 1_000_000

/** How often is told that shards are held back, while others go on. */
const heldEvery = 10 * 60_000

/** Writes a line for each thing worth one. */
class Log {
  private builtTold = false
  private tenths = 0
  private builtMillions = 0
  private trouble = ""
  private billedTwice = 0
  private heldAt = Number.NEGATIVE_INFINITY
  private readonly statuses = new Map<string, string>()

  constructor(private readonly view: RunView, private readonly write: (text: string) => void) {
    this.tenths = Math.floor(percent(view) / 10)
  }

  /** Tells of an event that the model has taken. */
  tell(event: RunEvent, now: number): void {
    if (!this.view.building) this.tellBuilt(now)
    const notice = noticeOf(event, this.view.shards.size === 1)
    if (notice !== undefined) this.line(now, notice[0])
    const line = this.lineOf(event, now)
    if (line !== undefined) this.line(now, line)
    const tenths = Math.floor(percent(this.view) / 10)
    const risen = tenths > this.tenths
    this.tenths = tenths
    if (!risen || this.view.building) return
    const { done, rows } = this.view
    this.line(
      now,
      `${tenths * 10} %: ${Report.number(done)} of ${Report.count(rows, "row")} done${leftOf(this.view, now)}`
    )
  }

  /** Tells what was built, when nothing came after it. */
  end(now: number): void {
    if (this.view.rowsBuilt === this.view.rows) this.tellBuilt(now)
  }

  private tellBuilt(now: number): void {
    const { rowsBuilt, shards } = this.view
    if (this.builtTold || rowsBuilt === 0) return
    this.builtTold = true
    const bytes = [...shards.values()].reduce((sum, { shard }) => sum + shard.bytes, 0)
    this.line(
      now,
      `built ${Report.count(rowsBuilt, "row")} in ${Report.count(shards.size, "shard")}, ${Report.bytes(bytes)}`
    )
  }

  private lineOf(event: RunEvent, now: number): string | undefined {
    switch (event._tag) {
      case "RowsBuilt": {
        const millions = Math.floor(event.rows / builtRowsPerLine)
        if (millions <= this.builtMillions) return undefined
        this.builtMillions = millions
        return `building: ${Report.count(event.rows, "row")}`
      }
      case "BatchCreated":
        this.statuses.set(event.batch.id, event.batch.snapshot.status)
        return event.adopted
          ? undefined
          : `shard ${event.batch.shard.id}: batch ${event.batch.id} made, ${
            Report.count(event.batch.shard.rows, "row")
          }`
      case "SubmitWaiting":
        return `shard ${event.shard.id}: ${
          event.waitMillis > 0 ? `waiting ${Report.elapsed(event.waitMillis)}` : "trying again"
        }: ${event.detail}`
      case "SendingHeld": {
        if (now - this.heldAt < heldEvery) return undefined
        this.heldAt = now
        const shards = Report.count(event.shards, "shard is", "shards are")
        const wait = event.waitMillis === null ? "" : ` for ${Report.elapsed(event.waitMillis)}`
        return `${shards} held back${wait}: ${event.detail}`
      }
      case "BatchDeclined":
        return `shard ${event.batch.shard.id}: batch ${event.batch.id} does not fit into the queue, and is sent again `
          + `later: ${event.detail}`
      case "ShardSplit":
        return `shard ${event.shard.id}: cut into ${
          Report.count(event.shards.length, "shard")
        }, to fill what is left of the queue`
      case "AskWaiting":
        return `waiting ${Report.elapsed(event.waitMillis)}: ${event.detail}`
      case "RowsAnswered":
        if (event.mayBeBilledTwice <= this.billedTwice) return undefined
        this.billedTwice = event.mayBeBilledTwice
        return `the answers of ${
          Report.count(event.mayBeBilledTwice, "row")
        } were lost on the way, and asked for again: these may be charged twice`
      case "PollTrouble":
        if (event.detail === this.trouble) return undefined
        this.trouble = event.detail
        return `waiting: ${event.detail}`
      case "BatchObserved": {
        this.trouble = ""
        const { shard, snapshot } = event.batch
        if (snapshot.ending !== null || this.statuses.get(snapshot.id) === snapshot.status) return undefined
        this.statuses.set(snapshot.id, snapshot.status)
        return `shard ${shard.id}: batch ${snapshot.id} ${snapshot.status.replaceAll("_", " ")}`
      }
      case "BatchEnded":
        return isAtProvider(event.batch.snapshot)
          ? `shard ${event.batch.shard.id}: batch ${event.batch.id} ${event.batch.ending}`
          : `shard ${event.batch.shard.id}: ${event.batch.snapshot.providerStatus}`
      case "ShardNormalized": {
        const { rows, succeeded } = event.tally
        return `shard ${event.shard.id}: ${Report.number(succeeded)} of ${Report.count(rows, "row")} answered`
      }
      default:
        return undefined
    }
  }

  private line(now: number, text: string): void {
    const at = DateTime.formatIso(DateTime.unsafeMake(now)).replace(/\.\d+Z$/u, "Z")
    this.write(`${at} ${oneLine(text)}\n`)
  }
}

/** How long the terminal stays as it is, at least. */
const redraw = Schedule.spaced("100 millis")

/** A listener that shows a run until the scope closes. */
export const make = (
  { color, columns, json, live, run, write }: Options
): Effect.Effect<Listener, never, Scope.Scope> =>
  Effect.gen(function*() {
    if (json) return { tell: () => undefined }
    const clock = yield* Effect.clock
    const now = () => clock.unsafeCurrentTimeMillis()
    const out = write ?? ((text: string) => void process.stderr.write(text))
    const view = new RunView(now(), run)
    if (!live) {
      const log = new Log(view, out)
      yield* Effect.addFinalizer(() => Effect.sync(() => log.end(now())))
      return {
        tell: (event: RunEvent) => {
          view.take(event, now())
          log.tell(event, now())
        }
      }
    }
    const terminal = new Terminal(view, color, out, columns ?? (() => process.stderr.columns || 80))
    // Added first, so that it comes after the drawing has stopped.
    yield* Effect.addFinalizer(() => Effect.sync(() => terminal.end(now())))
    yield* Effect.forkScoped(Effect.repeat(Effect.sync(() => terminal.draw(now())), redraw))
    return {
      tell: (event: RunEvent) => {
        view.take(event, now())
        const notice = noticeOf(event, view.shards.size === 1)
        if (notice !== undefined) terminal.notice(notice)
      }
    }
  })
