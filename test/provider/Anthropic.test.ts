import { assert, describe, it } from "@effect/vitest"
import { Chunk, ConfigProvider, DateTime, Effect, Layer, Redacted, Stream, TestClock } from "effect"
import { BatchSnapshot, RequestCounts, ResultFile } from "../../src/Batch.js"
import * as Provider from "../../src/Provider.js"
import * as Anthropic from "../../src/provider/Anthropic.js"
import { DiskError } from "../../src/RunError.js"
import { Shard, SubmitTag } from "../../src/Shard.js"
import { lent } from "../Blocks.js"

const key = "sk-ant-canary-0123456789"

interface Sent {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly body: string
}

/** The SDK and the provider give streams of bytes. */
const textOf = async (body: RequestInit["body"]): Promise<string> => {
  const blocks: Array<Uint8Array> = []
  if (body instanceof ReadableStream) {
    for await (const block of body) blocks.push(block)
  }
  return Buffer.concat(blocks).toString()
}

/** A `fetch` that answers from a script, or throws what is in it, and keeps what was sent. */
const scripted = (...script: ReadonlyArray<Response | Error>) => {
  const sent: Array<Sent> = []
  const fetch = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const answer = script[sent.length]
    sent.push({
      method: init.method ?? "GET",
      url: input instanceof Request ? input.url : String(input),
      headers: new Headers(init.headers),
      body: await textOf(init.body)
    })
    if (answer === undefined) throw new Error("unexpected call")
    if (answer instanceof Error) throw answer
    return answer
  }
  return { sent, fetch }
}

/** The one request that was made. */
const only = (sent: ReadonlyArray<Sent>): Sent => {
  const [first] = sent
  if (first === undefined || sent.length !== 1) throw new Error(`${sent.length} requests were made`)
  return first
}

const json = (value: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json", ...headers } })

const anthropicError = (status: number, type: string, message: string, headers: Record<string, string> = {}) =>
  json({ type: "error", error: { type, message }, request_id: "req_1" }, status, headers)

const setup = (...script: ReadonlyArray<Response | Error>) => {
  const { fetch, sent } = scripted(...script)
  return { sent, provider: Anthropic.make({ apiKey: Redacted.make(key), fetch }) }
}

const counts = (value: Partial<Record<"processing" | "succeeded" | "errored" | "canceled" | "expired", number>>) => ({
  processing: 0,
  succeeded: 0,
  errored: 0,
  canceled: 0,
  expired: 0,
  ...value
})

const wire = (id: string, extra: object = {}) => ({
  id,
  type: "message_batch",
  processing_status: "in_progress",
  request_counts: counts({ processing: 3 }),
  created_at: "2026-11-20T10:00:00Z",
  expires_at: "2026-11-21T10:00:00Z",
  ended_at: null,
  cancel_initiated_at: null,
  archived_at: null,
  results_url: null,
  ...extra
})

const ended = (id: string, extra: object = {}) =>
  wire(id, {
    processing_status: "ended",
    request_counts: counts({ succeeded: 3 }),
    ended_at: "2026-11-20T10:30:00Z",
    results_url: `https://api.anthropic.com/v1/messages/batches/${id}/results`,
    ...extra
  })

const page = (data: ReadonlyArray<object>, more: object = {}) =>
  json({ data, has_more: false, first_id: null, last_id: null, ...more })

const rows =
  "{\"custom_id\":\"t-1\",\"params\":{\"a\":\"é\"}}\n{\"custom_id\":\"t-2\",\"params\":{}}\n{\"custom_id\":\"t-3\",\"params\":{}}\n"
const shardBytes = Buffer.from(rows)

const shard = (betas: ReadonlyArray<string> = []) =>
  new Shard({
    id: "0001",
    directory: "/runs/one",
    runTag: "t",
    provider: "anthropic",
    endpoint: "/v1/messages",
    model: null,
    betas,
    rows: 3,
    bytes: shardBytes.length,
    sha256: "0".repeat(64),
    firstRow: 1,
    lastRow: 3,
    attempt: 1,
    parents: []
  })

const create = (provider: Provider.Service, bytes: Provider.ShardBytes = Stream.make(shardBytes), betas?: string[]) =>
  provider.create(shard(betas), { _tag: "InCreate" }, bytes)

const utc = (text: string) => DateTime.unsafeMake(text)
const iso = (time: DateTime.Utc | null) => time === null ? null : DateTime.formatIso(time)

/** What a failed system call of the network looks like behind `fetch`. */
const network = (code: string) => new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) })

