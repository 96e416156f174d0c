/** Random JSON Schemas, each with the values that it allows. Imports nothing from `src`. */
import * as FastCheck from "effect/FastCheck"

/** A value, and what a provider would write that wants every member: `null` for one that is left out. */
interface Written {
  readonly value: unknown
  readonly wire: unknown
}

/** A schema that somebody may give, and the values that it allows. */
interface Form {
  readonly schema: { readonly [keyword: string]: unknown }
  readonly values: FastCheck.Arbitrary<Written>
  readonly nullable: boolean
}

const plain = (schema: Form["schema"], values: FastCheck.Arbitrary<unknown>, nullable = false): Form => ({
  schema,
  values: values.map((value) => ({ value, wire: value })),
  nullable
})

const words = FastCheck.uniqueArray(FastCheck.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 8 }), {
  minLength: 1,
  maxLength: 4
})

const bounds = FastCheck.tuple(FastCheck.integer({ min: -50, max: 50 }), FastCheck.integer({ min: 0, max: 50 }))

const leaf: FastCheck.Arbitrary<Form> = FastCheck.oneof(
  FastCheck.constant(plain({ type: "string" }, FastCheck.string())),
  FastCheck.constant(
    plain({ type: "string", minLength: 2 }, FastCheck.string({ unit: "grapheme-ascii", minLength: 2 }))
  ),
  FastCheck.constant(plain({ type: "boolean", description: "Whether." }, FastCheck.boolean())),
  FastCheck.constant(plain({ type: ["string", "null"] }, FastCheck.option(FastCheck.string()), true)),
  words.map((options) => plain({ enum: options }, FastCheck.constantFrom(...options))),
  bounds.map(([least, span]) =>
    plain(
      { type: "integer", minimum: least, maximum: least + span },
      FastCheck.integer({ min: least, max: least + span })
    )
  ),
  FastCheck.constant(
    plain(
      { type: "number", exclusiveMinimum: -1e6 },
      FastCheck.double({ min: -1e6, minExcluded: true, max: 1e9, noNaN: true })
    )
  )
)

interface Member {
  readonly form: Form
  readonly required: boolean
}

const members = (form: FastCheck.Arbitrary<Form>) =>
  FastCheck.dictionary(
    FastCheck.string({ maxLength: 6 }).filter((name) => name !== "__proto__"),
    FastCheck.record({ form, required: FastCheck.boolean() }),
    { minKeys: 1, maxKeys: 4 }
  )

const objectOf = (all: { readonly [name: string]: Member }): Form => {
  const entries = Object.entries(all)
  const values = FastCheck.tuple(
    ...entries.map(([name, { form, required }]) =>
      FastCheck.record({ written: form.values, present: FastCheck.boolean() }).map(({ present, written }) => ({
        value: required || present ? [[name, written.value] as const] : [],
        // By the schema's own words `null` is a value here, and says nothing of being absent.
        wire: required || present ? [[name, written.wire] as const] : form.nullable ? [] : [[name, null] as const]
      }))
    )
  )
  return {
    schema: {
      type: "object",
      properties: Object.fromEntries(entries.map(([name, { form }]) => [name, form.schema])),
      required: entries.filter(([, { required }]) => required).map(([name]) => name)
    },
    values: values.map((parts) => ({
      value: Object.fromEntries(parts.flatMap(({ value }) => value)),
      wire: Object.fromEntries(parts.flatMap(({ wire }) => wire))
    })),
    nullable: false
  }
}

const listOf = (form: Form): Form => ({
  schema: { type: "array", items: form.schema, maxItems: 3 },
  values: FastCheck.array(form.values, { maxLength: 3 }).map((all) => ({
    value: all.map(({ value }) => value),
    wire: all.map(({ wire }) => wire)
  })),
  nullable: false
})

const tagged = (forms: ReadonlyArray<{ readonly [name: string]: Member }>): Form => {
  const options = forms.map((all, index) =>
    objectOf({
      ...all,
      kind: { form: plain({ const: `kind ${index}` }, FastCheck.constant(`kind ${index}`)), required: true }
    })
  )
  return {
    schema: { anyOf: options.map(({ schema }) => schema) },
    values: FastCheck.oneof(...options.map(({ values }) => values)),
    nullable: false
  }
}

const nullable = (form: Form): Form => ({
  schema: { anyOf: [form.schema, { type: "null" }] },
  values: FastCheck.oneof(FastCheck.constant({ value: null, wire: null }), form.values),
  nullable: true
})

const nested = (depth: number): FastCheck.Arbitrary<Form> => {
  if (depth === 0) return leaf
  const inner = nested(depth - 1)
  return FastCheck.oneof(
    leaf,
    members(inner).map(objectOf),
    inner.map(listOf),
    FastCheck.array(members(inner), { minLength: 1, maxLength: 3 }).map(tagged),
    inner.map(nullable)
  )
}

const withValue = (forms: FastCheck.Arbitrary<Form>) =>
  forms.chain(({ schema, values }) =>
    values.map((written) => ({
      schema,
      written,
      [FastCheck.toStringMethod]: () => JSON.stringify({ schema, written })
    }))
  )

/** Any schema, with a value that it allows. */
export const anyForm = withValue(nested(3))

/** That of an object or a list, which can be told from the prose around it, with a value that it allows. */
export const anyStructure = withValue(
  FastCheck.oneof(members(nested(2)).map(objectOf), nested(2).map(listOf))
)
