import { assert, describe, it } from "@effect/vitest"
import { Ajv2020 } from "ajv/dist/2020.js"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Schema from "effect/Schema"
import * as AnswerSchema from "llm-batch/AnswerSchema"
import { UnsupportedField } from "llm-batch/InputError"
import { isJsonObject, type JsonObject } from "llm-batch/Request"
import * as Json from "../../src/emulator/Json.js"
import * as SchemaInstance from "../../src/emulator/SchemaInstance.js"
import * as AnthropicEncode from "../../src/provider/AnthropicEncode.js"
import * as AnthropicSchema from "../../src/provider/AnthropicSchema.js"
import * as OpenAiEncode from "../../src/provider/OpenAiEncode.js"
import * as OpenAiSchema from "../../src/provider/OpenAiSchema.js"
import { anyForm } from "../AnswerForms.js"

const formatOf = (schema: unknown): AnswerSchema.AnswerFormat =>
  Either.getOrThrow(AnswerSchema.fromJson(schema, { name: "form" })).format

const openAiFormat = (format: AnswerSchema.AnswerFormat, model = "gpt-5-mini"): unknown => {
  const { json_schema: definition } = OpenAiSchema.responseFormat(format, model)
  return isJsonObject(definition) ? definition.schema : undefined
}

const openAi = (schema: JsonObject, model?: string): unknown => openAiFormat({ name: "form", schema }, model)

const anthropic = (schema: JsonObject): unknown => AnthropicSchema.outputFormat({ name: "form", schema }).schema

/** What a refusal says: the place, the reason, the way out. */
const refusal = (translate: (schema: JsonObject) => unknown, schema: JsonObject) => {
  try {
    translate(schema)
  } catch (error) {
    if (error instanceof UnsupportedField) return `${error.field}: ${error.reason}. ${error.remedy}.`
    throw error
  }
  return "none"
}

const object = (properties: JsonObject, required: ReadonlyArray<string> = Object.keys(properties)) => ({
  type: "object",
  properties,
  required
})

const closed = (properties: JsonObject, required: ReadonlyArray<string> = Object.keys(properties)) => ({
  ...object(properties, required),
  additionalProperties: false
})

