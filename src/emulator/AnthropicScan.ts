/**
 * Reads the body that creates an Anthropic batch: finds its requests, and what is wrong with the call as a whole.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { isObject, type JsonObject, objectAt, parse } from "./Json.js"
import * as Refused from "./Refused.js"
import * as RequestScan from "./RequestScan.js"
import * as RowStore from "./RowStore.js"

/**
 * What is to be read, and how it is judged.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input {
  readonly path: string
  readonly maxRows: number
  /** What the plan wants with a request of these parameters. */
  readonly fate: (params: JsonObject) => number
  /** Where the requests go. */
  readonly rows: RowStore.RowIndex
}

const notJson = "The request body is not valid JSON."

/**
 * @since 0.1.0
 * @category scanning
 */
export const scan = (input: Input): Effect.Effect<void, Refused.Refused> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* RowStore.reader(input.path)
    const ids = new Map<string, number>()
    let problem: string | undefined
    const fail = (message: string) => {
      problem ??= message
    }
    // The block under way, so that a request within it is not read again.
    let block: Buffer = Buffer.alloc(0)
    let blockOffset = 0
    const text = (start: number, end: number): string =>
      start >= blockOffset && end <= blockOffset + block.length
        ? block.toString("utf8", start - blockOffset, end - blockOffset)
        : file.read(start, end - start).toString("utf8")

    const scanner = RequestScan.make({
      isRequests: (start, end) => text(start, end) === "\"requests\"",
      member: (keyStart, keyEnd, valueStart, valueEnd) => {
        const key = parse(text(keyStart, keyEnd))
        if (typeof key !== "string" || parse(text(valueStart, valueEnd)) === undefined) fail(notJson)
        else fail(
            key === "requests" ? "requests: Input should be a valid list" : `${key}: Extra inputs are not permitted`
          )
      },
      element: (start, end) => {
        const index = input.rows.count
        const row = parse(text(start, end))
        const at = `requests.${index}`
        if (row === undefined) return fail(notJson)
        if (!isObject(row)) return fail(`${at}: Input should be an object`)
        const customId = row["custom_id"]
        const stranger = Object.keys(row).find((key) => key !== "custom_id" && key !== "params")
        if (customId === undefined) fail(`${at}.custom_id: Field required`)
        else if (typeof customId !== "string") fail(`${at}.custom_id: Input should be a valid string`)
        else if (!/^[a-zA-Z0-9_-]{1,64}$/.test(customId)) {
          fail(`${at}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'`)
        } else {
          const earlier = ids.get(customId)
          if (earlier !== undefined) {
            fail(`${at}.custom_id: custom_id '${customId}' is not unique: it is that of requests.${earlier} too`)
          }
          ids.set(customId, index)
        }
        if (stranger !== undefined) fail(`${at}.${stranger}: Extra inputs are not permitted`)
        if (row["params"] === undefined) fail(`${at}.params: Field required`)
        else if (!isObject(row["params"])) fail(`${at}.params: Input should be an object`)
        input.rows.push(start, end - start, input.fate(objectAt(row, "params")))
        if (input.rows.count > input.maxRows) fail(`requests: List should have at most ${input.maxRows} items`)
      }
    })
    let valid = true
    yield* RowStore.blocks(file, (bytes, offset) => {
      block = bytes
      blockOffset = offset
      valid = scanner.feed(bytes, offset)
      return valid && problem === undefined
    })
    const end = scanner.end()
    if (problem === undefined && !(valid && end.complete)) problem = notJson
    if (problem === undefined && !end.sawRequests) problem = "requests: Field required"
    if (problem === undefined && input.rows.count === 0)
      problem = "requests: List should have at least 1 item after validation, not 0"
    if (problem !== undefined) return yield* Refused.invalid(problem)
  }))
