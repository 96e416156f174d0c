import Anthropic from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Http from "node:http"
import * as Zlib from "node:zlib"
import OpenAI from "openai"
import * as Yauzl from "yauzl"
import { CallFault, FaultPlan } from "../../src/emulator/FaultPlan.js"
import * as H from "./Harness.js"

/** A GET without an SDK in between: what came, and whether the connection broke. */
const get = (url: string) =>
  H.call(() =>
    new Promise<{ readonly headers: Http.IncomingHttpHeaders; readonly body: Buffer; readonly broken: boolean }>(
      (resolve, reject) => {
        const request = Http.get(url, { headers: { authorization: "Bearer k" }, agent: false }, (response) => {
          const chunks: Array<Buffer> = []
          const done = (broken: boolean) => resolve({ headers: response.headers, body: Buffer.concat(chunks), broken })
          response.on("data", (chunk: Buffer) => chunks.push(chunk))
          response.on("end", () => done(false))
          response.on("error", () => done(true))
        })
        request.on("error", reject)
      }
    )
  )

/** The members of a ZIP, by name. */
const unzip = (bytes: Buffer) =>
  H.call(() =>
    new Promise<ReadonlyArray<readonly [name: string, content: string]>>((resolve, reject) => {
      Yauzl.fromBuffer(bytes, { lazyEntries: true }, (error, zip) => {
        if (error !== null) return reject(error)
        const members: Array<readonly [string, string]> = []
        zip.on("error", reject)
        zip.on("end", () => resolve(members))
        zip.on("entry", (entry: Yauzl.Entry) =>
          zip.openReadStream(entry, (error, stream) => {
            if (error !== null) return reject(error)
            const chunks: Array<Buffer> = []
            stream.on("data", (chunk: Buffer) => chunks.push(chunk))
            stream.on("end", () => {
              members.push([entry.fileName, Buffer.concat(chunks).toString("utf8")])
              zip.readEntry()
            })
          }))
        zip.readEntry()
      })
    })
  )

const faults = (plan: ConstructorParameters<typeof FaultPlan>[0]) => ({ faults: new FaultPlan(plan) })

