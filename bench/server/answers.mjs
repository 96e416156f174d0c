/**
 * Lines of OpenAI's batch output files, put together from prepared pieces: as fast as memory can be copied. A line is a
 * function of its row's number.
 */

/**
 * What the answers look like.
 *
 * - `responses`: bodies of `/v1/responses`, lines of 1,200 bytes on average,
 * - `chat`: bodies of `/v1/chat/completions`, lines of as many,
 * - `short`: bodies of `/v1/responses` with a word of text.
 *
 * @typedef {"responses" | "chat" | "short"} Form
 */

const sentence =
  "The lid of the kettle came off after a week, which the seller calls \"normal wear\"; the rest of it works.\n"
const foreign = "Le train pour la côte part à neuf heures, de l’autre quai. 列車は九時に出ます。\n"

/**
 * The text of a variant: of different lengths, some of it not ASCII.
 *
 * @param {number} variant
 * @param {number} most sentences
 */
const textOf = (variant, most) => {
  const lines = Array.from(
    { length: 1 + (variant * 7) % most },
    (_, at) => (variant + at) % 6 === 0 ? foreign : sentence
  )
  return `${variant}. ${lines.join("")}`
}

/** Where the row's number comes in, in the texts below; no JSON text holds it. */
const gap = "\u0000"

/** @param {Form} form @param {number} variant */
const bodyOf = (form, variant) => {
  const text = form === "short" ? "positive" : textOf(variant, form === "chat" ? 9 : 4)
  const tokens = Math.ceil(text.length / 4)
  const created = 1_795_161_600 + variant
  if (form === "chat") {
    return {
      id: "chatcmpl-gap",
      object: "chat.completion",
      created,
      model: "gpt-5-mini-2025-08-07",
      choices: [{
        index: 0,
        message: { role: "assistant", content: text, refusal: null, annotations: [] },
        logprobs: null,
        finish_reason: variant % 16 === 9 ? "length" : "stop"
      }],
      usage: {
        prompt_tokens: 30,
        completion_tokens: tokens,
        total_tokens: 30 + tokens,
        prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0, accepted_prediction_tokens: 0 }
      },
      service_tier: "default",
      system_fingerprint: null
    }
  }
  const incomplete = form === "responses" && variant % 16 === 9
  const usage = {
    input_tokens: 30,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: tokens + 64,
    output_tokens_details: { reasoning_tokens: 64 },
    total_tokens: 94 + tokens
  }
  const message = {
    id: "msg_gap",
    type: "message",
    status: incomplete ? "incomplete" : "completed",
    role: "assistant",
    content: [{ type: "output_text", text, annotations: [], logprobs: [] }]
  }
  if (form === "short") {
    return { id: "resp_gap", object: "response", created_at: created, model: "gpt-5-mini", output: [message], usage }
  }
  return {
    id: "resp_gap",
    object: "response",
    created_at: created,
    status: incomplete ? "incomplete" : "completed",
    background: false,
    error: null,
    incomplete_details: incomplete ? { reason: "max_output_tokens" } : null,
    instructions: null,
    max_output_tokens: null,
    model: "gpt-5-mini-2025-08-07",
    output: [{ id: "rs_gap", type: "reasoning", summary: [] }, message],
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: "medium", summary: null },
    store: false,
    temperature: 1,
    tool_choice: "auto",
    tools: [],
    top_p: 1,
    truncation: "disabled",
    usage,
    user: null,
    metadata: {}
  }
}

const variants = 64

/** The pieces of a variant's line, between which stand the row's number or, in the second place, the tag too. */
const piecesOf = (/** @type {Form} */ form, /** @type {number} */ variant) => {
  const body = JSON.stringify(bodyOf(form, variant)).replaceAll("gap\"", `${gap}"`)
  const text = `{"id":"batch_req_${gap}","custom_id":"${gap}","response":{"status_code":200,"request_id":"req_${gap}",`
    + `"body":${body}},"error":null}\n`
  return text.split(gap).map((piece) => Buffer.from(piece))
}

const blockSize = 1 << 20

/**
 * The lines of a batch, in blocks: out of order, the same order each time. A block is only lent until the next is asked
 * for.
 *
 * @param {Form} form
 * @param {string} tag
 * @param {Uint32Array} rows
 * @returns {Generator<Buffer, void>}
 */
export function* answers(form, tag, rows) {
  const prepared = Array.from({ length: variants }, (_, variant) => piecesOf(form, variant))
  const longest = Math.max(...prepared.map((pieces) => pieces.reduce((sum, piece) => sum + piece.length + 32, 64)))
  const block = Buffer.allocUnsafe(blockSize + longest)
  const count = rows.length
  // A prime that does not divide the count visits every row once.
  const stride = [7_919, 104_729, 1].find((prime) => count % prime !== 0) ?? 1
  let used = 0
  let at = 0
  for (let index = 0; index < count; index++) {
    at = (at + stride) % count
    const row = rows[at] ?? 0
    const digits = String(row)
    const pieces = prepared[row % variants] ?? []
    for (let piece = 0; piece < pieces.length; piece++) {
      if (piece > 0) used += block.write(piece === 2 ? `${tag}-${digits}` : digits, used, "latin1")
      const bytes = pieces[piece]
      if (bytes !== undefined) used += bytes.copy(block, used)
    }
    if (used >= blockSize) {
      yield block.subarray(0, used)
      used = 0
    }
  }
  if (used > 0) yield block.subarray(0, used)
}
