/**
 * Anthropic's Message Batches API, and the Messages API.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as AnthropicAnswer from "./AnthropicAnswer.js"
import * as AnthropicRequest from "./AnthropicRequest.js"
import * as Batches from "./Batches.js"
import * as Endpoint from "./Endpoint.js"
import type { JsonObject } from "./Json.js"
import { endedAt, type Moment } from "./Lifecycle.js"
import * as OpenAiFiles from "./OpenAiFiles.js"
import * as Refused from "./Refused.js"
import * as RowStore from "./RowStore.js"
import type { State, StoredBatch } from "./State.js"
import * as Streaming from "./Streaming.js"

/** Results are there for 29 days from the creation of the batch. */
const retention = 29 * 24 * 60 * 60 * 1000

/** Names that are listed, newest first; far more are accepted. */
const listed = [
  "claude-haiku-5-5",
  "claude-sonnet-5-5",
  "claude-opus-5-5",
  "claude-sonnet-5",
  "claude-opus-5",
  "claude-opus-4-8",
  "claude-opus-4-7",
  "claude-opus-4-6",
  "claude-sonnet-4-6",
  "claude-haiku-4-5-20251001",
  "claude-opus-4-5-20251101",
  "claude-sonnet-4-5-20250929"
]

const rfc3339 = (millis: number | undefined): string | null =>
  millis === undefined ? null : DateTime.formatIso(DateTime.unsafeMake(millis))

const archivedAt = (state: State, batch: StoredBatch): number | undefined =>
  state.time.now() >= batch.createdAt + retention ? batch.createdAt + retention : undefined

const batchObject = (state: State, call: Endpoint.Call, batch: StoredBatch, moment: Moment): JsonObject => {
  const settled = moment.ended ? batch.settled : undefined
  const archived = archivedAt(state, batch)
  const cancelling = moment.status === "cancelling" || moment.status === "cancelled"
  return {
    id: batch.id,
    type: "message_batch",
    processing_status: moment.ended
      ? "ended"
      : moment.status === "cancelling"
      ? "canceling"
      : batch.plan.strangeStatus ?? "in_progress",
    request_counts: {
      processing: settled === undefined ? batch.rows.count : 0,
      succeeded: settled?.succeeded ?? 0,
      errored: settled?.errored ?? 0,
      canceled: settled?.cancelled ?? 0,
      expired: settled?.expired ?? 0
    },
    ended_at: rfc3339(endedAt(moment)),
    created_at: rfc3339(batch.createdAt),
    expires_at: rfc3339(moment.expiresAt),
    archived_at: rfc3339(archived),
    cancel_initiated_at: cancelling ? rfc3339(moment.cancellingAt) : null,
    results_url: moment.ended && archived === undefined
      ? `${batch.plan.resultsOrigin ?? call.origin}/v1/messages/batches/${batch.id}/results`
      : null
  }
}

const find = (state: State, call: Endpoint.Call): Effect.Effect<StoredBatch, Refused.Refused> =>
  Effect.suspend(() => {
    const id = call.param("id")
    const batch = state.batches.get(id)
    return batch === undefined || batch.provider !== "anthropic" || batch.account !== call.caller.account
      ? Refused.make(404, "not_found_error", `Message Batch ${id} not found.`)
      : Effect.succeed(batch)
  })

const show = (state: State, call: Endpoint.Call, batch: StoredBatch) =>
  Effect.map(Batches.moment(state, batch), (moment) => Endpoint.json(batchObject(state, call, batch, moment)))

const betas = (call: Endpoint.Call): ReadonlySet<string> => {
  const value: unknown = call.request.headers["anthropic-beta"]
  return new Set(typeof value === "string" ? value.split(",").map((beta) => beta.trim()) : [])
}

