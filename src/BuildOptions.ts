/**
 * What the rows of an input are to become: kept with the run, so that everything later sees the same.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { RequestDefaults } from "./Request.js"

const Optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

const PositiveInt = Schema.Int.pipe(Schema.positive())

/**
 * What the rows are to become.
 *
 * @since 0.1.0
 * @category models
 */
export class BuildOptions extends Schema.Class<BuildOptions>("llm-batch/BuildOptions")({
  /** The path of the endpoint that chats or embeddings go to; the provider's first one by default. */
  endpoint: Optional(Schema.String),
  /** What rows get where they do not say so themselves. */
  defaults: Schema.optionalWith(RequestDefaults, { default: () => new RequestDefaults({}) }),
  /** The prompt's template, `Is this spam? {{text}}`. */
  prompt: Optional(Schema.String),
  /** The column or field that holds the user's id. */
  idColumn: Optional(Schema.String),
  /** Values for template variables that no column has. */
  variables: Schema.optionalWith(Schema.Record({ key: Schema.String, value: Schema.String }), { default: () => ({}) }),
  /** Whether a model may have a name that is nearly, but not quite, that of a known one. */
  allowUnknownModel: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  /** Fields that are taken out of every chat or embedding before it is translated. */
  drop: Schema.optionalWith(Schema.Array(Schema.String), { default: () => [] }),
  /**
   * Rows that ask the same are sent once, and get one answer, each of them. Off by default: repeated samples are often
   * meant. While rows are built, each different one takes about 30 bytes of memory.
   */
  dedupe: Schema.optionalWith(Schema.Boolean, { default: () => false }),
  /**
   * A directory of answers: rows that were answered before, in whichever run, are not sent, and answers are kept for later
   * runs. What counts is the server, the endpoint and the body, to the byte. Of rows that ask the same, each has an answer
   * of its own, unless there is `dedupe`. While rows are built, each different one takes about 30 bytes of memory, and
   * each answer in the directory about 40.
   */
  cacheDirectory: Optional(Schema.NonEmptyString),
  /** Builds no more than so many rows. */
  limitItems: Optional(PositiveInt),
  /** The first rows become a shard of their own, that is asked at once before the rest is sent. */
  tryRows: Optional(PositiveInt),
  /** The JSON Schema that every answer must satisfy. */
  answerSchema: Optional(Schema.Record({ key: Schema.String, value: Schema.Unknown })),
  /** What the schema is called at a provider that wants a name for it. */
  answerName: Optional(Schema.NonEmptyString),
  /** Fewer rows a shard than the provider allows. */
  shardRows: Optional(PositiveInt),
  /** Fewer bytes a shard than the provider allows. */
  shardBytes: Optional(PositiveInt)
}) {}
