/**
 * How a command that failed is told, and the exit code that says what kind of failure it was.
 */
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Either from "effect/Either"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { type ExitCode, exitCode } from "./ExitCode.js"
import * as Report from "./Report.js"

/** A failure as it is told. */
export interface Failure {
  readonly type: string
  readonly message: string
  readonly code: ExitCode
}

/** What nobody can have a key for, or an address, before it is put right: found before any call is made. */
const isMisconfigured = (error: unknown): boolean =>
  Predicate.isTagged(error, "ProviderError")
  && Predicate.hasProperty(error, "status") && error.status === null
  && Predicate.hasProperty(error, "reason") && (error.reason === "auth" || error.reason === "refused")

const badInput: ReadonlySet<string> = new Set(["UsageError", "InputError", "UnsupportedField", "RunRejected"])

const escapes = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g")

/** A text without colours. */
export const withoutColor = (text: string): string => text.replaceAll(escapes, "")

const textOf = (document: HelpDoc.HelpDoc): string => {
  const span = HelpDoc.getSpan(document)
  return span._tag === "Text" ? span.value : withoutColor(HelpDoc.toAnsiText(document)).trim()
}

const messageOf = (error: unknown): string => {
  const message = Predicate.hasProperty(error, "message") && typeof error.message === "string"
    ? error.message
    : String(error)
  return Report.local(
    message,
    Predicate.hasProperty(error, "directory") && typeof error.directory === "string" ? error.directory : undefined
  )
}

const ofError = (error: unknown): Failure => {
  if (ValidationError.isValidationError(error)) {
    return { type: "UsageError", message: textOf(error.error), code: exitCode.badInput }
  }
  if (ConfigError.isConfigError(error)) {
    return {
      type: "ConfigError",
      message: `The environment: ${Inspectable.toStringUnknown(error)}`,
      code: exitCode.badInput
    }
  }
  const type = Predicate.hasProperty(error, "_tag") && typeof error._tag === "string" ? error._tag : "Error"
  return {
    type,
    message: messageOf(error),
    code: badInput.has(type) || isMisconfigured(error) ? exitCode.badInput : exitCode.failed
  }
}

/** What to tell of a cause that is no mere interruption. */
export const make = (cause: Cause.Cause<unknown>): Failure =>
  Either.match(Cause.failureOrCause(cause), {
    onLeft: ofError,
    onRight: (rest) => {
      const defect = Option.getOrUndefined(Cause.dieOption(rest))
      return {
        type: "Defect",
        message: `this is a bug in llm-batch, please report it: ${messageOf(defect)}\n${Cause.pretty(rest)}`,
        code: exitCode.failed
      }
    }
  })
