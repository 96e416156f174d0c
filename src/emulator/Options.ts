/**
 * The options of the emulator: flat, with a default each, so that they read the same as flags, as JSON and in code.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { FaultPlan } from "./FaultPlan.js"

const seconds = (value: number) => Schema.optionalWith(Schema.NonNegative, { default: () => value })
const limit = (value: number) => Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { default: () => value })

/**
 * Durations are **emulated seconds**: divided by `timeScale` they are real ones.
 *
 * @since 0.1.0
 * @category models
 */
export class Options extends Schema.Class<Options>("llm-batch/emulator/Options")({
  /** The address to listen on. */
  host: Schema.optionalWith(Schema.String, { default: () => "127.0.0.1" }),
  /** The port to listen on; 0 takes a free one. */
  port: Schema.optionalWith(Schema.Int.pipe(Schema.between(0, 65535)), { default: () => 0 }),
  /** Answers, ids, times and faults of rows are a function of this number and the request body. */
  seed: Schema.optionalWith(Schema.Int, { default: () => 1 }),
  /** How many emulated seconds pass in a real one. The default makes a batch end after about two real seconds. */
  timeScale: Schema.optionalWith(Schema.NonNegative, { default: () => 60 }),
  /** How long OpenAI's `validating` lasts. */
  validating: seconds(10),
  /** How long the rows of a batch take. */
  processing: seconds(90),
  /** How long OpenAI's `finalizing` lasts. */
  finalizing: seconds(10),
  /** How long a cancellation takes. */
  cancelling: seconds(10),
  /** The completion window, after which a batch expires. */
  window: seconds(24 * 60 * 60),
  /** OpenAI: rows in a batch. */
  openAiMaxRows: limit(50_000),
  /** OpenAI: bytes of a batch file. */
  openAiMaxBytes: limit(200 * 1024 * 1024),
  /** OpenAI: embedding inputs in a batch. */
  openAiMaxEmbeddingInputs: limit(50_000),
  /**
   * OpenAI: tokens of the batches of one model that an account may have enqueued at a time. By default there is no limit,
   * and they are not counted.
   */
  openAiEnqueuedTokens: Schema.optional(Schema.Int.pipe(Schema.positive())),
  /** OpenAI: batches that an account may make in an hour. */
  openAiBatchesPerHour: limit(2_000),
  /** OpenAI: results of a list page. */
  openAiMaxPage: limit(100),
  /** Anthropic: requests in a batch. */
  anthropicMaxRows: limit(100_000),
  /** Anthropic: bytes of the request that creates a batch. */
  anthropicMaxBytes: limit(256 * 1024 * 1024),
  /** Anthropic: requests that an account may have in its batches without being processed yet. */
  anthropicQueuedRequests: limit(Number.MAX_SAFE_INTEGER),
  /** Anthropic: results of a list page. */
  anthropicMaxPage: limit(1_000),
  /** Direct calls: requests a minute. */
  requestsPerMinute: limit(10_000),
  /** Direct calls: tokens a minute, both ways. */
  tokensPerMinute: limit(50_000_000),
  /** Whether each key is an account of its own, which does not see the batches and files of another. */
  isolateKeys: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  /**
   * A JSONL file of answers to give, `{"prompt"?, "match"?, "answer", "wrong"?, "repair"?}` a line: the line with this
   * `prompt`, else the first whose `match` is part of it, else one with neither. `Script` tells the whole of it.
   */
  answersFile: Schema.optional(Schema.String),
  /** The share of requests that get one of the `wrong` answers of their line in that file. */
  answerErrorRate: Schema.optionalWith(Schema.Number.pipe(Schema.between(0, 1)), { default: () => 0 }),
  /** What shall go wrong. */
  faults: Schema.optionalWith(FaultPlan, { default: () => new FaultPlan() })
}) {}
