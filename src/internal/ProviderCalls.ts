/**
 * Calls to a provider through the client of its official SDK, as effects with errors of ours. The client is loaded when
 * the first call is made.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { BatchSnapshot } from "../Batch.js"
import type { ProviderError } from "../ProviderError.js"
import { NotSent, type Refused, type Unknown } from "../SubmitError.js"
import * as ProviderAccess from "./ProviderAccess.js"
import * as SdkError from "./SdkError.js"

/** Ways to call a provider. `now` is the time at which a call begins. */
export interface ProviderCalls<Client> {
  /** A call that can be repeated without harm. */
  readonly read: <A>(
    operation: string,
    run: (client: Client, signal: AbortSignal, now: DateTime.Utc) => Promise<A>
  ) => Effect.Effect<A, ProviderError>

  /** A call that brings or makes something. */
  readonly submit: <A>(
    operation: string,
    run: (client: Client, signal: AbortSignal, now: DateTime.Utc) => Promise<A>
  ) => Effect.Effect<A, NotSent | Refused | Unknown>

  /** The bytes of an answer, as they were sent. */
  readonly download: (
    operation: string,
    run: (client: Client, signal: AbortSignal) => Promise<{ readonly body: ReadableStream<Uint8Array> | null }>
  ) => Stream.Stream<Uint8Array, ProviderError>
}

/** Makes the calls of a provider. Nothing is loaded or called before the first effect runs. */
export const make = <Client>(
  settings: ProviderAccess.Settings,
  load: () => Promise<Client>
): ProviderCalls<Client> => {
  const { key, provider } = settings
  const misconfigured = ProviderAccess.misconfiguration(settings)
  let loading: Promise<Client> | undefined
  const client = () => loading ??= load()
  const callOf = (operation: string): SdkError.Call => ({ provider, operation, key })

  const read: ProviderCalls<Client>["read"] = (operation, run) =>
    misconfigured === undefined
      ? Effect.flatMap(
        DateTime.now,
        (now) => SdkError.reading(callOf(operation), async (signal) => run(await client(), signal, now))
      )
      : ProviderAccess.unusable(provider, operation, misconfigured)

  return {
    read,
    submit: (operation, run) =>
      misconfigured === undefined
        ? Effect.flatMap(
          DateTime.now,
          (now) => SdkError.submitting(callOf(operation), async (signal) => run(await client(), signal, now))
        )
        : new NotSent({ provider, operation, detail: misconfigured.detail }),
    download: (operation, run) =>
      Stream.unwrap(
        read(operation, async (client, signal, now) => {
          const { body } = await run(client, signal)
          return body === null ? Stream.empty : Stream.fromReadableStream<Uint8Array, ProviderError>({
            evaluate: () => body,
            onError: SdkError.toProviderError(callOf(operation), DateTime.toEpochMillis(now))
          })
        })
      )
  }
}

/** A batch that has ended, or is ending, refuses to be cancelled; to be stopped is what was asked for all the same. */
export const orStoppedAnyway =
  (look: Effect.Effect<BatchSnapshot, ProviderError>) =>
  (self: Effect.Effect<BatchSnapshot, ProviderError>): Effect.Effect<BatchSnapshot, ProviderError> =>
    Effect.catchIf(
      self,
      (error) => error.status === 400 || error.status === 409,
      (error) =>
        Effect.flatMap(
          look,
          (snapshot) =>
            snapshot.status === "ended" || snapshot.status === "cancelling" || snapshot.status === "finalizing"
              ? Effect.succeed(snapshot)
              : Effect.fail(error)
        )
    )

/** What was deleted by a call: nothing, when it was gone before. */
export const deleting =
  (id: string) => (self: Effect.Effect<unknown, ProviderError>): Effect.Effect<ReadonlyArray<string>, ProviderError> =>
    self.pipe(
      Effect.as([id]),
      Effect.catchIf((error) => error.reason === "gone", () => Effect.succeed([]))
    )

/** Milliseconds that a call may take whose bodies are small. */
export const shortTimeout = 60_000

/** Milliseconds that a create may take besides its upload: one that is given up on has to be looked for. */
export const createTimeout = 120_000

/** Milliseconds until a download starts. */
export const downloadTimeout = 300_000

/** Milliseconds for so many bytes at 500 kB a second. */
export const uploadTime = (bytes: number): number => Math.ceil(bytes / 500)

/** How far the clocks of a provider's own servers may be apart. Ours has no part in it. */
export const clockSkew = "5 minutes"
