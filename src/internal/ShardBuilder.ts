/**
 * The row path of `Build`: encodes requests for the provider and lays them into shards within its limits. Plain
 * synchronous code; it throws an `InputError`, or what the disk throws.
 */
import * as Either from "effect/Either"
import { createHash } from "node:crypto"
import * as NodePath from "node:path"
import { crc32 } from "node:zlib"
import type { AnswerFormat } from "../AnswerSchema.js"
import { InputError, type UnsupportedField } from "../InputError.js"
import type { ShardMode } from "../Mode.js"
import * as Model from "../Model.js"
import type * as Provider from "../Provider.js"
import type { JsonObject, Request } from "../Request.js"
import * as RunDirectory from "../RunDirectory.js"
import type { RunEvent } from "../RunEvent.js"
import { Shard, shardId } from "../Shard.js"
import * as WireId from "../WireId.js"
import { BlockWriter } from "./BlockWriter.js"
import type * as Disk from "./Disk.js"
import * as RowRecord from "./RowRecord.js"

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
  /** The form that answers must have. */
  readonly answer: AnswerFormat | undefined
  /** How many shards the run has already. */
  readonly shardsBefore: number
  /** 1 for rows that are asked for the first time. */
  readonly attempt: number
  /** Through which API the rows are asked. */
  readonly mode: ShardMode
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

/** Large enough that a write costs little, small enough for a run of many models. */
const bufferSize = 1 << 18

/** How many rows pass between two events. */
const rowsPerEvent = 5_000

/** Fields without which a row asks for nothing: to drop one is no way out. */
const essential = new Set(["model", "messages", "input", "schema"])

interface OpenShard {
  readonly id: string
  readonly wire: BlockWriter
  readonly rows: BlockWriter
  readonly finishHash: () => string
  readonly rowsCrc32: () => number
  readonly first: Provider.WireRow
  readonly firstRow: number
  readonly maxRows: number
  readonly models: Set<string>
  readonly parents: Set<string>
  count: number
  inputs: number
  lastRow: number
}

