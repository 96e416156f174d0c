import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { onTestFinished, vi } from "vitest"
import type { BatchSnapshot } from "../../src/Batch.js"
import { HttpTransportError } from "../../src/internal/HttpTransport.js"
import { Provider } from "../../src/Provider.js"
import * as OpenAi from "../../src/provider/OpenAi.js"
import { DiskError } from "../../src/RunError.js"
import { Shard, submitTag } from "../../src/Shard.js"
import { lent } from "../Blocks.js"

const canary = "canary-9f8e7d6c5b4a"

interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: Headers
  readonly body: string
}

/** A provider whose requests are recorded, and answered by `answer` in place of a server. */
const make = (answer: (request: Seen) => Response, options: OpenAi.Options = {}) => {
  const seen: Array<Seen> = []
  const provider = OpenAi.make({
    apiKey: Redacted.make(canary),
    baseUrl: "https://api.example.com/v1",
    ...options,
    fetch: async (input, init = {}) => {
      const body = init.body === undefined || init.body === null ? "" : await new Response(init.body).text()
      const request = {
        method: init.method ?? "GET",
        url: input instanceof Request ? input.url : input.toString(),
        headers: new Headers(init.headers),
        body
      }
      seen.push(request)
      return answer(request)
    }
  })
  return { provider, seen }
}

const json = (value: unknown, status = 200) =>
  new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json" } })

const shard = new Shard({
  id: "0001",
  directory: "/runs/run_a",
  runTag: "k3f9a2x7qd",
  provider: "openai",
  endpoint: "/v1/responses",
  model: "gpt-5-mini",
  betas: [],
  rows: 2,
  bytes: 16,
  sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
  firstRow: 1,
  lastRow: 2,
  attempt: 1,
  parents: []
})

const bytes = Stream.make(Buffer.from("{\"a\":1}\n{"), Buffer.from("\"a\":2}\n"))

const uploaded = { _tag: "UploadedFile", fileId: "file-1" } as const

const metadata = {
  llm_batch_run: "k3f9a2x7qd",
  llm_batch_shard: "0001",
  llm_batch_sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
  llm_batch_rows: "2"
}

const batch = (fields: object = {}) => ({
  id: "batch_1",
  object: "batch",
  endpoint: "/v1/responses",
  errors: null,
  input_file_id: "file-1",
  completion_window: "24h",
  status: "validating",
  output_file_id: null,
  error_file_id: null,
  created_at: 1795161600,
  expires_at: 1795248000,
  request_counts: { total: 0, completed: 0, failed: 0 },
  metadata,
  ...fields
})

const ids = (snapshots: ReadonlyArray<BatchSnapshot>) => snapshots.map((snapshot) => snapshot.id)

describe("account", () => {
  it.effect("names who pays, without a secret", () =>
    Effect.gen(function*() {
      const { provider, seen } = make(() => json({}), {
        apiKey: Redacted.make("sk-test\n"),
        baseUrl: "https://me:pw@api.example.com/v1/?sig=s3cret",
        organization: "org-1",
        project: "proj-1"
      })
      assert.deepStrictEqual({ ...(yield* provider.account("salt")) }, {
        provider: "openai",
        baseUrl: "https://api.example.com/v1",
        scope: "org-1/proj-1",
        // printf saltsk-test | sha256sum
        keyFingerprint: "40bc12f4e72dd67a"
      })
      assert.deepStrictEqual(seen, [])
    }))

  it.effect("says which variable is missing or wrong, and makes no call", () =>
    Effect.gen(function*() {
      const { provider, seen } = make(() => json({}), { apiKey: undefined })
      const error = yield* Effect.flip(provider.account("salt"))
      assert.strictEqual(error.reason, "auth")
      assert.include(error.message, "set OPENAI_API_KEY")
      assert.strictEqual((yield* Effect.flip(provider.retrieve("batch_1"))).reason, "auth")
      assert.strictEqual((yield* Effect.flip(provider.upload(shard, bytes)))._tag, "NotSent")
      assert.strictEqual((yield* Effect.flip(provider.create(shard, uploaded, bytes)))._tag, "NotSent")
      const odd = make(() => json({}), { apiKey: Redacted.make(`${canary}\u2026`) })
      const oddError = yield* Effect.flip(odd.provider.account("salt"))
      assert.strictEqual(oddError.reason, "auth")
      assert.notInclude(oddError.message, canary)
      const homeless = make(() => json({}), { baseUrl: "api.example.com" })
      assert.include((yield* Effect.flip(homeless.provider.account("salt"))).message, "OPENAI_BASE_URL")
      assert.deepStrictEqual([...seen, ...odd.seen, ...homeless.seen], [])
    }))
})

