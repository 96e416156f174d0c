/**
 * What is known of each model besides its prices: limits, and the parameters that it takes. Each rule stands here once.
 *
 * Limits and families are those of the providers' model pages as of November 2026. What is not certain is left open
 * (`null`, or the widest choice), so that nothing that works is refused.
 */
import type { Accepts, Tokenizer } from "../Model.js"

/** A model as it stands in the table. */
export interface KnownModel {
  readonly name: string
  readonly provider: "openai" | "anthropic"
  /** Other names that the provider's API takes for the same model, besides its dated ones. */
  readonly aliases: ReadonlyArray<string>
  readonly context: number | null
  readonly maxOutput: number | null
  readonly tokenizer: Tokenizer
  readonly accepts: Accepts
}

/** A model of which nothing is known is allowed everything: its provider decides. */
export const everything: Accepts = {
  sampling: null,
  stop: true,
  reasoning: null,
  efforts: null,
  effortBeta: null,
  thinking: null,
  structuredOutput: true,
  batch: null
}

const plain: Accepts = {
  ...everything,
  sampling: "any",
  reasoning: "never",
  efforts: [],
  thinking: [],
  batch: true
}

const older: Accepts = { ...plain, structuredOutput: false }

const unbatched = (accepts: Accepts): Accepts => ({ ...accepts, batch: false })

const always = (efforts: ReadonlyArray<string>): Accepts => ({
  ...plain,
  sampling: "none",
  stop: false,
  reasoning: "always",
  efforts
})

const optional = (efforts: ReadonlyArray<string>): Accepts => ({
  ...plain,
  sampling: "without_reasoning",
  reasoning: "optional",
  efforts
})

const threeEfforts = ["low", "medium", "high"]
const o1Preview: Accepts = { ...always([]), stop: true, structuredOutput: false, batch: false }
const gpt5 = always(["minimal", ...threeEfforts])
const gpt51 = optional(["none", ...threeEfforts])
const gpt52 = optional(["none", ...threeEfforts, "xhigh"])
const gpt56 = optional(["none", ...threeEfforts, "xhigh", "max"])
/** Every level that OpenAI has, for models of which it is not certain which they take. */
const someEffort = optional(["none", "minimal", ...threeEfforts, "xhigh", "max"])

const openAi = (
  name: string,
  context: number | null,
  maxOutput: number | null,
  accepts: Accepts,
  rest: Partial<Pick<KnownModel, "aliases" | "tokenizer">> = {}
): KnownModel => ({
  name,
  provider: "openai",
  aliases: [],
  context,
  maxOutput,
  tokenizer: "o200k_base",
  accepts,
  ...rest
})

const cl100k = { tokenizer: "cl100k_base" } as const

