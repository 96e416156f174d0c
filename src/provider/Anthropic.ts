/**
 * Anthropic's Message Batches as a provider, through the official SDK.
 *
 * A batch is made by one request that carries all its rows, and bears no mark of ours. A lost one is therefore looked
 * for by its time of creation and its number of rows, and proved by the wire ids in its results.
 *
 * @example
 * ```ts
 * import * as Anthropic from "llm-batch/provider/Anthropic"
 *
 * const provider = Anthropic.layerConfig()
 * ```
 *
 * @since 0.1.0
 */
import type { Anthropic as Client } from "@anthropic-ai/sdk"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { BatchSnapshot, ResultFile } from "../Batch.js"
import { isOlder, pageOf, readBack } from "../internal/BatchAnswer.js"
import { firstWireId } from "../internal/FirstWireId.js"
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
import type { ProviderError } from "../ProviderError.js"
import type { DiskError } from "../RunError.js"
import type { Shard, SubmitTag } from "../Shard.js"
import * as WireId from "../WireId.js"
import { describe, type DescribedBatch, resultsPath } from "./AnthropicBatch.js"
import * as AnthropicComplete from "./AnthropicComplete.js"
import { decode } from "./AnthropicDecode.js"
import { encode, endpoint } from "./AnthropicEncode.js"

/**
 * How to reach Anthropic.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The API key. Encoding and decoding need none. */
  readonly apiKey?: Redacted.Redacted | undefined
  /** A token in place of a key; not used when there is a key. */
  readonly authToken?: Redacted.Redacted | undefined
  /** Where the API is; `https://api.anthropic.com` by default. A `/v1` at its end is left out. */
  readonly baseUrl?: string | undefined
  /** How requests are made; over `node:http`, with constant memory, by default. */
  readonly fetch?: HttpTransport.Fetch | undefined
}

/**
 * What fits into one of Anthropic's batches. The rows travel as `{"requests":[...]}`, joined by commas where the shard
 * has newlines.
 *
 * @since 0.1.0
 * @category constants
 */
export const limits: Limits = {
  rows: 100_000,
  bytes: 256_000_000,
  overheadBytes: 14,
  oneModelPerBatch: false,
  embeddingInputs: null,
  windowHours: 24,
  retentionDays: 29,
  listPage: 1_000
}

const capabilities: Capabilities = { tags: false, upload: false, embeddings: false }

const name = "anthropic"

