/**
 * `llm-batch models [NAME]`: the models that are known, and what is known of one: what it takes, what it costs.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Model from "../../Model.js"
import * as Estimating from "../Estimating.js"
import * as Options from "../Options.js"
import { Output } from "../Output.js"
import * as Report from "../Report.js"
import { UsageError } from "../UsageError.js"

/** What is not known, or not there. */
const none = "-"

/** Dollars for a million tokens, without what binary fractions add: `$0.125`. */
const dollars = (rate: number): string => `$${Number(rate.toFixed(6))}`

/** Input and output: `$0.25 / $2`. */
const pair = ({ input, output }: Model.Rates, factor: number): string =>
  `${dollars(input * factor)} / ${output === null ? none : dollars(output * factor)}`

const tokens = (count: number | null): string => count === null ? none : Report.number(count)

/** Models for embeddings write nothing. */
const writes = ({ prices }: Model.Model): boolean => prices?.output !== null

/** What tells models apart, in a few words. What is not known is not said. */
const acceptsOf = (model: Model.Model): string => {
  const { accepts } = model
  return [
    ...(accepts.batch === null ? [] : [accepts.batch ? "batches" : "no batches"]),
    ...(accepts.structuredOutput && writes(model) ? ["schemas"] : []),
    ...(accepts.reasoning === "always" ? ["reasons"] : accepts.reasoning === "optional" ? ["can reason"] : []),
    ...(accepts.efforts === null || accepts.efforts.length === 0 ? [] : ["effort"]),
    ...(accepts.sampling === null || accepts.sampling === "none" ? [] : ["sampling"])
  ].join(", ")
}

const listOf = (models: ReadonlyArray<Model.Model>): string =>
  Report.table([
    ["MODEL", "PROVIDER", "CONTEXT", "OUTPUT", "IN / OUT", "IN BATCHES", "RETIRES", "TAKES"],
    ...models.map((model) => [
      model.name,
      model.provider,
      tokens(model.context),
      tokens(model.maxOutput),
      model.prices === null ? "unknown" : pair(model.prices, 1),
      model.prices === null ? "unknown" : pair(model.prices, model.prices.batchFactor),
      model.retires ?? none,
      acceptsOf(model)
    ])
  ]).join("\n")

const sampling = {
  any: "any of temperature, top_p, ...",
  one: "temperature or top_p, not both",
  without_reasoning: "any, as long as it does not reason",
  none: "only what is the default anyway"
}

const reasoning = { always: "always", optional: "when it is asked to", never: "never" }

const unknownOr = <A>(value: A | null, text: (value: A) => string): string => value === null ? "not known" : text(value)

const yesOrNo = (value: boolean): string => value ? "yes" : "no"

const tokenizers = {
  o200k_base: "o200k_base: counted exactly",
  cl100k_base: "cl100k_base: counted exactly",
  claude: "not public: estimated",
  "claude-2026": "not public: estimated"
}

/** One kind of token: synchronous price, and in batches. What has no price of its own costs what input does. */
const priceLine = (label: string, rate: number | null, input: number, factor: number) => {
  const price = rate ?? input
  return [`  ${label}`, dollars(price), dollars(price * factor)]
}

const ratesOf = (rates: Model.Rates, factor: number) => [
  priceLine("input", rates.input, rates.input, factor),
  ...(rates.output === null ? [] : [priceLine("output", rates.output, rates.input, factor)]),
  priceLine("cache read", rates.cacheRead, rates.input, factor),
  priceLine("cache write", rates.cacheWrite5m, rates.input, factor),
  ...(rates.cacheWrite1h === null ? [] : [priceLine("cache write, 1 hour", rates.cacheWrite1h, rates.input, factor)])
]

/** What shapes an answer. */
const answering = ({ accepts }: Model.Model): ReadonlyArray<ReadonlyArray<string>> => [
  ["reasons", unknownOr(accepts.reasoning, (how) => reasoning[how])],
  [
    "effort",
    unknownOr(accepts.efforts, (efforts) => efforts.length === 0 ? "no levels" : efforts.join(", "))
  ],
  ...(accepts.thinking === null || accepts.thinking.length === 0 ? [] : [["thinking", accepts.thinking.join(", ")]]),
  ["sampling", unknownOr(accepts.sampling, (how) => sampling[how])],
  ["stop", yesOrNo(accepts.stop)],
  ["JSON schemas", yesOrNo(accepts.structuredOutput)]
]

const explain = (model: Model.Model, name: string, day: string): string => {
  const { accepts, prices, retires } = model
  const facts = Report.table([
    ["provider", model.provider],
    ...(model.aliases.length === 0 ? [] : [["also called", model.aliases.join(", ")]]),
    ["context", unknownOr(model.context, (count) => `${Report.number(count)} tokens`)],
    ["output", unknownOr(model.maxOutput, (count) => `${Report.number(count)} tokens at most`)],
    ["tokenizer", unknownOr(model.tokenizer, (tokenizer) => tokenizers[tokenizer])],
    ["batches", unknownOr(accepts.batch, yesOrNo)],
    ...(writes(model) ? answering(model) : []),
    ...(retires === null ? [] : [[Model.isRetired(model, day) ? "retired" : "retires", retires]])
  ]).map((line) => `  ${line}`)
  const costs = prices === null ? ["  the prices are not known"] : Report.table([
    ["$ for a million tokens", "one by one", "in batches"],
    ...ratesOf(prices, prices.batchFactor),
    ...(prices.long === null ? [] : [
      [`with more than ${Report.number(prices.long.above)} tokens of input`],
      ...ratesOf(prices.long, prices.batchFactor)
    ])
  ]).map((line) => `  ${line}`)
  return [
    name === model.name ? name : `${name}: ${model.name}`,
    ...facts,
    "",
    ...costs,
    ...(prices === null ? [] : [`  from ${prices.source}`])
  ].join("\n")
}

const encode = Schema.encodeSync(Model.Model)

const find = (models: Model.Service, name: string) => {
  const lookup = models.find(name)
  switch (lookup._tag) {
    case "Known":
      return Effect.succeed(lookup.model)
    case "Near":
      return new UsageError({ message: `There is no model ${name}. Did you mean ${lookup.suggestion}?` })
    case "Unknown":
      return new UsageError({
        message:
          `The model ${name} is not in the catalogue: llm-batch models lists what is, and --models-file adds to it.`
      })
  }
}

/** `llm-batch models [NAME]` */
export const models = Command.make(
  "models",
  {
    name: Args.text({ name: "NAME" }).pipe(
      Args.withDescription("The model to explain; all are listed by default"),
      Args.optional
    ),
    flags: Options.settings(["models_file", "json"])
  },
  ({ flags, name }) =>
    Effect.gen(function*() {
      const { data, json } = yield* Output
      const catalogue = yield* Estimating.catalogue(flags)
      if (Option.isNone(name)) {
        return yield* flags.json === true
          ? json(catalogue.models.map((model) => encode(model)))
          : data(listOf(catalogue.models))
      }
      const model = yield* find(catalogue, name.value)
      const day = DateTime.formatIsoDateUtc(yield* DateTime.now)
      return yield* flags.json === true ? json(encode(model)) : data(explain(model, name.value, day))
    })
)