describe("layerConfig", () => {
  const account = (variables: ReadonlyArray<readonly [string, string]>, overrides?: OpenAi.Options) =>
    Effect.flatMap(Provider, (provider) => provider.account("")).pipe(
      Effect.provide(OpenAi.layerConfig(overrides)),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(variables)))
    )

  it.effect("reads the SDK's variables, empty ones as unset, and lets options come first", () =>
    Effect.gen(function*() {
      const configured = yield* account([
        ["OPENAI_API_KEY", canary],
        ["OPENAI_BASE_URL", "http://localhost:8000/v1"],
        ["OPENAI_ORG_ID", "org-1"],
        ["OPENAI_PROJECT_ID", " "]
      ])
      assert.strictEqual(configured.baseUrl, "http://localhost:8000/v1")
      assert.strictEqual(configured.scope, "org-1")
      const overridden = yield* account([["OPENAI_API_KEY", canary], ["OPENAI_BASE_URL", ""]], { project: "proj-2" })
      assert.strictEqual(overridden.baseUrl, "https://api.openai.com/v1")
      assert.strictEqual(overridden.scope, "proj-2")
      for (const unset of [[], [["OPENAI_API_KEY", ""]]] as const) {
        const error = yield* Effect.flip(account(unset))
        assert.strictEqual(error._tag === "ProviderError" ? error.reason : error._op, "auth")
      }
    }))
})

describe("upload", () => {
  it.effect("sends the shard as a form of known length", () =>
    Effect.gen(function*() {
      const { provider, seen } = make(() => json({ id: "file-1", object: "file" }))
      assert.deepStrictEqual(yield* provider.upload(shard, bytes), { _tag: "UploadedFile", fileId: "file-1" })
      assert.strictEqual(seen.length, 1)
      assert.strictEqual(seen[0]?.method, "POST")
      assert.strictEqual(seen[0]?.url, "https://api.example.com/v1/files")
      assert.strictEqual(
        seen[0]?.body,
        "--llm-batch-0123456789abcdef0123456789abcdef\r\n"
          + "Content-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
          + "--llm-batch-0123456789abcdef0123456789abcdef\r\n"
          + "Content-Disposition: form-data; name=\"file\"; filename=\"k3f9a2x7qd-0001.jsonl\"\r\n"
          + "Content-Type: application/octet-stream\r\n\r\n"
          + "{\"a\":1}\n{\"a\":2}\n"
          + "\r\n--llm-batch-0123456789abcdef0123456789abcdef--\r\n"
      )
      assert.strictEqual(seen[0]?.headers.get("content-length"), String(seen[0]?.body.length))
      assert.strictEqual(
        seen[0]?.headers.get("content-type"),
        "multipart/form-data; boundary=llm-batch-0123456789abcdef0123456789abcdef"
      )
      assert.strictEqual(seen[0]?.headers.get("authorization"), `Bearer ${canary}`)
    }))

  it.effect("copies blocks that are lent for a fetch that keeps what it reads", () =>
    Effect.gen(function*() {
      const { provider, seen } = make(() => json({ id: "file-1", object: "file" }))
      yield* provider.upload(shard, lent([Buffer.from("{\"a\":1}\n{"), Buffer.from("\"a\":2}\n")]))
      assert.include(seen[0]?.body, "\r\n\r\n{\"a\":1}\n{\"a\":2}\n\r\n--")
    }))

  it.effect("keeps when the file came there by the provider's clock, before which no batch of it was made", () =>
    Effect.gen(function*() {
      const { provider } = make(() => json({ id: "file-1", object: "file", created_at: 1795161600 }))
      assert.deepStrictEqual(yield* provider.upload(shard, bytes), {
        _tag: "UploadedFile",
        fileId: "file-1",
        createdAt: DateTime.unsafeMake("2026-11-20T08:00:00Z")
      })
    }))

  it.effect("fails with the disk's error when the disk fails, and closes what it read", () =>
    Effect.gen(function*() {
      const { provider } = make(() => json({ id: "file-1" }))
      const broken = new DiskError({ operation: "read", path: "/runs/run_a/x", code: "EIO", detail: "i/o error" })
      let closed = 0
      const failing = Stream.concat(Stream.take(bytes, 1), Stream.fail(broken)).pipe(
        Stream.ensuring(Effect.sync(() => closed++))
      )
      const error = yield* Effect.flip(provider.upload(shard, failing))
      assert.strictEqual(`${error._tag} ${error.detail}`, "DiskError i/o error")
      const refusing = make(() => {
        throw new TypeError("nobody reads the body")
      })
      yield* Effect.flip(refusing.provider.upload(shard, Stream.ensuring(bytes, Effect.sync(() => closed++))))
      assert.strictEqual(closed, 2)
    }))

  it.effect("does not believe an answer without an id", () =>
    Effect.gen(function*() {
      for (const answer of [json({}), json({ id: "" }), new Response("<html>"), new Response("")]) {
        const { provider } = make(() => answer)
        assert.strictEqual((yield* Effect.flip(provider.upload(shard, bytes)))._tag, "Unknown")
      }
    }))
})

