/**
 * What became of a row that no line of results speaks of: by how its batch ended.
 */
import { isAnswered, isWithdrawn } from "../Batch.js"
import type { Failed } from "../Outcome.js"
import type { RawResults } from "../RawResults.js"

/** What becomes of a row that no line speaks of. */
export const absentOutcome = ({ batch, shortBy }: RawResults): Failed => {
  const failed = { id: null, response: null }
  // Fewer rows came than the provider counts: an absent row may be one of those that it answered.
  const ending = shortBy > 0 ? "completed" : batch.ending
  switch (ending) {
    case "completed":
      return {
        ...failed,
        outcome: "missing",
        code: "missing",
        message: isAnswered(batch.snapshot)
          ? "Its answers were lost on the way, however often it was asked. It may have been charged."
          : `The results of batch ${batch.id} say nothing of this row. It may have been charged.`,
        retryable: true
      }
    case "expired":
      return {
        ...failed,
        outcome: "expired",
        code: "batch_expired",
        message: `Batch ${batch.id} expired before this row was answered.`,
        retryable: true
      }
    case "cancelled":
      return {
        ...failed,
        outcome: "cancelled",
        code: "batch_cancelled",
        message: isWithdrawn(batch.snapshot) || isAnswered(batch.snapshot)
          ? "The run was cancelled before this row was sent."
          : `Batch ${batch.id} was cancelled before this row was answered.`,
        retryable: true
      }
    case "failed": {
      const [problem] = batch.snapshot.problems
      return {
        ...failed,
        outcome: "errored",
        code: problem?.code ?? "batch_failed",
        message: `Batch ${batch.id} failed as a whole: ${problem?.message ?? "the provider gives no reason"}`,
        retryable: problem?.code === "token_limit_exceeded"
      }
    }
  }
}
