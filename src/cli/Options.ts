/**
 * The flags and arguments that commands share. A flag that is also a key of the configuration file is read by that
 * key's schema, so that both take the same and say the same when they are given something else.
 */
import * as Args from "@effect/cli/Args"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Either from "effect/Either"
import { describe } from "../internal/RowErrors.js"
import * as RunConfig from "../RunConfig.js"

const refuse = (name: string, problem: string) => ValidationError.invalidValue(HelpDoc.p(`--${name}: ${problem}`))

/** A setting from what its flag was given. */
const decode = (name: string, key: RunConfig.Key, value: unknown) =>
  Either.mapLeft(
    RunConfig.decodeSetting(key, value),
    (takes) => refuse(name, `found ${describe(value)}. It must be ${takes}.`)
  )

const nothing: RunConfig.RunConfig = {}

interface Flag {
  readonly aliases?: ReadonlyArray<string>
  /** What stands for the value in the help. */
  readonly value: string
  readonly description: string
  /** What the schema is to see; the text itself unless it is given. */
  readonly read?: (text: string) => unknown
}

const named = (key: RunConfig.Key, { aliases = [], description, value }: Flag) =>
  aliases.reduce(
    (option, alias) => Options.withAlias(option, alias),
    Options.text(key.replaceAll("_", "-")).pipe(
      Options.withPseudoName(value),
      Options.withDescription(description)
    )
  )

/** A flag with one value. */
const one = (key: RunConfig.Key, flag: Flag): Options.Options<RunConfig.RunConfig> =>
  named(key, flag).pipe(
    Options.mapEffect((text) =>
      decode(key.replaceAll("_", "-"), key, flag.read === undefined ? text : flag.read(text))
    ),
    Options.withDefault(nothing)
  )

/** A flag that may be given several times. */
const many = (
  key: RunConfig.Key,
  flag: Flag,
  gather: (texts: ReadonlyArray<string>) => Either.Either<unknown, string> = Either.right
): Options.Options<RunConfig.RunConfig> => {
  const name = key.replaceAll("_", "-")
  return named(key, flag).pipe(
    Options.repeated,
    Options.mapEffect((texts) =>
      texts.length === 0 ? Either.right(nothing) : gather(texts).pipe(
        Either.mapLeft((problem) => refuse(name, problem)),
        Either.flatMap((value) => decode(name, key, value))
      )
    )
  )
}

/** A flag that is on when it is given. */
const on = (key: RunConfig.Key, description: string, ...aliases: ReadonlyArray<string>) =>
  aliases.reduce(
    (option, alias) => Options.withAlias(option, alias),
    Options.boolean(key.replaceAll("_", "-")).pipe(Options.withDescription(description))
  ).pipe(
    Options.mapEffect((given) => given ? decode(key, key, true) : Either.right(nothing))
  )

const toNumber = (text: string): unknown => /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text) ? Number(text) : text

const toVariables = (texts: ReadonlyArray<string>): Either.Either<{ readonly [name: string]: string }, string> => {
  const variables = new Map<string, string>()
  for (const text of texts) {
    const equals = text.indexOf("=")
    if (equals < 1) return Either.left(`found ${describe(text)}. It must be NAME=TEXT.`)
    const name = text.slice(0, equals)
    if (variables.has(name)) return Either.left(`${name} is given twice. Give it once.`)
    variables.set(name, text.slice(equals + 1))
  }
  return Either.right(Object.fromEntries(variables))
}

