/**
 * The row path of `Build`: encodes requests for the provider and lays them into shards within its limits. Plain
 * synchronous code; it throws an `InputError`, or what the disk throws.
 */
import * as Either from "effect/Either"
import * as NodePath from "node:path"
import type { AnswerFormat } from "../AnswerSchema.js"
import { InputError, type UnsupportedField } from "../InputError.js"
import type { SentMode } from "../Mode.js"
import * as Model from "../Model.js"
import type * as Provider from "../Provider.js"
import type { JsonObject, Request } from "../Request.js"
import * as RunDirectory from "../RunDirectory.js"
import type { RunEvent } from "../RunEvent.js"
import { Shard, shardId } from "../Shard.js"
import * as WireId from "../WireId.js"
import type * as Disk from "./Disk.js"
import { PendingSyncs } from "./PendingSyncs.js"
import * as RowRecord from "./RowRecord.js"
import type { RowReuse, Verdict } from "./RowReuse.js"
import { ShardFiles } from "./ShardFiles.js"

/** What a builder needs to know. */
export interface ShardBuilderOptions {
  readonly disk: Disk.Service
  readonly provider: Provider.Service
  readonly tell: (event: RunEvent) => void
  /** The input's name, for errors. */
  readonly source: string
  readonly directory: string
  readonly runTag: string
  /** Where rows go that do not say so themselves. */
  readonly endpoint: string
  /** Whether a row that was written for another endpoint is an error, since this one was asked for. */
  readonly onlyEndpoint: boolean
  readonly drop: ReadonlyArray<string>
  /** Whether a model may have a name that looks like a slip. */
  readonly allowUnknownModel: boolean
  /** Models that are known besides those that everybody knows; `null` where there are none. */
  readonly ownModels: Model.Service | null
  /** The form that answers must have. */
  readonly answer: AnswerFormat | undefined
  /** Decides which rows are not sent; all are without it. */
  readonly reuse: RowReuse | undefined
  /** How many shards the run has already. */
  readonly shardsBefore: number
  /** 1 for rows that are asked for the first time. */
  readonly attempt: number
  /** Through which API the rows are asked. */
  readonly mode: SentMode
  /** So many rows at the beginning have a shard of their own, that is asked at once; 0 for none. */
  readonly tryRows: number
  readonly shardRows: number | null
  readonly shardBytes: number | null
}

/** What was built. */
export interface BuiltShards {
  readonly shards: ReadonlyArray<Shard>
  readonly rows: number
  readonly notices: ReadonlyArray<string>
}

/** How many rows pass between two events. */
const rowsPerEvent = 5_000

/** Fields without which a row asks for nothing: to drop one is no way out. */
const essential = new Set(["model", "messages", "input", "schema"])

/** Where a row's answer comes from. */
type Origin = Verdict["from"]

interface OpenShard {
  readonly id: string
  /** What all of its rows have in common, as text. */
  readonly group: string
  readonly files: ShardFiles
  readonly origin: Origin
  readonly first: Provider.WireRow
  readonly firstRow: number
  readonly maxRows: number
  readonly models: Set<string>
  readonly parents: Set<string>
  count: number
  inputs: number
  lastRow: number
}

/** Whether rows belong to the same group. */
const isAlike = (one: Provider.WireRow, other: Provider.WireRow, oneModel: boolean): boolean =>
  one.endpoint === other.endpoint && (!oneModel || one.model === other.model)
  && one.betas.length === other.betas.length && one.betas.every((beta, at) => beta === other.betas[at])

/** Every row is sent. */
const sent: Verdict = { from: "provider", key: undefined }