/** The body goes to disk as it comes; past the limit it is read on, but not kept. */
const receive = (state: State, call: Endpoint.Call): Effect.Effect<RowStore.Spool, Refused.Refused> =>
  Effect.suspend(() => {
    const writer = RowStore.spool(Path.join(state.directory, `body-${state.next()}`))
    const most = state.options.anthropicMaxBytes
    const discard = Effect.sync(() => Fs.rmSync(writer.close().path, { force: true }))
    return call.request.stream.pipe(
      Stream.runForEachChunk((chunks) =>
        Effect.sync(() => {
          for (const chunk of chunks) if (writer.bytes() <= most) writer.write(chunk)
        })
      ),
      Effect.mapError(() => Refused.invalid("The request body could not be read.")),
      Effect.onError(() => discard),
      Effect.zipRight(Effect.suspend(() =>
        writer.bytes() > most
          ? Effect.zipRight(
            discard,
            Refused.make(413, "request_too_large", `Request exceeds the maximum size of ${most} bytes`)
          )
          : Effect.sync(() => writer.close())
      ))
    )
  })

const create = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const spool = yield* receive(state, call)
    return yield* Batches.createAnthropic(state, call.caller, { spool, betas: betas(call) }).pipe(
      Effect.onError(() => Effect.sync(() => Fs.rmSync(spool.path, { force: true }))),
      Effect.flatMap((batch) => show(state, call, batch)),
      Effect.uninterruptible
    )
  })

const list = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const limit = yield* Endpoint.count(
      call,
      "limit",
      Math.min(20, state.options.anthropicMaxPage),
      state.options.anthropicMaxPage
    )
    const batches = [...state.batches.values()].filter((batch) =>
      batch.provider === "anthropic" && batch.account === call.caller.account
    ).toReversed()
    const { items, more } = yield* Endpoint.page(batches, limit, {
      after: call.query.get("after_id"),
      before: call.query.get("before_id")
    })
    const data = yield* Effect.forEach(items, (batch) =>
      Effect.map(Batches.moment(state, batch), (moment) => batchObject(state, call, batch, moment)))
    return Endpoint.json({
      data,
      has_more: more,
      first_id: items[0]?.id ?? null,
      last_id: items.at(-1)?.id ?? null
    })
  })

const cancel = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const batch = yield* find(state, call)
    const moment = yield* Batches.moment(state, batch)
    const now = moment.status === "in_progress" ? yield* Batches.cancel(state, batch) : moment
    return Endpoint.json(batchObject(state, call, batch, now))
  })

const remove = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const batch = yield* find(state, call)
    const moment = yield* Batches.moment(state, batch)
    if (!moment.ended) {
      return yield* Refused.invalid(
        `Message Batch ${batch.id} cannot be deleted while it is processing. Cancel it first, and wait for it to end.`
      )
    }
    state.batches.delete(batch.id)
    state.deleted.set(batch.id, batch)
    return Endpoint.json({ id: batch.id, type: "message_batch_deleted" })
  })

const results = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const batch = yield* find(state, call)
    const moment = yield* Batches.moment(state, batch)
    if (!moment.ended) {
      return yield* Refused.make(
        404,
        "not_found_error",
        `Message Batch ${batch.id} has no available results: it has not ended yet.`
      )
    }
    if (archivedAt(state, batch) !== undefined) {
      return yield* Refused.make(
        404,
        "not_found_error",
        `The results of Message Batch ${batch.id} are archived and not available any more.`
      )
    }
    const settled = yield* batch.settle
    return OpenAiFiles.resultsResponse(call, Batches.results(state, batch, settled, "output"), {
      plain: batch.plan.results === "plain",
      size: settled.outputBytes,
      framing: batch.plan.framing,
      contentType: "application/x-jsonl"
    })
  })

/** The most output tokens of a call that is not streamed: what takes longer would outlast its connection. */
const mostUnstreamed = 21_333

const answer = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    // How an answer is delivered does not change it.
    const { stream, ...params } = yield* Endpoint.body(call)
    yield* state.rateLimits.admit("anthropic")
    if (stream !== true && typeof params["max_tokens"] === "number" && params["max_tokens"] > mostUnstreamed) {
      return yield* Refused.invalid("Streaming is required for operations that may take longer than 10 minutes.")
    }
    const reply = AnthropicAnswer.reply(state.answers, params, { betas: betas(call), batch: false })
    if (reply.status === 200) {
      state.direct.calls += 1
      state.direct.inputTokens += reply.usage.input
      state.direct.outputTokens += reply.usage.output
      state.rateLimits.spend(reply.usage.input + reply.usage.output)
    }
    return reply.status === 200 && stream === true
      ? Endpoint.events(Streaming.format(Streaming.message(reply.body)))
      : Endpoint.json(reply.body, reply.status)
  })