const flags = {
  provider: one("provider", {
    aliases: ["backend", "p"],
    value: "NAME",
    description: "openai or anthropic; told by the model's name when it is not given"
  }),
  mode: one("mode", {
    value: "MODE",
    description:
      "batch (half the price, within a day; the default), sync (at once), or auto: batch above --batch-threshold"
  }),
  batch_threshold: one("batch_threshold", {
    value: "COUNT",
    description: "Above how many rows --mode auto takes the batch API; 100 by default",
    read: toNumber
  }),
  use_batch_api: on("use_batch_api", "The same as --mode batch"),
  try: one("try", {
    value: "COUNT",
    description: "Asks so many rows at once, shows their answers, and then sends the rest",
    read: toNumber
  }),
  finish: one("finish", {
    value: "HOW",
    description: "sync: rows that no batch answers in time are asked through the synchronous API"
  }),
  deadline: one("deadline", {
    value: "TIME",
    description: "How long after its beginning the run waits for batches before --finish sync, as in 6h"
  }),
  max_concurrent_requests: one("max_concurrent_requests", {
    value: "COUNT",
    description: "The most requests of the synchronous API at a time; 16 by default",
    read: toNumber
  }),
  requests_per_minute: one("requests_per_minute", {
    value: "COUNT",
    description: "The most requests of the synchronous API in a minute; as the provider says by default",
    read: toNumber
  }),
  tokens_per_minute: one("tokens_per_minute", {
    value: "COUNT",
    description:
      "The most tokens of the synchronous API in a minute, a row counting its max_tokens at first; as the provider says by default",
    read: toNumber
  }),
  schema: one("schema", {
    value: "FILE",
    description: "A JSON file with the JSON Schema that every answer must satisfy"
  }),
  repair: one("repair", {
    value: "COUNT",
    description: "How many times an answer that does not fit is sent back to be put right: 0 to 10; 0 by default",
    read: toNumber
  }),
  endpoint: one("endpoint", {
    value: "PATH",
    description: "Where chats and embeddings go: responses (OpenAI's default), chat, embeddings, messages, or a path"
  }),
  model: one("model", { aliases: ["m"], value: "MODEL", description: "The model of rows that name none" }),
  system: one("system", { value: "TEXT", description: "The system prompt of rows that have none; a template, too" }),
  temperature: one("temperature", { value: "NUMBER", description: "From 0 to 2", read: toNumber }),
  top_p: one("top_p", { value: "NUMBER", description: "From 0 to 1", read: toNumber }),
  max_tokens: one("max_tokens", { value: "COUNT", description: "The most tokens of an answer", read: toNumber }),
  stop: many("stop", { value: "TEXT", description: "Where answers stop; may be given several times" }),
  reasoning_effort: one("reasoning_effort", {
    value: "EFFORT",
    description: "none, minimal, low, medium, high, xhigh or max, as the model takes it"
  }),
  thinking: one("thinking", {
    value: "HOW",
    description: "adaptive, off, or the most tokens to think for",
    read: toNumber
  }),
  response_format: one("response_format", {
    value: "FILE",
    description: "A JSON file with Chat Completions' response_format, or json_object for any JSON"
  }),
  tools: one("tools", { value: "FILE", description: "A JSON file with Chat Completions' list of tools" }),
  dimensions: one("dimensions", { value: "COUNT", description: "The length of embeddings", read: toNumber }),
  prompt: one("prompt", {
    value: "TEMPLATE",
    description: "Makes the prompt of each record, as in 'Is this spam? {{text}}'"
  }),
  id_column: one("id_column", { value: "NAME", description: "The column or field that holds the row's id" }),
  var: many("var", {
    value: "NAME=TEXT",
    description: "A template variable that no column has; may be given several times"
  }, toVariables),
  columns: one("columns", {
    value: "NAMES",
    description: "The columns of a CSV or TSV file without a header line: a,b,c"
  }),
  input_format: one("input_format", {
    value: "FORMAT",
    description: "jsonl, csv or tsv, where the input's name does not tell"
  }),
  allow_unknown_model: on(
    "allow_unknown_model",
    "The model's name is right, though it is nearly that of a known one"
  ),
  models_file: one("models_file", {
    value: "FILE",
    description: "A YAML file of models: what they cost and take, where the catalogue does not know it or has it wrong"
  }),
  dedupe: on("dedupe", "Sends rows that ask the same once, and gives each of them the answer"),
  cache: one("cache", {
    value: "DIR",
    description: "Takes answers that earlier runs kept in this directory, and keeps its own there: llm-batch cache DIR"
  }),
  drop: many("drop", {
    value: "FIELD",
    description: "A field to leave out where a model or endpoint cannot take it; may be given several times"
  }),
  limit_items: one("limit_items", { value: "COUNT", description: "Takes the first rows only", read: toNumber }),
  run_dir: one("run_dir", {
    value: "DIR",
    description: "The run directory; experiments/run_<id> by default. A run of this input in it is gone on with"
  }),
  run_id: one("run_id", { value: "ID", description: "The run's name; the time it begins by default" }),
  output: one("output", {
    aliases: ["o"],
    value: "FILE",
    description: "Writes the answers to this file, too, in the format of its ending: .jsonl, .csv, .tsv, .txt"
  }),
  replay_dir: one("replay_dir", {
    value: "DIR",
    description: "Takes results that a provider sent before from this directory, and uses no network"
  }),
  poll_interval: one("poll_interval", {
    value: "TIME",
    description: "The pause between two looks at the batches, as in 30s; growing up to 60s by default"
  }),
  max_wait: one("max_wait", {
    value: "TIME",
    description: "The longest wait for a batch, as in 2h; 25h by default. The batch runs on, and resume waits again"
  }),
  settle_time: one("settle_time", {
    value: "TIME",
    description:
      "How long a batch whose making was not answered may take to show in the provider's list; 60s by default"
  }),
  shard_rows: one("shard_rows", { value: "COUNT", description: "The most rows of a batch", read: toNumber }),
  shard_bytes: one("shard_bytes", { value: "COUNT", description: "The most bytes of a batch", read: toNumber }),
  max_concurrent_jobs: one("max_concurrent_jobs", {
    value: "COUNT",
    description: "The most batches with the provider at a time",
    read: toNumber
  }),
  max_enqueued_tokens: one("max_enqueued_tokens", {
    value: "COUNT",
    description: "The most prompt tokens of a model in batches with the provider; learned when it declines one",
    read: toNumber
  }),
  max_queued_requests: one("max_queued_requests", {
    value: "COUNT",
    description: "The most rows in batches with the provider",
    read: toNumber
  }),
  max_batches_per_hour: one("max_batches_per_hour", {
    value: "COUNT",
    description: "The most batches made within an hour; 2,000 by default at OpenAI",
    read: toNumber
  }),
  max_cost: one("max_cost", {
    value: "DOLLARS",
    description: "What the run may cost, as in 5.00: what is expected to pass it is not sent",
    read: toNumber
  }),
  retries: one("retries", {
    value: "COUNT",
    description: "How many times rows that failed are asked again, where that can help: 0 to 10; 0 by default",
    read: toNumber
  }),
  workers: one("workers", {
    value: "COUNT",
    description: "How many threads more read large results, for some 50 MB of memory each; none by default",
    read: toNumber
  }),
  job: one("job", {
    value: "NAME",
    description: "A ready-made job: eval, translate or classify; the flags below are theirs"
  }),
  models: one("models", { value: "NAMES", description: "eval: the models to compare: a,b,c" }),
  temps: one("temps", { value: "NUMBERS", description: "eval: the temperatures to ask at: 0.0,0.7" }),
  samples: one("samples", {
    value: "COUNT",
    description: "eval: how many times each item is asked in the same way; 1 by default",
    read: toNumber
  }),
  dataset: one("dataset", { value: "NAME", description: "eval: the first part of ids; the input's name by default" }),
  type: one("type", { value: "NAME", description: "eval: the last part of ids; open by default" }),
  answer_column: one("answer_column", {
    value: "NAME",
    description: "eval: the column with the right answer; answer by default"
  }),
  target_lang: one("target_lang", { value: "LANGUAGE", description: "translate: the language to translate to" }),
  source_lang: one("source_lang", {
    value: "LANGUAGE",
    description: "translate: the language of the input; en by default"
  }),
  context: one("context", { value: "TEXT", description: "translate: what a translator should know" }),
  batch_size: one("batch_size", {
    value: "COUNT",
    description: "translate: how many texts a request holds; 10 by default",
    read: toNumber
  }),
  memory: one("memory", {
    value: "FILE",
    description: "translate: where translations are kept, so that they are not asked for again; beside the output"
  }),
  existing: one("existing", {
    value: "FILE",
    description: "translate: a translated file whose texts are taken over"
  }),
  labels: one("labels", { value: "NAMES", description: "classify: what a row may be: spam,ham" }),
  text_column: one("text_column", {
    value: "NAME",
    description: "classify: the column with the text; text by default"
  }),
  instructions: one("instructions", { value: "TEXT", description: "classify: what is to be decided, and how" }),
  label_column: one("label_column", {
    value: "NAME",
    description: "classify: the column with the true label, for a confusion matrix"
  }),
  only_step: one("only_step", { value: "STEP", description: "build, submit, poll, fetch or normalize, and no other" }),
  from_step: one("from_step", { value: "STEP", description: "The first step to take" }),
  to_step: one("to_step", { value: "STEP", description: "The last step to take" }),
  dry_run: on("dry_run", "Builds the run directory and sends nothing; needs no key", "n"),
  no_wait: on("no_wait", "Returns when the batches are submitted"),
  json: on("json", "Prints one JSON object on standard output"),
  yes: on("yes", "Does not ask before sending", "y"),
  accept_new_key: on("accept_new_key", "Goes on with another API key than the run began with, of the same account"),
  skip_prepare: on("skip_prepare", "Uses the rows that the run directory has, where it has any"),
  skip_build: on("skip_build", "Uses the shards that the run directory has, where it has any")
} satisfies { readonly [K in RunConfig.Key]?: Options.Options<RunConfig.RunConfig> }

