import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Fingerprint from "../../src/emulator/Fingerprint.js"
import * as Lifecycle from "../../src/emulator/Lifecycle.js"
import * as RequestScan from "../../src/emulator/RequestScan.js"
import * as SchemaInstance from "../../src/emulator/SchemaInstance.js"

describe("emulator: RequestScan", () => {
  /** Scans a text in blocks of some size: the elements, the other keys, and whether it was whole. */
  const scan = (text: string, size: number) => {
    const bytes = Buffer.from(text)
    const slice = (start: number, end: number) => bytes.toString("utf8", start, end)
    const elements: Array<string> = []
    const members: Array<string> = []
    const scanner = RequestScan.make({
      isRequests: (start, end) => slice(start, end) === "\"requests\"",
      member: (keyStart, keyEnd, start, end) => members.push(`${slice(keyStart, keyEnd)}:${slice(start, end)}`),
      element: (start, end) => elements.push(slice(start, end))
    })
    let valid = true
    for (let at = 0; at < bytes.length && valid; at += size) valid = scanner.feed(bytes.subarray(at, at + size), at)
    return { elements, members, whole: valid && scanner.end().complete }
  }

  const json = FastCheck.jsonValue().map((value) => JSON.stringify(value))
  const space = FastCheck.constantFrom("", " ", "\n\t", "\r\n")

  it.prop(
    "finds the elements of any array, at any block size",
    [FastCheck.array(json), space, FastCheck.integer({ min: 1, max: 20 }), json],
    ([values, gap, size, other]) => {
      const array = `[${gap}${values.join(`${gap},${gap}`)}${gap}]`
      const text = `${gap}{${gap}"other"${gap}:${gap}${other}${gap},${gap}"requests"${gap}:${gap}${array}${gap}}${gap}`
      assert.deepStrictEqual(scan(text, size), { elements: values, members: [`"other":${other}`], whole: true })
    }
  )

  it.prop("takes no part of an object for the whole", [FastCheck.array(json), FastCheck.nat()], ([values, at]) => {
    const text = `{"requests":[${values.join(",")}]}`
    assert.isFalse(scan(text.slice(0, at % text.length), 7).whole)
  })

  it.each([
    "",
    "[]",
    "{} {}",
    "{,}",
    "{\"requests\":[1,]}",
    "{\"requests\":[,1]}",
    "{\"requests\":[1 2]}",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{1:2}"
  ])(
    "refuses %s",
    (text) => {
      assert.isFalse(scan(text, 3).whole)
    }
  )
})

