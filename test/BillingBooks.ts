/**
 * A provider's own books, for tests of bills: it makes the result lines of rows in the providers' wire formats, and notes
 * what it charges for each. It shares nothing with `src`: prices are whole picodollars a token, and sums are of `bigint`.
 */

/** Picodollars a token, one by one; `null` for a kind without a price of its own. */
export interface BookRates {
  readonly input: number
  readonly cacheRead: number | null
  readonly cacheWrite5m: number | null
  readonly cacheWrite1h: number | null
  readonly output: number | null
}

/** What a model costs; in a batch, one part in `batchDivisor` of it. */
export interface BookPrice extends BookRates {
  readonly batchDivisor: number
  /** Of requests that read more than `above` tokens, everything costs this. */
  readonly long: BookRates & { readonly above: number } | null
}

/** What was done for a row: in this order `input`, `cacheRead`, `cacheWrite5m`, `cacheWrite1h`, `output`. */
export type Tokens = readonly [number, number, number, number, number]

/** One request that is charged. */
export interface Charge {
  /** The file that its line is in, or the call that it answers. */
  readonly file: string
  readonly row: number
  readonly model: string
  /** `undefined` where the answer does not tell. */
  readonly tokens: Tokens | undefined
  readonly charged: bigint | undefined
  readonly oneByOne: bigint | undefined
}

/** How the answers of a provider look. */
export type WireFormat = "openai" | "anthropic"

/** What the books are about. */
export interface BookPlan {
  readonly seed: number
  readonly format: WireFormat
  /** The models that have a price, and those that have none. */
  readonly prices: ReadonlyMap<string, BookPrice | null>
  /** What a row asks for. */
  readonly modelOf: (row: number) => string
  /** Whether rows may be answered by another model than the one that they ask for. */
  readonly swaps: boolean
  /** What is done for a request with this body, which is answered in this form. */
  readonly uses: (form: Form, on: Dice, body: unknown) => Tokens
}

