/**
 * The providers, one line each. A provider's module is loaded when the provider is used.
 */
import type * as ConfigError from "effect/ConfigError"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { BatchSnapshot } from "../Batch.js"
import { nearestName } from "../internal/NearestName.js"
import type { Provider } from "../Provider.js"
import { UsageError } from "./UsageError.js"

/** A provider that can be chosen by name. */
export interface Entry {
  /** As in `--provider`, and as its service is named. */
  readonly id: string
  /** As people write it. */
  readonly name: string
  readonly layer: Layer.Layer<Provider, ConfigError.ConfigError>
  /** The models that it alone has. */
  readonly models: RegExp
  /** How long it keeps the results of a batch, and from when on. */
  readonly retention: { readonly days: number; readonly since: "creation" | "end" }
}

/** All providers. */
export const all: ReadonlyArray<Entry> = [
  {
    id: "openai",
    name: "OpenAI",
    layer: Layer.unwrapEffect(
      Effect.map(Effect.promise(() => import("../provider/OpenAi.js")), ({ layerConfig }) => layerConfig())
    ),
    models: /^(?:ft:)?(?:gpt-|chatgpt-|codex-|o\d|text-embedding-)/,
    retention: { days: 30, since: "end" }
  },
  {
    id: "anthropic",
    name: "Anthropic",
    layer: Layer.unwrapEffect(
      Effect.map(Effect.promise(() => import("../provider/Anthropic.js")), ({ layerConfig }) => layerConfig())
    ),
    models: /^claude-/,
    retention: { days: 29, since: "creation" }
  }
]

const ids = all.map(({ id }) => id)

/** Other names by which providers are known. */
const aliases: Readonly<Record<string, string>> = { claude: "anthropic" }

/** The provider with this id. */
export const byId = (id: string): Effect.Effect<Entry, UsageError> => {
  const name = id.toLowerCase()
  const known = Object.hasOwn(aliases, name) ? aliases[name] : name
  const found = all.find((entry) => entry.id === known)
  if (found !== undefined) return Effect.succeed(found)
  const near = nearestName(id, ids)
  return new UsageError({
    message: `There is no provider ${JSON.stringify(id)}. ${
      near === undefined ? `Providers are ${ids.join(" and ")}.` : `Did you mean ${near}?`
    }`
  })
}

/** The provider that alone has a model of this name. */
export const byModel = (model: string): Entry | undefined => all.find(({ models }) => models.test(model))

/** When the provider deletes the results of a batch; `null` where that is not known yet. */
export const deletionOf = (provider: string, { createdAt, endedAt }: BatchSnapshot): DateTime.Utc | null => {
  const retention = all.find(({ id }) => id === provider)?.retention
  const from = retention?.since === "creation" ? createdAt : endedAt
  return retention === undefined || from === null ? null : DateTime.add(from, { days: retention.days })
}

const endpoints: Readonly<Record<string, string>> = {
  responses: "/v1/responses",
  chat: "/v1/chat/completions",
  embeddings: "/v1/embeddings",
  messages: "/v1/messages"
}

/** The path of an endpoint, which may be given by its short name. */
export const endpointPath = (endpoint: string): Effect.Effect<string, UsageError> => {
  if (endpoint.startsWith("/")) return Effect.succeed(endpoint)
  const path = Object.hasOwn(endpoints, endpoint) ? endpoints[endpoint] : undefined
  if (path !== undefined) return Effect.succeed(path)
  const near = nearestName(endpoint, Object.keys(endpoints))
  return new UsageError({
    message: `There is no endpoint ${JSON.stringify(endpoint)}. ${
      near === undefined ? `Write ${Object.keys(endpoints).join(", ")}, or a path.` : `Did you mean ${near}?`
    }`
  })
}
