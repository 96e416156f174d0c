/**
 * OpenAI's Batches API, and the endpoints that answer directly.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Batches from "./Batches.js"
import * as Endpoint from "./Endpoint.js"
import { isInteger, isObject, type Json, type JsonObject, objectAt, stringAt, worded } from "./Json.js"
import type { Moment } from "./Lifecycle.js"
import * as OpenAiAnswer from "./OpenAiAnswer.js"
import * as OpenAiFiles from "./OpenAiFiles.js"
import * as OpenAiRequest from "./OpenAiRequest.js"
import * as Queue from "./Queue.js"
import * as Refused from "./Refused.js"
import type { State, StoredBatch } from "./State.js"
import * as Streaming from "./Streaming.js"

const month = 30 * 24 * 60 * 60

/** Names that are listed; far more are accepted. */
const listed = [
  "gpt-5.2",
  "gpt-5.1",
  "gpt-5",
  "gpt-5-mini",
  "gpt-5-nano",
  "gpt-4.1",
  "gpt-4.1-mini",
  "gpt-4.1-nano",
  "gpt-4o",
  "gpt-4o-mini",
  "o3",
  "o4-mini",
  "text-embedding-3-small",
  "text-embedding-3-large"
]

const seconds = (millis: number | undefined): number | null => millis === undefined ? null : Math.floor(millis / 1000)

const counts = (batch: StoredBatch, moment: Moment): JsonObject => {
  const total = moment.status === "validating" || moment.status === "failed" ? 0 : batch.rows.count
  return batch.settled !== undefined && moment.ended
    ? { total, completed: batch.settled.succeeded, failed: batch.settled.errored }
    : { total, completed: Math.floor(total * moment.progress), failed: 0 }
}

const usage = (batch: StoredBatch, moment: Moment): Json => {
  const settled = moment.ended ? batch.settled : undefined
  return settled === undefined ? null : {
    input_tokens: settled.inputTokens,
    input_tokens_details: { cached_tokens: settled.cachedTokens },
    output_tokens: settled.outputTokens,
    output_tokens_details: { reasoning_tokens: settled.reasoningTokens },
    total_tokens: settled.inputTokens + settled.outputTokens
  }
}

const batchObject = (state: State, batch: StoredBatch, moment: Moment): JsonObject => {
  const settled = moment.ended ? batch.settled : undefined
  const fileId = (part: "output" | "error", bytes: number | undefined) =>
    bytes === undefined || bytes === 0
      ? (batch.plan.emptyFileIds ? "" : null)
      : Batches.resultFileId(state, batch, part)
  return {
    id: batch.id,
    object: "batch",
    endpoint: batch.endpoint,
    model: moment.status === "validating" ? null : batch.model ?? null,
    errors: moment.status === "failed" ? { object: "list", data: batch.errors } : null,
    input_file_id: batch.inputFileId ?? null,
    completion_window: "24h",
    status: moment.status === "in_progress" ? batch.plan.strangeStatus ?? moment.status : moment.status,
    output_file_id: fileId("output", settled?.outputBytes),
    error_file_id: fileId("error", settled?.errorBytes),
    created_at: seconds(batch.createdAt),
    in_progress_at: seconds(moment.inProgressAt),
    expires_at: seconds(moment.expiresAt),
    finalizing_at: seconds(moment.finalizingAt),
    completed_at: seconds(moment.completedAt),
    failed_at: seconds(moment.failedAt),
    expired_at: seconds(moment.expiredAt),
    cancelling_at: seconds(moment.cancellingAt),
    cancelled_at: seconds(moment.cancelledAt),
    request_counts: batch.plan.nullCounts ? null : counts(batch, moment),
    usage: usage(batch, moment),
    metadata: batch.metadata
  }
}

