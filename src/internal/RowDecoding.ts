/**
 * How lines of results are decoded, as data: a function cannot cross to another thread, what it is made of can.
 */
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Provider from "../Provider.js"
import { secretOf } from "./ProviderAccess.js"
import { withoutKey } from "./RowRedaction.js"

type Decode = Provider.Service["decode"]

/** What a decoding is made of. */
export const RowDecoding = Schema.Struct({
  provider: Schema.Literal("openai", "anthropic"),
  /** What no row that failed may repeat; empty for nothing. */
  secret: Schema.String
})

/** What a decoding is made of. */
export type RowDecoding = typeof RowDecoding.Type

const known = new WeakMap<Decode, RowDecoding>()

/** The decoding of a provider, without its key in rows that failed. */
export const make = (
  provider: RowDecoding["provider"],
  decode: Decode,
  key: Redacted.Redacted | undefined
): Decode => {
  const made = withoutKey(decode, key)
  known.set(made, { provider, secret: key === undefined ? "" : secretOf(key) })
  return made
}

/** What it is made of; `undefined` for one that was not made here: somebody's own, or one around it. */
export const of = (decode: Decode): RowDecoding | undefined => known.get(decode)
