/**
 * Tools and the choice among them, in Anthropic's form. All functions throw `UnsupportedField`.
 *
 * @since 0.1.0
 */
import { isJsonObject, type JsonObject } from "../Request.js"
import { checkMembers, found, isAbsent, unsupported } from "./AnthropicField.js"

/**
 * The body's tools; `undefined` for none.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toolsOf = (body: JsonObject): ReadonlyArray<unknown> | undefined => {
  const tools = body.tools
  if (isAbsent(tools)) return undefined
  if (!Array.isArray(tools)) throw unsupported("tools", `it is ${found(tools)}, not a list`, null)
  return tools.length === 0 ? undefined : tools.map((tool: unknown, index) => toolOf(tool, `tools[${index}]`))
}

const toolMembers = new Set(["type", "function", "cache_control"])
const functionMembers = new Set(["name", "description", "parameters", "strict"])

const toolOf = (tool: unknown, path: string): JsonObject => {
  if (!isJsonObject(tool)) throw unsupported(path, `it is ${found(tool)}, not a tool`, null)
  const type = tool.type
  const described = tool.function
  if (type !== "function") {
    // Anthropic's own: a tool with an `input_schema`, or one that runs at the server, named by its type.
    if ("input_schema" in tool || (typeof type === "string" && /_\d{8}$/.test(type)) || type === "mcp_toolset")
      return tool
    throw unsupported(`${path}.type`, `it is ${found(type)}`, "Use function tools, or Anthropic's own")
  }
  if (!isJsonObject(described) || typeof described.name !== "string") {
    throw unsupported(`${path}.function`, "it does not name a function", null)
  }
  checkMembers(tool, toolMembers, path)
  checkMembers(described, functionMembers, `${path}.function`)
  const { description, name, parameters, strict } = described
  return {
    name,
    ...(isAbsent(description) ? {} : { description }),
    input_schema: parameters ?? { type: "object", properties: {} },
    ...(isAbsent(strict) ? {} : { strict }),
    ...(isAbsent(tool.cache_control) ? {} : { cache_control: tool.cache_control })
  }
}

/**
 * What the body says of the choice among tools, `parallel_tool_calls` included.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toolChoiceOf = (body: JsonObject, hasTools: boolean): JsonObject | undefined => {
  const choice = isAbsent(body.tool_choice) ? undefined : choiceOf(body.tool_choice)
  const parallel = body.parallel_tool_calls
  if (!isAbsent(parallel) && typeof parallel !== "boolean") {
    throw unsupported("parallel_tool_calls", `it is ${found(parallel)}, not true or false`, null)
  }
  if (!hasTools) {
    if (choice === undefined || choice.type === "auto" || choice.type === "none") return undefined
    throw unsupported("tool_choice", "there are no tools to choose from", "Give tools")
  }
  if (parallel !== false || choice?.type === "none") return choice
  return { ...(choice ?? { type: "auto" }), disable_parallel_tool_use: true }
}

const chosenMembers = new Set(["type", "function"])
const nameOnly = new Set(["name"])

const choiceOf = (choice: unknown): JsonObject => {
  if (choice === "auto" || choice === "none") return { type: choice }
  if (choice === "required") return { type: "any" }
  if (isJsonObject(choice)) {
    const { function: named, type } = choice
    if (type === "function" && isJsonObject(named) && typeof named.name === "string") {
      checkMembers(choice, chosenMembers, "tool_choice")
      checkMembers(named, nameOnly, "tool_choice.function")
      return { type: "tool", name: named.name }
    }
    if (type === "auto" || type === "none" || type === "any" || type === "tool") return choice
  }
  throw unsupported("tool_choice", `it is ${found(choice)}`, "Use auto, none, required or the name of one function")
}
