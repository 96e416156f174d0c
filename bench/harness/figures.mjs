/**
 * Numbers out of measurements, and how they are written.
 */

/** @param {ReadonlyArray<number>} numbers */
export const median = (numbers) => {
  const sorted = numbers.toSorted((one, other) => one - other)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

/** @param {number} ratio */
export const times = (ratio) => `${ratio.toFixed(2)} x`

/** @param {number} millis */
export const seconds = (millis) => millis < 1_000 ? `${millis.toFixed(0)} ms` : `${(millis / 1_000).toFixed(2)} s`

/** @param {number} bytes */
export const megabytes = (bytes) => `${(bytes / 1_000_000).toFixed(0)} MB`

/** @param {number} count */
export const rows = (count) => count.toLocaleString("en")
