import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { AnswerProblem } from "llm-batch/AnswerCheck"
import * as AnswerSchema from "llm-batch/AnswerSchema"
import type { InputError } from "llm-batch/InputError"
import type { Request } from "llm-batch/Request"
import { anyForm, anyStructure } from "./AnswerForms.js"

const request: Request = { kind: "chat", row: 1, line: 1, customId: "a", body: {} }

const json = (schema: unknown, name?: string) => Either.getOrThrow(AnswerSchema.fromJson(schema, { name }))
const typed = <A, I>(schema: Schema.Schema<A, I>) => Either.getOrThrow(AnswerSchema.fromSchema(schema))

/** What is wrong with a reply, in one line. */
const problem = (schema: AnswerSchema.AnswerSchema, reply: string): string => {
  const found = schema.check(reply, request)
  return found === undefined ? "nothing" : `${found.code} ${found.path}: ${found.problem}`
}

const verdict = {
  type: "object",
  properties: {
    label: { enum: ["spam", "ham"] },
    score: { type: "number", minimum: 0, maximum: 1 },
    words: { type: "array", items: { type: "object", properties: { "a b": { type: "string" } }, required: ["a b"] } }
  },
  required: ["label", "score"],
  additionalProperties: false
}

describe("a check by a JSON Schema", () => {
  it("names the place of the first error, and what is wrong there", () => {
    const schema = json(verdict)
    assert.strictEqual(problem(schema, "{\"label\":\"spam\",\"score\":0.5}"), "nothing")
    for (
      const [reply, expected] of [
        ["", "invalid_json $: the answer is empty"],
        [" \n", "invalid_json $: the answer is empty"],
        ["It is spam.", "invalid_json $: there is no JSON in it that can be read"],
        ["{\"label\":\"spam\",", "invalid_json $: there is no JSON in it that can be read"],
        ["[1]", "invalid_answer $: it is a list, and must be of type object"],
        ["{\"label\":\"spam\"}", "invalid_answer $.score: it is missing"],
        [
          "{\"label\":\"egg\",\"score\":0.5}",
          "invalid_answer $.label: it is \"egg\", and must be one of \"spam\", \"ham\""
        ],
        [
          "{\"label\":\"spam\",\"score\":\"0.5\"}",
          "invalid_answer $.score: it is \"0.5\", and must be of type number"
        ],
        ["{\"label\":\"spam\",\"score\":2}", "invalid_answer $.score: it is 2, and must be <= 1"],
        ["{\"label\":\"spam\",\"score\":1e999}", "invalid_answer $.score: it is null, and must be of type number"],
        ["{\"label\":\"spam\",\"score\":1,\"why\":\"\"}", "invalid_answer $.why: there must be no such member"],
        [
          "{\"label\":\"spam\",\"score\":1,\"words\":[{\"a b\":\"\"},{}]}",
          "invalid_answer $.words[1][\"a b\"]: it is missing"
        ]
      ] as const
    ) {
      assert.strictEqual(problem(schema, reply), expected)
    }
  })

  it("of alternatives tells of the one that came nearest", () => {
    const schema = json({
      type: "object",
      properties: {
        shape: {
          anyOf: [
            { type: "object", properties: { r: { type: "number" } }, required: ["r"] },
            { type: "null" }
          ]
        },
        size: { anyOf: [{ enum: ["s", "m"] }, { type: "null" }] },
        mixed: { anyOf: [{ type: "number" }, { type: "null" }] }
      }
    })
    assert.strictEqual(
      problem(schema, "{\"shape\":{\"r\":\"1\"}}"),
      "invalid_answer $.shape.r: it is \"1\", and must be of type number"
    )
    assert.strictEqual(
      problem(schema, "{\"size\":\"xl\"}"),
      "invalid_answer $.size: it is \"xl\", and must be one of \"s\", \"m\""
    )
    assert.strictEqual(
      problem(schema, "{\"mixed\":\"1\"}"),
      "invalid_answer $.mixed: it is \"1\", which is none of what it may be"
    )
  })

  it("takes the answer out of prose and fences: of several the likeliest that fits", () => {
    const schema = json(verdict)
    assert.strictEqual(problem(schema, "See [1]. So: {\"label\":\"spam\",\"score\":1}."), "nothing")
    assert.strictEqual(problem(schema, "```json\n{\"label\":\"ham\",\"score\":0}\n```\nIn [code]: `{}`"), "nothing")
    assert.strictEqual(
      problem(schema, "See [1]. So: {\"label\":\"spam\",\"score\":-1}."),
      "invalid_answer $.score: it is -1, and must be >= 0"
    )
  })

  it("counts a null for a member that may be left out as absent", () => {
    const schema = json({
      $defs: {
        node: {
          type: "object",
          properties: { name: { type: "string" }, next: { $ref: "#/$defs/node" }, note: { type: ["string", "null"] } },
          required: ["name"]
        }
      },
      $ref: "#/$defs/node"
    })
    assert.deepStrictEqual(
      schema.decode("{\"name\":\"a\",\"note\":null,\"next\":{\"name\":\"b\",\"next\":null,\"note\":null}}"),
      Either.right({ name: "a", note: null, next: { name: "b", note: null } })
    )
    assert.strictEqual(
      problem(schema, "{\"name\":null}"),
      "invalid_answer $.name: it is null, and must be of type string"
    )
  })

  it("takes a deep answer, and not one that is too deep", () => {
    const schema = json({ $defs: { list: { type: "array", items: { $ref: "#/$defs/list" } } }, $ref: "#/$defs/list" })
    const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`
    assert.strictEqual(problem(schema, nested(200)), "nothing")
    assert.strictEqual(problem(schema, nested(100_000)), "invalid_json $: there is no JSON in it that can be read")
  })

  it("is made anew of what a run keeps", () => {
    const kept: unknown = JSON.parse(JSON.stringify(json(verdict).jsonSchema))
    assert.deepStrictEqual(kept, verdict)
    const check = AnswerSchema.checkJson(verdict, "verdict")
    assert.deepStrictEqual(check("{\"label\":\"spam\"}", request), {
      code: "invalid_answer",
      path: "$.score",
      problem: "it is missing"
    })
  })

  it.prop("lets every answer pass that the schema allows", [anyForm], ([{ schema: given, written }]) => {
    const schema = json(given)
    const expected = Either.right(JSON.parse(JSON.stringify(written.value)))
    assert.deepStrictEqual(schema.decode(JSON.stringify(written.value)), expected)
    const wire = given["type"] === "object" ? written.wire : { answer: written.wire }
    assert.deepStrictEqual(schema.decode(JSON.stringify(wire)), expected)
  }, { fastCheck: { numRuns: 60 } })

  it.prop(
    "finds it in prose and fences, with null for what is left out",
    [anyStructure, FastCheck.constantFrom("", "```", "```json\n"), FastCheck.lorem(), FastCheck.constantFrom(0, 1)],
    ([{ schema: given, written }, fence, words, indent]) => {
      const schema = json(given)
      const text = JSON.stringify(written.wire, null, indent)
      const reply = `${words}: \n${fence}\n${text}\n${fence.slice(0, 3)}\n${words}.`
      assert.deepStrictEqual(schema.decode(reply), Either.right(JSON.parse(JSON.stringify(written.value))))
    },
    { fastCheck: { numRuns: 60 } }
  )
})

describe("a JSON Schema that cannot be used", () => {
  const told = (schema: unknown) =>
    Either.match(AnswerSchema.fromJson(schema, { source: "label.json" }), {
      onLeft: (error) => error.message,
      onRight: () => "it can"
    })

  const remedy = "Give a JSON Schema of draft 2020-12, with all that it refers to in it."

  it("says what is wrong with it, and where", () => {
    for (
      const [schema, expected] of [
        ["{}", "label.json: it is \"{}\", and no JSON Schema object"],
        [[], "label.json: it is a list, and no JSON Schema object"],
        [
          { type: "object", properties: { a: { type: "strng" } } },
          "label.json: $.properties.a.type: it is \"strng\", and must be one of \"array\", \"boolean\", \"integer\", "
          + "\"null\", \"number\", \"object\", \"string\""
        ],
        [
          { properties: { a: { required: true } } },
          "label.json: $.properties.a.required: it is true, and must be of type array"
        ],
        [{ $ref: "#/$defs/a" }, "label.json: can't resolve reference #/$defs/a from id #"],
        [
          { items: { $ref: "https://example.com/a.json" } },
          "label.json: can't resolve reference https://example.com/a.json from id #"
        ],
        ...[
          { $ref: "#" },
          { type: "object", properties: { a: { allOf: [{ $ref: "#/properties/a" }] } } },
          { $defs: { a: { anyOf: [{ $ref: "#/$defs/b" }] }, b: { not: { $ref: "#/$defs/a" } } }, $ref: "#/$defs/a" }
        ].map((schema) =>
          [schema, "label.json: it refers to itself about one and the same value, without an end"] as const
        ),
        [{ pattern: "(" }, "label.json: Invalid regular expression: /(/u: Unterminated group"],
        [{ minlength: 3 }, "label.json: there is no keyword \"minlength\"; did you mean minLength?"],
        [
          { additionalItems: false },
          "label.json: additionalItems is of an older draft; now it is items, beside prefixItems"
        ],
        [
          { $schema: "http://json-schema.org/draft-04/schema#" },
          "label.json: $.$schema: it is written for \"http://json-schema.org/draft-04/schema#\""
        ],
        [
          JSON.parse(`${"{\"items\":".repeat(5_000)}{}${"}".repeat(5_000)}`),
          "label.json: it is too large, or nested too deeply, to be compiled"
        ],
        [{ $async: true }, "label.json: $.$async: answers are not checked asynchronously"]
      ] as const
    ) {
      assert.strictEqual(told(schema), `${expected}. ${remedy}`)
    }
  })

  it("is none that only says more than is understood", () => {
    assert.strictEqual(told({ type: "string", "x-order": 1, example: "a", deprecated: true }), "it can")
    assert.strictEqual(told({ $schema: "http://json-schema.org/draft-07/schema#", definitions: {} }), "it can")
  })
})

describe("a form that is no object", () => {
  it("is asked for as a member of one, and taken out of it again", () => {
    const schema = json({ title: "Labels", type: "array", items: { enum: ["a", "b"] } })
    assert.deepStrictEqual(schema.format, {
      name: "Labels",
      schema: {
        type: "object",
        properties: { answer: { title: "Labels", type: "array", items: { enum: ["a", "b"] } } },
        required: ["answer"],
        additionalProperties: false
      }
    })
    assert.deepStrictEqual(schema.decode("{\"answer\":[\"a\"]}"), Either.right(["a"]))
    assert.deepStrictEqual(schema.decode("[\"b\",\"a\"]"), Either.right(["b", "a"]))
    assert.strictEqual(
      problem(schema, "{\"answer\":[\"a\",\"c\"]}"),
      "invalid_answer $[1]: it is \"c\", and must be one of \"a\", \"b\""
    )
  })

  it("keeps its references", () => {
    const schema = json({
      type: "array",
      items: { anyOf: [{ $ref: "#" }, { $ref: "#/$defs/word" }, { $ref: "#/items/anyOf/1" }] },
      $defs: { word: { type: "string" } }
    })
    assert.deepStrictEqual(schema.format.schema, {
      type: "object",
      properties: {
        answer: {
          type: "array",
          items: {
            anyOf: [
              { $ref: "#/properties/answer" },
              { $ref: "#/$defs/word" },
              { $ref: "#/properties/answer/items/anyOf/1" }
            ]
          }
        }
      },
      required: ["answer"],
      additionalProperties: false,
      $defs: { word: { type: "string" } }
    })
    const wire = json(schema.format.schema)
    assert.strictEqual(problem(wire, "{\"answer\":[\"a\",[\"b\",[]]]}"), "nothing")
    assert.strictEqual(problem(wire, "{\"answer\":[1]}").slice(0, 27), "invalid_answer $.answer[0]:")
  })

  it("may hold a member called answer itself", () => {
    const option = { type: "object", properties: { answer: { type: "string" } }, required: ["answer"] }
    const schema = json({ anyOf: [option, { type: "number" }] })
    for (const reply of ["{\"answer\":{\"answer\":\"x\"}}", "{\"answer\":\"x\"}"]) {
      assert.deepStrictEqual(schema.decode(reply), Either.right({ answer: "x" }))
    }
    assert.deepStrictEqual(schema.decode("{\"answer\":3}"), Either.right(3))
  })
})

describe("a form by an Effect Schema", () => {
  class Person extends Schema.Class<Person>("Person")({
    name: Schema.NonEmptyString,
    age: Schema.Int.pipe(Schema.between(0, 150)),
    born: Schema.optional(Schema.Date),
    nick: Schema.optionalWith(Schema.String, { as: "Option" }),
    tries: Schema.optionalWith(Schema.Number, { default: () => 1 })
  }) {}

  it("decodes answers, transformations and defaults included", () => {
    const schema = typed(Person)
    assert.deepStrictEqual(
      schema.decode(
        "Sure:\n```json\n{\"name\":\"Ann\",\"age\":7,\"born\":\"2020-01-02T00:00:00Z\",\"nick\":null,\"more\":1}\n```"
      ),
      Either.right(
        new Person({ name: "Ann", age: 7, born: new Date("2020-01-02T00:00:00Z"), nick: Option.none(), tries: 1 })
      )
    )
    assert.deepStrictEqual(
      schema.decode("{\"name\":\"Ann\",\"age\":7,\"born\":null,\"tries\":null}"),
      Either.right(new Person({ name: "Ann", age: 7, nick: Option.none(), tries: 1 }))
    )
  })

  it("names the place of the first error, and what is wrong there", () => {
    const schema = typed(
      Schema.Struct({
        people: Schema.Array(Person),
        label: Schema.optional(Schema.Literal("spam", "ham")),
        low: Schema.Number,
        high: Schema.Number
      }).pipe(
        Schema.filter(({ high, low }) => low <= high ? undefined : { path: ["low"], message: "low is above high" })
      )
    )
    const reply = (more: object) => JSON.stringify({ people: [], low: 1, high: 2, ...more })
    assert.strictEqual(problem(schema, reply({})), "nothing")
    assert.strictEqual(problem(schema, reply({ low: 3 })), "invalid_answer $.low: low is above high")
    assert.strictEqual(problem(schema, reply({ low: undefined })), "invalid_answer $.low: is missing")
    assert.strictEqual(
      problem(schema, reply({ people: [{ name: "a", age: 1 }, { name: "b", age: 1.5 }] })),
      "invalid_answer $.people[1].age: Expected an integer, actual 1.5"
    )
    assert.strictEqual(
      problem(schema, reply({ label: "egg" })),
      "invalid_answer $.label: Expected \"spam\" | \"ham\" | undefined, actual \"egg\""
    )
  })

  it("is called as its identifier says, and can be checked without it", () => {
    const schema = typed(Person)
    assert.strictEqual(schema.format.name, "Person")
    const again = json(JSON.parse(JSON.stringify(schema.jsonSchema)))
    assert.strictEqual(problem(again, "{\"name\":\"Ann\",\"age\":7,\"born\":null,\"more\":1}"), "nothing")
    assert.strictEqual(
      problem(again, "{\"name\":\"Ann\",\"age\":7.5}"),
      "invalid_answer $.age: it is 7.5, and must be of type integer"
    )
  })

  it("unwraps a choice of words", () => {
    const schema = typed(Schema.Literal("spam", "ham"))
    assert.deepStrictEqual(schema.format, {
      name: "answer",
      schema: {
        type: "object",
        properties: { answer: { type: "string", enum: ["spam", "ham"] } },
        required: ["answer"],
        additionalProperties: false
      }
    })
    assert.deepStrictEqual(schema.decode("{\"answer\":\"spam\"}"), Either.right("spam"))
    assert.deepStrictEqual(schema.decode("\"ham\""), Either.right("ham"))
    assert.strictEqual(
      problem(schema, "{\"answer\":\"egg\"}"),
      "invalid_answer $: Expected \"spam\" | \"ham\", actual \"egg\""
    )
  })

  it("may hold itself", () => {
    interface Tree {
      readonly value: number
      readonly children: ReadonlyArray<Tree>
    }
    const Tree: Schema.Schema<Tree> = Schema.Struct({
      value: Schema.Number,
      children: Schema.Array(Schema.suspend(() => Tree))
    }).annotations({ identifier: "Tree" })
    const schema = typed(Tree)
    let reply = "{\"value\":0,\"children\":[]}"
    for (let depth = 1; depth < 99; depth++) reply = `{"value":${depth},"children":[${reply}]}`
    assert.strictEqual(problem(schema, reply), "nothing")
    assert.strictEqual(
      problem(schema, "{\"value\":0,\"children\":[{\"value\":\"1\",\"children\":[]}]}"),
      "invalid_answer $.children[0].value: Expected number, actual \"1\""
    )
  })

  it("is refused when it has no JSON Schema", () => {
    const made = AnswerSchema.fromSchema(Schema.Struct({ big: Schema.BigIntFromSelf }))
    assert.isTrue(Either.isLeft(made))
    if (Either.isLeft(made)) assert.match(made.left.message, /^the answer schema: it has no JSON Schema: .*big/su)
  })

  it("keeps its type", () => {
    const made = AnswerSchema.fromSchema(Person)
    expectTypeOf(made).toEqualTypeOf<Either.Either<AnswerSchema.AnswerSchema<Person>, InputError>>()
    expectTypeOf(typed(Person).decode).returns.toEqualTypeOf<Either.Either<Person, AnswerProblem>>()
    const Count = Schema.Struct({ count: Schema.NumberFromString })
    expectTypeOf(typed(Count).decode).returns.toEqualTypeOf<
      Either.Either<{ readonly count: number }, AnswerProblem>
    >()
    expectTypeOf(AnswerSchema.fromJson({})).toEqualTypeOf<
      Either.Either<AnswerSchema.AnswerSchema<unknown>, InputError>
    >()
    // @ts-expect-error: a form is made of a schema, not of a constructor.
    expectTypeOf(AnswerSchema.fromSchema).toBeCallableWith(String)
  })
})

describe("the name of a form", () => {
  it("is fit for every provider", () => {
    assert.strictEqual(json({}, "spam or ham?").format.name, "spam_or_ham_")
    assert.strictEqual(json({}, "x".repeat(80)).format.name.length, 64)
    assert.strictEqual(json({ title: "Über" }).format.name, "_ber")
    assert.strictEqual(json({}).format.name, "answer")
  })
})

describe("a form for a server that takes any schema", () => {
  it("is the response_format of a chat", () => {
    assert.deepStrictEqual(AnswerSchema.responseFormat(json(verdict, "verdict").format), {
      type: "json_schema",
      json_schema: { name: "verdict", schema: verdict, strict: true }
    })
  })
})