describe("a schema for OpenAI", () => {
  it("is closed, with every member required, and null for one that may be left out", () => {
    assert.deepStrictEqual(
      openAi(
        object({
          must: { type: "string", description: "A word." },
          may: { type: "integer" },
          any: { anyOf: [{ type: "string" }, object({ x: { type: "number" } }, [])] },
          nullable: { type: ["string", "null"] },
          choice: { enum: ["a", "b"] },
          choiceOrNull: { enum: ["a", null] }
        }, ["must"])
      ),
      closed({
        must: { type: "string", description: "A word." },
        may: { anyOf: [{ type: "integer" }, { type: "null" }] },
        any: {
          anyOf: [
            { type: "string" },
            closed({ x: { anyOf: [{ type: "number" }, { type: "null" }] } }),
            { type: "null" }
          ]
        },
        nullable: { type: ["string", "null"] },
        choice: { anyOf: [{ type: "string", enum: ["a", "b"] }, { type: "null" }] },
        choiceOrNull: { type: ["string", "null"], enum: ["a", null] }
      })
    )
  })

  it("keeps the constraints that are taken, and has the others in words", () => {
    const schema = object({
      word: {
        type: "string",
        description: "A word.",
        minLength: 3,
        maxLength: 10,
        pattern: "^[a-z]+$",
        format: "email",
        default: "word"
      },
      tricky: { type: "string", pattern: "^(?!x)", format: "uri" },
      score: { type: "number", minimum: 0, exclusiveMaximum: 1, multipleOf: 0.1 },
      list: { type: "array", items: { type: "string" }, minItems: 2, maxItems: 3, uniqueItems: true },
      of: { oneOf: [{ type: "string", maxLength: 1 }, { type: "number" }], description: "One of two." }
    })
    assert.deepStrictEqual(
      openAi(schema),
      closed({
        word: {
          type: "string",
          pattern: "^[a-z]+$",
          format: "email",
          description: "A word. (at least 3 characters, at most 10 characters, by default \"word\")"
        },
        tricky: { type: "string", description: "must match the regular expression ^(?!x), format: uri" },
        score: { type: "number", minimum: 0, exclusiveMaximum: 1, multipleOf: 0.1 },
        list: {
          type: "array",
          minItems: 2,
          maxItems: 3,
          items: { type: "string" },
          description: "no two items alike"
        },
        of: {
          anyOf: [{ type: "string", description: "at most 1 characters" }, { type: "number" }],
          description: "One of two."
        }
      })
    )
    assert.deepStrictEqual(
      openAi(object({ score: { type: "number", minimum: 0 } }), "ft:gpt-4.1-mini:acme::1"),
      closed({ score: { type: "number", description: "at least 0" } })
    )
  })

  it("has what it refers to in its place, and keeps references only to what holds itself", () => {
    assert.deepStrictEqual(
      openAi({
        $defs: {
          text: { type: "string", description: "Text." },
          tree: object({
            value: { $ref: "#/$defs/text" },
            children: { type: "array", items: { $ref: "#/$defs/tree" } }
          })
        },
        ...object({
          title: { $ref: "#/$defs/text", description: "The title.", minLength: 1 },
          both: { allOf: [{ $ref: "#/$defs/text" }, { pattern: "^a" }, { pattern: "b$" }] },
          tree: { $ref: "#/$defs/tree" }
        })
      }),
      {
        ...closed({
          title: { type: "string", description: "The title. (at least 1 characters)" },
          both: { type: "string", pattern: "^a", description: "Text. (must match the regular expression b$)" },
          tree: closed({
            value: { type: "string", description: "Text." },
            children: { type: "array", items: { $ref: "#/$defs/tree" } }
          })
        }),
        $defs: {
          tree: closed({
            value: { type: "string", description: "Text." },
            children: { type: "array", items: { $ref: "#/$defs/tree" } }
          })
        }
      }
    )
    assert.deepStrictEqual(
      openAi(object({ next: { $ref: "#" } }, [])),
      closed({ next: { anyOf: [{ $ref: "#" }, { type: "null" }] } })
    )
  })

  it("is refused where it cannot be said, with the place and the way out", () => {
    const told = (property: unknown) => refusal(openAi, object({ a: property }))
    const unnamed = "schema.properties.a: its members have no names. Use a list of objects with a name and a value."
    const cases = "there is no place for it. Use anyOf with an alternative for each case."
    for (
      const [property, expected] of [
        [{ type: "object" }, unnamed],
        [{ type: "object", additionalProperties: { type: "string" } }, unnamed],
        [{}, "schema.properties.a: it allows anything. Say what type it has."],
        [true, "schema.properties.a: it allows anything, or nothing. Say what type it has."],
        [{ type: "array" }, "schema.properties.a: it does not say what its items are. Give it items."],
        [
          { type: "array", prefixItems: [{ type: "string" }] },
          "schema.properties.a.prefixItems: there is no place for it. Use an object with a member for each position."
        ],
        [
          { type: "string", not: { enum: ["x"] } },
          "schema.properties.a.not: there is no place for it. Say what may be there instead."
        ],
        [{ type: "string", if: { minLength: 2 }, else: false }, `schema.properties.a.if: ${cases}`],
        [{ ...object({}), dependentSchemas: {} }, `schema.properties.a.dependentSchemas: ${cases}`],
        [
          { ...object({}), patternProperties: { a: { type: "string" } } },
          "schema.properties.a.patternProperties: there is no place for it. Use a list of objects with a name and a value."
        ],
        [
          { allOf: [object({ x: { type: "string" } }), object({ y: { type: "string" } })] },
          "schema.properties.a.allOf[1]: two shapes at once cannot be asked for. Write them as one schema, without allOf."
        ],
        [
          { allOf: [{ type: "string" }, { type: "number" }] },
          "schema.properties.a.allOf[1]: no value has both types. Say one type."
        ],
        [{ enum: ["a", { b: 1 }] }, "schema.properties.a.enum: it holds a list or an object. Use anyOf with objects."],
        [
          { anyOf: [{ required: ["x"] }], properties: { x: { type: "string" } } },
          "schema.properties.a.properties: it stands beside alternatives. Write it into each of them."
        ]
      ] as const
    ) {
      assert.strictEqual(told(property), expected)
    }
  })

  it("is refused where it is too large", () => {
    const deep = (levels: number): JsonObject =>
      levels === 1 ? object({ x: { type: "string" } }) : object({ x: deep(levels - 1) })
    assert.strictEqual(refusal(openAi, deep(10)), "none")
    assert.match(
      refusal(openAi, deep(11)),
      /^schema(\.properties\.x){10}: the schema has more than 10 levels of objects\. /u
    )
    const wide = (count: number) =>
      object(Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, { type: "string" }])))
    assert.strictEqual(refusal(openAi, wide(5_000)), "none")
    assert.strictEqual(
      refusal(openAi, wide(5_001)),
      "schema: the schema has more than 5,000 properties. Make it smaller."
    )
    const choice = (count: number, length: number) =>
      object({ a: { enum: Array.from({ length: count }, (_, index) => String(index).padStart(length, "x")) } })
    assert.strictEqual(refusal(openAi, choice(1_000, 15)), "none")
    assert.match(refusal(openAi, choice(1_001, 1)), /more than 1,000 values in enum/u)
    assert.match(refusal(openAi, choice(251, 60)), /more than 15,000 characters in one enum/u)
    assert.strictEqual(refusal(openAi, choice(250, 60)), "none")
    assert.match(refusal(openAi, choice(200, 601)), /more than 120,000 characters in its names and values/u)
    // Small as it is written, and very large when every reference is replaced.
    const definitions = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [
      `d${index}`,
      index === 29
        ? { type: "string" }
        : { type: "array", items: { anyOf: [{ $ref: `#/$defs/d${index + 1}` }, { $ref: `#/$defs/d${index + 1}` }] } }
    ]))
    assert.match(
      refusal(openAi, { $defs: definitions, ...object({ a: { $ref: "#/$defs/d0" } }) }),
      /the schema is too large\. Make it smaller\.$/u
    )
  })

  it("is made of what Effect schemas come to", () => {
    class Person extends Schema.Class<Person>("Person")({
      name: Schema.NonEmptyString,
      age: Schema.Int.pipe(Schema.between(0, 150)),
      born: Schema.optional(Schema.Date),
      role: Schema.NullOr(Schema.Literal("a", "b"))
    }) {}
    const { format } = Either.getOrThrow(AnswerSchema.fromSchema(Person))
    assert.deepStrictEqual(
      openAiFormat(format),
      closed({
        name: { type: "string", title: "nonEmptyString", description: "a non empty string (at least 1 characters)" },
        age: {
          type: "integer",
          minimum: 0,
          maximum: 150,
          title: "between(0, 150)",
          description: "a number between 0 and 150"
        },
        born: { anyOf: [{ type: "string", description: "a string to be decoded into a Date" }, { type: "null" }] },
        role: { anyOf: [{ type: "string", enum: ["a", "b"] }, { type: "null" }] }
      })
    )
  })

  it("is translated once", () => {
    const format = formatOf(object({ a: { type: "string" } }))
    assert.strictEqual(OpenAiSchema.responseFormat(format, "gpt-5"), OpenAiSchema.responseFormat(format, "gpt-4o"))
    assert.notStrictEqual(
      OpenAiSchema.responseFormat(format, "gpt-5"),
      OpenAiSchema.responseFormat(format, "ft:gpt-4o")
    )
    assert.strictEqual(AnthropicSchema.outputFormat(format), AnthropicSchema.outputFormat(format))
  })
})