describe("create", () => {
  it.effect("makes one marked request", () =>
    Effect.gen(function*() {
      const { provider, seen } = make(() => json(batch()), { outputExpiresAfter: "2 hours", organization: "org-1" })
      const snapshot = yield* provider.create(shard, uploaded, bytes)
      assert.strictEqual(snapshot.id, "batch_1")
      assert.strictEqual(snapshot.status, "validating")
      assert.strictEqual(seen.length, 1)
      assert.strictEqual(seen[0]?.method, "POST")
      assert.strictEqual(seen[0]?.url, "https://api.example.com/v1/batches")
      assert.strictEqual(seen[0]?.headers.get("openai-organization"), "org-1")
      assert.strictEqual(seen[0]?.headers.get("openai-project"), null)
      assert.deepStrictEqual(JSON.parse(seen[0]?.body ?? ""), {
        input_file_id: "file-1",
        endpoint: "/v1/responses",
        completion_window: "24h",
        metadata: {
          llm_batch_run: "k3f9a2x7qd",
          llm_batch_shard: "0001",
          llm_batch_sha256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
          llm_batch_rows: "2"
        },
        output_expires_after: { anchor: "created_at", seconds: 7200 }
      })
    }))

  it("whose answer trickles is unknown", async () => {
    // The SDK is loaded in time that is not the test's.
    const { provider } = make((request) =>
      request.method === "GET" ? json(batch()) : new Response(
        new ReadableStream({ start: (controller) => controller.enqueue(Buffer.from("{")) })
      )
    )
    await Effect.runPromise(provider.retrieve("batch_1"))
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    onTestFinished(() => void vi.useRealTimers())
    const created = Effect.runPromise(Effect.flip(provider.create(shard, uploaded, bytes)))
    await vi.advanceTimersByTimeAsync(120_000)
    const error = await created
    assert.strictEqual(error._tag, "Unknown")
    assert.include(error.message, "did not come to its end within 60 seconds")
  })

  it.effect("tells what a failure means for the money, in one request", () =>
    Effect.gen(function*() {
      const told = (answer: () => Response) =>
        Effect.gen(function*() {
          const { provider, seen } = make(answer)
          const error = yield* Effect.flip(provider.create(shard, uploaded, bytes))
          assert.strictEqual(seen.length, 1)
          return error._tag
        })
      const status = (code: number) => told(() => json({ error: { message: "no" } }, code))
      const lost = (code: string, sent: boolean) =>
        told(() => {
          throw new HttpTransportError({ request: "POST https://api.example.com", problem: "lost", code, sent })
        })
      for (const code of [400, 401, 403, 404, 413, 422])
        assert.strictEqual(yield* status(code), "Refused", String(code))
      for (const code of [408, 409, 429, 500, 502, 503, 504]) {
        assert.strictEqual(yield* status(code), "Unknown", String(code))
      }
      assert.strictEqual(yield* lost("ECONNREFUSED", false), "NotSent")
      assert.strictEqual(yield* lost("ECONNRESET", true), "Unknown")
      assert.strictEqual(
        yield* told(() => json({ object: "batch" })),
        "Unknown"
      )
      assert.strictEqual(yield* told(() => new Response("<html>ok</html>")), "Unknown")
      assert.strictEqual(yield* told(() => new Response(null, { status: 204 })), "Unknown")
    }))

  it.effect("needs an uploaded file", () =>
    Effect.gen(function*() {
      const { provider, seen } = make(() => json(batch()))
      assert.strictEqual((yield* Effect.flip(provider.create(shard, { _tag: "InCreate" }, bytes)))._tag, "NotSent")
      assert.deepStrictEqual(seen, [])
    }))

  it.effect("gives no secret away", () =>
    Effect.gen(function*() {
      const { provider } = make(() => json({ error: { message: `Incorrect API key provided: ${canary}` } }, 401))
      const error = yield* Effect.flip(provider.create(shard, uploaded, bytes))
      assert.notInclude(`${error.message} ${JSON.stringify(error)} ${String(error)}`, canary)
      const reading = yield* Effect.flip(provider.retrieve("batch_1"))
      assert.notInclude(`${reading.message} ${JSON.stringify(reading)} ${String(reading)}`, canary)
    }))
})