const openAiModels: ReadonlyArray<KnownModel> = [
  openAi("gpt-3.5-turbo", 16_385, 4_096, older, { ...cl100k, aliases: ["gpt-3.5-turbo-0125"] }),
  openAi("gpt-3.5-turbo-1106", 16_385, 4_096, older, cl100k),
  openAi("gpt-3.5-turbo-0613", 16_385, 4_096, older, cl100k),
  openAi("gpt-3.5-turbo-16k", 16_385, 4_096, older, { ...cl100k, aliases: ["gpt-3.5-turbo-16k-0613"] }),
  openAi("gpt-4", 8_192, 8_192, older, { ...cl100k, aliases: ["gpt-4-0613", "gpt-4-0314"] }),
  openAi("gpt-4-32k", 32_768, 32_768, unbatched(older), {
    ...cl100k,
    aliases: ["gpt-4-32k-0613", "gpt-4-32k-0314"]
  }),
  openAi("gpt-4-turbo", 128_000, 4_096, older, {
    ...cl100k,
    aliases: ["gpt-4-turbo-preview", "gpt-4-0125-preview", "gpt-4-1106-preview"]
  }),
  openAi("gpt-4.5-preview", 128_000, 16_384, plain),
  openAi("gpt-4o", 128_000, 16_384, plain),
  openAi("gpt-4o-2024-05-13", 128_000, 4_096, older),
  openAi("gpt-4o-mini", 128_000, 16_384, plain),
  openAi("gpt-4o-search-preview", 128_000, 16_384, unbatched(plain)),
  openAi("gpt-4o-mini-search-preview", 128_000, 16_384, unbatched(plain)),
  openAi("gpt-4o-audio-preview", 128_000, 16_384, unbatched(older)),
  openAi("gpt-4o-mini-audio-preview", 128_000, 16_384, unbatched(older)),
  openAi("chatgpt-4o-latest", 128_000, 16_384, unbatched(plain)),
  openAi("gpt-4.1", 1_047_576, 32_768, plain),
  openAi("gpt-4.1-mini", 1_047_576, 32_768, plain),
  openAi("gpt-4.1-nano", 1_047_576, 32_768, plain),
  openAi("o1", 200_000, 100_000, { ...always(threeEfforts), stop: true }),
  openAi("o1-mini", 128_000, 65_536, o1Preview),
  openAi("o1-preview", 128_000, 32_768, o1Preview),
  openAi("o1-pro", 200_000, 100_000, { ...always(threeEfforts), stop: true }),
  openAi("o3", 200_000, 100_000, always(threeEfforts)),
  openAi("o3-mini", 200_000, 100_000, always(threeEfforts)),
  openAi("o3-pro", 200_000, 100_000, always(threeEfforts)),
  openAi("o3-deep-research", 200_000, 100_000, always(threeEfforts)),
  openAi("o4-mini", 200_000, 100_000, always(threeEfforts)),
  openAi("o4-mini-deep-research", 200_000, 100_000, always(threeEfforts)),
  openAi("codex-mini", 200_000, 100_000, unbatched(always(threeEfforts)), { aliases: ["codex-mini-latest"] }),
  openAi("gpt-5", 400_000, 128_000, gpt5),
  openAi("gpt-5-mini", 400_000, 128_000, gpt5),
  openAi("gpt-5-nano", 400_000, 128_000, gpt5),
  openAi("gpt-5-pro", 400_000, 272_000, always(["high"])),
  openAi("gpt-5-codex", 400_000, 128_000, unbatched(always(threeEfforts))),
  openAi("gpt-5-chat-latest", 128_000, 16_384, unbatched(plain)),
  openAi("gpt-5.1", 400_000, 128_000, gpt51),
  openAi("gpt-5.1-codex", 400_000, 128_000, unbatched(someEffort)),
  openAi("gpt-5.1-codex-mini", 400_000, 128_000, unbatched(someEffort)),
  openAi("gpt-5.1-codex-max", 400_000, 128_000, unbatched(someEffort)),
  openAi("gpt-5.1-chat-latest", 128_000, 16_384, unbatched(plain)),
  openAi("gpt-5.2", 400_000, 128_000, gpt52),
  openAi("gpt-5.2-pro", 400_000, 128_000, unbatched(someEffort)),
  openAi("gpt-5.2-codex", 400_000, 128_000, unbatched(someEffort)),
  openAi("gpt-5.2-chat-latest", 128_000, 16_384, unbatched(plain)),
  openAi("gpt-5.3-codex", 400_000, 128_000, unbatched(someEffort)),
  openAi("gpt-5.3-chat-latest", 128_000, 16_384, unbatched(plain)),
  openAi("gpt-5.4", 1_050_000, 128_000, gpt52),
  openAi("gpt-5.4-mini", 400_000, 128_000, gpt52),
  openAi("gpt-5.4-nano", 400_000, 128_000, gpt52),
  openAi("gpt-5.4-pro", 1_050_000, 128_000, unbatched(someEffort)),
  openAi("gpt-5.5", 1_050_000, 128_000, gpt52),
  openAi("gpt-5.5-pro", 1_050_000, 128_000, someEffort),
  openAi("gpt-5.6-sol", 1_050_000, 128_000, gpt56, { aliases: ["gpt-5.6"] }),
  openAi("gpt-5.6-terra", 1_050_000, 128_000, gpt56),
  openAi("gpt-5.6-luna", 1_050_000, 128_000, gpt56),
  openAi("gpt-5.6-cyber", 400_000, 128_000, gpt56),
  openAi("gpt-6-astra", 1_050_000, 128_000, { ...someEffort, batch: null }),
  openAi("gpt-6-sol", 1_050_000, 128_000, { ...someEffort, batch: null }),
  openAi("gpt-6-luna", 1_050_000, 128_000, { ...someEffort, batch: null }),
  openAi("text-embedding-3-small", 8_192, null, everything, cl100k),
  openAi("text-embedding-3-large", 8_192, null, everything, cl100k),
  openAi("text-embedding-ada-002", 8_192, null, everything, cl100k)
]

