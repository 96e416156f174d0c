/**
 * With which key, and at which address, a provider is reached. What cannot be used is found before a call is made, and
 * said without quoting it.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { createHash } from "node:crypto"
import { Account } from "../Provider.js"
import { ProviderError } from "../ProviderError.js"

/** What the user configured, and the names of the variables that configure it. */
export interface Settings {
  readonly provider: string
  readonly key: Redacted.Redacted | undefined
  readonly keyVariable: string
  readonly baseUrl: string
  readonly baseUrlVariable: string
  /** What the account is divided by: organisation and project. */
  readonly scope: string | null
}

/** Why no call can be made. */
export type Misconfiguration = Pick<ProviderError, "reason" | "detail">

/** What keeps these settings from being used: what cannot be put into a header, or is no address. */
export const misconfiguration = (settings: Settings): Misconfiguration | undefined => {
  const { baseUrl, baseUrlVariable, key, keyVariable } = settings
  if (key === undefined || secretOf(key) === "") {
    return { reason: "auth", detail: `there is no API key: set ${keyVariable}` }
  }
  if (!/^[\x21-\x7e]+$/.test(secretOf(key))) {
    return { reason: "auth", detail: `the API key holds characters that no key has: check ${keyVariable}` }
  }
  return URL.canParse(baseUrl) && /^https?:$/.test(new URL(baseUrl).protocol)
    ? undefined
    : { reason: "refused", detail: `the base URL is not an http or https URL: check ${baseUrlVariable}` }
}

/** The error of a call that was not made. */
export const unusable = (provider: string, operation: string, { detail, reason }: Misconfiguration): ProviderError =>
  new ProviderError({ provider, operation, reason, status: null, retryAfterMillis: null, detail })

/** Who pays. The key is told by a fingerprint, salted with `salt`. */
export const account = (settings: Settings, salt: string): Effect.Effect<Account, ProviderError> =>
  Effect.suspend(() => {
    const { baseUrl, key, provider, scope } = settings
    const misconfigured = misconfiguration(settings)
    if (misconfigured !== undefined) return unusable(provider, "use the account", misconfigured)
    const secret = key === undefined ? "" : secretOf(key)
    return Effect.succeed(
      new Account({
        provider,
        baseUrl: publicUrl(baseUrl),
        scope,
        keyFingerprint: createHash("sha256").update(salt + secret).digest("hex").slice(0, 16)
      })
    )
  })

/** Where the API is, as far as it may be told. What is no address is told as such when it is called. */
export const originOf = ({ baseUrl }: Pick<Settings, "baseUrl">): string | undefined =>
  URL.canParse(baseUrl) ? publicUrl(baseUrl) : undefined

/** Without what a URL can hide: user name, password, query. */
const publicUrl = (baseUrl: string): string => {
  const { origin, pathname } = new URL(baseUrl)
  return `${origin}${pathname}`.replace(/\/+$/, "")
}

/** Keys are pasted, and come with a newline now and then. */
export const secretOf = (key: Redacted.Redacted): string => Redacted.value(key).trim()

/** A key from a variable. Empty counts as unset. */
export const secret = (variable: string) =>
  Config.redacted(variable).pipe(
    Config.option,
    Config.map(Option.filter((value) => secretOf(value) !== "")),
    Config.map(Option.getOrUndefined)
  )

/** Text from a variable. Empty counts as unset. */
export const setting = (variable: string) =>
  Config.string(variable).pipe(
    Config.option,
    Config.map(Option.map((value) => value.trim())),
    Config.map(Option.filter((value) => value !== "")),
    Config.map(Option.getOrUndefined)
  )
