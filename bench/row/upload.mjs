/**
 * The memory that an upload takes: the create of an Anthropic batch, which carries all rows, and OpenAI's file. The
 * program is bundled as the executable is; what it takes unbundled, as a library, is told too.
 */
import { createHash } from "node:crypto"
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs"
import { join } from "node:path"
import { bundle } from "../../scripts/bundle.mjs"
import { median, megabytes, seconds, times } from "../harness/figures.mjs"
import { program, run } from "../harness/programs.mjs"
import { emptyFolder, replay } from "../harness/stage.mjs"

/** @typedef {import("../harness/stage.mjs").Stage} Stage */

const row = Buffer.from(
  `${
    JSON.stringify({
      custom_id: "tag0000000-1",
      params: { model: "claude-haiku-4-5", text: "What is it? ".repeat(77) }
    })
  }\n`
)

/**
 * Writes a file of rows; gives its size and the hash of the Anthropic body that it makes.
 *
 * @param {string} path
 * @param {number} atLeast bytes
 */
const writeRows = (path, atLeast) => {
  const count = Math.ceil(atLeast / row.length)
  const block = Buffer.concat(Array.from({ length: 1_000 }, () => row))
  const body = createHash("sha256").update("{\"requests\":[")
  const joined = Buffer.from(block)
  for (let end = row.length - 1; end < joined.length; end += row.length) joined[end] = 0x2c
  const fd = openSync(path, "w")
  for (let rows = 0; rows < count;) {
    const length = Math.min(1_000, count - rows) * row.length
    writeSync(fd, block, 0, length)
    rows += length / row.length
    body.update(joined.subarray(0, rows === count ? length - 1 : length))
  }
  closeSync(fd)
  return { bytes: count * row.length, body: body.update("]}").digest("hex") }
}

/** The program, bundled. @param {Stage} stage */
const bundled = async (stage) => {
  const folder = emptyFolder(stage, "upload")
  writeFileSync(join(folder, "package.json"), "{\"type\":\"module\"}")
  await bundle({ upload: library }, folder)
  return join(folder, "upload.js")
}

const library = program("ours/upload.mjs")

/** @type {import("../harness/stage.mjs").Row} */
export const uploads = {
  name: "upload",
  measure: async (stage) => {
    const sizes = stage.small ? [4_000_000, 16_000_000] : [250_000_000, 1_000_000_000]
    const server = await replay("responses", ["--digest"])
    const path = join(stage.folder, "upload.jsonl")
    const cwd = stage.folder
    try {
      /** @type {Array<number>} */
      const bare = []
      for (let round = 0; round < stage.rounds; round++) bare.push((await run(["-e", "0"], { cwd })).peak)

      const executable = await bundled(stage)
      /** @type {Array<{ name: string, bytes: number, peak: number, millis: number, library: number }>} */
      const all = []
      for (const size of sizes) {
        const { body, bytes } = writeRows(path, size)
        for (const name of ["openai", "anthropic"]) {
          /** @param {string} file */
          const upload = async (file) => {
            const ended = await run([file, name, server.url, path, String(bytes)], { cwd })
            const received = JSON.parse(await server.ask("received"))
            if (name === "anthropic" ? received.sha256 !== body : received.bytes < bytes) {
              throw new Error(`${name}: what the server received is not what was sent`)
            }
            return ended
          }
          const ended = []
          for (let round = 0; round < stage.rounds; round++) ended.push(await upload(executable))
          all.push({
            name,
            bytes,
            peak: median(ended.map(({ peak }) => peak)),
            millis: median(ended.map(({ millis }) => millis)),
            library: (await upload(library)).peak
          })
        }
      }
      return ["anthropic", "openai"].map((name) => {
        const [less, more] = all.filter((one) => one.name === name)
        if (less === undefined || more === undefined) throw new Error(`${name}: nothing was measured`)
        const over = Math.max(less.peak, more.peak) - median(bare)
        const ratio = more.peak / less.peak
        return {
          work: `${name === "openai" ? "upload to OpenAI" : "create at Anthropic"}, ${megabytes(less.bytes)} and ${
            megabytes(more.bytes)
          }`,
          yardstick: `bare node, ${megabytes(median(bare))}`,
          goal: "<= +60 MB, and <= 1.15 x",
          measured: `+${megabytes(over)}, ${times(ratio)}`,
          met: over <= 60_000_000 && ratio <= 1.15,
          peak: `${megabytes(less.peak)} and ${megabytes(more.peak)}`,
          detail: `${seconds(less.millis)} and ${seconds(more.millis)}; unbundled, as a library, +${
            megabytes(Math.max(less.library, more.library) - median(bare))
          }`
        }
      })
    } finally {
      await server.stop()
      rmSync(path, { force: true })
    }
  }
}
