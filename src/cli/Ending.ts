/**
 * How a command ends that did its work, but not with every row answered: it has been told, and only the exit code is
 * left.
 */
import * as Data from "effect/Data"

/** Exit codes, as the README lists them. */
export const exitCode = {
  answered: 0,
  failed: 1,
  badInput: 2,
  rowsUnanswered: 3,
  stillRunning: 4,
  interrupted: 130
} as const

/** An exit code. */
export type ExitCode = typeof exitCode[keyof typeof exitCode]

/** The exit code of a command that has told everything. */
export class Ending extends Data.TaggedError("Ending")<{
  readonly code: ExitCode
}> {}
