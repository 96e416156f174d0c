/**
 * Runs with a budget, held against the books of their provider: what prompts have is counted by a rule of the provider's
 * own, answers are as long as they may be, and what was told of it is read as a user reads it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type * as Provider from "llm-batch/Provider"
import type { RunEvent } from "llm-batch/RunEvent"
import * as BilledRun from "./BilledRun.js"
import type { BookPlan, BookPrice, BookRates, Tokens } from "./BillingBooks.js"

/** A row of the input. */
interface Asked {
  readonly words: number
  readonly maxTokens: number | null
  /** Whether its prompt is written to a cache, and for how long; Anthropic is told so, OpenAI does what it likes. */
  readonly cache: "5m" | "1h" | null
}

/** What is asked of whom, and what it costs. */
export interface BudgetedCase {
  readonly plan: BilledRun.BilledCase
  readonly rows: ReadonlyArray<Asked>
  readonly mixed: boolean
  readonly maxOutput: number | null
  /** How many bytes are a token: within the band that is stated for tokenizers that are not known. */
  readonly bytesPerToken: number
}

/** More than answers are expected to have, as often as not. */
const length = FastCheck.oneof(FastCheck.integer({ min: 1, max: 2_000 }), FastCheck.integer({ min: 1, max: 40_000 }))

/** Models that write for nothing: all that is charged is what is known before. */
const freeAnswers = ({ long, ...short }: BookPrice): BookPrice => ({
  ...short,
  output: null,
  long: long === null ? null : { ...long, output: null }
})

export const cases: FastCheck.Arbitrary<BudgetedCase> = FastCheck.record({
  plan: FastCheck.tuple(BilledRun.cases(600), FastCheck.integer({ min: 1, max: 4 }), FastCheck.nat(2)).map(
    ([plan, shardRows, terse]): BilledRun.BilledCase => ({
      ...plan,
      shardRows,
      prices: terse === 0 ? [freeAnswers(plan.prices[0]), freeAnswers(plan.prices[1])] : plan.prices
    })
  ),
  rows: FastCheck.array(
    FastCheck.record({
      words: FastCheck.integer({ min: 1, max: 400 }),
      maxTokens: FastCheck.option(length),
      cache: FastCheck.constantFrom(null, null, "5m", "1h")
    }),
    { minLength: 1, maxLength: 16 }
  ),
  mixed: FastCheck.boolean(),
  maxOutput: FastCheck.option(length),
  bytesPerToken: FastCheck.constantFrom(3, 3.5, 4, 5)
})

/** Words of which each is a token, or nearly so, for everybody. */
const words = ["the", "cat", "and", "dog", "sat", "for", "one", "sun"]

const rowOf = ({ cache, maxTokens, words: count }: Asked, isTold: boolean) => {
  const text = Array.from({ length: count }, (_, at) => words[(at * 5 + count) % words.length]).join(" ")
  const part = {
    type: "text",
    text,
    ...(isTold && cache !== null ? { cache_control: { type: "ephemeral", ttl: cache } } : {})
  }
  return { messages: [{ role: "user", content: [part] }], ...(maxTokens === null ? {} : { max_tokens: maxTokens }) }
}

/** The body of a request, as far as it is charged. */
interface Body {
  readonly max_tokens?: number
  readonly messages: ReadonlyArray<{ readonly content: string | ReadonlyArray<{ readonly text: string }> }>
}

const parse = (body: unknown): Body => JSON.parse(JSON.stringify(body))

const promptTokens = ({ messages }: Body, bytesPerToken: number): number =>
  messages.reduce((sum, { content }) => {
    const text = typeof content === "string" ? content : content.map(({ text }) => text).join("")
    return sum + 2 + Math.ceil(Buffer.byteLength(text) / bytesPerToken)
  }, 5)

/** How long an answer is that nothing limits. */
const unlimited = 10_000