const find = (state: State, call: Endpoint.Call): Effect.Effect<StoredBatch, Refused.Refused> =>
  Effect.suspend(() => {
    const id = call.param("id")
    const batch = state.batches.get(id)
    return batch === undefined || batch.provider !== "openai" || batch.account !== call.caller.account
      ? Refused.invalid(`No batch found with id '${id}'.`, null, null, 404)
      : Effect.succeed(batch)
  })

const show = (state: State, batch: StoredBatch) =>
  Effect.map(Batches.moment(state, batch), (moment) => Endpoint.json(batchObject(state, batch, moment)))

const outputLifetime = (value: Json | undefined): Effect.Effect<number, Refused.Refused> => {
  if (value === undefined || value === null) return Effect.succeed(month)
  const lifetime = isObject(value) ? value["seconds"] : undefined
  if (stringAt(value, "anchor") !== "created_at") {
    return Refused.invalid(
      "Invalid value for 'output_expires_after.anchor'. Supported values are: 'created_at'.",
      "output_expires_after.anchor",
      "invalid_value"
    )
  }
  return isInteger(lifetime) && lifetime >= 3600 && lifetime <= month
    ? Effect.succeed(lifetime)
    : Refused.invalid(
      `Invalid 'output_expires_after.seconds': expected an integer from 3600 to ${month}.`,
      "output_expires_after.seconds",
      "invalid_value"
    )
}

const createFields = new Set(["input_file_id", "completion_window", "endpoint", "metadata", "output_expires_after"])

const create = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const body = yield* Endpoint.body(call)
    const stranger = Object.keys(body).find((key) => !createFields.has(key))
    if (stranger !== undefined)
      return yield* Refused.invalid(`Unknown parameter: '${stranger}'.`, stranger, "unknown_parameter")
    for (const name of ["input_file_id", "endpoint", "completion_window"]) {
      if (body[name] === undefined) {
        return yield* Refused.invalid(`Missing required parameter: '${name}'.`, name, "missing_required_parameter")
      }
    }
    const endpoint = body["endpoint"]
    if (!OpenAiRequest.isEndpoint(endpoint)) {
      return yield* Refused.invalid(
        `Invalid value: '${worded(endpoint)}'. Supported values are: '${OpenAiRequest.endpoints.join("', '")}'.`,
        "endpoint",
        "invalid_value"
      )
    }
    if (body["completion_window"] !== "24h") {
      return yield* Refused.invalid(
        `Invalid value: '${worded(body["completion_window"])}'. Value must be '24h'.`,
        "completion_window",
        "invalid_value"
      )
    }
    const problem = OpenAiRequest.metadata(body["metadata"])
    if (problem !== undefined)
      return yield* Refused.invalid(problem.message, problem.param, problem.code)
    const lifetime = yield* outputLifetime(body["output_expires_after"])
    const fileId = stringAt(body, "input_file_id") ?? ""
    if (!fileId.startsWith("file-")) {
      return yield* Refused.invalid(
        `Invalid 'input_file_id': '${fileId}'. Expected an ID that begins with 'file'.`,
        "input_file_id",
        "invalid_value"
      )
    }
    const file = yield* OpenAiFiles.find(state, call.caller.account, fileId)
    if (file.purpose !== "batch" || file.content._tag !== "Spool") {
      return yield* Refused.invalid(
        `Expected file to have purpose batch, got '${file.purpose}'.`,
        "input_file_id",
        "invalid_value"
      )
    }
    yield* Queue.admitOpenAi(state, call.caller.account)
    const batch = yield* Batches.createOpenAi(state, call.caller, {
      endpoint,
      fileId,
      spool: file.content.spool,
      metadata: isObject(body["metadata"]) ? objectAt(body, "metadata") : null,
      outputLifetime: lifetime
    })
    return yield* show(state, batch)
  }).pipe(Effect.uninterruptible)

