/**
 * Finds values in JSON text without making them anew: parsing and printing would change large numbers, `1.0` and
 * `1e400`, and repeated keys; a span of the text changes nothing.
 *
 * The text should be valid JSON (it has been parsed before, as a rule). Of text that is cut short or malformed, what can
 * be read before the break is found. No recursion: depth costs nothing.
 */

/** The value of JSON text; `undefined` for what is none. */
export const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Longer texts are left to what is built in, which looks at several characters at once. */
const short = 40

/** A string as JSON text, as `JSON.stringify` writes it: for the many short ones that need no escape. */
export const quoted = (text: string): string => {
  if (text.length > short) return JSON.stringify(text)
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code < 0x20 || code === quote || code === backslash || (code >= 0xd800 && code < 0xe000)) {
      return JSON.stringify(text)
    }
  }
  return `"${text}"`
}

/**
 * The text of the value at a path of member names and positions in lists, `memberText(line, "response", "choices", 0)`;
 * `undefined` when it is not there. Of repeated members the last one counts, as for `JSON.parse`.
 */
export const memberText = (text: string, ...path: ReadonlyArray<string | number>): string | undefined => {
  const search = new Search(text, path)
  search.pass(skipSpace(text, 0), 0)
  return search.start === broken ? undefined : text.slice(search.start, search.end)
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

/** One way through a text, which looks into a value on the path while it passes over it. */
class Search {
  /** Where the value is that was found. */
  start = broken
  end = broken

  constructor(private readonly text: string, private readonly path: ReadonlyArray<string | number>) {}

  /** The end of the value that begins at `from`, to which the first steps of the path lead, so many. */
  pass(from: number, steps: number): number {
    const step = this.path[steps]
    if (typeof step === "string") return this.passObject(from, step, steps)
    if (typeof step === "number") return this.passList(from, step, steps)
    const end = skipValue(this.text, from)
    if (end !== broken) {
      this.start = from
      this.end = end
    }
    return end
  }

  private passObject(from: number, name: string, steps: number): number {
    const { text } = this
    if (text.charCodeAt(from) !== openBrace) return skipValue(text, from)
    let at = skipSpace(text, from + 1)
    while (text.charCodeAt(at) === quote) {
      const keyEnd = skipString(text, at)
      const separator = skipSpace(text, keyEnd)
      if (text.charCodeAt(separator) !== colon) return broken
      const value = skipSpace(text, separator + 1)
      const end = isName(text.slice(at + 1, keyEnd - 1), name)
        ? this.passAnew(value, steps + 1)
        : skipValue(text, value)
      if (end === broken) return broken
      const next = skipSpace(text, end)
      const code = text.charCodeAt(next)
      if (code === closeBrace) return next + 1
      if (code !== comma) return broken
      at = skipSpace(text, next + 1)
    }
    return text.charCodeAt(at) === closeBrace ? at + 1 : broken
  }

  /** Of repeated members that are whole, the last one counts, wherever the path leads in those before. */
  private passAnew(from: number, steps: number): number {
    const { end: endBefore, start: startBefore } = this
    this.start = broken
    const end = this.pass(from, steps)
    if (end === broken) {
      this.start = startBefore
      this.end = endBefore
    }
    return end
  }

  private passList(from: number, position: number, steps: number): number {
    const { text } = this
    if (text.charCodeAt(from) !== openBracket) return skipValue(text, from)
    let at = skipSpace(text, from + 1)
    if (text.charCodeAt(at) === closeBracket) return at + 1
    for (let index = 0;; index++) {
      const end = index === position ? this.pass(at, steps + 1) : skipValue(text, at)
      if (end === broken) return broken
      const next = skipSpace(text, end)
      const code = text.charCodeAt(next)
      if (code === closeBracket) return next + 1
      if (code !== comma) return broken
      at = skipSpace(text, next + 1)
    }
  }
}

/** Keys are rarely written with escapes, so they are compared as they stand where that is enough. */
const isName = (raw: string, name: string): boolean => {
  if (raw === name) return !raw.includes("\\")
  return raw.includes("\\") && parse(`"${raw}"`) === name
}

/** In place of a position: the text ends, or makes no sense, before the value does. */
const broken = -1

const skipSpace = (text: string, from: number): number => {
  let at = from
  for (;;) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at
    at++
  }
}

/** The position after the closing quote of the string that begins at `from`. */
const skipString = (text: string, from: number): number => {
  let at = from
  for (;;) {
    at = text.indexOf("\"", at + 1)
    if (at === -1) return broken
    let escapes = 0
    while (text.charCodeAt(at - 1 - escapes) === backslash) escapes++
    if (escapes % 2 === 0) return at + 1
  }
}

const skipValue = (text: string, from: number): number => {
  const code = text.charCodeAt(from)
  if (code === quote) return skipString(text, from)
  if (code === openBrace || code === openBracket) return skipNested(text, from)
  let at = from
  while (at < text.length && !endsScalar(text.charCodeAt(at))) at++
  return at === from || at === text.length ? broken : at
}

const endsScalar = (code: number): boolean =>
  code === comma || code === closeBrace || code === closeBracket || code === 0x20 || code === 0x0a || code === 0x0d
  || code === 0x09

const skipNested = (text: string, from: number): number => {
  let depth = 0
  let at = from
  while (at < text.length) {
    switch (text.charCodeAt(at)) {
      case quote: {
        at = skipString(text, at)
        if (at === broken) return broken
        break
      }
      case openBrace:
      case openBracket: {
        depth++
        at++
        break
      }
      case closeBrace:
      case closeBracket: {
        depth--
        at++
        if (depth === 0) return at
        break
      }
      default: {
        at++
      }
    }
  }
  return broken
}
