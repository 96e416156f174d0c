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
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import type { OpenAI as Client } from "openai"
import type { BatchSnapshot, InputReference, ResultFile } from "../Batch.js"
import * as HttpTransport from "../internal/HttpTransport.js"
import * as RequestBody from "../internal/RequestBody.js"
import * as SdkError from "../internal/SdkError.js"
import {
  Account,
  type Capabilities,
  Finding,
  type Limits,
  Provider,
  type Service,
  type ShardBytes
} from "../Provider.js"
import { ProviderError } from "../ProviderError.js"
import { isJsonObject } from "../Request.js"
import type { Shard, SubmitTag } from "../Shard.js"
import { NotSent } from "../SubmitError.js"
import { describe, type DescribedBatch, type DescribedPage, describePage } from "./OpenAiBatch.js"
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
  listPage: 100
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
  const key = options.apiKey
  const baseUrl = options.baseUrl ?? "https://api.openai.com/v1"
  const fetch = options.fetch ?? HttpTransport.make()
  const misconfigured = misconfiguration(key, baseUrl)
  let loading: Promise<Client> | undefined
  const client = () => loading ??= load(options, baseUrl, fetch)
  const callOf = (operation: string): SdkError.Call => ({ provider: name, operation, key })

  const read = <A>(operation: string, run: (client: Client, signal: AbortSignal, now: DateTime.Utc) => Promise<A>) =>
    misconfigured === undefined
      ? Effect.flatMap(
        DateTime.now,
        (now) => SdkError.reading(callOf(operation), async (signal) => run(await client(), signal, now))
      )
      : Effect.fail(unusable(operation, misconfigured))

  const submit = <A>(operation: string, run: (client: Client, signal: AbortSignal) => Promise<A>) =>
    misconfigured === undefined
      ? SdkError.submitting(callOf(operation), async (signal) => run(await client(), signal))
      : Effect.fail(new NotSent({ provider: name, operation, detail: misconfigured.detail }))

  const listPage = (after: string | null) =>
    read("list batches", async (client, signal, now) => {
      const query = { limit: limits.listPage, ...(after === null ? {} : { after }) }
      const response = await client.batches.list(query, { signal, timeout: shortTimeout }).asResponse()
      return describePage(await SdkError.readJson(response), after, limits.listPage, now)
    })

  const retrieve = Effect.fn("OpenAi.retrieve")((batchId: string) =>
    read(`retrieve ${batchId}`, async (client, signal, now) => {
      const response = await client.batches.retrieve(batchId, { signal, timeout: shortTimeout }).asResponse()
      return describe(await SdkError.readJson(response), now).snapshot
    })
  )

  const upload = Effect.fn("OpenAi.upload")(function*(shard: Shard, bytes: ShardBytes) {
    const { contentLength, contentType, head, tail } = multipart(shard)
    const body = yield* RequestBody.make(
      Stream.make(head).pipe(Stream.concat(bytes), Stream.concat(Stream.make(tail)))
    )
    return yield* submit(`upload shard ${shard.id}`, async (client, signal): Promise<InputReference> => {
      const response = await client.post("/files", {
        body: body.stream,
        signal,
        timeout: uploadTimeout(shard.bytes),
        headers: { "content-type": contentType, "content-length": String(contentLength) }
      }).asResponse()
      const file = await SdkError.readJson(response)
      if (isJsonObject(file) && typeof file.id === "string" && file.id !== "") {
        return { _tag: "UploadedFile", fileId: file.id }
      }
      throw new SdkError.Unreadable(response.status, "the answer is not a file")
    }).pipe(
      Effect.catchAll((error) => Effect.fail(body.failure() ?? error))
    )
  }, Effect.scoped)

  const create = Effect.fn("OpenAi.create")(function*(shard: Shard, input: InputReference) {
    const operation = `create the batch of shard ${shard.id}`
    if (input._tag !== "UploadedFile") {
      return yield* new NotSent({ provider: name, operation, detail: "its rows have not been uploaded" })
    }
    const now = yield* DateTime.now
    return yield* submit(operation, async (client, signal) => {
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
      return describe(await SdkError.readJson(response), now).snapshot
    })
  })

  const find = Effect.fn("OpenAi.find")(
    function*(tag: SubmitTag, since: DateTime.Utc, exclude: ReadonlySet<string>) {
      const earliest = DateTime.subtractDuration(since, clockSkew)
      const batches: Array<DescribedBatch> = []
      let marksAreKept = false
      let after: string | null = null
      do {
        const page: DescribedPage = yield* listPage(after)
        for (const batch of page.batches) {
          if (isMarked(batch)) marksAreKept = true
          if (DateTime.lessThan(batch.snapshot.createdAt, earliest) || exclude.has(batch.snapshot.id)) continue
          batches.push(batch)
        }
        after = isBefore(page.batches, earliest) ? null : page.next
      } while (after !== null)
      return findingOf(tag, batches, marksAreKept)
    }
  )

  /** A batch that has ended, or is ending, refuses; to be stopped is what was asked for all the same. */
  const cancel = Effect.fn("OpenAi.cancel")((batchId: string) =>
    read(`cancel ${batchId}`, async (client, signal, now) => {
      const response = await client.batches.cancel(batchId, { signal, timeout: shortTimeout }).asResponse()
      return describe(await SdkError.readJson(response), now).snapshot
    }).pipe(
      Effect.catchIf(
        (error) => error.status === 400 || error.status === 409,
        (error) =>
          Effect.flatMap(
            retrieve(batchId),
            (snapshot) =>
              snapshot.status === "ended" || snapshot.status === "cancelling"
                ? Effect.succeed(snapshot)
                : Effect.fail(error)
          )
      )
    )
  )

  const deleteFile = (fileId: string) =>
    read(`delete ${fileId}`, async (client, signal) => {
      const response = await client.files.delete(fileId, { signal, timeout: shortTimeout }).asResponse()
      await response.text()
      return [fileId]
    }).pipe(
      Effect.catchIf((error) => error.reason === "gone", () => Effect.succeed([]))
    )

  const download = (file: ResultFile): Stream.Stream<Uint8Array, ProviderError> => {
    const operation = `download ${file.reference}`
    return Stream.unwrap(
      read(operation, async (client, signal, now) => {
        const { body } = await client.files.content(file.reference, { signal, timeout: downloadTimeout })
        return body === null ? Stream.empty : Stream.fromReadableStream<Uint8Array, ProviderError>({
          evaluate: () => body,
          onError: SdkError.toProviderError(callOf(operation), DateTime.toEpochMillis(now))
        })
      })
    )
  }

  return {
    name,
    limits,
    capabilities,
    endpoints,
    account: Effect.fn("OpenAi.account")(function*(salt: string) {
      if (key === undefined || misconfigured !== undefined) {
        return yield* unusable("use the account", misconfigured ?? keyMissing)
      }
      const scope = [options.organization, options.project].filter((part) => part !== undefined).join("/")
      return new Account({
        provider: name,
        baseUrl: publicUrl(baseUrl),
        scope: scope === "" ? null : scope,
        keyFingerprint: createHash("sha256").update(salt + secretOf(key)).digest("hex").slice(0, 16)
      })
    }),
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
    decode
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
        apiKey: Config.redacted("OPENAI_API_KEY").pipe(
          Config.option,
          Config.map(Option.filter((value) => secretOf(value) !== "")),
          Config.map(Option.getOrUndefined)
        ),
        baseUrl: setting("OPENAI_BASE_URL"),
        organization: setting("OPENAI_ORG_ID"),
        project: setting("OPENAI_PROJECT_ID")
      }),
      (configured) => make({ ...configured, ...overrides })
    )
  )