describe("emulator: SchemaInstance", () => {
  const instance = (schema: Parameters<typeof SchemaInstance.instance>[0]) =>
    SchemaInstance.instance(schema, "text", () => 0)

  it.each([
    [{}, "text"],
    [{ type: "string", minLength: 6 }, "textxx"],
    [{ type: "string", maxLength: 2 }, "te"],
    [{ type: "string", format: "date" }, "2026-11-20"],
    [{ type: "integer" }, 0],
    [{ type: "integer", minimum: 3 }, 3],
    [{ type: "integer", minimum: 3, multipleOf: 5 }, 5],
    [{ type: "integer", exclusiveMinimum: 3 }, 4],
    [{ type: "integer", maximum: -3 }, -3],
    [{ type: "integer", exclusiveMaximum: 0 }, -1],
    [{ type: "number", minimum: 0.25 }, 0.25],
    [{ type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 }, 0.5],
    [{ type: "boolean" }, false],
    [{ type: "null" }, null],
    [{ const: { a: 1 } }, { a: 1 }],
    [{ enum: ["spam", "ham"] }, "spam"],
    [{ type: ["string", "null"] }, "text"],
    [{ anyOf: [{ type: "integer" }, { type: "string" }] }, 0],
    [{ type: "array", items: { type: "integer" } }, [0]],
    [{ type: "array", items: { type: "integer" }, minItems: 3 }, [0, 0, 0]],
    [{ type: "array", items: { type: "integer" }, maxItems: 0 }, []],
    [{ type: "array", prefixItems: [{ type: "integer" }, { type: "boolean" }] }, [0, false]],
    [{ type: "object", properties: { a: { type: "integer" }, b: { type: "integer" } }, required: ["a"] }, { a: 0 }],
    [{
      allOf: [{ properties: { a: { const: 1 } }, required: ["a"] }, {
        properties: { b: { const: 2 } },
        required: ["b"]
      }]
    }, { a: 1, b: 2 }],
    [{ $ref: "#/$defs/n", $defs: { n: { type: "integer", minimum: 9 } } }, 9],
    [{ $ref: "#/$defs/a~1b", $defs: { "a/b": { const: 1 } } }, 1]
  ])("%j", (schema, expected) => {
    assert.deepStrictEqual(instance(schema), expected)
  })

  it("comes to an end with schemas that refer to themselves", () => {
    const tree = {
      type: "object",
      properties: { name: { type: "string" }, children: { type: "array", items: { $ref: "#" } } },
      required: ["name", "children"]
    }
    const list = {
      $ref: "#/$defs/node",
      $defs: {
        node: {
          type: "object",
          properties: { next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
          required: ["next"]
        }
      }
    }
    assert.match(JSON.stringify(instance(tree)), /"children":\[\]/)
    assert.match(JSON.stringify(instance(list)), /"next":null/)
  })
})

describe("emulator: Lifecycle", () => {
  const timeline: Lifecycle.Timeline = {
    createdAt: 0,
    validating: 10,
    processing: 100,
    finalizing: 5,
    cancelling: 20,
    window: 1000,
    invalid: false,
    ending: undefined,
    doneAtEnding: 1,
    waitForWindow: false,
    cancelledAt: undefined
  }
  const statuses = (change: Partial<Lifecycle.Timeline>, times: ReadonlyArray<number>) =>
    times.map((now) => Lifecycle.at({ ...timeline, ...change }, now).status)

  it("goes its way", () => {
    assert.deepStrictEqual(statuses({}, [0, 9, 10, 109, 110, 114, 115, 9999]), [
      "validating",
      "validating",
      "in_progress",
      "in_progress",
      "finalizing",
      "finalizing",
      "completed",
      "completed"
    ])
    assert.deepStrictEqual(statuses({ validating: 0, processing: 0, finalizing: 0 }, [0]), ["completed"])
  })

  it("fails, when validation is over", () => {
    assert.deepStrictEqual(statuses({ invalid: true }, [9, 10]), ["validating", "failed"])
  })

  it("expires at the end of the window, with what is done by then", () => {
    assert.deepStrictEqual(statuses({ window: 60 }, [59, 60, 64, 65]), [
      "in_progress",
      "finalizing",
      "finalizing",
      "expired"
    ])
    assert.strictEqual(Lifecycle.at({ ...timeline, window: 60 }, 65).progress, 0.5)
  })

  it("is cancelled from any moment before the end, but not after", () => {
    assert.deepStrictEqual(statuses({ cancelledAt: 5 }, [4, 5, 24, 25]), [
      "validating",
      "cancelling",
      "cancelling",
      "cancelled"
    ])
    assert.deepStrictEqual(statuses({ cancelledAt: 60 }, [59, 60, 79, 80]), [
      "in_progress",
      "cancelling",
      "cancelling",
      "cancelled"
    ])
    assert.strictEqual(Lifecycle.at({ ...timeline, cancelledAt: 5 }, 25).progress, 0)
    assert.isUndefined(Lifecycle.at({ ...timeline, cancelledAt: 5 }, 25).inProgressAt)
    assert.strictEqual(Lifecycle.at({ ...timeline, cancelledAt: 60 }, 80).progress, 0.5)
    assert.deepStrictEqual(statuses({ cancelledAt: 110 }, [110, 115]), ["finalizing", "completed"])
  })

  it("ends as the plan wants", () => {
    assert.deepStrictEqual(statuses({ ending: "expired" }, [109, 110, 115]), ["in_progress", "finalizing", "expired"])
    assert.deepStrictEqual(statuses({ ending: "expired", waitForWindow: true }, [115, 999, 1005]), [
      "in_progress",
      "in_progress",
      "expired"
    ])
    assert.deepStrictEqual(statuses({ ending: "cancelled" }, [109, 110, 130]), [
      "in_progress",
      "cancelling",
      "cancelled"
    ])
  })

  it.prop(
    "never goes back, and never ends twice",
    [
      FastCheck.record({
        validating: FastCheck.nat(50),
        processing: FastCheck.nat(200),
        finalizing: FastCheck.nat(50),
        cancelling: FastCheck.nat(50),
        window: FastCheck.integer({ min: 1, max: 200 }),
        cancelledAt: FastCheck.option(FastCheck.nat(200), { nil: undefined }),
        ending: FastCheck.constantFrom(undefined, "expired" as const, "cancelled" as const),
        waitForWindow: FastCheck.boolean()
      })
    ],
    ([change]) => {
      const order = ["validating", "in_progress", "finalizing", "cancelling", "completed", "expired", "cancelled"]
      let last = Lifecycle.at({ ...timeline, ...change }, 0)
      for (let now = 1; now < 500; now++) {
        const next = Lifecycle.at({ ...timeline, ...change }, now)
        assert.isAtLeast(order.indexOf(next.status), order.indexOf(last.status))
        assert.isAtLeast(next.progress, last.progress)
        if (last.ended) assert.deepStrictEqual(next, last)
        last = next
      }
      assert.isTrue(last.ended)
    }
  )
})

describe("emulator: Fingerprint", () => {
  it.prop(
    "orders every index once, the same way each time",
    [FastCheck.integer(), FastCheck.nat(300)],
    ([seed, count]) => {
      const order = Fingerprint.shuffled(seed, count)
      assert.deepStrictEqual([...order].toSorted((a, b) => a - b), Array.from({ length: count }, (_, i) => i))
      assert.deepStrictEqual(Fingerprint.shuffled(seed, count), order)
    }
  )
})
