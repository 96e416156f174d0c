/**
 * Finds the result lines of a shard among saved ones, and gives them the shard's own wire ids. Plain synchronous code.
 */
import * as WireId from "../WireId.js"
import { memberText } from "./JsonText.js"
import type { RowHead } from "./RowRecord.js"

/** The length of a run's tag. */
const tagLength = 10

const wirePattern = /^[a-z0-9]{10}-[1-9][0-9]*$/u

/** The user's ids may look like wire ids in so many families; with more, none is taken for a wire id any more. */
const familiesAtMost = 1_000

/**
 * The ids of a run's input that look like wire ids, `evaluation-7`: what they begin with. An id of such a family is the
 * user's, whichever shard looks at it.
 */
export class IdFamilies {
  private readonly families = new Set<string>()

  /** Takes an id of the input. */
  add(customId: string): void {
    if (this.families.size < familiesAtMost && wirePattern.test(customId)) {
      this.families.add(customId.slice(0, tagLength))
    }
  }

  /** The row number in a wire id of any run; `undefined` for an id that may be the user's. */
  rowOf(id: string): number | undefined {
    if (!wirePattern.test(id) || this.families.size >= familiesAtMost) return undefined
    const tag = id.slice(0, tagLength)
    return this.families.has(tag) ? undefined : WireId.rowOf(tag, id)
  }
}

/** Knows the rows of one shard by both kinds of ids. */
export class ShardIds {
  private readonly byId = new Map<string, number>()
  private readonly rows = new Set<number>()

  constructor(private readonly families: IdFamilies) {}

  /** Takes a row of the shard. */
  add({ customId, row }: RowHead): void {
    this.byId.set(customId, row)
    this.rows.add(row)
  }

  /** The row of the shard that an id means; the user's own id comes before a wire id. */
  rowOf(id: string): number | undefined {
    const own = this.byId.get(id)
    if (own !== undefined) return own
    const row = this.families.rowOf(id)
    return row !== undefined && this.rows.has(row) ? row : undefined
  }
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The line with `id` in the place of its own; `own` is the JSON text of that. No other character changes. */
const replaceId = (text: string, own: string, id: string): string | undefined => {
  const member = /"custom_id"[ \t\r\n]*:[ \t\r\n]*/gu
  while (member.exec(text) !== null) {
    const start = member.lastIndex
    if (!text.startsWith(own, start)) continue
    const replaced = text.slice(0, start) + id + text.slice(start + own.length)
    // An object inside the line may have such a member too.
    if (memberText(replaced, "custom_id") === id) return replaced
  }
  return undefined
}

/** Rows as they were sent may lie beside their results. */
const isRequest = (text: string): boolean =>
  memberText(text, "body") !== undefined || memberText(text, "params") !== undefined

/** A saved line under the wire id of its row. */
export interface OwnLine {
  readonly row: number
  readonly line: Buffer
}

/**
 * A saved line as it would have come for this shard; `undefined` for any other line. But for the id, its bytes stay as
 * they are, valid UTF-8 or not: a character of the text worked on is a byte.
 */
export const ownLine = (ids: ShardIds, runTag: string, line: Buffer): OwnLine | undefined => {
  const text = line.toString("latin1")
  const idText = memberText(text, "custom_id")
  if (idText === undefined) return undefined
  const id = parse(Buffer.from(idText, "latin1").toString())
  const row = typeof id === "string" ? ids.rowOf(id) : undefined
  if (row === undefined || isRequest(text)) return undefined
  const replaced = replaceId(text, idText, JSON.stringify(WireId.make(runTag, row)))
  return replaced === undefined ? undefined : { row, line: Buffer.from(replaced, "latin1") }
}