/** Lays rows into shards. Make one with `new`, `add` every request in input order, then `finish`. */
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
  private opened: number
  private rows = 0

  constructor(private readonly options: ShardBuilderOptions) {
    const { limits } = options.provider
    this.opened = options.shardsBefore
    this.maxRows = Math.min(limits.rows, options.shardRows ?? limits.rows)
    this.maxBytes = Math.min(limits.bytes - limits.overheadBytes, options.shardBytes ?? limits.bytes)
    this.maxInputs = limits.embeddingInputs ?? Number.POSITIVE_INFINITY
    const located = { directory: options.directory, id: "", provider: options.provider.name }
    options.disk.makeDirectory(NodePath.dirname(RunDirectory.rows(located)))
    options.disk.makeDirectory(NodePath.dirname(RunDirectory.batchInput(located)))
  }

  /** Adds the next request; one that is asked for again says in which shard it was before. */
  add(request: Request, parent?: string): void {
    const { answer, provider, runTag, endpoint, tell } = this.options
    const kept = this.withoutDropped(request)
    const encoded = provider.encode(kept, WireId.make(runTag, request.row), endpoint, answer)
    if (Either.isLeft(encoded)) throw this.unsupported(request, encoded.left)
    const row = encoded.right
    if (this.options.onlyEndpoint && row.endpoint !== endpoint) throw this.otherEndpoint(request, row.endpoint)
    if (row.notice !== null) this.notice(row.notice)
    this.checkModel(row.model, request)
    const shard = this.shardFor(row, request)
    shard.wire.text(row.text)
    shard.wire.text("\n")
    shard.rows.text(RowRecord.encode(kept))
    shard.rows.text("\n")
    shard.models.add(row.model)
    if (parent !== undefined) shard.parents.add(parent)
    shard.count++
    shard.inputs += row.inputs
    shard.lastRow = request.row
    this.rows++
    if (this.rows === this.options.tryRows) this.closeAll()
    if (this.rows % rowsPerEvent === 0) tell({ _tag: "RowsBuilt", rows: this.rows })
  }

  /** Finishes every shard; all of it is durable then. */
  finish(): BuiltShards {
    const { directory, disk, provider, tell } = this.options
    this.closeAll()
    const located = { directory, id: "", provider: provider.name }
    disk.syncDirectory(NodePath.dirname(RunDirectory.rows(located)))
    disk.syncDirectory(NodePath.dirname(RunDirectory.batchInput(located)))
    disk.syncDirectory(`${directory}/batch_inputs`)
    disk.syncDirectory(directory)
    for (const [field, count] of this.dropped) this.notice(`${field} is left out of ${count} rows (--drop ${field})`)
    tell({ _tag: "RowsBuilt", rows: this.rows })
    const shards = this.finished.toSorted((one, other) => one.id < other.id ? -1 : 1)
    return { shards, rows: this.rows, notices: [...this.notices] }
  }

  private closeAll(): void {
    for (const [group, shard] of this.open) this.close(group, shard)
  }

  /** Closes what is still open, after a failure. */
  abandon(): void {
    for (const shard of this.open.values()) {
      shard.wire.abandon()
      shard.rows.abandon()
    }
    this.open.clear()
  }

  /** A name that is nearly a known one is a slip, which would cost every row that has it. */
  private checkModel(model: string, request: Request): void {
    if (this.options.allowUnknownModel || this.models.has(model)) return
    const found = Model.builtIn.find(model)
    if (found._tag === "Near") {
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

  private notice(text: string): void {
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
  private shardFor(row: Provider.WireRow, request: Request): OpenShard {
    const { limits } = this.options.provider
    const group = JSON.stringify([row.endpoint, limits.oneModelPerBatch ? row.model : "", row.betas])
    const shard = this.open.get(group)
    if (shard !== undefined) {
      if (
        shard.count < shard.maxRows
        && shard.inputs + row.inputs <= this.maxInputs
        && this.fits(shard.wire.position, row.text)
      ) return shard
      this.close(group, shard)
    }
    if (!this.fits(0, row.text)) throw this.tooLarge(row.text, request)
    if (row.inputs > this.maxInputs) throw this.tooManyInputs(row.inputs, request)
    const opened = this.openShard(row, request.row)
    this.open.set(group, opened)
    return opened
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

  private openShard(first: Provider.WireRow, firstRow: number): OpenShard {
    const { directory, disk, provider } = this.options
    const id = shardId(++this.opened)
    const located = { directory, id, provider: provider.name }
    const hash = createHash("sha256")
    let rowsCrc32 = 0
    const wireHandle = disk.open(RunDirectory.batchInput(located), "write")
    const rowsHandle = this.openOr(RunDirectory.rows(located), () => wireHandle.close())
    return {
      id,
      wire: new BlockWriter(wireHandle, bufferSize, (bytes) => {
        hash.update(bytes)
      }),
      rows: new BlockWriter(rowsHandle, bufferSize, (bytes) => {
        rowsCrc32 = crc32(bytes, rowsCrc32)
      }),
      finishHash: () => hash.digest("hex"),
      rowsCrc32: () => rowsCrc32,
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

  /** Opens a file, or undoes what was done before it failed. */
  private openOr(path: string, undo: () => void): Disk.Handle {
    try {
      return this.options.disk.open(path, "write")
    } catch (error) {
      undo()
      throw error
    }
  }

  private close(group: string, shard: OpenShard): void {
    const { directory, provider, runTag, tell } = this.options
    shard.wire.finish()
    shard.rows.finish()
    this.open.delete(group)
    const finished = new Shard({
      id: shard.id,
      directory,
      runTag,
      provider: provider.name,
      endpoint: shard.first.endpoint,
      model: shard.models.size === 1 ? shard.first.model : null,
      betas: shard.first.betas,
      rows: shard.count,
      bytes: shard.wire.position,
      sha256: shard.finishHash(),
      rowsCrc32: shard.rowsCrc32(),
      firstRow: shard.firstRow,
      lastRow: shard.lastRow,
      attempt: this.options.attempt,
      mode: shard.lastRow <= this.options.tryRows ? "sync" : this.options.mode,
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
