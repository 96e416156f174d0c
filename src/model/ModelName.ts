/**
 * Names of models: their parts (fine-tuning, a router's prefix, the date of a snapshot), and which known name somebody
 * may have meant.
 */
import { nearestName } from "../internal/NearestName.js"

/** A name without what was put around it. */
export interface ModelName {
  /** The name of the model that is behind it. */
  readonly base: string
  /** It was made from `base` by fine-tuning, and has a price of its own. */
  readonly fineTuned: boolean
  /** It is asked for through a router (`openai/gpt-5-mini`), whose prices are its own. */
  readonly routed: boolean
}

const routers = ["openai/", "anthropic/"]

/** Takes a name apart. Only routers that name the provider are seen through: `my-org/gpt-5` may be anything. */
export const parse = (name: string): ModelName => {
  const router = routers.find((prefix) => name.startsWith(prefix))
  const inner = router === undefined ? name : name.slice(router.length)
  const fineTuned = /^ft:([^:]+):/.exec(inner)
  return {
    base: fineTuned?.[1] ?? inner,
    fineTuned: fineTuned !== null,
    routed: router !== undefined
  }
}

/** The date at the end of a snapshot's name: `-2025-04-14` of OpenAI's, `-20251001` or `@20251001` of Anthropic's. */
const snapshot = /[-@]20\d\d-?([01]\d)-?([0-3]\d)$/

const isDay = (month: number, day: number): boolean =>
  month >= 1 && month <= 12 && day >= 1 && day <= (month === 2 ? 29 : [4, 6, 9, 11].includes(month) ? 30 : 31)

/** The family of a snapshot: the name without its date; `undefined` when it ends in none. */
export const familyOf = (name: string): string | undefined => {
  const found = snapshot.exec(name)
  return found !== null && isDay(Number(found[1]), Number(found[2]))
    ? name.slice(0, found.index)
    : undefined
}

/** Letters of a name as words, and all its digits in a row. */
interface Shape {
  readonly words: ReadonlyArray<string>
  readonly digits: string
}

const shapeOf = (name: string): Shape => ({
  words: name.toLowerCase().match(/[a-z]+/g) ?? [],
  digits: name.replace(/\D/g, "")
})

/** Whether a word is a slip of another one. The shortest words (`o` of `o3`) are names of their own. */
const isSlip = (word: string, other: string): boolean =>
  Math.min(word.length, other.length) >= 3 && nearestName(word, [other]) !== undefined

/** How many words are slips of the other list's, word for word; `undefined` when one is another word. */
const slips = (left: ReadonlyArray<string>, right: ReadonlyArray<string>): number | undefined => {
  if (left.length !== right.length) return undefined
  let count = 0
  for (const [index, word] of left.entries()) {
    const other = right[index] ?? ""
    if (word === other) continue
    if (!isSlip(word, other)) return undefined
    count += 1
  }
  return count
}

const cost = (wanted: ReadonlyArray<string>, known: ReadonlyArray<string>): number | undefined => {
  const inPlace = slips(wanted, known)
  if (inPlace !== undefined) return inPlace
  // Words in another order: claude-4-5-haiku.
  const moved = slips(wanted.toSorted(), known.toSorted())
  return moved === undefined ? undefined : moved + 1
}

/**
 * Gives the known name that a name is a slip of, or `undefined`. Slips are in letters, in what stands between the parts
 * (`claude-haiku-45`), in upper and lower case, or in the order of the parts. Other digits are another version, and
 * other or more words another variant: those may well exist, even when nobody here knows them.
 */
export const nearestOf = (known: Iterable<string>): (name: string) => string | undefined => {
  const byDigits = new Map<string, Array<{ readonly name: string; readonly words: ReadonlyArray<string> }>>()
  for (const name of known) {
    const { digits, words } = shapeOf(name)
    byDigits.set(digits, [...byDigits.get(digits) ?? [], { name, words }])
  }
  return (name) => {
    if (name.length > 100 || /[/:]/.test(name)) return undefined
    const { digits, words } = shapeOf(name)
    let found: string | undefined
    let least = Infinity
    for (const candidate of byDigits.get(digits) ?? []) {
      const apart = cost(words, candidate.words)
      if (apart !== undefined && apart < least) {
        least = apart
        found = candidate.name
      }
    }
    return found
  }
}
