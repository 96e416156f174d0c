/**
 * OpenAI's Files API: upload, list, retrieve, delete, content.
 *
 * @since 0.1.0
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as FileSystem from "@effect/platform/FileSystem"
import * as IncomingMessage from "@effect/platform/HttpIncomingMessage"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Multipart from "@effect/platform/Multipart"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Batches from "./Batches.js"
import * as Endpoint from "./Endpoint.js"
import type { JsonObject } from "./Json.js"
import * as Refused from "./Refused.js"
import * as RowStore from "./RowStore.js"
import type { State, StoredFile } from "./State.js"

const month = 30 * 24 * 60 * 60

/** OpenAI takes no file that is larger, whatever it is for. */
const mostBytes = 512 * 1024 * 1024

const purposes = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]

const seconds = (millis: number): number => Math.floor(millis / 1000)

const fileObject = (file: StoredFile): JsonObject => ({
  object: "file",
  id: file.id,
  purpose: file.purpose,
  filename: file.filename,
  bytes: file.bytes,
  created_at: seconds(file.createdAt),
  expires_at: file.expiresAt === undefined ? null : seconds(file.expiresAt),
  status: "processed",
  status_details: null
})

const expired = (state: State, file: StoredFile): boolean =>
  file.expiresAt !== undefined && file.expiresAt <= state.time.now()

/**
 * The file of an id, as an account sees it; 404 when it was deleted or has expired.
 *
 * @since 0.1.0
 * @category accessors
 */
export const find = (state: State, account: string, id: string): Effect.Effect<StoredFile, Refused.Refused> =>
  Effect.suspend(() => {
    const file = state.files.get(id)
    return file === undefined || file.account !== account || expired(state, file)
      ? Refused.invalid(`No such File object: ${id}`, "id", null, 404)
      : Effect.succeed(file)
  })

/**
 * Reads the form of an upload; the file in it goes to disk as it comes. A limit says how long a file is kept on.
 */
const receive = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const fields = new Map<string, string>()
    const path = Path.join(state.directory, `upload-${state.next()}`)
    const writer = RowStore.spool(path)
    let filename: string | undefined
    yield* call.request.multipartStream.pipe(
      Stream.runForEach((part) => {
        if (part._tag === "Field") return Effect.sync(() => fields.set(part.key, part.value))
        if (part.key !== "file") return Stream.runDrain(part.content)
        filename = part.name
        return Stream.runForEachChunk(part.content, (chunks) =>
          Effect.sync(() => {
            for (const chunk of chunks) if (writer.bytes() <= mostBytes) writer.write(chunk)
          }))
      }),
      Effect.provideService(IncomingMessage.MaxBodySize, Option.none<FileSystem.Size>()),
      // A part with a file name is a file, also one that calls itself application/jsonl.
      Multipart.withFieldMimeTypes([]),
      Effect.mapError(() => Refused.invalid("The multipart form could not be parsed.")),
      Effect.onError(() => Effect.sync(() => Fs.rmSync(writer.close().path, { force: true })))
    )
    return { spool: writer.close(), fields, filename }
  })

const lifetime = (
  fields: ReadonlyMap<string, string>,
  purpose: string
): Effect.Effect<number | undefined, Refused.Refused> => {
  const given = fields.get("expires_after[seconds]")
  if (given === undefined && !fields.has("expires_after[anchor]")) {
    return Effect.succeed(purpose === "batch" ? month : undefined)
  }
  if (fields.get("expires_after[anchor]") !== "created_at") {
    return Refused.invalid(
      "Invalid value for 'expires_after.anchor'. Supported values are: 'created_at'.",
      "expires_after.anchor",
      "invalid_value"
    )
  }
  const value = Number(given)
  return Number.isInteger(value) && value >= 3600 && value <= month
    ? Effect.succeed(value)
    : Refused.invalid(
      `Invalid 'expires_after.seconds': expected an integer from 3600 to ${month}.`,
      "expires_after.seconds",
      "invalid_value"
    )
}