describe("retrieve", () => {
  const retrieve = (fields: object) => make(() => json(batch(fields))).provider.retrieve("batch_1")

  it.effect("gives a snapshot", () =>
    Effect.gen(function*() {
      const snapshot = yield* retrieve({
        status: "expired",
        output_file_id: "file-2",
        error_file_id: "file-3",
        expired_at: 1795248060,
        request_counts: { total: 9, completed: 5, failed: 1 }
      })
      assert.deepStrictEqual(JSON.parse(JSON.stringify(snapshot)), {
        id: "batch_1",
        status: "ended",
        ending: "expired",
        providerStatus: "expired",
        counts: { total: 9, succeeded: 5, errored: 1, expired: 0, cancelled: 0 },
        createdAt: "2026-11-20T08:00:00.000Z",
        expiresAt: "2026-11-21T08:00:00.000Z",
        endedAt: "2026-11-21T08:01:00.000Z",
        inputFileId: "file-1",
        files: [{ kind: "output", reference: "file-2" }, { kind: "error", reference: "file-3" }],
        problems: []
      })
    }))

  it.effect("knows every status, and waits on those it does not know", () =>
    Effect.gen(function*() {
      const standing = (status: string) =>
        Effect.map(retrieve({ status }), (snapshot) => `${snapshot.status} ${snapshot.ending}`)
      assert.strictEqual(yield* standing("validating"), "validating null")
      assert.strictEqual(yield* standing("in_progress"), "in_progress null")
      assert.strictEqual(yield* standing("finalizing"), "finalizing null")
      assert.strictEqual(yield* standing("cancelling"), "cancelling null")
      assert.strictEqual(yield* standing("completed"), "ended completed")
      assert.strictEqual(yield* standing("failed"), "ended failed")
      assert.strictEqual(yield* standing("expired"), "ended expired")
      assert.strictEqual(yield* standing("cancelled"), "ended cancelled")
      assert.strictEqual(yield* standing("IN_PROGRESS"), "in_progress null")
      assert.strictEqual(yield* standing("InProgress"), "in_progress null")
      assert.strictEqual(yield* standing("Completed"), "ended completed")
      assert.strictEqual(yield* standing("pondering"), "in_progress null")
      assert.strictEqual((yield* retrieve({ status: "pondering" })).providerStatus, "pondering")
    }))

  it.effect("takes nulls, empty strings, dates and lists as other servers send them", () =>
    Effect.gen(function*() {
      const snapshot = yield* retrieve({
        status: "Completed",
        output_file_id: "",
        error_file_id: "",
        input_file_id: "",
        created_at: "2026-11-20T08:00:00.123456+00:00",
        expires_at: "",
        completed_at: "1795161660",
        request_counts: null,
        errors: [{ message: "Bad line", code: "", line: 3 }, "odd"],
        metadata: null
      })
      assert.deepStrictEqual(JSON.parse(JSON.stringify(snapshot)), {
        id: "batch_1",
        status: "ended",
        ending: "completed",
        providerStatus: "Completed",
        counts: { total: 0, succeeded: 0, errored: 0, expired: 0, cancelled: 0 },
        createdAt: "2026-11-20T08:00:00.123Z",
        expiresAt: null,
        endedAt: "2026-11-20T08:01:00.000Z",
        inputFileId: null,
        files: [],
        problems: [{ code: null, message: "Bad line", line: 3 }, { code: null, message: "odd", line: null }]
      })
      const zoneless = yield* retrieve({ created_at: "2026-11-20T08:00:00", expires_at: "2026-11-21 08:00:00.5" })
      assert.strictEqual(DateTime.formatIso(zoneless.createdAt), "2026-11-20T08:00:00.000Z")
      assert.strictEqual(zoneless.expiresAt && DateTime.formatIso(zoneless.expiresAt), "2026-11-21T08:00:00.500Z")
      const odd = yield* retrieve({ request_counts: { total: -1, completed: "2", failed: 1.5 }, created_at: 1e300 })
      assert.deepStrictEqual({ ...odd.counts }, { total: 0, succeeded: 2, errored: 0, expired: 0, cancelled: 0 })
    }))

  it.effect("says what is wrong with a batch", () =>
    Effect.gen(function*() {
      const snapshot = yield* retrieve({
        status: "failed",
        failed_at: 1795161700,
        errors: {
          object: "list",
          data: [{ code: "invalid_json_line", message: "Not JSON.", param: null, line: 7 }, {
            code: "empty_file",
            message: null
          }]
        }
      })
      assert.deepStrictEqual(JSON.parse(JSON.stringify(snapshot.problems)), [
        { code: "invalid_json_line", message: "Not JSON.", line: 7 },
        { code: "empty_file", message: "empty_file", line: null }
      ])
    }))

  it.effect("has a reason when it fails, and reads JSON without its content type", () =>
    Effect.gen(function*() {
      const reason = (response: Response) =>
        Effect.map(Effect.flip(make(() => response).provider.retrieve("batch_1")), (error) => error.reason)
      assert.strictEqual(yield* reason(json({ error: { message: "No batch" } }, 404)), "gone")
      assert.strictEqual(yield* reason(json({ error: { message: "No key" } }, 401)), "auth")
      assert.strictEqual(yield* reason(new Response("<html>", { status: 502 })), "unreachable")
      assert.strictEqual(yield* reason(new Response("<html>")), "unexpected")
      assert.strictEqual(yield* reason(json([])), "unexpected")
      const plain = make(() => new Response(JSON.stringify(batch())))
      assert.strictEqual((yield* plain.provider.retrieve("batch_1")).id, "batch_1")
    }))
})

