/**
 * OpenAI's Batch API as a provider, through the official SDK; also whatever server speaks it.
 *
 * The rows are uploaded as a file, and the batch made of it is marked with the run, the shard and the hash of its bytes,
 * so that a lost one can be found again.
 *
 * @example
 * ```ts
 * import * as OpenAi from "llm-batch/provider/OpenAi"
 *
 * const provider = OpenAi.layerConfig()
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { OpenAI as Client } from "openai"
import type { BatchSnapshot, InputReference, ResultFile } from "../Batch.js"
import { isOlder, pageOf, readBack, timeOf } from "../internal/BatchAnswer.js"
import * as HttpTransport from "../internal/HttpTransport.js"
import * as ProviderAccess from "../internal/ProviderAccess.js"
import { secret, secretOf, setting } from "../internal/ProviderAccess.js"
import * as ProviderCalls from "../internal/ProviderCalls.js"
import {
  clockSkew,
  createTimeout,
  deleting,
  downloadTimeout,
  orStoppedAnyway,
  shortTimeout,
  uploadTime
} from "../internal/ProviderCalls.js"
import * as RequestBody from "../internal/RequestBody.js"
import * as RowDecoding from "../internal/RowDecoding.js"
import * as SdkError from "../internal/SdkError.js"
import * as SyncCall from "../internal/SyncCall.js"
import { type Capabilities, Finding, type Limits, Provider, type Service, type ShardBytes } from "../Provider.js"
import { isJsonObject } from "../Request.js"
import type { Shard, SubmitTag } from "../Shard.js"
import { NotSent } from "../SubmitError.js"
import { describe, type DescribedBatch } from "./OpenAiBatch.js"
import * as OpenAiComplete from "./OpenAiComplete.js"
import { decode } from "./OpenAiDecode.js"
import { encode, endpoints } from "./OpenAiEncode.js"

/**
 * How to reach OpenAI.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The API key. Encoding and decoding need none. */
  readonly apiKey?: Redacted.Redacted | undefined
  /** Where the API is, version included; `https://api.openai.com/v1` by default. */
  readonly baseUrl?: string | undefined
  readonly organization?: string | undefined
  readonly project?: string | undefined
  /** How long the provider keeps the files of results, from an hour to 30 days; as long as it likes by default. */
  readonly outputExpiresAfter?: Duration.DurationInput | undefined
  /** How requests are made; over `node:http`, with constant memory, by default. */
  readonly fetch?: HttpTransport.Fetch | undefined
}

/**
 * What fits into one of OpenAI's batches.
 *
 * @since 0.1.0
 * @category constants
 */
export const limits: Limits = {
  rows: 50_000,
  bytes: 200_000_000,
  overheadBytes: 0,
  oneModelPerBatch: true,
  embeddingInputs: 50_000,
  windowHours: 24,
  retentionDays: 30,
  listPage: 100,
  batchesPerHour: 2_000
}

const capabilities: Capabilities = { tags: true, upload: true, embeddings: true }

const name = "openai"

