/**
 * Runs whose provider keeps books of what it charges: whatever goes wrong with them, what the run says of money is held
 * against the books.
 */
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Stream from "effect/Stream"
import type { AnswerCheck } from "llm-batch/AnswerCheck"
import * as Model from "llm-batch/Model"
import { type AdvanceOptions, Pipeline, type RunOptions } from "llm-batch/Pipeline"
import type * as Provider from "llm-batch/Provider"
import * as Source from "llm-batch/Source"
import { Fault, type Faults } from "llm-batch/TestProvider"
import * as AnthropicDecode from "../src/provider/AnthropicDecode.js"
import * as OpenAiDecode from "../src/provider/OpenAiDecode.js"
import { BillingBooks, type BookPlan, type BookPrice, type BookRates, type WireFormat } from "./BillingBooks.js"
import * as World from "./World.js"

/** What goes wrong, and what it costs. */
export interface BilledCase {
  readonly seed: number
  readonly format: WireFormat
  readonly shardRows: number
  readonly mode: "batch" | "sync"
  /** After how many rows the first download of each file is cut, as a remainder; `null` for never. */
  readonly firstDownload: number | null
  /** Rows whose number is a multiple of this are not answered before their batch expires. */
  readonly late: number
  /** Calls that fail before others go well. */
  readonly faults: Faults
  readonly prices: readonly [BookPrice, BookPrice]
}

const rate = FastCheck.nat(50_000).map((steps) => steps * 400)
const otherRate = FastCheck.option(rate)
const rates = { input: rate, cacheRead: otherRate, cacheWrite5m: otherRate, cacheWrite1h: otherRate, output: otherRate }

/** Prices of which those of long prompts apply to more tokens than one of so many. */
const price = (longest: number): FastCheck.Arbitrary<BookPrice> =>
  FastCheck.record({
    ...rates,
    batchDivisor: FastCheck.constantFrom(2, 4, 1),
    long: FastCheck.option(FastCheck.record({ ...rates, above: FastCheck.integer({ min: 1, max: longest }) }))
  })

const submitFault = FastCheck.constantFrom(
  Fault.None(),
  Fault.NotSent(),
  Fault.LostAnswer({ status: null }),
  Fault.Unanswered({ status: 503 })
)

const callFault = FastCheck.constantFrom(
  Fault.None(),
  Fault.Failing({ reason: "unreachable" }),
  Fault.Failing({ reason: "rate-limited", retryAfter: "30 seconds" })
)

/** Cases of prompts with so many tokens, about. */
export const cases = (longest: number): FastCheck.Arbitrary<BilledCase> =>
  FastCheck.record({
    seed: FastCheck.nat(),
    format: FastCheck.constantFrom<WireFormat>("openai", "anthropic"),
    shardRows: FastCheck.integer({ min: 2, max: 12 }),
    mode: FastCheck.constantFrom("batch", "batch", "sync"),
    firstDownload: FastCheck.option(FastCheck.nat(11)),
    late: FastCheck.integer({ min: 2, max: 30 }),
    faults: FastCheck.record({
      create: FastCheck.array(submitFault, { maxLength: 2 }),
      retrieve: FastCheck.array(callFault, { maxLength: 2 }),
      download: FastCheck.array(callFault, { maxLength: 2 }),
      complete: FastCheck.array(FastCheck.oneof(submitFault, callFault), { maxLength: 3 })
    }),
    prices: FastCheck.tuple(price(longest), price(longest))
  })

/** Dollars for a million tokens, as catalogues have them. */
const catalogueRates = (rates: BookRates): Model.Rates => {
  const dollars = (rate: number | null) => rate === null ? null : rate / 1_000_000
  return {
    input: rates.input / 1_000_000,
    output: dollars(rates.output),
    cacheRead: dollars(rates.cacheRead),
    cacheWrite5m: dollars(rates.cacheWrite5m),
    cacheWrite1h: dollars(rates.cacheWrite1h)
  }
}

const catalogueModel = (name: string, price: BookPrice | null, maxOutput: number | null): Model.Model =>
  new Model.Model({
    ...Model.unknown(name, "test"),
    maxOutput,
    prices: price === null ? null : new Model.Prices({
      ...catalogueRates(price),
      long: price.long === null ? null : { ...catalogueRates(price.long), above: price.long.above },
      batchFactor: 1 / price.batchDivisor,
      source: "test"
    })
  })

