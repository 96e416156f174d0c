/**
 * A server that answers OpenAI's batch API as fast as it can: it keeps the numbers of the rows of each uploaded file, and
 * puts their answers together while they are downloaded. Anthropic's creates are taken in, and nothing more.
 *
 * `node replay.mjs FORM` (see `answers.mjs`) prints its address. Messages to it: `hold` lets batches run on, `release`
 * ends them, `rounds` gives how many requests each round of looks took, `received` gives the bytes and the SHA-256 of the
 * body that came last.
 */
import { createHash } from "node:crypto"
import { createServer } from "node:http"
import { answers } from "./answers.mjs"
import { Upload } from "./uploads.mjs"

/** @typedef {{ readonly id: string, readonly createdAt: number, readonly input: string, readonly metadata: unknown }} Batch */

const given = process.argv[2]
const form = given === "chat" || given === "short" ? given : "responses"
const digests = process.argv.includes("--digest")
const foreignCount = 2_000
const pageSize = 100

/** @type {Map<string, Upload>} */
const files = new Map()

/** In the order in which they were made; batches of others are older. @type {Array<Batch>} */
const batches = Array.from({ length: foreignCount }, (_, at) => ({
  id: `batch_other_${at}`,
  createdAt: Math.floor(Date.now() / 1_000) - 7_200,
  input: "file_other",
  metadata: {}
}))
/** Where each batch is among them. @type {Map<string, number>} */
const places = new Map(batches.map(({ id }, place) => [id, place]))

let held = false

/** Requests in each round of looks; one begins with the list's first page, or with a batch that was asked for before. */
const rounds = [0]
/** @type {Set<string>} */
const lookedAt = new Set()

/** @param {string | null} batch @param {boolean} begins */
const countLook = (batch, begins) => {
  if (begins || (batch !== null && lookedAt.has(batch))) {
    rounds.push(0)
    lookedAt.clear()
  }
  if (batch !== null) lookedAt.add(batch)
  rounds[rounds.length - 1] = (rounds.at(-1) ?? 0) + 1
}

let received = { bytes: 0, sha256: "" }

/** @param {Batch} batch */
const described = ({ createdAt, id, input, metadata }) => {
  const count = files.get(input)?.rows.length ?? 1
  const ended = !held
  return {
    id,
    object: "batch",
    endpoint: "/v1/responses",
    errors: null,
    input_file_id: input,
    completion_window: "24h",
    status: ended ? "completed" : "in_progress",
    output_file_id: ended ? `out_${input}` : null,
    error_file_id: null,
    created_at: createdAt,
    in_progress_at: createdAt,
    expires_at: createdAt + 86_400,
    completed_at: ended ? createdAt + 1 : null,
    request_counts: { total: count, completed: ended ? count : 0, failed: 0 },
    metadata
  }
}

/** @param {string | null} after */
const page = (after) => {
  const end = after === null ? batches.length : places.get(after) ?? 0
  const start = Math.max(0, end - pageSize)
  const data = batches.slice(start, end).toReversed().map(described)
  return { object: "list", data, first_id: data.at(0)?.id, last_id: data.at(-1)?.id, has_more: start > 0 }
}

/** @typedef {import("node:http").IncomingMessage} Request */
/** @typedef {import("node:http").ServerResponse} Response */

/** @param {Response} response @param {unknown} value */
const send = (response, value) => {
  const text = JSON.stringify(value)
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text)
}

/** @param {Request} request @param {(piece: Buffer) => void} take */
const readAll = (request, take) =>
  new Promise((resolve, reject) => {
    const hash = createHash("sha256")
    let bytes = 0
    request.on("data", (/** @type {Buffer} */ piece) => {
      bytes += piece.length
      if (digests) hash.update(piece)
      take(piece)
    })
    request.on("end", () => {
      received = { bytes, sha256: digests ? hash.digest("hex") : "" }
      resolve(undefined)
    })
    request.on("error", reject)
  })

/** @param {Request} request */
const json = async (request) => {
  /** @type {Array<Buffer>} */
  const pieces = []
  await readAll(request, (piece) => pieces.push(piece))
  return JSON.parse(Buffer.concat(pieces).toString())
}

/** @param {Response} response @param {Upload} upload */
const sendAnswers = async (response, upload) => {
  response.writeHead(200, { "content-type": "application/octet-stream" })
  for (const block of answers(form, upload.tag, upload.rows)) {
    // The block is only lent: the next one waits until the system has this one.
    await new Promise((resolve, reject) => response.write(block, (error) => error ? reject(error) : resolve(undefined)))
  }
  response.end()
}

/** @param {Request} request @param {Response} response */
const answer = async (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost")
  const [, , kind, id = "", part] = pathname.split("/")
  if (request.method === "POST" && kind === "files") {
    const upload = new Upload()
    await readAll(request, (piece) => upload.push(piece))
    const fileId = `file_${files.size + 1}`
    files.set(fileId, upload)
    return send(response, { id: fileId, object: "file", bytes: upload.bytes, created_at: now(), purpose: "batch" })
  }
  if (request.method === "POST" && kind === "batches") {
    const { input_file_id: input, metadata } = await json(request)
    const batch = { id: `batch_${batches.length}`, createdAt: now(), input, metadata }
    places.set(batch.id, batches.length)
    batches.push(batch)
    return send(response, described(batch))
  }
  if (request.method === "POST" && kind === "messages") {
    await readAll(request, () => undefined)
    return send(response, message)
  }
  if (kind === "files" && part === "content") {
    const upload = files.get(id.replace("out_", ""))
    if (upload !== undefined) return sendAnswers(response, upload)
  }
  if (kind === "batches" && id === "") {
    const after = searchParams.get("after")
    countLook(null, after === null)
    return send(response, page(after))
  }
  const batch = batches[places.get(id) ?? -1]
  if (kind === "batches" && batch !== undefined) {
    countLook(id, false)
    return send(response, described(batch))
  }
  response.writeHead(404).end("{}")
}

const now = () => Math.floor(Date.now() / 1_000)

const message = {
  id: "msgbatch_1",
  type: "message_batch",
  processing_status: "in_progress",
  request_counts: { processing: 1, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
  created_at: "2026-11-20T00:00:00Z",
  expires_at: "2026-11-21T00:00:00Z",
  ended_at: null,
  results_url: null
}

const server = createServer((request, response) => {
  answer(request, response).catch(() => response.destroy())
})
server.requestTimeout = 0
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  if (typeof address === "object") console.log(`http://127.0.0.1:${address?.port}`)
})

process.on("message", (text) => {
  if (text === "hold") held = true
  if (text === "release") held = false
  process.send?.(text === "rounds" ? rounds : text === "received" ? received : "done")
})
