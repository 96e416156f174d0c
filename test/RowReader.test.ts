import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { type Request, RequestDefaults } from "llm-batch/Request"
import * as RowReader from "llm-batch/RowReader"
import type { SourceFormat } from "llm-batch/Source"
import { cutAt } from "./Blocks.js"

interface Setup extends Partial<Omit<RowReader.RowReaderOptions, "defaults">> {
  readonly defaults?: ConstructorParameters<typeof RequestDefaults>[0]
  readonly format?: SourceFormat
  readonly columns?: ReadonlyArray<string>
  readonly cuts?: ReadonlyArray<number>
}

/** The requests of an input, and the message of the error that ended it, if one did. */
const readAll = (input: string | Uint8Array, setup: Setup = {}) => {
  const requests: Array<Request> = []
  const reader = RowReader.make(
    { name: "in.jsonl", format: setup.format ?? "jsonl", columns: setup.columns ?? null },
    {
      defaults: new RequestDefaults({ model: "m", ...setup.defaults }),
      prompt: setup.prompt ?? null,
      idColumn: setup.idColumn ?? null,
      variables: setup.variables ?? {},
      embedding: setup.embedding ?? false
    },
    (request) => requests.push(request)
  )
  try {
    for (const block of cutAt(Buffer.from(input), setup.cuts ?? [])) reader.push(block)
    reader.end()
    return { requests, error: null }
  } catch (error) {
    return { requests, error: error instanceof Error ? error.message : "not an error" }
  }
}

const read = (input: string | Uint8Array, setup?: Setup): ReadonlyArray<Request> => {
  const { error, requests } = readAll(input, setup)
  assert.isNull(error)
  return requests
}

const one = (input: string, setup?: Setup): Request => {
  const [request, ...others] = read(input, setup)
  assert.isEmpty(others)
  if (request === undefined) throw new Error("no row")
  return request
}

const fails = (input: string | Uint8Array, message: string, setup?: Setup) =>
  assert.include(readAll(input, setup).error ?? "no error", message)

const user = (content: string) => ({ role: "user", content })
const system = (content: string) => ({ role: "system", content })