describe("emulator: faults of rows", () => {
  it.scopedLive("expires, errors, cancels and drops shares of rows, at OpenAI", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(faults({ expireRows: 0.1, errorRows: 0.2, cancelRows: 0.1, dropRows: 0.2 }))
      const batch = yield* H.finished(emulator, H.chatRows(300))
      assert.strictEqual(batch.status, "cancelled")
      const output = H.outputLines(yield* H.content(emulator, batch.output_file_id))
      const errors = H.outputLines(yield* H.content(emulator, batch.error_file_id))
      const of = (what: string) =>
        errors.filter((line) => (line.error?.code ?? String(line.response?.status_code)) === what).length
      assert.approximately(of("batch_expired"), 30, 15)
      assert.approximately(of("500"), 60, 20)
      assert.approximately(of("batch_cancelled"), 30, 15)
      const dropped = 300 - output.length - errors.length
      assert.approximately(dropped, 60, 20)
      const { totals } = yield* emulator.books
      assert.strictEqual(totals.billed, output.length + dropped)
    }))

  it.scopedLive("expires, errors, cancels and drops shares of rows, at Anthropic", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(
        faults({ expireRows: 0.1, errorRows: 0.2, cancelRows: 0.1, dropRows: 0.2, errorKind: "rate_limit" })
      )
      const results = yield* H.results(emulator, H.messages(300))
      const of = (type: string) => results.filter((line) => line.result.type === type).length
      const page = yield* H.call(() => emulator.anthropic.messages.batches.list())
      const counts = page.data[0]?.request_counts
      assert.deepInclude(counts, { errored: of("errored"), expired: of("expired"), canceled: of("canceled") })
      assert.approximately(of("errored"), 60, 20)
      assert.isTrue(
        results.every((line) => line.result.type !== "errored" || line.result.error.error.type === "rate_limit_error")
      )
      assert.approximately(300 - results.length, 60, 20)
      assert.strictEqual(counts?.succeeded, of("succeeded") + 300 - results.length)
    }))

  it.scopedLive("strikes the same bodies whatever their ids, and spares them after some attempts if so planned", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(faults({ expireRows: 0.3 }))
      const expired = (prefix: string) =>
        Effect.gen(function*() {
          const batch = yield* H.finished(emulator, H.chatRows(50, prefix))
          if (batch.status === "completed") return []
          const errors = H.outputLines(yield* H.content(emulator, batch.error_file_id))
          return errors.map((line) => line.custom_id.replace(prefix, "")).toSorted()
        })
      const first = yield* expired("a")
      assert.isAbove(first.length, 5)
      assert.deepStrictEqual(yield* expired("b"), first)
      yield* emulator.setFaults(new FaultPlan({ expireRows: 0.3, rowFaultAttempts: 1 }))
      assert.deepStrictEqual(yield* expired("c"), first)
      assert.deepStrictEqual(yield* expired("d"), [])
    }))

  it.scopedLive("doubles, breaks, adds and contradicts lines", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(
        faults({ duplicateRows: 0.3, duplicateConflicts: true, bothFilesRows: 0.2, malformedRows: 0.2, unknownRows: 2 })
      )
      const batch = yield* H.finished(emulator, H.chatRows(100))
      const lines = H.lines(yield* H.content(emulator, batch.output_file_id))
      const whole = lines.flatMap((line) => {
        try {
          return H.outputLines(Buffer.from(line))
        } catch {
          return []
        }
      })
      assert.approximately(lines.length - whole.length, 20, 12)
      assert.strictEqual(whole.filter((line) => line.custom_id.startsWith("unknown-")).length, 2)
      const ids = new Set(whole.map((line) => line.custom_id))
      const doubled = [...ids].map((id) => whole.filter((line) => line.custom_id === id)).filter(({ length }) =>
        length === 2
      )
      assert.approximately(doubled.length, 30, 15)
      for (const [one, two] of doubled)
        assert.notDeepEqual(one?.response?.body["choices"], two?.response?.body["choices"])
      const errors = H.outputLines(yield* H.content(emulator, batch.error_file_id))
      assert.approximately(errors.length, 20, 12)
      assert.isTrue(errors.every((line) => ids.has(line.custom_id)))
    }))
})

describe("emulator: faults of batches", () => {
  it.scopedLive("fails batches with the planned code", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(faults({ failBatches: 1, failCode: "token_limit_exceeded" }))
      const batch = yield* H.finished(emulator, H.chatRows(1))
      assert.deepStrictEqual([batch.status, batch.errors?.data?.[0]?.code], ["failed", "token_limit_exceeded"])
    }))

  it.scopedLive("expires batches with a share of their rows answered, at once or after the window", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(faults({ expireBatches: 1, expireBatchesAnswered: 0 }))
      const early = yield* H.finished(emulator, H.chatRows(10))
      assert.deepStrictEqual([early.status, early.output_file_id], ["expired", null])
      yield* emulator.setFaults(new FaultPlan({ expireBatches: 1, waitForWindow: true }))
      const waiting = yield* H.finished(emulator, H.chatRows(100))
      assert.strictEqual(waiting.status, "in_progress")
      yield* emulator.advance("24 hours")
      const late = yield* H.call(() => emulator.openai.batches.retrieve(waiting.id))
      assert.strictEqual(late.status, "expired")
      assert.approximately(late.request_counts?.completed ?? 0, 50, 20)
    }))
})

describe("emulator: what other servers say", () => {
  it.scopedLive("strange statuses, empty file ids, no counts, a foreign results_url", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(
        faults({
          strangeStatus: "Running",
          emptyFileIds: true,
          nullCounts: true,
          resultsOrigin: "http://elsewhere.example.com"
        })
      )
      const batch = yield* H.submit(emulator, H.chatRows(1))
      const messages = yield* H.submitMessages(emulator, H.messages(1))
      assert.strictEqual(messages.processing_status, "Running")
      yield* emulator.advance("30 seconds")
      const retrieve = H.call(() => emulator.openai.batches.retrieve(batch.id))
      assert.strictEqual((yield* retrieve).status, "Running")
      yield* emulator.advance("1 hour")
      const ended = yield* retrieve
      assert.deepStrictEqual([ended.status, ended.error_file_id, ended.request_counts], ["completed", "", null])
      const { results_url } = yield* H.call(() => emulator.anthropic.messages.batches.retrieve(messages.id))
      assert.strictEqual(results_url, `http://elsewhere.example.com/v1/messages/batches/${messages.id}/results`)
    }))
})