describe("a schema for Anthropic", () => {
  it("is closed, lets members be left out, and has constraints in words", () => {
    assert.deepStrictEqual(
      anthropic({
        $schema: "https://json-schema.org/draft/2020-12/schema",
        title: "Thing",
        ...object({
          name: { type: "string", minLength: 1, format: "date" },
          score: { type: "integer", minimum: 1, maximum: 5, description: "How good." },
          tags: { type: "array", items: { type: "string", pattern: "^a" }, minItems: 1, maxItems: 2 },
          more: { type: "array", items: { $ref: "#/$defs/more" }, minItems: 2 },
          kind: { const: "thing" }
        }, ["name"]),
        $defs: { more: { type: ["object", "null"], properties: { on: { type: "boolean" } } } }
      }),
      {
        ...closed({
          name: { type: "string", format: "date", description: "at least 1 characters" },
          score: { type: "integer", description: "How good. (at least 1, at most 5)" },
          tags: {
            type: "array",
            minItems: 1,
            items: { type: "string", description: "must match the regular expression ^a" },
            description: "at most 2 items"
          },
          more: {
            type: "array",
            items: { anyOf: [closed({ on: { type: "boolean" } }, []), { type: "null" }] },
            description: "at least 2 items"
          },
          kind: { type: "string", const: "thing" }
        }, ["name"]),
        title: "Thing"
      }
    )
  })

  it("is refused when it holds itself, or is beyond the limits", () => {
    const tree = { $defs: { t: object({ t: { $ref: "#/$defs/t" } }, []) }, ...object({ t: { $ref: "#/$defs/t" } }) }
    assert.strictEqual(
      refusal(anthropic, tree),
      "schema.properties.t.properties.t: the schema holds itself. Write it out to the depth that you need."
    )
    const many = (count: number, property: JsonObject, required: boolean) => {
      const properties = Object.fromEntries(Array.from({ length: count }, (_, index) => [`p${index}`, property]))
      return object(properties, required ? Object.keys(properties) : [])
    }
    assert.strictEqual(refusal(anthropic, many(24, { type: "string" }, false)), "none")
    assert.strictEqual(
      refusal(anthropic, many(25, { type: "string" }, false)),
      "schema: the schema has more than 24 members that may be left out. List more of them in required."
    )
    assert.strictEqual(refusal(anthropic, many(16, { type: ["string", "null"] }, true)), "none")
    assert.strictEqual(
      refusal(anthropic, many(17, { type: ["string", "null"] }, true)),
      "schema: the schema has more than 16 members of several types. Give more of them one type."
    )
  })
})