/** The flags of these settings, as one configuration. */
export const settings = (
  keys: ReadonlyArray<keyof typeof flags>
): Options.Options<RunConfig.RunConfig> =>
  Options.map(
    Options.all(keys.map((key) => flags[key])),
    (settings) => settings.reduce((all, setting) => Object.assign(all, setting), { ...nothing })
  )

/** What rows become: the settings of `build`. */
export const building = [
  "provider",
  "model",
  "endpoint",
  "system",
  "temperature",
  "top_p",
  "max_tokens",
  "stop",
  "reasoning_effort",
  "thinking",
  "response_format",
  "tools",
  "dimensions",
  "prompt",
  "id_column",
  "var",
  "columns",
  "input_format",
  "allow_unknown_model",
  "drop",
  "dedupe",
  "cache",
  "limit_items",
  "shard_rows",
  "shard_bytes",
  "run_dir",
  "run_id",
  "mode",
  "batch_threshold",
  "use_batch_api",
  "schema",
  "try"
] as const

/** The settings of jobs. */
export const jobs = [
  "job",
  "models",
  "temps",
  "samples",
  "dataset",
  "type",
  "answer_column",
  "target_lang",
  "source_lang",
  "context",
  "batch_size",
  "memory",
  "existing",
  "labels",
  "text_column",
  "label_column",
  "instructions"
] as const

/** How patient a run is. */
export const waiting = [
  "poll_interval",
  "max_wait",
  "settle_time",
  "max_concurrent_jobs",
  "max_enqueued_tokens",
  "max_queued_requests",
  "max_batches_per_hour",
  "max_cost",
  "max_concurrent_requests",
  "requests_per_minute",
  "tokens_per_minute",
  "repair",
  "finish",
  "deadline"
] as const

/** How a run is gone on with, whatever is left of it to do. */
export const goingOn = ["output", "yes", "json", "no_wait", ...waiting, "workers", "accept_new_key"] as const

/** The configuration file. */
export const config = Options.text("config").pipe(
  Options.withPseudoName("FILE"),
  Options.withDescription("A YAML file with settings under the names of these flags, and input"),
  Options.optional
)

/** The run directory of commands that go on with a run. */
export const runDirectory = Args.text({ name: "RUN_DIR" }).pipe(
  Args.withDescription("A run directory, such as experiments/run_20260102T030405-k3f9")
)

/** The input of commands that begin a run. */
export const input = Args.text({ name: "INPUT" }).pipe(
  Args.withDescription(
    "The rows: a JSONL, CSV or TSV file, plain or gzip, or - for standard input; may be named in --config instead"
  ),
  Args.optional
)
