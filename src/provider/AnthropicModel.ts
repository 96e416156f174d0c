/**
 * Which fields Anthropic's models take: told by family and version, read from the model's name. A name that is not
 * understood is allowed everything; the provider decides then.
 *
 * @since 0.1.0
 */

/**
 * What a model takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelRules {
  /** `temperature`, `top_p` and `top_k`: each may be set, only one of the first two, or none at all. */
  readonly sampling: "free" | "one" | "none"
  /** Forms of `thinking` besides `disabled`; `null` where every form is let through. */
  readonly thinking: ReadonlyArray<"enabled" | "adaptive" | "between_tools"> | null
  /** Levels of `output_config.effort`; `null` where every level is let through. */
  readonly efforts: ReadonlyArray<string> | null
  /** The value of the beta header that `effort` needs; `null` where it needs none. */
  readonly effortBeta: string | null
  /** Whether answers can be held to a JSON schema. */
  readonly structuredOutput: boolean
  /** The most tokens of an answer; `null` where it is not known. */
  readonly maxTokens: number | null
}

const families = "opus|sonnet|haiku|fable|mythos"
const familyFirst = new RegExp(`^claude-(${families})-(\\d)(?:-(\\d{1,2}))?(?:-|$)`)
const versionFirst = new RegExp(`^claude-(\\d)(?:-(\\d{1,2}))?-(${families})(?:-|$)`)

/** Family and version, as one number: 4.5 is 405. */
const parse = (model: string): { readonly family: string; readonly version: number } | undefined => {
  const first = familyFirst.exec(model)
  if (first !== null) return { family: first[1] ?? "", version: Number(first[2]) * 100 + Number(first[3] ?? 0) }
  const last = versionFirst.exec(model)
  if (last !== null) return { family: last[3] ?? "", version: Number(last[1]) * 100 + Number(last[2] ?? 0) }
  return undefined
}

const unknown: ModelRules = {
  sampling: "free",
  thinking: null,
  efforts: null,
  effortBeta: null,
  structuredOutput: true,
  maxTokens: null
}

const maxTokensOf = (family: string, version: number): number | null => {
  if (version < 305) return 4_096
  if (version < 307) return 8_192
  if (version < 405) return family === "opus" ? 32_000 : 64_000
  if (version < 406) return 64_000
  return version < 500 ? 128_000 : null
}

const make = (family: string, version: number): ModelRules => ({
  sampling: version > 406 ? "none" : version > 400 ? "one" : "free",
  thinking: version < 307
    ? []
    : version < 406
    ? ["enabled"]
    : version < 500
    ? ["adaptive"]
    : ["adaptive", "between_tools"],
  efforts: version > 406
    ? ["low", "medium", "high", "xhigh", "max"]
    : version === 406
    ? ["low", "medium", "high", "max"]
    : version === 405 && family === "opus"
    ? ["low", "medium", "high"]
    : [],
  effortBeta: version === 405 ? "effort-2025-11-24" : null,
  structuredOutput: version > 400,
  maxTokens: maxTokensOf(family, version)
})

/**
 * What a model takes, by its name: `claude-opus-4-5-20251101`, `claude-3-5-haiku-latest`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const rulesOf = (model: string): ModelRules => {
  const parsed = parse(model)
  return parsed === undefined ? unknown : make(parsed.family, parsed.version)
}