/**
 * Makes the provider. Nothing is loaded or called before the first effect runs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Service => {
  const baseUrl = options.baseUrl ?? "https://api.openai.com/v1"
  const fetch = options.fetch ?? HttpTransport.make()
  const scope = [options.organization, options.project].filter((part) => part !== undefined).join("/")
  const settings: ProviderAccess.Settings = {
    provider: name,
    key: options.apiKey,
    keyVariable: "OPENAI_API_KEY",
    baseUrl,
    baseUrlVariable: "OPENAI_BASE_URL",
    scope: scope === "" ? null : scope
  }
  const calls = ProviderCalls.make(settings, () => load(options, baseUrl, fetch))
  const complete = OpenAiComplete.make(settings, () => load(options, baseUrl, SyncCall.fetchFor(options.fetch)))

  const described = (value: unknown, now: DateTime.Utc) => describe(value, now, options.apiKey)

  const listPage = (after: string | null) =>
    calls.read("list batches", async (client, signal, now) => {
      const query = { limit: limits.listPage, ...(after === null ? {} : { after }) }
      const response = await client.batches.list(query, { signal, timeout: shortTimeout }).asResponse()
      return pageOf(await SdkError.readJson(response), after, limits.listPage, (item) => described(item, now))
    })

  const retrieve = Effect.fn("OpenAi.retrieve")((batchId: string) =>
    calls.read(`retrieve ${batchId}`, async (client, signal, now) => {
      const response = await client.batches.retrieve(batchId, { signal, timeout: shortTimeout }).asResponse()
      return described(await SdkError.readJson(response), now).snapshot
    })
  )

  const upload = Effect.fn("OpenAi.upload")(function*(shard: Shard, bytes: ShardBytes) {
    const { contentLength, contentType, head, tail } = multipart(shard)
    const body = yield* RequestBody.make(
      Stream.make(head).pipe(Stream.concat(bytes), Stream.concat(Stream.make(tail))),
      { copies: options.fetch !== undefined }
    )
    return yield* calls.submit(`upload shard ${shard.id}`, async (client, signal): Promise<InputReference> => {
      const response = await client.post("/files", {
        body: body.stream,
        signal,
        timeout: shortTimeout + uploadTime(shard.bytes),
        headers: { "content-type": contentType, "content-length": String(contentLength) }
      }).asResponse()
      const file = await SdkError.readJson(response)
      if (isJsonObject(file) && typeof file.id === "string" && file.id !== "") {
        const createdAt = timeOf(file.created_at)
        return { _tag: "UploadedFile", fileId: file.id, ...(createdAt === null ? {} : { createdAt }) }
      }
      throw new SdkError.Unreadable(response.status, "the answer is not a file")
    }).pipe(
      Effect.mapError((error) => body.failure() ?? error)
    )
  }, Effect.scoped)

  const create = Effect.fn("OpenAi.create")((shard: Shard, input: InputReference) => {
    const operation = `create the batch of shard ${shard.id}`
    if (input._tag !== "UploadedFile") {
      return new NotSent({ provider: name, operation, detail: "its rows have not been uploaded" })
    }
    return calls.submit(operation, async (client, signal, now) => {
      const response = await client.post("/batches", {
        signal,
        timeout: createTimeout,
        body: {
          input_file_id: input.fileId,
          endpoint: shard.endpoint,
          completion_window: `${limits.windowHours}h`,
          metadata: {
            [marks.run]: shard.runTag,
            [marks.shard]: shard.id,
            [marks.sha256]: shard.sha256,
            [marks.rows]: String(shard.rows)
          },
          ...(options.outputExpiresAfter === undefined ? {} : {
            output_expires_after: {
              anchor: "created_at",
              seconds: Math.round(Duration.toSeconds(options.outputExpiresAfter))
            }
          })
        }
      }).asResponse()
      return described(await SdkError.readJson(response), now).snapshot
    })
  })

  const find = Effect.fn("OpenAi.find")(
    function*(tag: SubmitTag, since: DateTime.Utc, exclude: ReadonlySet<string>) {
      const earliest = DateTime.subtractDuration(since, clockSkew)
      const read = yield* readBack(name, earliest, listPage)
      const possible = read.filter((batch) => !isOlder(batch, earliest) && !exclude.has(batch.snapshot.id))
      return findingOf(tag, possible, read.some(isMarked))
    }
  )

  const cancel = Effect.fn("OpenAi.cancel")((batchId: string) =>
    calls.read(`cancel ${batchId}`, async (client, signal, now) => {
      const response = await client.batches.cancel(batchId, { signal, timeout: shortTimeout }).asResponse()
      return described(await SdkError.readJson(response), now).snapshot
    }).pipe(orStoppedAnyway(retrieve(batchId)))
  )

  const deleteFile = (fileId: string) =>
    calls.read(`delete ${fileId}`, async (client, signal) => {
      const response = await client.files.delete(fileId, { signal, timeout: shortTimeout }).asResponse()
      await SdkError.readText(response)
    }).pipe(deleting(fileId))

  // Some servers keep files elsewhere, and redirect to a signed address there: it is followed without the key.
  const download = ({ reference }: ResultFile) =>
    calls.download(
      `download ${reference}`,
      (client, signal) =>
        client.files.content(reference, {
          signal,
          timeout: downloadTimeout,
          fetchOptions: { redirect: "follow" }
        })
    )

  return {
    name,
    origin: ProviderAccess.originOf(settings),
    limits,
    capabilities,
    endpoints,
    account: Effect.fn("OpenAi.account")((salt: string) => ProviderAccess.account(settings, salt)),
    encode,
    upload,
    create,
    find,
    retrieve,
    list: Effect.fn("OpenAi.list")((after: string | null) =>
      Effect.map(listPage(after), ({ batches, next }) => ({ batches: batches.map(snapshotOf), next }))
    ),
    cancel,
    delete: Effect.fn("OpenAi.delete")((batch: BatchSnapshot) =>
      Effect.map(
        Effect.forEach(
          [...(batch.inputFileId === null ? [] : [batch.inputFileId]), ...batch.files.map((file) => file.reference)],
          deleteFile
        ),
        (deleted) => deleted.flat()
      )
    ),
    download,
    complete: Effect.fn("OpenAi.complete")(complete),
    decode: RowDecoding.make(name, decode, settings.key)
  }
}

/**
 * The provider, as a layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<Provider> => Layer.sync(Provider, () => make(options))

/**
 * The provider as `OPENAI_API_KEY`, `OPENAI_BASE_URL`, `OPENAI_ORG_ID` and `OPENAI_PROJECT_ID` configure it. Empty values
 * count as unset; what is given here comes before them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (overrides: Options = {}): Layer.Layer<Provider, ConfigError.ConfigError> =>
  Layer.effect(
    Provider,
    Effect.map(
      Config.all({
        apiKey: secret("OPENAI_API_KEY"),
        baseUrl: setting("OPENAI_BASE_URL"),
        organization: setting("OPENAI_ORG_ID"),
        project: setting("OPENAI_PROJECT_ID")
      }),
      (configured) => make({ ...configured, ...overrides })
    )
  )

/** The SDK is loaded when it is needed first. Every option that it would otherwise take from the environment is given. */
const load = async (options: Options, baseURL: string, fetch: HttpTransport.Fetch): Promise<Client> => {
  const { OpenAI } = await import("openai")
  return new OpenAI({
    apiKey: options.apiKey === undefined ? null : secretOf(options.apiKey),
    adminAPIKey: null,
    organization: options.organization ?? null,
    project: options.project ?? null,
    webhookSecret: null,
    baseURL,
    fetch,
    maxRetries: 0,
    logLevel: "off"
  })
}

