/**
 * Templates: text with `{{variables}}` that are filled in from the columns of a row.
 *
 * - `{{text}}` is the row's column or field `text`; spaces around the name do not count.
 * - `{{user.name}}` is the field `name` of the object in `user`, unless a column is itself called `user.name`;
 *   `{{choices.0}}` is the first item of a list.
 * - `{{{{` stands for `{{` itself. A single brace needs no such care: `{"text": "{{text}}"}` is fine.
 *
 * Text goes in as it is, numbers and booleans as JSON writes them, objects and lists as JSON, `null` as nothing.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import { InputError } from "./InputError.js"
import type { JsonObject } from "./Request.js"

/**
 * A template that was read: text and variables by turns, beginning and ending with text.
 *
 * @since 0.1.0
 * @category models
 */
export interface Template {
  readonly text: string
  readonly literals: readonly [string, ...ReadonlyArray<string>]
  readonly variables: ReadonlyArray<Variable>
}

/**
 * A variable of a template.
 *
 * @since 0.1.0
 * @category models
 */
export interface Variable {
  /** As the template has it, without spaces around it. */
  readonly name: string
  /** Its parts between dots. */
  readonly path: ReadonlyArray<string>
}

/**
 * Reads a template. `name` says in an error which one it was, e.g. `--prompt`.
 *
 * @example
 * ```ts
 * import * as Template from "llm-batch/Template"
 *
 * const template = Template.parse("--prompt", "Is this spam? {{text}}")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (name: string, text: string): Either.Either<Template, InputError> => {
  const literals: [string, ...Array<string>] = [""]
  const variables: Array<Variable> = []
  const problem = (offset: number, problem: string, remedy: string) =>
    Either.left(
      new InputError({
        source: name,
        line: text.slice(0, offset).split("\n").length,
        column: offset - text.lastIndexOf("\n", offset - 1),
        problem,
        remedy
      })
    )
  let literal = ""
  let at = 0
  for (;;) {
    const open = text.indexOf("{{", at)
    if (open === -1) break
    let last = open
    while (text[last] === "{") last++
    const braces = last - open
    // Of a run of braces every four make a literal pair; of the rest, the last two open a variable.
    literal += text.slice(at, open) + "{{".repeat(Math.floor(braces / 4)) + "{".repeat(braces % 2)
    at = last
    if (braces % 4 < 2) continue
    const close = text.indexOf("}}", last)
    if (close === -1) {
      return problem(
        last - 2,
        "a variable is opened with {{ and never closed",
        "Close it with }}, or write {{{{ for {{."
      )
    }
    const variable = text.slice(last, close).trim()
    if (variable === "" || /[{}\n]/.test(variable)) {
      return problem(
        last - 2,
        variable === "" ? "{{ }} names no variable" : "what stands between {{ and }} is not the name of a variable",
        "Name a column of the input: {{text}}; write {{{{ for {{."
      )
    }
    literals[literals.length - 1] = literal
    literals.push("")
    variables.push({ name: variable, path: variable.split(".") })
    literal = ""
    at = close + 2
  }
  literals[literals.length - 1] = literal + text.slice(at)
  return Either.right({ text, literals, variables })
}

const lookUp = (variable: Variable, record: JsonObject): unknown => {
  if (Object.hasOwn(record, variable.name)) return record[variable.name]
  if (variable.path.length === 1) return undefined
  let value: unknown = record
  for (const step of variable.path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined
    value = Reflect.get(value, step)
  }
  return value
}

const toText = (value: unknown): string => {
  if (typeof value === "string") return value
  return value === null ? "" : JSON.stringify(value)
}

/**
 * Fills in a template: from the record's own fields, else from `values`. For a variable that neither has,
 * `onMissing` gives the text, or throws.
 *
 * @since 0.1.0
 * @category rendering
 */
export const render = (
  template: Template,
  record: JsonObject,
  values: { readonly [name: string]: string },
  onMissing: (variable: string) => string
): string => {
  let text = template.literals[0]
  for (let index = 0; index < template.variables.length; index++) {
    const variable = template.variables[index]
    if (variable === undefined) break
    let value = lookUp(variable, record)
    if (value === undefined && Object.hasOwn(values, variable.name)) value = values[variable.name]
    text += (value === undefined ? onMissing(variable.name) : toText(value)) + (template.literals[index + 1] ?? "")
  }
  return text
}
