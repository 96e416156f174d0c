/**
 * `node transfer.mjs URL RUN_DIR`: uploads each shard, makes a batch of it, waits until it has ended, and downloads its
 * results, with nothing but Node.
 */
import { createReadStream, createWriteStream, mkdirSync, readdirSync, statSync } from "node:fs"
import { Agent, request } from "node:http"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"

const [url = "", directory = ""] = process.argv.slice(2)
const agent = new Agent({ keepAlive: true })
const headers = { authorization: "Bearer bare" }

/**
 * @param {string} method
 * @param {string} path
 * @param {import("node:http").OutgoingHttpHeaders} more
 * @param {(call: import("node:http").ClientRequest) => void | Promise<void>} body
 * @returns {Promise<import("node:http").IncomingMessage>}
 */
const call = (method, path, more, body) =>
  new Promise((resolve, reject) => {
    const made = request(`${url}/v1${path}`, { method, agent, headers: { ...headers, ...more } }, resolve)
    made.on("error", reject)
    Promise.resolve(body(made)).catch(reject)
  })

/** @param {import("node:http").IncomingMessage} response */
const json = async (response) => {
  let text = ""
  for await (const piece of response.setEncoding("utf8")) text += piece
  return JSON.parse(text)
}

/** @param {string} path */
const upload = async (path) => {
  const head = Buffer.from(
    "--bare\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--bare\r\n"
      + "Content-Disposition: form-data; name=\"file\"; filename=\"rows.jsonl\"\r\n\r\n"
  )
  const tail = Buffer.from("\r\n--bare--\r\n")
  const response = await call(
    "POST",
    "/files",
    {
      "content-type": "multipart/form-data; boundary=bare",
      "content-length": head.length + statSync(path).size + tail.length
    },
    async (made) => {
      made.write(head)
      await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), made, { end: false })
      made.end(tail)
    }
  )
  return (await json(response)).id
}

const inputs = join(directory, "batch_inputs/openai")
const raw = join(directory, "raw/openai")
mkdirSync(raw, { recursive: true })
for (const name of readdirSync(inputs).toSorted()) {
  const body = JSON.stringify({
    input_file_id: await upload(join(inputs, name)),
    endpoint: "/v1/responses",
    completion_window: "24h"
  })
  const { id } = await json(
    await call("POST", "/batches", { "content-type": "application/json" }, (made) => void made.end(body))
  )
  let batch
  do batch = await json(await call("GET", `/batches/${id}`, {}, (made) => void made.end()))
  while (batch.status !== "completed")
  const results = await call("GET", `/files/${batch.output_file_id}/content`, {}, (made) => void made.end())
  await pipeline(results, createWriteStream(join(raw, name)))
}
agent.destroy()