describe("list", () => {
  it.effect("turns pages", () =>
    Effect.gen(function*() {
      const { provider, seen } = make(({ url }) =>
        url.includes("after=batch_2")
          ? json({ object: "list", data: [batch({ id: "batch_1" })], has_more: false })
          : json({ object: "list", data: [batch({ id: "batch_3" }), batch({ id: "batch_2" })], has_more: true })
      )
      const first = yield* provider.list(null)
      assert.deepStrictEqual(ids(first.batches), ["batch_3", "batch_2"])
      assert.strictEqual(first.next, "batch_2")
      const second = yield* provider.list(first.next)
      assert.deepStrictEqual(ids(second.batches), ["batch_1"])
      assert.strictEqual(second.next, null)
      assert.deepStrictEqual(seen.map((request) => request.url), [
        "https://api.example.com/v1/batches?limit=100",
        "https://api.example.com/v1/batches?limit=100&after=batch_2"
      ])
    }))

  it.effect("does not take anything else for an empty list", () =>
    Effect.gen(function*() {
      const answers = [
        new Response("<html>", { headers: { "content-type": "text/html" } }),
        json({}),
        json({ data: null }),
        json({ data: [{ object: "batch" }] }),
        json({ data: [], has_more: true })
      ]
      for (const answer of answers) {
        const { provider } = make(() => answer)
        assert.strictEqual((yield* Effect.flip(provider.list(null))).reason, "unexpected")
      }
    }))
})

