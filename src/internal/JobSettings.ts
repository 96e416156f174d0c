/**
 * The settings of ready-made jobs: what a job's options are called among them, and which ones are the job's affair.
 */

/** Settings that a job takes for itself: they make no defaults of the run's rows. */
export const taken = {
  eval: [
    "id_column",
    "limit_items",
    "max_tokens",
    "model",
    "prompt",
    "system",
    "temperature",
    "thinking",
    "var"
  ],
  translate: ["output"],
  classify: ["columns", "input_format", "output"]
} as const

const takenBy: { readonly [job: string]: ReadonlyArray<string> } = taken

/** What every job makes of its own options. */
const made: ReadonlyArray<string> = [
  "columns",
  "id_column",
  "input",
  "input_format",
  "prompt",
  "schema",
  "system",
  "var"
]

/** Whether a setting of a job's run comes of the job's own options, which say it better. */
export const isOwn = (job: string, key: string): boolean => made.includes(key) || takenBy[job]?.includes(key) === true

/** Options with names of their own; otherwise `labelColumn` is `label_column`. */
const otherwise: { readonly [option: string]: string } = {
  targetLanguage: "target_lang",
  sourceLanguage: "source_lang",
  variables: "var",
  format: "input_format"
}

/** The key of an option in a configuration file; as a flag it has dashes. */
export const keyOf = (option: string): string =>
  otherwise[option] ?? option.replaceAll(/[A-Z]/gu, (letter) => `_${letter.toLowerCase()}`)