/** The names under which a batch's metadata says whose it is. */
const marks = {
  run: "llm_batch_run",
  shard: "llm_batch_shard",
  sha256: "llm_batch_sha256",
  rows: "llm_batch_rows"
} as const

const snapshotOf = (batch: DescribedBatch): BatchSnapshot => batch.snapshot

const isMarked = ({ metadata }: DescribedBatch): boolean => metadata !== null && Object.keys(metadata).length > 0

/**
 * Which of the batches is the shard's. One that bears its marks over other bytes is not proved to be, and neither is an
 * unmarked one of its size at a server that shows no sign of keeping marks at all.
 */
const findingOf = (tag: SubmitTag, batches: ReadonlyArray<DescribedBatch>, marksAreKept: boolean): Finding => {
  const claimed = batches.filter(({ metadata }) =>
    metadata !== null && metadata[marks.run] === tag.runTag && metadata[marks.shard] === tag.shard
  )
  const [first, ...others] = claimed
  if (first !== undefined && others.length === 0 && first.metadata?.[marks.sha256] === tag.sha256) {
    return Finding.Found({ snapshot: first.snapshot })
  }
  const candidates = first !== undefined || marksAreKept ?
    claimed :
    batches.filter(({ snapshot }) => snapshot.counts.total === tag.rows || snapshot.counts.total === 0)
  return candidates.length === 0 ? Finding.Absent() : Finding.Ambiguous({ candidates: candidates.map(snapshotOf) })
}

/** The form in which a shard is uploaded. Its boundary comes from the hash of the bytes, so they cannot hold it. */
const multipart = (shard: Shard) => {
  const boundary = `llm-batch-${shard.sha256.slice(0, 32)}`
  const disposition = "Content-Disposition: form-data; name="
  const head = Buffer.from(
    `--${boundary}\r\n${disposition}"purpose"\r\n\r\nbatch\r\n`
      + `--${boundary}\r\n${disposition}"file"; filename="${shard.runTag}-${shard.id}.jsonl"\r\n`
      + "Content-Type: application/octet-stream\r\n\r\n"
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  return {
    head,
    tail,
    contentType: `multipart/form-data; boundary=${boundary}`,
    contentLength: head.length + shard.bytes + tail.length
  }
}