describe("find", () => {
  const tag = submitTag(shard)
  const since = DateTime.unsafeMake("2026-11-20T08:00:00Z")
  const at = (time: string) => Date.parse(`2026-11-20T${time}Z`) / 1000

  /** A server with these batches, newest first, in pages of two. */
  const serving = (...batches: ReadonlyArray<{ readonly id: string }>) =>
    make(({ url }) => {
      const after = new URL(url).searchParams.get("after")
      const start = after === null ? 0 : batches.findIndex((each) => each.id === after) + 1
      return json({ object: "list", data: batches.slice(start, start + 2), has_more: start + 2 < batches.length })
    })

  const found = (
    server: ReturnType<typeof make>,
    exclude: ReadonlyArray<string> = []
  ) =>
    Effect.map(server.provider.find(tag, since, new Set(exclude), () => false), (finding) =>
      finding._tag === "Found"
        ? `Found ${finding.snapshot.id}`
        : finding._tag === "Ambiguous"
        ? `Ambiguous ${ids(finding.candidates).join(" ")}`
        : "Absent")

  const other = (id: string, time: string) =>
    batch({ id, created_at: at(time), metadata: { ...metadata, llm_batch_shard: "0002" } })

  it.effect("reads on until before the intent, servers whose clocks differ allowed for", () =>
    Effect.gen(function*() {
      const server = serving(
        other("b9", "09:00:00"),
        other("b8", "08:30:00"),
        other("b7", "08:00:10"),
        batch({ id: "b6", created_at: at("07:56:00") }),
        other("b5", "07:54:00"),
        other("b4", "07:53:00"),
        other("b3", "07:52:00")
      )
      assert.strictEqual(yield* found(server), "Found b6")
      assert.strictEqual(server.seen.length, 3)
    }))

  it.effect("is absent when the list was read and it is not there", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* found(serving()), "Absent")
      assert.strictEqual(yield* found(serving(other("b1", "08:00:10"))), "Absent")
      assert.strictEqual(yield* found(serving(batch({ id: "b1", created_at: at("07:50:00") }))), "Absent")
      assert.strictEqual(yield* found(serving(batch({ id: "b1" })), ["b1"]), "Absent")
    }))

  it.effect("has no use for our own clock, however wrong it is", () =>
    Effect.gen(function*() {
      for (const ours of ["2020-01-01T00:00:00Z", "2026-11-19T08:00:00Z", "2026-11-21T08:00:00Z"]) {
        yield* TestClock.setTime(Date.parse(ours))
        assert.strictEqual(yield* found(serving(batch({ id: "b1", created_at: at("08:00:00") }))), "Found b1")
        assert.strictEqual(yield* found(serving(batch({ id: "b1", created_at: null }))), "Found b1")
        assert.strictEqual(yield* found(serving(batch({ id: "b1", created_at: at("07:50:00") }))), "Absent")
      }
    }))

  it.effect("is ambiguous when several are, or one is not proved to be", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* found(serving(batch({ id: "b2" }), batch({ id: "b1" }))), "Ambiguous b2 b1")
      const otherBytes = batch({ id: "b1", metadata: { ...metadata, llm_batch_sha256: "ffff" } })
      assert.strictEqual(yield* found(serving(otherBytes)), "Ambiguous b1")
    }))

  it.effect("does not call a batch absent at a server that keeps no marks", () =>
    Effect.gen(function*() {
      const unmarked = (id: string, total: number) =>
        batch({ id, metadata: null, request_counts: { total, completed: 0, failed: 0 } })
      const server = serving(unmarked("b3", 7), unmarked("b2", 2), unmarked("b1", 0))
      assert.strictEqual(yield* found(server), "Ambiguous b2 b1")
      assert.strictEqual(yield* found(serving(unmarked("b2", 2), other("b1", "08:00:00"))), "Absent")
    }))

  it.effect("reads a list that does not go back in time to its end", () =>
    Effect.gen(function*() {
      const server = serving(
        other("b1", "07:00:00"),
        other("b2", "07:30:00"),
        other("b3", "08:00:10"),
        batch({ id: "b4", created_at: at("08:00:20") })
      )
      assert.strictEqual(yield* found(server), "Found b4")
    }))
})

