/**
 * Send many prompts through the half-price batch API of a model provider, and get every answer back.
 *
 * Each module is a namespace here, and can be imported by itself: `llm-batch/Pipeline`, `llm-batch/stage/Poll`. The
 * emulator is apart, as `llm-batch/emulator/Emulator`, since it needs `@effect/platform-node`.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 */
export * as AnswerCache from "./AnswerCache.js"
/**
 * @since 0.1.0
 */
export * as AnswerCheck from "./AnswerCheck.js"
/**
 * @since 0.1.0
 */
export * as Answers from "./Answers.js"
/**
 * @since 0.1.0
 */
export * as AnswerSchema from "./AnswerSchema.js"
/**
 * @since 0.1.0
 */
export * as Anthropic from "./provider/Anthropic.js"
/**
 * @since 0.1.0
 */
export * as Ask from "./stage/Ask.js"
/**
 * @since 0.1.0
 */
export * as Batch from "./Batch.js"
/**
 * @since 0.1.0
 */
export * as BatchError from "./BatchError.js"
/**
 * @since 0.1.0
 */
export * as Build from "./stage/Build.js"
/**
 * @since 0.1.0
 */
export * as BuildOptions from "./BuildOptions.js"
/**
 * @since 0.1.0
 */
export * as ChatCompletion from "./ChatCompletion.js"
/**
 * @since 0.1.0
 */
export * as Classify from "./job/Classify.js"
/**
 * @since 0.1.0
 */
export * as Cost from "./Cost.js"
/**
 * @since 0.1.0
 */
export * as Estimate from "./Estimate.js"
/**
 * @since 0.1.0
 */
export * as Evaluate from "./job/Evaluate.js"
/**
 * @since 0.1.0
 */
export * as Fetch from "./stage/Fetch.js"
/**
 * @since 0.1.0
 */
export * as InputError from "./InputError.js"
/**
 * @since 0.1.0
 */
export * as Job from "./job/Job.js"
/**
 * @since 0.1.0
 */
export * as Ledger from "./Ledger.js"
/**
 * @since 0.1.0
 */
export * as Manifest from "./Manifest.js"
/**
 * @since 0.1.0
 */
export * as Mode from "./Mode.js"
/**
 * @since 0.1.0
 */
export * as Model from "./Model.js"
/**
 * @since 0.1.0
 */
export * as Normalize from "./stage/Normalize.js"
/**
 * @since 0.1.0
 */
export { batch, batchStream } from "./OneCall.js"
/**
 * @since 0.1.0
 */
export * as OneCall from "./OneCall.js"
/**
 * @since 0.1.0
 */
export * as OpenAi from "./provider/OpenAi.js"
/**
 * @since 0.1.0
 */
export * as Outcome from "./Outcome.js"
/**
 * @since 0.1.0
 */
export * as Pipeline from "./Pipeline.js"
/**
 * @since 0.1.0
 */
export * as Poll from "./stage/Poll.js"
/**
 * @since 0.1.0
 */
export * as Provider from "./Provider.js"
/**
 * @since 0.1.0
 */
export * as ProviderError from "./ProviderError.js"
/**
 * @since 0.1.0
 */
export * as RawResults from "./RawResults.js"
/**
 * @since 0.1.0
 */
export * as Replay from "./Replay.js"
/**
 * @since 0.1.0
 */
export * as Request from "./Request.js"
/**
 * @since 0.1.0
 */
export * as RowError from "./RowError.js"
/**
 * @since 0.1.0
 */
export * as RowReader from "./RowReader.js"
/**
 * @since 0.1.0
 */
export * as RunBill from "./RunBill.js"
/**
 * @since 0.1.0
 */
export * as RunConfig from "./RunConfig.js"
/**
 * @since 0.1.0
 */
export * as RunDirectory from "./RunDirectory.js"
/**
 * @since 0.1.0
 */
export * as RunError from "./RunError.js"
/**
 * @since 0.1.0
 */
export * as RunEvent from "./RunEvent.js"
/**
 * @since 0.1.0
 */
export * as RunState from "./RunState.js"
/**
 * @since 0.1.0
 */
export * as Shard from "./Shard.js"
/**
 * @since 0.1.0
 */
export * as Source from "./Source.js"
/**
 * @since 0.1.0
 */
export * as Step from "./Step.js"
/**
 * @since 0.1.0
 */
export * as Submit from "./stage/Submit.js"
/**
 * @since 0.1.0
 */
export * as SubmitError from "./SubmitError.js"
/**
 * @since 0.1.0
 */
export * as Survey from "./Survey.js"
/**
 * @since 0.1.0
 */
export * as Tally from "./Tally.js"
/**
 * @since 0.1.0
 */
export * as Template from "./Template.js"
/**
 * @since 0.1.0
 */
export * as TestProvider from "./TestProvider.js"
/**
 * @since 0.1.0
 */
export * as TokenCount from "./TokenCount.js"
/**
 * @since 0.1.0
 */
export * as Translate from "./job/Translate.js"
/**
 * @since 0.1.0
 */
export * as Usage from "./Usage.js"
/**
 * @since 0.1.0
 */
export * as WireId from "./WireId.js"