describe("RowReader", () => {
  describe("shapes", () => {
    it("a chat body", () => {
      assert.deepStrictEqual(
        one(
          "{\"custom_id\":\"set|item|treatment|0.7|3|closed\",\"body\":{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"stop\":[\"END\"]}}"
        ),
        {
          kind: "chat",
          row: 1,
          line: 1,
          customId: "set|item|treatment|0.7|3|closed",
          body: { model: "m", messages: [user("q")], stop: ["END"] }
        }
      )
    })

    it("a line of an OpenAI batch file, verbatim", () => {
      assert.deepStrictEqual(
        one(
          "{\"custom_id\":\"a\", \"body\": {\"model\":\"x\", \"n\": 1.0, \"big\": 12345678901234567890} ,\"method\":\"POST\",\"url\":\"/v1/chat/completions\"}"
        ),
        {
          kind: "native",
          row: 1,
          line: 1,
          customId: "a",
          target: { provider: "openai", endpoint: "/v1/chat/completions" },
          // oxlint-disable-next-line no-loss-of-precision -- it is lost, which is why the text is kept
          body: { model: "x", n: 1, big: 12345678901234567890 },
          text: "{\"model\":\"x\", \"n\": 1.0, \"big\": 12345678901234567890}"
        }
      )
    })

    it("a line of an Anthropic batch file, verbatim", () => {
      assert.deepStrictEqual(
        one("{\"custom_id\":\"a\",\"params\": {\"model\":\"claude-haiku-4-5\",\"max_tokens\":1e2,\"messages\":[]}}"),
        {
          kind: "native",
          row: 1,
          line: 1,
          customId: "a",
          target: { provider: "anthropic", endpoint: "/v1/messages" },
          body: { model: "claude-haiku-4-5", max_tokens: 100, messages: [] },
          text: "{\"model\":\"claude-haiku-4-5\",\"max_tokens\":1e2,\"messages\":[]}"
        }
      )
    })

    it("a body for OpenAI's Responses", () => {
      const request = one("{\"body\":{\"model\":\"x\",\"input\":\"q\"}}", { defaults: { temperature: 1 } })
      assert.deepStrictEqual(request, {
        kind: "native",
        row: 1,
        line: 1,
        customId: "1",
        target: { provider: "openai", endpoint: "/v1/responses" },
        body: { model: "x", input: "q" },
        text: "{\"model\":\"x\",\"input\":\"q\"}"
      })
    })

    it("a prompt, whose parameters stand beside it", () => {
      assert.deepStrictEqual(
        one(
          "{\"id\":\"a\",\"label\":\"ham\",\"temperature\":0.5,\"prompt\":\"q\",\"system\":\"s\",\"model\":\"x\",\"max_completion_tokens\":9,\"n\":3}"
        ),
        {
          kind: "chat",
          row: 1,
          line: 1,
          customId: "a",
          body: { model: "x", messages: [system("s"), user("q")], temperature: 0.5, max_completion_tokens: 9 },
          columns: { label: "ham", n: 3 }
        }
      )
    })

    it("messages without a body around them", () => {
      assert.deepStrictEqual(
        one("{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"seed\":7,\"top_p\":0.1,\"expected\":\"4\"}"),
        {
          kind: "chat",
          row: 1,
          line: 1,
          customId: "1",
          body: { model: "m", messages: [user("q")], top_p: 0.1, seed: 7 },
          columns: { expected: "4" }
        }
      )
    })

    it("a record for a template; a row with its own body keeps it", () => {
      const setup: Setup = {
        prompt: "Is this spam? {{text}}",
        defaults: { system: "You speak {{lang}}." },
        variables: { lang: "French" }
      }
      assert.deepStrictEqual(
        read(
          "{\"text\":\"Win!\",\"prompt\":\"no\",\"temperature\":9}\n{\"body\":{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}}",
          setup
        ),
        [
          {
            kind: "chat",
            row: 1,
            line: 1,
            customId: "1",
            body: { model: "m", messages: [system("You speak French."), user("Is this spam? Win!")] },
            columns: { text: "Win!", prompt: "no", temperature: 9 }
          },
          {
            kind: "chat",
            row: 2,
            line: 2,
            customId: "2",
            body: { model: "m", messages: [system("You speak French."), user("q")] }
          }
        ]
      )
    })

    it("a record whose body is text, for a template", () => {
      const request = one("{\"subject\":\"Hi\",\"body\":\"Win!\",\"params\":[1]}", { prompt: "{{subject}}: {{body}}" })
      assert.deepStrictEqual(request.body.messages, [user("Hi: Win!")])
    })

    it("messages with a system text beside them", () => {
      const messages = [user("q")]
      assert.deepStrictEqual(one(JSON.stringify({ system: "s", messages }), { defaults: { system: "S" } }).body, {
        model: "m",
        messages: [system("s"), user("q")]
      })
      fails(
        JSON.stringify({ system: "s", messages: [system("t"), user("q")] }),
        "in.jsonl:1: system: the row has a system message among its messages too."
      )
    })

    it("embeddings", () => {
      const setup: Setup = { embedding: true, defaults: { dimensions: 256, system: "s", temperature: 1 } }
      const body = { model: "m", input: "q", dimensions: 256 }
      for (
        const row of ["{\"prompt\":\"q\"}", "{\"input\":\"q\"}", "{\"text\":\"q\"}", "{\"body\":{\"input\":\"q\"}}"]
      ) {
        assert.deepStrictEqual(one(row, setup), { kind: "embedding", row: 1, line: 1, customId: "1", body })
      }
      assert.deepStrictEqual(one("{\"input\":[\"a\",\"b\"],\"system\":\"x\",\"dimensions\":1}", setup), {
        kind: "embedding",
        row: 1,
        line: 1,
        customId: "1",
        body: { model: "m", input: ["a", "b"], dimensions: 1 },
        columns: { system: "x" }
      })
      assert.deepStrictEqual(one("{\"title\":\"q\"}", { ...setup, prompt: "{{title}}" }).body, body)
      fails("{\"messages\":[]}", "in.jsonl:1: the row has no prompt. The row has: messages.", setup)
      fails("{\"input\":[]}", "in.jsonl:1: input: found an empty list.", setup)
    })

    it("tables", () => {
      assert.deepStrictEqual(
        read("id,prompt,system,temperature,label\nx,\"a, b\",s,0.5,ham\ny,c,,,spam\n", {
          format: "csv",
          defaults: { system: "S", temperature: 1 }
        }),
        [
          {
            kind: "chat",
            row: 1,
            line: 2,
            customId: "x",
            body: { model: "m", messages: [system("s"), user("a, b")], temperature: 0.5 },
            columns: { id: "x", prompt: "a, b", system: "s", temperature: "0.5", label: "ham" }
          },
          {
            kind: "chat",
            row: 2,
            line: 3,
            customId: "y",
            body: { model: "m", messages: [system("S"), user("c")], temperature: 1 },
            columns: { id: "y", prompt: "c", system: "", temperature: "", label: "spam" }
          }
        ]
      )
      assert.deepStrictEqual(
        one("ham\tI \"said\" so", { format: "tsv", columns: ["label", "text"], prompt: "{{text}}?" }),
        {
          kind: "chat",
          row: 1,
          line: 1,
          customId: "1",
          body: { model: "m", messages: [user("I \"said\" so?")] },
          columns: { label: "ham", text: "I \"said\" so" }
        }
      )
      fails("prompt,temperature\nq,hot\n", "in.jsonl:2: temperature: found the string \"hot\".", { format: "csv" })
      fails("body,text\nb,t\n", "in.jsonl:2: the row has no prompt. The row has: body, text.", { format: "csv" })
    })
  })

  describe("defaults", () => {
    const defaults = {
      model: "default",
      system: "S",
      temperature: 0.5,
      topP: 0.9,
      maxTokens: 100,
      stop: ["x"],
      responseFormat: { type: "json_object" },
      reasoningEffort: "low",
      thinking: { type: "adaptive" },
      tools: [{ type: "function" }]
    } as const

    it("fill in what a row does not say, in one order", () => {
      assert.strictEqual(
        JSON.stringify(
          one("{\"body\":{\"seed\":1,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}}", { defaults }).body
        ),
        "{\"model\":\"default\",\"messages\":[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"q\"}],"
          + "\"temperature\":0.5,\"top_p\":0.9,\"max_tokens\":100,\"stop\":[\"x\"],\"response_format\":{\"type\":\"json_object\"},"
          + "\"reasoning_effort\":\"low\",\"thinking\":{\"type\":\"adaptive\"},\"tools\":[{\"type\":\"function\"}],\"seed\":1}"
      )
    })

    it("give way to what a row says", () => {
      const own = {
        model: "own",
        temperature: 0,
        top_p: 0,
        max_tokens: 1,
        stop: "y",
        response_format: { type: "text" },
        reasoning_effort: "high",
        thinking: { type: "enabled", budget_tokens: 2_000 },
        tools: []
      }
      const messages = [system("own"), user("q")]
      assert.deepStrictEqual(one(JSON.stringify({ body: { ...own, messages } }), { defaults }).body, {
        ...own,
        messages
      })
      assert.deepStrictEqual(one(JSON.stringify({ ...own, messages }), { defaults }).body, { ...own, messages })
      assert.deepStrictEqual(one(JSON.stringify({ ...own, prompt: "q", system: "own" }), { defaults }).body, {
        ...own,
        messages
      })
    })

    it("have no system message for one that has a developer message, or an empty one of its own", () => {
      const messages = [{ role: "developer", content: "d" }, user("q")]
      assert.deepStrictEqual(one(JSON.stringify({ messages }), { defaults: { system: "S" } }).body.messages, messages)
      assert.deepStrictEqual(one("{\"prompt\":\"q\",\"system\":\"\"}", { defaults: { system: "S" } }).body.messages, [
        user("q")
      ])
    })

    it("do not set max_tokens beside max_completion_tokens", () => {
      assert.deepStrictEqual(
        one("{\"prompt\":\"q\",\"max_completion_tokens\":5}", { defaults: { maxTokens: 9 } }).body,
        {
          model: "m",
          messages: [user("q")],
          max_completion_tokens: 5
        }
      )
    })

    it("fill in where a row says null", () => {
      assert.deepStrictEqual(
        one(
          "{\"body\":{\"model\":null,\"stop\":null,\"temperature\":null,\"messages\":[{\"role\":\"user\",\"content\":\"q\"}]}}",
          {
            defaults: { temperature: 1 }
          }
        ).body,
        { model: "m", messages: [user("q")], temperature: 1 }
      )
    })

    it("leave braces in a system message alone where there is no template", () => {
      assert.deepStrictEqual(one("{\"prompt\":\"q\"}", { defaults: { system: "{{x" } }).body.messages, [
        system("{{x"),
        user("q")
      ])
    })
  })

  describe("ids", () => {
    it("custom_id, else id, else the row number", () => {
      const input =
        "{\"custom_id\":\"a\",\"id\":\"b\",\"prompt\":\"q\"}\n\n{\"id\":7,\"prompt\":\"q\"}\n{\"prompt\":\"q\"}\n"
      const requests = read(input)
      assert.deepStrictEqual(requests.map((request) => [request.customId, request.row, request.line]), [
        ["a", 1, 1],
        ["7", 2, 3],
        ["3", 3, 4]
      ])
      assert.deepStrictEqual(
        requests.map((request) => request.kind === "native" ? undefined : request.columns),
        [{ id: "b" }, undefined, undefined]
      )
    })

    it("the column that was named, and no other", () => {
      assert.strictEqual(one("{\"key\":\"k\",\"id\":1,\"prompt\":\"q\"}", { idColumn: "key" }).customId, "k")
      fails(
        "{\"kye\":\"k\",\"id\":1,\"prompt\":\"q\"}",
        "in.jsonl:1: key: the row has no such column, and it was to hold the id. The row has: kye, id, prompt. "
          + "Name kye with --id-column.",
        { idColumn: "key" }
      )
    })

    it("any string, and numbers of any size", () => {
      for (const id of ["../x", "a/b", "\u0000", "__proto__", "x".repeat(65), "|", " ", "\ud83d\ude00", "e\u0301"]) {
        assert.strictEqual(one(JSON.stringify({ id, prompt: "q" })).customId, id)
      }
      assert.strictEqual(one("{\"id\":12345678901234567891,\"prompt\":\"q\"}").customId, "12345678901234567891")
      assert.strictEqual(one("{\"id\":0.5,\"prompt\":\"q\"}").customId, "0.5")
    })

    it("nothing else", () => {
      for (
        const [id, found] of [["\"\"", "an empty string"], ["null", "null"], ["[]", "an empty list"], [
          "true",
          "the boolean true"
        ]]
      ) {
        fails(`{"id":${id},"prompt":"q"}`, `in.jsonl:1: id: found ${found}. An id is a string or a number`)
      }
      fails("id,prompt\n,q\n", "in.jsonl:2: id: found an empty string.", { format: "csv" })
    })
  })

  describe("bytes", () => {
    it("takes blank lines, CRLF, a byte order mark and a last line without a newline", () => {
      const requests = read("\ufeff{\"prompt\":\"a\"}\r\n\r\n \t \r\n{\"prompt\":\"b\"}\n\n{\"prompt\":\"c\"}")
      assert.deepStrictEqual(requests.map((request) => [request.row, request.line]), [[1, 1], [2, 4], [3, 6]])
      assert.deepStrictEqual(read(""), [])
      assert.deepStrictEqual(read("\n \n"), [])
      assert.deepStrictEqual(read("\ufeff"), [])
    })

    it("says where a line is not JSON", () => {
      const good = "{\"prompt\":\"a\"}\n\n"
      fails(`${good}{"prompt": 'a'}`, "in.jsonl:3:12: unexpected character '. JSON strings take double quotes: \".")
      fails(`${good}{"prompt": "a",}`, "in.jsonl:3:16: unexpected character } after a comma.")
      fails(`${good}{"prompt": "a`, "in.jsonl:3:14: the line ends inside a string.")
      fails(`${good}{"prompt": NaN}`, "in.jsonl:3:12: the word NaN. JSON has no such value")
      assert.lengthOf(readAll(`${good}{`).requests, 1)
    })

    it("says how a whole JSON document becomes lines", () => {
      fails(
        "[\n  {\"prompt\": \"a\"}\n]\n",
        "in.jsonl:1: the input is one JSON array. The input must be JSON Lines, one object a line. "
          + "Turn it into lines with: jq -c '.[]' FILE > NEW_FILE"
      )
      fails("[{\"prompt\":\"a\"}]", "in.jsonl:1: the line holds a list, not an object.")
      fails("{\n  \"prompt\": \"a\"\n}\n", "in.jsonl:1: the object goes on over several lines. ")
      fails("3", "in.jsonl:1: the line holds the number 3, not an object.")
    })

    it("says where bytes are not UTF-8", () => {
      const bytes = Buffer.concat([
        Buffer.from("{\"prompt\":\"a\"}\n{\"prompt\":\"\u00e4"),
        Buffer.from([0xc3, 0x28, 0x22, 0x7d])
      ])
      fails(bytes, "in.jsonl:2:13: the byte 0xc3 is not UTF-8.")
      assert.deepStrictEqual(one("{\"prompt\":\"\ufffd\"}").body.messages, [user("\ufffd")])
    })

    it("tells of the first line that is wrong, and reads all before it", () => {
      for (const format of ["jsonl", "csv"] as const) {
        const [head, good, bad] = format === "jsonl"
          ? ["", "{\"prompt\":\"a\"}\n", "{\"prompt\":\"\",\"id\":\"b\"}\n"]
          : ["id,prompt\n", "a,a\n", "b,\n"]
        const invalid = Buffer.from([0xe4, 0x0a])
        const { error, requests } = readAll(Buffer.concat([Buffer.from(head + good), invalid, Buffer.from(bad)]), {
          format
        })
        assert.strictEqual(requests.length, 1, format)
        assert.include(error, `in.jsonl:${format === "jsonl" ? 2 : 3}:1: the byte 0xe4 is not UTF-8`)
        fails(Buffer.concat([Buffer.from(head + good + bad), invalid]), "found an empty string", { format })
      }
    })

    it("refuses nesting that could not be written again", () => {
      const nested = (depth: number) => `{"prompt":"q","data":${"[".repeat(depth)}${"]".repeat(depth)}}`
      assert.strictEqual(one(nested(900)).row, 1)
      fails(nested(1_100), "in.jsonl:1: the row is nested more than 1000 levels deep.")
      fails(nested(200_000), "in.jsonl:1: the row is nested more than 1000 levels deep.")
    })

    it("keeps members called __proto__", () => {
      const request = one("{\"prompt\":\"q\",\"__proto__\":{\"a\":1},\"constructor\":2}")
      assert.strictEqual(
        JSON.stringify(request.kind === "native" ? null : request.columns),
        "{\"__proto__\":{\"a\":1},\"constructor\":2}"
      )
      const body = one("{\"body\":{\"messages\":[{\"role\":\"user\",\"content\":\"q\"}],\"__proto__\":1}}").body
      assert.include(JSON.stringify(body), "\"__proto__\":1")
    })

    it("keeps lone surrogates as they are", () => {
      assert.deepStrictEqual(one("{\"prompt\":\"\\ud800\"}").body.messages, [user("\ud800")])
    })
  })

  describe("bad rows", () => {
    const cases: ReadonlyArray<readonly [row: string, message: string]> = [
      ["{}", "the row has no prompt. The row has none. Give it \"prompt\" or \"messages\" or \"body\""],
      ["{\"promt\":\"q\"}", "the row has no prompt. The row has: promt. Perhaps \"promt\" should be \"prompt\"."],
      ["{\"prompt\":\"\"}", "prompt: found an empty string. It must be a string"],
      ["{\"prompt\":[{\"role\":\"user\"}]}", "prompt: found a list. It must be a string"],
      ["{\"prompt\":\"q\",\"system\":1}", "system: found the number 1. It must be a string."],
      ["{\"prompt\":\"q\",\"model\":\"\"}", "model: found an empty string. Name one with --model"],
      [
        "{\"prompt\":\"q\",\"temperature\":\"0.5\"}",
        "temperature: found the string \"0.5\". It must be a number from 0 to 2."
      ],
      ["{\"prompt\":\"q\",\"temperature\":-1}", "temperature: found the number -1."],
      ["{\"prompt\":\"q\",\"top_p\":1.5}", "top_p: found the number 1.5. It must be a number from 0 to 1."],
      ["{\"prompt\":\"q\",\"max_tokens\":0}", "max_tokens: found the number 0. It must be a whole number above 0."],
      ["{\"prompt\":\"q\",\"max_tokens\":1e400}", "max_tokens: found the number Infinity."],
      ["{\"prompt\":\"q\",\"stop\":[\"\"]}", "stop: found a list."],
      ["{\"prompt\":\"q\",\"response_format\":\"json\"}", "response_format: found the string \"json\"."],
      ["{\"prompt\":\"q\",\"reasoning_effort\":3}", "reasoning_effort: found the number 3."],
      [
        "{\"prompt\":\"q\",\"thinking\":{\"type\":\"enabled\"}}",
        "thinking: found an object. It must be {\"type\": \"disabled\"}"
      ],
      ["{\"prompt\":\"q\",\"tools\":{}}", "tools: found an object."],
      ["{\"messages\":[]}", "messages: found an empty list. It must be a list of at least one"],
      ["{\"messages\":\"q\"}", "messages: found the string \"q\"."],
      ["{\"messages\":[\"q\"]}", "messages[0]: found the string \"q\"."],
      ["{\"messages\":[{\"content\":\"q\"}]}", "messages[0].role: found nothing. It must be system, developer, user"],
      [
        "{\"messages\":[{\"role\":\"asistant\",\"content\":\"q\"}]}",
        "messages[0].role: found the string \"asistant\". It must be assistant."
      ],
      ["{\"messages\":[{\"role\":\"user\"}]}", "messages[0].content: found nothing."],
      ["{\"messages\":[{\"role\":\"user\",\"content\":null}]}", "messages[0].content: found null."],
      ["{\"messages\":[{\"role\":\"user\",\"content\":[\"q\"]}]}", "messages[0].content[0]: found the string \"q\"."],
      ["{\"body\":[]}", "body: found an empty list. It must be an object."],
      ["{\"body\":{}}", "body.messages: found nothing."],
      [
        "{\"body\":{\"input\":\"q\"}}",
        "body.model: no model is named. A row in a provider's own form is sent as it is"
      ],
      ["{\"params\":{\"messages\":[]}}", "params.model: no model is named."],
      ["{\"params\":\"x\"}", "params: found the string \"x\". It must be an object."],
      [
        "{\"method\":\"POST\",\"url\":\"https://api.example.com/v1\",\"body\":{\"model\":\"x\"}}",
        "url: found the string"
      ],
      [
        "{\"method\":\"GET\",\"url\":\"/v1/responses\",\"body\":{\"model\":\"x\"}}",
        "method: found the string \"GET\"."
      ],
      ["{\"method\":\"POST\",\"body\":{\"model\":\"x\"}}", "url: found nothing."]
    ]
    it.each(cases)("%s", (row, message) => {
      fails(`{"prompt":"a"}\n\n${row}\n`, `in.jsonl:3: ${message}`)
    })

    it("takes an assistant's message without content where it calls tools", () => {
      const messages = [user("q"), { role: "assistant", content: null, tool_calls: [] }]
      assert.deepStrictEqual(one(JSON.stringify({ messages })).body.messages, messages)
    })

    it("names the model that is missing everywhere", () => {
      const reader = RowReader.make(
        { name: "in.jsonl", format: "jsonl", columns: null },
        { defaults: new RequestDefaults({}), prompt: null, idColumn: null, variables: {}, embedding: false },
        () => {}
      )
      assert.throws(
        () => reader.push(Buffer.from("{\"prompt\":\"q\"}\n")),
        "in.jsonl:1: model: no model is named. Name one with --model, as \"model\" in the row, or in the configuration file."
      )
    })

    it("names the variable that a row does not have", () => {
      fails(
        "{\"text\":\"a\"}\n{\"txt\":\"b\",\"label\":\"c\"}",
        "in.jsonl:2: text: the template has {{text}}, and the row has no such column. The row has: txt, label. "
          + "Perhaps {{txt}} is meant. A value for all rows is given with --var text=VALUE.",
        { prompt: "{{text}}" }
      )
      fails("{\"text\":\"\"}", "in.jsonl:1: the prompt of this row is empty.", { prompt: "{{text}}" })
    })

    it("throws a bad template at the first call, even for an empty input", () => {
      fails("", "--prompt:1:1: a variable is opened with {{ and never closed.", { prompt: "{{x" })
      fails("", "--system:1:3: a variable is opened", { prompt: "x", defaults: { system: "a {{x" } })
    })
  })

  const value = FastCheck.jsonValue({ maxDepth: 2 })
  const text = FastCheck.string({ minLength: 1, unit: "grapheme" })
  const row = FastCheck.record({ prompt: text, extra: value, "\u00e4 b": value })

  it.prop(
    "gives back any prompt and any columns, wherever the blocks are cut",
    [
      FastCheck.array(row, { maxLength: 5 }),
      FastCheck.array(FastCheck.nat(300)),
      FastCheck.constantFrom("\n", "\r\n\n")
    ],
    ([rows, cuts, newline]) => {
      const input = rows.map((row) => JSON.stringify(row) + newline).join("")
      assert.deepStrictEqual(
        read(input, { cuts }).map((request) =>
          request.kind === "native" ? null : [request.row, request.body.messages, request.columns]
        ),
        rows.map((row, index) => {
          const { prompt, ...columns }: { readonly prompt: string } = JSON.parse(JSON.stringify(row))
          return [index + 1, [user(prompt)], columns]
        })
      )
    },
    { fastCheck: { numRuns: 300 } }
  )

  it.prop(
    "keeps the text of a native body, byte for byte",
    [FastCheck.dictionary(FastCheck.string(), value), FastCheck.constantFrom("", " ", "\t", "  ")],
    ([members, space]) => {
      const body = JSON.stringify({ ...members, model: "x" }, null, space).replaceAll("\n", " ")
      const request = one(`{"x":"}{\\"","params"${space}:${space}${body}${space},"custom_id":"a"}`)
      assert.strictEqual(request.kind === "native" ? request.text : "", body)
    },
    { fastCheck: { numRuns: 300 } }
  )
})
