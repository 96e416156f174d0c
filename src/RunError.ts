/**
 * What can go wrong with a run directory: the disk, the ledger, another process.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The disk refused an operation.
 *
 * @since 0.1.0
 * @category errors
 */
export class DiskError extends Schema.TaggedError<DiskError>("llm-batch/DiskError")("DiskError", {
  operation: Schema.String,
  path: Schema.String,
  /** The system's code: `ENOSPC`, `EACCES`, `EIO`, ... */
  code: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    const advice: Record<string, string> = {
      ENOSPC: "Free some space, then go on with the same command.",
      EDQUOT: "Free some space, then go on with the same command.",
      EACCES: "Check who may read and write there.",
      EPERM: "Check who may read and write there.",
      EROFS: "Choose a directory that can be written with --run-dir.",
      ENOENT: "Check the path."
    }
    return `${this.path}: cannot ${this.operation}: ${this.detail} (${this.code}). ${
      advice[this.code] ?? "What is already on disk is kept; try again when the disk is well."
    }`
  }
}

/**
 * Another process is writing this run.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunLocked extends Schema.TaggedError<RunLocked>("llm-batch/RunLocked")("RunLocked", {
  directory: Schema.String
}) {
  override get message(): string {
    return `${this.directory} is in use by another llm-batch process. Wait for it, or watch it with: `
      + `llm-batch status ${this.directory}`
  }
}

/**
 * A line of the journal cannot be read, and it is not the torn end that a crash leaves.
 *
 * @since 0.1.0
 * @category errors
 */
export class LedgerCorrupt extends Schema.TaggedError<LedgerCorrupt>("llm-batch/LedgerCorrupt")("LedgerCorrupt", {
  path: Schema.String,
  line: Schema.Int,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.path}:${this.line}: the journal is damaged: ${this.problem}. Nothing is guessed over it: `
      + `restore the file from a copy, or ask the provider for the batches it names.`
  }
}

/**
 * The bytes of a shard are not those that were built: sending or matching them would mix two runs.
 *
 * @since 0.1.0
 * @category errors
 */
export class ShardChanged extends Schema.TaggedError<ShardChanged>("llm-batch/ShardChanged")("ShardChanged", {
  path: Schema.String,
  shard: Schema.String,
  problem: Schema.String
}) {
  override get message(): string {
    return `${this.path}: shard ${this.shard} is not as it was built: ${this.problem}. `
      + `Restore the file, or start a new run from the input.`
  }
}

/**
 * The directory cannot be used for what was asked: it holds no run, another run, or one that is not far enough.
 *
 * @since 0.1.0
 * @category errors
 */
export class RunRejected extends Schema.TaggedError<RunRejected>("llm-batch/RunRejected")("RunRejected", {
  directory: Schema.String,
  problem: Schema.String,
  remedy: Schema.String
}) {
  override get message(): string {
    return `${this.directory}: ${this.problem}. ${this.remedy}`
  }
}