/** What is wrong with the answers that the books call bad. */
const check: AnswerCheck = (answer) =>
  answer === "bad" ? { code: "invalid_answer", path: "$", problem: "it is bad" } : undefined

const decodes = { openai: OpenAiDecode.decode, anthropic: AnthropicDecode.decode }

/** A provider whose lines are those of the books, in the wire format of one that exists; the script echoes the bodies. */
const charging = (books: BillingBooks, { firstDownload, format, seed }: BilledCase) => {
  const begun = new Set<string>()
  const calls = new Map<string, number>()
  const nextCall = (id: string): string => {
    const call = (calls.get(id) ?? 0) + 1
    calls.set(id, call)
    return `call ${call}`
  }
  return (provider: Provider.Service): Provider.Service => ({
    ...provider,
    decode: decodes[format],
    complete: (row) =>
      provider.complete(row).pipe(
        Effect.map((completion) => {
          if (completion.again !== null) return { ...completion, line: books.failure(row.wireId) }
          const [line = ""] = books.lines(nextCall(row.wireId), row.wireId, "sync", JSON.parse(row.text).body)
          return { ...completion, line }
        }),
        Effect.tapError((error) =>
          Effect.sync(() => {
            if (error.mayBeCharged !== true) return
            books.lose(nextCall(row.wireId), row.wireId, "sync", JSON.parse(row.text).body)
          })
        )
      ),
    download: (file) =>
      Stream.unwrap(
        Effect.map(Stream.runFold(provider.download(file), "", (text, block) => text + block.toString()), (text) => {
          const results = text.trimEnd().split("\n").map((line) => JSON.parse(line))
          const inOrder = seed % 2 === 0 ? results : results.toReversed()
          const lines = inOrder.map(({ custom_id: id, error, text: body }) =>
            (error === undefined ? books.lines(file.reference, id, "batch", JSON.parse(body)) : [books.expired(id)])
              .map((line) => `${line}\n`).join("")
          )
          const isFirst = !begun.has(file.reference)
          begun.add(file.reference)
          const whole = isFirst && firstDownload !== null ? firstDownload % lines.length : lines.length
          return Stream.make(Buffer.from(lines.slice(0, whole).join("") + (lines[whole] ?? "").slice(0, 30)))
        })
      )
  })
}

/** The models whose rows are mixed; the last of them has no price. */
export const names = ["alpha", "beta", "gamma"] as const

/** What is asked, and how that is charged. */
export interface Setting {
  /** The rows of the input. The models go round: the first row is for the first of them. */
  readonly rows: ReadonlyArray<object>
  readonly models: ReadonlyArray<string>
  /** Whether rows may be answered by another model than the one that they ask for. */
  readonly swaps: boolean
  /** The most tokens of any answer of these models; `null` where that is not known. */
  readonly maxOutput: number | null
  readonly uses: BookPlan["uses"]
  /** What is seen of the provider besides. */
  readonly watch?: (provider: Provider.Service) => Provider.Service
}

/** A run of a case that can be begun and gone on with, and the books of its provider. */
export const make = Effect.fnUntraced(function*(plan: BilledCase, setting: Setting) {
  const { maxOutput, models, rows, swaps, uses, watch = (provider) => provider } = setting
  const prices = new Map<string, BookPrice | null>([
    [names[0], plan.prices[0]],
    [names[1], plan.prices[1]],
    [names[2], null]
  ])
  const modelOf = (row: number) => models[(row - 1) % models.length] ?? names[0]
  const books = new BillingBooks({ ...plan, prices, modelOf, uses, swaps })
  const world = yield* World.make({
    script: {
      answer: ({ body }) => JSON.stringify(body),
      answeredAfter: ({ row }) => row % plan.late === 0 ? "3 days" : "1 hour",
      faults: plan.faults
    },
    wrap: (provider) => watch(charging(books, plan)(provider)),
    models: Model.make([...prices].map(([name, price]) => catalogueModel(name, price, maxOutput)))
  })
  const input = rows.map((row, at) => ({ id: `q${at + 1}`, model: modelOf(at + 1), ...row }))
  const run = (options: RunOptions) =>
    world.simulate(Effect.flatMap(Pipeline, ({ run }) =>
      run(Source.fromRows(input), {
        directory: World.directory,
        shardRows: plan.shardRows,
        mode: plan.mode,
        check,
        ...options
      })))
  const resume = (options: AdvanceOptions) =>
    world.simulate(Effect.flatMap(Pipeline, ({ resume }) => resume(World.directory, { check, ...options })))
  return { books, world, run, resume, modelOf }
})
