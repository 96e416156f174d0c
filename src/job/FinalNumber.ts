/**
 * The number in which an answer ends, for scoring: what stands after `####`, where GSM8K has it; else in the last
 * `\boxed{}`; else the last number of the text.
 *
 * Numbers are compared as text in one exact form, never as floats: `$1,234.50`, `1234.5` and `01234.500` are one number,
 * and so are `-0` and `0`.
 */

const minus = "[-\u2212]"

/** A hyphen is a sign where nothing stands before it from which it could be subtracted. */
const sign = `(?<![\\p{L}\\p{N})\\]}])${minus}`

const currency = "\\\\?[$\u20ac\u00a3\u00a5\u20b9]"

/** Named groups: `sign` or `inner` (in `$-5`), `whole`, `fraction`, `exponent`. */
const number = `(?<sign>${sign})?(?:${currency}(?<inner>${minus})?)?`
  + "(?:(?<whole>\\d{1,3}(?:,\\d{3})+(?!\\d)|\\d+)(?:\\.(?<fraction>\\d+))?|(?<![\\p{L}\\p{N}])\\.(?<bare>\\d+))"
  + "(?:e(?<exponent>[+-]?\\d{1,3})(?![\\p{L}\\p{N}]))?"

const anyNumber = new RegExp(number, "giu")

/** Directly after the mark, and not the number of a heading, `#### 2. Then`. */
const markedNumber = new RegExp(`####[\\s*_=:\`]*${number}(?!\\d|[.)]\\s+\\p{L})`, "giu")

/** One form for equal numbers: no sign of zero, no zeros before the whole or after the fraction. */
const canonical = (groups: Readonly<Partial<Record<string, string>>>): string => {
  const whole = (groups.whole ?? "0").replaceAll(",", "")
  const fraction = groups.fraction ?? groups.bare ?? ""
  const exponent = Number(groups.exponent ?? 0)
  const digits = whole + fraction
  const point = whole.length + exponent
  const padded = point < 0 ? "0".repeat(-point) + digits : digits.padEnd(point, "0")
  const at = Math.max(0, point)
  const left = padded.slice(0, at).replace(/^0+/u, "")
  const right = padded.slice(at).replace(/0+$/u, "")
  const size = (left === "" ? "0" : left) + (right === "" ? "" : `.${right}`)
  return (groups.sign ?? groups.inner) === undefined || size === "0" ? size : `-${size}`
}

const lastOf = (text: string, pattern: RegExp): string | undefined => {
  let last: RegExpExecArray | undefined
  for (const match of text.matchAll(pattern)) last = match
  return last?.groups === undefined ? undefined : canonical(last.groups)
}

const box = "\\boxed{"

/** What stands in the last box; `undefined` where there is none that is closed. */
const boxed = (text: string): string | undefined => {
  const start = text.lastIndexOf(box)
  if (start === -1) return undefined
  let depth = 1
  for (let at = start + box.length; at < text.length; at++) {
    if (text[at] === "{") depth++
    else if (text[at] === "}" && --depth === 0) return text.slice(start + box.length, at)
  }
  return undefined
}

/** LaTeX writes thousands as `1{,}234` or `1\,234`. */
const withoutSpacing = (text: string): string =>
  text.includes("\\") || text.includes("{,}") ? text.replaceAll("{,}", ",").replaceAll(/\\[,!;:]/gu, "") : text

/** The final number of an answer, in one form for equal numbers; `undefined` when it has none. */
export const finalNumber = (answer: string): string | undefined => {
  const text = withoutSpacing(answer)
  const marked = text.includes("####") ? lastOf(text, markedNumber) : undefined
  if (marked !== undefined) return marked
  const content = boxed(text)
  if (content === undefined) return lastOf(text, anyNumber)
  // The parts of a fraction are not its value.
  return /\\[dt]?frac/u.test(content) ? undefined : lastOf(content, anyNumber)
}
