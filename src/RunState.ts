/**
 * The journal of a run and what follows from it. `Entry` is one line of `journal.jsonl`: an intent before it is tried,
 * or a fact after it is known. `RunState` is where the run stands when all entries are taken together; it is derived,
 * never stored.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { BatchSnapshot, EndedBatch, InputReference, isAtProvider } from "./Batch.js"
import { BuildOptions } from "./BuildOptions.js"
import * as Cost from "./Cost.js"
import { ShardBill } from "./Cost.js"
import * as Mode from "./Mode.js"
import { Account } from "./Provider.js"
import { RawFile, RawResults } from "./RawResults.js"
import { Shard } from "./Shard.js"
import { Tally } from "./Tally.js"

const at = Schema.DateTimeUtc

/**
 * Where a run's rows came from.
 *
 * @since 0.1.0
 * @category models
 */
export class InputDescription extends Schema.Class<InputDescription>("llm-batch/InputDescription")({
  name: Schema.String,
  /** The absolute path, where the input is a file that can be read again. */
  path: Schema.NullOr(Schema.String),
  format: Schema.Literal("jsonl", "csv", "tsv"),
  columns: Schema.NullOr(Schema.Array(Schema.String)),
  /** The file's size when the run began. */
  bytes: Schema.NullOr(Schema.Number)
}) {}

const Count = Schema.Int.pipe(Schema.nonNegative())

/**
 * When a run is brought to its end through the synchronous API.
 *
 * @since 0.1.0
 * @category models
 */
export const Finish = Schema.Struct({
  /**
   * How long after its start a run waits for batches, in milliseconds; those that have not ended by then are cancelled.
   * `null` waits for all of them, and finishes what expired.
   */
  deadlineMillis: Schema.NullOr(Schema.NonNegative)
})

/**
 * When a run is brought to its end through the synchronous API.
 *
 * @since 0.1.0
 * @category models
 */
export type Finish = typeof Finish.Type

/**
 * A ready-made job, as a run keeps it: its name, and its options as JSON, which it decodes itself.
 *
 * @since 0.1.0
 * @category models
 */
export const JobDescription = Schema.Struct({
  name: Schema.String,
  options: Schema.Record({ key: Schema.String, value: Schema.Unknown })
})

/**
 * A ready-made job, as a run keeps it.
 *
 * @since 0.1.0
 * @category models
 */
export type JobDescription = typeof JobDescription.Type

/**
 * What a run is: decided when it begins, and never changed.
 *
 * @since 0.1.0
 * @category models
 */
export class RunDescription extends Schema.Class<RunDescription>("llm-batch/RunDescription")({
  runId: Schema.String,
  /** Marks the run's rows and batches at the provider. */
  runTag: Schema.String,
  provider: Schema.String,
  input: InputDescription,
  options: BuildOptions,
  /** Through which API the rows are asked. */
  mode: Schema.optionalWith(Mode.Mode, { default: () => "batch" }),
  /** Above how many rows `auto` takes the batch API. */
  batchThreshold: Schema.optionalWith(Count, { default: () => Mode.defaultThreshold }),
  /** How many times rows that failed are asked again without being told to. */
  retries: Schema.optionalWith(Count, { default: () => 0 }),
  /** How many times an answer that does not fit is sent back to be put right. */
  repair: Schema.optionalWith(Count, { default: () => 0 }),
  /** What the run may cost; `null` for no limit. */
  maxCost: Schema.optionalWith(Schema.NullOr(Cost.Usd), { default: () => null }),
  /** Rows that no batch answered in time are asked through the synchronous API; `null` for not. */
  finish: Schema.optionalWith(Schema.NullOr(Finish), { default: () => null }),
  /** The ready-made job that the run is; `null` for none. */
  job: Schema.optionalWith(Schema.NullOr(JobDescription), { default: () => null })
}) {}

/**
 * Why rows are asked again: `retry` because they failed in a way that may pass, `repair` because their answer did not
 * fit, `finish` because no batch answered them in time.
 *
 * @since 0.1.0
 * @category models
 */
export const AskAgainReason = Schema.Literal("retry", "repair", "finish")

/**
 * Why rows are asked again.
 *
 * @since 0.1.0
 * @category models
 */
export type AskAgainReason = typeof AskAgainReason.Type

/**
 * One line of the journal.
 *
 * @since 0.1.0
 * @category models
 */