describe("emulator: forms of results", () => {
  const served = (plan: ConstructorParameters<typeof FaultPlan>[0], count = 20) =>
    Effect.gen(function*() {
      const emulator = yield* H.start(faults(plan))
      const batch = yield* H.finished(emulator, H.chatRows(count))
      return yield* get(`${emulator.openAiBaseUrl}/files/${batch.output_file_id}/content`)
    })

  it.scopedLive("plain, with its length", () =>
    Effect.gen(function*() {
      const { body, headers } = yield* served({})
      assert.strictEqual(Number(headers["content-length"]), body.length)
      assert.isTrue(body.toString().endsWith("}\n"))
    }))

  it.scopedLive("gzip and ZIP hold the same lines as plain, also over many blocks", () =>
    Effect.gen(function*() {
      const plain = (yield* served({}, 2000)).body.toString()
      assert.isAbove(plain.length, 1_000_000)
      assert.isTrue(Zlib.gunzipSync((yield* served({ results: "gzip" }, 2000)).body).toString() === plain)
      const one = yield* unzip((yield* served({ results: "zip" }, 2000)).body)
      assert.deepStrictEqual(one.map(([name]) => name.replace(/^.*\//, "")), ["part-1.jsonl"])
      assert.isTrue(one[0]?.[1] === plain)
      const three = yield* unzip((yield* served({ results: "zip", zipMembers: 3 }, 2000)).body)
      assert.strictEqual(three.length, 3)
      assert.isTrue(three.map(([, content]) => content).join("") === plain)
      const none = yield* unzip((yield* served({ results: "zip", zipMembers: 0 })).body)
      assert.deepStrictEqual(none.map(([name]) => name), ["README.txt"])
    }))

  it.scopedLive("CRLF, byte order mark, blank lines, no final newline, and a length that is right", () =>
    Effect.gen(function*() {
      const plain = (yield* served({})).body.toString()
      const { body, headers } = yield* served({ crlf: true, bom: true, blankLines: true, noFinalNewline: true })
      const text = body.toString()
      assert.strictEqual(Number(headers["content-length"]), body.length)
      assert.isTrue(text.startsWith("\uFEFF"))
      assert.isTrue(text.endsWith("}"))
      assert.include(text, "\r\n\r\n")
      assert.strictEqual(text.replace("\uFEFF", "").replace(/(\r\n)+/g, "\n").replace(/^\n/, "") + "\n", plain)
    }))

  it.scopedLive("without a length: in chunks, or to the end of the connection", () =>
    Effect.gen(function*() {
      const plain = (yield* served({})).body.toString()
      const chunked = yield* served({ framing: "chunked" })
      assert.strictEqual(chunked.headers["transfer-encoding"], "chunked")
      assert.strictEqual(chunked.body.toString(), plain)
      const closed = yield* served({ framing: "close" })
      assert.deepStrictEqual([closed.headers["transfer-encoding"], closed.headers["content-length"]], [
        undefined,
        undefined
      ])
      assert.strictEqual(closed.body.toString(), plain)
    }))
})

describe("emulator: faults of calls", () => {
  const calls = (...list: ReadonlyArray<ConstructorParameters<typeof CallFault>[0]>) =>
    faults({ calls: list.map((fault) => new CallFault(fault)) })

  it.scopedLive("answers with statuses, for a number of calls of a route, in the words of the provider", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(calls(
        { route: "GET /v1/batches", kind: "status", status: 429, retryAfter: 7, skip: 1, first: 2 },
        { route: "GET /v1/messages*", kind: "status", status: 529, retryAfterForm: "absent" },
        { route: "GET /v1/files", kind: "status", status: 502, html: true }
      ))
      const list = () => emulator.openai.batches.list()
      yield* H.call(list)
      for (let i = 0; i < 2; i++) {
        const limited = yield* H.failure(list)
        assert.strictEqual(limited.status, 429)
        assert.strictEqual(limited.headers?.get("retry-after"), "7")
        assert.nestedPropertyVal(limited.error, "code", "rate_limit_exceeded")
      }
      yield* H.call(list)
      const overloaded = yield* H.failure(() => emulator.anthropic.messages.batches.list())
      assert.strictEqual(overloaded.status, 529)
      assert.isNull(overloaded.headers?.get("retry-after"))
      assert.nestedPropertyVal(overloaded.error, "error.type", "overloaded_error")
      const html = yield* H.failure(() => emulator.openai.files.list())
      assert.strictEqual(html.status, 502)
      assert.match(html.message, /<html>/)
      assert.deepStrictEqual((yield* emulator.books).calls["GET /v1/batches"], { "200": 2, "429": 2 })
      yield* emulator.setFaults(
        new FaultPlan({ calls: [new CallFault({ kind: "status", status: 400, echoKey: true })] })
      )
      assert.match((yield* H.failure(list)).message, /sk-test/)
    }))

  it.scopedLive("asks to wait until a date of real time", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(calls({ kind: "status", status: 429, retryAfter: 3600, retryAfterForm: "date" }))
      yield* emulator.advance("10 days")
      const before = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      const limited = yield* H.failure(() => emulator.openai.batches.list())
      const wait = Date.parse(limited.headers?.get("retry-after") ?? "") - before
      assert.approximately(wait, 3_600_000, 5_000)
    }))

  it.scopedLive("loses the answer of a create that succeeded, by reset or by status", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const file = yield* H.upload(emulator, H.jsonl(H.chatRows(1)))
      const create = () =>
        emulator.openai.batches.create({
          input_file_id: file.id,
          endpoint: "/v1/chat/completions",
          completion_window: "24h"
        })
      const made = Effect.map(emulator.books, (books) => books.batches.length)
      yield* emulator.setFaults(new FaultPlan({ loseCreates: 1 }))
      const reset = yield* H.failure(create)
      assert.isUndefined(reset.status)
      assert.strictEqual(yield* made, 1)
      yield* H.call(create)
      assert.strictEqual(yield* made, 2)
      for (const status of [408, 409, 429, 500]) {
        const before = yield* made
        yield* emulator.setFaults(
          new FaultPlan({
            calls: [new CallFault({ route: "POST /v1/batches", kind: "status", status, afterSuccess: true, first: 1 })]
          })
        )
        assert.strictEqual((yield* H.failure(create)).status, status)
        assert.strictEqual(yield* made, before + 1)
      }
      yield* emulator.setFaults(new FaultPlan({ loseCreates: 1 }))
      assert.isUndefined(
        (yield* H.failure(() => emulator.anthropic.messages.batches.create({ requests: H.messages(1) }))).status
      )
      const books = yield* emulator.books
      assert.strictEqual(books.batches.at(-1)?.provider, "anthropic")
      // All OpenAI batches were made of one file, so they are duplicates of each other.
      assert.deepStrictEqual(books.duplicates.map((each) => each.batches.length), [6])
    }))

  it.scopedLive("does nothing where it resets before", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(calls({ route: "POST /v1/messages/batches", kind: "reset", first: 1 }))
      const create = () => emulator.anthropic.messages.batches.create({ requests: H.messages(1) })
      assert.isUndefined((yield* H.failure(create)).status)
      assert.strictEqual((yield* emulator.books).batches.length, 0)
      yield* H.call(create)
      assert.deepStrictEqual((yield* emulator.books).calls["POST /v1/messages/batches"], { "200": 1, reset: 1 })
    }))

  it.scopedLive("one failing create makes two batches with the retries of the SDK, and the books tell", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(faults({ loseCreates: 1 }))
      const retrying = new Anthropic({ apiKey: "k", baseURL: emulator.url, maxRetries: 1 })
      yield* H.call(() => retrying.messages.batches.create({ requests: H.messages(1) }))
      const books = yield* emulator.books
      assert.strictEqual(books.batches.length, 2)
      assert.deepStrictEqual(books.duplicates.map((each) => each.batches), [books.batches.map((batch) => batch.id)])
    }))

  it.scopedLive("cuts a body short: with a length, in chunks, and without either", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start()
      const batch = yield* H.finished(emulator, H.chatRows(20))
      const url = `${emulator.openAiBaseUrl}/files/${batch.output_file_id}/content`
      const whole = (yield* get(url)).body
      const broken = { length: true, chunked: true, close: false }
      for (const framing of ["length", "chunked", "close"] as const) {
        for (const cutAt of [0, 1000]) {
          yield* emulator.setFaults(new FaultPlan({ calls: [new CallFault({ kind: "cut", framing, cutAt })] }))
          const cut = yield* get(url)
          assert.strictEqual(cut.broken, broken[framing])
          assert.deepStrictEqual(cut.body, whole.subarray(0, cutAt === 0 ? Math.floor(whole.length / 2) : 1000))
        }
      }
      yield* emulator.setFaults(new FaultPlan({ cutCalls: 1 }))
      assert.isUndefined((yield* H.failure(() => emulator.openai.batches.list())).status)
    }))

  it.scopedLive("sends one byte a second", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(calls({ route: "GET /v1/batches", kind: "trickle" }))
      const [length, first] = yield* H.call(() =>
        new Promise<readonly [length: number, first: string]>((resolve, reject) => {
          const request = Http.get(`${emulator.openAiBaseUrl}/batches`, { headers: { authorization: "Bearer k" } })
          request.on("error", reject)
          request.on("response", (response) =>
            response.once("data", (chunk: Buffer) => {
              resolve([Number(response.headers["content-length"]), chunk.toString()])
              request.on("error", () => undefined).destroy()
            }))
        })
      )
      assert.isAbove(length, 10)
      assert.strictEqual(first, "{")
      assert.deepStrictEqual((yield* emulator.books).calls["GET /v1/batches"], { trickle: 1 })
    }))

  it.scopedLive("is answered though a caller gave up who came before, while the results were made", () =>
    Effect.gen(function*() {
      const abort = new AbortController()
      let answers = 0
      const emulator = yield* H.start({
        answer: () => {
          // Long after the call came, and long before the last row.
          if (++answers === 500) abort.abort()
          return undefined
        }
      })
      const { id } = yield* H.submitMessages(emulator, H.messages(5_000))
      yield* emulator.advance("2 hours")
      const look = (signal?: AbortSignal) => emulator.anthropic.messages.batches.retrieve(id, {}, { signal })
      yield* H.failure(() => look(abort.signal))
      const batch = yield* H.call(() => look())
      assert.deepStrictEqual([batch.processing_status, batch.request_counts.succeeded], ["ended", 5_000])
    }))

  it.scopedLive("hangs until the caller gives up, or the emulator ends", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(calls({ kind: "hang" }))
      const abort = new AbortController()
      const list = (signal: AbortSignal) => H.failure(() => emulator.openai.batches.list({}, { signal }))
      const hanging = (count: number) =>
        Effect.repeat(H.call(() => fetch(`${emulator.url}/_emulator/books`).then((response) => response.text())), {
          until: (books) => books.includes(`"hang":${count}`)
        })
      const first = yield* Effect.fork(list(abort.signal))
      yield* hanging(1)
      abort.abort()
      assert.isUndefined((yield* Fiber.join(first)).status)
      // The scope of the test ends with a second call hanging, and must end nevertheless.
      yield* Effect.forkDaemon(list(new AbortController().signal))
      yield* hanging(2)
    }))

  it.scopedLive("strikes shares of calls, and the retries of an SDK get through", () =>
    Effect.gen(function*() {
      const emulator = yield* H.start(faults({ serverErrorCalls: 0.3, resetCalls: 0.2 }))
      const outcomes: Array<number | undefined> = []
      for (let i = 0; i < 60; i++) {
        outcomes.push(
          yield* H.call(() =>
            emulator.openai.batches.list().then(() => 200, (error: unknown) =>
              error instanceof OpenAI.APIError ? error.status : undefined)
          )
        )
      }
      assert.approximately(
        outcomes.filter((status) =>
          status === 200
        ).length,
        30,
        14
      )
      assert.approximately(outcomes.filter((status) => status === undefined).length, 12, 9)
      assert.isTrue(outcomes.every((status) => status === undefined || [200, 500, 502, 503].includes(status)))
    }))
})
