/**
 * Counts the tokens of requests before they are sent.
 *
 * For OpenAI's models texts are counted exactly, by their public tokenizers, and what OpenAI puts around messages is
 * added as its cookbook has it. Anthropic's tokenizer is not public: its count is a guess from the kinds of characters,
 * with a band: 15 % below to 25 % above for models up to Claude Opus and Sonnet 4.6, 20 % below to 30 % above for newer
 * ones, whose tokenizer makes about 30 % more tokens. For a model that is not known the band is 40 % either way. Images,
 * files, tools and schemas are guessed for every model, and widen the band.
 *
 * A `Sampler` counts every row as long as there are few, and of more a part that shrinks as the input grows, chosen the
 * same way each time. It knows the size of all rows, so that the rest follows from the tokens a byte of those counted,
 * with a band of three standard errors.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Model, Tokenizer } from "./Model.js"
import * as ClaudeTokens from "./model/ClaudeTokens.js"
import { type Measure, measure, type Rules } from "./model/PromptTokens.js"
import type { JsonObject } from "./Request.js"

const Count = Schema.Int.pipe(Schema.nonNegative())

/**
 * A number of tokens, and between which numbers it is.
 *
 * @since 0.1.0
 * @category models
 */
export class TokenBand extends Schema.Class<TokenBand>("llm-batch/TokenBand")({
  tokens: Count,
  low: Count,
  high: Count,
  /** Every text was counted by the model's own tokenizer, and nothing had to be guessed. */
  exact: Schema.Boolean
}) {}

/**
 * No tokens.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: TokenBand = new TokenBand({ tokens: 0, low: 0, high: 0, exact: true })

/**
 * Several bands as one: their errors need not cancel each other, so the limits are added.
 *
 * @since 0.1.0
 * @category combinators
 */
export const sum = (bands: Iterable<TokenBand>): TokenBand => {
  let [tokens, low, high, exact] = [0, 0, 0, true]
  for (const band of bands) {
    tokens += band.tokens
    low += band.low
    high += band.high
    exact = exact && band.exact
  }
  return new TokenBand({ tokens, low, high, exact })
}

/**
 * Counts texts and bodies for one model.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counter {
  /** The tokens of a text by itself. */
  readonly text: (text: string) => number
  /** The tokens of a body; `low` and `high` tell how much of it is guessed, the tokenizer apart. */
  readonly body: (body: JsonObject, endpoint: string) => Measure
  /** How far the count may be off because of the tokenizer, as factors. */
  readonly low: number
  readonly high: number
}

/**
 * A run of one kind of character: the time that the tokenizer takes for one grows with its square, and Chinese prose or
 * a line of dashes can be one run.
 */
const longRun = /[\p{L}\p{M}]{200}|\s{200}|[^\s\p{L}\p{N}]{200}/u
const runs = /[\p{L}\p{M}]{1,200}|\s{1,200}|[^\s\p{L}\p{N}]{1,200}|\p{N}{1,200}/gu

const inPieces = (count: (text: string) => number) => (text: string): number => {
  if (!longRun.test(text)) return count(text)
  let tokens = 0
  let start = 0
  for (const { 0: run, index } of text.matchAll(runs)) {
    if (run.length < 200) continue
    // What comes before the run keeps its own pieces together; a cut costs a token at most.
    if (index > start) tokens += count(text.slice(start, index))
    tokens += count(run)
    start = index + run.length
  }
  return start < text.length ? tokens + count(text.slice(start)) : tokens
}

const encodings = {
  o200k_base: () => import("gpt-tokenizer/encoding/o200k_base"),
  cl100k_base: () => import("gpt-tokenizer/encoding/cl100k_base")
}

/** Texts that look like special tokens are just text in a request. */
const asText = { disallowedSpecial: new Set<string>() }

const counterOf = (rules: Rules, low: number, high: number): Counter => ({
  text: rules.text,
  body: (body, endpoint) => measure(rules, body, endpoint),
  low,
  high
})