export const Entry = Schema.Union(
  Schema.TaggedStruct("RunStarted", { at, run: RunDescription }),
  /** A process took the run up for writing: whoever wrote before has to notice. */
  Schema.TaggedStruct("RunOpened", { at }),
  Schema.TaggedStruct("ShardBuilt", { at, shard: Shard }),
  /** Every shard of the input is built: from here on the input is not needed any more. */
  Schema.TaggedStruct("BuildFinished", {
    at,
    rows: Schema.Int,
    notices: Schema.Array(Schema.String),
    /** What was read of the input: by this another run of the same input is known. */
    input: Schema.Struct({ bytes: Schema.Int, sha256: Schema.String })
  }),
  /** Rows that failed are laid into further shards, all of them at once, to be asked again. */
  Schema.TaggedStruct("RetryBuilt", {
    at,
    attempt: Schema.Int,
    reasons: Schema.optionalWith(Schema.Array(AskAgainReason), { default: () => ["retry"] }),
    shards: Schema.Array(Shard)
  }),
  /** The rows of a shard are about to be asked one by one. */
  Schema.TaggedStruct("AskStarted", { at, shard: Schema.String }),
  /** A batch is about to be made of a shard, under this account. */
  Schema.TaggedStruct("SubmitIntended", {
    at,
    shard: Schema.String,
    account: Account,
    /** A time that the provider's own clock had shown by then, where one is known: the batch is not older. */
    notBefore: Schema.optional(Schema.DateTimeUtc)
  }),
  /** The provider has the shard's bytes. From here on a batch may exist. */
  Schema.TaggedStruct("InputUploaded", { at, shard: Schema.String, input: InputReference }),
  /** The create call certainly made no batch. */
  Schema.TaggedStruct("CreateFailed", { at, shard: Schema.String, refused: Schema.Boolean, detail: Schema.String }),
  /** The create call ended without a clear answer. */
  Schema.TaggedStruct("CreateUnanswered", { at, shard: Schema.String, detail: Schema.String }),
  /** Several batches may be the shard's, or one that cannot be proved to be yet: it waits, and is not sent again. */
  Schema.TaggedStruct("SubmitDeferred", { at, shard: Schema.String, candidates: Schema.Array(Schema.String) }),
  /** The batch of a shard is known: created by us just now, or found and adopted. */
  Schema.TaggedStruct("BatchCreated", {
    at,
    shard: Schema.String,
    snapshot: BatchSnapshot,
    adopted: Schema.Boolean
  }),
  Schema.TaggedStruct("BatchObserved", { at, shard: Schema.String, snapshot: BatchSnapshot }),
  /** The provider's queue was too full for a batch, of which nothing was begun: the shard is sent again. */
  Schema.TaggedStruct("BatchDeclined", {
    at,
    shard: Schema.String,
    batch: Schema.String,
    /** How many tokens of the model may be enqueued, where the provider says so. */
    tokenLimit: Schema.NullOr(Count),
    detail: Schema.String
  }),
  /** A shard of which there is no batch is cut into smaller ones, all of them at once: in its place they are sent. */
  Schema.TaggedStruct("ShardSplit", { at, shard: Schema.String, shards: Schema.Array(Shard) }),
  Schema.TaggedStruct("BatchEnded", { at, batch: EndedBatch }),
  Schema.TaggedStruct("ResultsFetched", {
    at,
    shard: Schema.String,
    files: Schema.Array(RawFile),
    rows: Schema.Int,
    shortBy: Schema.Int,
    /** Why fewer rows came than the provider counts; `null` when all came. */
    shortfall: Schema.NullOr(Schema.String)
  }),
  Schema.TaggedStruct("ShardNormalized", {
    at,
    shard: Schema.String,
    tally: Tally,
    /** What its answers cost. Absent from older journals. */
    bill: Schema.optional(ShardBill)
  }),
  /** Somebody said that this key is of the account that the run began with. */
  Schema.TaggedStruct("AccountConfirmed", { at, account: Account }),
  /** Files at the provider were deleted. */
  Schema.TaggedStruct("ProviderCleaned", { at, shard: Schema.String, deleted: Schema.Array(Schema.String) }),
  Schema.TaggedStruct("RunFinished", { at, tally: Tally })
)

/**
 * One line of the journal.
 *
 * @since 0.1.0
 * @category models
 */
export type Entry = typeof Entry.Type

