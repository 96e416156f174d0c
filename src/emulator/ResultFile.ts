/**
 * The result files of a batch, made when they are asked for: row by row in a seeded order, in blocks.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Context } from "./Answer.js"
import * as Archive from "./Archive.js"
import type { FaultPlan } from "./FaultPlan.js"
import * as Fingerprint from "./Fingerprint.js"
import * as ResultLines from "./ResultLines.js"
import * as RowStore from "./RowStore.js"
import * as Slices from "./Slices.js"
import type { Settled, StoredBatch } from "./State.js"

const blockSize = 256 * 1024

const newlineOf = (plan: FaultPlan): string => plan.crlf ? "\r\n" : "\n"

const mark = "\uFEFF"

/** Blank lines go before every third row; which those are does not depend on the order of the rows. */
const formatted = (plan: FaultPlan, row: number, line: string): string =>
  plan.blankLines && row % 3 === 0 ? newlineOf(plan) + line : line

const extra = (batch: StoredBatch): ReadonlyArray<string> =>
  Array.from({ length: batch.plan.unknownRows }, (_, index) => ResultLines.unknown(batch, index))

/** Counts the bytes of a file that has these lines. */
const sizer = (plan: FaultPlan) => {
  const newline = newlineOf(plan).length
  let lines = 0
  let bytes = 0
  return {
    add: (row: number, line: string) => {
      lines += 1
      bytes += Buffer.byteLength(formatted(plan, row, line)) + newline
    },
    total: () => lines === 0 ? 0 : bytes - (plan.noFinalNewline ? newline : 0) + (plan.bom ? 3 : 0)
  }
}

/**
 * Goes over all rows of an ended batch once, to know what became of them and how large its files are.
 *
 * @since 0.1.0
 * @category constructors
 */
export const settle = (context: Context, batch: StoredBatch, stop: ResultLines.Stop): Effect.Effect<Settled> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* RowStore.reader(batch.spool.path)
    const { plan, rows } = batch
    const counts = { succeeded: 0, errored: 0, expired: 0, cancelled: 0 }
    const tokens = { inputTokens: 0, cachedTokens: 0, outputTokens: 0, reasoningTokens: 0 }
    const places = new Uint8Array(rows.count)
    const output = sizer(plan)
    const error = sizer(plan)
    let row = 0
    yield* Slices.run(() => {
      for (const end = Math.min(row + 128, rows.count); row < end; row++) {
        const text = file.read(rows.offset(row), rows.length(row)).toString("utf8")
        const result = ResultLines.make(context, batch, text, rows.fate(row), stop)
        counts[result.outcome] += 1
        tokens.inputTokens += result.usage.input
        tokens.cachedTokens += result.usage.cacheRead
        tokens.outputTokens += result.usage.output
        tokens.reasoningTokens += result.usage.reasoning
        for (const line of result.output) output.add(row, line)
        for (const line of result.error) error.add(row, line)
        places[row] = (result.output.length > 0 ? 1 : 0) + (result.error.length > 0 ? 2 : 0)
      }
      return row >= rows.count
    })
    for (const line of extra(batch)) output.add(1, line)
    return { ...counts, ...tokens, outputBytes: output.total(), errorBytes: error.total(), places }
  }))

const writerOf = (batch: StoredBatch): Archive.Writer => {
  switch (batch.plan.results) {
    case "plain":
      return Archive.plain
    case "gzip":
      return Archive.gzip()
    case "zip":
      return Archive.zip((member) => batch.plan.zipMembers === 0 ? "README.txt" : `${batch.id}/part-${member}.jsonl`)
  }
}

/**
 * The bytes of a result file of an ended batch, as served.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bytes = (
  context: Context,
  batch: StoredBatch,
  stop: ResultLines.Stop,
  settled: Settled,
  part: "output" | "error"
): Stream.Stream<Uint8Array> =>
  Stream.unwrapScoped(Effect.map(RowStore.reader(batch.spool.path), (file) => {
    const { plan, rows } = batch
    const newline = newlineOf(plan)
    const writer = writerOf(batch)
    const order = Fingerprint.shuffled(context.seed, rows.count)
    const bit = part === "output" ? 1 : 2
    const members = plan.results === "zip" ? plan.zipMembers : 1
    const rowsOfMember = Math.max(1, Math.ceil(rows.count / Math.max(1, members)))
    let at = 0
    let lines = 0
    let state: "begin" | "rows" | "done" = "begin"

    /** The lines of the next rows, to about a block, and whether the member ends with them. */
    const take = (): { readonly text: string; readonly full: boolean } => {
      let text = ""
      const push = (row: number, line: string) => {
        text += (lines > 0 ? newline : plan.bom ? mark : "") + formatted(plan, row, line)
        lines += 1
      }
      const memberEnd = Math.min(rows.count, (Math.floor(at / rowsOfMember) + 1) * rowsOfMember)
      while (at < memberEnd && text.length < blockSize) {
        const row = order[at++] ?? 0
        if (((settled.places[row] ?? 0) & bit) === 0) continue
        const source = file.read(rows.offset(row), rows.length(row)).toString("utf8")
        for (const line of ResultLines.make(context, batch, source, rows.fate(row), stop)[part]) push(row, line)
      }
      if (at >= rows.count && part === "output") { for (const line of extra(batch)) push(1, line) }
      const full = at >= memberEnd
      if (full && lines > 0 && !plan.noFinalNewline) text += newline
      return { text, full }
    }

    const next = (): Uint8Array => {
      if (state === "begin") {
        state = "rows"
        return writer.begin()
      }
      const { full, text } = members === 0 ? { full: true, text: "There are no results in here.\n" } : take()
      const block = writer.block(Buffer.from(text))
      if (!full) return block
      lines = 0
      if (members === 0 || at >= rows.count) {
        state = "done"
        return Buffer.concat([block, writer.end()])
      }
      return Buffer.concat([block, writer.split()])
    }

    return Stream.repeatEffectOption(
      Effect.suspend(() =>
        state === "done" ? Effect.fail(Option.none()) : Effect.zipLeft(Effect.sync(next), Slices.macrotask)
      )
    )
  }))
