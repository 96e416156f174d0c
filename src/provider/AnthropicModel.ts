/**
 * What is known of Anthropic's models, by the catalogue of models. A model that is not known is allowed everything; the
 * provider decides then.
 *
 * @since 0.1.0
 */
import * as Model from "../Model.js"

/** What is not known is the same for every name: one model stands for all, since this is asked for every row. */
const unknown = Model.unknown("", "anthropic")

/**
 * What is known of a model, by its name: `claude-opus-4-5-20251101`, `claude-3-5-haiku-latest`.
 *
 * @since 0.1.0
 * @category getters
 */
export const modelOf = (name: string): Model.Model => {
  const lookup = Model.builtIn.find(name)
  return lookup._tag === "Known" ? lookup.model : unknown
}