describe("what is asked for", () => {
  const isClosed = (schema: unknown): boolean =>
    Array.isArray(schema)
      ? schema.every(isClosed)
      : !isJsonObject(schema)
        || ((schema.type !== "object" || schema.additionalProperties === false) &&
          Object.values(schema).every(isClosed))

  it.prop("is never narrower than the schema", [anyForm], ([{ schema, written }]) => {
    const wrap = (value: unknown) => schema["type"] === "object" ? value : { answer: value }
    const format = formatOf(schema)
    const check = (schema: unknown, value: unknown) => {
      if (!isJsonObject(schema)) return assert.fail("it is no object")
      assert.isTrue(isClosed(schema))
      const validate = new Ajv2020({ meta: false, validateSchema: false, strict: false }).compile(schema)
      assert.isTrue(validate(JSON.parse(JSON.stringify(value))), JSON.stringify([schema, value]))
    }
    // Of a member that may be null and may be left out, OpenAI cannot say that it is left out.
    if (!JSON.stringify(schema).includes("\"null\"")) check(openAiFormat(format), wrap(written.wire))
    if (!refusal(anthropic, format.schema).includes("the schema has more than")) {
      check(AnthropicSchema.outputFormat(format).schema, wrap(written.value))
    }
  }, { fastCheck: { numRuns: 60 } })
})

