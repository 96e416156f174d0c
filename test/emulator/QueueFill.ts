/**
 * How full a queue of an emulator was, told from its books alone.
 */
import type { Books, QueueEntry } from "../../src/emulator/Books.js"

/** The mean over time of the tokens in the queue, from its first batch to its last: as long as work remained. */
export const meanTokens = ({ batches }: Books, { changes, model }: QueueEntry): number => {
  const taken = batches.filter((batch) => batch.model === model && batch.problem === null)
  const from = taken[0]?.createdAt ?? 0
  const to = taken.at(-1)?.createdAt ?? 0
  const area = changes.reduce((sum, { at, tokens }, index) => {
    const until = Math.min(to, changes[index + 1]?.at ?? to)
    return sum + tokens * Math.max(0, until - at)
  }, 0)
  return area / (to - from)
}
