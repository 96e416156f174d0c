import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import OpenAI from "openai"
import * as H from "./Harness.js"

describe("emulator: OpenAI", () => {
  it.scopedLive("takes a batch through its statuses, with the times of the wire", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ validating: 10, processing: 100, finalizing: 5 })
      const { openai } = emulator
      const created = yield* H.submit(emulator, H.chatRows(4))
      const retrieve = H.call(() => openai.batches.retrieve(created.id))
      assert.strictEqual(created.status, "validating")
      assert.strictEqual(created.expires_at, created.created_at + 86_400)
      assert.isNull(created.output_file_id)
      assert.isNull(created.errors)
      assert.deepStrictEqual(created.request_counts, { total: 0, completed: 0, failed: 0 })

      yield* emulator.advance("60 seconds")
      const running = yield* retrieve
      assert.strictEqual(running.status, "in_progress")
      assert.strictEqual(running.in_progress_at, created.created_at + 10)
      assert.deepStrictEqual(running.request_counts, { total: 4, completed: 2, failed: 0 })

      yield* emulator.advance("52 seconds")
      const finalizing = yield* retrieve
      assert.strictEqual(finalizing.status, "finalizing")
      assert.strictEqual(finalizing.finalizing_at, created.created_at + 110)
      assert.isNull(finalizing.output_file_id)

      yield* emulator.advance("3 seconds")
      const completed = yield* retrieve
      assert.strictEqual(completed.status, "completed")
      assert.strictEqual(completed.completed_at, created.created_at + 115)
      assert.strictEqual(completed.model, "gpt-4.1-mini")
      assert.deepStrictEqual(completed.request_counts, { total: 4, completed: 4, failed: 0 })
      assert.isNull(completed.error_file_id)
      assert.isNull(completed.expired_at)

      const output = H.outputLines(yield* H.content(emulator, completed.output_file_id))
      assert.deepStrictEqual(output.map((line) => line.custom_id).toSorted(), ["row-0", "row-1", "row-2", "row-3"])
      assert.isTrue(output.every((line) => line.response?.status_code === 200 && line.error === null))
      const used = output.reduce((sum, line) => {
        const usage = line.response?.body["usage"]
        return sum +
          (typeof usage === "object" && usage !== null && "total_tokens" in usage ? Number(usage.total_tokens) : 0)
      }, 0)
      assert.strictEqual(completed.usage?.total_tokens, used)
    }))

  it.scopedLive("gives results in another order than the rows", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const batch = yield* H.finished(emulator, H.chatRows(50))
      const output = H.outputLines(yield* H.content(emulator, batch.output_file_id))
      const ids = output.map((line) => line.custom_id)
      assert.strictEqual(new Set(ids).size, 50)
      assert.notDeepEqual(ids, H.chatRows(50).map((row) => row.custom_id))
    }))

  it.scopedLive("pages through batches and files, newest first", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const { openai } = emulator
      const made: Array<string> = []
      for (let i = 0; i < 7; i++) made.push((yield* H.submit(emulator, H.chatRows(1, `b${i}`))).id)
      const seen = yield* H.call(async () => {
        const ids: Array<string> = []
        for await (const batch of openai.batches.list({ limit: 3 })) ids.push(batch.id)
        return ids
      })
      assert.deepStrictEqual(seen, made.toReversed())
      const page = yield* H.call(() => openai.batches.list({ limit: 3, after: made[5] ?? "" }))
      assert.deepStrictEqual(page.data.map((batch) => batch.id), [made[4], made[3], made[2]])
      assert.isTrue(page.has_more)
      const raw = yield* H.call(() => openai.get("/batches", { query: { limit: 2 } }))
      assert.deepInclude(raw, { object: "list", first_id: made[6], last_id: made[5], has_more: true })
      const files = yield* H.call(async () => {
        const ids: Array<string> = []
        for await (const file of openai.files.list({ limit: 2, purpose: "batch" })) ids.push(file.id)
        return ids
      })
      assert.strictEqual(files.length, 7)
      const tooMany = yield* H.failure(() => openai.batches.list({ limit: 101 }))
      assert.strictEqual(tooMany.status, 400)
      const strange = yield* H.failure(() => openai.batches.list({ after: "batch_nowhere" }))
      assert.strictEqual(strange.status, 400)
    }))

  it.scopedLive("cancels: answered rows are kept, the others are told in the error file", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ validating: 10, processing: 100, cancelling: 30 })
      const { openai } = emulator
      const batch = yield* H.submit(emulator, H.chatRows(100))
      yield* emulator.advance("60 seconds")
      const cancelling = yield* H.call(() => openai.batches.cancel(batch.id))
      assert.strictEqual(cancelling.status, "cancelling")
      assert.strictEqual(cancelling.cancelling_at, batch.created_at + 60)
      yield* emulator.advance("30 seconds")
      const cancelled = yield* H.call(() => openai.batches.retrieve(batch.id))
      assert.strictEqual(cancelled.status, "cancelled")
      assert.strictEqual(cancelled.cancelled_at, batch.created_at + 90)
      const output = H.outputLines(yield* H.content(emulator, cancelled.output_file_id))
      const errors = H.outputLines(yield* H.content(emulator, cancelled.error_file_id))
      assert.isAbove(output.length, 20)
      assert.isAbove(errors.length, 20)
      assert.strictEqual(output.length + errors.length, 100)
      assert.isTrue(errors.every((line) => line.response === null && line.error?.code === "batch_cancelled"))
      assert.deepStrictEqual(cancelled.request_counts, { total: 100, completed: output.length, failed: 0 })
      const again = yield* H.call(() => openai.batches.cancel(batch.id))
      assert.strictEqual(again.status, "cancelled")
      const completed = yield* H.finished(emulator, H.chatRows(1))
      const late = yield* H.failure(() => openai.batches.cancel(completed.id))
      assert.strictEqual(late.status, 409)
    }))

  it.scopedLive("expires after 24 hours, and keeps what was answered by then", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ validating: 0, processing: 48 * 3600, finalizing: 0 })
      const batch = yield* H.submit(emulator, H.chatRows(100))
      yield* emulator.advance("23 hours")
      assert.strictEqual((yield* H.call(() => emulator.openai.batches.retrieve(batch.id))).status, "in_progress")
      yield* emulator.advance("1 hour")
      const expired = yield* H.call(() => emulator.openai.batches.retrieve(batch.id))
      assert.strictEqual(expired.status, "expired")
      assert.strictEqual(expired.expired_at, batch.created_at + 86_400)
      const output = H.outputLines(yield* H.content(emulator, expired.output_file_id))
      const errors = H.outputLines(yield* H.content(emulator, expired.error_file_id))
      assert.isAbove(output.length, 20)
      assert.isTrue(errors.every((line) => line.error?.code === "batch_expired"))
      assert.strictEqual(output.length + errors.length, 100)
    }))

  it.scopedLive("keeps, shows, deletes and expires files", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const { openai } = emulator
      const file = yield* H.call(() =>
        openai.files.create({
          file: new File(["{}\n"], "in.jsonl"),
          purpose: "batch",
          expires_after: { anchor: "created_at", seconds: 3600 }
        })
      )
      assert.deepInclude(file, {
        object: "file",
        bytes: 3,
        filename: "in.jsonl",
        purpose: "batch",
        expires_at: file.created_at + 3600
      })
      assert.strictEqual((yield* H.content(emulator, file.id)).toString(), "{}\n")
      assert.deepStrictEqual(yield* H.call(() => openai.files.retrieve(file.id)), file)
      yield* emulator.advance("1 hour")
      assert.strictEqual((yield* H.failure(() => openai.files.retrieve(file.id))).status, 404)

      const other = yield* H.upload(emulator, "{}\n")
      assert.strictEqual(other.expires_at, other.created_at + 30 * 86_400)
      assert.deepStrictEqual(yield* H.call(() => openai.files.delete(other.id)), {
        object: "file",
        id: other.id,
        deleted: true
      })
      for (
        const run of [
          () => openai.files.retrieve(other.id),
          () => openai.files.content(other.id),
          () => openai.files.delete(other.id)
        ]
      ) {
        const gone = yield* H.failure(run)
        assert.strictEqual(gone.status, 404)
        assert.deepInclude(gone.error, { type: "invalid_request_error", param: "id", code: null })
      }
      const short = yield* H.failure(() =>
        openai.files.create({
          file: new File(["{}"], "a"),
          purpose: "batch",
          expires_after: { anchor: "created_at", seconds: 3599 }
        })
      )
      assert.strictEqual(short.status, 400)
    }))

  it.scopedLive("deletes result files, and gives the results of a batch whose input file was deleted", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const batch = yield* H.submit(emulator, H.chatRows(3))
      yield* H.call(() => emulator.openai.files.delete(batch.input_file_id))
      yield* emulator.advance("1 hour")
      const ended = yield* H.call(() => emulator.openai.batches.retrieve(batch.id))
      const id = ended.output_file_id ?? ""
      assert.strictEqual(H.lines(yield* H.content(emulator, id)).length, 3)
      assert.strictEqual((yield* H.call(() => emulator.openai.files.retrieve(id))).purpose, "batch_output")
      yield* H.call(() => emulator.openai.files.delete(id))
      assert.strictEqual((yield* H.failure(() => emulator.openai.files.content(id))).status, 404)
    }))

  describe("validation of a batch", () => {
    const line = (row: object): string => JSON.stringify(row)
    const good = H.chatRow("a", "hello")
    const cases: ReadonlyArray<readonly [code: string, line: number | null, text: string]> = [
      ["empty_file", null, ""],
      ["empty_file", null, "\n\n"],
      ["invalid_json_line", 2, `${line(good)}\n{"custom_id": \n`],
      ["invalid_json_line", 1, `{"custom_id":"a","body":${"[".repeat(100_000)}${"]".repeat(100_000)}}`],
      ["missing_required_parameter", 1, line({ method: "POST", url: "/v1/chat/completions", body: {} })],
      ["missing_required_parameter", 1, line({ custom_id: "a", url: "/v1/chat/completions", body: {} })],
      ["missing_required_parameter", 1, line({ custom_id: "a", method: "POST", url: "/v1/chat/completions" })],
      ["missing_required_parameter", 1, line({ ...good, body: { messages: [] } })],
      ["invalid_method", 1, line({ ...good, method: "GET" })],
      ["url_mismatch", 1, line({ ...good, url: "/v1/responses" })],
      ["duplicate_custom_id", 3, [good, H.chatRow("b", "x"), good].map(line).join("\n")],
      ["model_not_found", 1, line(H.chatRow("a", "x", { model: "claude-haiku-4-5" }))],
      ["model_mismatch", 2, [good, H.chatRow("b", "x", { model: "gpt-4.1" })].map(line).join("\n")],
      ["too_many_tasks", null, H.jsonl(H.chatRows(6))]
    ]
    it.scopedLive.each(cases)("%s at line %s", ([code, at, text]) =>
      Effect.gen(function*() {
        const emulator = yield* H.start({ openAiMaxRows: 5 })
        const batch = yield* H.submitText(emulator, text)
        assert.strictEqual(batch.status, "validating")
        yield* emulator.advance("1 hour")
        const failed = yield* H.call(() => emulator.openai.batches.retrieve(batch.id))
        assert.strictEqual(failed.status, "failed")
        assert.strictEqual(failed.failed_at, batch.created_at + 10)
        assert.isNull(failed.output_file_id)
        assert.deepStrictEqual(failed.errors?.data?.map((error) => [error.code, error.line]), [[code, at]])
        const books = yield* emulator.books
        assert.strictEqual(books.totals.billed, 0)
      }))

    it.scopedLive("the rows of a batch may be as many as allowed, and no more", () =>
      Effect.gen(function*() {
        const emulator = yield* H.start({ openAiMaxRows: 5 })
        assert.strictEqual((yield* H.finished(emulator, H.chatRows(5))).status, "completed")
        assert.strictEqual((yield* H.finished(emulator, H.chatRows(6))).status, "failed")
      }))

    it.scopedLive("a file may have as many bytes as allowed, and no more", () =>
      Effect.gen(function*() {
        const text = H.jsonl(H.chatRows(2))
        const emulator = yield* H.start({ openAiMaxBytes: text.length })
        yield* H.upload(emulator, text)
        const refused = yield* H.failure(() =>
          emulator.openai.files.create({ file: new File([`${text} `], "a"), purpose: "batch" })
        )
        assert.strictEqual(refused.status, 413)
      }))
  })

  it.scopedLive("refuses a create that is wrong in itself, in OpenAI's words", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const file = yield* H.upload(emulator, H.jsonl(H.chatRows(1)))
      const create = (change: object) =>
        H.failure(() =>
          emulator.openai.post("/batches", {
            body: { input_file_id: file.id, endpoint: "/v1/responses", completion_window: "24h", ...change }
          })
        )
      const expected: ReadonlyArray<readonly [change: object, status: number, param: string]> = [
        [{ endpoint: "/v1/nothing" }, 400, "endpoint"],
        [{ completion_window: "1h" }, 400, "completion_window"],
        [{ input_file_id: "x" }, 400, "input_file_id"],
        [{ input_file_id: "file-none" }, 404, "id"],
        [{ input_file_id: undefined }, 400, "input_file_id"],
        [{ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, "v"])) }, 400, "metadata"],
        [{ metadata: { ["k".repeat(65)]: "v" } }, 400, "metadata"],
        [{ metadata: { k: "v".repeat(513) } }, 400, "metadata.k"],
        [{ metadata: { k: 1 } }, 400, "metadata.k"],
        [{ output_expires_after: { anchor: "created_at", seconds: 1 } }, 400, "output_expires_after.seconds"],
        [{ surprise: 1 }, 400, "surprise"]
      ]
      for (const [change, status, param] of expected) {
        const refused = yield* create(change)
        assert.deepStrictEqual([refused.status, JSON.stringify(change)], [status, JSON.stringify(change)])
        assert.deepInclude(refused.error, { type: "invalid_request_error", param })
        assert.match(refused.headers?.get("x-request-id") ?? "", /^req_/)
      }
      const full = {
        ["k".repeat(64)]: "v".repeat(512),
        ...Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`k${i}`, "v"]))
      }
      const batch = yield* H.call(() =>
        emulator.openai.batches.create({
          input_file_id: file.id,
          endpoint: "/v1/responses",
          completion_window: "24h",
          metadata: full
        })
      )
      assert.deepStrictEqual(batch.metadata, full)
    }))

  it.scopedLive("refuses callers without a key, and unknown things", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const response = yield* H.call(() => fetch(`${emulator.openAiBaseUrl}/batches`))
      assert.strictEqual(response.status, 401)
      const body: { readonly error?: object } = JSON.parse(yield* H.call(() => response.text()))
      assert.hasAllKeys(body.error, ["message", "type", "param", "code"])
      const invalid = new OpenAI({ apiKey: "sk-invalid", baseURL: emulator.openAiBaseUrl, maxRetries: 0 })
      const refused = yield* H.failure(() => invalid.batches.list())
      assert.strictEqual(refused.status, 401)
      assert.notInclude(JSON.stringify(refused.error), "sk-invalid")
      assert.strictEqual((yield* H.failure(() => emulator.openai.batches.retrieve("batch_none"))).status, 404)
      assert.strictEqual((yield* H.failure(() => emulator.openai.get("/nothing"))).status, 404)
      assert.strictEqual((yield* H.failure(() => emulator.openai.models.retrieve("unknown-model"))).status, 404)
      assert.strictEqual((yield* H.call(() => emulator.openai.models.retrieve("gpt-5-mini"))).id, "gpt-5-mini")
      assert.isAbove((yield* H.call(() => emulator.openai.models.list())).data.length, 5)
    }))

  it.scopedLive("keeps accounts apart, by headers and, if wanted, by key", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({ isolateKeys: true })
      const batch = yield* H.submit(emulator, H.chatRows(1))
      const other = new OpenAI({ apiKey: "sk-other", baseURL: emulator.openAiBaseUrl, maxRetries: 0 })
      const project = new OpenAI({ apiKey: "sk-test", project: "p", baseURL: emulator.openAiBaseUrl, maxRetries: 0 })
      for (const client of [other, project]) {
        assert.strictEqual((yield* H.failure(() => client.batches.retrieve(batch.id))).status, 404)
        assert.deepStrictEqual((yield* H.call(() => client.batches.list())).data, [])
      }
    }))

  it.scopedLive("answers directly, as in a batch", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const { openai } = emulator
      const chat = yield* H.call(() =>
        openai.chat.completions.create({
          model: "gpt-4.1-mini",
          messages: [{ role: "user", content: "What is 17 + 25?" }]
        })
      )
      assert.strictEqual(chat.choices[0]?.message.content, "42")
      assert.strictEqual(chat.choices[0]?.finish_reason, "stop")
      const batch = yield* H.finished(emulator, [H.chatRow("x", "What is 17 + 25?")])
      const [line] = H.outputLines(yield* H.content(emulator, batch.output_file_id))
      assert.deepStrictEqual(line?.response?.body, JSON.parse(JSON.stringify(chat)))

      const response = yield* H.call(() => openai.responses.create({ model: "gpt-5-mini", input: "6 * 7" }))
      assert.strictEqual(response.output_text, "42")
      assert.deepStrictEqual(response.output.map((item) => item.type), ["reasoning", "message"])
      assert.strictEqual(response.usage?.output_tokens_details.reasoning_tokens, 64)

      const embedding = yield* H.call(() =>
        openai.embeddings.create({
          model: "text-embedding-3-small",
          input: ["a", "b"],
          dimensions: 8,
          encoding_format: "float"
        })
      )
      assert.deepStrictEqual(embedding.data.map((each) => [each.index, each.embedding.length]), [[0, 8], [1, 8]])
      const packed = yield* H.call(() =>
        openai.embeddings.create({ model: "text-embedding-3-small", input: ["a", "b"], dimensions: 8 })
      )
      assert.deepStrictEqual(
        packed.data[1]?.embedding.map((x) => x.toFixed(6)),
        embedding.data[1]?.embedding.map((x) => x.toFixed(6))
      )
      assert.strictEqual((yield* emulator.books).totals.directCalls, 4)
    }))

  it.scopedLive("cuts at the cap, stops at stop sequences, calls forced tools, fills schemas", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start({
        answer: ({ prompt }) => prompt === "scripted" ? "one, two, three and four" : undefined
      })
      const { openai } = emulator
      const messages = [{ role: "user" as const, content: "scripted" }]
      const ask = (body: object) =>
        H.call(() => openai.chat.completions.create({ model: "gpt-4.1", messages, ...body }))
      const cut = yield* ask({ max_tokens: 2 })
      assert.deepStrictEqual([cut.choices[0]?.message.content, cut.choices[0]?.finish_reason], ["one, two", "length"])
      assert.strictEqual(cut.usage?.completion_tokens, 2)
      assert.strictEqual((yield* ask({ stop: [" and"] })).choices[0]?.message.content, "one, two, three")
      const tools = [{
        type: "function" as const,
        function: {
          name: "look_up",
          parameters: { type: "object", properties: { n: { type: "integer", minimum: 3 } }, required: ["n"] }
        }
      }]
      const tool = yield* ask({ tools, tool_choice: "required" })
      assert.strictEqual(tool.choices[0]?.finish_reason, "tool_calls")
      assert.isNull(tool.choices[0]?.message.content)
      const toolCall = tool.choices[0]?.message.tool_calls?.[0]
      assert.deepStrictEqual(toolCall?.type === "function" ? toolCall.function : undefined, {
        name: "look_up",
        arguments: "{\"n\":3}"
      })
      const schema = {
        type: "object",
        properties: { spam: { const: true } },
        required: ["spam"],
        additionalProperties: false
      }
      const formatted = yield* H.call(() =>
        openai.responses.create({
          model: "gpt-5-mini",
          input: "is it?",
          text: { format: { type: "json_schema", name: "verdict", strict: true, schema } }
        })
      )
      assert.strictEqual(formatted.output_text, "{\"spam\":true}")
      const starved = yield* H.call(() =>
        openai.responses.create({ model: "gpt-5-mini", input: "long", max_output_tokens: 16 })
      )
      assert.strictEqual(starved.status, "incomplete")
      assert.deepStrictEqual(starved.incomplete_details, { reason: "max_output_tokens" })
      assert.deepStrictEqual(starved.output.map((item) => item.type), ["reasoning"])
    }))

  it.scopedLive("streams the same answers as events", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const { openai } = emulator
      const messages = [{
        role: "user" as const,
        content: "Tell me of the sea, of its ships, and of what the sailors sing."
      }]
      const body = { model: "gpt-4.1", messages, stream_options: { include_usage: true } }
      const whole = yield* H.call(() => openai.chat.completions.create({ model: "gpt-4.1", messages }))
      const streamed = yield* H.call(() => openai.chat.completions.stream(body).finalChatCompletion())
      assert.strictEqual(streamed.choices[0]?.message.content, whole.choices[0]?.message.content)
      assert.deepStrictEqual(streamed.usage, whole.usage)
      const asked = { model: "gpt-5-mini", input: "Tell me of the sea, of its ships, and of what the sailors sing." }
      const response = yield* H.call(() => openai.responses.create(asked))
      const events = yield* H.call(async () => {
        const names: Array<string> = []
        let text = ""
        for await (const event of await openai.responses.create({ ...asked, stream: true })) {
          names.push(event.type)
          if (event.type === "response.output_text.delta") text += event.delta
        }
        return { text, first: names[0], last: names.at(-1) }
      })
      assert.deepStrictEqual(events, {
        text: response.output_text,
        first: "response.created",
        last: "response.completed"
      })
      assert.strictEqual(
        (yield* H.call(() => openai.responses.stream(asked).finalResponse())).output_text,
        response.output_text
      )
    }))

  it.scopedLive("refuses bodies as the endpoints do, in the error file", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const responses = (id: string, body: object) => ({
        custom_id: id,
        method: "POST",
        url: "/v1/responses",
        body: { model: "gpt-5-mini", input: "hello", ...body }
      })
      const batch = yield* H.finished(emulator, [
        responses("fine", {}),
        responses("messages", { messages: [] }),
        responses("max_tokens", { max_tokens: 5 }),
        responses("stop", { stop: ["x"] }),
        responses("low", { max_output_tokens: 1 }),
        responses("warm", { temperature: 0.5 }),
        responses("hot", { temperature: 3 }),
        responses("empty", { input: undefined }),
        responses("stream", { stream: true }),
        responses("format", { text: { format: { type: "json_schema", schema: {} } } }),
        responses("loose", {
          text: { format: { type: "json_schema", name: "n", strict: true, schema: { type: "object" } } }
        })
      ], "/v1/responses")
      assert.strictEqual(batch.status, "completed")
      assert.deepStrictEqual(batch.request_counts, { total: 11, completed: 1, failed: 10 })
      const errors = H.outputLines(yield* H.content(emulator, batch.error_file_id))
      const told = Object.fromEntries(errors.map((line) => {
        const error = line.response?.body["error"]
        return [line.custom_id, typeof error === "object" && error !== null && "code" in error ? error.code : undefined]
      }))
      assert.deepStrictEqual(told, {
        messages: "unknown_parameter",
        max_tokens: "unknown_parameter",
        stop: "unknown_parameter",
        low: "integer_below_min_value",
        warm: "unsupported_value",
        hot: "decimal_above_max_value",
        empty: "missing_required_parameter",
        stream: "unsupported_value",
        format: "missing_required_parameter",
        loose: "invalid_json_schema"
      })
      assert.isTrue(errors.every((line) => line.error === null && line.response?.status_code === 400))

      const chat = yield* H.finished(emulator, [
        H.chatRow("none", "", { messages: undefined }),
        H.chatRow("zero", "", { messages: [] }),
        H.chatRow("role", "", { messages: [{ role: "robot", content: "x" }] }),
        H.chatRow("cap", "", { max_tokens: 0 }),
        H.chatRow("input", "x", { input: "x" })
      ])
      assert.isNull(chat.output_file_id)
      assert.deepStrictEqual(chat.request_counts, { total: 5, completed: 0, failed: 5 })
      const reasoning = yield* H.finished(emulator, [
        H.chatRow("max_tokens", "x", { model: "o4-mini", max_tokens: 100 }),
        H.chatRow("temperature", "x", { model: "o4-mini", temperature: 0 }),
        H.chatRow("fine", "x", {
          model: "o4-mini",
          max_completion_tokens: 100,
          temperature: 1,
          reasoning_effort: "low"
        })
      ])
      assert.deepStrictEqual(reasoning.request_counts, { total: 3, completed: 1, failed: 2 })
    }))
})
