/**
 * What can go wrong with a run directory: the disk, the ledger, another process.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Cost from "./Cost.js"

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
      ENOTDIR: "It is no directory, or one above it is none: name another one.",
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

/**
 * What is to be sent next could make the run cost more than it may. Nothing is lost: the run goes on with a larger
 * budget.
 *
 * @since 0.1.0
 * @category errors
 */
export class BudgetReached extends Schema.TaggedError<BudgetReached>("llm-batch/BudgetReached")("BudgetReached", {
  directory: Schema.String,
  /** What the run may cost. */
  budget: Cost.Usd,
  /** What is spent, and what may come to it of what was sent. */
  committed: Cost.Usd,
  /** What is next may cost so much. */
  needed: Cost.Usd
}) {
  override get message(): string {
    const { budget, committed, directory, needed } = this
    const before = committed === 0n ? "" : `${Cost.format(committed)} is spent or committed, and `
    return `${directory}: the budget of ${Cost.format(budget)} is too small for more: ${before}what is next may cost `
      + `${Cost.format(needed)}. Nothing more is sent. Go on with a larger one: `
      + `llm-batch resume ${directory} --max-cost DOLLARS`
  }
}
