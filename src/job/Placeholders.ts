/**
 * What a translation must leave as it is: `{{name}}` and `{name}` placeholders, line breaks, and `\n` written out.
 * Plain functions, for the row path.
 */

/** A message for plurals or genders, whose branches are texts to be translated: `{count, plural, one {...} other {...}}`. */
const choosing = /^\{\s*([^{},\s]+)\s*,\s*(plural|selectordinal|select)\s*,/u

/** The position after the brace that closes the one at `from`; -1 when nothing does. */
const closing = (text: string, from: number): number => {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    if (text[at] === "{") depth++
    else if (text[at] === "}" && --depth === 0) return at + 1
  }
  return -1
}

/** A placeholder, and where the text goes on behind it. */
interface Found {
  readonly token: string
  readonly end: number
}

const braced = (text: string, from: number): Found | undefined => {
  if (text.startsWith("{{", from)) {
    const end = text.indexOf("}}", from + 2)
    return end === -1 ? undefined : { token: text.slice(from, end + 2), end: end + 2 }
  }
  const end = closing(text, from)
  if (end === -1) return undefined
  const whole = text.slice(from, end)
  if (!whole.includes("{", 1)) return { token: whole, end }
  const [, name, kind] = choosing.exec(whole) ?? []
  return name === undefined || kind === undefined ? undefined : { token: `{${name}, ${kind}}`, end }
}

/** The protected parts of a text, with how often each is there. */
const tokens = (text: string): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  const count = (token: string) => counts.set(token, (counts.get(token) ?? 0) + 1)
  const starts = /[{\n]|\\n/gu
  for (let start = starts.exec(text); start !== null; start = starts.exec(text)) {
    if (start[0] !== "{") {
      count(start[0])
      continue
    }
    const found = braced(text, start.index)
    if (found === undefined) continue
    count(found.token)
    starts.lastIndex = found.end
  }
  return counts
}

const shown = (token: string): string => token === "\n" ? "a line break" : token

const times = (count: number): string => count === 0 ? "not at all" : count === 1 ? "once" : `${count} times`

/** How the protected parts of a translation differ from the source's, in words; `undefined` when they do not. */
export const difference = (source: string, translation: string): string | undefined => {
  const [wanted, found] = [tokens(source), tokens(translation)]
  for (const token of new Set([...wanted.keys(), ...found.keys()])) {
    const [there, here] = [wanted.get(token) ?? 0, found.get(token) ?? 0]
    if (there !== here) return `${shown(token)} is in the source ${times(there)}, and here ${times(here)}`
  }
  return undefined
}