/** Numbers that depend on nothing but the seed and on what they are for. */
const dice = (seed: number, ...what: ReadonlyArray<string | number>) => {
  let state = seed >>> 0
  for (const character of what.join("|")) state = Math.imul(state ^ character.charCodeAt(0), 16_777_619) >>> 0
  const next = (below: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
  return { next, pick: <A>(all: readonly [A, ...ReadonlyArray<A>]): A => all[next(all.length)] ?? all[0] }
}

/** Throws of dice. */
export type Dice = ReturnType<typeof dice>

/** The body of an answer. */
export type Form = "chat" | "responses" | "embeddings" | "messages"

const amountOf = ([input, read, write5m, write1h, output]: Tokens, price: BookPrice, divisor: number): bigint => {
  const isLong = price.long !== null && input + read + write5m + write1h > price.long.above
  const rates: BookRates = isLong && price.long !== null ? price.long : price
  const parts: ReadonlyArray<readonly [number, number]> = [
    [input, rates.input],
    [read, rates.cacheRead ?? rates.input],
    [write5m, rates.cacheWrite5m ?? rates.input],
    [write1h, rates.cacheWrite1h ?? rates.cacheWrite5m ?? rates.input],
    [output, rates.output ?? 0]
  ]
  return parts.reduce((sum, [tokens, rate]) => sum + BigInt(tokens) * BigInt(rate / divisor), 0n)
}

/** Whatever an answer of a form can say that it has used. */
export const anyTokens = (form: Form, on: Dice): Tokens => {
  const some = () => on.pick([0, on.next(5_000), on.next(500_000)])
  switch (form) {
    case "chat":
      return [some(), some(), 0, 0, some()]
    case "responses":
      return [some(), some(), some(), 0, some()]
    case "embeddings":
      return [some(), 0, 0, 0, 0]
    case "messages":
      return [some(), some(), some(), some(), some()]
  }
}

const usageOf = (form: Form, [input, read, write5m, write1h, output]: Tokens): object => {
  switch (form) {
    case "chat":
      return {
        prompt_tokens: input + read,
        completion_tokens: output,
        total_tokens: input + read + output,
        prompt_tokens_details: { cached_tokens: read },
        completion_tokens_details: { reasoning_tokens: Math.floor(output / 2) }
      }
    case "responses":
      return {
        input_tokens: input + read + write5m,
        input_tokens_details: { cached_tokens: read, cache_write_tokens: write5m },
        output_tokens: output,
        output_tokens_details: { reasoning_tokens: Math.floor(output / 2) },
        total_tokens: input + read + write5m + output
      }
    case "embeddings":
      return { prompt_tokens: input, total_tokens: input }
    case "messages":
      return {
        input_tokens: input,
        cache_creation_input_tokens: write5m + write1h,
        cache_read_input_tokens: read,
        cache_creation: { ephemeral_5m_input_tokens: write5m, ephemeral_1h_input_tokens: write1h },
        output_tokens: output,
        service_tier: "batch"
      }
  }
}

type Manner = "good" | "bad" | "refused" | "cut"

const openAiBody = (form: Form, model: string, manner: Manner): object => {
  switch (form) {
    case "embeddings":
      return { object: "list", model, data: [{ object: "embedding", index: 0, embedding: [0.5] }] }
    case "responses": {
      const refused = { type: "refusal", refusal: "no" }
      const text = { type: "output_text", text: manner, annotations: [], logprobs: [] }
      return {
        id: "resp_1",
        object: "response",
        created_at: 1,
        status: manner === "cut" ? "incomplete" : "completed",
        error: null,
        incomplete_details: manner === "cut" ? { reason: "max_output_tokens" } : null,
        model,
        output: [{
          id: "msg_1",
          type: "message",
          status: "completed",
          role: "assistant",
          content: [manner === "refused" ? refused : text]
        }]
      }
    }
    default:
      return {
        id: "chatcmpl-1",
        object: "chat.completion",
        created: 1,
        model,
        choices: [{
          index: 0,
          message: { role: "assistant", content: manner, refusal: manner === "refused" ? "no" : null },
          logprobs: null,
          finish_reason: manner === "cut" ? "length" : "stop"
        }]
      }
  }
}

const openAiLine = (id: string, body: object, status = 200) =>
  JSON.stringify({ id: "req", custom_id: id, response: { status_code: status, request_id: "r", body }, error: null })

const messageLine = (id: string, model: string, manner: Manner, usage: object): string =>
  JSON.stringify({
    custom_id: id,
    result: {
      type: "succeeded",
      message: {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model,
        content: [{ type: "text", text: manner }],
        stop_reason: manner === "refused" ? "refusal" : manner === "cut" ? "max_tokens" : "end_turn",
        stop_sequence: null,
        ...usage
      }
    }
  })

const rowOf = (id: string): number => Number(id.slice(id.lastIndexOf("-") + 1))

/** A provider that writes down what it charges. */
export class BillingBooks {
  /** By the file or call and the row: a line that is given twice is charged once. */
  private readonly entries = new Map<string, Charge>()
  /** What was charged, and no line tells. */
  private readonly untold = new Map<string, bigint>()

  constructor(private readonly plan: BookPlan) {}

  get charges(): ReadonlyArray<Charge> {
    return [...this.entries.values()]
  }

  /** Everything that was charged, whether a line tells of it or not. */
  get charged(): bigint {
    const told = this.charges.reduce((sum, { charged }) => sum + (charged ?? 0n), 0n)
    return [...this.untold.values()].reduce((sum, amount) => sum + amount, told)
  }

  /**
   * The lines of a row in a file of results, or the answer to a call of its own. The same ones however often asked for.
   */
  lines(file: string, id: string, mode: "batch" | "sync", body: unknown): ReadonlyArray<string> {
    const row = rowOf(id)
    const on = dice(this.plan.seed, file, row)
    const chance = on.next(20)
    const alone = mode === "sync"
    if (chance === 0) return [this.failure(id)]
    if (chance < 3 && !alone) {
      if (on.next(2) === 0) this.lose(file, id, mode, body)
      return chance === 1 ? [] : [`{"custom_id":"${id}","response":`]
    }
    if (chance === 3 && this.plan.format === "openai") return [this.chargedFailure(file, id, mode, on, body)]
    const answer = this.answer(file, id, mode, on, body)
    if (alone) return [answer]
    if (chance === 4) return [answer, answer]
    if (chance === 5) return [this.failure(id), answer]
    // Two answers of which one is charged: the first is as good as the other.
    if (chance === 6) return [answer, this.written(id, "another", on, body).line]
    return [answer]
  }

  /** An answer is charged, and nobody gets it. */
  lose(file: string, id: string, mode: "batch" | "sync", body: unknown): void {
    const row = rowOf(id)
    const on = dice(this.plan.seed, file, row, "lost")
    const model = this.plan.modelOf(row)
    this.note(
      file,
      row,
      model,
      this.plan.uses(this.plan.format === "anthropic" ? "messages" : "responses", on, body),
      mode
    )
  }

  /** The line of a row that nobody came to: it is not charged. */
  expired(id: string): string {
    return this.plan.format === "openai"
      ? JSON.stringify({ id: "r", custom_id: id, response: null, error: { code: "batch_expired", message: "late" } })
      : JSON.stringify({ custom_id: id, result: { type: "expired" } })
  }

  /** The line of a row that could not be answered just now: it is not charged either. */
  failure(id: string): string {
    return this.plan.format === "openai"
      ? openAiLine(id, { error: { message: "down", type: "server_error", code: null } }, 500)
      : JSON.stringify({
        custom_id: id,
        result: { type: "errored", error: { type: "error", error: { type: "api_error", message: "down" } } }
      })
  }

  /** A response that failed half-way: OpenAI charges for what it read and wrote. */
  private chargedFailure(file: string, id: string, mode: "batch" | "sync", on: Dice, body: unknown): string {
    const model = this.answering(rowOf(id), on)
    const tokens = this.plan.uses("responses", on, body)
    this.charge(file, rowOf(id), model, tokens, true, mode)
    return openAiLine(id, {
      id: "resp_1",
      object: "response",
      status: "failed",
      error: { code: "server_error", message: "it broke" },
      model,
      output: [],
      usage: usageOf("responses", tokens)
    })
  }

  private answer(file: string, id: string, mode: "batch" | "sync", on: Dice, body: unknown): string {
    const model = this.answering(rowOf(id), on)
    const { line, tells, tokens } = this.written(id, model, on, body)
    this.charge(file, rowOf(id), model, tokens, tells, mode)
    return line
  }

  private written(id: string, model: string, on: Dice, body: unknown) {
    const { format } = this.plan
    const manner = on.pick<Manner>(["good", "good", "good", "bad", "refused", "cut"])
    const form = on.pick<Form>(format === "anthropic" ? ["messages"] : ["chat", "responses", "embeddings"])
    const tokens = this.plan.uses(form, on, body)
    const tells = on.next(12) > 0
    const usage = tells ? { usage: usageOf(form, tokens) } : {}
    const line = format === "anthropic"
      ? messageLine(id, model, manner, usage)
      : openAiLine(id, { ...openAiBody(form, model, manner), ...usage })
    return { line, tokens, tells }
  }

  /** Under which name the model that answers goes: with a date as often as not, and sometimes it is another one. */
  private answering(row: number, on: Dice): string {
    const asked = this.plan.modelOf(row)
    const chance = on.next(10)
    if (this.plan.swaps && chance === 0) return "nobody-knows-it"
    const names: ReadonlyArray<string> = [...this.plan.prices.keys()]
    const name = this.plan.swaps && chance === 1 ? names[on.next(names.length)] ?? asked : asked
    return on.pick([name, `${name}-${this.plan.format === "openai" ? "2025-04-14" : "20250414"}`])
  }

  private priceOf(row: number, model: string): BookPrice | undefined {
    const family = model.replace(/-(?:2025-04-14|20250414)$/u, "")
    return this.plan.prices.get(family) ?? this.plan.prices.get(this.plan.modelOf(row)) ?? undefined
  }

  /** Charges for an answer that came, and that tells what it used, or does not. */
  private charge(file: string, row: number, model: string, used: Tokens, tells: boolean, mode: "batch" | "sync"): void {
    const price = this.priceOf(row, model)
    const cost = (divisor: number) => !tells || price === undefined ? undefined : amountOf(used, price, divisor)
    const charged = cost(mode === "batch" ? price?.batchDivisor ?? 1 : 1)
    this.entries.set(`${file} ${row}`, {
      file,
      row,
      model,
      tokens: tells ? used : undefined,
      charged,
      oneByOne: cost(1)
    })
    if (!tells) this.note(file, row, model, used, mode)
  }

  /** Charges for what no line tells of. */
  private note(file: string, row: number, model: string, used: Tokens, mode: "batch" | "sync"): void {
    const price = this.priceOf(row, model)
    if (price === undefined) return
    this.untold.set(`${file} ${row}`, amountOf(used, price, mode === "batch" ? price.batchDivisor : 1))
  }
}

/** Picodollars as a decimal number of dollars, without zeros at its end. */
export const decimal = (amount: bigint): string => {
  const digits = amount.toString().padStart(13, "0")
  return `${digits.slice(0, -12)}.${digits.slice(-12)}`.replace(/\.?0+$/u, "")
}