describe("the emulator", () => {
  it.prop(
    "answers a schema for OpenAI with what the schema allows",
    [anyForm, FastCheck.nat()],
    ([{ schema }, pick]) => {
      const answers = Either.getOrThrow(AnswerSchema.fromJson(schema))
      const wire = Json.parse(JSON.stringify(openAiFormat(answers.format)))
      if (!Json.isObject(wire)) return assert.fail("it is no object")
      const reply = SchemaInstance.instance(wire, "text", (alternatives) => pick % alternatives)
      assert.isTrue(Either.isRight(answers.decode(JSON.stringify(reply))), JSON.stringify([schema, reply]))
    },
    { fastCheck: { numRuns: 60 } }
  )
})

const verdict = object({ label: { enum: ["spam", "ham"] } })
const answer = formatOf(verdict)
const asked = closed({ label: { type: "string", enum: ["spam", "ham"] } })
const hello = { role: "user", content: "Hello" }
const instruction = "Answer with JSON only, without any text around it. It must fit this JSON Schema:\n"
  + "{\"type\":\"object\",\"properties\":{\"label\":{\"enum\":[\"spam\",\"ham\"]}},\"required\":[\"label\"]}"
const notice = (model: string) =>
  `${model} cannot be held to a schema: the schema is in its system message, and answers are checked when they are here`

const chat = (body: JsonObject) => ({ kind: "chat", row: 1, line: 1, customId: "a", body }) as const

describe("a row of a run with a schema, for OpenAI", () => {
  const encode = (body: JsonObject, endpoint = "/v1/responses") => {
    const row = Either.getOrThrow(OpenAiEncode.encode(chat(body), "tag-1", endpoint, answer))
    return { body: JSON.parse(row.text).body, notice: row.notice }
  }

  it("holds the model to it, on either endpoint", () => {
    const body = { model: "gpt-5-mini", messages: [hello] }
    assert.deepStrictEqual(encode(body), {
      body: {
        model: "gpt-5-mini",
        input: [hello],
        text: { format: { type: "json_schema", name: "form", schema: asked, strict: true } }
      },
      notice: null
    })
    assert.deepStrictEqual(encode(body, "/v1/chat/completions"), {
      body: {
        ...body,
        response_format: { type: "json_schema", json_schema: { name: "form", schema: asked, strict: true } }
      },
      notice: null
    })
  })

  it("keeps a format of its own", () => {
    const format = { type: "json_schema", json_schema: { name: "own", schema: { type: "object" }, strict: true } }
    const body = { model: "gpt-5-mini", messages: [hello], response_format: format }
    assert.deepStrictEqual(encode(body, "/v1/chat/completions").body, body)
  })

  it("tells an older model in its system message", () => {
    for (
      const model of ["gpt-3.5-turbo", "gpt-4", "gpt-4-turbo-2024-04-09", "gpt-4o-2024-05-13", "ft:gpt-3.5-turbo:x::1"]
    ) {
      assert.deepStrictEqual(encode({ model, messages: [hello] }, "/v1/chat/completions"), {
        body: { model, messages: [{ role: "system", content: instruction }, hello] },
        notice: notice(model)
      })
    }
    for (
      const model of ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.5-preview", "gpt-5-nano", "o1", "o3-mini", "llama"]
    ) {
      assert.strictEqual(encode({ model, messages: [hello] }).notice, null, model)
    }
    const messages = (...before: ReadonlyArray<unknown>) =>
      encode({ model: "gpt-4", messages: [...before, hello] }, "/v1/chat/completions").body.messages
    assert.deepStrictEqual(messages({ role: "system", content: "Be brief." }), [
      { role: "system", content: `Be brief.\n\n${instruction}` },
      hello
    ])
    assert.deepStrictEqual(messages({ role: "developer", content: [{ type: "text", text: "Be brief." }] }), [
      { role: "developer", content: [{ type: "text", text: "Be brief." }, { type: "text", text: instruction }] },
      hello
    ])
  })

  it("is refused where there is no text to check, or no way to ask", () => {
    const embedding = { kind: "embedding", row: 1, line: 1, customId: "a", body: { model: "m", input: "x" } } as const
    assert.deepInclude(
      Either.getOrThrow(Either.flip(OpenAiEncode.encode(embedding, "tag-1", "/v1/embeddings", answer))),
      {
        field: "schema",
        reason: "an embedding has no text to check"
      }
    )
    const free = formatOf({ type: "object" })
    const body = { model: "gpt-5-mini", messages: [hello] }
    assert.deepInclude(
      Either.getOrThrow(Either.flip(OpenAiEncode.encode(chat(body), "tag-1", "/v1/responses", free))),
      { field: "schema", target: "openai (structured outputs)", reason: "its members have no names" }
    )
  })

  it("goes as it is when it was written for the provider", () => {
    const native = {
      kind: "native",
      row: 1,
      line: 1,
      customId: "a",
      target: { provider: "openai", endpoint: "/v1/responses" },
      body: { model: "gpt-5" },
      text: "{\"model\":\"gpt-5\"}"
    } as const
    assert.include(
      Either.getOrThrow(OpenAiEncode.encode(native, "tag-1", "/v1/responses", answer)).text,
      "\"body\":{\"model\":\"gpt-5\"}}"
    )
  })
})