/** Anthropic's rules go by version: 405 is version 4.5. */
const claude = (
  name: string,
  version: number,
  context: number,
  maxOutput: number | null,
  aliases: ReadonlyArray<string> = []
): KnownModel => ({
  name,
  provider: "anthropic",
  aliases,
  context,
  maxOutput,
  tokenizer: version < 407 ? "claude" : "claude-2026",
  accepts: {
    sampling: version < 401 ? "any" : version < 407 ? "one" : "none",
    stop: true,
    reasoning: version < 307 ? "never" : "optional",
    efforts: claudeEfforts(name, version),
    effortBeta: version === 405 ? "effort-2025-11-24" : null,
    thinking: version < 307
      ? []
      : version < 406
      ? ["enabled"]
      : version < 500
      ? ["adaptive"]
      : ["adaptive", "between_tools"],
    structuredOutput: version >= 401,
    batch: true
  }
})

const claudeEfforts = (name: string, version: number): ReadonlyArray<string> => {
  if (version > 406) return [...threeEfforts, "xhigh", "max"]
  if (version === 406) return [...threeEfforts, "max"]
  return name === "claude-opus-4-5" ? threeEfforts : []
}

const anthropicModels: ReadonlyArray<KnownModel> = [
  claude("claude-3-haiku", 300, 200_000, 4_096),
  claude("claude-3-sonnet", 300, 200_000, 4_096),
  claude("claude-3-opus", 300, 200_000, 4_096, ["claude-3-opus-latest"]),
  claude("claude-3-5-sonnet", 305, 200_000, 8_192, ["claude-3-5-sonnet-latest"]),
  claude("claude-3-5-haiku", 305, 200_000, 8_192, ["claude-3-5-haiku-latest"]),
  claude("claude-3-7-sonnet", 307, 200_000, 64_000, ["claude-3-7-sonnet-latest"]),
  claude("claude-opus-4-0", 400, 200_000, 32_000, ["claude-opus-4", "claude-opus-4-20250514"]),
  claude("claude-sonnet-4-0", 400, 200_000, 64_000, ["claude-sonnet-4", "claude-sonnet-4-20250514"]),
  claude("claude-opus-4-1", 401, 200_000, 32_000),
  claude("claude-opus-4-5", 405, 200_000, 64_000),
  claude("claude-sonnet-4-5", 405, 200_000, 64_000),
  claude("claude-haiku-4-5", 405, 200_000, 64_000),
  claude("claude-opus-4-6", 406, 1_000_000, 128_000),
  claude("claude-sonnet-4-6", 406, 1_000_000, 128_000),
  claude("claude-opus-4-7", 407, 1_000_000, 128_000),
  claude("claude-opus-4-8", 408, 1_000_000, 128_000),
  claude("claude-mythos-preview", 407, 1_000_000, null),
  claude("claude-opus-5", 500, 1_000_000, 128_000),
  claude("claude-sonnet-5", 500, 1_000_000, 128_000),
  claude("claude-fable-5", 500, 1_000_000, 128_000),
  claude("claude-mythos-5", 500, 1_000_000, 128_000),
  claude("claude-fable-5-1", 501, 1_000_000, 128_000),
  claude("claude-mythos-5-1", 501, 1_000_000, 128_000),
  claude("claude-fable-5-2", 502, 1_000_000, null),
  claude("claude-mythos-5-2", 502, 1_000_000, null),
  claude("claude-opus-5-5", 505, 1_000_000, 128_000),
  claude("claude-sonnet-5-5", 505, 1_000_000, 128_000),
  claude("claude-haiku-5-5", 505, 1_000_000, 128_000)
]

/** All models of the table. */
export const knownModels: ReadonlyArray<KnownModel> = [...openAiModels, ...anthropicModels]
