/**
 * Most bodies of an input are the same but for one member, the messages. What is worked out of all the rest, and the text
 * around that member, is kept and found again.
 */
import type { JsonObject } from "../Request.js"

/** The JSON text of an object before the value of a member and behind it. */
export interface Frame {
  readonly head: string
  readonly tail: string
}

/** The text around a member that the object has, as `JSON.stringify` writes it. */
export const frameOf = (object: JsonObject, member: string): Frame => {
  let head = "{"
  let tail = ""
  let behind = false
  for (const name of Object.keys(object)) {
    if (name === member) {
      head += `${JSON.stringify(name)}:`
      behind = true
      continue
    }
    const value: unknown = JSON.stringify(object[name])
    if (typeof value !== "string") continue
    if (behind) tail += `,${JSON.stringify(name)}:${value}`
    else head += `${JSON.stringify(name)}:${value},`
  }
  return { head, tail: `${tail}}` }
}

interface Kept<A> {
  readonly names: ReadonlyArray<string>
  readonly values: ReadonlyArray<unknown>
  readonly result: A
}

/** So many kinds of bodies are known at a time: rows that differ all the time should not cost more than without this. */
const most = 8

/** Frozen is all of it or nothing: see `frozen`. */
const isLasting = (value: unknown): boolean => typeof value !== "object" || value === null || Object.isFrozen(value)

/** What was worked out of bodies, by all of their members but one. */
export class AlikeBodies<A> {
  private readonly known: Array<Kept<A>> = []
  private next = 0
  private last: Kept<A> | undefined

  constructor(private readonly varying: string) {}

  /** What was kept for a body like this one: the same members, in the same order. */
  find(body: JsonObject): A | undefined {
    if (this.last !== undefined && this.isAlike(this.last, body)) return this.last.result
    for (const kept of this.known) {
      if (this.isAlike(kept, body)) {
        this.last = kept
        return kept.result
      }
    }
    return undefined
  }

  /**
   * Keeps what was worked out of a body; gives it back. Members that are objects are known by their identity, so that a
   * body with any that could change is not kept.
   */
  keep(body: JsonObject, result: A): A {
    const names = Object.keys(body)
    const values = names.map((name) => name === this.varying ? undefined : body[name])
    if (values.every(isLasting)) {
      this.known[this.next] = { names, values, result }
      this.next = (this.next + 1) % most
    }
    return result
  }

  private isAlike({ names, values }: Kept<A>, body: JsonObject): boolean {
    let index = 0
    for (const name in body) {
      if (name !== names[index] || (name !== this.varying && body[name] !== values[index])) return false
      index++
    }
    return index === names.length
  }
}

/** A copy of JSON data that nothing can change, at any depth; what no JSON can be made of is given back. */
export const frozen = (value: unknown): unknown => {
  const text: unknown = typeof value === "object" && value !== null ? JSON.stringify(value) : undefined
  return typeof text === "string" ? JSON.parse(text, (_name, member: unknown) => Object.freeze(member)) : value
}
