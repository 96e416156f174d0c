/**
 * A batch that the provider did not take into its queue, which was too full for it: nothing of it was begun, and nothing
 * is charged.
 */
import type { BatchSnapshot } from "../Batch.js"

/** What the provider said. */
export interface Decline {
  /** How many tokens of the model may be enqueued, where that is told. */
  readonly tokenLimit: number | null
  readonly detail: string
}

const limitPattern = /limit:\s*([\d,._' ]*\d)/iu

/** Whether a batch ended since the queue was too full; `undefined` for any other end. */
export const declineOf = ({ counts, ending, files, problems }: BatchSnapshot): Decline | undefined => {
  const problem = problems.find(({ code }) => code === "token_limit_exceeded")
  if (ending !== "failed" || problem === undefined || files.length > 0 || counts.succeeded > 0) return undefined
  const digits = limitPattern.exec(problem.message)?.[1]?.replaceAll(/\D/gu, "")
  const tokenLimit = digits === undefined ? 0 : Number(digits)
  return {
    tokenLimit: tokenLimit > 0 && Number.isSafeInteger(tokenLimit) ? tokenLimit : null,
    detail: problem.message
  }
}
