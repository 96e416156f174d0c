/**
 * Which rows need not be sent: the cache has their answer, or another row of the same input asks the same. Plain
 * synchronous code, for the row path.
 */
import type * as Provider from "../Provider.js"
import type { WireId } from "../WireId.js"
import type { CachedAnswers } from "./CachedAnswers.js"
import * as ContentKey from "./ContentKey.js"
import { KeyTable } from "./KeyTable.js"

/** What is to become of a row. */
export type Verdict =
  /** It is sent. Its answer is kept under this key, where it is kept. */
  | { readonly from: "provider"; readonly key: Buffer | undefined }
  /** This is the line of its results. */
  | { readonly from: "cache"; readonly line: Buffer }
  /** It gets what that row gets. */
  | { readonly from: "input"; readonly leader: number }

/** Where answers may come from. */
export interface Reusable {
  /** Whether rows that ask the same get one answer. */
  readonly dedupe: boolean
  readonly cache: CachedAnswers | undefined
}

/** Decides row by row. Its methods throw what the disk throws. */
export class RowReuse {
  private readonly keyOf: (row: Provider.WireRow, wireId: WireId) => Buffer | undefined
  /** By the key of what they ask: the first row that does, or, where each has an answer of its own, how many do. */
  private readonly seen = new KeyTable(1)

  constructor(provider: Provider.Service, private readonly reusable: Reusable) {
    this.keyOf = ContentKey.make(provider)
  }

  /**
   * Decides on a row. `known` is for one that was asked before: the key under which its answer is kept, `null` for none;
   * where rows that ask the same get one answer, it does not matter.
   */
  decide(wire: Provider.WireRow, wireId: WireId, row: number, known?: Buffer | null): Verdict {
    const { cache, dedupe } = this.reusable
    const content = dedupe || known === undefined ? this.keyOf(wire, wireId) : undefined
    const key = dedupe ? content : known === undefined ? this.numbered(content) : known ?? undefined
    if (key === undefined) return { from: "provider", key }
    const line = cache?.find(key, wireId)
    if (line !== undefined) return { from: "cache", line }
    if (dedupe) {
      const entry = this.seen.find(key)
      if (entry !== undefined) return { from: "input", leader: this.seen.number(entry) }
      this.seen.add(key, row)
    }
    return { from: "provider", key: cache === undefined ? undefined : key }
  }

  /** The key of one more row that asks this. */
  private numbered(content: Buffer | undefined): Buffer | undefined {
    if (content === undefined) return undefined
    const entry = this.seen.find(content)
    if (entry === undefined) {
      this.seen.add(content, 1)
      return content
    }
    const count = this.seen.number(entry) + 1
    this.seen.setNumber(entry, count)
    return ContentKey.nth(content, count)
  }
}