describe("a row of a run with a schema, for Anthropic", () => {
  const encode = (body: JsonObject) => {
    const row = Either.getOrThrow(
      AnthropicEncode.encode(chat({ max_tokens: 10, messages: [hello], ...body }), "tag-1", "/v1/messages", answer)
    )
    const { max_tokens: _, messages, model: __, ...params } = JSON.parse(row.text).params
    assert.deepStrictEqual(messages, [hello])
    return { params, notice: row.notice }
  }

  it("holds the model to it, beside the effort", () => {
    assert.deepStrictEqual(encode({ model: "claude-haiku-4-5" }), {
      params: { output_config: { format: { type: "json_schema", schema: asked } } },
      notice: null
    })
    assert.deepStrictEqual(encode({ model: "claude-opus-4-6", reasoning_effort: "low" }).params.output_config, {
      effort: "low",
      format: { type: "json_schema", schema: asked }
    })
  })

  it("keeps a format of its own", () => {
    const own = { type: "json_schema", schema: { type: "object", additionalProperties: false } }
    const model = "claude-haiku-4-5"
    assert.deepStrictEqual(encode({ model, output_config: { format: own } }).params.output_config, { format: own })
    assert.deepStrictEqual(
      encode({ model, response_format: { type: "json_schema", json_schema: { name: "own", schema: own.schema } } })
        .params.output_config,
      { format: own }
    )
  })

  it("tells an older model in its system message, whichever way that is given", () => {
    const model = "claude-3-5-haiku-latest"
    assert.deepStrictEqual(encode({ model }), {
      params: { system: [{ type: "text", text: instruction }] },
      notice: notice(model)
    })
    assert.deepStrictEqual(
      encode({ model, messages: [{ role: "system", content: "Be brief." }, hello] }).params.system,
      [
        { type: "text", text: `Be brief.\n\n${instruction}` }
      ]
    )
    assert.deepStrictEqual(encode({ model, system: "Be brief." }).params.system, [
      { type: "text", text: `Be brief.\n\n${instruction}` }
    ])
    const cached = { type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }
    assert.deepStrictEqual(encode({ model, system: [cached] }).params.system, [
      cached,
      { type: "text", text: instruction }
    ])
  })

  it("tells of the default too", () => {
    const row = AnthropicEncode.encode(
      chat({ model: "claude-3-haiku-20240307", messages: [hello] }),
      "tag-1",
      "/v1/messages",
      answer
    )
    assert.strictEqual(
      Either.getOrThrow(row).notice,
      `max_tokens is not set: 4,096 is used for anthropic (--max-tokens); ${notice("claude-3-haiku-20240307")}`
    )
  })
})
