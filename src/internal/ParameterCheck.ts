/**
 * The parameters of a body, checked by the catalogue's rules for its model: for every provider's encoder, once a row.
 */
import { UnsupportedField } from "../InputError.js"
import * as Model from "../Model.js"
import type { JsonObject } from "../Request.js"

/** Of most rows the only way out is what `--drop` says already. */
const leaveOut = "Leave it out"

/**
 * Throws an `UnsupportedField` for the first parameter that the model does not take. `name` is how the row calls the
 * model. Fields of a row that is sent as it is cannot be dropped: it is told to leave them out.
 */
export const check = (model: Model.Model, name: string, body: JsonObject, asItIs = false): void => {
  const [problem] = Model.problems(model, body)
  if (problem === undefined) return
  const { field, remedy, rule } = problem
  throw new UnsupportedField({
    field,
    target: name,
    reason: rule,
    remedy: remedy === leaveOut && !asItIs ? null : remedy
  })
}