/**
 * Makes the provider. Nothing is loaded or called before the first effect runs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Service => {
  // Other tools want the version in it, which the SDK puts there.
  const baseUrl = (options.baseUrl ?? "https://api.anthropic.com").replace(/\/v1\/*$/, "")
  const fetch = options.fetch ?? HttpTransport.make()
  const settings: ProviderAccess.Settings = {
    provider: name,
    key: options.apiKey ?? options.authToken,
    keyVariable: "ANTHROPIC_API_KEY",
    baseUrl,
    baseUrlVariable: "ANTHROPIC_BASE_URL",
    scope: null
  }
  const calls = ProviderCalls.make(settings, () => load(options, baseUrl, fetch))
  const complete = AnthropicComplete.make(settings, () => load(options, baseUrl, SyncCall.fetchFor(options.fetch)))

  const listPage = (after: string | null) =>
    calls.read("list batches", async (client, signal, now) => {
      const query = { limit: limits.listPage, ...(after === null ? {} : { after_id: after }) }
      const response = await client.messages.batches.list(query, { signal, timeout: shortTimeout }).asResponse()
      return pageOf(await SdkError.readJson(response), after, limits.listPage, (item) => describe(item, now))
    })

  const look = (batchId: string) =>
    calls.read(`retrieve ${batchId}`, async (client, signal, now) => {
      const response = await client.messages.batches.retrieve(batchId, {}, { signal, timeout: shortTimeout })
        .asResponse()
      return describe(await SdkError.readJson(response), now)
    })

  const retrieve = Effect.fn("Anthropic.retrieve")((batchId: string) => Effect.map(look(batchId), snapshotOf))

  const create = Effect.fn("Anthropic.create")(function*(shard: Shard, _input: unknown, bytes: ShardBytes) {
    const body = yield* RequestBody.make(requestBody(bytes), { copies: options.fetch !== undefined })
    return yield* calls.submit(`create the batch of shard ${shard.id}`, async (client, signal, now) => {
      const response = await client.post("/v1/messages/batches", {
        body: body.stream,
        signal,
        timeout: createTimeout + uploadTime(shard.bytes),
        headers: {
          "content-type": "application/json",
          "content-length": String(shard.bytes + limits.overheadBytes),
          ...(shard.betas.length === 0 ? {} : { "anthropic-beta": shard.betas.join(",") })
        }
      }).asResponse()
      return describe(await SdkError.readJson(response), now).snapshot
    }).pipe(
      // A request whose body broke off is not one: the provider has nothing to make a batch of.
      Effect.mapError((error) => body.failure() ?? error)
    )
  }, Effect.scoped)

  /**
   * The bytes of a batch's results, from the address that the batch names, if that lies under the configured one. Another
   * server would be given the key; gateways pass on addresses of the server behind them, and serve the results themselves.
   */
  const results = ({ resultsUrl, snapshot }: DescribedBatch): Stream.Stream<Uint8Array, ProviderError> => {
    const operation = `download the results of ${snapshot.id}`
    if (resultsUrl === null) {
      const detail = `it has no results (${snapshot.providerStatus})`
      return Stream.fail(ProviderAccess.unusable(name, operation, { reason: "gone", detail }))
    }
    return calls.download(operation, (client, signal) => {
      const named = URL.canParse(resultsUrl, baseUrl) ? new URL(resultsUrl, baseUrl).href : ""
      const address = isUnder(baseUrl, named) ? named : resultsPath(snapshot.id)
      const options = { signal, timeout: downloadTimeout, headers: { accept: "application/binary" } }
      return client.get(address, options).asResponse()
    })
  }

  /** Whether a batch's results are those of a shard; `undefined` while nobody can tell. Shards in doubt share no row. */
  const isOf = (
    batch: DescribedBatch,
    { runTag }: SubmitTag,
    holds: (row: number) => boolean
  ): Effect.Effect<boolean | undefined, ProviderError> =>
    batch.resultsUrl === null ? Effect.succeed(undefined) : firstWireId(results(batch), decode).pipe(
      Effect.map((wireId) => {
        if (wireId === undefined) return undefined
        const row = WireId.rowOf(runTag, wireId)
        return row !== undefined && holds(row)
      }),
      Effect.catchIf((error) => error.reason === "gone" || error.reason === "refused", () => Effect.succeed(undefined))
    )

  const find = Effect.fn("Anthropic.find")(
    function*(tag: SubmitTag, since: DateTime.Utc, exclude: ReadonlySet<string>, holds: (row: number) => boolean) {
      const earliest = DateTime.subtractDuration(since, clockSkew)
      const proven: Array<BatchSnapshot> = []
      const unproven: Array<BatchSnapshot> = []
      for (const batch of yield* readBack(name, earliest, listPage)) {
        const { counts, id } = batch.snapshot
        if (isOlder(batch, earliest) || exclude.has(id)) continue
        // A batch without counts may be any.
        if (counts.total !== tag.rows && counts.total !== 0) continue
        const ours = yield* isOf(batch, tag, holds)
        if (ours !== false) (ours === true ? proven : unproven).push(batch.snapshot)
      }
      const [first, ...others] = proven
      if (first !== undefined && others.length === 0) return Finding.Found({ snapshot: first })
      const candidates = [...proven, ...unproven]
      return candidates.length === 0 ? Finding.Absent() : Finding.Ambiguous({ candidates })
    }
  )

  const cancel = Effect.fn("Anthropic.cancel")((batchId: string) =>
    calls.read(`cancel ${batchId}`, async (client, signal, now) => {
      const response = await client.messages.batches.cancel(batchId, {}, { signal, timeout: shortTimeout }).asResponse()
      return describe(await SdkError.readJson(response), now).snapshot
    }).pipe(orStoppedAnyway(retrieve(batchId)))
  )

  const deleteBatch = Effect.fn("Anthropic.delete")((batch: BatchSnapshot) =>
    calls.read(`delete ${batch.id}`, async (client, signal) => {
      const response = await client.messages.batches.delete(batch.id, {}, { signal, timeout: shortTimeout })
        .asResponse()
      await SdkError.readText(response)
    }).pipe(deleting(batch.id))
  )

  return {
    name,
    origin: ProviderAccess.originOf(settings),
    limits,
    capabilities,
    endpoints: [endpoint],
    account: Effect.fn("Anthropic.account")((salt: string) => ProviderAccess.account(settings, salt)),
    encode,
    upload: () => Effect.succeed({ _tag: "InCreate" }),
    create,
    find,
    retrieve,
    list: Effect.fn("Anthropic.list")((after: string | null) =>
      Effect.map(listPage(after), ({ batches, next }) => ({ batches: batches.map(snapshotOf), next }))
    ),
    cancel,
    delete: deleteBatch,
    // The file's reference is the batch: the address of its results may be signed, so it is not kept but asked for.
    download: (file: ResultFile) => Stream.unwrap(Effect.map(look(file.reference), results)),
    complete: Effect.fn("Anthropic.complete")(complete),
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
 * The provider as `ANTHROPIC_API_KEY`, `ANTHROPIC_AUTH_TOKEN` and `ANTHROPIC_BASE_URL` configure it. Empty values count
 * as unset; what is given here comes before them.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (overrides: Options = {}): Layer.Layer<Provider, ConfigError.ConfigError> =>
  Layer.effect(
    Provider,
    Effect.map(
      Config.all({
        apiKey: secret("ANTHROPIC_API_KEY"),
        authToken: secret("ANTHROPIC_AUTH_TOKEN"),
        baseUrl: setting("ANTHROPIC_BASE_URL")
      }),
      ({ apiKey, ...configured }) =>
        // A token that is given here is not to lose against a key from the environment.
        make({ ...configured, ...(overrides.authToken === undefined ? { apiKey } : {}), ...overrides })
    )
  )

/**
 * The SDK is loaded when it is needed first. Every option that it would otherwise take from the environment or from
 * profiles on disk is given: with a key or token, it looks for no other credential.
 */
const load = async (options: Options, baseURL: string, fetch: HttpTransport.Fetch): Promise<Client> => {
  const { Anthropic } = await import("@anthropic-ai/sdk")
  const { apiKey, authToken } = options
  return new Anthropic({
    apiKey: apiKey === undefined ? null : secretOf(apiKey),
    authToken: apiKey !== undefined || authToken === undefined ? null : secretOf(authToken),
    credentials: null,
    config: null,
    profile: null,
    webhookKey: null,
    baseURL,
    fetch,
    maxRetries: 0,
    logLevel: "off",
    openTelemetry: false
  })
}

/** Whether an address lies at a base URL, on its server and behind its path. */
const isUnder = (baseUrl: string, address: string): boolean => {
  const { origin, pathname } = new URL(baseUrl)
  return address.startsWith(`${origin}${pathname.replace(/\/+$/, "")}/`)
}

const snapshotOf = (batch: DescribedBatch): BatchSnapshot => batch.snapshot

const newline = 0x0a
const comma = 0x2c

/**
 * The body of the request that makes a batch, out of a shard's lines. A line's newline becomes a comma when another
 * line follows, so the last block's is held back. Blocks are only lent, as those of the shard are.
 */
const requestBody = (bytes: ShardBytes): Stream.Stream<Uint8Array, DiskError> =>
  Stream.make(Buffer.from("{\"requests\":[")).pipe(
    Stream.concat(Stream.suspend(() => Stream.map(bytes, lineJoiner()))),
    Stream.concat(Stream.make(Buffer.from("]}")))
  )

const lineJoiner = () => {
  let room = Buffer.alloc(0)
  let pending = false
  return (block: Uint8Array): Uint8Array => {
    if (block.length === 0) return block
    const start = pending ? 1 : 0
    if (room.length <= block.length) room = Buffer.allocUnsafe(block.length + 1)
    room[0] = comma
    room.set(block, start)
    pending = block[block.length - 1] === newline
    const joined = room.subarray(0, start + block.length - (pending ? 1 : 0))
    for (let at = joined.indexOf(newline); at !== -1; at = joined.indexOf(newline, at + 1)) joined[at] = comma
    return joined
  }
}