/** Lays rows into shards. Make one with `new`, `add` every request in input order, then `finish`, wait for `syncs`, and `keep`. */
export class ShardBuilder {
  private readonly open = new Map<string, OpenShard>()
  private readonly finished: Array<Shard> = []
  private readonly notices = new Set<string>()
  private readonly dropped = new Map<string, number>()
  /** The models that were looked at already. */
  private readonly models = new Set<string>()
  private readonly maxRows: number
  private readonly maxBytes: number
  private readonly maxInputs: number
  /** The shard of the row before; it may be closed. */
  private last: OpenShard | undefined
  private opened: number
  private rows = 0
  /** Those of its shards' files. */
  readonly syncs = new PendingSyncs()

  constructor(private readonly options: ShardBuilderOptions) {
    const { limits } = options.provider
    this.opened = options.shardsBefore
    this.maxRows = Math.min(limits.rows, options.shardRows ?? limits.rows)
    this.maxBytes = Math.min(limits.bytes - limits.overheadBytes, options.shardBytes ?? limits.bytes)
    this.maxInputs = limits.embeddingInputs ?? Number.POSITIVE_INFINITY
    const located = { directory: options.directory, id: "", provider: options.provider.name }
    options.disk.makeDirectory(NodePath.dirname(RunDirectory.rows(located)))
    options.disk.makeDirectory(NodePath.dirname(RunDirectory.batchInput(located)))
    if (options.reuse !== undefined) {
      options.disk.makeDirectory(NodePath.dirname(RunDirectory.reused(located)))
      options.disk.makeDirectory(RunDirectory.rawDirectory(located))
    }
  }

  /**
   * Adds the next request; one that is asked for again says in which shard it was before, and the key under which its
   * answer is kept, `null` for none.
   */
  add(request: Request, parent?: string, key?: Buffer | null): void {
    const { answer, provider, reuse, runTag, endpoint, tell } = this.options
    const kept = this.withoutDropped(request)
    const wireId = WireId.make(runTag, request.row)
    const encoded = provider.encode(kept, wireId, endpoint, answer)
    if (Either.isLeft(encoded)) throw this.unsupported(request, encoded.left)
    const row = encoded.right
    if (this.options.onlyEndpoint && row.endpoint !== endpoint) throw this.otherEndpoint(request, row.endpoint)
    if (row.notice !== null) this.notice(row.notice)
    this.checkModel(row.model, request)
    const verdict = reuse === undefined ? sent : reuse.decide(row, wireId, request.row, key)
    const shard = this.shardFor(row, request, verdict.from)
    const { rows, wire } = shard.files
    if (verdict.from === "provider") {
      wire.text(`${row.text}\n`)
    } else if (verdict.from === "cache") {
      wire.bytes(verdict.line)
      wire.text("\n")
    } else {
      wire.text(`{"row":${request.row},"same_as":${verdict.leader}}\n`)
    }
    rows.text(`${RowRecord.encode(kept, verdict.from === "provider" ? verdict.key : undefined, row.messages)}\n`)
    shard.models.add(row.model)
    if (parent !== undefined) shard.parents.add(parent)
    shard.count++
    shard.inputs += row.inputs
    shard.lastRow = request.row
    this.rows++
    if (this.rows === this.options.tryRows) this.closeAll()
    if (this.rows % rowsPerEvent === 0) tell({ _tag: "RowsBuilt", rows: this.rows })
  }

  /** Finishes every shard; when its syncs have been waited for, `keep` gives them. */
  finish(): void {
    this.closeAll()
  }

  /** Makes the names of all files durable, and gives the shards. */
  keep(): BuiltShards {
    const { directory, disk, provider, reuse, tell } = this.options
    const located = { directory, id: "", provider: provider.name }
    disk.syncDirectory(NodePath.dirname(RunDirectory.rows(located)))
    disk.syncDirectory(NodePath.dirname(RunDirectory.batchInput(located)))
    disk.syncDirectory(`${directory}/batch_inputs`)
    if (reuse !== undefined) {
      disk.syncDirectory(NodePath.dirname(RunDirectory.reused(located)))
      disk.syncDirectory(RunDirectory.rawDirectory(located))
      disk.syncDirectory(NodePath.dirname(RunDirectory.rawDirectory(located)))
    }
    disk.syncDirectory(directory)
    for (const [field, count] of this.dropped) this.notice(`${field} is left out of ${count} rows (--drop ${field})`)
    tell({ _tag: "RowsBuilt", rows: this.rows })
    const shards = this.finished.toSorted((one, other) => one.id < other.id ? -1 : 1)
    return { shards, rows: this.rows, notices: [...this.notices] }
  }