/** What is done for a request: all of its prompt is read, and as much is written as it may be, or less. */
const usesOf = ({ bytesPerToken, maxOutput }: BudgetedCase): BookPlan["uses"] => (form, on, sent): Tokens => {
  const body = parse(sent)
  const prompt = promptTokens(body, bytesPerToken)
  const limit = body.max_tokens ?? maxOutput ?? unlimited
  const output = on.pick([on.next(limit + 1), on.next(Math.min(limit, 40) + 1), limit])
  const text = JSON.stringify(sent)
  const isTold = text.includes("cache_control")
  const read = on.pick([0, on.next(prompt + 1)])
  const written = on.pick([0, on.next(prompt - read + 1), prompt - read])
  switch (form) {
    case "chat":
      return [prompt - read, read, 0, 0, output]
    case "responses":
      return [prompt - read - written, read, written, 0, output]
    case "embeddings":
      return [prompt, 0, 0, 0, 0]
    case "messages": {
      if (!isTold) return [prompt, 0, 0, 0, output]
      const plain = prompt - read - written
      return text.includes("\"1h\"") ? [plain, read, 0, written, output] : [plain, read, written, 0, output]
    }
  }
}

const kindsOf = ({ cacheRead, cacheWrite1h, cacheWrite5m, input }: BookRates): ReadonlyArray<number> => [
  input,
  cacheRead ?? input,
  cacheWrite5m ?? input,
  cacheWrite1h ?? cacheWrite5m ?? input
]

const ratesOf = ({ long, ...short }: BookPrice): ReadonlyArray<BookRates> => long === null ? [short] : [short, long]

const sum = (amounts: Iterable<bigint>): bigint => [...amounts].reduce((all, amount) => all + amount, 0n)

/** Dollars as they are shown, in picodollars. */
const shown = (dollars: string): bigint => {
  const [whole = "", fraction = ""] = dollars.replaceAll(",", "").split(".")
  return BigInt(whole + fraction.padEnd(12, "0"))
}

/** By how much the budget can be passed, as it was told; `null` where it was told that nothing limits that. */
const passing = (texts: ReadonlyArray<string>): bigint | null =>
  texts.reduce<bigint | null>((most, text) => {
    if (most === null || text.startsWith("nothing limits the length of answers")) return null
    const [, dollars] = /answers longer than expected can pass the budget by up to \$([\d,]+\.\d+)$/u.exec(text) ?? []
    return dollars === undefined || shown(dollars) < most ? most : shown(dollars)
  }, 0n)

/** Answers that were lost on the way, row by row: nobody can tell whether they are charged. */
const lostAnswers = (events: ReadonlyArray<RunEvent>): number => {
  const byShard = new Map<string, number>()
  for (const event of events) if (event._tag === "RowsAnswered") byShard.set(event.shard.id, event.mayBeBilledTwice)
  return [...byShard.values()].reduce((sum, count) => sum + count, 0)
}

const rowNumber = (id: string): number => Number(id.slice(id.lastIndexOf("-") + 1))

/** What was sent of a shard. */
interface Sent {
  readonly mode: "batch" | "sync"
  readonly ids: ReadonlyArray<string>
  /** What is to be expected of it at least. */
  readonly least: bigint
}

