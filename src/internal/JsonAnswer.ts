/**
 * Finds the JSON in what a model said: the whole reply, a code fence in it, or an object or list in the middle of prose.
 *
 * Pure, and linear in the length of the reply: what is looked at again after a false start is bounded.
 */

/** A value that was found, and how many characters it takes: the longest is the likeliest to be meant. */
export interface Candidate {
  readonly value: unknown
  readonly length: number
}

/** No answer of use is nested more deeply, and none that is can be walked without running out of stack. */
const deepest = 200

/** Of more fences than this the last ones are looked at. */
const mostFences = 64

/**
 * The values in a reply, the likeliest first: the reply itself and nothing else, where it is JSON; otherwise what is in
 * code fences, the last fence first, then the objects and lists in the text, the first one first.
 *
 * A value that is only a member of something broken is none of them: the rest of a truncated answer is no answer.
 */
export function* candidates(reply: string): Generator<Candidate, void> {
  const whole = reply.trim()
  const parsed = parse(whole)
  if (parsed !== undefined) {
    yield parsed
    return
  }
  for (const block of fenced(whole).slice(-mostFences).toReversed()) {
    const found = parse(block.trim())
    if (found !== undefined) yield found
  }
  yield* embedded(whole)
}

/** The value of a text; `undefined` for what is no JSON, or nested too deeply. */
const parse = (text: string): Candidate | undefined => {
  if (isTooDeep(text)) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return { value, length: text.length }
  } catch {
    return undefined
  }
}

/** The contents of code fences. A fence that is never closed reaches to the end. */
const fenced = (text: string): ReadonlyArray<string> => {
  const blocks: Array<string> = []
  if (!text.includes("```")) return blocks
  let opened = -1
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf("\n", start)
    const end = newline === -1 ? text.length : newline
    const line = text.slice(start, end).trim()
    if (line.startsWith("```")) {
      if (opened !== -1 && /^`+$/u.test(line)) {
        blocks.push(text.slice(opened, start))
        opened = -1
      } else {
        opened = end + 1
      }
    }
    start = end + 1
  }
  if (opened !== -1) blocks.push(text.slice(opened))
  return blocks
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

/** An opening bracket that began no JSON: what is inside may be members of it. */
interface Broken {
  readonly bracket: number
  readonly end: number
}

/** How often the text may be looked at again, after brackets that began nothing; a short one more often. */
const mostPasses = 4
const shortText = 1 << 14

/** The objects and lists in a text. */
function* embedded(text: string): Generator<Candidate, void> {
  let budget = (text.length + shortText) * mostPasses
  const broken: Array<Broken> = []
  const opening = /[{[]/g
  for (let match = opening.exec(text); match !== null && budget > 0; match = opening.exec(text)) {
    const start = match.index
    const { closed, end } = span(text, start)
    budget -= end - start
    const found = closed ? parse(text.slice(start, end)) : undefined
    if (found === undefined) {
      broken.push({ bracket: text.charCodeAt(start), end: closed ? end : Number.POSITIVE_INFINITY })
      continue
    }
    opening.lastIndex = end
    while ((broken.at(-1)?.end ?? Number.POSITIVE_INFINITY) <= start) broken.pop()
    if (!isMember(text, start, broken.at(-1)?.bracket)) yield found
  }
}

/** Whether what begins here is a member of the broken object, or an element of the broken list, around it. */
const isMember = (text: string, start: number, around: number | undefined): boolean => {
  const before = previous(text, start)
  const code = text.charCodeAt(before)
  if (around === openBrace) return code === colon && text.charCodeAt(previous(text, before)) === quote
  return around === openBracket && (code === comma || code === openBracket)
}

/** The position of the last character before this one that is no space. */
const previous = (text: string, from: number): number => {
  let at = from - 1
  while (at >= 0 && text.charCodeAt(at) <= 0x20) at--
  return at
}

/** How far the brackets that open at `start` reach: to their end, or to where they cannot be JSON any more. */
const span = (text: string, start: number): { readonly closed: boolean; readonly end: number } => {
  const closers: Array<number> = []
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      at = stringEnd(text, at)
      if (at === -1) return { closed: false, end: text.length }
    } else if (code === openBrace) {
      closers.push(closeBrace)
    } else if (code === openBracket) {
      closers.push(closeBracket)
    } else if (code === closeBrace || code === closeBracket) {
      if (closers.pop() !== code) return { closed: false, end: at }
      if (closers.length === 0) return { closed: true, end: at + 1 }
    }
  }
  return { closed: false, end: text.length }
}

/** The closing quote of the string that begins at `start`; -1 where it is none, since no string goes over a line. */
const stringEnd = (text: string, start: number): number => {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) return at
    if (code === backslash) at++
    else if (code < 0x20) return -1
  }
  return -1
}

const isTooDeep = (text: string): boolean => {
  if (text.length < 2 * deepest) return false
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      at = stringEnd(text, at)
      if (at === -1) return false
    } else if (code === openBrace || code === openBracket) {
      if (++depth > deepest) return true
    } else if (code === closeBrace || code === closeBracket) {
      depth--
    }
  }
  return false
}