const list = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const limit = yield* Endpoint.count(
      call,
      "limit",
      Math.min(20, state.options.openAiMaxPage),
      state.options.openAiMaxPage
    )
    const batches = [...state.batches.values()].filter((batch) =>
      batch.provider === "openai" && batch.account === call.caller.account
    ).toReversed()
    const { items, more } = yield* Endpoint.page(batches, limit, { after: call.query.get("after") })
    const data = yield* Effect.forEach(items, (batch) =>
      Effect.map(Batches.moment(state, batch), (moment) => batchObject(state, batch, moment)))
    return Endpoint.json({
      object: "list",
      data,
      first_id: items[0]?.id ?? null,
      last_id: items.at(-1)?.id ?? null,
      has_more: more
    })
  })

const cancel = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const batch = yield* find(state, call)
    const moment = yield* Batches.moment(state, batch)
    // To cancel again what is cancelled already changes nothing, and is not refused.
    if (moment.status === "cancelling" || moment.status === "cancelled")
      return Endpoint.json(batchObject(state, batch, moment))
    if (moment.status !== "validating" && moment.status !== "in_progress") {
      return yield* Refused.invalid(`Cannot cancel a batch with status '${moment.status}'.`, null, null, 409)
    }
    return Endpoint.json(batchObject(state, batch, yield* Batches.cancel(state, batch)))
  }).pipe(Effect.uninterruptible)

const answer = (state: State, endpoint: OpenAiRequest.Endpoint) => (call: Endpoint.Call) =>
  Effect.gen(function*() {
    const body = yield* Endpoint.body(call)
    yield* state.rateLimits.admit("openai")
    // How an answer is delivered does not change it.
    const { stream, stream_options: streamOptions, ...asked } = body
    const reply = OpenAiAnswer.reply(state.answers, endpoint, endpoint === "/v1/embeddings" ? body : asked)
    if (reply.status === 200) {
      state.direct.calls += 1
      state.direct.inputTokens += reply.usage.input
      state.direct.outputTokens += reply.usage.output
      state.rateLimits.spend(reply.usage.input + reply.usage.output)
    }
    if (reply.status !== 200 || stream !== true) return Endpoint.json(reply.body, reply.status)
    return endpoint === "/v1/responses"
      ? Endpoint.events(Streaming.format(Streaming.responses(reply.body)))
      : Endpoint.events(
        Streaming.format(
          Streaming.chat(reply.body, isObject(streamOptions) && streamOptions["include_usage"] === true),
          "data: [DONE]\n\n"
        )
      )
  })

/**
 * A model, as OpenAI tells of it.
 *
 * @since 0.1.0
 * @category responses
 */
const modelObject = (id: string): JsonObject => ({ id, object: "model", created: 1_735_689_600, owned_by: "system" })

/**
 * The list of models.
 *
 * @since 0.1.0
 * @category responses
 */
export const models = (): JsonObject => ({ object: "list", data: listed.map(modelObject) })

/**
 * A single model, or a refusal where there is none of that name.
 *
 * @since 0.1.0
 * @category responses
 */
export const model = (id: string): Effect.Effect<JsonObject, Refused.Refused> =>
  OpenAiRequest.modelExists(id)
    ? Effect.succeed(modelObject(id))
    : Refused.invalid(`The model '${id}' does not exist`, "model", "model_not_found", 404)

/**
 * @since 0.1.0
 * @category constructors
 */
export const routes = (state: State): ReadonlyArray<Endpoint.Route> => [
  ...OpenAiFiles.routes(state),
  Endpoint.route(state, "POST", "/v1/batches", "openai", (call) => create(state, call)),
  Endpoint.route(state, "GET", "/v1/batches", "openai", (call) => list(state, call)),
  Endpoint.route(
    state,
    "GET",
    "/v1/batches/:id",
    "openai",
    (call) => Effect.flatMap(find(state, call), (batch) => show(state, batch))
  ),
  Endpoint.route(state, "POST", "/v1/batches/:id/cancel", "openai", (call) => cancel(state, call)),
  ...OpenAiRequest.endpoints.map((endpoint) =>
    Endpoint.route(state, "POST", endpoint, "openai", answer(state, endpoint))
  )
]