describe("cancel", () => {
  it.effect("gives the batch on its way out", () =>
    Effect.gen(function*() {
      const { provider, seen } = make(() => json(batch({ status: "cancelling" })))
      assert.strictEqual((yield* provider.cancel("batch_1")).status, "cancelling")
      assert.deepStrictEqual(seen.map(({ method, url }) => `${method} ${url}`), [
        "POST https://api.example.com/v1/batches/batch_1/cancel"
      ])
    }))

  it.effect("is content when the batch has ended before", () =>
    Effect.gen(function*() {
      const refusing = (status: string) =>
        make(({ method }) =>
          method === "POST"
            ? json({ error: { message: `Cannot cancel a batch that is ${status}` } }, 409)
            : json(batch({ status }))
        ).provider.cancel("batch_1")
      assert.strictEqual((yield* refusing("completed")).ending, "completed")
      assert.strictEqual((yield* Effect.flip(refusing("in_progress"))).status, 409)
    }))
})

describe("delete", () => {
  it.effect("deletes the files, and does not mind those that are gone", () =>
    Effect.gen(function*() {
      const { provider, seen } = make(({ method, url }) =>
        method === "GET"
          ? json(batch({ status: "completed", output_file_id: "file-2", error_file_id: "file-3" }))
          : url.endsWith("file-2")
          ? json({ error: { message: "No such File object: file-2" } }, 404)
          : json({ id: "file", object: "file", deleted: true })
      )
      const snapshot = yield* provider.retrieve("batch_1")
      assert.deepStrictEqual(yield* provider.delete(snapshot), ["file-1", "file-3"])
      assert.deepStrictEqual(seen.slice(1).map(({ method, url }) => `${method} ${url}`), [
        "DELETE https://api.example.com/v1/files/file-1",
        "DELETE https://api.example.com/v1/files/file-2",
        "DELETE https://api.example.com/v1/files/file-3"
      ])
    }))
})

describe("download", () => {
  const output = { kind: "output", reference: "file-2" } as const

  it.effect("gives the bytes as they were sent", () =>
    Effect.gen(function*() {
      const sent = new Uint8Array([0x1f, 0x8b, 0, 255, 10])
      const { provider, seen } = make(() => new Response(sent))
      const blocks = yield* Stream.runCollect(provider.download(output))
      assert.deepStrictEqual(Buffer.concat([...blocks]), Buffer.from(sent))
      assert.strictEqual(seen[0]?.url, "https://api.example.com/v1/files/file-2/content")
      assert.strictEqual(yield* Stream.runCount(make(() => new Response(null)).provider.download(output)), 0)
    }))

  it.effect("fails when it is gone, and when it breaks off", () =>
    Effect.gen(function*() {
      const gone = make(() => json({ error: { message: "No such File object" } }, 404))
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(gone.provider.download(output)))).reason, "gone")
      let pulls = 0
      const { provider } = make(() =>
        new Response(
          new ReadableStream({
            pull: (controller) => {
              if (pulls++ === 0) controller.enqueue(Buffer.from("half"))
              else controller.error(new TypeError("the response was cut short"))
            }
          })
        )
      )
      const received: Array<string> = []
      const error = yield* Effect.flip(
        Stream.runForEach(provider.download(output), (block) =>
          Effect.sync(() => received.push(Buffer.from(block).toString())))
      )
      assert.deepStrictEqual(received, ["half"])
      assert.strictEqual(error.reason, "unreachable")
      assert.strictEqual(error.detail, "the response was cut short")
    }))

  it.effect("lets go of the connection when nobody reads on", () =>
    Effect.gen(function*() {
      let cancelled = false
      const { provider } = make(() =>
        new Response(
          new ReadableStream({
            pull: (controller) => controller.enqueue(Buffer.from("more")),
            cancel: () => {
              cancelled = true
            }
          })
        )
      )
      yield* Stream.runDrain(Stream.take(provider.download(output), 2))
      assert.isTrue(cancelled)
    }))
})
