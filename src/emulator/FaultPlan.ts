/**
 * What shall go wrong: a plan of faults for the emulator, as data.
 *
 * - faults of rows and of whole batches are fixed when a batch is created, and rows are chosen by seed and request body,
 *   so the same rows fail in every run;
 * - faults of the result file change its bytes but not what it says;
 * - faults of calls are decided call by call, by seed, route and the number of the call.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const Share = Schema.Number.pipe(Schema.between(0, 1))
const share = Schema.optionalWith(Share, { default: () => 0 })
const count = Schema.optionalWith(Schema.NonNegativeInt, { default: () => 0 })
const flag = Schema.optionalWith(Schema.Boolean, { default: () => false })

/**
 * A fault of single calls.
 *
 * @example
 * ```ts
 * import { CallFault } from "llm-batch/emulator/FaultPlan"
 *
 * // the answer of the first create is lost after the batch was made
 * new CallFault({ route: "POST /v1/batches", kind: "reset", afterSuccess: true, first: 1 })
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export class CallFault extends Schema.Class<CallFault>("llm-batch/emulator/CallFault")({
  /**
   * The route, as the books name it (`"GET /v1/batches/:id"`), or `"*"`. A trailing `*` matches any ending.
   */
  route: Schema.optionalWith(Schema.String, { default: () => "*" }),
  /**
   * `status`: answer with `status`; `reset`: break the connection; `cut`: break off in the body; `hang`: never answer;
   * `trickle`: send the body one byte a second.
   */
  kind: Schema.Literal("status", "reset", "cut", "hang", "trickle"),
  /** The HTTP status that `status` answers with. */
  status: Schema.optionalWith(Schema.Int.pipe(Schema.between(400, 599)), { default: () => 503 }),
  /** `status`: repeat the key of the caller in the message, as careless servers do. */
  echoKey: flag,
  /** Answer with an HTML page, as a proxy in between does, in place of the provider's JSON error. */
  html: flag,
  /** The wait to ask for in `retry-after`, in seconds of real time; may be absurdly large. */
  retryAfter: Schema.optionalWith(Schema.NonNegative, { default: () => 1 }),
  /** How the wait is written: a number of seconds, an HTTP date, as `retry-after-ms`, or not at all. */
  retryAfterForm: Schema.optionalWith(Schema.Literal("seconds", "date", "millis", "absent"), {
    default: () => "seconds"
  }),
  /** Do what was asked first, then lose the answer: a create that failed in the eyes of the client only. */
  afterSuccess: flag,
  /** `cut`: after how many bytes of the body; 0 is half of it. */
  cutAt: count,
  /**
   * `cut`, `trickle`: how the length of the body is told. With `close` it is not, and the cut looks like a regular end.
   */
  framing: Schema.optionalWith(Schema.Literal("length", "chunked", "close"), { default: () => "length" }),
  /** The share of the matching calls that it strikes. */
  share: Schema.optionalWith(Share, { default: () => 1 }),
  /** How many matching calls to let through at first. */
  skip: count,
  /** How many calls it strikes at most; absent, there is no end to it. */
  first: Schema.optional(Schema.NonNegativeInt)
}) {}

/**
 * The plan of all faults. Every field has a default, and the defaults are: nothing goes wrong.
 *
 * Shares are between 0 and 1.
 *
 * @since 0.1.0
 * @category models
 */
export class FaultPlan extends Schema.Class<FaultPlan>("llm-batch/emulator/FaultPlan")({
  /** Share of rows that expire. A batch with one such row ends as `expired` (OpenAI). */
  expireRows: share,
  /** Share of rows that the provider answers with an error. */
  errorRows: share,
  /** Which error: 400 `invalid_request`, 429 `rate_limit`, 500 `server_error`. */
  errorKind: Schema.optionalWith(Schema.Literal("invalid_request", "rate_limit", "server_error"), {
    default: () => "server_error"
  }),
  /** What that error says, in place of the provider's words: a careless server repeats the caller's key in them. */
  errorMessage: Schema.optional(Schema.String),
  /** Share of rows that are cancelled. A batch with one such row ends as `cancelled` (OpenAI). */
  cancelRows: share,
  /** Share of rows that are answered and billed, but absent from the results. */
  dropRows: share,
  /** Share of answered rows that stand in the results twice. */
  duplicateRows: share,
  /** Whether the second line of a duplicated row says something else than the first. */
  duplicateConflicts: flag,
  /** Share of answered rows that stand in the error file as well (OpenAI only). */
  bothFilesRows: share,
  /** Share of answered rows whose line is broken off in its middle. */
  malformedRows: share,
  /** How many lines with a custom_id that was never sent to add. */
  unknownRows: count,
  /**
   * How often the same request body may meet its fault: 1 lets a retry of the row succeed; 0 is always.
   * It concerns `expireRows`, `errorRows`, `cancelRows` and `dropRows`.
   */
  rowFaultAttempts: count,

  /** Share of batches that expire as a whole. */
  expireBatches: share,
  /** Share of the rows of such a batch that were answered before. */
  expireBatchesAnswered: Schema.optionalWith(Share, { default: () => 0.5 }),
  /** Let a batch with expired rows wait for the end of its window; by default it ends when it would have anyway. */
  waitForWindow: flag,
  /** Share of batches that fail validation (OpenAI only). */
  failBatches: share,
  /** The code of that failure; `token_limit_exceeded` is the one that means to wait. */
  failCode: Schema.optionalWith(Schema.String, { default: () => "invalid_request" }),

  /** What a batch under way says of its status, in place of `in_progress`. */
  strangeStatus: Schema.optional(Schema.String),
  /** Say `""` where there is no output or error file, in place of null (OpenAI only). */
  emptyFileIds: flag,
  /** Say null for the counts of a batch (OpenAI only). */
  nullCounts: flag,
  /** The origin that a `results_url` names, in place of the emulator's own (Anthropic only). */
  resultsOrigin: Schema.optional(Schema.String),

  /** How result files are served. */
  results: Schema.optionalWith(Schema.Literal("plain", "gzip", "zip"), { default: () => "plain" }),
  /** How many JSONL members a ZIP has; 0 is an archive with a text file only. */
  zipMembers: Schema.optionalWith(Schema.NonNegativeInt, { default: () => 1 }),
  /** How the length of a result file is told: `content-length`, chunks, or the end of the connection. */
  framing: Schema.optionalWith(Schema.Literal("length", "chunked", "close"), { default: () => "length" }),
  /** End lines with CRLF. */
  crlf: flag,
  /** Begin with a byte order mark. */
  bom: flag,
  /** Put blank lines in between. */
  blankLines: flag,
  /** Leave the last line without its newline. */
  noFinalNewline: flag,

  /** Share of calls that are answered 429 with `retry-after: 1`. */
  rateLimitCalls: share,
  /** Share of calls that are answered 500, 502 or 503. */
  serverErrorCalls: share,
  /** Share of calls whose connection is reset before anything is done. */
  resetCalls: share,
  /** Share of calls whose answer is broken off in its middle. */
  cutCalls: share,
  /** How many successful creates of a batch lose their answer by a reset, from now on. */
  loseCreates: count,
  /** Further faults of calls; the first that strikes wins, and they come before the shares above. */
  calls: Schema.optionalWith(Schema.Array(CallFault), { default: () => [] })
}) {}
