/**
 * The outputs of a finished run cannot be made of what the job's input is by now. Nothing of the run is lost.
 */
import * as Data from "effect/Data"

/** The job's run is finished, and its outputs cannot be made yet. */
export class NotConcluded extends Data.TaggedError("NotConcluded")<{
  readonly message: string
}> {}
