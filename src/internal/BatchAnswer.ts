/**
 * What servers say of batches, read with patience: nulls, empty strings, dates and numbers as text and statuses in other
 * spellings come from servers that follow an API less strictly, and must not lose a batch that is paid for.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { BatchSnapshot } from "../Batch.js"
import { ProviderError } from "../ProviderError.js"
import { isJsonObject, type JsonObject } from "../Request.js"
import { Unreadable } from "./SdkError.js"

/** A batch as a provider describes it. */
export interface Described {
  readonly snapshot: BatchSnapshot
  /** Whether its time of creation is the provider's. */
  readonly isDated: boolean
}

/** A page of batches, newest first, and what to pass on for the next. */
export interface Page<A extends Described> {
  readonly batches: ReadonlyArray<A>
  readonly next: string | null
}

/** The batch with its id. All else may be missing. Throws `Unreadable`. */
export const batchOf = (value: unknown): { readonly id: string; readonly fields: JsonObject } => {
  const id = isJsonObject(value) ? textOf(value.id) : null
  if (!isJsonObject(value) || id === null) throw new Unreadable(200, "the answer is not a batch")
  return { id, fields: value }
}

/**
 * Reads a page of at most `limit` batches that holds what follows the batch `after`. Throws `Unreadable`, also when the
 * page says that there are more and not where: a list cut short would look like an absence.
 */
export const pageOf = <A extends Described>(
  value: unknown,
  after: string | null,
  limit: number,
  describe: (value: unknown) => A
): Page<A> => {
  if (!isJsonObject(value) || !Array.isArray(value.data)) {
    throw new Unreadable(200, "the answer is not a list of batches")
  }
  const batches = value.data.map(describe)
  const more = typeof value.has_more === "boolean" ? value.has_more : batches.length >= limit
  if (!more) return { batches, next: null }
  const next = textOf(value.last_id) ?? batches.at(-1)?.snapshot.id ?? null
  if (next === null || next === after) throw new Unreadable(200, lost)
  return { batches, next }
}

const lost = "the list of batches does not say how it goes on"

/** Reads page after page, back to a time before which nothing is looked for. Gives all that was read, each batch once. */
export const readBack = <A extends Described>(
  provider: string,
  time: DateTime.Utc,
  readPage: (after: string | null) => Effect.Effect<Page<A>, ProviderError>
): Effect.Effect<ReadonlyArray<A>, ProviderError> =>
  Effect.gen(function*() {
    const read = new Map<string, A>()
    let after: string | null = null
    do {
      const known = read.size
      const { batches, next }: Page<A> = yield* readPage(after)
      for (const batch of batches) read.set(batch.snapshot.id, batch)
      after = isBefore(batches, time) ? null : next
      if (after !== null && read.size === known) {
        return yield* new ProviderError({
          provider,
          operation: "list batches",
          reason: "unexpected",
          status: null,
          retryAfterMillis: null,
          detail: lost
        })
      }
    } while (after !== null)
    return [...read.values()]
  })

/** Whether a batch was certainly made before a time. */
export const isOlder = ({ isDated, snapshot }: Described, time: DateTime.Utc): boolean =>
  isDated && DateTime.lessThan(snapshot.createdAt, time)

/** Whether a page lies before a time with all that follows. A page that does not go back in time says nothing. */
const isBefore = (batches: ReadonlyArray<Described>, time: DateTime.Utc): boolean => {
  const first = batches[0]
  const last = batches.at(-1)
  return first !== undefined && last !== undefined && first.isDated && isOlder(last, time)
    && DateTime.greaterThan(first.snapshot.createdAt, last.snapshot.createdAt)
}

/** An empty string stands for nothing. */
export const textOf = (value: unknown): string | null => typeof value === "string" && value !== "" ? value : null

/** `InProgress`, `IN_PROGRESS` and `in progress` are one. */
export const statusOf = (value: unknown): string =>
  (textOf(value) ?? "").trim().replace(/([a-z])([A-Z])/g, "$1_$2").replace(/[\s-]+/g, "_").toLowerCase()

/** 0 for what is no count. */
export const countOf = (value: unknown): number => {
  const count = numberOf(value)
  return count !== undefined && Number.isSafeInteger(count) && count > 0 ? count : 0
}

const numberOf = (value: unknown): number | undefined => {
  if (typeof value === "number") return value
  return typeof value === "string" && /^\d+(\.\d+)?$/.test(value) ? Number(value) : undefined
}

/** Unix seconds or milliseconds, as a number or as text, or an ISO date, in UTC where it names no zone. */
export const timeOf = (value: unknown): DateTime.Utc | null => {
  const time = numberOf(value)
  if (time !== undefined) return time > 0 ? Option.getOrNull(DateTime.make(time < 1e11 ? time * 1000 : time)) : null
  if (typeof value !== "string") return null
  const zoned = /\d[T ][\d:.]+$/.test(value) ? `${value}Z` : value
  return Option.getOrNull(Option.map(DateTime.make(zoned), DateTime.toUtc))
}