describe("Anthropic", () => {
  describe("account", () => {
    it.effect("names the account without the key, or any secret in the URL", () =>
      Effect.gen(function*() {
        const provider = Anthropic.make({
          apiKey: Redacted.make(key),
          baseUrl: "https://user:password@gateway.example.com/anthropic/?token=secret"
        })
        const account = yield* provider.account("salt")
        assert.strictEqual(account.baseUrl, "https://gateway.example.com/anthropic")
        assert.isNull(account.scope)
        // printf 'saltsk-ant-canary-0123456789' | sha256sum | cut -c1-16
        assert.strictEqual(account.keyFingerprint, "23741282e0c951e2")
        assert.notStrictEqual((yield* provider.account("pepper")).keyFingerprint, account.keyFingerprint)
      }))

    it.effect("fails without a key, and names the variable; encoding needs none", () =>
      Effect.gen(function*() {
        const provider = Anthropic.make()
        const error = yield* Effect.flip(provider.account("salt"))
        assert.deepStrictEqual([error.reason, error.detail], ["auth", "there is no API key: set ANTHROPIC_API_KEY"])
        assert.strictEqual((yield* Effect.flip(provider.retrieve("b"))).reason, "auth")
        assert.strictEqual((yield* Effect.flip(create(provider)))._tag, "NotSent")
        const row = yield* provider.encode(
          { kind: "chat", row: 1, line: 1, customId: "a", body: { model: "m", messages: [] } },
          "t-1",
          "/v1/messages"
        )
        assert.strictEqual(row.model, "m")
      }))

    it.effect("finds keys and base URLs that cannot be, without quoting them", () =>
      Effect.gen(function*() {
        const account = (options: Anthropic.Options) => Effect.flip(Anthropic.make(options).account("salt"))
        const wrongKey = yield* account({ apiKey: Redacted.make("sk-ant-\u201ccurly\u201d") })
        assert.strictEqual(wrongKey.reason, "auth")
        assert.notInclude(wrongKey.message, "curly")
        const wrongUrl = yield* account({ apiKey: Redacted.make(key), baseUrl: "ftp://u:pw@example.com" })
        assert.strictEqual(wrongUrl.reason, "refused")
        assert.notInclude(wrongUrl.message, "pw")
        assert.strictEqual(
          wrongUrl.message,
          "anthropic: use the account: the base URL is not an http or https URL: check ANTHROPIC_BASE_URL. "
            + "Correct that, and give the same command again."
        )
      }))

    it.effect("takes a base URL with the version at its end, which other tools want", () =>
      Effect.gen(function*() {
        for (const baseUrl of ["https://gw.example.com/claude/v1", "https://gw.example.com/claude/v1/"]) {
          const { fetch, sent } = scripted(page([]))
          const provider = Anthropic.make({ apiKey: Redacted.make(key), fetch, baseUrl })
          yield* provider.list(null)
          assert.strictEqual(only(sent).url, "https://gw.example.com/claude/v1/messages/batches?limit=1000")
          assert.strictEqual((yield* provider.account("salt")).baseUrl, "https://gw.example.com/claude")
        }
      }))
  })

  describe("layerConfig", () => {
    const accountOf = (env: Record<string, string>, overrides?: Anthropic.Options) =>
      Provider.Provider.pipe(
        Effect.flatMap((provider) => provider.account("salt")),
        Effect.provide(
          Anthropic.layerConfig(overrides).pipe(
            Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(env)))))
          )
        )
      )

    it.effect("reads the SDK's variables; empty ones count as unset", () =>
      Effect.gen(function*() {
        const plain = yield* accountOf({ ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: "" })
        assert.strictEqual(plain.baseUrl, "https://api.anthropic.com")
        const token = yield* accountOf({
          ANTHROPIC_API_KEY: " ",
          ANTHROPIC_AUTH_TOKEN: key,
          ANTHROPIC_BASE_URL: "http://localhost:8080/"
        })
        assert.strictEqual(token.baseUrl, "http://localhost:8080")
        assert.strictEqual(token.keyFingerprint, plain.keyFingerprint)
        const error = yield* Effect.flip(accountOf({ ANTHROPIC_API_KEY: "" }))
        assert.strictEqual(error._tag === "ProviderError" && error.reason, "auth")
      }))

    it.effect("lets what is given in code come first", () =>
      Effect.gen(function*() {
        const env = { ANTHROPIC_API_KEY: "sk-ant-other", ANTHROPIC_BASE_URL: "https://other.example.com" }
        const expected = (yield* accountOf({ ANTHROPIC_API_KEY: key })).keyFingerprint
        const byKey = yield* accountOf(env, { apiKey: Redacted.make(key), baseUrl: "https://mine.example.com" })
        assert.deepStrictEqual([byKey.baseUrl, byKey.keyFingerprint], ["https://mine.example.com", expected])
        assert.strictEqual((yield* accountOf(env, { authToken: Redacted.make(key) })).keyFingerprint, expected)
      }))
  })

  describe("create", () => {
    const body =
      "{\"requests\":[{\"custom_id\":\"t-1\",\"params\":{\"a\":\"é\"}},{\"custom_id\":\"t-2\",\"params\":{}},{\"custom_id\":\"t-3\",\"params\":{}}]}"

    it.effect("sends the rows in one request of known length", () =>
      Effect.gen(function*() {
        const { provider, sent } = setup(json(wire("msgbatch_1")))
        assert.deepStrictEqual(yield* provider.upload(shard(), Stream.empty), { _tag: "InCreate" })
        const snapshot = yield* create(provider)
        assert.strictEqual(snapshot.id, "msgbatch_1")
        const request = only(sent)
        assert.strictEqual(request.method, "POST")
        assert.strictEqual(request.url, "https://api.anthropic.com/v1/messages/batches")
        assert.strictEqual(request.body, body)
        assert.strictEqual(request.headers.get("content-length"), String(Buffer.byteLength(body)))
        assert.strictEqual(Buffer.byteLength(body), shardBytes.length + Anthropic.limits.overheadBytes)
        assert.strictEqual(request.headers.get("content-type"), "application/json")
        assert.strictEqual(request.headers.get("authorization"), `Bearer ${key}`)
        assert.strictEqual(request.headers.get("anthropic-version"), "2026-10-21")
        assert.isNull(request.headers.get("anthropic-beta"))
      }))

    it.effect("joins the rows however the bytes are cut and lent, for a fetch that keeps what it reads", () =>
      Effect.gen(function*() {
        for (let size = 1; size < 40; size++) {
          const { provider, sent } = setup(json(wire("msgbatch_1")))
          const pieces = Array.from(
            { length: Math.ceil(shardBytes.length / size) },
            (_, index) => shardBytes.subarray(index * size, (index + 1) * size)
          )
          yield* create(provider, lent([Buffer.alloc(0), ...pieces, Buffer.alloc(0)]))
          assert.strictEqual(sent[0]?.body, body)
        }
        assert.strictEqual(shardBytes.toString(), rows)
      }))

    it.effect("names the betas of the shard", () =>
      Effect.gen(function*() {
        const { provider, sent } = setup(json(wire("msgbatch_1")))
        yield* create(provider, Stream.make(shardBytes), ["a-2025-01-01", "b-2025-01-01"])
        assert.strictEqual(sent[0]?.headers.get("anthropic-beta"), "a-2025-01-01,b-2025-01-01")
      }))

    it.effect("sends a token in place of a key, and only the key when there are both", () =>
      Effect.gen(function*() {
        const { fetch, sent } = scripted(json(wire("b")), json(wire("b")))
        const token = Redacted.make("token-1")
        yield* create(Anthropic.make({ authToken: token, fetch }))
        yield* create(Anthropic.make({ apiKey: Redacted.make(key), authToken: token, fetch }))
        assert.deepStrictEqual(sent.map(({ headers }) => headers.get("authorization")), [
          "Bearer token-1",
          `Bearer ${key}`
        ])
      }))

    const refused = [400, 401, 403, 404, 413, 422].map((status) =>
      [String(status), anthropicError(status, "x", "No")] as const
    )
    const unknown = [
      ...[408, 409, 429, 500, 502, 503, 529].map((status) =>
        [String(status), anthropicError(status, "x", "No")] as const
      ),
      ["a reset", network("ECONNRESET")],
      ["a timeout", network("ETIMEDOUT")],
      [
        "a page of HTML",
        new Response("<html><title>Hello</title></html>", { headers: { "content-type": "text/html" } })
      ],
      ["an empty answer", new Response("")],
      ["JSON that is no batch", json({ ok: true })]
    ] as const
    const notSent = [
      ["a refused connection", network("ECONNREFUSED")],
      ["a name without an address", network("ENOTFOUND")]
    ] as const
    const table = [["Refused", refused], ["Unknown", unknown], ["NotSent", notSent]] as const
    for (const [tag, cases] of table) {
      for (const [what, answer] of cases) {
        it.effect(`takes ${what} as ${tag}, after one request`, () =>
          Effect.gen(function*() {
            const { provider, sent } = setup(answer)
            const error = yield* Effect.flip(create(provider))
            assert.strictEqual(error._tag, tag)
            assert.strictEqual(sent.length, 1)
          }))
      }
    }

    it.effect("keeps the wait that the provider asks for", () =>
      Effect.gen(function*() {
        const { provider } = setup(anthropicError(429, "rate_limit_error", "Slow down", { "retry-after": "7" }))
        const error = yield* Effect.flip(create(provider))
        assert.strictEqual(error._tag === "Unknown" && error.retryAfterMillis, 7_000)
      }))

    it.effect("fails with the disk's error when the rows cannot be read to their end", () =>
      Effect.gen(function*() {
        const { provider } = setup(json(wire("b")))
        const failure = new DiskError({ operation: "read", path: "0001.jsonl", code: "EIO", detail: "broken" })
        const error = yield* Effect.flip(create(provider, Stream.concat(Stream.make(shardBytes), Stream.fail(failure))))
        assert.strictEqual(error._tag === "DiskError" && error.code, "EIO")
      }))

    it.effect("keeps the id whatever else is strange about the answer", () =>
      Effect.gen(function*() {
        const { provider } = setup(new Response("{\"id\":\"msgbatch_1\"}"))
        const snapshot = yield* create(provider)
        assert.strictEqual(snapshot.id, "msgbatch_1")
        assert.strictEqual(snapshot.status, "in_progress")
        assert.strictEqual(iso(snapshot.createdAt), "1970-01-01T00:00:00.000Z")
      }))
  })

  describe("retrieve", () => {
    const retrieve = (batch: object) =>
      Effect.suspend(() => {
        const { provider } = setup(json(batch))
        return provider.retrieve("msgbatch_1")
      })

    it.effect("gives a snapshot, with times in either form", () =>
      Effect.gen(function*() {
        const snapshot = yield* retrieve(
          ended("msgbatch_1", {
            created_at: "2026-11-20T10:00:00.123456+00:00",
            ended_at: "2026-11-20T12:30:00+02:00",
            request_counts: counts({ succeeded: 5, errored: 2 })
          })
        )
        assert.strictEqual(iso(snapshot.createdAt), "2026-11-20T10:00:00.123Z")
        assert.strictEqual(iso(snapshot.endedAt), "2026-11-20T10:30:00.000Z")
        assert.strictEqual(iso(snapshot.expiresAt), "2026-11-21T10:00:00.000Z")
        assert.deepStrictEqual(
          snapshot.counts,
          new RequestCounts({ total: 7, succeeded: 5, errored: 2, expired: 0, cancelled: 0 })
        )
        assert.deepStrictEqual([snapshot.status, snapshot.ending], ["ended", "completed"])
        assert.deepStrictEqual(snapshot.files, [new ResultFile({ kind: "output", reference: "msgbatch_1" })])
        assert.isNull(snapshot.inputFileId)
      }))

    const statuses = [
      [{ processing_status: "in_progress" }, "in_progress", null],
      [{ processing_status: "canceling", cancel_initiated_at: "2026-11-20T10:10:00Z" }, "cancelling", null],
      [{ processing_status: "hibernating" }, "in_progress", null],
      [{ processing_status: null, request_counts: null, expires_at: null }, "in_progress", null],
      [{ processing_status: "ended", request_counts: counts({ succeeded: 3 }) }, "ended", "completed"],
      [{ processing_status: "ended", request_counts: counts({ errored: 3 }) }, "ended", "completed"],
      [
        {
          processing_status: "ended",
          request_counts: counts({ succeeded: 3 }),
          cancel_initiated_at: "2026-11-20T10:10:00Z"
        },
        "ended",
        "completed"
      ],
      [{ processing_status: "ended", request_counts: counts({ succeeded: 2, expired: 1 }) }, "ended", "expired"],
      [{ processing_status: "ended", request_counts: counts({ expired: 1, canceled: 2 }) }, "ended", "cancelled"],
      [{ processing_status: "Ended", request_counts: { succeeded: "2", canceled: "1" } }, "ended", "cancelled"],
      [{ processing_status: "CANCELING", request_counts: null, created_at: null }, "cancelling", null]
    ] as const
    for (const [extra, status, ending] of statuses) {
      it.effect(`reads ${JSON.stringify(extra)}`, () =>
        Effect.gen(function*() {
          const snapshot = yield* retrieve(wire("msgbatch_1", extra))
          assert.deepStrictEqual([snapshot.status, snapshot.ending], [status, ending])
          assert.strictEqual(snapshot.providerStatus, extra.processing_status ?? "")
        }))
    }

    it.effect("names no file where there are no results (any more)", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual((yield* retrieve(wire("b"))).files, [])
        assert.deepStrictEqual((yield* retrieve(ended("b", { archived_at: "2026-12-20T00:00:00Z" }))).files, [])
      }))

    const failures = [
      [401, "auth"],
      [403, "auth"],
      [404, "gone"],
      [429, "rate-limited"],
      [500, "unreachable"],
      [529, "unreachable"],
      [400, "refused"]
    ] as const
    for (const [status, reason] of failures) {
      it.effect(`takes ${status} as ${reason}, after one request`, () =>
        Effect.gen(function*() {
          const { provider, sent } = setup(anthropicError(status, "x", "No", { "retry-after": "3" }))
          const error = yield* Effect.flip(provider.retrieve("msgbatch_1"))
          assert.deepStrictEqual([error.reason, error.status, error.retryAfterMillis], [reason, status, 3_000])
          assert.strictEqual(error.operation, "retrieve msgbatch_1")
          assert.strictEqual(sent.length, 1)
        }))
    }

    it.effect("takes a page of HTML as unexpected, and a reset as unreachable", () =>
      Effect.gen(function*() {
        const html = setup(new Response("<html></html>", { headers: { "content-type": "text/html" } }))
        assert.strictEqual((yield* Effect.flip(html.provider.retrieve("b"))).reason, "unexpected")
        const reset = setup(network("ECONNRESET"))
        assert.strictEqual((yield* Effect.flip(reset.provider.retrieve("b"))).reason, "unreachable")
      }))

    it.effect("keeps an id in its place in the path", () =>
      Effect.gen(function*() {
        const { provider, sent } = setup(json(wire("b")))
        yield* provider.retrieve("b/../c?d")
        assert.strictEqual(sent[0]?.url, "https://api.anthropic.com/v1/messages/batches/b%2F..%2Fc%3Fd")
      }))
  })

  describe("list, cancel, delete", () => {
    it.effect("lists page by page", () =>
      Effect.gen(function*() {
        const { provider, sent } = setup(page([wire("b2")], { has_more: true, last_id: "b2" }), page([wire("b1")]))
        const first = yield* provider.list(null)
        assert.deepStrictEqual([first.batches.map(({ id }) => id), first.next], [["b2"], "b2"])
        const second = yield* provider.list(first.next)
        assert.deepStrictEqual([second.batches.map(({ id }) => id), second.next], [["b1"], null])
        assert.deepStrictEqual(sent.map(({ url }) => url), [
          "https://api.anthropic.com/v1/messages/batches?limit=1000",
          "https://api.anthropic.com/v1/messages/batches?limit=1000&after_id=b2"
        ])
      }))

    it.effect("does not take a list that leads nowhere for its end", () =>
      Effect.gen(function*() {
        const answers = [page([], { has_more: true }), page([wire("b2")], { has_more: true, last_id: "b2" }), json({})]
        const { provider } = setup(...answers)
        assert.strictEqual((yield* Effect.flip(provider.list(null))).reason, "unexpected")
        assert.strictEqual((yield* Effect.flip(provider.list("b2"))).reason, "unexpected")
        assert.strictEqual((yield* Effect.flip(provider.list(null))).reason, "unexpected")
      }))

    it.effect("cancels, also what has ended in the meantime", () =>
      Effect.gen(function*() {
        const { provider, sent } = setup(
          json(wire("b", { processing_status: "canceling" })),
          anthropicError(400, "invalid_request_error", "has ended"),
          json(ended("b")),
          anthropicError(400, "invalid_request_error", "no"),
          json(wire("b"))
        )
        assert.strictEqual((yield* provider.cancel("b")).status, "cancelling")
        assert.strictEqual((yield* provider.cancel("b")).status, "ended")
        assert.strictEqual((yield* Effect.flip(provider.cancel("b"))).reason, "refused")
        assert.deepStrictEqual([sent[0]?.method, sent[0]?.url], [
          "POST",
          "https://api.anthropic.com/v1/messages/batches/b/cancel"
        ])
      }))

    it.effect("deletes, and knows what was gone before", () =>
      Effect.gen(function*() {
        const { provider, sent } = setup(
          json({ id: "b", type: "message_batch_deleted" }),
          anthropicError(404, "not_found_error", "no such batch")
        )
        const batch = new BatchSnapshot({
          id: "b",
          status: "ended",
          ending: "completed",
          providerStatus: "ended",
          counts: new RequestCounts({ total: 1, succeeded: 1, errored: 0, expired: 0, cancelled: 0 }),
          createdAt: utc("2026-11-20T10:00:00Z"),
          expiresAt: null,
          endedAt: null,
          inputFileId: null,
          files: [],
          problems: []
        })
        assert.deepStrictEqual(yield* provider.delete(batch), ["b"])
        assert.deepStrictEqual(yield* provider.delete(batch), [])
        assert.deepStrictEqual([sent[0]?.method, sent[0]?.url], [
          "DELETE",
          "https://api.anthropic.com/v1/messages/batches/b"
        ])
      }))
  })

  describe("download", () => {
    const file = new ResultFile({ kind: "output", reference: "b" })
    const download = (provider: Provider.Service) =>
      Effect.map(Stream.runCollect(provider.download(file)), (blocks) => Buffer.concat(Chunk.toArray(blocks)))

    it.effect("gives the bytes at the results' address as they were sent", () =>
      Effect.gen(function*() {
        const bytes = Buffer.from([0x1f, 0x8b, 0xff, 0x00, 0x0a, 0xc3])
        const url = "https://api.anthropic.com/v1/elsewhere/b?signature=abc"
        const { provider, sent } = setup(json(ended("b", { results_url: url })), new Response(bytes))
        assert.deepStrictEqual(yield* download(provider), bytes)
        assert.strictEqual(sent[1]?.url, url)
        assert.strictEqual(sent[1]?.headers.get("authorization"), `Bearer ${key}`)
      }))

    it.effect("stays on the configured server, whatever address a batch names", () =>
      Effect.gen(function*() {
        for (
          const url of [
            "https://evil.example.com/results?signature=abc",
            "http://api.anthropic.com/v1/messages/batches/b/results",
            "https://api.anthropic.com:8443/results",
            "https://api.anthropic.com@evil.example.com/results",
            "//evil.example.com/results"
          ]
        ) {
          const { provider, sent } = setup(json(ended("b", { results_url: url })), new Response("line\n"))
          assert.strictEqual((yield* download(provider)).toString(), "line\n")
          assert.strictEqual(sent[1]?.url, "https://api.anthropic.com/v1/messages/batches/b/results")
          assert.strictEqual(sent.length, 2)
        }
      }))

    it.effect("asks where the API documents them for results whose address is left out", () =>
      Effect.gen(function*() {
        const batch = { id: "msgbatch_1", processing_status: "ended" }
        for (const answer of [batch, { ...batch, results_url: null }, { ...batch, results_url: "" }]) {
          const { provider, sent } = setup(json(answer), json(answer), new Response("line\n"))
          assert.lengthOf((yield* provider.retrieve("msgbatch_1")).files, 1)
          assert.strictEqual((yield* download(provider)).toString(), "line\n")
          assert.strictEqual(sent[2]?.url, "https://api.anthropic.com/v1/messages/batches/msgbatch_1/results")
        }
      }))

    it.effect("tells results that are gone", () =>
      Effect.gen(function*() {
        const archived = setup(json(ended("b", { archived_at: "2026-12-20T00:00:00Z" })))
        assert.strictEqual((yield* Effect.flip(download(archived.provider))).reason, "gone")
        const missing = setup(json(ended("b")), anthropicError(404, "not_found_error", "no results"))
        assert.strictEqual((yield* Effect.flip(download(missing.provider))).reason, "gone")
      }))

    it.effect("fails as unreachable when the bytes break off", () =>
      Effect.gen(function*() {
        let pulls = 0
        const body = new ReadableStream<Uint8Array>({
          pull: (controller) => {
            if (pulls++ === 0) controller.enqueue(Buffer.from("half"))
            else controller.error(network("ECONNRESET"))
          }
        })
        const { provider } = setup(json(ended("b")), new Response(body))
        const error = yield* Effect.flip(download(provider))
        assert.deepStrictEqual([error.reason, error.operation], ["unreachable", "download the results of b"])
      }))
  })

  describe("find", () => {
    const tag = new SubmitTag({
      runTag: "mine",
      shard: "0001",
      sha256: "0".repeat(64),
      rows: 3
    })
    /** The rows of the shard: those of another lie between them. */
    const holds = (row: number) => [1, 4, 17].includes(row)
    const since = utc("2026-11-20T10:00:00Z")
    const results = (customId: string) =>
      new Response(`${JSON.stringify({ custom_id: customId, result: { type: "expired" } })}\n`)
    const find = (script: ReadonlyArray<Response>, exclude: ReadonlyArray<string> = []) =>
      Effect.gen(function*() {
        const { provider, sent } = setup(...script)
        const finding = yield* provider.find(tag, since, new Set(exclude), holds)
        assert.strictEqual(sent.length, script.length)
        switch (finding._tag) {
          case "Absent":
            return "absent"
          case "Found":
            return finding.snapshot.id
          case "Ambiguous":
            return finding.candidates.map(({ id }) => id)
        }
      })

    it.effect("is absent when nothing of its size was made since", () =>
      Effect.gen(function*() {
        const other = wire("other-size", { request_counts: counts({ processing: 4 }) })
        const old = wire("old", { created_at: "2026-11-20T09:54:59Z" })
        assert.strictEqual(yield* find([page([])]), "absent")
        assert.strictEqual(yield* find([page([other, old])]), "absent")
        assert.strictEqual(yield* find([page([wire("known")])], ["known"]), "absent")
      }))

    it.effect("reads the list back to before the intent, and no further", () =>
      Effect.gen(function*() {
        const young = wire("young", { created_at: "2026-11-20T10:20:00Z", request_counts: counts({ processing: 9 }) })
        const old = wire("old", { created_at: "2026-11-20T09:00:00Z" })
        const first = page([young], { has_more: true, last_id: "young" })
        assert.strictEqual(yield* find([first, page([young, old], { has_more: true, last_id: "old" })]), "absent")
      }))

    it.effect("fails when pages bring nothing new and never end", () =>
      Effect.gen(function*() {
        const more = (id: string) =>
          page([wire(id, { created_at: "2026-11-20T10:20:00Z" })], { has_more: true, last_id: id })
        const { provider } = setup(more("a"), more("b"), more("a"), more("b"))
        const error = yield* Effect.flip(provider.find(tag, since, new Set(), holds))
        assert.strictEqual(error.reason, "unexpected")
      }))

    it.effect("allows for servers whose clocks are five minutes apart", () =>
      Effect.gen(function*() {
        const skewed = wire("b", { created_at: "2026-11-20T09:55:01Z" })
        assert.deepStrictEqual(yield* find([page([skewed])]), ["b"])
      }))

    it.effect("has no use for our own clock, however wrong it is", () =>
      Effect.gen(function*() {
        const undated = wire("undated", { created_at: null })
        for (const ours of ["2020-01-01T00:00:00Z", "2026-11-19T10:00:00Z", "2026-11-21T10:00:00Z"]) {
          yield* TestClock.setTime(Date.parse(ours))
          assert.deepStrictEqual(yield* find([page([wire("b")])]), ["b"])
          assert.deepStrictEqual(yield* find([page([undated])]), ["undated"])
          assert.strictEqual(yield* find([page([wire("old", { created_at: "2026-11-20T09:00:00Z" })])]), "absent")
        }
      }))

    it.effect("cannot prove a batch that is running", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* find([page([wire("b")])]), ["b"])
        assert.deepStrictEqual(yield* find([page([wire("b", { request_counts: null })])]), ["b"])
      }))

    it.effect("proves an ended batch by the ids in its results, and strikes off a foreign one", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* find([page([ended("b")]), results("mine-17")]), "b")
        assert.strictEqual(yield* find([page([ended("b")]), results("other-17")]), "absent")
        assert.strictEqual(
          yield* find([page([ended("b1"), ended("b2")]), results("other-1"), results("mine-1")]),
          "b2"
        )
      }))

    it.effect("does not take a batch of as many rows that lie between its own", () =>
      Effect.gen(function*() {
        const interleaved = () => [page([ended("b1"), ended("b2")]), results("mine-2"), results("mine-4")]
        assert.strictEqual(yield* find(interleaved()), "b2")
        assert.strictEqual(yield* find([page([ended("b1")]), results("mine-2")]), "absent")
      }))

    it.effect("names all that are left", () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(
          yield* find([page([ended("b1"), wire("b2"), ended("b3")]), results("mine-1"), results("other-1")]),
          "b1",
          "the one that is proved, whatever the others are"
        )
        assert.deepStrictEqual(
          yield* find([page([wire("b1"), wire("b2")])]),
          ["b1", "b2"]
        )
        assert.deepStrictEqual(
          yield* find([page([ended("b1"), ended("b2")]), results("mine-1"), results("mine-4")]),
          ["b1", "b2"]
        )
      }))

    it.effect("cannot prove what has no readable results", () =>
      Effect.gen(function*() {
        const gone = anthropicError(404, "not_found_error", "no results")
        assert.deepStrictEqual(yield* find([page([ended("b")]), gone]), ["b"])
        assert.deepStrictEqual(yield* find([page([ended("b", { archived_at: "2026-11-20T11:00:00Z" })])]), ["b"])
        const evil = page([ended("b", { results_url: "https://evil.example.com" })])
        assert.deepStrictEqual(yield* find([evil, anthropicError(404, "not_found_error", "no results")]), ["b"])
        assert.deepStrictEqual(yield* find([page([ended("b")]), new Response("not JSON\n")]), ["b"])
      }))

    it.effect("looks past lines that cannot be read", () =>
      Effect.gen(function*() {
        const torn = new Response("\n{\"custom\n{\"custom_id\":\"mine-1\"}")
        assert.strictEqual(yield* find([page([ended("b")]), torn]), "b")
      }))

    it.effect("fails when the list cannot be read", () =>
      Effect.gen(function*() {
        const { provider } = setup(anthropicError(503, "api_error", "down"))
        assert.strictEqual((yield* Effect.flip(provider.find(tag, since, new Set(), holds))).reason, "unreachable")
      }))
  })

  it.effect("no error shows the key, however it is echoed", () =>
    Effect.gen(function*() {
      const echo = () =>
        anthropicError(401, "authentication_error", `invalid key ${key} in Authorization: Bearer ${key}`)
      const html = () => new Response(`<html>${key}</html>`, { status: 502, headers: { "x-key": key } })
      const leaky = () => Object.assign(new Error(`failed with ${key}`), { code: "ECONNRESET", headers: { key } })
      for (const answer of [echo, html, leaky]) {
        const { provider } = setup(answer(), answer(), answer(), answer())
        const errors = [
          yield* Effect.flip(create(provider)),
          yield* Effect.flip(provider.retrieve("b")),
          yield* Effect.flip(provider.list(null)),
          yield* Effect.flip(Stream.runDrain(provider.download(new ResultFile({ kind: "output", reference: "b" }))))
        ]
        for (const error of errors) {
          assert.notInclude(error.message, key)
          assert.notInclude(JSON.stringify(error), key)
          assert.notInclude(String(error.stack), key)
        }
      }
    }))
})