const openAi = (encoding: keyof typeof encodings, reasons: boolean): Effect.Effect<Counter> =>
  Effect.map(Effect.promise(encodings[encoding]), ({ countTokens }) =>
    counterOf(
      {
        text: inPieces((text) => countTokens(text, asText)),
        // Three for the message and one for its role; three that begin the answer, two where reasoning comes first.
        perMessage: 4,
        perSystem: 4,
        perConversation: reasons ? 2 : 3,
        perName: 1,
        perTools: 16
      },
      1,
      1
    ))

const claude = (newer: boolean): Counter => {
  const { high, low } = ClaudeTokens.band(newer)
  return counterOf(
    {
      text: (text) => Math.round(ClaudeTokens.estimate(text, newer)),
      // One message has 7 tokens around its text, with a system prompt or without.
      perMessage: 2,
      perSystem: 0,
      perConversation: 5,
      perName: 0,
      perTools: 400
    },
    low,
    high
  )
}

const anybodys: Counter = { ...claude(false), low: 0.6, high: 1.4 }

const isOpenAi = (tokenizer: Tokenizer | null): tokenizer is keyof typeof encodings =>
  tokenizer === "o200k_base" || tokenizer === "cl100k_base"

/**
 * The counter of a model. The tokenizer is loaded when it is first asked for, which takes a quarter of a second.
 *
 * @since 0.1.0
 * @category constructors
 */
export const counter = ({ accepts, tokenizer }: Model): Effect.Effect<Counter> => {
  if (tokenizer === null) return Effect.succeed(anybodys)
  return isOpenAi(tokenizer)
    ? openAi(tokenizer, accepts.reasoning === "always" || accepts.reasoning === "optional")
    : Effect.succeed(claude(tokenizer === "claude-2026"))
}

/**
 * Counts the tokens of many rows of one model by some of them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sampler {
  /** A row: its body, and how many bytes it is on the wire. */
  readonly add: (body: JsonObject, endpoint: string, bytes: number) => void
  /** The tokens of all rows so far. */
  readonly estimate: () => TokenBand
}

/** Scatters a row's number over [0, 1), always the same way. */
const scatter = (row: number): number => {
  let hash = Math.imul(row ^ (row >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

/** So many bytes are counted whole: about half a second. */
const defaultBudget = 2_000_000

/**
 * A sampler that counts all of the first `budget` bytes, and about `budget` more for each time that the input triples.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sampler = (counter: Counter, budget: number = defaultBudget): Sampler => {
  let row = 0
  let bytesSeen = 0
  let everyRow = true
  // Sums over the rows counted, each as often as it stands for a row: bytes, tokens, and the limits of what was guessed.
  const sums = { bytes: 0, tokens: 0, low: 0, high: 0 }
  // And what the spread of tokens a byte is told from.
  const spread = { tokens: 0, both: 0, bytes: 0 }
  return {
    add: (body, endpoint, bytes) => {
      row += 1
      bytesSeen += bytes
      const chance = Math.min(1, budget / bytesSeen)
      if (chance < 1 && scatter(row) >= chance) {
        everyRow = false
        return
      }
      const { high, low, tokens } = counter.body(body, endpoint)
      const weight = 1 / chance
      sums.bytes += weight * bytes
      sums.tokens += weight * tokens
      sums.low += weight * low
      sums.high += weight * high
      const doubt = (1 - chance) * weight * weight
      spread.tokens += doubt * tokens * tokens
      spread.both += doubt * tokens * bytes
      spread.bytes += doubt * bytes * bytes
    },
    estimate: () => {
      if (sums.bytes === 0) return none
      const perByte = sums.tokens / sums.bytes
      const scale = everyRow ? 1 : bytesSeen / sums.bytes
      const variance = spread.tokens - 2 * perByte * spread.both + perByte * perByte * spread.bytes
      const error = everyRow ? 0 : 3 * Math.sqrt(Math.max(0, variance))
      const guessed = sums.low !== sums.tokens || sums.high !== sums.tokens
      return new TokenBand({
        tokens: Math.round(sums.tokens * scale),
        low: Math.max(0, Math.floor((sums.low * scale - error) * counter.low)),
        high: Math.ceil((sums.high * scale + error) * counter.high),
        exact: everyRow && !guessed && counter.low === 1 && counter.high === 1
      })
    }
  }
}
