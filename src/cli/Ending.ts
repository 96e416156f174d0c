/**
 * How a command ends that did its work, but not with every row answered: it has been told, and only the exit code is
 * left.
 */
import * as Data from "effect/Data"
import type { ExitCode } from "./ExitCode.js"

/** The exit code of a command that has told everything. */
export class Ending extends Data.TaggedError("Ending")<{
  readonly code: ExitCode
}> {}