const supported = (value: boolean): JsonObject => ({ supported: value })

const modelObject = (id: string): JsonObject => {
  const rules = AnthropicRequest.traits(id)
  const effort = rules.effort !== "no"
  return {
    type: "model",
    id,
    display_name: id.replace(/-\d{8}$/, "").split("-").map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
      .join(" "),
    created_at: "2026-01-01T00:00:00Z",
    deprecated_at: null,
    retires_at: null,
    lifecycle: "active",
    line: /^claude-(haiku|sonnet|opus|fable|mythos)/.exec(id)?.[1] ?? null,
    max_input_tokens: 200_000,
    max_tokens: rules.maxTokens,
    capabilities: {
      batch: supported(true),
      citations: supported(true),
      code_execution: supported(false),
      context_management: {
        ...supported(false),
        clear_thinking_20251015: null,
        clear_tool_uses_20250919: null,
        compact_20260112: null
      },
      effort: {
        ...supported(effort),
        low: supported(effort),
        medium: supported(effort),
        high: supported(effort),
        xhigh: supported(rules.effort === "yes"),
        max: supported(rules.effort === "yes")
      },
      image_input: supported(true),
      pdf_input: supported(true),
      server_tools: { ...supported(false), code_execution: supported(false), web_search: supported(false) },
      structured_outputs: supported(true),
      thinking: {
        ...supported(rules.thinks),
        types: {
          adaptive: supported(rules.adaptive),
          between_tools: supported(rules.adaptive),
          disabled: supported(true),
          enabled: supported(rules.budget)
        }
      }
    }
  }
}

/**
 * A page of the models.
 *
 * @since 0.1.0
 * @category responses
 */
export const models = (call: Endpoint.Call): Effect.Effect<JsonObject, Refused.Refused> =>
  Effect.gen(function*() {
    const limit = yield* Endpoint.count(call, "limit", 20, 1000)
    const { items, more } = yield* Endpoint.page(listed.map((id) => ({ id })), limit, {
      after: call.query.get("after_id"),
      before: call.query.get("before_id")
    })
    return {
      data: items.map(({ id }) => modelObject(id)),
      has_more: more,
      first_id: items[0]?.id ?? null,
      last_id: items.at(-1)?.id ?? null
    }
  })

/**
 * A single model, or a refusal where there is none of that name.
 *
 * @since 0.1.0
 * @category responses
 */
export const model = (id: string): Effect.Effect<JsonObject, Refused.Refused> =>
  AnthropicRequest.modelExists(id)
    ? Effect.succeed(modelObject(id))
    : Refused.make(404, "not_found_error", `model: ${id}`)

/**
 * @since 0.1.0
 * @category constructors
 */
export const routes = (state: State): ReadonlyArray<Endpoint.Route> => [
  Endpoint.route(state, "POST", "/v1/messages/batches", "anthropic", (call) => create(state, call)),
  Endpoint.route(state, "GET", "/v1/messages/batches", "anthropic", (call) => list(state, call)),
  Endpoint.route(
    state,
    "GET",
    "/v1/messages/batches/:id",
    "anthropic",
    (call) => Effect.flatMap(find(state, call), (batch) => show(state, call, batch))
  ),
  Endpoint.route(state, "DELETE", "/v1/messages/batches/:id", "anthropic", (call) => remove(state, call)),
  Endpoint.route(state, "POST", "/v1/messages/batches/:id/cancel", "anthropic", (call) => cancel(state, call)),
  Endpoint.route(state, "GET", "/v1/messages/batches/:id/results", "anthropic", (call) => results(state, call)),
  Endpoint.route(state, "POST", "/v1/messages", "anthropic", (call) => answer(state, call))
]
