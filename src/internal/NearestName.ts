/**
 * The name that somebody may have meant, for error messages: of a column, a flag, a command, a configuration key.
 */

/**
 * How many single-character slips (a missing, extra or wrong character, or two neighbours swapped) lie between two
 * strings.
 */
const distance = (left: string, right: string): number => {
  let beforeLast: Array<number> = []
  let last = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let row = 1; row <= left.length; row++) {
    const current = [row]
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1]
      let best = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1)
      )
      if (row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1]) {
        best = Math.min(best, (beforeLast[column - 2] ?? 0) + 1)
      }
      current.push(best)
    }
    beforeLast = last
    last = current
  }
  return last[right.length] ?? 0
}

/** Longer names are compared no further: nobody types them. */
const longest = 100

/**
 * The candidate nearest to a name, or `undefined` when none is near: at most one slip in three characters, upper and
 * lower case being the same. Of equally near ones the first of the name's own length, else the first.
 */
export const nearestName = (name: string, candidates: Iterable<string>): string | undefined => {
  const wanted = name.toLowerCase()
  if (wanted.length > longest) return undefined
  let nearest: string | undefined
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1
  for (const candidate of candidates) {
    if (candidate.length > longest || Math.abs(candidate.length - wanted.length) >= least) continue
    const slips = distance(wanted, candidate.toLowerCase())
    // Half a slip more for another length: swapping two letters is likelier than losing one.
    const cost = slips + (candidate.length === wanted.length ? 0 : 0.5)
    if (cost < least && slips < Math.max(wanted.length, candidate.length)) {
      least = cost
      nearest = candidate
    }
  }
  return nearest
}