/**
 * Where a shard stands.
 * - `built`: nothing was tried, or what was tried certainly made no batch;
 * - `uploaded`: the provider has its bytes, and a create call may have been made;
 * - `unanswered`: a create call was made, and nobody knows what came of it;
 * - `asking`: its rows are asked one by one; some may be answered;
 * - `submitted`, `ended`, `fetched`, `normalized`: one for each further stage.
 *
 * @since 0.1.0
 * @category models
 */
export type ShardStatus =
  | "built"
  | "uploaded"
  | "unanswered"
  | "asking"
  | "submitted"
  | "ended"
  | "fetched"
  | "normalized"

/**
 * What is known of a shard.
 *
 * @since 0.1.0
 * @category models
 */
export interface ShardState {
  readonly shard: Shard
  readonly status: ShardStatus
  readonly intent: {
    readonly at: typeof at.Type
    readonly account: Account
    /** A time on the provider's own clock before it; `null` for none that is known. */
    readonly notBefore: typeof at.Type | null
  } | null
  readonly input: InputReference | null
  /** Batches of which one may be the shard's, while that is not settled. */
  readonly candidates: ReadonlyArray<string>
  /** Batches of it, or of the shard that it was cut from, for which the provider's queue was too full. */
  readonly declined: ReadonlyArray<string>
  readonly snapshot: BatchSnapshot | null
  readonly ended: EndedBatch | null
  readonly raw: RawResults | null
  readonly shortfall: string | null
  readonly tally: Tally | null
  /** What its answers cost; `null` until they are normalised, and where an older version did that. */
  readonly bill: ShardBill | null
  readonly cleaned: ReadonlyArray<string>
}

/**
 * Under which name the tokens of a shard are counted that wait in a provider's queue: its model, or `*` for several.
 *
 * @since 0.1.0
 * @category destructors
 */
export const queueName = (model: string | null): string => model ?? "*"

/**
 * Where a run stands.
 *
 * @since 0.1.0
 * @category models
 */
export interface RunState {
  readonly directory: string
  readonly run: RunDescription
  readonly startedAt: typeof at.Type
  /** The time of the last entry. */
  readonly updatedAt: typeof at.Type
  /** When the run was finished for the last time; `null` until it was. */
  readonly finishedAt: typeof at.Type | null
  /** How many rows were built; `null` until all are. */
  readonly rows: number | null
  readonly notices: ReadonlyArray<string>
  /** What was read of the input; `null` until all was. */
  readonly input: { readonly bytes: number; readonly sha256: string } | null
  /** In the order in which they were built. */
  readonly shards: ReadonlyMap<string, ShardState>
  /** How many tokens of a model may be enqueued, by its name, as the provider said when it declined a batch. */
  readonly tokenLimits: ReadonlyMap<string, number>
  /** How many times rows were asked again, for each reason. */
  readonly rounds: { readonly [Reason in AskAgainReason]: number }
  /** Rows that were missing from the results when they were asked again: each may have been charged before. */
  readonly rowsMayBeChargedTwice: number
  /** The tally of the whole run; `null` until it is finished, and while rows are asked again. */
  readonly tally: Tally | null
}

const begin = (directory: string, entry: Extract<Entry, { _tag: "RunStarted" }>): RunState => ({
  directory,
  run: entry.run,
  startedAt: entry.at,
  updatedAt: entry.at,
  finishedAt: null,
  rows: null,
  notices: [],
  input: null,
  shards: new Map(),
  tokenLimits: new Map(),
  rounds: { retry: 0, repair: 0, finish: 0 },
  rowsMayBeChargedTwice: 0,
  tally: null
})

const fresh = (shard: Shard): ShardState => ({
  shard,
  status: "built",
  intent: null,
  input: null,
  candidates: [],
  declined: [],
  snapshot: null,
  ended: null,
  raw: null,
  shortfall: null,
  tally: null,
  bill: null,
  cleaned: []
})

