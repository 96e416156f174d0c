/**
 * Items multiplied into the rows of an evaluation: one for each model, condition, temperature and sample, an item's rows
 * together. Rows are made when they are needed, a block of them at a time, so that memory holds a block of the items
 * and one of the rows, however many each item becomes.
 *
 * A line with a `body` is a row already. It is checked and goes on as it is.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { InputError } from "../InputError.js"
import { macrotask } from "../internal/BlockLoop.js"
import * as CsvRows from "../internal/CsvRows.js"
import { blockSize } from "../internal/Disk.js"
import * as JsonRows from "../internal/JsonRows.js"
import { memberText } from "../internal/JsonText.js"
import { nearestName } from "../internal/NearestName.js"
import { describe, RowErrors } from "../internal/RowErrors.js"
import { isJsonObject, type JsonObject, type Thinking } from "../Request.js"
import type { RowReader } from "../RowReader.js"
import type { Source } from "../Source.js"
import * as Template from "../Template.js"
import * as SixPartId from "./SixPartId.js"

/** One way in which every item is asked. */
export interface Cell {
  readonly model: string
  /** The part of the id. */
  readonly condition: string
  /** The part of the id. */
  readonly temp: number
  readonly prompt: Template.Template
  readonly system: Template.Template | null
  /** What the body says besides model and messages. */
  readonly parameters: {
    readonly temperature?: number
    readonly max_tokens?: number
    readonly thinking?: Thinking
  }
}

/** What items become. */
export interface ItemMatrix {
  readonly cells: ReadonlyArray<Cell>
  readonly samples: number
  /** For items that do not name their own. */
  readonly dataset: string
  /** For items that do not name their own. */
  readonly type: string
  /** The column with an item's id; `null` for `item_id`, else `id`, else `custom_id`, else the item's number. */
  readonly idColumn: string | null
  readonly answerColumn: string
  /** Values for template variables that no column has. */
  readonly variables: { readonly [name: string]: string }
  /** Reads no more than so many items. */
  readonly limitItems: number
}

/** An item as it was read. */
interface Item {
  readonly record: JsonObject
  /** `null` in a table. */
  readonly text: string | null
  readonly line: number
  /** From 1. */
  readonly number: number
}

/** Columns of an item whose names say something else of a row. */
const reserved = new Set(["custom_id", "body", "params", "url", "method"])

/** Ids of items that are looked through for repetitions here, to name their lines; `Build` looks through all. */
const rememberedIds = 200_000

/** Thrown when enough items are read; never seen outside. */
const enough = new Error("Enough items are read")

/** Whether every item becomes one row. */
const isOneToOne = ({ cells, samples }: ItemMatrix): boolean => cells.length * samples === 1

class RowMaker {
  private readonly seen = new Map<string, number>()
  private lines = 0

  constructor(private readonly matrix: ItemMatrix, private readonly errors: RowErrors) {}

  /** The lines of the rows of an item. Throws an `InputError`. */
  *rows(item: Item): Generator<string> {
    const { errors } = this
    errors.line = item.line
    // So that the line of a row is that of its item, also behind blank ones.
    if (isOneToOne(this.matrix)) {
      for (; this.lines < item.line - 1; this.lines++) yield "\n"
      this.lines++
    }
    if (item.text !== null && isJsonObject(item.record.body)) {
      this.checkReady(item.record)
      yield `${item.text}\n`
      return
    }
    const { record } = item
    const { cells, samples } = this.matrix
    const dataset = this.part(record, "dataset", this.matrix.dataset)
    const itemId = this.itemId(item)
    const type = this.part(record, "type", this.matrix.type)
    this.checkRepeated(`${dataset}${SixPartId.separator}${itemId}`, item)
    const columns = JSON.stringify(this.columns(item))
    const rest = columns === "{}" ? "}" : `,${columns.slice(1)}`
    for (const cell of cells) {
      const { condition, model, parameters, temp } = cell
      const body = JSON.stringify({ model, messages: this.messages(cell, record), ...parameters })
      for (let sampleIndex = 0; sampleIndex < samples; sampleIndex++) {
        const id = SixPartId.format({ dataset, itemId, condition, temp, sampleIndex, type })
        yield `{"custom_id":${JSON.stringify(id)},"body":${body}${rest}\n`
      }
    }
  }

  private checkReady({ custom_id: id }: JsonObject): void {
    const { errors } = this
    if (!isOneToOne(this.matrix)) {
      throw errors.make({
        field: "body",
        problem: "this row is ready to be sent, and the options ask for several rows of each item",
        remedy: "Give one model and one temperature, and neither conditions nor samples, or turn the rows into items "
          + "such as {\"item_id\": \"1\", \"question\": \"...\", \"answer\": \"...\"}."
      })
    }
    if (typeof id !== "string") {
      throw errors.make({
        field: "custom_id",
        problem: `found ${describe(id)}`,
        remedy: `A row that is ready to be sent has an id of six parts: ${SixPartId.form}.`
      })
    }
    const problem = Either.flip(SixPartId.parse(id))
    if (Either.isRight(problem)) {
      throw errors.make({
        field: "custom_id",
        problem: `the id ${JSON.stringify(id)} ${problem.right}`,
        remedy: `Its form is ${SixPartId.form}.`
      })
    }
  }

  private checkRepeated(item: string, { line }: Item): void {
    const first = this.seen.get(item)
    if (first !== undefined) {
      throw this.errors.make({
        problem: `the item ${JSON.stringify(item)} is that of line ${first} too`,
        remedy: "Give every item an id of its own, or none: items without one are numbered."
      })
    }
    if (this.seen.size < rememberedIds) this.seen.set(item, line)
  }