  private closeAll(): void {
    for (const shard of this.open.values()) this.close(shard)
  }

  /** Closes what is still open, after a failure. */
  abandon(): void {
    for (const { files } of this.open.values()) files.abandon()
    this.open.clear()
  }

  /** A name that is nearly a known one is a slip, which would cost every row that has it. */
  private checkModel(model: string, request: Request): void {
    const { allowUnknownModel, ownModels } = this.options
    if (allowUnknownModel || this.models.has(model)) return
    const found = Model.builtIn.find(model)
    if (found._tag === "Near" && ownModels?.find(model)._tag !== "Known") {
      throw new InputError({
        source: this.options.source,
        line: request.line,
        field: "model",
        problem: `row ${request.row} (${
          JSON.stringify(request.customId)
        }) names the model ${model}, which is not known`,
        remedy:
          `Did you mean ${found.suggestion}? If ${model} is right, say so with --allow-unknown-model (in code: allowUnknownModel).`
      })
    }
    this.models.add(model)
  }

  /** Tells the user something, once. */
  notice(text: string): void {
    if (this.notices.has(text)) return
    this.notices.add(text)
    this.options.tell({ _tag: "Notice", text })
  }

  private withoutDropped(request: Request): Request {
    if (this.options.drop.length === 0 || request.kind === "native") return request
    const present = this.options.drop.filter((field) => request.body[field] !== undefined)
    if (present.length === 0) return request
    const body: JsonObject = Object.fromEntries(
      Object.entries(request.body).filter(([field]) => !present.includes(field))
    )
    for (const field of present) this.dropped.set(field, (this.dropped.get(field) ?? 0) + 1)
    return { ...request, body }
  }

  /** The open shard of the row's group, or a new one when the row does not fit any more. */
  private shardFor(row: Provider.WireRow, request: Request, origin: Origin): OpenShard {
    const { oneModelPerBatch } = this.options.provider.limits
    // Most rows are like the one before, and to look for their group costs more than to see that.
    const last = this.last !== undefined && this.last.origin === origin
        && isAlike(this.last.first, row, oneModelPerBatch)
      ? this.last
      : undefined
    const group = last?.group ?? JSON.stringify([row.endpoint, oneModelPerBatch ? row.model : "", row.betas, origin])
    const shard = this.open.get(group)
    this.last = shard
    if (shard !== undefined) {
      if (shard.count < shard.maxRows && (origin !== "provider" || this.hasRoom(shard, row))) return shard
      this.close(shard)
    }
    if (origin === "provider") {
      if (!this.fits(0, row.text)) throw this.tooLarge(row.text, request)
      if (row.inputs > this.maxInputs) throw this.tooManyInputs(row.inputs, request)
    }
    const opened = this.openShard(group, row, request.row, origin)
    this.open.set(group, opened)
    this.last = opened
    return opened
  }

  private hasRoom({ files, inputs }: OpenShard, row: Provider.WireRow): boolean {
    return inputs + row.inputs <= this.maxInputs && this.fits(files.wire.position, row.text)
  }

  /**
   * How many rows the shard that was just opened may have. Where batches carry no tag, each shard has a number of its
   * own, by which its batch can be told from the others of the run.
   */
  private rowsOfNext(): number {
    if (this.options.provider.capabilities.tags) return this.maxRows
    return Math.max(Math.ceil(this.maxRows / 2), this.maxRows - (this.opened - 1))
  }

  private fits(position: number, text: string): boolean {
    const room = this.maxBytes - position - 1
    return text.length * 3 <= room || Buffer.byteLength(text) <= room
  }