const setting = (variable: string) =>
  Config.string(variable).pipe(
    Config.option,
    Config.map(Option.map((value) => value.trim())),
    Config.map(Option.filter((value) => value !== "")),
    Config.map(Option.getOrUndefined)
  )

/** Keys are pasted, and come with a newline now and then. */
const secretOf = (key: Redacted.Redacted): string => Redacted.value(key).trim()

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

/** Why no call can be made. */
type Misconfiguration = Pick<ProviderError, "reason" | "detail">

const keyMissing: Misconfiguration = { reason: "auth", detail: "there is no API key: set OPENAI_API_KEY" }

/** What cannot be put into a header, or is no address, is found here, since others would quote it. */
const misconfiguration = (key: Redacted.Redacted | undefined, baseUrl: string): Misconfiguration | undefined => {
  if (key === undefined || secretOf(key) === "") return keyMissing
  if (!/^[\x21-\x7e]+$/.test(secretOf(key))) {
    return { reason: "auth", detail: "the API key holds characters that no key has: check OPENAI_API_KEY" }
  }
  return URL.canParse(baseUrl) && /^https?:$/.test(new URL(baseUrl).protocol)
    ? undefined
    : { reason: "refused", detail: "the base URL is not an http or https URL: check OPENAI_BASE_URL" }
}

const unusable = (operation: string, { detail, reason }: Misconfiguration): ProviderError =>
  new ProviderError({ provider: name, operation, reason, status: null, retryAfterMillis: null, detail })

/** Without what a URL can hide: user name, password, query. */
const publicUrl = (baseUrl: string): string => {
  const { origin, pathname } = new URL(baseUrl)
  return `${origin}${pathname}`.replace(/\/+$/, "")
}

/** Milliseconds that a call may take whose bodies are small. */
const shortTimeout = 60_000

/** A create that is given up on has to be looked for, so it is given more. */
const createTimeout = 120_000

/** Milliseconds until a download starts. */
const downloadTimeout = 300_000

/** A minute, and time for the upload at 500 kB a second. */
const uploadTimeout = (bytes: number): number => 60_000 + Math.ceil(bytes / 500)

/** How far the provider's clock and ours may be apart. */
const clockSkew = "5 minutes"

/** The names under which a batch's metadata says whose it is. */
const marks = {
  run: "llm_batch_run",
  shard: "llm_batch_shard",
  sha256: "llm_batch_sha256",
  rows: "llm_batch_rows"
} as const

const snapshotOf = (batch: DescribedBatch): BatchSnapshot => batch.snapshot

const isMarked = ({ metadata }: DescribedBatch): boolean => metadata !== null && Object.keys(metadata).length > 0

/** Whether a page lies before a time with all that follows. A page that does not go back in time says nothing. */
const isBefore = (batches: ReadonlyArray<DescribedBatch>, time: DateTime.Utc): boolean => {
  const first = batches[0]?.snapshot.createdAt
  const last = batches.at(-1)?.snapshot.createdAt
  return first !== undefined && last !== undefined && DateTime.greaterThan(first, last) && DateTime.lessThan(last, time)
}

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