  private itemId({ number, record }: Item): string {
    const { idColumn } = this.matrix
    if (idColumn !== null && !Object.hasOwn(record, idColumn)) throw this.missing(record, idColumn)
    const name = idColumn
      ?? ["item_id", "id", "custom_id"].find((name) => record[name] !== undefined && record[name] !== null)
    return name === undefined ? String(number) : this.part(record, name, undefined)
  }

  /** A part of the id out of a column; without a value there, `fallback`. */
  private part(record: JsonObject, name: string, fallback: string | undefined): string {
    const value = record[name]
    if (fallback !== undefined && (value === undefined || value === null || value === "")) return fallback
    const text = typeof value === "number" ? String(value) : value
    if (typeof text !== "string" || text === "") {
      throw this.errors.make({
        field: name,
        problem: `found ${describe(value)}`,
        remedy: "It becomes a part of the row's id: a string or a number, and not empty."
      })
    }
    if (text.includes(SixPartId.separator) || !text.isWellFormed()) {
      throw this.errors.make({
        field: name,
        problem: `${describe(text)} ${text.isWellFormed() ? "holds a |" : "holds half of a surrogate pair"}`,
        remedy: `It becomes a part of the row's id, ${SixPartId.form}: write it without.`
      })
    }
    return text
  }

  /** What comes back beside the answers; the answer to compare with keeps all its digits. */
  private columns({ record, text }: Item): JsonObject {
    const { answerColumn } = this.matrix
    const entries = Object.entries(record).map(([name, value]): [string, unknown] => [
      reserved.has(name) ? `input_${name}` : name,
      name === answerColumn && typeof value === "number" && text !== null ? memberText(text, name) ?? value : value
    ])
    return Object.fromEntries(entries)
  }

  private messages({ prompt, system }: Cell, record: JsonObject): ReadonlyArray<JsonObject> {
    const content = this.render(prompt, record)
    if (content === "") {
      throw this.errors.make({
        problem: "the prompt of this item is empty",
        remedy: "Every column that the template names is empty here: fill one in, or take the item out."
      })
    }
    const question = { role: "user", content }
    return system === null ? [question] : [{ role: "system", content: this.render(system, record) }, question]
  }

  private render(template: Template.Template, record: JsonObject): string {
    return Template.render(template, record, this.matrix.variables, (variable) => {
      throw this.missing(record, variable)
    })
  }

  private missing(record: JsonObject, name: string): InputError {
    const names = Object.keys(record)
    const near = nearestName(name, names)
    return this.errors.make({
      field: name,
      problem: "the item has no such column",
      remedy: `It has: ${names.slice(0, 20).join(", ")}. ${
        near === undefined
          ? "A condition's prompt names the columns that it takes: prompt: \"{{question}}\"."
          : `Perhaps ${near} is meant.`
      }`
    })
  }
}

/** Items of a block, and what ended the reading, if it ended there. */
interface Batch {
  readonly items: ReadonlyArray<Item>
  readonly failure: InputError | null
  readonly last: boolean
}

const nameError = (error: unknown): InputError => {
  if (error instanceof InputError) return error
  throw error
}

/** Reads the items of an input, block by block; `null` ends it. */
const makeReader = (input: Source, errors: RowErrors, limit: number) => {
  let items: Array<Item> = []
  let count = 0
  const add = (record: JsonObject, text: string | null) => {
    items.push({ record, text, line: errors.line, number: ++count })
    if (count === limit) throw enough
  }
  const reader: RowReader = input.format === "jsonl"
    ? JsonRows.make(errors, add)
    : CsvRows.make(errors, input.format, input.columns, (record) => add(record, null))
  return (block: Uint8Array | null): Batch => {
    items = []
    try {
      if (block === null) reader.end()
      else reader.push(block)
      return { items, failure: null, last: block === null }
    } catch (error) {
      return { items, failure: error === enough ? null : nameError(error), last: true }
    }
  }
}

/** The rows of some items, in blocks; what is wrong with an item comes after the rows of those before it. */
const rowBlocks = (maker: RowMaker, { failure, items }: Batch): Stream.Stream<Uint8Array, InputError> => {
  const lines = function*() {
    for (const item of items) yield* maker.rows(item)
    if (failure !== null) throw failure
  }
  return Stream.suspend(() => {
    const iterator = lines()
    // Few rows are given without a macrotask, so that under a test clock their reader goes straight on.
    return Stream.unfoldEffect(0, (previous) =>
      Effect.zipRight(
        previous < blockSize ? Effect.void : macrotask,
        Effect.try({
          try: () => {
            let text = ""
            while (text.length < blockSize) {
              const next = iterator.next()
              if (next.done === true) break
              text += next.value
            }
            return text === "" ? Option.none() : Option.some([Buffer.from(text), text.length] as const)
          },
          catch: nameError
        })
      ))
  })
}

/**
 * The rows of an input of items. Their errors name the line of the item; a later stage, which knows rows only, names the
 * line of the row, and that of the item too where each becomes one row.
 */
export const source = (input: Source, matrix: ItemMatrix): Source => {
  return {
    name: isOneToOne(matrix) ? input.name : `the rows made of ${input.name}`,
    path: input.path,
    format: "jsonl",
    columns: null,
    blocks: Stream.suspend(() => {
      const errors = new RowErrors(input.name)
      const maker = new RowMaker(matrix, errors)
      const read = makeReader(input, errors, matrix.limitItems)
      return Stream.concat(input.blocks, Stream.make(null)).pipe(
        Stream.mapEffect((block) => Effect.sync(() => read(block))),
        Stream.takeUntil(({ last }) => last),
        Stream.flatMap((batch) => rowBlocks(maker, batch))
      )
    })
  }
}