const stepShard = (state: ShardState, entry: Entry): ShardState => {
  switch (entry._tag) {
    case "SubmitIntended":
      return { ...state, intent: { at: entry.at, account: entry.account, notBefore: entry.notBefore ?? null } }
    case "AskStarted":
      return { ...state, status: "asking" }
    case "InputUploaded":
      return { ...state, status: "uploaded", input: entry.input }
    case "CreateFailed":
      return { ...state, status: "built", candidates: [] }
    case "CreateUnanswered":
      return { ...state, status: "unanswered" }
    case "SubmitDeferred":
      return { ...state, candidates: entry.candidates }
    case "BatchCreated":
      return { ...state, status: "submitted", snapshot: entry.snapshot, candidates: [] }
    case "BatchObserved":
      return { ...state, snapshot: entry.snapshot }
    case "BatchDeclined":
      return { ...state, status: "built", snapshot: null, declined: [...state.declined, entry.batch] }
    case "BatchEnded": {
      // The journal moves with its directory: the shard is where we found it now.
      const batch = new EndedBatch({ ...entry.batch, shard: state.shard })
      return { ...state, status: "ended", snapshot: batch.snapshot, ended: batch }
    }
    case "ResultsFetched":
      return state.ended === null ? state : {
        ...state,
        status: "fetched",
        raw: new RawResults({ batch: state.ended, files: entry.files, rows: entry.rows, shortBy: entry.shortBy }),
        shortfall: entry.shortfall,
        tally: null,
        bill: null
      }
    case "ShardNormalized":
      return { ...state, status: "normalized", tally: entry.tally, bill: entry.bill ?? null }
    case "ProviderCleaned":
      return { ...state, cleaned: [...state.cleaned, ...entry.deleted] }
    case "RunStarted":
    case "RunOpened":
    case "ShardBuilt":
    case "BuildFinished":
    case "ShardSplit":
    case "RetryBuilt":
    case "AccountConfirmed":
    case "RunFinished":
      return state
  }
}

const shardOf = (entry: Entry): string | undefined => {
  switch (entry._tag) {
    case "RunStarted":
    case "RunOpened":
    case "BuildFinished":
    case "RetryBuilt":
    case "AccountConfirmed":
    case "RunFinished":
      return undefined
    case "ShardBuilt":
      return entry.shard.id
    case "BatchEnded":
      return entry.batch.shard.id
    default:
      return entry.shard
  }
}

/** What an entry contradicts in what is known of its shard; `undefined` for nothing. */
const contradiction = (
  { declined, ended, raw, shard, snapshot, status }: ShardState,
  entry: Entry
): string | undefined => {
  const which = `shard ${shard.id}`
  const another = (id: string) => snapshot !== null && snapshot.id !== id
  switch (entry._tag) {
    case "SubmitIntended":
    case "InputUploaded":
    case "CreateFailed":
    case "CreateUnanswered":
    case "SubmitDeferred":
      return snapshot === null ? undefined : `${which} is sent again, and batch ${snapshot.id} was made of it`
    case "AskStarted":
      return snapshot === null ? undefined : `${which} is asked row by row, and batch ${snapshot.id} was made of it`
    case "BatchCreated":
      if (declined.includes(entry.snapshot.id)) return `${which} has batch ${entry.snapshot.id}, which was declined`
      return another(entry.snapshot.id)
        ? `a second batch ${entry.snapshot.id} is made of ${which}, after ${snapshot?.id}`
        : undefined
    case "BatchDeclined":
      if (ended !== null) return `batch ${entry.batch} of ${which} is declined after its end`
      return snapshot?.id === entry.batch ? undefined : `batch ${entry.batch} was not made of ${which}`
    case "ShardSplit":
      if (status !== "built") return `${which} is cut into others, and a batch may have been made of it`
      return entry.shards.reduce((sum, { rows }) => sum + rows, 0) === shard.rows
        ? undefined
        : `${which} is cut into others that have not its rows`
    case "BatchObserved":
      return snapshot === null || another(entry.snapshot.id)
        ? `batch ${entry.snapshot.id} was not made of ${which}`
        : undefined
    case "BatchEnded":
      return another(entry.batch.id) || (snapshot === null && isAtProvider(entry.batch.snapshot))
        ? `batch ${entry.batch.id} was not made of ${which}`
        : undefined
    case "ResultsFetched":
      return ended === null ? `results of ${which} come before its batch ended` : undefined
    case "ShardNormalized":
      return raw === null ? `${which} is normalised before its results came` : undefined
    case "ProviderCleaned":
      return ended === null ? `files of ${which} are deleted before its batch ended` : undefined
    default:
      return undefined
  }
}

/**
 * How many rows of a finished run are missing from the results and may have been charged: a row that was not sent, since
 * another one asked the same, is missing with that one, and cost nothing. Those that were asked again before, and counted
 * then, do not count once more.
 *
 * @since 0.1.0
 * @category destructors
 */
