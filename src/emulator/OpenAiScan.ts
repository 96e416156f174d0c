/**
 * Reads the input file of an OpenAI batch: finds its rows, and what is wrong with the file as a whole.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { isObject, type Json, type JsonObject, objectAt, parse, stringAt } from "./Json.js"
import * as OpenAiRequest from "./OpenAiRequest.js"
import * as RowStore from "./RowStore.js"
import type { Count } from "./Tokenizer.js"

/** OpenAI tells the first errors only. */
const mostErrors = 100

/**
 * What is to be read, and how it is judged.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input {
  readonly path: string
  readonly bytes: number
  readonly endpoint: OpenAiRequest.Endpoint
  readonly maxRows: number
  readonly maxBytes: number
  readonly maxEmbeddingInputs: number
  /** What the plan wants with a row of this body. */
  readonly fate: (body: JsonObject) => number
  /** Counts the tokens of a row's prompt. */
  readonly tokens: Count
  /** Where the rows go. */
  readonly rows: RowStore.RowIndex
}

/**
 * What was read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Scanned {
  readonly errors: ReadonlyArray<JsonObject>
  readonly model: string | undefined
  /** Of all rows. */
  readonly tokens: number
}

/**
 * An error of a batch, as it stands in `errors.data`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const error = (
  code: string,
  message: string,
  param: string | null = null,
  line: number | null = null
): JsonObject => ({
  code,
  line,
  message,
  param
})

/**
 * @since 0.1.0
 * @category scanning
 */
export const scan = (input: Input): Effect.Effect<Scanned> =>
  Effect.scoped(Effect.gen(function*() {
    const file = yield* RowStore.reader(input.path)
    const errors: Array<JsonObject> = []
    const ids = new Set<string>()
    let model: string | undefined
    let total = 0
    let embeddings = 0
    let number = 0

    const required = (row: JsonObject, line: number): boolean => {
      for (const name of ["custom_id", "method", "url", "body"]) {
        if (row[name] === undefined || row[name] === null) {
          errors.push(error("missing_required_parameter", `Missing required parameter: '${name}'.`, name, line))
          return false
        }
      }
      return true
    }

    const judge = (row: Json | undefined, line: number): void => {
      if (!isObject(row)) {
        errors.push(error("invalid_json_line", "This line is not parseable as valid JSON.", null, line))
        return
      }
      if (!required(row, line)) return
      const customId = row["custom_id"]
      const body = objectAt(row, "body")
      if (typeof customId !== "string") {
        errors.push(error("invalid_request", "The custom_id has to be a string.", "custom_id", line))
        return
      }
      if (ids.has(customId)) {
        const message = `The custom_id '${customId}' for this request is a duplicate of another request. ` +
          "The custom_id parameter must be unique for each request in a batch."
        errors.push(error("duplicate_custom_id", message, "custom_id", line))
      }
      ids.add(customId)
      if (row["method"] !== "POST") errors.push(error("invalid_method", "The method has to be POST.", "method", line))
      if (row["url"] !== input.endpoint) {
        errors.push(
          error("url_mismatch", "The URL provided for this request does not match the batch endpoint.", "url", line)
        )
      }
      const named = stringAt(body, "model")
      if (named === undefined) {
        errors.push(
          error("missing_required_parameter", "Missing required parameter: 'body.model'.", "body.model", line)
        )
      } else if (!OpenAiRequest.modelExists(named)) {
        const message = `The provided model '${named}' is not supported by the Batch API.`
        errors.push(error("model_not_found", message, "body.model", line))
      } else if (model !== undefined && named !== model) {
        const message = `The model '${named}' of this request is not the model '${model}' of the requests before. ` +
          "A batch has to be of one model."
        errors.push(error("model_mismatch", message, "body.model", line))
      } else model = named
      if (input.endpoint === "/v1/embeddings") embeddings += OpenAiRequest.embeddingInputs(body).length
    }

    yield* RowStore.lines(file, (bytes, offset) => {
      number += 1
      const text = bytes.toString("utf8")
      if (text.trim() === "") return true
      const row = parse(text)
      judge(row, number)
      const body = objectAt(row, "body")
      total += input.tokens(body, input.endpoint)
      input.rows.push(offset, bytes.length, input.fate(body))
      return errors.length < mostErrors && input.rows.count <= input.maxRows
    })

    const whole = (code: string, message: string) => errors.splice(0, errors.length, error(code, message))
    if (input.bytes > input.maxBytes) {
      whole("file_too_large", `The batch input file is larger than the ${input.maxBytes} bytes that are allowed.`)
    } else if (input.rows.count === 0) {
      whole("empty_file", "The batch input file is empty. Please ensure that the batch contains at least one request.")
    } else if (input.rows.count > input.maxRows) {
      whole("too_many_tasks", `The batch input file contains too many requests. The maximum is ${input.maxRows}.`)
    } else if (embeddings > input.maxEmbeddingInputs) {
      whole(
        "too_many_inputs",
        `The batch contains too many embedding inputs. The maximum is ${input.maxEmbeddingInputs}.`
      )
    }
    return { errors, model, tokens: total }
  }))
