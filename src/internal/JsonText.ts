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

/** Where a value lies in the text: from `start`, up to and without `end`. */
interface Span {
  readonly start: number
  readonly end: number
}

/**
 * The text of the value at a path of member names and positions in lists, `memberText(line, "response", "choices", 0)`;
 * `undefined` when it is not there. Of repeated members the last one counts, as for `JSON.parse`.
 */
export const memberText = (text: string, ...path: ReadonlyArray<string | number>): string | undefined => {
  let span: Span | undefined = { start: skipSpace(text, 0), end: text.length }
  for (const step of path) {
    span = typeof step === "string" ? memberSpan(text, span.start, step) : elementSpan(text, span.start, step)
    if (span === undefined) return undefined
  }
  return text.slice(span.start, span.end)
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d

/** The last member with this name of the object that begins at `start`. */
const memberSpan = (text: string, start: number, name: string): Span | undefined => {
  if (text.charCodeAt(start) !== openBrace) return undefined
  let found: Span | undefined
  let at = skipSpace(text, start + 1)
  while (text.charCodeAt(at) === quote) {
    const keyEnd = skipString(text, at)
    const separator = skipSpace(text, keyEnd)
    if (text.charCodeAt(separator) !== colon) return found
    const value = skipSpace(text, separator + 1)
    const end = skipValue(text, value)
    if (end === broken) return found
    if (isName(text.slice(at + 1, keyEnd - 1), name)) found = { start: value, end }
    const next = skipSpace(text, end)
    if (text.charCodeAt(next) !== comma) return found
    at = skipSpace(text, next + 1)
  }
  return found
}

/** The element at this position of the list that begins at `start`. */
const elementSpan = (text: string, start: number, position: number): Span | undefined => {
  if (text.charCodeAt(start) !== openBracket) return undefined
  let at = start
  for (let index = 0;; index++) {
    const value = skipSpace(text, at + 1)
    const end = skipValue(text, value)
    if (end === broken) return undefined
    if (index === position) return { start: value, end }
    at = skipSpace(text, end)
    if (text.charCodeAt(at) !== comma) return undefined
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