export const missingOfSent = ({ rowsMayBeChargedTwice, shards, tally }: RunState): number => {
  let missing = 0
  for (const { shard, tally } of shards.values()) if (shard.mode !== "reused") missing += tally?.missing ?? 0
  return Math.max(0, Math.min(tally?.missing ?? 0, missing - rowsMayBeChargedTwice))
}

/** Whether a run that was finished has to be brought together again after an entry. */
const reopens = (entry: Entry): boolean =>
  entry._tag === "RetryBuilt" || entry._tag === "ResultsFetched" || entry._tag === "ShardNormalized"

const askAgain = (
  state: RunState,
  reasons: ReadonlyArray<AskAgainReason>
): Pick<RunState, "rounds" | "rowsMayBeChargedTwice"> => {
  const more = { ...state.rounds }
  for (const reason of reasons) more[reason]++
  const missing = reasons.includes("retry") ? missingOfSent(state) : 0
  return { rounds: more, rowsMayBeChargedTwice: state.rowsMayBeChargedTwice + missing }
}

/** The limits of a run with one that a provider has told. */
const learn = ({ shards, tokenLimits }: RunState, id: string, limit: number): RunState["tokenLimits"] =>
  new Map([...tokenLimits, [queueName(shards.get(id)?.shard.model ?? null), limit]])

/** A run under construction: one map for all entries, since a run may have thousands of shards. */
interface Folding extends RunState {
  readonly shards: Map<string, ShardState>
}

/**
 * Takes the entries of one run, one after the other. `step` gives what is wrong with an entry that cannot follow those
 * before it, or `undefined`.
 *
 * @since 0.1.0
 * @category models
 */
export class Fold {
  private folding: Folding | undefined

  constructor(private readonly directory: string) {}

  /** The state after all entries so far; `undefined` before the first. */
  get state(): RunState | undefined {
    return this.folding
  }

  /** Takes the next entry. */
  step(entry: Entry): string | undefined {
    if (entry._tag === "RunStarted") {
      if (this.folding !== undefined) return "a second run begins in it"
      this.folding = { ...begin(this.directory, entry), shards: new Map() }
      return undefined
    }
    if (this.folding === undefined) return "it does not begin with the start of a run"
    if (entry._tag === "RunFinished" && this.folding.rows === null) return "the run is finished before it was built"
    const { shards } = this.folding
    const id = shardOf(entry)
    // Batches of what was cut are to be known by those that came of it.
    const declined = entry._tag === "ShardSplit" ? shards.get(entry.shard)?.declined ?? [] : []
    const built = entry._tag === "ShardBuilt"
      ? [entry.shard]
      : entry._tag === "RetryBuilt" || entry._tag === "ShardSplit"
      ? entry.shards
      : []
    const twice = built.find((shard) => shards.has(shard.id))
    if (twice !== undefined) return `shard ${twice.id} is built twice`
    if (entry._tag === "AccountConfirmed") {
      for (const [id, shard] of shards) {
        if (shard.intent === null) continue
        shards.set(id, { ...shard, intent: { ...shard.intent, account: entry.account } })
      }
    } else if (entry._tag !== "ShardBuilt" && id !== undefined) {
      const shard = shards.get(id)
      if (shard === undefined) return `it speaks of shard ${id}, which was never built`
      const problem = contradiction(shard, entry)
      if (problem !== undefined) return problem
      if (entry._tag === "ShardSplit") shards.delete(id)
      else shards.set(id, stepShard(shard, entry))
    }
    for (const shard of built) {
      shards.set(shard.id, { ...fresh(new Shard({ ...shard, directory: this.directory })), declined })
    }
    this.folding = {
      ...this.folding,
      updatedAt: entry.at,
      ...(entry._tag === "BuildFinished"
        ? { rows: entry.rows, notices: entry.notices, input: entry.input }
        : undefined),
      ...(entry._tag === "RetryBuilt" ? askAgain(this.folding, entry.reasons) : undefined),
      ...(reopens(entry) ? { tally: null } : undefined),
      ...(entry._tag === "BatchDeclined" && entry.tokenLimit !== null
        ? { tokenLimits: learn(this.folding, entry.shard, entry.tokenLimit) }
        : undefined),
      ...(entry._tag === "RunFinished" ? { tally: entry.tally, finishedAt: entry.at } : undefined)
    }
    return undefined
  }
}
