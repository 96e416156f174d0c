/**
 * The contract that every provider fulfils. A provider is one `Layer` for this one service; to swap providers is to
 * swap that layer.
 *
 * The contract can express the three promises: `encode` never drops a field silently, `upload` and `create` say whether
 * something may have happened, `find` looks for a batch that nobody remembers, `download` gives bytes as they were sent.
 * The pure parts are functions that need no key, so that a dry run needs none.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as DateTime from "effect/DateTime"
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { AnswerFormat } from "./AnswerSchema.js"
import type { BatchSnapshot, InputReference, ResultFile } from "./Batch.js"
import type { UnsupportedField } from "./InputError.js"
import type { Outcome } from "./Outcome.js"
import type { ProviderError } from "./ProviderError.js"
import type { Request } from "./Request.js"
import type { DiskError } from "./RunError.js"
import type { Shard, SubmitTag } from "./Shard.js"
import type { NotSent, Refused, Unknown } from "./SubmitError.js"
import type { WireId } from "./WireId.js"

/**
 * What fits into one batch, and how long things last.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  /** The most rows of a batch. */
  readonly rows: number
  /** The most bytes of a batch, in what the provider counts. */
  readonly bytes: number
  /** Bytes that the provider counts besides the wire rows and their newlines: the JSON around them. */
  readonly overheadBytes: number
  /** Whether all rows of a batch must name the same model. */
  readonly oneModelPerBatch: boolean
  /** The most inputs of an embeddings batch, over all its rows; `null` where there is no such limit. */
  readonly embeddingInputs: number | null
  /** Hours until a batch expires. */
  readonly windowHours: number
  /** Days until the provider deletes the results. */
  readonly retentionDays: number
  /** The most batches in one page of `list`. */
  readonly listPage: number
  /** The most batches that may be made within an hour, where that is limited for everybody. */
  readonly batchesPerHour?: number
}

/**
 * What a provider can do beyond the five calls that all have.
 *
 * @since 0.1.0
 * @category models
 */
export interface Capabilities {
  /** Batches carry our tag, so that `find` is exact. */
  readonly tags: boolean
  /** The wire rows are uploaded as a file before the batch is made of it. */
  readonly upload: boolean
  readonly embeddings: boolean
}

/**
 * Who pays: batches are looked for under the same account only, since another account's list would look empty.
 *
 * @since 0.1.0
 * @category models
 */
export class Account extends Schema.Class<Account>("llm-batch/Account")({
  provider: Schema.String,
  baseUrl: Schema.String,
  /** Organisation, project or workspace, where they are set. */
  scope: Schema.NullOr(Schema.String),
  /** A fingerprint of the key, salted with the run's tag: it tells two keys apart and gives neither away. */
  keyFingerprint: Schema.String
}) {}

/**
 * A request as the provider wants it.
 *
 * @since 0.1.0
 * @category models
 */
export interface WireRow {
  /** The wire row's JSON text, without a newline. */
  readonly text: string
  /** The path of the endpoint that answers it: rows of different endpoints go to different shards. */
  readonly endpoint: string
  readonly model: string
  /** Values of the beta header that it needs, sorted: rows with different ones go to different shards. */
  readonly betas: ReadonlyArray<string>
  /** Inputs of an embedding row; 1 for any other. */
  readonly inputs: number
  /** Something the user should be told once, such as a default that was filled in; `null` for nothing. */
  readonly notice: string | null
  /**
   * The JSON text of the messages of a chat, where the encoder has it: exactly what `JSON.stringify` makes of the
   * request's. What the run directory keeps of the row is written with it.
   */
  readonly messages?: string | undefined
}

/**
 * A line of results, understood.
 *
 * @since 0.1.0
 * @category models
 */
export interface DecodedLine {
  readonly wireId: WireId
  readonly outcome: Outcome
}

/**
 * A line of results that cannot be understood. `wireId` is the row that it costs, where that much could be read.
 *
 * @since 0.1.0
 * @category models
 */
export interface BadLine {
  readonly wireId: WireId | null
  readonly problem: string
}

/**
 * What a look for a lost batch found.
 *
 * @since 0.1.0
 * @category models
 */
export type Finding = Data.TaggedEnum<{
  /** The shard's own batch. */
  Found: { readonly snapshot: BatchSnapshot }
  /** The provider's list was read back to before the intent, and none is the shard's. */
  Absent: {}
  /** Several may be the shard's, or one that cannot be proved to be. */
  Ambiguous: { readonly candidates: ReadonlyArray<BatchSnapshot> }
}>

/**
 * Constructors and matchers of `Finding`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Finding = Data.taggedEnum<Finding>()

/**
 * A page of the provider's batches, newest first.
 *
 * @since 0.1.0
 * @category models
 */
export interface BatchPage {
  readonly batches: ReadonlyArray<BatchSnapshot>
  /** What to pass on for the next page; `null` on the last. */
  readonly next: string | null
}

/**
 * A row that is asked for by itself, through the synchronous API.
 *
 * @since 0.1.0
 * @category models
 */
export interface SyncRow {
  readonly wireId: WireId
  /** The wire row, as `encode` made it. */
  readonly text: string
  /** The path of the endpoint that answers it. */
  readonly endpoint: string
  /** Values of the beta header that it needs. */
  readonly betas: ReadonlyArray<string>
}

