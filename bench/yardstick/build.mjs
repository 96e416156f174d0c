/**
 * `node build.mjs INPUT RUN_DIR TAG ROWS`: rows to shards of so many rows, by hand: parse, check the id against all others,
 * encode, write and hash what is sent, write what is kept. Prints the hashes.
 */
import { createHash } from "node:crypto"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { forEachLine, Output } from "./blocks.mjs"

const [input = "", directory = "", tag = "", most = ""] = process.argv.slice(2)
const rowsOfShard = Number(most)
const model = "gpt-5-mini"

const wireFolder = join(directory, "batch_inputs/openai")
const rowsFolder = join(directory, "rows")
mkdirSync(wireFolder, { recursive: true })
mkdirSync(rowsFolder, { recursive: true })

/** @type {Array<string>} */
const hashes = []
/** @type {Set<string>} */
const ids = new Set()
let number = 0

const open = () => {
  const name = `${String(hashes.length + 1).padStart(4, "0")}.jsonl`
  const hash = createHash("sha256")
  return {
    wire: new Output(join(wireFolder, name), (bytes) => hash.update(bytes)),
    rows: new Output(join(rowsFolder, name)),
    hash
  }
}
let shard = open()

const close = () => {
  shard.wire.close()
  shard.rows.close()
  hashes.push(shard.hash.digest("hex"))
}

forEachLine(input, (bytes, start, end) => {
  const { id, prompt } = JSON.parse(bytes.toString("utf8", start, end))
  if (typeof id !== "string" || typeof prompt !== "string") throw new Error(`line ${number + 1} is no row`)
  if (ids.has(id)) throw new Error(`the id ${id} occurs twice`)
  ids.add(id)
  if (number > 0 && number % rowsOfShard === 0) {
    close()
    shard = open()
  }
  number++
  const messages = [{ role: "user", content: prompt }]
  shard.wire.write(
    `{"custom_id":"${tag}-${number}","method":"POST","url":"/v1/responses","body":${
      JSON.stringify({ model, input: messages })
    }}\n`
  )
  shard.rows.write(
    `{"row":${number},"line":${number},"id":${JSON.stringify(id)},"kind":"chat","body":${
      JSON.stringify({ model, messages })
    }}\n`
  )
})
close()
console.log(JSON.stringify(hashes))