const upload = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const { fields, filename, spool } = yield* receive(state, call)
    return yield* Effect.gen(function*() {
      const purpose = fields.get("purpose")
      if (filename === undefined)
        return yield* Refused.invalid("Missing required parameter: 'file'.", "file", "missing_required_parameter")
      if (purpose === undefined)
        return yield* Refused.invalid("Missing required parameter: 'purpose'.", "purpose", "missing_required_parameter")
      if (!purposes.includes(purpose)) {
        return yield* Refused.invalid(
          `'${purpose}' is not one of ['${purposes.join("', '")}'] - 'purpose'`,
          "purpose",
          "invalid_value"
        )
      }
      const most = purpose === "batch" ? state.options.openAiMaxBytes : mostBytes
      if (spool.bytes > most) {
        return yield* Refused.invalid(
          `File is too large: ${purpose} files may have ${most} bytes at most.`,
          "file",
          "file_too_large",
          413
        )
      }
      if (spool.bytes === 0 && purpose !== "batch")
        return yield* Refused.invalid("File is empty.", "file")
      const seconds = yield* lifetime(fields, purpose)
      const createdAt = state.time.now()
      const file: StoredFile = {
        id: state.newId("file-"),
        account: call.caller.account,
        purpose,
        filename,
        bytes: spool.bytes,
        createdAt,
        expiresAt: seconds === undefined ? undefined : createdAt + seconds * 1000,
        content: { _tag: "Spool", spool }
      }
      state.files.set(file.id, file)
      return Endpoint.json(fileObject(file))
    }).pipe(Effect.onError(() => Effect.sync(() => Fs.rmSync(spool.path, { force: true }))))
  })

const list = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const limit = yield* Endpoint.count(call, "limit", 10_000, 10_000)
    const purpose = call.query.get("purpose")
    const files = [...state.files.values()].filter((file) =>
      file.account === call.caller.account && !expired(state, file) && (purpose === null || file.purpose === purpose)
    )
    const sorted = call.query.get("order") === "asc" ? files : files.toReversed()
    const { items, more } = yield* Endpoint.page(sorted, limit, { after: call.query.get("after") })
    return Endpoint.json({
      object: "list",
      data: items.map(fileObject),
      has_more: more,
      first_id: items[0]?.id ?? null,
      last_id: items.at(-1)?.id ?? null
    })
  })

/** The spool of a file goes with it, unless a batch still has to read it. */
const remove = (state: State, file: StoredFile): void => {
  state.files.delete(file.id)
  if (file.content._tag !== "Spool") return
  const { path } = file.content.spool
  const used = [...state.batches.values()].some((batch) => batch.spool.path === path)
  if (!used) Fs.rmSync(path, { force: true })
}

/**
 * A result file as a response, in the framing that the plan wants.
 *
 * @since 0.1.0
 * @category responses
 */
export const resultsResponse = (
  call: Endpoint.Call,
  bytes: Stream.Stream<Uint8Array>,
  served: {
    readonly plain: boolean
    readonly size: number
    readonly framing: "length" | "chunked" | "close"
    readonly contentType: string
  }
): HttpServerResponse.HttpServerResponse => {
  if (served.framing === "close") {
    const response = NodeHttpServerRequest.toServerResponse(call.request)
    response.useChunkedEncodingByDefault = false
    response.shouldKeepAlive = false
  }
  return HttpServerResponse.stream(bytes, {
    contentType: served.contentType,
    ...(served.plain && served.framing === "length" ? { contentLength: served.size } : {})
  })
}

const content = (state: State, call: Endpoint.Call) =>
  Effect.gen(function*() {
    const file = yield* find(state, call.caller.account, call.param("id"))
    if (file.content._tag === "Spool") {
      const { bytes, path } = file.content.spool
      return HttpServerResponse.stream(fileBytes(path), {
        contentType: "application/octet-stream",
        contentLength: bytes
      })
    }
    const { batch, part } = file.content
    const settled = yield* batch.settle
    return resultsResponse(call, Batches.results(state, batch, settled, part), {
      plain: batch.plan.results === "plain",
      size: file.bytes,
      framing: batch.plan.framing,
      contentType: "application/octet-stream"
    })
  })

const fileBytes = (path: string): Stream.Stream<Uint8Array> =>
  Stream.unwrapScoped(Effect.map(RowStore.reader(path), (file) =>
    Stream.unfold(0, (offset) => {
      const block = file.read(offset, 1 << 18)
      return block.length === 0 ? Option.none() : Option.some([block, offset + block.length])
    })))

/**
 * @since 0.1.0
 * @category constructors
 */
export const routes = (state: State): ReadonlyArray<Endpoint.Route> => [
  Endpoint.route(state, "POST", "/v1/files", "openai", (call) => upload(state, call)),
  Endpoint.route(state, "GET", "/v1/files", "openai", (call) => list(state, call)),
  Endpoint.route(
    state,
    "GET",
    "/v1/files/:id",
    "openai",
    (call) => Effect.map(find(state, call.caller.account, call.param("id")), (file) => Endpoint.json(fileObject(file)))
  ),
  Endpoint.route(
    state,
    "DELETE",
    "/v1/files/:id",
    "openai",
    (call) =>
      Effect.map(find(state, call.caller.account, call.param("id")), (file) => {
        remove(state, file)
        return Endpoint.json({ object: "file", id: file.id, deleted: true })
      })
  ),
  Endpoint.route(state, "GET", "/v1/files/:id/content", "openai", (call) => content(state, call))
]