/** A run of a case, with an eye on what is sent. */
export const make = Effect.fnUntraced(function*(setting: BudgetedCase) {
  const { bytesPerToken, maxOutput, mixed, plan, rows } = setting
  const models = mixed ? BilledRun.names.slice(0, 2) : BilledRun.names.slice(0, 1)
  const priceOf = (row: number): BookPrice => plan.prices[(row - 1) % models.length] ?? plan.prices[0]
  const sent = new Map<string, Sent>()
  const violations: Array<string> = []
  let budget: bigint | null = null

  /** What a row is to be expected to cost at least: its prompt, when nothing of it comes from a cache. */
  const leastOf = (id: string, body: unknown, mode: "batch" | "sync"): bigint => {
    const price = priceOf(rowNumber(id))
    const rate = Math.min(...ratesOf(price).map(({ input }) => input)) / (mode === "batch" ? price.batchDivisor : 1)
    return BigInt(promptTokens(parse(body), bytesPerToken)) * BigInt(rate)
  }

  /** And at most, one by one, sent back with its answer. */
  const mostOf = ({ maxTokens, words }: Asked, at: number): bigint => {
    const rates = ratesOf(priceOf(at + 1))
    const prompt = 100 + Math.ceil(words * 4 / bytesPerToken)
    const output = maxTokens ?? maxOutput ?? unlimited
    return BigInt(prompt) * BigInt(Math.max(...rates.flatMap(kindsOf)))
      + BigInt(output) * BigInt(Math.max(...rates.map((rate) => rate.output ?? 0)))
  }

  /** The shard that a row was laid into last. */
  const shardOf = (id: string): string =>
    world.files().flatMap((path) => /^batch_inputs\/test\/(\w+)\.jsonl$/u.exec(path)?.[1] ?? [])
      .findLast((shard) => wireRows(shard).some(({ custom_id }) => custom_id === id)) ?? ""

  const wireRows = (shard: string): ReadonlyArray<{ readonly custom_id: string; readonly body: unknown }> =>
    world.read(`batch_inputs/test/${shard}.jsonl`).trimEnd().split("\n").map((line) => JSON.parse(line))

  /** What is known of the cost of shards by now: not of those whose results were not looked at. */
  const knownCost = (normalized: ReadonlySet<string>): bigint => {
    const shards = new Map(
      world.events.flatMap((event) =>
        event._tag === "BatchEnded"
          ? event.batch.snapshot.files.map(({ reference }) => [reference, event.batch.shard.id])
          : []
      )
    )
    const asking = [...sent].filter(([id, { mode }]) => mode === "sync" && !normalized.has(id))
    const isOpen = (row: number) => asking.some(([, { ids }]) => ids.some((id) => rowNumber(id) === row))
    return sum(books.charges.map(({ charged = 0n, file, row }) => {
      const shard = shards.get(file)
      return (shard === undefined ? !isOpen(row) : normalized.has(shard)) ? charged : 0n
    }))
  }

  /** Since when it is known what a shard has cost: what is sent at the same moment may have been let go before. */
  const knownSince = new Map<string, number>()
  const observe = (now: number) => {
    for (const event of world.events) {
      if (event._tag === "ShardNormalized" && !knownSince.has(event.shard.id)) knownSince.set(event.shard.id, now)
    }
  }

  /** Whatever the answers cost, the prompts of what is under way must fit into the budget, beside what is known. */
  const onSend = (shard: string, mode: "batch" | "sync", now: number) => {
    if (sent.has(shard)) return
    const wire = wireRows(shard)
    const least = sum(wire.map(({ body, custom_id }) => leastOf(custom_id, body, mode)))
    sent.set(shard, { mode, least, ids: wire.map(({ custom_id }) => custom_id) })
    if (budget === null) return
    const known = new Set([...knownSince].flatMap(([id, since]) => since < now ? [id] : []))
    const underWay = sum([...sent].map(([id, { least }]) => knownSince.has(id) ? 0n : least))
    const committed = knownCost(known) + underWay
    if (committed > budget) violations.push(`${shard} was sent: ${committed} is more than ${budget}`)
  }

  const observed = Effect.tap(Clock.currentTimeMillis, (now) => Effect.sync(() => observe(now)))

  const watch = (provider: Provider.Service): Provider.Service => ({
    ...provider,
    retrieve: (id) => Effect.zipRight(observed, provider.retrieve(id)),
    list: (after) => Effect.zipRight(observed, provider.list(after)),
    create: (shard, input, tag) =>
      Effect.flatMap(observed, (now) => {
        onSend(shard.id, "batch", now)
        return provider.create(shard, input, tag)
      }),
    complete: (row) =>
      Effect.flatMap(observed, (now) => {
        onSend(shardOf(row.wireId), "sync", now)
        return provider.complete(row)
      })
  })

  const billed = yield* BilledRun.make(plan, {
    rows: rows.map((row) => rowOf(row, plan.format === "anthropic")),
    models,
    swaps: false,
    maxOutput,
    uses: usesOf(setting),
    watch
  })
  const { books, world } = billed
  const most = rows.map(mostOf)
  const dearest = most.reduce((one, other) => one > other ? one : other)

  return {
    ...billed,
    /** What is sent from here on is to be kept within this; `null` for no limit. */
    limitTo: (limit: bigint | null) => {
      budget = limit
    },
    violations,
    /** What the rows cost when all of them are answered once, as dearly as can be. */
    worst: sum(most),
    /** By how much the budget can be passed, as these events have told; `null` where nothing limits it. */
    told: (events: ReadonlyArray<RunEvent>): bigint | null => {
      const amount = passing(events.flatMap((event) => event._tag === "Notice" ? [event.text] : []))
      return amount === null ? null : amount + BigInt(lostAnswers(events)) * dearest
    }
  }
})
