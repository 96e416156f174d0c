/**
 * What a row asks for, and of whom, as 128 bits: equal for rows that differ in nothing but their ids.
 */
import { hash } from "node:crypto"
import type * as Provider from "../Provider.js"
import type { WireId } from "../WireId.js"

/** How long a key is. */
export const bytes = 16

/** Changed when keys of the same row are not to be found any more. */
const version = 1

const digest = (content: string): Buffer => hash("sha256", content, "buffer").subarray(0, bytes)

/**
 * The keys of rows for a provider: the start of a SHA-256 over where it is, the endpoint, the beta headers, and the wire
 * row without its wire id, byte for byte. A row that does not hold its wire id has none.
 */
export const make = (
  { name, origin }: Provider.Service
): (row: Provider.WireRow, wireId: WireId) => Buffer | undefined => {
  const server = JSON.stringify([version, name, origin ?? null])
  return ({ betas, endpoint, text }, wireId) => {
    const id = `"${wireId}"`
    const at = text.indexOf(id)
    if (at === -1) return undefined
    return digest(`${server}${endpoint}\n${betas.join()}\n${text.slice(0, at)}\n${text.slice(at + id.length)}`)
  }
}

/** The key of the nth row that asks the same: repeated samples each have an answer of their own. */
export const nth = (key: Buffer, count: number): Buffer => count === 1 ? key : digest(`${key.toString("hex")} ${count}`)