/**
 * What a provider says of one of its limits. What it does not say is `null`.
 *
 * @since 0.1.0
 * @category models
 */
export interface RateLimit {
  readonly kind: "requests" | "tokens" | "input-tokens" | "output-tokens"
  /** How much there is when nothing is used. */
  readonly limit: number | null
  /** How much of it is left. */
  readonly remaining: number | null
  /** Milliseconds until nothing of it is used any more. */
  readonly resetMillis: number | null
}

/**
 * What came of asking for one row.
 *
 * @since 0.1.0
 * @category models
 */
export interface Completion {
  /**
   * A line of results as a batch would have it for this row, without a newline in it; `decode` reads it. Errors that the
   * provider answered with are lines too.
   */
  readonly line: string
  /**
   * Set when asking again may help soon: the provider is busy, or asks to slow down. How long it asks to wait, where it
   * says so.
   */
  readonly again: { readonly afterMillis: number | null } | null
  readonly limits: ReadonlyArray<RateLimit>
  /** Tokens used, both ways: what a limit of tokens counts. */
  readonly tokens: number
}

/**
 * The bytes of a shard, from disk, in blocks that are only lent: when the next one is asked for, the last may be filled
 * anew. It can be run again for another try.
 *
 * @since 0.1.0
 * @category models
 */
export type ShardBytes = Stream.Stream<Uint8Array, DiskError>

/**
 * The interface of a provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** As in `--provider`: `openai`, `anthropic`. */
  readonly name: string
  /**
   * Where its API is, where it may be in several places: answers that are kept are used again only for requests to the same
   * place. The base URL, without what is secret in it.
   */
  readonly origin?: string | undefined
  readonly limits: Limits
  readonly capabilities: Capabilities
  /** The paths that batches can be made for; the first is the default. */
  readonly endpoints: readonly [string, ...ReadonlyArray<string>]

  /**
   * Who pays, with the key's fingerprint salted by `salt`. Fails with reason `auth`, naming the variable to set, when
   * there is no key. Makes no call.
   */
  readonly account: (salt: string) => Effect.Effect<Account, ProviderError>

  /**
   * The wire row of a request for an endpoint of this provider. `answer` is the form that the answer must have, where
   * the row does not ask for one itself. Pure, needs no key, never drops a field silently.
   */
  readonly encode: (
    request: Request,
    wireId: WireId,
    endpoint: string,
    answer?: AnswerFormat
  ) => Either.Either<WireRow, UnsupportedField>

  /** Brings the shard's bytes to the provider, where it takes a file. Nothing is charged yet. */
  readonly upload: (
    shard: Shard,
    bytes: ShardBytes
  ) => Effect.Effect<InputReference, NotSent | Refused | Unknown | DiskError>

  /** Makes the batch: the call that costs money. Exactly one HTTP request, never repeated. */
  readonly create: (
    shard: Shard,
    input: InputReference,
    bytes: ShardBytes
  ) => Effect.Effect<BatchSnapshot, NotSent | Refused | Unknown | DiskError>

  /**
   * Looks for the batch of a shard among those made since a time on the provider's own clock, leaving out batches that
   * are known to be another shard's. `holds` tells the rows of the shard: by that a batch without a tag is proved, or
   * ruled out, once it has results.
   */
  readonly find: (
    tag: SubmitTag,
    since: DateTime.Utc,
    exclude: ReadonlySet<string>,
    holds: (row: number) => boolean
  ) => Effect.Effect<Finding, ProviderError>

  readonly retrieve: (batchId: string) => Effect.Effect<BatchSnapshot, ProviderError>

  /** A page of all batches of the account, newest first; `after` is the `next` of the page before. */
  readonly list: (after: string | null) => Effect.Effect<BatchPage, ProviderError>

  /** Asks the provider to stop a batch; it ends some time later, with what was answered by then. */
  readonly cancel: (batchId: string) => Effect.Effect<BatchSnapshot, ProviderError>

  /** Deletes what the provider keeps for an ended batch and lets us delete. Gives the ids of what was deleted. */
  readonly delete: (batch: BatchSnapshot) => Effect.Effect<ReadonlyArray<string>, ProviderError>

  /** The bytes of a results file, as they were sent. */
  readonly download: (file: ResultFile) => Stream.Stream<Uint8Array, ProviderError>

  /**
   * Asks for one row through the synchronous API: exactly one HTTP request, never repeated, and ended at once when the
   * effect is interrupted. It fails only where the row got no answer of its own: with reason `unreachable` where the
   * connection gave none (`mayBeCharged` says whether the request may have been carried out), with any other reason
   * where nobody's row would get one.
   */
  readonly complete: (row: SyncRow) => Effect.Effect<Completion, ProviderError>

  /** What a line of results says. Pure; `text` is one line without its newline. */
  readonly decode: (text: string) => Either.Either<DecodedLine, BadLine>
}

/**
 * A provider of batches.
 *
 * @since 0.1.0
 * @category tags
 */
export class Provider extends Context.Tag("llm-batch/Provider")<Provider, Service>() {}
