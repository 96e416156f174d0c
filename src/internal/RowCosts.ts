/**
 * What each row of a run cost, as lines of CSV: out of the part files, one a shard and attempt, by the prices that are in
 * the bill of the shard. Memory holds a block of one of them.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Cost from "../Cost.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import * as RunDirectory from "../RunDirectory.js"
import { type DiskError, ShardChanged } from "../RunError.js"
import type { ShardState } from "../RunState.js"
import { inPieces } from "./BlockLoop.js"
import { csvLine } from "./CsvLine.js"
import * as Disk from "./Disk.js"
import { LineSplitter } from "./Lines.js"
import * as ResultLine from "./ResultLine.js"

const header = csvLine([
  "custom_id",
  "row",
  "attempt",
  "shard",
  "outcome",
  "model",
  "input",
  "cache_read",
  "cache_write_5m",
  "cache_write_1h",
  "output",
  "usd"
])

const longestLine = 1 << 29

const encodeUsd = Schema.encodeSync(Cost.Usd)

const free: Cost.BillableTokens = { input: 0, cacheRead: 0, cacheWrite5m: 0, cacheWrite1h: 0, output: 0 }

const responseBody = ({ response }: JsonObject): JsonObject | undefined =>
  isJsonObject(response) && isJsonObject(response["body"]) ? response["body"] : undefined

/** Makes the line of a part record; `undefined` for what is none. */
const lineOf = ({ bill, shard }: ShardState): (record: Buffer) => string | undefined => {
  const byName = new Map(bill?.models.map((model) => [model.answeredAs, model]))
  const priceOf = (tokens: Cost.BillableTokens, model: Cost.ModelBill | undefined): bigint | undefined =>
    tokens === free ? 0n : model?.tariff ? Cost.byTariff(tokens, model.tariff) : undefined

  return (record) => {
    const part = ResultLine.decodePart(record)
    const result: unknown = part === undefined ? undefined : JSON.parse(part.result.toString())
    if (part === undefined || !isJsonObject(result) || typeof result["custom_id"] !== "string") return undefined
    const { outcome, row } = part.head
    const body = responseBody(result)
    const used = body === undefined ? undefined : Cost.tokensOfBody(body)
    // A failure that tells of no tokens had none. Of a row that is missing, and of an answer that does not tell, nobody knows.
    const isFree = shard.mode === "reused"
      || (used === undefined && outcome !== "succeeded" && outcome !== "invalid" && outcome !== "missing")
    const tokens = isFree ? free : used
    const name = body?.["model"]
    const model = byName.get(typeof name === "string" ? name : null) ?? byName.get(null)
    const price = tokens === undefined ? undefined : priceOf(tokens, model)
    return csvLine([
      result["custom_id"],
      String(row),
      String(shard.attempt),
      shard.id,
      outcome,
      model?.model ?? shard.model ?? "",
      ...(tokens === undefined
        ? ["", "", "", "", ""]
        : [tokens.input, tokens.cacheRead, tokens.cacheWrite5m, tokens.cacheWrite1h, tokens.output].map(String)),
      price === undefined ? "" : encodeUsd(price)
    ])
  }
}

const ofShard = (state: ShardState): Stream.Stream<Uint8Array, DiskError | ShardChanged> =>
  Stream.suspend(() => {
    const { shard } = state
    const path = RunDirectory.part(shard)
    const changed = (problem: string) => new ShardChanged({ path, shard: shard.id, problem })
    const toLine = lineOf(state)
    let lines: Array<string> = []
    let problem: string | undefined
    const splitter = new LineSplitter(longestLine, (record, lineNumber) => {
      const line = toLine(record)
      if (line === undefined) problem ??= `line ${lineNumber} of its part is no result of a row`
      else lines.push(line)
    }, (lineNumber) => {
      problem ??= `line ${lineNumber} of its part is too long`
    })
    const notJson = () => changed("its part holds a line that is not JSON")
    const push = (piece: Uint8Array) => splitter.push(piece)
    const taken = Effect.suspend(() => {
      const bytes = Buffer.from(lines.join(""))
      lines = []
      return problem === undefined ? Effect.succeed(bytes) : changed(problem)
    })
    return Stream.concat(
      Stream.mapEffect(Disk.readBlocks(path), (block) => Effect.zipRight(inPieces(block, push, notJson), taken)),
      Stream.fromEffect(Effect.zipRight(Effect.try({ try: () => splitter.end(), catch: notJson }), taken))
    )
  })

/** A line for each row and attempt of these shards, below a line of names. Shards that have no part yet have no lines. */
export const csv = (shards: Iterable<ShardState>): Stream.Stream<Uint8Array, DiskError | ShardChanged> =>
  Stream.concat(
    Stream.make(Buffer.from(header)),
    Stream.flatMap(Stream.fromIterable([...shards].filter(({ tally }) => tally !== null)), ofShard)
  )