  private openShard(group: string, first: Provider.WireRow, firstRow: number, origin: Origin): OpenShard {
    const { directory, disk, provider } = this.options
    const id = shardId(++this.opened)
    const located = { directory, id, provider: provider.name }
    const path = {
      provider: RunDirectory.batchInput(located),
      cache: RunDirectory.raw(located, `${id}.jsonl`),
      input: RunDirectory.reused(located)
    }
    return {
      id,
      group,
      files: new ShardFiles(disk, located, path[origin]),
      origin,
      first,
      firstRow,
      maxRows: this.rowsOfNext(),
      models: new Set(),
      parents: new Set(),
      count: 0,
      inputs: 0,
      lastRow: firstRow
    }
  }

  private close(shard: OpenShard): void {
    const { directory, provider, runTag, tell } = this.options
    const { bytes, rowsCrc32, sha256 } = shard.files.finish(this.syncs)
    this.open.delete(shard.group)
    const finished = new Shard({
      id: shard.id,
      directory,
      runTag,
      provider: provider.name,
      endpoint: shard.first.endpoint,
      model: shard.models.size === 1 ? shard.first.model : null,
      betas: shard.first.betas,
      rows: shard.count,
      bytes,
      sha256,
      rowsCrc32,
      firstRow: shard.firstRow,
      lastRow: shard.lastRow,
      attempt: this.options.attempt,
      ...(shard.origin === "provider"
        ? { mode: shard.lastRow <= this.options.tryRows ? "sync" : this.options.mode }
        : { mode: "reused", reuse: shard.origin }),
      parents: [...shard.parents]
    })
    this.finished.push(finished)
    tell({ _tag: "ShardBuilt", shard: finished })
  }

  private unsupported(request: Request, error: UnsupportedField): InputError {
    const topLevel = /^[^.[]*/u.exec(error.field)?.[0] ?? error.field
    const drop = request.kind === "native" || essential.has(topLevel)
      ? null
      : `leave it out of every row with --drop ${topLevel}`
    const ways = [error.remedy, drop].filter((way) => way !== null).join(", or ")
    return new InputError({
      source: this.options.source,
      line: request.line,
      field: error.field,
      problem: `row ${request.row} (${
        JSON.stringify(request.customId)
      }) cannot be sent to ${error.target}: ${error.reason}`,
      remedy: ways === "" ? "Take the row out." : `${ways.charAt(0).toUpperCase()}${ways.slice(1)}.`
    })
  }

  private otherEndpoint(request: Request, endpoint: string): InputError {
    return new InputError({
      source: this.options.source,
      line: request.line,
      field: "url",
      problem: `row ${request.row} (${JSON.stringify(request.customId)}) is written for ${endpoint}, and `
        + `${this.options.endpoint} is asked for`,
      remedy: "Leave --endpoint out, so that each row goes to its own, or take the row out."
    })
  }

  private tooManyInputs(inputs: number, request: Request): InputError {
    return new InputError({
      source: this.options.source,
      line: request.line,
      problem: `row ${request.row} (${JSON.stringify(request.customId)}) has ${inputs} inputs, and a whole batch of `
        + `${this.options.provider.name} allows ${this.maxInputs}`,
      remedy: "Split the row."
    })
  }

  private tooLarge(text: string, request: Request): InputError {
    const { limits, name } = this.options.provider
    const ours = this.maxBytes < limits.bytes - limits.overheadBytes
    return new InputError({
      source: this.options.source,
      line: request.line,
      problem: `row ${request.row} (${JSON.stringify(request.customId)}) takes ${
        Buffer.byteLength(text) + 1
      } bytes as a ${name} batch row, and ${ours ? "--shard-bytes" : "a whole batch"} allows ${this.maxBytes}`,
      remedy: ours ? "Raise --shard-bytes, or shorten the row." : "Shorten the row, or split it."
    })
  }
}
