/**
 * Which fields OpenAI's models take, as far as it is known for certain, by the catalogue of models: a model that is not
 * known is sent what the row says, and the provider decides.
 *
 * @since 0.1.0
 */
import * as Model from "../Model.js"

/** What is not known is the same for every name: one model stands for all, since this is asked for every row. */
const unknown = Model.unknown("", "openai")

/**
 * What is known of a model, by the name that a row has.
 *
 * @since 0.1.0
 * @category getters
 */
export const modelOf = (name: string): Model.Model => {
  const lookup = Model.builtIn.find(name)
  return lookup._tag === "Known" ? lookup.model : unknown
}

/**
 * Whether a model reasons before it answers. Such models take `max_completion_tokens`, not `max_tokens`. Names of models
 * newer than the catalogue are taken for what their family became.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isReasoning = (name: string): boolean => {
  const { reasoning } = modelOf(name).accepts
  return reasoning === null
    ? /^(?:o\d|gpt-[5-9])(?!.*-chat)/.test(name)
    : reasoning !== "never"
}

/**
 * Whether a model can be held to a JSON schema. One that is not known is taken to.
 *
 * @since 0.1.0
 * @category predicates
 */
export const hasStructuredOutput = (name: string): boolean => modelOf(name).accepts.structuredOutput
