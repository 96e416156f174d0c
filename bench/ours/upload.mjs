/**
 * `node upload.mjs openai|anthropic URL FILE BYTES`: sends a file as a shard's rows through the built library. Batches of
 * the command line are within the providers' limits, which are below what is measured here.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Anthropic from "llm-batch/provider/Anthropic"
import * as OpenAi from "llm-batch/provider/OpenAi"
import { Shard } from "llm-batch/Shard"
import { openSync, readSync } from "node:fs"

const [name = "", url = "", path = "", bytes = ""] = process.argv.slice(2)

const shard = new Shard({
  id: "0001",
  directory: "/",
  runTag: "tag0000000",
  provider: name,
  endpoint: name === "openai" ? "/v1/responses" : "/v1/messages",
  model: null,
  betas: [],
  rows: 1,
  bytes: Number(bytes),
  sha256: "0".repeat(64),
  firstRow: 1,
  lastRow: 1,
  attempt: 1,
  parents: []
})

/** The file in blocks of a megabyte, as the stage `Submit` reads shards: each is only lent, until the next is read. */
const blocks = Stream.suspend(() => {
  const fd = openSync(path, "r")
  const block = Buffer.allocUnsafe(1 << 20)
  return Stream.unfold(undefined, () => {
    const length = readSync(fd, block)
    return length === 0 ? Option.none() : Option.some([block.subarray(0, length), undefined])
  })
})

const apiKey = Redacted.make("sk-bench")
const provider = name === "openai"
  ? OpenAi.make({ apiKey, baseUrl: `${url}/v1` })
  : Anthropic.make({ apiKey, baseUrl: url })

await Effect.runPromise(
  Effect.flatMap(
    provider.upload(shard, blocks),
    (input) => name === "openai" ? Effect.void : provider.create(shard, input, blocks)
  )
)
