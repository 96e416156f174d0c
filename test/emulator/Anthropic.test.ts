import Anthropic from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as H from "./Harness.js"

describe("emulator: Anthropic", () => {
  it.scopedLive("takes a batch through its statuses, with counts that stay 0 until it has ended", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ processing: 100 })
      const { anthropic } = emulator
      const created = yield* H.submitMessages(emulator, H.messages(4))
      assert.match(created.id, /^msgbatch_/)
      assert.deepInclude(created, {
        type: "message_batch",
        processing_status: "in_progress",
        ended_at: null,
        cancel_initiated_at: null,
        archived_at: null,
        results_url: null
      })
      assert.strictEqual(Date.parse(created.expires_at) - Date.parse(created.created_at), 86_400_000)
      yield* emulator.advance("99 seconds")
      const running = yield* H.call(() => anthropic.messages.batches.retrieve(created.id))
      assert.deepStrictEqual(running, created)
      assert.deepStrictEqual(running.request_counts, {
        processing: 4,
        succeeded: 0,
        errored: 0,
        canceled: 0,
        expired: 0
      })
      const early = yield* H.failure(() => anthropic.get(`/v1/messages/batches/${created.id}/results`))
      assert.strictEqual(early.status, 404)

      yield* emulator.advance("1 second")
      const ended = yield* H.call(() => anthropic.messages.batches.retrieve(created.id))
      assert.strictEqual(ended.processing_status, "ended")
      assert.deepStrictEqual(ended.request_counts, { processing: 0, succeeded: 4, errored: 0, canceled: 0, expired: 0 })
      assert.strictEqual(Date.parse(ended.ended_at ?? "") - Date.parse(ended.created_at), 100_000)
      assert.strictEqual(ended.results_url, `${emulator.url}/v1/messages/batches/${created.id}/results`)
      const results = yield* H.call(async () => {
        const all: Array<string> = []
        for await (const line of await anthropic.messages.batches.results(created.id)) {
          all.push(`${line.custom_id} ${line.result.type}`)
        }
        return all
      })
      assert.deepStrictEqual(results.toSorted(), [
        "row-0 succeeded",
        "row-1 succeeded",
        "row-2 succeeded",
        "row-3 succeeded"
      ])

      yield* emulator.advance("29 days")
      const archived = yield* H.call(() => anthropic.messages.batches.retrieve(created.id))
      assert.strictEqual(Date.parse(archived.archived_at ?? "") - Date.parse(created.created_at), 29 * 86_400_000)
      assert.isNull(archived.results_url)
      assert.strictEqual(
        (yield* H.failure(() => anthropic.get(`/v1/messages/batches/${created.id}/results`))).status,
        404
      )
    }))

  it.scopedLive("pages through batches in both directions", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const { anthropic } = emulator
      const made: Array<string> = []
      for (let i = 0; i < 5; i++) made.push((yield* H.submitMessages(emulator, H.messages(1))).id)
      const walk = (query: Anthropic.Messages.BatchListParams) =>
        H.call(async () => {
          const ids: Array<string> = []
          for await (const batch of anthropic.messages.batches.list(query)) ids.push(batch.id)
          return ids
        })
      assert.deepStrictEqual(yield* walk({ limit: 2 }), made.toReversed())
      const back = yield* walk({ limit: 2, before_id: made[0] ?? "" })
      assert.deepStrictEqual(back, [made[2], made[1], made[4], made[3]])
      const page = yield* H.call(() => anthropic.messages.batches.list({ limit: 2 }))
      assert.deepStrictEqual([page.has_more, page.first_id, page.last_id], [true, made[4], made[3]])
      assert.strictEqual((yield* H.failure(() => anthropic.messages.batches.list({ limit: 1001 }))).status, 400)
      assert.strictEqual((yield* walk({ limit: 1000 })).length, 5)
    }))

  it.scopedLive("cancels: rows that were not reached are canceled", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ processing: 100, cancelling: 30 })
      const { anthropic } = emulator
      const batch = yield* H.submitMessages(emulator, H.messages(100))
      yield* emulator.advance("50 seconds")
      const canceling = yield* H.call(() => anthropic.messages.batches.cancel(batch.id))
      assert.strictEqual(canceling.processing_status, "canceling")
      assert.strictEqual(Date.parse(canceling.cancel_initiated_at ?? "") - Date.parse(batch.created_at), 50_000)
      assert.strictEqual(canceling.request_counts.processing, 100)
      yield* emulator.advance("30 seconds")
      const ended = yield* H.call(() => anthropic.messages.batches.retrieve(batch.id))
      assert.strictEqual(ended.processing_status, "ended")
      assert.isAbove(ended.request_counts.succeeded, 20)
      assert.isAbove(ended.request_counts.canceled, 20)
      assert.strictEqual(ended.request_counts.succeeded + ended.request_counts.canceled, 100)
      const books = yield* emulator.books
      assert.strictEqual(books.totals.billed, ended.request_counts.succeeded)
    }))

  it.scopedLive("expires rows that were not reached within 24 hours", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ processing: 48 * 3600 })
      const batch = yield* H.submitMessages(emulator, H.messages(100))
      yield* emulator.advance("24 hours")
      const ended = yield* H.call(() => emulator.anthropic.messages.batches.retrieve(batch.id))
      assert.strictEqual(ended.processing_status, "ended")
      assert.strictEqual(ended.ended_at, ended.expires_at)
      assert.isAbove(ended.request_counts.expired, 20)
      assert.strictEqual(ended.request_counts.succeeded + ended.request_counts.expired, 100)
    }))

  it.scopedLive("deletes a batch that has ended, and no other", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const { batches } = emulator.anthropic.messages
      const batch = yield* H.submitMessages(emulator, H.messages(1))
      const early = yield* H.failure(() => batches.delete(batch.id))
      assert.strictEqual(early.status, 400)
      yield* emulator.advance("1 hour")
      assert.deepStrictEqual(yield* H.call(() => batches.delete(batch.id)), {
        id: batch.id,
        type: "message_batch_deleted"
      })
      const gone = yield* H.failure(() => batches.retrieve(batch.id))
      assert.strictEqual(gone.status, 404)
      assert.nestedPropertyVal(gone.error, "type", "error")
      assert.nestedPropertyVal(gone.error, "error.type", "not_found_error")
      assert.strictEqual(gone.headers?.get("request-id"), requestId(gone.error))
      assert.isTrue((yield* emulator.books).batches[0]?.deleted)
    }))

  const requestId = (error: unknown): unknown =>
    typeof error === "object" && error !== null && "request_id" in error ? error.request_id : undefined

  it.scopedLive("refuses a create that is wrong as a whole, and makes no batch of it", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ anthropicMaxRows: 3, anthropicMaxBytes: 2000 })
      const create = (body: string) =>
        H.call(async () => {
          const response = await fetch(`${emulator.url}/v1/messages/batches`, {
            method: "POST",
            headers: { "x-api-key": "k", "anthropic-version": "2023-06-01", "content-type": "application/json" },
            body
          })
          const parsed: { readonly error?: { readonly type: string; readonly message: string } } = JSON.parse(
            await response.text()
          )
          return [response.status, parsed.error?.type, parsed.error?.message ?? ""] as const
        })
      const [good] = H.messages(1)
      const expected: ReadonlyArray<readonly [body: unknown, status: number, message: RegExp]> = [
        ["", 400, /JSON/],
        ["{\"requests\": [}", 400, /JSON/],
        ["{\"requests\": [{]}", 400, /JSON/],
        ["[]", 400, /JSON/],
        [{}, 400, /^requests: Field required/],
        [{ requests: {} }, 400, /^requests: Input should be a valid list/],
        [{ requests: [] }, 400, /^requests: List should have at least 1/],
        [{ requests: [good], model: "x" }, 400, /^model: Extra inputs/],
        [{ requests: [1] }, 400, /^requests\.0: Input should be an object/],
        [{ requests: [{ params: {} }] }, 400, /^requests\.0\.custom_id: Field required/],
        [{ requests: [{ custom_id: "a" }] }, 400, /^requests\.0\.params: Field required/],
        [{ requests: [{ custom_id: "a|b", params: {} }] }, 400, /^requests\.0\.custom_id: String should match/],
        [{ requests: [{ custom_id: "", params: {} }] }, 400, /^requests\.0\.custom_id: String should match/],
        [
          { requests: [{ custom_id: "x".repeat(65), params: {} }] },
          400,
          /^requests\.0\.custom_id: String should match/
        ],
        [{ requests: [good, good] }, 400, /^requests\.1\.custom_id: .*not unique/],
        [{ requests: H.messages(4) }, 400, /at most 3/],
        [{ requests: [H.message("a", "x".repeat(2000))] }, 413, /maximum size/]
      ]
      for (const [body, status, message] of expected) {
        const refused = yield* create(typeof body === "string" ? body : JSON.stringify(body))
        assert.strictEqual(refused[0], status)
        assert.match(refused[2], message)
        assert.strictEqual(refused[1], status === 413 ? "request_too_large" : "invalid_request_error")
      }
      assert.strictEqual((yield* create(JSON.stringify({ requests: H.messages(3) })))[0], 200)
      assert.strictEqual(
        (yield* create(JSON.stringify({ requests: [{ ...good, custom_id: "x".repeat(64) }] })))[0],
        200
      )
      assert.strictEqual((yield* emulator.books).batches.length, 2)
    }))

  it.scopedLive("takes either form of the key, and wants a version", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const get = (headers: Record<string, string>) =>
        H.call(async () => (await fetch(`${emulator.url}/v1/messages/batches`, { headers })).status)
      assert.strictEqual(yield* get({ "x-api-key": "k", "anthropic-version": "2023-06-01" }), 200)
      assert.strictEqual(yield* get({ authorization: "Bearer k", "anthropic-version": "2026-10-21" }), 200)
      assert.strictEqual(yield* get({ "anthropic-version": "2026-10-21" }), 401)
      assert.strictEqual(yield* get({ "x-api-key": "k" }), 400)
      assert.strictEqual(yield* get({ "x-api-key": "k", "anthropic-version": "2020-01-01" }), 400)
      assert.strictEqual(
        (yield* H.call(() => emulator.anthropic.models.retrieve("claude-haiku-4-5"))).capabilities?.batch.supported,
        true
      )
      assert.strictEqual((yield* H.failure(() => emulator.anthropic.models.retrieve("gpt-5"))).status, 404)
      const models = yield* H.call(async () => {
        const ids: Array<string> = []
        for await (const model of emulator.anthropic.models.list({ limit: 5 })) ids.push(model.id)
        return ids
      })
      assert.include(models, "claude-opus-5-5")
      assert.strictEqual(new Set(models).size, models.length)
    }))

  it.scopedLive("validates parameters row by row, after the create", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const row = (id: string, params: object) => H.message(id, "hello", params)
      const opus45 = { model: "claude-opus-4-5" }
      const opus5 = { model: "claude-opus-5" }
      const thinking = (budget: number) => ({ thinking: { type: "enabled", budget_tokens: budget }, max_tokens: 2000 })
      const tool = { name: "t", input_schema: { type: "object" } }
      const rows = [
        row("fine", {}),
        row("fine-thinking", thinking(1024)),
        row("fine-adaptive", { ...opus5, thinking: { type: "adaptive" }, output_config: { effort: "max" } }),
        row("fine-cool", { temperature: 0 }),
        row("no-cap", { max_tokens: undefined }),
        row("cap-0", { max_tokens: 0 }),
        row("cap-high", { model: "claude-3-haiku-20240307", max_tokens: 5000 }),
        row("no-model", { model: undefined }),
        row("no-messages", { messages: undefined }),
        row("empty-messages", { messages: [] }),
        row("blank-text", { messages: [{ role: "user", content: [{ type: "text", text: " " }] }] }),
        row("bad-role", { messages: [{ role: "robot", content: "x" }] }),
        row("prefill-space", { messages: [{ role: "user", content: "x" }, { role: "assistant", content: "x " }] }),
        row("streams", { stream: true }),
        row("unknown-field", { response_format: {} }),
        row("budget-low", thinking(1023)),
        row("budget-high", thinking(2000)),
        row("budget-new-model", { ...opus5, ...thinking(1024) }),
        row("adaptive-old-model", { thinking: { type: "adaptive" } }),
        row("thinking-cool", { ...thinking(1024), temperature: 0.5 }),
        row("thinking-forced-tool", { ...thinking(1024), tools: [tool], tool_choice: { type: "any" } }),
        row("haiku-3-thinks", { model: "claude-3-haiku-20240307", ...thinking(1024) }),
        row("cool-new-model", { ...opus5, temperature: 0 }),
        row("effort-beta", { ...opus45, output_config: { effort: "low" } }),
        row("hot", { temperature: 2 }),
        row("open-schema", { output_config: { format: { type: "json_schema", schema: { type: "object" } } } }),
        row("tool-unknown", { tools: [tool], tool_choice: { type: "tool", name: "other" } }),
        row("model-unknown", { model: "gpt-5" })
      ]
      const results = yield* H.results(emulator, rows)
      const errors = Object.fromEntries(results.map((line) => [
        line.custom_id,
        line.result.type === "errored" ? line.result.error.error.type : line.result.type
      ]))
      const expected = Object.fromEntries(rows.map(({ custom_id }) => [
        custom_id,
        custom_id.startsWith("fine")
          ? "succeeded"
          : custom_id === "model-unknown"
          ? "not_found_error"
          : "invalid_request_error"
      ]))
      assert.deepStrictEqual(errors, expected)

      const withBeta = yield* H.call(() =>
        emulator.anthropic.messages.batches.create(
          { requests: [row("effort", { ...opus45, output_config: { effort: "low" } })] },
          { headers: { "anthropic-beta": "effort-2025-11-24" } }
        )
      )
      yield* emulator.advance("1 hour")
      assert.strictEqual(
        (yield* H.call(() => emulator.anthropic.messages.batches.retrieve(withBeta.id))).request_counts.succeeded,
        1
      )
    }))

  it.scopedLive("streams the same answers as events", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const { messages } = emulator.anthropic
      const schema = { type: "object" as const, properties: { n: { const: 5 } }, required: ["n"] }
      for (
        const extra of [
          {},
          { thinking: { type: "enabled" as const, budget_tokens: 1024 }, max_tokens: 2000 },
          { tools: [{ name: "count", input_schema: schema }], tool_choice: { type: "any" as const } }
        ]
      ) {
        const { params } = H.message("x", "Tell me of the sea, of its ships, and of what the sailors sing.")
        const { _request_id, ...whole } = yield* H.call(() => messages.create({ ...params, ...extra }))
        assert.isString(_request_id)
        const streamed = yield* H.call(() => messages.stream({ ...params, ...extra }).finalMessage())
        assert.deepStrictEqual(streamed.content, whole.content)
        assert.strictEqual(streamed.stop_reason, whole.stop_reason)
        assert.strictEqual(streamed.usage.output_tokens, whole.usage.output_tokens)
      }
    }))

  it.scopedLive("answers with thinking, tools, schemas, caps, stops and caches, in batches and directly", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({
        answer: ({ prompt }) => prompt === "scripted" ? "one, two, three and four" : undefined
      })
      const ask = (params: object, prompt = "scripted") =>
        H.call(() => emulator.anthropic.messages.create(H.message("x", prompt, params).params))
      const plain = yield* ask({})
      assert.deepStrictEqual(plain.content, [{ type: "text", text: "one, two, three and four", citations: null }])
      assert.strictEqual(plain.stop_reason, "end_turn")
      assert.strictEqual(plain.usage.service_tier, "standard")
      const thought = yield* ask({ thinking: { type: "enabled", budget_tokens: 1024 }, max_tokens: 2000 })
      assert.deepStrictEqual(thought.content.map((block) => block.type), ["thinking", "text"])
      assert.isNotEmpty(thought.content[0]?.type === "thinking" ? thought.content[0].signature : "")
      assert.strictEqual(thought.usage.output_tokens, plain.usage.output_tokens + 64)
      const cut = yield* ask({ max_tokens: 2 })
      assert.deepStrictEqual([cut.stop_reason, cut.usage.output_tokens], ["max_tokens", 2])
      const stopped = yield* ask({ stop_sequences: [" and"] })
      assert.deepStrictEqual([stopped.stop_reason, stopped.stop_sequence], ["stop_sequence", " and"])
      assert.deepStrictEqual(stopped.content, [{ type: "text", text: "one, two, three", citations: null }])
      const schema = { type: "object", properties: { n: { const: 5 } }, required: ["n"], additionalProperties: false }
      const tool = yield* ask({
        tools: [{ name: "count", input_schema: schema }],
        tool_choice: { type: "tool", name: "count" }
      })
      assert.strictEqual(tool.stop_reason, "tool_use")
      const use = tool.content[0]
      assert.deepStrictEqual(use?.type === "tool_use" ? [use.name, use.input] : [], ["count", { n: 5 }])
      const formatted = yield* ask({ output_config: { format: { type: "json_schema", schema } } }, "anything")
      assert.deepStrictEqual(formatted.content.map((block) => block.type === "text" ? block.text : ""), ["{\"n\":5}"])
      const system = [{ type: "text", text: "x".repeat(400), cache_control: { type: "ephemeral", ttl: "1h" } }]
      const cached = yield* ask({ system })
      const { cache_creation_input_tokens: written, cache_read_input_tokens: read } = cached.usage
      assert.isAbove((written ?? 0) + (read ?? 0), 90)
      assert.isTrue(written === 0 || cached.usage.cache_creation?.ephemeral_1h_input_tokens === written)
      const [inBatch] = yield* H.results(emulator, [H.message("x", "scripted")])
      assert.deepStrictEqual(
        inBatch?.result.type === "succeeded" ? inBatch.result.message : undefined,
        { ...plain, usage: { ...plain.usage, service_tier: "batch" } }
      )
    }))
})
