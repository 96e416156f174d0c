/**
 * What is wrong with how the command line was used, and what would be right.
 */
import * as Data from "effect/Data"

/** The command line cannot be understood. */
export class UsageError extends Data.TaggedError("UsageError")<{
  /** What is wrong, and what would be right: whole sentences. */
  readonly message: string
}> {}
